#include "broker/supervisor/instance.h"

#include "broker/supervisor/policy_text.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_TRIES 5

static int make_directory(const char *path, mode_t mode, struct gr_error *err)
{
	struct stat status;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return gr_error_errno(err, "cannot make %s", path);
	if (lstat(path, &status) < 0)
		return gr_error_errno(err, "cannot look at %s", path);
	if (!S_ISDIR(status.st_mode))
		return gr_error_set(err, GR_EDENIED, "%s is not a folder", path);
	if (status.st_uid != geteuid())
		return gr_error_set(err, GR_EDENIED, "%s belongs to uid %u: it must be the broker's own", path,
				    (unsigned)status.st_uid);
	if (chmod(path, mode) < 0)
		return gr_error_errno(err, "cannot set the mode of %s", path);
	return 0;
}

static int path_in(const struct gr_instance *instance, const char *name, char out[PATH_MAX])
{
	int size = snprintf(out, PATH_MAX, "%s/%s", instance->directory, name);

	return size > 0 && size < PATH_MAX ? 0 : GR_EINVAL;
}

static int lock(struct gr_instance *instance, struct gr_error *err)
{
	char path[PATH_MAX], text[32] = "";

	if (path_in(instance, "broker.lock", path) < 0)
		return gr_error_set(err, GR_EINVAL, "run_directory is too long");
	for (int i = 0; i < LOCK_TRIES; i++) {
		struct stat opened, named;
		int size;

		instance->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (instance->lock < 0)
			return gr_error_errno(err, "cannot open %s", path);
		if (flock(instance->lock, LOCK_EX | LOCK_NB) < 0) {
			if (errno != EWOULDBLOCK)
				return gr_error_errno(err, "cannot lock %s", path);
			if (read(instance->lock, text, sizeof(text) - 1) < 0)
				text[0] = '\0';
			text[strspn(text, "0123456789")] = '\0';
			return gr_error_set(err, GR_EEXIST, "a broker runs in %s already%s%s%s", instance->directory,
					    text[0] ? " (process " : "", text, text[0] ? ")" : "");
		}
		/* One that ended between our open and our lock took the file with it. */
		if (fstat(instance->lock, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino) {
			size = snprintf(text, sizeof(text), "%d\n", (int)getpid());
			if (ftruncate(instance->lock, 0) < 0 || pwrite(instance->lock, text, (size_t)size, 0) != size)
				return gr_error_errno(err, "cannot write %s", path);
			return 0;
		}
		gr_io_close(&instance->lock);
	}
	return gr_error_set(err, GR_EIO, "cannot lock %s: it changes all the time", path);
}

int gr_instance_begin(struct gr_instance *instance, const struct gr_config *config, struct gr_error *err)
{
	char path[PATH_MAX];
	int rc;

	instance->lock = -1;
	snprintf(instance->directory, sizeof(instance->directory), "%s", config->broker.run_directory);
	rc = make_directory(instance->directory, 0711, err);
	if (rc == 0)
		rc = lock(instance, err);
	if (rc == 0)
		rc = path_in(instance, "admin.sock", path) < 0
			     ? gr_error_set(err, GR_EINVAL, "run_directory is too long")
			     : 0;
	if (rc == 0 && unlink(path) < 0 && errno != ENOENT)
		rc = gr_error_errno(err, "cannot remove %s", path);
	if (rc == 0)
		rc = path_in(instance, "empty", path) < 0 ? GR_EINVAL : make_directory(path, 0555, err);
	if (rc < 0)
		gr_io_close(&instance->lock);
	return rc;
}

void gr_instance_end(struct gr_instance *instance)
{
	char path[PATH_MAX];

	if (instance->lock < 0)
		return;
	if (path_in(instance, "admin.sock", path) == 0)
		unlink(path);
	if (path_in(instance, GR_POLICY_COPY, path) == 0)
		unlink(path);
	if (path_in(instance, "empty", path) == 0)
		rmdir(path);
	/* The lock file last, and while it is locked: see lock(). */
	if (path_in(instance, "broker.lock", path) == 0)
		unlink(path);
	gr_io_close(&instance->lock);
	if (rmdir(instance->directory) < 0 && errno != ENOENT && errno != EBUSY)
		gr_log_warning("%s is left behind: %s", instance->directory, strerror(errno));
}
