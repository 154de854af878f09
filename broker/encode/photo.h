/*
 * Photographs and videos as JPEG, and which photographs the viewer's history already holds exactly.
 * libjpeg-turbo takes its working memory for each picture and gives it back; nothing else allocates but create.
 */
#ifndef GARASU_BROKER_ENCODE_PHOTO_H
#define GARASU_BROKER_ENCODE_PHOTO_H

#include "broker/encode/kernels.h"
#include "common/record.h"

/*
 * A JPEG of 64 by 64 pixels costs 3.6 times the bytes a pixel of a large one; one as large as a video of 854 by 480 still is
 * one piece, and leaves soon.
 */
#define GR_PHOTO_PIXELS_MAX (416u << 10)

struct gr_photo;

struct gr_photo *gr_photo_create(const struct gr_kernels *kernels); /* NULL: out of memory */
void gr_photo_destroy(struct gr_photo *photo); /* NULL allowed */

/*
 * Compresses rect (at most GR_PHOTO_PIXELS_MAX pixels) of pixels (`stride` pixels a row), baseline, 4:2:0, quality 1..100.
 * *jpeg_out: borrowed until the next call. Returns its bytes; GR_ENOMEM.
 */
ptrdiff_t gr_photo_compress(struct gr_photo *photo, const uint32_t *pixels, size_t stride, struct gr_rect rect,
			    unsigned quality, const uint8_t **jpeg_out);

/*
 * Notes what went into the history exactly: rect, when the history had taken `at` bytes. Only parts of rows that begin at a
 * multiple of GR_PHOTO_CHUNK count, so what scrolls sideways is not found again; what scrolls up and down is.
 */
#define GR_PHOTO_CHUNK 64u /* pixels */
void gr_photo_note(struct gr_photo *photo, const uint32_t *pixels, size_t stride, struct gr_rect rect, uint64_t at);

/* Whether most of rect was noted after the history had taken `since` bytes. */
int gr_photo_known(const struct gr_photo *photo, const uint32_t *pixels, size_t stride, struct gr_rect rect,
		   uint64_t since);

#endif
