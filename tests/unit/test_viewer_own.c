/* Garasu's own rectangles, fences and continuous updates from a server made of bytes. */
#include "common/decode/decode.h"
#include "tests/unit/rfb_server.h"
#include "viewer/canvas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <turbojpeg.h>

#include <cmocka.h> /* needs some of those above */

/* A zstd stream (RFC 8878) that begins with the smallest header: a window of 2^log2 bytes, then blocks as they are. */
static size_t zstd_begin(uint8_t *out, unsigned log2)
{
	memcpy(out, "\x28\xb5\x2f\xfd\0", 5);
	out[5] = (uint8_t)((log2 - 10) << 3);
	return 6;
}

static size_t zstd_block(uint8_t *out, const uint8_t *data, size_t n, int last)
{
	uint32_t header = (uint32_t)n << 3 | (last ? 1 : 0);
	for (int i = 0; i < 3; i++)
		out[i] = (uint8_t)(header >> 8 * i);
	memcpy(out + 3, data, n);
	return 3 + n;
}

/* A unit of one piece of one colour. */
static size_t unit_of(uint8_t *out, unsigned x, unsigned y, unsigned w, unsigned h)
{
	uint8_t *at = out;
	const unsigned place[] = { x, y, w, h };
	for (int i = 0; i < 4; i++) {
		*at++ = (uint8_t)(place[i] >> 8);
		*at++ = (uint8_t)place[i];
	}
	for (unsigned row = 0; row < h; row++) {
		memcpy(at, "\xc0\x10\1\2", 4); /* one pixel: G 16, B 17, R 18 */
		at += 4;
		for (unsigned left = w - 1; left;) {
			unsigned run = left < 61 ? left : 61;
			*at++ = (uint8_t)(run - 1); /* as the pixel to the left */
			left -= run;
		}
	}
	return (size_t)(at - out);
}

#define COLOUR 0xff121011u

static uint8_t payload[70000], unit[60000];
static size_t payload_size;

static void make_payload(int first, unsigned x, unsigned y, unsigned w, unsigned h)
{
	payload_size = first ? zstd_begin(payload, HISTORY_LOG2) : 0;
	payload_size += zstd_block(payload + payload_size, unit, unit_of(unit, x, y, w, h), 0);
}

static void say_payload(unsigned x, unsigned y, unsigned w, unsigned h, int32_t encoding)
{
	say_rect(x, y, w, h, encoding);
	say32((uint32_t)payload_size);
	say(payload, payload_size);
}

static void say_photo(unsigned x, unsigned y, unsigned w, unsigned h)
{
	static uint8_t grey[MAX * MAX * 3];
	tjhandle jpeg = tjInitCompress();
	unsigned char *data = NULL;
	unsigned long size = 0;
	memset(grey, 0x80, sizeof(grey));
	assert_int_equal(tjCompress2(jpeg, grey, (int)w, 0, (int)h, TJPF_RGB, &data, &size, TJSAMP_420, 80, 0), 0);
	/* JFIF's APP0 segment says nothing that is needed, and our form has none. */
	size_t app0 = 2 + ((size_t)data[4] << 8 | data[5]);
	say_rect(x, y, w, h, GR_ENCODING_PHOTO);
	say32((uint32_t)(size - app0));
	say(data, 2);
	say(data + 2 + app0, size - 2 - app0);
	tjFree(data);
	tjDestroy(jpeg);
}

static void history_is_one_stream_over_all_rectangles(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 100000; piece *= 71) {
		start(300, 300, 0, 0, 0);
		t.piece = piece;
		say_update(2);
		make_payload(1, 0, 0, 300, 200);
		say_payload(0, 0, 300, 200, GR_ENCODING_HISTORY);
		make_payload(0, 0, 200, 300, 100);
		say_payload(0, 150, 300, 150, GR_ENCODING_HISTORY); /* larger than what is drawn of it */
		expect(0);
		assert_int_equal(t.full, GR_RFB_FULL);
		assert_int_equal(t.exact, GR_RFB_EXACT);
		assert_int_equal(t.count, 2);
		for (unsigned y = 0; y < 300; y++)
			for (unsigned x = 0; x < 300; x++)
				assert_int_equal(pixel(x, y), COLOUR);
		expect(GR_ECLOSED); /* nothing was left over */
		stop(NULL);
	}
}

