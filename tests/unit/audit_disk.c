#include "tests/unit/audit_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 512
#define FILES_MAX 512
#define DESCRIPTORS_MAX 64

struct disk_plan disk;

/* What is on the platter. */
struct file {
	int directory;
	char name[64];
	int named; /* its name is durable, too */
	char *durable; /* NULL: nothing of it is */
	size_t length;
};
static struct file files[FILES_MAX];
static unsigned file_count;
static struct file *open_files[DESCRIPTORS_MAX]; /* by descriptor */
static unsigned random_state;

ssize_t __real_write(int fd, const void *bytes, size_t n);
ssize_t __real_pwrite(int fd, const void *bytes, size_t n, off_t at);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
int __real_ftruncate(int fd, off_t length);
int __real_openat(int directory, const char *name, int flags, ...);
int __real_unlinkat(int directory, const char *name, int flags);
int __real_clock_gettime(clockid_t clock, struct timespec *out);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t n, off_t at);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_ftruncate(int fd, off_t length);
int __wrap_openat(int directory, const char *name, int flags, ...);
int __wrap_unlinkat(int directory, const char *name, int flags);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
void __wrap_gr_log(int level, const char *format, ...);

static unsigned chance(unsigned n)
{
	random_state = random_state * 1103515245u + 12345u;
	return (random_state >> 16) % n;
}

void disk_begin(unsigned seed)
{
	for (unsigned i = 0; i < file_count; i++)
		free(files[i].durable);
	memset(files, 0, sizeof(files));
	memset(open_files, 0, sizeof(open_files));
	file_count = 0;
	random_state = seed;
	disk = (struct disk_plan){ .calls = 0 };
}

/* All of a file, in memory of its own. */
static char *read_file(int directory, const char *name, size_t *length)
{
	struct stat status;
	int fd = __real_openat(directory, name, O_RDONLY | O_CLOEXEC);
	*length = 0;
	if (fd < 0 || fstat(fd, &status) < 0)
		return NULL;
	char *bytes = malloc((size_t)status.st_size + 1);
	ssize_t n = pread(fd, bytes, (size_t)status.st_size, 0);
	*length = n < 0 ? 0 : (size_t)n;
	close(fd);
	return bytes;
}

static struct file *find(int directory, const char *name)
{
	for (unsigned i = 0; i < file_count; i++)
		if (files[i].directory == directory && strcmp(files[i].name, name) == 0)
			return &files[i];
	if (file_count == FILES_MAX)
		abort();
	struct file *file = &files[file_count++];
	file->directory = directory;
	snprintf(file->name, sizeof(file->name), "%s", name);
	return file;
}

static void flush_file(struct file *file)
{
	free(file->durable);
	file->durable = read_file(file->directory, file->name, &file->length);
}

void disk_know(int directory, const char *name)
{
	struct file *file = find(directory, name);
	flush_file(file);
	file->named = 1;
}

/* Its names are durable now, though not what is in new files. */
static void flush_directory(int directory)
{
	for (unsigned i = 0; i < file_count; i++)
		if (files[i].directory == directory)
			files[i].named = 1;
}

static void lose_power(void)
{
	for (unsigned i = 0; i < file_count; i++) {
		struct file *file = &files[i];
		size_t now;
		char *bytes = read_file(file->directory, file->name, &now);
		if (bytes && !file->named && chance(2)) {
			free(bytes);
			__real_unlinkat(file->directory, file->name, 0);
			continue;
		}
		if (!bytes || (now == file->length && file->durable && memcmp(bytes, file->durable, now) == 0)) {
			free(bytes);
			continue;
		}
		size_t length = chance(2) ? now : file->length;
		char *left = calloc(1, length + 1);
		for (size_t at = 0; at < length; at += SECTOR) {
			unsigned flushed = chance(2);
			const char *from = flushed ? bytes : file->durable;
			size_t have = flushed ? now : file->length;
			size_t n = length - at < SECTOR ? length - at : SECTOR;
			if (from && at < have)
				memcpy(left + at, from + at, have - at < n ? have - at : n);
		}
		/* What was flushed before stays, whatever its sector says. */
		if (file->durable)
			for (size_t at = 0; at < length && at < file->length && at < now; at++)
				if (bytes[at] == file->durable[at])
					left[at] = bytes[at];
		int fd = __real_openat(file->directory, file->name, O_WRONLY | O_TRUNC | O_CLOEXEC);
		if (fd >= 0 && __real_write(fd, left, length) != (ssize_t)length)
			abort();
		close(fd);
		free(left);
		free(bytes);
	}
}

