#include "bench/kept.h"
#include "common/io.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int gr_kept_init(struct gr_kept *kept, struct gr_error *err)
{
	*kept = (struct gr_kept){ .fd = memfd_create("garasu-bench-kept", MFD_CLOEXEC) };
	return kept->fd < 0 ? gr_error_errno(err, "memory for what is written") : 0;
}

void gr_kept_finish(struct gr_kept *kept)
{
	if (kept->bytes)
		munmap((void *)(uintptr_t)kept->bytes, kept->size);
	gr_io_close(&kept->fd);
	free(kept->updates);
	*kept = (struct gr_kept){ .fd = -1 };
}

int gr_kept_add(struct gr_kept *kept, const struct gr_kept_update *update, const uint8_t *bytes, struct gr_error *err)
{
	if (update->size > GR_KEPT_MAX - kept->size)
		return gr_error_set(err, GR_EFULL, "more than %zu MiB were written", GR_KEPT_MAX >> 20);
	if (kept->count == kept->capacity) {
		size_t capacity = kept->capacity ? kept->capacity * 2 : 1024;
		struct gr_kept_update *updates = realloc(kept->updates, capacity * sizeof(*updates));
		if (!updates)
			return gr_error_set(err, GR_ENOMEM, "out of memory");
		kept->updates = updates;
		kept->capacity = capacity;
	}
	if (gr_io_write_all(kept->fd, bytes, update->size))
		return gr_error_errno(err, "memory for what is written");
	kept->updates[kept->count++] = *update;
	kept->size += update->size;
	return 0;
}

int gr_kept_map(struct gr_kept *kept, struct gr_error *err)
{
	if (kept->size == 0)
		return 0;
	void *bytes = mmap(NULL, kept->size, PROT_READ, MAP_SHARED, kept->fd, 0);
	if (bytes == MAP_FAILED)
		return gr_error_errno(err, "memory for what was written");
	kept->bytes = bytes;
	return 0;
}

size_t gr_kept_same(const struct gr_kept *a, const struct gr_kept *b)
{
	size_t at = 0, least = a->count < b->count ? a->count : b->count;
	for (size_t i = 0; i < least; i++) {
		const struct gr_kept_update *x = &a->updates[i], *y = &b->updates[i];
		if (x->sequence != y->sequence || x->step != y->step || x->now_ms != y->now_ms || x->size != y->size ||
		    memcmp(a->bytes + at, b->bytes + at, x->size) != 0)
			return i;
		at += x->size;
	}
	return least;
}
