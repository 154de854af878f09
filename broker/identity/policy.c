#include "broker/identity/policy.h"

#include "common/limits.h"

#include <fcntl.h>

/* Packets over sockets that it was given, and a file of revocation lists that comes as a descriptor. */
static const struct gr_seccomp_rule rules[] = {
	GR_CALLS_LOOP,
	/* stdio over that descriptor; without a path the empty one of newfstatat is all that there is to ask for */
	GR_CALL_1(fcntl, 1, F_GETFL),
	GR_CALL(lseek),
	GR_CALL(fstat),
	GR_CALL_1(newfstatat, 3, AT_EMPTY_PATH),
};

const struct gr_confine_policy gr_identity_policy = {
	.name = "identity",
	.rules = rules,
	.rule_count = sizeof(rules) / sizeof(*rules),
	.descriptors = GR_CONNECTIONS_MAX + 32,
	.memory = 512 << 20, /* revocation lists of a whole city, twice while they are renewed */
};
