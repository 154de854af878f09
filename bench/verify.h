/*
 * Replays a trace once more and decodes what the codecs wrote when they were timed, as a viewer would.
 *
 * After every frame and every refinement our decoded screen is compared with the true one. It may differ only where the
 * pixel was sent lossy and not exactly since.
 */
#ifndef GARASU_BENCH_VERIFY_H
#define GARASU_BENCH_VERIFY_H

#include "bench/kept.h"
#include "bench/result.h"
#include "bench/source.h"

/*
 * source: just initialised. out, peer: mapped; peer is NULL without one. Writes the quality and exactness of *result. The
 * errors of the trace; GR_ENOMEM; GR_EPROTO when what was written cannot be decoded or shows what it must not (err says in
 * which frame and where).
 */
int gr_verify(struct gr_source *source, unsigned history_log2, const struct gr_kept *out, const struct gr_kept *peer,
	      struct gr_bench_result *result, struct gr_error *err);

#endif
