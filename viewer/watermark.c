#include "viewer/watermark.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEGREES 24.0
#define LIGHT_ALPHA 64 /* of the bright edge, which shows on what is dark */
#define DARK_ALPHA 44 /* of the letters, which show on what is bright */

struct gr_watermark {
	char text[96];
	SDL_Surface *tile; /* NULL: no text, or no font */
};

struct gr_watermark *gr_watermark_create(void)
{
	return calloc(1, sizeof(struct gr_watermark));
}

void gr_watermark_destroy(struct gr_watermark *watermark)
{
	if (!watermark)
		return;
	SDL_FreeSurface(watermark->tile);
	free(watermark);
}

/* How much of the letters is at this point of their image, 0..255, between its pixels too. */
static double coverage(const SDL_Surface *letters, double x, double y)
{
	int left = (int)floor(x), top = (int)floor(y);
	double fx = x - left, fy = y - top, sum = 0;
	for (int i = 0; i < 4; i++) {
		int px = left + (i & 1), py = top + (i >> 1);
		if (px < 0 || py < 0 || px >= letters->w || py >= letters->h)
			continue;
		const Uint32 *row =
			(const Uint32 *)(const void *)((const Uint8 *)letters->pixels + (ptrdiff_t)py * letters->pitch);
		sum += (row[px] >> 24) * ((i & 1 ? fx : 1 - fx) * (i >> 1 ? fy : 1 - fy));
	}
	return sum;
}

/* Adds the letters, turned, with their middle at (middle_x, middle_y). */
static void stamp(SDL_Surface *tile, const SDL_Surface *letters, double middle_x, double middle_y)
{
	double c = cos(DEGREES * M_PI / 180), s = sin(DEGREES * M_PI / 180);
	for (int y = 0; y < tile->h; y++) {
		Uint32 *row = (Uint32 *)(void *)((Uint8 *)tile->pixels + (ptrdiff_t)y * tile->pitch);
		for (int x = 0; x < tile->w; x++) {
			double dx = x - middle_x, dy = y - middle_y;
			double u = dx * c - dy * s + letters->w / 2.0, v = dx * s + dy * c + letters->h / 2.0;
			if (u < -2 || v < -2 || u > letters->w + 1 || v > letters->h + 1)
				continue;
			double dark = coverage(letters, u, v),
			       light = coverage(letters, u - 1.2, v - 1.2) * (255 - dark) / 255;
			unsigned a_dark = (unsigned)(dark * DARK_ALPHA / 255),
				 a_light = (unsigned)(light * LIGHT_ALPHA / 255);
			if (a_dark + a_light == 0)
				continue;
			unsigned white = 255 * a_light / (a_dark + a_light);
			row[x] = (Uint32)(a_dark + a_light) << 24 | white << 16 | white << 8 | white;
		}
	}
}

static SDL_Surface *make_tile(const struct gr_paint *paint, const char *text)
{
	if (!paint->fonts[GR_FONT_TITLE])
		return NULL;
	const SDL_Color white = { 0xff, 0xff, 0xff, 0xff };
	SDL_Surface *letters = TTF_RenderUTF8_Blended(paint->fonts[GR_FONT_TITLE], text, white);
	if (!letters)
		return NULL;
	double c = cos(DEGREES * M_PI / 180), s = sin(DEGREES * M_PI / 180);
	int w = (int)(letters->w * c + letters->h * s) + gr_paint_px(paint, 60);
	int h = (int)(letters->w * s + letters->h * c) + gr_paint_px(paint, 20);
	/* Two to a tile, the second half a tile further: like bricks. */
	SDL_Surface *tile = SDL_CreateRGBSurfaceWithFormat(0, w, 2 * h, 32, SDL_PIXELFORMAT_ARGB8888);
	if (tile) {
		SDL_FillRect(tile, NULL, 0);
		stamp(tile, letters, w / 2.0, h / 2.0);
		stamp(tile, letters, 0, 1.5 * h);
		stamp(tile, letters, w, 1.5 * h);
		SDL_SetSurfaceBlendMode(tile, SDL_BLENDMODE_BLEND);
		SDL_SetSurfaceRLE(tile, 1);
	}
	SDL_FreeSurface(letters);
	return tile;
}

int gr_watermark_set(struct gr_watermark *watermark, const struct gr_paint *paint, const char *person)
{
	time_t now = time(NULL);
	struct tm local;
	char text[sizeof(watermark->text)], minute[32] = "";
	if (localtime_r(&now, &local))
		strftime(minute, sizeof(minute), "%Y-%m-%d %H:%M", &local);
	SDL_snprintf(text, sizeof(text), "%.40s  %s", person, minute);
	if (!strcmp(text, watermark->text))
		return 0;
	memcpy(watermark->text, text, sizeof(text));
	SDL_FreeSurface(watermark->tile);
	watermark->tile = make_tile(paint, text);
	return 1;
}

void gr_watermark_lay(const struct gr_watermark *watermark, SDL_Surface *surface, SDL_Rect part, SDL_Point origin)
{
	SDL_Surface *tile = watermark->tile;
	SDL_Rect before, clip;
	if (!tile || part.w <= 0 || part.h <= 0)
		return;
	SDL_GetClipRect(surface, &before);
	if (SDL_IntersectRect(&before, &part, &clip)) {
		SDL_SetClipRect(surface, &clip);
		for (int y = origin.y + (part.y - origin.y) / tile->h * tile->h; y < part.y + part.h; y += tile->h)
			for (int x = origin.x + (part.x - origin.x) / tile->w * tile->w; x < part.x + part.w;
			     x += tile->w) {
				SDL_Rect to = { x, y, tile->w, tile->h };
				SDL_BlitSurface(tile, NULL, surface, &to);
			}
	}
	SDL_SetClipRect(surface, &before);
}

int gr_watermark_wait_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int)((60 - now.tv_sec % 60) * 1000 - now.tv_nsec / 1000000) + 20;
}
