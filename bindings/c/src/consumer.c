/* Receiving. The session's reader gives shards and chunks to threads of the shards, or
 * keeps them until they are polled. */
#include <stdio.h>
#include <stdlib.h>

#include "shard.h"

enum { BEHIND_GRACE = 3000000 }; /* microseconds */

static vegas_consumer *of(struct vgs_client *c) { return (vegas_consumer *)(void *)c; }

/* ---- What the engine calls */

/* Nothing more of a shard comes. The lock is held. */
static void end_shard(vegas_shard *s) {
	s->over = true;
	pthread_cond_broadcast(&s->came);
	vgs_shard_unlist(s);
}

static vegas_shard *find(vegas_consumer *c, uint32_t number) {
	vegas_shard *s = c->shards;
	while (s != NULL && s->number != number) {
		s = s->next;
	}
	return s;
}

static void start_shard(vegas_consumer *c, int64_t call, struct vgs_view args) {
	vegas_shard *s = vgs_shard(c, call, args);
	bool polled = c->handler == NULL, later = c->client.options->external != NULL;
	pthread_mutex_lock(&c->lock);
	if (c->ended || (c->closing && later)) {
		pthread_mutex_unlock(&c->lock);
		vgs_answer(c->client.session, call, VGS_CLOSING);
		vgs_shard_drop(s);
		return;
	}
	for (vegas_shard *before = c->shards, *next; before != NULL; before = next) {
		next = before->next;
		if (strcmp(before->id, s->id) == 0) { /* lost before it had started */
			vgs_shard_stop(before, VEGAS_STOP_LEASE_LOST);
			end_shard(before);
		}
	}
	if (c->closing) {
		vgs_shard_stop(s, VEGAS_STOP_SHUTDOWN);
	}
	vgs_shard_hold(s); /* of the list */
	s->next = c->shards;
	s->listed = true;
	c->shards = s;
	if (polled && later) {
		vgs_shard_hold(s);
		s->next_starting = c->starting;
		c->starting = s;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
	if (!polled) {
		vgs_shard_serve(s);
	} else if (!later) {
		(void)vgs_shard_answer(s);
	}
	vgs_shard_drop(s);
}

static bool called(struct vgs_client *client, int64_t call, struct vgs_view args) {
	vegas_consumer *c = of(client);
	struct vgs_view method = vgs_find_text(args, "method");
	int64_t number = vgs_find_whole(args, "shard", -1);
	if (number < 0) {
		return false;
	}
	if (vgs_same(method, VGS_METHOD_START_SHARD)) {
		start_shard(c, call, args);
		return true;
	}
	if (!vgs_same(method, VGS_METHOD_END_SHARD)) {
		vgs_answer(client->session, call, "a consumer has no such method");
		return true;
	}
	/* All that it has delivered is settled. */
	pthread_mutex_lock(&c->lock);
	vegas_shard *s = find(c, (uint32_t)number);
	if (s != NULL) {
		end_shard(s);
	}
	pthread_mutex_unlock(&c->lock);
	vgs_answer(client->session, call, NULL);
	return true;
}

static bool deliver(vegas_consumer *c, struct vgs_view body) {
	struct vgs_deliver d;
	if (!vgs_read_deliver(body, &d)) {
		return false;
	}
	pthread_mutex_lock(&c->lock);
	vegas_shard *s = find(c, d.shard);
	bool known = s != NULL || c->ended;
	if (s != NULL) {
		vegas_chunk *chunk = vgs_chunk(s, &d, body), **last = &s->inbox;
		if (c->handler != NULL) {
			while (*last != NULL) {
				last = &(*last)->next;
			}
			*last = chunk;
			pthread_cond_broadcast(&s->came);
		} else if (c->closing) {
			pthread_mutex_unlock(&c->lock);
			vegas_settle(chunk);
			return true;
		} else {
			*c->last_chunk = chunk;
			c->last_chunk = &chunk->next;
			pthread_cond_broadcast(&c->changed);
		}
	}
	pthread_mutex_unlock(&c->lock);
	return known;
}

static bool frame(struct vgs_client *client, int kind, struct vgs_view body) {
	vegas_consumer *c = of(client);
	if (kind == VGS_KIND_DELIVER) {
		return deliver(c, body);
	}
	if (kind != VGS_KIND_STOP || body.size != 9) {
		return false;
	}
	pthread_mutex_lock(&c->lock);
	vegas_shard *s = find(c, vgs_load32(body.at + 4));
	if (s != NULL) {
		vgs_shard_stop(s, (vegas_stop)body.at[8]);
	}
	pthread_mutex_unlock(&c->lock);
	return true;
}

/* Chunks that nobody has begun, taken out. The lock is held. */
static vegas_chunk *take_chunks(vegas_consumer *c) {
	vegas_chunk *chunks = c->chunks;
	c->chunks = NULL;
	c->last_chunk = &c->chunks;
	return chunks;
}

static void settle_chunks(vegas_chunk *chunks) {
	while (chunks != NULL) {
		vegas_chunk *next = chunks->next;
		vegas_settle(chunks);
		chunks = next;
	}
}

/* The consumer has ended, by itself if there is a reason. */
static void finish(vegas_consumer *c, const vegas_error *why, vegas_stop stop) {
	pthread_mutex_lock(&c->lock);
	while (c->shards != NULL) {
		vgs_shard_stop(c->shards, stop);
		end_shard(c->shards);
	}
	vegas_chunk *chunks = take_chunks(c);
	bool news = !c->ended && why != NULL;
	/* Handlers that have not ended are told of also where the program has closed it. */
	bool told = news && (!c->closing || why->code == VEGAS_GRACE_OVER);
	if (told) {
		c->why = *why;
		if (c->why.code == VEGAS_TIMEOUT) { /* which says of wait and poll that it runs */
			c->why.code = VEGAS_FAILED;
		}
	}
	c->ended = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	settle_chunks(chunks);
	if (news) {
		vgs_log(c->client.session, told ? VEGAS_ERROR : VEGAS_WARN, "the consumer of stream \"%s\" and group \"%s\" has ended: %s",
		        c->client.stream, c->group, why->text);
	}
}

static void ended(struct vgs_client *c, const vegas_error *why) { finish(of(c), why, VEGAS_STOP_SHUTDOWN); }

/* Records come again, elsewhere or when the program opens the consumer anew. */
static void lost(struct vgs_client *c, const vegas_error *why) {
	vegas_error certain = *why;
	certain.unknown = 0;
	finish(of(c), &certain, VEGAS_STOP_LEASE_LOST);
}

static void destroy(struct vgs_client *client) {
	vegas_consumer *c = of(client);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->changed);
	free(c->group);
}

