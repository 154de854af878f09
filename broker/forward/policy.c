#include "broker/forward/policy.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/*
 * A client of two servers, and of name servers, as egress is; files beneath the record's folder, of which it can write only its own
 * two folders: the others are the audit process's.
 */
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
	GR_CALL(sendto),
	GR_CALL(recvfrom),
	GR_CALL_2(getsockopt, 1, SOL_SOCKET, 2, SO_ERROR),
	GR_CALL_2(setsockopt, 1, SOL_SOCKET, 2, SO_KEEPALIVE),
	GR_CALL_1(setsockopt, 1, IPPROTO_TCP),
	GR_CALL_1(ioctl, 1, SIOCOUTQ), /* what the server has acknowledged */
	GR_CALL_1(fcntl, 1, F_GETFL),
	GR_CALL_1(fcntl, 1, F_SETFL),
	GR_CALL_1(fcntl, 1, F_SETFD),
	GR_CALL(openat),
	GR_CALL(pread64),
	GR_CALL(fstat),
	GR_CALL_1(newfstatat, 3, AT_EMPTY_PATH),
	GR_CALL(fsync),
	GR_CALL(renameat), /* its state is replaced whole */
};

const struct gr_confine_policy gr_forward_policy = {
	.name = "forward",
	.rules = rules,
	.rule_count = sizeof(rules) / sizeof(*rules),
	.descriptors = 64,
	.file_size = 1 << 20,
	.memory = 512 << 20,
	.tcp_connect = 1,
};
