#include "broker/guard/tight.h"
#include "common/limits.h"

#include <stdlib.h>
#include <zlib.h>

#define STREAMS 4u
#define ROWS_BYTES 65536u /* inflated at once: at least one row of the widest screen */
#define RAW_BELOW 12u /* bytes that are not compressed */
#define CONTROL_FILL 8u /* the control byte's upper half */
#define CONTROL_JPEG 9u
#define CONTROL_FILTER 4u /* a bit of it: the filter's number follows */

_Static_assert(ROWS_BYTES >= GR_SCREEN_MAX * 3, "a row of the largest screen fits");

struct gr_guard_tight {
	struct gr_guard_jpeg *jpeg; /* borrowed */
	bool strict;
	bool used[STREAMS];
	z_stream streams[STREAMS];
	uint8_t rows[ROWS_BYTES];
};

/* What stands in front of a rectangle's data. */
struct layout {
	unsigned kind; /* CONTROL_FILL, CONTROL_JPEG; below 8: basic */
	unsigned stream;
	unsigned colours; /* of the palette; 0: pixels of three bytes */
	size_t row; /* bytes of a row, before compression */
	size_t data; /* where the data begins */
	size_t length; /* of the data as they are sent */
	bool compressed;
};

struct gr_guard_tight *gr_guard_tight_create(struct gr_guard_jpeg *jpeg, bool strict)
{
	struct gr_guard_tight *tight = calloc(1, sizeof(*tight));
	if (!tight)
		return NULL;
	tight->jpeg = jpeg;
	tight->strict = strict;
	return tight;
}

void gr_guard_tight_destroy(struct gr_guard_tight *tight)
{
	if (!tight)
		return;
	for (unsigned i = 0; i < STREAMS; i++)
		if (tight->used[i])
			inflateEnd(&tight->streams[i]);
	free(tight);
}

/* 1 to 3 bytes, in the shortest form. Sets *at behind it when all of it is there, or to n + 1. */
static const char *compact(const uint8_t *untrusted, size_t n, size_t *at, size_t *length)
{
	*length = 0;
	for (unsigned i = 0; i < 3; i++) {
		if (*at >= n) {
			*at = n + 1;
			return NULL;
		}
		uint8_t byte = untrusted[(*at)++];
		*length |= (size_t)(i < 2 ? byte & 0x7f : byte) << 7 * i;
		if (i && !byte)
			return "Tight: a length that is not in its shortest form";
		if (i < 2 && !(byte & 0x80))
			return NULL;
	}
	return NULL;
}

/* Fills in what n bytes tell; data > n: not all of the header is there. */
static const char *read_layout(const uint8_t *untrusted, size_t n, uint16_t w, uint16_t h, struct layout *out)
{
	*out = (struct layout){ .row = (size_t)w * 3, .data = 1 };
	if (!n)
		return NULL;
	out->kind = untrusted[0] >> 4;
	if (out->kind == CONTROL_FILL) {
		out->length = 3;
		return NULL;
	}
	if (out->kind == CONTROL_JPEG) {
		const char *rule = compact(untrusted, n, &out->data, &out->length);
		return !rule && out->data <= n && !out->length ? "Tight: an empty JPEG" : rule;
	}
	if (out->kind > CONTROL_JPEG)
		return "Tight: a kind of compression that is not permitted";
	out->stream = out->kind & 3;
	if (out->kind & CONTROL_FILTER) {
		out->data = 2;
		if (n < 2)
			return NULL;
		if (untrusted[1] > 1)
			return "Tight: a filter that is not permitted";
		if (untrusted[1] == 1) {
			out->data = 3;
			if (n < 3)
				return NULL;
			out->colours = untrusted[2] + 1u;
			if (out->colours < 2)
				return "Tight: a palette of one colour";
			out->data = 3 + (size_t)out->colours * 3;
			out->row = out->colours == 2 ? ((size_t)w + 7) / 8 : w;
		}
	}
	if (out->data > n)
		return NULL;
	if (out->row * h < RAW_BELOW) {
		out->length = out->row * h;
		return NULL;
	}
	out->compressed = true;
	return compact(untrusted, n, &out->data, &out->length);
}

