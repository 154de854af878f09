/* A file that is only appended to, whole and durably or not at all. */
#ifndef GARASU_BROKER_AUDIT_APPEND_H
#define GARASU_BROKER_AUDIT_APPEND_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

struct gr_append {
	int fd; /* O_APPEND */
	uint64_t length; /* what is durable */
	int dirty; /* something behind that could not be taken back yet */
};

/*
 * Opens the file in the directory (makes it, mode 0640: the directory's group may read), which must be a regular file with one name. length is its size.
 * GR_EDENIED, GR_EIO with name and cause.
 */
int gr_append_open(struct gr_append *file, int directory, const char *name, struct gr_error *err);
void gr_append_close(struct gr_append *file);

/*
 * One write(2), more if the system takes less, and one fdatasync(2). On failure errno says why, and what was written is
 * taken back: now, or before the next attempt. GR_EIO.
 */
int gr_append_write(struct gr_append *file, const void *bytes, size_t n);

/* Takes everything behind length out of the file, durably. GR_EIO, with errno. */
int gr_append_cut(struct gr_append *file);

#endif
