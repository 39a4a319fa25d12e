#include "wire.h"

/* ---- Frames */

size_t vgs_begin_frame(struct vgs_buffer *b, int kind) {
	size_t start = b->size;
	vgs_put32(b, 0);
	vgs_put8(b, (uint8_t)kind);
	return start;
}

void vgs_end_frame(struct vgs_buffer *b, size_t start) {
	vgs_store32(b->at + start, (uint32_t)(b->size - start - 4));
}

long vgs_take_frame(struct vgs_view bytes, int *kind, struct vgs_view *body) {
	if (bytes.size < 4) {
		return 0;
	}
	uint32_t size = vgs_load32(bytes.at);
	if (size < 1 || size > VGS_FRAME_BYTES) {
		return -1;
	}
	if (bytes.size - 4 < size) {
		return 0;
	}
	*kind = bytes.at[4];
	*body = (struct vgs_view){bytes.at + VGS_FRAME_HEAD, size - 1};
	return (long)size + 4;
}

/* ---- Values, written */

void vgs_put_nothing(struct vgs_buffer *b) { vgs_put8(b, VGS_NOTHING); }
void vgs_put_flag(struct vgs_buffer *b, bool v) { vgs_put8(b, v ? VGS_TRUE : VGS_FALSE); }

void vgs_put_whole(struct vgs_buffer *b, int64_t n) {
	vgs_put8(b, VGS_WHOLE);
	vgs_put64(b, (uint64_t)n);
}

void vgs_put_real(struct vgs_buffer *b, double n) {
	uint64_t bits;
	memcpy(&bits, &n, sizeof bits);
	vgs_put8(b, VGS_REAL);
	vgs_put64(b, bits);
}

void vgs_put_text(struct vgs_buffer *b, struct vgs_view text) {
	vgs_put8(b, VGS_STRING);
	vgs_put32(b, (uint32_t)text.size);
	vgs_put(b, text.at, text.size);
}

void vgs_put_string(struct vgs_buffer *b, const char *text) {
	vgs_put_text(b, (struct vgs_view){(const unsigned char *)text, strlen(text)});
}

void vgs_put_items(struct vgs_buffer *b, uint32_t count) {
	vgs_put8(b, VGS_ITEMS);
	vgs_put32(b, count);
}

void vgs_put_map(struct vgs_buffer *b, uint32_t count) {
	vgs_put8(b, VGS_MAP);
	vgs_put32(b, count);
}

void vgs_put_key(struct vgs_buffer *b, const char *name) {
	size_t size = strlen(name);
	vgs_put32(b, (uint32_t)size);
	vgs_put(b, name, size);
}

/* ---- Values, read */

static bool drop(struct vgs_view *v, size_t n) {
	if (v->size < n) {
		return false;
	}
	v->at += n;
	v->size -= n;
	return true;
}

/* Passes over a value that may be anything. */
static bool check(struct vgs_view *v, int depth) {
	if (depth > VGS_VALUE_DEPTH || v->size == 0) {
		return false;
	}
	int tag = *v->at;
	drop(v, 1);
	switch (tag) {
	case VGS_NOTHING:
	case VGS_FALSE:
	case VGS_TRUE:
		return true;
	case VGS_WHOLE:
	case VGS_REAL:
		return drop(v, 8);
	case VGS_STRING:
	case VGS_BYTES:
	case VGS_ITEMS:
	case VGS_MAP:
		break;
	default:
		return false;
	}
	if (v->size < 4) {
		return false;
	}
	uint32_t n = vgs_load32(v->at);
	drop(v, 4);
	if (tag == VGS_STRING || tag == VGS_BYTES) {
		return drop(v, n);
	}
	for (; n > 0; n--) {
		if (tag == VGS_MAP) {
			if (v->size < 4) {
				return false;
			}
			uint32_t key = vgs_load32(v->at);
			if (!drop(v, 4) || !drop(v, key)) {
				return false;
			}
		}
		if (!check(v, depth + 1)) {
			return false;
		}
	}
	return true;
}

bool vgs_is_value(struct vgs_view body) {
	return body.size <= VGS_VALUE_BYTES && check(&body, 1) && body.size == 0;
}

