/*
 * The system calls of the audit writer's disk, wrapped by the linker: one can be made to fail, to be the last that the process
 * makes, or the last before the power goes, when what was not flushed is there, or not, sector by sector.
 */
#ifndef GARASU_TESTS_AUDIT_DISK_H
#define GARASU_TESTS_AUDIT_DISK_H

#include <stddef.h>

enum disk_end {
	DISK_GOES_ON,
	DISK_KILLED_BEFORE, /* the call is not made */
	DISK_KILLED_WITHIN, /* half of what was to be written is */
	DISK_KILLED_AFTER,
	DISK_POWER_LOST, /* within it */
	DISK_ENDS
};

struct disk_plan {
	unsigned calls; /* made so far */
	unsigned end_at; /* the call that ends the process, from 1; 0 = none */
	enum disk_end end;
	/* From fail_from on fail_count calls fail, a write after half of it; and again after fail_gap good ones. 0 = none. */
	unsigned fail_from, fail_count, fail_gap;
	int fail_cause;
	long clock_step; /* seconds added to the wall clock */
};
extern struct disk_plan disk;

/* Forgets the files it knew, and what the plan was. seed: of what a power cut loses. */
void disk_begin(unsigned seed);
/* A file that is there before the process begins, and durable. */
void disk_know(int directory, const char *name);

#endif
