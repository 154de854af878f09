/*
 * The audit record. Sources send fixed-layout events over their own SOCK_SEQPACKET socket to the audit process, which
 * writes them, flushes them to the disk (fdatasync, one for all that are waiting) and acknowledges. What an event permits
 * must wait for its acknowledgement. The files and their formats: docs/AUDIT.md.
 */
#ifndef GARASU_BROKER_AUDIT_H
#define GARASU_BROKER_AUDIT_H

#include "common/error.h"
#include "common/limits.h"

#include <stdint.h>

enum gr_audit_kind {
	GR_AUDIT_BROKER_START = 1, /* detail = version */
	GR_AUDIT_BROKER_STOP,
	GR_AUDIT_LOGIN, /* connection, peer, person, detail = certificate's serial and fingerprint, the factors */
	GR_AUDIT_LOGIN_REFUSED, /* connection, peer, reason, person if known, detail */
	GR_AUDIT_SESSION_START, /* session, container, person */
	GR_AUDIT_SESSION_ATTACH, /* session, connection, person, peer */
	GR_AUDIT_SESSION_DETACH, /* session, connection, person, reason, down, up (bytes) */
	GR_AUDIT_SESSION_END, /* session, container, person, reason */
	GR_AUDIT_CONTAINER_START, /* container */
	GR_AUDIT_CONTAINER_END, /* container, reason */
	GR_AUDIT_EGRESS_REQUEST, /* session, container, person, target = METHOD host:port; before the connection is made */
	GR_AUDIT_EGRESS_REFUSED, /* the same with reason in detail */
	GR_AUDIT_EGRESS_END, /* the same with down, up */
	GR_AUDIT_ADMIN, /* actor, target = what was asked, person and session = whose; reason and detail when it was refused */
	GR_AUDIT_GUARD, /* connection, session, person, peer, target = the file with the bytes (evidence.h), detail = direction,
			   offset, bytes, their SHA-256, the rule */
	GR_AUDIT_CLIPBOARD, /* connection, session, person, peer, up (bytes), detail = the text's SHA-256 */
	GR_AUDIT_FAULT, /* a child ended unexpectedly: detail */
	GR_AUDIT_LOGIN_FAILED, /* connection, peer, person, reason, detail = which factor and why */
	GR_AUDIT_USER, /* person = whom, target = add, password, …, actor, detail = why */
	GR_AUDIT_POLICY_CHANGE, /* target = the change's id, actor, detail = why; or who approved it and why */
	GR_AUDIT_POLICY_DIFFERENCE, /* target = the change's id, or "start"; detail = one difference: "group \"広報課\" recording: none -> on".
			   Of a change that was proposed, once: behind POLICY_PROPOSED */
	GR_AUDIT_POLICY_PROPOSED, /* as POLICY_CHANGE: it waits for a second administrator */
	GR_AUDIT_POLICY_REJECTED, /* the same */
	GR_AUDIT_CONFIGURATION, /* at start, and when another is in force: target = the file, detail = its SHA-256, and which that is */
	GR_AUDIT_KEY, /* target = which key or certificate, detail = its fingerprint: at start, and when another is in use */
	GR_AUDIT_CUTOFF, /* group, "" = everybody; actor, detail = why */
	GR_AUDIT_RESTORE, /* the same */
	GR_AUDIT_RECORDING_START, /* session, connection, person, target = the file */
	GR_AUDIT_RECORDING_MARK, /* the same; down = bytes of the file, detail = chunks and hash so far */
	GR_AUDIT_RECORDING_END, /* the same */
	GR_AUDIT_RECORDING_FAILED, /* the same, with reason and why */
	GR_AUDIT_RECORDING_REMOVED, /* target = the file, actor */
	GR_AUDIT_PRUNE, /* target = "egress" and so on, actor, detail = first and last sequence and how many */
	GR_AUDIT_PRINT, /* session, person, target = "document N", detail = pages and size; before the first page crosses */
	GR_AUDIT_PRINT_END, /* the same with the pages that crossed, reason */
	GR_AUDIT_CLIPBOARD_PASSED, /* connection, session, person, peer, up or down (bytes), detail = direction and the text's SHA-256 */
	GR_AUDIT_KINDS
};

/* "session.start" and so on; NULL for an unknown kind. */
const char *gr_audit_kind_name(uint32_t kind);

/* Who may send what. */
enum gr_audit_source { GR_AUDIT_SOURCE_SUPERVISOR = 1, GR_AUDIT_SOURCE_EGRESS = 2 };

struct gr_audit_event {
	uint32_t kind;
	uint32_t reason; /* gr_reason */
	uint64_t token; /* comes back in the acknowledgement; 0 = none wanted */
	uint64_t session;
	uint32_t container, connection;
	uint32_t permit; /* 1: something waits for the acknowledgement; client.c sets it */
	uint32_t unused;
	uint64_t down, up; /* bytes towards and from the person */
	char person[GR_PERSON_MAX + 8]; /* strings: terminated, any bytes; the audit process escapes them */
	char group[104]; /* of the person, in logins and sessions */
	char actor[GR_PERSON_MAX + 8]; /* of an admin's action: a user of this machine */
	char peer[64]; /* address:port */
	char target[320];
	char detail[256];
};

#define GR_AUDIT_KEPT UINT64_MAX

enum gr_audit_state {
	GR_AUDIT_WRITABLE,
	GR_AUDIT_UNWRITABLE, /* the record: what permits something is refused, the rest is kept in the reserve */
	GR_AUDIT_UNSIGNED, /* no tree head can be made; the record itself is written */
};

/* Also sent by itself, token 0, when the state changes. */
struct gr_audit_acknowledgement {
	uint64_t token;
	uint64_t sequence; /* of the line; GR_AUDIT_KEPT: durably kept, and written as soon as the record can be;
			      0: neither, and nothing may be permitted on its account */
	uint32_t state; /* gr_audit_state */
	uint32_t cause; /* errno of what does not work */
	uint32_t kept; /* events in the reserve */
	uint32_t unused;
};

#endif
