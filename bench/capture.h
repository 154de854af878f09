/* Records a trace (trace.h) of an X display: the raw damage of its root window, and its pixels. */
#ifndef GARASU_BENCH_CAPTURE_H
#define GARASU_BENCH_CAPTURE_H

#include "common/error.h"

#include <stdint.h>

struct gr_capture_options {
	const char *display; /* as in DISPLAY */
	const char *path; /* of the file, which is replaced */
	unsigned seconds; /* 0: until SIGINT or SIGTERM */
	unsigned interval_ms; /* at least this long between two looks at the screen */
};

/* What was recorded. */
struct gr_captured {
	uint16_t w, h;
	uint32_t frames;
	double seconds;
};

/*
 * Blocks SIGINT and SIGTERM, and stops in good order when one comes. GR_EIO: no display, one that cannot be recorded
 * (depth, no DAMAGE or MIT-SHM), or the file; GR_EINVAL: its size; GR_ECLOSED: the X server went away, the file is complete up
 * to there.
 */
int gr_capture(const struct gr_capture_options *options, struct gr_captured *out, struct gr_error *err);

#endif