/* ---- Polling */

vegas_code vegas_consumer_poll(vegas_consumer *c, int timeout, vegas_chunk **chunk, vegas_error *err) {
	*chunk = NULL;
	if (vgs_forked(err)) {
		return VEGAS_ENGINE_GONE;
	}
	if (c->handler != NULL) {
		return vgs_fail(err, VEGAS_BAD_OPTION, "open it without one", "the consumer has a handler, which gets the records");
	}
	int64_t until = vgs_until(timeout);
	vegas_code code = VEGAS_OK;
	pthread_mutex_lock(&c->lock);
	for (;;) {
		if (c->starting != NULL) {
			vegas_shard *s = c->starting;
			c->starting = s->next_starting;
			pthread_mutex_unlock(&c->lock);
			(void)vgs_shard_answer(s);
			vgs_shard_drop(s);
			pthread_mutex_lock(&c->lock);
			continue;
		}
		if (c->chunks != NULL) {
			*chunk = c->chunks;
			c->chunks = c->chunks->next;
			if (c->chunks == NULL) {
				c->last_chunk = &c->chunks;
			}
			break;
		}
		if (c->ended || c->closing) {
			code = c->why.code != VEGAS_OK ? vgs_pass(err, &c->why) : vgs_fail(err, VEGAS_CLOSED, NULL, "the consumer is closed");
			break;
		}
		if (!vgs_wait(&c->changed, &c->lock, until)) {
			code = vgs_fail(err, VEGAS_TIMEOUT, NULL, "no records came within %d ms", timeout);
			break;
		}
	}
	pthread_mutex_unlock(&c->lock);
	return code;
}

