/*
 * What the encoder's tests and fuzzers share: pictures to encode, and a viewer that draws what was encoded.
 * No cmocka here; whoever calls looks at what is returned.
 */
#ifndef GARASU_TESTS_ENCODE_VIEWER_H
#define GARASU_TESTS_ENCODE_VIEWER_H

#include "broker/encode/encode.h"
#include "common/decode/decode.h"
#include "viewer/tight.h"

#include <stddef.h>
#include <stdint.h>

/* ---- pictures: without end in both directions, so that one can scroll ---- */

enum picture {
	PICTURE_FLAT,
	PICTURE_TEXT, /* antialiased, dark on white, with blank lines and margins */
	PICTURE_COLOURS, /* a table in few colours */
	PICTURE_PHOTO, /* smooth, with grain */
	PICTURE_NOISE,
	PICTURE_BLACK_WHITE, /* noise of two colours */
	PICTURES,
};

uint32_t picture_hash(uint32_t a, uint32_t b, uint32_t c);
/* X holds anything. */
uint32_t picture_pixel(enum picture picture, uint32_t seed, uint32_t x, uint32_t y);
/* Draws the part of the picture at (from_x, from_y) into rect; stride in pixels. */
void picture_draw(uint32_t *pixels, size_t stride, struct gr_rect rect, enum picture picture, uint32_t seed,
		  uint32_t from_x, uint32_t from_y);
/* Moves what rect holds: what was at (x + dx, y + dy), where that lies in rect, is then at (x, y). */
void picture_scroll(uint32_t *pixels, size_t stride, struct gr_rect rect, int dx, int dy);

/* ---- a viewer ---- */

#define VIEWER_GUARD 0x5a123456u /* around the picture: must stay */
#define VIEWER_MARGIN 3u /* pixels of it on all sides */

struct encode_viewer {
	enum gr_encode_form form;
	uint16_t w, h;
	uint32_t *memory, *pixels; /* the first of the guard's, the first of the picture's */
	size_t stride;
	struct gr_decode *decode;
	struct gr_tight *tight;
	struct gr_reader reader;
	const uint8_t *in;
	size_t in_size;
	unsigned copies, exact, lossy; /* rectangles that were drawn */
	uint64_t copied, exact_pixels, lossy_pixels; /* of the rectangles, which overlap sometimes */
	struct gr_rect exact_bounds; /* of what came exactly since it was cleared; w = 0: nothing */
};

/* Returns 0, or -1 when out of memory. An earlier viewer must have been finished. */
int encode_viewer_init(struct encode_viewer *v, enum gr_encode_form form, unsigned history_log2, uint16_t w,
		       uint16_t h);
void encode_viewer_finish(struct encode_viewer *v); /* harmless when zeros */
/* Another size; the picture is undefined. -1 when out of memory. */
int encode_viewer_resize(struct encode_viewer *v, uint16_t w, uint16_t h);

/* Draws rectangles as gr_encoder_write wrote them. Returns NULL, or what is wrong with them. */
const char *encode_viewer_draw(struct encode_viewer *v, const uint8_t *bytes, size_t n, unsigned rects);

/* How many pixels differ from the other ones (stride = width), X not counted. */
size_t encode_viewer_differs(const struct encode_viewer *v, const uint32_t *pixels);

#endif
