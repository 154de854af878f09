/*
 * What a process gives up before it reads its first untrusted byte. Each process has its policy in one table beside it
 * (broker/<process>/policy.c, viewer/policy.c); the test of the policies applies exactly those.
 */
#ifndef GARASU_COMMON_CONFINE_H
#define GARASU_COMMON_CONFINE_H

#include "common/error.h"
#include "common/seccomp.h"

#include <stdint.h>
#include <sys/types.h>

struct gr_confine_policy {
	const char *name; /* for messages */
	const struct gr_seccomp_rule *rules; /* the calls that it needs beyond gr_seccomp_load's own */
	size_t rule_count;
	uint64_t descriptors; /* RLIMIT_NOFILE */
	uint64_t file_size; /* RLIMIT_FSIZE in bytes, memfds too; 0 = writes no file, UINT64_MAX = as inherited */
	uint64_t
		memory; /* RLIMIT_AS in bytes; 0 = as inherited. Not with AddressSanitizer, which takes terabytes of addresses */
	int tcp_connect; /* may connect by TCP, to any port; nobody may listen */
};

/* Where and as whom: known at run time. */
struct gr_confine_place {
	uid_t uid; /* user and group taken, all supplementary groups dropped; 0 = stay (not root already) */
	const char *root; /* an empty directory to chroot(2) into, or NULL; needs root */
	int directory; /* the only one beneath which files may be used (borrowed), or -1: none at all */
};

/*
 * In this order: limits, chroot, the bounding set, groups, gid, uid, all capabilities gone, no_new_privs, not dumpable, Landlock,
 * the filter of system calls. It cannot be taken back. On failure the process must end: GR_EIO or GR_EDENIED with the
 * step that failed.
 */
int gr_confine(const struct gr_confine_policy *policy, const struct gr_confine_place *place, struct gr_error *err);

/*
 * For those that have to start containers: what gr_confine does of capabilities, no_new_privs, dumpable and core files, but
 * the capabilities in keep (1 << CAP_…) stay, as far as the process has them, and nothing of what is started is filtered.
 */
int gr_confine_privileged(uint64_t keep, struct gr_error *err);

#endif
