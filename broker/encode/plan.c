#include "broker/encode/plan.h"
#include "common/error.h"

#include <stdlib.h>
#include <string.h>

/*
 * A photograph has hardly a pixel that equals its neighbour to the left or above; dense antialiased text has up to six in
 * ten, maps three in ten.
 */
#define PHOTO_LITERALS 60u /* of 100 */
#define PHOTO_LITERALS_BESIDE 30u /* beside a photograph: its smooth parts */
#define SMALL_STEP 12 /* of green, between neighbours */
#define LARGE_STEP 48
#define GROUND 8u /* one pixel in so many has the commonest colour: text */
#define OFF_GROUND 10u /* and one step in so many pixels is large */
#define PHOTO_COMPANY 2 /* of a tile's four neighbours are pictures too */
#define VIDEO_LITERALS 20u /* inside what moves all the time, flat parts flicker too */
#define VIDEO_HEAT 3u /* changes in quick succession */
#define EDGE_HEAT 8u /* of a flat part at a video's edge; quicker and longer than anybody types */
#define SAMPLED_ROWS 4u
#define CLASSIFIED_MIN 256u /* pixels of a tile that tell what it is */

/* A rectangle may grow over pixels that need not be sent by a quarter: they cost less than another rectangle. */
#define GROWTH_NUMERATOR 5u
#define GROWTH_DENOMINATOR 4u
#define PICTURE_PIXELS                                                                                                 \
	4096u /* what a JPEG's tables cost, in bytes and in time, as pixels: so much more a picture may grow */
#define GAP_MAX 8u /* rows between two rectangles that are joined */

int gr_plan_init(struct gr_plan *p, size_t tiles)
{
	*p = (struct gr_plan){ .tiles = tiles };
	p->rects = calloc(tiles, sizeof(*p->rects));
	p->classes = calloc(tiles, sizeof(*p->classes));
	p->open[0] = calloc(tiles, sizeof(size_t));
	p->open[1] = calloc(tiles, sizeof(size_t));
	if (p->rects && p->classes && p->open[0] && p->open[1])
		return 0;
	gr_plan_finish(p);
	return GR_ENOMEM;
}

void gr_plan_finish(struct gr_plan *p)
{
	free(p->rects);
	free(p->classes);
	free(p->open[0]);
	free(p->open[1]);
	*p = (struct gr_plan){ 0 };
}

/* ---- what a tile holds ---- */

struct area {
	size_t left, top, right, bottom;
};

static size_t pixels_of(struct area a)
{
	return (a.right - a.left) * (a.bottom - a.top);
}

static struct area tile_area(const struct gr_screen *s, size_t column, size_t row)
{
	struct area a = { column * GR_TILE_WIDTH, row * GR_TILE_HEIGHT, (column + 1) * GR_TILE_WIDTH,
			  (row + 1) * GR_TILE_HEIGHT };
	a.right = a.right < s->w ? a.right : s->w;
	a.bottom = a.bottom < s->h ? a.bottom : s->h;
	return a;
}

static struct area box_area(size_t column, size_t row, struct gr_tile_box box)
{
	size_t x = column * GR_TILE_WIDTH, y = row * GR_TILE_HEIGHT;
	return (struct area){ x + box.left, y + box.top, x + box.right, y + box.bottom };
}

/* Of a tile, until its neighbours are known. */
#define MAYBE_PHOTO 255u

/*
 * Whether a row looks like a part of a photograph: half of its pixels have colours of their own, or a quarter, in small steps.
 * Text stands on a ground, one colour more often than all others, and its steps off it are large; the densest has as many
 * greys as a photograph.
 */
static int photographic(const uint32_t *row, size_t n)
{
	uint32_t seen[128] = { 0 };
	uint8_t count[128] = { 0 };
	size_t distinct = 0, most = 0, steps = 0, small = 0, large = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t key = row[i] | 0xff000000u; /* 0 is free */
		size_t slot = (row[i] * 0x9e3779b1u) >> 25;
		if (seen[slot] != key) {
			seen[slot] = key;
			count[slot] = 0;
			distinct++;
		}
		count[slot]++;
		most = count[slot] > most ? count[slot] : most;
		if (i && row[i] != row[i - 1]) {
			int step = abs((int)(row[i] >> 8 & 0xff) - (int)(row[i - 1] >> 8 & 0xff));
			steps++;
			small += step <= SMALL_STEP;
			large += step > LARGE_STEP;
		}
	}
	if (most * GROUND >= n && large * OFF_GROUND >= n)
		return 0;
	return distinct * 2 >= n || (distinct * 4 >= n && small * 5 >= steps * 4);
}

