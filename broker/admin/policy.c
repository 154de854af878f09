#include "broker/admin/policy.h"

#include <sys/socket.h>

/* Requests of garasuctl over the one socket that it listens on. */
static const struct gr_seccomp_rule rules[] = {
	GR_CALLS_LOOP, GR_CALL(accept4), GR_CALL_2(getsockopt, 1, SOL_SOCKET, 2, SO_PEERCRED), /* who asks */
};

const struct gr_confine_policy gr_admin_policy = {
	.name = "admin",
	.rules = rules,
	.rule_count = sizeof(rules) / sizeof(*rules),
	.descriptors = 64,
	.memory = 256 << 20,
};
