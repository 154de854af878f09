/* The encoder as a whole: what it writes, drawn by a viewer, is what it was given. */
#include "broker/encode/encode.h"
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

static const struct gr_encode_settings lossless = { .form = GR_ENCODE_GARASU, .history_log2 = 20 };
static const struct gr_encode_settings lossy = { .form = GR_ENCODE_GARASU,
						 .history_log2 = 22,
						 .photo_quality = GR_ENCODE_PHOTO_QUALITY,
						 .video_quality = GR_ENCODE_VIDEO_QUALITY,
						 .refine_after_ms = GR_ENCODE_REFINE_AFTER_MS };

static struct gr_encode_settings in_tight(struct gr_encode_settings settings, int copy_rect)
{
	settings.form = GR_ENCODE_TIGHT;
	settings.copy_rect = copy_rect;
	return settings;
}

/* A session: the container's screen, an encoder, a viewer. */
struct session {
	struct gr_encoder *encoder;
	struct encode_viewer viewer;
	struct gr_encode_settings settings;
	uint16_t w, h;
	uint32_t *source;
	uint8_t *out; /* GR_ENCODE_OUT_MIN bytes, so that AddressSanitizer sees one more */
	uint64_t now, bytes;
	unsigned writes;
	uint32_t hash; /* of all that was written */
};

static void connect(struct session *o, const struct gr_encode_settings *settings)
{
	encode_viewer_finish(&o->viewer);
	o->settings = *settings;
	assert_int_equal(encode_viewer_init(&o->viewer, settings->form, settings->history_log2, o->w, o->h), 0);
	assert_int_equal(gr_encoder_start(o->encoder, settings), 0);
}

static void begin(struct session *o, uint16_t w, uint16_t h, const struct gr_encode_settings *settings)
{
	*o = (struct session){ .w = w, .h = h, .now = 100000 };
	o->encoder = gr_encoder_create(w, h);
	o->source = calloc((size_t)w * h, sizeof(uint32_t));
	o->out = malloc(GR_ENCODE_OUT_MIN);
	assert_true(o->encoder && o->source && o->out);
	connect(o, settings);
}

static void end(struct session *o)
{
	gr_encoder_destroy(o->encoder);
	encode_viewer_finish(&o->viewer);
	free(o->source);
	free(o->out);
}

static struct gr_rect whole(const struct session *o)
{
	return (struct gr_rect){ 0, 0, o->w, o->h };
}

/* One write, drawn. Returns its bytes. */
static size_t write_once(struct session *o)
{
	unsigned rects = 12345;
	int pending = gr_encoder_pending(o->encoder, o->now);
	ptrdiff_t n = gr_encoder_write(o->encoder, o->now, o->out, GR_ENCODE_OUT_MIN, &rects);
	if (n < 0 || (pending != 0) != (n > 0))
		fail_msg("pending %d, and %td bytes were written", pending, n);
	assert_true(n <= (ptrdiff_t)GR_ENCODE_OUT_MIN && (n > 0) == (rects > 0));
	const char *why = encode_viewer_draw(&o->viewer, o->out, (size_t)n, rects);
	if (why)
		fail_msg("the viewer: %s", why);
	for (ptrdiff_t i = 0; i < n; i++)
		o->hash = (o->hash ^ o->out[i]) * 0x01000193u;
	o->bytes += (size_t)n;
	o->writes += n > 0;
	return (size_t)n;
}

/* Writes until nothing is pending now. */
static void drain(struct session *o)
{
	for (unsigned i = 0; gr_encoder_pending(o->encoder, o->now); i++) {
		write_once(o);
		assert_true(i < 500);
	}
	assert_int_equal(write_once(o), 0);
}

static void take(struct session *o, const struct gr_rect *damage, size_t n)
{
	gr_encoder_take(o->encoder, (const uint8_t *)o->source, o->w * sizeof(uint32_t), damage, n, o->now);
}

static void take_all(struct session *o)
{
	struct gr_rect all = whole(o);
	take(o, &all, 1);
}

static void frame(struct session *o)
{
	take_all(o);
	drain(o);
	o->now += 33;
}