_Static_assert(GR_TILE_WIDTH <= UINT8_MAX, "a count of pixels in a tile's row fits");

/* How many of 100 sampled pixels equal neither neighbour. */
static size_t literals_of_100(const struct gr_screen *s, struct area a)
{
	size_t n = a.right - a.left, count = 0, looked = 0;
	size_t step = (a.bottom - a.top + SAMPLED_ROWS - 1) / SAMPLED_ROWS;
	for (size_t y = a.top + step / 2; y < a.bottom; y += step) {
		const uint32_t *row = s->pixels + y * s->w + a.left;
		const uint32_t *above = y ? row - s->w : s->h > 1 ? row + s->w : row;
		count += s->kernels->literals(row, above, n);
		looked++;
	}
	return looked ? count * 100 / (looked * n) : 0;
}

/* One row of the upper half, one of the lower. */
static int photographic_area(const struct gr_screen *s, struct area a)
{
	size_t n = a.right - a.left, quarter = (a.bottom - a.top) / 4;
	return photographic(s->pixels + (a.top + quarter) * s->w + a.left, n) &&
	       photographic(s->pixels + (a.bottom - 1 - quarter) * s->w + a.left, n);
}

static uint8_t classify(const struct gr_screen *s, size_t column, size_t row, const struct gr_plan_settings *settings)
{
	const struct gr_tile *t = &s->tiles[row * s->columns + column];
	if (!t->pending.right)
		return GR_PLAN_NONE;
	/* What changed, or all of the tile: of a letter that was typed alone nothing could be told. */
	struct area a = box_area(column, row, t->pending);
	if (pixels_of(a) < CLASSIFIED_MIN)
		a = tile_area(s, column, row);
	size_t literals = literals_of_100(s, a);
	int video = settings->lossy && t->heat >= VIDEO_HEAT;
	if (literals < (video ? VIDEO_LITERALS : PHOTO_LITERALS_BESIDE) || !photographic_area(s, a))
		return GR_PLAN_EXACT;
	if (video)
		return GR_PLAN_VIDEO;
	if (settings->photo &&
	    gr_photo_known(settings->photo, s->pixels, s->w,
			   (struct gr_rect){ (uint16_t)a.left, (uint16_t)a.top, (uint16_t)(a.right - a.left),
					     (uint16_t)(a.bottom - a.top) },
			   settings->known_since))
		return GR_PLAN_EXACT_PHOTO;
	return literals < PHOTO_LITERALS ? MAYBE_PHOTO : GR_PLAN_PHOTO;
}

static int lossy_class(unsigned class)
{
	return class == GR_PLAN_PHOTO || class == GR_PLAN_VIDEO;
}

/* Of an exact tile so little changed that it is no photograph by itself: a caret that blinks in one, say. */
static int detail(const struct gr_tile *t)
{
	struct gr_tile_box b = t->pending;
	return !t->lossy.right && (size_t)(b.right - b.left) * (size_t)(b.bottom - b.top) < CLASSIFIED_MIN;
}

/* How many of a tile's four neighbours are, or were, sent as pictures; 0 when all those, and itself, are details. */
static int pictures_beside(const struct gr_plan *p, const struct gr_screen *s, size_t column, size_t row)
{
	size_t i = row * s->columns + column;
	size_t beside[4] = { column ? i - 1 : i, column + 1 < s->columns ? i + 1 : i, row ? i - s->columns : i,
			     row + 1 < s->rows ? i + s->columns : i };
	int count = 0, large = !detail(&s->tiles[i]);
	for (size_t k = 0; k < 4; k++) {
		const struct gr_tile *t = &s->tiles[beside[k]];
		if (beside[k] == i || !(lossy_class(p->classes[beside[k]]) || t->lossy.right))
			continue;
		count++;
		large |= !detail(t);
	}
	return large ? count : 0;
}

