/* One viewer connection from its first byte to its last: the states between TLS, identity, supervisor and session. */
#ifndef GARASU_BROKER_GATEWAY_CONNECTION_H
#define GARASU_BROKER_GATEWAY_CONNECTION_H

#include "broker/config/config.h"
#include "broker/gateway/tls.h"
#include "broker/guard/guard.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

struct gr_connection;

/*
 * Takes tls; the descriptors are those of broker/ipc/ipc.h. number: the connection's; vencrypt: the viewer begins with
 * VeNCrypt instead of TLS; guard: what may cross to and from the session. Watches the control socket at once. Returns owned. GR_ENOMEM, GR_EIO.
 */
int gr_connection_create(struct gr_tls *tls, uint32_t number, bool vencrypt, const struct gr_guard_settings *guard,
			 struct gr_connection **out, struct gr_error *err);
/* Whose limits hold for the viewer, once it is known who it is (borrowed). Before gr_connection_run. */
void gr_connection_set_policy(struct gr_connection *connection, const struct gr_config *config);
void gr_connection_destroy(struct gr_connection *connection); /* NULL allowed */

/* Serves the connection to its end. Returns 0, or GR_E* when the supervisor's or the loop's behaviour ended it. */
int gr_connection_run(struct gr_connection *connection);

#endif
