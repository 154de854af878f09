/* What the pool keeps of root's powers, and what its process for the containers' log lines may still do once it is confined. */
#ifndef GARASU_BROKER_POOL_POLICY_H
#define GARASU_BROKER_POOL_POLICY_H

#include "common/confine.h"

#include <linux/capability.h>

/*
 * What the OCI runtime takes to make namespaces, mounts, id maps and control groups, and to remove them. Found by
 * leaving out one after the other: docs/decisions/0008-supervisor.md.
 */
#define GR_POOL_CAPABILITIES                                                                                           \
	(1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER | 1ull << CAP_NET_ADMIN |                   \
	 1ull << CAP_SETGID | 1ull << CAP_SETPCAP | 1ull << CAP_SETUID | 1ull << CAP_SYS_ADMIN |                       \
	 1ull << CAP_SYS_CHROOT | 1ull << CAP_SYS_RESOURCE)

extern const struct gr_confine_policy gr_relay_policy;

#endif
