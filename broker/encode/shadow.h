/*
 * The private copy of the container's screen. The container can rewrite its pixels at any time; everything that is
 * encoded is read from here, so nothing changes half-way. No I/O, no globals, no allocation but in create and resize.
 *
 * Pixels are BGRX8888 in host memory, 4 bytes each; the shadow's X is always 0, whatever the source says: 24 bits of a
 * pixel travel and not 32. x grows right, y down; widths and heights in pixels, strides in bytes.
 */
#ifndef GARASU_BROKER_ENCODE_SHADOW_H
#define GARASU_BROKER_ENCODE_SHADOW_H

#include "common/record.h"

#include <stddef.h>
#include <stdint.h>

struct gr_shadow;

/*
 * Returns an owned shadow of w by h pixels (1..GR_SCREEN_MAX each), all black, or NULL: a size out of its range, or out
 * of memory.
 */
struct gr_shadow *gr_shadow_create(uint16_t w, uint16_t h);

/* Destroys the shadow; NULL is allowed. */
void gr_shadow_destroy(struct gr_shadow *shadow);

/* Another size; what both sizes have in common stays, the rest is black. GR_EINVAL, GR_ENOMEM (nothing changed then). */
int gr_shadow_resize(struct gr_shadow *shadow, uint16_t w, uint16_t h);

/*
 * Takes what changed of the damaged rectangles into the shadow and says where that was.
 *
 * source    borrowed, stride bytes a row, at least the shadow's size; may be rewritten by somebody else meanwhile: each
 *           pixel is read once for each damaged rectangle that covers it, and what was read is what is kept.
 * damage    borrowed, n entries; parts outside the shadow are ignored.
 * changed   receives at most cap (>= 1) rectangles that together cover every pixel whose shadow changed. Each is as tight
 *           as its run of tiles allows; when there are more than cap, neighbours are united and may then overlap.
 * Returns how many; 0 when nothing changed.
 */
size_t gr_shadow_take(struct gr_shadow *shadow, const uint8_t *untrusted_source, size_t stride,
		      const struct gr_rect *damage, size_t n, struct gr_rect *changed, size_t cap);

uint16_t gr_shadow_width(const struct gr_shadow *shadow);
uint16_t gr_shadow_height(const struct gr_shadow *shadow);

/*
 * The pixels, stride = width * 4; borrowed, valid until the next resize. Writable because libvncserver draws the pointer
 * into it, for viewers that cannot draw it themselves, and takes it out again before it returns.
 */
uint8_t *gr_shadow_pixels(struct gr_shadow *shadow);

#endif
