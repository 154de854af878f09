#include "sandbox/oci/runtime.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child, after fork: only async-signal-safe calls. */
static _Noreturn void become(char *const *argv, int in, int stdio)
{
	sigset_t none;
	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	/* Off the terminal: its Ctrl-C is for the broker, which then ends its containers in good order. */
	setsid();
	if (dup2(in, 0) < 0 || dup2(stdio, 1) < 0 || dup2(stdio, 2) < 0)
		_exit(126);
	close_range(3, ~0u, 0);
	sigprocmask(SIG_SETMASK, &none, NULL);
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char *const environment[] = { path, NULL };
	execve(argv[0], argv, environment);
	_exit(127);
}

/* Takes in, the command's standard input; stdio for its standard output and error is borrowed. */
static int spawn(char *const *argv, const char *name, int in, int stdio, const char *log, struct gr_runtime_job *out,
		 struct gr_error *err)
{
	struct gr_runtime_job job = { .pidfd = -1 };
	int status = 0;
	if ((size_t)snprintf(job.name, sizeof(job.name), "%s", name) >= sizeof(job.name) ||
	    (size_t)snprintf(job.log, sizeof(job.log), "%s", log) >= sizeof(job.log))
		status = gr_error_set(err, GR_EINVAL, "path too long: %s", log);
	else if (unlink(log) < 0 && errno != ENOENT)
		status = gr_error_errno(err, "unlink %s", log);
	if (!status) {
		job.pid = fork();
		if (job.pid == 0)
			become(argv, in, stdio);
		if (job.pid < 0)
			status = gr_error_errno(err, "fork");
	}
	close(in);
	if (status)
		return status;
	job.pidfd = pidfd_open(job.pid, 0);
	if (job.pidfd < 0) {
		status = gr_error_errno(err, "pidfd_open");
		kill(job.pid, SIGKILL);
		waitpid(job.pid, NULL, 0);
		return status;
	}
	fcntl(job.pidfd, F_SETFD, FD_CLOEXEC);
	*out = job;
	return 0;
}

#define TEXT(s) ((char *)(uintptr_t)(s))
#define ARGUMENTS 20

static int is_runsc(const char *program)
{
	const char *slash = strrchr(program, '/');
	return strncmp(slash ? slash + 1 : program, "runsc", 5) == 0;
}

unsigned gr_runtime_pids(const char *program, unsigned pids)
{
	return is_runsc(program) ? pids * 4 : pids;
}

/* What stands before the command: its program, and the options that all commands need. root is of this container alone. */
static size_t begin_arguments(char *argv[ARGUMENTS], const struct gr_runtime *runtime, const char *root,
			      const char *log)
{
	/*
	 * The sockets of the io folder may be connected to, none may be made; our seccomp profile holds inside too, in front of
	 * gVisor's own system calls; and no network stack but one with a loopback.
	 */
	static const char *const runsc[] = { "--platform=ptrace", "--network=none", "--host-uds=open",
					     "--oci-seccomp" };
	size_t n = 0;
	argv[n++] = TEXT(runtime->program);
	argv[n++] = TEXT("--root");
	argv[n++] = TEXT(root);
	argv[n++] = TEXT("--log");
	argv[n++] = TEXT(log);
	for (size_t i = 0; is_runsc(runtime->program) && i < sizeof(runsc) / sizeof(*runsc); i++)
		argv[n++] = TEXT(runsc[i]);
	return n;
}

/* Its state is in a folder of its own: what lies there tells, whatever names the runtime gives its files, what is left. */
static int state_folder(const struct gr_runtime *runtime, const char *id, char *out, size_t cap, struct gr_error *err)
{
	if ((size_t)snprintf(out, cap, "%s/%s", runtime->root, id) < cap)
		return 0;
	return gr_error_set(err, GR_EINVAL, "path too long: %s", runtime->root);
}

int gr_runtime_run(const struct gr_runtime *runtime, const char *id, const char *bundle, const char *pid_file,
		   int stdio, const char *log, struct gr_runtime_job *out, struct gr_error *err)
{
	char *argv[ARGUMENTS], root[PATH_MAX];
	if (state_folder(runtime, id, root, sizeof(root), err))
		return GR_EINVAL;
	size_t n = begin_arguments(argv, runtime, root, log);
	argv[n++] = TEXT("run");
	argv[n++] = TEXT("--detach");
	argv[n++] = TEXT("--bundle");
	argv[n++] = TEXT(bundle);
	argv[n++] = TEXT("--pid-file");
	argv[n++] = TEXT(pid_file);
	argv[n++] = TEXT(id);
	argv[n] = NULL;
	/*
	 * crun 1.8 gives what it finds at 0, 1 and 2 to the container's user by fchown(2). With the machine's own /dev/null
	 * there a container would own that, and could take it from everybody. So: a pipe that nobody writes to.
	 */
	int empty[2];
	if (pipe2(empty, O_CLOEXEC) < 0)
		return gr_error_errno(err, "pipe");
	close(empty[1]);
	return spawn(argv, "run", empty[0], stdio, log, out, err);
}

