/* The screen's size, by RandR. Part of the display: called by display.c only. */
#ifndef GARASU_AGENT_RANDR_H
#define GARASU_AGENT_RANDR_H

#include "sandbox/agent/display.h"

/* Finds the one output and its CRTC; GR_EIO. */
int gr_randr_init(struct gr_display *display, struct gr_error *err);

/* Makes a mode of the size and switches to it; sets display->w, h. GR_EIO, with the size as it was. */
int gr_randr_resize(struct gr_display *display, uint16_t w, uint16_t h);

#endif
