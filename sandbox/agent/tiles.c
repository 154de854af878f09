#include "sandbox/agent/tiles.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct gr_tiles {
	size_t cols, rows;
	bool marked[]; /* rows of cols */
};

struct gr_tiles *gr_tiles_create(uint16_t max_w, uint16_t max_h)
{
	size_t cols = (max_w + GR_TILE_W - 1) / GR_TILE_W;
	size_t rows = (max_h + GR_TILE_H - 1) / GR_TILE_H;
	/* 16-bit sides: at most 1024 * 4096 tiles. */
	struct gr_tiles *tiles = calloc(1, sizeof(*tiles) + cols * rows * sizeof(tiles->marked[0]));
	if (!tiles)
		return NULL;
	tiles->cols = cols;
	tiles->rows = rows;
	return tiles;
}

void gr_tiles_destroy(struct gr_tiles *tiles)
{
	free(tiles);
}

void gr_tiles_clear(struct gr_tiles *tiles)
{
	memset(tiles->marked, 0, tiles->cols * tiles->rows * sizeof(tiles->marked[0]));
}

/* Whether n pixels are the same picture, X aside. Called where memcmp has found a difference, so rarely. */
static bool same_picture(const uint8_t *a, const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t p, q;
		memcpy(&p, a + 4 * i, 4);
		memcpy(&q, b + 4 * i, 4);
		if ((p ^ q) & 0x00ffffffu)
			return false;
	}
	return true;
}

void gr_tiles_update(struct gr_tiles *tiles, uint8_t *target, size_t target_stride, const uint8_t *source,
		     size_t source_stride, const struct gr_rect *rect)
{
	for (size_t y = 0; y < rect->h; y++) {
		uint8_t *to = target + (rect->y + y) * target_stride;
		const uint8_t *from = source + y * source_stride;
		/* Most rows of a damaged rectangle are equal from end to end: one comparison finds that fastest. */
		if (memcmp(to + (size_t)4 * rect->x, from, (size_t)4 * rect->w) == 0)
			continue;
		bool *marked = tiles->marked + (rect->y + y) / GR_TILE_H * tiles->cols;
		size_t end = (size_t)rect->x + rect->w;
		for (size_t x = rect->x; x < end;) {
			size_t next = (x / GR_TILE_W + 1) * GR_TILE_W;
			if (next > end)
				next = end;
			const uint8_t *piece = from + 4 * (x - rect->x);
			if (memcmp(to + 4 * x, piece, 4 * (next - x)) != 0 &&
			    !same_picture(to + 4 * x, piece, next - x)) {
				memcpy(to + 4 * x, piece, 4 * (next - x));
				marked[x / GR_TILE_W] = true;
			}
			x = next;
		}
	}
}

void gr_tiles_mark(struct gr_tiles *tiles, const struct gr_rect *rect)
{
	if (rect->w == 0 || rect->h == 0)
		return;
	size_t last_row = ((size_t)rect->y + rect->h - 1) / GR_TILE_H;
	size_t last_col = ((size_t)rect->x + rect->w - 1) / GR_TILE_W;
	for (size_t row = rect->y / GR_TILE_H; row <= last_row; row++)
		for (size_t col = rect->x / GR_TILE_W; col <= last_col; col++)
			tiles->marked[row * tiles->cols + col] = true;
}

/* Whether any of `group` rows of tiles, from row on, has a mark in the column. */
static bool marked_in(const struct gr_tiles *tiles, size_t row, size_t group, size_t col)
{
	for (size_t r = row; r < row + group && r < tiles->rows; r++)
		if (tiles->marked[r * tiles->cols + col])
			return true;
	return false;
}

/*
 * One attempt: bands of `group` rows of tiles; in a band, runs of marked columns with gaps of up to `gap` unmarked
 * ones; a run under one of the same columns becomes one rectangle with it. In tiles, not yet pixels.
 * Returns the number, or GR_FRAME_RECTS_MAX + 1 when they are too many.
 */
static uint32_t cover(const struct gr_tiles *tiles, size_t group, size_t gap, struct gr_rect out[GR_FRAME_RECTS_MAX])
{
	uint32_t count = 0;
	for (size_t row = 0; row < tiles->rows; row += group) {
		for (size_t col = 0; col < tiles->cols;) {
			if (!marked_in(tiles, row, group, col)) {
				col++;
				continue;
			}
			size_t end = col + 1;
			for (size_t c = end; c < tiles->cols && c - end <= gap; c++)
				if (marked_in(tiles, row, group, c))
					end = c + 1;
			struct gr_rect *above = NULL;
			for (uint32_t i = 0; i < count && !above; i++)
				if (out[i].x == col && out[i].w == end - col && out[i].y + out[i].h == row)
					above = &out[i];
			if (above) {
				above->h = (uint16_t)(above->h + group);
			} else {
				if (count == GR_FRAME_RECTS_MAX)
					return GR_FRAME_RECTS_MAX + 1;
				out[count++] = (struct gr_rect){ (uint16_t)col, (uint16_t)row, (uint16_t)(end - col),
								 (uint16_t)group };
			}
			col = end;
		}
	}
	return count;
}

static uint16_t least(size_t a, size_t b)
{
	return (uint16_t)(a < b ? a : b);
}

uint32_t gr_tiles_rects(const struct gr_tiles *tiles, uint16_t w, uint16_t h, struct gr_rect out[GR_FRAME_RECTS_MAX])
{
	/* First exact, then wider gaps, at last one run per band and higher bands: ends, for then there is one band. */
	size_t group = 1, gap = 0;
	uint32_t count;
	while ((count = cover(tiles, group, gap, out)) > GR_FRAME_RECTS_MAX) {
		if (gap < tiles->cols)
			gap = gap * 2 + 1;
		else
			group *= 2;
	}

	uint32_t kept = 0;
	for (uint32_t i = 0; i < count; i++) {
		size_t x = (size_t)out[i].x * GR_TILE_W, y = (size_t)out[i].y * GR_TILE_H;
		if (x >= w || y >= h)
			continue;
		out[kept++] = (struct gr_rect){ (uint16_t)x, (uint16_t)y, least((size_t)out[i].w * GR_TILE_W, w - x),
						least((size_t)out[i].h * GR_TILE_H, h - y) };
	}
	return kept;
}
