/*
 * The private copy of the container's screen, and what of it the viewer does not have yet. The container can rewrite its
 * pixels at any time; everything that is encoded is read from here, so nothing changes half-way. No I/O, no globals, no
 * allocation but in create and resize.
 *
 * Pixels are BGRX8888 in host memory, 4 bytes each; the shadow's X is always 0, whatever the source says: 24 bits of a
 * pixel travel and not 32. x grows right, y down; widths and heights in pixels, strides in bytes.
 *
 * What the viewer has is the shadow as it was, changed by the copies in their order, except inside the tiles' boxes
 * (not sent yet, or sent but not exactly).
 */
#ifndef GARASU_BROKER_ENCODE_SCREEN_H
#define GARASU_BROKER_ENCODE_SCREEN_H

#include "broker/encode/kernels.h"
#include "common/record.h"

#include <stddef.h>
#include <stdint.h>

#define GR_TILE_WIDTH 64u /* pixels: 256 bytes, four cache lines */
#define GR_TILE_HEIGHT 16u
#define GR_COPIES_MAX 256u /* not yet sent; beyond it, what moved counts as changed */

/* Half-open, in pixels from a tile's corner; empty when right is 0. */
struct gr_tile_box {
	uint8_t left, top, right, bottom;
};

struct gr_tile {
	struct gr_tile_box pending; /* not sent yet */
	struct gr_tile_box lossy; /* what the viewer has here is not exact, where it is not pending too */
	uint32_t changed_ms; /* when it changed last, other than by moving; wraps */
	uint32_t touched_ms; /* lossy: when it, more than a detail of it, was sent or moved last; wraps */
	uint8_t heat; /* how often it changed in quick succession, saturating */
};

/* A rectangle that now holds what stood dx, dy beside it. */
struct gr_copy {
	struct gr_rect rect;
	int dx, dy;
};

struct gr_screen {
	uint16_t w, h;
	size_t columns, rows; /* of tiles */
	uint32_t *pixels; /* w * h */
	struct gr_tile *tiles; /* columns * rows */
	struct gr_copy copies[GR_COPIES_MAX]; /* not yet sent, in order; its user sets copy_count to 0 */
	size_t copy_count;
	size_t lossy_count; /* of tiles with a lossy box */
	/* private */
	int painted; /* something was taken */
	const struct gr_kernels *kernels;
	struct gr_motion *motion;
	struct gr_tile *tiles_before;
	uint8_t *moved; /* a byte per tile */
	uint32_t *line; /* w */
};

/* w, h: 1..GR_SCREEN_MAX. All black, all sent. GR_EINVAL; GR_ENOMEM. */
int gr_screen_init(struct gr_screen *screen, uint16_t w, uint16_t h, const struct gr_kernels *kernels);
/* Harmless after a failed init, or one of zeros. */
void gr_screen_finish(struct gr_screen *screen);

/* Another size; what both sizes have in common stays, the rest is black, nothing was sent. GR_EINVAL, GR_ENOMEM (as before then). */
int gr_screen_resize(struct gr_screen *screen, uint16_t w, uint16_t h);

/* A viewer comes that has nothing yet. */
void gr_screen_begin(struct gr_screen *screen);

/* These pixels (clipped) are not sent yet. */
void gr_screen_forget(struct gr_screen *screen, struct gr_rect rect);

/* A rectangle of the screen, not empty, was sent: exactly, or not. */
void gr_screen_sent(struct gr_screen *screen, struct gr_rect rect, int exact, uint64_t now_ms);

/*
 * Takes what changed of the damaged rectangles into the shadow and notes where, and what merely moved.
 *
 * untrusted_source  borrowed, stride bytes a row, at least the shadow's size; may be rewritten by somebody else meanwhile:
 *                   each pixel that is kept is read once for each damaged rectangle that covers it.
 * damage            borrowed, n entries; parts outside the shadow are ignored.
 * motion            whether to look for what moved
 * Returns how many pixels changed and did not merely move (as rows of tiles see it: at most a few too many).
 */
size_t gr_screen_take(struct gr_screen *screen, const uint8_t *untrusted_source, size_t stride,
		      const struct gr_rect *damage, size_t n, int motion, uint64_t now_ms);

#endif
