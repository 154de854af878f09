#include "broker/encode/screen.h"
#include "broker/encode/motion.h"
#include "common/error.h"

#include <stdlib.h>
#include <string.h>

#define HEAT_MS 150u /* changes closer than this to each other heat a tile */
#define HEAT_MAX 15u
#define SMALL_PIXELS (GR_TILE_WIDTH * GR_TILE_HEIGHT / 4) /* of a tile: what changed in it is a detail */
#define PIXELS_ALIGNMENT 64u /* bytes: a cache line */
#define SAMPLED_ROW 8u /* every so many rows of a tile are looked at to decide whether it moved */

/* Half-open box in pixels; empty when right <= left. */
struct box {
	uint32_t left, top, right, bottom;
};

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t most(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static int size_good(uint16_t w, uint16_t h)
{
	return w >= 1 && h >= 1 && w <= GR_SCREEN_MAX && h <= GR_SCREEN_MAX;
}

/*
 * Written once here, so that the memory is there: pages that calloc promises are found twice by the first frame, when it
 * compares and when it writes, and it would take twice its time.
 */
static uint32_t *black_pixels(size_t n)
{
	size_t size = (n * sizeof(uint32_t) + PIXELS_ALIGNMENT - 1) / PIXELS_ALIGNMENT * PIXELS_ALIGNMENT;
	uint32_t *pixels = aligned_alloc(PIXELS_ALIGNMENT, size);
	if (pixels)
		memset(pixels, 0, size);
	return pixels;
}

int gr_screen_init(struct gr_screen *s, uint16_t w, uint16_t h, const struct gr_kernels *kernels)
{
	*s = (struct gr_screen){ 0 };
	if (!size_good(w, h))
		return GR_EINVAL;
	s->w = w;
	s->h = h;
	s->kernels = kernels;
	s->columns = ((size_t)w + GR_TILE_WIDTH - 1) / GR_TILE_WIDTH;
	s->rows = ((size_t)h + GR_TILE_HEIGHT - 1) / GR_TILE_HEIGHT;
	s->pixels = black_pixels((size_t)w * h);
	s->tiles = calloc(s->columns * s->rows, sizeof(*s->tiles));
	s->tiles_before = calloc(s->columns * s->rows, sizeof(*s->tiles));
	s->moved = calloc(s->columns, s->rows);
	s->line = calloc(w, sizeof(*s->line));
	s->motion = gr_motion_create(w, kernels);
	if (!s->pixels || !s->tiles || !s->tiles_before || !s->moved || !s->line || !s->motion) {
		gr_screen_finish(s);
		return GR_ENOMEM;
	}
	return 0;
}

void gr_screen_finish(struct gr_screen *s)
{
	free(s->pixels);
	free(s->tiles);
	free(s->tiles_before);
	free(s->moved);
	free(s->line);
	gr_motion_destroy(s->motion);
	*s = (struct gr_screen){ 0 };
}

int gr_screen_resize(struct gr_screen *s, uint16_t w, uint16_t h)
{
	struct gr_screen other;
	int status = gr_screen_init(&other, w, h, s->kernels);
	if (status)
		return status;
	size_t columns = least(w, s->w), rows = least(h, s->h);
	for (size_t y = 0; y < rows; y++)
		memcpy(other.pixels + y * w, s->pixels + y * s->w, columns * sizeof(uint32_t));
	gr_screen_finish(s);
	*s = other;
	gr_screen_forget(s, (struct gr_rect){ 0, 0, w, h });
	return 0;
}

/* ---- tiles ---- */

static struct box tile_box(const struct gr_screen *s, size_t column, size_t row)
{
	struct box b = { (uint32_t)(column * GR_TILE_WIDTH), (uint32_t)(row * GR_TILE_HEIGHT), 0, 0 };
	b.right = least(b.left + GR_TILE_WIDTH, s->w);
	b.bottom = least(b.top + GR_TILE_HEIGHT, s->h);
	return b;
}

static struct box common(struct box a, struct box b)
{
	return (struct box){ most(a.left, b.left), most(a.top, b.top), least(a.right, b.right),
			     least(a.bottom, b.bottom) };
}

static int empty(struct box b)
{
	return b.right <= b.left || b.bottom <= b.top;
}

/* b: inside the tile whose corner is at x, y. */
static void widen(struct gr_tile_box *t, struct box b, uint32_t x, uint32_t y)
{
	uint8_t left = (uint8_t)(b.left - x), top = (uint8_t)(b.top - y), right = (uint8_t)(b.right - x),
		bottom = (uint8_t)(b.bottom - y);
	if (!t->right) {
		*t = (struct gr_tile_box){ left, top, right, bottom };
		return;
	}
	t->left = t->left < left ? t->left : left;
	t->top = t->top < top ? t->top : top;
	t->right = t->right > right ? t->right : right;
	t->bottom = t->bottom > bottom ? t->bottom : bottom;
}

/* b was sent: all of the tile's box, or its upper rows, are done. */
static void shrink(struct gr_tile_box *t, struct box b, uint32_t x, uint32_t y)
{
	if (!t->right || b.left > x + t->left || b.right < x + t->right || b.top > y + t->top)
		return;
	if (b.bottom >= y + t->bottom)
		*t = (struct gr_tile_box){ 0 };
	else if (b.bottom > y + t->top)
		t->top = (uint8_t)(b.bottom - y);
}

static struct box clip(const struct gr_screen *s, struct gr_rect r)
{
	return (struct box){ r.x, r.y, least((uint32_t)r.x + r.w, s->w), least((uint32_t)r.y + r.h, s->h) };
}

void gr_screen_forget(struct gr_screen *s, struct gr_rect rect)
{
	struct box b = clip(s, rect);
	if (empty(b))
		return;
	for (size_t row = b.top / GR_TILE_HEIGHT; row <= (b.bottom - 1) / GR_TILE_HEIGHT; row++) {
		for (size_t column = b.left / GR_TILE_WIDTH; column <= (b.right - 1) / GR_TILE_WIDTH; column++) {
			struct box whole = tile_box(s, column, row);
			widen(&s->tiles[row * s->columns + column].pending, common(whole, b), whole.left, whole.top);
		}
	}
}

void gr_screen_begin(struct gr_screen *s)
{
	memset(s->tiles, 0, s->columns * s->rows * sizeof(*s->tiles));
	s->copy_count = s->lossy_count = 0;
	gr_motion_reset(s->motion);
	gr_screen_forget(s, (struct gr_rect){ 0, 0, s->w, s->h });
}

void gr_screen_sent(struct gr_screen *s, struct gr_rect rect, int exact, uint64_t now_ms)
{
	struct box b = clip(s, rect);
	for (size_t row = b.top / GR_TILE_HEIGHT; row <= (b.bottom - 1) / GR_TILE_HEIGHT; row++) {
		for (size_t column = b.left / GR_TILE_WIDTH; column <= (b.right - 1) / GR_TILE_WIDTH; column++) {
			struct gr_tile *t = &s->tiles[row * s->columns + column];
			struct box whole = tile_box(s, column, row);
			int was_lossy = t->lossy.right != 0;
			shrink(&t->pending, b, whole.left, whole.top);
			if (exact) {
				shrink(&t->lossy, b, whole.left, whole.top);
			} else {
				struct box part = common(whole, b);
				widen(&t->lossy, part, whole.left, whole.top);
				/* A caret that blinks in a photograph does not keep what is around it from being refined. */
				if (!was_lossy || (part.right - part.left) * (part.bottom - part.top) >= SMALL_PIXELS)
					t->touched_ms = (uint32_t)now_ms;
			}
			s->lossy_count += (size_t)(t->lossy.right != 0) - (size_t)was_lossy;
		}
	}
}

/* ---- what moved ---- */

struct source {
	const uint8_t *untrusted;
	size_t stride;
};

static const uint8_t *untrusted_at(const struct source *source, size_t x, size_t y)
{
	return source->untrusted + y * source->stride + x * sizeof(uint32_t);
}

static const uint32_t *pixel_at(const struct gr_screen *s, size_t x, size_t y)
{
	return s->pixels + y * s->w + x;
}

/* Whether the other end of the vector lies on the screen for all of the box. */
static int has_origin(const struct gr_screen *s, struct box b, struct gr_vector v)
{
	return (long)b.left + v.dx >= 0 && (long)b.right + v.dx <= s->w && (long)b.top + v.dy >= 0 &&
	       (long)b.bottom + v.dy <= s->h;
}

enum fate { STAYED, MOVED, EITHER };

/* What some rows of a tile's part suggest: a guess; the pass over the pixels compares. */
static enum fate tile_fate(struct gr_screen *s, const struct source *source, struct box b, struct gr_vector v)
{
	size_t n = b.right - b.left;
	if (!has_origin(s, b, v))
		return STAYED;
	for (uint32_t y = b.top + 1; y < b.bottom; y += SAMPLED_ROW) {
		const uint32_t *origin = pixel_at(s, (size_t)((long)b.left + v.dx), (size_t)((long)y + v.dy));
		int stayed = !s->kernels->take(untrusted_at(source, b.left, y), pixel_at(s, b.left, y), s->line, n);
		int moved = !memcmp(s->line, origin, n * sizeof(uint32_t));
		if (moved != stayed)
			return moved ? MOVED : STAYED;
		if (!moved)
			return STAYED;
	}
	return EITHER;
}

static int rects_cross(struct gr_rect a, long ax, long ay, struct gr_rect b)
{
	return a.x + ax < (long)b.x + b.w && b.x < a.x + ax + a.w && a.y + ay < (long)b.y + b.h && b.y < a.y + ay + a.h;
}

/*
 * Adds the copy of a run of tiles, in one with the run beside it in the band before when they have the same columns, unless
 * one of the copies in between, made earlier then, would overwrite its origin.
 */
static int add_copy(struct gr_screen *s, size_t from, struct gr_rect rect, struct gr_vector v)
{
	for (size_t i = s->copy_count; i-- > from;) {
		struct gr_copy *c = &s->copies[i];
		if (c->rect.x == rect.x && c->rect.w == rect.w &&
		    (c->rect.y + c->rect.h == rect.y || rect.y + rect.h == c->rect.y)) {
			c->rect.y = c->rect.y < rect.y ? c->rect.y : rect.y;
			c->rect.h = (uint16_t)(c->rect.h + rect.h);
			return 0;
		}
		if (v.dx && rects_cross(c->rect, v.dx, v.dy, rect))
			break; /* c needs what this one overwrites: this one stays behind it */
	}
	if (s->copy_count == GR_COPIES_MAX)
		return GR_EFULL;
	s->copies[s->copy_count++] = (struct gr_copy){ rect, v.dx, v.dy };
	return 0;
}

/* Adds to a tile's box the part of another's that moved into `part` of it. */
static void move_box(struct gr_tile_box *t, struct box whole, const struct gr_tile_box *from, struct box from_whole,
		     struct box part, struct gr_vector v)
{
	if (!from->right)
		return;
	long left = (long)from_whole.left - v.dx, top = (long)from_whole.top - v.dy;
	long l = left + from->left, u = top + from->top, r = left + from->right, d = top + from->bottom;
	l = l > part.left ? l : part.left;
	u = u > part.top ? u : part.top;
	r = r < part.right ? r : part.right;
	d = d < part.bottom ? d : part.bottom;
	if (l < r && u < d)
		widen(t, (struct box){ (uint32_t)l, (uint32_t)u, (uint32_t)r, (uint32_t)d }, whole.left, whole.top);
}

/* What the viewer lacks at a moved tile's origin it lacks here too, afterwards. */
static void move_state(struct gr_screen *s, size_t column, size_t row, struct box part, struct gr_vector v,
		       uint32_t now_ms)
{
	struct gr_tile *t = &s->tiles[row * s->columns + column];
	struct box whole = tile_box(s, column, row);
	int was_lossy = t->lossy.right != 0;
	shrink(&t->pending, part, whole.left, whole.top);
	shrink(&t->lossy, part, whole.left, whole.top);
	struct box origin = { (uint32_t)((long)part.left + v.dx), (uint32_t)((long)part.top + v.dy),
			      (uint32_t)((long)part.right + v.dx), (uint32_t)((long)part.bottom + v.dy) };
	for (size_t j = origin.top / GR_TILE_HEIGHT; j <= (origin.bottom - 1) / GR_TILE_HEIGHT; j++) {
		for (size_t i = origin.left / GR_TILE_WIDTH; i <= (origin.right - 1) / GR_TILE_WIDTH; i++) {
			const struct gr_tile *from = &s->tiles_before[j * s->columns + i];
			struct box from_whole = tile_box(s, i, j);
			move_box(&t->pending, whole, &from->pending, from_whole, part, v);
			move_box(&t->lossy, whole, &from->lossy, from_whole, part, v);
		}
	}
	t->touched_ms = now_ms;
	s->lossy_count += (size_t)(t->lossy.right != 0) - (size_t)was_lossy;
}

/* The order in which rows and columns are gone through, so that no origin is overwritten before it was used. */
static size_t nth(size_t i, size_t first, size_t last, int backwards)
{
	return backwards ? last - i : first + i;
}

/*
 * Notes in `moved` which tiles moved. Those of which it cannot be told, plain background, move when they lie among others that
 * do, so that the copies become few and large; around them they stay.
 */
static void find_moved(struct gr_screen *s, const struct source *source, struct box b, struct gr_vector v)
{
	size_t first_row = b.top / GR_TILE_HEIGHT, last_row = (b.bottom - 1) / GR_TILE_HEIGHT;
	size_t first_column = b.left / GR_TILE_WIDTH, last_column = (b.right - 1) / GR_TILE_WIDTH;
	size_t left = SIZE_MAX, right = 0, top = SIZE_MAX, bottom = 0;
	for (size_t row = first_row; row <= last_row; row++) {
		for (size_t column = first_column; column <= last_column; column++) {
			enum fate fate = tile_fate(s, source, common(tile_box(s, column, row), b), v);
			s->moved[row * s->columns + column] = (uint8_t)fate;
			if (fate != MOVED)
				continue;
			left = column < left ? column : left;
			right = column > right ? column : right;
			top = row < top ? row : top;
			bottom = row;
		}
	}
	for (size_t row = first_row; row <= last_row; row++) {
		for (size_t column = first_column; column <= last_column; column++) {
			uint8_t *fate = &s->moved[row * s->columns + column];
			int among = column >= left && column <= right && row >= top && row <= bottom;
			*fate = *fate == MOVED || (*fate == EITHER && among);
		}
	}
}

/* Notes the copies of the tiles that moved, and what else moves with them. */
static void plan_copies(struct gr_screen *s, struct box b, struct gr_vector v, uint32_t now_ms)
{
	size_t first_row = b.top / GR_TILE_HEIGHT, last_row = (b.bottom - 1) / GR_TILE_HEIGHT;
	size_t first_column = b.left / GR_TILE_WIDTH, last_column = (b.right - 1) / GR_TILE_WIDTH;
	size_t from = s->copy_count;
	memcpy(s->tiles_before, s->tiles, s->columns * s->rows * sizeof(*s->tiles));
	for (size_t j = 0; j <= last_row - first_row; j++) {
		size_t row = nth(j, first_row, last_row, v.dy < 0);
		struct box run = { 0 };
		for (size_t i = 0; i <= last_column - first_column + 1; i++) {
			size_t column = nth(i, first_column, last_column, v.dx < 0);
			if (i <= last_column - first_column && s->moved[row * s->columns + column]) {
				struct box part = common(tile_box(s, column, row), b);
				run = run.right ? (struct box){ least(run.left, part.left), part.top,
								most(run.right, part.right), part.bottom }
						: part;
				continue;
			}
			if (!run.right)
				continue;
			struct gr_rect rect = { (uint16_t)run.left, (uint16_t)run.top, (uint16_t)(run.right - run.left),
						(uint16_t)(run.bottom - run.top) };
			int full = add_copy(s, from, rect, v);
			for (size_t k = run.left / GR_TILE_WIDTH; k <= (run.right - 1) / GR_TILE_WIDTH; k++) {
				if (full)
					s->moved[row * s->columns + k] = 0;
				else
					move_state(s, k, row, common(tile_box(s, k, row), b), v, now_ms);
			}
			run = (struct box){ 0 };
		}
	}
}

/* ---- the pass over the pixels ---- */

/* What scrolls in is no video, however often it changes: where something moved, nothing heats. */
static void note_change(struct gr_tile *t, struct box b, uint32_t x, uint32_t y, int moving, uint32_t now_ms)
{
	widen(&t->pending, b, x, y);
	if (moving || t->changed_ms == now_ms)
		return;
	if (now_ms - t->changed_ms > HEAT_MS)
		t->heat = 0;
	else if (t->heat < HEAT_MAX)
		t->heat++;
	t->changed_ms = now_ms;
}

/* The part of a row in one tile differs from the reference, what is there or, where it moved, what was at the vector's other end. */
static size_t differs(struct gr_screen *s, const uint32_t *now, const uint32_t *reference, uint32_t x, uint32_t y,
		      size_t n, int moving, uint32_t now_ms)
{
	size_t first, end, column = x / GR_TILE_WIDTH, row = y / GR_TILE_HEIGHT;
	s->kernels->span(now, reference, n, &first, &end);
	note_change(&s->tiles[row * s->columns + column],
		    (struct box){ x + (uint32_t)first, y, x + (uint32_t)end, y + 1 },
		    (uint32_t)(column * GR_TILE_WIDTH), (uint32_t)(row * GR_TILE_HEIGHT), moving, now_ms);
	return end - first;
}

/* One row of the damage where nothing moved. */
static size_t take_still_row(struct gr_screen *s, const struct source *source, struct box b, uint32_t y,
			     uint32_t now_ms)
{
	uint32_t *row = s->pixels + (size_t)y * s->w;
	size_t changed = 0;
	if (!s->kernels->take(untrusted_at(source, b.left, y), row + b.left, s->line + b.left, b.right - b.left))
		return 0;
	for (uint32_t left = b.left; left < b.right;) {
		uint32_t right = least((uint32_t)(left / GR_TILE_WIDTH + 1) * GR_TILE_WIDTH, b.right);
		size_t n = right - left;
		if (memcmp(s->line + left, row + left, n * sizeof(uint32_t)) != 0) {
			changed += differs(s, s->line + left, row + left, left, y, n, 0, now_ms);
			memcpy(row + left, s->line + left, n * sizeof(uint32_t));
		}
		left = right;
	}
	return changed;
}

/*
 * One row of the damage in which the tiles marked in `moved` came from the vector's other end. Where that is in another row,
 * which has its turn later, the pixels are kept at once; else only when all of the row was compared.
 */
static size_t take_moving_row(struct gr_screen *s, const struct source *source, struct box b, uint32_t y,
			      struct gr_vector v, const uint8_t *moved, uint32_t now_ms)
{
	uint32_t *row = s->pixels + (size_t)y * s->w;
	size_t changed = 0;
	for (uint32_t left = b.left; left < b.right;) {
		uint32_t right = least((uint32_t)(left / GR_TILE_WIDTH + 1) * GR_TILE_WIDTH, b.right);
		size_t n = right - left;
		const uint32_t *reference = row + left;
		uint32_t *now = s->line + left;
		if (moved[left / GR_TILE_WIDTH]) {
			reference = pixel_at(s, (size_t)((long)left + v.dx), (size_t)((long)y + v.dy));
			now = v.dy ? row + left : now;
		}
		if (s->kernels->take(untrusted_at(source, left, y), reference, now, n)) {
			changed += differs(s, now, reference, left, y, n, 1, now_ms);
			if (v.dy && reference == row + left)
				memcpy(row + left, now, n * sizeof(uint32_t));
		}
		left = right;
	}
	if (!v.dy)
		memcpy(row + b.left, s->line + b.left, (b.right - b.left) * sizeof(uint32_t));
	return changed;
}

static size_t take_box(struct gr_screen *s, const struct source *source, struct box b, int motion, uint32_t now_ms)
{
	struct gr_vector v = { 0, 0 };
	struct gr_rect rect = { (uint16_t)b.left, (uint16_t)b.top, (uint16_t)(b.right - b.left),
				(uint16_t)(b.bottom - b.top) };
	int found = motion && gr_motion_find(s->motion, s->pixels, s->w, source->untrusted, source->stride, rect, &v);
	if (found) {
		find_moved(s, source, b, v);
		plan_copies(s, b, v, now_ms);
	}
	size_t changed = 0;
	for (uint32_t i = 0; i < b.bottom - b.top; i++) {
		uint32_t y = (uint32_t)nth(i, b.top, b.bottom - 1, v.dy < 0);
		if (found)
			changed += take_moving_row(s, source, b, y, v, s->moved + y / GR_TILE_HEIGHT * s->columns,
						   now_ms);
		else
			changed += take_still_row(s, source, b, y, now_ms);
	}
	if (found)
		memset(s->moved, 0, s->columns * s->rows);
	return changed;
}

size_t gr_screen_take(struct gr_screen *s, const uint8_t *untrusted_source, size_t stride, const struct gr_rect *damage,
		      size_t n, int motion, uint64_t now_ms)
{
	struct source source = { untrusted_source, stride };
	size_t changed = 0;
	for (size_t i = 0; i < n; i++) {
		struct box b = clip(s, damage[i]);
		/* On a screen that is still black there is nothing that could have moved. */
		if (!empty(b))
			changed += take_box(s, &source, b, motion && s->painted, (uint32_t)now_ms);
	}
	s->painted = 1;
	return changed;
}
