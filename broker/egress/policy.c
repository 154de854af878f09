#include "broker/egress/policy.h"

#include "broker/egress/container.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* The way out of the containers: TCP and UDP as a client, and nothing that listens but what it was given. */
static const struct gr_seccomp_rule rules[] = {
	GR_CALLS_LOOP,
	GR_SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
	GR_SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
	GR_SOCKET(AF_INET, SOCK_STREAM, 0), /* c-ares: an answer that does not fit into a datagram */
	GR_SOCKET(AF_INET6, SOCK_STREAM, 0),
	GR_SOCKET(AF_INET, SOCK_DGRAM, 0),
	GR_SOCKET(AF_INET6, SOCK_DGRAM, 0),
	GR_CALL(connect),
	GR_CALL(getsockname),
	GR_CALL(accept4), /* the containers' connections */
	GR_CALL(shutdown),
	GR_CALL(sendto),
	GR_CALL(recvfrom),
	GR_CALL_2(getsockopt, 1, SOL_SOCKET, 2, SO_ERROR),
	GR_CALL_2(setsockopt, 1, SOL_SOCKET, 2, SO_KEEPALIVE),
	GR_CALL_2(setsockopt, 1, IPPROTO_TCP, 2, TCP_NODELAY),
	GR_CALL_1(fcntl, 1, F_GETFL),
	GR_CALL_1(fcntl, 1, F_SETFL),
	GR_CALL_1(fcntl, 1, F_SETFD),
	/* GR_IPC_POLICY: the configuration's lexer asks whether its stream is a terminal, which has no descriptor. */
	GR_CALL_2(ioctl, 0, UINT32_MAX, 1, TCGETS),
};

const struct gr_confine_policy gr_egress_policy = {
	.name = "egress",
	.rules = rules,
	.rule_count = sizeof(rules) / sizeof(*rules),
	.descriptors = GR_EGRESS_DESCRIPTORS,
	.memory = UINT64_C(4) << 30,
	.tcp_connect = 1,
};
