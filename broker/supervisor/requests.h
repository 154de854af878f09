/* What the admin process asks: status, sessions, the end of one. */
#ifndef GARASU_BROKER_SUPERVISOR_REQUESTS_H
#define GARASU_BROKER_SUPERVISOR_REQUESTS_H

#include "broker/ipc/ipc.h"

struct gr_supervisor;

/* Answers one ADMIN_* message of the admin process. GR_EPROTO for another. */
int gr_request_message(struct gr_supervisor *supervisor, const struct gr_ipc_message *message);

#endif
