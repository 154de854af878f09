/* What the guard's tests and its fuzzer's seeds share: streams, written piece by piece, and their way through a guard. */
#ifndef GARASU_TESTS_GUARD_STREAM_H
#define GARASU_TESTS_GUARD_STREAM_H

#include "broker/guard/guard.h"

#include <stddef.h>
#include <stdint.h>

enum { STREAM_MAX = 6 << 20 };

struct stream {
	size_t n;
	uint8_t bytes[STREAM_MAX];
};

void put(struct stream *s, const void *bytes, size_t n);
void put8(struct stream *s, size_t value);
void put16(struct stream *s, unsigned value);
void put32(struct stream *s, uint32_t value);
void put_fill(struct stream *s, uint8_t byte, size_t n);

/* ServerInit alone. */
void put_init(struct stream *s, unsigned w, unsigned h);
/* A FramebufferUpdate's head; a rectangle's. */
void put_update(struct stream *s, unsigned rectangles);
void put_rectangle(struct stream *s, unsigned x, unsigned y, unsigned w, unsigned h, int32_t encoding);

/* HISTORY's payload, length first: a zstd block that is not compressed around the unit; the frame's header with the first one. */
void put_history(struct stream *s, const void *unit, size_t n, int first);
/* The unit of one white piece: tokens of runs. Returns its bytes. */
size_t white_unit(uint8_t *unit, unsigned x, unsigned y, unsigned w, unsigned h);
/* A JPEG as our broker writes them, without APP0, of noise; returns its bytes. */
size_t make_jpeg(uint8_t *out, size_t cap, unsigned w, unsigned h, int quality);
/* zlib's stream so far, flushed: *state NULL at first, given back by end_deflate. */
size_t deflate_piece(void **state, const void *bytes, size_t n, uint8_t *out, size_t cap);
void end_deflate(void **state);

/* What became of a stream. */
struct verdict {
	int status; /* of the last gr_guard_down_took */
	size_t passed; /* bytes that were let through */
	int faithful; /* they were the stream's own */
	const char *rule; /* of the violation, or NULL */
	uint64_t offset;
};

/* Sends the stream down in pieces of `chunk` bytes (0: as large as there is room). */
struct verdict send_down(struct gr_guard *guard, const struct stream *s, size_t chunk);

#endif
