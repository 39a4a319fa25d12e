/* The library over the engine and its local Kinesis. SAMPLE names the sample's
 * program; the argument brief leaves out what takes long. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "vegas.h"

extern char **environ;

/* A program may have changed its environment before the library's own constructor runs,
 * as one that is preloaded does: the engine's runtime begins all the same. */
__attribute__((constructor(101))) static void move_environment(void) {
	enum { HALF = 1000 };
	static char *moved[2 * HALF];
	memset(moved, 0xff, HALF * sizeof moved[0]);
	for (size_t i = 0; environ[i] != NULL && i < HALF - 1; i++) {
		moved[HALF + i] = environ[i];
	}
	environ = moved + HALF;
}

static vegas_local *local;
static bool brief;

static vegas_options *with(vegas_options *o, const char *name, const char *value) {
	CHECK_OK(vegas_options_set(o, name, value, &e_));
	return o;
}

static vegas_producer *producer(const char *stream, vegas_options *o) {
	vegas_producer *p = NULL;
	with(o, "endpoint", vegas_local_endpoint(local));
	CHECK_OK(vegas_producer_open(stream, o, &p, &e_));
	vegas_options_free(o);
	return p;
}

static vegas_options *fast(void) {
	vegas_options *o = with(vegas_consumer_options(), "endpoint", vegas_local_endpoint(local));
	with(o, "poll_idle", "50ms");
	with(o, "poll_busy", "20ms");
	if (brief) { /* valgrind takes its time */
		with(with(o, "lease_time", "60s"), "store", "memory");
	}
	return with(o, "checkpoint_every", "100ms");
}

static vegas_consumer *consumer(const char *stream, vegas_handler *handler, void *context, vegas_options *o) {
	vegas_consumer *c = NULL;
	CHECK_OK(vegas_consumer_open(stream, "g", handler, context, o, &c, &e_));
	vegas_options_free(o);
	return c;
}

struct box {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int count, fails;
	int next[1000];
	bool wrong;
	vegas_consumer *checkpoints; /* the consumer, where each record is checkpointed */
};

#define BOX {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}

