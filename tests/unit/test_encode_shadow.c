/* The shadow against a naive model, and against somebody who rewrites the source while it is read. */
#include "broker/encode/shadow.h"
#include "common/error.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define RECTS 256

static uint32_t seed = 1;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static uint32_t pixel(const uint8_t *base, size_t stride, uint32_t x, uint32_t y)
{
	uint32_t value;
	memcpy(&value, base + y * stride + (size_t)x * 4, 4);
	return value;
}

static void set_pixel(uint8_t *base, size_t stride, uint32_t x, uint32_t y, uint32_t value)
{
	memcpy(base + y * stride + (size_t)x * 4, &value, 4);
}

static int inside(const struct gr_rect *r, uint32_t x, uint32_t y)
{
	return x >= r->x && x < (uint32_t)r->x + r->w && y >= r->y && y < (uint32_t)r->y + r->h;
}

static int inside_any(const struct gr_rect *r, size_t n, uint32_t x, uint32_t y)
{
	for (size_t i = 0; i < n; i++)
		if (inside(&r[i], x, y))
			return 1;
	return 0;
}

static void sizes_out_of_range_are_refused(void **state)
{
	(void)state;
	assert_null(gr_shadow_create(0, 10));
	assert_null(gr_shadow_create(10, GR_SCREEN_MAX + 1));
	struct gr_shadow *s = gr_shadow_create(10, 10);
	assert_non_null(s);
	assert_int_equal(gr_shadow_resize(s, 0, 5), GR_EINVAL);
	assert_int_equal(gr_shadow_width(s), 10);
	gr_shadow_destroy(s);
	gr_shadow_destroy(NULL);
}

/* Draws something into the source: scattered pixels, blocks, or only the byte that does not count. */
static void scribble(uint8_t *source, size_t stride, uint32_t w, uint32_t h)
{
	uint32_t marks = random_below(20);
	for (uint32_t i = 0; i < marks; i++) {
		uint32_t x = random_below(w), y = random_below(h), bw = 1 + random_below(w - x),
			 bh = 1 + random_below(h - y);
		uint32_t value = random_below(4) ? random_below(0xffffff) : 0xff000000u;
		if (random_below(2))
			bw = bh = 1;
		for (uint32_t dy = 0; dy < bh; dy++)
			for (uint32_t dx = 0; dx < bw; dx++)
				set_pixel(source, stride, x + dx, y + dy, value + (random_below(2) << 24));
	}
}

static void random_pictures_agree_with_a_naive_model(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 400; round++) {
		uint16_t w = (uint16_t)(1 + random_below(300)), h = (uint16_t)(1 + random_below(80));
		size_t stride = (w + random_below(40)) * 4u;
		uint8_t *source = calloc(h, stride);
		uint8_t *before = malloc((size_t)w * h * 4);
		struct gr_shadow *s = gr_shadow_create(w, h);
		assert_non_null(source);
		assert_non_null(before);
		assert_non_null(s);
		for (unsigned frame = 0; frame < 6; frame++) {
			struct gr_rect damage[8], changed[RECTS];
			size_t n = random_below(9), cap = random_below(4) ? RECTS : 1 + random_below(3);
			for (size_t i = 0; i < n; i++)
				damage[i] =
					(struct gr_rect){ (uint16_t)random_below(w + 20u),
							  (uint16_t)random_below(h + 20u),
							  (uint16_t)random_below(random_below(2) ? 65536 : w + 1u),
							  (uint16_t)random_below(random_below(2) ? 65536 : h + 1u) };
			scribble(source, stride, w, h);
			uint8_t *pixels = gr_shadow_pixels(s);
			memcpy(before, pixels, (size_t)w * h * 4);
			size_t count = gr_shadow_take(s, source, stride, damage, n, changed, cap);
			assert_true(count <= cap);
			for (uint32_t y = 0; y < h; y++) {
				for (uint32_t x = 0; x < w; x++) {
					uint32_t old = pixel(before, w * 4u, x, y), now = pixel(pixels, w * 4u, x, y);
					uint32_t expected = inside_any(damage, n, x, y)
								    ? pixel(source, stride, x, y) & 0xffffff
								    : old;
					assert_int_equal(now, expected);
					if (now != old)
						assert_true(inside_any(changed, count, x, y));
				}
			}
			for (size_t i = 0; i < count; i++) {
				const struct gr_rect *r = &changed[i];
				assert_true(r->w && r->h && r->x + r->w <= w && r->y + r->h <= h);
				int top = 0, bottom = 0, left = 0, right = 0;
				for (uint32_t y = r->y; y < (uint32_t)r->y + r->h; y++)
					for (uint32_t x = r->x; x < (uint32_t)r->x + r->w; x++)
						if (pixel(before, w * 4u, x, y) != pixel(pixels, w * 4u, x, y)) {
							top |= y == r->y;
							bottom |= y == r->y + r->h - 1u;
							left |= x == r->x;
							right |= x == r->x + r->w - 1u;
						}
				assert_true(top && bottom && left && right);
			}
		}
		gr_shadow_destroy(s);
		free(before);
		free(source);
	}
}

