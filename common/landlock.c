#include "common/landlock.h"

#include "common/log.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The headers of Debian 12 know version 2 (struct and rights up to REFER). The rest is from include/uapi/linux/landlock.h of
 * Linux 6.12; each came with the version behind it.
 */
#define FS_ALL_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define FS_REFER (1ULL << 13) /* 2 */
#define FS_TRUNCATE (1ULL << 14) /* 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* 5 */
#define NET_BIND_TCP (1ULL << 0) /* 4 */
#define NET_CONNECT_TCP (1ULL << 1) /* 4 */
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0) /* 6 */
#define SCOPE_SIGNAL (1ULL << 1) /* 6 */

struct ruleset {
	uint64_t fs;
	uint64_t net; /* 4 */
	uint64_t scoped; /* 6 */
};

int gr_landlock_version(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return version < 0 ? 0 : (int)version;
}

int gr_landlock(int directory, int tcp_connect, struct gr_error *err)
{
	int version = gr_landlock_version();
	if (!version) {
		if (errno != ENOSYS && errno != EOPNOTSUPP)
			return gr_error_errno(err, "landlock: version");
		gr_log_warning(
			"this kernel has no Landlock: the filter of system calls and the empty root stand alone");
		return 0;
	}

	struct ruleset all = { .fs = FS_ALL_1 };
	if (version >= 2)
		all.fs |= FS_REFER;
	if (version >= 3)
		all.fs |= FS_TRUNCATE;
	if (version >= 4)
		all.net = NET_BIND_TCP | (tcp_connect ? 0 : NET_CONNECT_TCP);
	if (version >= 5)
		all.fs |= FS_IOCTL_DEV;
	if (version >= 6)
		all.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
	/* The kernel takes a longer struct than it knows as long as the rest of it is zero. */
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	if (ruleset < 0)
		return gr_error_errno(err, "landlock: ruleset");

	long status = 0;
	if (directory >= 0) {
		struct landlock_path_beneath_attr beneath = {
			.allowed_access = all.fs &
					  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
					   LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE | FS_TRUNCATE),
			.parent_fd = directory,
		};
		status = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
	}
	if (!status)
		status = syscall(SYS_landlock_restrict_self, ruleset, 0);
	int failure = errno;
	close(ruleset);
	if (status) {
		errno = failure;
		return gr_error_errno(err, "landlock");
	}
	return 0;
}
