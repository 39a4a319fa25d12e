/* Producers and consumers with an engine of a few lines, for sanitizers and valgrind. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "vegas.h"

void fake_engine_forget(void);

static vegas_options *with(vegas_options *o, const char *name, const char *value) {
	CHECK(vegas_options_set(o, name, value, NULL) == VEGAS_OK);
	return o;
}

static vegas_producer *producer(const char *stream, vegas_options *o) {
	vegas_producer *p = NULL;
	CHECK_OK(vegas_producer_open(stream, o, &p, &e_));
	vegas_options_free(o);
	return p;
}

static void send_many(vegas_producer *p, int from, int to, int keys) {
	for (int i = from; i < to; i++) {
		char key[20], data[20];
		snprintf(key, sizeof key, "key-%d", i % keys);
		CHECK_OK(vegas_send(p, key, data, (size_t)snprintf(data, sizeof data, "%d", i), NULL, &e_));
	}
}

/* ---- Producers */

static void flushes(void) {
	vegas_producer *p = producer("flushes", NULL);
	uint64_t token = 99;
	CHECK_OK(vegas_send(p, "k", "", 0, &token, &e_));
	CHECK(token == 0);
	send_many(p, 0, 5000, 10);
	CHECK_OK(vegas_flush(p, 10000, &e_));
	CHECK_OK(vegas_producer_check(p, &e_));
	char *json;
	CHECK_OK(vegas_producer_stats(p, &json, &e_));
	CHECK(!strcmp(json, "{\"records_sent\":3,\"lanes\":[]}"));
	free(json);
	char large[1 << 20];
	memset(large, 'x', sizeof large);
	for (int i = 0; i < 5; i++) {
		CHECK_OK(vegas_send(p, "large", large, sizeof large, NULL, &e_));
	}
	CHECK_OK(vegas_producer_close(p, VEGAS_DEFAULT, &e_));
	CHECK_OK(vegas_producer_close(p, VEGAS_DEFAULT, &e_));
	CHECK_ERROR(vegas_send(p, "k", "x", 1, NULL, &e_), VEGAS_CLOSED, "is closed");
	vegas_producer_free(p);
}

static void refusals(void) {
	vegas_producer *p = producer("refusals", NULL);
	CHECK_ERROR(vegas_send(p, "", "x", 1, NULL, &e_), VEGAS_BAD_OPTION, "has 0 characters");
	CHECK_ERROR(vegas_send(p, "\xff", "x", 1, NULL, &e_), VEGAS_BAD_OPTION, "no UTF-8");
	char key[300];
	memset(key, 'k', sizeof key);
	key[299] = 0;
	CHECK_ERROR(vegas_send(p, key, "x", 1, NULL, &e_), VEGAS_BAD_OPTION, "has 299 characters");
	CHECK_ERROR(vegas_send(p, "k", "x", 17 << 20, NULL, &e_), VEGAS_TOO_LARGE, "10 MiB");
	vegas_message m = {.key = "k", .key_size = 1, .hash_key = "1234567890123456789012345678901234567890"};
	CHECK_ERROR(vegas_send_message(p, &m, NULL, &e_), VEGAS_BAD_OPTION, "40 digits");
	vegas_producer_free(p);
	CHECK_ERROR(vegas_producer_open("no such stream", NULL, &p, &e_), VEGAS_BAD_OPTION, "no name");
	vegas_options *o = vegas_consumer_options();
	CHECK_ERROR(vegas_producer_open("s", o, &p, &e_), VEGAS_BAD_OPTION, "a consumer's");
	vegas_options_free(o);
}

