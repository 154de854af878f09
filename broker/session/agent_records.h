/*
 * Judges what comes from the container. Pure: bytes in, struct out. Whatever passes here is safe to use: its type is one
 * that an agent may send, its size is the type's, every count and number is inside the geometry that the broker chose.
 */
#ifndef GARASU_BROKER_SESSION_AGENT_RECORDS_H
#define GARASU_BROKER_SESSION_AGENT_RECORDS_H

#include "common/record.h"

struct gr_agent_geometry {
	uint16_t width, height; /* the screen's present size, as the agent said last */
	uint16_t max_width, max_height; /* of the memfd: the broker's choice */
};

/*
 * Checks one packet. Rectangles of FRAME and CARET are clipped to the present size, and FRAME's that are empty then are
 * taken out (count may become 0); what cannot be meant honestly is GR_EPROTO: wrong size or type, count of rectangles,
 * a rectangle that begins outside the memfd, a cursor larger than its area or with its hot spot outside, a size outside
 * GR_SCREEN_MIN..maximum, an unknown state or status, a piece of a text that is too long or not full but for the last, a page or a
 * document that cannot be. Fields that a record does not use are 0 in *out.
 */
int gr_agent_record_check(const void *untrusted, size_t size, const struct gr_agent_geometry *geometry,
			  union gr_record *out);

/*
 * Flattens a cursor image of w by h (1..GR_CURSOR_MAX each) for RFB's cursor pseudo-encoding, which knows no alpha.
 * untrusted_image: BGRA, alpha premultiplied, row stride GR_CURSOR_MAX * 4; must already be private memory.
 * colours: w*h pixels 0x00RRGGBB. mask: h rows of (w+7)/8 bytes, the most significant bit leftmost, 1 = drawn.
 */
void gr_agent_cursor_flatten(const uint32_t *untrusted_image, uint16_t w, uint16_t h, uint32_t *colours, uint8_t *mask);

#endif
