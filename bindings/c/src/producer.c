/* Sending. Records gather in memory, which the session's writer takes as a whole.
 * A record's token is its number on the wire. */
#include <stdio.h>
#include <stdlib.h>

#include "session.h"

enum {
	BATCH_BYTES = 1 << 20,  /* in a frame, or one record */
	HURRY_BYTES = 64 << 10, /* at which what has gathered waits no longer */
	KEPT_BYTES = 4 << 20,   /* of memory between two frames */
	PATIENCE = 1000,        /* microseconds of linger from which on records gather */
	FRAME_EXTRA = 64,
	CALLED_AT_ONCE = 64,
	ANSWER_MILLIS = 5000,
};

/* A record that has no result yet; cost 0: it has one. */
struct open {
	uint32_t cost;
	bool reported; /* its result waits to be handed out */
	void *context;
};

/* A report whose results have not been handed out. */
struct report {
	struct report *next;
	size_t size;
	unsigned char body[];
};

struct vegas_producer {
	struct vgs_client client;
	bool durable, patient;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* room, results, the end */

	/* What has gathered, and memory that the writer has. */
	struct vgs_buffer rows, bytes, writing_rows, writing_bytes;
	bool put, hurried;

	/* Open are the records from lowest on, below next; the ring has them by the low
	 * bits of their numbers. */
	uint64_t lowest, written, next;
	struct open *open;
	size_t ring;
	uint64_t held, window, record_cost;
	int waiting;

	bool closed; /* nothing is accepted */
	bool ended;  /* no result comes any more */
	bool broken;
	vegas_error why;

	/* Results to be handed out. */
	struct report *reports, **last_report, *current;
	struct vgs_view rest; /* groups of current */
	struct vgs_group group;
	bool failed_group;
	vegas_error group_error;
	const char *shard, *sequence;
	uint64_t came, handed; /* reports */
	bool polled;           /* by the thread poller */
	pthread_t poller;
	bool calling; /* the thread of the callback runs */

	/* Failures that nobody was told of. */
	uint64_t failures;
	vegas_error failure;
	int64_t next_warning;
	uint64_t kept_back;
};

static vegas_producer *of(struct vgs_client *c) { return (vegas_producer *)(void *)c; }

/* ---- What is open */

static struct open *open_of(vegas_producer *p, uint64_t number) { return &p->open[number & (p->ring - 1)]; }

static void grow(vegas_producer *p) {
	size_t ring = p->ring * 2;
	struct open *all = vgs_alloc_zero(ring * sizeof *all);
	for (uint64_t n = p->lowest; n < p->next; n++) {
		all[n & (ring - 1)] = *open_of(p, n);
	}
	free(p->open);
	p->open = all;
	p->ring = ring;
}

/* Whether a report may speak of a record. */
static bool is_open(vegas_producer *p, uint64_t number) {
	if (number < p->lowest || number >= p->next) {
		return false;
	}
	struct open *o = open_of(p, number);
	return o->cost > 0 && !o->reported;
}

static void *finish(vegas_producer *p, uint64_t number) {
	struct open *o = open_of(p, number);
	p->held -= o->cost;
	o->cost = 0;
	return o->context;
}

/* Behind some finish: whoever waits for room looks again. */
static void finished(vegas_producer *p) {
	while (p->lowest < p->next && open_of(p, p->lowest)->cost == 0) {
		p->lowest++;
	}
	if (p->waiting > 0) {
		pthread_cond_broadcast(&p->changed);
	}
}

/* ---- Sending */

/* Whether only the calling thread could make room, by taking results. */
static bool must_poll(vegas_producer *p) {
	if (p->client.options->results == VGS_RESULTS_DROPPED) {
		return false;
	}
	bool mine = p->polled && pthread_equal(p->poller, pthread_self());
	if (p->client.options->results == VGS_RESULTS_CALLED) {
		return mine;
	}
	bool waits = p->reports != NULL || p->current != NULL;
	return waits && (mine || !p->polled);
}

