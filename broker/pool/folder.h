/*
 * What one container has outside of itself: its folder, the two sockets in it and the names that follow from its number.
 *
 *     RUN/c/<number>/{config.json, home.json, pid, log}   the OCI bundle
 *     RUN/c/<number>/io/{agent.sock, egress.sock}         bound read-only into the container
 */
#ifndef GARASU_BROKER_POOL_FOLDER_H
#define GARASU_BROKER_POOL_FOLDER_H

#include "broker/config/config.h"
#include "common/error.h"

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

struct gr_folder {
	char id[32]; /* the runtime's name of it: "garasu-0a1b2c3d-c3" */
	char cgroup[48]; /* "/garasu-…/c3" */
	char bundle[PATH_MAX], io[PATH_MAX], pid_file[PATH_MAX], log[PATH_MAX], runtime_state[PATH_MAX];
	uint32_t uid_first; /* id 0 of the container, outside */
	uid_t user; /* who everything in the container runs as, outside */
	int agent; /* listening SOCK_SEQPACKET socket, non-blocking; owned, -1 = none */
	int egress; /* listening SOCK_STREAM socket, non-blocking; owned, -1 = none */
};

/* The names for a container (number from 1); touches nothing. parent: the pool's control group. GR_EINVAL when a path does not fit. */
int gr_folder_name(struct gr_folder *folder, const struct gr_config *config, const char *parent, uint32_t number,
		   struct gr_error *err);

/*
 * Makes the folder, the sockets, which only the container's user can connect to, and the bundle over the image that is current
 * now. share_directory, limit_swap: as in struct gr_bundle_settings. On failure what was made is left for gr_folder_remove.
 * GR_EIO, GR_EINVAL, GR_ENOMEM.
 */
int gr_folder_make(struct gr_folder *folder, const struct gr_config *config, const char *share_directory,
		   int limit_swap, struct gr_error *err);

/* Closes the sockets and removes the folder and what is in it. GR_EIO when something is left. */
int gr_folder_remove(struct gr_folder *folder, struct gr_error *err);

/* Removes path and all below it, not following links nor crossing into other file systems. Nothing there is fine. GR_EIO. */
int gr_folder_clear(const char *path, struct gr_error *err);

#endif