int gr_runtime_delete(const struct gr_runtime *runtime, const char *id, const char *log, struct gr_runtime_job *out,
		      struct gr_error *err)
{
	char *argv[ARGUMENTS], root[PATH_MAX];
	if (state_folder(runtime, id, root, sizeof(root), err))
		return GR_EINVAL;
	size_t n = begin_arguments(argv, runtime, root, log);
	argv[n++] = TEXT("delete");
	argv[n++] = TEXT("--force");
	argv[n++] = TEXT(id);
	argv[n] = NULL;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return gr_error_errno(err, "open /dev/null");
	return spawn(argv, "delete", null, null, log, out, err);
}

/* The last line of the log that says something, at most cap - 1 bytes; "" when there is none. */
static void last_words(const char *log, char *out, size_t cap)
{
	char tail[4096];
	out[0] = 0;
	int fd = open(log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	off_t size = lseek(fd, 0, SEEK_END);
	off_t from = size > (off_t)sizeof(tail) - 1 ? size - ((off_t)sizeof(tail) - 1) : 0;
	ssize_t n = pread(fd, tail, sizeof(tail) - 1, from);
	close(fd);
	if (n <= 0)
		return;
	tail[n] = 0;
	char *end = tail + n;
	while (end > tail && (end[-1] == '\n' || end[-1] == ' '))
		*--end = 0;
	char *line = strrchr(tail, '\n');
	line = line ? line + 1 : tail;
	/* "2026-01-02T03:04:05.678Z: " is in front of every line; our own log has a time of its own. */
	char *text = strstr(line, "Z: ");
	if (text && text - line < 40)
		line = text + 3;
	snprintf(out, cap, "%.290s", line);
}

int gr_runtime_finish(struct gr_runtime_job *job, struct gr_error *err)
{
	siginfo_t info = { 0 };
	int done;
	do
		done = waitid(P_PID, (id_t)job->pid, &info, WEXITED | WNOHANG);
	while (done < 0 && errno == EINTR);
	if (done == 0 && info.si_pid == 0)
		return GR_EAGAIN;
	int status = 0;
	if (done < 0) {
		status = gr_error_errno(err, "%s: waitid", job->name);
	} else if (info.si_code != CLD_EXITED) {
		status = gr_error_set(err, GR_EIO, "%s: killed by signal %d", job->name, info.si_status);
	} else if (info.si_status != 0) {
		char words[300];
		last_words(job->log, words, sizeof(words));
		if (!words[0])
			snprintf(words, sizeof(words), "%s",
				 info.si_status == 127 ? "the runtime's program cannot be executed"
						       : "it said nothing");
		status = gr_error_set(err, GR_EIO, "%s: exit status %d: %s", job->name, info.si_status, words);
	}
	gr_io_close(&job->pidfd);
	unlink(job->log);
	job->pid = 0;
	return status;
}

void gr_runtime_abort(struct gr_runtime_job *job)
{
	if (!job || job->pidfd < 0 || job->pid <= 0)
		return;
	kill(job->pid, SIGKILL); /* not reaped yet, so the number is still its own */
	waitpid(job->pid, NULL, 0);
	gr_io_close(&job->pidfd);
	unlink(job->log);
	job->pid = 0;
}

int gr_runtime_wait(struct gr_runtime_job *job, int ms, struct gr_error *err)
{
	uint64_t end = gr_io_now_ms() + (uint64_t)ms;
	for (;;) {
		uint64_t now = gr_io_now_ms();
		struct pollfd poller = { .fd = job->pidfd, .events = POLLIN };
		int n = poll(&poller, 1, now < end ? (int)(end - now) : 0);
		if (n > 0) {
			int status = gr_runtime_finish(job, err);
			if (status != GR_EAGAIN)
				return status;
		}
		if (n < 0 && errno != EINTR) {
			int status = gr_error_errno(err, "%s: poll", job->name);
			gr_runtime_abort(job);
			return status;
		}
		if (gr_io_now_ms() >= end) {
			gr_runtime_abort(job);
			return gr_error_set(err, GR_ETIMEOUT, "%s: no end after %d s", job->name, ms / 1000);
		}
	}
}

int gr_runtime_pid(const char *pid_file, pid_t *out, struct gr_error *err)
{
	char text[32] = "";
	int fd = open(pid_file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return gr_error_errno(err, "open %s", pid_file);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	char *end;
	errno = 0;
	long pid = n > 0 ? strtol(text, &end, 10) : 0;
	if (errno || pid <= 1 || pid > INT_MAX)
		return gr_error_set(err, GR_EIO, "no process number in %s", pid_file);
	*out = (pid_t)pid;
	return 0;
}
