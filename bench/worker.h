/*
 * A codec in a process of its own, so that its CPU seconds and its memory are its own and nobody else's. Screen and output
 * are shared memory that was touched before, so no page fault of theirs is counted; all workers run on the same core.
 * Page faults of the codec's own memory are counted (gr_worker_prepare).
 *
 * CPU: CLOCK_PROCESS_CPUTIME_ID around take (where the codec says that it counts) and write; threads would be included.
 * Memory: RssAnon of /proc/self/status after each frame, less what it was before the codec was opened, less the codec's
 * shadow. Shared memory is not in it.
 */
#ifndef GARASU_BENCH_WORKER_H
#define GARASU_BENCH_WORKER_H

#include "bench/codec.h"

#include <sys/types.h>

enum {
	GR_WORKER_RECTS_MAX = 65536,
	GR_WORKER_SLICES_MAX = 4096,
};

/*
 * For the whole process, before anything else: large pieces of memory come fresh from the system and go back to it. Else
 * a worker would find in its heap what the replay before it left there, and the codec's memory would now be touched by
 * calloc, which is not measured, now at its first use, which is.
 */
void gr_worker_prepare(void);

/* The screen that all workers of a replay share. */
struct gr_worker_screen {
	uint16_t w, h;
	uint32_t *pixels;
};

/* GR_ENOMEM. */
int gr_worker_screen_init(struct gr_worker_screen *screen, uint16_t w, uint16_t h, struct gr_error *err);
void gr_worker_screen_finish(struct gr_worker_screen *screen);

struct gr_worker_slice {
	size_t size; /* bytes of one FramebufferUpdate; they lie one behind the other from the output's begin */
	uint64_t cpu_ns;
};

struct gr_worker_shared;

struct gr_worker {
	const struct gr_codec *codec;
	struct gr_worker_shared *shared;
	uint8_t *out; /* what was written */
	size_t capacity;
	int out_fd, sock;
	pid_t pid;
};

/* What one step did. */
struct gr_worker_step {
	uint64_t take_ns; /* 0 when the codec's take does not count */
	const struct gr_worker_slice *slices; /* borrowed until the next step */
	size_t slice_count;
	int more; /* the output is full, or a limit of slices is reached: continue before anything else */
	int64_t refinement_in; /* milliseconds; -1: none is due */
	size_t anonymous; /* bytes of memory now, as described above */
};

/*
 * Starts the process. screen and settings are borrowed while it lives. GR_ENOMEM, GR_EIO, or the codec's error. Call
 * gr_worker_finish after a failure too.
 */
int gr_worker_init(struct gr_worker *worker, const struct gr_codec *codec, const struct gr_codec_settings *settings,
		   const struct gr_worker_screen *screen, struct gr_error *err);
void gr_worker_finish(struct gr_worker *worker);

/*
 * Tells the codec of n damaged rectangles (none when it is 0) and has it write all that is pending. GR_EFULL: more than
 * GR_WORKER_RECTS_MAX; GR_ECLOSED: the process died (err says how); the codec's error.
 */
int gr_worker_step(struct gr_worker *worker, const struct gr_rect *rects, size_t n, uint64_t now_ms,
		   struct gr_worker_step *out, struct gr_error *err);

#endif
