#include "broker/guard/history.h"
#include "common/decode/tokens.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define FRAME_HEADER 6u /* magic, descriptor, window */
#define BLOCK_HEADER 3u
#define BLOCK_MAX (128u << 10)

struct gr_guard_history {
	unsigned window_log2;
	bool begun; /* the frame's header was there */
	ZSTD_DCtx *stream; /* NULL: not strict */
	uint8_t unit[GR_UNIT_MAX]; /* one byte more than a unit may have shows that there is more */
};

struct gr_guard_history *gr_guard_history_create(unsigned window_log2, bool strict)
{
	struct gr_guard_history *history = calloc(1, sizeof(*history));
	if (!history)
		return NULL;
	history->window_log2 = window_log2;
	if (!strict)
		return history;
	history->stream = ZSTD_createDCtx();
	if (!history->stream ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(history->stream, ZSTD_d_windowLogMax, (int)window_log2))) {
		gr_guard_history_destroy(history);
		return NULL;
	}
	return history;
}

void gr_guard_history_destroy(struct gr_guard_history *history)
{
	if (!history)
		return;
	ZSTD_freeDCtx(history->stream);
	free(history);
}

/* RFC 8878 §3.1.1.1: a frame header of magic number, descriptor and window descriptor, no optional field. */
static const char *frame_header(const uint8_t *untrusted, size_t n, unsigned window_log2)
{
	static const uint8_t magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };
	if (n < FRAME_HEADER || memcmp(untrusted, magic, sizeof(magic)) != 0)
		return "HISTORY: no zstd frame at the beginning of the stream";
	if (untrusted[4] != 0)
		return "HISTORY: a zstd frame with a dictionary, checksum, size or reserved bits";
	unsigned exponent = untrusted[5] >> 3, mantissa = untrusted[5] & 7;
	if (exponent + 10 + (mantissa ? 1 : 0) > window_log2)
		return "HISTORY: a larger window than agreed upon";
	return NULL;
}

/*
 * RFC 8878 §3.1.1.2. zstd does not tell when a payload ends inside a block and would take the rest from the next one: so the
 * blocks are counted here.
 */
static const char *blocks(const uint8_t *untrusted, size_t n)
{
	if (!n)
		return "HISTORY: a payload without a block";
	while (n) {
		if (n < BLOCK_HEADER)
			return "HISTORY: a block cut short";
		uint32_t header = untrusted[0] | (uint32_t)untrusted[1] << 8 | (uint32_t)untrusted[2] << 16;
		uint32_t type = header >> 1 & 3, size = header >> 3;
		if (header & 1)
			return "HISTORY: the stream ends";
		if (type == 3 || size > BLOCK_MAX)
			return "HISTORY: a block that RFC 8878 does not know";
		size_t bytes = BLOCK_HEADER + (type == 1 ? 1 : size); /* a run is one byte */
		if (bytes > n)
			return "HISTORY: a block cut short";
		untrusted += bytes;
		n -= bytes;
	}
	return NULL;
}

/* ---- units ---- */

struct cursor {
	const uint8_t *at, *end;
};

/* Steps over the tokens of one row: NULL, or the rule. */
static inline const char *row(struct cursor *c, uint32_t w, bool first)
{
	const uint8_t *at = c->at, *const end = c->end;
	for (uint32_t left = w; left;) {
		if (at == end)
			return "HISTORY: a row without its end";
		unsigned token = *at++, value = token & 63u;
		uint32_t pixels = value + 1u;
		size_t bytes = 0;
		switch (token >> 6) {
		case 2: bytes = pixels; break;
		case 3: bytes = pixels * (size_t)3; break;
		default:
			if (first && token >> 6 == 1)
				return "HISTORY: a first row that refers to the one above";
			if (value < GR_TOKEN_RUN_BYTE)
				break;
			bytes = value == GR_TOKEN_RUN_BYTE ? 1 : 2;
			if (value > GR_TOKEN_RUN_WORD || (size_t)(end - at) < bytes)
				return "HISTORY: a run of unknown length";
			pixels = bytes == 1 ? 62u + at[0] : 318u + ((uint32_t)at[0] << 8 | at[1]);
		}
		if (pixels > left)
			return "HISTORY: more pixels than the row has";
		if ((size_t)(end - at) < bytes)
			return "HISTORY: pixels cut short";
		at += bytes;
		left -= pixels;
	}
	c->at = at;
	return NULL;
}

static uint32_t u16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static const char *unit(const uint8_t *untrusted, size_t n, struct gr_rect rect)
{
	struct cursor c = { untrusted, untrusted + n };
	while (c.at < c.end) {
		if ((size_t)(c.end - c.at) < GR_PIECE_HEADER)
			return "HISTORY: a piece cut short";
		uint32_t x = u16(c.at), y = u16(c.at + 2), w = u16(c.at + 4) & ~GR_PIECE_MEDIAN, h = u16(c.at + 6);
		c.at += GR_PIECE_HEADER;
		if (!w || !h || x < rect.x || y < rect.y || x + w > (uint32_t)rect.x + rect.w ||
		    y + h > (uint32_t)rect.y + rect.h)
			return "HISTORY: a piece outside its rectangle";
		for (uint32_t i = 0; i < h; i++) {
			const char *rule = row(&c, w, i == 0);
			if (rule)
				return rule;
		}
	}
	return NULL;
}

static const char *inflate_unit(struct gr_guard_history *history, const uint8_t *untrusted, size_t n,
				struct gr_rect rect)
{
	ZSTD_inBuffer in = { untrusted, n, 0 };
	ZSTD_outBuffer out = { history->unit, sizeof(history->unit), 0 };
	for (;;) {
		size_t taken = in.pos, made = out.pos;
		size_t status = ZSTD_decompressStream(history->stream, &out, &in);
		if (ZSTD_isError(status))
			return "HISTORY: broken compressed data";
		if (out.pos == out.size)
			return "HISTORY: a unit too large";
		if (in.pos == n)
			break;
		if (in.pos == taken && out.pos == made)
			return "HISTORY: broken compressed data";
	}
	if (!out.pos)
		return "HISTORY: an empty unit";
	return unit(history->unit, out.pos, rect);
}

const char *gr_guard_history_check(struct gr_guard_history *history, const uint8_t *untrusted, size_t n,
				   struct gr_rect rect)
{
	size_t head = history->begun ? 0 : FRAME_HEADER;
	const char *rule = head ? frame_header(untrusted, n, history->window_log2) : NULL;
	if (!rule)
		rule = blocks(untrusted + head, n - head);
	history->begun = true;
	if (!rule && history->stream)
		rule = inflate_unit(history, untrusted, n, rect);
	return rule;
}
