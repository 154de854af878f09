#include "viewer/draw.h"
#include "common/log.h"

#include <fontconfig/fontconfig.h>
#include <SDL_ttf.h>
#include <stdlib.h>

enum font { FONT_BAR, FONT_TITLE, FONT_BODY, FONT_SMALL, FONT_COUNT };

static const int font_points[FONT_COUNT] = { 15, 24, 16, 13 };

static const SDL_Color frame_colour = { 0x9a, 0x34, 0x12, 0xff }; /* burnt orange: this is the internet */
static const SDL_Color bar_text = { 0xff, 0xff, 0xff, 0xff };
static const SDL_Color bar_label = { 0xff, 0xed, 0xd5, 0xff };
static const SDL_Color backdrop = { 0xf4, 0xf1, 0xee, 0xff };
static const SDL_Color ink = { 0x1f, 0x1a, 0x17, 0xff };
static const SDL_Color pale_ink = { 0x6b, 0x62, 0x5c, 0xff };

struct gr_draw {
	TTF_Font *fonts[FONT_COUNT];
};

/* The file and index of the best font for Japanese. */
static int find_font(char *file, size_t cap, long *index)
{
	int found = 0;
	FcPattern *pattern = FcNameParse((const FcChar8 *)"Noto Sans CJK JP,sans-serif:lang=ja");
	if (!pattern)
		return 0;
	FcConfigSubstitute(NULL, pattern, FcMatchPattern);
	FcDefaultSubstitute(pattern);
	FcResult result;
	FcPattern *match = FcFontMatch(NULL, pattern, &result);
	FcChar8 *path = NULL;
	int number = 0;
	if (match && FcPatternGetString(match, FC_FILE, 0, &path) == FcResultMatch) {
		(void)FcPatternGetInteger(match, FC_INDEX, 0, &number);
		found = SDL_snprintf(file, cap, "%s", (const char *)path) < (int)cap;
		*index = number & 0xffff; /* the upper half names an instance of a variable font */
	}
	if (match)
		FcPatternDestroy(match);
	FcPatternDestroy(pattern);
	FcFini();
	return found;
}

struct gr_draw *gr_draw_create(void)
{
	struct gr_draw *draw = calloc(1, sizeof(*draw));
	char file[1024];
	long index = 0;
	if (!draw)
		return NULL;
	if (TTF_Init() < 0 || !find_font(file, sizeof(file), &index)) {
		gr_log_warning("no font found: texts in the window are missing; install fonts-noto-cjk");
		return draw;
	}
	for (int i = 0; i < FONT_COUNT; i++) {
		draw->fonts[i] = TTF_OpenFontIndex(file, font_points[i], index);
		if (!draw->fonts[i])
			gr_log_warning("font %s: %s", file, TTF_GetError());
	}
	return draw;
}

void gr_draw_destroy(struct gr_draw *draw)
{
	if (!draw)
		return;
	for (int i = 0; i < FONT_COUNT; i++)
		if (draw->fonts[i])
			TTF_CloseFont(draw->fonts[i]);
	if (TTF_WasInit())
		TTF_Quit();
	free(draw);
}

SDL_Rect gr_draw_area(int window_width, int window_height)
{
	SDL_Rect area = { GR_DRAW_BORDER, GR_DRAW_BAR, window_width - 2 * GR_DRAW_BORDER,
			  window_height - GR_DRAW_BAR - GR_DRAW_BORDER };
	if (area.w < 0)
		area.w = 0;
	if (area.h < 0)
		area.h = 0;
	return area;
}

