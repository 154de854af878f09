/* JPEG payloads: PHOTO's and those of Tight (docs/PROTOCOL.md §4.4). Source: ITU-T T.81. Pure. */
#ifndef GARASU_BROKER_GUARD_JPEG_H
#define GARASU_BROKER_GUARD_JPEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gr_guard_jpeg;

/* Returns owned; NULL: out of memory. */
struct gr_guard_jpeg *gr_guard_jpeg_create(void);
void gr_guard_jpeg_destroy(struct gr_guard_jpeg *jpeg); /* NULL allowed */

/*
 * Judges one picture of w by h pixels: SOI, then DQT, SOF0 and DHT, each table once, one SOS of all three components (4:2:0), EOI and not a
 * byte more. Strict: the coded data is walked code by code, holds exactly the blocks of the picture, and is padded by ones to
 * EOI. Returns NULL, or static text: which rule is broken.
 */
const char *gr_guard_jpeg_check(struct gr_guard_jpeg *jpeg, const uint8_t *untrusted, size_t n, uint16_t w, uint16_t h,
				bool strict);

#endif
