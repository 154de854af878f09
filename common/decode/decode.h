/*
 * The decoder of Garasu's own rectangles (docs/PROTOCOL.md, "Garasu rectangles"). Pure: bytes in, pixels out; no I/O, no
 * globals, memory bounded by the history's size. For the viewer, the guard, the tests and the benchmark.
 *
 * Pixels are BGRX8888, X set to 0xff; strides in pixels.
 */
#ifndef GARASU_COMMON_DECODE_H
#define GARASU_COMMON_DECODE_H

#include "common/record.h"

#include <stddef.h>
#include <stdint.h>

/* Encoding numbers of RFB rectangles, private to Garasu. Both payloads begin with their length in bytes, u32. */
#define GR_ENCODING_HISTORY 0x47415210 /* a piece of the history stream; its pixels lie inside the rectangle */
#define GR_ENCODING_PHOTO 0x47415211 /* one baseline JPEG of the rectangle's size */
/* Pseudo-encoding of a viewer that decodes both: 0x47415220 + log2 of the bytes of history that it keeps. */
#define GR_ENCODING_HISTORY_SIZE 0x47415220

#define GR_DECODE_PAYLOAD_MAX (4u << 20) /* bytes of one payload, length field not counted */

struct gr_decode;

/* history_log2: 20..25; permit_photo: whether PHOTO is accepted. Returns owned; NULL: out of memory. */
struct gr_decode *gr_decode_create(unsigned history_log2, int permit_photo);
void gr_decode_destroy(struct gr_decode *decode); /* NULL allowed */

/*
 * Decodes one payload into the picture.
 *
 * encoding  GR_ENCODING_HISTORY or GR_ENCODING_PHOTO
 * payload   borrowed, n bytes, n <= GR_DECODE_PAYLOAD_MAX
 * pixels    the picture's first pixel; rows are `stride` pixels apart
 * rect      the RFB rectangle: not empty, and inside the picture, which the caller has checked
 * why       static text for GR_EPROTO
 * Returns 0; GR_EPROTO when the payload is not in the grammar (the picture may be half changed; the decoder must not be used
 * any more); GR_ENOMEM.
 */
int gr_decode_rectangle(struct gr_decode *decode, int32_t encoding, const uint8_t *payload, size_t n, uint32_t *pixels,
			size_t stride, struct gr_rect rect, const char **why);

#endif
