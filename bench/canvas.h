/*
 * A viewer's screen in memory: FramebufferUpdate messages in, pixels out, by the decoders that our viewer has. It also
 * keeps for each pixel whether what it shows was sent lossy: painted by a JPEG, or copied from where one was.
 */
#ifndef GARASU_BENCH_CANVAS_H
#define GARASU_BENCH_CANVAS_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

struct gr_canvas;

/* Returns an owned, black screen; history_log2: as the encoder was given it. NULL: out of memory. */
struct gr_canvas *gr_canvas_create(uint16_t w, uint16_t h, unsigned history_log2);
void gr_canvas_destroy(struct gr_canvas *canvas); /* NULL allowed */

/* Decodes one whole FramebufferUpdate (RFC 6143, 7.6.1) of n bytes. GR_EPROTO with what is wrong in it; GR_ENOMEM. */
int gr_canvas_update(struct gr_canvas *canvas, const uint8_t *message, size_t n, struct gr_error *err);

/* w * h pixels, X 0xff; and w * h bytes, 1 where the pixel was sent lossy. Borrowed, valid until destroyed. */
const uint32_t *gr_canvas_pixels(const struct gr_canvas *canvas);
const uint8_t *gr_canvas_lossy(const struct gr_canvas *canvas);

#endif
