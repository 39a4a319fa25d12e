#include "session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine.h"

/* To valgrind, what comes from a goroutine was never written. */
#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif
#ifndef VALGRIND_MAKE_MEM_DEFINED
#define VALGRIND_MAKE_MEM_DEFINED(at, size) (void)0
#endif

enum {
	GATHER_MICROS = 1000,     /* how long what can wait is gathered */
	READ_ROOM = 512 << 10,    /* bytes read at a time */
	MOST_ERRANDS = 1000,      /* lines and statistics that wait for the program */
	CALL_NUMBER_AT = 19,      /* where a call has its number */
	EXIT_MILLIS = 2000,
};

/* Somebody who waits for an answer. */
struct waiter {
	struct waiter *next;
	int64_t number;
	bool done;
	struct vgs_buffer body;
};

/* Something for the program's own functions: statistics of a client, or a line. */
struct errand {
	struct errand *next;
	struct vgs_client *client; /* NULL of a line */
	struct vgs_buffer body;    /* an event */
};

struct vgs_session {
	int32_t engine;
	atomic_int refs;
	struct vgs_buffer in; /* the reader's */

	pthread_mutex_t lock;
	pthread_cond_t work;     /* for the writer */
	pthread_cond_t answered; /* for who waits for answers, or for the end */
	pthread_cond_t errand;
	struct vgs_buffer out, writing;
	struct vgs_client *ready;
	bool urgent;
	struct waiter *waiters;
	int64_t calls;
	uint32_t numbers;
	struct vgs_client *clients;
	struct errand *errands, **last_errand;
	int errand_count;
	struct vgs_client *called; /* whose statistics the program is given now */
	pthread_t caller;
	bool ended;
	bool silent; /* nothing is put among the errands any more */
	int threads;
	vegas_error why; /* it has ended */
};

/* ---- What there is once in a program */

static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static struct vgs_session *current; /* one reference */
static atomic_bool in_child;
static struct {
	vegas_level least;
	vegas_on_log *call;
	void *context;
} sink = {VEGAS_WARN, NULL, NULL};

static const char *const levels[] = {"debug", "info", "warn", "error"};

#ifndef _WIN32
static void forked(void) { atomic_store(&in_child, true); }

/* The engine's runtime starts its threads when it is loaded, so any fork behind that
 * counts. */
__attribute__((constructor)) static void loaded(void) {
#ifdef VGS_MUSL
	vgs_start_runtime();
#endif
	pthread_atfork(NULL, NULL, forked);
}
#endif

bool vgs_forked(vegas_error *err) {
	if (!atomic_load_explicit(&in_child, memory_order_relaxed)) {
		return false;
	}
	vgs_fail(err, VEGAS_ENGINE_GONE, "use vegas in one process, or start a program anew by exec",
	         "this is a child of a fork, where the threads of the engine do not exist");
	return true;
}

int vegas_forked(vegas_error *err) { return vgs_forked(err); }

void vegas_log_to(vegas_level least, vegas_on_log *call, void *context) {
	if (vgs_forked(NULL)) {
		return;
	}
	pthread_mutex_lock(&starting);
	sink.least = least;
	sink.call = call;
	sink.context = context;
	pthread_mutex_unlock(&starting);
}

static void write_line(vegas_level level, const char *text) {
	if (level < sink.least) {
		return;
	}
	if (sink.call != NULL) {
		sink.call(sink.context, level, text);
	} else {
		fprintf(stderr, "vegas: %s: %s\n", levels[level], text);
	}
}

void vegas_log(vegas_level level, const char *text) { write_line(level, text); }

/* ---- References */

static void free_errand(struct errand *e) {
	vgs_free_buffer(&e->body);
	free(e);
}

static void hold(struct vgs_session *s) { atomic_fetch_add(&s->refs, 1); }

