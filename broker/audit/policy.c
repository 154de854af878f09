#include "broker/audit/policy.h"

#include <fcntl.h>
#include <sys/file.h>

/* Files in its own directory, which Landlock keeps it in; the record is read after the confinement, for it may say anything. */
static const struct gr_seccomp_rule rules[] = {
	GR_CALLS_LOOP,
	GR_CALL(openat),
	GR_CALL(pread64), /* to verify what is there */
	GR_CALL(pwrite64), /* the reserve's slots */
	GR_CALL(fdatasync),
	GR_CALL(fsync),
	GR_CALL(ftruncate), /* a batch that could not be written whole */
	GR_CALL(lseek),
	GR_CALL(fstat),
	GR_CALL_1(newfstatat, 3, AT_EMPTY_PATH),
	GR_CALL_1(fchmod, 1, 0600),
	GR_CALL_1(fchmod, 1, 0640),
	GR_CALL_1(flock, 1, LOCK_EX | LOCK_NB),
	GR_CALL(unlinkat), /* the copy of a torn line, when it cannot be written; an index that does not fit */
	GR_CALL(renameat), /* a pruned segment takes the place of the whole one */
	/* SQLite (index.c has it do without more) */
	GR_CALL_1(fcntl, 1, F_GETFD),
	GR_CALL_1(fcntl, 1, F_SETFD),
};

const struct gr_confine_policy gr_audit_policy = {
	.name = "audit",
	.rules = rules,
	.rule_count = sizeof(rules) / sizeof(*rules),
	.descriptors = 64,
	.file_size = UINT64_MAX,
	.memory = 512 << 20,
};
