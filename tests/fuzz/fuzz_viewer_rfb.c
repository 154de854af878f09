/*
 * The whole of what the viewer's decoder reads from a server. The first byte chooses the settings and how the
 * network cuts the stream; the rest is the server's bytes, behind a handshake that is always the same when its
 * uppermost bit is set.
 */
#include "common/utf8.h"
#include "viewer/rfb.h"

#include <stdlib.h>
#include <string.h>

enum { MAX = 256, STRIDE = MAX + 3 };

struct input {
	const uint8_t *data;
	size_t size, at, piece;
};

static uint32_t pixels[STRIDE * MAX], cursor[GR_CURSOR_MAX * GR_CURSOR_MAX];
static uint16_t present_width, present_height;

static int refill(void *context, uint8_t *into, size_t room, size_t *got)
{
	struct input *input = context;
	size_t n = input->size - input->at;
	if (n == 0)
		return GR_ECLOSED;
	n = n < room ? n : room;
	n = n < input->piece ? n : input->piece;
	memcpy(into, input->data + input->at, n);
	input->at += n;
	*got = n;
	return 0;
}

static int send_bytes(void *context, const void *bytes, size_t n)
{
	(void)context;
	static uint8_t copy[GR_CLIPBOARD_MAX];
	if (n > sizeof(copy))
		abort();
	memcpy(copy, bytes, n); /* read them all */
	return 0;
}

static int on_size(void *context, uint16_t width, uint16_t height)
{
	(void)context;
	if (width < 1 || width > MAX || height < 1 || height > MAX)
		abort();
	present_width = width;
	present_height = height;
	return 0;
}

static int on_refused(void *context, uint16_t width, uint16_t height)
{
	(void)context;
	if (width != present_width || height != present_height)
		abort();
	return 0;
}

static void check(struct gr_rect rect)
{
	if (rect.x + rect.w > present_width || rect.y + rect.h > present_height)
		abort();
}

static int on_update(void *context, const struct gr_rect *rects, size_t count, unsigned flags)
{
	(void)context;
	if (flags & ~(unsigned)(GR_RFB_FULL | GR_RFB_EXACT))
		abort();
	if (count < 1 || count > GR_FRAME_RECTS_MAX)
		abort();
	for (size_t i = 0; i < count; i++)
		check(rects[i]);
	return 0;
}

static int on_cursor(void *context, uint16_t width, uint16_t height, uint16_t hot_x, uint16_t hot_y)
{
	(void)context;
	if (width > GR_CURSOR_MAX || height > GR_CURSOR_MAX || (width && (hot_x >= width || hot_y >= height)))
		abort();
	return 0;
}

static int on_notice(void *context, unsigned reason)
{
	(void)context, (void)reason;
	return 0;
}

static int on_caret(void *context, int known, struct gr_rect rect)
{
	(void)context;
	if (known)
		check(rect);
	return 0;
}

static int on_text(void *context, uint32_t sequence, unsigned status)
{
	(void)context, (void)sequence, (void)status;
	return 0;
}

static int on_page(void *context, const struct gr_record_page *page)
{
	(void)context;
	if (!gr_rfb_page_is_sane(page, present_width, present_height))
		abort();
	return 0;
}

static int on_clipboard(void *context, const uint8_t *text, size_t length)
{
	(void)context;
	if (length < 1 || length > GR_CLIPBOARD_MAX || !gr_utf8_is_text(text, length))
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t handshake[] =
		"RFB "
		"003."
		"008\n\1\1\0\0\0\0\0\200\0\140\x20\x18\x00\x01\x00\xff\x00\xff\x00\xff\x10\x08\x00\0\0\0\0\0\0\6Garasu";
	if (size < 1)
		return 0;
	unsigned choice = data[0];
	size_t head = choice & 0x80 ? sizeof(handshake) - 1 : 0;
	uint8_t *stream = malloc(head + size);
	if (!stream)
		return 0;
	memcpy(stream, handshake, head);
	memcpy(stream + head, data + 1, size - 1);
	struct input input = { stream, head + size - 1, 0, choice & 0x40 ? 1 + (choice & 7) : 65536 };
	struct gr_rfb_memory memory = { pixels, STRIDE, MAX, MAX, cursor };
	struct gr_rfb_events events = { on_size,  on_refused, on_update, on_cursor,   on_notice,
					on_caret, on_text,    on_page,   on_clipboard };
	struct gr_rfb_settings settings = { choice & 0x20 ? 5 : 0, 20, choice & 0x10 ? 200 : 0, choice & 0x10 ? 100 : 0,
					    send_bytes };
	struct gr_reader reader;
	if (!gr_reader_init(&reader, refill, &input)) {
		struct gr_rfb *rfb = gr_rfb_create(&reader, &memory, &events, &settings, NULL);
		struct gr_error err;
		if (rfb && !gr_rfb_handshake(rfb, &err) && !gr_rfb_begin(rfb, &err))
			for (int i = 0; i < 200 && !gr_rfb_read(rfb, &err); i++) {
				gr_rfb_key(rfb, 'a', 0x1e, 1);
				gr_rfb_pointer(rfb, 1000, 3, 1);
				gr_rfb_print(rfb, GR_PRINT_TAKEN, 1, 1, 0);
				if (i == 3)
					gr_rfb_want_size(rfb, 90, 91);
			}
		gr_rfb_destroy(rfb);
		gr_reader_finish(&reader);
	}
	free(stream);
	return 0;
}
