/*
 * What administrators and auditors ask through the admin process: who may, the record of it, and the answers. The admin process knows
 * the user by its socket's credentials; what a user may is decided here, by the policy in force.
 */
#ifndef GARASU_BROKER_SUPERVISOR_REQUESTS_H
#define GARASU_BROKER_SUPERVISOR_REQUESTS_H

#include "broker/ipc/ipc.h"

#include <stddef.h>
#include <time.h>

struct gr_supervisor;

/* Answers one ADMIN_* message of the admin process, now or later. GR_EPROTO for another. */
int gr_request_message(struct gr_supervisor *supervisor, const struct gr_ipc_message *message);

/* PRUNED from the audit process. */
void gr_request_pruned(struct gr_supervisor *supervisor, const struct gr_ipc_message *message);

/* For those who answer: a ROW, */
void gr_request_answer(struct gr_supervisor *supervisor, const struct gr_ipc_message *row);
/* DONE, */
void gr_request_done(struct gr_supervisor *supervisor, uint64_t number, uint32_t reason, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* DONE with a reason, and the record that it was tried; */
void gr_request_refuse(struct gr_supervisor *supervisor, const struct gr_ipc_message *request, uint32_t reason,
		       const char *format, ...) __attribute__((format(printf, 4, 5)));
/* a time for people and programs (RFC 3339). */
void gr_request_time(time_t when, char *out, size_t cap);

#endif
