#include "bench/replay.h"
#include "bench/encoder.h"
#include "bench/guarded.h"
#include "bench/measure.h"
#include "bench/peer.h"
#include "bench/verify.h"

#include <string.h>

/* One of the two that are measured. */
struct side {
	const struct gr_codec *codec;
	int raw;
	struct gr_kept kept; /* what the first run wrote */
	struct gr_bench_side *best;
};

/* Takes what a run measured and wrote; *measured and *kept are empty afterwards. */
static int side_join(struct side *side, unsigned run, struct gr_bench_side *measured, struct gr_kept *kept,
		     struct gr_error *err)
{
	struct gr_bench_side empty = { .exact_final = -1 };
	if (run == 0) {
		gr_kept_finish(&side->kept);
		side->kept = *kept;
		*kept = (struct gr_kept){ .fd = -1 };
	} else {
		size_t same = gr_kept_same(&side->kept, kept);
		if (same < side->kept.count || same < kept->count) {
			const struct gr_kept *longer = same < side->kept.count ? &side->kept : kept;
			return gr_error_set(err, GR_EPROTO, "frame %u: %s did not write the same in run %u as before",
					    longer->updates[same].sequence, side->codec->name, run + 1);
		}
	}
	size_t anonymous = side->best->anonymous > measured->anonymous ? side->best->anonymous : measured->anonymous;
	if (run == 0 || measured->cpu_ns < side->best->cpu_ns) {
		gr_bench_side_finish(side->best);
		*side->best = *measured;
		*measured = empty;
	}
	side->best->anonymous = anonymous;
	return 0;
}

static int side_run(struct side *side, const char *path, const struct gr_codec_settings *settings, unsigned run,
		    struct gr_bench_result *result, struct gr_error *err)
{
	struct gr_source source;
	struct gr_bench_side measured = { .exact_final = -1 };
	struct gr_kept kept;
	int code = gr_kept_init(&kept, err);
	if (code)
		return code;
	code = gr_source_init(&source, path, err);
	if (!code)
		code = gr_measure(&source, side->codec, settings, side->raw, &measured, &kept, err);
	result->frames = source.frames;
	result->damaged = source.damaged;
	result->changed = source.changed;
	gr_source_finish(&source);
	if (!code)
		code = gr_kept_map(&kept, err);
	if (!code)
		code = side_join(side, run, &measured, &kept, err);
	gr_bench_side_finish(&measured);
	gr_kept_finish(&kept);
	return code;
}

static int look(const char *path, unsigned history_log2, unsigned repeat, int verify, const struct side *ours,
		const struct side *peers, struct gr_bench_result *result, struct gr_error *err)
{
	struct gr_source source;
	int code = gr_source_init(&source, path, err);
	if (!code)
		code = gr_guarded(&ours->kept, source.info.width, source.info.height, history_log2, repeat,
				  &result->guard_ns, err);
	if (!code && verify)
		code = gr_verify(&source, history_log2, &ours->kept, result->has_peer ? &peers->kept : NULL, result,
				 err);
	gr_source_finish(&source);
	return code;
}

static void set_name(struct gr_bench_result *result, const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
	size_t length = dot && dot != base && strcmp(dot, ".gsft") == 0 ? (size_t)(dot - base) : strlen(base);
	if (length >= sizeof(result->name))
		length = sizeof(result->name) - 1;
	memcpy(result->name, base, length);
	result->name[length] = '\0';
}

int gr_replay(const char *path, const struct gr_replay_options *options, struct gr_bench_result *out,
	      struct gr_error *err)
{
	*out = (struct gr_bench_result){ .has_peer = options->with_peer,
					 .out.exact_final = -1,
					 .peer.exact_final = -1 };
	set_name(out, path);
	struct side ours = { .codec = &gr_codec_encoder, .raw = 1, .kept.fd = -1, .best = &out->out };
	struct side peers = { .codec = &gr_codec_peer, .raw = options->peer_raw, .kept.fd = -1, .best = &out->peer };
	int code = 0;
	/* By turns, so that an hour in which the machine is slow is one for both. */
	for (unsigned run = 0; run < options->repeat && !code; run++) {
		code = side_run(&ours, path, &options->codec, run, out, err);
		if (!code && options->with_peer)
			code = side_run(&peers, path, &options->codec, run, out, err);
	}
	if (!code)
		code = look(path, options->codec.history_log2, options->repeat, options->verify, &ours, &peers, out,
			    err);
	gr_kept_finish(&ours.kept);
	gr_kept_finish(&peers.kept);
	return code;
}