void vgs_disconnect(struct vgs_session *s) {
	if (atomic_fetch_sub(&s->refs, 1) > 1) {
		return;
	}
	while (s->errands != NULL) {
		struct errand *e = s->errands;
		s->errands = e->next;
		free_errand(e);
	}
	vgs_free_buffer(&s->in);
	vgs_free_buffer(&s->out);
	vgs_free_buffer(&s->writing);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->answered);
	pthread_cond_destroy(&s->errand);
	free(s);
}

uint32_t vgs_number(struct vgs_session *s) {
	pthread_mutex_lock(&s->lock);
	uint32_t number = ++s->numbers;
	pthread_mutex_unlock(&s->lock);
	return number;
}

void vgs_attach(struct vgs_client *c) {
	struct vgs_session *s = c->session;
	pthread_mutex_lock(&s->lock);
	c->number = ++s->numbers;
	c->next = s->clients;
	s->clients = c;
	c->attached = true;
	pthread_mutex_unlock(&s->lock);
}

void vgs_detach(struct vgs_client *c) {
	struct vgs_session *s = c->session;
	pthread_mutex_lock(&s->lock);
	if (c->attached) {
		struct vgs_client **at = &s->clients;
		while (*at != c) {
			at = &(*at)->next;
		}
		*at = c->next;
		c->attached = false;
	}
	struct errand *gone = NULL, **e = &s->errands;
	while (*e != NULL) {
		if ((*e)->client != c) {
			e = &(*e)->next;
			continue;
		}
		struct errand *taken = *e;
		*e = taken->next;
		taken->next = gone;
		gone = taken;
		s->errand_count--;
	}
	s->last_errand = e;
	pthread_mutex_unlock(&s->lock);
	while (gone != NULL) {
		struct errand *taken = gone;
		gone = taken->next;
		vgs_drop(c);
		free_errand(taken);
	}
}

void vgs_quiet(struct vgs_client *c) {
	struct vgs_session *s = c->session;
	pthread_mutex_lock(&s->lock);
	while (s->called == c && !pthread_equal(s->caller, pthread_self())) {
		vgs_wait(&s->answered, &s->lock, VGS_NEVER);
	}
	pthread_mutex_unlock(&s->lock);
}

/* The client of a number, with a reference, or NULL. */
static struct vgs_client *client_of(struct vgs_session *s, int64_t number) {
	pthread_mutex_lock(&s->lock);
	struct vgs_client *c = s->clients;
	while (c != NULL && c->number != number) {
		c = c->next;
	}
	if (c != NULL) {
		vgs_hold(c);
	}
	pthread_mutex_unlock(&s->lock);
	return c;
}

/* All clients, each with a reference, linked by next_ready. */
static struct vgs_client **all_clients(struct vgs_session *s, size_t *count) {
	pthread_mutex_lock(&s->lock);
	*count = 0;
	for (struct vgs_client *c = s->clients; c != NULL; c = c->next) {
		(*count)++;
	}
	struct vgs_client **all = vgs_alloc(*count * sizeof(struct vgs_client *));
	size_t i = 0;
	for (struct vgs_client *c = s->clients; c != NULL; c = c->next) {
		vgs_hold(c);
		all[i++] = c;
	}
	pthread_mutex_unlock(&s->lock);
	return all;
}

/* ---- Saying something */

void vgs_write_now(struct vgs_session *s, const void *from, size_t size) {
	/* Where it has ended the reader finds out. */
	(void)vegas_engine_write(s->engine, (void *)(uintptr_t)from, size);
}

static void hurry(struct vgs_session *s) {
	s->urgent = true;
	pthread_cond_signal(&s->work);
}

void vgs_hurry(struct vgs_session *s) {
	pthread_mutex_lock(&s->lock);
	hurry(s);
	pthread_mutex_unlock(&s->lock);
}

void vgs_ready(struct vgs_client *c, bool urgent) {
	struct vgs_session *s = c->session;
	pthread_mutex_lock(&s->lock);
	if (!s->ended) {
		vgs_hold(c);
		c->next_ready = s->ready;
		s->ready = c;
		s->urgent |= urgent;
		pthread_cond_signal(&s->work);
	}
	pthread_mutex_unlock(&s->lock);
}

