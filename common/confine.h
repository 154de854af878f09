/*
 * What a process gives up before it reads its first untrusted byte. The isolation policy of each process
 * (system calls, Landlock) hangs here too.
 */
#ifndef GARASU_COMMON_CONFINE_H
#define GARASU_COMMON_CONFINE_H

#include "common/error.h"

#include <stdint.h>
#include <sys/types.h>

struct gr_confine_settings {
	uid_t uid; /* user and group taken, all supplementary groups dropped; 0 = stay (not root already) */
	const char *root; /* an empty directory to chroot(2) into, or NULL; needs root */
	uint64_t descriptors; /* RLIMIT_NOFILE; 0 = as inherited */
	uint64_t file_size; /* RLIMIT_FSIZE in bytes; UINT64_MAX = as inherited */
};

/*
 * In this order: not dumpable, limits, chroot, groups, gid, uid, all capabilities gone, no_new_privs; then
 * checks that they are gone. On failure the process must end: GR_EIO or GR_EDENIED with the step that failed.
 */
int gr_confine(const struct gr_confine_settings *settings, struct gr_error *err);

#endif
