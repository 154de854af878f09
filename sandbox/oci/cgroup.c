#include "sandbox/oci/cgroup.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define MOUNT "/sys/fs/cgroup"

static int is_v2(const char *path)
{
	struct statfs fs;
	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* v1: a hierarchy of its own. v2: a word in the root group's list. */
static int has_controller(enum gr_cgroup_layout layout, const char *name)
{
	char text[512];
	if (layout != GR_CGROUP_V2) {
		snprintf(text, sizeof(text), MOUNT "/%s/cgroup.procs", name);
		return access(text, F_OK) == 0;
	}
	FILE *in = fopen(MOUNT "/cgroup.controllers", "re");
	int found = 0;
	while (in && !found && fscanf(in, "%511s", text) == 1)
		found = strcmp(text, name) == 0;
	if (in)
		fclose(in);
	return found;
}

int gr_cgroup_detect(enum gr_cgroup_layout *out, struct gr_error *err)
{
	static const char *const needed[] = { "memory", "pids", "cpu" };
	enum gr_cgroup_layout layout = is_v2(MOUNT)              ? GR_CGROUP_V2
				       : is_v2(MOUNT "/unified") ? GR_CGROUP_HYBRID
								 : GR_CGROUP_V1;
	/* The runtime would refuse too, but at every container, and with the name of a file. */
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (!has_controller(layout, needed[i]))
			return gr_error_set(err, GR_EIO,
					    "no controller \"%s\" in the control groups at " MOUNT
					    ": not mounted, or disabled on the kernel's command line (cgroup_disable=)",
					    needed[i]);
	*out = layout;
	return 0;
}

int gr_cgroup_enter(enum gr_cgroup_layout *out, struct gr_error *err)
{
	enum gr_cgroup_layout layout = GR_CGROUP_V1;
	int status = gr_cgroup_detect(&layout, err);
	if (status)
		return status;
	if (unshare(CLONE_NEWNS) < 0)
		return gr_error_errno(err, "private mount namespace: unshare");
	/* Slave, not private: what the administrator mounts later (an image's disk) still comes in; nothing goes out. */
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return gr_error_errno(err, "private mount namespace: mount");
	if (layout == GR_CGROUP_HYBRID) {
		if (umount2(MOUNT "/unified", MNT_DETACH) < 0)
			return gr_error_errno(err, "unmount " MOUNT "/unified in the private mount namespace");
		/* crun goes on to make its group's folder there, with files: not in the tmpfs that the whole machine shares. */
		if (mount("tmpfs", MOUNT "/unified", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4m,mode=755") < 0)
			return gr_error_errno(err, "mount over " MOUNT "/unified in the private mount namespace");
		layout = GR_CGROUP_V1;
	}
	*out = layout;
	return 0;
}

int gr_cgroup_has_swap(enum gr_cgroup_layout layout)
{
	return access(layout == GR_CGROUP_V2 ? "/proc/swaps" : MOUNT "/memory/memory.memsw.limit_in_bytes", F_OK) == 0;
}

uint64_t gr_cgroup_oom_kills(enum gr_cgroup_layout layout, const char *path)
{
	char file[PATH_MAX];
	int n = layout == GR_CGROUP_V2 ? snprintf(file, sizeof(file), MOUNT "%s/memory.events", path)
				       : snprintf(file, sizeof(file), MOUNT "/memory%s/memory.oom_control", path);
	if (n < 0 || (size_t)n >= sizeof(file))
		return 0;
	FILE *in = fopen(file, "re");
	if (!in)
		return 0;
	char line[128];
	unsigned long long count = 0;
	while (fgets(line, sizeof(line), in))
		if (sscanf(line, "oom_kill %llu", &count) == 1)
			break;
	fclose(in);
	return count;
}

static void kill_members(const char *directory)
{
	char file[PATH_MAX];
	int n = snprintf(file, sizeof(file), "%s/cgroup.procs", directory);
	FILE *in = n > 0 && (size_t)n < sizeof(file) ? fopen(file, "re") : NULL;
	if (!in)
		return;
	int pid;
	while (fscanf(in, "%d", &pid) == 1)
		if (pid > 1) /* 0: a process outside of our pid namespace */
			kill(pid, SIGKILL);
	fclose(in);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type != FTW_DP) {
		unlink(path); /* only where unified was; a real group's files cannot and need not be removed */
	} else if (rmdir(path) < 0 && errno == EBUSY) {
		kill_members(path);
		rmdir(path);
	}
	return 0;
}

/* The group's directory in one hierarchy. */
static int remove_in(const char *hierarchy, const char *path)
{
	char directory[PATH_MAX];
	int n = snprintf(directory, sizeof(directory), "%s%s", hierarchy, path);
	if (n < 0 || (size_t)n >= sizeof(directory) || access(directory, F_OK) < 0)
		return 0;
	nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	return access(directory, F_OK) == 0 ? GR_EAGAIN : 0;
}

int gr_cgroup_remove(enum gr_cgroup_layout layout, const char *path)
{
	assert(strncmp(path, "/garasu", 7) == 0 && !strstr(path, ".."));
	if (layout == GR_CGROUP_V2)
		return remove_in(MOUNT, path);
	int status = 0;
	DIR *hierarchies = opendir(MOUNT);
	if (!hierarchies)
		return 0;
	for (struct dirent *entry; (entry = readdir(hierarchies));) {
		char hierarchy[PATH_MAX];
		int n = snprintf(hierarchy, sizeof(hierarchy), MOUNT "/%s", entry->d_name);
		if (entry->d_name[0] == '.' || n < 0 || (size_t)n >= sizeof(hierarchy))
			continue;
		if (remove_in(hierarchy, path))
			status = GR_EAGAIN;
	}
	closedir(hierarchies);
	return status;
}