static void history_that_is_broken_is_refused(void **state)
{
	(void)state;
	/* In place of the payload's length: none, and one more than permitted. */
	for (uint32_t wrong = 0; wrong <= GR_DECODE_PAYLOAD_MAX + 1; wrong += GR_DECODE_PAYLOAD_MAX + 1) {
		start(20, 10, 0, 0, 0);
		say_update(1);
		say_rect(0, 0, 10, 10, GR_ENCODING_HISTORY);
		say32(wrong);
		say32(0);
		expect_refused();
	}
	/* The longest that is permitted is awaited. */
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 10, 10, GR_ENCODING_HISTORY);
	say32(GR_DECODE_PAYLOAD_MAX);
	say32(0);
	expect(GR_ECLOSED);
	stop(NULL);
	/* Garbage. */
	start(20, 10, 0, 0, 0);
	memset(payload, 0xa5, payload_size = 500);
	say_update(1);
	say_payload(0, 0, 10, 10, GR_ENCODING_HISTORY);
	expect_refused();
	/* A unit that ends too early, one with a byte too many, one that draws outside its rectangle. */
	for (int k = 0; k < 3; k++) {
		start(20, 10, 0, 0, 0);
		size_t n = unit_of(unit, 0, 0, k == 2 ? 11 : 10, 10);
		unit[n] = 0;
		payload_size = zstd_begin(payload, HISTORY_LOG2);
		payload_size += zstd_block(payload + payload_size, unit, k == 0 ? n - 1 : k == 1 ? n + 1 : n, 0);
		say_update(1);
		say_payload(0, 0, 10, 10, GR_ENCODING_HISTORY);
		expect_refused();
	}
	/* A window larger than what was listed. */
	start(20, 10, 0, 0, 0);
	make_payload(1, 0, 0, 10, 10);
	zstd_begin(payload, HISTORY_LOG2 + 1);
	say_update(1);
	say_payload(0, 0, 10, 10, GR_ENCODING_HISTORY);
	expect_refused();
	/* A stream that ends. */
	start(20, 10, 0, 0, 0);
	payload_size = zstd_begin(payload, HISTORY_LOG2);
	payload_size += zstd_block(payload + payload_size, unit, unit_of(unit, 0, 0, 10, 10), 1);
	say_update(1);
	say_payload(0, 0, 10, 10, GR_ENCODING_HISTORY);
	expect_refused();
}

static void photographs_only_when_asked_for_and_of_the_right_size(void **state)
{
	(void)state;
	start(300, 300, 8, 0, 0);
	say_update(1);
	say_photo(3, 4, 200, 100);
	expect(0);
	assert_in_range(pixel(202, 103) & 0xff, 0x7c, 0x84);
	stop(NULL);
	start(300, 300, 0, 0, 0);
	say_update(1);
	say_photo(3, 4, 200, 100);
	expect_refused();
	start(300, 300, 8, 0, 0);
	say_update(1);
	size_t at = t.in_size;
	say_photo(0, 0, 200, 100);
	t.in[at + 5] = 199; /* the rectangle's width */
	expect_refused();
	start(300, 300, 8, 0, 0);
	say_update(1);
	memset(payload, 0xff, payload_size = 100);
	say_payload(0, 0, 10, 10, GR_ENCODING_PHOTO);
	expect_refused();
}

