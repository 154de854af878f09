#include "broker/gateway/policy.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

/* TLS over the connection that it was given; packets and a stream over the others. */
static const struct gr_seccomp_rule rules[] = {
	GR_CALLS_LOOP,
	GR_CALL(sendto),
	GR_CALL(recvfrom),
	GR_CALL(shutdown),
	GR_CALL_1(ioctl, 1, SIOCOUTQ), /* does a slow viewer still take bytes? */
	GR_CALL_1(fcntl, 1, F_GETFL),
	GR_CALL_1(fcntl, 1, F_SETFL),
	/* Evidence of a violation: kept in a sealed memfd that goes to the supervisor. */
	GR_CALL(memfd_create),
	GR_CALL_1(fcntl, 1, F_ADD_SEALS),
	/* The recording, whose file the supervisor opened for appending: flushed by the kernel while pictures go on, and at the end. */
	GR_CALL(io_submit),
	GR_CALL(io_getevents),
	GR_CALL(fdatasync),
};

const struct gr_confine_policy gr_gateway_policy = {
	.name = "gateway",
	.rules = rules,
	.rule_count = sizeof(rules) / sizeof(*rules),
	.descriptors = 32,
	.file_size = 64 << 20, /* the evidence; with recordings, as much as they may take */
	.memory = UINT64_C(1) << 30,
};