static void grow_photo(struct gr_plan *p, const struct gr_screen *s, size_t column, size_t row)
{
	uint8_t *class = &p->classes[row * s->columns + column];
	if (*class == MAYBE_PHOTO && pictures_beside(p, s, column, row))
		*class = GR_PLAN_PHOTO;
}

/*
 * Smooth parts belong to the photograph that they are beside. What is left alone is an icon or a letter in many colours; sent
 * exactly it costs little.
 */
static void settle_photos(struct gr_plan *p, const struct gr_screen *s)
{
	for (size_t row = 0; row < s->rows; row++)
		for (size_t column = 0; column < s->columns; column++)
			grow_photo(p, s, column, row);
	for (size_t row = s->rows; row-- > 0;)
		for (size_t column = s->columns; column-- > 0;)
			grow_photo(p, s, column, row);
	for (size_t row = 0; row < s->rows; row++) {
		for (size_t column = 0; column < s->columns; column++) {
			uint8_t *class = &p->classes[row * s->columns + column];
			if (*class == MAYBE_PHOTO ||
			    (*class == GR_PLAN_PHOTO && pictures_beside(p, s, column, row) < PHOTO_COMPANY))
				*class = GR_PLAN_EXACT;
		}
	}
}

/* How many of a tile's four neighbours are video. */
static int video_beside(const struct gr_plan *p, const struct gr_screen *s, size_t column, size_t row)
{
	size_t i = row * s->columns + column;
	return (column && p->classes[i - 1] == GR_PLAN_VIDEO) +
	       (column + 1 < s->columns && p->classes[i + 1] == GR_PLAN_VIDEO) +
	       (row && p->classes[i - s->columns] == GR_PLAN_VIDEO) +
	       (row + 1 < s->rows && p->classes[i + s->columns] == GR_PLAN_VIDEO);
}

/* A video has company: what flickers alone is a letter, or a corner of one. */
static void settle_video(struct gr_plan *p, const struct gr_screen *s)
{
	for (size_t row = 0; row < s->rows; row++) {
		for (size_t column = 0; column < s->columns; column++) {
			size_t i = row * s->columns + column;
			if (p->classes[i] == GR_PLAN_VIDEO && !s->tiles[i].lossy.right &&
			    video_beside(p, s, column, row) < 2)
				p->classes[i] = GR_PLAN_EXACT;
		}
	}
}

/*
 * A video is one rectangle: its flat parts, and those that stand still for a moment, belong to it, or it would fall into a
 * hundred pictures with tables of their own.
 */
static void close_video(struct gr_plan *p, const struct gr_screen *s)
{
	for (size_t row = 0; row < s->rows; row++) {
		for (size_t column = 0; column < s->columns; column++) {
			size_t i = row * s->columns + column;
			const struct gr_tile *t = &s->tiles[i];
			int needed = 5; /* neighbours */
			if (p->classes[i] == GR_PLAN_PHOTO || (p->classes[i] == GR_PLAN_EXACT && t->heat))
				needed = t->heat >= EDGE_HEAT ? 1 : 2;
			else if (p->classes[i] == GR_PLAN_NONE && t->lossy.right)
				needed = 3;
			if (video_beside(p, s, column, row) >= needed)
				p->classes[i] = GR_PLAN_VIDEO;
		}
	}
}

/* ---- rectangles ---- */

static struct area rect_area(struct gr_rect r)
{
	return (struct area){ r.x, r.y, (size_t)r.x + r.w, (size_t)r.y + r.h };
}

static struct area both(struct area a, struct area b)
{
	return (struct area){ a.left < b.left ? a.left : b.left, a.top < b.top ? a.top : b.top,
			      a.right > b.right ? a.right : b.right, a.bottom > b.bottom ? a.bottom : b.bottom };
}

static struct gr_rect rect_of(struct area a)
{
	return (struct gr_rect){ (uint16_t)a.left, (uint16_t)a.top, (uint16_t)(a.right - a.left),
				 (uint16_t)(a.bottom - a.top) };
}

