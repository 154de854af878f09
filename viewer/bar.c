#include "viewer/bar.h"

#include "viewer/messages.h"

enum { LAST_MINUTES = 5, MINUTE_US = 60000000 };

int gr_bar_minutes_left(const struct gr_viewer *viewer)
{
	if (!viewer->over_us || viewer->state < GR_VIEWER_OPEN || viewer->state == GR_VIEWER_ENDED)
		return -1;
	uint64_t now = gr_viewer_now_us();
	return now >= viewer->over_us ? 0 : (int)((viewer->over_us - now + MINUTE_US - 1) / MINUTE_US);
}

int gr_bar_wait_ms(const struct gr_viewer *viewer)
{
	if (gr_bar_minutes_left(viewer) <= 0)
		return -1;
	return (int)((viewer->over_us - gr_viewer_now_us()) % MINUTE_US / 1000) + 1;
}

/* A disc, as far as squares make one. */
static void draw_disc(SDL_Surface *surface, int x, int y, int size, SDL_Color colour)
{
	for (int row = 0; row < size; row++) {
		int d = 2 * row + 1 - size, half = 0;
		while ((2 * half + 1) * (2 * half + 1) + d * d <= size * size)
			half++;
		gr_paint_fill(surface, (SDL_Rect){ x + size / 2 - half, y + row, 2 * half, 1 }, colour);
	}
}

static int bar_height(const struct gr_paint *paint)
{
	return gr_paint_px(paint, GR_DRAW_BAR);
}

/* A text that is set off, with room for a disc of this size before it (0: none). right: x is its right edge. Returns its width. */
static int draw_marked(const struct gr_paint *paint, SDL_Surface *surface, const char *text, int disc, int x, int right)
{
	int bar = bar_height(paint), pad = gr_paint_px(paint, 8), edge = gr_paint_px(paint, 4);
	int before = disc ? disc + gr_paint_px(paint, 6) : 0;
	SDL_Point size = gr_paint_measure(paint, GR_FONT_BAR, text, 0);
	SDL_Rect box = { x, edge, pad + before + size.x + pad, bar - 2 * edge };
	if (right)
		box.x -= box.w;
	gr_paint_fill(surface, box, paint->colours->mark);
	draw_disc(surface, box.x + pad, (bar - disc) / 2, disc, paint->colours->mark_disc);
	gr_paint_text(paint, surface, GR_FONT_BAR, text, paint->colours->mark_text, box.x + pad + before,
		      (bar - size.y) / 2, 0);
	return box.w;
}

static void time_left(int minutes, char *out, size_t cap)
{
	int japanese = gr_messages_japanese();
	if (minutes >= 60)
		SDL_snprintf(out, cap, japanese ? "残り %d時間%02d分" : "%d h %02d min left", minutes / 60,
			     minutes % 60);
	else
		SDL_snprintf(out, cap, japanese ? "残り %d分" : "%d min left", minutes);
}

static const char *button_text(void)
{
	return gr_text("メニュー", "Menu");
}

SDL_Rect gr_bar_button(const struct gr_paint *paint, int window_width)
{
	int width = gr_paint_px(paint, 8 + 14 + 6) + gr_paint_measure(paint, GR_FONT_BAR, button_text(), 0).x +
		    gr_paint_px(paint, 8);
	int edge = gr_paint_px(paint, 4);
	return (SDL_Rect){ window_width - edge - width, edge, width, bar_height(paint) - 2 * edge };
}

static void draw_button(const struct gr_paint *paint, SDL_Surface *surface, int pressed)
{
	SDL_Rect box = gr_bar_button(paint, surface->w);
	SDL_Color back = pressed ? paint->colours->bar_text : paint->colours->frame,
		  ink = pressed ? paint->colours->frame : paint->colours->bar_text;
	int line = gr_paint_px(paint, 2), x = box.x + gr_paint_px(paint, 8), wide = gr_paint_px(paint, 14);
	gr_paint_fill(surface, box, back);
	gr_paint_outline(surface, box, gr_paint_px(paint, 1), paint->colours->bar_label);
	for (int i = -1; i <= 1; i++)
		gr_paint_fill(surface,
			      (SDL_Rect){ x, box.y + box.h / 2 - line / 2 + i * gr_paint_px(paint, 5), wide, line },
			      ink);
	gr_paint_text(paint, surface, GR_FONT_BAR, button_text(), ink, x + wide + gr_paint_px(paint, 6),
		      (bar_height(paint) - gr_paint_line_height(paint, GR_FONT_BAR)) / 2, 0);
}