static void check_exact(const struct session *o)
{
	const uint32_t *shadow = gr_encoder_pixels(o->encoder);
	for (size_t i = 0; i < (size_t)o->w * o->h; i++)
		if ((shadow[i] ^ o->source[i]) & 0xffffff)
			fail_msg("the shadow differs at %zu, %zu", i % o->w, i / o->w);
	size_t differs = encode_viewer_differs(&o->viewer, o->source);
	if (differs)
		fail_msg("%zu pixels of the viewer's differ", differs);
}

/* Waits as long as the encoder asks until all is exact; returns how long that was. */
static uint64_t refine(struct session *o)
{
	uint64_t start = o->now;
	int64_t in;
	for (unsigned i = 0; (in = gr_encoder_refinement_in(o->encoder, o->now)) >= 0; i++) {
		assert_true(i < 2000);
		o->now += (uint64_t)in;
		drain(o);
	}
	return o->now - start;
}

static struct gr_rect random_rect(const struct session *o)
{
	struct gr_rect r = { (uint16_t)random_below(o->w), (uint16_t)random_below(o->h), 0, 0 };
	r.w = (uint16_t)(1 + random_below((uint32_t)o->w - r.x));
	r.h = (uint16_t)(1 + random_below((uint32_t)o->h - r.y));
	return r;
}

static void draw(struct session *o, struct gr_rect r, enum picture picture, uint32_t number)
{
	picture_draw(o->source, o->w, r, picture, number, number * 997, number * 499);
}

/* Something happens on the screen. */
static void change(struct session *o, unsigned i)
{
	struct gr_rect r = random_below(3) ? random_rect(o) : whole(o);
	switch (random_below(6)) {
	case 0:
	case 1: picture_scroll(o->source, o->w, r, (int)random_below(40) - 20, 0); break;
	case 2: picture_scroll(o->source, o->w, r, 0, (int)random_below(160) - 80); break;
	case 3: picture_scroll(o->source, o->w, r, (int)random_below(60) - 30, (int)random_below(60) - 30); break;
	case 4:
		r.w = r.w < 9 ? r.w : 9;
		r.h = r.h < 16 ? r.h : 16;
		draw(o, r, PICTURE_TEXT, i);
		break;
	default: draw(o, r, random_below(PICTURES), i);
	}
}

static const uint16_t sizes[][2] = { { 1, 1 },   { 1, 300 },  { 300, 1 },   { 63, 17 },  { 64, 16 },
				     { 65, 15 }, { 127, 33 }, { 333, 211 }, { 640, 400 } };
enum { SIZES = sizeof(sizes) / sizeof(*sizes) };

static void random_sequence(const struct gr_encode_settings *settings, uint16_t w, uint16_t h, unsigned frames)
{
	struct session o;
	begin(&o, w, h, settings);
	for (unsigned i = 0; i < frames; i++) {
		change(&o, i);
		if (random_below(4))
			frame(&o);
		else if (random_below(2))
			take_all(&o); /* nobody fetches it yet */
		else
			write_once(&o);
		if (!settings->photo_quality && !gr_encoder_pending(o.encoder, o.now))
			assert_int_equal(encode_viewer_differs(&o.viewer, gr_encoder_pixels(o.encoder)), 0);
		if (random_below(10) == 0)
			gr_encoder_forget(o.encoder, random_rect(&o));
		if (random_below(8) == 0)
			gr_encoder_focus(o.encoder, random_rect(&o));
		if (settings->photo_quality && random_below(8) == 0)
			assert_int_equal(gr_encoder_quality(o.encoder, 1 + random_below(100), 1 + random_below(100)),
					 0);
		o.now += random_below(300);
	}
	frame(&o);
	refine(&o);
	check_exact(&o);
	end(&o);
}

static void random_lossless_sequences_are_exact(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		struct gr_encode_settings tight = in_tight(lossless, i & 1);
		random_sequence(&lossless, sizes[i][0], sizes[i][1], 40);
		random_sequence(&tight, sizes[i][0], sizes[i][1], 40);
	}
}

static void random_lossy_sequences_become_exact(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		struct gr_encode_settings tight = in_tight(lossy, i & 1);
		random_sequence(&lossy, sizes[i][0], sizes[i][1], 40);
		random_sequence(&tight, sizes[i][0], sizes[i][1], 40);
	}
}

