#include "viewer/rfb.h"
#include "common/decode/decode.h"
#include "common/log.h"
#include "common/utf8.h"
#include "viewer/canvas.h"
#include "viewer/tight.h"

#include <stdlib.h>
#include <string.h>

enum encoding {
	ENCODING_COPY_RECT = 1,
	ENCODING_TIGHT = 7,
	ENCODING_QUALITY_1 = -32, /* the lowest of ten */
	ENCODING_DESKTOP_SIZE = -223,
	ENCODING_LAST_RECT = -224,
	ENCODING_CURSOR = -239,
	ENCODING_QEMU_KEY = -258,
	ENCODING_EXTENDED_DESKTOP_SIZE = -308,
	ENCODING_FENCE = -312,
	ENCODING_CONTINUOUS_UPDATES = -313,
	ENCODING_GARASU = 0x47415201,
};

enum {
	COUNT_UNKNOWN = 65535, /* the update ends with LastRect */
	SCREENS_MAX = 16,
	NAME_MAX_BYTES = 1024,
	REASON_MAX_BYTES = 256,
	FENCE_MAX_BYTES = 64,
};

_Static_assert(GR_CLIPBOARD_MAX <= GR_READER_CAPACITY, "a text of the clipboard is taken at once");

/* The flags of a fence (rfbproto, ServerFence). */
#define FENCE_REQUEST 0x80000000u
/*
 * What an answer may say of what it kept to: all before a fence is done, and nothing behind it begun, when it is answered.
 * Not SyncNext: input goes out at any time, so also between the answer and what is behind the fence.
 */
#define FENCE_KEPT (1u | 2u)

struct gr_rfb {
	struct gr_reader *reader;
	uint16_t max_width, max_height;
	uint32_t *cursor;
	struct gr_rfb_events events;
	struct gr_rfb_settings settings;
	void *context;
	struct gr_decode *decode;
	uint8_t *payload; /* of one of Garasu's own rectangles */
	size_t payload_capacity;
	struct gr_tight *tight;
	struct gr_canvas canvas;
	uint16_t want_width, want_height; /* 0: no wish */
	uint16_t scale; /* percent, 0: no wish */
	uint32_t screen_id, screen_flags;
	int running; /* ServerInit was read */
	int can_resize; /* the server sent ExtendedDesktopSize */
	int asked_size; /* SetDesktopSize is unanswered */
	uint16_t asked_width, asked_height;
	int size_settled; /* the wish was answered, as asked for or not: it is not repeated */
	int qemu_keys;
	int continuous; /* the server sends without being asked */
	int whole_wanted; /* the size changed: ask for the whole picture */
	const char *why; /* static text for GR_EPROTO */
};

struct gr_rfb *gr_rfb_create(struct gr_reader *reader, const struct gr_rfb_memory *memory,
			     const struct gr_rfb_events *events, const struct gr_rfb_settings *settings, void *context)
{
	struct gr_rfb *rfb = calloc(1, sizeof(*rfb));
	if (!rfb)
		return NULL;
	rfb->reader = reader;
	rfb->canvas = (struct gr_canvas){ .pixels = memory->pixels, .stride = memory->stride };
	rfb->max_width = memory->max_width;
	rfb->max_height = memory->max_height;
	rfb->cursor = memory->cursor;
	rfb->events = *events;
	rfb->settings = *settings;
	rfb->context = context;
	rfb->want_width = settings->width;
	rfb->want_height = settings->height;
	rfb->tight = gr_tight_create(settings->quality > 0);
	rfb->decode = gr_decode_create(settings->history_log2, settings->quality > 0);
	if (!rfb->tight || !rfb->decode) {
		gr_rfb_destroy(rfb);
		return NULL;
	}
	return rfb;
}

void gr_rfb_destroy(struct gr_rfb *rfb)
{
	if (!rfb)
		return;
	gr_tight_destroy(rfb->tight);
	gr_decode_destroy(rfb->decode);
	free(rfb->payload);
	free(rfb);
}

/* Sending. */

static void put16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static void put32(uint8_t *to, uint32_t value)
{
	put16(to, (uint16_t)(value >> 16));
	put16(to + 2, (uint16_t)value);
}

static int send_bytes(struct gr_rfb *rfb, const void *bytes, size_t n)
{
	return rfb->settings.send(rfb->context, bytes, n);
}