/* Waits until a record of that cost may be accepted. The lock is held. */
static vegas_code accept(vegas_producer *p, uint64_t cost, bool no_wait, vegas_error *err) {
	for (;;) {
		if (p->broken) {
			return vgs_pass(err, &p->why);
		}
		if (p->closed) {
			return vgs_fail(err, VEGAS_CLOSED, NULL, "the producer of stream \"%s\" is closed", p->client.stream);
		}
		if (p->held == 0 || p->held + cost <= p->window) {
			return VEGAS_OK;
		}
		if (no_wait || must_poll(p)) {
			return vgs_fail(err, VEGAS_BUFFER_FULL, no_wait ? NULL : "take results by vegas_poll, which makes room",
			                "stream \"%s\": %llu bytes are on their way, buffer_bytes is %llu", p->client.stream,
			                (unsigned long long)p->held, (unsigned long long)p->window);
		}
		p->waiting++;
		pthread_cond_wait(&p->changed, &p->lock);
		p->waiting--;
	}
}

/* What is wrong with a record by itself. */
static vegas_code check(const vegas_message *m, size_t hash, size_t headers, vegas_error *err) {
	long characters = vgs_characters((struct vgs_view){(const unsigned char *)m->key, m->key_size});
	if (characters < 0) {
		return vgs_fail(err, VEGAS_BAD_OPTION, NULL, "the partition key is no UTF-8");
	}
	if (characters < 1 || characters > VGS_KEY_CHARACTERS) {
		return vgs_fail(err, VEGAS_BAD_OPTION, NULL, "the partition key has %ld characters: want 1 to %d", characters,
		                VGS_KEY_CHARACTERS);
	}
	if (hash > 39) {
		return vgs_fail(err, VEGAS_BAD_OPTION, NULL, "the explicit hash key has %zu digits: want 39 at most", hash);
	}
	if (m->header_count > 0 && headers == 0) {
		return vgs_fail(err, VEGAS_BAD_OPTION, NULL, "the headers are too many, or too long");
	}
	if (m->key_size + hash + headers > VGS_FRAME_BYTES - FRAME_EXTRA ||
	    m->size > VGS_FRAME_BYTES - FRAME_EXTRA - (m->key_size + hash + headers)) {
		return vgs_fail(err, VEGAS_TOO_LARGE, "records reach 10 MiB, headers included",
		                "a record of %zu bytes exceeds what any stream takes", m->size);
	}
	return VEGAS_OK;
}

vegas_code vegas_send_message(vegas_producer *p, const vegas_message *m, uint64_t *token, vegas_error *err) {
	if (vgs_forked(err)) {
		return VEGAS_ENGINE_GONE;
	}
	size_t hash = m->hash_key ? strlen(m->hash_key) : 0;
	size_t headers = m->header_count ? vgs_headers_size(m->headers, m->header_count) : 0;
	vegas_code code = check(m, hash, headers, err);
	if (code != VEGAS_OK) {
		return code;
	}
	size_t size = m->key_size + hash + headers + m->size;
	pthread_mutex_lock(&p->lock);
	uint64_t cost = size + p->record_cost;
	code = accept(p, cost, m->no_wait, err);
	if (code != VEGAS_OK) {
		pthread_mutex_unlock(&p->lock);
		return code;
	}
	unsigned char *row = vgs_extend(&p->rows, VGS_SEND_ROW);
	vgs_store32(row, (uint32_t)m->size);
	vgs_store32(row + 4, (uint32_t)headers);
	vgs_store16(row + 8, (uint16_t)m->key_size);
	row[10] = (unsigned char)hash;
	row[11] = 0;
	unsigned char *at = vgs_extend(&p->bytes, size);
	memcpy(at, m->key, m->key_size);
	at += m->key_size;
	if (hash > 0) {
		memcpy(at, m->hash_key, hash);
		at += hash;
	}
	if (headers > 0) {
		vgs_put_headers(at, m->headers, m->header_count);
		at += headers;
	}
	if (m->size > 0) {
		memcpy(at, m->data, m->size);
	}
	if (p->next - p->lowest == p->ring) {
		grow(p);
	}
	*open_of(p, p->next) = (struct open){.cost = (uint32_t)cost, .context = m->context};
	p->held += cost;
	if (token != NULL) {
		*token = p->next;
	}
	p->next++;
	if (!p->put) {
		p->put = true;
		p->hurried = !p->patient;
		vgs_ready(&p->client, p->hurried);
	} else if (!p->hurried && p->bytes.size >= HURRY_BYTES) {
		p->hurried = true;
		vgs_hurry(p->client.session);
	}
	pthread_mutex_unlock(&p->lock);
	return VEGAS_OK;
}

