#include "broker/identity/policy.h"

#include "common/limits.h"

#include <fcntl.h>

/*
 * Packets over sockets that it was given, a file of revocation lists that comes as a descriptor, and users.db with its journal
 * in its own folder, which Landlock keeps it in and which is its root.
 */
static const struct gr_seccomp_rule rules[] = {
	GR_CALLS_LOOP,
	/* stdio over that descriptor */
	GR_CALL_1(fcntl, 1, F_GETFL),
	GR_CALL(lseek),
	GR_CALL(fstat),
	/* SQLite */
	GR_CALL(openat),
	GR_CALL(newfstatat),
	GR_CALL(access), /* whether an earlier process left a journal */
	GR_CALL_1(fcntl, 1, F_SETLK),
	GR_CALL_1(fcntl, 1, F_GETLK),
	GR_CALL(pread64),
	GR_CALL(pwrite64),
	GR_CALL(fdatasync),
	GR_CALL(fsync),
	GR_CALL(ftruncate),
	GR_CALL(unlink), /* a journal of a file that was never finished */
	GR_CALL(geteuid), /* root would give files it makes to their folder's owner */
	GR_CALL(umask),
};

const struct gr_confine_policy gr_identity_policy = {
	.name = "identity",
	.rules = rules,
	.rule_count = sizeof(rules) / sizeof(*rules),
	.descriptors = GR_CONNECTIONS_MAX + 32,
	.file_size = 256 << 20,
	.memory =
		512
		<< 20, /* revocation lists of a whole city, twice while they are renewed; 64 MiB for scrypt, one at a time */
};
