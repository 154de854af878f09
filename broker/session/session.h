/* One browsing session: the agent's pixels and the viewer's input, put together. Driven by the supervisor's messages. */
#ifndef GARASU_BROKER_SESSION_SESSION_H
#define GARASU_BROKER_SESSION_SESSION_H

#include "broker/config/config.h"
#include "common/loop.h"

struct gr_session;

/*
 * control: the socket to the supervisor (borrowed). slot: the container's number from 0. Returns owned, or NULL with
 * *err. The loop is stopped with code 0 when the session has ended in good order, 1 otherwise.
 */
struct gr_session *gr_session_create(struct gr_loop *loop, const struct gr_config *config, unsigned slot, int control,
				     struct gr_error *err);
void gr_session_destroy(struct gr_session *session); /* NULL allowed */

#endif