/* ---- Lifetime */

vegas_code vegas_checkpoint_at(vegas_consumer *c, const vegas_shard *s, const char *sequence, int64_t sub_sequence,
                               vegas_error *err) {
	if (vgs_forked(err)) {
		return VEGAS_ENGINE_GONE;
	}
	if (s->consumer != c) {
		return vgs_fail(err, VEGAS_BAD_OPTION, NULL, "checkpoint: the record is of another consumer");
	}
	struct vgs_buffer b = {0};
	vgs_begin_own(&c->client, &b, VGS_METHOD_CHECKPOINT, 3);
	vgs_put_key(&b, "shard");
	vgs_put_whole(&b, s->number);
	vgs_put_key(&b, "sequence");
	vgs_put_string(&b, sequence);
	vgs_put_key(&b, "sub");
	vgs_put_whole(&b, sub_sequence);
	return vgs_call(c->client.session, &b, VGS_NEVER, NULL, err);
}

vegas_code vegas_checkpoint(vegas_consumer *c, const vegas_record *record, vegas_error *err) {
	return vegas_checkpoint_at(c, record->shard, record->sequence, record->sub_sequence, err);
}

vegas_code vegas_consumer_wait(vegas_consumer *c, int timeout, vegas_error *err) {
	if (vgs_forked(err)) {
		return VEGAS_ENGINE_GONE;
	}
	int64_t until = vgs_until(timeout);
	vegas_code code = VEGAS_OK;
	pthread_mutex_lock(&c->lock);
	while (!c->ended && vgs_wait(&c->changed, &c->lock, until)) {
	}
	if (!c->ended) {
		code = vgs_fail(err, VEGAS_TIMEOUT, NULL, "the consumer still runs");
	} else if (c->why.code != VEGAS_OK) {
		code = vgs_pass(err, &c->why);
	}
	pthread_mutex_unlock(&c->lock);
	return code;
}

/* Begins nothing further. */
static void stop(vegas_consumer *c) {
	pthread_mutex_lock(&c->lock);
	if (!c->closing) {
		c->closing = true;
		c->until = vgs_until(vgs_option_number(c->client.options, "grace") / 1000);
	}
	for (vegas_shard *s = c->shards; s != NULL; s = s->next) {
		vgs_shard_stop(s, VEGAS_STOP_SHUTDOWN);
	}
	vegas_chunk *chunks = take_chunks(c);
	vegas_shard *starting = c->starting;
	c->starting = NULL;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	settle_chunks(chunks);
	while (starting != NULL) {
		vegas_shard *s = starting;
		starting = s->next_starting;
		vgs_answer(c->client.session, s->start, VGS_CLOSING);
		vgs_shard_drop(s);
	}
}

static vegas_code still_run(const vegas_consumer *c, vegas_error *err) {
	return vgs_fail(err, VEGAS_GRACE_OVER, "let handlers return when vegas_shard_stopping says so, or raise the option grace",
	                "the consumer of stream \"%s\" and group \"%s\": handlers still run", c->client.stream, c->group);
}

