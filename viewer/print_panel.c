#include "viewer/print_panel.h"

#include <string.h>

enum { TOO_EARLY_US = 500000 };

void gr_print_panel_open(struct gr_print_panel *panel, const struct gr_print *print)
{
	*panel = (struct gr_print_panel){
		.open = 1, .focus = GR_PRINT_SAVE, .pages = { 1, print->pages }, .opened_us = gr_viewer_now_us()
	};
}

int gr_print_panel_complete(const struct gr_print_panel *panel, const struct gr_print *print)
{
	return panel->pages[GR_PRINT_FROM] >= 1 && panel->pages[GR_PRINT_FROM] <= panel->pages[GR_PRINT_TO] &&
	       panel->pages[GR_PRINT_TO] <= print->pages;
}

/* Input. */

static int has(const struct gr_print *print, enum gr_print_part part)
{
	if (print->state == GR_PRINT_OFFERED)
		return part >= GR_PRINT_FIELDS || print->pages > 1;
	return print->state == GR_PRINT_RUNNING && part == GR_PRINT_STOP;
}

static void focus_on(struct gr_print_panel *panel, enum gr_print_part part)
{
	panel->focus = part;
	panel->all = part < GR_PRINT_FIELDS;
}

static enum gr_print_action_wanted move(struct gr_print_panel *panel, const struct gr_print *print, int step)
{
	int part = (int)panel->focus;
	for (int i = 0; i < GR_PRINT_PARTS; i++) {
		part = (part + step + GR_PRINT_PARTS) % GR_PRINT_PARTS;
		if (has(print, (enum gr_print_part)part))
			break;
	}
	focus_on(panel, (enum gr_print_part)part);
	return GR_PANEL_CHANGED;
}

static enum gr_print_action_wanted choose(struct gr_print_panel *panel, const struct gr_print *print,
					  enum gr_print_part part)
{
	int stop = part == GR_PRINT_STOP;
	if (!has(print, part) || gr_viewer_now_us() < panel->opened_us + TOO_EARLY_US)
		return GR_PANEL_NOTHING;
	if (!stop && !gr_print_panel_complete(panel, print)) {
		focus_on(panel, panel->pages[GR_PRINT_FROM] ? GR_PRINT_TO : GR_PRINT_FROM);
		return GR_PANEL_CHANGED;
	}
	return stop ? GR_PANEL_STOP : part == GR_PRINT_PAPER ? GR_PANEL_PAPER : GR_PANEL_SAVE;
}

/* In a field the number goes up or down; on a button the focus moves. */
static enum gr_print_action_wanted turn(struct gr_print_panel *panel, const struct gr_print *print, int step)
{
	if (panel->focus >= GR_PRINT_FIELDS)
		return move(panel, print, -step);
	unsigned *number = &panel->pages[panel->focus];
	if (step > 0 && *number < print->pages)
		++*number;
	if (step < 0 && *number > 1)
		--*number;
	panel->all = 1;
	return GR_PANEL_CHANGED;
}

static enum gr_print_action_wanted press(struct gr_print_panel *panel, const struct gr_print *print, SDL_Keycode key,
					 Uint16 mod)
{
	int field = panel->focus < GR_PRINT_FIELDS;
	switch (key) {
	case SDLK_TAB: return move(panel, print, mod & KMOD_SHIFT ? -1 : 1);
	case SDLK_LEFT: return move(panel, print, -1);
	case SDLK_RIGHT: return move(panel, print, 1);
	case SDLK_UP: return turn(panel, print, 1);
	case SDLK_DOWN: return turn(panel, print, -1);
	case SDLK_BACKSPACE:
	case SDLK_DELETE:
		if (field)
			panel->pages[panel->focus] = panel->all ? 0 : panel->pages[panel->focus] / 10;
		panel->all = 0;
		return GR_PANEL_CHANGED;
	case SDLK_RETURN:
	case SDLK_KP_ENTER: return choose(panel, print, field ? GR_PRINT_SAVE : panel->focus);
	case SDLK_SPACE: return field ? GR_PANEL_NOTHING : choose(panel, print, panel->focus);
	case SDLK_ESCAPE: return choose(panel, print, GR_PRINT_STOP);
	default: return GR_PANEL_NOTHING;
	}
}

