/* Tight rectangles from a server made of bytes. */
#include "tests/unit/rfb_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <turbojpeg.h>
#include <zlib.h>

#include <cmocka.h> /* needs some of those above */

static void tight_fill_and_full_flag(void **state)
{
	(void)state;
	start(20, 10, 0, 0, 0);
	say_update(65535);
	say_rect(0, 0, 20, 9, 7);
	say("\x80\x11\x22\x33", 4);
	say_rect(0, 0, 0, 0, -224);
	expect(0);
	assert_int_equal(pixel(19, 8), 0xff112233);
	assert_int_equal(t.full, 0);
	say_update(1);
	say_rect(0, 0, 20, 9, 7); /* as many pixels as there are, but not all of them */
	say("\x80\x11\x22\x33", 4);
	expect(0);
	assert_int_equal(t.full, 0);
	say_update(1);
	say_rect(0, 9, 20, 1, 7);
	say("\x80\x11\x22\x33", 4);
	expect(0);
	assert_int_equal(t.full, GR_RFB_FULL);
	stop(NULL);
}

static size_t deflate_into(uint8_t *out, size_t cap, const uint8_t *data, size_t n)
{
	z_stream z = { 0 };
	assert_int_equal(deflateInit(&z, 6), Z_OK);
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)n;
	z.next_out = out;
	z.avail_out = (uInt)cap;
	assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	size_t size = cap - z.avail_out;
	deflateEnd(&z);
	return size;
}

static uint8_t plain[MAX * MAX * 3], packed[MAX * MAX * 4];

static void fill_plain(size_t n, unsigned modulus)
{
	uint32_t seed = 1;
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245u + 12345u;
		plain[i] = (uint8_t)((seed >> 16) % modulus);
	}
}

static void tight_copy_filter_of_every_size(void **state)
{
	(void)state;
	static const unsigned sizes[][2] = { { 1, 1 }, { 3, 1 }, { 1, 4 }, { 2, 2 }, { 300, 300 }, { 299, 7 } };
	for (size_t i = 0; i < 6; i++)
		for (size_t piece = 1; piece < 100000; piece *= 71) {
			unsigned w = sizes[i][0], h = sizes[i][1];
			start(300, 300, 0, 0, 0);
			t.piece = piece;
			size_t n = (size_t)w * h * 3;
			fill_plain(n, 256);
			say_update(1);
			say_rect(0, 0, w, h, 7);
			say8(0x10); /* stream 1 */
			if (n < 12) {
				say(plain, n);
			} else {
				size_t size = deflate_into(packed, sizeof(packed), plain, n);
				say_compact(size);
				say(packed, size);
			}
			expect(0);
			for (unsigned y = 0; y < h; y++)
				for (unsigned x = 0; x < w; x++) {
					const uint8_t *p = plain + ((size_t)y * w + x) * 3;
					if (pixel(x, y) !=
					    (0xff000000u | (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2]))
						fail_msg("pixel %u,%u of %ux%u", x, y, w, h);
				}
			expect(GR_ECLOSED); /* nothing was left over */
			stop(NULL);
		}
}

static void tight_palettes(void **state)
{
	(void)state;
	for (unsigned colours = 2; colours <= 256; colours += 127) {
		start(300, 300, 0, 0, 0);
		unsigned w = 37, h = 11;
		size_t row = colours == 2 ? (w + 7) / 8 : w, n = row * h;
		fill_plain(n, colours == 2 ? 256 : colours);
		say_update(1);
		say_rect(5, 6, w, h, 7);
		say8(0x40);
		say8(1);
		say8(colours - 1);
		for (unsigned i = 0; i < colours; i++) {
			say8(i);
			say8(255 - i);
			say8(7);
		}
		size_t size = deflate_into(packed, sizeof(packed), plain, n);
		say_compact(size);
		say(packed, size);
		expect(0);
		for (unsigned y = 0; y < h; y++)
			for (unsigned x = 0; x < w; x++) {
				unsigned index = colours == 2 ? (unsigned)plain[y * row + x / 8] >> (7 - x % 8) & 1u
							      : (unsigned)plain[y * row + x];
				assert_int_equal(pixel(5 + x, 6 + y),
						 0xff000000u | index << 16 | (255 - index) << 8 | 7);
			}
		stop(NULL);
	}
}

static void tight_index_behind_the_palette_is_harmless(void **state)
{
	(void)state;
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 3, 1, 7);
	say("\x40\1\2\1\1\1\2\2\2\3\3\3\xff\0\2", 15);
	expect(0);
	assert_int_equal(pixel(0, 0), 0xff000000);
	assert_int_equal(pixel(2, 0), 0xff030303);
	stop(NULL);
}

static void say_tight_packed(size_t n)
{
	fill_plain(n, 256);
	size_t size = deflate_into(packed, sizeof(packed), plain, n);
	say_update(1);
	say_rect(0, 0, 10, 10, 7);
	say8(0);
	say_compact(size);
	say(packed, size);
}

