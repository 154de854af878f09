/*
 * Viewer connections: one gateway process each.
 *
 *   HANDSHAKE ── IDENTIFIED ──► IDENTIFIED ── WANT_SESSION ──► WAITING ── recorded, session runs ──► OPEN
 *       └─────────────┴── refused, let go ──► CLOSING ── CLOSED ──► CLOSED ── reaped ──► FREE
 */
#ifndef GARASU_BROKER_SUPERVISOR_CONNECTIONS_H
#define GARASU_BROKER_SUPERVISOR_CONNECTIONS_H

#include "broker/supervisor/children.h"
#include "broker/supervisor/listen.h"
#include "broker/supervisor/recordings.h"
#include "broker/supervisor/states.h"

#define GR_CONNECTIONS_UNKNOWN_MAX 32 /* connections that have not said who they are */
#define GR_CONNECTIONS_UNKNOWN_PER_SOURCE 8

struct gr_supervisor;
struct gr_session;

struct gr_connection {
	struct gr_supervisor *supervisor;
	struct gr_child child; /* its gateway */
	enum gr_connection_state state;
	uint32_t number; /* number % GR_CONNECTIONS_MAX is its slot */
	struct gr_peer from;
	char peer[64];
	char person[GR_PERSON_MAX + 8]; /* empty until IDENTIFIED */
	char certificate[256]; /* the identity process's text for the record */
	pid_t identity; /* the process that knows its certificate; 0 until IDENTIFIED */
	struct gr_session *session; /* that it sees or waits for */
	uint64_t session_id; /* that it was recorded with; 0 = none */
	uint64_t claim; /* epoch of a claim that no session has taken over; 0 = none */
	uint32_t reason; /* why it ends */
	uint64_t down, up; /* bytes */
	int login_sent, login_recorded, attach_sent, attach_recorded;
	int asking; /* the person is asked for the second factor */
	int seen; /* the viewer sees the screen */
	int refused; /* LOGIN_REFUSED is recorded */
	int violated; /* the guard ended it */
	struct gr_recording recording; /* of what it is sent */
	struct gr_loop_timer *deadline;
};

/* A connection was accepted; takes fd. method: "tls" or "vencrypt". */
void gr_connection_accept(struct gr_supervisor *supervisor, int fd, const struct gr_peer *peer, const char *method);

/* NULL when there is none of this number. */
struct gr_connection *gr_connection_find(struct gr_supervisor *supervisor, uint32_t number);

/* IDENTIFIED from the identity process. GR_EPROTO. */
int gr_connection_identified(struct gr_supervisor *supervisor, const struct gr_ipc_message *message);

/* LOGIN_FAILED from it: recorded, and counted against the source. GR_EPROTO. */
int gr_connection_login_failed(struct gr_supervisor *supervisor, const struct gr_ipc_message *message);

/* REVOKED from it: the viewer is told and let go, and its session ended. GR_EPROTO. */
int gr_connection_revoked(struct gr_supervisor *supervisor, const struct gr_ipc_message *message);

/*
 * identity was given new lists. Lets go those whose certificate another process knew before it, which died: nobody can say
 * whether they are revoked. They may come again.
 */
void gr_connections_forget_unknown(struct gr_supervisor *supervisor, pid_t identity);

/* Records LOGIN_REFUSED and lets the gateway tell the viewer. */
void gr_connection_refuse(struct gr_connection *connection, uint32_t reason, const char *detail);
void gr_connection_refuse_number(struct gr_supervisor *supervisor, uint32_t number, uint32_t reason,
				 const char *detail);

/* Its stream to the session; fd borrowed. */
void gr_connection_open(struct gr_connection *connection, int fd);
/* What its session process said. Ignored when it is gone already. */
void gr_connection_attached(struct gr_supervisor *supervisor, uint32_t number);
void gr_connection_detached(struct gr_supervisor *supervisor, uint32_t number, uint32_t reason);
/* The process that its stream goes to has ended. */
void gr_connections_session_over(struct gr_supervisor *supervisor, const struct gr_session *session, uint32_t reason);

/* Connections that are recorded with this session and have not ended. */
unsigned gr_connections_of_session(const struct gr_supervisor *supervisor, uint64_t id);

/* Gives sessions to those who wait, in order, as far as there are containers. */
void gr_connections_serve(struct gr_supervisor *supervisor);

/* Refuses those who are cut off and have no session yet. */
void gr_connections_refuse_held(struct gr_supervisor *supervisor);
void gr_connections_refuse_all(struct gr_supervisor *supervisor, uint32_t reason);
unsigned gr_connections_left(const struct gr_supervisor *supervisor);
/* Those that see a session. */
unsigned gr_connections_viewers(const struct gr_supervisor *supervisor);

#endif