vegas_code vegas_send(vegas_producer *p, const char *key, const void *data, size_t size, uint64_t *token, vegas_error *err) {
	vegas_message m = {.key = key, .key_size = strlen(key), .data = data, .size = size};
	return vegas_send_message(p, &m, token, err);
}

/* Writes count records as one frame. */
static void write_frame(vegas_producer *p, uint64_t first, const unsigned char *rows, size_t count, const unsigned char *bytes,
                        size_t size) {
	unsigned char head[VGS_FRAME_HEAD + VGS_SEND_HEAD];
	vgs_store32(head, (uint32_t)(1 + VGS_SEND_HEAD + count * VGS_SEND_ROW + size));
	head[4] = VGS_KIND_SEND;
	vgs_store32(head + 5, p->client.number);
	vgs_store64(head + 9, first);
	vgs_store32(head + 17, (uint32_t)count);
	vgs_write_now(p->client.session, head, sizeof head);
	vgs_write_now(p->client.session, rows, count * VGS_SEND_ROW);
	vgs_write_now(p->client.session, bytes, size);
}

static void swap(struct vgs_buffer *a, struct vgs_buffer *b) {
	struct vgs_buffer was = *a;
	*a = *b;
	*b = was;
}

static void reuse(struct vgs_buffer *b) {
	b->size = 0;
	if (b->room > KEPT_BYTES) {
		vgs_free_buffer(b);
	}
}

static void take(struct vgs_client *c) {
	vegas_producer *p = of(c);
	pthread_mutex_lock(&p->lock);
	swap(&p->rows, &p->writing_rows);
	swap(&p->bytes, &p->writing_bytes);
	p->put = p->hurried = false;
	uint64_t first = p->written;
	p->written = p->next;
	pthread_mutex_unlock(&p->lock);
	const unsigned char *row = p->writing_rows.at, *bytes = p->writing_bytes.at;
	const unsigned char *end = row + p->writing_rows.size;
	while (row < end) {
		const unsigned char *from = row;
		size_t size = 0;
		do {
			size_t one = (size_t)vgs_load32(row) + vgs_load32(row + 4) + vgs_load16(row + 8) + row[10];
			if (size > 0 && size + one > BATCH_BYTES) {
				break;
			}
			size += one;
			row += VGS_SEND_ROW;
		} while (row < end);
		size_t count = (size_t)(row - from) / VGS_SEND_ROW;
		write_frame(p, first, from, count, bytes, size);
		first += count;
		bytes += size;
	}
	reuse(&p->writing_rows);
	reuse(&p->writing_bytes);
}

/* ---- Results */

/* A failure that nobody is handed. */
static void count_failures(vegas_producer *p, struct vgs_group *g) {
	struct vgs_view text = g->text;
	vegas_error why;
	vgs_read_error(vgs_read(&text), &why);
	why.unknown = g->status == VEGAS_UNKNOWN;
	if (p->failures == 0) {
		p->failure = why;
	}
	p->failures += g->count;
	int64_t now = vgs_now();
	if (now < p->next_warning) {
		p->kept_back += g->count;
		return;
	}
	p->next_warning = now + 1000000;
	uint64_t others = p->kept_back + g->count - 1;
	p->kept_back = 0;
	if (others > 0) {
		vgs_log(p->client.session, VEGAS_WARN, "stream \"%s\": %llu records failed, the last one: %s", p->client.stream,
		        (unsigned long long)others + 1, why.text);
	} else {
		vgs_log(p->client.session, VEGAS_WARN, "stream \"%s\": a record failed: %s", p->client.stream, why.text);
	}
}

