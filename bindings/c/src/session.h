/* The conversation with the engine, which all producers and consumers share.
 *
 * Three threads: one reads frames and gives them to whom they are for, one writes what
 * has gathered, one calls what is the program's own (logging, statistics). Whoever has
 * something to say puts it into memory and goes on. */
#ifndef VGS_SESSION_H
#define VGS_SESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include "clock.h"
#include "options.h"

struct vgs_session;
struct vgs_client;

/* What producers and consumers do. All but take and the ends is called by the reader
 * and does not wait; false is a breach of the protocol. */
struct vgs_kind {
	const char *name; /* as the protocol numbers them */
	bool (*frame)(struct vgs_client *c, int kind, struct vgs_view body);
	bool (*called)(struct vgs_client *c, int64_t call, struct vgs_view args);
	void (*ended)(struct vgs_client *c, const vegas_error *why); /* NULL: as it was asked to */
	void (*lost)(struct vgs_client *c, const vegas_error *why);  /* the engine has ended */
	void (*take)(struct vgs_client *c);                          /* write what has gathered */
	/* The program ends: first what receives, all of it at one time, then what sends. */
	void (*exit_begin)(struct vgs_client *c); /* NULL of what sends */
	void (*exit_end)(struct vgs_client *c, int64_t began);
	void (*destroy)(struct vgs_client *c);
};

/* The first member of a producer or a consumer. */
struct vgs_client {
	const struct vgs_kind *kind;
	struct vgs_session *session; /* one reference */
	char *stream;
	vegas_options *options;
	uint32_t number;
	atomic_int refs;
	struct vgs_client *next, *next_ready;
	bool attached;
};

/* Whether this is a child of a fork; fills the error. */
bool vgs_forked(vegas_error *err);

/* The session, started where there is none: with a reference, or NULL. */
struct vgs_session *vgs_connect(vegas_error *err);
void vgs_disconnect(struct vgs_session *s);

/* A number for a producer, a consumer or a local server. */
uint32_t vgs_number(struct vgs_session *s);

/* Makes a client with one reference, zeroes behind its head, and the session to go with
 * it; NULL where that cannot be. */
void *vgs_client(size_t size, const struct vgs_kind *kind, const char *stream, const vegas_options *options, vegas_error *err);
/* The session knows it from then on. */
void vgs_attach(struct vgs_client *c);
/* Opens it in the engine, a consumer of that group, or a producer; it is dropped where
 * that fails. */
vegas_code vgs_open(struct vgs_client *c, const char *method, const char *group, struct vgs_buffer *answer, vegas_error *err);
/* It is told nothing any more, and what has not been called by then is not called. */
void vgs_detach(struct vgs_client *c);
/* Behind that: returns when its statistics are called no longer, by other threads. */
void vgs_quiet(struct vgs_client *c);
void vgs_hold(struct vgs_client *c);
void vgs_drop(struct vgs_client *c);

/* Says that a client has gathered something, and whether it can wait a moment for
 * more. Once until take. */
void vgs_ready(struct vgs_client *c, bool urgent);
/* What has gathered waits no longer. */
void vgs_hurry(struct vgs_session *s);

/* Begins a call with so many arguments, which follow as keys and values. */
void vgs_begin_call(struct vgs_buffer *b, const char *method, uint32_t arguments);
/* Makes the call, and frees the buffer. Without a place for the answer's body only its
 * error counts. */
vegas_code vgs_call(struct vgs_session *s, struct vgs_buffer *b, int64_t until, struct vgs_buffer *answer, vegas_error *err);
/* Makes it, and does not wait for the answer. */
void vgs_tell(struct vgs_session *s, struct vgs_buffer *b);
/* Begins one that names a client, and so many more arguments. */
void vgs_begin_own(struct vgs_client *c, struct vgs_buffer *b, const char *method, uint32_t more);
/* A call that names a client only. */
vegas_code vgs_ask(struct vgs_client *c, const char *method, struct vgs_buffer *answer, vegas_error *err);
/* Its answer's statistics, as JSON. */
vegas_code vgs_ask_stats(struct vgs_client *c, char **json, vegas_error *err);

/* Answers a call of the engine: with nothing, or with an error. */
void vgs_answer(struct vgs_session *s, int64_t call, const char *failure);
/* Writes whole frames. */
void vgs_write(struct vgs_session *s, struct vgs_view frames);
/* The writer's: writes at once. */
void vgs_write_now(struct vgs_session *s, const void *from, size_t size);

/* A line of the library's own. */
void vgs_log(struct vgs_session *s, vegas_level level, const char *format, ...) VGS_FORMAT(3, 4);

#endif