static int send_request(struct gr_rfb *rfb, int incremental)
{
	uint8_t message[10] = { 3, (uint8_t)incremental };
	put16(message + 6, rfb->canvas.width);
	put16(message + 8, rfb->canvas.height);
	return send_bytes(rfb, message, sizeof(message));
}

static int send_continuous(struct gr_rfb *rfb)
{
	uint8_t message[10] = { 150, 1 };
	put16(message + 6, rfb->canvas.width);
	put16(message + 8, rfb->canvas.height);
	return send_bytes(rfb, message, sizeof(message));
}

static int send_encodings(struct gr_rfb *rfb)
{
	static const int32_t always[] = {
		GR_ENCODING_HISTORY,
		ENCODING_TIGHT, /* of a broker that does not know the one before it */
		ENCODING_COPY_RECT,
		ENCODING_CURSOR,
		ENCODING_EXTENDED_DESKTOP_SIZE,
		ENCODING_DESKTOP_SIZE,
		ENCODING_LAST_RECT,
		ENCODING_QEMU_KEY,
		ENCODING_FENCE,
		ENCODING_CONTINUOUS_UPDATES,
		ENCODING_GARASU,
	};
	enum { ALWAYS = sizeof(always) / sizeof(*always), MOST = ALWAYS + 3 };
	int32_t list[MOST];
	size_t count = ALWAYS;
	memcpy(list, always, sizeof(always));
	list[count++] = GR_ENCODING_HISTORY_SIZE + (int32_t)rfb->settings.history_log2;
	if (rfb->settings.quality > 0) {
		list[count++] = GR_ENCODING_PHOTO;
		list[count++] = ENCODING_QUALITY_1 + rfb->settings.quality - 1;
	}
	uint8_t message[4 + 4 * MOST] = { 2 };
	put16(message + 2, (uint16_t)count);
	for (size_t i = 0; i < count; i++)
		put32(message + 4 + 4 * i, (uint32_t)list[i]);
	return send_bytes(rfb, message, 4 + 4 * count);
}

static int send_size(struct gr_rfb *rfb)
{
	if (!rfb->running || !rfb->can_resize || rfb->asked_size || rfb->size_settled || !rfb->want_width)
		return 0;
	if (rfb->want_width == rfb->canvas.width && rfb->want_height == rfb->canvas.height)
		return 0;
	uint8_t message[24] = { 251 };
	put16(message + 2, rfb->want_width);
	put16(message + 4, rfb->want_height);
	message[6] = 1;
	put32(message + 8, rfb->screen_id);
	put16(message + 16, rfb->want_width);
	put16(message + 18, rfb->want_height);
	put32(message + 20, rfb->screen_flags);
	rfb->asked_size = 1;
	rfb->asked_width = rfb->want_width;
	rfb->asked_height = rfb->want_height;
	return send_bytes(rfb, message, sizeof(message));
}

int gr_rfb_key(struct gr_rfb *rfb, uint32_t keysym, uint32_t keycode, int down)
{
	if (!rfb->running)
		return 0;
	uint8_t message[12] = { 0 };
	if (rfb->qemu_keys && keycode) {
		message[0] = 255;
		put16(message + 2, down ? 1 : 0);
		put32(message + 4, keysym);
		put32(message + 8, keycode);
		return send_bytes(rfb, message, 12);
	}
	if (!keysym)
		return 0;
	message[0] = 4;
	message[1] = down ? 1 : 0;
	put32(message + 4, keysym);
	return send_bytes(rfb, message, 8);
}

int gr_rfb_pointer(struct gr_rfb *rfb, uint16_t x, uint16_t y, uint8_t buttons)
{
	if (!rfb->running)
		return 0;
	uint8_t message[6] = { 5, buttons };
	put16(message + 2, x < rfb->canvas.width ? x : (uint16_t)(rfb->canvas.width - 1));
	put16(message + 4, y < rfb->canvas.height ? y : (uint16_t)(rfb->canvas.height - 1));
	return send_bytes(rfb, message, sizeof(message));
}

