/* vegas: send and receive over Amazon Kinesis Data Streams, from C.
 *
 *	vegas_producer_open("orders", NULL, &p, &err);
 *	vegas_send(p, "customer-17", data, size, NULL, &err);
 *
 *	vegas_consumer_open("orders", "billing", handle, NULL, NULL, &c, &err);
 *
 * The engine, which is written in Go, runs in threads of the program's own process;
 * the first call that opens something starts it. All producers and consumers share
 * it, and it is the only state besides theirs.
 *
 * Errors. Functions that can fail return a vegas_code, VEGAS_OK being 0, and fill the
 * vegas_error that they are given, if one is. Where memory is exhausted the program
 * ends, as the engine does.
 *
 * Threads. Every function may be called by any thread at any time, unless it says
 * otherwise; freeing something while another thread uses it is an error. Handlers
 * and callbacks run in threads of the library. They may call everything but what
 * waits for themselves, which the functions name.
 *
 * fork. The engine's threads do not exist in a child. There all functions fail with
 * VEGAS_ENGINE_GONE at once, or do nothing. A child that starts another program is
 * not concerned.
 *
 * Timeouts are milliseconds; below 0: without end. Times are milliseconds since 1970.
 * Texts are UTF-8 and end with a 0 byte.
 */
#ifndef VEGAS_H
#define VEGAS_H

#include <stddef.h>
#include <stdint.h>

#include "vegas_spec.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VEGAS_VERSION_TEXT "0.1.0"

#if defined(__GNUC__)
#define VEGAS_API __attribute__((visibility("default")))
#else
#define VEGAS_API
#endif

/* ---- Errors */

typedef struct vegas_error {
	vegas_code code;
	int unknown; /* the record may be in the stream all the same */
	char text[1024];
	char remedy[512]; /* what to do, or "" */
} vegas_error;

/* The name of a code, such as "too_large". */
VEGAS_API const char *vegas_code_name(vegas_code code);

/* Whether this is a child of a fork: 1, and the error that every function has there. */
VEGAS_API int vegas_forked(vegas_error *err);

/* ---- Options */

typedef struct vegas_options vegas_options;

/* Options with nothing set. What opens a producer or a consumer copies them: free
 * them, or use them for several. */
VEGAS_API vegas_options *vegas_producer_options(void);
VEGAS_API vegas_options *vegas_consumer_options(void);
VEGAS_API void vegas_options_free(vegas_options *o);

/* Sets one of the options that vegas_spec.h lists, by a text: "true" or "false" for a
 * flag, a number; "64MiB" (KiB, GiB) or a number of bytes; "5ms" (us, s, min, h) or a
 * number of microseconds; a time as "2026-01-31T12:00:00Z" or in microseconds since
 * 1970. A name that does not exist is VEGAS_BAD_OPTION, with the one that was
 * probably meant. */
VEGAS_API vegas_code vegas_options_set(vegas_options *o, const char *name, const char *value, vegas_error *err);

/* Statistics, as JSON, by the names of the metrics; in the period of stats_every, 10 s
 * by default. The function is not called any more when its producer or consumer has
 * been freed, and must not wait for who frees it. */
typedef void vegas_on_stats(void *context, const char *json);
VEGAS_API void vegas_options_on_stats(vegas_options *o, vegas_on_stats *call, void *context);

/* ---- Logging */

typedef enum vegas_level { VEGAS_DEBUG, VEGAS_INFO, VEGAS_WARN, VEGAS_ERROR } vegas_level;
typedef void vegas_on_log(void *context, vegas_level level, const char *text);

/* Sends the engine's lines of a level and above to a function; to be called before
 * anything is opened. Otherwise warnings and errors go to standard error. */
VEGAS_API void vegas_log_to(vegas_level least, vegas_on_log *call, void *context);

/* Writes a line of one's own to where they go. */
VEGAS_API void vegas_log(vegas_level level, const char *text);