/* Takes a report that was checked; false where it speaks of what is not open. The lock
 * is held. */
static bool take_report(vegas_producer *p, struct vgs_view body) {
	bool dropped = p->client.options->results == VGS_RESULTS_DROPPED;
	struct vgs_view rest = {body.at + 8, body.size - 8};
	while (rest.size > 0) {
		struct vgs_group g = vgs_read_group(&rest);
		for (uint32_t i = 0; i < g.count; i++) {
			uint64_t number = vgs_load64(g.rows + (size_t)i * VGS_REPORT_ROW);
			if (!is_open(p, number)) {
				return false;
			}
			open_of(p, number)->reported = true;
			if (dropped) {
				finish(p, number);
			}
		}
		if (dropped && g.status > VEGAS_DURABLE && g.count > 0) {
			count_failures(p, &g);
		}
	}
	p->came++;
	if (dropped) {
		finished(p);
		return true;
	}
	struct report *r = vgs_alloc(sizeof *r + body.size);
	r->next = NULL;
	r->size = body.size;
	memcpy(r->body, body.at, body.size);
	*p->last_report = r;
	p->last_report = &r->next;
	pthread_cond_broadcast(&p->changed);
	return true;
}

static bool frame(struct vgs_client *c, int kind, struct vgs_view body) {
	vegas_producer *p = of(c);
	if (kind != VGS_KIND_REPORT || !vgs_is_report(body)) {
		return false;
	}
	pthread_mutex_lock(&p->lock);
	bool fine = p->ended || take_report(p, body);
	pthread_mutex_unlock(&p->lock);
	return fine;
}

/* Opens the next group of the current report. Its texts move to the left by one byte,
 * so that there is one behind them. */
static void next_group(vegas_producer *p) {
	struct vgs_group *g = &p->group;
	*g = vgs_read_group(&p->rest);
	p->shard = p->sequence = "";
	p->failed_group = g->status > VEGAS_DURABLE;
	if (p->failed_group) {
		struct vgs_view text = g->text;
		vgs_read_error(vgs_read(&text), &p->group_error);
		p->group_error.unknown = g->status == VEGAS_UNKNOWN;
	} else if (g->text.size > 0) {
		char *text = (char *)p->current + (g->text.at - 1 - (unsigned char *)p->current);
		memmove(text, text + 1, g->text.size);
		text[g->text.size] = 0;
		p->shard = text;
		size_t shard = strlen(text);
		p->sequence = shard < g->text.size ? text + shard + 1 : "";
	}
}

/* Hands out what there is. The lock is held. */
static size_t hand_out(vegas_producer *p, vegas_result *results, size_t max) {
	if (p->current != NULL && p->group.count == 0 && p->rest.size == 0) {
		free(p->current);
		p->current = NULL;
		p->handed++;
		pthread_cond_broadcast(&p->changed);
	}
	if (p->current == NULL && p->reports != NULL) {
		p->current = p->reports;
		p->reports = p->current->next;
		if (p->reports == NULL) {
			p->last_report = &p->reports;
		}
		p->rest = (struct vgs_view){p->current->body + 8, p->current->size - 8};
		p->group.count = 0;
	}
	if (p->current == NULL) {
		return 0;
	}
	size_t n = 0;
	while (n < max) {
		if (p->group.count == 0) {
			/* One error is kept at a time. */
			if (p->rest.size == 0 || (n > 0 && p->rest.at[0] > VEGAS_DURABLE)) {
				break;
			}
			next_group(p);
			continue;
		}
		uint64_t number = vgs_load64(p->group.rows);
		results[n++] = (vegas_result){
		    .token = number,
		    .sub_sequence = (int64_t)vgs_load64(p->group.rows + 8),
		    .status = (vegas_status)p->group.status,
		    .shard = p->shard,
		    .sequence = p->sequence,
		    .error = p->failed_group ? &p->group_error : NULL,
		    .context = finish(p, number),
		};
		p->group.rows += VGS_REPORT_ROW;
		p->group.count--;
	}
	finished(p);
	return n;
}

