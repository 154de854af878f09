/*
 * What the Tight encoder writes is decoded again and must be the same. The input is a list of orders of 12 bytes: paint a
 * rectangle in some manner, or encode one; at the end everything is encoded.
 */
#include "broker/encode/tight.h"
#include "viewer/tight.h"

#include <stdlib.h>
#include <string.h>

enum { WIDTH = 1100, HEIGHT = 200, ORDER = 12 };

static uint32_t source[WIDTH * HEIGHT], shown[WIDTH * HEIGHT];
static const uint8_t *encoded;
static size_t encoded_size;

static int refill(void *context, uint8_t *into, size_t room, size_t *got)
{
	(void)context;
	if (!encoded_size)
		return -1;
	size_t n = encoded_size < room ? encoded_size : room;
	memcpy(into, encoded, n);
	encoded += n;
	encoded_size -= n;
	*got = n;
	return 0;
}

static void check(int good)
{
	if (!good)
		abort();
}

static void paint(struct gr_rect rect, uint8_t manner, uint32_t colour, uint32_t colours)
{
	uint32_t seed = colour | 1;
	for (uint32_t y = rect.y; y < (uint32_t)rect.y + rect.h; y++)
		for (uint32_t x = rect.x; x < (uint32_t)rect.x + rect.w; x++) {
			seed = seed * 1664525 + 1013904223;
			uint32_t number = manner & 1 ? seed >> 8 : x - rect.x;
			number = manner & 2 ? number + y * 77 : number;
			source[y * WIDTH + x] = colour + number % (colours + 1) * (manner & 4 ? 1 : 0x010203);
		}
}

static void encode(struct gr_tight_encoder *encoder, struct gr_tight *decoder, struct gr_reader *reader,
		   struct gr_rect rect)
{
	size_t bound = gr_tight_encoder_bound(rect.w, rect.h);
	uint8_t *out = malloc(bound);
	check(out != NULL);
	unsigned rects = 0;
	ptrdiff_t n = gr_tight_encoder_write(encoder, source, WIDTH, rect, out, &rects);
	check(n > 0 && (size_t)n <= bound);
	encoded = out;
	encoded_size = (size_t)n;
	size_t covered = 0;
	for (size_t i = 0; i < (size_t)WIDTH * HEIGHT; i++)
		shown[i] = ~source[i];
	for (; rects; rects--) {
		const char *why;
		struct gr_rect r;
		r.x = gr_reader_u16(reader);
		r.y = gr_reader_u16(reader);
		r.w = gr_reader_u16(reader);
		r.h = gr_reader_u16(reader);
		check(gr_reader_u32(reader) == 7);
		check(r.w && r.h && r.x >= rect.x && r.y >= rect.y);
		check(r.x + r.w <= rect.x + rect.w && r.y + r.h <= rect.y + rect.h);
		covered += (size_t)r.w * r.h;
		check(gr_tight_decode(decoder, reader, shown, WIDTH, r, &why) == 0);
	}
	check(!encoded_size && reader->begin == reader->end);
	check(covered == (size_t)rect.w * rect.h);
	for (size_t y = rect.y; y < (size_t)rect.y + rect.h; y++)
		for (size_t x = rect.x; x < (size_t)rect.x + rect.w; x++)
			check(((shown[y * WIDTH + x] ^ source[y * WIDTH + x]) & 0xffffff) == 0);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gr_tight_encoder *encoder = gr_tight_encoder_create();
	struct gr_tight *decoder = gr_tight_create(0);
	struct gr_reader reader;
	check(encoder && decoder && gr_reader_init(&reader, refill, NULL) == 0);
	memset(source, 0, sizeof(source));
	for (unsigned i = 0; i < 24 && size >= ORDER; i++, data += ORDER, size -= ORDER) {
		uint16_t v[4];
		memcpy(v, data, sizeof(v));
		struct gr_rect rect = { v[0] % WIDTH, v[1] % HEIGHT, 0, 0 };
		rect.w = (uint16_t)(1 + v[2] % (WIDTH - rect.x));
		rect.h = (uint16_t)(1 + v[3] % (HEIGHT - rect.y));
		if (data[8] & 0x80)
			encode(encoder, decoder, &reader, rect);
		else
			paint(rect, data[8], (uint32_t)data[9] * 0x30507, data[10] | (data[11] & 3u) << 8);
	}
	encode(encoder, decoder, &reader, (struct gr_rect){ 0, 0, WIDTH, HEIGHT });
	gr_tight_encoder_destroy(encoder);
	gr_tight_destroy(decoder);
	gr_reader_finish(&reader);
	return 0;
}
