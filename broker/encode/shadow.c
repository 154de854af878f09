#include "broker/encode/shadow.h"
#include "common/error.h"

#include <stdlib.h>
#include <string.h>

#define TILE_WIDTH 64u /* pixels: 256 bytes, four cache lines */
#define TILE_HEIGHT 16u
#define COLOUR 0x00ffffffu

struct gr_shadow {
	uint16_t w, h;
	uint32_t *pixels;
};

/* Half-open box in pixels; empty when right <= left. */
struct box {
	uint32_t left, top, right, bottom;
};

static int size_good(uint16_t w, uint16_t h)
{
	return w >= 1 && h >= 1 && w <= GR_SCREEN_MAX && h <= GR_SCREEN_MAX;
}

struct gr_shadow *gr_shadow_create(uint16_t w, uint16_t h)
{
	if (!size_good(w, h))
		return NULL;
	struct gr_shadow *shadow = calloc(1, sizeof(*shadow));
	if (!shadow)
		return NULL;
	shadow->w = w;
	shadow->h = h;
	shadow->pixels = calloc((size_t)w * h, sizeof(uint32_t));
	if (!shadow->pixels) {
		free(shadow);
		return NULL;
	}
	return shadow;
}

void gr_shadow_destroy(struct gr_shadow *shadow)
{
	if (!shadow)
		return;
	free(shadow->pixels);
	free(shadow);
}

int gr_shadow_resize(struct gr_shadow *shadow, uint16_t w, uint16_t h)
{
	if (!size_good(w, h))
		return GR_EINVAL;
	uint32_t *pixels = calloc((size_t)w * h, sizeof(uint32_t));
	if (!pixels)
		return GR_ENOMEM;
	size_t columns = w < shadow->w ? w : shadow->w;
	size_t rows = h < shadow->h ? h : shadow->h;
	for (size_t y = 0; y < rows; y++)
		memcpy(pixels + y * w, shadow->pixels + y * shadow->w, columns * sizeof(uint32_t));
	free(shadow->pixels);
	shadow->pixels = pixels;
	shadow->w = w;
	shadow->h = h;
	return 0;
}

uint16_t gr_shadow_width(const struct gr_shadow *shadow)
{
	return shadow->w;
}

uint16_t gr_shadow_height(const struct gr_shadow *shadow)
{
	return shadow->h;
}

uint8_t *gr_shadow_pixels(struct gr_shadow *shadow)
{
	return (uint8_t *)shadow->pixels;
}

/*
 * One row of a tile: reads it once into private memory, compares, keeps. Widens *box (columns only) and returns 1
 * when it differs.
 */
static int take_row(uint32_t *shadow, const uint8_t *untrusted_source, uint32_t x, uint32_t n, struct box *box)
{
	uint32_t row[TILE_WIDTH];
	memcpy(row, untrusted_source, n * sizeof(uint32_t));
	/* The source can change at any time: from here on the compiler must not go back to it for what row holds. */
	__asm__ volatile("" : : "r"(row) : "memory");

	uint32_t difference = 0;
	for (uint32_t i = 0; i < n; i++) {
		row[i] &= COLOUR;
		difference |= row[i] ^ shadow[i];
	}
	if (!difference)
		return 0;
	uint32_t first = 0, last = n - 1;
	while (row[first] == shadow[first])
		first++;
	while (row[last] == shadow[last])
		last--;
	memcpy(shadow + first, row + first, (last - first + 1) * sizeof(uint32_t));
	if (x + first < box->left)
		box->left = x + first;
	if (x + last + 1 > box->right)
		box->right = x + last + 1;
	return 1;
}

/* Compares and keeps the part of one tile that is damaged; returns the box of what changed. */
static struct box take_tile(struct gr_shadow *shadow, const uint8_t *untrusted_source, size_t stride, struct box part)
{
	struct box box = { UINT32_MAX, UINT32_MAX, 0, 0 };
	for (uint32_t y = part.top; y < part.bottom; y++) {
		if (!take_row(shadow->pixels + (size_t)y * shadow->w + part.left,
			      untrusted_source + y * stride + (size_t)part.left * 4, part.left, part.right - part.left,
			      &box))
			continue;
		if (box.top == UINT32_MAX)
			box.top = y;
		box.bottom = y + 1;
	}
	return box;
}

