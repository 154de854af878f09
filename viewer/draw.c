#include "viewer/draw.h"
#include "common/error.h"
#include "viewer/dialog_draw.h"
#include "viewer/menu_draw.h"
#include "viewer/watermark.h"

#include <stdlib.h>

struct gr_draw {
	struct gr_paint paint;
	struct gr_watermark *watermark;
};

struct gr_draw *gr_draw_create(int scale)
{
	struct gr_draw *draw = calloc(1, sizeof(*draw));
	if (!draw)
		return NULL;
	draw->watermark = gr_watermark_create();
	if (!draw->watermark) {
		free(draw);
		return NULL;
	}
	gr_paint_init(&draw->paint, scale);
	return draw;
}

void gr_draw_destroy(struct gr_draw *draw)
{
	if (!draw)
		return;
	gr_watermark_destroy(draw->watermark);
	gr_paint_finish(&draw->paint);
	free(draw);
}

int gr_draw_rescale(struct gr_draw *draw, int scale)
{
	if (draw->paint.scale == scale)
		return 0;
	struct gr_watermark *watermark = gr_watermark_create(); /* the one before is of the other scale's letters */
	if (!watermark)
		return GR_ENOMEM;
	gr_watermark_destroy(draw->watermark);
	draw->watermark = watermark;
	gr_paint_rescale(&draw->paint, scale);
	return 0;
}

void gr_draw_set_contrast(struct gr_draw *draw, int high)
{
	draw->paint.colours = high ? &gr_palette_contrast : &gr_palette_usual;
}

const struct gr_paint *gr_draw_paint(const struct gr_draw *draw)
{
	return &draw->paint;
}

static int bar_height(const struct gr_draw *draw)
{
	return gr_paint_px(&draw->paint, GR_DRAW_BAR);
}

static int border_width(const struct gr_draw *draw)
{
	return gr_paint_px(&draw->paint, GR_DRAW_BORDER);
}

SDL_Point gr_draw_window_size(const struct gr_draw *draw, int width, int height)
{
	return (SDL_Point){ width + 2 * border_width(draw), height + bar_height(draw) + border_width(draw) };
}

SDL_Rect gr_draw_area(const struct gr_draw *draw, int window_width, int window_height)
{
	int border = border_width(draw), bar = bar_height(draw);
	SDL_Rect area = { border, bar, window_width - 2 * border, window_height - bar - border };
	if (area.w < 0)
		area.w = 0;
	if (area.h < 0)
		area.h = 0;
	return area;
}

SDL_Rect gr_draw_place(const struct gr_draw *draw, const struct gr_viewer *viewer, int window_width, int window_height)
{
	SDL_Rect area = gr_draw_area(draw, window_width, window_height),
		 place = { area.x, area.y, viewer->width, viewer->height };
	if (!viewer->width || !viewer->height || (place.w <= area.w && place.h <= area.h))
		return place;
	if ((int64_t)place.w * area.h > (int64_t)place.h * area.w) {
		place.h = (int)((int64_t)place.h * area.w / place.w);
		place.w = area.w;
	} else {
		place.w = (int)((int64_t)place.w * area.h / place.h);
		place.h = area.h;
	}
	return place;
}

SDL_Rect gr_draw_caret(const struct gr_draw *draw, const struct gr_viewer *viewer, int window_width, int window_height)
{
	const SDL_Rect place = gr_draw_place(draw, viewer, window_width, window_height);
	const struct gr_rect caret = viewer->caret.rect;
	if (!viewer->caret.known || !viewer->width || !viewer->height)
		return (SDL_Rect){ 0 };
	int x = place.x + caret.x * place.w / viewer->width, y = place.y + caret.y * place.h / viewer->height;
	int w = caret.w * place.w / viewer->width, h = caret.h * place.h / viewer->height;
	return (SDL_Rect){ x, y, w > 0 ? w : 1, h > 0 ? h : 1 };
}

