#include <stdio.h>
#include <vegas.h>

static int process_record(void *context, const vegas_record *r, size_t count, vegas_error *why) {
	(void)context, (void)count, (void)why;
	printf("%s:%.*s\n", r->partition_key, (int)r->size, (const char *)r->data);
	return 0;
}

int main(void) {
	vegas_producer *p = NULL;
	vegas_consumer *c = NULL;
	vegas_error err;
	if (vegas_producer_open("stream-name", NULL, &p, &err) == VEGAS_OK &&
	    vegas_send(p, "partition-key", "message", 7, NULL, &err) == VEGAS_OK &&
	    /* group name or EFO consumer ARN; runs at once */
	    vegas_consumer_open("stream-name", "efo-arn", process_record, NULL, NULL, &c, &err) == VEGAS_OK) {
		printf("Consumer is running. Press Enter to stop\n");
		fflush(stdout);
		getchar();
		err.code = vegas_flush(p, -1, &err);
	}
	if (err.code != VEGAS_OK) {
		fprintf(stderr, "%s: %s\n", err.text, err.remedy);
	}
	vegas_consumer_free(c);
	vegas_producer_free(p);
	return err.code != VEGAS_OK;
}
