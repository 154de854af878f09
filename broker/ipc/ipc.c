#include "broker/ipc/ipc.h"
#include "common/io.h"

#include <string.h>

#define FROM(kind) (1u << (kind))

/* Every message: who may send it to the supervisor (a set of kinds; 0 = only the supervisor sends it), and its descriptor. */
static const struct {
	unsigned from;
	int carries_fd;
} messages[GR_IPC_TYPES] = {
	[GR_IPC_READY] = { (1u << GR_IPC_KINDS) - 1, 0 },
	[GR_IPC_PEER] = { 0, 1 },
	[GR_IPC_IDENTIFIED] = { FROM(GR_IPC_KIND_IDENTITY), 0 },
	[GR_IPC_HANDSHAKE_FAILED] = { FROM(GR_IPC_KIND_GATEWAY), 0 },
	[GR_IPC_ASKING] = { FROM(GR_IPC_KIND_GATEWAY), 0 },
	[GR_IPC_WANT_SESSION] = { FROM(GR_IPC_KIND_GATEWAY), 0 },
	[GR_IPC_OPEN] = { 0, 1 },
	[GR_IPC_RECORD] = { 0, 1 },
	[GR_IPC_RECORDED] = { FROM(GR_IPC_KIND_GATEWAY), 0 },
	[GR_IPC_REFUSE] = { 0, 0 },
	[GR_IPC_VIOLATION] = { FROM(GR_IPC_KIND_GATEWAY), 1 },
	[GR_IPC_CLIPBOARD] = { FROM(GR_IPC_KIND_GATEWAY), 0 },
	[GR_IPC_CLOSED] = { FROM(GR_IPC_KIND_GATEWAY), 0 },
	[GR_IPC_ASSIGN] = { 0, 0 },
	[GR_IPC_DESTROY] = { 0, 0 },
	[GR_IPC_STARTED] = { FROM(GR_IPC_KIND_POOL), 1 },
	[GR_IPC_AGENT] = { FROM(GR_IPC_KIND_POOL), 1 }, /* the supervisor passes it on to the session */
	[GR_IPC_GONE] = { FROM(GR_IPC_KIND_POOL), 0 },
	[GR_IPC_POOL_TROUBLE] = { FROM(GR_IPC_KIND_POOL), 0 },
	[GR_IPC_EGRESS_CONTAINER] = { 0, 1 },
	[GR_IPC_EGRESS_ASSIGN] = { 0, 0 },
	[GR_IPC_EGRESS_FORGET] = { 0, 0 },
	[GR_IPC_START] = { 0, 0 },
	[GR_IPC_ATTACH] = { 0, 1 },
	[GR_IPC_END] = { 0, 0 },
	[GR_IPC_ATTACHED] = { FROM(GR_IPC_KIND_SESSION), 0 },
	[GR_IPC_DETACHED] = { FROM(GR_IPC_KIND_SESSION), 0 },
	[GR_IPC_ACTIVITY] = { FROM(GR_IPC_KIND_SESSION), 0 },
	[GR_IPC_AGENT_LOST] = { FROM(GR_IPC_KIND_SESSION), 0 },
	[GR_IPC_ADMIN_STATUS] = { FROM(GR_IPC_KIND_ADMIN), 0 },
	[GR_IPC_ADMIN_SESSIONS] = { FROM(GR_IPC_KIND_ADMIN), 0 },
	[GR_IPC_ADMIN_KILL] = { FROM(GR_IPC_KIND_ADMIN), 0 },
	[GR_IPC_ADMIN_ROW] = { 0, 0 },
	[GR_IPC_ADMIN_DONE] = { 0, 0 },
	[GR_IPC_REVOCATIONS] = { 0, 1 },
	[GR_IPC_REVOKED] = { FROM(GR_IPC_KIND_IDENTITY), 0 },
	[GR_IPC_LOGIN_FAILED] = { FROM(GR_IPC_KIND_IDENTITY), 0 },
	[GR_IPC_ADMIN_CUTOFF] = { FROM(GR_IPC_KIND_ADMIN), 0 },
	[GR_IPC_ADMIN_RESTORE] = { FROM(GR_IPC_KIND_ADMIN), 0 },
	[GR_IPC_ADMIN_RELOAD] = { FROM(GR_IPC_KIND_ADMIN), 0 },
	[GR_IPC_ADMIN_PENDING] = { FROM(GR_IPC_KIND_ADMIN), 0 },
	[GR_IPC_ADMIN_APPROVE] = { FROM(GR_IPC_KIND_ADMIN), 0 },
	[GR_IPC_ADMIN_REJECT] = { FROM(GR_IPC_KIND_ADMIN), 0 },
	[GR_IPC_ADMIN_USER] = { FROM(GR_IPC_KIND_ADMIN), 0 },
	[GR_IPC_ADMIN_PRUNE] = { FROM(GR_IPC_KIND_ADMIN), 0 },
	[GR_IPC_USER] = { 0, 0 },
	[GR_IPC_USER_ROW] = { FROM(GR_IPC_KIND_IDENTITY), 0 },
	[GR_IPC_USER_DONE] = { FROM(GR_IPC_KIND_IDENTITY), 0 },
	[GR_IPC_PRUNE] = { 0, 0 },
	[GR_IPC_PRUNED] = { FROM(GR_IPC_KIND_AUDIT), 0 },
	[GR_IPC_POLICY] = { 0, 1 },
	[GR_IPC_PRINT] = { FROM(GR_IPC_KIND_SESSION), 0 },
	[GR_IPC_PRINTED] = { FROM(GR_IPC_KIND_SESSION), 0 },
	[GR_IPC_CLIPBOARD_PASSED] = { FROM(GR_IPC_KIND_GATEWAY), 0 },
	[GR_IPC_SESSION_OVER] = { 0, 0 },
	[GR_IPC_FORWARD_STATE] = { FROM(GR_IPC_KIND_FORWARD), 0 },
};

