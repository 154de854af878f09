/*
 * Names to addresses without blocking (c-ares in the event loop). /etc/resolv.conf and /etc/hosts are read when the resolver
 * is made, before the process gives up its files; localhost is this machine without asking anybody (RFC 6761).
 */
#ifndef GARASU_BROKER_EGRESS_RESOLVE_H
#define GARASU_BROKER_EGRESS_RESOLVE_H

#include "broker/egress/address.h"
#include "common/error.h"
#include "common/loop.h"

#define GR_RESOLVE_MAX 8 /* addresses of one name that are kept */

struct gr_resolver;
struct gr_resolve_query;

/*
 * status 0 with 1..GR_RESOLVE_MAX addresses (borrowed during the call), IPv4 ones first; GR_ENOENT when there is no such
 * name, GR_ETIMEOUT, GR_EIO. The query is gone afterwards.
 */
typedef void (*gr_resolved)(void *context, int status, const struct gr_address *addresses, unsigned count);

/* Owned. GR_ENOMEM, GR_EIO. */
int gr_resolver_create(struct gr_resolver **out, struct gr_loop *loop, struct gr_error *err);
void gr_resolver_destroy(struct gr_resolver *resolver); /* NULL allowed; calls nobody back */

/* Asks; may call back before it returns, in which case *out is NULL. GR_ENOMEM: never called back. */
int gr_resolver_ask(struct gr_resolver *resolver, const char *name, gr_resolved resolved, void *context,
		    struct gr_resolve_query **out);
/* The asker is gone. NULL allowed. */
void gr_resolve_cancel(struct gr_resolve_query *query);

#endif
