/* What the supervisor keeps of root's powers, for itself and as the most that any process of the broker can have. */
#ifndef GARASU_BROKER_SUPERVISOR_POLICY_H
#define GARASU_BROKER_SUPERVISOR_POLICY_H

#include "broker/pam/policy.h"
#include "broker/pool/policy.h"

/*
 * Also: ending children, which have other uids; a port below 1024; the size of the control sockets' buffers; what the pam process
 * needs.
 */
#define GR_SUPERVISOR_CAPABILITIES                                                                                     \
	(GR_POOL_CAPABILITIES | GR_PAM_CAPABILITIES | 1ull << CAP_KILL | 1ull << CAP_NET_BIND_SERVICE)

#endif