static void tight_data_of_another_length_is_refused(void **state)
{
	(void)state;
	start(20, 10, 0, 0, 0);
	say_tight_packed(10 * 10 * 3 - 1);
	expect_refused();
	start(20, 10, 0, 0, 0);
	say_tight_packed(10 * 10 * 3 + 1);
	expect_refused();
	start(20, 10, 0, 0, 0);
	say_tight_packed(sizeof(plain)); /* a bomb: much more than the rectangle holds */
	expect_refused();
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 10, 10, 7);
	say8(0);
	say_compact(20);
	for (int i = 0; i < 20; i++)
		say8(0xff);
	expect_refused();
	start(20, 10, 0, 0, 0);
	say_update(1);
	say_rect(0, 0, 10, 10, 7);
	say("\0\0", 2); /* no data at all */
	expect_refused();
}

static void tight_kinds_that_are_not_listed_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "\x40\2", "\x40\3", "\x40\1\0\1\2\3", "\xa0", "\xf0" };
	static const size_t sizes[] = { 2, 2, 6, 1, 1 };
	for (size_t i = 0; i < 5; i++) {
		start(20, 10, 0, 0, 0);
		say_update(1);
		say_rect(0, 0, 10, 10, 7);
		say(bad[i], sizes[i]);
		say32(0);
		say32(0);
		expect_refused();
	}
}

static uint8_t jpeg[65536];
static size_t jpeg_size;

/* Grey, without the APP0 segment of libjpeg. */
static void make_jpeg(unsigned w, unsigned h, int flags)
{
	tjhandle compressor = tjInitCompress();
	unsigned char *data = NULL;
	unsigned long size = 0;
	memset(plain, 0x80, sizeof(plain));
	assert_int_equal(
		tjCompress2(compressor, plain, (int)w, 0, (int)h, TJPF_RGB, &data, &size, TJSAMP_444, 95, flags), 0);
	size_t app0 = 2u + ((size_t)data[4] << 8 | data[5]);
	jpeg_size = size - app0;
	assert_true(jpeg_size <= sizeof(jpeg));
	memcpy(jpeg, data, 2);
	memcpy(jpeg + 2, data + 2 + app0, jpeg_size - 2);
	tjFree(data);
	tjDestroy(compressor);
}

static void say_made_jpeg(unsigned rect_w, unsigned rect_h)
{
	say_update(1);
	say_rect(0, 0, rect_w, rect_h, 7);
	say8(0x90);
	say_compact(jpeg_size);
	say(jpeg, jpeg_size);
}

static void say_jpeg(unsigned w, unsigned h, unsigned rect_w, unsigned rect_h)
{
	make_jpeg(w, h, 0);
	say_made_jpeg(rect_w, rect_h);
}

static void expect_jpeg_refused(const char *why)
{
	start(300, 300, 9, 0, 0);
	say_made_jpeg(200, 100);
	expect(GR_EPROTO);
	assert_string_equal(t.err.text, why);
	stop(NULL);
}

/* T32: what would make libjpeg take memory or time is refused before libjpeg sees it. */
static void jpegs_of_another_form_are_refused(void **state)
{
	(void)state;
	make_jpeg(200, 100, 0);
	size_t sof0 = 2;
	while (jpeg[sof0 + 1] != 0xc0)
		sof0 += 2u + ((size_t)jpeg[sof0 + 2] << 8 | jpeg[sof0 + 3]);
	memset(jpeg + sof0 + 5, 0xff, 4); /* 65535 by 65535 */
	expect_jpeg_refused("JPEG: another frame than its rectangle");
	make_jpeg(200, 100, 0);
	jpeg_size++; /* one byte behind EOI */
	expect_jpeg_refused("JPEG: broken data, or bytes behind its end");
	make_jpeg(200, 100, TJFLAG_PROGRESSIVE);
	expect_jpeg_refused("JPEG: a segment that is not permitted");
	make_jpeg(200, 100, 0);
	memmove(jpeg + 2 + 6, jpeg + 2, jpeg_size - 2);
	static const uint8_t comment[6] = { 0xff, 0xfe, 0, 4, 'n', 'o' };
	memcpy(jpeg + 2, comment, sizeof(comment));
	jpeg_size += sizeof(comment);
	expect_jpeg_refused("JPEG: a segment that is not permitted");
}

static void jpeg_only_when_asked_for_and_of_the_right_size(void **state)
{
	(void)state;
	start(300, 300, 9, 0, 0);
	say_jpeg(200, 100, 200, 100);
	expect(0);
	assert_int_equal(pixel(199, 99) >> 24, 0xff);
	assert_in_range(pixel(199, 99) & 0xff, 0x7c, 0x84);
	stop(NULL);
	start(300, 300, 0, 0, 0);
	say_jpeg(200, 100, 200, 100);
	expect_refused();
	start(300, 300, 9, 0, 0);
	say_jpeg(200, 100, 199, 100);
	expect_refused();
	start(300, 300, 9, 0, 0);
	say_jpeg(100, 100, 200, 100);
	expect_refused();
	start(300, 300, 9, 0, 0);
	say_update(1);
	say_rect(0, 0, 10, 10, 7);
	say("\x90\4abcd", 6);
	expect_refused();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tight_fill_and_full_flag),
		cmocka_unit_test(tight_copy_filter_of_every_size),
		cmocka_unit_test(tight_palettes),
		cmocka_unit_test(tight_index_behind_the_palette_is_harmless),
		cmocka_unit_test(tight_data_of_another_length_is_refused),
		cmocka_unit_test(tight_kinds_that_are_not_listed_are_refused),
		cmocka_unit_test(jpeg_only_when_asked_for_and_of_the_right_size),
		cmocka_unit_test(jpegs_of_another_form_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
