/*
 * Decoder of one Tight rectangle (RFB registry, encoding 7; docs/PROTOCOL.md §4.1): fill, basic with the copy
 * and the palette filter, JPEG when permitted. The gradient filter is refused: our broker never sends it, and it
 * was the place of CVE-2026-44988 elsewhere.
 */
#ifndef GARASU_VIEWER_TIGHT_H
#define GARASU_VIEWER_TIGHT_H

#include "common/record.h"
#include "viewer/reader.h"

struct gr_tight;

/* permit_jpeg: whether a JPEG rectangle is accepted. NULL when out of memory. */
struct gr_tight *gr_tight_create(int permit_jpeg);
void gr_tight_destroy(struct gr_tight *tight); /* NULL allowed */

/*
 * Decodes the rectangle at (x, y) into pixels (BGRX, X set to 0xff), whose rows are `stride` pixels apart.
 * The caller has checked that the rectangle lies inside the picture and is not empty.
 * GR_EPROTO with *why (static text) set, GR_ENOMEM, or the reader's error.
 */
int gr_tight_decode(struct gr_tight *tight, struct gr_reader *reader, uint32_t *pixels, size_t stride,
		    struct gr_rect rect, const char **why);

#endif
