#include "broker/pool/policy.h"

#include <fcntl.h>

/* Pipes that come as descriptors; lines to standard error. */
static const struct gr_seccomp_rule rules[] = {
	GR_CALLS_LOOP,
	GR_CALL_1(fcntl, 1, F_GETFL),
	GR_CALL_1(fcntl, 1, F_SETFL),
};

const struct gr_confine_policy gr_relay_policy = {
	.name = "pool-log",
	.rules = rules,
	.rule_count = sizeof(rules) / sizeof(*rules),
	.descriptors = 512,
	.memory = 256 << 20,
};