static void the_picture_is_exact_when_every_photograph_was_replaced(void **state)
{
	(void)state;
	start(300, 300, 8, 0, 0);
	say_update(1);
	say_rect(0, 0, 300, 300, 7);
	say("\x80\1\2\3", 4);
	expect(0);
	assert_int_equal(t.full, GR_RFB_FULL);
	assert_int_equal(t.exact, GR_RFB_EXACT);
	say_update(1);
	say_photo(10, 10, 40, 30);
	expect(0);
	assert_int_equal(t.full, GR_RFB_FULL);
	assert_int_equal(t.exact, 0);
	assert_int_equal(pixel(10, 10) >> 24, GR_CANVAS_LOSSY >> 24);
	/* A part of it moves elsewhere. */
	say_update(1);
	say_rect(100, 100, 20, 20, 1);
	say16(20);
	say16(20);
	expect(0);
	assert_int_equal(t.exact, 0);
	/* The rectangle covers it, what is drawn covers but a part. */
	say_update(1);
	make_payload(1, 10, 10, 40, 20);
	say_payload(10, 10, 40, 30, GR_ENCODING_HISTORY);
	expect(0);
	assert_int_equal(t.exact, 0);
	say_update(1);
	make_payload(0, 10, 30, 40, 10);
	say_payload(10, 30, 40, 10, GR_ENCODING_HISTORY);
	expect(0);
	assert_int_equal(t.exact, 0); /* there is still the copy */
	say_update(1);
	say_rect(100, 100, 20, 20, 1);
	say16(200);
	say16(200);
	expect(0);
	assert_int_equal(t.exact, GR_RFB_EXACT);
	/* Another size begins anew: nothing old is counted. */
	say_update(1);
	say_photo(10, 10, 40, 30);
	expect(0);
	say_update(2);
	say_rect(0, 0, 200, 200, -223);
	say_rect(0, 0, 200, 200, 7);
	say("\x80\1\2\3", 4);
	expect(0);
	assert_int_equal(t.full, GR_RFB_FULL);
	assert_int_equal(t.exact, GR_RFB_EXACT);
	stop(NULL);
}

static void say_fence(uint32_t flags, unsigned length)
{
	say32(0xf8000000);
	say32(flags);
	say8(length);
	for (unsigned i = 0; i < length; i++)
		say8(i + 1);
}

static void fences_are_answered_behind_what_came_before(void **state)
{
	(void)state;
	start(200, 100, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 200, 100, 7);
	say("\x80\1\2\3", 4);
	say_fence(0x80000001, 8);
	expect(0);
	t.out_size = 0;
	assert_int_equal(t.updates, 1);
	expect(0);
	assert_int_equal(t.out_size, 17);
	assert_memory_equal(t.out, "\370\0\0\0\0\0\0\1\10\1\2\3\4\5\6\7\10", 17);
	/* All flags: those that we do not keep to are cleared, as rfbproto has it. */
	t.out_size = 0;
	say_fence(0xffffffff, 0);
	expect(0);
	assert_int_equal(t.out_size, 9);
	assert_memory_equal(t.out, "\370\0\0\0\0\0\0\3\0", 9);
	t.out_size = 0;
	say_fence(0x80000000, 64);
	expect(0);
	assert_int_equal(t.out_size, 9 + 64);
	assert_int_equal(t.out[9 + 63], 64);
	/* Not before it has arrived whole. */
	t.out_size = 0;
	say_fence(0x80000001, 8);
	t.in_size--;
	expect(GR_ECLOSED);
	assert_int_equal(t.out_size, 0);
	stop(NULL);
}

static void fences_of_another_kind_are_refused(void **state)
{
	(void)state;
	start(200, 100, 0, 0, 0);
	say_fence(0x80000001, 65);
	expect_refused();
	start(200, 100, 0, 0, 0);
	say_fence(1, 8); /* an answer */
	expect_refused();
}

static void continuous_updates_replace_requests(void **state)
{
	(void)state;
	start(200, 100, 0, 0, 0);
	t.out_size = 0;
	say8(150);
	expect(0);
	assert_int_equal(t.out_size, 10);
	assert_memory_equal(t.out, "\226\1\0\0\0\0\0\310\0\144", 10);
	t.out_size = 0;
	say_update(1);
	say_rect(0, 0, 200, 100, 7);
	say("\x80\1\2\3", 4);
	expect(0);
	assert_int_equal(t.updates, 1);
	assert_int_equal(t.out_size, 0);
	/* Another size: for all of it, and all of it once. */
	say_update(1);
	say_rect(0, 0, 250, 90, -223);
	expect(0);
	assert_int_equal(t.out_size, 20);
	assert_memory_equal(t.out, "\226\1\0\0\0\0\0\372\0\132\3\0\0\0\0\0\0\372\0\132", 20);
	say8(150); /* they were never switched off */
	expect_refused();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(history_is_one_stream_over_all_rectangles),
		cmocka_unit_test(history_that_is_broken_is_refused),
		cmocka_unit_test(photographs_only_when_asked_for_and_of_the_right_size),
		cmocka_unit_test(the_picture_is_exact_when_every_photograph_was_replaced),
		cmocka_unit_test(fences_are_answered_behind_what_came_before),
		cmocka_unit_test(fences_of_another_kind_are_refused),
		cmocka_unit_test(continuous_updates_replace_requests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
