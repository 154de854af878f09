/*
 * The first inputs of fuzz_guard_down and fuzz_guard_jpeg: fuzz_guard_seeds down|jpeg FOLDER. What the real encoder writes, in both forms; and the same grammar with data
 * that is not compressed, in which a changed byte still gets to the parsers behind inflate.
 */
#include "common/decode/decode.h"
#include "tests/unit/encode_viewer.h"
#include "tests/unit/guard_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { WIDTH = 200, HEIGHT = 100 };

static struct stream s;

static void save(const char *folder)
{
	static unsigned number;
	char path[4096];
	snprintf(path, sizeof(path), "%s/stream-%u", folder, number++);
	FILE *file = fopen(path, "wb");
	if (!file || fwrite(s.bytes, 1, s.n, file) != s.n || fclose(file) != 0) {
		perror(path);
		exit(1);
	}
	s.n = 0;
}

static void encoded(const char *folder, enum picture picture, int tight, int photos)
{
	static uint32_t source[WIDTH * HEIGHT];
	static uint8_t out[GR_ENCODE_OUT_MIN];
	struct gr_encode_settings settings = { .form = tight ? GR_ENCODE_TIGHT : GR_ENCODE_GARASU,
					       .copy_rect = 1,
					       .history_log2 = 20,
					       .photo_quality = photos ? 50 : 0,
					       .video_quality = 40,
					       .refine_after_ms = 100 };
	struct gr_rect all = { 0, 0, WIDTH, HEIGHT };
	struct gr_encoder *e = gr_encoder_create(WIDTH, HEIGHT);
	if (!e || gr_encoder_start(e, &settings))
		exit(1);
	put8(&s, 0);
	for (unsigned frame = 0; frame < 4; frame++) {
		uint64_t now = 1000 + frame * 200;
		unsigned rects;
		if (frame < 3)
			picture_draw(source, WIDTH, (struct gr_rect){ 8, 5, 40, 60 }, picture, 1, 300, 300 + frame * 9);
		gr_encoder_take(e, (const uint8_t *)source, WIDTH * sizeof(uint32_t), &all, 1, now);
		while (gr_encoder_pending(e, now)) {
			ptrdiff_t n = gr_encoder_write(e, now, out, sizeof(out), &rects);
			if (n < 0)
				exit(1);
			put_update(&s, rects);
			put(&s, out, (size_t)n);
		}
	}
	gr_encoder_destroy(e);
	save(folder);
}

/* All messages and pseudo-rectangles. */
static void small(const char *folder)
{
	put8(&s, 2);
	put8(&s, 150);
	put(&s, "\xf8\0\0\0\x80\0\0\1\4\0\0\0\1", 13);
	put_update(&s, 4);
	put_rectangle(&s, 0, 0, 120, 80, -308);
	put(&s, "\1\0\0\0\0\0\0\1\0\0\0\0\0\x78\0\x50\0\0\0\0", 20);
	put_rectangle(&s, 1, 1, 3, 2, -239);
	for (unsigned i = 0; i < 6; i++)
		put32(&s, 0x10203000);
	put(&s, "\xe0\x40", 2);
	put_rectangle(&s, 0, 0, 50, 50, 1);
	put32(&s, 0x000a0014);
	put_rectangle(&s, 0, 0, 130, 90, -223);
	put_update(&s, 65535);
	put_rectangle(&s, 0, 0, 0, 0, -258);
	put_rectangle(&s, 0, 0, 0, 0, -224);
	put(&s, "\xf8\0\0\0\x80\0\0\1\4\0\0\0\2", 13);
	put(&s, "G\2\0\1\0\5\0\6\0\7\0\x8", 12);
	put(&s, "G\3\0\1\0\0\0\7", 8);
	put(&s, "G\4\0\1\0\0\0\1\0\0\0\2\4\0\5\0\0\1\0\xc8\0\0\0\0", 24); /* an offer, a piece, the end */
	put(&s, "G\4\0\2\0\0\0\1\0\1\0\2\4\0\5\0\0\0\0\x5a\0\0\0\0", 24);
	put(&s, "G\4\0\3\0\0\0\1\0\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0", 24);
	put(&s, "G\5\0\0\0\0\0\6a\t\xe6\x97\xa5\n", 14);
	put(&s, "G\1\0\6\0\0\0\0", 8);
	save(folder);
}

