/* One broker per run_directory: its lock, the folders in it, and their end. */
#ifndef GARASU_BROKER_SUPERVISOR_INSTANCE_H
#define GARASU_BROKER_SUPERVISOR_INSTANCE_H

#include "broker/config/config.h"

struct gr_instance {
	char directory[PATH_MAX];
	int lock;
};

/*
 * Makes run_directory (0711, root) with "empty" (0555) in it, takes its lock and removes what an earlier life left of the
 * supervisor's and the admin process's; the pool clears its own. GR_EEXIST when a broker runs there, GR_EDENIED when the
 * folder is not root's alone, GR_EIO.
 */
int gr_instance_begin(struct gr_instance *instance, const struct gr_config *config, struct gr_error *err);

/* Removes all that gr_instance_begin made, the folder too when nothing else is in it. */
void gr_instance_end(struct gr_instance *instance);

#endif
