#include "sandbox/agent/print_info.h"
#include "common/error.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define POINTS_MAX 1e6 /* of a side: PDF permits 14,400 units, which a document can scale */

static void read_line(const char *line, struct gr_print_info *out)
{
	unsigned page, turned;
	double w, h;
	if (sscanf(line, "Pages: %u", &page) == 1) {
		out->pages = page;
	} else if (sscanf(line, "Page %u size: %lf x %lf pts", &page, &w, &h) == 3) {
		/* In order, without a gap; written so that what is no number fails. */
		if (page == out->described + 1 && page <= GR_PRINT_PAGES_MAX && w > 0 && h > 0 && w <= POINTS_MAX &&
		    h <= POINTS_MAX) {
			out->size[out->described].w = w;
			out->size[out->described++].h = h;
		}
	} else if (sscanf(line, "Page %u rot: %u", &page, &turned) == 2) {
		if (page && page == out->described && turned % 180 == 90) {
			w = out->size[page - 1].w;
			out->size[page - 1].w = out->size[page - 1].h;
			out->size[page - 1].h = w;
		}
	}
}

int gr_print_info_read(const char *text, struct gr_print_info *out)
{
	memset(out, 0, sizeof(*out));
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		read_line(line, out);
	if (out->described > out->pages)
		out->described = out->pages;
	return out->described ? 0 : GR_EINVAL;
}

static uint16_t pixels(double points, double dpi)
{
	double n = ceil(points * (dpi / 72));
	return n < 1 ? 1 : n > GR_PRINT_SIDE_MAX ? GR_PRINT_SIDE_MAX : (uint16_t)n;
}

double gr_print_info_scale(const struct gr_print_info *info, unsigned page, unsigned dpi, uint16_t *w_out,
			   uint16_t *h_out)
{
	double w = info->size[page].w, h = info->size[page].h, scale = dpi;
	double side = (GR_PRINT_SIDE_MAX - 1) * 72.0 / (w > h ? w : h),
	       area = sqrt(GR_PRINT_PIXELS_MAX / 1.01 / w / h) * 72;
	if (side < scale)
		scale = side;
	if (area < scale)
		scale = area;
	*w_out = pixels(w, scale);
	*h_out = pixels(h, scale);
	return scale;
}
