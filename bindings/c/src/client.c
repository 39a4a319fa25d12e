/* What producers and consumers have in common. */
#include <stdlib.h>

#include "session.h"

void *vgs_client(size_t size, const struct vgs_kind *kind, const char *stream, const vegas_options *options, vegas_error *err) {
	bool producer = strcmp(kind->name, "producer") == 0;
	vegas_options *copy = vgs_options_copy(options, producer);
	if (copy == NULL) {
		vgs_fail(err, VEGAS_BAD_OPTION, producer ? "make them by vegas_producer_options" : "make them by vegas_consumer_options",
		         "the options are a %s's", options->of);
		return NULL;
	}
	struct vgs_session *s = vgs_connect(err);
	if (s == NULL) {
		vegas_options_free(copy);
		return NULL;
	}
	struct vgs_client *c = vgs_alloc_zero(size);
	c->kind = kind;
	c->session = s;
	c->stream = vgs_text_copy(stream);
	c->options = copy;
	atomic_init(&c->refs, 1);
	return c;
}

void vgs_hold(struct vgs_client *c) { atomic_fetch_add(&c->refs, 1); }

void vgs_drop(struct vgs_client *c) {
	if (atomic_fetch_sub(&c->refs, 1) == 1) {
		struct vgs_session *s = c->session;
		c->kind->destroy(c);
		vegas_options_free(c->options);
		free(c->stream);
		free(c);
		vgs_disconnect(s);
	}
}

void vgs_begin_own(struct vgs_client *c, struct vgs_buffer *b, const char *method, uint32_t more) {
	vgs_begin_call(b, method, 1 + more);
	vgs_put_key(b, c->kind->name);
	vgs_put_whole(b, c->number);
}

vegas_code vgs_open(struct vgs_client *c, const char *method, const char *group, struct vgs_buffer *answer, vegas_error *err) {
	struct vgs_buffer b = {0};
	vgs_begin_own(c, &b, method, group != NULL ? 3 : 2);
	vgs_put_key(&b, "stream");
	vgs_put_string(&b, c->stream);
	if (group != NULL) {
		vgs_put_key(&b, "group");
		vgs_put_string(&b, group);
	}
	vgs_put_key(&b, "options");
	vgs_put_options(&b, c->options);
	vegas_code code = vgs_call(c->session, &b, VGS_NEVER, answer, err);
	if (code != VEGAS_OK) {
		vgs_detach(c);
		vgs_drop(c);
	}
	return code;
}

vegas_code vgs_ask(struct vgs_client *c, const char *method, struct vgs_buffer *answer, vegas_error *err) {
	struct vgs_buffer b = {0};
	vgs_begin_own(c, &b, method, 0);
	return vgs_call(c->session, &b, VGS_NEVER, answer, err);
}

vegas_code vgs_ask_stats(struct vgs_client *c, char **json, vegas_error *err) {
	struct vgs_buffer answer = {0};
	vegas_code code = vgs_ask(c, VGS_METHOD_STATS, &answer, err);
	*json = code == VEGAS_OK ? vgs_find_json(vgs_view_of(&answer), "stats") : NULL;
	vgs_free_buffer(&answer);
	return code;
}
