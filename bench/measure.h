/*
 * Replays a trace through one codec and times it, with nothing between two frames but the reading of the next one and the
 * keeping of what was written.
 *
 * The codec is given the trace's times. Where the next frame is later than a refinement is due, the refinement is written
 * at its time; it counts as a frame of its own. After the last frame time goes on until nothing lossy is left.
 */
#ifndef GARASU_BENCH_MEASURE_H
#define GARASU_BENCH_MEASURE_H

#include "bench/codec.h"
#include "bench/kept.h"
#include "bench/result.h"
#include "bench/source.h"

/*
 * source: just initialised. raw: the codec is given the damage as reported, not what truly changed. Adds to *out and
 * appends to kept. The errors of the trace, the worker and kept; GR_EPROTO when the refinement does not end.
 */
int gr_measure(struct gr_source *source, const struct gr_codec *codec, const struct gr_codec_settings *settings,
	       int raw, struct gr_bench_side *out, struct gr_kept *kept, struct gr_error *err);

#endif