SDL_Rect gr_draw_place(const struct gr_viewer *viewer, int window_width, int window_height)
{
	SDL_Rect area = gr_draw_area(window_width, window_height),
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

static void fill(SDL_Surface *surface, SDL_Rect rect, SDL_Color colour)
{
	SDL_FillRect(surface, &rect, SDL_MapRGB(surface->format, colour.r, colour.g, colour.b));
}

/* Draws a line of text, or several when it is wider than `wrap` (0: never). Returns its size; x < 0: right edge at -x. */
static SDL_Point put_text(const struct gr_draw *draw, SDL_Surface *surface, enum font font, const char *text,
			  SDL_Color colour, int x, int y, int wrap)
{
	SDL_Point size = { 0, 0 };
	if (!draw->fonts[font] || !*text)
		return size;
	SDL_Surface *image = wrap > 0 ? TTF_RenderUTF8_Blended_Wrapped(draw->fonts[font], text, colour, (Uint32)wrap)
				      : TTF_RenderUTF8_Blended(draw->fonts[font], text, colour);
	if (!image)
		return size;
	size = (SDL_Point){ image->w, image->h };
	SDL_Rect to = { x < 0 ? -x - image->w : x, y, image->w, image->h };
	SDL_BlitSurface(image, NULL, surface, &to);
	SDL_FreeSurface(image);
	return size;
}

static int line_height(const struct gr_draw *draw, enum font font)
{
	return draw->fonts[font] ? TTF_FontHeight(draw->fonts[font]) : 0;
}

static void draw_frame(const struct gr_draw *draw, SDL_Surface *surface, const struct gr_viewer *viewer)
{
	int w = surface->w, h = surface->h;
	fill(surface, (SDL_Rect){ 0, 0, w, GR_DRAW_BAR }, frame_colour);
	fill(surface, (SDL_Rect){ 0, 0, GR_DRAW_BORDER, h }, frame_colour);
	fill(surface, (SDL_Rect){ w - GR_DRAW_BORDER, 0, GR_DRAW_BORDER, h }, frame_colour);
	fill(surface, (SDL_Rect){ 0, h - GR_DRAW_BORDER, w, GR_DRAW_BORDER }, frame_colour);
	/* A page in the same colour, with a bar of its own, is seen to be inside. */
	SDL_Rect area = gr_draw_area(w, h);
	fill(surface, (SDL_Rect){ area.x - 1, area.y - 1, area.w + 2, 1 }, bar_label);
	fill(surface, (SDL_Rect){ area.x - 1, area.y + area.h, area.w + 2, 1 }, bar_label);
	fill(surface, (SDL_Rect){ area.x - 1, area.y, 1, area.h }, bar_label);
	fill(surface, (SDL_Rect){ area.x + area.w, area.y, 1, area.h }, bar_label);
	int y = (GR_DRAW_BAR - line_height(draw, FONT_BAR)) / 2;
	SDL_Rect inside = { GR_DRAW_BORDER, 0, w - 2 * GR_DRAW_BORDER, GR_DRAW_BAR };
	SDL_SetClipRect(surface, &inside); /* a narrow window ends the text, not the border */
	SDL_Point size = put_text(draw, surface, FONT_BAR, "画面転送・インターネット", bar_text, 12, y, 0);
	if (!gr_messages_japanese())
		size.x += 16 + put_text(draw, surface, FONT_BAR, "Internet, by screen transfer", bar_label,
					12 + size.x + 16, y, 0)
				       .x;
	char who[400];
	SDL_snprintf(who, sizeof(who), "%s%s%s", viewer->person, *viewer->person ? " @ " : "", viewer->host);
	int who_width = 0;
	if (draw->fonts[FONT_BAR])
		TTF_SizeUTF8(draw->fonts[FONT_BAR], who, &who_width, NULL);
	if (12 + size.x + 24 + who_width + 12 <= w)
		put_text(draw, surface, FONT_BAR, who, bar_label, -(w - 12), y, 0);
	SDL_SetClipRect(surface, NULL);
}

static void draw_message(const struct gr_draw *draw, SDL_Surface *surface, SDL_Rect area,
			 const struct gr_viewer *viewer)
{
	const char *title, *what = "", *action = "";
	char small[512] = "";
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
	case GR_VIEWER_OPEN:
	case GR_VIEWER_SHOWN: title = gr_text("画面を受信しています", "Receiving the picture"); break;
	default: {
		struct gr_message message = gr_message_get(viewer->failure, viewer->reason);
		title = viewer->failure == GR_FAIL_NONE || viewer->width
				? gr_text("画面転送が終了しました", "The session has ended")
				: gr_text("接続できませんでした", "No connection");
		what = message.what;
		action = message.action;
		SDL_snprintf(small, sizeof(small), "%s: %s (%d)%s%s", gr_text("理由コード", "Code"), message.name,
			     message.exit_code, *viewer->detail ? "\n" : "", viewer->detail);
	}
	}
	enum { MARGIN = 32, STRIPE = 6, WIDTH = 660 };
	int width = area.w < WIDTH + 2 * MARGIN ? area.w - 2 * MARGIN : WIDTH;
	if (width < 40)
		return;
	int wrap = width - 2 * MARGIN - STRIPE;
	/* Measured by drawing outside first: the panel's height depends on how the lines wrap. */
	int heights[4] = { 0 };
	const char *texts[4] = { title, what, action, small };
	const enum font fonts[4] = { FONT_TITLE, FONT_BODY, FONT_BODY, FONT_SMALL };
	const SDL_Color colours[4] = { frame_colour, ink, ink, pale_ink };
	int total = 0;
	for (int i = 0; i < 4; i++) {
		heights[i] = put_text(draw, surface, fonts[i], texts[i], colours[i], surface->w, surface->h, wrap).y;
		total += heights[i] ? heights[i] + (i ? 12 : 0) : 0;
	}
	SDL_Rect panel = { area.x + (area.w - width) / 2, area.y + (area.h - total - 2 * MARGIN) / 3, width,
			   total + 2 * MARGIN };
	if (panel.y < area.y)
		panel.y = area.y;
	SDL_Rect outline = { panel.x - 1, panel.y - 1, panel.w + 2, panel.h + 2 };
	fill(surface, outline, (SDL_Color){ 0xd6, 0xcf, 0xc9, 0xff });
	fill(surface, panel, (SDL_Color){ 0xff, 0xff, 0xff, 0xff });
	fill(surface, (SDL_Rect){ panel.x, panel.y, STRIPE, panel.h }, frame_colour);
	int y = panel.y + MARGIN;
	for (int i = 0; i < 4; i++)
		if (heights[i]) {
			put_text(draw, surface, fonts[i], texts[i], colours[i], panel.x + MARGIN + STRIPE, y, wrap);
			y += heights[i] + 12;
		}
}