static void polls(void) {
	vegas_options *o = with(vegas_producer_options(), "buffer_bytes", "5000");
	vegas_options_poll(o);
	vegas_producer *p = producer("polls", o);
	enum { MANY = 2000 };
	static int seen[MANY], contexts[MANY];
	vegas_result r[7];
	int accepted = 0, results = 0;
	while (results < MANY) {
		vegas_message m = {.key = "key", .key_size = 3, .data = "data", .size = 4, .context = &contexts[accepted]};
		uint64_t token;
		if (accepted < MANY) {
			vegas_error err;
			vegas_code code = vegas_send_message(p, &m, &token, &err);
			if (code == VEGAS_OK) {
				CHECK(token == (uint64_t)accepted);
				accepted++;
				continue;
			}
			CHECK(code == VEGAS_BUFFER_FULL);
		}
		size_t n = vegas_poll(p, r, 7, 1000);
		CHECK(n > 0);
		for (size_t i = 0; i < n; i++) {
			CHECK(r[i].status == VEGAS_STORED && !strcmp(r[i].shard, "shardId-000000000000") && !strcmp(r[i].sequence, "49"));
			CHECK(r[i].error == NULL && r[i].context == &contexts[r[i].token]);
			seen[r[i].token]++;
			results++;
		}
	}
	for (int i = 0; i < MANY; i++) {
		CHECK(seen[i] == 1);
	}
	CHECK(vegas_poll(p, r, 7, 0) == 0);
	CHECK(vegas_poll(p, r, 7, 5) == 0);
	send_many(p, 0, 5, 1);
	CHECK_OK(vegas_producer_close(p, 1000, &e_));
	results = 0;
	for (size_t n; (n = vegas_poll(p, r, 2, -1)) > 0;) {
		results += (int)n;
	}
	CHECK(results == 5);
	vegas_producer_free(p);
}

static atomic_int called_back;
static vegas_producer *sends_again;
static bool sent_again; /* of the callback's thread */

static void on_result(void *context, const vegas_result *r) {
	CHECK(context == &called_back && r->status == VEGAS_STORED);
	atomic_fetch_add(&called_back, 1);
	if (!sent_again) {
		vegas_code code = vegas_send(sends_again, "again", "x", 1, NULL, NULL);
		CHECK(code == VEGAS_OK || code == VEGAS_BUFFER_FULL); /* it does not wait for itself */
		sent_again = code == VEGAS_OK;
	}
}

static void calls_back(void) {
	vegas_options *o = with(vegas_producer_options(), "buffer_bytes", "20000");
	vegas_options_on_result(o, on_result, &called_back);
	vegas_producer *p = sends_again = producer("calls back", o);
	send_many(p, 0, 3000, 5); /* waits for room, which the callback makes */
	CHECK_OK(vegas_flush(p, -1, &e_));
	CHECK(atomic_load(&called_back) >= 3000);
	CHECK_OK(vegas_producer_close(p, -1, &e_));
	vegas_producer_free(p);
	CHECK(atomic_load(&called_back) == 3001);
}

static void fails(void) {
	vegas_producer *p = producer("fail", NULL);
	CHECK_OK(vegas_send(p, "k", "x", 1, NULL, &e_));
	CHECK_ERROR(vegas_flush(p, -1, &e_), VEGAS_THROTTLED, "refused");
	CHECK_OK(vegas_flush(p, -1, &e_));
	send_many(p, 0, 3, 1);
	CHECK_ERROR(vegas_producer_close(p, -1, &e_), VEGAS_THROTTLED, "3 records failed, the first: refused");
	vegas_producer_free(p);

	vegas_options *o = vegas_producer_options();
	vegas_options_poll(o);
	p = producer("fail", o);
	send_many(p, 0, 2, 1);
	vegas_result r[5];
	size_t n = 0;
	while (n < 2) {
		n += vegas_poll(p, r, 5, 1000);
		CHECK(r[0].status == VEGAS_NOT_STORED && r[0].error->code == VEGAS_THROTTLED && !strcmp(r[0].error->remedy, "send less"));
		CHECK(!r[0].error->unknown && !*r[0].shard);
	}
	CHECK_OK(vegas_flush(p, -1, &e_)); /* they were handed out */
	vegas_producer_free(p);
}

