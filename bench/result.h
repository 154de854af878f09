/* What a replay measured, and the figures made of it. */
#ifndef GARASU_BENCH_RESULT_H
#define GARASU_BENCH_RESULT_H

#include "bench/quality.h"

#include <stddef.h>
#include <stdint.h>

/* Durations in nanoseconds, in any order. Zero-initialised it is empty. */
struct gr_samples {
	uint64_t *values; /* owned */
	size_t count, capacity;
};

/* GR_ENOMEM. */
int gr_samples_add(struct gr_samples *samples, uint64_t value);
int gr_samples_join(struct gr_samples *samples, const struct gr_samples *others);
void gr_samples_sort(struct gr_samples *samples);
/* Of sorted samples: the smallest that at least this part of all does not exceed, in milliseconds; 0 without any. */
double gr_samples_ms(const struct gr_samples *sorted, double part);
void gr_samples_finish(struct gr_samples *samples);

/* Of the frames whose decoded picture differs from the true one. */
struct gr_lossy_frames {
	size_t count;
	double psnr_min, psnr_sum, ssim_min, ssim_sum;
};

void gr_lossy_frames_add(struct gr_lossy_frames *frames, const struct gr_quality *quality);
void gr_lossy_frames_join(struct gr_lossy_frames *frames, const struct gr_lossy_frames *others);

/* One codec's. */
struct gr_bench_side {
	uint64_t bytes, cpu_ns;
	struct gr_samples frames; /* all that one frame, or one refinement, took */
	struct gr_samples slices; /* single calls that wrote one FramebufferUpdate */
	struct gr_lossy_frames lossy;
	int exact_final; /* 1, 0, or -1: not looked at */
	size_t anonymous; /* most bytes of memory after a frame, beyond the shadow */
};

/* Empty again. */
void gr_bench_side_finish(struct gr_bench_side *side);

struct gr_bench_result {
	char name[128];
	char failure[640]; /* empty, or why the figures are worth nothing */
	size_t frames; /* with damage */
	uint64_t damaged, changed; /* pixels */
	struct gr_bench_side out, peer;
	int has_peer;
	uint64_t guard_ns; /* CPU time of the guard for what our encoder wrote */
	struct gr_lossy_frames
		peer_beside; /* the peer's, on the frames on which ours was lossy (exact ones left out) */
	/* How much lower our SSIM was than the peer's on the same frame, at most; 0 when it never was. */
	double ssim_deficit;
	uint32_t ssim_deficit_frame;
};

/* Adds b to a: sums, joint percentiles, the worse of what is a minimum or a maximum. GR_ENOMEM. */
int gr_bench_result_join(struct gr_bench_result *a, const struct gr_bench_result *b);
void gr_bench_result_sort(struct gr_bench_result *result);
void gr_bench_result_finish(struct gr_bench_result *result);

#endif
