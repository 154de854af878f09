/* SDL's events, and a script's keys, for the dialogue. */
#ifndef GARASU_VIEWER_DIALOG_INPUT_H
#define GARASU_VIEWER_DIALOG_INPUT_H

#include "viewer/dialog.h"
#include "viewer/dialog_draw.h"

#include <SDL2/SDL.h>

/* One event of a window whose inside is area; the dialogue is drawn as gr_dialog_draw does. */
enum gr_dialog_action gr_dialog_input(struct gr_dialog *dialog, const struct gr_paint *paint, SDL_Rect area,
				      const struct gr_viewer *viewer, const SDL_Event *event);

/* A key by its X keysym; characters are typed. */
enum gr_dialog_action gr_dialog_input_keysym(struct gr_dialog *dialog, uint32_t keysym, int shift, int control);

#endif
