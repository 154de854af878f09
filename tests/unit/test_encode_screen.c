/* The shadow against its source, and what it says of the viewer against a model of one. */
#include "broker/encode/screen.h"
#include "common/error.h"
#include "tests/unit/encode_viewer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs some of those above */

static uint32_t seed = 1;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

/* A screen, its source, and what a viewer sees to whom all copies so far, and what was "sent", have been drawn. */
struct world {
	struct gr_screen screen;
	uint16_t w, h;
	size_t stride; /* of the source, pixels */
	uint32_t *source, *before, *viewer;
	struct gr_rect fixed[4]; /* parts that scrolling leaves alone */
	size_t fixed_count;
	size_t copies;
	uint64_t now;
};

static void world_init(struct world *o, uint16_t w, uint16_t h)
{
	*o = (struct world){ .w = w, .h = h, .stride = w + random_below(20), .now = 5000 };
	assert_int_equal(gr_screen_init(&o->screen, w, h, gr_kernels_best()), 0);
	o->source = calloc(o->stride * h, sizeof(uint32_t));
	o->before = calloc((size_t)w * h, sizeof(uint32_t));
	o->viewer = calloc((size_t)w * h, sizeof(uint32_t));
	assert_true(o->source && o->before && o->viewer);
}

static void world_finish(struct world *o)
{
	gr_screen_finish(&o->screen);
	free(o->source);
	free(o->before);
	free(o->viewer);
}

static struct gr_rect random_rect(uint32_t w, uint32_t h)
{
	struct gr_rect r = { (uint16_t)random_below(w), (uint16_t)random_below(h), 0, 0 };
	r.w = (uint16_t)(1 + random_below(w - r.x));
	r.h = (uint16_t)(1 + random_below(h - r.y));
	return r;
}

static int inside_any(const struct gr_rect *r, size_t n, uint32_t x, uint32_t y)
{
	for (size_t i = 0; i < n; i++)
		if (x >= r[i].x && x < (uint32_t)r[i].x + r[i].w && y >= r[i].y && y < (uint32_t)r[i].y + r[i].h)
			return 1;
	return 0;
}

static int in_box(struct gr_tile_box b, uint32_t x, uint32_t y)
{
	return b.right && x >= b.left && x < b.right && y >= b.top && y < b.bottom;
}

static void draw_copies(struct world *o)
{
	for (size_t i = 0; i < o->screen.copy_count; i++) {
		struct gr_copy c = o->screen.copies[i];
		long x = c.rect.x + c.dx, y = c.rect.y + c.dy;
		assert_true(c.rect.w && c.rect.h && c.rect.x + c.rect.w <= o->w && c.rect.y + c.rect.h <= o->h);
		assert_true(x >= 0 && y >= 0 && x + c.rect.w <= o->w && y + c.rect.h <= o->h);
		for (long k = 0; k < c.rect.h; k++) {
			long row = c.dy < 0 ? c.rect.h - 1 - k : k;
			memmove(o->viewer + (c.rect.y + row) * o->w + c.rect.x, o->viewer + (y + row) * o->w + x,
				c.rect.w * sizeof(uint32_t));
		}
	}
	o->copies += o->screen.copy_count;
	o->screen.copy_count = 0;
}

