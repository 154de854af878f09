/* The search for motion, on pictures of which the vector is known. */
#include "broker/encode/motion.h"
#include "tests/unit/encode_viewer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs some of those above */

enum { W = 900, H = 640, STRIDE = W + 7 };

static struct {
	struct gr_motion *motion;
	uint32_t before[W * H], now[STRIDE * H];
	struct gr_vector found;
} t;

static const struct gr_rect all = { 0, 0, W, H };

static int setup(void **state)
{
	(void)state;
	t.motion = gr_motion_create(W, gr_kernels_best());
	assert_non_null(t.motion);
	t.found = (struct gr_vector){ 12345, 12345 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gr_motion_destroy(t.motion);
	return 0;
}

static void clear_x(void)
{
	for (size_t i = 0; i < (size_t)W * H; i++)
		t.before[i] &= 0xffffff; /* as in the shadow; the source keeps its X */
}

static int find(struct gr_rect rect)
{
	return gr_motion_find(t.motion, t.before, W, (const uint8_t *)t.now, STRIDE * sizeof(uint32_t), rect, &t.found);
}

/* The same picture, seen from (x, y) before, and from (x + dx, y + dy) now. */
static void draw(enum picture picture, uint32_t seed, int dx, int dy)
{
	uint32_t x = 3000 + seed * 77, y = 4000 + seed * 131;
	picture_draw(t.before, W, all, picture, seed, x, y);
	picture_draw(t.now, STRIDE, all, picture, seed, x + (uint32_t)dx, y + (uint32_t)dy);
	clear_x();
}

static const struct gr_vector vectors[] = {
	{ 0, 120 },   { 0, -120 },   { 0, 1 },   { 0, -1 },   { 0, 53 },     { 0, 400 },   { 0, -397 },
	{ 1, 0 },     { -1, 0 },     { 64, 0 },  { -200, 0 }, { 313, 0 },    { 10, 10 },   { -7, 3 },
	{ 40, -120 }, { -128, -64 }, { 250, 1 }, { 1, -250 }, { -200, 150 }, { 333, 222 }, { 7, -300 },
};
enum { VECTORS = sizeof(vectors) / sizeof(*vectors) };

static void check_vectors(enum picture picture)
{
	for (uint32_t i = 0; i < VECTORS; i++) {
		teardown(NULL); /* each without what was found before */
		setup(NULL);
		draw(picture, i + 1, vectors[i].dx, vectors[i].dy);
		if (!find(all))
			fail_msg("%d, %d was not found", vectors[i].dx, vectors[i].dy);
		assert_int_equal(t.found.dx, vectors[i].dx);
		assert_int_equal(t.found.dy, vectors[i].dy);
	}
}

static void vectors_of_text_are_found(void **state)
{
	(void)state;
	check_vectors(PICTURE_TEXT);
}

static void vectors_of_photographs_are_found(void **state)
{
	(void)state;
	check_vectors(PICTURE_PHOTO);
}

static void vectors_of_noise_are_found(void **state)
{
	(void)state;
	check_vectors(PICTURE_NOISE);
}

/* Around what moved something stands still. */
static void motion_inside_fixed_parts_is_found(void **state)
{
	(void)state;
	struct gr_rect page = { 120, 70, 700, 500 };
	for (uint32_t i = 0; i < 10; i++) {
		int dx = i % 3 == 1 ? 60 : 0, dy = i % 3 == 1 ? 0 : 53 + (int)i * 7;
		picture_draw(t.before, W, all, PICTURE_COLOURS, 5, 0, 0);
		picture_draw(t.now, STRIDE, all, PICTURE_COLOURS, 5, 0, 0);
		picture_draw(t.before, W, page, PICTURE_TEXT, i, 1000, 2000);
		picture_draw(t.now, STRIDE, page, PICTURE_TEXT, i, 1000 + (uint32_t)dx, 2000 + (uint32_t)dy);
		clear_x();
		assert_int_equal(find(all), 1);
		assert_int_equal(t.found.dx, dx);
		assert_int_equal(t.found.dy, dy);
	}
}

static void motion_in_a_part_of_the_screen_is_found(void **state)
{
	(void)state;
	struct gr_rect part = { 300, 200, 400, 300 };
	picture_draw(t.before, W, all, PICTURE_NOISE, 1, 0, 0);
	picture_draw(t.before, W, part, PICTURE_TEXT, 2, 100, 100);
	picture_draw(t.now, STRIDE, part, PICTURE_TEXT, 2, 100, 130);
	clear_x();
	assert_int_equal(find(part), 1);
	assert_int_equal(t.found.dx, 0);
	assert_int_equal(t.found.dy, 30);
}

static void nothing_is_found_where_nothing_changed(void **state)
{
	(void)state;
	for (unsigned picture = 0; picture < PICTURES; picture++) {
		draw(picture, 1, 0, 0);
		assert_int_equal(find(all), 0);
	}
}

static void nothing_is_found_on_flat_pictures(void **state)
{
	(void)state;
	picture_draw(t.before, W, all, PICTURE_FLAT, 1, 0, 0);
	picture_draw(t.now, STRIDE, all, PICTURE_FLAT, 2, 0, 0);
	clear_x();
	assert_int_equal(find(all), 0);
	/* Stripes are the same everywhere along themselves; a flat picture becomes text. */
	picture_draw(t.now, STRIDE, all, PICTURE_TEXT, 2, 0, 0);
	assert_int_equal(find(all), 0);
	assert_int_equal(t.found.dx, 12345); /* written only on success */
}

static void nothing_is_found_on_wholly_new_pictures(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		enum picture picture = i % 2 ? PICTURE_PHOTO : PICTURE_NOISE;
		picture_draw(t.before, W, all, picture, i, 0, 0);
		picture_draw(t.now, STRIDE, all, picture, i + 1000, 0, 0);
		clear_x();
		assert_int_equal(find(all), 0);
	}
}