/* From the left: title, recorded. From the right: the menu's button, the time left, who. What has no room is left out, who first. */
static void draw_words(const struct gr_paint *paint, SDL_Surface *surface, const struct gr_viewer *viewer,
		       const struct gr_menu *menu)
{
	int pad = gr_paint_px(paint, 12), gap = gr_paint_px(paint, 16),
	    y = (bar_height(paint) - gr_paint_line_height(paint, GR_FONT_BAR)) / 2;
	int right = menu ? gr_bar_button(paint, surface->w).x - pad : surface->w - pad,
	    minutes = gr_bar_minutes_left(viewer);
	int x = pad + gr_paint_text(paint, surface, GR_FONT_BAR, "画面転送・インターネット", paint->colours->bar_text,
				    pad, y, 0)
			      .x;
	if (viewer->ready & GR_READY_RECORDED && viewer->state != GR_VIEWER_ENDED)
		x += gap + draw_marked(paint, surface, gr_text("録画中", "REC"), gr_paint_px(paint, 10), x + gap, 0);
	char text[400] = "";
	if (minutes >= 0) {
		time_left(minutes, text, sizeof(text));
		int wide = gr_paint_measure(paint, GR_FONT_BAR, text, 0).x;
		if (minutes <= LAST_MINUTES)
			right -= draw_marked(paint, surface, text, 0, right, 1) + gap;
		else if (x + gap + wide <= right)
			right -= gr_paint_text(paint, surface, GR_FONT_BAR, text, paint->colours->bar_text, -right, y,
					       0)
					 .x +
				 gap;
	}
	if (!gr_messages_japanese()) {
		const char *english = "Internet, by screen transfer";
		if (x + gap + gr_paint_measure(paint, GR_FONT_BAR, english, 0).x <= right)
			x += gap + gr_paint_text(paint, surface, GR_FONT_BAR, english, paint->colours->bar_label,
						 x + gap, y, 0)
					   .x;
	}
	SDL_snprintf(text, sizeof(text), "%s%s%s", viewer->person, *viewer->person ? " @ " : "", viewer->host);
	if (x + gap + gr_paint_measure(paint, GR_FONT_BAR, text, 0).x <= right)
		gr_paint_text(paint, surface, GR_FONT_BAR, text, paint->colours->bar_label, -right, y, 0);
}

void gr_bar_draw(const struct gr_paint *paint, SDL_Surface *surface, const struct gr_viewer *viewer,
		 const struct gr_menu *menu)
{
	const struct gr_palette *colours = paint->colours;
	int w = surface->w, h = surface->h, bar = bar_height(paint), border = gr_paint_px(paint, GR_DRAW_BORDER);
	gr_paint_fill(surface, (SDL_Rect){ 0, 0, w, bar }, colours->frame);
	gr_paint_fill(surface, (SDL_Rect){ 0, 0, border, h }, colours->frame);
	gr_paint_fill(surface, (SDL_Rect){ w - border, 0, border, h }, colours->frame);
	gr_paint_fill(surface, (SDL_Rect){ 0, h - border, w, border }, colours->frame);
	/* A page in the same colour, with a bar of its own, is seen to be inside. */
	gr_paint_outline(surface, (SDL_Rect){ border - 1, bar - 1, w - 2 * border + 2, h - bar - border + 2 }, 1,
			 colours->frame_line);
	SDL_Rect inside = { border, 0, w - 2 * border, bar - 1 };
	SDL_SetClipRect(surface, &inside); /* a narrow window ends the text, not the border */
	draw_words(paint, surface, viewer, menu);
	if (menu)
		draw_button(paint, surface, menu->page != GR_MENU_CLOSED);
	SDL_SetClipRect(surface, NULL);
}
