/*
 * What garasuctl asks the admin process over run_directory/admin.sock (SOCK_SEQPACKET, mode 0660, root): one request of
 * fixed size, answered by ROWs and one DONE of fixed size. Host byte order. The peer's user id decides; only root for now.
 */
#ifndef GARASU_BROKER_ADMIN_ADMIN_H
#define GARASU_BROKER_ADMIN_ADMIN_H

#include "common/limits.h"

#include <stdint.h>

#define GR_ADMIN_SOCKET "admin.sock" /* in run_directory */
#define GR_ADMIN_VERSION 1u

enum gr_admin_kind {
	/* requests */
	GR_ADMIN_STATUS = 1,
	GR_ADMIN_SESSIONS,
	GR_ADMIN_KILL, /* session, or 0 and person */
	GR_ADMIN_USER, /* person; subject = add, password, code, recovery, unlock, remove, list; text = why */
	/* answers */
	GR_ADMIN_ROW =
		64, /* of SESSIONS: session, container, connection (0 = no viewer), person, text = since (RFC 3339) */
	/* of USER: text = what is shown once; list: "person=… kept=yes code=yes recovery=10 failures=0 locked=0", 64 at most */
	GR_ADMIN_DONE, /* reason NONE, or why not with text; of STATUS: text = "key=value" pairs, separated by spaces */
};

struct gr_admin_request {
	uint32_t version, kind;
	uint64_t session;
	char person[GR_PERSON_MAX + 8]; /* strings: terminated */
	char subject[104];
	char text[256];
};

struct gr_admin_answer {
	uint32_t version, kind;
	uint32_t reason; /* gr_reason */
	uint32_t container, connection, zero;
	uint64_t session;
	char person[GR_PERSON_MAX + 8]; /* terminated */
	char text[256]; /* terminated; printable ASCII */
};

#endif
