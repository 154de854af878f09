#include "broker/supervisor/states.h"

#include "broker/ipc/ipc.h"

#define ONE(type) (UINT64_C(1) << (type))

_Static_assert(GR_IPC_TYPES <= 64, "a set of types fits into 64 bits");

static const uint64_t of_connection[GR_CONNECTION_STATES] = {
	[GR_CONNECTION_HANDSHAKE] = ONE(GR_IPC_ASKING) | ONE(GR_IPC_LOGIN_FAILED) | ONE(GR_IPC_IDENTIFIED) |
				    ONE(GR_IPC_HANDSHAKE_FAILED) | ONE(GR_IPC_CLOSED),
	/* The certificate is known before the client has proved that it has the key: that can still fail. */
	[GR_CONNECTION_IDENTIFIED] = ONE(GR_IPC_WANT_SESSION) | ONE(GR_IPC_HANDSHAKE_FAILED) | ONE(GR_IPC_CLOSED) |
				     ONE(GR_IPC_REVOKED),
	[GR_CONNECTION_WAITING] = ONE(GR_IPC_RECORDED) | ONE(GR_IPC_CLOSED) | ONE(GR_IPC_REVOKED),
	[GR_CONNECTION_OPEN] = ONE(GR_IPC_RECORDED) | ONE(GR_IPC_VIOLATION) | ONE(GR_IPC_CLIPBOARD) |
			       ONE(GR_IPC_CLIPBOARD_PASSED) | ONE(GR_IPC_CLOSED) | ONE(GR_IPC_REVOKED),
	/* These may have crossed our REFUSE, or the session's letting go. */
	[GR_CONNECTION_CLOSING] = ONE(GR_IPC_ASKING) | ONE(GR_IPC_LOGIN_FAILED) | ONE(GR_IPC_IDENTIFIED) |
				  ONE(GR_IPC_HANDSHAKE_FAILED) | ONE(GR_IPC_WANT_SESSION) | ONE(GR_IPC_RECORDED) |
				  ONE(GR_IPC_VIOLATION) | ONE(GR_IPC_CLIPBOARD) | ONE(GR_IPC_CLIPBOARD_PASSED) |
				  ONE(GR_IPC_CLOSED) | ONE(GR_IPC_REVOKED),
	[GR_CONNECTION_CLOSED] = ONE(GR_IPC_LOGIN_FAILED) | ONE(GR_IPC_REVOKED),
};

static const uint64_t of_session[GR_SESSION_STATES] = {
	[GR_SESSION_RUNNING] = ONE(GR_IPC_ATTACHED) | ONE(GR_IPC_DETACHED) | ONE(GR_IPC_ACTIVITY) |
			       ONE(GR_IPC_AGENT_LOST),
	[GR_SESSION_ENDING] = ONE(GR_IPC_ATTACHED) | ONE(GR_IPC_DETACHED) | ONE(GR_IPC_ACTIVITY) |
			      ONE(GR_IPC_AGENT_LOST),
};

static const uint64_t of_container[GR_CONTAINER_STATES] = {
	/* GONE: one that never came as far as STARTED, or that an earlier pool left behind. */
	[GR_CONTAINER_FREE] = ONE(GR_IPC_STARTED) | ONE(GR_IPC_GONE),
	[GR_CONTAINER_STARTING] = ONE(GR_IPC_AGENT) | ONE(GR_IPC_GONE),
	[GR_CONTAINER_WARM] = ONE(GR_IPC_AGENT) | ONE(GR_IPC_GONE),
	[GR_CONTAINER_USED] = ONE(GR_IPC_AGENT) | ONE(GR_IPC_GONE),
	[GR_CONTAINER_DESTROYING] = ONE(GR_IPC_AGENT) | ONE(GR_IPC_GONE),
};

static int permits(uint64_t set, uint32_t type)
{
	return type < GR_IPC_TYPES && (set & ONE(type)) != 0;
}

int gr_connection_permits(enum gr_connection_state state, uint32_t type)
{
	return permits(of_connection[state], type);
}

int gr_session_permits(enum gr_session_state state, uint32_t type)
{
	return permits(of_session[state], type);
}

int gr_container_permits(enum gr_container_state state, uint32_t type)
{
	return permits(of_container[state], type);
}
