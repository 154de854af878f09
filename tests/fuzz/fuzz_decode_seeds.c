/*
 * The first inputs of fuzz_decode and fuzz_decode_unit, from the real encoder: fuzz_decode_seeds decode|unit|orders FOLDER.
 * "orders" are of fuzz_encode_round_trip.
 */
#include "common/decode/tokens.h"
#include "tests/unit/encode_viewer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { WIDTH = 160, HEIGHT = 100, FRAMES = 6 };

static uint32_t source[WIDTH * HEIGHT];
static uint8_t out[GR_ENCODE_OUT_MIN];

static FILE *create(const char *folder, const char *name, unsigned number)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s-%u", folder, name, number);
	FILE *file = fopen(path, "wb");
	if (!file) {
		perror(path);
		exit(1);
	}
	return file;
}

static void put(FILE *file, const void *bytes, size_t n)
{
	if (fwrite(bytes, 1, n, file) != n) {
		perror("fwrite");
		exit(1);
	}
}

/* The fuzzers' rectangle: one byte each, w and h less 1. */
static void put_place(FILE *file, const uint8_t *rect)
{
	uint8_t place[4] = { rect[1], rect[3], (uint8_t)(rect[5] - 1), (uint8_t)(rect[7] - 1) };
	put(file, place, sizeof(place));
}

/* One unit to a file of its own. */
static void put_unit(const char *folder, unsigned number, ZSTD_DCtx *stream, const uint8_t *rect,
		     const uint8_t *payload, size_t n)
{
	static uint8_t unit[GR_UNIT_MAX];
	ZSTD_inBuffer in = { payload, n, 0 };
	ZSTD_outBuffer to = { unit, sizeof(unit), 0 };
	if (ZSTD_isError(ZSTD_decompressStream(stream, &to, &in)) || in.pos < n)
		exit(1);
	FILE *file = create(folder, "unit", number);
	put_place(file, rect);
	put(file, unit, to.pos);
	fclose(file);
}

/* A session in which pictures of one sort come, scroll, and are refined. */
static void record(const char *folder, int units, enum picture picture, int lossy)
{
	static unsigned number;
	struct gr_encoder *e = gr_encoder_create(WIDTH, HEIGHT);
	ZSTD_DCtx *stream = ZSTD_createDCtx();
	struct gr_encode_settings settings = { .form = GR_ENCODE_GARASU,
					       .history_log2 = GR_ENCODE_HISTORY_MIN,
					       .photo_quality = lossy ? 60 : 0,
					       .video_quality = 40,
					       .refine_after_ms = 100 };
	struct gr_rect all = { 0, 0, WIDTH, HEIGHT };
	if (!e || !stream || gr_encoder_start(e, &settings))
		exit(1);
	FILE *file = units ? NULL : create(folder, "decode", number++);
	if (file)
		put(file, "\1", 1);
	for (unsigned frame = 0; frame < FRAMES; frame++) {
		uint64_t now = 1000 + frame * 200;
		unsigned rects;
		if (frame % 3 != 2)
			picture_draw(source, WIDTH, (struct gr_rect){ 8, 5, 100, 80 }, picture, frame / 3, 300,
				     300 + frame * 9);
		gr_encoder_take(e, (const uint8_t *)source, WIDTH * sizeof(uint32_t), &all, 1, now);
		while (gr_encoder_pending(e, now)) {
			ptrdiff_t n = gr_encoder_write(e, now, out, sizeof(out), &rects);
			if (n < 0)
				exit(1);
			for (const uint8_t *at = out; at < out + n;) {
				if (at[11] == 1) { /* CopyRect */
					at += 16;
					continue;
				}
				size_t length = (size_t)at[14] << 8 | at[15];
				uint8_t kind = at[11] == (GR_ENCODING_PHOTO & 255);
				if (file) {
					put(file, &kind, 1);
					put_place(file, at);
					put(file, at + 14, 2 + length);
				} else if (!kind) {
					put_unit(folder, number++, stream, at, at + 16, length);
				}
				at += 16 + length;
			}
		}
	}
	if (file)
		fclose(file);
	ZSTD_freeDCtx(stream);
	gr_encoder_destroy(e);
}

/* draw, take, drain, scroll, take, drain, wait, drain, of every picture in every form. */
static void put_orders(const char *folder)
{
	for (unsigned i = 0; i < 8 * PICTURES; i++) {
		uint8_t picture = (uint8_t)(i / 8);
		const uint8_t orders[][12] = {
			{ 0, 0, 0, 0, 74, 1, 200, 0, 0, picture, 5, 7 },  { 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0 },
			{ 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0 },          { 0, 0, 0, 0, 73, 1, 199, 0, 4, 0, 20, 0 },
			{ 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0 },           { 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0 },
			{ 5, 0, 9, 0, 100, 0, 90, 0, 4, 5, 0xf0, 0 },     { 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0 },
			{ 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0 },          { 0, 0, 0, 0, 0, 0, 0, 0, 14, 255, 0, 0 },
			{ 40, 0, 40, 0, 90, 0, 90, 0, 0, picture, 9, 7 }, { 30, 0, 30, 0, 99, 0, 99, 0, 8, 0, 0, 0 },
			{ 20, 0, 20, 0, 50, 0, 50, 0, 13, 1, 0, 0 },      { 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0 },
		};
		uint8_t flags = (uint8_t)(i & 7);
		FILE *file = create(folder, "orders", i);
		put(file, &flags, 1);
		put(file, orders, sizeof(orders));
		fclose(file);
	}
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	if (!strcmp(argv[1], "orders"))
		put_orders(argv[2]);
	else
		for (unsigned picture = 0; picture < PICTURES; picture++)
			for (int lossy = 0; lossy < 2; lossy++)
				record(argv[2], !strcmp(argv[1], "unit"), picture, lossy);
	return 0;
}
