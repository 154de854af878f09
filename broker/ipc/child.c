#include "broker/ipc/child.h"

#include "broker/ipc/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef GR_ADDRESS_SANITIZER
const char *__asan_default_options(void);
/*
 * Before the confinement, loading what turns addresses into lines costs each gateway a tenth of a second; after it nothing can
 * be loaded. So reports name program and offset, for addr2line.
 */
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "symbolize=0";
}
#endif

int gr_ipc_child_configure(const char *program, const char *file, struct gr_config *config, struct gr_error *err)
{
	gr_config_init(config);
	int status = gr_config_load(config, file, err);
	if (status == 0)
		gr_log_init(program, config->broker.log_level);
	return status;
}

int gr_ipc_child_confine(const struct gr_config *config, const struct gr_confine_policy *policy, uint32_t uid,
			 struct gr_error *err)
{
	char empty[PATH_MAX + 8];
	struct gr_confine_place place = { .directory = -1 };
	if (geteuid() == 0) {
		snprintf(empty, sizeof(empty), "%s/empty", config->broker.run_directory);
		place.uid = config->broker.uid_base + uid;
		place.root = empty;
	}
	return gr_confine(policy, &place, err);
}

int gr_ipc_child_directory(const struct gr_config *config, uint32_t uid, const char *key, const char *path,
			   int *directory_out, struct gr_error *err)
{
	uid_t owner = (uid_t)(config->broker.uid_base + uid);
	char part[PATH_MAX];
	int directory;

	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return gr_error_errno(err, "%s: cannot make %s", key, part);
		*slash = '/';
	}
	if (mkdir(part, 0700) < 0 && errno != EEXIST)
		return gr_error_errno(err, "%s: cannot make %s", key, path);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return gr_error_errno(err, "%s: cannot open %s", key, path);
	if ((geteuid() == 0 && fchown(directory, owner, (gid_t)owner) < 0) || fchmod(directory, 0700) < 0) {
		gr_error_errno(err, "%s: cannot own %s", key, path);
		close(directory);
		return GR_EIO;
	}
	*directory_out = directory;
	return 0;
}

int gr_ipc_child_confine_in(const struct gr_config *config, const struct gr_confine_policy *policy, uint32_t uid,
			    const char *path, int directory, struct gr_error *err)
{
	struct gr_confine_place place = { .directory = directory };

	if (geteuid() == 0) {
		place.uid = config->broker.uid_base + uid;
		place.root = path;
	}
	return gr_confine(policy, &place, err);
}

int gr_ipc_child_ready(struct gr_error *err)
{
	struct gr_ipc_message ready = { .type = GR_IPC_READY };
	int status = gr_ipc_send(GR_IPC_CONTROL_FD, &ready, -1);
	return status == 0 ? 0 : gr_error_set(err, status, "cannot tell the supervisor: %s", gr_status_text(status));
}
