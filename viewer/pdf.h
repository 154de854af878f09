/*
 * A PDF (ISO 32000-1) that has nothing but pages of one image each: no text, no font, no link, no script, no name of anything. It
 * is written as the pages come, into a file of another name beside the one wanted, which appears whole or not at all.
 */
#ifndef GARASU_VIEWER_PDF_H
#define GARASU_VIEWER_PDF_H

#include "common/error.h"
#include "common/limits.h"

#include <stddef.h>
#include <stdint.h>

struct gr_pdf;

/* Begins. A file of that name is replaced by gr_pdf_finish. Nobody else can read it (mode 0600). NULL with *err set. */
struct gr_pdf *gr_pdf_create(const char *file, struct gr_error *err);

/*
 * Adds a page of width by height pixels (1..GR_PRINT_SIDE_MAX, BGRX, rows `stride` pixels apart), dpi of them an inch. Exactly those
 * pixels, in grey when no one has a colour; as a JPEG of high quality only when they would take more than 4 MiB exactly. At most
 * GR_PRINT_PAGES_MAX pages. GR_EINVAL, GR_ENOMEM, GR_EIO.
 */
int gr_pdf_page(struct gr_pdf *pdf, const uint32_t *pixels, size_t stride, unsigned width, unsigned height,
		unsigned dpi, struct gr_error *err);

/* Ends it: the file is on the disk, under its name. After an error there is none. GR_EIO; GR_EINVAL without any page. */
int gr_pdf_finish(struct gr_pdf *pdf, struct gr_error *err);

/* Removes what is not finished. NULL allowed. */
void gr_pdf_destroy(struct gr_pdf *pdf);

#endif
