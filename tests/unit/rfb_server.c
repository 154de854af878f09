#include "tests/unit/rfb_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* needs some of those above */

struct rfb_test t;

static int refill(void *context, uint8_t *into, size_t room, size_t *got)
{
	(void)context;
	size_t n = t.in_size - t.in_at;
	if (n == 0)
		return GR_ECLOSED;
	if (n > room)
		n = room;
	if (n > t.piece)
		n = t.piece; /* the network cuts anywhere */
	memcpy(into, t.in + t.in_at, n);
	t.in_at += n;
	*got = n;
	return 0;
}

static int send_bytes(void *context, const void *bytes, size_t n)
{
	(void)context;
	assert_true(t.out_size + n <= sizeof(t.out));
	memcpy(t.out + t.out_size, bytes, n);
	t.out_size += n;
	return 0;
}

static int on_size(void *context, uint16_t width, uint16_t height)
{
	(void)context;
	t.sizes++;
	t.width = width;
	t.height = height;
	return 0;
}

static int on_refused(void *context, uint16_t width, uint16_t height)
{
	(void)context, (void)width, (void)height;
	t.refusals++;
	return 0;
}

static int on_update(void *context, const struct gr_rect *rects, size_t count, unsigned flags)
{
	(void)context;
	t.updates++;
	t.full = flags & GR_RFB_FULL;
	t.exact = flags & GR_RFB_EXACT;
	t.count = count;
	memcpy(t.rects, rects, count * sizeof(*rects));
	return 0;
}

static int on_cursor(void *context, uint16_t width, uint16_t height, uint16_t hot_x, uint16_t hot_y)
{
	(void)context, (void)width, (void)height, (void)hot_x, (void)hot_y;
	t.cursors++;
	return 0;
}

static int on_notice(void *context, unsigned reason)
{
	(void)context;
	t.notices++;
	t.notice = reason;
	return 0;
}

static int on_caret(void *context, int known, struct gr_rect rect)
{
	(void)context, (void)known, (void)rect;
	t.carets++;
	return 0;
}

static int on_text(void *context, uint32_t sequence, unsigned status)
{
	(void)context;
	t.results++;
	t.sequence = sequence;
	t.result = status;
	return 0;
}

static int on_page(void *context, const struct gr_record_page *page)
{
	(void)context;
	t.pages++;
	t.page = *page;
	return 0;
}

static int on_clipboard(void *context, const uint8_t *text, size_t length)
{
	(void)context;
	t.clipboards++;
	memcpy(t.clipboard, text, length);
	t.clipboard_length = length;
	return 0;
}

void say(const void *bytes, size_t n)
{
	assert_true(t.in_size + n <= sizeof(t.in));
	memcpy(t.in + t.in_size, bytes, n);
	t.in_size += n;
}

void say8(unsigned v)
{
	uint8_t b = (uint8_t)v;
	say(&b, 1);
}

void say16(unsigned v)
{
	say8(v >> 8);
	say8(v);
}

void say32(uint32_t v)
{
	say16(v >> 16);
	say16(v & 0xffff);
}

void say_handshake(unsigned width, unsigned height)
{
	say("RFB 003.008\n\1\1\0\0\0\0", 18);
	say16(width);
	say16(height);
	say("\x20\x18\x00\x01\x00\xff\x00\xff\x00\xff\x10\x08\x00\0\0\0", 16);
	say32(6);
	say("Garasu", 6);
}

void say_update(unsigned count)
{
	say16(0);
	say16(count);
}

void say_rect(unsigned x, unsigned y, unsigned w, unsigned h, int32_t encoding)
{
	say16(x);
	say16(y);
	say16(w);
	say16(h);
	say32((uint32_t)encoding);
}

void say_compact(size_t n)
{
	say8((unsigned)(n & 0x7f) | (n > 0x7f ? 0x80 : 0));
	if (n > 0x7f)
		say8((unsigned)(n >> 7 & 0x7f) | (n > 0x3fff ? 0x80 : 0));
	if (n > 0x3fff)
		say8((unsigned)(n >> 14));
}

void start(unsigned width, unsigned height, int quality, uint16_t want_width, uint16_t want_height)
{
	struct gr_rfb_memory memory = { t.pixels, STRIDE, MAX, MAX, t.cursor };
	struct gr_rfb_events events = { on_size,  on_refused, on_update, on_cursor,   on_notice,
					on_caret, on_text,    on_page,   on_clipboard };
	struct gr_rfb_settings settings = { quality, HISTORY_LOG2, want_width, want_height, send_bytes };
	memset(&t, 0, sizeof(t));
	t.piece = 7;
	assert_int_equal(gr_reader_init(&t.reader, refill, NULL), 0);
	t.rfb = gr_rfb_create(&t.reader, &memory, &events, &settings, NULL);
	assert_non_null(t.rfb);
	if (width) {
		say_handshake(width, height);
		assert_int_equal(gr_rfb_handshake(t.rfb, &t.err), 0);
		assert_int_equal(gr_rfb_begin(t.rfb, &t.err), 0);
	}
}

int stop(void **state)
{
	(void)state;
	gr_rfb_destroy(t.rfb);
	gr_reader_finish(&t.reader);
	t.rfb = NULL;
	return 0;
}

void expect(int status)
{
	assert_int_equal(gr_rfb_read(t.rfb, &t.err), status);
}

/* Reads one message whose words are already said, and wants it refused; begins anew afterwards. */
void expect_refused(void)
{
	expect(GR_EPROTO);
	expect(GR_EPROTO); /* and it stays so */
	stop(NULL);
}

uint32_t pixel(unsigned x, unsigned y)
{
	return t.pixels[y * STRIDE + x];
}