const char *gr_guard_tight_measure(const uint8_t *untrusted, size_t n, uint16_t w, uint16_t h, size_t *size_out)
{
	struct layout layout;
	const char *rule = read_layout(untrusted, n, w, h, &layout);
	*size_out = layout.data > n ? layout.data : layout.data + layout.length;
	return rule;
}

/* Pixels of a palette: indices that it has, and no bits beside a row's. */
static const char *rows_good(const struct layout *layout, const uint8_t *untrusted, size_t rows, uint16_t w)
{
	if (layout->colours == 2 && w % 8) {
		for (size_t i = 1; i <= rows; i++)
			if (untrusted[i * layout->row - 1] & (0xff >> w % 8))
				return "Tight: bits beside the pixels";
	} else if (layout->colours > 2 && layout->colours < 256) {
		for (size_t i = 0; i < rows * layout->row; i++)
			if (untrusted[i] >= layout->colours)
				return "Tight: a colour that the palette does not have";
	}
	return NULL;
}

/* As many bytes as there is room, and whether the stream is sound. */
static bool inflate_some(z_stream *z, uint8_t *out, size_t room)
{
	z->next_out = out;
	z->avail_out = (uInt)room;
	while (z->avail_out && z->avail_in) {
		int status = inflate(z, Z_SYNC_FLUSH);
		if (status != Z_OK && status != Z_BUF_ERROR)
			return false;
		if (status == Z_BUF_ERROR)
			break;
	}
	return true;
}

static const char *inflate_rows(struct gr_guard_tight *tight, const struct layout *layout, const uint8_t *untrusted,
				uint16_t w, uint16_t h)
{
	z_stream *z = &tight->streams[layout->stream];
	if (!tight->used[layout->stream]) {
		*z = (z_stream){ 0 };
		if (inflateInit(z) != Z_OK)
			return "Tight: zlib has no memory";
		tight->used[layout->stream] = true;
	}
	z->next_in = (Bytef *)(uintptr_t)untrusted;
	z->avail_in = (uInt)layout->length;
	size_t at_once = ROWS_BYTES / layout->row;
	for (size_t done = 0; done < h;) {
		size_t rows = h - done < at_once ? h - done : at_once;
		if (!inflate_some(z, tight->rows, rows * layout->row))
			return "Tight: broken compressed data";
		if (z->avail_out)
			return "Tight: fewer pixels than the rectangle has";
		const char *rule = rows_good(layout, tight->rows, rows, w);
		if (rule)
			return rule;
		done += rows;
	}
	/* What is left may only be the end of a flushed block. */
	uint8_t surplus;
	if (!inflate_some(z, &surplus, 1))
		return "Tight: broken compressed data";
	if (!z->avail_out || z->avail_in)
		return "Tight: more data than the rectangle's pixels";
	return NULL;
}

const char *gr_guard_tight_check(struct gr_guard_tight *tight, const uint8_t *untrusted, size_t n, uint16_t w,
				 uint16_t h, bool photo)
{
	struct layout layout;
	const char *rule = read_layout(untrusted, n, w, h, &layout);
	if (rule)
		return rule;
	if (layout.kind == CONTROL_JPEG && !photo)
		return "Tight: a JPEG that was not asked for";
	for (unsigned i = 0; i < STREAMS; i++)
		if (untrusted[0] >> i & 1 && tight->used[i] && inflateReset(&tight->streams[i]) != Z_OK)
			return "Tight: zlib cannot be reset";
	const uint8_t *data = untrusted + layout.data;
	if (layout.kind == CONTROL_JPEG)
		return gr_guard_jpeg_check(tight->jpeg, data, n - layout.data, w, h, tight->strict);
	if (layout.kind == CONTROL_FILL)
		return NULL;
	if (!layout.compressed)
		return rows_good(&layout, data, h, w);
	return tight->strict ? inflate_rows(tight, &layout, data, w, h) : NULL;
}
