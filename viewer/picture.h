/* Pictures as files. */
#ifndef GARASU_VIEWER_PICTURE_H
#define GARASU_VIEWER_PICTURE_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Writes width by height pixels (BGRX, rows `stride` pixels apart) as an 8-bit RGB PNG. The file appears whole or not at
 * all, and nobody else can read it (mode 0600). GR_EIO, GR_ENOMEM.
 */
int gr_picture_write(const char *file, const uint32_t *pixels, size_t stride, unsigned width, unsigned height,
		     struct gr_error *err);

#endif
