/* What the guard takes for what a codec wrote, and whether it lets it through. */
#ifndef GARASU_BENCH_GUARDED_H
#define GARASU_BENCH_GUARDED_H

#include "bench/kept.h"

/*
 * Sends kept (mapped) through a strict guard in `repeat` runs, in pieces as a gateway reads them; *cpu_ns_out is the CPU time of the run that took
 * the least. w, h: the screen. GR_ENOMEM; GR_EPROTO when the guard lets something not through (err says what).
 */
int gr_guarded(const struct gr_kept *kept, uint16_t w, uint16_t h, unsigned history_log2, unsigned repeat,
	       uint64_t *cpu_ns_out, struct gr_error *err);

#endif
