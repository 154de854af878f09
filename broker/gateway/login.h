/* Who the viewer's person is: what the identity process is asked, and the second factor that it wants (docs/PROTOCOL.md §2, §3). */
#ifndef GARASU_BROKER_GATEWAY_LOGIN_H
#define GARASU_BROKER_GATEWAY_LOGIN_H

#include "broker/config/config.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gr_connection;

/* Whether config asks anybody for more than a certificate. */
bool gr_login_asks(const struct gr_config *config);

/* TLS is complete: asks the identity process, in STATE_IDENTITY. Its last answer leads on to STATE_SESSION. */
void gr_login_begin(struct gr_connection *connection);

/* In STATE_FACTORS, of a viewer of ours: bytes of its ANSWER that are still to come; 0 in other states and of other viewers. */
size_t gr_login_wants(const struct gr_connection *connection);

/* Takes n ≤ wants bytes of the ANSWER. GR_EPROTO: it is none. */
int gr_login_take(struct gr_connection *connection, const uint8_t *untrusted, size_t n);

/* Of other viewers, after their RFB handshake was fed: goes on when it has what is asked for. */
void gr_login_plain(struct gr_connection *connection);

#endif
