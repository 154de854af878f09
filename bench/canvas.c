#include "bench/canvas.h"
#include "common/decode/decode.h"
#include "viewer/reader.h"
#include "viewer/tight.h"

#include <stdlib.h>
#include <string.h>

enum {
	ENCODING_COPY_RECT = 1,
	ENCODING_TIGHT = 7,
	ENCODING_LAST_RECT = -224,
	LAST_RECT_COUNT = 65535,
	TIGHT_JPEG = 9, /* upper half of the control byte */
};

struct gr_canvas {
	uint16_t w, h;
	uint32_t *pixels;
	uint8_t *lossy;
	struct gr_tight *tight;
	struct gr_decode *decode;
	struct gr_reader reader;
	/* the message that the reader is given */
	const uint8_t *message;
	size_t left;
};

static int refill(void *context, uint8_t *into, size_t room, size_t *got)
{
	struct gr_canvas *canvas = context;
	size_t n = canvas->left < room ? canvas->left : room;
	if (n == 0)
		return GR_ECLOSED;
	memcpy(into, canvas->message, n);
	canvas->message += n;
	canvas->left -= n;
	*got = n;
	return 0;
}

struct gr_canvas *gr_canvas_create(uint16_t w, uint16_t h, unsigned history_log2)
{
	struct gr_canvas *canvas = calloc(1, sizeof(*canvas));
	if (!canvas)
		return NULL;
	canvas->w = w;
	canvas->h = h;
	size_t area = (size_t)w * h;
	canvas->pixels = calloc(area, sizeof(*canvas->pixels));
	canvas->lossy = calloc(area, 1);
	canvas->tight = gr_tight_create(1);
	canvas->decode = gr_decode_create(history_log2, 1);
	if (!canvas->pixels || !canvas->lossy || !canvas->tight || !canvas->decode ||
	    gr_reader_init(&canvas->reader, refill, canvas)) {
		gr_canvas_destroy(canvas);
		return NULL;
	}
	for (size_t i = 0; i < area; i++)
		canvas->pixels[i] = 0xff000000u;
	return canvas;
}

void gr_canvas_destroy(struct gr_canvas *canvas)
{
	if (!canvas)
		return;
	if (canvas->reader.buffer)
		gr_reader_finish(&canvas->reader);
	gr_tight_destroy(canvas->tight);
	gr_decode_destroy(canvas->decode);
	free(canvas->pixels);
	free(canvas->lossy);
	free(canvas);
}

const uint32_t *gr_canvas_pixels(const struct gr_canvas *canvas)
{
	return canvas->pixels;
}

const uint8_t *gr_canvas_lossy(const struct gr_canvas *canvas)
{
	return canvas->lossy;
}

static void mark(struct gr_canvas *canvas, struct gr_rect rect, int lossy)
{
	for (size_t y = rect.y; y < (size_t)rect.y + rect.h; y++)
		memset(canvas->lossy + y * canvas->w + rect.x, lossy, rect.w);
}

/*
 * A HISTORY rectangle need not paint all its pixels, and says which only to its decoder. That sets X to 0xff in what it paints:
 * so X is cleared before, and shows afterwards where it was.
 */
static void forget_x(struct gr_canvas *canvas, struct gr_rect rect)
{
	for (size_t y = rect.y; y < (size_t)rect.y + rect.h; y++)
		for (size_t x = rect.x; x < (size_t)rect.x + rect.w; x++)
			canvas->pixels[y * canvas->w + x] &= 0xffffffu;
}

static void mark_painted(struct gr_canvas *canvas, struct gr_rect rect)
{
	for (size_t y = rect.y; y < (size_t)rect.y + rect.h; y++)
		for (size_t x = rect.x; x < (size_t)rect.x + rect.w; x++) {
			size_t at = y * canvas->w + x;
			if (canvas->pixels[at] >> 24)
				canvas->lossy[at] = 0;
			canvas->pixels[at] |= 0xff000000u;
		}
}

static int is_inside(const struct gr_canvas *canvas, struct gr_rect rect)
{
	return rect.x + rect.w <= canvas->w && rect.y + rect.h <= canvas->h;
}

/* As if all of it were read before any of it is written: rows in the order that permits it. */
static void copy(struct gr_canvas *canvas, struct gr_rect rect, struct gr_rect from)
{
	for (size_t i = 0; i < rect.h; i++) {
		size_t row = from.y < rect.y ? rect.h - 1 - i : i;
		size_t source = (from.y + row) * canvas->w + from.x, target = (rect.y + row) * canvas->w + rect.x;
		memmove(canvas->pixels + target, canvas->pixels + source, (size_t)rect.w * 4);
		memmove(canvas->lossy + target, canvas->lossy + source, rect.w);
	}
}

