/* Memory that grows, and numbers in it. */
#ifndef VGS_BYTES_H
#define VGS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Whose arguments are as those of printf. */
#ifdef _WIN32
#define VGS_FORMAT(format_at, first) __attribute__((format(gnu_printf, format_at, first)))
#else
#define VGS_FORMAT(format_at, first) __attribute__((format(printf, format_at, first)))
#endif

/* Memory, or the end of the program. */
void *vgs_alloc(size_t size);
void *vgs_alloc_zero(size_t size);
void *vgs_realloc(void *at, size_t size);

/* Bytes of somebody else's. */
struct vgs_view {
	const unsigned char *at;
	size_t size;
};

/* A copy with a 0 byte at its end. */
char *vgs_text_of(struct vgs_view v);
char *vgs_text_copy(const char *text);

struct vgs_buffer {
	unsigned char *at;
	size_t size, room;
};

/* Makes the buffer longer, and returns where the new bytes are. */
unsigned char *vgs_extend(struct vgs_buffer *b, size_t more);
void vgs_free_buffer(struct vgs_buffer *b);

static inline struct vgs_view vgs_view_of(const struct vgs_buffer *b) {
	return (struct vgs_view){b->at, b->size};
}

static inline void vgs_put(struct vgs_buffer *b, const void *from, size_t size) {
	if (size > 0) {
		memcpy(vgs_extend(b, size), from, size);
	}
}

static inline void vgs_store16(unsigned char *at, uint16_t n) {
	at[0] = (unsigned char)n;
	at[1] = (unsigned char)(n >> 8);
}

static inline void vgs_store32(unsigned char *at, uint32_t n) {
	vgs_store16(at, (uint16_t)n);
	vgs_store16(at + 2, (uint16_t)(n >> 16));
}

static inline void vgs_store64(unsigned char *at, uint64_t n) {
	vgs_store32(at, (uint32_t)n);
	vgs_store32(at + 4, (uint32_t)(n >> 32));
}

static inline uint16_t vgs_load16(const unsigned char *at) {
	return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t vgs_load32(const unsigned char *at) {
	return (uint32_t)vgs_load16(at) | (uint32_t)vgs_load16(at + 2) << 16;
}

static inline uint64_t vgs_load64(const unsigned char *at) {
	return (uint64_t)vgs_load32(at) | (uint64_t)vgs_load32(at + 4) << 32;
}

static inline void vgs_put8(struct vgs_buffer *b, uint8_t n) { *vgs_extend(b, 1) = n; }
static inline void vgs_put16(struct vgs_buffer *b, uint16_t n) { vgs_store16(vgs_extend(b, 2), n); }
static inline void vgs_put32(struct vgs_buffer *b, uint32_t n) { vgs_store32(vgs_extend(b, 4), n); }
static inline void vgs_put64(struct vgs_buffer *b, uint64_t n) { vgs_store64(vgs_extend(b, 8), n); }

#endif
