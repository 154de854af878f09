/* The viewer's RFB client against a server made of bytes. */
#include "common/decode/decode.h"
#include "tests/unit/rfb_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs some of those above */

static void handshake_asks_for_what_the_protocol_lists(void **state)
{
	(void)state;
	start(200, 100, 0, 0, 0);
	assert_int_equal(t.width, 200);
	assert_int_equal(t.height, 100);
	assert_memory_equal(t.out, "RFB 003.008\n\1\1", 14);
	/* HISTORY, Tight, CopyRect, then pseudo-encodings; the last one of the history's size; no quality level, no PHOTO */
	static const uint8_t encodings[] = "\2\0\0\14\107\101\122\20\0\0\0\7\0\0\0\1\377\377\377\21"
					   "\377\377\376\314\377\377\377\41\377\377\377\40\377\377\376\376"
					   "\377\377\376\310\377\377\376\307\107\101\122\1\107\101\122\64";
	assert_memory_equal(t.out + 14, encodings, 4 + 12 * 4);
	const uint8_t *request = t.out + 18 + 48;
	assert_memory_equal(request, "\3\0\0\0\0\0\0\310\0\144", 10);
	assert_int_equal(t.out_size, 18 + 48 + 10);
	stop(NULL);
	start(200, 100, 3, 0, 0);
	assert_int_equal(t.out[17], 14);
	assert_memory_equal(t.out + 18 + 48, "\107\101\122\21\xff\xff\xff\xe2", 8); /* PHOTO, -30 */
	stop(NULL);
}

static void handshake_of_another_kind_is_refused(void **state)
{
	(void)state;
	start(0, 0, 0, 0, 0);
	say("RFB 003.003\n", 12);
	assert_int_equal(gr_rfb_handshake(t.rfb, &t.err), GR_EPROTO);
	stop(NULL);
	start(0, 0, 0, 0, 0);
	say("RFB 003.008\n\1\2", 14);
	assert_int_equal(gr_rfb_handshake(t.rfb, &t.err), GR_EPROTO);
	stop(NULL);
	start(0, 0, 0, 0, 0);
	say("RFB 003.008\n\0\0\0\0\5no\n\1!", 22);
	assert_int_equal(gr_rfb_handshake(t.rfb, &t.err), GR_EDENIED);
	assert_string_equal(t.err.text, "no\\x0a\\x01!");
	stop(NULL);
	start(0, 0, 0, 0, 0);
	say("RFB 003.008\n\0\xff\xff\xff\xff", 17); /* CVE-2018-20748's family: length + 1 */
	assert_int_equal(gr_rfb_handshake(t.rfb, &t.err), GR_EPROTO);
	stop(NULL);
	start(0, 0, 0, 0, 0);
	say_handshake(MAX + 1, 10);
	assert_int_equal(gr_rfb_handshake(t.rfb, &t.err), 0);
	assert_int_equal(gr_rfb_begin(t.rfb, &t.err), GR_EPROTO);
	stop(NULL);
	start(0, 0, 0, 0, 0);
	say_handshake(0, 10);
	assert_int_equal(gr_rfb_handshake(t.rfb, &t.err), 0);
	assert_int_equal(gr_rfb_begin(t.rfb, &t.err), GR_EPROTO);
	stop(NULL);
}

static void copied_rectangles_arrive(void **state)
{
	(void)state;
	start(20, 10, 0, 0, 0);
	say_update(3);
	for (unsigned y = 0; y < 2; y++) {
		say_rect(1, 2 + y, 3, 1, 7);
		say8(0);
		for (unsigned i = 0; i < 3; i++) {
			say("\x33\x22", 2);
			say8(3 * y + i);
		}
	}
	say_rect(2, 2, 3, 2, 1); /* overlaps its source */
	say16(1);
	say16(2);
	expect(0);
	assert_int_equal(pixel(1, 2), 0xff332200);
	assert_int_equal(pixel(2, 2), 0xff332200);
	assert_int_equal(pixel(4, 2), 0xff332202);
	assert_int_equal(pixel(4, 3), 0xff332205);
	assert_int_equal(t.count, 3);
	assert_int_equal(t.full, 0);
	/* The next update was asked for. */
	assert_memory_equal(t.out + t.out_size - 10, "\3\1\0\0\0\0\0\24\0\12", 10);
	stop(NULL);
}

