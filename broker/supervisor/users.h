/*
 * Administrators' requests about persons: recorded first, then passed on to the identity process, whose answers go back to
 * the admin process. What they hold (passwords, codes) is kept nowhere here.
 */
#ifndef GARASU_BROKER_SUPERVISOR_USERS_H
#define GARASU_BROKER_SUPERVISOR_USERS_H

#include "broker/ipc/ipc.h"

#define GR_USERS_PENDING_MAX 8 /* as many clients as the admin process has */

struct gr_supervisor;

struct gr_users_pending {
	int used;
	int sent; /* to the identity process */
	struct gr_ipc_message request;
};

/* ADMIN_USER from the admin process. */
void gr_users_request(struct gr_supervisor *supervisor, const struct gr_ipc_message *message);

/* USER_ROW or USER_DONE from the identity process; GR_EPROTO when nobody asked. */
int gr_users_answer(struct gr_supervisor *supervisor, const struct gr_ipc_message *message);

/* The identity process ended: what it has not answered is answered that it cannot be done. */
void gr_users_identity_gone(struct gr_supervisor *supervisor);

#endif
