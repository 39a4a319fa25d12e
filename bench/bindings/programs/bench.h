/* What the programs in C and C++ have in common: what is sent, the handler's side, and
 * the records that come as lines. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
#include <atomic>
using std::atomic_int;
using std::atomic_uchar;
#else
#include <stdatomic.h>
#endif

static const char *role, *stream, *group, *warm_stream, *warm_group;
static int size, records, warm, keys, aggregated;
static char (*all_keys)[32];
static char *payload; /* of the record that is sent: it is copied */

static void failed(const char *what, const char *why) {
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static void begin(char **arguments) {
	role = arguments[1], stream = arguments[2], group = arguments[3], warm_stream = arguments[4], warm_group = arguments[5];
	size = atoi(arguments[6]), records = atoi(arguments[7]), warm = atoi(arguments[8]), keys = atoi(arguments[9]);
	aggregated = atoi(arguments[10]);
	all_keys = (char(*)[32])malloc((size_t)keys * sizeof *all_keys);
	payload = (char *)malloc((size_t)size);
	if (all_keys == NULL || payload == NULL) failed("begin", "no memory");
	for (int i = 0; i < keys; i++) snprintf(all_keys[i], sizeof *all_keys, "customer-%06d", i);
	for (int n = 0; n < size; n++) payload[n] = (char)(n * 31);
}

static const char *key(int i) { return all_keys[(int64_t)i * 7919 % keys]; }

static void number(int i) {
	for (int n = 0; n < 8; n++) payload[n] = (char)((uint64_t)i >> (56 - 8 * n));
}

static void say(const char *line) {
	puts(line);
	fflush(stdout);
}

/* Goes on when it was read what this process has cost so far. */
static void mark(const char *word) {
	say(word);
	char c;
	if (read(0, &c, 1) != 1) failed(word, "nobody reads what this costs");
}

/* Waits until what it had in memory is read. */
static void done(const char *what) {
	printf("done %s\n", what);
	fflush(stdout);
	char c;
	while (read(0, &c, 1) > 0) {
	}
}

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Who handles: each record is counted once. */
static struct {
	atomic_uchar *seen;
	int of;
	atomic_int handled, twice, all;
	double first, last;
} handled;

static void expect(int count) {
	free((void *)handled.seen);
	handled.seen = (atomic_uchar *)calloc((size_t)count, sizeof *handled.seen);
	if (handled.seen == NULL) failed("expect", "no memory");
	handled.of = count;
	handled.handled = handled.twice = handled.all = 0;
}

static void handle(const void *data, size_t bytes) {
	const unsigned char *b = (const unsigned char *)data;
	uint64_t i = 0;
	for (int n = 0; n < 8; n++) i = i << 8 | b[n];
	if (bytes < 8 || i >= (uint64_t)handled.of) failed("handle", "a record that nobody sent");
	unsigned char none = 0;
	if (!atomic_compare_exchange_strong(&handled.seen[i], &none, (unsigned char)1)) {
		atomic_fetch_add(&handled.twice, 1);
		return;
	}
	int n = atomic_fetch_add(&handled.handled, 1) + 1;
	if (n == 1) handled.first = now();
	if (n == handled.of) {
		handled.last = now();
		handled.all = 1;
	}
}

static void wait_for_all(void) {
	struct timespec a_little = {0, 200000};
	while (!handled.all) nanosleep(&a_little, NULL);
}

static const char *told(void) {
	static char text[200];
	snprintf(text, sizeof text, "{\"handled\": %d, \"twice\": %d, \"seconds\": %.6f}", (int)handled.handled, (int)handled.twice,
	         handled.last - handled.first);
	return text;
}

/* Decodes base64 up to a quote. */
static size_t decode(const char *from, unsigned char *into) {
	static signed char value[256];
	if (value['B'] == 0) {
		const char *digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
		memset(value, -1, sizeof value);
		for (int n = 0; n < 64; n++) value[(unsigned char)digits[n]] = (signed char)n;
	}
	size_t bytes = 0;
	uint32_t have = 0;
	for (int bits = 0; value[(unsigned char)*from] >= 0; from++) {
		have = have << 6 | (uint32_t)value[(unsigned char)*from];
		if ((bits += 6) >= 8) into[bytes++] = (unsigned char)(have >> (bits -= 8));
	}
	return bytes;
}

/* Does what the daemon's lines say. There is no JSON in these languages: this looks for
 * the one field that the handler needs, which takes less than to read them all. */
static void lines(void) {
	char *line = NULL;
	size_t room = 0;
	unsigned char *data = (unsigned char *)malloc((size_t)size + 8);
	if (data == NULL) failed("lines", "no memory");
	while (getline(&line, &room, stdin) > 0) {
		const char *action = "shutdownRequested";
		if (strncmp(line, "{\"action\":\"initialize\"", 22) == 0) {
			action = "initialize";
			expect(records);
		} else if (strncmp(line, "{\"action\":\"processRecords\"", 26) == 0) {
			action = "processRecords";
			for (const char *at = line; (at = strstr(at, "\"data\":\"")) != NULL;) {
				at += 8;
				handle(data, decode(at, data));
			}
		}
		printf("{\"action\":\"status\",\"responseFor\":\"%s\"}\n", action);
		fflush(stdout);
	}
	say(told());
	free(line);
	free(data);
}

/* Microseconds, as JSON. */
static void done_latency(const double *micros) {
	char *text = (char *)malloc((size_t)records * 24 + 32);
	if (text == NULL) failed("latency", "no memory");
	char *at = text + sprintf(text, "{\"micros\": [");
	for (int i = warm; i < records; i++) at += sprintf(at, "%s%.3f", i == warm ? "" : ", ", micros[i]);
	strcpy(at, "]}");
	mark("end");
	done(text);
	free(text);
}

#endif
