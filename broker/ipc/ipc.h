/*
 * The messages between the supervisor and its children: one fixed-size packet each over the control socket
 * (SOCK_SEQPACKET, GR_IPC_CONTROL_FD in the child), with at most one file descriptor. A message that is not in the
 * table of its sender (ipc.c) ends that child.
 *
 *   child      is exec'd as: garasu-<kind> <config file> [number]      fds: 0-2, 3 = control
 *   gateway    number = the connection's; 4 = the accepted TCP connection, 5 = keys, 6 = identity;
 *              a third argument is "tls" or "vencrypt"
 *   session    number = the container's slot
 *   all        first act: load the configuration, open what they need, confine, then send READY.
 *   all        the end of the control socket means: end yourself in good order, now.
 */
#ifndef GARASU_BROKER_IPC_H
#define GARASU_BROKER_IPC_H

#include "common/error.h"
#include "common/limits.h"

#include <stdint.h>

#define GR_IPC_CONTROL_FD 3
#define GR_IPC_CONNECTION_FD 4
#define GR_IPC_KEYS_FD 5
#define GR_IPC_IDENTITY_FD 6

/* Why a viewer is refused or a session ends. Sent to our viewer in OPEN and NOTICE (docs/PROTOCOL.md), which words it. */
enum gr_reason {
	GR_REASON_NONE = 0,
	GR_REASON_UNKNOWN_PERSON = 1, /* the certificate names nobody whom this broker knows */
	GR_REASON_REVOKED = 2,
	GR_REASON_NO_CAPACITY = 3, /* every container is taken */
	GR_REASON_AUDIT_UNAVAILABLE = 4, /* the audit record cannot be written */
	GR_REASON_CONTAINER_FAILED = 5, /* the container could not be had, or died */
	GR_REASON_TAKEN_OVER = 6, /* the same person connected from another terminal */
	GR_REASON_ENDED_BY_ADMIN = 7,
	GR_REASON_SHUTTING_DOWN = 8,
	GR_REASON_TIME_OVER = 9, /* nobody came back in the grace time */
	GR_REASON_PROTOCOL = 10, /* the viewer sent what is not permitted */
	GR_REASON_INTERNAL = 11,
	GR_REASON_BAD_CERTIFICATE = 12, /* TLS: none, expired, not yet valid, unknown issuer, wrong purpose */
	GR_REASON_VIEWER_LEFT = 13,
	GR_REASON_OUT_OF_MEMORY = 14, /* the container passed its memory limit */
	GR_REASON_WRONG_FACTOR = 15, /* the password or the code is wrong */
	GR_REASON_LOCKED_OUT = 16, /* too many wrong ones: try later */
	GR_REASON_CUT_OFF = 17, /* all sessions, or the group's, were stopped in an emergency */
	GR_REASON_NOT_PERMITTED = 18, /* the policy does not let this viewer or one more session in */
	GR_REASON_IDLE = 19, /* no key and no pointer for as long as the policy permits */
	GR_REASON_TIME_LIMIT = 20, /* the session is as old as the policy permits */
	GR_REASON_RECORDING_FAILED = 21, /* the policy demands a recording, which cannot be made */
	GR_REASON_DISPLACED = 22, /* every container is taken, and somebody of a higher priority came */
};

/* "no-capacity" and so on: for the audit record and tables. Never NULL. */
const char *gr_reason_name(uint32_t reason);

enum gr_ipc_type {
	/* any child to the supervisor */
	GR_IPC_READY = 1,

	/* supervisor to keys, identity, audit, pam: serve this peer too. fd = its socket.
	   audit: number = a gr_audit_source; keys, identity: connection; identity with connection 0, and pam: the other one of the
	   two (broker/pam/pam.h), in place of an earlier one.
	   supervisor to egress: number = GR_AUDIT_SOURCE_EGRESS; fd = its own socket to the audit process, in place of an earlier one */
	GR_IPC_PEER,

	/* identity to the supervisor: the certificate of this connection was checked. connection, reason
	   (NONE = good), person, text = "serial=… " as for the audit record, escaped */
	GR_IPC_IDENTIFIED,

