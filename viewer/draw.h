/*
 * The look of the viewer: a bar with title and border of its own around the remote picture, which no page can
 * draw over, and messages. Everything is composed by software into an SDL surface: the window's, or one in memory.
 */
#ifndef GARASU_VIEWER_DRAW_H
#define GARASU_VIEWER_DRAW_H

#include "viewer/bar.h"
#include "viewer/dialog.h"
#include "viewer/menu.h"
#include "viewer/paint.h"
#include "viewer/print_panel.h"
#include "viewer/viewer.h"

struct gr_draw;

/* What the window's own parts are drawn from. */
struct gr_draw_scene {
	const struct gr_viewer *viewer;
	const struct gr_dialog *dialog; /* shown when it is open */
	const char *composing; /* text of the local input method that is going to the browser, or "" */
	const struct gr_menu *menu; /* NULL: there is none, nor a button for it */
	const char *told; /* what the person is told in passing, or "" */
	SDL_Surface *frozen; /* shown in place of the picture; NULL: the picture is */
	const struct gr_print_panel *panel; /* NULL: none. print: its job */
	const struct gr_print *print;
};

/* Finds fonts. scale: of bar, border and messages, in percent; the picture has none. NULL when out of memory. */
struct gr_draw *gr_draw_create(int scale);
void gr_draw_destroy(struct gr_draw *draw); /* NULL allowed */

/* From now on at this scale. GR_ENOMEM: it stays as it was. */
int gr_draw_rescale(struct gr_draw *draw, int scale);
/* In black, white and yellow, or in the usual colours. */
void gr_draw_set_contrast(struct gr_draw *draw, int high);

const struct gr_paint *gr_draw_paint(const struct gr_draw *draw);

/* The window's or picture's size from the other one. */
SDL_Rect gr_draw_area(const struct gr_draw *draw, int window_width, int window_height);
SDL_Point gr_draw_window_size(const struct gr_draw *draw, int width, int height);
/* Where in a window of this size the picture is shown: 1:1, or smaller when it does not fit. Empty without a picture. */
SDL_Rect gr_draw_place(const struct gr_draw *draw, const struct gr_viewer *viewer, int window_width, int window_height);

/* Where in a window of this size the caret is; empty when that is unknown. */
SDL_Rect gr_draw_caret(const struct gr_draw *draw, const struct gr_viewer *viewer, int window_width, int window_height);

/* Draws all: bar, border, picture or message or dialogue. */
void gr_draw_all(struct gr_draw *draw, SDL_Surface *surface, const struct gr_draw_scene *scene);
/* Draws the damaged part of the picture only. Returns what was changed on the surface (maybe empty). */
SDL_Rect gr_draw_damage(const struct gr_draw *draw, SDL_Surface *surface, const struct gr_viewer *viewer,
			struct gr_rect damage);
/* The picture alone, with the watermark where it must be shown, on a surface of its size. */
void gr_draw_picture(struct gr_draw *draw, SDL_Surface *surface, const struct gr_viewer *viewer);

/* Lays the watermark over a page of a document, where it must be shown. draw: of the page's own scale, 100 % being 96 dpi. */
void gr_draw_mark(struct gr_draw *draw, uint32_t *pixels, int width, int height, const struct gr_viewer *viewer);

/*
 * Milliseconds until all of it must be drawn again although nothing happened (the watermark's minute is over, a message counts
 * down, a minute of the session is over); -1: not by time.
 */
int gr_draw_wait_ms(const struct gr_viewer *viewer);

/* One line of text of the bar's size, its upper left corner at x, y. Returns its width. */
int gr_draw_text(const struct gr_draw *draw, SDL_Surface *surface, const char *text, SDL_Color colour, int x, int y);

#endif