/* The picture's memory as a surface; its pixels are only read. */
static SDL_Surface *picture_surface(const struct gr_viewer *viewer)
{
	return SDL_CreateRGBSurfaceWithFormatFrom((void *)(uintptr_t)viewer->picture, viewer->width, viewer->height, 32,
						  (int)(GR_PICTURE_STRIDE * 4), SDL_PIXELFORMAT_RGB888);
}

SDL_Rect gr_draw_damage(SDL_Surface *surface, const struct gr_viewer *viewer, struct gr_rect damage)
{
	SDL_Rect place = gr_draw_place(viewer, surface->w, surface->h), empty = { 0 };
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
	return changed;
}

static void draw_composing(const struct gr_draw *draw, SDL_Surface *surface, const struct gr_viewer *viewer,
			   const char *composing)
{
	SDL_Rect place = gr_draw_place(viewer, surface->w, surface->h);
	int x = place.x + 8, y = place.y + 8, width = 0, height = line_height(draw, FONT_BODY);
	if (viewer->caret.known) {
		x = place.x + viewer->caret.rect.x;
		y = place.y + viewer->caret.rect.y;
	}
	if (draw->fonts[FONT_BODY])
		TTF_SizeUTF8(draw->fonts[FONT_BODY], composing, &width, NULL);
	if (x + width + 8 > surface->w - GR_DRAW_BORDER)
		x = surface->w - GR_DRAW_BORDER - width - 8;
	fill(surface, (SDL_Rect){ x, y, width + 8, height + 4 }, (SDL_Color){ 0xff, 0xff, 0xff, 0xff });
	put_text(draw, surface, FONT_BODY, composing, ink, x + 4, y, 0);
	fill(surface, (SDL_Rect){ x, y + height + 2, width + 8, 2 }, frame_colour);
}

void gr_draw_all(struct gr_draw *draw, SDL_Surface *surface, const struct gr_viewer *viewer, const char *composing)
{
	SDL_Rect area = gr_draw_area(surface->w, surface->h);
	fill(surface, area, backdrop);
	SDL_SetClipRect(surface, &area);
	if (viewer->width)
		gr_draw_damage(surface, viewer, (struct gr_rect){ 0, 0, viewer->width, viewer->height });
	if (viewer->state == GR_VIEWER_SHOWN && *composing)
		draw_composing(draw, surface, viewer, composing);
	if (viewer->state != GR_VIEWER_SHOWN)
		draw_message(draw, surface, area, viewer);
	SDL_SetClipRect(surface, NULL);
	draw_frame(draw, surface, viewer);
}

int gr_draw_text(const struct gr_draw *draw, SDL_Surface *surface, const char *text, SDL_Color colour, int x, int y)
{
	return put_text(draw, surface, FONT_BAR, text, colour, x, y, 0).x;
}