/* ---- Producers */

typedef struct vegas_producer vegas_producer;

/* A header of a record. Names may come several times. */
typedef struct vegas_header {
	const char *name;
	size_t name_size;
	const void *value;
	size_t size;
} vegas_header;

/* A record to send. All of it is copied. */
typedef struct vegas_message {
	const char *key; /* partition key, 1 to 256 characters */
	size_t key_size;
	const void *data;
	size_t size;
	const vegas_header *headers;
	size_t header_count;
	const char *hash_key; /* explicit hash key in decimal, or NULL */
	void *context;        /* comes back in the result */
	int no_wait;          /* VEGAS_BUFFER_FULL instead of waiting for room */
} vegas_message;

/* What became of a record. The texts are valid until the next vegas_poll of the
 * producer, or until the callback returns. */
typedef struct vegas_result {
	uint64_t token;
	void *context;
	vegas_status status;
	const char *shard;    /* "" unless it is VEGAS_STORED */
	const char *sequence; /* of the Kinesis record that it travelled in */
	int64_t sub_sequence; /* its index in an aggregate, or 0 */
	const vegas_error *error; /* NULL if it is stored or durable */
} vegas_result;

typedef void vegas_on_result(void *context, const vegas_result *result);

/* Every record that was accepted has exactly one result, also when its producer is
 * closed. By default results are not handed out: failures are logged, and returned by
 * flush and close. vegas_options_poll makes vegas_poll hand them out, and
 * vegas_options_on_result has a function called with each, by a thread of the
 * producer's own. A record keeps its room in buffer_bytes until its result has been
 * handed out. The callback may send, but not flush or close the producer. */
VEGAS_API void vegas_options_poll(vegas_options *o);
VEGAS_API void vegas_options_on_result(vegas_options *o, vegas_on_result *call, void *context);

/* Opens a producer for a stream: one for each stream, for all threads. It returns when
 * records can be sent; options may be NULL. What is wrong with the stream, the
 * credentials or the network is the error of records, or of vegas_producer_check. */
VEGAS_API vegas_code vegas_producer_open(const char *stream, const vegas_options *options, vegas_producer **p, vegas_error *err);

/* Accepts a record; token, if it is not NULL, gets its number, from 0 on. It waits
 * while buffer_bytes are on their way, but not where only vegas_poll can make room:
 * that is VEGAS_BUFFER_FULL. Order is kept between sends that follow each other. */
VEGAS_API vegas_code vegas_send(vegas_producer *p, const char *key, const void *data, size_t size, uint64_t *token, vegas_error *err);
VEGAS_API vegas_code vegas_send_message(vegas_producer *p, const vegas_message *m, uint64_t *token, vegas_error *err);

/* Hands out up to max results, of a producer with vegas_options_poll; 0 when there are
 * none within the timeout, or at once when it was closed and all were handed out. One
 * thread polls. */
VEGAS_API size_t vegas_poll(vegas_producer *p, vegas_result *results, size_t max, int timeout);

/* Returns when everything sent before has its result, or VEGAS_TIMEOUT; with a durable
 * buffer what is safe there may remain, which is no error. Unless results are handed
 * out, an error is the first failure since the last flush. */
VEGAS_API vegas_code vegas_flush(vegas_producer *p, int timeout, vegas_error *err);

/* Like flush, and then the end of the producer. What has no result by then fails, or
 * stays in the durable buffer. The timeout VEGAS_DEFAULT is the option close_timeout.
 * What vegas_poll has not handed out it still does. */
#define VEGAS_DEFAULT (-2)
VEGAS_API vegas_code vegas_producer_close(vegas_producer *p, int timeout, vegas_error *err);

/* Closes it where that has not been done, and frees it. */
VEGAS_API void vegas_producer_free(vegas_producer *p);

/* Asks whether the stream can be sent to. */
VEGAS_API vegas_code vegas_producer_check(vegas_producer *p, vegas_error *err);