static void rectangles_outside_are_refused(void **state)
{
	(void)state;
	static const struct {
		unsigned x, y, w, h;
	} bad[] = { { 0, 0, 21, 1 },    { 20, 0, 1, 1 },        { 1, 0, 20, 1 }, { 0, 5, 1, 6 },
		    { 65535, 0, 2, 1 }, { 0, 65535, 1, 65535 }, { 0, 0, 0, 1 },  { 0, 0, 1, 0 } };
	static const int32_t encodings[] = { GR_ENCODING_HISTORY, GR_ENCODING_PHOTO, 1, 7 };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		for (size_t k = 0; k < 4; k++) {
			start(20, 10, 8, 0, 0);
			say_update(1);
			say_rect(bad[i].x, bad[i].y, bad[i].w, bad[i].h, encodings[k]);
			say32(0);
			expect_refused();
		}
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 5, 5, 1);
	say16(16);
	say16(0);
	expect_refused();
}

static void messages_that_are_not_listed_are_refused(void **state)
{
	(void)state;
	static const uint8_t types[] = { 1, 2, 3, 4, 11, 15, 16, 249, 250, 252, 253, 255 };
	for (size_t i = 0; i < sizeof(types); i++) {
		start(20, 10, 0, 0, 0);
		say8(types[i]);
		say32(0xffffffff);
		say32(0xffffffff);
		expect_refused();
	}
	static const int32_t encodings[] = { 0,  2,    4,    5,    6,  8,    9,    15,        16,
					     17, -307, -312, -313, 50, -240, -260, 0x574d5664 };
	for (size_t i = 0; i < sizeof(encodings) / sizeof(*encodings); i++) {
		start(20, 10, 0, 0, 0);
		say_update(1);
		say_rect(0, 0, 4, 4, encodings[i]);
		expect_refused();
	}
}

static void cursors_are_bounded(void **state)
{
	(void)state;
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(1, 0, 2, 2, -239);
	say("\1\2\3\0\4\5\6\0\7\10\11\0\12\13\14\0\x80\x40", 18);
	expect(0);
	assert_int_equal(t.cursors, 1);
	assert_int_equal(t.cursor[0], 0xff030201);
	assert_int_equal(t.cursor[1], 0);
	assert_int_equal(t.cursor[3], 0xff0c0b0a);
	assert_int_equal(t.updates, 0); /* nothing was painted */
	say_update(1);
	say_rect(0, 0, 0, 0, -239);
	expect(0);
	assert_int_equal(t.cursors, 2);
	stop(NULL);
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 65, 1, -239);
	expect_refused();
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 65535, 65535, -239);
	expect_refused();
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(2, 0, 2, 2, -239);
	say("\1\2\3\0\4\5\6\0\7\10\11\0\12\13\14\0\x80\x40", 18);
	expect_refused();
}

static void say_screen(unsigned reason, unsigned status, unsigned w, unsigned h)
{
	say_update(1);
	say_rect(reason, status, w, h, -308);
	say32(0x01000000);
	say32(77);
	say32(0);
	say16(w);
	say16(h);
	say32(5);
}

