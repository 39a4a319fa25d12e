#include <stdarg.h>
#include <stdio.h>

#include "wire.h"

const char *vegas_code_name(vegas_code code) {
	return (unsigned)code < VEGAS_CODES ? vgs_codes[code] : vgs_codes[VEGAS_FAILED];
}

static bool continues(unsigned char c) { return (c & 0xc0) == 0x80; }

void vgs_cut(char *to, size_t room, struct vgs_view text) {
	size_t n = text.size;
	if (n >= room) {
		n = room - 1;
		while (n > 0 && continues(text.at[n])) {
			n--;
		}
	}
	if (n > 0) {
		memcpy(to, text.at, n);
	}
	to[n] = 0;
}

static struct vgs_view view_of(const char *text) {
	return (struct vgs_view){(const unsigned char *)text, strlen(text)};
}

vegas_code vgs_fail(vegas_error *err, vegas_code code, const char *remedy, const char *format, ...) {
	if (err == NULL) {
		return code;
	}
	char text[2 * sizeof err->text];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	err->code = code;
	err->unknown = 0;
	vgs_cut(err->text, sizeof err->text, view_of(text));
	vgs_cut(err->remedy, sizeof err->remedy, view_of(remedy ? remedy : ""));
	return code;
}

vegas_code vgs_pass(vegas_error *err, const vegas_error *why) {
	if (err != NULL && err != why) {
		*err = *why;
	}
	return why->code;
}

void vgs_put_error(struct vgs_buffer *b, vegas_code code, struct vgs_view text) {
	vgs_put_map(b, 2);
	vgs_put_key(b, "code");
	vgs_put_string(b, vegas_code_name(code));
	vgs_put_key(b, "text");
	vgs_put_text(b, text);
}

static vegas_code code_of(struct vgs_view name) {
	for (int i = 1; i < VEGAS_CODES; i++) {
		if (vgs_same(name, vgs_codes[i])) {
			return (vegas_code)i;
		}
	}
	return VEGAS_FAILED;
}

void vgs_read_error(struct vgs_value v, vegas_error *err) {
	vgs_fail(err, VEGAS_FAILED, NULL, "an error that is none");
	if (v.tag != VGS_MAP) {
		return;
	}
	for (uint32_t n = v.count; n > 0; n--) {
		struct vgs_view key = vgs_read_key(&v.items), after = v.items;
		struct vgs_value of = vgs_read(&after);
		if (vgs_same(key, "code") && of.tag == VGS_STRING) {
			err->code = code_of(of.text);
		} else if (vgs_same(key, "text") && of.tag == VGS_STRING) {
			vgs_cut(err->text, sizeof err->text, of.text);
		} else if (vgs_same(key, "remedy") && of.tag == VGS_STRING) {
			vgs_cut(err->remedy, sizeof err->remedy, of.text);
		} else if (vgs_same(key, "unknown")) {
			err->unknown = of.tag == VGS_TRUE;
		}
		vgs_skip(&v.items);
	}
}

long vgs_characters(struct vgs_view text) {
	unsigned char all = 0;
	for (size_t i = 0; i < text.size; i++) {
		all |= text.at[i];
	}
	if (all < 0x80) {
		return (long)text.size;
	}
	long count = 0;
	for (size_t i = 0; i < text.size; count++) {
		unsigned char c = text.at[i];
		uint32_t n = 0, least = 0, point = c;
		if (c >= 0xf0 && c < 0xf8) {
			n = 3, least = 0x10000, point = c & 0x07u;
		} else if (c >= 0xe0 && c < 0xf0) {
			n = 2, least = 0x800, point = c & 0x0fu;
		} else if (c >= 0xc0 && c < 0xe0) {
			n = 1, least = 0x80, point = c & 0x1fu;
		} else if (c >= 0x80) {
			return -1;
		}
		if (text.size - i <= n) {
			return -1;
		}
		for (uint32_t k = 1; k <= n; k++) {
			if (!continues(text.at[i + k])) {
				return -1;
			}
			point = point << 6 | (text.at[i + k] & 0x3fu);
		}
		if (point < least || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
			return -1;
		}
		i += n + 1;
	}
	return count;
}
