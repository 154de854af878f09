/*
 * What the containers say on their standard output and error goes into the broker's log, escaped and at a bounded rate, by
 * a process of its own without privileges: the pool is root and reads nothing that comes from a container.
 */
#ifndef GARASU_BROKER_POOL_RELAY_H
#define GARASU_BROKER_POOL_RELAY_H

#include "common/error.h"
#include "common/log.h"

#include <stdint.h>
#include <sys/types.h>

struct gr_relay {
	int control; /* -1 = not running */
};

/* Starts the process; it becomes uid and ends when the relay is stopped. scratch: a directory for its empty root, gone again
 * when this returns. GR_EIO and what gr_confine returns. */
int gr_relay_start(struct gr_relay *relay, uid_t uid, const char *scratch, enum gr_log_level level,
		   struct gr_error *err);

/* Gives it the reading end of a container's output (borrowed). GR_ECLOSED when the process is gone: start it again. */
int gr_relay_add(struct gr_relay *relay, uint32_t number, int pipe);

void gr_relay_stop(struct gr_relay *relay);

#endif
