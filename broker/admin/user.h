/* garasuctl user: the persons of users.db. What is shown once (passwords, secrets, recovery codes) is wiped here. */
#ifndef GARASU_BROKER_ADMIN_USER_H
#define GARASU_BROKER_ADMIN_USER_H

#include "broker/admin/admin.h"

#include <stddef.h>
#include <stdio.h>

#define GR_USER_ROWS_MAX 64 /* of one answer */
#define GR_USER_REASON_MAX 160 /* bytes */

/* Sends request; its ROWs (at most GR_USER_ROWS_MAX) and its DONE. 0, or an exit status after it said why. */
typedef int (*gr_user_ask)(void *context, const struct gr_admin_request *request, struct gr_admin_answer *rows_out,
			   size_t *count_out, struct gr_admin_answer *done_out);

/*
 * The words behind "user", with --reason (NULL = none), as a request. NULL when it is well-formed, else what is wrong with it.
 */
const char *gr_user_parse(int count, char *const *words, const char *reason, struct gr_admin_request *out);

/* Asks (list: as often as there is more) and shows. An exit status of garasuctl. */
int gr_user_run(const struct gr_admin_request *request, int json, gr_user_ask ask, void *context);

/* Text as a QR code of half blocks, black on white with its quiet zone; nothing when it cannot be had. */
void gr_user_qr(FILE *out, const char *text);

#endif