const char *gr_reason_name(uint32_t reason)
{
	static const char *const names[] = {
		[GR_REASON_NONE] = "none",
		[GR_REASON_UNKNOWN_PERSON] = "unknown-person",
		[GR_REASON_REVOKED] = "revoked",
		[GR_REASON_NO_CAPACITY] = "no-capacity",
		[GR_REASON_AUDIT_UNAVAILABLE] = "audit-unavailable",
		[GR_REASON_CONTAINER_FAILED] = "container-failed",
		[GR_REASON_TAKEN_OVER] = "taken-over",
		[GR_REASON_ENDED_BY_ADMIN] = "ended-by-admin",
		[GR_REASON_SHUTTING_DOWN] = "shutting-down",
		[GR_REASON_TIME_OVER] = "time-over",
		[GR_REASON_PROTOCOL] = "protocol",
		[GR_REASON_INTERNAL] = "internal",
		[GR_REASON_BAD_CERTIFICATE] = "bad-certificate",
		[GR_REASON_VIEWER_LEFT] = "viewer-left",
		[GR_REASON_OUT_OF_MEMORY] = "out-of-memory",
		[GR_REASON_WRONG_FACTOR] = "wrong-factor",
		[GR_REASON_LOCKED_OUT] = "locked-out",
		[GR_REASON_CUT_OFF] = "cut-off",
		[GR_REASON_NOT_PERMITTED] = "not-permitted",
		[GR_REASON_IDLE] = "idle",
		[GR_REASON_TIME_LIMIT] = "time-limit",
		[GR_REASON_RECORDING_FAILED] = "recording-failed",
		[GR_REASON_DISPLACED] = "displaced",
	};
	return reason < sizeof(names) / sizeof(*names) ? names[reason] : "unknown";
}

const char *gr_ipc_kind_name(enum gr_ipc_kind kind)
{
	static const char *const names[GR_IPC_KINDS] = {
		[GR_IPC_KIND_AUDIT] = "audit",     [GR_IPC_KIND_KEYS] = "keys", [GR_IPC_KIND_IDENTITY] = "identity",
		[GR_IPC_KIND_EGRESS] = "egress",   [GR_IPC_KIND_POOL] = "pool", [GR_IPC_KIND_ADMIN] = "admin",
		[GR_IPC_KIND_FORWARD] = "forward", [GR_IPC_KIND_PAM] = "pam",   [GR_IPC_KIND_GATEWAY] = "gateway",
		[GR_IPC_KIND_SESSION] = "session",
	};
	return kind < GR_IPC_KINDS ? names[kind] : "unknown";
}

int gr_ipc_permitted(enum gr_ipc_kind from, uint32_t type)
{
	return from < GR_IPC_KINDS && type > 0 && type < GR_IPC_TYPES && (messages[type].from & FROM(from)) != 0;
}

int gr_ipc_send(int sock, const struct gr_ipc_message *message, int fd)
{
	return gr_io_send(sock, message, sizeof(*message), fd);
}

int gr_ipc_receive(int sock, struct gr_ipc_message *out, int *fd_out)
{
	struct gr_ipc_message message;
	size_t size;
	int fd = -1;
	int status = gr_io_receive(sock, &message, sizeof(message), &size, &fd);
	if (status)
		return status;
	if (size != sizeof(message) || message.type == 0 || message.type >= GR_IPC_TYPES ||
	    messages[message.type].carries_fd != (fd >= 0) || !memchr(message.person, 0, sizeof(message.person)) ||
	    !memchr(message.actor, 0, sizeof(message.actor)) || !memchr(message.subject, 0, sizeof(message.subject)) ||
	    !memchr(message.text, 0, sizeof(message.text))) {
		gr_io_close(&fd);
		return GR_EPROTO;
	}
	*out = message;
	*fd_out = fd;
	return 0;
}