static void tell(struct box *b, int *what) {
	pthread_mutex_lock(&b->lock);
	++*what;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

static void wait_for(struct box *b, int *what, int n) {
	pthread_mutex_lock(&b->lock);
	while (*what < n) {
		pthread_cond_wait(&b->changed, &b->lock);
	}
	pthread_mutex_unlock(&b->lock);
}

/* ---- All that a record has */

static int look(void *context, const vegas_record *r, size_t count, vegas_error *why) {
	(void)why;
	struct box *b = context;
	CHECK(count == 1 && !strcmp(vegas_shard_stream(r->shard), "records") && r->attempt == 1 && r->arrival_time > 1700000000000);
	CHECK(!strcmp(vegas_shard_id(r->shard), "shardId-000000000000") || !strcmp(vegas_shard_id(r->shard), "shardId-000000000001"));
	if (r->size == 1) {
		vegas_header h[3];
		CHECK(!strcmp(vegas_shard_id(r->shard), "shardId-000000000000"));
		CHECK(vegas_record_headers(r, h, 3) == 2 && h[1].name_size == 2 && !memcmp(h[1].name, "\xc3\x9f", 2) && h[1].size == 0);
		size_t size;
		CHECK(!memcmp(vegas_record_header(r, "a", &size), "1\0", 2) && size == 2);
	}
	tell(b, &b->count);
	return 0;
}

static void records(void) {
	struct box b = BOX;
	vegas_consumer *c = consumer("records", look, &b, fast());
	vegas_options *o = vegas_producer_options();
	vegas_options_poll(o);
	vegas_producer *p = producer("records", o);
	CHECK_OK(vegas_producer_check(p, &e_));
	CHECK_OK(vegas_consumer_check(c, &e_));
	static char large[2 << 20];
	uint64_t token;
	vegas_header h[] = {{"a", 1, "1\0", 2}, {"\xc3\x9f", 2, NULL, 0}};
	vegas_message m = {.key = "\xc3\xbc", .key_size = 2, .data = "x", .size = 1, .headers = h, .header_count = 2, .hash_key = "1"};
	CHECK_OK(vegas_send(p, "k", NULL, 0, NULL, &e_));
	CHECK_OK(vegas_send(p, "k", large, (1 << 20) - 100, NULL, &e_));
	CHECK_OK(vegas_send_message(p, &m, &token, &e_));
	CHECK(token == 2);
	CHECK_OK(vegas_send(p, "k", large, sizeof large, NULL, &e_)); /* more than the stream takes */
	CHECK_OK(vegas_flush(p, -1, &e_));
	bool seen[4] = {false};
	vegas_result r[4];
	for (size_t n, all = 0; all < 4; all += n) {
		n = vegas_poll(p, r, 4, 1000);
		CHECK(n > 0);
		for (size_t i = 0; i < n; i++) {
			CHECK(!seen[r[i].token]);
			seen[r[i].token] = true;
			CHECK((r[i].token == 3) == (r[i].status == VEGAS_NOT_STORED));
			CHECK(r[i].token == 3 ? r[i].error->code == VEGAS_TOO_LARGE : strlen(r[i].sequence) > 40 && *r[i].shard == 's');
		}
	}
	wait_for(&b, &b.count, 3);
	char *json;
	CHECK_OK(vegas_producer_stats(p, &json, &e_));
	CHECK(*json == '{' && strstr(json, "records_open") != NULL);
	free(json);
	CHECK_OK(vegas_producer_close(p, -1, &e_));
	vegas_producer_free(p);
	CHECK_OK(vegas_consumer_close(c, &e_));
	vegas_consumer_free(c);
}

/* ---- Order */

static int count_up(void *context, const vegas_record *r, size_t count, vegas_error *why) {
	(void)why;
	struct box *b = context;
	pthread_mutex_lock(&b->lock);
	for (size_t i = 0; i < count; i++) {
		char data[20] = "";
		memcpy(data, r[i].data, r[i].size);
		int key = atoi(r[i].partition_key), n = atoi(data);
		b->wrong |= n != b->next[key];
		b->next[key] = n + 1;
		b->count++;
	}
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	return 0;
}

static void many(const char *stream, const char *option, const char *value) {
	static struct box b;
	b = (struct box)BOX;
	int n = brief ? 2000 : 100000;
	vegas_consumer *c = consumer(stream, count_up, &b, with(fast(), option, value));
	vegas_producer *p = producer(stream, vegas_producer_options());
	for (int i = 0; i < n; i++) {
		char key[20], data[20];
		snprintf(key, sizeof key, "%d", i % 1000);
		int size = snprintf(data, sizeof data, "%d", i / 1000);
		CHECK_OK(vegas_send(p, key, data, (size_t)size, NULL, &e_));
	}
	CHECK_OK(vegas_producer_close(p, -1, &e_));
	vegas_producer_free(p);
	wait_for(&b, &b.count, n);
	CHECK(!b.wrong);
	vegas_consumer_free(c);
}

/* ---- Failures, checkpoints, statistics */

static int fail_once(void *context, const vegas_record *r, size_t count, vegas_error *why) {
	(void)count;
	struct box *b = context;
	if (memcmp(r->data, "bad", 3) == 0) {
		tell(b, &b->fails);
		snprintf(why->text, sizeof why->text, "no good");
		return 1;
	}
	tell(b, &b->count);
	return 0;
}

static atomic_int told;

static void on_stats(void *context, const char *json) {
	CHECK(context == &told && *json == '{');
	atomic_fetch_add(&told, 1);
}

static void skips(void) {
	struct box b = BOX;
	vegas_options *o = with(with(fast(), "on_error", "skip"), "max_attempts", "2");
	vegas_options_on_stats(o, on_stats, &told);
	vegas_consumer *c = consumer("skips", fail_once, &b, with(o, "stats_every", "100ms"));
	vegas_producer *p = producer("skips", vegas_producer_options());
	const char *const all[] = {"1__", "bad", "2__"};
	for (int i = 0; i < 3; i++) {
		CHECK_OK(vegas_send(p, "k", all[i], 3, NULL, &e_));
	}
	wait_for(&b, &b.count, 2);
	CHECK(b.fails == 2);
	while (atomic_load(&told) == 0) {
		poll(NULL, 0, 10);
	}
	vegas_consumer_free(c);

	/* A policy that ends the consumer, with the handler's words. */
	struct box stops = BOX;
	c = consumer("skips", fail_once, &stops, with(with(with(fast(), "on_error", "stop"), "max_attempts", "1"), "store", "memory"));
	CHECK_ERROR(vegas_consumer_wait(c, -1, &e_), VEGAS_HANDLER, "no good");
	vegas_consumer_free(c);
	vegas_producer_free(p);
}

static void checkpoints(void) {
	vegas_producer *p = producer("checkpoints", vegas_producer_options());
	for (int i = 0; i < 10; i++) {
		CHECK_OK(vegas_send(p, "k", "x", 1, NULL, &e_));
	}
	vegas_producer_free(p);
	int seen = 0;
	for (int round = 0; round < 2; round++) { /* 6 records, then those behind the checkpoint */
		vegas_consumer *c = consumer("checkpoints", NULL, NULL, with(fast(), "checkpoint", "manual"));
		int want = round ? 4 : 6;
		while (want > 0) {
			vegas_chunk *chunk;
			CHECK_OK(vegas_consumer_poll(c, -1, &chunk, &e_));
			size_t n;
			const vegas_record *r = vegas_chunk_records(chunk, &n);
			for (size_t i = 0; i < n && want > 0; i++, want--, seen++) {
				if (want == 1) {
					CHECK_OK(vegas_checkpoint(c, &r[i], &e_));
				}
				vegas_chunk_done(chunk, i, i + 1);
			}
			vegas_settle(chunk);
		}
		CHECK_OK(vegas_consumer_close(c, &e_));
		vegas_consumer_free(c);
	}
	CHECK(seen == 10);
}

static void errors(void) {
	vegas_producer *p = producer("no-such-stream", vegas_producer_options());
	CHECK_ERROR(vegas_producer_check(p, &e_), VEGAS_NOT_FOUND, "no-such-stream");
	vegas_producer_free(p);
	CHECK_ERROR(vegas_producer_open("not a name!", NULL, &p, &e_), VEGAS_BAD_OPTION, "name");
	vegas_consumer *c;
	vegas_options *o = with(vegas_consumer_options(), "store", "nothing:else");
	CHECK_ERROR(vegas_consumer_open("s", "g", fail_once, NULL, o, &c, &e_), VEGAS_BAD_OPTION, "nothing:else");
	vegas_options_free(o);
}

/* ---- The process */

static void forks(void) {
	int pipes[2];
	char said = 0;
	vegas_producer *p = producer("forks", vegas_producer_options());
	CHECK(pipe(pipes) == 0);
	pid_t child = fork();
	if (child == 0) {
		alarm(10);
		vegas_error err = {0};
		bool fine = vegas_send(p, "k", "x", 1, NULL, &err) == VEGAS_ENGINE_GONE;
		vegas_producer_free(p);
		fine = fine && vegas_producer_open("s", NULL, &p, &err) == VEGAS_ENGINE_GONE && write(pipes[1], "y", 1) == 1;
		_exit(!fine); /* and exit() would not hang either: see the last test */
	}
	CHECK(child > 0 && read(pipes[0], &said, 1) == 1 && said == 'y');
	int status;
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	vegas_producer_free(p);
}

/* Runs the sample with the local Kinesis in its environment. */
static void sample(void) {
	const char *path = getenv("SAMPLE");
	if (path == NULL) {
		return;
	}
	int in[2], out[2];
	CHECK(pipe(in) == 0 && pipe(out) == 0);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	posix_spawn_file_actions_addclose(&actions, in[1]);
	posix_spawn_file_actions_addclose(&actions, out[0]);
	char *const arguments[] = {(char *)(uintptr_t)path, NULL};
	pid_t child;
	CHECK(posix_spawn(&child, path, &actions, NULL, arguments, (char *const *)(uintptr_t)vegas_local_environment(local)) == 0);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	char text[1000] = "";
	size_t size = 0;
	/* Its output is a pipe, and a line of it may come at its end. */
	for (bool asked = false; strstr(text, "partition-key:message") == NULL;) {
		ssize_t n = read(out[0], text + size, sizeof text - 1 - size);
		if (n <= 0) {
			break;
		}
		size += (size_t)n;
		text[size] = 0;
		if (!asked && strstr(text, "Consumer is running") != NULL) {
			asked = true;
			poll(NULL, 0, 3000);
			CHECK(write(in[1], "\n", 1) == 1);
		}
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child && status == 0 && strstr(text, "partition-key:message") != NULL);
	close(in[1]);
	close(out[0]);
}

int main(int count, char **arguments) {
	brief = count > 1 && strcmp(arguments[1], "brief") == 0;
	alarm(300);
	CHECK_OK(vegas_local_open("{\"no_limits\": true, \"streams\": {\"stream-name\": 1, \"records\": 2, \"many\": 4, \"aside\": 2, \"batches\": 1,"
	                          " \"skips\": 1, \"checkpoints\": 1, \"forks\": 1, \"exit\": 1}}",
	                          &local, &e_));
	records();
	many("many", "parallel", "1");
	many("aside", "parallel", "8");
	many("batches", "batch", "true");
	skips();
	errors();
	if (!brief) {
		checkpoints();
		forks();
		sample();
	}
	/* What is left open is closed at the exit. */
	vegas_producer *p = producer("exit", vegas_producer_options());
	CHECK_OK(vegas_send(p, "k", "x", 1, NULL, &e_));
	static struct box b = BOX;
	(void)consumer("exit", fail_once, &b, fast());
	puts("engine: all is well");
	return 0;
}