static void a_resize_keeps_what_both_sizes_have(void **state)
{
	(void)state;
	enum { W = 100, H = 50 };
	static uint8_t source[W * H * 4];
	struct gr_rect changed[RECTS];
	for (size_t i = 0; i < sizeof(source); i++)
		source[i] = (uint8_t)random_below(256);
	struct gr_shadow *s = gr_shadow_create(W, H);
	assert_true(gr_shadow_take(s, source, W * 4, &(struct gr_rect){ 0, 0, W, H }, 1, changed, RECTS) > 0);
	assert_int_equal(gr_shadow_resize(s, 70, 90), 0);
	for (uint32_t y = 0; y < 90; y++)
		for (uint32_t x = 0; x < 70; x++)
			assert_int_equal(pixel(gr_shadow_pixels(s), 70 * 4, x, y),
					 y < H ? pixel(source, W * 4, x, y) & 0xffffff : 0);
	gr_shadow_destroy(s);
}

struct rewriter {
	uint8_t *source;
	size_t size;
	atomic_int stop;
};

static void *rewrite(void *context)
{
	struct rewriter *r = context;
	uint32_t n = 0;
	while (!atomic_load(&r->stop)) {
		volatile uint32_t *words = (volatile uint32_t *)(void *)r->source;
		for (size_t i = 0; i < r->size / 4; i += 1 + (n & 3))
			words[i] = n * 2654435761u;
		n++;
	}
	return NULL;
}

/* What is reported must be all that a viewer needs: replaying it gives exactly the shadow, whatever the source did. */
static void a_source_rewritten_meanwhile_changes_nothing_unreported(void **state)
{
	(void)state;
	enum { W = 640, H = 200, FRAMES = 600 };
	static uint8_t source[W * H * 4], viewer[W * H * 4];
	struct rewriter r = { .source = source, .size = sizeof(source) };
	struct gr_shadow *s = gr_shadow_create(W, H);
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, rewrite, &r), 0);
	unsigned busy = 0;
	for (unsigned frame = 0; frame < FRAMES; frame++) {
		struct gr_rect changed[16];
		size_t count = gr_shadow_take(s, source, W * 4, &(struct gr_rect){ 0, 0, W, H }, 1, changed, 16);
		busy += count > 0;
		for (size_t i = 0; i < count; i++)
			for (uint32_t y = changed[i].y; y < (uint32_t)changed[i].y + changed[i].h; y++)
				memcpy(viewer + ((size_t)y * W + changed[i].x) * 4,
				       gr_shadow_pixels(s) + ((size_t)y * W + changed[i].x) * 4,
				       (size_t)changed[i].w * 4);
		assert_memory_equal(viewer, gr_shadow_pixels(s), sizeof(viewer));
	}
	atomic_store(&r.stop, 1);
	pthread_join(thread, NULL);
	assert_true(busy > 0);
	gr_shadow_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_out_of_range_are_refused),
		cmocka_unit_test(random_pictures_agree_with_a_naive_model),
		cmocka_unit_test(a_resize_keeps_what_both_sizes_have),
		cmocka_unit_test(a_source_rewritten_meanwhile_changes_nothing_unreported),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
