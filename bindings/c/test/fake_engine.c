/* An engine without a service: keeps records in memory, and does by a stream's name
 * what a test wants. One shard for each consumer.
 *
 *   anything   stores each record at once, and delivers it to consumers
 *   quiet      reports at flush and close only
 *   fail       refuses each record: throttled
 *   die        ends at the first record
 *   garble     answers the first record by bytes that are no frame
 *   forged     reports a record that was not sent
 *   tells      has statistics with each frame of records
 *   late       does not wait for what consumers handle, and says so
 *   stuck      has no result of any record, and says so at the end
 *   times out  ends its consumers: timeout
 */
#include <pthread.h>

#include "check.h"
#include "engine.h"
#include "wire.h"

enum { STREAMS = 32, RECORDS = 20000 };

struct kept {
	unsigned char *bytes; /* key, hash, headers, data */
	uint32_t data, headers;
	uint16_t key;
	uint8_t hash;
	int attempts;
	bool done;
};

struct stream {
	char name[40];
	size_t count;
	struct kept records[RECORDS];
};

struct client {
	struct client *next;
	uint32_t number;
	bool consumer;
	char name[40];
	struct stream *stream;
	/* Producer. */
	uint64_t first;
	uint32_t held;
	/* Consumer. */
	uint32_t shard, chunk;
	bool ready, under_way, closing, ended;
	int64_t closing_call, limit, start_call, end_call;
	size_t from, under_way_from, count;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct stream *streams[STREAMS];
static struct client *clients;
static struct vgs_buffer in, out;
static int32_t engine;
static bool over;
static int64_t calls;
static uint32_t shards;

static struct stream *stream_of(const char *name) {
	for (int i = 0; i < STREAMS; i++) {
		if (streams[i] == NULL) {
			streams[i] = vgs_alloc_zero(sizeof *streams[i]);
			snprintf(streams[i]->name, sizeof streams[i]->name, "%s", name);
		}
		if (strcmp(streams[i]->name, name) == 0) {
			return streams[i];
		}
	}
	abort();
}

void fake_engine_forget(void) {
	for (int i = 0; i < STREAMS; i++) {
		for (size_t k = 0; streams[i] != NULL && k < streams[i]->count; k++) {
			free(streams[i]->records[k].bytes);
		}
		free(streams[i]);
		streams[i] = NULL;
	}
	while (clients != NULL) {
		struct client *c = clients;
		clients = c->next;
		free(c);
	}
	vgs_free_buffer(&in);
	vgs_free_buffer(&out);
}

static struct client *client_of(int64_t number) {
	struct client *c = clients;
	while (c != NULL && c->number != number) {
		c = c->next;
	}
	CHECK(c != NULL);
	return c;
}

static void put_json(int kind, const char *json) {
	size_t start = vgs_begin_frame(&out, kind);
	CHECK(vgs_from_json(&out, json, NULL));
	vgs_end_frame(&out, start);
}

static void answer(int64_t call, const char *more) {
	char json[200];
	snprintf(json, sizeof json, "{\"call\":%lld%s}", (long long)call, more);
	put_json(VGS_KIND_ANSWER, json);
}

static void call(struct client *c, const char *method) {
	char json[300];
	snprintf(json, sizeof json,
	         "{\"call\":%lld,\"method\":\"%s\",\"consumer\":%u,\"shard\":%u,\"id\":\"shardId-000000000000\",\"stream\":\"%s\","
	         "\"parents\":[],\"possession\":7,\"sequence\":\"TRIM_HORIZON\",\"sub\":0,\"takeovers\":0,\"why\":\"shutdown\"}",
	         (long long)++calls, method, c->number, c->shard, c->name);
	put_json(VGS_KIND_CALL, json);
}

static void start_shard(struct client *c) {
	c->shard = ++shards;
	call(c, VGS_METHOD_START_SHARD);
	c->start_call = calls;
}

static void feed(struct client *c) {
	struct stream *s = c->stream;
	if (!c->ready || c->under_way || c->closing || c->ended) {
		return;
	}
	if (strcmp(c->name, "times out") == 0) {
		char json[150];
		snprintf(json, sizeof json, "{\"event\":\"consumer_ended\",\"consumer\":%u,\"error\":{\"code\":\"timeout\",\"text\":\"took too long\"}}",
		         c->number);
		put_json(VGS_KIND_EVENT, json);
		c->ended = true;
		return;
	}
	while (c->from < s->count && s->records[c->from].done) {
		c->from++;
	}
	size_t count = 0;
	while (c->from + count < s->count && count < 1000 && !s->records[c->from + count].done) {
		count++;
	}
	if (count == 0) {
		return;
	}
	bool dead = c->limit > 0 && s->records[c->from].attempts >= c->limit;
	if (dead) {
		count = 1;
	}
	size_t start = vgs_begin_frame(&out, VGS_KIND_DELIVER);
	vgs_put32(&out, c->number);
	vgs_put32(&out, c->shard);
	vgs_put32(&out, c->chunk++);
	vgs_put32(&out, 5);
	vgs_put8(&out, dead);
	vgs_put32(&out, (uint32_t)count);
	vgs_put32(&out, dead ? 10 : 0);
	vgs_put(&out, "last words", dead ? 10 : 0);
	char number[24];
	for (size_t i = c->from; i < c->from + count; i++) {
		struct kept *k = &s->records[i];
		vgs_put32(&out, k->data);
		vgs_put32(&out, k->headers);
		vgs_put16(&out, k->key);
		vgs_put8(&out, k->hash);
		vgs_put8(&out, (uint8_t)snprintf(number, sizeof number, "%zu", i + 1));
		vgs_put16(&out, 1);
		vgs_put16(&out, (uint16_t)(k->attempts + 1));
		vgs_put64(&out, 0);
		vgs_put64(&out, 1700000000000);
	}
	for (size_t i = c->from; i < c->from + count; i++) {
		struct kept *k = &s->records[i];
		size_t texts = (size_t)k->key + k->hash;
		vgs_put(&out, k->bytes, texts);
		vgs_put(&out, number, (size_t)snprintf(number, sizeof number, "%zu", i + 1));
		vgs_put(&out, k->bytes + texts, k->headers + k->data);
	}
	vgs_end_frame(&out, start);
	c->under_way = true;
	c->under_way_from = c->from;
	c->count = count;
}

static void end_shard(struct client *c) {
	call(c, VGS_METHOD_END_SHARD);
	c->end_call = calls;
}

static void end_consumer(struct client *c) {
	char json[300];
	const char *late = ",\"error\":{\"code\":\"grace_over\",\"text\":\"shardId-000000000000 (unfinished records: 1)\",\"remedy\":\"return\"}";
	snprintf(json, sizeof json, "{\"event\":\"consumer_ended\",\"consumer\":%u%s}", c->number, c->under_way ? late : "");
	put_json(VGS_KIND_EVENT, json);
	answer(c->closing_call, "");
	c->ended = true;
}

static void settle(struct vgs_view body) {
	struct client *c = client_of(vgs_load32(body.at));
	CHECK(body.size >= 21 && c->under_way && vgs_load32(body.at + 4) == c->shard && vgs_load32(body.at + 8) == c->chunk - 1);
	bool last = body.at[12] & 1;
	uint32_t ranges = vgs_load32(body.at + 13), failures = vgs_load32(body.at + 17);
	const unsigned char *at = body.at + 21;
	for (; ranges > 0; ranges--, at += 8) {
		uint32_t from = vgs_load32(at), to = vgs_load32(at + 4);
		CHECK(from < to && to <= c->count);
		for (uint32_t i = from; i < to; i++) {
			struct kept *k = &c->stream->records[c->under_way_from + i];
			CHECK(!k->done);
			k->done = true;
		}
	}
	for (; failures > 0; failures--) {
		uint32_t index = vgs_load32(at), size = vgs_load32(at + 4);
		CHECK(last && index < c->count && size > 0);
		c->stream->records[c->under_way_from + index].attempts++;
		at += 8 + size;
	}
	CHECK(at == body.at + body.size);
	if (last) {
		c->under_way = false;
		if (c->closing && !c->ended) {
			end_shard(c);
		}
		feed(c);
	}
}

static void report(struct client *c, uint64_t first, uint32_t count) {
	bool fails = strcmp(c->name, "fail") == 0;
	size_t start = vgs_begin_frame(&out, VGS_KIND_REPORT);
	vgs_put32(&out, c->number);
	vgs_put32(&out, 1);
	vgs_put8(&out, fails ? VEGAS_NOT_STORED : VEGAS_STORED);
	vgs_put8(&out, 0);
	struct vgs_buffer text = {0};
	if (fails) {
		CHECK(vgs_from_json(&text, "{\"code\":\"throttled\",\"text\":\"refused\",\"remedy\":\"send less\"}", NULL));
	} else {
		vgs_put(&text, "shardId-000000000000\0" "49", 23);
	}
	vgs_put16(&out, (uint16_t)text.size);
	vgs_put32(&out, count);
	vgs_put(&out, text.at, text.size);
	vgs_free_buffer(&text);
	for (uint32_t i = 0; i < count; i++) {
		vgs_put64(&out, first + i);
		vgs_put64(&out, i);
	}
	vgs_end_frame(&out, start);
}

static void sent(struct vgs_view body) {
	struct client *c = client_of(vgs_load32(body.at));
	uint64_t first = vgs_load64(body.at + 4);
	uint32_t count = vgs_load32(body.at + 12);
	CHECK(first == c->first + c->held && count > 0);
	if (strcmp(c->name, "die") == 0) {
		over = true;
		return;
	}
	if (strcmp(c->name, "garble") == 0) {
		vgs_put(&out, "\xff\xff\xff\xff\xff", 5);
		return;
	}
	const unsigned char *row = body.at + VGS_SEND_HEAD, *at = row + (size_t)count * VGS_SEND_ROW;
	for (uint32_t i = 0; i < count; i++, row += VGS_SEND_ROW) {
		struct kept k = {.data = vgs_load32(row), .headers = vgs_load32(row + 4), .key = vgs_load16(row + 8), .hash = row[10]};
		size_t size = (size_t)k.data + k.headers + k.key + k.hash;
		if (c->stream->count < RECORDS) {
			k.bytes = vgs_alloc(size);
			memcpy(k.bytes, at, size);
			c->stream->records[c->stream->count++] = k;
		}
		at += size;
	}
	CHECK(at == body.at + body.size);
	if (strcmp(c->name, "tells") == 0) {
		char json[80];
		snprintf(json, sizeof json, "{\"event\":\"stats\",\"producer\":%u,\"stats\":{\"n\":1}}", c->number);
		put_json(VGS_KIND_EVENT, json);
	}
	if (strcmp(c->name, "quiet") == 0 || strcmp(c->name, "stuck") == 0) {
		c->held += count;
	} else {
		c->first = first + count;
		report(c, strcmp(c->name, "forged") == 0 ? first + 1000 : first, count);
	}
	for (struct client *other = clients; other != NULL; other = other->next) {
		if (other->consumer && other->stream == c->stream) {
			feed(other);
		}
	}
}

static void called(struct vgs_view body) {
	struct vgs_view method = vgs_find_text(body, "method");
	int64_t number = vgs_find_whole(body, "call", 0), of = vgs_find_whole(body, "producer", vgs_find_whole(body, "consumer", 0));
	if (vgs_same(method, VGS_METHOD_OPEN_PRODUCER) || vgs_same(method, VGS_METHOD_OPEN_CONSUMER)) {
		struct client *c = vgs_alloc_zero(sizeof *c);
		vgs_cut(c->name, sizeof c->name, vgs_find_text(body, "stream"));
		c->number = (uint32_t)of;
		c->consumer = vgs_same(method, VGS_METHOD_OPEN_CONSUMER);
		c->stream = stream_of(c->name);
		struct vgs_buffer options = {0};
		struct vgs_view all = body;
		struct vgs_value map = vgs_read(&all);
		for (uint32_t n = map.count; n > 0; n--) {
			struct vgs_view key = vgs_read_key(&all), before = all;
			vgs_skip(&all);
			if (vgs_same(key, "options")) {
				vgs_put(&options, before.at, before.size - all.size);
			}
		}
		int64_t window = vgs_find_whole(vgs_view_of(&options), "buffer_bytes", 64 << 20);
		c->limit = vgs_find_whole(vgs_view_of(&options), "max_attempts", 0);
		vgs_free_buffer(&options);
		if (strcmp(c->name, "no such stream") == 0) {
			free(c);
			answer(number, ",\"error\":{\"code\":\"bad_option\",\"text\":\"no name\"}");
			return;
		}
		c->next = clients;
		clients = c;
		char more[100];
		snprintf(more, sizeof more, ",\"window_bytes\":%lld,\"record_cost\":100,\"worker\":\"w\"", (long long)window);
		answer(number, more);
		if (c->consumer) {
			start_shard(c);
		}
	} else if (vgs_same(method, VGS_METHOD_FLUSH) || vgs_same(method, VGS_METHOD_CLOSE_PRODUCER)) {
		struct client *c = client_of(of);
		if (c->held > 0 && strcmp(c->name, "stuck") != 0) {
			report(c, c->first, c->held);
			c->first += c->held;
			c->held = 0;
		}
		char left[30];
		snprintf(left, sizeof left, ",\"left\":%u", c->held);
		answer(number, left);
	} else if (vgs_same(method, VGS_METHOD_CLOSE_CONSUMER)) {
		struct client *c = client_of(of);
		if (c->closing) {
			answer(number, "");
			return;
		}
		c->closing = true;
		c->closing_call = number;
		size_t start = vgs_begin_frame(&out, VGS_KIND_STOP);
		vgs_put32(&out, c->number);
		vgs_put32(&out, c->shard);
		vgs_put8(&out, VEGAS_STOP_SHUTDOWN);
		vgs_end_frame(&out, start);
		if (!c->under_way) {
			end_shard(c);
		} else if (strcmp(c->name, "late") == 0) {
			end_consumer(c);
		}
	} else if (vgs_same(method, VGS_METHOD_CHECKPOINT)) {
		answer(number, ",\"error\":{\"code\":\"lease_lost\",\"text\":\"of another worker\"}");
	} else if (vgs_same(method, VGS_METHOD_STATS)) {
		answer(number, ",\"stats\":{\"records_sent\":3,\"lanes\":[]}");
	} else {
		answer(number, "");
	}
}

static void answered(struct vgs_view body) {
	int64_t number = vgs_find_whole(body, "call", 0);
	for (struct client *c = clients; c != NULL; c = c->next) {
		if (c->closing && c->end_call == number) {
			end_consumer(c);
			return;
		}
	}
	struct vgs_value error = vgs_find(body, "error");
	for (struct client *c = clients; c != NULL; c = c->next) {
		if (!c->consumer || c->start_call != number || c->closing) {
			continue;
		}
		if (error.tag != VGS_NOTHING) { /* the shard starts anew */
			start_shard(c);
		} else {
			c->ready = true;
			feed(c);
		}
		return;
	}
}

static void take(int kind, struct vgs_view body) {
	switch (kind) {
	case VGS_KIND_HELLO:
		put_json(VGS_KIND_HELLO, "{\"protocol\":1,\"version\":\"fake\",\"pid\":1,\"capabilities\":[],\"extensions\":[]}");
		put_json(VGS_KIND_EVENT, "{\"event\":\"log\",\"level\":\"warn\",\"text\":\"a line\",\"attrs\":{\"n\":1,\"s\":\"t\"}}");
		put_json(99, "[]");
		break;
	case VGS_KIND_CALL:
		called(body);
		break;
	case VGS_KIND_ANSWER:
		answered(body);
		break;
	case VGS_KIND_SEND:
		sent(body);
		break;
	case VGS_KIND_SETTLE:
		settle(body);
		break;
	default:
		abort();
	}
}

int32_t vegas_engine_open(void) {
	pthread_mutex_lock(&lock);
	while (clients != NULL) {
		struct client *c = clients;
		clients = c->next;
		free(c);
	}
	in.size = out.size = 0;
	over = false;
	int32_t number = ++engine;
	pthread_mutex_unlock(&lock);
	return number;
}

int32_t vegas_engine_write(int32_t number, void *from, size_t size) {
	pthread_mutex_lock(&lock);
	bool gone = over || number != engine;
	if (!gone) {
		vgs_put(&in, from, size);
		size_t used = 0;
		int kind;
		struct vgs_view body;
		long n;
		while (!over && (n = vgs_take_frame((struct vgs_view){in.at + used, in.size - used}, &kind, &body)) != 0) {
			CHECK(n > 0);
			take(kind, body);
			used += (size_t)n;
		}
		memmove(in.at, in.at + used, in.size - used);
		in.size -= used;
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&lock);
	return gone ? -1 : 0;
}

int64_t vegas_engine_read(int32_t number, void *into, size_t room, int32_t millis) {
	(void)millis;
	pthread_mutex_lock(&lock);
	while (out.size == 0 && !over && number == engine) {
		pthread_cond_wait(&changed, &lock);
	}
	int64_t got = -1;
	if (number == engine && out.size > 0) {
		/* In pieces, so that frames are cut everywhere. */
		size_t n = out.size < room ? out.size : room;
		n = n > 1000 ? n : (n + 1) / 2;
		memcpy(into, out.at, n);
		memmove(out.at, out.at + n, out.size - n);
		out.size -= n;
		got = (int64_t)n;
	}
	pthread_mutex_unlock(&lock);
	return got;
}

int32_t vegas_engine_close(int32_t number, int32_t millis) {
	(void)millis;
	pthread_mutex_lock(&lock);
	if (number == engine) {
		over = true;
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&lock);
	return 0;
}
