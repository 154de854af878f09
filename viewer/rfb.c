#include "viewer/rfb.h"
#include "common/log.h"
#include "viewer/tight.h"

#include <stdlib.h>
#include <string.h>

enum encoding {
	ENCODING_RAW = 0,
	ENCODING_COPY_RECT = 1,
	ENCODING_TIGHT = 7,
	ENCODING_QUALITY_1 = -32, /* the lowest of ten */
	ENCODING_DESKTOP_SIZE = -223,
	ENCODING_LAST_RECT = -224,
	ENCODING_CURSOR = -239,
	ENCODING_QEMU_KEY = -258,
	ENCODING_EXTENDED_DESKTOP_SIZE = -308,
	ENCODING_GARASU = 0x47415201,
};

enum {
	COUNT_UNKNOWN = 65535, /* the update ends with LastRect */
	SCREENS_MAX = 16,
	NAME_MAX_BYTES = 1024,
	REASON_MAX_BYTES = 256,
};

struct gr_rfb {
	struct gr_reader *reader;
	struct gr_rfb_memory memory;
	struct gr_rfb_events events;
	struct gr_rfb_settings settings;
	void *context;
	struct gr_tight *tight;
	uint16_t width, height;
	uint16_t want_width, want_height; /* 0: no wish */
	uint32_t screen_id, screen_flags;
	int running; /* the handshake is over */
	int can_resize; /* the server sent ExtendedDesktopSize */
	int asked_size; /* SetDesktopSize is unanswered */
	uint16_t asked_width, asked_height;
	int size_settled; /* the wish was answered, as asked for or not: it is not repeated */
	int qemu_keys;
	int whole_wanted; /* the size changed: ask for the whole picture */
	int full; /* all painted since the last change of size */
	uint64_t painted; /* pixels painted since, overlaps counted twice */
	struct gr_rect rects[GR_FRAME_RECTS_MAX]; /* of the update being read */
	size_t rect_count;
	const char *why; /* static text for GR_EPROTO */
};

struct gr_rfb *gr_rfb_create(struct gr_reader *reader, const struct gr_rfb_memory *memory,
			     const struct gr_rfb_events *events, const struct gr_rfb_settings *settings, void *context)
{
	struct gr_rfb *rfb = calloc(1, sizeof(*rfb));
	if (!rfb)
		return NULL;
	rfb->reader = reader;
	rfb->memory = *memory;
	rfb->events = *events;
	rfb->settings = *settings;
	rfb->context = context;
	rfb->want_width = settings->width;
	rfb->want_height = settings->height;
	rfb->tight = gr_tight_create(settings->quality > 0);
	if (!rfb->tight) {
		free(rfb);
		return NULL;
	}
	return rfb;
}

void gr_rfb_destroy(struct gr_rfb *rfb)
{
	if (!rfb)
		return;
	gr_tight_destroy(rfb->tight);
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
	put16(message + 6, rfb->width);
	put16(message + 8, rfb->height);
	return send_bytes(rfb, message, sizeof(message));
}

static int send_encodings(struct gr_rfb *rfb)
{
	int32_t list[] = {
		ENCODING_TIGHT,
		ENCODING_COPY_RECT,
		ENCODING_RAW,
		ENCODING_CURSOR,
		ENCODING_EXTENDED_DESKTOP_SIZE,
		ENCODING_DESKTOP_SIZE,
		ENCODING_LAST_RECT,
		ENCODING_QEMU_KEY,
		ENCODING_GARASU,
		0,
	};
	size_t count = sizeof(list) / sizeof(*list) - 1;
	if (rfb->settings.quality > 0)
		list[count++] = ENCODING_QUALITY_1 + rfb->settings.quality - 1;
	uint8_t message[4 + 4 * sizeof(list) / sizeof(*list)] = { 2 };
	put16(message + 2, (uint16_t)count);
	for (size_t i = 0; i < count; i++)
		put32(message + 4 + 4 * i, (uint32_t)list[i]);
	return send_bytes(rfb, message, 4 + 4 * count);
}