vegas_code vegas_consumer_close(vegas_consumer *c, vegas_error *err) {
	if (vgs_forked(err)) {
		return VEGAS_ENGINE_GONE;
	}
	struct vgs_buffer b = {0};
	stop(c);
	if (vgs_handling() == c) {
		vgs_begin_own(&c->client, &b, VGS_METHOD_CLOSE_CONSUMER, 0);
		vgs_tell(c->client.session, &b);
		return VEGAS_OK;
	}
	pthread_mutex_lock(&c->lock);
	bool over = c->ended, late = false;
	int64_t until = c->until;
	pthread_mutex_unlock(&c->lock);
	if (!over) {
		vgs_begin_own(&c->client, &b, VGS_METHOD_CLOSE_CONSUMER, 0);
		late = vgs_call(c->client.session, &b, until + BEHIND_GRACE, NULL, NULL) == VEGAS_TIMEOUT;
		finish(c, NULL, VEGAS_STOP_SHUTDOWN);
	}
	vgs_detach(&c->client);
	/* At the end of the grace the engine goes on, and so does it without an end. */
	pthread_mutex_lock(&c->lock);
	while (c->busy > 0 && vgs_wait(&c->changed, &c->lock, until)) {
	}
	late |= c->busy > 0;
	if (late && c->why.code == VEGAS_OK) {
		(void)still_run(c, &c->why); /* the engine did not say so */
	}
	vegas_error why = c->why;
	pthread_mutex_unlock(&c->lock);
	if (!late) {
		return VEGAS_OK;
	}
	return why.code == VEGAS_GRACE_OVER ? vgs_pass(err, &why) : still_run(c, err);
}

void vegas_consumer_free(vegas_consumer *c) {
	if (c == NULL || vgs_forked(NULL)) {
		return;
	}
	(void)vegas_consumer_close(c, NULL);
	vgs_quiet(&c->client);
	vgs_drop(&c->client);
}

vegas_code vegas_consumer_check(vegas_consumer *c, vegas_error *err) {
	return vgs_forked(err) ? VEGAS_ENGINE_GONE : vgs_ask(&c->client, VGS_METHOD_CHECK, NULL, err);
}

vegas_code vegas_consumer_stats(vegas_consumer *c, char **json, vegas_error *err) {
	return vgs_forked(err) ? VEGAS_ENGINE_GONE : vgs_ask_stats(&c->client, json, err);
}

static void exit_begin(struct vgs_client *client) {
	struct vgs_buffer b = {0};
	stop(of(client));
	vgs_begin_own(client, &b, VGS_METHOD_CLOSE_CONSUMER, 0);
	vgs_tell(client->session, &b);
}

static void exit_end(struct vgs_client *client, int64_t began) {
	(void)began;
	vegas_error why;
	if (vegas_consumer_close(of(client), &why) != VEGAS_OK) {
		vgs_log(client->session, VEGAS_ERROR, "the program ends: %s", why.text);
	}
}

static const struct vgs_kind kind = {
    .name = "consumer",
    .frame = frame,
    .called = called,
    .ended = ended,
    .lost = lost,
    .exit_begin = exit_begin,
    .exit_end = exit_end,
    .destroy = destroy,
};

vegas_code vegas_consumer_open(const char *stream, const char *group, vegas_handler *handler, void *context,
                               const vegas_options *options, vegas_consumer **made, vegas_error *err) {
	*made = NULL;
	if (handler != NULL && options != NULL && options->dead_letters && options->dead_letter == NULL) {
		return vgs_fail(err, VEGAS_BAD_OPTION, NULL, "dead letters without a function come by vegas_consumer_poll, and there is a handler");
	}
	vegas_error why;
	vegas_consumer *c = vgs_client(sizeof *c, &kind, stream, options, &why);
	if (c == NULL) {
		return vgs_pass(err, &why);
	}
	c->group = vgs_text_copy(group);
	c->handler = handler;
	c->context = context;
	c->batch = vgs_option_number(c->client.options, "batch");
	c->parallel = (int)vgs_option_number(c->client.options, "parallel");
	c->last_chunk = &c->chunks;
	pthread_mutex_init(&c->lock, NULL);
	vgs_condition(&c->changed);
	vgs_attach(&c->client);
	vegas_code code = vgs_open(&c->client, VGS_METHOD_OPEN_CONSUMER, group, NULL, err);
	*made = code == VEGAS_OK ? c : NULL;
	return code;
}