static void each_picture_is_exact_at_once_without_photographs(void **state)
{
	(void)state;
	for (unsigned form = 0; form < 3; form++) {
		struct gr_encode_settings settings = form ? in_tight(lossless, form == 2) : lossless;
		struct session o;
		begin(&o, 501, 333, &settings);
		for (unsigned picture = 0; picture < PICTURES; picture++) {
			draw(&o, whole(&o), picture, 3);
			frame(&o);
			check_exact(&o);
		}
		assert_int_equal(gr_encoder_refinement_in(o.encoder, o.now), -1);
		assert_int_equal(o.viewer.lossy, 0);
		end(&o);
	}
}

static void text_is_exact_at_once_and_photographs_are_not(void **state)
{
	(void)state;
	for (unsigned form = 0; form < 2; form++) {
		struct gr_encode_settings settings = form ? in_tight(lossy, 1) : lossy;
		struct session o;
		begin(&o, 640, 480, &settings);
		draw(&o, whole(&o), PICTURE_TEXT, 3);
		frame(&o);
		check_exact(&o);
		assert_int_equal(o.viewer.lossy, 0);
		draw(&o, (struct gr_rect){ 70, 50, 400, 300 }, PICTURE_PHOTO, 3);
		frame(&o);
		assert_true(o.viewer.lossy > 0 && o.viewer.lossy_pixels >= 400 * 300 * 9 / 10);
		assert_true(gr_encoder_refinement_in(o.encoder, o.now) > 1400);
		assert_true(refine(&o) <= GR_ENCODE_REFINE_AFTER_MS);
		check_exact(&o);
		end(&o);
	}
}

/* One colour of the text's picture at a fraction of a pixel: position in 1/256 pixels. */
static uint32_t text_between(uint32_t position, uint32_t y, unsigned shift)
{
	uint32_t part = position & 255;
	uint32_t left = picture_pixel(PICTURE_TEXT, 3, position >> 8, y) >> shift & 255;
	uint32_t right = picture_pixel(PICTURE_TEXT, 3, (position >> 8) + 1, y) >> shift & 255;
	return (left * (256 - part) + right * part) >> 8 << shift;
}

/* As a ticker does, with the subpixels of an LCD: it looks new in every frame, and has as many colours as a video. */
static void text_that_creeps_is_never_lossy(void **state)
{
	(void)state;
	struct session o;
	begin(&o, 640, 480, &lossy);
	for (uint32_t step = 0; step < 14; step++) {
		for (uint32_t y = 0; y < 480; y++)
			for (uint32_t x = 0; x < 640; x++)
				o.source[y * 640 + x] = text_between(x * 256 + step * 427, y, 16) |
							text_between(x * 256 + step * 427 + 85, y, 8) |
							text_between(x * 256 + step * 427 + 170, y, 0);
		frame(&o);
		check_exact(&o);
	}
	assert_int_equal(o.viewer.lossy, 0);
	end(&o);
}

static void a_page_that_scrolls_is_exact_and_cheap(void **state)
{
	(void)state;
	struct session o;
	begin(&o, 1280, 720, &lossless);
	for (unsigned i = 0; i < 8; i++) {
		picture_draw(o.source, o.w, whole(&o), PICTURE_TEXT, 3, 500, 500 + 120 * i);
		uint64_t before = o.bytes;
		frame(&o);
		check_exact(&o);
		if (i)
			assert_true(o.bytes - before < 1280 * 120);
	}
	assert_true(o.viewer.copies >= 7 && o.viewer.copied > 7 * 1280 * 500);
	end(&o);
}

static void tight_without_copy_rect_has_no_copies(void **state)
{
	(void)state;
	struct gr_encode_settings settings = in_tight(lossless, 0);
	struct session o;
	begin(&o, 640, 480, &settings);
	for (unsigned i = 0; i < 3; i++) {
		picture_draw(o.source, o.w, whole(&o), PICTURE_TEXT, 3, 500, 500 + 120 * i);
		frame(&o);
		check_exact(&o);
	}
	assert_int_equal(o.viewer.copies, 0);
	end(&o);
}

