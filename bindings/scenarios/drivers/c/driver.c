/* Does what scenarios say, with the C library. See ../../README.md. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"

enum { THINGS = 32 };

/* ---- What crosses */

void begin(struct vgs_buffer *m) { vgs_put_map(m, 0); }

void key(struct vgs_buffer *m, const char *name) {
	vgs_store32(m->at + 1, vgs_load32(m->at + 1) + 1);
	vgs_put_key(m, name);
}

void put_text(struct vgs_buffer *m, const char *name, const char *text) {
	key(m, name);
	vgs_put_string(m, text);
}

void put_number(struct vgs_buffer *m, const char *name, int64_t n) {
	key(m, name);
	vgs_put_whole(m, n);
}

void say(struct vgs_buffer *m) {
	static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	struct vgs_buffer line = {0};
	struct vgs_view value = vgs_view_of(m);
	vgs_to_json(&line, &value);
	vgs_put8(&line, '\n');
	pthread_mutex_lock(&turn);
	for (size_t done = 0; done < line.size;) {
		ssize_t n = write(STDOUT_FILENO, line.at + done, line.size - done);
		if (n <= 0) {
			break; /* the runner is gone */
		}
		done += (size_t)n;
	}
	pthread_mutex_unlock(&turn);
	vgs_free_buffer(&line);
	vgs_free_buffer(m);
}

static void put_error(struct vgs_buffer *b, const vegas_error *e) {
	vgs_put_map(b, 4);
	vgs_put_key(b, "code");
	vgs_put_string(b, vegas_code_name(e->code));
	vgs_put_key(b, "text");
	vgs_put_string(b, e->text);
	vgs_put_key(b, "remedy");
	vgs_put_string(b, e->remedy);
	vgs_put_key(b, "unknown");
	vgs_put_flag(b, e->unknown);
}

struct vgs_view inside(struct vgs_view map, const char *name) {
	struct vgs_value v = vgs_read(&map);
	for (uint32_t n = v.tag == VGS_MAP ? v.count : 0; n > 0; n--) {
		if (vgs_same(vgs_read_key(&map), name)) {
			return map;
		}
		vgs_skip(&map);
	}
	return (struct vgs_view){NULL, 0};
}

uint32_t elements(struct vgs_view *list) {
	return list->size == 0 ? 0 : vgs_read(list).count;
}

bool flag(struct vgs_view map, const char *name) { return vgs_find(map, name).tag == VGS_TRUE; }

static bool waits(struct vgs_view cmd) { return vgs_find(cmd, "wait").tag != VGS_FALSE; }

static int limit(struct vgs_view cmd, int otherwise) { return (int)vgs_find_whole(cmd, "limit", otherwise); }

/* ---- What there is */

struct thing {
	char *name;
	vegas_producer *producer;
	struct state *consumer;
	vegas_local *local;
};

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct thing things[THINGS]; /* of the lock; what is left open, the exit closes */

/* The thing of a name, which may be a new one. */
static struct thing *thing(struct vgs_view name) {
	struct thing *t = things;
	pthread_mutex_lock(&lock);
	while (t->name != NULL && !vgs_same(name, t->name)) {
		if (++t == things + THINGS) {
			abort();
		}
	}
	if (t->name == NULL) {
		t->name = vgs_text_of(name);
	}
	pthread_mutex_unlock(&lock);
	return t;
}

vegas_code set_options(vegas_options *o, struct vgs_view cmd, vegas_error *err) {
	struct vgs_view list = inside(cmd, "options");
	vegas_code code = VEGAS_OK;
	for (uint32_t n = elements(&list); n > 0 && code == VEGAS_OK; n--, vgs_skip(&list)) {
		if (vgs_same(vgs_find_text(list, "type"), "function")) {
			continue;
		}
		struct vgs_view value = inside(list, "value");
		struct vgs_value v = vgs_find(list, "value");
		struct vgs_buffer text = {0};
		if (v.tag == VGS_STRING) {
			vgs_put(&text, v.text.at, v.text.size);
		} else {
			vgs_to_json(&text, &value);
		}
		vgs_put8(&text, 0);
		char *name = vgs_text_of(vgs_find_text(list, "name"));
		code = vegas_options_set(o, name, (const char *)text.at, err);
		free(name);
		vgs_free_buffer(&text);
	}
	return code;
}