static void history(const char *folder)
{
	static const char pieces[] = "\0\4\0\4\0\5\0\2\xc1\1\2\3\4\5\6\x81\7\x8\0\x43\x80\1" /* colours, greys, runs */
				     "\0\5\0\5\x80\6\0\2\xc5\1\2\3\4\5\6\7\x8\x9\1\2\3\4\5\6\7\x8\x9\xc5\1\2\3\4\5\6\7"
				     "\x8\x9\1\2\3\4\5\6\7\x8\x9"
				     "\0\0\0\0\0\xc8\0\1\x3d\x8a"
				     "\0\0\0\0\0\xc8\0\1\3f\xc3\0\0\0\1\1\1\2\2\2\3\3\3";
	static uint8_t unit[20000];
	size_t n = white_unit(unit, 0, 0, 200, 100);
	put8(&s, 0);
	put_update(&s, 2);
	put_rectangle(&s, 0, 0, 200, 100, GR_ENCODING_HISTORY);
	put_history(&s, unit, n, 1);
	put_rectangle(&s, 0, 0, 200, 100, GR_ENCODING_HISTORY);
	put_history(&s, pieces, 22, 0);
	save(folder);
	put8(&s, 0);
	put_update(&s, 1);
	put_rectangle(&s, 0, 0, 200, 100, GR_ENCODING_HISTORY);
	put_history(&s, pieces, sizeof(pieces) - 1, 1);
	save(folder);
}

static void photo(const char *folder, unsigned w, unsigned h, int quality)
{
	static uint8_t jpeg[65536];
	size_t n = make_jpeg(jpeg, sizeof(jpeg), w, h, quality);
	put8(&s, 0);
	put_update(&s, 1);
	put_rectangle(&s, 0, 0, w, h, GR_ENCODING_PHOTO);
	put32(&s, (uint32_t)n);
	put(&s, jpeg, n);
	save(folder);
}

static void put_stored(z_stream *z, unsigned control, const char *filter, size_t filter_size, const void *data,
		       size_t n)
{
	uint8_t out[4096];
	z->next_in = (Bytef *)(uintptr_t)data;
	z->avail_in = (uInt)n;
	z->next_out = out;
	z->avail_out = sizeof(out);
	if (deflate(z, Z_SYNC_FLUSH) != Z_OK)
		exit(1);
	size_t size = sizeof(out) - z->avail_out;
	put8(&s, control);
	put(&s, filter, filter_size);
	put8(&s, (size & 0x7f) | 0x80);
	put8(&s, size >> 7);
	put(&s, out, size);
}

static void tight(const char *folder)
{
	z_stream z[3] = { { 0 } };
	uint8_t data[600];
	for (unsigned i = 0; i < 3; i++)
		if (deflateInit(&z[i], 0) != Z_OK)
			exit(1);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = i % 3;
	put8(&s, 0);
	put_update(&s, 6);
	put_rectangle(&s, 0, 0, 100, 50, 7);
	put(&s, "\x80\1\2\3", 4);
	put_rectangle(&s, 0, 0, 3, 1, 7);
	put(&s, "\0abcdefghi", 10);
	put_rectangle(&s, 0, 0, 20, 10, 7);
	put_stored(&z[0], 0, "", 0, data, 600);
	put_rectangle(&s, 0, 0, 20, 10, 7);
	put_stored(&z[2], 0x60, "\1\2\0\0\0\1\1\1\2\2\2", 11, data, 200);
	memset(data, 0x50, sizeof(data));
	put_rectangle(&s, 0, 0, 12, 60, 7);
	put_stored(&z[1], 0x50, "\1\1\0\0\0\1\1\1", 8, data, 120);
	put_rectangle(&s, 0, 0, 20, 10, 7);
	put_stored(&z[0], 0, "", 0, data, 600);
	save(folder);
	for (unsigned i = 0; i < 3; i++)
		deflateEnd(&z[i]);
}

/* For fuzz_guard_jpeg. */
static void jpegs(const char *folder)
{
	static uint8_t jpeg[65536];
	for (unsigned w = 1; w <= 256; w = w * 3 + 1)
		for (int quality = 1; quality <= 100; quality += 33) {
			size_t n = make_jpeg(jpeg, sizeof(jpeg), w, w / 2 + 1, quality);
			put8(&s, w - 1);
			put8(&s, w / 2);
			put(&s, jpeg, n);
			save(folder);
		}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	const char *folder = argv[2];
	if (strcmp(argv[1], "jpeg") == 0) {
		jpegs(folder);
		return 0;
	}
	for (unsigned i = 0; i < 4 * PICTURES; i++)
		encoded(folder, i / 4, i & 1, i & 2);
	small(folder);
	history(folder);
	tight(folder);
	photo(folder, 16, 16, 30);
	photo(folder, 17, 1, 90);
	photo(folder, 40, 40, 10);
	return 0;
}
