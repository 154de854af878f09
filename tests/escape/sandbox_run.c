/*
 * Runs one program in a container made by the same code as a real one, over a root file system of the caller's, waits for
 * its end and takes everything away again:
 *
 *     sandbox-run --share DIR --rootfs DIR --state DIR [--runtime FILE] [--uid N] [--memory MiB] [--pids N]
 *                 [--seconds N] -- PROGRAM [ARGUMENT...]
 *
 * The container's output goes to standard output; the last line on standard error is "status=… oom=… left=…".
 * Exit status 0 when the container ran, whatever came out of it.
 */
#include "common/io.h"
#include "sandbox/oci/bundle.h"
#include "sandbox/oci/cgroup.h"
#include "sandbox/oci/runtime.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what, const struct gr_error *err)
{
	fprintf(stderr, "sandbox-run: %s: %s\n", what, err->text);
	return 1;
}

static const char *join(char *out, const char *directory, const char *name)
{
	snprintf(out, PATH_MAX, "%.3000s/%s", directory, name);
	return out;
}

/* Waits for the container's first process, ours to reap as the nearest subreaper; kills it at the deadline. */
static void wait_for(pid_t pid, int seconds, char *out, size_t cap)
{
	int pidfd = pidfd_open(pid, 0);
	struct pollfd poller = { .fd = pidfd, .events = POLLIN };
	if (poll(&poller, 1, seconds * 1000) <= 0)
		kill(pid, SIGKILL);
	siginfo_t info = { 0 };
	if (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0)
		snprintf(out, cap, "unknown");
	else
		snprintf(out, cap, "%s:%d", info.si_code == CLD_EXITED ? "exit" : "signal", info.si_status);
	close(pidfd);
	/* runsc has a second process, and its delete waits until that is reaped, by us. */
	for (int i = 0; i < 200 && waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0; i++)
		poll(NULL, 0, 10);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "share", 1, NULL, 's' },   { "rootfs", 1, NULL, 'r' },  { "state", 1, NULL, 'd' },
		{ "runtime", 1, NULL, 'R' }, { "uid", 1, NULL, 'u' },     { "memory", 1, NULL, 'm' },
		{ "pids", 1, NULL, 'p' },    { "seconds", 1, NULL, 't' }, { NULL, 0, NULL, 0 },
	};
	struct gr_runtime runtime = { .program = "/usr/bin/crun" };
	struct gr_bundle_settings bundle = { .uid_first = 1 << 30, .memory_mib = 256, .pids = 64, .cpu_percent = 100 };
	const char *state = NULL;
	int seconds = 30;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 's': bundle.share_directory = optarg; break;
		case 'r': bundle.rootfs = optarg; break;
		case 'd': state = optarg; break;
		case 'R': snprintf(runtime.program, sizeof(runtime.program), "%s", optarg); break;
		case 'u': bundle.uid_first = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'm': bundle.memory_mib = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'p': bundle.pids = (unsigned)strtoul(optarg, NULL, 10); break;
		case 't': seconds = (int)strtol(optarg, NULL, 10); break;
		default: return 2;
		}
	}
	if (!state || !bundle.share_directory || !bundle.rootfs || optind >= argc) {
		fprintf(stderr, "sandbox-run: --share, --rootfs, --state and a program are needed\n");
		return 2;
	}
	bundle.pids = gr_runtime_pids(runtime.program, bundle.pids);
	bundle.arguments = (const char *const *)argv + optind;

	struct gr_error err;
	enum gr_cgroup_layout layout;
	if (gr_cgroup_enter(&layout, &err))
		return fail("control groups", &err);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	char io[PATH_MAX], pid_file[PATH_MAX], log[PATH_MAX], parent[64], group[80], id[32];
	snprintf(parent, sizeof(parent), "/garasu-escape-%d", (int)getpid());
	snprintf(group, sizeof(group), "%s/c1", parent);
	snprintf(id, sizeof(id), "escape-%d", (int)getpid());
	bundle.io_directory = join(io, state, "io");
	bundle.cgroup = group;
	bundle.limit_swap = gr_cgroup_has_swap(layout);
	join(runtime.root, state, "runtime");
	mkdir(runtime.root, 0700);
	mkdir(io, 0755);
	if (gr_bundle_write(state, &bundle, &err))
		return fail("bundle", &err);

	struct gr_runtime_job job;
	char status[32] = "none";
	unsigned long oom = 0;
	uint64_t began = gr_io_now_ms();
	int result = gr_runtime_run(&runtime, id, state, join(pid_file, state, "pid"), 1, join(log, state, "log"), &job,
				    &err);
	if (!result)
		result = gr_runtime_wait(&job, 20000, &err);
	uint64_t started = gr_io_now_ms();
	if (result) {
		fail("start", &err);
	} else {
		pid_t pid;
		if (gr_runtime_pid(pid_file, &pid, &err) == 0)
			wait_for(pid, seconds, status, sizeof(status));
		oom = (unsigned long)gr_cgroup_oom_kills(layout, group);
	}
	uint64_t ended = gr_io_now_ms();
	struct gr_error ignored;
	if (gr_runtime_delete(&runtime, id, log, &job, &ignored) == 0)
		gr_runtime_wait(&job, 20000, &ignored);
	int left = GR_EAGAIN;
	for (int i = 0; i < 50 && left; i++) {
		left = gr_cgroup_remove(layout, parent);
		if (left)
			usleep(100000);
	}
	fprintf(stderr, "status=%s oom=%lu left=%d start_ms=%u delete_ms=%u\n", status, oom, left ? 1 : 0,
		(unsigned)(started - began), (unsigned)(gr_io_now_ms() - ended));
	return result || left ? 1 : 0;
}
