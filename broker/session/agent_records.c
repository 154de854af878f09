#include "broker/session/agent_records.h"
#include "common/error.h"

#include <string.h>

/* Clips r to w by h; 0 when nothing is left. */
static int clip(struct gr_rect *r, uint16_t w, uint16_t h)
{
	if (r->x >= w || r->y >= h)
		return 0;
	if (r->w > w - r->x)
		r->w = (uint16_t)(w - r->x);
	if (r->h > h - r->y)
		r->h = (uint16_t)(h - r->y);
	return r->w && r->h;
}

static int check_frame(const struct gr_record_frame *untrusted, const struct gr_agent_geometry *g,
		       struct gr_record_frame *out)
{
	if (untrusted->count < 1 || untrusted->count > GR_FRAME_RECTS_MAX)
		return GR_EPROTO;
	out->count = 0;
	for (uint32_t i = 0; i < untrusted->count; i++) {
		struct gr_rect r = untrusted->rects[i];
		if (r.x >= g->max_width || r.y >= g->max_height)
			return GR_EPROTO;
		if (clip(&r, g->width, g->height))
			out->rects[out->count++] = r;
	}
	return 0;
}

static int size_good(uint16_t untrusted_w, uint16_t untrusted_h, const struct gr_agent_geometry *g)
{
	return untrusted_w >= GR_SCREEN_MIN && untrusted_h >= GR_SCREEN_MIN && untrusted_w <= g->max_width &&
	       untrusted_h <= g->max_height;
}

static int page_good(const struct gr_record_page *untrusted)
{
	if (!untrusted->document)
		return 0;
	if (untrusted->state == GR_PAGE_END)
		return untrusted->page <= GR_PRINT_PAGES_MAX && untrusted->x <= GR_PAGE_FAILED && !untrusted->pages &&
		       !untrusted->width && !untrusted->height && !untrusted->y;
	if (!untrusted->pages || untrusted->pages > GR_PRINT_PAGES_MAX || !untrusted->width || !untrusted->height ||
	    untrusted->width > GR_PRINT_SIDE_MAX || untrusted->height > GR_PRINT_SIDE_MAX)
		return 0;
	if (untrusted->state == GR_PAGE_OFFER)
		return !untrusted->page && untrusted->x <= 1 && untrusted->y >= GR_PRINT_DPI_MIN &&
		       untrusted->y <= GR_PRINT_DPI_MAX;
	return untrusted->state == GR_PAGE_PIECE && untrusted->page && untrusted->page <= untrusted->pages &&
	       untrusted->x < untrusted->width && untrusted->y < untrusted->height;
}

int gr_agent_record_check(const void *untrusted, size_t size, const struct gr_agent_geometry *geometry,
			  union gr_record *out)
{
	union gr_record untrusted_record;
	uint32_t untrusted_type;

	/* ---- from here on nothing of the packet is used unchecked ---- */
	if (size < sizeof(untrusted_type) || size > sizeof(untrusted_record))
		return GR_EPROTO;
	memcpy(&untrusted_type, untrusted, sizeof(untrusted_type));
	if (untrusted_type < GR_RECORD_FRAME || gr_record_size(untrusted_type) != size)
		return GR_EPROTO;
	memset(&untrusted_record, 0, sizeof(untrusted_record));
	memcpy(&untrusted_record, untrusted, size);
	memset(out, 0, sizeof(*out));

	switch (untrusted_type) {
	case GR_RECORD_FRAME:
		if (check_frame(&untrusted_record.frame, geometry, &out->frame))
			return GR_EPROTO;
		break;
	case GR_RECORD_CURSOR: {
		const struct gr_record_cursor *c = &untrusted_record.cursor;
		if (c->width > GR_CURSOR_MAX || c->height > GR_CURSOR_MAX || !c->width != !c->height)
			return GR_EPROTO;
		if (c->width && (c->hot_x >= c->width || c->hot_y >= c->height))
			return GR_EPROTO;
		out->cursor = *c;
		if (!c->width)
			out->cursor.hot_x = out->cursor.hot_y = 0;
		break;
	}
	case GR_RECORD_RESIZED:
		if (!size_good(untrusted_record.resized.width, untrusted_record.resized.height, geometry))
			return GR_EPROTO;
		out->resized = untrusted_record.resized;
		break;
	case GR_RECORD_CARET:
		if (untrusted_record.caret.visible > 1)
			return GR_EPROTO;
		if (untrusted_record.caret.visible) {
			out->caret.rect = untrusted_record.caret.rect;
			out->caret.visible = 1;
			/* A caret has no width in some toolkits, and may be scrolled out of sight. */
			if (!out->caret.rect.w)
				out->caret.rect.w = 1;
			if (!out->caret.rect.h)
				out->caret.rect.h = 1;
			if (!clip(&out->caret.rect, geometry->width, geometry->height))
				out->caret = (struct gr_record_caret){ 0 };
		}
		break;
	case GR_RECORD_TEXT_RESULT:
		if (untrusted_record.text_result.status > GR_TEXT_NOT_DELIVERED)
			return GR_EPROTO;
		out->text_result = untrusted_record.text_result;
		break;
	case GR_RECORD_STATE:
		if (untrusted_record.state.state < GR_AGENT_READY || untrusted_record.state.state > GR_AGENT_FAILED)
			return GR_EPROTO;
		if (!size_good(untrusted_record.state.width, untrusted_record.state.height, geometry))
			return GR_EPROTO;
		out->state = untrusted_record.state;
		break;
	case GR_RECORD_CLIPBOARD: {
		const struct gr_record_clipboard *c = &untrusted_record.clipboard;
		if (c->length < 1 || c->length > GR_TEXT_MAX || c->left > GR_CLIPBOARD_MAX - c->length ||
		    (c->left && c->length != GR_TEXT_MAX))
			return GR_EPROTO;
		out->clipboard.left = c->left;
		out->clipboard.length = c->length;
		memcpy(out->clipboard.text, c->text, c->length);
		break;
	}
	case GR_RECORD_PAGE:
		if (!page_good(&untrusted_record.page))
			return GR_EPROTO;
		out->page = untrusted_record.page;
		break;
	default: return GR_EPROTO;
	}
	/* ---- checked ---- */
	out->type = untrusted_type;
	return 0;
}

static uint32_t unmultiply(uint32_t premultiplied, uint32_t alpha)
{
	uint32_t value = premultiplied * 255 / alpha;
	return value > 255 ? 255 : value;
}

void gr_agent_cursor_flatten(const uint32_t *untrusted_image, uint16_t w, uint16_t h, uint32_t *colours, uint8_t *mask)
{
	size_t row = (size_t)(w + 7) / 8;
	memset(mask, 0, row * h);
	for (size_t y = 0; y < h; y++) {
		for (size_t x = 0; x < w; x++) {
			uint32_t p = untrusted_image[y * GR_CURSOR_MAX + x], alpha = p >> 24;
			if (alpha < 128) {
				colours[y * w + x] = 0;
				continue;
			}
			mask[y * row + x / 8] |= (uint8_t)(0x80u >> (x % 8));
			colours[y * w + x] = unmultiply(p >> 16 & 255, alpha) << 16 |
					     unmultiply(p >> 8 & 255, alpha) << 8 | unmultiply(p & 255, alpha);
		}
	}
}
