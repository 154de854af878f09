/* What a user of this machine asks, before it goes to the supervisor. Pure. */
#ifndef GARASU_BROKER_ADMIN_REQUEST_H
#define GARASU_BROKER_ADMIN_REQUEST_H

#include "broker/ipc/ipc.h"

#include <stddef.h>

/*
 * Makes the supervisor's message of one packet, without number and actor. GR_EPROTO: another size, version or kind, a string that does
 * not end or is not UTF-8 without control characters.
 */
int gr_admin_request_read(const void *untrusted_packet, size_t size, struct gr_ipc_message *out);

#endif