/* An area that changes with each frame is few pictures, and exact when it stops. */
static void a_video_becomes_exact_when_it_stops(void **state)
{
	(void)state;
	for (unsigned form = 0; form < 2; form++) {
		struct gr_encode_settings settings = form ? in_tight(lossy, 1) : lossy;
		struct session o;
		struct gr_rect video = { 96, 70, 426, 240 };
		begin(&o, 800, 600, &settings);
		draw(&o, whole(&o), PICTURE_TEXT, 1);
		frame(&o);
		for (unsigned i = 0; i < 25; i++) {
			draw(&o, video, PICTURE_PHOTO, i);
			unsigned before = o.viewer.lossy;
			frame(&o);
			if (i > 6)
				assert_true(o.viewer.lossy - before >= 1 && o.viewer.lossy - before <= 6);
		}
		refine(&o);
		check_exact(&o);
		end(&o);
	}
}

/* A caret blinks every 500 ms, beside the photograph or inside of it. */
static void blinking_carets_do_not_delay_the_refinement(void **state)
{
	(void)state;
	static const struct gr_rect carets[] = {
		{ 20, 100, 2, 16 }, { 497, 130, 2, 16 }, { 300, 200, 2, 16 }, { 127, 143, 2, 16 }
	};
	for (unsigned form = 0; form < 2; form++) {
		for (size_t k = 0; k < sizeof(carets) / sizeof(*carets); k++) {
			struct gr_encode_settings settings = form ? in_tight(lossy, 1) : lossy;
			struct session o;
			struct gr_rect photo = { 96, 90, 400, 256 };
			begin(&o, 640, 480, &settings);
			draw(&o, whole(&o), PICTURE_TEXT, 1);
			draw(&o, photo, PICTURE_PHOTO, 1);
			frame(&o);
			assert_true(o.viewer.lossy > 0);
			uint64_t start = o.now;
			unsigned blinks = 0;
			for (; o.now < start + 4500; o.now += 50) {
				if ((o.now - start) / 500 >= blinks) {
					blinks++;
					draw(&o, carets[k], PICTURE_FLAT, blinks & 1);
					take(&o, &carets[k], 1);
				}
				drain(&o);
				/* All but the caret's own surroundings by then. */
				if (o.now > start + 1700 && o.now <= start + 1750)
					assert_true(encode_viewer_differs(&o.viewer, o.source) <= 4 * 64 * 16);
			}
			assert_true(blinks >= 9);
			if (gr_encoder_refinement_in(o.encoder, o.now) != -1)
				fail_msg("form %u, caret %zu: %d ms are left", form, k,
					 (int)gr_encoder_refinement_in(o.encoder, o.now));
			check_exact(&o);
			end(&o);
		}
	}
}

static void a_photograph_seen_exactly_before_comes_back_exactly(void **state)
{
	(void)state;
	struct session o;
	struct gr_rect photo = { 64, 96, 448, 320 };
	begin(&o, 640, 480, &lossy);
	draw(&o, photo, PICTURE_PHOTO, 5);
	frame(&o);
	refine(&o);
	draw(&o, photo, PICTURE_FLAT, 5);
	frame(&o);
	unsigned before = o.viewer.lossy;
	uint64_t bytes = o.bytes;
	draw(&o, photo, PICTURE_PHOTO, 5);
	frame(&o);
	assert_int_equal(o.viewer.lossy, before);
	assert_true(o.bytes - bytes < 20000);
	check_exact(&o);
	/* Another viewer has no such history. */
	connect(&o, &lossy);
	frame(&o);
	assert_true(o.viewer.lossy > 0);
	refine(&o);
	check_exact(&o);
	end(&o);
}

/* Beyond the window nothing is known any more: the photograph is a photograph again. */
static void a_photograph_beyond_the_window_is_lossy_again(void **state)
{
	(void)state;
	struct gr_encode_settings small = lossy;
	small.history_log2 = 20;
	struct session o;
	begin(&o, 640, 480, &small);
	draw(&o, whole(&o), PICTURE_PHOTO, 5);
	frame(&o);
	refine(&o);
	for (unsigned i = 6; i < 9; i++) {
		draw(&o, whole(&o), PICTURE_PHOTO, i);
		frame(&o);
		refine(&o);
	}
	unsigned before = o.viewer.lossy;
	draw(&o, whole(&o), PICTURE_PHOTO, 5);
	frame(&o);
	assert_true(o.viewer.lossy > before);
	refine(&o);
	check_exact(&o);
	end(&o);
}

