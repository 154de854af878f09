/*
 * The look of the viewer: a bar with title and border of its own around the remote picture, which no page can
 * draw over, and messages. Everything is composed by software into an SDL surface: the window's, or one in memory.
 */
#ifndef GARASU_VIEWER_DRAW_H
#define GARASU_VIEWER_DRAW_H

#include "viewer/viewer.h"

#include <SDL2/SDL.h>

#define GR_DRAW_BAR 30 /* pixels, at the top */
#define GR_DRAW_BORDER 4 /* pixels, on the three other sides; the innermost one is a pale line, below the bar too */

struct gr_draw;

/* Finds fonts. Without any, the result draws no text (a warning is logged). NULL when out of memory. */
struct gr_draw *gr_draw_create(void);
void gr_draw_destroy(struct gr_draw *draw); /* NULL allowed */

/* The window's or picture's size from the other one. */
SDL_Rect gr_draw_area(int window_width, int window_height);
/* Where in a window of this size the picture is shown: 1:1, or smaller when it does not fit. Empty without a picture. */
SDL_Rect gr_draw_place(const struct gr_viewer *viewer, int window_width, int window_height);

/* Draws all: bar, border, picture or message. composing: text of the local input method, or "". */
void gr_draw_all(struct gr_draw *draw, SDL_Surface *surface, const struct gr_viewer *viewer, const char *composing);
/* Draws the damaged part of the picture only. Returns what was changed on the surface (maybe empty). */
SDL_Rect gr_draw_damage(SDL_Surface *surface, const struct gr_viewer *viewer, struct gr_rect damage);

/* One line of text of the bar's size, its upper left corner at x, y. Returns its width. */
int gr_draw_text(const struct gr_draw *draw, SDL_Surface *surface, const char *text, SDL_Color colour, int x, int y);

#endif
