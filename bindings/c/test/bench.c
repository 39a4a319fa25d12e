/* What a record costs this program, by ENDPOINT's server or one of its own:
 *
 *	bench server            serves the stream "orders" until its input ends
 *	bench send N            sends N records of 100 bytes
 *	bench receive N         receives N
 */
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "vegas.h"

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

static void say(const char *what, int n, struct timespec began) {
	struct rusage u;
	struct timespec now;
	getrusage(RUSAGE_SELF, &u);
	clock_gettime(CLOCK_MONOTONIC, &now);
	double took = (double)(now.tv_sec - began.tv_sec) + (double)(now.tv_nsec - began.tv_nsec) / 1e9;
	printf("%s: %d records, %.0f a second, %.0f ns of CPU each, %ld KiB\n", what, n, n / took,
	       (seconds(u.ru_utime) + seconds(u.ru_stime)) / n * 1e9, u.ru_maxrss);
}

static atomic_int received;

static int handle(void *context, const vegas_record *r, size_t count, vegas_error *why) {
	(void)context, (void)r, (void)why;
	atomic_fetch_add_explicit(&received, (int)count, memory_order_relaxed);
	return 0;
}

int main(int count, char **arguments) {
	const char *what = count > 1 ? arguments[1] : "", *endpoint = getenv("ENDPOINT");
	int n = count > 2 ? atoi(arguments[2]) : 1000000;
	if (strcmp(what, "server") == 0) {
		vegas_local *l;
		CHECK_OK(vegas_local_open("{\"no_limits\": true, \"streams\": {\"orders\": 4}}", &l, &e_));
		puts(vegas_local_endpoint(l));
		fflush(stdout);
		char c;
		while (read(0, &c, 1) > 0) {
		}
		vegas_local_free(l);
		return 0;
	}
	CHECK(endpoint != NULL);
	struct timespec began;
	clock_gettime(CLOCK_MONOTONIC, &began);
	if (strcmp(what, "send") == 0) {
		vegas_options *o = vegas_producer_options();
		vegas_producer *p;
		CHECK_OK(vegas_options_set(o, "endpoint", endpoint, &e_));
		CHECK_OK(vegas_producer_open("orders", o, &p, &e_));
		vegas_options_free(o);
		char data[100] = "", keys[100][8];
		for (int i = 0; i < 100; i++) {
			snprintf(keys[i], sizeof keys[i], "key-%d", i);
		}
		for (int i = 0; i < n; i++) {
			CHECK_OK(vegas_send(p, keys[i % 100], data, sizeof data, NULL, &e_));
		}
		CHECK_OK(vegas_producer_close(p, -1, &e_));
		vegas_producer_free(p);
	} else {
		vegas_options *o = vegas_consumer_options();
		vegas_consumer *c;
		CHECK_OK(vegas_options_set(o, "endpoint", endpoint, &e_));
		CHECK_OK(vegas_options_set(o, "store", "memory", &e_));
		CHECK_OK(vegas_consumer_open("orders", "g", handle, NULL, o, &c, &e_));
		vegas_options_free(o);
		while (atomic_load(&received) < n) {
			CHECK(vegas_consumer_wait(c, 10, NULL) == VEGAS_TIMEOUT);
		}
		vegas_consumer_free(c);
	}
	say(what, n, began);
	return 0;
}
