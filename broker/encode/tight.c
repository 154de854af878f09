#include "broker/encode/tight.h"
#include "broker/encode/deflate.h"
#include "common/error.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define COLOUR 0x00ffffffu
#define TWO_COLOURS 0x00ffffff00ffffffull

/* Found by measuring pages, tables, maps and PDFs. */
#define STRIP_WIDTH 512u /* pixels; the format permits 2048 */
#define TILE_PIXELS GR_DEFLATE_PIECE_MAX /* of a palette */
#define SPLIT_HEIGHT 128u /* rows of a strip that are written otherwise when it has too many colours */
#define NARROWEST 128u /* pixels: nothing is halved to less */
#define FILL_MIN 16u /* rows inside a strip */
#define BAND_MIN 32u /* rows of one colour that are cut out of a rectangle */
#define MARGIN_MIN 32u /* columns of one colour that are cut off at its sides */

/*
 * A colour of a palette costs 3 bytes. An index instead of a pixel saves about one where a run of pixels ends, and something
 * on long runs: one byte for so many pixels.
 */
#define PIXELS_PER_SAVED_BYTE 64u
#define COLOURS 256u
#define SLOTS_BITS 10
#define SLOTS (1u << SLOTS_BITS)
#define RAW_BELOW 12u /* bytes that are not compressed */

#define ENCODING_TIGHT 7u
#define CONTROL_FILL 0x80u
#define CONTROL_JPEG 0x90u
#define CONTROL_FILTER 0x40u /* the filter's number follows; bits 4 and 5: the stream */
#define FILTER_PALETTE 1u

#define STREAM_PIXELS 0u
#define STREAM_MONO 1u
#define STREAM_PALETTE 2u

/* Bytes of a rectangle beside its pixels: headers, what deflate adds to the shortest piece, its scratch. */
#define RECT_OVERHEAD (12u + 1 + 3 + GR_DEFLATE_BOUND(0) + GR_DEFLATE_SLACK)

_Static_assert(STRIP_WIDTH *SPLIT_HEIGHT * 3 <= GR_DEFLATE_PIECE_MAX, "pixels of a strip must be one piece");
_Static_assert((COLOURS * 3 + 1) * PIXELS_PER_SAVED_BYTE * 3 <= GR_DEFLATE_PIECE_MAX,
	       "a tile for which a palette does not pay must be one piece");
_Static_assert(GR_DEFLATE_STREAMS > STREAM_PALETTE, "a stream for each");

struct gr_tight_encoder {
	struct gr_deflate *deflate;
	uint32_t colours[COLOURS + 1]; /* in the order in which they were met */
	uint32_t keys[SLOTS]; /* round << 24 | colour */
	uint8_t numbers[SLOTS]; /* index in colours */
	uint32_t round; /* 1..255: which keys are of this tile */
};

/* Where and what is written. */
struct writer {
	const uint32_t *pixels;
	size_t stride;
	uint8_t *out;
	unsigned rects;
};

struct gr_tight_encoder *gr_tight_encoder_create(void)
{
	struct gr_tight_encoder *tight = calloc(1, sizeof(*tight));
	if (!tight)
		return NULL;
	tight->deflate = gr_deflate_create();
	if (!tight->deflate) {
		free(tight);
		return NULL;
	}
	return tight;
}

void gr_tight_encoder_destroy(struct gr_tight_encoder *tight)
{
	if (!tight)
		return;
	gr_deflate_destroy(tight->deflate);
	free(tight);
}

/*
 * No rectangle takes more than 3 bytes a pixel and what deflate adds to them, and RECT_OVERHEAD. A palette is sent only when
 * it has fewer bytes than a third of the pixels. So how many rectangles there can be is left. In columns that are not
 * narrower than NARROWEST (but for the last) there are fills, each of FILL_MIN rows and one tile above it; 24-bit pixels, and
 * halves, each of SPLIT_HEIGHT rows and one tile above; and what ends with a band, which has BAND_MIN rows of blank below
 * and two margins beside. Other tiles end because there are too many colours; of two that follow each other one has 129
 * of them at least, so more than 360 pixels, and their overhead is in what they do not use of 3 bytes a pixel.
 */
