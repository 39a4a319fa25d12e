/* Values that have others in them are JSON to C programs. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire.h"

/* ---- From JSON */

struct json {
	const char *begin, *at;
	const char *wrong; /* what is, or NULL */
};

static bool parse(struct json *j, struct vgs_buffer *b, int depth);

static bool wrong(struct json *j, const char *what) {
	if (j->wrong == NULL) {
		j->wrong = what;
	}
	return false;
}

static void blanks(struct json *j) { j->at += strspn(j->at, " \t\r\n"); }

static bool sign(struct json *j, char c) {
	blanks(j);
	if (*j->at != c) {
		return false;
	}
	j->at++;
	return true;
}

static bool hex4(struct json *j, uint32_t *point) {
	*point = 0;
	for (int i = 0; i < 4; i++, j->at++) {
		char c = *j->at;
		uint32_t digit;
		if (c >= '0' && c <= '9') {
			digit = (uint32_t)(c - '0');
		} else if (c >= 'a' && c <= 'f') {
			digit = (uint32_t)(c - 'a') + 10;
		} else if (c >= 'A' && c <= 'F') {
			digit = (uint32_t)(c - 'A') + 10;
		} else {
			return wrong(j, "\\u wants four hexadecimal digits");
		}
		*point = *point << 4 | digit;
	}
	return true;
}