static void draw_message(const struct gr_paint *paint, SDL_Surface *surface, SDL_Rect area,
			 const struct gr_viewer *viewer)
{
	const char *title, *what = "", *action = "";
	char small[512] = "", again[200] = "";
	switch (viewer->state) {
	case GR_VIEWER_CONNECTING:
		title = gr_text("接続しています", "Connecting");
		what = viewer->host;
		break;
	case GR_VIEWER_WAITING:
		title = gr_text("準備中です", "Getting ready");
		what = gr_text("ブラウザーを起動しています。しばらくお待ちください。",
			       "A browser is being started for you. One moment, please.");
		break;
	case GR_VIEWER_ASKED: /* somebody else gives it: --factors */
	case GR_VIEWER_JUDGED: title = gr_text("確認しています", "Checking"); break;
	case GR_VIEWER_OPEN:
	case GR_VIEWER_SHOWN: title = gr_text("画面を受信しています", "Receiving the picture"); break;
	default: {
		struct gr_message message = gr_message_get(viewer->failure, viewer->reason);
		title = viewer->failure == GR_FAIL_NONE || viewer->width
				? gr_text("画面転送が終了しました", "The session has ended")
				: gr_text("接続できませんでした", "No connection");
		what = message.what;
		action = message.action;
		gr_message_again(gr_viewer_seconds_until(viewer->again_us), again, sizeof(again));
		SDL_snprintf(small, sizeof(small), "%s: %s (%d)%s%s", gr_text("理由コード", "Code"), message.name,
			     message.exit_code, *viewer->detail ? "\n" : "", viewer->detail);
	}
	}
	int margin = gr_paint_px(paint, 32), stripe = gr_paint_px(paint, 6), gap = gr_paint_px(paint, 12),
	    most = gr_paint_px(paint, 660);
	int width = area.w < most + 2 * margin ? area.w - 2 * margin : most;
	if (width < 40)
		return;
	int wrap = width - 2 * margin - stripe;
	enum { LINES = 5 };
	const char *texts[LINES] = { title, what, again, action, small };
	const enum gr_font fonts[LINES] = { GR_FONT_TITLE, GR_FONT_BODY, GR_FONT_BODY, GR_FONT_BODY, GR_FONT_SMALL };
	const SDL_Color colours[LINES] = { paint->colours->accent, paint->colours->ink, paint->colours->ink,
					   paint->colours->ink, paint->colours->pale_ink };
	int heights[LINES], total = 0; /* measured first: the panel's height depends on how the lines wrap */
	for (int i = 0; i < LINES; i++) {
		heights[i] = gr_paint_measure(paint, fonts[i], texts[i], wrap).y;
		total += heights[i] ? heights[i] + (i ? gap : 0) : 0;
	}
	SDL_Rect panel = { area.x + (area.w - width) / 2, area.y + (area.h - total - 2 * margin) / 3, width,
			   total + 2 * margin };
	if (panel.y < area.y)
		panel.y = area.y;
	gr_paint_outline(surface, (SDL_Rect){ panel.x - 1, panel.y - 1, panel.w + 2, panel.h + 2 }, 1,
			 paint->colours->line);
	gr_paint_fill(surface, panel, paint->colours->panel);
	gr_paint_fill(surface, (SDL_Rect){ panel.x, panel.y, stripe, panel.h }, paint->colours->accent);
	int y = panel.y + margin;
	for (int i = 0; i < LINES; i++)
		if (heights[i]) {
			gr_paint_text(paint, surface, fonts[i], texts[i], colours[i], panel.x + margin + stripe, y,
				      wrap);
			y += heights[i] + gap;
		}
}

/* The picture's memory as a surface; its pixels are only read. */
static SDL_Surface *picture_surface(const struct gr_viewer *viewer)
{
	return SDL_CreateRGBSurfaceWithFormatFrom((void *)(uintptr_t)viewer->picture, viewer->width, viewer->height, 32,
						  (int)(GR_PICTURE_STRIDE * 4), SDL_PIXELFORMAT_RGB888);
}

