/* A trace as the codecs are told of it: each frame first read, then accepted as what the screen truly shows. */
#ifndef GARASU_BENCH_SOURCE_H
#define GARASU_BENCH_SOURCE_H

#include "bench/trace.h"
#include "bench/worker.h"

struct gr_source {
	struct gr_trace *trace;
	struct gr_trace_info info;
	struct gr_worker_screen screen; /* what a worker sees: the frame that was read */
	struct gr_trace_frame frame; /* the same */
	uint32_t *truth; /* owned: the picture of the frame that was accepted; w * h pixels */
	struct gr_rect *damage; /* owned: its damage as reported; none: nobody is told of it */
	size_t damage_count;
	/* of all that were accepted */
	size_t frames; /* with damage */
	uint64_t damaged, changed; /* pixels */
};

/* Opens the trace. Call gr_source_finish after a failure too. The trace's errors, GR_ENOMEM. */
int gr_source_init(struct gr_source *source, const char *path, struct gr_error *err);
void gr_source_finish(struct gr_source *source);

/* 1, 0 at the end, or the trace's error. */
int gr_source_read(struct gr_source *source, struct gr_error *err);
/* GR_EFULL: more than GR_WORKER_RECTS_MAX rectangles. */
int gr_source_accept(struct gr_source *source, struct gr_error *err);

#endif