static void a_new_viewer_begins_a_history_of_its_own(void **state)
{
	(void)state;
	for (unsigned form = 0; form < 2; form++) {
		struct gr_encode_settings settings = form ? in_tight(lossless, 1) : lossless;
		struct session o;
		begin(&o, 500, 300, &settings);
		draw(&o, whole(&o), PICTURE_TEXT, 2);
		draw(&o, (struct gr_rect){ 100, 100, 200, 150 }, PICTURE_NOISE, 2);
		uint64_t first = o.bytes;
		frame(&o);
		first = o.bytes - first;
		for (unsigned i = 0; i < 3; i++) {
			gr_encoder_stop(o.encoder);
			gr_encoder_stop(o.encoder);
			assert_int_equal(gr_encoder_pending(o.encoder, o.now), 0);
			take_all(&o);
			connect(&o, &settings);
			uint64_t before = o.bytes;
			frame(&o);
			assert_int_equal(o.bytes - before, first);
			check_exact(&o);
		}
		/* And while there is none the shadow goes on. */
		gr_encoder_stop(o.encoder);
		draw(&o, whole(&o), PICTURE_COLOURS, 2);
		take_all(&o);
		picture_scroll(o.source, o.w, whole(&o), 0, 50);
		take_all(&o);
		connect(&o, &settings);
		drain(&o);
		check_exact(&o);
		end(&o);
	}
}

static uint32_t hash_of_a_sequence(const struct gr_encode_settings *settings, uint64_t start)
{
	struct session o;
	seed = 4711;
	begin(&o, 600, 400, settings);
	o.now = start;
	for (unsigned i = 0; i < 25; i++) {
		change(&o, i);
		frame(&o);
		o.now += random_below(2000);
	}
	refine(&o);
	uint32_t hash = o.hash;
	end(&o);
	return hash;
}

static void the_same_input_gives_the_same_bytes(void **state)
{
	(void)state;
	for (unsigned form = 0; form < 2; form++) {
		struct gr_encode_settings settings = form ? in_tight(lossy, 1) : lossy;
		uint32_t hash = hash_of_a_sequence(&settings, 100000);
		assert_int_equal(hash_of_a_sequence(&settings, 100000), hash);
		/* Of times only the differences matter, also where 32 bits of milliseconds end. */
		assert_int_equal(hash_of_a_sequence(&settings, 0xffffffffull - 9000), hash);
	}
}

static void large_and_odd_screens_are_exact(void **state)
{
	(void)state;
	static const uint16_t large[][2] = { { 1920, 1080 }, { 1919, 1079 }, { 8192, 33 }, { 17, 8192 } };
	for (size_t i = 0; i < 4; i++) {
		for (unsigned form = 0; form < 2; form++) {
			struct gr_encode_settings settings = form ? in_tight(lossy, 1) : lossy;
			struct session o;
			begin(&o, large[i][0], large[i][1], &settings);
			draw(&o, whole(&o), PICTURE_TEXT, 4);
			draw(&o, (struct gr_rect){ 0, 0, o.w, o.h / 2 }, PICTURE_PHOTO, 4);
			frame(&o);
			refine(&o);
			check_exact(&o);
			end(&o);
		}
	}
}

/* Takes 2.4 bytes a pixel at quality 100, 4:2:0: its brightness jumps from pixel to pixel, its colours every other one. */
static uint32_t hard_for_jpeg(uint32_t x, uint32_t y)
{
	static const uint32_t colours[] = { 0xff, 0xffff00, 0xff0000, 0x00ffff };
	uint32_t pixel = picture_hash(9, x, y), pair = picture_hash(7, x / 2, y / 2);
	uint32_t colour = pixel >> 20 & 1 ? (pixel >> 8 & 1) * 0xffffff : colours[pair >> 9 & 3];
	return colour ^ (pixel & 0x030303);
}

/* The worst there is: noise of 1920 by 1080, in every manner, fits into outputs of the smallest size, and comes to an end. */
static void noise_never_needs_more_than_the_smallest_output(void **state)
{
	(void)state;
	for (unsigned form = 0; form < 2; form++) {
		for (unsigned quality = 0; quality <= 100; quality += 50) {
			struct gr_encode_settings settings = form ? in_tight(lossy, 1) : lossy;
			settings.photo_quality = quality;
			settings.video_quality = quality;
			struct session o;
			begin(&o, 1920, 700, &settings);
			draw(&o, whole(&o), PICTURE_NOISE, 9);
			for (size_t k = 0; quality == 100 && k < (size_t)o.w * o.h; k++)
				o.source[k] = hard_for_jpeg((uint32_t)(k % o.w), (uint32_t)(k / o.w));
			frame(&o);
			refine(&o);
			check_exact(&o);
			end(&o);
		}
	}
}