/* ---- Producers */

/* Records of one command. */
struct sending {
	size_t open, count; /* open is of the lock */
	struct sent {
		struct sending *of;
		int64_t number;
		const char *tell; /* the producer, where an event is to tell of it */
		bool failed;
		struct vgs_buffer result; /* a receipt or an error */
	} records[];
};

static struct sending *sending(size_t count, int64_t from, const char *tell) {
	struct sending *s = vgs_alloc_zero(sizeof *s + count * sizeof s->records[0]);
	s->open = s->count = count;
	for (size_t i = 0; i < count; i++) {
		s->records[i] = (struct sent){.of = s, .number = from + (int64_t)i, .tell = tell};
	}
	return s;
}

static void ended(struct sent *r, const vegas_result *at, const vegas_error *error) {
	r->failed = error != NULL;
	if (error != NULL) {
		put_error(&r->result, error);
	} else {
		begin(&r->result);
		put_text(&r->result, "shard", at->shard);
		put_text(&r->result, "sequence", at->sequence);
		put_number(&r->result, "sub", at->sub_sequence);
		key(&r->result, "durable");
		vgs_put_flag(&r->result, at->status == VEGAS_DURABLE);
	}
	if (r->tell != NULL) {
		struct vgs_buffer m = {0};
		begin(&m);
		put_text(&m, "event", "sent");
		put_text(&m, "of", r->tell);
		put_number(&m, "number", r->number);
		if (error != NULL) {
			key(&m, "error");
			vgs_put(&m, r->result.at, r->result.size);
		}
		say(&m);
	}
	pthread_mutex_lock(&lock);
	r->of->open--;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void on_result(void *context, const vegas_result *result) {
	(void)context;
	ended(result->context, result, result->error);
}

static void await(struct sending *s) {
	pthread_mutex_lock(&lock);
	while (s->open > 0) {
		pthread_cond_wait(&changed, &lock);
	}
	pthread_mutex_unlock(&lock);
}

static vegas_code open_producer(struct vgs_view cmd, vegas_error *err) {
	vegas_options *o = vegas_producer_options();
	vegas_options_on_result(o, on_result, NULL);
	vegas_code code = set_options(o, cmd, err);
	if (code == VEGAS_OK) {
		char *stream = vgs_text_of(vgs_find_text(cmd, "stream"));
		code = vegas_producer_open(stream, o, &thing(vgs_find_text(cmd, "as"))->producer, err);
		free(stream);
	}
	vegas_options_free(o);
	return code;
}

static vegas_code send_one(vegas_producer *p, struct vgs_view r, struct sent *to, vegas_error *err) {
	struct vgs_view name = vgs_find_text(r, "key"), data = vgs_find_text(r, "data"), list = inside(r, "headers");
	char *hash = vgs_text_of(vgs_find_text(r, "hash_key"));
	unsigned char *filled = NULL;
	if (vgs_find(r, "data").tag == VGS_NOTHING) {
		data.size = (size_t)vgs_find_whole(r, "size", 0);
		data.at = filled = vgs_alloc(data.size + 1);
		for (size_t i = 0; i < data.size; i++) {
			filled[i] = (unsigned char)(i % 251);
		}
	}
	vegas_header headers[HEADERS];
	size_t count = elements(&list);
	for (size_t i = 0; i < count && i < HEADERS; i++) {
		elements(&list);
		struct vgs_view header = vgs_read(&list).text, value = vgs_read(&list).text;
		headers[i] = (vegas_header){(const char *)header.at, header.size, value.at, value.size};
	}
	vegas_message m = {
		.key = (const char *)name.at, .key_size = name.size, .data = data.at, .size = data.size,
		.headers = headers, .header_count = count, .hash_key = *hash ? hash : NULL, .context = to,
	};
	vegas_code code = vegas_send_message(p, &m, NULL, err);
	free(hash);
	free(filled);
	return code;
}

/* What is sent by a command that does not wait is never freed: results come at any time. */
static vegas_code do_send(struct vgs_view cmd, struct vgs_buffer *answer, vegas_error *err) {
	vegas_producer *p = thing(vgs_find_text(cmd, "to"))->producer;
	struct vgs_view list = inside(cmd, "records");
	struct sending *s = sending(elements(&list), 0, NULL);
	for (size_t i = 0; i < s->count; i++, vgs_skip(&list)) {
		if (send_one(p, list, &s->records[i], err) != VEGAS_OK) {
			ended(&s->records[i], NULL, err);
		}
	}
	if (!waits(cmd)) {
		return VEGAS_OK;
	}
	await(s);
	key(answer, "results");
	vgs_put_items(answer, (uint32_t)s->count);
	for (size_t i = 0; i < s->count; i++) {
		if (s->records[i].failed) {
			vgs_put_map(answer, 1);
			vgs_put_key(answer, "error");
		}
		vgs_put(answer, s->records[i].result.at, s->records[i].result.size);
		vgs_free_buffer(&s->records[i].result);
	}
	free(s);
	return VEGAS_OK;
}

static vegas_code do_many(struct vgs_view cmd, struct vgs_buffer *answer, vegas_error *err) {
	struct thing *to = thing(vgs_find_text(cmd, "to"));
	int64_t keys = vgs_find_whole(cmd, "keys", 1), size = vgs_find_whole(cmd, "size", 0);
	struct sending *s = sending((size_t)vgs_find_whole(cmd, "count", 0), vgs_find_whole(cmd, "from", 0), flag(cmd, "tell") ? to->name : NULL);
	char *prefix = vgs_text_of(vgs_find_text(cmd, "prefix"));
	vegas_code code = VEGAS_OK;
	for (size_t i = 0; i < s->count && code == VEGAS_OK; i++) {
		struct sent *r = &s->records[i];
		char name[64], data[TEXT_BYTES + 1];
		int name_size = snprintf(name, sizeof name, "%skey-%lld", prefix, (long long)(r->number % keys));
		int data_size = snprintf(data, sizeof data, "%s%lld", prefix, (long long)r->number);
		for (; data_size < size; data_size++) {
			data[data_size] = '.';
		}
		vegas_message m = {.key = name, .key_size = (size_t)name_size, .data = data, .size = (size_t)data_size, .context = r};
		code = vegas_send_message(to->producer, &m, NULL, err);
	}
	free(prefix);
	if (code != VEGAS_OK || !waits(cmd)) {
		return code;
	}
	await(s);
	struct vgs_buffer failed = {0};
	uint32_t wrong = 0;
	for (size_t i = 0; i < s->count; i++) {
		struct sent *r = &s->records[i];
		if (r->failed) {
			wrong++;
			vgs_put_map(&failed, 2);
			vgs_put_key(&failed, "number");
			vgs_put_whole(&failed, r->number);
			vgs_put_key(&failed, "error");
			vgs_put(&failed, r->result.at, r->result.size);
		}
		vgs_free_buffer(&r->result);
	}
	put_number(answer, "ok", (int64_t)(s->count - wrong));
	key(answer, "failed");
	vgs_put_items(answer, wrong);
	vgs_put(answer, failed.at, failed.size);
	vgs_free_buffer(&failed);
	free(s);
	return VEGAS_OK;
}

static vegas_code misuse(vegas_producer *p, vegas_error *err) {
	struct sending *s = sending(1, 0, NULL);
	vegas_message m = {.key = "\x80key", .key_size = 4, .data = "x", .size = 1, .context = &s->records[0]};
	vegas_code code = vegas_send_message(p, &m, NULL, err);
	if (code == VEGAS_OK) {
		await(s);
	}
	return code;
}

/* A child's calls, whose error it tells. */
static void in_child(vegas_producer *p, struct vgs_view cmd, int to) {
	alarm(10);
	vegas_error sent = {0}, closed = {0};
	struct vgs_view list = inside(cmd, "records");
	struct sending *s = sending(elements(&list), 0, NULL);
	for (size_t i = 0; i < s->count && sent.code == VEGAS_OK; i++, vgs_skip(&list)) {
		(void)send_one(p, list, &s->records[i], &sent);
	}
	(void)vegas_producer_close(p, VEGAS_DEFAULT, &closed);
	vegas_producer_free(p);
	bool told = write(to, &sent, sizeof sent) == sizeof sent;
	exit(told && sent.code == closed.code ? 0 : 1);
}

static vegas_code do_fork(struct vgs_view cmd, struct vgs_buffer *answer, vegas_error *err) {
	vegas_producer *p = thing(vgs_find_text(cmd, "to"))->producer;
	int pipes[2], status = 0;
	if (pipe(pipes) != 0) {
		return vgs_fail(err, VEGAS_FAILED, NULL, "there is no pipe");
	}
	pid_t child = fork();
	if (child == 0) {
		in_child(p, cmd, pipes[1]);
	}
	close(pipes[1]);
	vegas_error said = {0};
	bool told = read(pipes[0], &said, sizeof said) == sizeof said;
	close(pipes[0]);
	if (child < 0 || waitpid(child, &status, 0) != child || !told || status != 0) {
		return vgs_fail(err, VEGAS_FAILED, NULL, "the child ended with status %d", status);
	}
	put_number(answer, "status", 0);
	return vgs_pass(err, &said);
}

/* ---- All commands */

static vegas_code close_thing(struct thing *of, struct vgs_view cmd, vegas_error *err) {
	if (of->producer != NULL) {
		return vegas_producer_close(of->producer, limit(cmd, VEGAS_DEFAULT), err);
	}
	vegas_code code = vegas_consumer_close(of->consumer->consumer, err);
	return code == VEGAS_GRACE_OVER ? VEGAS_OK : code; /* wait returns it */
}

static vegas_code stats(struct thing *of, struct vgs_buffer *answer, vegas_error *err) {
	char *json = NULL;
	vegas_code code = of->producer != NULL ? vegas_producer_stats(of->producer, &json, err) : vegas_consumer_stats(of->consumer->consumer, &json, err);
	if (code == VEGAS_OK) {
		key(answer, "stats");
		vgs_from_json(answer, json, NULL);
		free(json);
	}
	return code;
}

static vegas_code open_local(struct vgs_view cmd, struct vgs_buffer *answer, vegas_error *err) {
	struct vgs_buffer json = {0};
	struct vgs_view streams = inside(cmd, "streams");
	vgs_put(&json, "{\"streams\":", 11);
	vgs_to_json(&json, &streams);
	vgs_put(&json, "}", 2);
	vegas_local *l;
	vegas_code code = vegas_local_open((const char *)json.at, &l, err);
	if (code == VEGAS_OK) {
		thing(vgs_find_text(cmd, "as"))->local = l;
		put_text(answer, "endpoint", vegas_local_endpoint(l));
	}
	vgs_free_buffer(&json);
	return code;
}

static vegas_code perform(struct vgs_view cmd, struct vgs_buffer *answer, vegas_error *err) {
	struct vgs_view verb = vgs_find_text(cmd, "do");
	if (vgs_same(verb, "producer")) {
		return open_producer(cmd, err);
	} else if (vgs_same(verb, "consumer")) {
		return open_consumer(cmd, &thing(vgs_find_text(cmd, "as"))->consumer, err);
	} else if (vgs_same(verb, "send")) {
		return do_send(cmd, answer, err);
	} else if (vgs_same(verb, "many")) {
		return do_many(cmd, answer, err);
	} else if (vgs_same(verb, "misuse")) {
		return misuse(thing(vgs_find_text(cmd, "to"))->producer, err);
	} else if (vgs_same(verb, "fork")) {
		return do_fork(cmd, answer, err);
	} else if (vgs_same(verb, "local")) {
		return open_local(cmd, answer, err);
	}
	struct thing *of = thing(vgs_find_text(cmd, "of"));
	if (vgs_same(verb, "flush")) {
		return vegas_flush(of->producer, limit(cmd, -1), err);
	} else if (vgs_same(verb, "close")) {
		return close_thing(of, cmd, err);
	} else if (vgs_same(verb, "check")) {
		return of->producer != NULL ? vegas_producer_check(of->producer, err) : vegas_consumer_check(of->consumer->consumer, err);
	} else if (vgs_same(verb, "stats")) {
		return stats(of, answer, err);
	} else if (vgs_same(verb, "wait")) {
		vegas_code code = vegas_consumer_wait(of->consumer->consumer, limit(cmd, -1), err);
		key(answer, "ended");
		vgs_put_flag(answer, code != VEGAS_TIMEOUT);
		return code == VEGAS_TIMEOUT ? VEGAS_OK : code;
	} else if (vgs_same(verb, "release")) {
		pthread_mutex_lock(&lock);
		of->consumer->free = true;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
		return VEGAS_OK;
	} else if (vgs_same(verb, "checkpoint")) {
		return checkpoint(of->consumer, vgs_find_text(cmd, "data"), err);
	}
	return vgs_fail(err, VEGAS_FAILED, NULL, "there is no such verb");
}

/* Does a command and answers it. A command is never freed: a consumer has its behaviour. */
static void *answer(void *context) {
	struct vgs_view cmd = vgs_view_of(context);
	struct vgs_buffer m = {0};
	vegas_error err = {0};
	begin(&m);
	put_number(&m, "id", vgs_find_whole(cmd, "id", 0));
	if (perform(cmd, &m, &err) != VEGAS_OK) {
		key(&m, "error");
		put_error(&m, &err);
	}
	say(&m);
	return NULL;
}

/* A program that ends at Ctrl-C exits, which closes what is open, in a thread: a signal
 * handler may run on one of the engine's, where signals have a stack of their own. */
static int interrupts[2];

static void on_interrupt(int which) {
	char c = (char)which;
	if (write(interrupts[1], &c, 1) < 0) {
		return;
	}
}

static void *interrupted(void *context) {
	(void)context;
	char which = 0;
	if (read(interrupts[0], &which, 1) == 1) {
		exit(128 + which);
	}
	return NULL;
}

int main(void) {
	pthread_t thread;
	struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_ONSTACK | SA_RESTART};
	if (pipe(interrupts) != 0 || sigaction(SIGINT, &action, NULL) != 0 || pthread_create(&thread, NULL, interrupted, NULL) != 0) {
		return 1;
	}

	const char *path = getenv("VEGAS_SCENARIO_COMMANDS");
	FILE *in = path != NULL ? fopen(path, "r") : stdin;
	char *line = NULL;
	size_t room = 0;
	while (in != NULL && getline(&line, &room, in) > 0) {
		struct vgs_buffer *cmd = vgs_alloc_zero(sizeof *cmd);
		if (!vgs_from_json(cmd, line, NULL)) {
			return 1;
		}
		if (vgs_same(vgs_find_text(vgs_view_of(cmd), "do"), "exit")) {
			return 0;
		}
		if (pthread_create(&thread, NULL, answer, cmd) != 0) {
			return 1;
		}
		pthread_detach(thread);
	}
	for (;;) {
		pause(); /* nobody commands any more */
	}
}