static void size_is_asked_for_when_it_can_be(void **state)
{
	(void)state;
	start(200, 100, 0, 250, 150);
	size_t before = t.out_size;
	say_screen(0, 0, 200, 100);
	expect(0);
	/* a request, then SetDesktopSize with the screen's own id and flags */
	assert_int_equal(t.out_size, before + 10 + 24);
	assert_memory_equal(t.out + before + 10, "\373\0\0\372\0\226\1\0\0\0\0\115\0\0\0\0\0\372\0\226\0\0\0\5", 24);
	/* The old size fully painted is not what was wanted. */
	say_update(1);
	say_rect(0, 0, 200, 100, 7);
	say("\x80\1\2\3", 4);
	expect(0);
	assert_int_equal(t.full, 0);
	/* While it is unanswered no other is sent. */
	before = t.out_size;
	assert_int_equal(gr_rfb_want_size(t.rfb, 240, 140), 0);
	assert_int_equal(t.out_size, before);
	say_screen(1, 0, 250, 150);
	expect(0);
	assert_int_equal(t.width, 250);
	assert_int_equal(t.out[t.out_size - 24], 251);
	/* What both sizes share is still to be seen, but does not count as painted. */
	assert_int_equal(pixel(10, 10), 0x00010203);
	assert_int_equal(pixel(249, 149), 0);
	say_screen(1, 0, 240, 140);
	expect(0);
	say_update(1);
	say_rect(0, 0, 240, 140, 7);
	say("\x80\1\2\3", 4);
	expect(0);
	assert_int_equal(t.full, GR_RFB_FULL);
	stop(NULL);
}

static void refused_size_is_settled(void **state)
{
	(void)state;
	start(200, 100, 0, 250, 150);
	say_screen(0, 0, 200, 100);
	expect(0);
	say_screen(1, 1, 200, 100);
	expect(0);
	assert_int_equal(t.refusals, 1);
	size_t before = t.out_size;
	say_update(1);
	say_rect(0, 0, 200, 100, 7);
	say("\x80\1\2\3", 4);
	expect(0);
	assert_int_equal(t.full, GR_RFB_FULL);
	assert_int_equal(t.out_size, before + 10); /* and not asked for again */
	/* Another wish is. */
	assert_int_equal(gr_rfb_want_size(t.rfb, 240, 140), 0);
	assert_int_equal(t.out_size, before + 10 + 24);
	/* An answer of another size than asked for is a refusal too. */
	say_screen(1, 0, 230, 140);
	expect(0);
	assert_int_equal(t.refusals, 2);
	assert_int_equal(t.width, 230);
	assert_int_equal(t.out[t.out_size - 10], 3);
	stop(NULL);
	start(200, 100, 0, 0, 0);
	say_screen(0, 0, MAX + 1, 100);
	expect_refused();
	start(200, 100, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 200, 100, -308);
	say32(0xff000000);
	expect_refused();
}

static void records_are_read(void **state)
{
	(void)state;
	start(200, 100, 0, 0, 0);
	say("\107\3\0\1\0\0\0\52", 8);
	expect(0);
	assert_int_equal(t.results, 1);
	assert_int_equal(t.sequence, 42);
	assert_int_equal(t.result, 1);
	say("\107\2\0\1\0\12\0\24\0\2\0\16", 12);
	expect(0);
	assert_int_equal(t.carets, 1);
	say("\107\1\0\7\0\0\0\0", 8);
	expect(0);
	assert_int_equal(t.notice, 7);
	expect(GR_ECLOSED);
	stop(NULL);
	start(200, 100, 0, 0, 0);
	say("\107\2\0\1\0\12\0\24\0\377\0\16", 12);
	expect_refused();
	start(200, 100, 0, 0, 0);
	say("\107\6\0\1\0\12\0\24\0\377\0\16", 12);
	expect_refused();
}

struct page {
	unsigned state;
	uint32_t document;
	unsigned page, pages, width, height, x, y;
	uint32_t zero;
};

static void say_page(struct page page)
{
	say("\107\4", 2);
	say16(page.state);
	say32(page.document);
	say16(page.page);
	say16(page.pages);
	say16(page.width);
	say16(page.height);
	say16(page.x);
	say16(page.y);
	say32(page.zero);
}