struct vgs_value vgs_read(struct vgs_view *from) {
	struct vgs_value v = {.tag = (enum vgs_tag)*from->at};
	uint64_t bits;
	drop(from, 1);
	switch (v.tag) {
	case VGS_WHOLE:
		v.whole = (int64_t)vgs_load64(from->at);
		drop(from, 8);
		break;
	case VGS_REAL:
		bits = vgs_load64(from->at);
		memcpy(&v.real, &bits, sizeof bits);
		drop(from, 8);
		break;
	case VGS_STRING:
	case VGS_BYTES:
		v.text = (struct vgs_view){from->at + 4, vgs_load32(from->at)};
		drop(from, 4 + v.text.size);
		break;
	case VGS_ITEMS:
	case VGS_MAP:
		v.count = vgs_load32(from->at);
		drop(from, 4);
		v.items = *from;
		break;
	default:
		break;
	}
	return v;
}

struct vgs_view vgs_read_key(struct vgs_view *from) {
	struct vgs_view key = {from->at + 4, vgs_load32(from->at)};
	drop(from, 4 + key.size);
	return key;
}

void vgs_skip(struct vgs_view *from) {
	struct vgs_value v = vgs_read(from);
	for (uint32_t n = v.count; n > 0; n--) {
		if (v.tag == VGS_MAP) {
			vgs_read_key(from);
		}
		vgs_skip(from);
	}
}

bool vgs_same(struct vgs_view a, const char *b) { return a.size == strlen(b) && memcmp(a.at, b, a.size) == 0; }

struct vgs_value vgs_find(struct vgs_view map, const char *name) {
	struct vgs_value v = vgs_read(&map);
	if (v.tag == VGS_MAP) {
		for (uint32_t n = v.count; n > 0; n--) {
			if (vgs_same(vgs_read_key(&map), name)) {
				return vgs_read(&map);
			}
			vgs_skip(&map);
		}
	}
	return (struct vgs_value){.tag = VGS_NOTHING};
}

int64_t vgs_find_whole(struct vgs_view map, const char *name, int64_t otherwise) {
	struct vgs_value v = vgs_find(map, name);
	return v.tag == VGS_WHOLE ? v.whole : otherwise;
}

struct vgs_view vgs_find_text(struct vgs_view map, const char *name) {
	struct vgs_value v = vgs_find(map, name);
	return v.tag == VGS_STRING ? v.text : (struct vgs_view){(const unsigned char *)"", 0};
}

/* ---- Records */

size_t vgs_headers_size(const vegas_header *headers, size_t count) {
	if (count == 0 || count > UINT16_MAX) {
		return 0;
	}
	size_t size = 2;
	for (size_t i = 0; i < count; i++) {
		if (headers[i].name_size > UINT16_MAX || headers[i].size > VGS_FRAME_BYTES) {
			return 0;
		}
		size += 6 + headers[i].name_size + headers[i].size;
	}
	return size;
}

void vgs_put_headers(unsigned char *at, const vegas_header *headers, size_t count) {
	vgs_store16(at, (uint16_t)count);
	at += 2;
	for (size_t i = 0; i < count; i++) {
		const vegas_header *h = &headers[i];
		vgs_store16(at, (uint16_t)h->name_size);
		vgs_store32(at + 2, (uint32_t)h->size);
		at += 6;
		if (h->name_size > 0) {
			memcpy(at, h->name, h->name_size);
		}
		at += h->name_size;
		if (h->size > 0) {
			memcpy(at, h->value, h->size);
		}
		at += h->size;
	}
}

/* The next header, of count that lie in from; false where they cannot be read. */
static bool next_header(struct vgs_view *from, vegas_header *h) {
	if (from->size < 6) {
		return false;
	}
	h->name_size = vgs_load16(from->at);
	h->size = vgs_load32(from->at + 2);
	drop(from, 6);
	if (h->name_size > from->size || h->size > from->size - h->name_size) {
		return false;
	}
	h->name = (const char *)from->at;
	h->value = from->at + h->name_size;
	return drop(from, h->name_size + h->size);
}

size_t vegas_record_headers(const vegas_record *r, vegas_header *headers, size_t max) {
	struct vgs_view from = {r->packed_headers, r->packed_headers_size};
	if (from.size < 2) {
		return 0;
	}
	size_t count = vgs_load16(from.at), n = 0;
	vegas_header h;
	for (drop(&from, 2); n < count && next_header(&from, &h); n++) {
		if (n < max) {
			headers[n] = h;
		}
	}
	return n;
}

