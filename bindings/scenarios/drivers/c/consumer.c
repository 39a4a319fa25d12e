/* Consumers, and what their handlers do. */
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

/* A record that a handler kept, or the last one that was handled of a shard. */
struct kept {
	struct kept *next;
	char *text;
	const vegas_shard *shard;
	char sequence[132];
	int64_t sub;
};

static struct kept *positions; /* of the lock; by shard */

/* The entry of a text, at the front of a list if there is none. Under the lock. */
static struct kept *entry(struct kept **list, const char *text) {
	for (struct kept *k = *list; k != NULL; k = k->next) {
		if (strcmp(k->text, text) == 0) {
			return k;
		}
	}
	struct kept *k = vgs_alloc_zero(sizeof *k);
	k->text = vgs_text_copy(text);
	k->next = *list;
	return *list = k;
}

static void note(struct kept *k, const vegas_record *r) {
	snprintf(k->sequence, sizeof k->sequence, "%s", r->sequence);
	k->sub = r->sub_sequence;
}

static bool option_given(struct vgs_view cmd, const char *name) {
	struct vgs_view list = inside(cmd, "options");
	for (uint32_t n = elements(&list); n > 0; n--, vgs_skip(&list)) {
		if (vgs_same(vgs_find_text(list, "name"), name) && vgs_find(list, "value").tag != VGS_FALSE) {
			return true;
		}
	}
	return false;
}

static uint32_t crc32(const unsigned char *at, size_t size) {
	uint32_t crc = ~0u;
	for (size_t i = 0; i < size; i++) {
		crc ^= at[i];
		for (int bit = 0; bit < 8; bit++) {
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
		}
	}
	return ~crc;
}

/* Copies the beginning of data as text; whether it is all of it. */
static bool printable(const vegas_record *r, char text[TEXT_BYTES + 1]) {
	const unsigned char *data = r->data;
	bool all = r->size <= TEXT_BYTES;
	size_t size = all ? r->size : TEXT_BYTES;
	for (size_t i = 0; i < size; i++) {
		bool is = data[i] >= ' ' && data[i] <= '~';
		text[i] = is ? (char)data[i] : '?';
		all = all && is;
	}
	text[size] = 0;
	return all;
}

static void tell(const struct state *s, const vegas_record *r, const char *event, const char *error, size_t batch) {
	struct vgs_buffer m = {0};
	char text[TEXT_BYTES + 1];
	vegas_header headers[HEADERS];
	size_t count = vegas_record_headers(r, headers, HEADERS);
	begin(&m);
	put_text(&m, "event", event);
	put_text(&m, "of", s->name);
	key(&m, "key");
	vgs_put_text(&m, (struct vgs_view){(const unsigned char *)r->partition_key, r->partition_key_size});
	put_text(&m, "shard", vegas_shard_id(r->shard));
	put_text(&m, "sequence", r->sequence);
	put_number(&m, "sub", r->sub_sequence);
	put_number(&m, "attempt", r->attempt);
	key(&m, "aggregated");
	vgs_put_flag(&m, r->aggregated);
	put_text(&m, "hash_key", r->hash_key);
	key(&m, "headers");
	vgs_put_items(&m, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		vgs_put_items(&m, 2);
		vgs_put_text(&m, (struct vgs_view){(const unsigned char *)headers[i].name, headers[i].name_size});
		vgs_put_text(&m, (struct vgs_view){headers[i].value, headers[i].size});
	}
	if (printable(r, text)) {
		put_text(&m, "data", text);
	} else {
		put_number(&m, "size", (int64_t)r->size);
		put_number(&m, "crc", crc32(r->data, r->size));
	}
	if (error != NULL) {
		put_text(&m, "text", error);
	}
	if (batch > 0) {
		put_number(&m, "batch", (int64_t)batch);
	}
	say(&m);
}

static bool begins(const struct state *s, const char *what, const char *text) {
	struct vgs_value with = s->behave.size > 0 ? vgs_find(s->behave, what) : (struct vgs_value){.tag = VGS_NOTHING};
	return with.tag == VGS_STRING && strncmp(text, (const char *)with.text.at, with.text.size) == 0;
}

static int64_t number(const struct state *s, const char *what) {
	return s->behave.size > 0 ? vgs_find_whole(s->behave, what, 0) : 0;
}

