/*
 * What garasuctl asks the admin process over run_directory/admin.sock (SOCK_SEQPACKET): one request of fixed size, answered by ROWs and one
 * DONE of fixed size. Host byte order. The peer's user id says who asks: root and admin.administrators are administrators,
 * admin.auditors are auditors; what each may is in broker/supervisor/requests.c. The socket's mode is 0600 while the configuration names
 * nobody, else 0666, and whoever is not named is closed at once, which is recorded.
 */
#ifndef GARASU_BROKER_ADMIN_ADMIN_H
#define GARASU_BROKER_ADMIN_ADMIN_H

#include "common/limits.h"

#include <stdint.h>

#define GR_ADMIN_SOCKET "admin.sock" /* in run_directory */
#define GR_ADMIN_VERSION 2u
#define GR_ADMIN_REASON_MAX 160 /* bytes of a reason that garasuctl takes: with names it fits into the record */

enum gr_admin_kind {
	/* requests */
	GR_ADMIN_STATUS = 1,
	GR_ADMIN_SESSIONS,
	GR_ADMIN_KILL, /* session, or 0 and person; text = why */
	GR_ADMIN_CUTOFF, /* subject = group, "" = everybody; text = why */
	GR_ADMIN_RESTORE, /* the same */
	GR_ADMIN_RELOAD, /* text = why */
	GR_ADMIN_PENDING,
	GR_ADMIN_APPROVE, /* subject = the change; text = why */
	GR_ADMIN_REJECT, /* the same */
	GR_ADMIN_PRUNE, /* subject = egress, records or recordings */
	GR_ADMIN_USER, /* person; subject = add, password, code, recovery, unlock, remove, list; text = why */
	GR_ADMIN_REQUESTS,
	/* answers */
	GR_ADMIN_ROW =
		64, /* of SESSIONS: session, container, connection (0 = no viewer), person, text = since (RFC 3339);
		       of STATUS: who is cut off: reason (CUT_OFF, or NONE = let back), subject = group, actor, person = since, text = why;
		       of USER: text = what is shown once; list: "person=… kept=yes code=yes recovery=10 failures=0 locked=0", 64 at most;
		       of RELOAD: text = what is wrong, or one difference;
		       of PENDING: first subject = the change, actor, person = since, text = why; then text = one difference */
	GR_ADMIN_DONE, /* reason NONE, or why not with text; of STATUS: text and subject = "key=value" pairs, separated by spaces */
};

struct gr_admin_request {
	uint32_t version, kind;
	uint64_t session;
	char person[GR_PERSON_MAX + 8]; /* strings: terminated */
	char subject[104]; /* UTF-8 without control characters, as text */
	char text[256];
};

struct gr_admin_answer {
	uint32_t version, kind;
	uint32_t reason; /* gr_reason */
	uint32_t container, connection, zero;
	uint64_t session;
	char person[GR_PERSON_MAX + 8]; /* strings: terminated, UTF-8 without control characters */
	char actor[GR_PERSON_MAX + 8];
	char subject[104];
	char text[256];
};

#endif
