/* How long a session may go on. Pure: the clock is the caller's. */
#ifndef GARASU_BROKER_SUPERVISOR_LIMITS_H
#define GARASU_BROKER_SUPERVISOR_LIMITS_H

#include "broker/config/config.h"

#define GR_LIMITS_ACTIVITY_MS 10000 /* a session process tells of activity no more often */

/*
 * Milliseconds until the session has to end (0 = now) and why (IDLE, TIME_LIMIT); -1: there is no limit. began, active: when it
 * began, and when its viewer was last known to have done something, on the clock of now.
 */
int64_t gr_limits_left(const struct gr_config_limits *limits, uint64_t began_ms, uint64_t active_ms, uint64_t now_ms,
		       uint32_t *reason_out);

#endif
