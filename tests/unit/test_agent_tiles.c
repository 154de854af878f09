#include "sandbox/agent/tiles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { W = 1000, H = 300, STRIDE = (W + 24) * 4 };

struct fixture {
	struct gr_tiles *tiles;
	uint8_t target[STRIDE * H];
	uint8_t source[W * 4 * H];
	struct gr_rect rects[GR_FRAME_RECTS_MAX];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->tiles = gr_tiles_create(W, H);
	assert_non_null(f->tiles);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	gr_tiles_destroy(f->tiles);
	free(f);
	return 0;
}

static const struct gr_rect everything = { 0, 0, W, H };

static uint32_t update(struct fixture *f)
{
	gr_tiles_update(f->tiles, f->target, STRIDE, f->source, W * 4, &everything);
	return gr_tiles_rects(f->tiles, W, H, f->rects);
}

static void equal_pictures_give_no_rectangle(void **state)
{
	assert_int_equal(update(*state), 0);
}

static void a_pixel_that_differs_in_x_only_is_no_change(void **state)
{
	struct fixture *f = *state;
	f->source[4 * 500 + 3] = 0xff;
	assert_int_equal(update(f), 0);
	assert_int_equal(f->target[4 * 500 + 3], 0);
}

static void one_pixel_gives_its_tile_and_is_copied(void **state)
{
	struct fixture *f = *state;
	f->source[100 * W * 4 + 200 * 4 + 1] = 7;
	assert_int_equal(update(f), 1);
	assert_int_equal(f->rects[0].x, 192);
	assert_int_equal(f->rects[0].y, 96);
	assert_int_equal(f->rects[0].w, GR_TILE_W);
	assert_int_equal(f->rects[0].h, GR_TILE_H);
	assert_int_equal(f->target[100 * STRIDE + 200 * 4 + 1], 7);
	gr_tiles_clear(f->tiles);
	assert_int_equal(update(f), 0);
}

static void the_last_pixel_gives_a_rectangle_clipped_to_the_screen(void **state)
{
	struct fixture *f = *state;
	f->source[sizeof(f->source) - 4] = 1;
	assert_int_equal(update(f), 1);
	assert_int_equal(f->rects[0].x + f->rects[0].w, W);
	assert_int_equal(f->rects[0].y + f->rects[0].h, H);
}

static void a_block_of_tiles_is_one_rectangle(void **state)
{
	struct fixture *f = *state;
	memset(f->source, 9, sizeof(f->source));
	assert_int_equal(update(f), 1);
	assert_memory_equal(&f->rects[0], &everything, sizeof(everything));
	for (size_t y = 0; y < H; y++)
		assert_memory_equal(f->target + y * STRIDE, f->source + y * W * 4, W * 4);
}

static void outside_the_rectangle_nothing_is_written(void **state)
{
	struct fixture *f = *state;
	const struct gr_rect rect = { 100, 50, 33, 3 };
	memset(f->source, 5, sizeof(f->source));
	gr_tiles_update(f->tiles, f->target, STRIDE, f->source, (size_t)rect.w * 4, &rect);
	for (size_t y = 0; y < H; y++)
		for (size_t x = 0; x < W + 24; x++) {
			bool inside = x >= 100 && x < 133 && y >= 50 && y < 53;
			assert_int_equal(f->target[y * STRIDE + x * 4], inside ? 5 : 0);
		}
}

/* Whatever is marked: covered, inside, not overlapping, within the bound. */
static void check_cover(struct fixture *f, const uint8_t *marked, uint32_t count)
{
	static uint8_t covered[W * H];
	memset(covered, 0, sizeof(covered));
	assert_true(count >= 1 && count <= GR_FRAME_RECTS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		const struct gr_rect *r = &f->rects[i];
		assert_true(r->w > 0 && r->h > 0 && r->x + r->w <= W && r->y + r->h <= H);
		for (size_t y = r->y; y < (size_t)r->y + r->h; y++)
			for (size_t x = r->x; x < (size_t)r->x + r->w; x++) {
				assert_int_equal(covered[y * W + x], 0);
				covered[y * W + x] = 1;
			}
	}
	for (size_t i = 0; i < W * H; i++)
		if (marked[i])
			assert_int_equal(covered[i], 1);
}

static void any_set_of_pixels_is_covered_within_the_bound(void **state)
{
	struct fixture *f = *state;
	static uint8_t marked[W * H];
	unsigned seed = 1;
	for (int round = 0; round < 60; round++) {
		int points = 1 << (round % 10);
		memset(marked, 0, sizeof(marked));
		gr_tiles_clear(f->tiles);
		for (int i = 0; i < points; i++) {
			size_t at = (size_t)rand_r(&seed) % (W * H);
			f->source[at * 4] = (uint8_t)(f->source[at * 4] + 1);
			marked[at] = 1;
		}
		check_cover(f, marked, update(f));
	}
}

static void a_chessboard_of_tiles_stays_within_the_bound(void **state)
{
	struct fixture *f = *state;
	static uint8_t marked[W * H];
	for (size_t y = 0; y < H; y += GR_TILE_H)
		for (size_t x = (y / GR_TILE_H % 2) * GR_TILE_W; x < W; x += 2 * GR_TILE_W) {
			f->source[(y * W + x) * 4] = 1;
			marked[y * W + x] = 1;
		}
	check_cover(f, marked, update(f));
}

static void marks_without_pixels_count_too(void **state)
{
	struct fixture *f = *state;
	const struct gr_rect rect = { 63, 15, 2, 2 };
	gr_tiles_mark(f->tiles, &rect);
	assert_int_equal(gr_tiles_rects(f->tiles, W, H, f->rects), 1);
	assert_int_equal(f->rects[0].w, 2 * GR_TILE_W);
	assert_int_equal(f->rects[0].h, 2 * GR_TILE_H);
	/* A screen that has become smaller since: what lies outside is left out. */
	assert_int_equal(gr_tiles_rects(f->tiles, 70, 10, f->rects), 1);
	assert_int_equal(f->rects[0].w, 70);
	assert_int_equal(f->rects[0].h, 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(equal_pictures_give_no_rectangle),
		TEST(a_pixel_that_differs_in_x_only_is_no_change),
		TEST(one_pixel_gives_its_tile_and_is_copied),
		TEST(the_last_pixel_gives_a_rectangle_clipped_to_the_screen),
		TEST(a_block_of_tiles_is_one_rectangle),
		TEST(outside_the_rectangle_nothing_is_written),
		TEST(any_set_of_pixels_is_covered_within_the_bound),
		TEST(a_chessboard_of_tiles_stays_within_the_bound),
		TEST(marks_without_pixels_count_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