/* Statistics as JSON, to be freed by free. */
VEGAS_API vegas_code vegas_producer_stats(vegas_producer *p, char **json, vegas_error *err);

/* ---- Consumers */

typedef struct vegas_consumer vegas_consumer;
typedef struct vegas_shard vegas_shard;
typedef struct vegas_chunk vegas_chunk;

/* A record, and what it points to, is valid until its handler returns, or until its
 * chunk is settled. */
typedef struct vegas_record {
	const char *partition_key;
	size_t partition_key_size;
	const void *data;
	size_t size;
	const char *hash_key; /* explicit hash key in decimal, or "" */
	const char *sequence; /* of the Kinesis record that it travelled in */
	int64_t sub_sequence; /* its index in an aggregate, or 0 */
	int64_t arrival_time;
	int attempt;    /* how often it is handled by now, 1 at first */
	int aggregated; /* it travelled in an aggregate */
	const vegas_shard *shard;
	const void *packed_headers; /* for vegas_record_headers */
	size_t packed_headers_size;
} vegas_record;

/* Fills in up to max headers, in their order, and returns how many there are. */
VEGAS_API size_t vegas_record_headers(const vegas_record *r, vegas_header *headers, size_t max);

/* The first header of a name, or NULL. */
VEGAS_API const void *vegas_record_header(const vegas_record *r, const char *name, size_t *size);

/* The shard: as the stream names it, its stream, and its fencing token, which grows
 * with each owner. */
VEGAS_API const char *vegas_shard_id(const vegas_shard *s);
VEGAS_API const char *vegas_shard_stream(const vegas_shard *s);
VEGAS_API int64_t vegas_shard_possession(const vegas_shard *s);

/* A shard is valid as long as its records are. This makes it valid until release. */
VEGAS_API const vegas_shard *vegas_shard_keep(const vegas_shard *s);
VEGAS_API void vegas_shard_release(const vegas_shard *s);

/* Why a handler should return soon. After VEGAS_STOP_SHUTDOWN and VEGAS_STOP_HANDOFF
 * what it finishes still counts; after the others the record comes again, here or
 * elsewhere. */
VEGAS_API vegas_stop vegas_shard_stopping(const vegas_shard *s);

/* Handles records: one at a time, or, with the option batch, a run of them. 0: they
 * are done with. Anything else is a failure, which the options on_error, max_attempts
 * and dead_letter decide about; why->text may be filled to say what it was.
 *
 * Each shard has a thread of its own, so handlers run side by side for different
 * shards, and one after the other for one, unless parallel says otherwise. */
typedef int vegas_handler(void *context, const vegas_record *records, size_t count, vegas_error *why);

/* Takes a record whose attempts are used up. 0: it has taken it over. */
typedef int vegas_dead_letter(void *context, const vegas_record *record, const char *error);
VEGAS_API void vegas_options_dead_letter(vegas_options *o, vegas_dead_letter *call, void *context);

/* Positions are kept by the program: called with each shard that starts, and the
 * position that the store knows. It may change both, of which sequence has 132 bytes.
 * Anything else than 0 is a failure: the shard starts anew after a pause. */
typedef int vegas_external(void *context, const vegas_shard *s, char *sequence, int64_t *sub_sequence);
VEGAS_API void vegas_options_external(vegas_options *o, vegas_external *call, void *context);

/* Opens a consumer: a worker of a group, which is a name, or the ARN of a fan-out
 * consumer. It runs at once. Without a handler records come by vegas_consumer_poll.
 * Options may be NULL. */
VEGAS_API vegas_code vegas_consumer_open(const char *stream, const char *group, vegas_handler *handler, void *context,
                                         const vegas_options *options, vegas_consumer **c, vegas_error *err);