	/* gateway to the supervisor: the connection never reached identity (TLS failure and so on). reason, text */
	GR_IPC_HANDSHAKE_FAILED,
	/* gateway to the supervisor: the certificate is good, and the person is asked for the second factor. Each time */
	GR_IPC_ASKING,
	/* gateway to the supervisor: identity has said yes; give this viewer its session. RFB begins after OPEN */
	GR_IPC_WANT_SESSION,
	/* supervisor to gateway: person; number = seconds until the session's time is over, 0 = no limit; bytes_up, bytes_down: of one text of
	   the clipboard, 0 = none; fd = stream to the session process (RFB from ProtocolVersion on) */
	GR_IPC_OPEN,
	/* supervisor to gateway, before OPEN: record what the viewer is sent. session, person; fd = the new file, for appending only */
	GR_IPC_RECORD,
	/* gateway to the supervisor: how far the recording is on the disk. number = chunks, bytes_down = the file's bytes,
	   bytes_up = 1: its last word, text = "sha256=…" of its chain (docs/RECORDING.md); reason RECORDING_FAILED, and " why"
	   behind the hash: it has ended. The first one, number 0, says that the header is there: OPEN waits for it.
	   supervisor to gateway: reason RECORDING_FAILED, text = why: end it so */
	GR_IPC_RECORDED,
	/* supervisor to gateway: tell the viewer and close. reason */
	GR_IPC_REFUSE,
	/* gateway to the supervisor, once: the guard found what is not permitted, the connection is being closed. text = for the
	   record; fd = a memfd with the bytes, at most 64 KiB, sealed */
	GR_IPC_VIOLATION,
	/* gateway to the supervisor: the guard dropped a clipboard. bytes_up, text = for the record */
	GR_IPC_CLIPBOARD,
	/* gateway to the supervisor, its last: bytes_down, bytes_up to and from the viewer; reason, text */
	GR_IPC_CLOSED,

	/* supervisor to pool */
	GR_IPC_ASSIGN, /* container, session: it is in use, warm up another */
	GR_IPC_DESTROY, /* container; answered by GONE */
	/* pool to the supervisor */
	GR_IPC_STARTED, /* container; fd = listening egress socket of that container */
	GR_IPC_AGENT, /* container; fd = a connection of its agent: it is ready (again) */
	GR_IPC_GONE, /* container; everything of it is removed; reason */
	GR_IPC_POOL_TROUBLE, /* a container could not be started: reason, text for the operator */

	/* supervisor to egress */
	GR_IPC_EGRESS_CONTAINER, /* container; fd = listening socket. Everything is refused until EGRESS_ASSIGN */
	GR_IPC_EGRESS_ASSIGN, /* container, session, person */
	GR_IPC_EGRESS_FORGET, /* container: close its listener and connections */

	/* supervisor to session; START, then AGENT are the first */
	GR_IPC_START, /* container, session, person; number = 1: an earlier process of this session died, the page stays */
	GR_IPC_ATTACH, /* connection; bytes_up, bytes_down as in OPEN; fd = stream to the gateway. An attached viewer before it is
			  TAKEN_OVER */
	GR_IPC_END, /* reason: tell the viewer, then end */
	/* session to the supervisor */
	GR_IPC_ATTACHED, /* connection: RFB initialisation is done, the viewer sees the screen */
	GR_IPC_DETACHED, /* connection, reason; bytes_down, bytes_up (the record has the gateway's CLOSED) */
	GR_IPC_ACTIVITY, /* the viewer sent a key or moved the pointer; at most once in 10 s */
	GR_IPC_AGENT_LOST, /* the agent's connection ended; waits for another AGENT (the supervisor ends it if none comes).
			      reason CONTAINER_FAILED, text: the agent broke the protocol; the session is ended */

	/* admin to the supervisor, and its answers */
	GR_IPC_ADMIN_STATUS, /* number = the admin process's request */
	GR_IPC_ADMIN_SESSIONS, /* number */
	GR_IPC_ADMIN_KILL, /* number; session, or 0 and person; text = who asks, for the audit record */
	GR_IPC_ADMIN_ROW, /* number; one session: session, container, connection (0 = no viewer), person, text = since (RFC 3339) */
	GR_IPC_ADMIN_DONE, /* number; reason NONE or why not; for STATUS: text = "key=value" pairs, separated by spaces */

	/* supervisor to identity: fd = the file of revocation lists, anew: every later PEER is judged by it, and those who are
	   connected once more */
	GR_IPC_REVOCATIONS,
	/* identity to the supervisor: the certificate of this connection, good when IDENTIFIED, is revoked now. connection, which
	   may be gone */
	GR_IPC_REVOKED,

