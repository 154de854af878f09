/* One inflated unit. The input: x, y, w, h of its rectangle, one byte each, then the unit. */
#include "common/decode/unit.h"
#include "common/error.h"

#include <stdlib.h>
#include <string.h>

enum { WIDTH = 160, HEIGHT = 100, MARGIN = 4, STRIDE = WIDTH + 2 * MARGIN };
#define GUARD 0x00fedcbau

static uint32_t memory[STRIDE * (HEIGHT + 2 * MARGIN)];

static void check(int good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 4)
		return 0;
	struct gr_rect r = { data[0] % WIDTH, data[1] % HEIGHT, 0, 0 };
	r.w = (uint16_t)(1 + (unsigned)data[2] % (unsigned)(WIDTH - r.x));
	r.h = (uint16_t)(1 + (unsigned)data[3] % (unsigned)(HEIGHT - r.y));
	for (size_t k = 0; k < sizeof(memory) / sizeof(*memory); k++)
		memory[k] = GUARD;
	const char *why = NULL;
	int status = gr_unit_draw(data + 4, size - 4, memory + MARGIN * STRIDE + MARGIN, STRIDE, r, &why);
	check(status == 0 || (status == GR_EPROTO && why && *why));
	for (size_t y = 0; y < HEIGHT + 2 * MARGIN; y++)
		for (size_t x = 0; x < STRIDE; x++) {
			int inside = x >= MARGIN + (size_t)r.x && x < MARGIN + (size_t)r.x + r.w &&
				     y >= MARGIN + (size_t)r.y && y < MARGIN + (size_t)r.y + r.h;
			uint32_t pixel = memory[y * STRIDE + x];
			/* What is painted has X set. */
			check(pixel == GUARD || (inside && pixel >> 24 == 0xff));
		}
	return 0;
}