static size_t poll(vegas_producer *p, vegas_result *results, size_t max, int64_t until) {
	size_t n;
	pthread_mutex_lock(&p->lock);
	p->polled = true;
	p->poller = pthread_self();
	do {
		n = hand_out(p, results, max);
	} while (n == 0 && (p->reports != NULL || (!p->ended && vgs_wait(&p->changed, &p->lock, until))));
	pthread_mutex_unlock(&p->lock);
	return n;
}

size_t vegas_poll(vegas_producer *p, vegas_result *results, size_t max, int timeout) {
	if (vgs_forked(NULL) || p->client.options->results != VGS_RESULTS_POLLED || max == 0) {
		return 0;
	}
	return poll(p, results, max, vgs_until(timeout));
}

static void *call_results(void *arg) {
	vegas_producer *p = arg;
	vegas_result results[CALLED_AT_ONCE];
	size_t n;
	while ((n = poll(p, results, CALLED_AT_ONCE, VGS_NEVER)) > 0) {
		for (size_t i = 0; i < n; i++) {
			p->client.options->on_result(p->client.options->result_context, &results[i]);
		}
	}
	pthread_mutex_lock(&p->lock);
	p->calling = false;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	vgs_drop(&p->client);
	return NULL;
}

/* Gives all that is open the result that nothing is known of it, or, where it was not
 * written, that it is not stored. Nothing more is accepted then. */
static void give_up(vegas_producer *p, const vegas_error *why) {
	struct vgs_buffer b = {0};
	pthread_mutex_lock(&p->lock);
	p->closed = true;
	uint32_t groups = 0;
	vgs_put32(&b, p->client.number);
	vgs_put32(&b, 0);
	for (int unknown = 1; unknown >= 0 && !p->ended; unknown--) {
		size_t start = b.size;
		uint32_t count = 0;
		uint64_t from = unknown ? p->lowest : p->written, to = unknown ? p->written : p->next;
		vgs_put8(&b, unknown ? VEGAS_UNKNOWN : VEGAS_NOT_STORED);
		vgs_extend(&b, VGS_GROUP_HEAD - 1);
		vgs_put_error(&b, why->code, (struct vgs_view){(const unsigned char *)why->text, strlen(why->text)});
		b.at[start + 1] = 0;
		vgs_store16(b.at + start + 2, (uint16_t)(b.size - start - VGS_GROUP_HEAD));
		for (uint64_t n = from < p->lowest ? p->lowest : from; n < to; n++) {
			if (is_open(p, n)) {
				vgs_put64(&b, n);
				vgs_put64(&b, 0);
				count++;
			}
		}
		vgs_store32(b.at + start + 4, count);
		if (count > 0) {
			groups++;
		} else {
			b.size = start;
		}
	}
	if (groups > 0) {
		vgs_store32(b.at + 4, groups);
		take_report(p, vgs_view_of(&b));
	}
	p->rows.size = p->bytes.size = 0;
	p->ended = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	vgs_free_buffer(&b);
}

static void lost(struct vgs_client *c, const vegas_error *why) {
	vegas_producer *p = of(c);
	pthread_mutex_lock(&p->lock);
	p->broken = true;
	p->why = *why;
	p->why.unknown = 0;
	pthread_mutex_unlock(&p->lock);
	give_up(p, why);
}

/* ---- Lifetime */

