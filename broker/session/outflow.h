/*
 * The bytes on their way to one viewer. libvncserver writes to a file descriptor and would block for 20 s when the viewer
 * does not read; so it writes into a memfd of this process's own, and what stands there is sent as the viewer takes it.
 * Bounded: the memfd is sealed at its size, a write beyond it fails.
 */
#ifndef GARASU_BROKER_SESSION_OUTFLOW_H
#define GARASU_BROKER_SESSION_OUTFLOW_H

#include <stddef.h>
#include <stdint.h>

struct gr_outflow;

/* Returns owned, room for size bytes; NULL when the system refuses. */
struct gr_outflow *gr_outflow_create(size_t size);
void gr_outflow_destroy(struct gr_outflow *out); /* NULL allowed */

/* Appends; GR_EFULL when it does not fit. */
int gr_outflow_append(struct gr_outflow *out, const void *data, size_t n);

/* A descriptor that appends what is written to it: returned owned. GR_EIO. Then call gr_outflow_written. */
int gr_outflow_sink(struct gr_outflow *out, int *fd_out);
/* Something was written into a sink: how much, or GR_EIO. */
int gr_outflow_written(struct gr_outflow *out, size_t *n_out);

/* Sends what it can without blocking: 0 = all gone, GR_EAGAIN = wait for room, GR_ECLOSED, GR_EIO. */
int gr_outflow_flush(struct gr_outflow *out, int sock);

/* Bytes not yet sent; bytes sent in all. */
size_t gr_outflow_left(const struct gr_outflow *out);
uint64_t gr_outflow_sent(const struct gr_outflow *out);

#endif
