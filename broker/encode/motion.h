/*
 * Finds by how much a part of the screen has moved: one vector for a rectangle, in whole pixels and both axes, as browsers
 * scroll and maps are dragged. It only guesses, by looking at some of the pixels; whoever uses the vector compares.
 * No I/O, no globals, no allocation but in create.
 */
#ifndef GARASU_BROKER_ENCODE_MOTION_H
#define GARASU_BROKER_ENCODE_MOTION_H

#include "broker/encode/kernels.h"
#include "common/record.h"

struct gr_motion;

/* What is now at (x, y) was at (x + dx, y + dy). 0, 0: nothing has moved. */
struct gr_vector {
	int dx, dy;
};

/* Returns owned; NULL: out of memory. width: of the widest screen. */
struct gr_motion *gr_motion_create(uint16_t width, const struct gr_kernels *kernels);
void gr_motion_destroy(struct gr_motion *motion); /* NULL allowed */

/* Forgets what was found before, as if newly made. */
void gr_motion_reset(struct gr_motion *motion);

/*
 * before: the screen as it was, private, `stride` pixels a row. untrusted_now: as it is now, `untrusted_stride` bytes a row;
 * may be rewritten meanwhile. rect: inside both. Returns 1 and the vector, or 0 when too little changed to be worth it,
 * or nothing was found. The vectors found last are tried first.
 */
int gr_motion_find(struct gr_motion *motion, const uint32_t *before, size_t stride, const uint8_t *untrusted_now,
		   size_t untrusted_stride, struct gr_rect rect, struct gr_vector *out);

#endif
