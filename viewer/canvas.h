/*
 * The picture that the server paints: its size, what of it was painted and how, and what the present update changed.
 * Pure; no allocation.
 *
 * BGRX8888. X tells what a pixel is: GR_CANVAS_EXACT, GR_CANVAS_LOSSY, or 0: not painted since the last change of size.
 */
#ifndef GARASU_VIEWER_CANVAS_H
#define GARASU_VIEWER_CANVAS_H

#include "common/record.h"

#include <stddef.h>
#include <stdint.h>

#define GR_CANVAS_EXACT 0xff000000u /* as the browser painted it; what every decoder writes */
#define GR_CANVAS_LOSSY 0x80000000u /* of a photograph, until the server sends it exactly */

struct gr_canvas {
	uint32_t *pixels; /* borrowed */
	size_t stride; /* pixels from one row to the next, >= width */
	uint16_t width, height;
	int full; /* all was painted since the last change of size */
	uint64_t painted; /* pixels painted since, overlaps counted twice */
	int lossy; /* some pixel may be GR_CANVAS_LOSSY */
	uint16_t lossy_row; /* where one was */
	struct gr_rect damage[GR_FRAME_RECTS_MAX];
	size_t damage_count;
};

/* The caller has checked that width * height pixels fit. What both sizes have in common stays visible. Forgets the damage. */
void gr_canvas_resize(struct gr_canvas *canvas, uint16_t width, uint16_t height);

int gr_canvas_holds(const struct gr_canvas *canvas, uint32_t x, uint32_t y, uint32_t w, uint32_t h);

/* Behind all that paints into a rectangle that the canvas holds. lossy: every pixel of it was painted, and none exactly. */
void gr_canvas_painted(struct gr_canvas *canvas, struct gr_rect rect, int lossy);

/* CopyRect; the canvas holds both rectangles. */
void gr_canvas_copy(struct gr_canvas *canvas, uint16_t from_x, uint16_t from_y, struct gr_rect rect);

/* Whether no pixel is GR_CANVAS_LOSSY. */
int gr_canvas_exact(struct gr_canvas *canvas);

/* Whether everything was painted since the last change of size. */
int gr_canvas_full(struct gr_canvas *canvas);

#endif
