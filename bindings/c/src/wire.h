/* Bytes of the bridge protocol: frames, values and rows of records, as
 * bindings/PROTOCOL.md has them. Everything here is a function of bytes; what is not
 * as that page wants it is refused. */
#ifndef VGS_WIRE_H
#define VGS_WIRE_H

#include "bytes.h"
#include "spec.h"
#include "vegas.h"

/* ---- Frames */

enum { VGS_FRAME_HEAD = 5 };

/* Begins a frame, and returns what completes it. */
size_t vgs_begin_frame(struct vgs_buffer *b, int kind);
void vgs_end_frame(struct vgs_buffer *b, size_t start);

/* Takes a frame out of bytes: its length, 0 where it is not complete, or -1 where its
 * size is impossible. */
long vgs_take_frame(struct vgs_view bytes, int *kind, struct vgs_view *body);

/* ---- Values, written */

enum vgs_tag { VGS_NOTHING, VGS_FALSE, VGS_TRUE, VGS_WHOLE, VGS_REAL, VGS_STRING, VGS_BYTES, VGS_ITEMS, VGS_MAP };

void vgs_put_nothing(struct vgs_buffer *b);
void vgs_put_flag(struct vgs_buffer *b, bool v);
void vgs_put_whole(struct vgs_buffer *b, int64_t n);
void vgs_put_real(struct vgs_buffer *b, double n);
void vgs_put_string(struct vgs_buffer *b, const char *text);
void vgs_put_text(struct vgs_buffer *b, struct vgs_view text);
/* Of count values, or of count pairs of a key and a value. */
void vgs_put_items(struct vgs_buffer *b, uint32_t count);
void vgs_put_map(struct vgs_buffer *b, uint32_t count);
void vgs_put_key(struct vgs_buffer *b, const char *name);

/* ---- Values, read */

struct vgs_value {
	enum vgs_tag tag;
	int64_t whole;
	double real;
	struct vgs_view text;  /* of a string, or bytes */
	uint32_t count;        /* of items or pairs */
	struct vgs_view items; /* all behind it, of which the first count are its own */
};

/* Whether a body is one value and keeps all limits. All that follows takes only what
 * has passed this. */
bool vgs_is_value(struct vgs_view body);

/* Reads a value, or the head of one that has others in it, and goes on behind that. */
struct vgs_value vgs_read(struct vgs_view *from);
void vgs_skip(struct vgs_view *from);
/* Reads a key of a map. */
struct vgs_view vgs_read_key(struct vgs_view *from);

/* Finds a key of a body that is a map; nothing where there is none. */
struct vgs_value vgs_find(struct vgs_view map, const char *name);
int64_t vgs_find_whole(struct vgs_view map, const char *name, int64_t otherwise);
struct vgs_view vgs_find_text(struct vgs_view map, const char *name);
bool vgs_same(struct vgs_view a, const char *b);

/* ---- Errors */

/* Fills an error, if there is one to fill, and returns its code. */
vegas_code vgs_fail(vegas_error *err, vegas_code code, const char *remedy, const char *format, ...)
    VGS_FORMAT(4, 5);
vegas_code vgs_pass(vegas_error *err, const vegas_error *why);

/* An error as it crosses. */
void vgs_put_error(struct vgs_buffer *b, vegas_code code, struct vgs_view text);
void vgs_read_error(struct vgs_value v, vegas_error *err);

/* Copies a text into room bytes, whole characters of it, and a 0 byte. */
void vgs_cut(char *to, size_t room, struct vgs_view text);

/* Characters of a text, or -1 where it is no UTF-8. */
long vgs_characters(struct vgs_view text);

/* ---- JSON, which structured values are for C programs */

/* Appends the value that a text is; false, and why, where it is no JSON. */
bool vgs_from_json(struct vgs_buffer *b, const char *json, vegas_error *err);
void vgs_to_json(struct vgs_buffer *b, struct vgs_view *value);
/* The value of a key of a map, as JSON, to be freed. */
char *vgs_find_json(struct vgs_view map, const char *name);

/* ---- Records */

enum {
	VGS_SEND_HEAD = 16,
	VGS_SEND_ROW = 12,
	VGS_GROUP_HEAD = 8,
	VGS_REPORT_ROW = 16,
	VGS_DELIVER_HEAD = 25,
	VGS_DELIVER_ROW = 32,
	VGS_DEAD_LETTER = 1,
	VGS_LAST_WORD = 1,
};

/* Bytes that headers take, or 0 where there are none or they cannot be told. */
size_t vgs_headers_size(const vegas_header *headers, size_t count);
void vgs_put_headers(unsigned char *at, const vegas_header *headers, size_t count);

/* A group of a report. */
struct vgs_group {
	int status;
	struct vgs_view text;
	uint32_t count;
	const unsigned char *rows;
};

/* Whether the body of a report speaks of what it has. */
bool vgs_is_report(struct vgs_view body);
/* Takes the next group out of a body behind its head, which is 8 bytes. */
struct vgs_group vgs_read_group(struct vgs_view *rest);

/* A chunk as it was delivered. */
struct vgs_deliver {
	uint32_t shard, chunk, behind, count;
	int flags;
	struct vgs_view text;
	const unsigned char *rows, *bytes;
	size_t texts; /* bytes that the records' texts take, each with its 0 byte */
};

bool vgs_read_deliver(struct vgs_view body, struct vgs_deliver *d);
/* Fills in the records of a chunk: data is that of the body, texts are copied. */
void vgs_read_records(const struct vgs_deliver *d, vegas_record *records, char *texts, const vegas_shard *shard);

#endif
