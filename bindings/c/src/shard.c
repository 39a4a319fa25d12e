#include "shard.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	OPEN,   /* nothing is known of the record */
	DONE,   /* and the engine does not know it */
	TOLD,   /* the engine knows it */
	FAILED,
};

enum {
	PROGRESS = 1000000, /* microseconds after which a chunk under way tells what is done */
	FAILURE_BYTES = 32 << 10, /* of a record */
	FAILURES_BYTES = 8 << 20, /* of a chunk: a frame takes 16 MiB */
	NO_RECORD = -1,
};

static _Thread_local vegas_consumer *handling;

vegas_consumer *vgs_handling(void) { return handling; }

/* ---- Chunks */

vegas_chunk *vgs_chunk(vegas_shard *s, const struct vgs_deliver *d, struct vgs_view body) {
	/* One piece of memory: the chunk, its records, their bytes, texts and states. */
	size_t records = d->count * sizeof(vegas_record);
	size_t data = body.size - (size_t)(d->bytes - body.at);
	size_t room = sizeof(vegas_chunk) + records + data + d->texts + d->count + d->text.size + 1;
	vegas_chunk *c = s->spare;
	s->spare = NULL;
	if (c != NULL && c->room < room) {
		free(c);
		c = NULL;
	}
	if (c == NULL) {
		room += room / 4; /* the next one may be somewhat larger */
		c = vgs_alloc(room);
	} else {
		room = c->room;
	}
	char *piece = (char *)c;
	char *bytes = piece + sizeof *c + records, *texts = bytes + data;
	*c = (vegas_chunk){
	    .shard = s,
	    .room = room,
	    .number = d->chunk,
	    .behind = d->behind,
	    .count = d->count,
	    .records = (vegas_record *)(void *)(piece + sizeof *c),
	    .state = (unsigned char *)texts + d->texts,
	    .next_word = vgs_now() + PROGRESS,
	};
	memcpy(bytes, d->bytes, data);
	memset(c->state, OPEN, c->count);
	struct vgs_deliver copy = *d;
	copy.bytes = (unsigned char *)bytes;
	vgs_read_records(&copy, c->records, texts, s);
	if (d->flags & VGS_DEAD_LETTER) {
		c->dead = (char *)c->state + c->count;
		vgs_cut(c->dead, d->text.size + 1, d->text);
	}
	pthread_mutex_init(&c->lock, NULL);
	vgs_shard_hold(s);
	return c;
}

const vegas_record *vegas_chunk_records(const vegas_chunk *chunk, size_t *count) {
	*count = chunk->count;
	return chunk->records;
}

uint32_t vegas_chunk_behind(const vegas_chunk *chunk) { return chunk->behind; }
const char *vegas_chunk_dead_letter(const vegas_chunk *chunk) { return chunk->dead; }

/* Says what is done since it was said last, and with the last word what failed. The
 * chunk's lock is held. */
static void settle(vegas_chunk *c, bool last) {
	struct vgs_buffer b = {0};
	uint32_t ranges = 0;
	size_t start = vgs_begin_frame(&b, VGS_KIND_SETTLE);
	vgs_put32(&b, c->shard->consumer->client.number);
	vgs_put32(&b, c->shard->number);
	vgs_put32(&b, c->number);
	vgs_put8(&b, last ? VGS_LAST_WORD : 0);
	size_t counts = b.size;
	vgs_put32(&b, 0);
	vgs_put32(&b, last ? c->failed : 0);
	for (size_t i = 0; i < c->count; i++) {
		if (c->state[i] != DONE) {
			continue;
		}
		vgs_put32(&b, (uint32_t)i);
		for (; i < c->count && c->state[i] == DONE; i++) {
			c->state[i] = TOLD;
		}
		vgs_put32(&b, (uint32_t)i);
		ranges++;
	}
	vgs_store32(b.at + counts, ranges);
	if (last) {
		vgs_put(&b, c->failures.at, c->failures.size);
	}
	vgs_end_frame(&b, start);
	if (last || ranges > 0) {
		vgs_write(c->shard->consumer->client.session, vgs_view_of(&b));
	}
	vgs_free_buffer(&b);
	c->next_word = vgs_now() + PROGRESS;
}

void vegas_chunk_done(vegas_chunk *chunk, size_t from, size_t to) {
	pthread_mutex_lock(&chunk->lock);
	for (size_t i = from; i < to && i < chunk->count; i++) {
		if (chunk->state[i] == OPEN) {
			chunk->state[i] = DONE;
		}
	}
	/* A batch is done with as a whole, and a dead letter is one record. */
	if (vgs_about_now() > chunk->next_word && !chunk->shard->consumer->batch) {
		settle(chunk, false);
	}
	pthread_mutex_unlock(&chunk->lock);
}