void vgs_write(struct vgs_session *s, struct vgs_view frames) {
	pthread_mutex_lock(&s->lock);
	if (!s->ended) {
		vgs_put(&s->out, frames.at, frames.size);
		hurry(s);
	}
	pthread_mutex_unlock(&s->lock);
}

/* Writes what has gathered: records first, so that a call finds those that were sent
 * before it. */
static void *writer(void *of) {
	struct vgs_session *s = of;
	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (s->ready == NULL && s->out.size == 0 && !s->ended) {
			vgs_wait(&s->work, &s->lock, VGS_NEVER);
		}
		int64_t until = vgs_now() + GATHER_MICROS;
		while (!s->urgent && !s->ended && vgs_wait(&s->work, &s->lock, until)) {
		}
		s->urgent = false;
		struct vgs_client *ready = s->ready;
		s->ready = NULL;
		struct vgs_buffer out = s->out;
		s->out = s->writing;
		s->writing = out;
		bool ended = s->ended;
		pthread_mutex_unlock(&s->lock);
		while (ready != NULL) {
			struct vgs_client *c = ready;
			ready = c->next_ready;
			c->kind->take(c);
			vgs_drop(c);
		}
		if (out.size > 0) {
			vgs_write_now(s, out.at, out.size);
		}
		pthread_mutex_lock(&s->lock);
		s->writing.size = 0;
		if (s->writing.room > READ_ROOM) {
			vgs_free_buffer(&s->writing);
		}
		if (ended) {
			break;
		}
	}
	s->threads--;
	pthread_cond_broadcast(&s->answered);
	pthread_mutex_unlock(&s->lock);
	vgs_disconnect(s);
	return NULL;
}

/* ---- Calls */

void vgs_begin_call(struct vgs_buffer *b, const char *method, uint32_t arguments) {
	vgs_begin_frame(b, VGS_KIND_CALL);
	vgs_put_map(b, arguments + 2);
	vgs_put_key(b, "call");
	vgs_put_whole(b, 0);
	vgs_put_key(b, "method");
	vgs_put_string(b, method);
}

/* Gives a call its number, and leaves it to the writer. The lock is held. */
static int64_t put_call(struct vgs_session *s, struct vgs_buffer *b) {
	vgs_end_frame(b, 0);
	int64_t number = ++s->calls;
	vgs_store64(b->at + CALL_NUMBER_AT, (uint64_t)number);
	vgs_put(&s->out, b->at, b->size);
	hurry(s);
	return number;
}

void vgs_tell(struct vgs_session *s, struct vgs_buffer *b) {
	pthread_mutex_lock(&s->lock);
	if (!s->ended) {
		put_call(s, b);
	}
	pthread_mutex_unlock(&s->lock);
	vgs_free_buffer(b);
}

vegas_code vgs_call(struct vgs_session *s, struct vgs_buffer *b, int64_t until, struct vgs_buffer *answer, vegas_error *err) {
	vegas_error failed;
	vegas_code code = VEGAS_OK;
	struct waiter w = {0};
	pthread_mutex_lock(&s->lock);
	if (!s->ended) {
		w.number = put_call(s, b);
		w.next = s->waiters;
		s->waiters = &w;
		while (!w.done && !s->ended && vgs_wait(&s->answered, &s->lock, until)) {
		}
		struct waiter **at = &s->waiters;
		while (*at != &w) {
			at = &(*at)->next;
		}
		*at = w.next;
	}
	if (!w.done && s->ended) {
		code = vgs_pass(err, &s->why);
	} else if (!w.done) {
		code = vgs_fail(err, VEGAS_TIMEOUT, NULL, "the engine did not answer in time");
	}
	pthread_mutex_unlock(&s->lock);
	vgs_free_buffer(b);
	if (w.done) {
		struct vgs_value error = vgs_find(vgs_view_of(&w.body), "error");
		if (error.tag != VGS_NOTHING) {
			vgs_read_error(error, &failed);
			code = vgs_pass(err, &failed);
		}
	}
	if (answer != NULL && code == VEGAS_OK) {
		*answer = w.body;
	} else {
		vgs_free_buffer(&w.body);
	}
	return code;
}

