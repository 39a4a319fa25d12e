/* What the contest of languages has C do. See ../main.go. */
#include "bench.h"
#include "vegas.h"

static vegas_error e;

static void check(vegas_code code, const char *what) {
	if (code != VEGAS_OK) failed(what, e.text);
}

static atomic_int refused;

static void on_result(void *context, const vegas_result *r) {
	(void)context;
	if (r->error != NULL) atomic_fetch_add(&refused, 1);
}

static vegas_producer *producer(const char *name, const char *value, int callback) {
	vegas_options *o = vegas_producer_options();
	vegas_producer *p;
	if (name != NULL) check(vegas_options_set(o, name, value, &e), name);
	if (callback) {
		vegas_options_on_result(o, on_result, NULL);
	} else {
		vegas_options_poll(o);
	}
	check(vegas_producer_open(stream, o, &p, &e), "open a producer");
	vegas_options_free(o);
	return p;
}

static void put(vegas_producer *p, int i) {
	number(i);
	check(vegas_send(p, key(i), payload, (size_t)size, NULL, &e), "send");
}

static void produce(void) {
	vegas_producer *p = producer("aggregate", aggregated ? "true" : "false", 1);
	for (int i = 0; i < warm; i++) put(p, i);
	check(vegas_flush(p, -1, &e), "flush");
	mark("begin");
	for (int i = warm; i < records; i++) put(p, i);
	check(vegas_flush(p, -1, &e), "flush");
	mark("end");
	if (refused > 0) failed("produce", "records were refused");
	done("{}");
	vegas_producer_free(p);
}

/* Sends a record, and waits for its result. */
static void put_one(vegas_producer *p, int i) {
	vegas_result r;
	put(p, i);
	while (vegas_poll(p, &r, 1, -1) == 0) {
	}
	if (r.error != NULL) failed("send", r.error->text);
}

static void latency(void) {
	double *micros = malloc((size_t)records * sizeof *micros);
	if (micros == NULL) failed("latency", "no memory");
	vegas_producer *p = producer("linger", "0s", 0);
	for (int i = 0; i < records; i++) {
		if (i == warm) mark("begin");
		double began = now();
		put_one(p, i);
		micros[i] = (now() - began) * 1e6;
	}
	done_latency(micros);
	vegas_producer_free(p);
	free(micros);
}

static int on_record(void *context, const vegas_record *r, size_t count, vegas_error *why) {
	(void)context, (void)why;
	for (size_t i = 0; i < count; i++) handle(r[i].data, r[i].size);
	return 0;
}

static vegas_consumer *consumer(const char *of, const char *as, int count) {
	vegas_options *o = vegas_consumer_options();
	vegas_consumer *c;
	expect(count);
	check(vegas_options_set(o, "store", "memory", &e), "store");
	check(vegas_consumer_open(of, as, on_record, NULL, o, &c, &e), "open a consumer");
	vegas_options_free(o);
	return c;
}

static void consume(void) {
	vegas_consumer *c = consumer(warm_stream, warm_group, warm);
	wait_for_all();
	vegas_consumer_free(c);
	mark("begin");
	c = consumer(stream, group, records);
	wait_for_all();
	mark("end");
	done(told());
	vegas_consumer_free(c);
}

static void idle(void) {
	vegas_producer *p = producer(NULL, NULL, 0);
	vegas_consumer *c = consumer(stream, "idle", 1);
	mark("begin");
	put_one(p, 0);
	wait_for_all();
	mark("end");
	done(told());
	vegas_consumer_free(c);
	vegas_producer_free(p);
}

int main(int count, char **arguments) {
	if (count != 11) failed("bench", "ten arguments are wanted");
	begin(arguments);
	if (strcmp(role, "produce") == 0) produce();
	else if (strcmp(role, "consume") == 0) consume();
	else if (strcmp(role, "lines") == 0) lines();
	else if (strcmp(role, "latency") == 0) latency();
	else if (strcmp(role, "idle") == 0) idle();
	else failed(role, "there is no such role");
	return 0;
}
