/*
 * The panel of a print job: what is in it, where the focus is, what a key does, how it looks. It is drawn over the picture, and
 * while it is open keys and clicks are its own.
 */
#ifndef GARASU_VIEWER_PRINT_PANEL_H
#define GARASU_VIEWER_PRINT_PANEL_H

#include "viewer/paint.h"
#include "viewer/print.h"

/* What can have the focus, in the order of Tab. The first two are fields. */
enum gr_print_part {
	GR_PRINT_FROM,
	GR_PRINT_TO,
	GR_PRINT_SAVE,
	GR_PRINT_PAPER,
	GR_PRINT_STOP, /* the only one while pages are fetched */
	GR_PRINT_PARTS
};
#define GR_PRINT_FIELDS 2

struct gr_print_panel {
	int open;
	enum gr_print_part focus;
	unsigned pages[GR_PRINT_FIELDS]; /* from, to; 0: the field is empty */
	int all; /* what is in the field that has the focus is selected */
	uint64_t opened_us; /* a key that was meant for the page, right when it opens, chooses nothing */
};

enum gr_print_action_wanted { GR_PANEL_NOTHING, GR_PANEL_CHANGED, GR_PANEL_SAVE, GR_PANEL_PAPER, GR_PANEL_STOP };

/* Opens it for what is offered, with all pages chosen and the focus on saving. */
void gr_print_panel_open(struct gr_print_panel *panel, const struct gr_print *print);

/* Whether the chosen pages are some of those offered. */
int gr_print_panel_complete(const struct gr_print_panel *panel, const struct gr_print *print);

/* An event of a window whose inside is area. What it does not know it ignores. */
enum gr_print_action_wanted gr_print_panel_event(struct gr_print_panel *panel, const struct gr_print *print,
						 const struct gr_paint *paint, SDL_Rect area, const SDL_Event *event);

/* Draws it into area. surface NULL: only fills parts_out (w 0: not there). */
void gr_print_panel_draw(const struct gr_print_panel *panel, const struct gr_print *print, const struct gr_paint *paint,
			 SDL_Surface *surface, SDL_Rect area, SDL_Rect parts_out[GR_PRINT_PARTS]);

#endif
