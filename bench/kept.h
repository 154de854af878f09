/*
 * What a codec wrote while it was timed: whole FramebufferUpdates one behind the other, and which frame each belongs to. So
 * what is looked at afterwards is what was timed.
 *
 * The bytes are in a memfd that grows to at most GR_KEPT_MAX, so they are no process's anonymous memory.
 */
#ifndef GARASU_BENCH_KEPT_H
#define GARASU_BENCH_KEPT_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

#define GR_KEPT_MAX ((size_t)2 << 30) /* bytes */

struct gr_kept_update {
	uint32_t sequence; /* of the frame that it shows, or refines */
	uint32_t step; /* 0: the frame itself, then 1 for its first refinement, and so on */
	uint64_t now_ms; /* the trace's time when it was written */
	size_t size; /* bytes */
};

struct gr_kept {
	int fd;
	size_t size; /* of all updates */
	struct gr_kept_update *updates; /* owned */
	size_t count, capacity;
	const uint8_t *bytes; /* size of them; NULL before gr_kept_map */
};

/* Call gr_kept_finish after a failure too. GR_ENOMEM, GR_EIO. */
int gr_kept_init(struct gr_kept *kept, struct gr_error *err);
void gr_kept_finish(struct gr_kept *kept);

/* Appends update->size bytes. GR_EFULL, GR_ENOMEM, GR_EIO. */
int gr_kept_add(struct gr_kept *kept, const struct gr_kept_update *update, const uint8_t *bytes, struct gr_error *err);
/* Ends the appending; kept->bytes can be read from now on. GR_ENOMEM, GR_EIO. */
int gr_kept_map(struct gr_kept *kept, struct gr_error *err);

/* How many updates, from the first on, are the same in both to the byte. Both mapped. */
size_t gr_kept_same(const struct gr_kept *a, const struct gr_kept *b);

#endif
