/* The results of a run, for people and for programs. */
#ifndef GARASU_BENCH_REPORT_H
#define GARASU_BENCH_REPORT_H

#include "bench/replay.h"

#include <stdio.h>

/* Results: n of them, sorted (gr_bench_result_sort); borrowed. Failed ones are listed and not in the total. */
struct gr_report {
	const struct gr_replay_options *options;
	const struct gr_bench_result *results;
	size_t count;
	const struct gr_bench_result *total;
};

void gr_report_table(const struct gr_report *report, FILE *to);

/* Replaces the file. GR_EIO, GR_ENOMEM. */
int gr_report_json(const struct gr_report *report, const char *path, struct gr_error *err);

#endif
