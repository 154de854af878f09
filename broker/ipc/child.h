/*
 * What the supervisor's children do alike before their first untrusted byte: configuration, confinement, READY. What each
 * opens comes between the first and the second.
 */
#ifndef GARASU_BROKER_IPC_CHILD_H
#define GARASU_BROKER_IPC_CHILD_H

#include "broker/config/config.h"
#include "common/confine.h"

/* Reads file over the defaults; log lines are program's (borrowed for ever) from then on, as the file says. As gr_config_load. */
int gr_ipc_child_configure(const char *program, const char *file, struct gr_config *config, struct gr_error *err);

/*
 * As root: becomes the user broker.uid_base + uid (gr_config_uid) in the empty folder of broker.run_directory; otherwise, in
 * tests, stays who it is. No file may be used any more. As gr_confine.
 */
int gr_ipc_child_confine(const struct gr_config *config, const struct gr_confine_policy *policy, uint32_t uid,
			 struct gr_error *err);

/*
 * The folder that a process keeps its files in: made if it is not there (its parents readable by all), 0700 and the user's own as
 * root. key names it in errors. Returns it open in *directory_out, owned. GR_EIO.
 */
int gr_ipc_child_directory(const struct gr_config *config, uint32_t uid, const char *key, const char *path,
			   int *directory_out, struct gr_error *err);

/* As gr_ipc_child_confine, but the files beneath directory (borrowed) may be used, and as root path is the process's root. */
int gr_ipc_child_confine_in(const struct gr_config *config, const struct gr_confine_policy *policy, uint32_t uid,
			    const char *path, int directory, struct gr_error *err);

/* Tells the supervisor READY on GR_IPC_CONTROL_FD. As gr_ipc_send. */
int gr_ipc_child_ready(struct gr_error *err);

#endif
