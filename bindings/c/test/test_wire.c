/* Bytes, options and JSON, under the sanitizers. */
#include "check.h"
#include "options.h"
#include "wire.h"

static struct vgs_view view(const char *text) { return (struct vgs_view){(const unsigned char *)text, strlen(text)}; }

/* A copy of its own size, so that a read behind its end is seen. */
static struct vgs_view exactly(const unsigned char *from, size_t size) {
	unsigned char *copy = malloc(size ? size : 1);
	if (size > 0) {
		memcpy(copy, from, size);
	}
	return (struct vgs_view){copy, size};
}

static void json(void) {
	static const char *const same[] = {
	    "null", "true", "[]", "{}", "-9223372036854775808", "0.5", "\"\\\"\\\\\\u0001\"", "[1,[2,{\"a\":[null,false]}]]",
	    "{\"a\":1,\"\":\"\xc3\xbc\"}",
	};
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		struct vgs_buffer b = {0}, back = {0};
		CHECK(vgs_from_json(&b, same[i], NULL));
		CHECK(vgs_is_value(vgs_view_of(&b)));
		struct vgs_view v = vgs_view_of(&b);
		vgs_to_json(&back, &v);
		vgs_put8(&back, 0);
		CHECK(v.size == 0 && strcmp((char *)back.at, same[i]) == 0);
		for (size_t n = 0; n < b.size; n++) { /* cut anywhere it is none */
			struct vgs_view cut = exactly(b.at, n);
			CHECK(!vgs_is_value(cut));
			free((void *)(uintptr_t)cut.at);
		}
		vgs_free_buffer(&b);
		vgs_free_buffer(&back);
	}
	struct vgs_buffer b = {0};
	CHECK(vgs_from_json(&b, " { \"a\" : [ 1 , \"\\u00fc\\ud83d\\ude00\\n\" ] } ", NULL));
	CHECK(vgs_same(vgs_read_key(&(struct vgs_view){b.at + 5, b.size - 5}), "a"));
	vgs_free_buffer(&b);
	static const char *const bad[] = {
	    "", "{", "[1", "[1,]", "{\"a\"}", "{a:1}", "\"", "\"\\x\"", "\"\\ud800\"", "1 2", "nul", "--1", "1e999", "\"\xff\"", "\"\n\"",
	    "[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		vegas_error e_ = {0};
		CHECK(!vgs_from_json(&b, bad[i], &e_) && e_.code == VEGAS_BAD_OPTION && b.size == 0);
	}
	vgs_free_buffer(&b);
}

static void errors(void) {
	vegas_error e;
	struct vgs_buffer b = {0};
	CHECK(vgs_from_json(&b, "{\"code\":\"too_large\",\"text\":\"big\",\"remedy\":\"less\",\"unknown\":true,\"more\":[1]}", NULL));
	struct vgs_view v = vgs_view_of(&b);
	vgs_read_error(vgs_read(&v), &e);
	CHECK(e.code == VEGAS_TOO_LARGE && e.unknown && !strcmp(e.text, "big") && !strcmp(e.remedy, "less"));
	vgs_free_buffer(&b);
	CHECK(vgs_from_json(&b, "{\"code\":\"of a later engine\",\"text\":1}", NULL));
	v = vgs_view_of(&b);
	vgs_read_error(vgs_read(&v), &e);
	CHECK(e.code == VEGAS_FAILED && !e.unknown);
	vgs_free_buffer(&b);
	CHECK(!strcmp(vegas_code_name(VEGAS_LEASE_LOST), "lease_lost") && !strcmp(vegas_code_name((vegas_code)999), "failed"));
	char text[5];
	vgs_cut(text, sizeof text, view("abc\xc3\xbc"));
	CHECK(!strcmp(text, "abc"));
	CHECK(vgs_characters(view("a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80")) == 4);
	static const char *const bad[] = {"\x80", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xff"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		CHECK(vgs_characters(view(bad[i])) == -1);
	}
}