/* The next run of records of any shard. VEGAS_TIMEOUT when there is none within the
 * timeout; when the consumer has ended what ended it, or VEGAS_CLOSED. Each chunk is
 * settled once. Until then its shard has no other one. */
VEGAS_API vegas_code vegas_consumer_poll(vegas_consumer *c, int timeout, vegas_chunk **chunk, vegas_error *err);

/* Its records, how many milliseconds its end lies behind the tip of the shard, and the
 * last error if its one record is for the dead letters, else NULL: a chunk with an error
 * is there only with vegas_options_dead_letter of a NULL function. */
VEGAS_API const vegas_record *vegas_chunk_records(const vegas_chunk *chunk, size_t *count);
VEGAS_API uint32_t vegas_chunk_behind(const vegas_chunk *chunk);
VEGAS_API const char *vegas_chunk_dead_letter(const vegas_chunk *chunk);

/* Says that the records from from on, below to, are done with. */
VEGAS_API void vegas_chunk_done(vegas_chunk *chunk, size_t from, size_t to);

/* Says that a record has failed, and how. Begin no other one of its key. With the
 * option batch a chunk fails as a whole. */
VEGAS_API void vegas_chunk_failed(vegas_chunk *chunk, size_t index, const char *text);

/* The last word on a chunk, which also frees it. Records that are neither done nor
 * failed come again. */
VEGAS_API void vegas_settle(vegas_chunk *chunk);

/* Stores the position of a record, with the option checkpoint=manual. VEGAS_LEASE_LOST
 * where the shard is another worker's by now. */
VEGAS_API vegas_code vegas_checkpoint(vegas_consumer *c, const vegas_record *record, vegas_error *err);

/* The same of a position that was noted: the shard has to be kept from a record on. */
VEGAS_API vegas_code vegas_checkpoint_at(vegas_consumer *c, const vegas_shard *s, const char *sequence, int64_t sub_sequence,
                                         vegas_error *err);

/* Returns when the consumer has ended: VEGAS_OK where it was closed, else what ended
 * it. VEGAS_GRACE_OVER: it was closed, and handlers had not ended by the time that the
 * option grace gives them. VEGAS_TIMEOUT while it runs. */
VEGAS_API vegas_code vegas_consumer_wait(vegas_consumer *c, int timeout, vegas_error *err);

/* Begins nothing further, waits for handlers for as long as the option grace says,
 * writes checkpoints and gives the shards back. Called by a handler it does not wait;
 * settle what vegas_consumer_poll gave before. VEGAS_GRACE_OVER: handlers still run,
 * and need their context. Whether they do, another call then says at once. */
VEGAS_API vegas_code vegas_consumer_close(vegas_consumer *c, vegas_error *err);

/* Closes it where that has not been done, and frees it. Not to be called by a
 * handler. */
VEGAS_API void vegas_consumer_free(vegas_consumer *c);

/* Asks whether the stream can be read. */
VEGAS_API vegas_code vegas_consumer_check(vegas_consumer *c, vegas_error *err);

/* Statistics as JSON, to be freed by free. */
VEGAS_API vegas_code vegas_consumer_stats(vegas_consumer *c, char **json, vegas_error *err);

/* ---- A Kinesis of one's own for tests: in memory, on a free port of 127.0.0.1 */

typedef struct vegas_local vegas_local;

/* arguments is JSON: {"streams": {"orders": 4}, "no_limits": true}. Producers and
 * consumers find it by the option endpoint alone. */
VEGAS_API vegas_code vegas_local_open(const char *arguments, vegas_local **l, vegas_error *err);
VEGAS_API const char *vegas_local_endpoint(const vegas_local *l);

/* What other programs need in their environment to use it: "NAME=value" texts, and a
 * NULL at the end. */
VEGAS_API const char *const *vegas_local_environment(const vegas_local *l);

/* Ends it. What it had is gone. */
VEGAS_API void vegas_local_free(vegas_local *l);

#ifdef __cplusplus
}
#endif

#endif
