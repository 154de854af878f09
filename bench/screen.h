/*
 * A viewer's screen in memory: FramebufferUpdate messages in, pixels out, by the decoders that our viewer has. It also
 * keeps for each pixel whether what it shows was sent lossy: painted by a JPEG, or copied from where one was.
 */
#ifndef GARASU_BENCH_SCREEN_H
#define GARASU_BENCH_SCREEN_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

struct gr_screen;

/* Returns an owned, black screen; history_log2: as the encoder was given it. NULL: out of memory. */
struct gr_screen *gr_screen_create(uint16_t w, uint16_t h, unsigned history_log2);
void gr_screen_destroy(struct gr_screen *screen); /* NULL allowed */

/* Decodes one whole FramebufferUpdate (RFC 6143, 7.6.1) of n bytes. GR_EPROTO with what is wrong in it; GR_ENOMEM. */
int gr_screen_update(struct gr_screen *screen, const uint8_t *message, size_t n, struct gr_error *err);

/* w * h pixels, X 0xff; and w * h bytes, 1 where the pixel was sent lossy. Borrowed, valid until destroyed. */
const uint32_t *gr_screen_pixels(const struct gr_screen *screen);
const uint8_t *gr_screen_lossy(const struct gr_screen *screen);

#endif
