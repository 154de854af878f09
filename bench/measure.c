#include "bench/measure.h"

enum {
	REFINEMENTS_MAX = 100000, /* in one pause: an encoder that never comes to rest is broken */
};

struct measurement {
	struct gr_source *source;
	struct gr_worker worker;
	struct gr_bench_side *result;
	struct gr_kept *kept;
	uint32_t sequence, step; /* as a kept update has them */
	uint64_t now_ms;
	int64_t refinement_in;
};

/* One frame or one refinement: all that the codec has to write. */
static int play_step(struct measurement *m, const struct gr_rect *rects, size_t n, struct gr_error *err)
{
	uint64_t used = 0;
	struct gr_worker_step step;
	do {
		int code = gr_worker_step(&m->worker, rects, n, m->now_ms, &step, err);
		if (code)
			return code;
		n = 0; /* the rest of it only writes */
		used += step.take_ns;
		size_t at = 0;
		for (size_t i = 0; i < step.slice_count; i++) {
			const struct gr_worker_slice *slice = &step.slices[i];
			const struct gr_kept_update update = { m->sequence, m->step, m->now_ms, slice->size };
			used += slice->cpu_ns;
			m->result->bytes += slice->size;
			if (gr_samples_add(&m->result->slices, slice->cpu_ns))
				return gr_error_set(err, GR_ENOMEM, "out of memory");
			code = gr_kept_add(m->kept, &update, m->worker.out + at, err);
			if (code)
				return code;
			at += slice->size;
		}
		if (step.anonymous > m->result->anonymous)
			m->result->anonymous = step.anonymous;
	} while (step.more);
	m->refinement_in = step.refinement_in;
	m->result->cpu_ns += used;
	return gr_samples_add(&m->result->frames, used) ? gr_error_set(err, GR_ENOMEM, "out of memory") : 0;
}

/* Refinements that are due before the time until_ms; all there are with UINT64_MAX. */
static int refine(struct measurement *m, uint64_t until_ms, struct gr_error *err)
{
	for (unsigned i = 0; m->refinement_in >= 0; i++) {
		uint64_t due = m->now_ms + (uint64_t)m->refinement_in, bytes = m->result->bytes;
		if (due >= until_ms)
			return 0;
		if (i == REFINEMENTS_MAX)
			return gr_error_set(err, GR_EPROTO, "frame %u: the refinement does not end", m->sequence);
		m->now_ms = due;
		m->step++;
		int code = play_step(m, NULL, 0, err);
		if (code)
			return code;
		if (bytes == m->result->bytes && m->refinement_in == 0)
			return gr_error_set(err, GR_EPROTO, "frame %u: a refinement is due but not written",
					    m->sequence);
	}
	return 0;
}

static int play_frame(struct measurement *m, int raw, struct gr_error *err)
{
	struct gr_source *source = m->source;
	const struct gr_trace_frame *frame = &source->frame;
	uint64_t now_ms = frame->time_us / 1000;
	/* An encoder must not be late: what is due when this frame comes is due after it. */
	int code = refine(m, now_ms, err);
	if (!code)
		code = gr_source_accept(source, err);
	if (code)
		return code;
	m->now_ms = now_ms;
	if (source->damage_count == 0)
		return 0;
	m->sequence = frame->sequence;
	m->step = 0;
	if (raw)
		return play_step(m, source->damage, source->damage_count, err);
	return play_step(m, frame->changed, frame->changed_count, err);
}

int gr_measure(struct gr_source *source, const struct gr_codec *codec, const struct gr_codec_settings *settings,
	       int raw, struct gr_bench_side *out, struct gr_kept *kept, struct gr_error *err)
{
	struct measurement m = { .source = source, .result = out, .kept = kept, .refinement_in = -1 };
	int code = gr_worker_init(&m.worker, codec, settings, &source->screen, err), more = 0;
	while (!code && (more = gr_source_read(source, err)) == 1)
		code = play_frame(&m, raw, err);
	if (!code)
		code = more;
	if (!code)
		code = refine(&m, UINT64_MAX, err);
	gr_worker_finish(&m.worker);
	return code;
}