static void destroy(struct vgs_client *c) {
	vegas_producer *p = of(c);
	while (p->reports != NULL) {
		struct report *r = p->reports;
		p->reports = r->next;
		free(r);
	}
	free(p->current);
	vgs_free_buffer(&p->rows);
	vgs_free_buffer(&p->bytes);
	vgs_free_buffer(&p->writing_rows);
	vgs_free_buffer(&p->writing_bytes);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->changed);
	free(p->open);
}

/* The first failure that nobody was told of, for all of them. */
static vegas_code take_failures(vegas_producer *p, vegas_error *err) {
	pthread_mutex_lock(&p->lock);
	uint64_t n = p->failures;
	vegas_error why = p->failure;
	p->failures = 0;
	pthread_mutex_unlock(&p->lock);
	if (n == 0) {
		return VEGAS_OK;
	}
	if (n == 1) {
		return vgs_pass(err, &why);
	}
	vgs_fail(err, why.code, why.remedy, "%llu records failed, the first: %s", (unsigned long long)n, why.text);
	if (err != NULL) {
		err->unknown = why.unknown;
	}
	return why.code;
}

/* Waits until all results that have come were handed to the callback. */
static void wait_for_calls(vegas_producer *p, int64_t until) {
	pthread_mutex_lock(&p->lock);
	uint64_t came = p->came;
	bool mine = p->polled && pthread_equal(p->poller, pthread_self());
	if (p->client.options->results == VGS_RESULTS_CALLED && !mine) {
		while (p->handed < came && p->calling && vgs_wait(&p->changed, &p->lock, until)) {
		}
	}
	pthread_mutex_unlock(&p->lock);
}

/* Flushes or closes; *left is what has no result yet. */
static vegas_code settle_all(vegas_producer *p, const char *method, int timeout, int64_t *left, vegas_error *err) {
	struct vgs_buffer b = {0}, answer = {0};
	vgs_begin_own(&p->client, &b, method, timeout < 0 ? 0 : 1);
	if (timeout >= 0) {
		vgs_put_key(&b, "timeout");
		vgs_put_whole(&b, (int64_t)timeout * 1000);
	}
	int64_t until = timeout < 0 ? VGS_NEVER : vgs_until((int64_t)timeout + ANSWER_MILLIS);
	vegas_code code = vgs_call(p->client.session, &b, until, &answer, err);
	*left = 0;
	if (code == VEGAS_OK) {
		*left = vgs_find_whole(vgs_view_of(&answer), "left", 0);
		wait_for_calls(p, until);
	}
	vgs_free_buffer(&answer);
	return code;
}

vegas_code vegas_flush(vegas_producer *p, int timeout, vegas_error *err) {
	if (vgs_forked(err)) {
		return VEGAS_ENGINE_GONE;
	}
	int64_t left;
	vegas_code code = settle_all(p, VGS_METHOD_FLUSH, timeout, &left, err);
	if (code == VEGAS_OK || code == VEGAS_ENGINE_GONE) {
		vegas_code failed = take_failures(p, err);
		code = failed != VEGAS_OK ? failed : code;
	}
	if (code == VEGAS_OK && left > 0 && !p->durable) {
		return vgs_fail(err, VEGAS_TIMEOUT, NULL, "stream \"%s\": %lld records have no result after %d ms", p->client.stream,
		                (long long)left, timeout);
	}
	return code;
}

/* *left is what had no result by the timeout. */
static vegas_code close_all(vegas_producer *p, int timeout, int64_t *left, vegas_error *err) {
	*left = 0;
	pthread_mutex_lock(&p->lock);
	bool was = p->closed;
	p->closed = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	vegas_code code = VEGAS_OK;
	vegas_error why = {0};
	if (!was) {
		if (timeout == VEGAS_DEFAULT) {
			timeout = (int)(vgs_option_number(p->client.options, "close_timeout") / 1000);
		}
		code = settle_all(p, VGS_METHOD_CLOSE_PRODUCER, timeout, left, &why);
		vegas_error open = why;
		if (code == VEGAS_OK) {
			vgs_fail(&open, VEGAS_CLOSED, NULL, "the producer was closed");
		}
		give_up(p, &open);
	}
	vgs_detach(&p->client);
	vegas_code failed = take_failures(p, err);
	if (failed != VEGAS_OK || code == VEGAS_OK) {
		return failed;
	}
	return vgs_pass(err, &why);
}

