/* The brushes of the viewer's own parts: its colours, its fonts, its scale. Everything is drawn by software into an SDL surface. */
#ifndef GARASU_VIEWER_PAINT_H
#define GARASU_VIEWER_PAINT_H

#include <SDL2/SDL.h>
#include <SDL2/SDL_ttf.h>

enum gr_font { GR_FONT_BAR, GR_FONT_TITLE, GR_FONT_BODY, GR_FONT_SMALL, GR_FONT_COUNT };

/* What is drawn in which colour. */
struct gr_palette {
	SDL_Color frame, bar_text, bar_label; /* the bar and the border: this is the internet */
	SDL_Color frame_line; /* between them and the picture */
	SDL_Color mark, mark_text, mark_disc; /* what is set off in the bar: recorded, the last minutes */
	SDL_Color backdrop; /* around a picture that is smaller */
	SDL_Color panel, line, ink, pale_ink; /* dialogues and messages */
	SDL_Color accent, accent_ink; /* titles, the focus, the main button; what is written on it */
	SDL_Color edge, selected, idle; /* of fields; what cannot be used now */
	SDL_Color alarm, alarm_ink, hint_ink;
	SDL_Color told, told_ink; /* gr_window_tell */
};

extern const struct gr_palette gr_palette_usual; /* burnt orange */
extern const struct gr_palette gr_palette_contrast; /* black, white, yellow */

struct gr_paint {
	TTF_Font *fonts[GR_FONT_COUNT]; /* NULL: not found, then nothing is written */
	int scale; /* percent */
	const struct gr_palette *colours;
};

/* Finds fonts. Without any no text is drawn (a warning is logged). */
void gr_paint_init(struct gr_paint *paint, int scale);
/* The same fonts at another scale. */
void gr_paint_rescale(struct gr_paint *paint, int scale);
void gr_paint_finish(struct gr_paint *paint);

/* Pixels at this scale of so many at 100 %. */
int gr_paint_px(const struct gr_paint *paint, int pixels);

void gr_paint_fill(SDL_Surface *surface, SDL_Rect rect, SDL_Color colour);
/* What is there loses its colours and most of its contrast. */
void gr_paint_grey(SDL_Surface *surface, SDL_Rect rect);
/* A line of this width inside of rect's edges. */
void gr_paint_outline(SDL_Surface *surface, SDL_Rect rect, int width, SDL_Color colour);

/* Draws a line of text, or several when it is wider than `wrap` (0: never). Returns its size; x < 0: right edge at -x. */
SDL_Point gr_paint_text(const struct gr_paint *paint, SDL_Surface *surface, enum gr_font font, const char *text,
			SDL_Color colour, int x, int y, int wrap);
/* The size that it would have. */
SDL_Point gr_paint_measure(const struct gr_paint *paint, enum gr_font font, const char *text, int wrap);
int gr_paint_line_height(const struct gr_paint *paint, enum gr_font font);

#endif
