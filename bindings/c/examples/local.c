/* Sends records and receives them, over a Kinesis of its own in memory: no account, no
 * network. */
#include <stdio.h>
#include <vegas.h>

enum { RECORDS = 100 };

static int failed(const vegas_error *err) {
	fprintf(stderr, "%s: %s\n", err->text, err->remedy);
	return 1;
}

int main(void) {
	vegas_local *k = NULL;
	vegas_producer *p = NULL;
	vegas_consumer *c = NULL;
	vegas_error err;
	if (vegas_local_open("{\"streams\": {\"orders\": 2}}", &k, &err) != VEGAS_OK) {
		return failed(&err);
	}
	vegas_options *sending = vegas_producer_options(), *receiving = vegas_consumer_options();
	if (vegas_options_set(sending, "endpoint", vegas_local_endpoint(k), &err) != VEGAS_OK ||
	    vegas_options_set(receiving, "endpoint", vegas_local_endpoint(k), &err) != VEGAS_OK ||
	    vegas_producer_open("orders", sending, &p, &err) != VEGAS_OK ||
	    vegas_consumer_open("orders", "billing", NULL, NULL, receiving, &c, &err) != VEGAS_OK) {
		return failed(&err);
	}
	vegas_options_free(sending);
	vegas_options_free(receiving);
	for (int i = 0; i < RECORDS; i++) {
		char key[32];
		int n = snprintf(key, sizeof key, "customer-%d", i % 10);
		if (vegas_send(p, key, key, (size_t)n, NULL, &err) != VEGAS_OK) {
			return failed(&err);
		}
	}
	if (vegas_flush(p, 10000, &err) != VEGAS_OK) {
		return failed(&err);
	}
	size_t received = 0;
	while (received < RECORDS) {
		vegas_chunk *chunk;
		size_t n;
		if (vegas_consumer_poll(c, 10000, &chunk, &err) != VEGAS_OK) {
			return failed(&err);
		}
		vegas_chunk_records(chunk, &n);
		vegas_chunk_done(chunk, 0, n);
		vegas_settle(chunk);
		received += n;
	}
	vegas_consumer_free(c);
	vegas_producer_free(p);
	vegas_local_free(k);
	printf("sent %d, received %zu\n", RECORDS, received);
	return 0;
}