/* Outside the boxes the viewer has what the shadow has. */
static void check_viewer(const struct world *o)
{
	const struct gr_screen *s = &o->screen;
	size_t lossy = 0;
	for (size_t i = 0; i < s->columns * s->rows; i++) {
		const struct gr_tile_box *boxes[2] = { &s->tiles[i].pending, &s->tiles[i].lossy };
		uint32_t tile_w = (uint32_t)(o->w - i % s->columns * GR_TILE_WIDTH),
			 tile_h = (uint32_t)(o->h - i / s->columns * GR_TILE_HEIGHT);
		for (size_t k = 0; k < 2; k++) {
			assert_true(!boxes[k]->right ||
				    (boxes[k]->left < boxes[k]->right && boxes[k]->top < boxes[k]->bottom));
			assert_true(boxes[k]->right <= tile_w && boxes[k]->right <= GR_TILE_WIDTH);
			assert_true(boxes[k]->bottom <= tile_h && boxes[k]->bottom <= GR_TILE_HEIGHT);
		}
		lossy += s->tiles[i].lossy.right != 0;
	}
	assert_int_equal(s->lossy_count, lossy);
	for (uint32_t y = 0; y < o->h; y++) {
		for (uint32_t x = 0; x < o->w; x++) {
			size_t at = (size_t)y * o->w + x;
			const struct gr_tile *t = &s->tiles[y / GR_TILE_HEIGHT * s->columns + x / GR_TILE_WIDTH];
			uint32_t dx = x % GR_TILE_WIDTH, dy = y % GR_TILE_HEIGHT;
			if (o->viewer[at] != s->pixels[at] && !in_box(t->pending, dx, dy) && !in_box(t->lossy, dx, dy))
				fail_msg("%u, %u is not told to the viewer", x, y);
		}
	}
}

/* Takes, and compares the shadow with the source. */
static size_t take(struct world *o, const struct gr_rect *damage, size_t n, int motion)
{
	memcpy(o->before, o->screen.pixels, (size_t)o->w * o->h * sizeof(uint32_t));
	size_t changed = gr_screen_take(&o->screen, (const uint8_t *)o->source, o->stride * sizeof(uint32_t), damage, n,
					motion, o->now += 10);
	for (uint32_t y = 0; y < o->h; y++) {
		for (uint32_t x = 0; x < o->w; x++) {
			size_t at = (size_t)y * o->w + x;
			uint32_t expected = inside_any(damage, n, x, y) ? o->source[y * o->stride + x] & 0xffffff
									: o->before[at];
			if (o->screen.pixels[at] != expected)
				fail_msg("%u, %u is 0x%x and not 0x%x", x, y, o->screen.pixels[at], expected);
		}
	}
	return changed;
}

/* "Sends" some of the tiles' boxes, or a rectangle: exactly, or not. */
static void send_some(struct world *o, unsigned of_10)
{
	struct gr_screen *s = &o->screen;
	draw_copies(o);
	for (size_t i = 0; i < s->columns * s->rows; i++) {
		struct gr_tile *t = &s->tiles[i];
		struct gr_tile_box box = t->pending.right ? t->pending : t->lossy;
		if (!box.right || random_below(10) >= of_10)
			continue;
		int exact = !t->pending.right || random_below(3) != 0;
		struct gr_rect r = { (uint16_t)(i % s->columns * GR_TILE_WIDTH + box.left),
				     (uint16_t)(i / s->columns * GR_TILE_HEIGHT + box.top),
				     (uint16_t)(box.right - box.left), (uint16_t)(box.bottom - box.top) };
		if (random_below(5) == 0 && of_10 < 10)
			r.h = (uint16_t)(1 + random_below(r.h)); /* the output was full */
		if (random_below(20) == 0)
			r = random_rect(o->w, o->h);
		for (uint32_t y = r.y; y < (uint32_t)r.y + r.h; y++)
			for (uint32_t x = r.x; x < (uint32_t)r.x + r.w; x++)
				o->viewer[(size_t)y * o->w + x] = s->pixels[(size_t)y * o->w + x] ^
								  (exact ? 0 : 0x010000);
		gr_screen_sent(s, r, exact, o->now);
	}
}

static void send_all_exactly(struct world *o)
{
	draw_copies(o);
	for (size_t i = 0; i < o->screen.columns * o->screen.rows; i++) {
		struct gr_rect r = { (uint16_t)(i % o->screen.columns * GR_TILE_WIDTH),
				     (uint16_t)(i / o->screen.columns * GR_TILE_HEIGHT), GR_TILE_WIDTH,
				     GR_TILE_HEIGHT };
		gr_screen_sent(&o->screen, r, 1, o->now);
	}
	memcpy(o->viewer, o->screen.pixels, (size_t)o->w * o->h * sizeof(uint32_t));
	for (size_t i = 0; i < o->screen.columns * o->screen.rows; i++)
		assert_true(!o->screen.tiles[i].pending.right && !o->screen.tiles[i].lossy.right);
	assert_int_equal(o->screen.lossy_count, 0);
}

