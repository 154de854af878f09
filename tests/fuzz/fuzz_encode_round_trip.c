/*
 * The encoder with a viewer behind it. The input: one byte (1: Tight; 2: photographs; 4: no CopyRect; the upper ones: the size),
 * then orders of 12 bytes: draw, scroll, take, write, forget, focus, wait, change the quality. In the end, when all is
 * refined, the viewer must have exactly what the source has; without photographs always what the shadow has.
 */
#include "tests/unit/encode_viewer.h"

#include <stdlib.h>
#include <string.h>

enum { WIDTH = 330, HEIGHT = 200, ORDER = 12, ORDERS_MAX = 40 };

static uint32_t source[WIDTH * HEIGHT];
static uint8_t out[GR_ENCODE_OUT_MIN];

struct session {
	struct gr_encoder *encoder;
	struct encode_viewer viewer;
	uint16_t w, h;
	int lossy;
	uint64_t now;
};

static void check(int good)
{
	if (!good)
		abort();
}

static void write_once(struct session *o)
{
	unsigned rects;
	int pending = gr_encoder_pending(o->encoder, o->now);
	ptrdiff_t n = gr_encoder_write(o->encoder, o->now, out, sizeof(out), &rects);
	check(n >= 0 && n <= (ptrdiff_t)sizeof(out) && (n > 0) == (pending != 0) && (n > 0) == (rects > 0));
	check(encode_viewer_draw(&o->viewer, out, (size_t)n, rects) == NULL);
	if (!o->lossy && !gr_encoder_pending(o->encoder, o->now))
		check(encode_viewer_differs(&o->viewer, gr_encoder_pixels(o->encoder)) == 0);
}

static void drain(struct session *o)
{
	for (unsigned i = 0; gr_encoder_pending(o->encoder, o->now); i++) {
		check(i < 200);
		write_once(o);
	}
}

static void take(struct session *o, const struct gr_rect *damage, size_t n)
{
	gr_encoder_take(o->encoder, (const uint8_t *)source, WIDTH * sizeof(uint32_t), damage, n, o->now);
}

static void obey(struct session *o, const uint8_t *order)
{
	uint16_t v[4];
	memcpy(v, order, sizeof(v));
	struct gr_rect raw = { v[0], v[1], v[2], v[3] }; /* beyond the screen too */
	struct gr_rect r = { v[0] % WIDTH, v[1] % HEIGHT, 0, 0 };
	r.w = (uint16_t)(1 + v[2] % (WIDTH - r.x));
	r.h = (uint16_t)(1 + v[3] % (HEIGHT - r.y));
	switch (order[8] % 16) {
	case 0:
	case 1:
	case 2:
	case 3: picture_draw(source, WIDTH, r, order[9] % PICTURES, order[10], order[11], order[10]); break;
	case 4:
	case 5: picture_scroll(source, WIDTH, r, (int8_t)order[9], (int8_t)order[10]); break;
	case 6:
	case 7: take(o, &r, 1); break;
	case 8: take(o, (struct gr_rect[]){ r, raw, { 0, 0, o->w, o->h } }, 3); break;
	case 9: take(o, &(struct gr_rect){ 0, 0, o->w, o->h }, 1); break;
	case 10:
	case 11: write_once(o); break;
	case 12: drain(o); break;
	case 13:
		if (order[9] & 1)
			gr_encoder_forget(o->encoder, raw);
		else
			gr_encoder_focus(o->encoder, raw);
		break;
	case 14: o->now += (uint64_t)order[9] * 8; break;
	default: gr_encoder_quality(o->encoder, 1 + order[9] % 100u, 1 + order[10] % 100u);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t sizes[][2] = { { WIDTH, HEIGHT }, { 64, 64 }, { 129, 97 }, { 1, 200 } };
	if (!size)
		return 0;
	unsigned flags = *data++;
	size--;
	struct session o = { .lossy = (flags & 2) != 0, .now = 1000 };
	struct gr_encode_settings settings = { .form = flags & 1 ? GR_ENCODE_TIGHT : GR_ENCODE_GARASU,
					       .copy_rect = !(flags & 4),
					       .history_log2 = GR_ENCODE_HISTORY_MIN,
					       .photo_quality = o.lossy ? 80 : 0,
					       .video_quality = 50,
					       .refine_after_ms = 500 };
	o.w = sizes[flags >> 6][0];
	o.h = sizes[flags >> 6][1];
	o.encoder = gr_encoder_create(o.w, o.h);
	check(o.encoder != NULL);
	check(gr_encoder_start(o.encoder, &settings) == 0);
	check(encode_viewer_init(&o.viewer, settings.form, settings.history_log2, o.w, o.h) == 0);
	memset(source, 0, sizeof(source));
	for (unsigned i = 0; i < ORDERS_MAX && size >= ORDER; i++, data += ORDER, size -= ORDER)
		obey(&o, data);
	take(&o, &(struct gr_rect){ 0, 0, o.w, o.h }, 1);
	drain(&o);
	int64_t in;
	for (unsigned i = 0; (in = gr_encoder_refinement_in(o.encoder, o.now)) >= 0; i++) {
		check(i < 1000);
		o.now += (uint64_t)in;
		drain(&o);
	}
	const uint32_t *shadow = gr_encoder_pixels(o.encoder);
	check(encode_viewer_differs(&o.viewer, shadow) == 0);
	for (size_t y = 0; y < o.h; y++)
		for (size_t x = 0; x < o.w; x++)
			check(shadow[y * o.w + x] == (source[y * WIDTH + x] & 0xffffff));
	encode_viewer_finish(&o.viewer);
	gr_encoder_destroy(o.encoder);
	return 0;
}