static int is_marked(const struct gr_viewer *viewer)
{
	return (viewer->ready & GR_READY_WATERMARK) != 0;
}

SDL_Rect gr_draw_damage(const struct gr_draw *draw, SDL_Surface *surface, const struct gr_viewer *viewer,
			struct gr_rect damage)
{
	SDL_Rect place = gr_draw_place(draw, viewer, surface->w, surface->h), empty = { 0 };
	if (viewer->width == 0 || damage.w == 0 || place.w == 0 || place.h == 0)
		return empty;
	SDL_Surface *picture = picture_surface(viewer);
	if (!picture)
		return empty;
	SDL_SetSurfaceBlendMode(picture, SDL_BLENDMODE_NONE);
	SDL_Rect changed;
	if (place.w == viewer->width && place.h == viewer->height) {
		SDL_Rect from = { damage.x, damage.y, damage.w, damage.h };
		changed = (SDL_Rect){ place.x + damage.x, place.y + damage.y, damage.w, damage.h };
		SDL_Rect to = changed;
		SDL_BlitSurface(picture, &from, surface, &to);
	} else {
		changed = place;
		SDL_BlitScaled(picture, NULL, surface, &changed);
	}
	SDL_FreeSurface(picture);
	if (is_marked(viewer))
		gr_watermark_lay(draw->watermark, surface, changed, (SDL_Point){ place.x, place.y });
	return changed;
}

void gr_draw_picture(struct gr_draw *draw, SDL_Surface *surface, const struct gr_viewer *viewer)
{
	SDL_Surface *picture = picture_surface(viewer);
	if (!picture)
		return;
	SDL_SetSurfaceBlendMode(picture, SDL_BLENDMODE_NONE);
	SDL_BlitSurface(picture, NULL, surface, NULL);
	SDL_FreeSurface(picture);
	if (is_marked(viewer)) {
		gr_watermark_set(draw->watermark, &draw->paint, viewer->person);
		gr_watermark_lay(draw->watermark, surface, (SDL_Rect){ 0, 0, surface->w, surface->h },
				 (SDL_Point){ 0, 0 });
	}
}

void gr_draw_mark(struct gr_draw *draw, uint32_t *pixels, int width, int height, const struct gr_viewer *viewer)
{
	SDL_Surface *page = is_marked(viewer) ? SDL_CreateRGBSurfaceWithFormatFrom(pixels, width, height, 32, width * 4,
										   SDL_PIXELFORMAT_RGB888)
					      : NULL;
	if (!page)
		return;
	gr_watermark_set(draw->watermark, &draw->paint, viewer->person);
	gr_watermark_lay(draw->watermark, page, (SDL_Rect){ 0, 0, width, height }, (SDL_Point){ 0, 0 });
	SDL_FreeSurface(page);
}

static void draw_frozen(const struct gr_draw *draw, SDL_Surface *surface, const struct gr_draw_scene *scene)
{
	SDL_Rect place = gr_draw_place(draw, scene->viewer, surface->w, surface->h);
	SDL_BlitScaled(scene->frozen, NULL, surface, &place);
	if (is_marked(scene->viewer))
		gr_watermark_lay(draw->watermark, surface, place, (SDL_Point){ place.x, place.y });
}

static void draw_composing(const struct gr_draw *draw, SDL_Surface *surface, const struct gr_viewer *viewer,
			   const char *composing)
{
	const struct gr_paint *paint = &draw->paint;
	SDL_Rect place = gr_draw_place(draw, viewer, surface->w, surface->h),
		 caret = gr_draw_caret(draw, viewer, surface->w, surface->h);
	int pad = gr_paint_px(paint, 4), line = gr_paint_px(paint, 2);
	int x = place.x + 2 * pad, y = place.y + 2 * pad, height = gr_paint_line_height(paint, GR_FONT_BODY);
	int width = gr_paint_measure(paint, GR_FONT_BODY, composing, 0).x + 2 * pad;
	if (!SDL_RectEmpty(&caret)) {
		x = caret.x;
		y = caret.y + (caret.h - height) / 2;
	}
	if (x + width > surface->w - border_width(draw))
		x = surface->w - border_width(draw) - width;
	gr_paint_fill(surface, (SDL_Rect){ x, y, width, height + 2 * line }, paint->colours->panel);
	gr_paint_text(paint, surface, GR_FONT_BODY, composing, paint->colours->ink, x + pad, y, 0);
	gr_paint_fill(surface, (SDL_Rect){ x, y + height + line, width, line }, paint->colours->accent);
}