void vgs_answer(struct vgs_session *s, int64_t call, const char *failure) {
	struct vgs_buffer b = {0};
	size_t start = vgs_begin_frame(&b, VGS_KIND_ANSWER);
	vgs_put_map(&b, failure ? 2 : 1);
	vgs_put_key(&b, "call");
	vgs_put_whole(&b, call);
	if (failure != NULL) {
		vgs_put_key(&b, "error");
		vgs_put_error(&b, VEGAS_HANDLER, (struct vgs_view){(const unsigned char *)failure, strlen(failure)});
	}
	vgs_end_frame(&b, start);
	vgs_write(s, vgs_view_of(&b));
	vgs_free_buffer(&b);
}

/* ---- What is the program's own */

static void put_errand(struct vgs_session *s, struct vgs_client *c, struct vgs_view body) {
	pthread_mutex_lock(&s->lock);
	if (s->errand_count >= MOST_ERRANDS || s->silent || (c != NULL && !c->attached)) {
		pthread_mutex_unlock(&s->lock);
		if (c != NULL) {
			vgs_drop(c);
		}
		return;
	}
	struct errand *e = vgs_alloc_zero(sizeof *e);
	e->client = c;
	vgs_put(&e->body, body.at, body.size);
	*s->last_errand = e;
	s->last_errand = &e->next;
	s->errand_count++;
	pthread_cond_signal(&s->errand);
	pthread_mutex_unlock(&s->lock);
}

/* A line as text: its attributes stand behind it. */
static void run_line(struct vgs_view event) {
	struct vgs_view word = vgs_find_text(event, "level"), text = vgs_find_text(event, "text");
	struct vgs_value attrs = vgs_find(event, "attrs");
	struct vgs_buffer line = {0};
	vegas_level level = VEGAS_INFO;
	for (int i = VEGAS_DEBUG; i <= VEGAS_ERROR; i++) {
		if (vgs_same(word, levels[i])) {
			level = (vegas_level)i;
		}
	}
	vgs_put(&line, text.at, text.size);
	for (uint32_t n = attrs.tag == VGS_MAP ? attrs.count : 0; n > 0; n--) {
		struct vgs_view name = vgs_read_key(&attrs.items), before = attrs.items;
		vgs_put8(&line, ' ');
		vgs_put(&line, name.at, name.size);
		vgs_put8(&line, '=');
		struct vgs_value v = vgs_read(&before);
		if (v.tag == VGS_STRING) {
			vgs_put(&line, v.text.at, v.text.size);
			vgs_skip(&attrs.items);
		} else {
			vgs_to_json(&line, &attrs.items);
		}
	}
	vgs_put8(&line, 0);
	write_line(level, (const char *)line.at);
	vgs_free_buffer(&line);
}

static void run_stats(struct vgs_client *c, struct vgs_view event) {
	vegas_options *o = c->options;
	if (o->on_stats != NULL) {
		char *json = vgs_find_json(event, "stats");
		o->on_stats(o->stats_context, json);
		free(json);
	}
}

static void *callbacks(void *of) {
	struct vgs_session *s = of;
	pthread_mutex_lock(&s->lock);
	s->caller = pthread_self();
	for (;;) {
		while (s->errands == NULL && !s->silent) {
			vgs_wait(&s->errand, &s->lock, VGS_NEVER);
		}
		struct errand *e = s->errands;
		if (e == NULL) {
			break;
		}
		s->errands = e->next;
		if (e->next == NULL) {
			s->last_errand = &s->errands;
		}
		s->errand_count--;
		s->called = e->client;
		pthread_mutex_unlock(&s->lock);
		if (e->client == NULL) {
			run_line(vgs_view_of(&e->body));
		} else {
			run_stats(e->client, vgs_view_of(&e->body));
		}
		pthread_mutex_lock(&s->lock);
		s->called = NULL;
		pthread_cond_broadcast(&s->answered);
		pthread_mutex_unlock(&s->lock);
		if (e->client != NULL) {
			vgs_drop(e->client);
		}
		free_errand(e);
		pthread_mutex_lock(&s->lock);
	}
	s->threads--;
	pthread_cond_broadcast(&s->answered);
	pthread_mutex_unlock(&s->lock);
	vgs_disconnect(s);
	return NULL;
}