static void options(void) {
	vegas_options *o = vegas_producer_options();
	static const struct {
		const char *name, *value;
		int64_t want;
	} good[] = {
	    {"linger", "5ms", 5000}, {"linger", "1.5s", 1500000}, {"linger", "7", 7}, {"linger", "2 min", 120000000}, {"linger", "0", 0},
	    {"buffer_bytes", "64MiB", 64 << 20}, {"buffer_bytes", "0.5KiB", 512}, {"max_requests", "3", 3}, {"aggregate", "false", 0},
	};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		vegas_error e_;
		CHECK(vegas_options_set(o, good[i].name, good[i].value, &e_) == VEGAS_OK);
		CHECK(vgs_option_number(o, good[i].name) == good[i].want);
	}
	CHECK_ERROR(vegas_options_set(o, "lingr", "1s", &e_), VEGAS_BAD_OPTION, "did you mean linger?");
	CHECK_ERROR(vegas_options_set(o, "xyz", "1s", &e_), VEGAS_BAD_OPTION, "no option xyz");
	CHECK_ERROR(vegas_options_set(o, "linger", "5 parsecs", &e_), VEGAS_BAD_OPTION, "want a duration");
	CHECK_ERROR(vegas_options_set(o, "linger", "-1", &e_), VEGAS_BAD_OPTION, "want a duration");
	CHECK_ERROR(vegas_options_set(o, "linger", "99999999999999h", &e_), VEGAS_BAD_OPTION, "want a duration");
	CHECK_ERROR(vegas_options_set(o, "aggregate", "yes", &e_), VEGAS_BAD_OPTION, "true or false");
	CHECK_ERROR(vegas_options_set(o, "on_failure", "fail", &e_), VEGAS_BAD_OPTION, "fail_record");
	CHECK_ERROR(vegas_options_set(o, "on_stats", "x", &e_), VEGAS_BAD_OPTION, "vegas_options_on_stats");
	CHECK_ERROR(vegas_options_set(o, "engine", "x", &e_), VEGAS_BAD_OPTION, "in this library");
	CHECK(vegas_options_set(o, "on_failure", "fail_key", NULL) == VEGAS_OK && vgs_option_is(o, "on_failure", "fail_key"));
	CHECK(vegas_options_set(o, "durable", "/d", NULL) == VEGAS_OK && vgs_option_given(o, "durable"));
	CHECK(vegas_options_set(o, "max_requests", NULL, NULL) == VEGAS_OK && vgs_option_number(o, "max_requests") == 16);
	CHECK(vgs_options_copy(o, false) == NULL);
	vegas_options *copy = vgs_options_copy(o, true);
	struct vgs_buffer b = {0};
	vgs_put_options(&b, copy);
	CHECK(vgs_is_value(vgs_view_of(&b)));
	CHECK(vgs_find_whole(vgs_view_of(&b), "buffer_bytes", 0) == 512);
	vgs_free_buffer(&b);
	vegas_options_free(copy);
	vegas_options_free(o);

	o = vegas_consumer_options();
	static const struct {
		const char *value;
		int64_t want;
	} times[] = {
	    {"1970-01-01T00:00:00Z", 0}, {"2026-01-31T12:00:00.5Z", 1769860800500000}, {"2024-02-29T23:59:59Z", 1709251199000000},
	    {"1769860800500000", 1769860800500000},
	};
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		CHECK(vegas_options_set(o, "start", times[i].value, NULL) == VEGAS_OK);
		CHECK(vgs_option_number(o, "start") == times[i].want);
	}
	CHECK_ERROR(vegas_options_set(o, "start", "2026-13-01T00:00:00Z", &e_), VEGAS_BAD_OPTION, "want trim_horizon");
	CHECK_ERROR(vegas_options_set(o, "extensions", "{}", &e_), VEGAS_BAD_OPTION, "want a list");
	CHECK_ERROR(vegas_options_set(o, "extensions", "[", &e_), VEGAS_BAD_OPTION, "no JSON");
	CHECK(vegas_options_set(o, "extensions", "[{\"dedupe\": {\"by\": \"key\"}}]", NULL) == VEGAS_OK);
	vegas_options_dead_letter(o, NULL, NULL);
	vegas_options_on_stats(o, (vegas_on_stats *)(uintptr_t)1, NULL);
	vgs_put_options(&b, o);
	CHECK(vgs_find(vgs_view_of(&b), "dead_letter").tag == VGS_TRUE);
	CHECK(vgs_find(vgs_view_of(&b), "external").tag == VGS_NOTHING);
	CHECK(vgs_find_whole(vgs_view_of(&b), "stats_every", 0) == 10000000);
	vgs_free_buffer(&b);
	vegas_options_free(o);
}

