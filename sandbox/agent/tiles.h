/*
 * Finds out what of a damaged rectangle really changed, by comparison with the pixels that the broker has
 * already been given, and words it as few rectangles. Pure: no I/O.
 *
 * Pixels are BGRX8888; X is no part of the picture: a difference in X alone is no change.
 */
#ifndef GARASU_AGENT_TILES_H
#define GARASU_AGENT_TILES_H

#include "common/record.h"

#define GR_TILE_W 64u
#define GR_TILE_H 16u

struct gr_tiles;

/* Returns an owned map for screens up to max_w by max_h pixels, nothing marked; NULL when out of memory. */
struct gr_tiles *gr_tiles_create(uint16_t max_w, uint16_t max_h);
void gr_tiles_destroy(struct gr_tiles *tiles); /* NULL allowed */

/* Forgets all marks. */
void gr_tiles_clear(struct gr_tiles *tiles);

/*
 * Compares source, the picture of rect (rect.h rows of source_stride bytes), with the same place of target, a screen
 * whose rows have target_stride bytes; copies what differs and marks the tiles it lies in. Both are borrowed.
 * The rectangle lies inside the map's screen, and the memory is as large as that says: the caller has clipped.
 */
void gr_tiles_update(struct gr_tiles *tiles, uint8_t *target, size_t target_stride, const uint8_t *source,
		     size_t source_stride, const struct gr_rect *rect);

/* Marks every tile that the rectangle, which lies inside the map's screen, touches. */
void gr_tiles_mark(struct gr_tiles *tiles, const struct gr_rect *rect);

/*
 * Covers the marked tiles by at most GR_FRAME_RECTS_MAX rectangles that do not overlap, clipped to a screen of w by h.
 * Where there are too many, neighbours are joined and cover unchanged tiles too. Returns their number; 0: no mark.
 */
uint32_t gr_tiles_rects(const struct gr_tiles *tiles, uint16_t w, uint16_t h, struct gr_rect out[GR_FRAME_RECTS_MAX]);

#endif
