#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>

static void *got(void *at, size_t size) {
	if (at == NULL) {
		fprintf(stderr, "vegas: no memory for %zu bytes\n", size);
		abort();
	}
	return at;
}

void *vgs_alloc(size_t size) { return got(malloc(size ? size : 1), size); }
void *vgs_alloc_zero(size_t size) { return got(calloc(1, size ? size : 1), size); }
void *vgs_realloc(void *at, size_t size) { return got(realloc(at, size ? size : 1), size); }

char *vgs_text_of(struct vgs_view v) {
	char *text = vgs_alloc(v.size + 1);
	if (v.size > 0) {
		memcpy(text, v.at, v.size);
	}
	text[v.size] = 0;
	return text;
}

char *vgs_text_copy(const char *text) {
	return vgs_text_of((struct vgs_view){(const unsigned char *)text, strlen(text)});
}

unsigned char *vgs_extend(struct vgs_buffer *b, size_t more) {
	size_t start = b->size;
	if (b->room - b->size < more) {
		size_t room = b->room ? b->room : 256;
		while (room - b->size < more) {
			room *= 2;
		}
		b->at = vgs_realloc(b->at, room);
		b->room = room;
	}
	b->size += more;
	return b->at + start;
}

void vgs_free_buffer(struct vgs_buffer *b) {
	free(b->at);
	*b = (struct vgs_buffer){0};
}
