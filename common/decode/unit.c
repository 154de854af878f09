#include "common/decode/unit.h"
#include "common/decode/tokens.h"
#include "common/error.h"

#define SHOWN 0xff000000u /* X of a pixel that was painted */

struct reader {
	const uint8_t *at, *end;
};

static size_t left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

static uint32_t u16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* The length of a run whose first byte is taken; 0: not in the grammar. */
static size_t run_length(struct reader *r, uint8_t token)
{
	uint8_t low = token & (uint8_t)~GR_TOKEN_KIND;
	if (low < GR_TOKEN_RUN_SHORT)
		return low + 1u;
	if (low == GR_TOKEN_RUN_BYTE && left(r) >= 1)
		return *r->at++ + GR_TOKEN_RUN_SHORT + 1u;
	if (low == GR_TOKEN_RUN_WORD && left(r) >= 2) {
		size_t n = u16(r->at) + GR_TOKEN_RUN_BYTE_MAX + 1u;
		r->at += 2;
		return n;
	}
	return 0;
}

static uint32_t median_of(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t low = a < b ? a : b, high = a < b ? b : a;
	return c >= high ? low : c <= low ? high : a + b - c;
}

static uint32_t median_pixel(uint32_t left, uint32_t above, uint32_t corner)
{
	return median_of(left & 255, above & 255, corner & 255) |
	       median_of(left >> 8 & 255, above >> 8 & 255, corner >> 8 & 255) << 8 |
	       median_of(left >> 16 & 255, above >> 16 & 255, corner >> 16 & 255) << 16;
}

static uint32_t colour(uint32_t expected, const uint8_t *p)
{
	uint32_t green = (expected >> 8) + p[0], blue = expected + p[0] + p[1], red = (expected >> 16) + p[0] + p[2];
	return SHOWN | (red & 255) << 16 | (green & 255) << 8 | (blue & 255);
}

static const char *draw_row(struct reader *r, uint32_t *row, const uint32_t *above, size_t w, int median)
{
	uint32_t before = SHOWN | GR_TOKEN_FIRST_LEFT;
	for (size_t x = 0; x < w;) {
		if (!left(r))
			return "a row without its end";
		uint8_t token = *r->at++;
		unsigned kind = token & GR_TOKEN_KIND;
		size_t n = kind == GR_TOKEN_LEFT || kind == GR_TOKEN_ABOVE ? run_length(r, token)
									   : (token & ~GR_TOKEN_KIND & 0xffu) + 1u;
		if (!n || n > w - x)
			return "a run beyond its row";
		switch (kind) {
		case GR_TOKEN_LEFT:
			for (size_t i = 0; i < n; i++)
				row[x + i] = before;
			break;
		case GR_TOKEN_ABOVE:
			if (!above)
				return "a first row that refers to the one above";
			for (size_t i = 0; i < n; i++)
				row[x + i] = above[x + i] | SHOWN;
			break;
		case GR_TOKEN_GREY:
			if (left(r) < n)
				return "too few grey pixels";
			for (size_t i = 0; i < n; i++)
				row[x + i] = SHOWN | r->at[i] * 0x010101u;
			r->at += n;
			break;
		default:
			if (left(r) < 3 * n)
				return "too few coloured pixels";
			for (size_t i = 0; i < n; i++) {
				size_t k = x + i;
				uint32_t expected = 0;
				if (median && above)
					expected = k ? median_pixel(before, above[k], above[k - 1]) : above[k];
				else if (median)
					expected = before;
				before = row[k] = colour(expected, r->at);
				r->at += 3;
			}
		}
		x += n;
		before = row[x - 1];
	}
	return NULL;
}

int gr_unit_draw(const uint8_t *untrusted_unit, size_t n, uint32_t *pixels, size_t stride, struct gr_rect rect,
		 const char **why)
{
	struct reader r = { untrusted_unit, untrusted_unit + n };
	uint32_t right = (uint32_t)rect.x + rect.w, bottom = (uint32_t)rect.y + rect.h;
	while (left(&r)) {
		if (left(&r) < GR_PIECE_HEADER) {
			*why = "a piece cut short";
			return GR_EPROTO;
		}
		/* ---- not yet checked ---- */
		uint32_t untrusted_x = u16(r.at), untrusted_y = u16(r.at + 2), untrusted_w = u16(r.at + 4),
			 untrusted_h = u16(r.at + 6);
		r.at += GR_PIECE_HEADER;
		int median = (untrusted_w & GR_PIECE_MEDIAN) != 0;
		untrusted_w &= ~GR_PIECE_MEDIAN;
		if (!untrusted_w || !untrusted_h || untrusted_x < rect.x || untrusted_y < rect.y ||
		    untrusted_x + untrusted_w > right || untrusted_y + untrusted_h > bottom) {
			*why = "a piece outside its rectangle";
			return GR_EPROTO;
		}
		/* ---- checked ---- */
		uint32_t *row = pixels + untrusted_y * stride + untrusted_x;
		const uint32_t *above = NULL;
		for (uint32_t y = 0; y < untrusted_h; y++) {
			*why = draw_row(&r, row, above, untrusted_w, median);
			if (*why)
				return GR_EPROTO;
			above = row;
			row += stride;
		}
	}
	return 0;
}