static void quiet(void) {
	vegas_producer *p = producer("quiet", with(vegas_producer_options(), "linger", "0"));
	send_many(p, 0, 100, 3);
	CHECK_OK(vegas_flush(p, -1, &e_));
	send_many(p, 0, 100, 3);
	CHECK_OK(vegas_producer_close(p, -1, &e_));
	vegas_producer_free(p);
	/* Whoever waits for room is told when it is closed. */
	p = producer("quiet", with(vegas_producer_options(), "buffer_bytes", "150"));
	CHECK_OK(vegas_send(p, "k", "x", 1, NULL, &e_));
	vegas_message m = {.key = "k", .key_size = 1, .no_wait = 1};
	CHECK_ERROR(vegas_send_message(p, &m, NULL, &e_), VEGAS_BUFFER_FULL, "buffer_bytes is 150");
	vegas_producer_free(p);
}

/* A place where a function of the program's waits until the test goes on. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
	int came, left;
};

#define GATE {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}

static void pass(struct gate *g) {
	pthread_mutex_lock(&g->lock);
	g->came++;
	pthread_cond_broadcast(&g->changed);
	while (!g->open) {
		pthread_cond_wait(&g->changed, &g->lock);
	}
	g->left++;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static void await(struct gate *g, int *what) {
	pthread_mutex_lock(&g->lock);
	while (*what == 0) {
		pthread_cond_wait(&g->changed, &g->lock);
	}
	pthread_mutex_unlock(&g->lock);
}

static void open_gate(struct gate *g) {
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static void on_stats(void *context, const char *json) {
	CHECK(!strcmp(json, "{\"n\":1}"));
	pass(context);
}

static vegas_producer *tells(struct gate *g) {
	vegas_options *o = vegas_producer_options();
	vegas_options_on_stats(o, on_stats, g);
	return producer("tells", o);
}

/* A function is not called for who was freed, and who frees waits for it. */
static void statistics(void) {
	static struct gate first = GATE, second = GATE;
	vegas_producer *p = tells(&first), *q = tells(&second);
	vegas_producer *const all[] = {p, q, p};
	for (int i = 0; i < 3; i++) {
		CHECK_OK(vegas_send(all[i], "k", "x", 1, NULL, &e_));
		CHECK_OK(vegas_flush(all[i], -1, &e_)); /* its event was before */
	}
	await(&first, &first.came);
	open_gate(&second);
	vegas_producer_free(q);
	CHECK_OK(vegas_producer_close(p, -1, &e_));
	open_gate(&first);
	vegas_producer_free(p);
	CHECK(first.came == 1 && first.left == 1 && second.came == 0);
}

static void engine_ends(const char *stream, const char *why) {
	vegas_options *o = vegas_producer_options();
	vegas_options_poll(o);
	vegas_producer *p = producer(stream, o), *q = producer(stream, NULL);
	vegas_consumer *c;
	CHECK_OK(vegas_consumer_open("other", "g", NULL, NULL, NULL, &c, &e_));
	vegas_error e;
	size_t sent = 0; /* on a busy machine the engine ends before the last one */
	while (sent < 10 && vegas_send(p, "k", "x", 1, NULL, &e) == VEGAS_OK) {
		sent++;
	}
	CHECK(sent == 10 || (sent > 0 && e.code == VEGAS_ENGINE_GONE));
	vegas_result r[20];
	size_t n = 0;
	while (n < sent) {
		size_t more = vegas_poll(p, r, 20, -1);
		CHECK(more > 0);
		for (size_t i = 0; i < more; i++) {
			CHECK(r[i].error != NULL && r[i].error->code == VEGAS_ENGINE_GONE && strstr(r[i].error->text, why));
			CHECK(r[i].status == (r[i].error->unknown ? VEGAS_UNKNOWN : VEGAS_NOT_STORED));
		}
		n += more;
	}
	CHECK(n == sent && vegas_poll(p, r, 20, -1) == 0);
	CHECK_ERROR(vegas_send(p, "k", "x", 1, NULL, &e_), VEGAS_ENGINE_GONE, "the engine has ended");
	CHECK_ERROR(vegas_flush(q, -1, &e_), VEGAS_ENGINE_GONE, "the engine has ended");
	CHECK_ERROR(vegas_consumer_wait(c, -1, &e_), VEGAS_ENGINE_GONE, "the engine has ended");
	vegas_chunk *chunk;
	CHECK_ERROR(vegas_consumer_poll(c, -1, &chunk, &e_), VEGAS_ENGINE_GONE, "the engine has ended");
	/* The next one has another engine. */
	vegas_producer *again = producer("again", NULL);
	send_many(again, 0, 10, 3);
	CHECK_OK(vegas_flush(again, -1, &e_));
	vegas_producer_free(again);
	vegas_consumer_free(c);
	vegas_producer_free(p);
	vegas_producer_free(q);
}