/* At the foot of the picture, where it hides least. */
static void draw_told(const struct gr_paint *paint, SDL_Surface *surface, SDL_Rect area, const char *told)
{
	int pad = gr_paint_px(paint, 12), most = area.w - 4 * pad;
	if (most < pad)
		return;
	SDL_Point size = gr_paint_measure(paint, GR_FONT_BODY, told, most);
	SDL_Rect panel = { area.x + (area.w - size.x) / 2 - pad, area.y + area.h - size.y - 3 * pad, size.x + 2 * pad,
			   size.y + 2 * pad };
	gr_paint_fill(surface, panel, paint->colours->told);
	gr_paint_outline(surface, panel, gr_paint_px(paint, 2), paint->colours->told_ink);
	gr_paint_text(paint, surface, GR_FONT_BODY, told, paint->colours->told_ink, panel.x + pad, panel.y + pad, most);
}

void gr_draw_all(struct gr_draw *draw, SDL_Surface *surface, const struct gr_draw_scene *scene)
{
	const struct gr_viewer *viewer = scene->viewer;
	struct gr_dialog_layout layout;
	SDL_Rect area = gr_draw_area(draw, surface->w, surface->h);
	gr_paint_fill(surface, area, draw->paint.colours->backdrop);
	SDL_SetClipRect(surface, &area);
	if (is_marked(viewer))
		gr_watermark_set(draw->watermark, &draw->paint, viewer->person);
	if (scene->frozen)
		draw_frozen(draw, surface, scene);
	else if (viewer->width)
		gr_draw_damage(draw, surface, viewer, (struct gr_rect){ 0, 0, viewer->width, viewer->height });
	if (viewer->state == GR_VIEWER_SHOWN && *scene->composing)
		draw_composing(draw, surface, viewer, scene->composing);
	if (scene->dialog && scene->dialog->open)
		gr_dialog_draw(scene->dialog, &draw->paint, surface, area, viewer, &layout);
	else if (viewer->state != GR_VIEWER_SHOWN)
		draw_message(&draw->paint, surface, area, viewer);
	if (scene->panel) {
		SDL_Rect parts[GR_PRINT_PARTS];
		gr_print_panel_draw(scene->panel, scene->print, &draw->paint, surface, area, parts);
	}
	if (scene->menu) {
		struct gr_menu_layout menu_layout;
		gr_menu_draw(scene->menu, &draw->paint, surface, area, &menu_layout);
	}
	if (*scene->told)
		draw_told(&draw->paint, surface, area, scene->told);
	SDL_SetClipRect(surface, NULL);
	gr_bar_draw(&draw->paint, surface, viewer, scene->menu);
}

int gr_draw_wait_ms(const struct gr_viewer *viewer)
{
	if (viewer->state == GR_VIEWER_ENDED) {
		uint64_t now = gr_viewer_now_us();
		return viewer->again_us > now ? (int)((viewer->again_us - now) % 1000000u / 1000u) + 1 : -1;
	}
	int mark_ms = is_marked(viewer) ? gr_watermark_wait_ms() : -1, bar_ms = gr_bar_wait_ms(viewer);
	return mark_ms < 0 || (bar_ms >= 0 && bar_ms < mark_ms) ? bar_ms : mark_ms;
}

int gr_draw_text(const struct gr_draw *draw, SDL_Surface *surface, const char *text, SDL_Color colour, int x, int y)
{
	return gr_paint_text(&draw->paint, surface, GR_FONT_BAR, text, colour, x, y, 0).x;
}
