#include "viewer/tight.h"
#include "common/decode/jpeg.h"
#include "common/error.h"

#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>
#include <zlib.h>

enum {
	STREAMS = 4,
	ROWS_BYTES = 65536, /* unpacked bytes held at once: at least one row of GR_SCREEN_MAX pixels of 3 bytes */
	RAW_BELOW = 12, /* shorter data is not compressed */
};

_Static_assert(ROWS_BYTES >= GR_SCREEN_MAX * 3, "a row of the largest screen must fit");

struct gr_tight {
	z_stream streams[STREAMS];
	int stream_used[STREAMS];
	int permit_jpeg;
	tjhandle jpeg; /* made when first needed */
	uint8_t *jpeg_data;
	size_t jpeg_capacity;
	uint32_t palette[256];
	uint8_t rows[ROWS_BYTES];
};

enum filter { FILTER_COPY, FILTER_MONO, FILTER_PALETTE };

struct gr_tight *gr_tight_create(int permit_jpeg)
{
	struct gr_tight *tight = calloc(1, sizeof(*tight));
	if (tight)
		tight->permit_jpeg = permit_jpeg;
	return tight;
}

void gr_tight_destroy(struct gr_tight *tight)
{
	if (!tight)
		return;
	for (int i = 0; i < STREAMS; i++)
		if (tight->stream_used[i])
			inflateEnd(&tight->streams[i]);
	if (tight->jpeg)
		tjDestroy(tight->jpeg);
	free(tight->jpeg_data);
	free(tight);
}

static int refuse(struct gr_reader *reader, const char **why, const char *text)
{
	*why = text;
	return gr_reader_refuse(reader);
}