vegas_code vegas_producer_close(vegas_producer *p, int timeout, vegas_error *err) {
	int64_t left;
	return vgs_forked(err) ? VEGAS_ENGINE_GONE : close_all(p, timeout, &left, err);
}

void vegas_producer_free(vegas_producer *p) {
	if (p == NULL || vgs_forked(NULL)) {
		return;
	}
	(void)vegas_producer_close(p, VEGAS_DEFAULT, NULL); /* its failures have been logged */
	pthread_mutex_lock(&p->lock);
	while (p->calling && !pthread_equal(p->poller, pthread_self())) {
		pthread_cond_wait(&p->changed, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	vgs_quiet(&p->client);
	vgs_drop(&p->client);
}

vegas_code vegas_producer_check(vegas_producer *p, vegas_error *err) {
	return vgs_forked(err) ? VEGAS_ENGINE_GONE : vgs_ask(&p->client, VGS_METHOD_CHECK, NULL, err);
}

vegas_code vegas_producer_stats(vegas_producer *p, char **json, vegas_error *err) {
	return vgs_forked(err) ? VEGAS_ENGINE_GONE : vgs_ask_stats(&p->client, json, err);
}

static void exit_end(struct vgs_client *c, int64_t began) {
	vegas_producer *p = of(c);
	int64_t most = vgs_option_number(p->client.options, "close_timeout") / 1000, gone = (vgs_now() - began) / 1000, left;
	vegas_error why;
	vegas_code code = close_all(p, (int)(most > gone ? most - gone : 0), &left, &why);
	if (left > 0 && !p->durable) {
		vgs_log(c->session, VEGAS_ERROR, "stream \"%s\": the program ends with %lld records that have no result", p->client.stream,
		        (long long)left);
	} else if (code != VEGAS_OK) {
		vgs_log(c->session, VEGAS_ERROR, "stream \"%s\": the program ends: %s", p->client.stream, why.text);
	}
}

static const struct vgs_kind kind = {
    .name = "producer",
    .frame = frame,
    .lost = lost,
    .take = take,
    .exit_end = exit_end,
    .destroy = destroy,
};

vegas_code vegas_producer_open(const char *stream, const vegas_options *options, vegas_producer **made, vegas_error *err) {
	*made = NULL;
	vegas_error why;
	vegas_producer *p = vgs_client(sizeof *p, &kind, stream, options, &why);
	if (p == NULL) {
		return vgs_pass(err, &why);
	}
	p->durable = vgs_option_given(p->client.options, "durable");
	p->patient = vgs_option_number(p->client.options, "linger") >= PATIENCE;
	pthread_mutex_init(&p->lock, NULL);
	vgs_condition(&p->changed);
	p->ring = 1024;
	p->open = vgs_alloc_zero(p->ring * sizeof *p->open);
	p->last_report = &p->reports;
	vgs_attach(&p->client);
	struct vgs_buffer answer = {0};
	vegas_code code = vgs_open(&p->client, VGS_METHOD_OPEN_PRODUCER, NULL, &answer, err);
	if (code != VEGAS_OK) {
		return code;
	}
	p->window = (uint64_t)vgs_find_whole(vgs_view_of(&answer), "window_bytes", 0);
	p->record_cost = (uint64_t)vgs_find_whole(vgs_view_of(&answer), "record_cost", 0);
	vgs_free_buffer(&answer);
	if (p->client.options->results == VGS_RESULTS_CALLED) {
		p->calling = true;
		vgs_hold(&p->client);
		vgs_thread(call_results, p);
	}
	*made = p;
	return VEGAS_OK;
}
