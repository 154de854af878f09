/* HISTORY payloads: the one zstd stream of a connection, and the units in it (docs/PROTOCOL.md §4.4). */
#ifndef GARASU_BROKER_GUARD_HISTORY_H
#define GARASU_BROKER_GUARD_HISTORY_H

#include "common/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gr_guard_history;

/* strict: inflate. Returns owned; NULL: out of memory. */
struct gr_guard_history *gr_guard_history_create(unsigned window_log2, bool strict);
void gr_guard_history_destroy(struct gr_guard_history *history); /* NULL allowed */

/*
 * Judges the stream's next payload. The zstd frame must be of the plain form that our broker writes: no dictionary, no checksum, no
 * size, a window of at most what was agreed, whole blocks, never a last one. Strict: it inflates to one unit, whose pieces lie in
 * rect and have exactly their pixels. Returns NULL, or static text: which rule is broken.
 */
const char *gr_guard_history_check(struct gr_guard_history *history, const uint8_t *untrusted, size_t n,
				   struct gr_rect rect);

#endif
