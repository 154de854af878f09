/*
 * One connection of a container's browser: an HTTP/1.1 forward proxy for CONNECT and for plain http:. The order of what happens
 * to a request:
 *
 *   HEAD       its head is read and checked. Rate, form, assignment, rules.h: else a page of ours and an audit event
 *   AUDIT      EGRESS_REQUEST is asked to be recorded; nothing is resolved or connected before it is
 *   CONNECT    name, address check, connection; with an upstream proxy, the connection to that
 *   HANDSHAKE  CONNECT through the upstream proxy
 *   TUNNEL     bytes both ways                 EXCHANGE   request and response, parsed and framed anew
 *   ANSWER     a page of ours is written and the connection closed in good order
 *
 * Every EGRESS_REQUEST that was recorded is followed by one EGRESS_END, or by EGRESS_REFUSED when its address is not permitted.
 * Back-pressure: a side is read only while what it sent before is written out.
 */
#ifndef GARASU_BROKER_EGRESS_PROXY_H
#define GARASU_BROKER_EGRESS_PROXY_H

#include "broker/egress/container.h"

struct gr_connection;

/* Takes client, also on failure. The container owns the connection, which ends itself. GR_ENOMEM. */
int gr_connection_create(struct gr_egress_container *container, int client);
/* Ends it now; not from within one of its own callbacks. */
void gr_connection_destroy(struct gr_connection *connection);

#endif