void vgs_log(struct vgs_session *s, vegas_level level, const char *format, ...) {
	char text[2048];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	struct vgs_buffer b = {0};
	vgs_put_map(&b, 2);
	vgs_put_key(&b, "level");
	vgs_put_string(&b, levels[level]);
	vgs_put_key(&b, "text");
	vgs_put_string(&b, text);
	put_errand(s, NULL, vgs_view_of(&b));
	vgs_free_buffer(&b);
}

/* ---- Reading */

static bool take_event(struct vgs_session *s, struct vgs_view body) {
	struct vgs_view what = vgs_find_text(body, "event");
	if (vgs_same(what, "log")) {
		put_errand(s, NULL, body);
		return true;
	}
	int64_t number = vgs_find_whole(body, "producer", vgs_find_whole(body, "consumer", 0));
	struct vgs_client *c = client_of(s, number);
	if (c == NULL) {
		return true;
	}
	if (vgs_same(what, "stats")) {
		put_errand(s, c, body);
		return true;
	}
	if (vgs_same(what, "consumer_ended") && c->kind->ended != NULL) {
		struct vgs_value failed = vgs_find(body, "error");
		vegas_error why;
		if (failed.tag != VGS_NOTHING) {
			vgs_read_error(failed, &why);
		}
		c->kind->ended(c, failed.tag != VGS_NOTHING ? &why : NULL);
	}
	vgs_drop(c);
	return true;
}

static bool take_answer(struct vgs_session *s, struct vgs_view body) {
	int64_t number = vgs_find_whole(body, "call", 0);
	pthread_mutex_lock(&s->lock);
	for (struct waiter *w = s->waiters; w != NULL; w = w->next) {
		if (w->number == number && !w->done) {
			vgs_put(&w->body, body.at, body.size);
			w->done = true;
			pthread_cond_broadcast(&s->answered);
			break;
		}
	}
	bool known = number > 0 && number <= s->calls;
	pthread_mutex_unlock(&s->lock);
	return known; /* nobody may wait any more */
}

static bool take_call(struct vgs_session *s, struct vgs_view body) {
	int64_t call = vgs_find_whole(body, "call", 0);
	struct vgs_client *c = client_of(s, vgs_find_whole(body, "consumer", 0));
	if (c == NULL) {
		vgs_answer(s, call, "there is no such consumer any more");
		return true;
	}
	bool fine = c->kind->called != NULL && c->kind->called(c, call, body);
	vgs_drop(c);
	return fine;
}

/* Takes a frame; false where it is not as the protocol has it. */
static bool take(struct vgs_session *s, int kind, struct vgs_view body, vegas_error *reason) {
	struct vgs_client *c;
	bool fine = true;
	switch (kind) {
	case VGS_KIND_REPORT:
	case VGS_KIND_DELIVER:
	case VGS_KIND_STOP:
		if (body.size < 4) {
			return false;
		}
		c = client_of(s, vgs_load32(body.at));
		if (c != NULL) {
			fine = c->kind->frame(c, kind, body);
			vgs_drop(c);
		}
		return fine;
	case VGS_KIND_ANSWER:
		return vgs_is_value(body) && take_answer(s, body);
	case VGS_KIND_CALL:
		return vgs_is_value(body) && take_call(s, body);
	case VGS_KIND_EVENT:
		return vgs_is_value(body) && take_event(s, body);
	case VGS_KIND_FAIL:
		if (vgs_is_value(body)) {
			vgs_read_error(vgs_find(body, "error"), reason);
		}
		return true;
	default:
		return true; /* of a later version */
	}
}

