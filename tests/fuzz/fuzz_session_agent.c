/* Any packet of an agent: refused, or every number of it inside the geometry. */
#include "broker/session/agent_records.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
	if (!condition)
		abort();
}

static void inside(const struct gr_rect *r, const struct gr_agent_geometry *g)
{
	require(r->w && r->h && r->x + r->w <= g->width && r->y + r->h <= g->height);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct gr_agent_geometry geometry = { 1280, 800, 1920, 1200 };
	union gr_record out;
	if (gr_agent_record_check(data, size, &geometry, &out))
		return 0;
	require(gr_record_size(out.type) == size);
	switch (out.type) {
	case GR_RECORD_FRAME:
		require(out.frame.count <= GR_FRAME_RECTS_MAX);
		for (uint32_t i = 0; i < out.frame.count; i++)
			inside(&out.frame.rects[i], &geometry);
		break;
	case GR_RECORD_CURSOR: {
		static uint32_t image[GR_CURSOR_MAX * GR_CURSOR_MAX];
		if (!out.cursor.width)
			break;
		require(out.cursor.hot_x < out.cursor.width && out.cursor.hot_y < out.cursor.height);
		memset(image, data[size - 1] | 0x55, sizeof(image));
		/* Exactly as large as the header says. */
		uint32_t *colours = malloc((size_t)out.cursor.width * out.cursor.height * 4);
		uint8_t *mask = malloc((size_t)(out.cursor.width + 7) / 8 * out.cursor.height);
		if (colours && mask)
			gr_agent_cursor_flatten(image, out.cursor.width, out.cursor.height, colours, mask);
		free(colours);
		free(mask);
		break;
	}
	case GR_RECORD_CARET:
		if (out.caret.visible)
			inside(&out.caret.rect, &geometry);
		break;
	case GR_RECORD_RESIZED:
		require(out.resized.width >= GR_SCREEN_MIN && out.resized.width <= geometry.max_width);
		require(out.resized.height >= GR_SCREEN_MIN && out.resized.height <= geometry.max_height);
		break;
	case GR_RECORD_STATE:
		require(out.state.width <= geometry.max_width && out.state.height <= geometry.max_height);
		break;
	case GR_RECORD_CLIPBOARD:
		require(out.clipboard.length >= 1 && out.clipboard.length <= GR_TEXT_MAX);
		require(out.clipboard.length + out.clipboard.left <= GR_CLIPBOARD_MAX);
		break;
	case GR_RECORD_PAGE: {
		const struct gr_record_page *page = &out.page;
		require(page->state >= GR_PAGE_OFFER && page->state <= GR_PAGE_END);
		if (page->state == GR_PAGE_END) {
			require(page->page <= GR_PRINT_PAGES_MAX && page->x <= GR_PAGE_REFUSED);
			break;
		}
		require(page->pages >= 1 && page->pages <= GR_PRINT_PAGES_MAX);
		require(page->width >= 1 && page->width <= GR_PRINT_SIDE_MAX);
		require(page->height >= 1 && page->height <= GR_PRINT_SIDE_MAX);
		if (page->state == GR_PAGE_PIECE)
			require(page->page >= 1 && page->page <= page->pages && page->x < page->width &&
				page->y < page->height);
		break;
	}
	default: require(out.type == GR_RECORD_TEXT_RESULT);
	}
	return 0;
}