/* A part of the source moves; what comes in is new. */
static void scroll(struct world *o, struct gr_rect r, int dx, int dy)
{
	uint32_t *copy = malloc((size_t)r.w * r.h * sizeof(*copy));
	assert_non_null(copy);
	for (size_t y = 0; y < r.h; y++)
		memcpy(copy + y * r.w, o->source + (r.y + y) * o->stride + r.x, r.w * sizeof(*copy));
	enum picture picture = random_below(PICTURES);
	picture_draw(o->source, o->stride, r, picture, random_below(1000), random_below(5000), random_below(5000));
	for (int y = 0; y < r.h; y++)
		for (int x = 0; x < r.w; x++)
			if (x + dx >= 0 && x + dx < r.w && y + dy >= 0 && y + dy < r.h)
				o->source[(size_t)(r.y + y) * o->stride + r.x + (size_t)x] =
					copy[(y + dy) * r.w + x + dx];
	free(copy);
	for (size_t i = 0; i < o->fixed_count; i++)
		picture_draw(o->source, o->stride, o->fixed[i], PICTURE_COLOURS, (uint32_t)i, 0, 0);
}

/* Pillars, some as wide as a tile: what moves on both sides of them must not overwrite what the other side comes from. */
static void choose_fixed(struct world *o)
{
	if (o->w <= 4 * GR_TILE_WIDTH || o->h <= 64)
		return;
	o->fixed_count = random_below(5);
	for (size_t i = 0; i < o->fixed_count; i++) {
		struct gr_rect r = random_rect(o->w, o->h);
		r.x = (uint16_t)((1 + random_below(o->w / GR_TILE_WIDTH - 2)) * GR_TILE_WIDTH);
		r.w = GR_TILE_WIDTH;
		o->fixed[i] = r;
	}
}

static void edit(struct world *o)
{
	for (uint32_t i = random_below(6); i > 0; i--) {
		struct gr_rect r = random_rect(o->w, o->h);
		if (random_below(2))
			r.w = r.h = 1;
		picture_draw(o->source, o->stride, r, random_below(PICTURES), random_below(1000), random_below(5000),
			     random_below(5000));
	}
}

/* The whole, the part that moved, or several rectangles, some beyond the screen. */
static size_t choose_damage(const struct world *o, struct gr_rect moved, struct gr_rect *damage)
{
	size_t n = 1 + random_below(6);
	damage[0] = (struct gr_rect){ 0, 0, o->w, o->h };
	switch (random_below(5)) {
	case 0: return 1;
	case 1: damage[0] = moved; return 1;
	case 2: damage[0] = (struct gr_rect){ 0, 0, 65535, 65535 }; return 1;
	case 3: /* in bands, as a server reports it */
		for (size_t i = 0; i < n; i++) {
			size_t from = moved.h * i / n, to = moved.h * (i + 1) / n;
			damage[i] = (struct gr_rect){ moved.x, (uint16_t)(moved.y + from), moved.w,
						      (uint16_t)(to - from) };
		}
		return n;
	default:
		for (size_t i = 0; i < n; i++)
			damage[i] = (struct gr_rect){ (uint16_t)random_below(o->w + 20u),
						      (uint16_t)random_below(o->h + 20u),
						      (uint16_t)random_below(random_below(4) ? o->w + 1u : 65536),
						      (uint16_t)random_below(random_below(4) ? o->h + 1u : 65536) };
		return n;
	}
}

