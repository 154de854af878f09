/*
 * Which rectangles to send, and how: tiles that are not sent yet, or due to be sent exactly, are classified and joined into
 * few large rectangles.
 */
#ifndef GARASU_BROKER_ENCODE_PLAN_H
#define GARASU_BROKER_ENCODE_PLAN_H

#include "broker/encode/photo.h"
#include "broker/encode/screen.h"

enum gr_plan_class {
	GR_PLAN_NONE, /* nothing to send */
	GR_PLAN_EXACT, /* text, tables, interfaces, maps */
	GR_PLAN_EXACT_PHOTO, /* what was sent lossy before; photographs that the history knows */
	GR_PLAN_PHOTO,
	GR_PLAN_VIDEO, /* changes all the time */
};

struct gr_plan_rect {
	struct gr_rect rect;
	enum gr_plan_class class;
};

struct gr_plan {
	size_t count;
	struct gr_plan_rect *rects; /* owned; room for one per tile */
	/* private */
	size_t tiles;
	uint8_t *classes; /* a gr_plan_class per tile */
	size_t *open[2]; /* rectangles that end in the band of tiles before, and in this one */
};

struct gr_plan_settings {
	int lossy; /* JPEG is permitted */
	const struct gr_photo *photo; /* NULL: no history of exact photographs */
	uint64_t known_since; /* as gr_photo_known's since */
	size_t exact_pixels_max; /* of one rectangle */
};

/* For a screen of so many tiles. GR_ENOMEM. */
int gr_plan_init(struct gr_plan *plan, size_t tiles);
void gr_plan_finish(struct gr_plan *plan); /* harmless when zeros */

/* Everything that is not sent yet. */
void gr_plan_changes(struct gr_plan *plan, const struct gr_screen *screen, const struct gr_plan_settings *settings);

/* The tiles whose exact pixels are due: lossy, and touched at or before the time. */
void gr_plan_refinement(struct gr_plan *plan, const struct gr_screen *screen, uint32_t touched_ms,
			size_t exact_pixels_max);

#endif