/* Reads once; false at the end. */
static bool fill(struct vgs_session *s, int millis) {
	struct vgs_buffer *in = &s->in;
	if (in->room - in->size < READ_ROOM / 4) {
		size_t had = in->size;
		vgs_extend(in, READ_ROOM);
		in->size = had;
	}
	int64_t got = vegas_engine_read(s->engine, in->at + in->size, in->room - in->size, millis);
	if (got > 0) {
		VALGRIND_MAKE_MEM_DEFINED(in->at + in->size, (size_t)got);
		in->size += (size_t)got;
	}
	return got >= 0;
}

/* The engine has ended: whoever waits is told, and the next one may start another. */
static void lose(struct vgs_session *s, const vegas_error *reason) {
	pthread_mutex_lock(&starting);
	bool was = current == s;
	if (was) {
		current = NULL;
	}
	pthread_mutex_unlock(&starting);
	pthread_mutex_lock(&s->lock);
	vgs_fail(&s->why, VEGAS_ENGINE_GONE, reason->remedy, "the engine has ended%s%s", *reason->text ? ": " : "", reason->text);
	s->why.unknown = 1;
	vegas_error why = s->why;
	s->ended = true;
	pthread_cond_broadcast(&s->answered);
	pthread_cond_broadcast(&s->work);
	pthread_mutex_unlock(&s->lock);
	size_t count;
	struct vgs_client **all = all_clients(s, &count);
	for (size_t i = 0; i < count; i++) {
		all[i]->kind->lost(all[i], &why);
		vgs_drop(all[i]);
	}
	free(all);
	pthread_mutex_lock(&s->lock);
	s->silent = true;
	pthread_cond_broadcast(&s->errand);
	s->threads--;
	pthread_cond_broadcast(&s->answered);
	pthread_mutex_unlock(&s->lock);
	if (was) {
		vgs_disconnect(s);
	}
}

static void *reader(void *of) {
	struct vgs_session *s = of;
	vegas_error reason = {0};
	bool refused = false;
	do {
		size_t used = 0;
		int kind = 0;
		struct vgs_view body;
		while (!refused) {
			long n = vgs_take_frame((struct vgs_view){s->in.at + used, s->in.size - used}, &kind, &body);
			if (n == 0) {
				break;
			}
			if (n < 0 || !take(s, kind, body, &reason)) {
				vgs_fail(&reason, VEGAS_PROTOCOL, NULL, "it has sent a frame of kind %d that is not as the protocol has it", kind);
				(void)vegas_engine_close(s->engine, 0);
				refused = true;
				break;
			}
			used += (size_t)n;
		}
		s->in.size = refused ? 0 : s->in.size - used;
		if (s->in.size > 0 && used > 0) {
			memmove(s->in.at, s->in.at + used, s->in.size);
		} else if (s->in.size == 0 && s->in.room > 4 * READ_ROOM) {
			vgs_free_buffer(&s->in);
		}
	} while (fill(s, -1));
	lose(s, &reason);
	vgs_disconnect(s);
	return NULL;
}

/* ---- Beginning and end */

static void at_exit(void);

