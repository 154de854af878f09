/*
 * The OCI bundle of one container (OCI Runtime Specification 1.0): config.json from the share directory's base, which holds
 * what is the same for all, seccomp.json beside it, and what differs. See README.md for what is and is not a boundary.
 */
#ifndef GARASU_SANDBOX_OCI_BUNDLE_H
#define GARASU_SANDBOX_OCI_BUNDLE_H

#include "common/error.h"

#include <stdint.h>
#include <sys/types.h>

#define GR_BUNDLE_IDS 65536u /* user and group ids of one container */
#define GR_BUNDLE_USER 1000u /* everything in the container runs as this id of its own */

struct gr_bundle_settings {
	const char *share_directory; /* has config.json and seccomp.json */
	const char *rootfs; /* absolute path without symbolic links: read-only root of the container */
	const char *io_directory; /* absolute; bound read-only at /run/garasu */
	const char *cgroup; /* path below the hierarchies' roots: "/garasu-…/c1" */
	const char *home_url; /* NULL: the image's own home.json stays */
	const char *const *trusted_ca; /* NULL-terminated: DER in base64, for the browser beside home_url; NULL: none */
	const char *const *arguments; /* NULL-terminated; NULL: the agent with the sizes below */
	uint32_t uid_first; /* id 0 of the container outside; GR_BUNDLE_IDS follow */
	unsigned memory_mib, pids, cpu_percent; /* cpu_percent: of one core */
	int limit_swap; /* the machine can limit swap too (gr_cgroup_has_swap): permit none */
	uint16_t width, height, max_width, max_height; /* pixels */
};

/* The id outside of GR_BUNDLE_USER: who may connect to the container's sockets. */
static inline uid_t gr_bundle_user(uint32_t uid_first)
{
	return uid_first + GR_BUNDLE_USER;
}

/*
 * Writes config.json and home.json into directory, which exists. GR_EINVAL for a share directory whose files are not
 * what they should be, GR_EIO, GR_ENOMEM.
 */
int gr_bundle_write(const char *directory, const struct gr_bundle_settings *settings, struct gr_error *err);

#endif