const void *vegas_record_header(const vegas_record *r, const char *name, size_t *size) {
	struct vgs_view from = {r->packed_headers, r->packed_headers_size};
	if (from.size < 2) {
		return NULL;
	}
	size_t count = vgs_load16(from.at), length = strlen(name);
	vegas_header h;
	for (drop(&from, 2); count > 0 && next_header(&from, &h); count--) {
		if (h.name_size == length && memcmp(h.name, name, length) == 0) {
			if (size != NULL) {
				*size = h.size;
			}
			return h.value;
		}
	}
	return NULL;
}

struct vgs_group vgs_read_group(struct vgs_view *rest) {
	struct vgs_group g = {
	    .status = rest->at[0],
	    .text = {rest->at + VGS_GROUP_HEAD, vgs_load16(rest->at + 2)},
	    .count = vgs_load32(rest->at + 4),
	};
	g.rows = g.text.at + g.text.size;
	drop(rest, VGS_GROUP_HEAD + g.text.size + (size_t)g.count * VGS_REPORT_ROW);
	return g;
}

bool vgs_is_report(struct vgs_view body) {
	if (body.size < 8) {
		return false;
	}
	uint32_t groups = vgs_load32(body.at + 4);
	for (drop(&body, 8); groups > 0; groups--) {
		if (body.size < VGS_GROUP_HEAD) {
			return false;
		}
		size_t size = VGS_GROUP_HEAD + vgs_load16(body.at + 2) + (size_t)vgs_load32(body.at + 4) * VGS_REPORT_ROW;
		struct vgs_view text = {body.at + VGS_GROUP_HEAD, vgs_load16(body.at + 2)};
		int status = body.at[0];
		if (!drop(&body, size)) {
			return false;
		}
		if (status > VEGAS_DURABLE && !vgs_is_value(text)) {
			return false;
		}
	}
	return body.size == 0;
}

bool vgs_read_deliver(struct vgs_view body, struct vgs_deliver *d) {
	if (body.size < VGS_DELIVER_HEAD) {
		return false;
	}
	d->shard = vgs_load32(body.at + 4);
	d->chunk = vgs_load32(body.at + 8);
	d->behind = vgs_load32(body.at + 12);
	d->flags = body.at[16];
	d->count = vgs_load32(body.at + 17);
	size_t text = vgs_load32(body.at + 21);
	drop(&body, VGS_DELIVER_HEAD);
	d->text = (struct vgs_view){body.at, text};
	if (!drop(&body, text) || d->count == 0) {
		return false;
	}
	d->rows = body.at;
	if (!drop(&body, (size_t)d->count * VGS_DELIVER_ROW)) {
		return false;
	}
	d->bytes = body.at;
	d->texts = 1;
	size_t sum = 0;
	const unsigned char *row = d->rows;
	for (uint32_t i = 0; i < d->count; i++, row += VGS_DELIVER_ROW) {
		size_t texts = (size_t)vgs_load16(row + 8) + row[10] + row[11];
		d->texts += texts + 3;
		sum += texts + vgs_load32(row) + vgs_load32(row + 4);
	}
	return sum == body.size;
}

/* Copies a text of so many bytes, and goes on behind it on both sides. */
static const char *take_text(const unsigned char **from, size_t size, char **to) {
	char *text = *to;
	memcpy(text, *from, size);
	text[size] = 0;
	*from += size;
	*to += size + 1;
	return text;
}

void vgs_read_records(const struct vgs_deliver *d, vegas_record *records, char *texts, const vegas_shard *shard) {
	const unsigned char *row = d->rows, *at = d->bytes;
	const char *sequence = texts, *none = texts;
	*texts++ = 0;
	for (uint32_t i = 0; i < d->count; i++, row += VGS_DELIVER_ROW) {
		vegas_record *r = &records[i];
		r->size = vgs_load32(row);
		r->packed_headers_size = vgs_load32(row + 4);
		r->partition_key_size = vgs_load16(row + 8);
		r->aggregated = row[12] & 1;
		r->attempt = vgs_load16(row + 14);
		r->sub_sequence = (int64_t)vgs_load64(row + 16);
		r->arrival_time = (int64_t)vgs_load64(row + 24);
		r->partition_key = take_text(&at, r->partition_key_size, &texts);
		r->hash_key = row[10] ? take_text(&at, row[10], &texts) : none;
		if (row[11]) {
			sequence = take_text(&at, row[11], &texts);
		}
		r->sequence = sequence;
		r->packed_headers = at;
		at += r->packed_headers_size;
		r->data = at;
		at += r->size;
		r->shard = shard;
	}
}