int gr_rfb_text(struct gr_rfb *rfb, uint32_t sequence, const uint8_t *text, size_t length)
{
	if (length < 1 || length > GR_TEXT_MAX)
		return GR_EINVAL;
	if (!rfb->running)
		return 0;
	uint8_t message[8 + GR_TEXT_MAX] = { 71, 1 };
	put16(message + 2, (uint16_t)length);
	put32(message + 4, sequence);
	memcpy(message + 8, text, length);
	return send_bytes(rfb, message, 8 + length);
}

int gr_rfb_print(struct gr_rfb *rfb, enum gr_print_action action, uint32_t document, uint16_t first, uint16_t last)
{
	if (action < GR_PRINT_START || action > GR_PRINT_CANCEL)
		return GR_EINVAL;
	if (!rfb->running)
		return 0;
	uint8_t message[16] = { 71, 2 };
	put16(message + 2, (uint16_t)action);
	put32(message + 4, document);
	put16(message + 8, first);
	put16(message + 10, last);
	return send_bytes(rfb, message, sizeof(message));
}

int gr_rfb_clipboard(struct gr_rfb *rfb, const uint8_t *text, size_t length)
{
	if (length < 1 || length > GR_CLIPBOARD_MAX)
		return GR_EINVAL;
	if (!rfb->running)
		return 0;
	uint8_t message[8] = { 71, 3 };
	put32(message + 4, (uint32_t)length);
	int status = send_bytes(rfb, message, sizeof(message));
	return status ? status : send_bytes(rfb, text, length);
}

static int send_scale(struct gr_rfb *rfb)
{
	uint8_t message[8] = { 71, 4 };
	put16(message + 2, rfb->scale);
	return send_bytes(rfb, message, sizeof(message));
}

int gr_rfb_scale(struct gr_rfb *rfb, unsigned percent)
{
	if (percent < GR_BROWSER_SCALE_MIN || percent > GR_BROWSER_SCALE_MAX)
		return GR_EINVAL;
	rfb->scale = (uint16_t)percent;
	return rfb->running ? send_scale(rfb) : 0;
}

int gr_rfb_want_size(struct gr_rfb *rfb, uint16_t width, uint16_t height)
{
	if (width < GR_SCREEN_MIN || height < GR_SCREEN_MIN || width > rfb->max_width || height > rfb->max_height)
		return GR_EINVAL;
	rfb->want_width = width;
	rfb->want_height = height;
	rfb->size_settled = 0;
	return send_size(rfb);
}

/* Receiving. */

static int refuse(struct gr_rfb *rfb, const char *why)
{
	rfb->why = why;
	return gr_reader_refuse(rfb->reader);
}

static int set_size(struct gr_rfb *rfb, uint16_t untrusted_width, uint16_t untrusted_height)
{
	if (untrusted_width < 1 || untrusted_height < 1 || untrusted_width > rfb->max_width ||
	    untrusted_height > rfb->max_height)
		return refuse(rfb, "a screen size outside the limits");
	if (untrusted_width == rfb->canvas.width && untrusted_height == rfb->canvas.height)
		return 0;
	gr_canvas_resize(&rfb->canvas, untrusted_width, untrusted_height);
	rfb->whole_wanted = 1;
	return rfb->events.size(rfb->context, rfb->canvas.width, rfb->canvas.height);
}

static int read_extended_size(struct gr_rfb *rfb, uint16_t reason, uint16_t status, uint16_t width, uint16_t height)
{
	unsigned screens = gr_reader_u8(rfb->reader);
	gr_reader_skip(rfb->reader, 3);
	if (gr_reader_status(rfb->reader))
		return gr_reader_status(rfb->reader);
	if (screens > SCREENS_MAX)
		return refuse(rfb, "too many screens");
	for (unsigned i = 0; i < screens; i++) {
		uint32_t id = gr_reader_u32(rfb->reader);
		gr_reader_skip(rfb->reader, 8);
		uint32_t flags = gr_reader_u32(rfb->reader);
		if (i == 0) {
			rfb->screen_id = id;
			rfb->screen_flags = flags;
		}
	}
	if (gr_reader_status(rfb->reader))
		return gr_reader_status(rfb->reader);
	rfb->can_resize = 1;
	if (reason != 1 || !rfb->asked_size)
		return set_size(rfb, width, height);
	rfb->asked_size = 0;
	rfb->size_settled = rfb->asked_width == rfb->want_width && rfb->asked_height == rfb->want_height;
	/* With an error status, the size in the rectangle is the one that stays. */
	int failed = set_size(rfb, width, height);
	if (failed)
		return failed;
	if (status || width != rfb->asked_width || height != rfb->asked_height)
		return rfb->events.size_refused(rfb->context, rfb->canvas.width, rfb->canvas.height);
	return 0;
}