/* Digits, also in full width (U+FF10..FF19, EF BC 90..99), as a Japanese input method may write them. */
static enum gr_print_action_wanted type(struct gr_print_panel *panel, const char *utf8)
{
	if (panel->focus >= GR_PRINT_FIELDS)
		return GR_PANEL_NOTHING;
	for (const unsigned char *c = (const unsigned char *)utf8; *c; c++) {
		unsigned digit = 10;
		if (*c >= '0' && *c <= '9') {
			digit = *c - '0';
		} else if (c[0] == 0xef && c[1] == 0xbc && c[2] >= 0x90 && c[2] <= 0x99) {
			digit = c[2] - 0x90u;
			c += 2;
		}
		if (digit > 9)
			continue;
		unsigned before = panel->all ? 0 : panel->pages[panel->focus];
		panel->all = 0;
		if (before * 10 + digit <= GR_PRINT_PAGES_MAX)
			panel->pages[panel->focus] = before * 10 + digit;
	}
	return GR_PANEL_CHANGED;
}

enum gr_print_action_wanted gr_print_panel_event(struct gr_print_panel *panel, const struct gr_print *print,
						 const struct gr_paint *paint, SDL_Rect area, const SDL_Event *event)
{
	SDL_Rect parts[GR_PRINT_PARTS];
	SDL_Point at = { event->button.x, event->button.y };
	switch (event->type) {
	case SDL_KEYDOWN: return press(panel, print, event->key.keysym.sym, event->key.keysym.mod);
	case SDL_TEXTINPUT: return type(panel, event->text.text);
	case SDL_MOUSEBUTTONDOWN:
		if (event->button.button != SDL_BUTTON_LEFT)
			return GR_PANEL_NOTHING;
		gr_print_panel_draw(panel, print, paint, NULL, area, parts);
		for (int i = 0; i < GR_PRINT_PARTS; i++)
			if (SDL_PointInRect(&at, &parts[i])) {
				focus_on(panel, (enum gr_print_part)i);
				return i < GR_PRINT_FIELDS ? GR_PANEL_CHANGED
							   : choose(panel, print, (enum gr_print_part)i);
			}
		return GR_PANEL_NOTHING;
	default: return GR_PANEL_NOTHING;
	}
}

/* Drawing: one pass over the panel from above to below, which measures or draws. */

struct pass {
	const struct gr_print_panel *panel;
	const struct gr_print *print;
	const struct gr_paint *paint;
	SDL_Surface *surface; /* NULL: only measure */
	SDL_Rect *parts;
	int x, y, width;
	int tight; /* the window is too small for what can be left out */
};

static int px(const struct pass *p, int n)
{
	return gr_paint_px(p->paint, n);
}

static void fill(const struct pass *p, SDL_Rect rect, SDL_Color colour)
{
	if (p->surface)
		gr_paint_fill(p->surface, rect, colour);
}

static void outline(const struct pass *p, SDL_Rect rect, int width, SDL_Color colour)
{
	if (p->surface)
		gr_paint_outline(p->surface, rect, width, colour);
}

static void write_text(struct pass *p, enum gr_font font, const char *text, SDL_Color colour, int gap)
{
	p->y += gr_paint_text(p->paint, p->surface, font, text, colour, p->x, p->y, p->width).y + px(p, gap);
}

static void around(const struct pass *p, SDL_Rect box)
{
	int gap = px(p, 4);
	outline(p, (SDL_Rect){ box.x - gap, box.y - gap, box.w + 2 * gap, box.h + 2 * gap }, px(p, 2),
		p->paint->colours->accent);
}