size_t gr_tight_encoder_bound(uint16_t w, uint16_t h)
{
	size_t columns = w / NARROWEST + 2u, pixels = (size_t)w * h;
	size_t rects = columns * (2u * (h / FILL_MIN + 1u) + 2u * (h / SPLIT_HEIGHT + 1u) + 4u * (h / BAND_MIN + 1u));
	return GR_DEFLATE_BOUND(pixels * 3) + rects * RECT_OVERHEAD;
}

static uint8_t *put16(uint8_t *out, unsigned v)
{
	out[0] = (uint8_t)(v >> 8);
	out[1] = (uint8_t)v;
	return out + 2;
}

static uint8_t *put_header(struct gr_rect rect, uint8_t *out)
{
	out = put16(out, rect.x);
	out = put16(out, rect.y);
	out = put16(out, rect.w);
	out = put16(out, rect.h);
	out = put16(out, 0);
	return put16(out, ENCODING_TIGHT);
}

static uint8_t *put_colour(uint32_t colour, uint8_t *out)
{
	out[0] = (uint8_t)(colour >> 16);
	out[1] = (uint8_t)(colour >> 8);
	out[2] = (uint8_t)colour;
	return out + 3;
}

/* 1 to 3 bytes. */
static uint8_t *put_length(size_t n, uint8_t *out)
{
	assert(n < 1u << 22);
	*out++ = (uint8_t)((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
	if (n > 0x7f)
		*out++ = (uint8_t)((n >> 7 & 0x7f) | (n > 0x3fff ? 0x80 : 0));
	if (n > 0x3fff)
		*out++ = (uint8_t)(n >> 14);
	return out;
}

size_t gr_tight_encoder_jpeg_header(struct gr_rect rect, size_t length, uint8_t *out)
{
	uint8_t *end = put_header(rect, out);
	*end++ = CONTROL_JPEG;
	return (size_t)(put_length(length, end) - out);
}

static const uint32_t *row_at(const struct writer *w, uint32_t x, uint32_t y)
{
	return w->pixels + y * w->stride + x;
}

/* Pixels that are looked at at once, 16 bytes: a register of every processor that this runs on. */
typedef uint64_t pixels4 __attribute__((vector_size(16)));

static inline pixels4 load4(const uint32_t *p)
{
	pixels4 v;
	memcpy(&v, p, sizeof(v));
	return v;
}

/* How many of the n pixels from p on are `colour`. */
static inline size_t run_of(const uint32_t *p, size_t n, uint32_t colour)
{
	uint64_t two = colour | (uint64_t)colour << 32;
	pixels4 same = { two, two };
	size_t i = 0;
	for (; i + 16 <= n; i += 16) {
		pixels4 differs = (load4(p + i) ^ same) | (load4(p + i + 4) ^ same) | (load4(p + i + 8) ^ same) |
				  (load4(p + i + 12) ^ same);
		if ((differs[0] | differs[1]) & TWO_COLOURS)
			break;
	}
	while (i < n && (p[i] & COLOUR) == colour)
		i++;
	return i;
}

/* How many rows at the top of the area are all `colour`. */
static uint32_t rows_of(const struct writer *w, struct gr_rect area, uint32_t colour)
{
	uint32_t rows = 0;
	while (rows < area.h && run_of(row_at(w, area.x, area.y + rows), area.w, colour) == area.w)
		rows++;
	return rows;
}

static void write_fill(struct writer *w, struct gr_rect rect, uint32_t colour)
{
	w->out = put_header(rect, w->out);
	*w->out++ = CONTROL_FILL;
	w->out = put_colour(colour, w->out);
	w->rects++;
}

/* The data of a rectangle, which stand in the stream's room. */
static void write_data(struct gr_tight_encoder *tight, struct writer *w, unsigned stream, size_t n, size_t row_bytes)
{
	if (n < RAW_BELOW) {
		memcpy(w->out, gr_deflate_room(tight->deflate, stream), n);
		w->out += n;
	} else {
		/* The length comes first and is not known: 3 bytes are left free, and what follows moved when it is shorter. */
		uint8_t *length = w->out;
		size_t bytes = gr_deflate_piece(tight->deflate, stream, n, row_bytes, stream == STREAM_PIXELS ? 3 : 1,
						length + 3);
		w->out = put_length(bytes, length);
		if (w->out != length + 3)
			memmove(w->out, length + 3, bytes);
		w->out += bytes;
	}
	w->rects++;
}

static void write_pixels(struct gr_tight_encoder *tight, struct writer *w, struct gr_rect rect)
{
	uint8_t *room = gr_deflate_room(tight->deflate, STREAM_PIXELS);
	for (uint32_t y = 0; y < rect.h; y++) {
		const uint32_t *row = row_at(w, rect.x, rect.y + y);
		for (uint32_t x = 0; x < rect.w; x++, room += 3) {
			uint32_t rgb = htole32(__builtin_bswap32(row[x]) >> 8); /* the fourth byte is overwritten */
			memcpy(room, &rgb, sizeof(rgb));
		}
	}
	w->out = put_header(rect, w->out);
	*w->out++ = STREAM_PIXELS << 4;
	write_data(tight, w, STREAM_PIXELS, (size_t)rect.w * rect.h * 3, (size_t)rect.w * 3);
}

static uint8_t *put_palette_header(struct gr_rect rect, unsigned stream, const uint32_t *colours, unsigned n,
				   uint8_t *out)
{
	out = put_header(rect, out);
	*out++ = (uint8_t)(CONTROL_FILTER | stream << 4);
	*out++ = FILTER_PALETTE;
	*out++ = (uint8_t)(n - 1);
	for (unsigned i = 0; i < n; i++)
		out = put_colour(colours[i], out);
	return out;
}

/* from: one byte a pixel, 0 or 1. */
static void write_mono(struct gr_tight_encoder *tight, struct writer *w, struct gr_rect rect, const uint8_t *from)
{
	uint8_t *room = gr_deflate_room(tight->deflate, STREAM_MONO), *to = room;
	for (uint32_t y = 0; y < rect.h; y++) {
		uint32_t x = 0;
		for (; x + 8 <= rect.w; x += 8, from += 8) {
			uint64_t eight;
			memcpy(&eight, from, sizeof(eight));
			*to++ = (uint8_t)(eight * 0x8040201008040201ull >> 56);
		}
		if (x < rect.w) {
			unsigned bits = 0;
			for (unsigned shift = 8; x < rect.w; x++)
				bits |= (unsigned)*from++ << --shift;
			*to++ = (uint8_t)bits;
		}
	}
	w->out = put_palette_header(rect, STREAM_MONO, tight->colours, 2, w->out);
	write_data(tight, w, STREAM_MONO, (size_t)(to - room), ((size_t)rect.w + 7) / 8);
}

static uint64_t luma_key(uint32_t colour, unsigned index)
{
	uint64_t luma = (colour >> 16 & 255) * 77 + (colour >> 8 & 255) * 151 + (colour & 255) * 28;
	return luma << 32 | colour << 8 | index;
}

/* Shell's: at most 256 keys, no two are equal. */
static void sort_keys(uint64_t *keys, unsigned n)
{
	for (unsigned gap = 121; gap; gap /= 3)
		for (unsigned i = gap; i < n; i++) {
			uint64_t key = keys[i];
			unsigned k = i;
			for (; k >= gap && keys[k - gap] > key; k -= gap)
				keys[k] = keys[k - gap];
			keys[k] = key;
		}
}

/* Eight at once: mostly they are the same as the eight before. */
static void replace_indices(uint8_t *indices, size_t n, const uint8_t *rank)
{
	uint64_t last = 0, last_ranks = rank[0] * 0x0101010101010101ull;
	size_t i = 0;
	for (; i + 8 <= n; i += 8) {
		uint64_t eight;
		memcpy(&eight, indices + i, sizeof(eight));
		if (eight != last) {
			last = eight;
			last_ranks = 0;
			for (unsigned k = 0; k < 64; k += 8)
				last_ranks |= (uint64_t)rank[eight >> k & 255] << k;
		}
		memcpy(indices + i, &last_ranks, sizeof(last_ranks));
	}
	for (; i < n; i++)
		indices[i] = rank[indices[i]];
}

/* The palette goes from dark to light: the same shades have nearly the same indices then in every tile. */
static void write_palette(struct gr_tight_encoder *tight, struct writer *w, struct gr_rect rect, uint8_t *indices,
			  unsigned n)
{
	uint64_t keys[COLOURS];
	uint32_t sorted[COLOURS];
	uint8_t rank[COLOURS] = { 0 };
	for (unsigned i = 0; i < n; i++)
		keys[i] = luma_key(tight->colours[i], i);
	sort_keys(keys, n);
	for (unsigned i = 0; i < n; i++) {
		sorted[i] = (uint32_t)(keys[i] >> 8) & COLOUR;
		rank[keys[i] & 255] = (uint8_t)i;
	}
	replace_indices(indices, (size_t)rect.w * rect.h, rank);
	w->out = put_palette_header(rect, STREAM_PALETTE, sorted, n, w->out);
	write_data(tight, w, STREAM_PALETTE, (size_t)rect.w * rect.h, rect.w);
}

/* The index of a colour, added when it is new and there is room; COLOURS when there is none. */
static inline unsigned index_of(struct gr_tight_encoder *tight, uint32_t colour, unsigned *n)
{
	uint32_t key = tight->round << 24 | colour;
	uint32_t slot = (colour * 0x9e3779b1u) >> (32 - SLOTS_BITS);
	while (tight->keys[slot] != key) {
		if (tight->keys[slot] >> 24 != tight->round) {
			if (*n == COLOURS)
				return COLOURS;
			tight->keys[slot] = key;
			tight->numbers[slot] = (uint8_t)*n;
			tight->colours[(*n)++] = colour;
			break;
		}
		slot = (slot + 1) & (SLOTS - 1);
	}
	return tight->numbers[slot];
}

/* What take_indices found. */
struct indices {
	uint32_t rows;
	unsigned colours;
	size_t changes; /* pixels that are not the colour of the one before */
};

/* Writes the indices of the area's rows until it ends or there are too many colours. */
static struct indices take_indices(struct gr_tight_encoder *tight, const struct writer *w, struct gr_rect area,
				   uint8_t *to)
{
	if (++tight->round == 256) {
		memset(tight->keys, 0, sizeof(tight->keys));
		tight->round = 1;
	}
	struct indices found = { 0, 0, 0 };
	uint32_t most = TILE_PIXELS / area.w;
	if (most > area.h)
		most = area.h;
	for (; found.rows < most; found.rows++, to += area.w) {
		const uint32_t *row = row_at(w, area.x, area.y + found.rows);
		unsigned colours = found.colours;
		size_t changes = found.changes;
		for (size_t x = 0; x < area.w;) {
			uint32_t colour = row[x] & COLOUR;
			unsigned index = index_of(tight, colour, &colours);
			if (index == COLOURS)
				return found;
			changes++;
			to[x++] = (uint8_t)index;
			if (x + 8 > area.w || (row[x] & COLOUR) != colour)
				continue;
			size_t run = run_of(row + x, area.w - x, colour);
			memset(to + x, (int)index, run);
			x += run;
		}
		found.colours = colours;
		found.changes = changes;
	}
	return found;
}

static void write_strip(struct gr_tight_encoder *tight, struct writer *w, struct gr_rect area);

static void write_halves(struct gr_tight_encoder *tight, struct writer *w, struct gr_rect area)
{
	struct gr_rect half = area;
	half.w /= 2;
	write_strip(tight, w, half);
	half.x = (uint16_t)(half.x + half.w);
	half.w = (uint16_t)(area.w - half.w);
	write_strip(tight, w, half);
}

/* Writes one tile at the area's top; returns its rows. */
static uint32_t write_tile(struct gr_tight_encoder *tight, struct writer *w, struct gr_rect area)
{
	uint8_t *room = gr_deflate_room(tight->deflate, STREAM_PALETTE);
	struct indices found = take_indices(tight, w, area, room);
	struct gr_rect now = area;
	now.h = (uint16_t)found.rows;
	if (found.colours == 1) {
		write_fill(w, now, tight->colours[0]);
	} else if (found.colours == 2) {
		write_mono(tight, w, now, room);
	} else if (found.colours &&
		   (size_t)found.colours * 3 < found.changes + (size_t)found.rows * area.w / PIXELS_PER_SAVED_BYTE) {
		write_palette(tight, w, now, room, found.colours);
	} else if (found.rows == area.h) {
		write_pixels(tight, w, now);
	} else {
		now.h = (uint16_t)(area.h < SPLIT_HEIGHT ? area.h : SPLIT_HEIGHT);
		if (area.w >= 2 * NARROWEST)
			write_halves(tight, w, now);
		else
			write_pixels(tight, w, now);
	}
	return now.h;
}

static void write_strip(struct gr_tight_encoder *tight, struct writer *w, struct gr_rect area)
{
	while (area.h) {
		uint32_t colour = *row_at(w, area.x, area.y) & COLOUR;
		uint32_t rows = rows_of(w, area, colour);
		if (rows >= FILL_MIN || rows == area.h) {
			struct gr_rect now = area;
			now.h = (uint16_t)rows;
			write_fill(w, now, colour);
		} else {
			rows = write_tile(tight, w, area);
		}
		area.y = (uint16_t)(area.y + rows);
		area.h = (uint16_t)(area.h - rows);
	}
}

/* The columns at the area's left (or right) that are all `colour`. */
static uint32_t margin_of(const struct writer *w, struct gr_rect area, uint32_t colour, int right)
{
	uint32_t margin = area.w;
	for (uint32_t y = 0; y < area.h && margin >= MARGIN_MIN; y++) {
		const uint32_t *row = row_at(w, area.x, area.y + y);
		if (right) {
			uint32_t run = 0;
			while (run < margin && (row[area.w - 1 - run] & COLOUR) == colour)
				run++;
			margin = run;
		} else {
			margin = (uint32_t)run_of(row, margin, colour);
		}
	}
	return margin >= MARGIN_MIN ? margin : 0;
}

/* The rows from the area's top to where BAND_MIN rows of one colour, the same for all, begin. */
static uint32_t rows_to_blank(const struct writer *w, struct gr_rect area)
{
	uint32_t blank = 0, last = 0;
	for (uint32_t y = 0; y < area.h; y++) {
		const uint32_t *row = row_at(w, area.x, area.y + y);
		uint32_t colour = *row & COLOUR;
		if (run_of(row, area.w, colour) < area.w) {
			blank = 0;
			continue;
		}
		blank = blank && colour == last ? blank + 1 : 1;
		last = colour;
		if (blank == BAND_MIN)
			return y + 1 - BAND_MIN;
	}
	return area.h;
}

static void write_margin(struct writer *w, struct gr_rect *area, int right)
{
	uint32_t colour = *row_at(w, area->x + (right ? area->w - 1u : 0), area->y) & COLOUR;
	struct gr_rect fill = *area;
	fill.w = (uint16_t)margin_of(w, *area, colour, right);
	if (!fill.w)
		return;
	area->w = (uint16_t)(area->w - fill.w);
	if (right)
		fill.x = (uint16_t)(area->x + area->w);
	else
		area->x = (uint16_t)(area->x + fill.w);
	write_fill(w, fill, colour);
}

static void write_band(struct gr_tight_encoder *tight, struct writer *w, struct gr_rect band)
{
	if (band.h >= BAND_MIN) {
		write_margin(w, &band, 0);
		if (band.w)
			write_margin(w, &band, 1);
	}
	for (uint32_t x = 0; x < band.w; x += STRIP_WIDTH) {
		struct gr_rect strip = band;
		strip.x = (uint16_t)(band.x + x);
		strip.w = (uint16_t)(band.w - x < STRIP_WIDTH ? band.w - x : STRIP_WIDTH);
		write_strip(tight, w, strip);
	}
}

ptrdiff_t gr_tight_encoder_write(struct gr_tight_encoder *tight, const uint32_t *pixels, size_t stride,
				 struct gr_rect rect, uint8_t *out, unsigned *rects)
{
	struct writer w = { pixels, stride, out, 0 };
	while (rect.h) {
		struct gr_rect now = rect;
		uint32_t colour = *row_at(&w, rect.x, rect.y) & COLOUR;
		uint32_t rows = rows_of(&w, rect, colour);
		if (rows >= BAND_MIN || rows == rect.h) {
			now.h = (uint16_t)rows;
			write_fill(&w, now, colour);
		} else {
			now.h = (uint16_t)rows_to_blank(&w, rect);
			write_band(tight, &w, now);
		}
		rect.y = (uint16_t)(rect.y + now.h);
		rect.h = (uint16_t)(rect.h - now.h);
	}
	*rects += w.rects;
	return w.out - out;
}
