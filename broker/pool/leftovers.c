#include "broker/pool/leftovers.h"
#include "broker/pool/folder.h"
#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#define DELETE_MS 20000

int gr_leftovers_clear(const struct gr_runtime *runtime, enum gr_cgroup_layout layout, const char *cgroup,
		       const char *containers, struct gr_error *err)
{
	char log[PATH_MAX];
	snprintf(log, sizeof(log), "%.4000s/.log", runtime->root);
	DIR *known = opendir(runtime->root);
	if (!known && errno != ENOENT)
		return gr_error_errno(err, "open %s", runtime->root);
	for (struct dirent *entry; known && (entry = readdir(known));) {
		struct gr_runtime_job job;
		struct gr_error why;
		if (entry->d_name[0] == '.')
			continue;
		gr_log_warning("container %s: left by an earlier life; removing it", entry->d_name);
		int status = gr_runtime_delete(runtime, entry->d_name, log, &job, &why);
		if (!status)
			status = gr_runtime_wait(&job, DELETE_MS, &why);
		if (status)
			gr_log_warning("container %s: %s", entry->d_name, why.text);
	}
	if (known)
		closedir(known);
	int status = 0;
	for (int i = 0; i < 50; i++) {
		status = gr_cgroup_remove(layout, cgroup);
		if (!status)
			break;
		poll(NULL, 0, 100);
	}
	if (status)
		return gr_error_set(err, GR_EIO, "processes of an earlier life in the control group %s do not die",
				    cgroup);
	/* Nothing runs any more: what the runtime did not delete is only files. */
	status = gr_folder_clear(runtime->root, err);
	return status ? status : gr_folder_clear(containers, err);
}