static int send_size(struct gr_rfb *rfb)
{
	if (!rfb->running || !rfb->can_resize || rfb->asked_size || rfb->size_settled || !rfb->want_width)
		return 0;
	if (rfb->want_width == rfb->width && rfb->want_height == rfb->height)
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
	put16(message + 2, x < rfb->width ? x : (uint16_t)(rfb->width - 1));
	put16(message + 4, y < rfb->height ? y : (uint16_t)(rfb->height - 1));
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

int gr_rfb_want_size(struct gr_rfb *rfb, uint16_t width, uint16_t height)
{
	if (width < GR_SCREEN_MIN || height < GR_SCREEN_MIN || width > rfb->memory.max_width ||
	    height > rfb->memory.max_height)
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
	if (untrusted_width < 1 || untrusted_height < 1 || untrusted_width > rfb->memory.max_width ||
	    untrusted_height > rfb->memory.max_height)
		return refuse(rfb, "a screen size outside the limits");
	if (untrusted_width == rfb->width && untrusted_height == rfb->height)
		return 0;
	/* What both sizes have in common stays visible until it is painted again; X = 0 tells that it is old. */
	for (size_t y = 0; y < untrusted_height; y++) {
		uint32_t *row = rfb->memory.pixels + y * rfb->memory.stride;
		size_t old = y < rfb->height ? rfb->width : 0;
		for (size_t x = 0; x < untrusted_width; x++)
			row[x] = x < old ? row[x] & 0x00ffffffu : 0;
	}
	rfb->width = untrusted_width;
	rfb->height = untrusted_height;
	rfb->full = 0;
	rfb->painted = 0;
	rfb->whole_wanted = 1;
	rfb->rect_count = 0; /* rectangles of the old size say nothing now */
	return rfb->events.size(rfb->context, rfb->width, rfb->height);
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
		return rfb->events.size_refused(rfb->context, rfb->width, rfb->height);
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
			rfb->memory.cursor[y * width + x] = shown ? 0xff000000u | pixel : 0;
		}
	return rfb->events.cursor(rfb->context, width, height, hot_x, hot_y);
}

static int read_raw(struct gr_rfb *rfb, struct gr_rect rect)
{
	for (size_t y = 0; y < rect.h; y++) {
		uint32_t *row = rfb->memory.pixels + (rect.y + y) * rfb->memory.stride + rect.x;
		for (size_t x = 0; x < rect.w;) {
			size_t got = 0;
			const uint8_t *p = gr_reader_some(rfb->reader, 4, (rect.w - x) * 4, &got);
			if (!p)
				return gr_reader_status(rfb->reader);
			for (size_t i = 0; i < got; i += 4)
				row[x++] = 0xff000000u | (uint32_t)p[i + 2] << 16 | (uint32_t)p[i + 1] << 8 | p[i];
		}
	}
	return 0;
}

/* Right and lower edge in 32 bits: comparing areas instead of edges was a flaw elsewhere. */
static int inside(const struct gr_rfb *rfb, uint32_t x, uint32_t y, uint32_t w, uint32_t h)
{
	return x + w <= rfb->width && y + h <= rfb->height;
}

static int copy_rect(struct gr_rfb *rfb, struct gr_rect rect)
{
	uint16_t from_x = gr_reader_u16(rfb->reader), from_y = gr_reader_u16(rfb->reader);
	if (gr_reader_status(rfb->reader))
		return gr_reader_status(rfb->reader);
	if (!inside(rfb, from_x, from_y, rect.w, rect.h))
		return refuse(rfb, "CopyRect from outside the picture");
	uint32_t *pixels = rfb->memory.pixels;
	size_t stride = rfb->memory.stride;
	for (size_t i = 0; i < rect.h; i++) {
		size_t y = from_y < rect.y ? rect.h - 1 - i : i; /* rows not yet copied must not be overwritten */
		memmove(pixels + (rect.y + y) * stride + rect.x, pixels + (from_y + y) * stride + from_x,
			(size_t)rect.w * 4);
	}
	return 0;
}