static uint64_t area(uint32_t left, uint32_t top, uint32_t right, uint32_t bottom)
{
	return (uint64_t)(right - left) * (bottom - top);
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t most(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Adds a box to the list: below one that has the same columns, as a rectangle of its own, or united with the cheapest. */
static size_t add(struct gr_rect *changed, size_t count, size_t cap, struct box box)
{
	for (size_t i = count; i-- > 0;) {
		struct gr_rect *r = &changed[i];
		if (r->x == box.left && (uint32_t)r->x + r->w == box.right && (uint32_t)r->y + r->h == box.top) {
			r->h = (uint16_t)(box.bottom - r->y);
			return count;
		}
	}
	if (count < cap) {
		changed[count] = (struct gr_rect){ (uint16_t)box.left, (uint16_t)box.top,
						   (uint16_t)(box.right - box.left), (uint16_t)(box.bottom - box.top) };
		return count + 1;
	}
	size_t best = 0;
	uint64_t best_cost = UINT64_MAX;
	for (size_t i = 0; i < count; i++) {
		const struct gr_rect *r = &changed[i];
		uint64_t united = area(least(r->x, box.left), least(r->y, box.top),
				       most((uint32_t)r->x + r->w, box.right), most((uint32_t)r->y + r->h, box.bottom));
		uint64_t cost = united - (uint64_t)r->w * r->h;
		if (cost < best_cost) {
			best_cost = cost;
			best = i;
		}
	}
	struct gr_rect *r = &changed[best];
	uint32_t right = most((uint32_t)r->x + r->w, box.right), bottom = most((uint32_t)r->y + r->h, box.bottom);
	r->x = (uint16_t)least(r->x, box.left);
	r->y = (uint16_t)least(r->y, box.top);
	r->w = (uint16_t)(right - r->x);
	r->h = (uint16_t)(bottom - r->y);
	return count;
}

/* One row of tiles: what changed in neighbouring tiles becomes one rectangle. */
static size_t take_band(struct gr_shadow *shadow, const uint8_t *untrusted_source, size_t stride, struct box band,
			struct gr_rect *changed, size_t count, size_t cap)
{
	struct box run = { UINT32_MAX, UINT32_MAX, 0, 0 };
	for (uint32_t left = band.left; left < band.right;) {
		uint32_t right = least((left / TILE_WIDTH + 1) * TILE_WIDTH, band.right);
		struct box box = take_tile(shadow, untrusted_source, stride,
					   (struct box){ left, band.top, right, band.bottom });
		if (box.right > box.left) {
			run = (struct box){ least(run.left, box.left), least(run.top, box.top),
					    most(run.right, box.right), most(run.bottom, box.bottom) };
		} else if (run.right) {
			count = add(changed, count, cap, run);
			run = (struct box){ UINT32_MAX, UINT32_MAX, 0, 0 };
		}
		left = right;
	}
	return run.right ? add(changed, count, cap, run) : count;
}

size_t gr_shadow_take(struct gr_shadow *shadow, const uint8_t *untrusted_source, size_t stride,
		      const struct gr_rect *damage, size_t n, struct gr_rect *changed, size_t cap)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++) {
		struct box box = { damage[i].x, damage[i].y, least((uint32_t)damage[i].x + damage[i].w, shadow->w),
				   least((uint32_t)damage[i].y + damage[i].h, shadow->h) };
		if (box.right <= box.left)
			continue;
		for (uint32_t top = box.top; top < box.bottom;) {
			uint32_t bottom = least((top / TILE_HEIGHT + 1) * TILE_HEIGHT, box.bottom);
			count = take_band(shadow, untrusted_source, stride,
					  (struct box){ box.left, top, box.right, bottom }, changed, count, cap);
			top = bottom;
		}
	}
	return count;
}