static int read_cursor(struct gr_rfb *rfb, uint16_t hot_x, uint16_t hot_y, uint16_t width, uint16_t height)
{
	if (width > GR_CURSOR_MAX || height > GR_CURSOR_MAX)
		return refuse(rfb, "a cursor larger than 64 by 64");
	if (width == 0 || height == 0)
		return rfb->events.cursor(rfb->context, 0, 0, 0, 0);
	if (hot_x >= width || hot_y >= height)
		return refuse(rfb, "a cursor whose hot spot is outside");
	size_t mask_stride = ((size_t)width + 7) / 8, pixel_bytes = (size_t)width * height * 4;
	const uint8_t *data = gr_reader_take(rfb->reader, pixel_bytes + mask_stride * height);
	if (!data)
		return gr_reader_status(rfb->reader);
	const uint8_t *mask = data + pixel_bytes;
	for (size_t y = 0; y < height; y++)
		for (size_t x = 0; x < width; x++) {
			const uint8_t *p = data + (y * width + x) * 4;
			uint32_t pixel = (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
			int shown = mask[y * mask_stride + x / 8] >> (7 - x % 8) & 1;
			rfb->cursor[y * width + x] = shown ? 0xff000000u | pixel : 0;
		}
	return rfb->events.cursor(rfb->context, width, height, hot_x, hot_y);
}

static int copy_rect(struct gr_rfb *rfb, struct gr_rect rect)
{
	uint16_t from_x = gr_reader_u16(rfb->reader), from_y = gr_reader_u16(rfb->reader);
	if (gr_reader_status(rfb->reader))
		return gr_reader_status(rfb->reader);
	if (!gr_canvas_holds(&rfb->canvas, from_x, from_y, rect.w, rect.h))
		return refuse(rfb, "CopyRect from outside the picture");
	gr_canvas_copy(&rfb->canvas, from_x, from_y, rect);
	return 0;
}

/* HISTORY, PHOTO: a length and as many bytes, for the decoder of our own rectangles. */
static int read_own(struct gr_rfb *rfb, int32_t encoding, struct gr_rect rect)
{
	uint32_t length = gr_reader_u32(rfb->reader);
	if (gr_reader_status(rfb->reader))
		return gr_reader_status(rfb->reader);
	if (length < 1 || length > GR_DECODE_PAYLOAD_MAX)
		return refuse(rfb, "a payload that is empty or too long");
	if (length > rfb->payload_capacity) {
		uint8_t *payload = realloc(rfb->payload, length);
		if (!payload)
			return gr_reader_fail(rfb->reader, GR_ENOMEM);
		rfb->payload = payload;
		rfb->payload_capacity = length;
	}
	int status = gr_reader_copy(rfb->reader, rfb->payload, length);
	if (status)
		return status;
	status = gr_decode_rectangle(rfb->decode, encoding, rfb->payload, length, rfb->canvas.pixels,
				     rfb->canvas.stride, rect, &rfb->why);
	/* The decoder must not be used again: nothing more can be read. */
	return status ? gr_reader_fail(rfb->reader, status) : 0;
}

/* Sets *last when the update ends here. */
static int read_rectangle(struct gr_rfb *rfb, int *last)
{
	/* --- everything from here to the next line of this kind is what the server says, not yet checked --- */
	uint16_t untrusted_x = gr_reader_u16(rfb->reader), untrusted_y = gr_reader_u16(rfb->reader);
	uint16_t untrusted_w = gr_reader_u16(rfb->reader), untrusted_h = gr_reader_u16(rfb->reader);
	int32_t encoding = (int32_t)gr_reader_u32(rfb->reader);
	if (gr_reader_status(rfb->reader))
		return gr_reader_status(rfb->reader);
	switch (encoding) {
	case ENCODING_LAST_RECT: *last = 1; return 0;
	case ENCODING_QEMU_KEY: rfb->qemu_keys = 1; return 0;
	case ENCODING_CURSOR: return read_cursor(rfb, untrusted_x, untrusted_y, untrusted_w, untrusted_h);
	case ENCODING_DESKTOP_SIZE: return set_size(rfb, untrusted_w, untrusted_h);
	case ENCODING_EXTENDED_DESKTOP_SIZE:
		return read_extended_size(rfb, untrusted_x, untrusted_y, untrusted_w, untrusted_h);
	case GR_ENCODING_HISTORY:
	case GR_ENCODING_PHOTO:
	case ENCODING_TIGHT:
	case ENCODING_COPY_RECT: break;
	default: return refuse(rfb, "an encoding that was not asked for");
	}
	if (untrusted_w == 0 || untrusted_h == 0 ||
	    !gr_canvas_holds(&rfb->canvas, untrusted_x, untrusted_y, untrusted_w, untrusted_h))
		return refuse(rfb, "a rectangle outside the picture");
	/* --- checked --- */
	struct gr_rect rect = { untrusted_x, untrusted_y, untrusted_w, untrusted_h };
	int status;
	if (encoding == ENCODING_TIGHT)
		status = gr_tight_decode(rfb->tight, rfb->reader, rfb->canvas.pixels, rfb->canvas.stride, rect,
					 &rfb->why);
	else if (encoding == ENCODING_COPY_RECT)
		status = copy_rect(rfb, rect);
	else
		status = read_own(rfb, encoding, rect);
	/* A JPEG of Tight does not count: the older brokers that send it send nothing exact behind it. */
	if (!status)
		gr_canvas_painted(&rfb->canvas, rect, encoding == GR_ENCODING_PHOTO);
	return status;
}

static int read_update(struct gr_rfb *rfb)
{
	gr_reader_skip(rfb->reader, 1);
	uint16_t count = gr_reader_u16(rfb->reader);
	int status = gr_reader_status(rfb->reader), last = 0;
	/* The next update is asked for while this one is still arriving: the server can begin it in the meantime. */
	if (!status && !rfb->continuous)
		status = send_request(rfb, 1);
	rfb->canvas.damage_count = 0;
	for (unsigned i = 0; !status && !last && (count == COUNT_UNKNOWN || i < count); i++)
		status = read_rectangle(rfb, &last);
	if (!status && rfb->whole_wanted) {
		rfb->whole_wanted = 0;
		if (rfb->continuous)
			status = send_continuous(rfb);
		if (!status)
			status = send_request(rfb, 0);
	}
	if (!status)
		status = send_size(rfb);
	if (status || rfb->canvas.damage_count == 0)
		return status;
	int settled = !rfb->want_width || rfb->size_settled || !rfb->can_resize ||
		      (rfb->want_width == rfb->canvas.width && rfb->want_height == rfb->canvas.height);
	unsigned flags = (gr_canvas_full(&rfb->canvas) && settled ? GR_RFB_FULL : 0) |
			 (gr_canvas_exact(&rfb->canvas) ? GR_RFB_EXACT : 0);
	return rfb->events.update(rfb->context, rfb->canvas.damage, rfb->canvas.damage_count, flags);
}

/* Everything before it was read and painted when this is called; the answer goes out before anything more is read. */
static int read_fence(struct gr_rfb *rfb)
{
	gr_reader_skip(rfb->reader, 3);
	uint32_t flags = gr_reader_u32(rfb->reader);
	uint8_t length = gr_reader_u8(rfb->reader);
	if (gr_reader_status(rfb->reader))
		return gr_reader_status(rfb->reader);
	if (length > FENCE_MAX_BYTES)
		return refuse(rfb, "a fence that is too long");
	if (!(flags & FENCE_REQUEST))
		return refuse(rfb, "an answer to a fence that was never sent");
	uint8_t message[9 + FENCE_MAX_BYTES] = { 248 };
	put32(message + 4, flags & FENCE_KEPT);
	message[8] = length;
	int status = gr_reader_copy(rfb->reader, message + 9, length);
	return status ? status : send_bytes(rfb, message, 9u + length);
}

/* The server's word that it knows continuous updates. They are never switched off, so it is said once. */
static int read_end_of_continuous(struct gr_rfb *rfb)
{
	if (rfb->continuous)
		return refuse(rfb, "the end of continuous updates, which was not asked for");
	rfb->continuous = 1;
	return send_continuous(rfb);
}

int gr_rfb_page_is_sane(const struct gr_record_page *untrusted, uint16_t width, uint16_t height)
{
	int sized = untrusted->width >= 1 && untrusted->height >= 1 && untrusted->width <= GR_PRINT_SIDE_MAX &&
		    untrusted->height <= GR_PRINT_SIDE_MAX;
	int counted = untrusted->pages >= 1 && untrusted->pages <= GR_PRINT_PAGES_MAX;
	if (untrusted->document < 1)
		return 0;
	switch (untrusted->state) {
	case GR_PAGE_OFFER:
		return sized && counted && untrusted->page == 0 && untrusted->x <= 1 &&
		       untrusted->y >= GR_PRINT_DPI_MIN && untrusted->y <= GR_PRINT_DPI_MAX;
	case GR_PAGE_PIECE:
		return sized && counted && untrusted->page >= 1 && untrusted->page <= untrusted->pages &&
		       untrusted->x < untrusted->width && untrusted->y < untrusted->height && width && height &&
		       untrusted->x % width == 0 && untrusted->y % height == 0;
	case GR_PAGE_END:
		return untrusted->page <= GR_PRINT_PAGES_MAX && untrusted->x <= GR_PAGE_REFUSED &&
		       !(untrusted->pages | untrusted->width | untrusted->height | untrusted->y);
	default: return 0;
	}
}

/* Behind the record's first eight bytes. */
static int read_page(struct gr_rfb *rfb, uint16_t state, uint32_t document)
{
	struct gr_reader *reader = rfb->reader;
	struct gr_record_page page = { .type = GR_RECORD_PAGE, .state = state, .document = document };
	page.page = gr_reader_u16(reader);
	page.pages = gr_reader_u16(reader);
	page.width = gr_reader_u16(reader);
	page.height = gr_reader_u16(reader);
	page.x = gr_reader_u16(reader);
	page.y = gr_reader_u16(reader);
	uint32_t zero = gr_reader_u32(reader);
	if (gr_reader_status(reader))
		return gr_reader_status(reader);
	if (zero || !gr_rfb_page_is_sane(&page, rfb->canvas.width, rfb->canvas.height))
		return refuse(rfb, "a page outside the limits");
	return rfb->events.page(rfb->context, &page);
}

static int read_clipboard(struct gr_rfb *rfb, uint16_t zero, uint32_t length)
{
	if (zero || length < 1 || length > GR_CLIPBOARD_MAX)
		return refuse(rfb, "a text of the clipboard that is empty or too long");
	const uint8_t *text = gr_reader_take(rfb->reader, length);
	if (!text)
		return gr_reader_status(rfb->reader);
	if (!gr_utf8_is_text(text, length))
		return refuse(rfb, "a text of the clipboard that is none");
	return rfb->events.clipboard(rfb->context, text, length);
}

static int read_record(struct gr_rfb *rfb)
{
	uint8_t kind = gr_reader_u8(rfb->reader);
	uint16_t value = gr_reader_u16(rfb->reader);
	uint32_t number = gr_reader_u32(rfb->reader);
	if (gr_reader_status(rfb->reader))
		return gr_reader_status(rfb->reader);
	switch (kind) {
	case 1: return rfb->events.notice(rfb->context, value);
	case 2: {
		struct gr_rect rect = { .x = (uint16_t)(number >> 16), .y = (uint16_t)number };
		rect.w = gr_reader_u16(rfb->reader);
		rect.h = gr_reader_u16(rfb->reader);
		if (gr_reader_status(rfb->reader))
			return gr_reader_status(rfb->reader);
		if (value > 1 || (value && !gr_canvas_holds(&rfb->canvas, rect.x, rect.y, rect.w, rect.h)))
			return refuse(rfb, "a caret outside the picture");
		return rfb->events.caret(rfb->context, value, rect);
	}
	case 3:
		if (value > 1)
			return refuse(rfb, "an unknown result of a text");
		return rfb->events.text_result(rfb->context, number, value);
	case 4: return read_page(rfb, value, number);
	case 5: return read_clipboard(rfb, value, number);
	default: return refuse(rfb, "an unknown Garasu record");
	}
}

/* The error for the caller's gr_error, from the reader's status and rfb->why. */
static int explain(struct gr_rfb *rfb, int status, struct gr_error *err)
{
	if (!status || status == GR_EDENIED)
		return status;
	if (status == GR_EPROTO)
		return gr_error_set(err, GR_EPROTO, "%s", rfb->why ? rfb->why : "malformed data");
	return gr_error_set(err, status, "%s", gr_status_text(status));
}

int gr_rfb_read(struct gr_rfb *rfb, struct gr_error *err)
{
	uint8_t type = gr_reader_u8(rfb->reader);
	int status = gr_reader_status(rfb->reader);
	if (!status) {
		if (type == 0)
			status = read_update(rfb);
		else if (type == 71)
			status = read_record(rfb);
		else if (type == 248)
			status = read_fence(rfb);
		else if (type == 150)
			status = read_end_of_continuous(rfb);
		else
			status = refuse(rfb, "a message that is not permitted");
	}
	return explain(rfb, status, err);
}

/* A reason string of the server behind security type 0 or a failed SecurityResult. */
static int denied(struct gr_rfb *rfb, struct gr_error *err)
{
	uint32_t length = gr_reader_u32(rfb->reader);
	if (gr_reader_status(rfb->reader))
		return gr_reader_status(rfb->reader);
	if (length > REASON_MAX_BYTES)
		return refuse(rfb, "a reason that is too long");
	char text[REASON_MAX_BYTES * 4 + 1] = "";
	if (length) {
		const uint8_t *reason = gr_reader_take(rfb->reader, length);
		if (!reason)
			return gr_reader_status(rfb->reader);
		gr_log_escape(text, sizeof(text), reason, length);
	}
	return gr_error_set(err, GR_EDENIED, "%.400s", text);
}

static int handshake(struct gr_rfb *rfb, struct gr_error *err)
{
	struct gr_reader *reader = rfb->reader;
	const uint8_t *version = gr_reader_take(reader, 12);
	if (!version)
		return gr_reader_status(reader);
	if (memcmp(version, "RFB 003.008\n", 12) != 0)
		return refuse(rfb, "not RFB 3.8");
	int status = send_bytes(rfb, "RFB 003.008\n", 12);
	if (status)
		return status;
	unsigned count = gr_reader_u8(reader);
	if (gr_reader_status(reader))
		return gr_reader_status(reader);
	if (count == 0)
		return denied(rfb, err);
	const uint8_t *types = gr_reader_take(reader, count);
	if (!types)
		return gr_reader_status(reader);
	if (!memchr(types, 1, count))
		return refuse(rfb, "security type None is not offered");
	if ((status = send_bytes(rfb, "\1", 1)))
		return status;
	uint32_t result = gr_reader_u32(reader);
	if (gr_reader_status(reader))
		return gr_reader_status(reader);
	if (result)
		return denied(rfb, err);
	return send_bytes(rfb, "\1", 1); /* ClientInit, shared */
}

static int begin(struct gr_rfb *rfb)
{
	struct gr_reader *reader = rfb->reader;
	uint16_t width = gr_reader_u16(reader), height = gr_reader_u16(reader);
	const uint8_t *format = gr_reader_take(reader, 16);
	if (!format)
		return gr_reader_status(reader);
	static const uint8_t the_format[13] = { 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0 };
	if (memcmp(format, the_format, sizeof(the_format)) != 0)
		return refuse(rfb, "another pixel format than 32 bits, little-endian, BGRX");
	uint32_t name = gr_reader_u32(reader);
	if (!gr_reader_status(reader) && name > NAME_MAX_BYTES)
		return refuse(rfb, "a name that is too long");
	gr_reader_skip(reader, name);
	if (gr_reader_status(reader))
		return gr_reader_status(reader);
	rfb->running = 1;
	int status = set_size(rfb, width, height);
	if (status)
		return status;
	rfb->whole_wanted = 0;
	if ((status = send_encodings(rfb)))
		return status;
	if (rfb->scale && (status = send_scale(rfb))) /* wished before anybody could hear of it */
		return status;
	return send_request(rfb, 0);
}

int gr_rfb_handshake(struct gr_rfb *rfb, struct gr_error *err)
{
	return explain(rfb, handshake(rfb, err), err);
}

int gr_rfb_begin(struct gr_rfb *rfb, struct gr_error *err)
{
	return explain(rfb, begin(rfb), err);
}