static void pages_are_read(void **state)
{
	(void)state;
	static const struct page good[] = {
		{ 1, 1, 0, 1, 1, 1, 0, 150, 0 },       { 1, 0xffffffff, 0, 999, 8192, 8192, 1, 300, 0 },
		{ 2, 7, 1, 3, 500, 301, 200, 300, 0 }, { 2, 7, 3, 3, 8192, 8192, 8000, 8100, 0 },
		{ 3, 7, 0, 0, 0, 0, 3, 0, 0 },         { 3, 7, 999, 0, 0, 0, 0, 0, 0 },
	};
	start(200, 100, 0, 0, 0);
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		const struct page *p = &good[i];
		say_page(*p);
		expect(0);
		assert_int_equal(t.pages, i + 1);
		assert_true(t.page.type == GR_RECORD_PAGE && t.page.state == p->state &&
			    t.page.document == p->document);
		assert_true(t.page.page == p->page && t.page.pages == p->pages && t.page.width == p->width);
		assert_true(t.page.height == p->height && t.page.x == p->x && t.page.y == p->y);
	}
	stop(NULL);
}

static void pages_outside_the_bounds_are_refused(void **state)
{
	(void)state;
	static const struct page bad[] = {
		{ 0, 1, 0, 1, 10, 10, 0, 150, 0 },   { 4, 1, 0, 0, 0, 0, 0, 0, 0 }, /* no such state */
		{ 1, 0, 0, 1, 10, 10, 0, 150, 0 }, /* no document */
		{ 1, 1, 1, 1, 10, 10, 0, 150, 0 }, /* an offer of a page */
		{ 1, 1, 0, 0, 10, 10, 0, 150, 0 },   { 1, 1, 0, 1000, 10, 10, 0, 150, 0 }, /* pages */
		{ 1, 1, 0, 1, 0, 10, 0, 150, 0 },    { 1, 1, 0, 1, 10, 0, 0, 150, 0 },
		{ 1, 1, 0, 1, 8193, 10, 0, 150, 0 }, { 1, 1, 0, 1, 10, 8193, 0, 150, 0 },
		{ 1, 1, 0, 1, 10, 10, 2, 150, 0 }, /* neither more nor not */
		{ 1, 1, 0, 1, 10, 10, 0, 149, 0 },   { 1, 1, 0, 1, 10, 10, 0, 301, 0 }, /* dpi */
		{ 1, 1, 0, 1, 10, 10, 0, 150, 1 }, /* padding */
		{ 2, 1, 0, 2, 500, 500, 0, 0, 0 },   { 2, 1, 3, 2, 500, 500, 0, 0, 0 }, /* which page */
		{ 2, 1, 1, 0, 500, 500, 0, 0, 0 },   { 2, 1, 1, 1000, 500, 500, 0, 0, 0 },
		{ 2, 1, 1, 2, 8193, 500, 0, 0, 0 },  { 2, 1, 1, 2, 500, 8193, 0, 0, 0 },
		{ 2, 1, 1, 2, 400, 500, 400, 0, 0 }, { 2, 1, 1, 2, 500, 300, 0, 300, 0 }, /* beyond the page */
		{ 2, 1, 1, 2, 500, 500, 100, 0, 0 }, { 2, 1, 1, 2, 500, 500, 0, 50, 0 }, /* no piece begins there */
		{ 2, 1, 1, 2, 500, 500, 0, 0, 1 },   { 3, 1, 1000, 0, 0, 0, 0, 0, 0 },
		{ 3, 1, 0, 1, 0, 0, 0, 0, 0 },       { 3, 1, 0, 0, 1, 0, 0, 0, 0 },
		{ 3, 1, 0, 0, 0, 1, 0, 0, 0 },       { 3, 1, 0, 0, 0, 0, 4, 0, 0 },
		{ 3, 1, 0, 0, 0, 0, 0, 1, 0 },       { 3, 1, 0, 0, 0, 0, 0, 0, 1 },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		start(200, 100, 0, 0, 0);
		say_page(bad[i]);
		expect_refused();
		assert_int_equal(t.pages, 0);
	}
}