	/* identity to the supervisor: one wrong password or code. connection, person, reason (WRONG_FACTOR, or LOCKED_OUT: the
	   person is locked out from now on), text = for the record */
	GR_IPC_LOGIN_FAILED,

	/* admin to the supervisor; each has number, actor = who asks, text = why; answered by ROWs and DONE */
	GR_IPC_ADMIN_CUTOFF, /* subject = group, "" = everybody */
	GR_IPC_ADMIN_RESTORE, /* subject = group, "" = everybody */
	GR_IPC_ADMIN_RELOAD, /* the configuration file, anew */
	GR_IPC_ADMIN_PENDING, /* changes of policy that wait for approval */
	GR_IPC_ADMIN_APPROVE, /* subject = the change */
	GR_IPC_ADMIN_REJECT, /* subject = the change */
	GR_IPC_ADMIN_USER, /* person; subject = add, password, code, recovery, unlock, remove, list */
	GR_IPC_ADMIN_PRUNE, /* subject = egress, records, recordings; an auditor's */

	/* supervisor to identity, and its answers: as ADMIN_USER, with number; ROW as ADMIN_ROW: one line to be shown in text */
	GR_IPC_USER,
	GR_IPC_USER_ROW,
	GR_IPC_USER_DONE, /* reason, text */
	/* supervisor to audit, and its answer: number; subject as ADMIN_PRUNE, actor, bytes_up = not younger than (seconds) */
	GR_IPC_PRUNE,
	GR_IPC_PRUNED, /* number; reason, text */

	/* supervisor to egress: fd = the configuration in force, from now on */
	GR_IPC_POLICY,

	/* forward to the supervisor: how it stands now. subject = ok, unreachable, unstamped or alarm, for STATUS. reason INTERNAL: an
	   alarm, text = why, for the record */
	GR_IPC_FORWARD_STATE,

	/* session to the supervisor: the person wants these pages of a document; it waits for the answer. number = document, bytes_up =
	   first page, bytes_down = last page, text = for the record. The answer: number; reason NONE: recorded, go on */
	GR_IPC_PRINT,
	/* session to the supervisor: that is over. number = document, bytes_down = pages that the viewer has, reason */
	GR_IPC_PRINTED,
	/* gateway to the supervisor: a text of the clipboard went on. bytes_up or bytes_down = its bytes, text = for the record */
	GR_IPC_CLIPBOARD_PASSED,
	GR_IPC_TYPES
};

struct gr_ipc_message {
	uint32_t type;
	uint32_t reason; /* gr_reason */
	uint32_t connection; /* a viewer connection, from 1; 0 = none */
	uint32_t container; /* slot + 1; 0 = none */
	uint64_t session; /* random, 0 = none; shown as 16 hexadecimal digits */
	uint64_t number;
	uint64_t bytes_down, bytes_up;
	char person[GR_PERSON_MAX + 8]; /* terminated */
	char actor[GR_PERSON_MAX + 8]; /* who asks for an admin's action: a user of this machine; terminated */
	char subject[104]; /* of an admin's action; terminated UTF-8 */
	char text[256]; /* terminated; UTF-8 without control characters */
};

/* Sends; fd -1 = none, borrowed. As gr_io_send. */
int gr_ipc_send(int sock, const struct gr_ipc_message *message, int fd);

/*
 * Receives one message and checks its size, type, terminators and that a descriptor came exactly with the types
 * that have one. *fd_out owned by the caller, -1 when none. As gr_io_receive.
 */
int gr_ipc_receive(int sock, struct gr_ipc_message *out, int *fd_out);

/* The kinds of children, and whether a kind may send a type to the supervisor. */
enum gr_ipc_kind {
	GR_IPC_KIND_AUDIT,
	GR_IPC_KIND_KEYS,
	GR_IPC_KIND_IDENTITY,
	GR_IPC_KIND_EGRESS,
	GR_IPC_KIND_POOL,
	GR_IPC_KIND_ADMIN,
	GR_IPC_KIND_FORWARD, /* only with a syslog or time-stamp server */
	GR_IPC_KIND_PAM, /* only when a factor is PAM's */
	GR_IPC_KIND_GATEWAY,
	GR_IPC_KIND_SESSION,
	GR_IPC_KINDS
};
const char *gr_ipc_kind_name(enum gr_ipc_kind kind);
int gr_ipc_permitted(enum gr_ipc_kind from, uint32_t type);

#endif