/* The body of a chunk with two records. */
static struct vgs_buffer chunk(void) {
	struct vgs_buffer b = {0};
	vegas_header h[] = {{"a", 1, "1", 1}, {"a", 1, "", 0}};
	size_t headers = vgs_headers_size(h, 2);
	for (int i = 1; i < 5; i++) { /* consumer, shard, chunk, behind */
		vgs_put32(&b, (uint32_t)i);
	}
	vgs_put8(&b, VGS_DEAD_LETTER);
	vgs_put32(&b, 2);
	vgs_put32(&b, 3);
	vgs_put(&b, "why", 3);
	for (int i = 0; i < 2; i++) {
		vgs_put32(&b, 4);
		vgs_put32(&b, i ? 0 : (uint32_t)headers);
		vgs_put16(&b, 3);
		vgs_put8(&b, i ? 0 : 1);
		vgs_put8(&b, i ? 0 : 2);
		vgs_put8(&b, 1);
		vgs_put8(&b, 0);
		vgs_put16(&b, 7);
		vgs_put64(&b, (uint64_t)i);
		vgs_put64(&b, 1700000000000);
	}
	vgs_put(&b, "key949", 6);
	vgs_put_headers(vgs_extend(&b, headers), h, 2);
	vgs_put(&b, "dataKEYmore", 11);
	return b;
}

static void deliveries(void) {
	struct vgs_buffer b = chunk();
	struct vgs_deliver d;
	vegas_record r[2];
	char texts[64];
	CHECK(vgs_read_deliver(vgs_view_of(&b), &d) && d.texts <= sizeof texts);
	CHECK(d.shard == 2 && d.chunk == 3 && d.behind == 4 && d.count == 2 && vgs_same(d.text, "why"));
	vgs_read_records(&d, r, texts, NULL);
	CHECK(!strcmp(r[0].partition_key, "key") && !strcmp(r[0].hash_key, "9") && !strcmp(r[0].sequence, "49"));
	CHECK(!strcmp(r[1].partition_key, "KEY") && !strcmp(r[1].hash_key, "") && !strcmp(r[1].sequence, "49"));
	CHECK(!memcmp(r[0].data, "data", 4) && !memcmp(r[1].data, "more", 4) && r[1].sub_sequence == 1);
	CHECK(r[0].attempt == 7 && r[0].aggregated && r[0].arrival_time == 1700000000000);
	vegas_header h[3];
	CHECK(vegas_record_headers(&r[0], h, 3) == 2 && h[1].size == 0 && h[0].size == 1 && *(const char *)h[0].value == '1');
	CHECK(vegas_record_headers(&r[0], NULL, 0) == 2 && vegas_record_headers(&r[1], h, 3) == 0);
	size_t size = 9;
	CHECK(*(const char *)vegas_record_header(&r[0], "a", &size) == '1' && size == 1);
	CHECK(vegas_record_header(&r[0], "b", NULL) == NULL);
	for (size_t n = 0; n < b.size; n++) {
		struct vgs_view cut = exactly(b.at, n);
		CHECK(!vgs_read_deliver(cut, &d));
		free((void *)(uintptr_t)cut.at);
	}
	vgs_free_buffer(&b);
	CHECK(vgs_headers_size(h, 70000) == 0);
}

