#include "broker/session/policy.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* The screen's memory, which it makes and seals; streams over sockets that it was given; libvncserver over a pair of its own. */
/* clang-format off */
static const struct gr_seccomp_rule rules[] = {
	GR_CALLS_LOOP,
	GR_CALL(sendto),
	GR_CALL(recvfrom),
	GR_CALL(shutdown),
	GR_CALL_1(ioctl, 1, SIOCOUTQ), /* does the agent read what it is sent? */
	GR_CALL(memfd_create),
	GR_CALL(ftruncate),
	GR_CALL_1(fcntl, 1, F_ADD_SEALS),
	/* libvncserver, of each viewer: its socket, what it wrote into the outflow, names for its log */
	GR_CALL_1(socketpair, 0, AF_UNIX),
	GR_CALL_1(fcntl, 1, F_DUPFD_CLOEXEC),
	GR_CALL_1(fcntl, 1, F_GETFL),
	GR_CALL_1(fcntl, 1, F_SETFL),
	GR_CALL(lseek),
	GR_CALL(uname),
	GR_CALL(getpeername),
	GR_CALL_2(setsockopt, 1, IPPROTO_TCP, 2, TCP_NODELAY), /* fails, its socket is none of TCP */
	GR_CALL(pselect6), /* never, for its reads need not wait; if they had to, this is no reason to die */
};
/* clang-format on */

const struct gr_confine_policy gr_session_policy = {
	.name = "session",
	.rules = rules,
	.rule_count = sizeof(rules) / sizeof(*rules),
	.descriptors = 64, /* libvncserver keeps its descriptor in an fd_set: far below FD_SETSIZE */
	.file_size = UINT64_C(1) << 30, /* the largest screen is a quarter of it */
	.memory = UINT64_C(4) << 30,
};
