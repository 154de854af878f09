/*
 * T18: somebody else rewrites the source at full speed while it is encoded, as a hostile container can. Whatever was taken, the
 * viewer has it in the end. Built twice: with the other tests' sanitizers, and with ThreadSanitizer.
 */
#include "tests/unit/encode_viewer.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs some of those above */

enum { W = 500, H = 260, STRIDE = 512, FRAMES = 45 };

static struct {
	uint32_t source[STRIDE * H];
	uint32_t page[STRIDE * H]; /* the rewriter's own */
	atomic_int stop;
	atomic_uint passes;
} shared;

static uint8_t out[GR_ENCODE_OUT_MIN];

static void store(size_t at, uint32_t pixel)
{
	__atomic_store_n(&shared.source[at], pixel, __ATOMIC_RELAXED);
}

static void *rewrite(void *context)
{
	(void)context;
	uint32_t n = 0;
	picture_draw(shared.page, STRIDE, (struct gr_rect){ 0, 0, STRIDE, H }, PICTURE_TEXT, 1, 0, 0);
	while (!atomic_load(&shared.stop)) {
		uint32_t manner = picture_hash(n, 1, 2);
		size_t down = n * 7 % 100;
		for (size_t i = 0; i < (size_t)STRIDE * H; i += 1 + (manner >> 8 & 3)) {
			if (manner % 4 < 2) /* a page that scrolls */
				store(i, shared.page[(i + down * STRIDE) % ((size_t)STRIDE * H)]);
			else
				store(i, manner % 4 == 2 ? picture_hash(n, (uint32_t)i, 3) : manner);
		}
		atomic_fetch_add(&shared.passes, 1);
		n++;
	}
	return NULL;
}

static size_t take(struct gr_encoder *e, const struct gr_rect *damage, size_t n, uint64_t now)
{
	return gr_encoder_take(e, (const uint8_t *)shared.source, STRIDE * sizeof(uint32_t), damage, n, now);
}

/* Writes and draws all that is pending. */
static void drain(struct gr_encoder *e, struct encode_viewer *v, uint64_t now)
{
	for (unsigned i = 0; gr_encoder_pending(e, now); i++) {
		unsigned rects;
		ptrdiff_t n = gr_encoder_write(e, now, out, sizeof(out), &rects);
		assert_true(n > 0 && i < 500);
		const char *why = encode_viewer_draw(v, out, (size_t)n, rects);
		if (why)
			fail_msg("the viewer: %s", why);
	}
}

static void session(const struct gr_encode_settings *settings)
{
	struct gr_encoder *e = gr_encoder_create(W, H);
	struct encode_viewer v;
	pthread_t thread;
	size_t changed = 0;
	uint64_t now = 1000;
	assert_non_null(e);
	assert_int_equal(gr_encoder_start(e, settings), 0);
	assert_int_equal(encode_viewer_init(&v, settings->form, settings->history_log2, W, H), 0);
	shared.stop = 0;
	shared.passes = 0;
	assert_int_equal(pthread_create(&thread, NULL, rewrite, NULL), 0);
	while (!shared.passes)
		sched_yield();
	for (unsigned frame = 0; frame < FRAMES; frame++, now += 30) {
		struct gr_rect damage[3] = { { 0, 0, W, H }, { 30, 40, 400, 180 }, { 60, 10, 100, H } };
		changed += take(e, damage + frame % 3, frame % 3 == 1 ? 2 : 1, now);
		drain(e, &v, now);
		const uint32_t *shadow = gr_encoder_pixels(e);
		for (size_t i = 0; i < (size_t)W * H; i++)
			assert_true(shadow[i] <= 0xffffff);
		if (!settings->photo_quality)
			assert_int_equal(encode_viewer_differs(&v, shadow), 0);
	}
	shared.stop = 1;
	pthread_join(thread, NULL);
	assert_true(changed > 0);
	take(e, &(struct gr_rect){ 0, 0, W, H }, 1, now);
	drain(e, &v, now);
	int64_t in;
	while ((in = gr_encoder_refinement_in(e, now)) >= 0)
		drain(e, &v, now += (uint64_t)in);
	assert_int_equal(encode_viewer_differs(&v, gr_encoder_pixels(e)), 0);
	for (size_t y = 0; y < H; y++)
		for (size_t x = 0; x < W; x++)
			assert_int_equal(gr_encoder_pixels(e)[y * W + x], shared.source[y * STRIDE + x] & 0xffffff);
	encode_viewer_finish(&v);
	gr_encoder_destroy(e);
}

static void a_rewritten_source_is_decoded_to_what_was_taken(void **state)
{
	(void)state;
	session(&(struct gr_encode_settings){ .form = GR_ENCODE_GARASU, .history_log2 = 20 });
}

static void a_rewritten_source_is_decoded_to_what_was_taken_in_tight(void **state)
{
	(void)state;
	session(&(struct gr_encode_settings){ .form = GR_ENCODE_TIGHT, .copy_rect = 1 });
}

static void a_rewritten_source_is_refined_to_what_was_taken(void **state)
{
	(void)state;
	session(&(struct gr_encode_settings){ .form = GR_ENCODE_GARASU,
					      .history_log2 = 20,
					      .photo_quality = 80,
					      .video_quality = 60,
					      .refine_after_ms = 100 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rewritten_source_is_decoded_to_what_was_taken),
		cmocka_unit_test(a_rewritten_source_is_decoded_to_what_was_taken_in_tight),
		cmocka_unit_test(a_rewritten_source_is_refined_to_what_was_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