/* Wherever a photograph begins and ends, and however wide it is. */
static void photographs_of_every_shape_can_be_compressed(void **state)
{
	(void)state;
	static const uint16_t shapes[][3] = {
		{ 2560, 14, 162 }, { 2560, 11, 165 }, { 8192, 15, 34 }, { 4096, 15, 88 },
		{ 1366, 9, 304 },  { 1, 0, 2000 },    { 16, 3, 8000 },  { 6553, 15, 50 }
	};
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		struct session o;
		uint16_t w = shapes[i][0], y = shapes[i][1], h = shapes[i][2];
		begin(&o, w, (uint16_t)(y + h), &lossy);
		drain(&o);
		draw(&o, (struct gr_rect){ 0, y, w, h }, PICTURE_PHOTO, 1);
		frame(&o);
		end(&o);
	}
}

static void a_still_page_costs_nothing(void **state)
{
	(void)state;
	struct session o;
	begin(&o, 640, 480, &lossy);
	draw(&o, whole(&o), PICTURE_TEXT, 1);
	draw(&o, (struct gr_rect){ 64, 64, 256, 256 }, PICTURE_PHOTO, 1);
	frame(&o);
	refine(&o);
	unsigned writes = o.writes;
	for (unsigned i = 0; i < 100; i++) {
		take_all(&o);
		assert_int_equal(gr_encoder_pending(o.encoder, o.now), 0);
		assert_int_equal(gr_encoder_refinement_in(o.encoder, o.now), -1);
		assert_int_equal(write_once(&o), 0);
		o.now += 1000;
	}
	assert_int_equal(o.writes, writes);
	end(&o);
}

static int shown(const struct session *o, struct gr_rect r)
{
	for (size_t y = r.y; y < (size_t)r.y + r.h; y++)
		for (size_t x = r.x; x < (size_t)r.x + r.w; x++)
			if ((o->viewer.pixels[y * o->viewer.stride + x] ^ o->source[y * o->w + x]) & 0xffffff)
				return 0;
	return 1;
}

static void the_focus_is_in_the_first_slice_of_a_large_change(void **state)
{
	(void)state;
	for (unsigned form = 0; form < 2; form++) {
		for (unsigned where = 0; where < 2; where++) {
			struct gr_encode_settings settings = form ? in_tight(lossless, 1) : lossless;
			struct session o;
			struct gr_rect focus = { 1500, where ? 1000 : 20, 120, 60 };
			begin(&o, 1920, 1080, &settings);
			drain(&o);
			draw(&o, whole(&o), PICTURE_TEXT, 1);
			take_all(&o);
			gr_encoder_focus(o.encoder, focus);
			write_once(&o);
			assert_int_equal(gr_encoder_pending(o.encoder, o.now), 1); /* it is a large one */
			assert_true(shown(&o, focus));
			drain(&o);
			check_exact(&o);
			end(&o);
		}
	}
}

static void a_focus_of_no_size_is_nowhere(void **state)
{
	(void)state;
	uint32_t first[2];
	for (unsigned i = 0; i < 2; i++) {
		struct session o;
		begin(&o, 1920, 1080, &lossless);
		drain(&o);
		draw(&o, whole(&o), PICTURE_TEXT, 1);
		take_all(&o);
		if (i)
			gr_encoder_focus(o.encoder, (struct gr_rect){ 900, 1000, 0, 0 });
		write_once(&o);
		first[i] = o.hash;
		end(&o);
	}
	assert_int_equal(first[0], first[1]);
}

static void a_lower_quality_takes_fewer_bytes(void **state)
{
	(void)state;
	uint64_t bytes[3];
	for (unsigned i = 0; i < 3; i++) {
		struct session o;
		begin(&o, 640, 480, &lossy);
		drain(&o);
		assert_int_equal(gr_encoder_quality(o.encoder, 90 - 30 * i, 90 - 30 * i), 0);
		draw(&o, whole(&o), PICTURE_PHOTO, 1);
		uint64_t before = o.bytes;
		frame(&o);
		bytes[i] = o.bytes - before;
		end(&o);
	}
	assert_true(bytes[0] > bytes[1] && bytes[1] > bytes[2]);
}

