#include "viewer/menu_draw.h"
#include "viewer/messages.h"

#include <string.h>

enum { ROW = 36, PAD = 16, MARK = 26, GAP = 40 };

static const char *label(const struct gr_menu_entry *entry)
{
	return gr_text(entry->japanese, entry->english);
}

static int shown(const struct gr_menu *menu, const struct gr_menu_entry *entry)
{
	return menu->page == GR_MENU_KEY_LIST || entry->group >= 0;
}

/* A tick of two strokes. */
static void draw_tick(const struct gr_paint *paint, SDL_Surface *surface, int x, int y, SDL_Color colour)
{
	int unit = gr_paint_px(paint, 2);
	for (int i = 0; i < 3 * unit; i++)
		gr_paint_fill(surface, (SDL_Rect){ x + i, y + i, unit, unit }, colour);
	for (int i = 0; i < 5 * unit; i++)
		gr_paint_fill(surface, (SDL_Rect){ x + 3 * unit - 1 + i, y + 3 * unit - 1 - i, unit, unit }, colour);
}

static void draw_row(const struct gr_menu *menu, const struct gr_paint *paint, SDL_Surface *surface, size_t i,
		     SDL_Rect box)
{
	size_t count;
	const struct gr_menu_entry *entry = &gr_menu_table(&count)[i];
	const struct gr_palette *colours = paint->colours;
	int list = menu->page == GR_MENU_KEY_LIST, focus = !list && i == menu->focus;
	SDL_Color ink = focus ? colours->accent_ink : list || gr_menu_is_usable(menu, i) ? colours->ink : colours->edge;
	SDL_Color pale = focus                                ? colours->accent_ink
			 : list || gr_menu_is_usable(menu, i) ? colours->pale_ink
							      : colours->edge;
	if (focus)
		gr_paint_fill(surface, box, colours->accent);
	int pad = gr_paint_px(paint, PAD), y = box.y + (box.h - gr_paint_line_height(paint, GR_FONT_BODY)) / 2;
	int x = box.x + pad + (list ? 0 : gr_paint_px(paint, MARK));
	if (!list && menu->checked >> entry->action & 1)
		draw_tick(paint, surface, box.x + pad, box.y + box.h / 2 - gr_paint_px(paint, 2), ink);
	gr_paint_text(paint, surface, GR_FONT_BODY, label(entry), ink, x, y, 0);
	gr_paint_text(paint, surface, GR_FONT_SMALL, entry->keys, pale, -(box.x + box.w - pad),
		      box.y + (box.h - gr_paint_line_height(paint, GR_FONT_SMALL)) / 2, 0);
}

static int width_of(const struct gr_menu *menu, const struct gr_paint *paint)
{
	size_t count;
	const struct gr_menu_entry *table = gr_menu_table(&count);
	int width = 0;
	for (size_t i = 0; i < count; i++) {
		int row = gr_paint_measure(paint, GR_FONT_BODY, label(&table[i]), 0).x +
			  gr_paint_measure(paint, GR_FONT_SMALL, table[i].keys, 0).x;
		if (shown(menu, &table[i]) && row > width)
			width = row;
	}
	return width + gr_paint_px(paint, PAD) * 2 + gr_paint_px(paint, GAP) +
	       (menu->page == GR_MENU_KEY_LIST ? 0 : gr_paint_px(paint, MARK));
}

/* What stands above and below the rows of the list of keys. */
struct words {
	const char *title, *foot;
	int head, tail; /* pixels that they take */
};

static struct words words_of(const struct gr_menu *menu, const struct gr_paint *paint, int width)
{
	struct words words = { "", "", 0, 0 };
	if (menu->page != GR_MENU_KEY_LIST)
		return words;
	words.title = gr_text("キー操作の一覧", "List of keys");
	words.foot = gr_text("ほかのキーはすべて画面の中のブラウザーへ送られます。\nEsc または Enter で閉じます。",
			     "All other keys go to the browser in the picture.\nEsc or Enter closes this list.");
	words.head = gr_paint_line_height(paint, GR_FONT_TITLE) + gr_paint_px(paint, 20);
	words.tail = gr_paint_measure(paint, GR_FONT_SMALL, words.foot, width - 2 * gr_paint_px(paint, PAD)).y +
		     gr_paint_px(paint, 24);
	return words;
}