static int act(struct state *s, const vegas_record *r, vegas_error *why) {
	char text[TEXT_BYTES + 1];
	printable(r, text);
	for (size_t end = strlen(text); end > 0 && text[end - 1] == '.'; end--) {
		text[end - 1] = 0;
	}
	if (begins(s, "die", text)) {
		raise(SIGKILL);
		pause();
	}
	pthread_mutex_lock(&lock);
	if (s->behave.size > 0 && flag(s->behave, "keep")) {
		struct kept *k = entry(&s->kept, text);
		note(k, r);
		if (k->shard == NULL) {
			k->shard = vegas_shard_keep(r->shard);
		}
	}
	while (begins(s, "hold", text) && !s->free) {
		pthread_cond_wait(&changed, &lock);
	}
	pthread_mutex_unlock(&lock);
	int64_t ms = number(s, "pause"), times = number(s, "times"), every = number(s, "checkpoint_every");
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
	if (begins(s, "fail", text) && (times == 0 || r->attempt <= times)) {
		snprintf(why->text, sizeof why->text, "cannot handle %.900s", text);
		return 1;
	}
	pthread_mutex_lock(&lock);
	bool due = every > 0 && ++s->handled % every == 0;
	vegas_consumer *c = s->consumer;
	note(entry(&positions, vegas_shard_id(r->shard)), r);
	pthread_mutex_unlock(&lock);
	return due && c != NULL && vegas_checkpoint(c, r, why) != VEGAS_OK;
}

static int handle(void *context, const vegas_record *records, size_t count, vegas_error *why) {
	struct state *s = context;
	for (size_t i = 0; i < count; i++) {
		tell(s, &records[i], "record", NULL, s->batch ? count : 0);
	}
	for (size_t i = 0; i < count; i++) {
		if (act(s, &records[i], why) != 0) {
			return 1;
		}
	}
	return 0;
}

static int on_dead_letter(void *context, const vegas_record *r, const char *error) {
	tell(context, r, "dead", error, 0);
	return 0;
}

static int on_external(void *context, const vegas_shard *at, char *sequence, int64_t *sub) {
	struct vgs_buffer m = {0};
	begin(&m);
	put_text(&m, "event", "start");
	put_text(&m, "of", ((struct state *)context)->name);
	put_text(&m, "shard", vegas_shard_id(at));
	put_number(&m, "possession", vegas_shard_possession(at));
	say(&m);
	pthread_mutex_lock(&lock);
	for (struct kept *k = positions; k != NULL; k = k->next) {
		if (strcmp(k->text, vegas_shard_id(at)) == 0) {
			strcpy(sequence, k->sequence);
			*sub = k->sub;
		}
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

static void on_stats(void *context, const char *json) {
	struct vgs_buffer m = {0};
	begin(&m);
	put_text(&m, "event", "stats");
	put_text(&m, "of", ((struct state *)context)->name);
	key(&m, "stats");
	if (vgs_from_json(&m, json, NULL)) {
		say(&m);
	}
}

vegas_code open_consumer(struct vgs_view cmd, struct state **made, vegas_error *err) {
	struct state *s = vgs_alloc_zero(sizeof *s);
	s->name = vgs_text_of(vgs_find_text(cmd, "as"));
	s->batch = option_given(cmd, "batch");
	s->behave = inside(cmd, "behave");
	vegas_options *o = vegas_consumer_options();
	if (option_given(cmd, "dead_letter")) {
		vegas_options_dead_letter(o, on_dead_letter, s);
	}
	if (option_given(cmd, "external")) {
		vegas_options_external(o, on_external, s);
	}
	if (option_given(cmd, "on_stats")) {
		vegas_options_on_stats(o, on_stats, s);
	}
	vegas_code code = set_options(o, cmd, err);
	vegas_consumer *c = NULL;
	if (code == VEGAS_OK) {
		char *stream = vgs_text_of(vgs_find_text(cmd, "stream")), *group = vgs_text_of(vgs_find_text(cmd, "group"));
		code = vegas_consumer_open(stream, group, handle, s, o, &c, err);
		free(stream);
		free(group);
	}
	vegas_options_free(o);
	pthread_mutex_lock(&lock);
	s->consumer = c;
	pthread_mutex_unlock(&lock);
	if (code == VEGAS_OK) {
		*made = s;
	}
	return code;
}

vegas_code checkpoint(struct state *s, struct vgs_view data, vegas_error *err) {
	char *text = vgs_text_of(data);
	pthread_mutex_lock(&lock);
	struct kept k = *entry(&s->kept, text);
	pthread_mutex_unlock(&lock);
	free(text);
	return vegas_checkpoint_at(s->consumer, k.shard, k.sequence, k.sub, err);
}
