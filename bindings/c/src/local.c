/* A Kinesis of one's own, in the engine. */
#include <stdlib.h>

#include "session.h"

struct vegas_local {
	struct vgs_session *session;
	uint32_t number;
	char *endpoint;
	size_t count;
	char **environment;
};

static vegas_code start(vegas_local *l, const char *arguments, struct vgs_buffer *answer, vegas_error *err) {
	struct vgs_buffer given = {0}, b = {0};
	if (!vgs_from_json(&given, arguments, err)) {
		vgs_free_buffer(&given);
		return VEGAS_BAD_OPTION;
	}
	struct vgs_view map = vgs_view_of(&given);
	struct vgs_value v = vgs_read(&map);
	if (v.tag != VGS_MAP) {
		vgs_free_buffer(&given);
		return vgs_fail(err, VEGAS_BAD_OPTION, NULL, "the arguments of a local Kinesis: want a JSON object such as {\"streams\": {\"orders\": 1}}");
	}
	vgs_begin_call(&b, VGS_METHOD_START_LOCAL, 1 + v.count);
	vgs_put_key(&b, "local");
	vgs_put_whole(&b, l->number);
	vgs_put(&b, v.items.at, v.items.size);
	vgs_free_buffer(&given);
	return vgs_call(l->session, &b, VGS_NEVER, answer, err);
}

/* "NAME=value" of each variable. */
static void read_environment(vegas_local *l, struct vgs_value v) {
	l->count = v.tag == VGS_MAP ? v.count : 0;
	l->environment = vgs_alloc_zero((l->count + 1) * sizeof *l->environment);
	for (size_t i = 0; i < l->count; i++) {
		struct vgs_view name = vgs_read_key(&v.items);
		struct vgs_view before = v.items;
		struct vgs_value value = vgs_read(&before);
		struct vgs_buffer b = {0};
		vgs_put(&b, name.at, name.size);
		vgs_put8(&b, '=');
		vgs_put(&b, value.text.at, value.text.size);
		vgs_put8(&b, 0);
		vgs_skip(&v.items);
		l->environment[i] = (char *)b.at;
	}
}

vegas_code vegas_local_open(const char *arguments, vegas_local **made, vegas_error *err) {
	*made = NULL;
	vegas_error why;
	struct vgs_session *s = vgs_connect(&why);
	if (s == NULL) {
		return vgs_pass(err, &why);
	}
	vegas_local *l = vgs_alloc_zero(sizeof *l);
	struct vgs_buffer answer = {0};
	l->session = s;
	l->number = vgs_number(s);
	vegas_code code = start(l, arguments, &answer, err);
	if (code != VEGAS_OK) {
		vgs_disconnect(s);
		free(l);
		return code;
	}
	l->endpoint = vgs_text_of(vgs_find_text(vgs_view_of(&answer), "endpoint"));
	read_environment(l, vgs_find(vgs_view_of(&answer), "environment"));
	vgs_free_buffer(&answer);
	*made = l;
	return VEGAS_OK;
}

const char *vegas_local_endpoint(const vegas_local *l) { return l->endpoint; }
const char *const *vegas_local_environment(const vegas_local *l) { return (const char *const *)l->environment; }

void vegas_local_free(vegas_local *l) {
	if (l == NULL || vgs_forked(NULL)) {
		return;
	}
	struct vgs_buffer b = {0};
	vgs_begin_call(&b, VGS_METHOD_STOP_LOCAL, 1);
	vgs_put_key(&b, "local");
	vgs_put_whole(&b, l->number);
	(void)vgs_call(l->session, &b, VGS_NEVER, NULL, NULL);
	for (size_t i = 0; i < l->count; i++) {
		free(l->environment[i]);
	}
	free(l->environment);
	free(l->endpoint);
	vgs_disconnect(l->session);
	free(l);
}
