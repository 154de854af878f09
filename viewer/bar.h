/* The viewer's own bar and border around the picture: what no page can draw over. */
#ifndef GARASU_VIEWER_BAR_H
#define GARASU_VIEWER_BAR_H

#include "viewer/menu.h"
#include "viewer/paint.h"
#include "viewer/viewer.h"

#define GR_DRAW_BAR 30 /* pixels at a scale of 100 %, at the top */
#define GR_DRAW_BORDER 4 /* on the three other sides; the innermost pixel is a pale line, below the bar too */

/* menu: its button is there, and pressed while it is open; NULL: no button. */
void gr_bar_draw(const struct gr_paint *paint, SDL_Surface *surface, const struct gr_viewer *viewer,
		 const struct gr_menu *menu);

/* Where the menu's button is in a window of this width. */
SDL_Rect gr_bar_button(const struct gr_paint *paint, int window_width);

/* Minutes that the session has left, the one begun counts; -1: no limit, or there is no session. */
int gr_bar_minutes_left(const struct gr_viewer *viewer);
/* Milliseconds until that is another number; -1: it never is. */
int gr_bar_wait_ms(const struct gr_viewer *viewer);

#endif
