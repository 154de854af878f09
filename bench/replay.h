/*
 * Replays a trace through our encoder and the peer, frame by frame in turn, and looks at what a viewer would see.
 *
 * Our encoder is given the damage as the trace reports it, and the trace's times. Where the next frame is later than a
 * refinement is due, the refinement is written at its time; it counts as a frame of its own. After the last frame time goes
 * on until nothing lossy is left.
 *
 * After every frame and every refinement the decoded screen is compared with the true one. It may differ only where the
 * pixel was sent lossy and not exactly since.
 */
#ifndef GARASU_BENCH_REPLAY_H
#define GARASU_BENCH_REPLAY_H

#include "bench/codec.h"
#include "bench/result.h"

struct gr_replay_options {
	struct gr_codec_settings codec;
	int with_peer;
	int peer_raw; /* the peer is given the damage as reported, not what truly changed */
	int verify; /* 0: nothing is decoded, so there is no quality either */
};

/*
 * Writes *out, which the caller finishes, also on failure as far as it got. The errors of the trace and the workers;
 * GR_EPROTO when what was written cannot be decoded or shows what it must not (err says in which frame and where).
 */
int gr_replay(const char *path, const struct gr_replay_options *options, struct gr_bench_result *out,
	      struct gr_error *err);

#endif
