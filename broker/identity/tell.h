/* The identity process's messages to the supervisor. */
#ifndef GARASU_BROKER_IDENTITY_TELL_H
#define GARASU_BROKER_IDENTITY_TELL_H

#include "broker/ipc/ipc.h"

/*
 * Waits two seconds for room in the control socket, since the supervisor must know before a gateway does: without it nobody
 * is let in. As gr_ipc_send.
 */
int gr_identity_tell(const struct gr_ipc_message *message);

#endif