static void *send_some(void *of) {
	send_many(of, 0, 2000, 7);
	return NULL;
}

static void many_threads(void) {
	vegas_producer *p = producer("threads", with(vegas_producer_options(), "buffer_bytes", "64KiB"));
	pthread_t threads[4];
	for (int i = 0; i < 4; i++) {
		CHECK(pthread_create(&threads[i], NULL, send_some, p) == 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
	}
	CHECK_OK(vegas_producer_close(p, -1, &e_));
	vegas_producer_free(p);
}

/* ---- Consumers */

struct seen {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int count, fails, dead, batches, next[50];
	bool in_order;
	vegas_consumer *close;
};

static struct seen *seen_new(void) {
	struct seen *s = calloc(1, sizeof *s);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->in_order = true;
	return s;
}

static void wait_for(struct seen *s, int *what, int n) {
	pthread_mutex_lock(&s->lock);
	while (*what < n) {
		pthread_cond_wait(&s->changed, &s->lock);
	}
	pthread_mutex_unlock(&s->lock);
}

/* Data are numbers that rise for each key; "bad" fails. */
static int handle(void *context, const vegas_record *r, size_t count, vegas_error *why) {
	struct seen *s = context;
	int failed = 0;
	pthread_mutex_lock(&s->lock);
	s->batches++;
	for (size_t i = 0; i < count; i++) {
		char data[20] = "";
		memcpy(data, r[i].data, r[i].size);
		CHECK(vegas_shard_possession(r[i].shard) == 7 && !strcmp(vegas_shard_id(r[i].shard), "shardId-000000000000"));
		if (strcmp(data, "bad") == 0) {
			snprintf(why->text, sizeof why->text, "no good");
			s->fails++;
			failed = 1;
			break;
		}
		int key = atoi(r[i].partition_key + 4), n = atoi(data);
		s->in_order &= n >= s->next[key];
		s->next[key] = n + 1;
		s->count++;
	}
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (s->close != NULL) {
		CHECK_OK(vegas_consumer_close(s->close, &e_));
	}
	return failed;
}

static int bury(void *context, const vegas_record *r, const char *error) {
	struct seen *s = context;
	CHECK(r->size == 3 && !strcmp(error, "last words"));
	pthread_mutex_lock(&s->lock);
	s->dead++;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static void fill(const char *stream, int n, int keys) {
	vegas_producer *p = producer(stream, NULL);
	send_many(p, 0, n / 2, keys);
	CHECK_OK(vegas_send(p, "key-0", "bad", 3, NULL, &e_));
	send_many(p, n / 2, n, keys);
	vegas_producer_free(p);
}

static void handles(const char *stream, const char *option, const char *value) {
	struct seen *s = seen_new();
	vegas_options *o = with(vegas_consumer_options(), "max_attempts", "2");
	with(o, option, value);
	vegas_options_dead_letter(o, bury, s);
	vegas_consumer *c;
	fill(stream, 2000, 20);
	CHECK_OK(vegas_consumer_open(stream, "g", handle, s, o, &c, &e_));
	vegas_options_free(o);
	CHECK_ERROR(vegas_consumer_wait(c, 0, &e_), VEGAS_TIMEOUT, "still runs");
	wait_for(s, &s->count, 2000);
	wait_for(s, &s->dead, 1);
	CHECK(s->in_order && s->fails == 2);
	CHECK_OK(vegas_consumer_check(c, &e_));
	char *json;
	CHECK_OK(vegas_consumer_stats(c, &json, &e_));
	free(json);
	CHECK_OK(vegas_consumer_close(c, &e_));
	CHECK_OK(vegas_consumer_wait(c, -1, &e_));
	vegas_consumer_free(c);
	free(s);
}

static void batches(void) {
	struct seen *s = seen_new();
	vegas_producer *p = producer("batches", NULL);
	vegas_consumer *c;
	send_many(p, 0, 1000, 5);
	vegas_producer_free(p);
	vegas_options *o = with(vegas_consumer_options(), "batch", "true");
	CHECK_OK(vegas_consumer_open("batches", "g", handle, s, o, &c, &e_));
	vegas_options_free(o);
	wait_for(s, &s->count, 1000);
	CHECK(s->in_order && s->batches < 1000);
	vegas_consumer_free(c);
	free(s);
}

static void polls_chunks(void) {
	vegas_consumer *c;
	vegas_chunk *chunk;
	fill("chunks", 500, 5);
	vegas_options *o = with(vegas_consumer_options(), "max_attempts", "1");
	vegas_options_dead_letter(o, NULL, NULL);
	CHECK_ERROR(vegas_consumer_open("chunks", "g", handle, NULL, o, &c, &e_), VEGAS_BAD_OPTION, "vegas_consumer_poll");
	CHECK_OK(vegas_consumer_open("chunks", "g", NULL, NULL, o, &c, &e_));
	vegas_options_free(o);
	int count = 0, dead = 0;
	while (count < 500 || dead < 1) {
		CHECK_OK(vegas_consumer_poll(c, -1, &chunk, &e_));
		size_t n;
		const vegas_record *r = vegas_chunk_records(chunk, &n);
		CHECK(vegas_chunk_behind(chunk) == 5 && vegas_shard_stopping(r->shard) == VEGAS_STOP_NONE);
		CHECK_ERROR(vegas_checkpoint(c, r, &e_), VEGAS_LEASE_LOST, "another worker");
		if (vegas_chunk_dead_letter(chunk) != NULL) {
			dead++;
			vegas_chunk_done(chunk, 0, 1);
			vegas_settle(chunk);
			continue;
		}
		for (size_t i = 0; i < n && i < 60; i++) { /* the rest comes again */
			if (memcmp(r[i].data, "bad", 3) == 0) {
				vegas_chunk_failed(chunk, i, "bad");
				break;
			}
			vegas_chunk_done(chunk, i, i + 1);
			count++;
		}
		vegas_settle(chunk);
	}
	CHECK_ERROR(vegas_consumer_poll(c, 10, &chunk, &e_), VEGAS_TIMEOUT, "10 ms");
	CHECK_OK(vegas_consumer_close(c, &e_));
	CHECK_ERROR(vegas_consumer_poll(c, -1, &chunk, &e_), VEGAS_CLOSED, "closed");
	vegas_consumer_free(c);
	/* Chunks that nobody took are given back. */
	fill("left", 500, 5);
	CHECK_OK(vegas_consumer_open("left", "g", NULL, NULL, NULL, &c, &e_));
	vegas_consumer_free(c);
}

/* A consumer that ended by a timeout does not look as if it ran. */
static void times_out(void) {
	vegas_consumer *c;
	vegas_chunk *chunk;
	CHECK_OK(vegas_consumer_open("times out", "g", NULL, NULL, NULL, &c, &e_));
	CHECK_ERROR(vegas_consumer_wait(c, -1, &e_), VEGAS_FAILED, "took too long");
	CHECK_ERROR(vegas_consumer_poll(c, -1, &chunk, &e_), VEGAS_FAILED, "took too long");
	vegas_consumer_free(c);
}

/* What is said of failures fits into a frame, however many there are. */
static void long_failures(void) {
	static char text[40000];
	memset(text, 'x', sizeof text - 1);
	vegas_consumer *c;
	vegas_chunk *chunk;
	vegas_producer *p = producer("long failures", NULL);
	send_many(p, 0, 1000, 5);
	vegas_producer_free(p);
	CHECK_OK(vegas_consumer_open("long failures", "g", NULL, NULL, NULL, &c, &e_));
	for (int round = 0; round < 2; round++) {
		size_t n;
		CHECK_OK(vegas_consumer_poll(c, -1, &chunk, &e_));
		(void)vegas_chunk_records(chunk, &n);
		CHECK(n == 1000);
		for (size_t i = 0; i < n; i++) {
			vegas_chunk_failed(chunk, i, text);
		}
		vegas_settle(chunk);
	}
	vegas_consumer_free(c);
}

static atomic_int asked;

static int external(void *context, const vegas_shard *s, char *sequence, int64_t *sub) {
	CHECK(context == &asked && !strcmp(vegas_shard_stream(s), "external") && !strcmp(sequence, "TRIM_HORIZON") && *sub == 0);
	strcpy(sequence, "49");
	*sub = 3;
	return atomic_fetch_add(&asked, 1) == 0;
}

static void positions(bool polled) {
	atomic_store(&asked, 0);
	struct seen *s = seen_new();
	vegas_producer *p = producer("external", NULL);
	send_many(p, 0, 10, 1);
	vegas_producer_free(p);
	vegas_options *o = vegas_consumer_options();
	vegas_options_external(o, external, &asked);
	vegas_consumer *c;
	CHECK_OK(vegas_consumer_open("external", "g", polled ? NULL : handle, s, o, &c, &e_));
	vegas_options_free(o);
	if (polled) {
		vegas_chunk *chunk;
		CHECK_OK(vegas_consumer_poll(c, -1, &chunk, &e_));
		vegas_settle(chunk);
	} else {
		wait_for(s, &s->count, 10);
	}
	CHECK(atomic_load(&asked) == 2);
	vegas_consumer_free(c);
	free(s);
}

static void closes_itself(void) {
	struct seen *s = seen_new();
	vegas_consumer *c;
	CHECK_OK(vegas_consumer_open("closes itself", "g", handle, s, NULL, &c, &e_));
	s->close = c;
	vegas_producer *p = producer("closes itself", NULL);
	send_many(p, 0, 1, 1);
	vegas_producer_free(p);
	CHECK_OK(vegas_consumer_wait(c, -1, &e_));
	CHECK(s->count == 1);
	vegas_consumer_free(c);
	free(s);
}

static int hold(void *context, const vegas_record *r, size_t count, vegas_error *why) {
	(void)r, (void)count, (void)why;
	pass(context);
	return 0;
}

/* Handlers that go on behind the grace time need their context. */
static void grace(void) {
	struct gate g = GATE;
	vegas_options *o = with(vegas_consumer_options(), "grace", "1ms");
	vegas_producer *p = producer("late", NULL);
	send_many(p, 0, 1, 1);
	vegas_consumer *c;
	CHECK_OK(vegas_consumer_open("late", "g", hold, &g, o, &c, &e_));
	await(&g, &g.came);
	CHECK_ERROR(vegas_consumer_close(c, &e_), VEGAS_GRACE_OVER, "shardId-000000000000 (unfinished records: 1)");
	CHECK_ERROR(vegas_consumer_close(c, &e_), VEGAS_GRACE_OVER, "shardId-000000000000 (unfinished records: 1)");
	CHECK_ERROR(vegas_consumer_wait(c, -1, &e_), VEGAS_GRACE_OVER, "(unfinished records: 1)");
	vegas_options_free(o);
	open_gate(&g);
	await(&g, &g.left);
	vegas_consumer_free(c);
	vegas_producer_free(p);
}

/* ---- The process */

static atomic_int lines, left;

static void on_log(void *context, vegas_level level, const char *text) {
	if (strstr(text, "\"stuck\": the program ends with 2 records that have no result") != NULL) {
		atomic_fetch_add(&left, 1);
	}
	if (strcmp(text, "a line n=1 s=t") == 0 && context == &lines && level == VEGAS_WARN) {
		atomic_fetch_add(&lines, 1);
	}
}

/* Nothing hangs in a child. */
static void forks(void) {
	int pipes[2];
	char said = 0;
	vegas_producer *p = producer("forks", NULL);
	vegas_consumer *c;
	CHECK_OK(vegas_consumer_open("forks", "g", NULL, NULL, NULL, &c, &e_));
	CHECK(pipe(pipes) == 0);
	pid_t child = fork();
	if (child == 0) {
		alarm(10);
		vegas_error err = {0};
		vegas_chunk *chunk;
		bool fine = vegas_send(p, "k", "x", 1, NULL, &err) == VEGAS_ENGINE_GONE && strstr(err.text, "child of a fork");
		fine = fine && vegas_flush(p, -1, &err) == VEGAS_ENGINE_GONE && vegas_consumer_close(c, &err) == VEGAS_ENGINE_GONE;
		fine = fine && vegas_consumer_poll(c, -1, &chunk, &err) == VEGAS_ENGINE_GONE;
		fine = fine && vegas_producer_open("s", NULL, &p, &err) == VEGAS_ENGINE_GONE;
		vegas_consumer_free(c);
		(void)!write(pipes[1], fine ? "y" : "n", 1);
		raise(SIGKILL);
	}
	CHECK(child > 0 && read(pipes[0], &said, 1) == 1 && said == 'y');
	waitpid(child, NULL, 0);
	close(pipes[0]);
	close(pipes[1]);
	vegas_producer_free(p);
	vegas_consumer_free(c);
}

static void locals(void) {
	vegas_local *l;
	CHECK_ERROR(vegas_local_open("[]", &l, &e_), VEGAS_BAD_OPTION, "want a JSON object");
	CHECK_ERROR(vegas_local_open("{", &l, &e_), VEGAS_BAD_OPTION, "no JSON");
	CHECK_OK(vegas_local_open("{\"streams\": {\"orders\": 2}}", &l, &e_));
	CHECK(vegas_local_environment(l)[0] == NULL);
	vegas_local_free(l);
}

static atomic_int begun, sent_last;

/* At the exit producers wait for handlers, whichever was opened first. */
static int send_last(void *context, const vegas_record *r, size_t count, vegas_error *why) {
	(void)count, (void)why;
	atomic_store(&begun, 1);
	while (vegas_shard_stopping(r->shard) == VEGAS_STOP_NONE) {
		poll(NULL, 0, 1);
	}
	poll(NULL, 0, 200);
	CHECK_OK(vegas_send(*(vegas_producer **)context, "k", "x", 1, NULL, &e_));
	atomic_store(&sent_last, 1);
	return 0;
}

static void on_stuck(void *context, const vegas_result *r) {
	(void)context;
	CHECK(r->status == VEGAS_UNKNOWN);
}

static void leave_open(void) {
	static vegas_producer *p, *stuck;
	static vegas_consumer *polled, *handled;
	CHECK_OK(vegas_consumer_open("left open", "g", send_last, &p, NULL, &handled, &e_));
	p = producer("left open", NULL);
	vegas_options *o = vegas_producer_options();
	vegas_options_on_result(o, on_stuck, NULL);
	stuck = producer("stuck", o);
	send_many(stuck, 0, 2, 1);
	send_many(p, 0, 10, 1);
	CHECK_OK(vegas_consumer_open("left open, too", "g", NULL, NULL, NULL, &polled, &e_));
	while (atomic_load(&begun) == 0) {
		poll(NULL, 0, 1);
	}
}

static void at_end(void) {
	CHECK(atomic_load(&sent_last) == 1 && atomic_load(&left) == 1);
	fake_engine_forget();
}

int main(void) {
	alarm(300);
	atexit(at_end);
	vegas_log_to(VEGAS_WARN, on_log, &lines);
	flushes();
	refusals();
	polls();
	calls_back();
	fails();
	quiet();
	statistics();
	engine_ends("die", "ended");
	engine_ends("garble", "frame of kind");
	engine_ends("forged", "frame of kind");
	many_threads();
	handles("in order", "parallel", "1");
	handles("side by side", "parallel", "4");
	batches();
	polls_chunks();
	times_out();
	long_failures();
	positions(false);
	positions(true);
	closes_itself();
	grace();
	locals();
	forks();
	CHECK(atomic_load(&lines) == 4);
	leave_open(); /* and the exit closes it */
	puts("fake engine: all is well");
	return 0;
}