static void put_point(struct vgs_buffer *b, uint32_t c) {
	if (c < 0x80) {
		vgs_put8(b, (uint8_t)c);
		return;
	}
	if (c < 0x800) {
		vgs_put8(b, (uint8_t)(0xc0 | c >> 6));
	} else {
		if (c < 0x10000) {
			vgs_put8(b, (uint8_t)(0xe0 | c >> 12));
		} else {
			vgs_put8(b, (uint8_t)(0xf0 | c >> 18));
			vgs_put8(b, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
		}
		vgs_put8(b, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
	}
	vgs_put8(b, (uint8_t)(0x80 | (c & 0x3f)));
}

static bool escape(struct json *j, struct vgs_buffer *b) {
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char c = *j->at;
	const char *known = c ? strchr(from, c) : NULL;
	if (known != NULL) {
		j->at++;
		vgs_put8(b, (uint8_t)to[known - from]);
		return true;
	}
	if (c != 'u') {
		return wrong(j, "an unknown escape");
	}
	uint32_t point, low;
	j->at++;
	if (!hex4(j, &point)) {
		return false;
	}
	if (point >= 0xd800 && point < 0xdc00) {
		if (j->at[0] != '\\' || j->at[1] != 'u') {
			return wrong(j, "half a surrogate pair");
		}
		j->at += 2;
		if (!hex4(j, &low)) {
			return false;
		}
		if (low < 0xdc00 || low >= 0xe000) {
			return wrong(j, "half a surrogate pair");
		}
		point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
	} else if (point >= 0xdc00 && point < 0xe000) {
		return wrong(j, "half a surrogate pair");
	}
	put_point(b, point);
	return true;
}

/* A text with its length before it, without a tag. */
static bool text(struct json *j, struct vgs_buffer *b) {
	if (!sign(j, '"')) {
		return wrong(j, "a text is wanted");
	}
	size_t start = b->size;
	vgs_put32(b, 0);
	while (*j->at != '"') {
		unsigned char c = (unsigned char)*j->at;
		if (c == 0) {
			return wrong(j, "a text has no end");
		}
		if (c < ' ') {
			return wrong(j, "a control character in a text");
		}
		j->at++;
		if (c != '\\') {
			vgs_put8(b, c);
		} else if (!escape(j, b)) {
			return false;
		}
	}
	j->at++;
	struct vgs_view made = {b->at + start + 4, b->size - start - 4};
	if (vgs_characters(made) < 0) {
		return wrong(j, "a text is no UTF-8");
	}
	vgs_store32(b->at + start, (uint32_t)made.size);
	return true;
}

static bool number(struct json *j, struct vgs_buffer *b) {
	size_t size = strspn(j->at, "+-0123456789.eE");
	char *end;
	if (size == 0 || strspn(j->at, "-0123456789") == 0) {
		return wrong(j, "something that is no value");
	}
	if (strcspn(j->at, ".eE") >= size) {
		errno = 0;
		long long n = strtoll(j->at, &end, 10);
		if (errno == 0 && end == j->at + size) {
			j->at = end;
			vgs_put_whole(b, n);
			return true;
		}
	}
	double n = strtod(j->at, &end);
	if (end != j->at + size || !isfinite(n)) {
		return wrong(j, "a number that is none");
	}
	j->at = end;
	vgs_put_real(b, n);
	return true;
}

static bool items(struct json *j, struct vgs_buffer *b, int depth, bool map) {
	uint32_t count = 0;
	vgs_put8(b, map ? VGS_MAP : VGS_ITEMS);
	size_t start = b->size;
	vgs_put32(b, 0);
	j->at++;
	char end = map ? '}' : ']';
	if (!sign(j, end)) {
		do {
			if (map && !(text(j, b) && (sign(j, ':') || wrong(j, ": is wanted behind a name")))) {
				return false;
			}
			if (!parse(j, b, depth + 1)) {
				return false;
			}
			count++;
		} while (sign(j, ','));
		if (!sign(j, end)) {
			return wrong(j, map ? ", or } is wanted" : ", or ] is wanted");
		}
	}
	vgs_store32(b->at + start, count);
	return true;
}

static bool word(struct json *j, const char *w) {
	size_t size = strlen(w);
	if (strncmp(j->at, w, size) != 0) {
		return false;
	}
	j->at += size;
	return true;
}

static bool parse(struct json *j, struct vgs_buffer *b, int depth) {
	if (depth > VGS_VALUE_DEPTH) {
		return wrong(j, "values nest too deep");
	}
	blanks(j);
	switch (*j->at) {
	case '{':
		return items(j, b, depth, true);
	case '[':
		return items(j, b, depth, false);
	case '"':
		vgs_put8(b, VGS_STRING);
		return text(j, b);
	}
	if (word(j, "null")) {
		vgs_put_nothing(b);
	} else if (word(j, "true")) {
		vgs_put_flag(b, true);
	} else if (word(j, "false")) {
		vgs_put_flag(b, false);
	} else {
		return number(j, b);
	}
	return true;
}

bool vgs_from_json(struct vgs_buffer *b, const char *json, vegas_error *err) {
	struct json j = {.begin = json, .at = json};
	size_t start = b->size;
	bool ok = parse(&j, b, 1);
	blanks(&j);
	if (ok && *j.at != 0) {
		ok = wrong(&j, "something stands behind its end");
	}
	if (!ok) {
		b->size = start;
		vgs_fail(err, VEGAS_BAD_OPTION, NULL, "no JSON, at character %ld: %s", (long)(j.at - j.begin), j.wrong);
	}
	return ok;
}

/* ---- To JSON */

static void put_json(struct vgs_buffer *b, const char *text) { vgs_put(b, text, strlen(text)); }

static void quoted(struct vgs_buffer *b, struct vgs_view v) {
	static const char digits[] = "0123456789abcdef";
	vgs_put8(b, '"');
	for (size_t i = 0; i < v.size; i++) {
		unsigned char c = v.at[i];
		if (c == '"' || c == '\\') {
			vgs_put8(b, '\\');
			vgs_put8(b, c);
		} else if (c < ' ') {
			put_json(b, "\\u00");
			vgs_put8(b, (uint8_t)digits[c >> 4]);
			vgs_put8(b, (uint8_t)digits[c & 15]);
		} else {
			vgs_put8(b, c);
		}
	}
	vgs_put8(b, '"');
}

void vgs_to_json(struct vgs_buffer *b, struct vgs_view *value) {
	struct vgs_value v = vgs_read(value);
	char number[40];
	switch (v.tag) {
	case VGS_NOTHING:
		put_json(b, "null");
		break;
	case VGS_FALSE:
		put_json(b, "false");
		break;
	case VGS_TRUE:
		put_json(b, "true");
		break;
	case VGS_WHOLE:
		snprintf(number, sizeof number, "%lld", (long long)v.whole);
		put_json(b, number);
		break;
	case VGS_REAL:
		snprintf(number, sizeof number, isfinite(v.real) ? "%.17g" : "null", v.real);
		put_json(b, number);
		break;
	case VGS_STRING:
	case VGS_BYTES:
		quoted(b, v.text);
		break;
	case VGS_ITEMS:
	case VGS_MAP:
		vgs_put8(b, v.tag == VGS_MAP ? '{' : '[');
		for (uint32_t i = 0; i < v.count; i++) {
			if (i > 0) {
				vgs_put8(b, ',');
			}
			if (v.tag == VGS_MAP) {
				quoted(b, vgs_read_key(value));
				vgs_put8(b, ':');
			}
			vgs_to_json(b, value);
		}
		vgs_put8(b, v.tag == VGS_MAP ? '}' : ']');
		break;
	}
}

char *vgs_find_json(struct vgs_view map, const char *name) {
	struct vgs_value v = vgs_read(&map);
	struct vgs_buffer json = {0};
	for (uint32_t n = v.tag == VGS_MAP ? v.count : 0; n > 0; n--) {
		if (vgs_same(vgs_read_key(&map), name)) {
			vgs_to_json(&json, &map);
			break;
		}
		vgs_skip(&map);
	}
	vgs_put8(&json, 0);
	return (char *)json.at;
}
