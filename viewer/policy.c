#include "viewer/policy.h"

/* Streams and packets over sockets that it was given; the picture's memory is mapped already. */
static const struct gr_seccomp_rule decoder_rules[] = {
	GR_CALL(sendmsg),
	GR_CALL(recvmsg),
	GR_CALL(sendto),
	GR_CALL(recvfrom),
};

const struct gr_confine_policy gr_decoder_policy = {
	.name = "decoder",
	.rules = decoder_rules,
	.rule_count = sizeof(decoder_rules) / sizeof(*decoder_rules),
	.descriptors = 16,
	/* The picture (257 MiB), the history (33), payloads (4 each), zlib, the program. */
	.memory = UINT64_C(1) << 30,
};

static const struct gr_seccomp_rule transport_rules[] = {
	GR_CALL(sendmsg), /* what happened, to the window */
	GR_CALL(recvmsg), /* what the person gave, from it */
	GR_CALL(sendto),  GR_CALL(recvfrom), GR_CALL(shutdown),
};

const struct gr_confine_policy gr_transport_policy = {
	.name = "transport",
	.rules = transport_rules,
	.rule_count = sizeof(transport_rules) / sizeof(*transport_rules),
	.descriptors = 16,
	.memory = UINT64_C(1) << 30,
};
