/*
 * Measures our encoder and the peer on a trace (measure.h), by turns and as often as wanted, and then looks at what viewers
 * would have seen (verify.h). Nothing is decoded while anything is timed, and what is decoded is what was timed.
 *
 * Our encoder is given the damage as the trace reports it.
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
	unsigned repeat; /* at least 1; times are those of the run that took the least, memory is the most of all */
};

/*
 * Writes *out, which the caller finishes, also on failure as far as it got. The errors of gr_measure and gr_verify;
 * GR_EPROTO too when a codec does not write the same each time.
 */
int gr_replay(const char *path, const struct gr_replay_options *options, struct gr_bench_result *out,
	      struct gr_error *err);

#endif
