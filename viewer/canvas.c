#include "viewer/canvas.h"

#include <string.h>

#define STATE 0xff000000u

void gr_canvas_resize(struct gr_canvas *canvas, uint16_t width, uint16_t height)
{
	for (size_t y = 0; y < height; y++) {
		uint32_t *row = canvas->pixels + y * canvas->stride;
		size_t old = y < canvas->height ? canvas->width : 0;
		for (size_t x = 0; x < width; x++)
			row[x] = x < old ? row[x] & ~STATE : 0;
	}
	canvas->width = width;
	canvas->height = height;
	canvas->full = 0;
	canvas->painted = 0;
	canvas->lossy = 0;
	canvas->lossy_row = 0;
	canvas->damage_count = 0; /* rectangles of the old size say nothing now */
}

/* Right and lower edge in 32 bits: comparing areas instead of edges was a flaw elsewhere. */
int gr_canvas_holds(const struct gr_canvas *canvas, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
	return x + w <= canvas->width && y + h <= canvas->height;
}

/* Two bits tell: the upper is set, the one below it is not. */
static uint32_t is_lossy(uint32_t pixel)
{
	return pixel & ~(pixel << 1) & GR_CANVAS_LOSSY;
}

static int row_is_lossy(const struct gr_canvas *canvas, size_t y)
{
	const uint32_t *row = canvas->pixels + y * canvas->stride;
	uint32_t any = 0;
	for (size_t x = 0; x < canvas->width; x++)
		any |= is_lossy(row[x]);
	return any != 0;
}

static void add_damage(struct gr_canvas *canvas, struct gr_rect rect)
{
	if (canvas->damage_count < GR_FRAME_RECTS_MAX) {
		canvas->damage[canvas->damage_count++] = rect;
		return;
	}
	/* No more room: the last one grows to hold this one too. */
	struct gr_rect *last = &canvas->damage[GR_FRAME_RECTS_MAX - 1];
	unsigned right = (unsigned)last->x + last->w, bottom = (unsigned)last->y + last->h;
	if ((unsigned)rect.x + rect.w > right)
		right = (unsigned)rect.x + rect.w;
	if ((unsigned)rect.y + rect.h > bottom)
		bottom = (unsigned)rect.y + rect.h;
	if (rect.x < last->x)
		last->x = rect.x;
	if (rect.y < last->y)
		last->y = rect.y;
	last->w = (uint16_t)(right - last->x);
	last->h = (uint16_t)(bottom - last->y);
}

void gr_canvas_painted(struct gr_canvas *canvas, struct gr_rect rect, int lossy)
{
	if (lossy) {
		for (size_t y = 0; y < rect.h; y++) {
			uint32_t *row = canvas->pixels + (rect.y + y) * canvas->stride + rect.x;
			for (size_t x = 0; x < rect.w; x++)
				row[x] = (row[x] & ~STATE) | GR_CANVAS_LOSSY;
		}
		canvas->lossy = 1;
		canvas->lossy_row = rect.y;
	}
	canvas->painted += (uint64_t)rect.w * rect.h;
	add_damage(canvas, rect);
}

int gr_canvas_exact(struct gr_canvas *canvas)
{
	/* From the row that was lossy last: while photographs become exact from top to bottom, each row is looked at about once. */
	for (size_t i = 0; canvas->lossy && i < canvas->height; i++) {
		if (row_is_lossy(canvas, canvas->lossy_row))
			return 0;
		canvas->lossy_row = (uint16_t)((canvas->lossy_row + 1u) % canvas->height);
	}
	canvas->lossy = 0;
	return 1;
}

void gr_canvas_copy(struct gr_canvas *canvas, uint16_t from_x, uint16_t from_y, struct gr_rect rect)
{
	for (size_t i = 0; i < rect.h; i++) {
		size_t y = from_y < rect.y ? rect.h - 1 - i : i; /* rows not yet copied must not be overwritten */
		memmove(canvas->pixels + (rect.y + y) * canvas->stride + rect.x,
			canvas->pixels + (from_y + y) * canvas->stride + from_x, (size_t)rect.w * 4);
	}
}

int gr_canvas_full(struct gr_canvas *canvas)
{
	if (canvas->full || canvas->painted < (uint64_t)canvas->width * canvas->height)
		return canvas->full;
	for (size_t y = 0; y < canvas->height; y++) {
		const uint32_t *row = canvas->pixels + y * canvas->stride;
		for (size_t x = 0; x < canvas->width; x++)
			if (!(row[x] & STATE))
				return 0;
	}
	return canvas->full = 1;
}
