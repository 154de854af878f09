/* What the tests of the guard's downstream half share: one stream, and what must become of it. */
#ifndef GARASU_TESTS_GUARD_JUDGE_H
#define GARASU_TESTS_GUARD_JUDGE_H

#include "tests/unit/guard_stream.h"

#include <stddef.h>
#include <stdint.h>

enum {
	W = 200, /* of the screen in ServerInit */
	H = 100,
	INIT = 30, /* bytes of ServerInit */
};

extern const struct gr_guard_settings settings; /* the screen may grow to 400 by 300 */
extern struct stream s;

/* A stream that has begun: ServerInit. */
void begin(void);

/*
 * Sends s through a guard in pieces of `chunk` bytes (0: as large as there is room). listed: what the viewer listed (gr_guard_listed),
 * 0: all that ours may. Fails when what was let through is not the stream's own, or anything is taken after a violation.
 */
struct verdict judge_as(uint32_t listed, size_t chunk);

/* s is let through whole, in pieces of any size. */
void accepted(uint32_t listed);
/* s is refused for this rule, and of what is behind `passed` bytes not one was let through. */
void refused_as(uint32_t listed, const char *rule, size_t passed);
void refused(const char *rule, size_t passed); /* listed: 0 */

#endif