/* A number in its box, at p->x; returns its width. */
static int field(struct pass *p, enum gr_print_part part)
{
	const struct gr_print_panel *panel = p->panel;
	int focus = panel->focus == part, good = gr_print_panel_complete(panel, p->print);
	SDL_Rect box = { p->x, p->y, px(p, 72), px(p, 38) };
	char text[16] = "";
	if (panel->pages[part])
		SDL_snprintf(text, sizeof(text), "%u", panel->pages[part]);
	SDL_Point size = gr_paint_measure(p->paint, GR_FONT_BODY, text, 0);
	int x = box.x + box.w - px(p, 12) - size.x, y = box.y + (box.h - size.y) / 2;
	p->parts[part] = box;
	fill(p, box, p->paint->colours->panel);
	outline(p, box, px(p, focus ? 2 : 1),
		!good   ? p->paint->colours->alarm_ink
		: focus ? p->paint->colours->accent
			: p->paint->colours->edge);
	if (focus && panel->all && *text)
		fill(p, (SDL_Rect){ x - px(p, 2), y, size.x + px(p, 4), size.y }, p->paint->colours->selected);
	gr_paint_text(p->paint, p->surface, GR_FONT_BODY, text, p->paint->colours->ink, x, y, 0);
	if (focus && !panel->all)
		fill(p, (SDL_Rect){ box.x + box.w - px(p, 10), box.y + px(p, 8), px(p, 2), box.h - px(p, 16) },
		     p->paint->colours->ink);
	return box.w;
}

static int word(struct pass *p, const char *text)
{
	int height = gr_paint_line_height(p->paint, GR_FONT_BODY);
	return gr_paint_text(p->paint, p->surface, GR_FONT_BODY, text, p->paint->colours->ink, p->x,
			     p->y + (px(p, 38) - height) / 2, 0)
		.x;
}

/* 「ページ [1] ～ [12]」 */
static void range(struct pass *p)
{
	int left = p->x, gap = px(p, 10);
	p->x += word(p, gr_text("ページ", "Pages")) + gap;
	p->x += field(p, GR_PRINT_FROM) + gap;
	p->x += word(p, gr_text("～", "to")) + gap;
	field(p, GR_PRINT_TO);
	p->x = left;
	p->y += px(p, 38 + 8);
	int good = gr_print_panel_complete(p->panel, p->print);
	char text[100];
	SDL_snprintf(text, sizeof(text),
		     gr_messages_japanese() ? "1から%uまでのページを指定してください。" : "Choose pages from 1 to %u.",
		     p->print->pages);
	write_text(p, GR_FONT_SMALL, text, good ? p->paint->colours->pale_ink : p->paint->colours->alarm_ink, 14);
}

struct button {
	enum gr_print_part part;
	const char *text;
	int main_one;
};

/* From the right; the first one is the rightmost. In two rows when they do not fit. */
static void buttons(struct pass *p, const struct button *list, size_t count)
{
	int height = px(p, 38), gap = px(p, 12), least = px(p, p->tight ? 60 : 104), pad = px(p, p->tight ? 20 : 40);
	int right = p->x + p->width;
	for (size_t i = 0; i < count; i++) {
		SDL_Point size = gr_paint_measure(p->paint, GR_FONT_BODY, list[i].text, 0);
		int width = size.x + pad > least ? size.x + pad : least;
		if (right - width < p->x && right < p->x + p->width) {
			right = p->x + p->width;
			p->y += height + gap;
		}
		SDL_Rect box = { right - width, p->y, width, height };
		int usable = list[i].part == GR_PRINT_STOP || gr_print_panel_complete(p->panel, p->print);
		right -= width + gap;
		p->parts[list[i].part] = box;
		fill(p, box,
		     !usable            ? p->paint->colours->idle
		     : list[i].main_one ? p->paint->colours->accent
					: p->paint->colours->panel);
		if (usable && !list[i].main_one)
			outline(p, box, px(p, 1), p->paint->colours->edge);
		if (p->panel->focus == list[i].part)
			around(p, box);
		gr_paint_text(p->paint, p->surface, GR_FONT_BODY, list[i].text,
			      !usable            ? p->paint->colours->pale_ink
			      : list[i].main_one ? p->paint->colours->accent_ink
						 : p->paint->colours->ink,
			      box.x + (box.w - size.x) / 2, box.y + (box.h - size.y) / 2, 0);
	}
	p->y += height;
}