static void reports(void) {
	struct vgs_buffer b = {0};
	vgs_put32(&b, 1);
	vgs_put32(&b, 2);
	vgs_put32(&b, VEGAS_STORED | 4 << 16);
	vgs_put32(&b, 1);
	vgs_put(&b, "s-0\0", 4);
	vgs_put64(&b, 5);
	vgs_put64(&b, 6);
	vgs_put32(&b, VEGAS_UNKNOWN | 1 << 16);
	vgs_put32(&b, 0);
	vgs_put_nothing(&b);
	CHECK(vgs_is_report(vgs_view_of(&b)));
	struct vgs_view rest = {b.at + 8, b.size - 8};
	struct vgs_group g = vgs_read_group(&rest);
	CHECK(g.status == VEGAS_STORED && g.count == 1 && g.text.size == 4 && vgs_load64(g.rows) == 5);
	g = vgs_read_group(&rest);
	CHECK(g.status == VEGAS_UNKNOWN && g.count == 0 && rest.size == 0);
	for (size_t n = 0; n < b.size; n++) {
		struct vgs_view cut = exactly(b.at, n);
		CHECK(!vgs_is_report(cut));
		free((void *)(uintptr_t)cut.at);
	}
	vgs_free_buffer(&b);
}

/* What is broken at random is refused, or read without reading past its end. */
static void broken(void) {
	uint32_t seed = 1;
	struct vgs_buffer good[3] = {chunk(), {0}, {0}};
	CHECK(vgs_from_json(&good[1], "{\"a\":[1,2.5,\"text\",{\"b\":null}],\"error\":{\"code\":\"failed\",\"text\":\"x\"}}", NULL));
	vgs_put32(&good[2], 1);
	vgs_put32(&good[2], 1);
	vgs_put32(&good[2], VEGAS_NOT_STORED | (uint32_t)good[1].size << 16);
	vgs_put32(&good[2], 1);
	vgs_put(&good[2], good[1].at, good[1].size);
	vgs_extend(&good[2], 16);
	for (int i = 0; i < 300000; i++) {
		struct vgs_buffer *b = &good[i % 3];
		struct vgs_view v = exactly(b->at, b->size);
		unsigned char *at = (unsigned char *)(uintptr_t)v.at;
		for (int k = 0; k <= i % 4; k++) {
			seed = seed * 1664525 + 1013904223;
			at[(seed >> 8) % v.size] = (unsigned char)(seed >> 24);
		}
		struct vgs_deliver d;
		vegas_error e;
		if (vgs_is_value(v)) {
			struct vgs_buffer text = {0};
			struct vgs_view from = v;
			vgs_to_json(&text, &from);
			vgs_free_buffer(&text);
			vgs_read_error(vgs_find(v, "error"), &e);
		}
		if (vgs_is_report(v)) {
			struct vgs_view rest = {v.at + 8, v.size - 8};
			while (rest.size > 0) {
				struct vgs_group g = vgs_read_group(&rest);
				if (g.status > VEGAS_DURABLE) {
					vgs_read_error(vgs_read(&g.text), &e);
				}
			}
		}
		if (vgs_read_deliver(v, &d)) {
			vegas_record *r = malloc(d.count * sizeof *r);
			char *texts = malloc(d.texts);
			vgs_read_records(&d, r, texts, NULL);
			for (uint32_t k = 0; k < d.count; k++) {
				vegas_header h[4];
				vegas_record_headers(&r[k], h, 4);
				vegas_record_header(&r[k], "zz", NULL);
			}
			free(r);
			free(texts);
		}
		int kind;
		struct vgs_view body;
		vgs_take_frame(v, &kind, &body);
		free(at);
	}
	for (int i = 0; i < 3; i++) {
		vgs_free_buffer(&good[i]);
	}
}

int main(void) {
	json();
	errors();
	options();
	deliveries();
	reports();
	broken();
	puts("wire: all is well");
	return 0;
}