void vegas_chunk_failed(vegas_chunk *chunk, size_t index, const char *text) {
	bool batch = chunk->shard->consumer->batch;
	if (batch) {
		index = 0;
	}
	pthread_mutex_lock(&chunk->lock);
	if (index < chunk->count && (chunk->state[index] == OPEN || (batch && chunk->state[index] == DONE))) {
		if (batch) {
			memset(chunk->state, OPEN, chunk->count);
		}
		chunk->state[index] = FAILED;
		chunk->failed++;
		size_t size = strlen(text), most = FAILURES_BYTES / chunk->count;
		if (most > FAILURE_BYTES) {
			most = FAILURE_BYTES;
		}
		if (size > most) {
			size = most;
		}
		char *cut = vgs_alloc(size + 1);
		vgs_cut(cut, size + 1, (struct vgs_view){(const unsigned char *)text, strlen(text)});
		size = strlen(cut);
		vgs_put32(&chunk->failures, (uint32_t)index);
		vgs_put32(&chunk->failures, (uint32_t)size);
		vgs_put(&chunk->failures, cut, size);
		free(cut);
	}
	pthread_mutex_unlock(&chunk->lock);
}

void vegas_settle(vegas_chunk *chunk) {
	if (chunk == NULL || vgs_forked(NULL)) {
		return;
	}
	pthread_mutex_lock(&chunk->lock);
	if (chunk->shard->consumer->batch && (chunk->failed > 0 || memchr(chunk->state, OPEN, chunk->count) != NULL)) {
		/* Part of a batch is nothing. */
		for (size_t i = 0; i < chunk->count; i++) {
			if (chunk->state[i] == DONE) {
				chunk->state[i] = OPEN;
			}
		}
	}
	settle(chunk, true);
	pthread_mutex_unlock(&chunk->lock);
	pthread_mutex_destroy(&chunk->lock);
	vgs_free_buffer(&chunk->failures);
	vegas_shard *s = chunk->shard;
	pthread_mutex_lock(&s->consumer->lock);
	vegas_chunk *other = s->spare;
	s->spare = chunk; /* memory of this size is costly to get anew */
	pthread_mutex_unlock(&s->consumer->lock);
	free(other);
	vgs_shard_drop(s);
}

/* ---- Shards */

vegas_shard *vgs_shard(vegas_consumer *c, int64_t call, struct vgs_view args) {
	vegas_shard *s = vgs_alloc_zero(sizeof *s);
	atomic_init(&s->refs, 1);
	atomic_init(&s->stopping, VEGAS_STOP_NONE);
	s->consumer = c;
	vgs_hold(&c->client);
	s->number = (uint32_t)vgs_find_whole(args, "shard", 0);
	s->start = call;
	s->id = vgs_text_of(vgs_find_text(args, "id"));
	s->stream = vgs_text_of(vgs_find_text(args, "stream"));
	s->possession = vgs_find_whole(args, "possession", 0);
	vgs_cut(s->sequence, sizeof s->sequence, vgs_find_text(args, "sequence"));
	s->sub_sequence = vgs_find_whole(args, "sub", 0);
	vgs_condition(&s->came);
	return s;
}

void vgs_shard_hold(vegas_shard *s) { atomic_fetch_add(&s->refs, 1); }

void vgs_shard_drop(vegas_shard *s) {
	if (atomic_fetch_sub(&s->refs, 1) > 1) {
		return;
	}
	vgs_drop(&s->consumer->client);
	pthread_cond_destroy(&s->came);
	free(s->spare);
	free(s->id);
	free(s->stream);
	free(s);
}

const char *vegas_shard_id(const vegas_shard *s) { return s->id; }
const char *vegas_shard_stream(const vegas_shard *s) { return s->stream; }
int64_t vegas_shard_possession(const vegas_shard *s) { return s->possession; }
vegas_stop vegas_shard_stopping(const vegas_shard *s) { return (vegas_stop)atomic_load(&s->stopping); }

/* What is counted is no part of what the program may not change. */
static vegas_shard *counted(const vegas_shard *s) { return (vegas_shard *)(uintptr_t)s; }

const vegas_shard *vegas_shard_keep(const vegas_shard *s) {
	vgs_shard_hold(counted(s));
	return s;
}

void vegas_shard_release(const vegas_shard *s) {
	if (!vgs_forked(NULL)) {
		vgs_shard_drop(counted(s));
	}
}

static bool stopping(const vegas_shard *s) { return vegas_shard_stopping(s) != VEGAS_STOP_NONE; }

