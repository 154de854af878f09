#include "viewer/paint.h"
#include "common/log.h"

#include <fontconfig/fontconfig.h>

static const int font_points[GR_FONT_COUNT] = { 15, 24, 16, 13 };

const struct gr_palette gr_palette_usual = {
	.frame = { 0x9a, 0x34, 0x12, 0xff },
	.bar_text = { 0xff, 0xff, 0xff, 0xff },
	.bar_label = { 0xff, 0xed, 0xd5, 0xff },
	.frame_line = { 0xff, 0xed, 0xd5, 0xff },
	.mark = { 0x3d, 0x12, 0x06, 0xff },
	.mark_text = { 0xff, 0xff, 0xff, 0xff },
	.mark_disc = { 0xff, 0x5a, 0x4d, 0xff },
	.backdrop = { 0xf4, 0xf1, 0xee, 0xff },
	.panel = { 0xff, 0xff, 0xff, 0xff },
	.line = { 0xd6, 0xcf, 0xc9, 0xff },
	.ink = { 0x1f, 0x1a, 0x17, 0xff },
	.pale_ink = { 0x6b, 0x62, 0x5c, 0xff },
	.accent = { 0x9a, 0x34, 0x12, 0xff },
	.accent_ink = { 0xff, 0xff, 0xff, 0xff },
	.edge = { 0x8d, 0x84, 0x7d, 0xff },
	.selected = { 0xfb, 0xd5, 0xb5, 0xff },
	.idle = { 0xe6, 0xe1, 0xdc, 0xff },
	.alarm = { 0xfd, 0xec, 0xea, 0xff },
	.alarm_ink = { 0x8c, 0x1d, 0x18, 0xff },
	.hint_ink = { 0x8a, 0x5a, 0x00, 0xff },
	.told = { 0x1f, 0x1a, 0x17, 0xff },
	.told_ink = { 0xff, 0xff, 0xff, 0xff },
};

