#include "broker/keys/policy.h"

#include "common/limits.h"

/* Packets over sockets that it was given; the key is in memory. */
static const struct gr_seccomp_rule rules[] = {
	GR_CALLS_LOOP,
};

const struct gr_confine_policy gr_keys_policy = {
	.name = "keys",
	.rules = rules,
	.rule_count = sizeof(rules) / sizeof(*rules),
	.descriptors = GR_CONNECTIONS_MAX + 32,
	.memory = 256 << 20,
};
