/*
 * Lossless Tight rectangles (RFB registry, encoding 7) for any VNC viewer: fill, two colours, palette, and 24-bit pixels,
 * through zlib streams that last as long as the viewer's connection. No I/O, no globals, no allocation but in create.
 *
 * Pixels are BGRX8888, X ignored; strides in pixels.
 */
#ifndef GARASU_BROKER_ENCODE_TIGHT_H
#define GARASU_BROKER_ENCODE_TIGHT_H

#include "common/record.h"

#include <stddef.h>
#include <stdint.h>

struct gr_tight_encoder;

/* Returns owned, with empty zlib streams, for one viewer's connection; NULL: out of memory. */
struct gr_tight_encoder *gr_tight_encoder_create(void);
void gr_tight_encoder_destroy(struct gr_tight_encoder *tight); /* NULL allowed */

/* The most bytes that gr_tight_encoder_write can take for a rectangle of w by h pixels. */
size_t gr_tight_encoder_bound(uint16_t w, uint16_t h);

/*
 * Writes rect exactly, as one or more RFB rectangles, each with its 12-byte header, that cover it once.
 * pixels: of the whole screen; rect: not empty, inside it. out: at least gr_tight_encoder_bound bytes.
 * rects: is increased by how many were written. Returns the bytes, or GR_ENOMEM when zlib fails.
 */
ptrdiff_t gr_tight_encoder_write(struct gr_tight_encoder *tight, const uint32_t *pixels, size_t stride,
				 struct gr_rect rect, uint8_t *out, unsigned *rects);

/* Writes the header of one JPEG rectangle whose data is `length` bytes, below 4 MiB: at most 16 bytes. Returns them. */
size_t gr_tight_encoder_jpeg_header(struct gr_rect rect, size_t length, uint8_t *out);

#endif
