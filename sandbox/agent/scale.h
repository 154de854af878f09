/*
 * How large the browser draws. The agent is the display's XSETTINGS manager and announces the dots an inch there; GTK hears of it
 * and Chromium follows at once, its own tabs and menus too, as it does on a desktop whose owner moves the slider.
 * Format: the freedesktop.org XSETTINGS specification 0.5.
 */
#ifndef GARASU_AGENT_SCALE_H
#define GARASU_AGENT_SCALE_H

#include "common/error.h"
#include "common/record.h"

#include <xcb/xcb.h>

struct gr_scale {
	xcb_connection_t *x; /* borrowed */
	xcb_window_t window; /* owns the selection, carries the property */
	xcb_atom_t settings;
	uint32_t serial;
	uint32_t wanted, percent; /* asked for; announced */
};

/* Becomes the manager, at 100 %, before any program that asks for one is started. GR_EIO. */
int gr_scale_init(struct gr_scale *scale, xcb_connection_t *x, xcb_window_t root, struct gr_error *err);

/*
 * On a screen of this width: the browser's window is never narrower than 500 of its own pixels, so on a narrow screen less is announced
 * than is wanted. GR_EINVAL: outside of GR_BROWSER_SCALE_MIN .. _MAX.
 */
int gr_scale_set(struct gr_scale *scale, uint32_t percent, uint16_t width);

/* The screen has another width now. */
void gr_scale_follow(struct gr_scale *scale, uint16_t width);

#endif