/* Whether all of an area may be sent in this class: nothing of another class is in it. */
static int uniform(const struct gr_plan *p, const struct gr_screen *s, struct area a, unsigned class)
{
	for (size_t row = a.top / GR_TILE_HEIGHT; row <= (a.bottom - 1) / GR_TILE_HEIGHT; row++) {
		for (size_t column = a.left / GR_TILE_WIDTH; column <= (a.right - 1) / GR_TILE_WIDTH; column++) {
			size_t i = row * s->columns + column;
			if (p->classes[i] == class)
				continue;
			/* Between: text may grow over what is exact, a picture over what is not. */
			int lossy = s->tiles[i].lossy.right != 0;
			if (p->classes[i] != GR_PLAN_NONE || class == GR_PLAN_EXACT_PHOTO ||
			    lossy != lossy_class(class))
				return 0;
		}
	}
	return 1;
}

static size_t pixels_max(unsigned class, size_t exact_max)
{
	return lossy_class(class) ? GR_PHOTO_PIXELS_MAX : exact_max;
}

/* Joins the run of tiles to one of the rectangles that end in this band or the one before, if that is cheap. */
static int join(struct gr_plan *p, const struct gr_screen *s, struct area run, unsigned class, size_t exact_max,
		const size_t *open, size_t open_count, size_t *joined)
{
	for (size_t i = 0; i < open_count; i++) {
		struct gr_plan_rect *r = &p->rects[open[i]];
		struct area before = rect_area(r->rect), united = both(before, run);
		if (r->class != class || run.top > before.bottom + GAP_MAX)
			continue;
		size_t grown = (pixels_of(before) + pixels_of(run)) * GROWTH_NUMERATOR / GROWTH_DENOMINATOR;
		if (lossy_class(class))
			grown += PICTURE_PIXELS;
		if (pixels_of(united) > pixels_max(class, exact_max) || pixels_of(united) > grown ||
		    !uniform(p, s, united, class))
			continue;
		r->rect = rect_of(united);
		*joined = open[i];
		return 1;
	}
	return 0;
}

static void make_rects(struct gr_plan *p, const struct gr_screen *s, size_t exact_max, int refinement)
{
	p->count = 0;
	size_t open_count = 0;
	for (size_t row = 0; row < s->rows; row++) {
		const size_t *open = p->open[row & 1];
		size_t *next = p->open[(row + 1) & 1], next_count = 0;
		struct area run = { 0 };
		unsigned class = GR_PLAN_NONE;
		for (size_t column = 0; column <= s->columns; column++) {
			unsigned here = column < s->columns ? p->classes[row * s->columns + column] : GR_PLAN_NONE;
			struct area area = { 0 };
			if (here != GR_PLAN_NONE) {
				const struct gr_tile *t = &s->tiles[row * s->columns + column];
				area = box_area(column, row, refinement || !t->pending.right ? t->lossy : t->pending);
			}
			if (here == class && here != GR_PLAN_NONE) {
				run = both(run, area);
				continue;
			}
			if (class != GR_PLAN_NONE) {
				size_t index;
				if (!join(p, s, run, class, exact_max, open, open_count, &index) &&
				    !join(p, s, run, class, exact_max, next, next_count, &index)) {
					index = p->count++;
					p->rects[index] = (struct gr_plan_rect){ rect_of(run), class };
				}
				next[next_count++] = index;
			}
			run = area;
			class = here;
		}
		open_count = next_count;
	}
}

void gr_plan_changes(struct gr_plan *p, const struct gr_screen *s, const struct gr_plan_settings *settings)
{
	for (size_t row = 0; row < s->rows; row++)
		for (size_t column = 0; column < s->columns; column++)
			p->classes[row * s->columns + column] = classify(s, column, row, settings);
	settle_photos(p, s);
	if (settings->lossy) {
		settle_video(p, s);
		close_video(p, s);
	}
	for (size_t i = 0; i < s->columns * s->rows && !settings->lossy; i++)
		if (p->classes[i] == GR_PLAN_PHOTO)
			p->classes[i] = GR_PLAN_EXACT_PHOTO;
	make_rects(p, s, settings->exact_pixels_max, 0);
}

void gr_plan_refinement(struct gr_plan *p, const struct gr_screen *s, uint32_t touched_ms, size_t exact_pixels_max)
{
	for (size_t i = 0; i < s->columns * s->rows; i++) {
		int due = s->tiles[i].lossy.right && (int32_t)(touched_ms - s->tiles[i].touched_ms) >= 0;
		p->classes[i] = due ? GR_PLAN_EXACT_PHOTO : GR_PLAN_NONE;
	}
	make_rects(p, s, exact_pixels_max, 1);
}