static void what_is_forgotten_is_sent_again(void **state)
{
	(void)state;
	struct session o;
	begin(&o, 640, 480, &lossless);
	draw(&o, whole(&o), PICTURE_TEXT, 1);
	frame(&o);
	struct gr_rect parts[] = { { 100, 90, 33, 50 }, { 600, 400, 900, 900 }, { 0, 0, 65535, 65535 } };
	for (size_t i = 0; i < 3; i++) {
		for (uint32_t y = parts[i].y; y < o.h && y < (uint32_t)parts[i].y + parts[i].h; y++)
			for (uint32_t x = parts[i].x; x < o.w && x < (uint32_t)parts[i].x + parts[i].w; x++)
				o.viewer.pixels[y * o.viewer.stride + x] = 0x00abcdef;
		gr_encoder_forget(o.encoder, parts[i]);
		assert_int_equal(gr_encoder_pending(o.encoder, o.now), 1);
		drain(&o);
		check_exact(&o);
	}
	gr_encoder_forget(o.encoder, (struct gr_rect){ 640, 0, 10, 10 });
	gr_encoder_forget(o.encoder, (struct gr_rect){ 6, 6, 0, 10 });
	assert_int_equal(gr_encoder_pending(o.encoder, o.now), 0);
	end(&o);
}

static void a_resize_sends_all_and_keeps_the_connection(void **state)
{
	(void)state;
	static const uint16_t steps[][2] = { { 700, 500 }, { 64, 64 }, { 1, 1 }, { 333, 777 }, { 1280, 720 } };
	for (unsigned form = 0; form < 2; form++) {
		struct gr_encode_settings settings = form ? in_tight(lossy, 1) : lossy;
		struct session o;
		begin(&o, 640, 480, &settings);
		draw(&o, whole(&o), PICTURE_PHOTO, 1);
		frame(&o);
		for (size_t i = 0; i < 5; i++) {
			picture_scroll(o.source, o.w, whole(&o), 0, 60);
			take_all(&o); /* copies that are never sent */
			o.w = steps[i][0];
			o.h = steps[i][1];
			assert_int_equal(gr_encoder_resize(o.encoder, o.w, o.h), 0);
			assert_int_equal(gr_encoder_width(o.encoder), o.w);
			assert_int_equal(gr_encoder_height(o.encoder), o.h);
			assert_int_equal(encode_viewer_resize(&o.viewer, o.w, o.h), 0);
			free(o.source);
			o.source = calloc((size_t)o.w * o.h, sizeof(uint32_t));
			assert_non_null(o.source);
			draw(&o, whole(&o), i & 1 ? PICTURE_PHOTO : PICTURE_TEXT, (uint32_t)i);
			frame(&o);
			refine(&o);
			check_exact(&o);
		}
		end(&o);
	}
}