static void ask(struct pass *p)
{
	const struct gr_print *print = p->print;
	char text[300];
	SDL_snprintf(text, sizeof(text),
		     print->more ? gr_text("先頭の%uページまで取り出せます（利用ルールの上限）。",
					   "The first %u pages of a longer document: the rules permit no more.")
		     : print->pages > 1 ? gr_text("%uページあります。", "%u pages.")
					: gr_text("%uページです。", "%u page."),
		     print->pages);
	write_text(p, GR_FONT_BODY, text, p->paint->colours->ink, 4);
	if (!p->tight)
		write_text(p, GR_FONT_SMALL,
			   gr_text("ページは画像として取り出します。文字の検索やコピーはできません。",
				   "The pages are taken out as images: their text cannot be searched or copied."),
			   p->paint->colours->pale_ink, 16);
	if (print->pages > 1)
		range(p);
	else
		p->y += px(p, 6);
	buttons(p,
		(const struct button[]){ { GR_PRINT_STOP, gr_text("キャンセル", "Cancel"), 0 },
					 { GR_PRINT_PAPER, gr_text("印刷", "Print"), 0 },
					 { GR_PRINT_SAVE, gr_text("保存（PDF）", "Save as PDF"), 1 } },
		3);
}

static void progress(struct pass *p)
{
	const struct gr_print *print = p->print;
	unsigned all = print->last - print->first + 1;
	char text[100];
	if (print->state == GR_PRINT_RUNNING)
		SDL_snprintf(text, sizeof(text), gr_messages_japanese() ? "%u / %u ページ" : "%u of %u pages",
			     print->done, all);
	else
		SDL_snprintf(text, sizeof(text), "%s", gr_text("中止しています…", "Stopping…"));
	write_text(p, GR_FONT_BODY, text, p->paint->colours->ink, 10);
	SDL_Rect track = { p->x, p->y, p->width, px(p, 6) }, done = track;
	fill(p, track, p->paint->colours->idle);
	done.w = (int)((int64_t)track.w * print->done / (all ? all : 1));
	if (print->state == GR_PRINT_RUNNING && done.w > 0)
		fill(p, done, p->paint->colours->accent);
	p->y += px(p, 6 + 22);
	if (print->state == GR_PRINT_RUNNING)
		buttons(p, (const struct button[]){ { GR_PRINT_STOP, gr_text("中止", "Stop"), 0 } }, 1);
	else
		p->y += px(p, 38);
}

static void body(struct pass *p)
{
	if (!p->tight)
		write_text(p, GR_FONT_TITLE, gr_text("ページの印刷・画像保存", "Print or save pages as images"),
			   p->paint->colours->accent, 8);
	if (p->print->state == GR_PRINT_OFFERED)
		ask(p);
	else
		progress(p);
}

void gr_print_panel_draw(const struct gr_print_panel *panel, const struct gr_print *print, const struct gr_paint *paint,
			 SDL_Surface *surface, SDL_Rect area, SDL_Rect parts_out[GR_PRINT_PARTS])
{
	struct pass p = { .panel = panel, .print = print, .paint = paint, .parts = parts_out };
	int margin = px(&p, 28), stripe = px(&p, 6), width = px(&p, 520);
	memset(parts_out, 0, sizeof(*parts_out) * GR_PRINT_PARTS);
	if (area.w < width + 2 * px(&p, 8))
		width = area.w - 2 * px(&p, 8);
	if (width < px(&p, 400))
		margin = px(&p, 14);
	p.width = width - 2 * margin - stripe;
	if (p.width < px(&p, 100))
		return;
	body(&p); /* measured from 0 */
	if (p.y + 2 * margin > area.h) {
		p.tight = 1;
		margin = px(&p, 12);
		p.width = width - 2 * margin - stripe;
		p.y = 0;
		body(&p);
	}
	SDL_Rect box = { area.x + (area.w - width) / 2, area.y + (area.h - p.y - 2 * margin) / 3, width,
			 p.y + 2 * margin };
	if (box.y < area.y) { /* still too high: what has the focus can be seen */
		SDL_Rect part = parts_out[panel->focus];
		int beyond = part.y + part.h + 2 * margin - area.h;
		box.y = area.y - (beyond > 0 ? beyond : 0);
	}
	p.surface = surface;
	p.x = box.x + margin + stripe;
	p.y = box.y + margin;
	if (surface) {
		gr_paint_outline(surface, (SDL_Rect){ box.x - 1, box.y - 1, box.w + 2, box.h + 2 }, 1,
				 paint->colours->line);
		gr_paint_fill(surface, box, paint->colours->panel);
		gr_paint_fill(surface, (SDL_Rect){ box.x, box.y, stripe, box.h }, paint->colours->accent);
	}
	body(&p);
}