static void texts_of_the_clipboard_are_read(void **state)
{
	(void)state;
	static uint8_t text[GR_CLIPBOARD_MAX];
	memset(text, 'x', sizeof(text));
	memcpy(text, "\xe6\x97\xa5\t\n", 5);
	start(200, 100, 0, 0, 0);
	t.piece = 5000;
	for (size_t i = 0; i < 2; i++) {
		size_t length = i ? sizeof(text) : 5;
		say("\107\5\0\0", 4);
		say32((uint32_t)length);
		say(text, length);
		expect(0);
		assert_int_equal(t.clipboards, i + 1);
		assert_int_equal(t.clipboard_length, length);
		assert_memory_equal(t.clipboard, text, length);
	}
	stop(NULL);
}

static void texts_of_the_clipboard_that_are_not_permitted_are_refused(void **state)
{
	(void)state;
	static const struct {
		unsigned zero;
		uint32_t length;
		const char *text;
	} bad[] = { { 0, 0, "" },         { 0, 65537, "" },        { 0, 0xffffffff, "" }, { 1, 1, "a" },
		    { 0, 2, "a\r" },      { 0, 1, "\x1b" },        { 0, 1, "\x80" },      { 0, 2, "\xe6\x97" },
		    { 0, 2, "\xc2\x85" }, { 0, 3, "\xed\xa0\x80" } };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		start(200, 100, 0, 0, 0);
		say("\107\5", 2);
		say16(bad[i].zero);
		say32(bad[i].length);
		say(bad[i].text, strlen(bad[i].text));
		expect_refused();
		assert_int_equal(t.clipboards, 0);
	}
}

static void requests_are_sent_as_the_protocol_says(void **state)
{
	(void)state;
	static uint8_t text[GR_CLIPBOARD_MAX + 1];
	memset(text, 'x', sizeof(text));
	start(0, 0, 0, 0, 0);
	assert_int_equal(gr_rfb_print(t.rfb, GR_PRINT_START, 0, 0, 0), 0);
	assert_int_equal(gr_rfb_clipboard(t.rfb, text, 1), 0);
	assert_int_equal(gr_rfb_scale(t.rfb, 100), 0);
	assert_int_equal(t.out_size, 0); /* not before the handshake */
	stop(NULL);
	start(200, 100, 0, 0, 0);
	t.out_size = 0;
	assert_int_equal(gr_rfb_print(t.rfb, GR_PRINT_ACCEPT, 0x01020304, 2, 0x102), 0);
	assert_memory_equal(t.out, "\107\2\0\2\1\2\3\4\0\2\1\2\0\0\0\0", 16);
	assert_int_equal(t.out_size, 16);
	assert_int_equal(gr_rfb_print(t.rfb, (enum gr_print_action)5, 1, 0, 0), GR_EINVAL);
	assert_int_equal(gr_rfb_print(t.rfb, (enum gr_print_action)0, 1, 0, 0), GR_EINVAL);
	t.out_size = 0;
	assert_int_equal(gr_rfb_clipboard(t.rfb, text, GR_CLIPBOARD_MAX), 0);
	assert_memory_equal(t.out, "\107\3\0\0\0\1\0\0xxx", 11);
	assert_int_equal(t.out_size, 8 + GR_CLIPBOARD_MAX);
	assert_int_equal(gr_rfb_clipboard(t.rfb, text, GR_CLIPBOARD_MAX + 1), GR_EINVAL);
	assert_int_equal(gr_rfb_clipboard(t.rfb, text, 0), GR_EINVAL);
	t.out_size = 0;
	assert_int_equal(gr_rfb_scale(t.rfb, 150), 0);
	assert_memory_equal(t.out, "\107\4\0\226\0\0\0\0", 8);
	assert_int_equal(t.out_size, 8);
	assert_int_equal(gr_rfb_scale(t.rfb, 49), GR_EINVAL);
	assert_int_equal(gr_rfb_scale(t.rfb, 401), GR_EINVAL);
	stop(NULL);
}