static void die(void)
{
	if (disk.end == DISK_POWER_LOST)
		lose_power();
	kill(getpid(), SIGKILL);
	pause();
}

/* Counts a call. Whether it is to fail; errno is set. */
static int begin_call(void)
{
	disk.calls++;
	if (disk.calls == disk.end_at && disk.end == DISK_KILLED_BEFORE)
		die();
	unsigned since = disk.calls - disk.fail_from;
	int fails = disk.fail_from && disk.calls >= disk.fail_from &&
		    (disk.fail_gap ? since % (disk.fail_count + disk.fail_gap) : since) < disk.fail_count;
	errno = fails ? disk.fail_cause : errno;
	return fails;
}

static int within(void)
{
	return disk.calls == disk.end_at && (disk.end == DISK_KILLED_WITHIN || disk.end == DISK_POWER_LOST);
}

static void end_call(void)
{
	int cause = errno;
	if (disk.calls == disk.end_at && disk.end != DISK_KILLED_BEFORE)
		die();
	errno = cause;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
	if (fd <= 2)
		return __real_write(fd, bytes, n);
	int fails = begin_call();
	ssize_t written = __real_write(fd, bytes, fails || within() ? n / 2 : n);
	if (fails)
		errno = disk.fail_cause;
	end_call();
	return fails ? -1 : written;
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t n, off_t at)
{
	int fails = begin_call();
	ssize_t written = __real_pwrite(fd, bytes, fails || within() ? n / 2 : n, at);
	if (fails)
		errno = disk.fail_cause;
	end_call();
	return fails ? -1 : written;
}

/* Only noted: the page cache is what survives a process. */
static int flush(int fd)
{
	struct stat status;
	int fails = begin_call();
	if (!fails && !within()) {
		if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
			flush_directory(fd);
		else if (fd < DESCRIPTORS_MAX && open_files[fd])
			flush_file(open_files[fd]);
	}
	end_call();
	return fails ? -1 : 0;
}

int __wrap_fdatasync(int fd)
{
	return flush(fd);
}

int __wrap_fsync(int fd)
{
	return flush(fd);
}

int __wrap_ftruncate(int fd, off_t length)
{
	int fails = begin_call();
	int status = fails || within() ? -1 : __real_ftruncate(fd, length);
	end_call();
	return status;
}

int __wrap_openat(int directory, const char *name, int flags, ...)
{
	va_list arguments;
	va_start(arguments, flags);
	mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	if (!(flags & (O_CREAT | O_TRUNC)))
		return __real_openat(directory, name, flags);
	int fails = begin_call();
	int existed = faccessat(directory, name, F_OK, 0) == 0;
	int fd = fails || within() ? -1 : __real_openat(directory, name, flags, mode);
	if (fd >= DESCRIPTORS_MAX)
		abort();
	if (fd >= 0) {
		open_files[fd] = find(directory, name);
		if (!existed) {
			free(open_files[fd]->durable);
			open_files[fd]->durable = NULL;
			open_files[fd]->length = 0;
			open_files[fd]->named = 0;
		}
	}
	end_call();
	return fd;
}

int __wrap_unlinkat(int directory, const char *name, int flags)
{
	int fails = begin_call();
	int status = fails || within() ? -1 : __real_unlinkat(directory, name, flags);
	end_call();
	return status;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	int status = __real_clock_gettime(clock, out);
	if (clock == CLOCK_REALTIME)
		out->tv_sec += disk.clock_step;
	return status;
}

/* Thousands of faults are no news here. */
void __wrap_gr_log(int level, const char *format, ...)
{
	(void)level;
	(void)format;
}
