/* What a JPEG of ours may look like: checked before libjpeg sees a byte of it. Pure. */
#ifndef GARASU_COMMON_DECODE_JPEG_H
#define GARASU_COMMON_DECODE_JPEG_H

#include <stddef.h>
#include <stdint.h>

/*
 * ITU-T T.81, baseline only: SOI, then DQT, SOF0, DHT in any order, one SOS of all components with its data, EOI, and no byte
 * more. 8 bits, three components, w by h pixels. Returns NULL, or static text that says what is wrong.
 */
const char *gr_jpeg_check(const uint8_t *untrusted, size_t n, uint16_t w, uint16_t h);

#endif