static int random_offset(uint32_t side)
{
	int reach = (int)(random_below(3) ? side / 8 + 1 : side / 2 + 1);
	return (int)random_below((uint32_t)reach * 2) - reach;
}

static void frame(struct world *o, unsigned edits_of_10, int motion)
{
	struct gr_rect damage[8], moved = { 0, 0, o->w, o->h };
	if (random_below(4) == 0)
		moved = random_rect(o->w, o->h);
	if (random_below(10) >= edits_of_10) {
		unsigned axes = random_below(3);
		scroll(o, moved, axes == 1 ? 0 : random_offset(moved.w), axes == 0 ? 0 : random_offset(moved.h));
	}
	if (random_below(10) < edits_of_10)
		edit(o);
	size_t n = choose_damage(o, moved, damage);
	take(o, damage, n, motion);
}

static void the_viewer_lacks_nothing_but_what_the_boxes_say(void **state)
{
	(void)state;
	size_t copies = 0;
	for (unsigned round = 0; round < 120; round++) {
		struct world o;
		world_init(&o, (uint16_t)(1 + random_below(round % 4 ? 800 : 90)), (uint16_t)(1 + random_below(400)));
		picture_draw(o.source, o.stride, (struct gr_rect){ 0, 0, o.w, o.h },
			     round % 2 ? PICTURE_NOISE : PICTURE_TEXT, round, 900, 900);
		choose_fixed(&o);
		take(&o, &(struct gr_rect){ 0, 0, o.w, o.h }, 1, 1);
		for (unsigned i = 0; i < 20; i++) {
			frame(&o, 1 + round % 9, 1);
			if (random_below(2)) {
				draw_copies(&o);
				check_viewer(&o);
				send_some(&o, random_below(11));
				check_viewer(&o);
			}
		}
		draw_copies(&o);
		check_viewer(&o);
		send_all_exactly(&o);
		copies += o.copies;
		world_finish(&o);
	}
	assert_true(copies > 700); /* or this tested little */
}

static void without_motion_there_are_no_copies(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 40; round++) {
		struct world o;
		world_init(&o, (uint16_t)(1 + random_below(300)), (uint16_t)(1 + random_below(200)));
		for (unsigned i = 0; i < 6; i++) {
			frame(&o, 5, 0);
			assert_int_equal(o.screen.copy_count, 0);
			check_viewer(&o);
		}
		world_finish(&o);
	}
}

/* A page that scrolls between a header, a footer and a scroll bar that do not. */
static void fixed_parts_stay_and_the_page_is_copied(void **state)
{
	(void)state;
	static const int vectors[][2] = { { 0, 120 }, { 0, -120 }, { 0, 7 },   { 0, -3 },    { 50, 0 },
					  { -50, 0 }, { 33, 20 },  { -9, 41 }, { 100, -60 }, { -64, -16 } };
	for (unsigned i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		struct world o;
		struct gr_rect page = { 12, 50, 600, 310 }, all = { 0, 0, 640, 400 };
		uint32_t x = 5000, y = 5000;
		world_init(&o, all.w, all.h);
		picture_draw(o.source, o.stride, all, PICTURE_COLOURS, 2, 0, 0);
		picture_draw(o.source, o.stride, page, PICTURE_TEXT, 3, x, y);
		take(&o, &all, 1, 1);
		send_all_exactly(&o);
		for (unsigned k = 0; k < 3; k++) {
			x += (uint32_t)vectors[i][0];
			y += (uint32_t)vectors[i][1];
			picture_draw(o.source, o.stride, page, PICTURE_TEXT, 3, x, y);
			size_t changed = take(&o, &all, 1, 1);
			size_t came_in = 600u * 310u -
					 (600u - (unsigned)abs(vectors[i][0])) * (310u - (unsigned)abs(vectors[i][1]));
			assert_true(o.screen.copy_count > 0 && o.screen.copy_count <= 40);
			/* The page's edges share tiles with what stands. */
			assert_true(changed < came_in + 600 * 310 / 3);
			draw_copies(&o);
			check_viewer(&o);
			send_all_exactly(&o);
		}
		world_finish(&o);
	}
}

