/*
 * What each child may say when: the permitted messages per state of a connection, a session and a container, as
 * tables. A message that its state does not permit ends the child that sent it, and with a session's process the session; it is
 * logged, and recorded as a fault.
 */
#ifndef GARASU_BROKER_SUPERVISOR_STATES_H
#define GARASU_BROKER_SUPERVISOR_STATES_H

#include <stdint.h>

enum gr_connection_state {
	GR_CONNECTION_FREE,
	GR_CONNECTION_HANDSHAKE, /* the gateway talks to somebody unknown */
	GR_CONNECTION_IDENTIFIED, /* the identity process knows the certificate; the handshake is not over yet */
	GR_CONNECTION_WAITING, /* wants a session: for the record, a container or a session process */
	GR_CONNECTION_OPEN, /* has its stream to a session */
	GR_CONNECTION_CLOSING, /* refused, or its session let it go: the gateway tells the viewer and closes */
	GR_CONNECTION_CLOSED, /* the gateway said its last */
	GR_CONNECTION_STATES
};

enum gr_session_state {
	GR_SESSION_FREE,
	GR_SESSION_STARTING, /* for the record of its start and its process */
	GR_SESSION_RUNNING,
	GR_SESSION_RESTARTING, /* its process died: for a new one and the agent's new connection */
	GR_SESSION_ENDING,
	GR_SESSION_STATES
};

enum gr_container_state {
	GR_CONTAINER_FREE,
	GR_CONTAINER_STARTING, /* runs, its agent has not connected yet */
	GR_CONTAINER_WARM,
	GR_CONTAINER_USED, /* a session has it */
	GR_CONTAINER_DESTROYING,
	GR_CONTAINER_STATES
};

/* type: a gr_ipc_type that the gateway sent, or what the identity process said about this connection. */
int gr_connection_permits(enum gr_connection_state state, uint32_t type);
/* type: from the session process. */
int gr_session_permits(enum gr_session_state state, uint32_t type);
/* type: from the pool about this container. */
int gr_container_permits(enum gr_container_state state, uint32_t type);

#endif