static SDL_Rect place(const struct gr_menu *menu, const struct gr_paint *paint, SDL_Rect area, int width, int height)
{
	if (menu->page == GR_MENU_KEY_LIST) {
		SDL_Rect middle = { area.x + (area.w - width) / 2, area.y + (area.h - height) / 3, width, height };
		middle.y = middle.y < area.y ? area.y : middle.y;
		return middle;
	}
	/* Below its button. */
	int x = area.x + area.w - width - gr_paint_px(paint, 2);
	return (SDL_Rect){ x < area.x ? area.x : x, area.y + gr_paint_px(paint, 2), width, height };
}

void gr_menu_draw(const struct gr_menu *menu, const struct gr_paint *paint, SDL_Surface *surface, SDL_Rect area,
		  struct gr_menu_layout *layout_out)
{
	size_t count;
	const struct gr_menu_entry *table = gr_menu_table(&count);
	const struct gr_palette *colours = paint->colours;
	int pad = gr_paint_px(paint, 6), rows = 0, lines = 0, last = -1, line = gr_paint_px(paint, 9);
	memset(layout_out, 0, sizeof(*layout_out));
	if (menu->page == GR_MENU_CLOSED)
		return;
	for (size_t i = 0; i < count; i++) {
		if (!shown(menu, &table[i]))
			continue;
		lines += rows++ && menu->page == GR_MENU_ENTRIES && table[i].group != last;
		last = table[i].group;
	}
	int width = width_of(menu, paint), narrowest = gr_paint_px(paint, menu->page == GR_MENU_KEY_LIST ? 440 : 260);
	width = width < narrowest ? narrowest : width;
	width = width > area.w ? area.w : width;
	struct words words = words_of(menu, paint, width);
	int rest = words.head + words.tail + lines * line + 2 * pad, least = gr_paint_line_height(paint, GR_FONT_BODY);
	if (rest + rows * least > area.h) { /* a low window: without the title */
		rest -= words.head;
		words.head = 0;
		words.title = "";
	}
	int row = gr_paint_px(paint, ROW), room = (area.h - rest - gr_paint_px(paint, 4)) / (rows ? rows : 1);
	row = row > room ? room : row; /* closer together in a low window */
	row = row < least ? least : row;
	SDL_Rect panel = place(menu, paint, area, width, rest + rows * row);
	int y = panel.y + pad + words.head;
	if (menu->page == GR_MENU_ENTRIES) { /* still too high: the focus can be seen */
		int beyond = pad + (int)menu->focus * row + lines * line + row - (area.h - pad);
		y -= beyond > 0 ? beyond : 0;
		panel.y -= beyond > 0 ? beyond : 0;
	}
	layout_out->panel = panel;
	if (surface) {
		gr_paint_fill(surface, panel, colours->panel);
		gr_paint_outline(surface, panel, gr_paint_px(paint, 1), colours->edge);
		gr_paint_text(paint, surface, GR_FONT_TITLE, words.title, colours->accent,
			      panel.x + gr_paint_px(paint, PAD), panel.y + gr_paint_px(paint, 14), 0);
		gr_paint_text(paint, surface, GR_FONT_SMALL, words.foot, colours->pale_ink,
			      panel.x + gr_paint_px(paint, PAD), panel.y + panel.h - words.tail + gr_paint_px(paint, 4),
			      width - 2 * gr_paint_px(paint, PAD));
	}
	last = -1;
	for (size_t i = 0; i < count; i++) {
		int edge = gr_paint_px(paint, 1);
		SDL_Rect box = { panel.x + edge, y, panel.w - 2 * edge, row };
		if (!shown(menu, &table[i]))
			continue;
		if (menu->page == GR_MENU_ENTRIES && last >= 0 && table[i].group != last) {
			if (surface)
				gr_paint_fill(surface, (SDL_Rect){ box.x, y + line / 2, box.w, edge }, colours->line);
			box.y += line;
		}
		last = table[i].group;
		y = box.y + row;
		if (surface)
			draw_row(menu, paint, surface, i, box);
		if (menu->page == GR_MENU_ENTRIES && i < GR_MENU_ROWS)
			layout_out->rows[i] = box;
	}
}
