/*
 * The decoder of Garasu's rectangles, with a sequence of them. The input: one byte (1: photographs are permitted; 2: the larger
 * window), then rectangles: one byte (which encoding), x, y, w, h, one byte each, the payload's length, two bytes, the payload.
 */
#include "common/decode/decode.h"
#include "common/error.h"

#include <stdlib.h>
#include <string.h>

enum { WIDTH = 160, HEIGHT = 100, MARGIN = 4, STRIDE = WIDTH + 2 * MARGIN, HEADER = 7, RECTS_MAX = 64 };
#define GUARD 0x00fedcbau

static uint32_t memory[STRIDE * (HEIGHT + 2 * MARGIN)];

static void check(int good)
{
	if (!good)
		abort();
}

/* Nothing outside of the rectangle may be written: it is given one whose surroundings are known. */
static void check_guard(struct gr_rect r)
{
	for (size_t y = 0; y < HEIGHT + 2 * MARGIN; y++)
		for (size_t x = 0; x < STRIDE; x++) {
			int inside = x >= MARGIN + (size_t)r.x && x < MARGIN + (size_t)r.x + r.w &&
				     y >= MARGIN + (size_t)r.y && y < MARGIN + (size_t)r.y + r.h;
			check(inside || memory[y * STRIDE + x] == GUARD);
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct gr_decode *decode = gr_decode_create(data[0] & 2 ? 22 : 20, data[0] & 1);
	check(decode != NULL);
	data++;
	size--;
	for (unsigned i = 0; i < RECTS_MAX && size >= HEADER; i++) {
		static const int32_t encodings[] = { GR_ENCODING_HISTORY, GR_ENCODING_PHOTO, GR_ENCODING_HISTORY,
						     GR_ENCODING_HISTORY_SIZE };
		struct gr_rect r = { data[1] % WIDTH, data[2] % HEIGHT, 0, 0 };
		r.w = (uint16_t)(1 + (unsigned)data[3] % (unsigned)(WIDTH - r.x));
		r.h = (uint16_t)(1 + (unsigned)data[4] % (unsigned)(HEIGHT - r.y));
		size_t n = (size_t)data[5] << 8 | data[6];
		int32_t encoding = encodings[data[0] & 3];
		data += HEADER;
		size -= HEADER;
		n = n < size ? n : size;
		for (size_t k = 0; k < sizeof(memory) / sizeof(*memory); k++)
			memory[k] = GUARD;
		uint8_t *payload = malloc(n + !n); /* so that AddressSanitizer sees what goes beyond */
		check(payload != NULL);
		memcpy(payload, data, n);
		const char *why = NULL;
		int status = gr_decode_rectangle(decode, encoding, payload, n, memory + MARGIN * STRIDE + MARGIN,
						 STRIDE, r, &why);
		free(payload);
		check_guard(r);
		check(status == 0 || (status == GR_EPROTO && why && *why));
		if (status)
			break;
		data += n;
		size -= n;
	}
	gr_decode_destroy(decode);
	return 0;
}
