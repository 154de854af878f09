/* One outgoing TCP connection: name, check, connect; to the very address that was checked. */
#ifndef GARASU_BROKER_EGRESS_UPSTREAM_H
#define GARASU_BROKER_EGRESS_UPSTREAM_H

#include "broker/egress/resolve.h"
#include "broker/egress/rules.h"

#define GR_UPSTREAM_MS INT64_C(15000) /* name and connection together */
#define GR_UPSTREAM_ATTEMPT_MS 5000 /* one address */

struct gr_upstream;

/*
 * status 0: fd is a connected, non-blocking socket, owned by the callee. GR_EDENIED: no address of the name is permitted,
 * detail says which and why; GR_ENOENT: no such name; GR_ETIMEOUT; GR_EIO: refused or unreachable, detail says why. fd is -1 then.
 * detail is borrowed during the call.
 */
typedef void (*gr_upstream_ended)(void *context, int status, int fd, const char *detail);

/*
 * Starts; never calls back before it returns, and once at most. rules NULL: the target is configured by the operator, so no address
 * is refused; listed as gr_rules_permit has it. Of a name with several addresses only the permitted ones are tried. rules, resolver, loop
 * borrowed. GR_ENOMEM.
 */
int gr_upstream_start(struct gr_upstream **out, struct gr_loop *loop, struct gr_resolver *resolver,
		      const struct gr_rules *rules, const struct gr_target *target, int listed, gr_upstream_ended ended,
		      void *context);

/* Ends the attempt without a call. NULL allowed; not after it has called back. */
void gr_upstream_cancel(struct gr_upstream *upstream);

#endif
