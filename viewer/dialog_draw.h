/* How the dialogue looks, and what of it is where. */
#ifndef GARASU_VIEWER_DIALOG_DRAW_H
#define GARASU_VIEWER_DIALOG_DRAW_H

#include "viewer/dialog.h"
#include "viewer/paint.h"
#include "viewer/viewer.h"

struct gr_dialog_layout {
	SDL_Rect panel;
	SDL_Rect parts[GR_DIALOG_PARTS]; /* w 0: not there */
};

/* Draws it into area, for viewer's question. surface NULL: only fills *layout_out. */
void gr_dialog_draw(const struct gr_dialog *dialog, const struct gr_paint *paint, SDL_Surface *surface, SDL_Rect area,
		    const struct gr_viewer *viewer, struct gr_dialog_layout *layout_out);

/* The byte of the field's text that is nearest to this place. */
size_t gr_dialog_byte_at(const struct gr_dialog *dialog, const struct gr_paint *paint, enum gr_dialog_part field,
			 SDL_Rect place, int x);

/* Milliseconds until it must be drawn again (a second of waiting is over, the bar moves); -1: not by time. */
int gr_dialog_wait_ms(const struct gr_dialog *dialog, const struct gr_viewer *viewer);

#endif