const struct gr_palette gr_palette_contrast = {
	.frame = { 0xff, 0xee, 0x00, 0xff },
	.bar_text = { 0x00, 0x00, 0x00, 0xff },
	.bar_label = { 0x00, 0x00, 0x00, 0xff },
	.frame_line = { 0x00, 0x00, 0x00, 0xff },
	.mark = { 0x00, 0x00, 0x00, 0xff },
	.mark_text = { 0xff, 0xee, 0x00, 0xff },
	.mark_disc = { 0xff, 0xff, 0xff, 0xff },
	.backdrop = { 0x00, 0x00, 0x00, 0xff },
	.panel = { 0x00, 0x00, 0x00, 0xff },
	.line = { 0xff, 0xff, 0xff, 0xff },
	.ink = { 0xff, 0xff, 0xff, 0xff },
	.pale_ink = { 0xff, 0xff, 0xff, 0xff },
	.accent = { 0xff, 0xee, 0x00, 0xff },
	.accent_ink = { 0x00, 0x00, 0x00, 0xff },
	.edge = { 0xa8, 0xa8, 0xa8, 0xff },
	.selected = { 0x5c, 0x5c, 0x00, 0xff },
	.idle = { 0x3c, 0x3c, 0x3c, 0xff },
	.alarm = { 0x00, 0x00, 0x00, 0xff },
	.alarm_ink = { 0xff, 0xee, 0x00, 0xff },
	.hint_ink = { 0xff, 0xee, 0x00, 0xff },
	.told = { 0x00, 0x00, 0x00, 0xff },
	.told_ink = { 0xff, 0xee, 0x00, 0xff },
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

void gr_paint_init(struct gr_paint *paint, int scale)
{
	char file[1024];
	long index = 0;
	*paint = (struct gr_paint){ .scale = scale, .colours = &gr_palette_usual };
	if (TTF_Init() < 0 || !find_font(file, sizeof(file), &index)) {
		gr_log_warning("no font found: texts in the window are missing; install fonts-noto-cjk");
		return;
	}
	for (int i = 0; i < GR_FONT_COUNT; i++) {
		paint->fonts[i] = TTF_OpenFontIndex(file, gr_paint_px(paint, font_points[i]), index);
		if (!paint->fonts[i])
			gr_log_warning("font %s: %s", file, TTF_GetError());
	}
}

void gr_paint_rescale(struct gr_paint *paint, int scale)
{
	paint->scale = scale;
	for (int i = 0; i < GR_FONT_COUNT; i++)
		if (paint->fonts[i])
			TTF_SetFontSize(paint->fonts[i], gr_paint_px(paint, font_points[i]));
}

void gr_paint_finish(struct gr_paint *paint)
{
	for (int i = 0; i < GR_FONT_COUNT; i++)
		if (paint->fonts[i])
			TTF_CloseFont(paint->fonts[i]);
	if (TTF_WasInit())
		TTF_Quit();
}

int gr_paint_px(const struct gr_paint *paint, int pixels)
{
	return (pixels * paint->scale + 50) / 100;
}

void gr_paint_fill(SDL_Surface *surface, SDL_Rect rect, SDL_Color colour)
{
	SDL_FillRect(surface, &rect, SDL_MapRGB(surface->format, colour.r, colour.g, colour.b));
}

void gr_paint_grey(SDL_Surface *surface, SDL_Rect rect)
{
	SDL_Rect whole = { 0, 0, surface->w, surface->h };
	if (surface->format->BytesPerPixel != 4 || !SDL_IntersectRect(&rect, &whole, &rect) || SDL_LockSurface(surface))
		return;
	for (int y = rect.y; y < rect.y + rect.h; y++) {
		uint32_t *row = (uint32_t *)(void *)((uint8_t *)surface->pixels + (size_t)y * (size_t)surface->pitch);
		for (int x = rect.x; x < rect.x + rect.w; x++) {
			uint8_t r, g, b;
			SDL_GetRGB(row[x], surface->format, &r, &g, &b);
			uint8_t grey = (uint8_t)(104 + (3 * r + 6 * g + b) / 20);
			row[x] = SDL_MapRGB(surface->format, grey, grey, grey);
		}
	}
	SDL_UnlockSurface(surface);
}

void gr_paint_outline(SDL_Surface *surface, SDL_Rect rect, int width, SDL_Color colour)
{
	gr_paint_fill(surface, (SDL_Rect){ rect.x, rect.y, rect.w, width }, colour);
	gr_paint_fill(surface, (SDL_Rect){ rect.x, rect.y + rect.h - width, rect.w, width }, colour);
	gr_paint_fill(surface, (SDL_Rect){ rect.x, rect.y, width, rect.h }, colour);
	gr_paint_fill(surface, (SDL_Rect){ rect.x + rect.w - width, rect.y, width, rect.h }, colour);
}

SDL_Point gr_paint_text(const struct gr_paint *paint, SDL_Surface *surface, enum gr_font font, const char *text,
			SDL_Color colour, int x, int y, int wrap)
{
	SDL_Point size = { 0, 0 };
	if (!paint->fonts[font] || !*text)
		return size;
	SDL_Surface *image = wrap > 0 ? TTF_RenderUTF8_Blended_Wrapped(paint->fonts[font], text, colour, (Uint32)wrap)
				      : TTF_RenderUTF8_Blended(paint->fonts[font], text, colour);
	if (!image)
		return size;
	size = (SDL_Point){ image->w, image->h };
	if (surface) {
		SDL_Rect to = { x < 0 ? -x - image->w : x, y, image->w, image->h };
		SDL_BlitSurface(image, NULL, surface, &to);
	}
	SDL_FreeSurface(image);
	return size;
}

SDL_Point gr_paint_measure(const struct gr_paint *paint, enum gr_font font, const char *text, int wrap)
{
	return gr_paint_text(paint, NULL, font, text, paint->colours->ink, 0, 0, wrap);
}

int gr_paint_line_height(const struct gr_paint *paint, enum gr_font font)
{
	return paint->fonts[font] ? TTF_FontHeight(paint->fonts[font]) : 0;
}
