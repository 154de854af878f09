#include "broker/encode/history.h"
#include "broker/encode/wire.h"
#include "common/decode/decode.h"
#include "common/decode/tokens.h"
#include "common/error.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/*
 * Level 3 (two hash tables) takes a tenth to a quarter fewer bytes than level 1 on tokens, and there are so few tokens that
 * its time does not matter; higher levels give 1 to 3 % more. The long-distance matcher finds what the small tables have
 * forgotten: without it the map of the corpus takes twice the bytes.
 */
#define LEVEL 3
#define LONG_MATCH_MIN 64
#define LONG_HASH_RATE_LOG2 6

#define HEAD_MAX 32u /* bytes of the stream's own header */
#define RECT_HEADER 16u /* RFB's, and the payload's length */

struct gr_history {
	ZSTD_CCtx *stream;
	const struct gr_kernels *kernels;
	uint64_t bytes;
	uint8_t head[HEAD_MAX]; /* written at creation, sent before the first unit */
	size_t head_size;
	struct gr_rect box; /* of the pieces in the unit */
	size_t fill;
	uint32_t errors[GR_SCREEN_MAX]; /* of one row of a photograph */
	uint8_t unit[GR_UNIT_MAX];
};

struct gr_history *gr_history_create(unsigned window_log2, const struct gr_kernels *kernels)
{
	struct gr_history *h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->kernels = kernels;
	h->stream = ZSTD_createCCtx();
	/* The first flush allocates everything; what it writes is the head. */
	ZSTD_inBuffer nothing = { NULL, 0, 0 };
	ZSTD_outBuffer head = { h->head, sizeof(h->head), 0 };
	if (!h->stream || ZSTD_isError(ZSTD_CCtx_setParameter(h->stream, ZSTD_c_compressionLevel, LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(h->stream, ZSTD_c_windowLog, (int)window_log2)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(h->stream, ZSTD_c_enableLongDistanceMatching, 1)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(h->stream, ZSTD_c_ldmMinMatch, LONG_MATCH_MIN)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(h->stream, ZSTD_c_ldmHashRateLog, LONG_HASH_RATE_LOG2)) ||
	    ZSTD_compressStream2(h->stream, &head, &nothing, ZSTD_e_flush) != 0) {
		gr_history_destroy(h);
		return NULL;
	}
	h->head_size = head.pos;
	return h;
}

void gr_history_destroy(struct gr_history *h)
{
	if (!h)
		return;
	ZSTD_freeCCtx(h->stream);
	free(h);
}

size_t gr_history_room(void)
{
	return RECT_HEADER + HEAD_MAX + ZSTD_COMPRESSBOUND(GR_UNIT_MAX) + 64;
}

int gr_history_flush(struct gr_history *h, struct gr_encode_out *out)
{
	if (!h->fill)
		return 0;
	uint8_t *start = out->bytes + out->used;
	memcpy(start + RECT_HEADER, h->head, h->head_size);
	ZSTD_inBuffer in = { h->unit, h->fill, 0 };
	ZSTD_outBuffer to = { start + RECT_HEADER, out->cap - out->used - RECT_HEADER, h->head_size };
	if (ZSTD_compressStream2(h->stream, &to, &in, ZSTD_e_flush) != 0)
		return GR_ENOMEM;
	gr_wire_rect(start, h->box, GR_ENCODING_HISTORY);
	gr_wire_u32(start + 12, (uint32_t)to.pos);
	out->used += RECT_HEADER + to.pos;
	out->rects++;
	h->bytes += h->fill;
	h->head_size = 0;
	h->fill = 0;
	return 0;
}

static void widen(struct gr_rect *box, struct gr_rect r)
{
	unsigned right = (unsigned)box->x + box->w, bottom = (unsigned)box->y + box->h;
	unsigned r_right = (unsigned)r.x + r.w, r_bottom = (unsigned)r.y + r.h;
	box->x = r.x < box->x ? r.x : box->x;
	box->y = r.y < box->y ? r.y : box->y;
	box->w = (uint16_t)((r_right > right ? r_right : right) - box->x);
	box->h = (uint16_t)((r_bottom > bottom ? r_bottom : bottom) - box->y);
}

/* As many rows as the unit has room for, as one piece. */
static uint16_t add_piece(struct gr_history *h, const uint32_t *pixels, size_t stride, struct gr_rect r, int photo)
{
	size_t row_max = GR_KERNEL_TOKENS_MAX(r.w);
	if (h->fill + GR_PIECE_HEADER + row_max > GR_UNIT_MAX)
		return 0;
	uint8_t *header = h->unit + h->fill, *to = header + GR_PIECE_HEADER;
	const uint32_t *above = NULL;
	uint16_t rows = 0;
	while (rows < r.h && to + row_max <= h->unit + GR_UNIT_MAX) {
		const uint32_t *row = pixels + (size_t)(r.y + rows) * stride + r.x;
		to = h->kernels->tokens(row, above, r.w, photo ? h->errors : NULL, to);
		above = row;
		rows++;
	}
	r.h = rows;
	gr_wire_rect_place(header, r);
	if (photo)
		header[4] |= GR_PIECE_MEDIAN >> 8;
	if (h->fill)
		widen(&h->box, r);
	else
		h->box = r;
	h->fill = (size_t)(to - h->unit);
	return rows;
}

int gr_history_add(struct gr_history *h, const uint32_t *pixels, size_t stride, struct gr_rect rect, int photo,
		   struct gr_encode_out *out, uint16_t *rows_out)
{
	*rows_out = 0;
	while (*rows_out < rect.h) {
		/* What is in the unit must always find room. */
		if (out->cap - out->used < gr_history_room() || out->used >= out->enough)
			return 0;
		struct gr_rect rest = { rect.x, (uint16_t)(rect.y + *rows_out), rect.w,
					(uint16_t)(rect.h - *rows_out) };
		uint16_t rows = add_piece(h, pixels, stride, rest, photo);
		*rows_out = (uint16_t)(*rows_out + rows);
		if (*rows_out < rect.h) {
			int status = gr_history_flush(h, out);
			if (status)
				return status;
		}
	}
	return 0;
}

uint64_t gr_history_bytes(const struct gr_history *h)
{
	return h->bytes + h->fill;
}