void vgs_shard_stop(vegas_shard *s, vegas_stop why) {
	/* The later ones of the protocol are the stronger ones. */
	int now = atomic_load(&s->stopping);
	while ((int)why > now && !atomic_compare_exchange_weak(&s->stopping, &now, (int)why)) {
	}
}

void vgs_shard_unlist(vegas_shard *s) {
	if (!s->listed) {
		return;
	}
	vegas_shard **at = &s->consumer->shards;
	while (*at != s) {
		at = &(*at)->next;
	}
	*at = s->next;
	s->listed = false;
	vgs_shard_drop(s);
}

/* Behind what was counted as busy. */
static void rest(vegas_consumer *c) {
	pthread_mutex_lock(&c->lock);
	if (--c->busy == 0) {
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
}

bool vgs_shard_answer(vegas_shard *s) {
	vegas_consumer *c = s->consumer;
	struct vgs_session *session = c->client.session;
	vegas_external *external = c->client.options->external;
	if (external == NULL) {
		vgs_answer(session, s->start, NULL);
		return true;
	}
	pthread_mutex_lock(&c->lock);
	bool late = c->closing || c->ended;
	c->busy += !late;
	pthread_mutex_unlock(&c->lock);
	if (late) {
		vgs_answer(session, s->start, VGS_CLOSING);
		return false;
	}
	handling = c;
	int failed = external(c->client.options->external_context, s, s->sequence, &s->sub_sequence);
	handling = NULL;
	rest(c);
	if (failed) {
		char text[100];
		snprintf(text, sizeof text, "the function of the positions returned %d", failed);
		/* The engine forgets the shard, and starts it anew. */
		pthread_mutex_lock(&c->lock);
		vgs_shard_unlist(s);
		pthread_mutex_unlock(&c->lock);
		vgs_answer(session, s->start, text);
		return false;
	}
	struct vgs_buffer b = {0};
	size_t start = vgs_begin_frame(&b, VGS_KIND_ANSWER);
	vgs_put_map(&b, 3);
	vgs_put_key(&b, "call");
	vgs_put_whole(&b, s->start);
	vgs_put_key(&b, "sequence");
	vgs_put_string(&b, s->sequence);
	vgs_put_key(&b, "sub");
	vgs_put_whole(&b, s->sub_sequence);
	vgs_end_frame(&b, start);
	vgs_write(session, vgs_view_of(&b));
	vgs_free_buffer(&b);
	return true;
}

/* ---- Handling */

/* Calls a handler, and says what failed. */
static bool call(vegas_chunk *c, size_t from, size_t count) {
	vegas_consumer *of = c->shard->consumer;
	vegas_error why;
	why.text[0] = 0;
	handling = of;
	int failed;
	if (c->dead != NULL) {
		failed = of->client.options->dead_letter(of->client.options->dead_letter_context, c->records, c->dead);
	} else {
		failed = of->handler(of->context, c->records + from, count, &why);
	}
	handling = NULL;
	if (failed == 0) {
		return true;
	}
	if (why.text[0] == 0) {
		snprintf(why.text, sizeof why.text, "the %s returned %d", c->dead ? "dead-letter function" : "handler", failed);
	}
	vegas_chunk_failed(c, from, why.text);
	return false;
}

static bool handle(vegas_chunk *c, size_t from, size_t count) {
	bool fine = call(c, from, count);
	if (fine) {
		vegas_chunk_done(c, from, from + count);
	}
	return fine;
}

/* The chunk is this thread's alone. */
static void one_by_one(vegas_chunk *c) {
	for (size_t i = 0; i < c->count && !stopping(c->shard) && call(c, i, 1); i++) {
		c->state[i] = DONE;
		if (vgs_about_now() > c->next_word) {
			settle(c, false);
		}
	}
}

/* The records of a chunk by their keys: those of one key follow each other. */
struct vgs_side {
	vegas_chunk *chunk;
	int *next;  /* of the same key, or NO_RECORD */
	int *first; /* of each key */
	int keys;
	atomic_int taken;
};

static uint64_t hash_of(const vegas_record *r) {
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < r->partition_key_size; i++) {
		h = (h ^ (unsigned char)r->partition_key[i]) * 1099511628211u;
	}
	return h ^ h >> 32;
}

static bool same_key(const vegas_record *a, const vegas_record *b) {
	return a->partition_key_size == b->partition_key_size && memcmp(a->partition_key, b->partition_key, a->partition_key_size) == 0;
}