/* Nobody fetches what is to send: the copies come to an end, the boxes do not. */
static void copies_that_nobody_sends_are_bounded(void **state)
{
	(void)state;
	struct world o;
	struct gr_rect all = { 0, 0, 500, 300 };
	world_init(&o, all.w, all.h);
	picture_draw(o.source, o.stride, all, PICTURE_TEXT, 3, 0, 1000);
	take(&o, &all, 1, 1);
	send_all_exactly(&o);
	size_t most = 0;
	for (unsigned i = 0; i < 600; i++) {
		frame(&o, i % 4 ? 0 : 10, 1);
		most = most > o.screen.copy_count ? most : o.screen.copy_count;
		assert_true(o.screen.copy_count <= GR_COPIES_MAX);
	}
	assert_int_equal(most, GR_COPIES_MAX);
	draw_copies(&o);
	check_viewer(&o);
	world_finish(&o);
}

static void what_did_not_change_is_not_pending(void **state)
{
	(void)state;
	struct world o;
	struct gr_rect all = { 0, 0, 300, 200 };
	world_init(&o, all.w, all.h);
	assert_int_equal(take(&o, &all, 1, 1), 0);
	/* X alone is no change. */
	for (size_t i = 0; i < o.stride * o.h; i++)
		o.source[i] = random_below(256) << 24;
	assert_int_equal(take(&o, &all, 1, 1), 0);
	for (size_t i = 0; i < o.screen.columns * o.screen.rows; i++)
		assert_int_equal(o.screen.tiles[i].pending.right, 0);
	/* One pixel is a box of one. */
	o.source[100 * o.stride + 70] = 0xff00ff00;
	assert_int_equal(take(&o, &all, 1, 1), 1);
	struct gr_tile_box box = o.screen.tiles[100 / GR_TILE_HEIGHT * o.screen.columns + 1].pending;
	assert_int_equal(box.left, 6);
	assert_int_equal(box.right, 7);
	assert_int_equal(box.top, 4);
	assert_int_equal(box.bottom, 5);
	world_finish(&o);
}

static void sizes_out_of_range_are_refused(void **state)
{
	(void)state;
	struct gr_screen s = { 0 };
	static const uint16_t bad[][2] = {
		{ 0, 10 }, { 10, 0 }, { GR_SCREEN_MAX + 1, 10 }, { 10, GR_SCREEN_MAX + 1 }, { 65535, 65535 }
	};
	gr_screen_finish(&s);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(gr_screen_init(&s, bad[i][0], bad[i][1], &gr_kernels_portable), GR_EINVAL);
		gr_screen_finish(&s);
	}
	assert_int_equal(gr_screen_init(&s, 10, 20, &gr_kernels_portable), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(gr_screen_resize(&s, bad[i][0], bad[i][1]), GR_EINVAL);
		assert_int_equal(s.w, 10);
		assert_int_equal(s.h, 20);
	}
	gr_screen_finish(&s);
	assert_int_equal(gr_screen_init(&s, GR_SCREEN_MAX, 1, &gr_kernels_portable), 0);
	gr_screen_finish(&s);
	assert_int_equal(gr_screen_init(&s, 1, GR_SCREEN_MAX, &gr_kernels_portable), 0);
	gr_screen_finish(&s);
}

