#include "broker/supervisor/limits.h"

#include "broker/ipc/ipc.h"

static int64_t left(uint64_t from_ms, uint64_t length_ms, uint64_t now_ms)
{
	uint64_t passed = now_ms > from_ms ? now_ms - from_ms : 0;

	return passed < length_ms ? (int64_t)(length_ms - passed) : 0;
}

int64_t gr_limits_left(const struct gr_config_limits *limits, uint64_t began_ms, uint64_t active_ms, uint64_t now_ms,
		       uint32_t *reason_out)
{
	int64_t most = -1;

	if (limits->absolute_minutes) {
		most = left(began_ms, limits->absolute_minutes * UINT64_C(60000), now_ms);
		*reason_out = GR_REASON_TIME_LIMIT;
	}
	if (limits->idle_minutes) {
		/* What was done within the last ten seconds may not have been told. */
		int64_t idle = left(active_ms, limits->idle_minutes * UINT64_C(60000) + GR_LIMITS_ACTIVITY_MS, now_ms);

		if (most < 0 || idle < most) {
			most = idle;
			*reason_out = GR_REASON_IDLE;
		}
	}
	return most;
}