/* What was searched in vain for a while is still found when it comes: a video that ends in a scroll. */
static void vertical_motion_is_found_after_many_failures(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 9; i++) {
		picture_draw(t.before, W, all, PICTURE_NOISE, i, 0, 0);
		picture_draw(t.now, STRIDE, all, PICTURE_NOISE, i + 1000, 0, 0);
		clear_x();
		assert_int_equal(find(all), 0);
	}
	draw(PICTURE_TEXT, 4, 0, 120);
	assert_int_equal(find(all), 1);
	assert_int_equal(t.found.dy, 120);
}

static void rectangles_too_small_are_left_alone(void **state)
{
	(void)state;
	draw(PICTURE_NOISE, 1, 0, 5);
	assert_int_equal(find((struct gr_rect){ 0, 0, 63, H }), 0);
	assert_int_equal(find((struct gr_rect){ 0, 0, W, 63 }), 0);
	assert_int_equal(find((struct gr_rect){ 0, 0, 1, 1 }), 0);
	assert_int_equal(find((struct gr_rect){ W - 64, H - 64, 64, 64 }), 1);
	assert_int_equal(t.found.dy, 5);
}

static void the_same_pictures_give_the_same_vectors(void **state)
{
	(void)state;
	struct gr_motion *second = gr_motion_create(W, &gr_kernels_portable);
	assert_non_null(second);
	for (uint32_t i = 0; i < 40; i++) {
		draw(i % 3 ? PICTURE_TEXT : PICTURE_NOISE, i, vectors[i * 5 % VECTORS].dx, vectors[i * 3 % VECTORS].dy);
		if (i % 7 == 0)
			picture_draw(t.now, STRIDE, all, PICTURE_NOISE, i, 0, 0);
		struct gr_vector other = { 12345, 12345 };
		t.found = other;
		int found = find(all);
		assert_int_equal(found, gr_motion_find(second, t.before, W, (const uint8_t *)t.now,
						       STRIDE * sizeof(uint32_t), all, &other));
		assert_int_equal(t.found.dx, other.dx);
		assert_int_equal(t.found.dy, other.dy);
	}
	gr_motion_destroy(second);
	gr_motion_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(vectors_of_text_are_found),
		TEST(vectors_of_photographs_are_found),
		TEST(vectors_of_noise_are_found),
		TEST(motion_inside_fixed_parts_is_found),
		TEST(motion_in_a_part_of_the_screen_is_found),
		TEST(nothing_is_found_where_nothing_changed),
		TEST(nothing_is_found_on_flat_pictures),
		TEST(nothing_is_found_on_wholly_new_pictures),
		TEST(vertical_motion_is_found_after_many_failures),
		TEST(rectangles_too_small_are_left_alone),
		TEST(the_same_pictures_give_the_same_vectors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
