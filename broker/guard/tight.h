/* Tight rectangles: fill, basic with the copy and the palette filter, JPEG (RFB registry, encoding 7; docs/PROTOCOL.md §4.1). */
#ifndef GARASU_BROKER_GUARD_TIGHT_H
#define GARASU_BROKER_GUARD_TIGHT_H

#include "broker/guard/jpeg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gr_guard_tight;

/* strict: inflate. jpeg: borrowed. Returns owned; NULL: out of memory. */
struct gr_guard_tight *gr_guard_tight_create(struct gr_guard_jpeg *jpeg, bool strict);
void gr_guard_tight_destroy(struct gr_guard_tight *tight); /* NULL allowed */

/*
 * How many bytes the rectangle's data has, as far as n bytes of it tell: *size_out is right when n >= *size_out, otherwise a lower
 * bound. Returns NULL, or static text: which rule is broken. Looks at headers and lengths only.
 */
const char *gr_guard_tight_measure(const uint8_t *untrusted, size_t n, uint16_t w, uint16_t h, size_t *size_out);

/* Judges the whole data of one rectangle; photo: JPEG is permitted. Returns NULL, or static text: which rule is broken. */
const char *gr_guard_tight_check(struct gr_guard_tight *tight, const uint8_t *untrusted, size_t n, uint16_t w,
				 uint16_t h, bool photo);

#endif