static void note_painted(struct gr_rfb *rfb, struct gr_rect rect)
{
	rfb->painted += (uint64_t)rect.w * rect.h;
	if (rfb->rect_count < GR_FRAME_RECTS_MAX) {
		rfb->rects[rfb->rect_count++] = rect;
		return;
	}
	/* No more room: the last one grows to hold this one too. */
	struct gr_rect *last = &rfb->rects[GR_FRAME_RECTS_MAX - 1];
	unsigned right = (unsigned)last->x + last->w, bottom = (unsigned)last->y + last->h;
	if ((unsigned)rect.x + rect.w > right)
		right = (unsigned)rect.x + rect.w;
	if ((unsigned)rect.y + rect.h > bottom)
		bottom = (unsigned)rect.y + rect.h;
	if (rect.x < last->x)
		last->x = rect.x;
	if (rect.y < last->y)
		last->y = rect.y;
	last->w = (uint16_t)(right - last->x);
	last->h = (uint16_t)(bottom - last->y);
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
	case ENCODING_TIGHT:
	case ENCODING_COPY_RECT:
	case ENCODING_RAW: break;
	default: return refuse(rfb, "an encoding that was not asked for");
	}
	if (untrusted_w == 0 || untrusted_h == 0 || !inside(rfb, untrusted_x, untrusted_y, untrusted_w, untrusted_h))
		return refuse(rfb, "a rectangle outside the picture");
	/* --- checked --- */
	struct gr_rect rect = { untrusted_x, untrusted_y, untrusted_w, untrusted_h };
	int status;
	if (encoding == ENCODING_TIGHT)
		status = gr_tight_decode(rfb->tight, rfb->reader, rfb->memory.pixels, rfb->memory.stride, rect,
					 &rfb->why);
	else if (encoding == ENCODING_COPY_RECT)
		status = copy_rect(rfb, rect);
	else
		status = read_raw(rfb, rect);
	if (!status)
		note_painted(rfb, rect);
	return status;
}

static int all_painted(const struct gr_rfb *rfb)
{
	if (rfb->painted < (uint64_t)rfb->width * rfb->height)
		return 0;
	for (size_t y = 0; y < rfb->height; y++) {
		const uint32_t *row = rfb->memory.pixels + y * rfb->memory.stride;
		for (size_t x = 0; x < rfb->width; x++)
			if (!(row[x] & 0xff000000u))
				return 0;
	}
	return 1;
}

static int read_update(struct gr_rfb *rfb)
{
	gr_reader_skip(rfb->reader, 1);
	uint16_t count = gr_reader_u16(rfb->reader);
	int status = gr_reader_status(rfb->reader), last = 0;
	/* The next update is asked for while this one is still arriving: the server can begin it in the meantime. */
	if (!status)
		status = send_request(rfb, 1);
	rfb->rect_count = 0;
	for (unsigned i = 0; !status && !last && (count == COUNT_UNKNOWN || i < count); i++)
		status = read_rectangle(rfb, &last);
	if (!status && rfb->whole_wanted) {
		rfb->whole_wanted = 0;
		status = send_request(rfb, 0);
	}
	if (!status)
		status = send_size(rfb);
	if (status || rfb->rect_count == 0)
		return status;
	if (!rfb->full)
		rfb->full = all_painted(rfb);
	int settled = !rfb->want_width || rfb->size_settled || !rfb->can_resize ||
		      (rfb->want_width == rfb->width && rfb->want_height == rfb->height);
	return rfb->events.update(rfb->context, rfb->rects, rfb->rect_count, rfb->full && settled ? GR_RFB_FULL : 0);
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
		if (value > 1 || (value && !inside(rfb, rect.x, rect.y, rect.w, rect.h)))
			return refuse(rfb, "a caret outside the picture");
		return rfb->events.caret(rfb->context, value, rect);
	}
	case 3:
		if (value > 1)
			return refuse(rfb, "an unknown result of a text");
		return rfb->events.text_result(rfb->context, number, value);
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
	if ((status = send_bytes(rfb, "\1", 1))) /* ClientInit, shared */
		return status;

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
	if ((status = set_size(rfb, width, height)))
		return status;
	rfb->whole_wanted = 0;
	if ((status = send_encodings(rfb)))
		return status;
	return send_request(rfb, 0);
}

int gr_rfb_handshake(struct gr_rfb *rfb, struct gr_error *err)
{
	return explain(rfb, handshake(rfb, err), err);
}
