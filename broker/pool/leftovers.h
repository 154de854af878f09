/* What a pool left behind that ended without clearing up, because it was killed. */
#ifndef GARASU_BROKER_POOL_LEFTOVERS_H
#define GARASU_BROKER_POOL_LEFTOVERS_H

#include "common/error.h"
#include "sandbox/oci/cgroup.h"
#include "sandbox/oci/runtime.h"

/*
 * Kills and removes every container that the runtime knows under its root, whatever is left in the control group, then the
 * runtime's root and the directory of the containers' folders themselves. Blocks: a fraction of a second for each container.
 * GR_EIO when something cannot be removed; nothing may be started then.
 */
int gr_leftovers_clear(const struct gr_runtime *runtime, enum gr_cgroup_layout layout, const char *cgroup,
		       const char *containers, struct gr_error *err);

#endif