/* TPIXEL of a 24-bit format: red, green, blue. */
static inline uint32_t pixel_of(const uint8_t *rgb)
{
	return 0xff000000u | (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
}

/* 1 to 3 bytes, at most 22 bits. */
static size_t compact_length(struct gr_reader *reader)
{
	uint8_t b = gr_reader_u8(reader);
	size_t n = b & 0x7fu;
	if (b & 0x80) {
		b = gr_reader_u8(reader);
		n |= (size_t)(b & 0x7fu) << 7;
		if (b & 0x80)
			n |= (size_t)gr_reader_u8(reader) << 14;
	}
	return n;
}

static void put_row(const struct gr_tight *tight, enum filter filter, const uint8_t *from, uint32_t *to, size_t width)
{
	switch (filter) {
	case FILTER_COPY:
		for (size_t i = 0; i < width; i++)
			to[i] = pixel_of(from + 3 * i);
		break;
	case FILTER_MONO:
		for (size_t i = 0; i < width; i++)
			to[i] = tight->palette[from[i / 8] >> (7 - i % 8) & 1];
		break;
	case FILTER_PALETTE:
		/* All 256 entries exist; those behind the palette's end are black. */
		for (size_t i = 0; i < width; i++)
			to[i] = tight->palette[from[i]];
		break;
	}
}

/* Inflates exactly n bytes into out, taking from *left compressed ones. */
static int inflate_exactly(z_stream *z, struct gr_reader *reader, size_t *left, uint8_t *out, size_t n,
			   const char **why)
{
	z->next_out = out;
	z->avail_out = (uInt)n;
	while (z->avail_out) {
		if (!z->avail_in) {
			size_t got = 0;
			if (!*left)
				return refuse(reader, why, "Tight: too little compressed data");
			const uint8_t *data = gr_reader_some(
				reader, 1, *left < GR_READER_CAPACITY ? *left : GR_READER_CAPACITY, &got);
			if (!data)
				return gr_reader_status(reader);
			*left -= got;
			z->next_in = (Bytef *)(uintptr_t)data;
			z->avail_in = (uInt)got;
		}
		int status = inflate(z, Z_SYNC_FLUSH);
		if (status == Z_BUF_ERROR && !z->avail_in)
			continue;
		if (status != Z_OK)
			return refuse(reader, why, "Tight: broken compressed data");
	}
	return 0;
}

/* What is left of the compressed data may only be the end of a flushed block: it must not unpack to anything. */
static int inflate_rest(z_stream *z, struct gr_reader *reader, size_t *left, const char **why)
{
	for (;;) {
		uint8_t surplus;
		if (!z->avail_in) {
			if (!*left)
				return 0;
			size_t got = 0;
			const uint8_t *data = gr_reader_some(
				reader, 1, *left < GR_READER_CAPACITY ? *left : GR_READER_CAPACITY, &got);
			if (!data)
				return gr_reader_status(reader);
			*left -= got;
			z->next_in = (Bytef *)(uintptr_t)data;
			z->avail_in = (uInt)got;
		}
		z->next_out = &surplus;
		z->avail_out = 1;
		int status = inflate(z, Z_SYNC_FLUSH);
		if (!z->avail_out)
			return refuse(reader, why, "Tight: too much compressed data");
		if (status != Z_OK && !(status == Z_BUF_ERROR && !z->avail_in))
			return refuse(reader, why, "Tight: broken compressed data");
	}
}

static int decode_basic(struct gr_tight *tight, struct gr_reader *reader, uint8_t control, uint32_t *pixels,
			size_t stride, struct gr_rect rect, const char **why)
{
	enum filter filter = FILTER_COPY;
	size_t row_bytes = (size_t)rect.w * 3;

	if (control & 0x40) {
		uint8_t untrusted_filter = gr_reader_u8(reader);
		if (untrusted_filter == 1) {
			size_t colours = (size_t)gr_reader_u8(reader) + 1;
			const uint8_t *rgb = gr_reader_take(reader, colours * 3);
			if (!rgb)
				return gr_reader_status(reader);
			if (colours < 2)
				return refuse(reader, why, "Tight: a palette of one colour");
			for (size_t i = 0; i < 256; i++)
				tight->palette[i] = i < colours ? pixel_of(rgb + 3 * i) : 0xff000000u;
			filter = colours == 2 ? FILTER_MONO : FILTER_PALETTE;
			row_bytes = colours == 2 ? ((size_t)rect.w + 7) / 8 : rect.w;
		} else if (untrusted_filter != 0) {
			return refuse(reader, why, "Tight: a filter that is not permitted");
		}
	}
	if (gr_reader_status(reader))
		return gr_reader_status(reader);

	uint32_t *to = pixels + (size_t)rect.y * stride + rect.x;
	size_t total = row_bytes * rect.h; /* at most 3 * 8192 * 8192 */
	if (total < RAW_BELOW) {
		const uint8_t *data = gr_reader_take(reader, total);
		if (!data)
			return gr_reader_status(reader);
		for (size_t row = 0; row < rect.h; row++)
			put_row(tight, filter, data + row * row_bytes, to + row * stride, rect.w);
		return 0;
	}

	unsigned number = control >> 4 & 3;
	z_stream *z = &tight->streams[number];
	if (!tight->stream_used[number]) {
		*z = (z_stream){ 0 };
		if (inflateInit(z) != Z_OK) {
			*why = "zlib has no memory";
			return gr_reader_fail(reader, GR_ENOMEM);
		}
		tight->stream_used[number] = 1;
	}
	size_t left = compact_length(reader);
	if (gr_reader_status(reader))
		return gr_reader_status(reader);
	z->avail_in = 0;
	size_t at_once = ROWS_BYTES / row_bytes;
	for (size_t row = 0; row < rect.h;) {
		size_t rows = rect.h - row < at_once ? rect.h - row : at_once;
		int status = inflate_exactly(z, reader, &left, tight->rows, rows * row_bytes, why);
		if (status)
			return status;
		for (size_t i = 0; i < rows; i++)
			put_row(tight, filter, tight->rows + i * row_bytes, to + (row + i) * stride, rect.w);
		row += rows;
	}
	return inflate_rest(z, reader, &left, why);
}

static int decode_jpeg(struct gr_tight *tight, struct gr_reader *reader, uint32_t *pixels, size_t stride,
		       struct gr_rect rect, const char **why)
{
	if (!tight->permit_jpeg)
		return refuse(reader, why, "Tight: JPEG, which was not asked for");
	size_t length = compact_length(reader); /* below 4 MiB by its form */
	if (gr_reader_status(reader))
		return gr_reader_status(reader);
	if (length == 0)
		return refuse(reader, why, "Tight: an empty JPEG");
	if (length > tight->jpeg_capacity) {
		uint8_t *data = realloc(tight->jpeg_data, length);
		if (!data)
			return gr_reader_fail(reader, GR_ENOMEM);
		tight->jpeg_data = data;
		tight->jpeg_capacity = length;
	}
	if (gr_reader_copy(reader, tight->jpeg_data, length))
		return gr_reader_status(reader);
	/* Before libjpeg sees a byte: the same form as PHOTO's, one baseline frame of the rectangle's size in one scan. */
	if ((*why = gr_jpeg_check(tight->jpeg_data, length, rect.w, rect.h)))
		return gr_reader_refuse(reader);
	if (!tight->jpeg && !(tight->jpeg = tjInitDecompress()))
		return gr_reader_fail(reader, GR_ENOMEM);
	uint32_t *to = pixels + (size_t)rect.y * stride + rect.x;
	if (tjDecompress2(tight->jpeg, tight->jpeg_data, length, (unsigned char *)to, rect.w, (int)(stride * 4), rect.h,
			  TJPF_BGRA, TJFLAG_NOREALLOC | TJFLAG_ACCURATEDCT) < 0 &&
	    tjGetErrorCode(tight->jpeg) != TJERR_WARNING)
		return refuse(reader, why, "Tight: a broken JPEG");
	return 0;
}

int gr_tight_decode(struct gr_tight *tight, struct gr_reader *reader, uint32_t *pixels, size_t stride,
		    struct gr_rect rect, const char **why)
{
	uint8_t control = gr_reader_u8(reader);
	if (gr_reader_status(reader))
		return gr_reader_status(reader);
	for (int i = 0; i < STREAMS; i++)
		if (control >> i & 1 && tight->stream_used[i] && inflateReset(&tight->streams[i]) != Z_OK)
			return refuse(reader, why, "Tight: zlib cannot be reset");
	switch (control >> 4) {
	case 8: {
		const uint8_t *rgb = gr_reader_take(reader, 3);
		if (!rgb)
			return gr_reader_status(reader);
		uint32_t pixel = pixel_of(rgb);
		for (size_t y = 0; y < rect.h; y++) {
			uint32_t *row = pixels + (rect.y + y) * stride + rect.x;
			for (size_t x = 0; x < rect.w; x++)
				row[x] = pixel;
		}
		return 0;
	}
	case 9: return decode_jpeg(tight, reader, pixels, stride, rect, why);
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
	case 5:
	case 6:
	case 7: return decode_basic(tight, reader, control, pixels, stride, rect, why);
	default: return refuse(reader, why, "Tight: a kind of compression that is not permitted");
	}
}
