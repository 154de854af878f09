/* Draws one inflated unit (tokens.h). Pure. */
#ifndef GARASU_COMMON_DECODE_UNIT_H
#define GARASU_COMMON_DECODE_UNIT_H

#include "common/record.h"

#include <stddef.h>
#include <stdint.h>

/*
 * unit: n bytes, not yet checked. pixels: the picture's first pixel, rows `stride` pixels apart; every piece must lie inside
 * rect, which lies inside the picture. Returns 0, or GR_EPROTO with static text in *why; nothing outside rect is written.
 */
int gr_unit_draw(const uint8_t *untrusted_unit, size_t n, uint32_t *pixels, size_t stride, struct gr_rect rect,
		 const char **why);

#endif
