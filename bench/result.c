#include "bench/result.h"
#include "common/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int reserve(struct gr_samples *samples, size_t more)
{
	if (samples->capacity - samples->count >= more)
		return 0;
	size_t capacity = (samples->count + more) * 2;
	uint64_t *values = realloc(samples->values, capacity * sizeof(*values));
	if (!values)
		return GR_ENOMEM;
	samples->values = values;
	samples->capacity = capacity;
	return 0;
}

int gr_samples_add(struct gr_samples *samples, uint64_t value)
{
	if (reserve(samples, 1))
		return GR_ENOMEM;
	samples->values[samples->count++] = value;
	return 0;
}

int gr_samples_join(struct gr_samples *samples, const struct gr_samples *others)
{
	if (others->count == 0)
		return 0;
	if (reserve(samples, others->count))
		return GR_ENOMEM;
	memcpy(samples->values + samples->count, others->values, others->count * sizeof(*others->values));
	samples->count += others->count;
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

void gr_samples_sort(struct gr_samples *samples)
{
	if (samples->count)
		qsort(samples->values, samples->count, sizeof(*samples->values), compare);
}

double gr_samples_ms(const struct gr_samples *sorted, double part)
{
	if (sorted->count == 0)
		return 0;
	size_t rank = (size_t)ceil(part * (double)sorted->count);
	if (rank < 1)
		rank = 1;
	if (rank > sorted->count)
		rank = sorted->count;
	return (double)sorted->values[rank - 1] / 1e6;
}

void gr_samples_finish(struct gr_samples *samples)
{
	free(samples->values);
	*samples = (struct gr_samples){ 0 };
}

void gr_lossy_frames_add(struct gr_lossy_frames *frames, const struct gr_quality *quality)
{
	const struct gr_lossy_frames one = { 1, quality->psnr, quality->psnr, quality->ssim, quality->ssim };
	gr_lossy_frames_join(frames, &one);
}

void gr_lossy_frames_join(struct gr_lossy_frames *frames, const struct gr_lossy_frames *others)
{
	if (others->count == 0)
		return;
	if (frames->count == 0) {
		*frames = *others;
		return;
	}
	frames->count += others->count;
	frames->psnr_min = fmin(frames->psnr_min, others->psnr_min);
	frames->ssim_min = fmin(frames->ssim_min, others->ssim_min);
	frames->psnr_sum += others->psnr_sum;
	frames->ssim_sum += others->ssim_sum;
}

void gr_bench_side_finish(struct gr_bench_side *side)
{
	gr_samples_finish(&side->frames);
	gr_samples_finish(&side->slices);
	*side = (struct gr_bench_side){ .exact_final = -1 };
}

static int join_side(struct gr_bench_side *a, const struct gr_bench_side *b)
{
	a->bytes += b->bytes;
	a->cpu_ns += b->cpu_ns;
	gr_lossy_frames_join(&a->lossy, &b->lossy);
	if (b->exact_final < a->exact_final)
		a->exact_final = b->exact_final;
	if (b->anonymous > a->anonymous)
		a->anonymous = b->anonymous;
	return gr_samples_join(&a->frames, &b->frames) || gr_samples_join(&a->slices, &b->slices) ? GR_ENOMEM : 0;
}

int gr_bench_result_join(struct gr_bench_result *a, const struct gr_bench_result *b)
{
	a->frames += b->frames;
	a->damaged += b->damaged;
	a->changed += b->changed;
	a->guard_ns += b->guard_ns;
	gr_lossy_frames_join(&a->peer_beside, &b->peer_beside);
	if (b->ssim_deficit > a->ssim_deficit) {
		a->ssim_deficit = b->ssim_deficit;
		a->ssim_deficit_frame = b->ssim_deficit_frame;
	}
	return join_side(&a->out, &b->out) || join_side(&a->peer, &b->peer) ? GR_ENOMEM : 0;
}

void gr_bench_result_sort(struct gr_bench_result *result)
{
	gr_samples_sort(&result->out.frames);
	gr_samples_sort(&result->out.slices);
	gr_samples_sort(&result->peer.frames);
	gr_samples_sort(&result->peer.slices);
}

void gr_bench_result_finish(struct gr_bench_result *result)
{
	gr_bench_side_finish(&result->out);
	gr_bench_side_finish(&result->peer);
}