static void input_is_sent_as_the_protocol_says(void **state)
{
	(void)state;
	start(0, 0, 0, 0, 0);
	assert_int_equal(gr_rfb_key(t.rfb, 'a', 0x1e, 1), 0);
	assert_int_equal(t.out_size, 0); /* not before the handshake */
	stop(NULL);
	start(200, 100, 0, 0, 0);
	t.out_size = 0;
	gr_rfb_key(t.rfb, 'a', 0x1e, 1);
	assert_memory_equal(t.out, "\4\1\0\0\0\0\0a", 8);
	say_update(1);
	say_rect(0, 0, 0, 0, -258);
	expect(0);
	t.out_size = 0;
	gr_rfb_key(t.rfb, 0xff0d, 0x1c, 0);
	assert_memory_equal(t.out, "\377\0\0\0\0\0\377\15\0\0\0\34", 12);
	t.out_size = 0;
	gr_rfb_pointer(t.rfb, 500, 99, 5);
	assert_memory_equal(t.out, "\5\5\0\307\0\143", 6); /* clipped to the picture */
	t.out_size = 0;
	gr_rfb_text(t.rfb, 9, (const uint8_t *)"\xe6\x97\xa5", 3);
	assert_memory_equal(t.out, "\107\1\0\3\0\0\0\11\xe6\x97\xa5", 11);
	uint8_t text[GR_TEXT_MAX + 1] = { 0 };
	assert_int_equal(gr_rfb_text(t.rfb, 1, text, GR_TEXT_MAX + 1), GR_EINVAL);
	assert_int_equal(gr_rfb_text(t.rfb, 1, text, 0), GR_EINVAL);
	assert_int_equal(gr_rfb_want_size(t.rfb, 1, 100), GR_EINVAL);
	stop(NULL);
}

static void end_within_a_message_is_an_end(void **state)
{
	(void)state;
	start(200, 100, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 200, 100, GR_ENCODING_HISTORY);
	say32(1000);
	say32(0);
	expect(GR_ECLOSED);
	stop(NULL);
}

static void more_rectangles_than_reported_still_cover_all(void **state)
{
	(void)state;
	start(200, 100, 0, 0, 0);
	say_update(100);
	for (unsigned i = 0; i < 100; i++) {
		say_rect(i * 2, i, 1, 1, 7);
		say("\x80\1\2\3", 4);
	}
	expect(0);
	assert_int_equal(t.count, GR_FRAME_RECTS_MAX);
	for (unsigned i = 0; i < 100; i++) {
		int covered = 0;
		for (size_t k = 0; k < t.count; k++)
			covered |= i * 2 >= t.rects[k].x && i * 2 < (unsigned)t.rects[k].x + t.rects[k].w &&
				   i >= t.rects[k].y && i < (unsigned)t.rects[k].y + t.rects[k].h;
		assert_true(covered);
	}
	stop(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_asks_for_what_the_protocol_lists),
		cmocka_unit_test(handshake_of_another_kind_is_refused),
		cmocka_unit_test(copied_rectangles_arrive),
		cmocka_unit_test(rectangles_outside_are_refused),
		cmocka_unit_test(messages_that_are_not_listed_are_refused),
		cmocka_unit_test(cursors_are_bounded),
		cmocka_unit_test(size_is_asked_for_when_it_can_be),
		cmocka_unit_test(refused_size_is_settled),
		cmocka_unit_test(records_are_read),
		cmocka_unit_test(pages_are_read),
		cmocka_unit_test(pages_outside_the_bounds_are_refused),
		cmocka_unit_test(texts_of_the_clipboard_are_read),
		cmocka_unit_test(texts_of_the_clipboard_that_are_not_permitted_are_refused),
		cmocka_unit_test(requests_are_sent_as_the_protocol_says),
		cmocka_unit_test(input_is_sent_as_the_protocol_says),
		cmocka_unit_test(end_within_a_message_is_an_end),
		cmocka_unit_test(more_rectangles_than_reported_still_cover_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