static void what_is_out_of_range_is_refused(void **state)
{
	(void)state;
	assert_null(gr_encoder_create(0, 10));
	assert_null(gr_encoder_create(10, 0));
	assert_null(gr_encoder_create(GR_SCREEN_MAX + 1, 10));
	gr_encoder_destroy(NULL);
	struct gr_encoder *e = gr_encoder_create(100, 50);
	assert_non_null(e);
	assert_int_equal(gr_encoder_resize(e, 0, 50), GR_EINVAL);
	assert_int_equal(gr_encoder_resize(e, 100, GR_SCREEN_MAX + 1), GR_EINVAL);
	assert_int_equal(gr_encoder_width(e), 100);
	static const struct gr_encode_settings bad[] = {
		{ .form = GR_ENCODE_GARASU, .history_log2 = GR_ENCODE_HISTORY_MIN - 1 },
		{ .form = GR_ENCODE_GARASU, .history_log2 = GR_ENCODE_HISTORY_MAX + 1 },
		{ .form = GR_ENCODE_GARASU, .history_log2 = 20, .photo_quality = 101, .video_quality = 50 },
		{ .form = GR_ENCODE_GARASU, .history_log2 = 20, .photo_quality = 80, .video_quality = 0 },
		{ .form = GR_ENCODE_TIGHT, .photo_quality = 80, .video_quality = 101 },
	};
	static uint8_t out[GR_ENCODE_OUT_MIN];
	unsigned rects = 7;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(gr_encoder_start(e, &bad[i]), GR_EINVAL);
		assert_int_equal(gr_encoder_pending(e, 1), 0);
		assert_int_equal(gr_encoder_write(e, 1, out, sizeof(out), &rects), GR_EINVAL);
		assert_int_equal(rects, 0);
	}
	assert_int_equal(gr_encoder_quality(e, 50, 50), GR_EINVAL); /* no viewer */
	assert_int_equal(gr_encoder_start(e, &lossy), 0);
	assert_int_equal(gr_encoder_write(e, 1, out, GR_ENCODE_OUT_MIN - 1, &rects), GR_EINVAL);
	assert_int_equal(gr_encoder_quality(e, 0, 50), GR_EINVAL);
	assert_int_equal(gr_encoder_quality(e, 50, 0), GR_EINVAL);
	assert_int_equal(gr_encoder_quality(e, 101, 50), GR_EINVAL);
	assert_int_equal(gr_encoder_quality(e, 100, 1), 0);
	assert_int_equal(gr_encoder_start(e, &lossless), 0);
	assert_int_equal(gr_encoder_quality(e, 50, 50), GR_EINVAL); /* nothing lossy was agreed upon */
	assert_int_equal(gr_encoder_quality(e, 0, 0), 0);
	gr_encoder_destroy(e);
}

static void counters_tell_what_was_sent(void **state)
{
	(void)state;
	struct session o;
	struct gr_encode_counters c;
	begin(&o, 640, 480, &lossy);
	draw(&o, whole(&o), PICTURE_TEXT, 1);
	frame(&o);
	gr_encoder_counters(o.encoder, &c);
	assert_true(c.lossless == 640 * 480 && !c.lossy && !c.copied && !c.refined && c.history_bytes > 1000);
	draw(&o, (struct gr_rect){ 64, 64, 256, 128 }, PICTURE_PHOTO, 1);
	frame(&o);
	gr_encoder_counters(o.encoder, &c);
	assert_int_equal(c.lossy, 256 * 128);
	refine(&o);
	gr_encoder_counters(o.encoder, &c);
	assert_int_equal(c.refined, 256 * 128);
	picture_scroll(o.source, o.w, whole(&o), 0, 100);
	frame(&o);
	gr_encoder_counters(o.encoder, &c);
	assert_int_equal(c.copied, o.viewer.copied);
	assert_true(c.copied > 640 * 300);
	end(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_lossless_sequences_are_exact),
		cmocka_unit_test(random_lossy_sequences_become_exact),
		cmocka_unit_test(each_picture_is_exact_at_once_without_photographs),
		cmocka_unit_test(text_is_exact_at_once_and_photographs_are_not),
		cmocka_unit_test(text_that_creeps_is_never_lossy),
		cmocka_unit_test(a_page_that_scrolls_is_exact_and_cheap),
		cmocka_unit_test(tight_without_copy_rect_has_no_copies),
		cmocka_unit_test(a_video_becomes_exact_when_it_stops),
		cmocka_unit_test(blinking_carets_do_not_delay_the_refinement),
		cmocka_unit_test(a_photograph_seen_exactly_before_comes_back_exactly),
		cmocka_unit_test(a_photograph_beyond_the_window_is_lossy_again),
		cmocka_unit_test(a_new_viewer_begins_a_history_of_its_own),
		cmocka_unit_test(the_same_input_gives_the_same_bytes),
		cmocka_unit_test(large_and_odd_screens_are_exact),
		cmocka_unit_test(noise_never_needs_more_than_the_smallest_output),
		cmocka_unit_test(photographs_of_every_shape_can_be_compressed),
		cmocka_unit_test(a_still_page_costs_nothing),
		cmocka_unit_test(the_focus_is_in_the_first_slice_of_a_large_change),
		cmocka_unit_test(a_focus_of_no_size_is_nowhere),
		cmocka_unit_test(a_lower_quality_takes_fewer_bytes),
		cmocka_unit_test(what_is_forgotten_is_sent_again),
		cmocka_unit_test(a_resize_sends_all_and_keeps_the_connection),
		cmocka_unit_test(what_is_out_of_range_is_refused),
		cmocka_unit_test(counters_tell_what_was_sent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