/* A payload of our own, wholly in memory: the reader's buffer is smaller than one may be. */
static int decode_own(struct gr_canvas *canvas, int32_t encoding, struct gr_rect rect, const char **why)
{
	struct gr_reader *reader = &canvas->reader;
	size_t n = gr_reader_u32(reader);
	if (gr_reader_status(reader))
		return gr_reader_status(reader);
	if (n > GR_DECODE_PAYLOAD_MAX) {
		*why = "a payload larger than permitted";
		return GR_EPROTO;
	}
	uint8_t *payload = malloc(n + 1);
	if (!payload)
		return GR_ENOMEM;
	int code = 0;
	for (size_t at = 0; at < n && !code;) {
		size_t got = 0, most = n - at < GR_READER_CAPACITY ? n - at : GR_READER_CAPACITY;
		const uint8_t *data = gr_reader_some(reader, 1, most, &got);
		if (data)
			memcpy(payload + at, data, got);
		else
			code = gr_reader_status(reader);
		at += got;
	}
	if (!code)
		code = gr_decode_rectangle(canvas->decode, encoding, payload, n, canvas->pixels, canvas->w, rect, why);
	free(payload);
	return code;
}

static int decode_rectangle(struct gr_canvas *canvas, int32_t encoding, struct gr_rect rect, const char **why)
{
	struct gr_reader *reader = &canvas->reader;
	switch (encoding) {
	case ENCODING_COPY_RECT: {
		struct gr_rect from = { 0, 0, rect.w, rect.h };
		from.x = gr_reader_u16(reader);
		from.y = gr_reader_u16(reader);
		if (gr_reader_status(reader))
			return gr_reader_status(reader);
		if (!is_inside(canvas, from)) {
			*why = "CopyRect from outside the screen";
			return GR_EPROTO;
		}
		copy(canvas, rect, from);
		return 0;
	}
	case ENCODING_TIGHT: {
		if (gr_reader_wait(reader))
			return gr_reader_status(reader);
		int is_jpeg = reader->buffer[reader->begin] >> 4 == TIGHT_JPEG;
		int code = gr_tight_decode(canvas->tight, reader, canvas->pixels, canvas->w, rect, why);
		if (!code)
			mark(canvas, rect, is_jpeg);
		return code;
	}
	case GR_ENCODING_HISTORY: {
		forget_x(canvas, rect);
		int code = decode_own(canvas, encoding, rect, why);
		mark_painted(canvas, rect);
		return code;
	}
	case GR_ENCODING_PHOTO: {
		int code = decode_own(canvas, encoding, rect, why);
		if (!code)
			mark(canvas, rect, 1);
		return code;
	}
	default: *why = "an encoding that was not asked for"; return GR_EPROTO;
	}
}

int gr_canvas_update(struct gr_canvas *canvas, const uint8_t *message, size_t n, struct gr_error *err)
{
	struct gr_reader *reader = &canvas->reader;
	canvas->message = message;
	canvas->left = n;
	unsigned type = gr_reader_u16(reader) >> 8, count = gr_reader_u16(reader);
	if (gr_reader_status(reader) || type != 0)
		return gr_error_set(err, GR_EPROTO, "what was written is no FramebufferUpdate");
	for (unsigned i = 0; i < count; i++) {
		struct gr_rect rect;
		rect.x = gr_reader_u16(reader);
		rect.y = gr_reader_u16(reader);
		rect.w = gr_reader_u16(reader);
		rect.h = gr_reader_u16(reader);
		int32_t encoding = (int32_t)gr_reader_u32(reader);
		if (gr_reader_status(reader))
			return gr_error_set(err, GR_EPROTO, "rectangle %u: the message ends before it", i);
		if (encoding == ENCODING_LAST_RECT && count == LAST_RECT_COUNT)
			break;
		const char *why = "the message ends inside it";
		int code = GR_EPROTO;
		if (!rect.w || !rect.h || !is_inside(canvas, rect))
			why = "it is empty, or reaches beyond the screen";
		else
			code = decode_rectangle(canvas, encoding, rect, &why);
		if (code == GR_ENOMEM)
			return gr_error_set(err, code, "out of memory");
		if (code)
			return gr_error_set(err, GR_EPROTO, "rectangle %u (%ux%u at %u,%u, encoding %d): %s", i, rect.w,
					    rect.h, rect.x, rect.y, encoding, why);
	}
	if (canvas->left || reader->begin != reader->end)
		return gr_error_set(err, GR_EPROTO, "there is more in the message than its rectangles");
	return 0;
}