static void a_resize_keeps_what_both_sizes_have_and_sends_all(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		struct world o;
		uint16_t w = (uint16_t)(1 + random_below(300)), h = (uint16_t)(1 + random_below(200));
		world_init(&o, (uint16_t)(1 + random_below(300)), (uint16_t)(1 + random_below(200)));
		frame(&o, 5, 1);
		frame(&o, 5, 1);
		take(&o, &(struct gr_rect){ 0, 0, o.w, o.h }, 1, 1);
		send_some(&o, 10);
		assert_int_equal(gr_screen_resize(&o.screen, w, h), 0);
		struct gr_screen *s = &o.screen;
		assert_true(s->w == w && s->h == h && s->copy_count == 0 && s->lossy_count == 0);
		for (uint32_t y = 0; y < h; y++)
			for (uint32_t x = 0; x < w; x++) {
				const struct gr_tile *t =
					&s->tiles[y / GR_TILE_HEIGHT * s->columns + x / GR_TILE_WIDTH];
				assert_true(in_box(t->pending, x % GR_TILE_WIDTH, y % GR_TILE_HEIGHT));
				assert_int_equal(s->pixels[(size_t)y * w + x],
						 x < o.w && y < o.h ? o.source[y * o.stride + x] & 0xffffff : 0);
			}
		world_finish(&o);
	}
}

static void what_is_forgotten_is_pending_and_the_rest_is_not(void **state)
{
	(void)state;
	struct world o;
	world_init(&o, 200, 100);
	gr_screen_forget(&o.screen, (struct gr_rect){ 300, 10, 5, 5 });
	gr_screen_forget(&o.screen, (struct gr_rect){ 30, 10, 0, 5 });
	gr_screen_forget(&o.screen, (struct gr_rect){ 70, 20, 65535, 1 });
	for (size_t i = 0; i < o.screen.columns * o.screen.rows; i++) {
		struct gr_tile_box b = o.screen.tiles[i].pending;
		size_t column = i % o.screen.columns;
		if (i / o.screen.columns != 20 / GR_TILE_HEIGHT || column == 0)
			assert_int_equal(b.right, 0);
		else
			assert_true(b.left == (column == 1 ? 6 : 0) && b.right == (column == 3 ? 200 - 192 : 64) &&
				    b.top == 4 && b.bottom == 5);
	}
	world_finish(&o);
}

/* Heat tells videos from pages: what changes in quick succession has it, what scrolls in or blinks has not. */
static void quick_changes_heat_and_scrolling_does_not(void **state)
{
	(void)state;
	struct world o;
	struct gr_rect all = { 0, 0, 640, 400 };
	world_init(&o, all.w, all.h);
	for (unsigned i = 0; i < 6; i++) {
		picture_draw(o.source, o.stride, all, PICTURE_TEXT, 3, 0, 120 * i);
		take(&o, &all, 1, 1);
		send_all_exactly(&o);
	}
	for (size_t i = 0; i < o.screen.columns * o.screen.rows; i++)
		assert_true(o.screen.tiles[i].heat <= 1);
	struct gr_rect caret = { 5, 5, 1, 10 }, video = { 128, 160, 64, 16 };
	for (unsigned i = 0; i < 10; i++) {
		picture_draw(o.source, o.stride, caret, PICTURE_FLAT, i, 0, 0);
		o.now += 490;
		take(&o, &all, 1, 1);
	}
	for (unsigned i = 0; i < 10; i++) {
		picture_draw(o.source, o.stride, video, PICTURE_PHOTO, i, 0, 0);
		take(&o, &all, 1, 1);
	}
	assert_true(o.screen.tiles[0].heat <= 1);
	assert_true(o.screen.tiles[10 * o.screen.columns + 2].heat >= 8);
	world_finish(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_viewer_lacks_nothing_but_what_the_boxes_say),
		cmocka_unit_test(without_motion_there_are_no_copies),
		cmocka_unit_test(fixed_parts_stay_and_the_page_is_copied),
		cmocka_unit_test(copies_that_nobody_sends_are_bounded),
		cmocka_unit_test(what_did_not_change_is_not_pending),
		cmocka_unit_test(sizes_out_of_range_are_refused),
		cmocka_unit_test(a_resize_keeps_what_both_sizes_have_and_sends_all),
		cmocka_unit_test(what_is_forgotten_is_pending_and_the_rest_is_not),
		cmocka_unit_test(quick_changes_heat_and_scrolling_does_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
