/* What the encoder and the decoder allocate, and when. */
#include "tests/unit/allocations.h"
#include "tests/unit/encode_viewer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs some of those above */

enum { W = 1280, H = 720 };

static uint32_t source[W * H];
static uint8_t out[GR_ENCODE_OUT_MIN];
static const struct gr_rect all = { 0, 0, W, H };

/* One frame: taken and written, not drawn. Returns the allocations. */
static size_t frame(struct gr_encoder *e, unsigned i)
{
	static const enum picture pictures[] = { PICTURE_TEXT, PICTURE_TEXT, PICTURE_PHOTO, PICTURE_NOISE };
	picture_draw(source, W, all, pictures[i / 2 % 4], i / 8, 500, 500 + 60 * i);
	size_t before = allocation_count;
	uint64_t now = 1000 + 40 * i;
	unsigned rects;
	gr_encoder_take(e, (const uint8_t *)source, W * sizeof(uint32_t), &all, 1, now);
	while (gr_encoder_pending(e, now))
		assert_true(gr_encoder_write(e, now, out, sizeof(out), &rects) > 0);
	return allocation_count - before;
}

static void lossless_frames_allocate_nothing(void **state)
{
	(void)state;
	for (unsigned form = 0; form < 2; form++) {
		struct gr_encode_settings settings = { .form = form ? GR_ENCODE_TIGHT : GR_ENCODE_GARASU,
						       .copy_rect = 1,
						       .history_log2 = GR_ENCODE_HISTORY_LOG2 };
		size_t before = allocation_count;
		struct gr_encoder *e = gr_encoder_create(W, H);
		assert_non_null(e);
		assert_int_equal(gr_encoder_start(e, &settings), 0);
		assert_true(allocation_count > before); /* or it would not be seen at all */
		for (unsigned i = 0; i < 16; i++)
			assert_int_equal(frame(e, i), 0);
		gr_encoder_destroy(e);
	}
}

static size_t bytes_of_a_session(unsigned history_log2, unsigned form, uint16_t w, uint16_t h, size_t *encoder_alone)
{
	struct gr_encode_settings settings = { .form = form ? GR_ENCODE_TIGHT : GR_ENCODE_GARASU,
					       .history_log2 = history_log2,
					       .photo_quality = 80,
					       .video_quality = 60,
					       .refine_after_ms = 1000 };
	size_t before = allocations_bytes();
	struct gr_encoder *e = gr_encoder_create(w, h);
	assert_non_null(e);
	*encoder_alone = allocations_bytes() - before;
	assert_int_equal(gr_encoder_start(e, &settings), 0);
	size_t with_viewer = allocations_bytes() - before;
	if (w == W && h == H)
		for (unsigned i = 0; i < 12; i++)
			frame(e, i);
	size_t later = allocations_bytes() - before;
	assert_true(later <= with_viewer + 65536);
	gr_encoder_stop(e);
	assert_true(allocations_bytes() - before <= *encoder_alone + 65536);
	gr_encoder_destroy(e);
	assert_true(allocations_bytes() - before <= 65536);
	return later;
}

static void a_session_keeps_to_its_bound(void **state)
{
	(void)state;
	static const uint16_t sizes[][2] = { { W, H }, { 1920, 1080 } };
	for (size_t i = 0; i < 2; i++) {
		for (unsigned form = 0; form < 2; form++) {
			size_t shadow = (size_t)sizes[i][0] * sizes[i][1] * sizeof(uint32_t), alone;
			size_t bytes = bytes_of_a_session(GR_ENCODE_HISTORY_MAX, form, sizes[i][0], sizes[i][1],
							  &alone);
			assert_true(bytes <= shadow + (48u << 20));
			assert_true(alone <= shadow + (2u << 20));
		}
	}
}

static void the_decoder_keeps_to_the_window(void **state)
{
	(void)state;
	for (unsigned history_log2 = GR_ENCODE_HISTORY_MIN; history_log2 <= GR_ENCODE_HISTORY_MAX; history_log2 += 5) {
		struct gr_encode_settings settings = { .history_log2 = history_log2, .form = GR_ENCODE_GARASU };
		size_t before = allocations_bytes();
		struct encode_viewer v;
		assert_int_equal(encode_viewer_init(&v, GR_ENCODE_GARASU, history_log2, W, H), 0);
		size_t picture = allocations_bytes() - before;
		struct gr_encoder *e = gr_encoder_create(W, H);
		assert_non_null(e);
		assert_int_equal(gr_encoder_start(e, &settings), 0);
		size_t encoder = allocations_bytes() - before - picture;
		for (unsigned i = 0; i < 6; i++) {
			unsigned rects;
			picture_draw(source, W, all, PICTURE_NOISE, i, 0, 0);
			gr_encoder_take(e, (const uint8_t *)source, W * sizeof(uint32_t), &all, 1, i);
			while (gr_encoder_pending(e, i)) {
				ptrdiff_t n = gr_encoder_write(e, i, out, sizeof(out), &rects);
				assert_true(n > 0);
				assert_null(encode_viewer_draw(&v, out, (size_t)n, rects));
			}
		}
		assert_true(allocations_bytes() - before - picture - encoder <=
			    ((size_t)1 << history_log2) + (1u << 20));
		gr_encoder_destroy(e);
		encode_viewer_finish(&v);
	}
}

int main(void)
{
	allocations_watch();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lossless_frames_allocate_nothing),
		cmocka_unit_test(a_session_keeps_to_its_bound),
		cmocka_unit_test(the_decoder_keeps_to_the_window),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
