#include "broker/supervisor/evidence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* A memfd, and nothing that could make us wait or change under us. */
static int check(int untrusted_fd, size_t *size_out, struct gr_error *err)
{
	struct stat status;
	int seals = fcntl(untrusted_fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(untrusted_fd, &status) < 0 || status.st_size < 1 ||
	    status.st_size > GR_EVIDENCE_MAX)
		return gr_error_set(err, GR_EPROTO, "what a gateway sent is no sealed memfd of a permitted size");
	*size_out = (size_t)status.st_size;
	return 0;
}

static int open_folder(const char *audit_directory, struct gr_error *err)
{
	int directory = open(audit_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return gr_error_errno(err, "cannot open %s", audit_directory), -1;
	int folder = -1;
	if (mkdirat(directory, GR_EVIDENCE_FOLDER, 0700) < 0 && errno != EEXIST)
		gr_error_errno(err, "cannot make %s/" GR_EVIDENCE_FOLDER, audit_directory);
	else if ((folder = openat(directory, GR_EVIDENCE_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		gr_error_errno(err, "cannot open %s/" GR_EVIDENCE_FOLDER, audit_directory);
	close(directory);
	return folder;
}

static int is_full(int folder)
{
	unsigned count = 0;
	int copy = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	if (!list) {
		if (copy >= 0)
			close(copy);
		return 1;
	}
	rewinddir(list);
	for (struct dirent *entry; count < GR_EVIDENCE_FILES_MAX && (entry = readdir(list));)
		count += entry->d_name[0] != '.';
	closedir(list);
	return count >= GR_EVIDENCE_FILES_MAX;
}

static int copy_all(int to, int from, size_t size)
{
	off_t at = 0;
	while ((size_t)at < size) {
		ssize_t n = sendfile(to, from, &at, size - (size_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return GR_EIO;
	}
	return 0;
}

int gr_evidence_keep(const char *audit_directory, uint32_t connection, int untrusted_fd, char name[64],
		     struct gr_error *err)
{
	char stamp[32];
	size_t size = 0;
	time_t now = time(NULL);
	struct tm tm;
	if (check(untrusted_fd, &size, err))
		return err->code;
	int folder = open_folder(audit_directory, err);
	if (folder < 0)
		return GR_EIO;
	int status = 0;
	if (is_full(folder)) {
		status = gr_error_set(err, GR_EFULL, "there are %u of them already", GR_EVIDENCE_FILES_MAX);
	} else {
		gmtime_r(&now, &tm);
		strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
		snprintf(name, 64, GR_EVIDENCE_FOLDER "/%s-%u.bin", stamp, connection);
		const char *base = name + sizeof(GR_EVIDENCE_FOLDER);
		int fd = openat(folder, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 || copy_all(fd, untrusted_fd, size)) {
			status = gr_error_errno(err, "cannot write %s/%s", audit_directory, name);
			if (fd >= 0)
				unlinkat(folder, base, 0);
		}
		if (fd >= 0)
			close(fd);
	}
	close(folder);
	return status;
}