static void by_keys(struct vgs_side *side, vegas_chunk *c) {
	size_t slots = 16;
	while (slots < c->count * 2) {
		slots *= 2;
	}
	int *last = vgs_alloc(slots * sizeof *last); /* record of a key, by the key's hash */
	memset(last, 0xff, slots * sizeof *last);
	side->chunk = c;
	side->next = vgs_alloc(c->count * sizeof *side->next);
	side->first = vgs_alloc(c->count * sizeof *side->first);
	side->keys = 0;
	atomic_init(&side->taken, 0);
	for (int i = 0; i < (int)c->count; i++) {
		const vegas_record *r = &c->records[i];
		size_t slot = hash_of(r) & (slots - 1);
		while (last[slot] != NO_RECORD && !same_key(&c->records[last[slot]], r)) {
			slot = (slot + 1) & (slots - 1);
		}
		if (last[slot] == NO_RECORD) {
			side->first[side->keys++] = i;
		} else {
			side->next[last[slot]] = i;
		}
		last[slot] = i;
		side->next[i] = NO_RECORD;
	}
	free(last);
}

/* Takes one key after the other until none is left. */
static void take_keys(struct vgs_side *side) {
	int key;
	while ((key = atomic_fetch_add(&side->taken, 1)) < side->keys) {
		for (int i = side->first[key]; i != NO_RECORD; i = side->next[i]) {
			if (stopping(side->chunk->shard) || !handle(side->chunk, (size_t)i, 1)) {
				break; /* none of its key behind it */
			}
		}
	}
}

static void *helper(void *of) {
	vegas_shard *s = of;
	vegas_consumer *c = s->consumer;
	unsigned seen = 0;
	pthread_mutex_lock(&c->lock);
	for (;;) {
		while (s->round == seen && !s->dismissed) {
			vgs_wait(&s->came, &c->lock, VGS_NEVER);
		}
		if (s->round == seen) {
			break;
		}
		seen = s->round;
		struct vgs_side *side = s->side;
		pthread_mutex_unlock(&c->lock);
		take_keys(side);
		pthread_mutex_lock(&c->lock);
		if (--s->busy == 0) {
			pthread_cond_broadcast(&s->came);
		}
	}
	pthread_mutex_unlock(&c->lock);
	vgs_shard_drop(s);
	return NULL;
}

static void side_by_side(vegas_shard *s, vegas_chunk *chunk) {
	vegas_consumer *c = s->consumer;
	struct vgs_side side;
	by_keys(&side, chunk);
	if (side.keys > 1) {
		while (s->helpers < c->parallel - 1) { /* a helper begins with round 0 */
			s->helpers++;
			vgs_shard_hold(s);
			vgs_thread(helper, s);
		}
		pthread_mutex_lock(&c->lock);
		s->side = &side;
		s->busy = s->helpers;
		s->round++;
		pthread_cond_broadcast(&s->came);
		pthread_mutex_unlock(&c->lock);
	}
	take_keys(&side);
	pthread_mutex_lock(&c->lock);
	while (s->busy > 0) {
		vgs_wait(&s->came, &c->lock, VGS_NEVER);
	}
	pthread_mutex_unlock(&c->lock);
	free(side.next);
	free(side.first);
}

static void handle_chunk(vegas_shard *s, vegas_chunk *c) {
	vegas_consumer *of = s->consumer;
	if (stopping(s)) {
		/* Nothing of it is begun. */
	} else if (c->dead != NULL) {
		if (of->client.options->dead_letter != NULL) {
			handle(c, 0, 1);
		}
	} else if (of->batch) {
		handle(c, 0, c->count);
	} else if (of->parallel > 1 && c->count > 1) {
		side_by_side(s, c);
	} else {
		one_by_one(c);
	}
	rest(of); /* before the engine learns of it: then close waits for nothing */
	vegas_settle(c);
}

static void *serve(void *arg) {
	vegas_shard *s = arg;
	vegas_consumer *c = s->consumer;
	if (vgs_shard_answer(s)) {
		pthread_mutex_lock(&c->lock);
		for (;;) {
			while (s->inbox == NULL && !s->over) {
				vgs_wait(&s->came, &c->lock, VGS_NEVER);
			}
			vegas_chunk *chunk = s->inbox;
			if (chunk == NULL) {
				break;
			}
			s->inbox = chunk->next;
			c->busy++;
			pthread_mutex_unlock(&c->lock);
			handle_chunk(s, chunk);
			pthread_mutex_lock(&c->lock);
		}
		s->dismissed = true;
		pthread_cond_broadcast(&s->came);
		pthread_mutex_unlock(&c->lock);
	}
	vgs_shard_drop(s);
	return NULL;
}

void vgs_shard_serve(vegas_shard *s) {
	vgs_shard_hold(s);
	vgs_thread(serve, s);
}
