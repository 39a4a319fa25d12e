/* One shard, from the moment that this worker has it until it has not, and the runs of
 * records that it delivers. */
#ifndef VGS_SHARD_H
#define VGS_SHARD_H

#include "session.h"

/* What shards ask of their consumer. */
struct vegas_consumer {
	struct vgs_client client;
	char *group;
	vegas_handler *handler; /* NULL: chunks are polled */
	void *context;
	bool batch;
	int parallel;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	vegas_shard *shards;
	/* What is polled: shards to be started, and chunks. */
	vegas_shard *starting;
	vegas_chunk *chunks, **last_chunk;
	int busy; /* calls of the program's functions, or chunks with some */
	int64_t until; /* when the grace for them is over, since it closes */
	bool closing, ended;
	vegas_error why; /* what wait returns: why it has ended by itself, or that handlers go on */
};

struct vgs_side; /* records that are handled side by side */

struct vegas_shard {
	vegas_shard *next, *next_starting;
	atomic_int refs;
	vegas_consumer *consumer; /* one reference */
	uint32_t number;
	int64_t start; /* the call that is answered when it is ready */
	char *id, *stream;
	int64_t possession;
	char sequence[132];
	int64_t sub_sequence;
	atomic_int stopping; /* vegas_stop */
	bool listed;

	/* Of the consumer's lock. */
	vegas_chunk *inbox;
	vegas_chunk *spare; /* memory of a chunk that was settled */
	bool over; /* nothing more comes */
	pthread_cond_t came;

	/* Of the thread, and those that help it. */
	struct vgs_side *side;
	int helpers, busy;
	unsigned round;
	bool dismissed;
};

struct vegas_chunk {
	vegas_chunk *next;
	vegas_shard *shard; /* one reference */
	size_t room; /* bytes of this piece of memory */
	uint32_t number, behind;
	char *dead; /* the last error of a dead letter, or NULL */
	size_t count;
	vegas_record *records;
	unsigned char *state;
	pthread_mutex_t lock;
	struct vgs_buffer failures;
	uint32_t failed;
	int64_t next_word; /* when it is said what is done */
};

/* Why a shard is not started. */
#define VGS_CLOSING "the consumer is closing"

/* The consumer whose handler this thread runs, or NULL. */
vegas_consumer *vgs_handling(void);

/* Of the arguments of start_shard. */
vegas_shard *vgs_shard(vegas_consumer *c, int64_t call, struct vgs_view args);
void vgs_shard_hold(vegas_shard *s);
void vgs_shard_drop(vegas_shard *s);
/* Tells its handlers, and the first reason stays unless a stronger one comes. */
void vgs_shard_stop(vegas_shard *s, vegas_stop why);
/* Says that it is ready, or not; false where it is not. */
bool vgs_shard_answer(vegas_shard *s);
/* Serves it in a thread of its own. */
void vgs_shard_serve(vegas_shard *s);
/* Takes it out of the consumer's list. The consumer's lock is held. */
void vgs_shard_unlist(vegas_shard *s);

/* A chunk of a frame's body. The consumer's lock is held. */
vegas_chunk *vgs_chunk(vegas_shard *s, const struct vgs_deliver *d, struct vgs_view body);

#endif