static bool hello(struct vgs_session *s, vegas_error *err) {
	struct vgs_buffer b = {0};
	size_t start = vgs_begin_frame(&b, VGS_KIND_HELLO);
	vgs_put_map(&b, 5);
	vgs_put_key(&b, "protocol");
	vgs_put_items(&b, 2);
	vgs_put_whole(&b, VGS_PROTOCOL);
	vgs_put_whole(&b, VGS_PROTOCOL);
	vgs_put_key(&b, "language");
	vgs_put_string(&b, "c");
	vgs_put_key(&b, "version");
	vgs_put_string(&b, VEGAS_VERSION_TEXT);
	vgs_put_key(&b, "pid");
	vgs_put_whole(&b, getpid());
	vgs_put_key(&b, "log");
	vgs_put_string(&b, levels[sink.least]);
	vgs_end_frame(&b, start);
	vgs_write_now(s, b.at, b.size);
	vgs_free_buffer(&b);

	int64_t until = vgs_until(VGS_HELLO_TIMEOUT / 1000);
	int kind = 0;
	struct vgs_view body = {0};
	long n;
	while ((n = vgs_take_frame(vgs_view_of(&s->in), &kind, &body)) == 0) {
		if (vgs_now() > until || !fill(s, vgs_left(until))) {
			n = -1;
			break;
		}
	}
	if (n > 0 && kind == VGS_KIND_FAIL && vgs_is_value(body)) {
		vegas_error why;
		vgs_read_error(vgs_find(body, "error"), &why);
		vgs_pass(err, &why);
		return false;
	}
	if (n < 0 || kind != VGS_KIND_HELLO || !vgs_is_value(body)) {
		vgs_fail(err, VEGAS_ENGINE_MISSING, NULL, "the engine in this library does not answer");
		return false;
	}
	if (vgs_find_whole(body, "protocol", 0) != VGS_PROTOCOL) {
		vgs_fail(err, VEGAS_VERSION, "link a library and an engine of one release", "the engine speaks another protocol");
		return false;
	}
	s->in.size -= (size_t)n;
	memmove(s->in.at, s->in.at + n, s->in.size);
	return true;
}

/* In a DLL of Windows what atexit was given runs when all other threads are gone already,
 * and would wait for them for ever: there programs close what they have opened. */
static void exit_by(void (*call)(void)) {
#ifdef VGS_DLL
	(void)call;
#else
	atexit(call);
#endif
}

struct vgs_session *vgs_connect(vegas_error *err) {
	static bool registered;
	if (vgs_forked(err)) {
		return NULL;
	}
	pthread_mutex_lock(&starting);
	struct vgs_session *s = current;
	if (s != NULL) {
		hold(s);
		pthread_mutex_unlock(&starting);
		return s;
	}
	s = vgs_alloc_zero(sizeof *s);
	pthread_mutex_init(&s->lock, NULL);
	vgs_condition(&s->work);
	vgs_condition(&s->answered);
	vgs_condition(&s->errand);
	s->last_errand = &s->errands;
	atomic_init(&s->refs, 1);
	s->engine = vegas_engine_open();
	if (!hello(s, err)) {
		(void)vegas_engine_close(s->engine, 0);
		vgs_disconnect(s);
		pthread_mutex_unlock(&starting);
		return NULL;
	}
	if (!registered) {
		registered = true;
		exit_by(at_exit);
	}
	current = s; /* with the first reference */
	atomic_fetch_add(&s->refs, 4);
	s->threads = 3;
	vgs_thread(reader, s);
	vgs_thread(writer, s);
	vgs_thread(callbacks, s);
	pthread_mutex_unlock(&starting);
	return s;
}

/* Ends those that receive, or those that send, from one start for all of them. */
static void end_all(struct vgs_session *s, bool receive) {
	size_t count;
	int64_t began = vgs_now();
	struct vgs_client **all = all_clients(s, &count);
	for (size_t i = 0; receive && i < count; i++) {
		if (all[i]->kind->exit_begin != NULL) {
			all[i]->kind->exit_begin(all[i]);
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (receive == (all[i]->kind->exit_begin != NULL)) {
			all[i]->kind->exit_end(all[i], began);
		}
		vgs_drop(all[i]);
	}
	free(all);
}

/* The program ends without having closed everything: consumers give their shards back,
 * and when no handler sends any more, producers send what they have. */
static void at_exit(void) {
	if (vgs_forked(NULL)) {
		return;
	}
	pthread_mutex_lock(&starting);
	struct vgs_session *s = current;
	if (s != NULL) {
		hold(s);
	}
	pthread_mutex_unlock(&starting);
	if (s == NULL) {
		return;
	}
	end_all(s, true);
	end_all(s, false);
	(void)vegas_engine_close(s->engine, EXIT_MILLIS);
	int64_t until = vgs_until(EXIT_MILLIS);
	pthread_mutex_lock(&s->lock);
	while (s->threads > 0 && vgs_wait(&s->answered, &s->lock, until)) {
	}
	pthread_mutex_unlock(&s->lock);
	vgs_disconnect(s);
}
