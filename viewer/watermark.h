/*
 * The watermark: who looks, and when, faintly and again and again across the picture. Made once for each text, as a small image that
 * repeats; laying it over a part of the picture is then a blit of mostly transparent runs.
 */
#ifndef GARASU_VIEWER_WATERMARK_H
#define GARASU_VIEWER_WATERMARK_H

#include "viewer/paint.h"

struct gr_watermark;

/* NULL when out of memory. */
struct gr_watermark *gr_watermark_create(void);
void gr_watermark_destroy(struct gr_watermark *watermark); /* NULL allowed */

/* The text from now on: person and the local time, to the minute. Returns whether it is another one than before. */
int gr_watermark_set(struct gr_watermark *watermark, const struct gr_paint *paint, const char *person);

/* Lays it over what of rect is on the surface. The pattern begins at rect's left upper corner of origin, whatever the part. */
void gr_watermark_lay(const struct gr_watermark *watermark, SDL_Surface *surface, SDL_Rect part, SDL_Point origin);

/* Milliseconds until the minute is over. */
int gr_watermark_wait_ms(void);

#endif
