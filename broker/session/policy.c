#include "broker/session/policy.h"

#include "common/limits.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* The screen's memory, which it makes and seals; streams over sockets that it was given; libvncserver over a pair of its own. */
static const struct gr_seccomp_rule rules[] = {
	GR_CALLS_LOOP, GR_CALL(sendto), GR_CALL(recvfrom), GR_CALL(shutdown), GR_CALL(memfd_create), GR_CALL(ftruncate),
	GR_CALL(lseek), /* how much libvncserver wrote into the outflow */
	GR_CALL_1(fcntl, 1, F_ADD_SEALS), GR_CALL_1(fcntl, 1, F_DUPFD_CLOEXEC), GR_CALL_1(fcntl, 1, F_GETFL),
	GR_CALL_1(fcntl, 1, F_SETFL), GR_CALL_1(socketpair, 0, AF_UNIX),
	/* libvncserver, of each viewer: names for its log */
	GR_CALL(uname), GR_CALL(getpeername),
	GR_CALL_2(setsockopt, 1, IPPROTO_TCP, 2, TCP_NODELAY), /* fails, its socket is none of TCP */
	GR_CALL(pselect6), /* never, for its reads need not wait; if they had to, this is no reason to die */
};

const struct gr_confine_policy gr_session_policy = {
	.name = "session",
	.rules = rules,
	.rule_count = sizeof(rules) / sizeof(*rules),
	.descriptors = 64, /* libvncserver keeps its descriptor in an fd_set: far below FD_SETSIZE */
	.file_size = UINT64_C(1) << 30, /* the largest screen is a quarter of it */
	.memory = UINT64_C(4) << 30,
};
