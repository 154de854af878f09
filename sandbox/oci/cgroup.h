/* Control groups: which layout this machine has, and the few files of a container's group that the pool reads itself. */
#ifndef GARASU_SANDBOX_OCI_CGROUP_H
#define GARASU_SANDBOX_OCI_CGROUP_H

#include "common/error.h"

#include <stdint.h>

enum gr_cgroup_layout {
	GR_CGROUP_V1, /* one hierarchy per controller under /sys/fs/cgroup */
	GR_CGROUP_HYBRID, /* the same with a v2 hierarchy at /sys/fs/cgroup/unified */
	GR_CGROUP_V2,
};

/* What /sys/fs/cgroup is. GR_EIO when a controller that carries a container's limits (memory, pids, cpu) is not there. */
int gr_cgroup_detect(enum gr_cgroup_layout *out, struct gr_error *err);

/*
 * Puts this process into a mount namespace of its own, from which nothing comes back, and there takes the v2
 * hierarchy of a hybrid layout away, which crun refuses. *out: what the runtime then sees (V1 or V2). Needs root. GR_EIO.
 */
int gr_cgroup_enter(enum gr_cgroup_layout *out, struct gr_error *err);

/* Whether a limit of memory and swap together can be set. */
int gr_cgroup_has_swap(enum gr_cgroup_layout layout);

/* How many processes of the group (path below the hierarchy's root, "/garasu-…/c1") the kernel killed for want of memory; 0 when unknown. */
uint64_t gr_cgroup_oom_kills(enum gr_cgroup_layout layout, const char *path);

/*
 * Kills every process in the group and in those below it and removes them, in every hierarchy. path must begin with
 * "/garasu". Returns 0 when nothing of it is left, GR_EAGAIN when processes are still dying: try again later.
 */
int gr_cgroup_remove(enum gr_cgroup_layout layout, const char *path);

#endif
