/* How the menu and the list of keys look, and what of them is where. */
#ifndef GARASU_VIEWER_MENU_DRAW_H
#define GARASU_VIEWER_MENU_DRAW_H

#include "viewer/menu.h"
#include "viewer/paint.h"

#define GR_MENU_ROWS 32

struct gr_menu_layout {
	SDL_Rect panel;
	SDL_Rect rows[GR_MENU_ROWS]; /* by the table's number; w 0: not there */
};

/* Draws what is open into area (the picture's). surface NULL: only fills *layout_out. */
void gr_menu_draw(const struct gr_menu *menu, const struct gr_paint *paint, SDL_Surface *surface, SDL_Rect area,
		  struct gr_menu_layout *layout_out);

#endif
