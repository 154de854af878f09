/*
 * The history stream of one viewer's connection: rectangles of pixels as tokens (common/decode/tokens.h) into one zstd
 * stream with a long window, so that whatever this viewer was shown exactly before costs next to nothing. The tokens of a
 * row depend on nothing but the row and the one above, so that what scrolls, or comes back, is the same bytes again.
 */
#ifndef GARASU_BROKER_ENCODE_HISTORY_H
#define GARASU_BROKER_ENCODE_HISTORY_H

#include "broker/encode/kernels.h"
#include "common/record.h"

struct gr_history;

/* Where RFB rectangles are written to. */
struct gr_encode_out {
	uint8_t *bytes;
	size_t used, cap;
	size_t enough; /* bytes after which nothing more is begun */
	unsigned rects;
};

/* Returns owned; allocates all that it will ever need. window_log2: of the window's bytes. NULL: out of memory. */
struct gr_history *gr_history_create(unsigned window_log2, const struct gr_kernels *kernels);
void gr_history_destroy(struct gr_history *history); /* NULL allowed */

/* Room that out must have before the first add, and that a unit is closed for. */
size_t gr_history_room(void);

/*
 * Adds rows of the rectangle, from its first on, until all are added, or out has enough, or no room for another unit.
 * pixels: of the screen, `stride` pixels a row. photo: it is a photograph, whose pixels are told from their neighbours
 * rather than from the left. *rows_out: how many rows. GR_ENOMEM: zstd failed.
 */
int gr_history_add(struct gr_history *history, const uint32_t *pixels, size_t stride, struct gr_rect rect, int photo,
		   struct gr_encode_out *out, uint16_t *rows_out);

/* Writes what was added and is not written yet. */
int gr_history_flush(struct gr_history *history, struct gr_encode_out *out);

/* Bytes of tokens so far: how far the window has moved. */
uint64_t gr_history_bytes(const struct gr_history *history);

#endif
