#include "common/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int limit(__rlimit_resource_t resource, uint64_t value, const char *name, struct gr_error *err)
{
	struct rlimit rlimit = { value, value };
	if (setrlimit(resource, &rlimit) < 0)
		return gr_error_errno(err, "confine: setrlimit %s", name);
	return 0;
}

static int drop_capabilities(struct gr_error *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 }, { 0 } };
	if (syscall(SYS_capset, &header, data) < 0)
		return gr_error_errno(err, "confine: capset");
	return 0;
}

int gr_confine(const struct gr_confine_settings *settings, struct gr_error *err)
{
	int status = 0;

	if (settings->descriptors)
		status = limit(RLIMIT_NOFILE, settings->descriptors, "NOFILE", err);
	if (!status && settings->file_size != UINT64_MAX)
		status = limit(RLIMIT_FSIZE, settings->file_size, "FSIZE", err);
	if (!status)
		status = limit(RLIMIT_CORE, 0, "CORE", err);
	if (status)
		return status;
	if (settings->root && (chroot(settings->root) < 0 || chdir("/") < 0))
		return gr_error_errno(err, "confine: chroot %s", settings->root);
	if (settings->uid) {
		uid_t uid = settings->uid;
		gid_t gid = (gid_t)uid;
		if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
			return gr_error_errno(err, "confine: become uid %u", (unsigned)uid);
		if (setuid(0) == 0)
			return gr_error_set(err, GR_EDENIED, "confine: root could be had again");
	}
	if ((status = drop_capabilities(err)))
		return status;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return gr_error_errno(err, "confine: no_new_privs");
	/* After the change of uid, which may set it again. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return gr_error_errno(err, "confine: not dumpable");
	return 0;
}
