/*
 * What of the internet a person may reach: the configuration's lists, and the addresses that nobody may.
 *
 * Of a host the first that says something counts, in this order; in each pair deny beats allow:
 *
 *   the group's deny, the group's allow, the common deny, the common allow, the group's default, the common default
 *
 * An entry ".name" is that name and all below it, an entry without a port stands for all of egress.ports. An entry of an allow list
 * that names the port opens that port, and, when it names the host exactly, also the addresses that are otherwise refused (gr_address_refused
 * and this machine's own). egress.networks_refused and the broker's own ports are opened by nothing.
 */
#ifndef GARASU_BROKER_EGRESS_RULES_H
#define GARASU_BROKER_EGRESS_RULES_H

#include "broker/config/config.h"
#include "broker/egress/request.h"

struct gr_rules {
	const struct gr_config *config; /* borrowed */
	struct gr_address *own; /* owned: the machine's addresses when the process began */
	unsigned own_count;
};

/* Asks the system for the machine's addresses, which needs a netlink socket: before the process is confined. GR_EIO, GR_ENOMEM. */
int gr_rules_init(struct gr_rules *rules, const struct gr_config *config, struct gr_error *err);
void gr_rules_finish(struct gr_rules *rules);

/*
 * Whether a request of this group's person (NULL = of no group) may go on to name resolution. Returns 1 and *listed (addresses that are
 * otherwise refused are permitted), or 0 and why not in reason, for the audit record.
 */
int gr_rules_permit(const struct gr_rules *rules, const struct gr_config_group *group, const struct gr_target *target,
		    int *listed, char *reason, size_t cap);

/* Why this address and port are not connected to ("private", "networks_refused", …), or NULL. Asks the kernel's routes, and nobody else. */
const char *gr_rules_address_refused(const struct gr_rules *rules, const struct gr_address *address, uint16_t port,
				     int listed);

#endif
