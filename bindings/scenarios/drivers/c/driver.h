/* Drives the C library: commands and answers are values, which the library's own sources
 * make of JSON and the other way round. */
#ifndef DRIVER_H
#define DRIVER_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire.h"

enum { TEXT_BYTES = 1024, HEADERS = 16 };

/* ---- What crosses */

/* A message: a map that grows. */
void begin(struct vgs_buffer *m);
void key(struct vgs_buffer *m, const char *name);
void put_text(struct vgs_buffer *m, const char *name, const char *text);
void put_number(struct vgs_buffer *m, const char *name, int64_t n);
/* Writes a message as a line, and frees it. */
void say(struct vgs_buffer *m);

/* The value of a key of a map, for those that have others in them; of no size where
 * there is none. */
struct vgs_view inside(struct vgs_view map, const char *name);
/* Begins a list: how many elements it has, the first of which list is then. */
uint32_t elements(struct vgs_view *list);
bool flag(struct vgs_view map, const char *name);

/* ---- What there is */

extern pthread_mutex_t lock;
extern pthread_cond_t changed;

/* Sets options; those that are functions are the caller's. */
vegas_code set_options(vegas_options *o, struct vgs_view cmd, vegas_error *err);

/* A consumer, and what its handler has. */
struct state {
	char *name;
	bool batch;
	struct vgs_view behave;
	vegas_consumer *consumer; /* of the lock */
	bool free;                /* of the lock */
	long handled;             /* of the lock */
	struct kept *kept;        /* of the lock */
};

/* Makes what a consumer is; it is never freed, for handlers may outlive it. */
vegas_code open_consumer(struct vgs_view cmd, struct state **made, vegas_error *err);
/* Checkpoints the record with that data, which the handler kept. */
vegas_code checkpoint(struct state *s, struct vgs_view data, vegas_error *err);

#endif
