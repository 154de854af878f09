#include "common/confine.h"

#include "common/landlock.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef GR_ADDRESS_SANITIZER
#include <sanitizer/common_interface_defs.h>
#endif

static int limit(__rlimit_resource_t resource, uint64_t value, const char *name, struct gr_error *err)
{
	struct rlimit rlimit = { value, value };
	if (setrlimit(resource, &rlimit) < 0)
		return gr_error_errno(err, "confine: setrlimit %s", name);
	return 0;
}

/* A log that is a file must still grow: the limit does not know one file from another. */
static int logs_into_file(void)
{
	struct stat log;
	return fstat(STDERR_FILENO, &log) == 0 && S_ISREG(log.st_mode);
}

static int set_limits(const struct gr_confine_policy *policy, struct gr_error *err)
{
	int status = 0;
	if (policy->file_size != UINT64_MAX && !logs_into_file())
		status = limit(RLIMIT_FSIZE, policy->file_size, "FSIZE", err);
	if (!status)
		status = limit(RLIMIT_CORE, 0, "CORE", err);
	if (!status)
		status = limit(RLIMIT_MEMLOCK, 0, "MEMLOCK", err);
#ifndef GR_ADDRESS_SANITIZER
	if (!status && policy->memory)
		status = limit(RLIMIT_AS, policy->memory, "AS", err);
#endif
	return status;
}

static int drop_bounding_set(uint64_t keep, struct gr_error *err)
{
	for (unsigned capability = 0; capability < 64; capability++) {
		/* Up to the last one that the kernel knows, which may be newer than our headers. */
		int has = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
		if (has < 0)
			break;
		if (has && !(keep >> capability & 1) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return gr_error_errno(err, "confine: drop capability %u", capability);
	}
	return 0;
}

/* Permitted and effective: what is in keep and was there already. Inheritable and ambient: none. */
static int set_capabilities(uint64_t keep, struct gr_error *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct had[2] = { { 0 }, { 0 } }, data[2] = { { 0 }, { 0 } };
	if (syscall(SYS_capget, &header, had) < 0)
		return gr_error_errno(err, "confine: capget");
	for (int i = 0; i < 2; i++)
		data[i].permitted = data[i].effective = had[i].permitted & (uint32_t)(keep >> 32 * i);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return gr_error_errno(err, "confine: ambient capabilities");
	if (syscall(SYS_capset, &header, data) < 0)
		return gr_error_errno(err, "confine: capset");
	return 0;
}

static int gain_nothing(struct gr_error *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return gr_error_errno(err, "confine: no_new_privs");
	/* After the change of uid, which may set it again. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return gr_error_errno(err, "confine: not dumpable");
	return 0;
}

static int become(uid_t uid, struct gr_error *err)
{
	gid_t gid = (gid_t)uid;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return gr_error_errno(err, "confine: become uid %u", (unsigned)uid);
	if (setuid(0) == 0)
		return gr_error_set(err, GR_EDENIED, "confine: root could be had again");
	return 0;
}

#ifdef GR_ADDRESS_SANITIZER
/* What the sanitizer needs of files for the report of a fault, it reads while it may. */
static void prepare_sanitizer(void)
{
	static int prepared;
	char place[256];
	if (!prepared++)
		__sanitizer_symbolize_pc(__builtin_return_address(0), "%L", place, sizeof(place));
	__sanitizer_sandbox_on_notify(NULL);
}
#else
static void prepare_sanitizer(void)
{
}
#endif

int gr_confine(const struct gr_confine_policy *policy, const struct gr_confine_place *place, struct gr_error *err)
{
	tzset(); /* reads its file now or never */
	prepare_sanitizer();
	int status = set_limits(policy, err);
	if (status)
		return status;
	if (place->root && (chroot(place->root) < 0 || chdir("/") < 0))
		return gr_error_errno(err, "confine: chroot %s", place->root);
	/* Who is not root cannot, and has nothing that it would take away. */
	if (geteuid() == 0)
		status = drop_bounding_set(0, err);
	if (!status && place->uid)
		status = become(place->uid, err);
	/* After the change of uid: that counts the processes of the new one. */
	if (!status)
		status = limit(RLIMIT_NPROC, 0, "NPROC", err);
	if (!status)
		status = set_capabilities(0, err);
	if (!status)
		status = gain_nothing(err);
	if (!status)
		status = gr_landlock(place->directory, policy->tcp_connect, err);
	/* Landlock takes one for a moment. */
	if (!status)
		status = limit(RLIMIT_NOFILE, policy->descriptors, "NOFILE", err);
	if (!status)
		status = gr_seccomp_load(policy->rules, policy->rule_count, err);
	return status ? gr_error_wrap(err, "%s", policy->name) : 0;
}

int gr_confine_privileged(uint64_t keep, struct gr_error *err)
{
	int status = limit(RLIMIT_CORE, 0, "CORE", err);
	if (!status)
		status = drop_bounding_set(keep, err);
	if (!status)
		status = set_capabilities(keep, err);
	return status ? status : gain_nothing(err);
}
