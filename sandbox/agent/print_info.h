/*
 * What pdfinfo says of a document: how many pages, how large. And how large their pictures become. Pure.
 */
#ifndef GARASU_AGENT_PRINT_INFO_H
#define GARASU_AGENT_PRINT_INFO_H

#include "common/limits.h"

#include <stddef.h>
#include <stdint.h>

#define GR_PRINT_PIXELS_MAX (32u << 20) /* of one page: the agent holds two of three bytes a pixel */

struct gr_print_info {
	unsigned pages; /* of the document; may be more than are described */
	unsigned described; /* from the first on, at most GR_PRINT_PAGES_MAX */
	struct {
		double w, h; /* points of 1/72 inch, as it is shown (turned) */
	} size[GR_PRINT_PAGES_MAX];
};

/* Reads the output of `pdfinfo -f 1 -l N`, terminated. GR_EINVAL: no page with a size that can be shown. */
int gr_print_info_read(const char *text, struct gr_print_info *out);

/*
 * The resolution for a page (0-based): dpi, or less where its sides would pass GR_PRINT_SIDE_MAX or its pixels
 * GR_PRINT_PIXELS_MAX. *w_out, *h_out: its size in pixels, as pdftoppm rounds it.
 */
double gr_print_info_scale(const struct gr_print_info *info, unsigned page, unsigned dpi, uint16_t *w_out,
			   uint16_t *h_out);

#endif
