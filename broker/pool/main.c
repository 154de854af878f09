/*
 * garasu-pool <config file>: the containers of this node (broker/ipc/ipc.h, fd 3 = control). Stays root, because the OCI
 * runtime needs it, but without the capabilities that neither it nor the runtime uses, in a mount and a network namespace
 * of its own.
 */
#include "broker/ipc/child.h"
#include "broker/ipc/ipc.h"
#include "broker/pool/policy.h"
#include "broker/pool/pool.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct process {
	struct gr_config config;
	struct gr_loop *loop;
	struct gr_pool *pool;
	struct gr_loop_watch *control;
};

/* libexec/garasu/garasu-pool and share/garasu stand beside each other, in the build folder and installed. */
static int share_directory(char *out, size_t cap, struct gr_error *err)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return gr_error_errno(err, "readlink /proc/self/exe");
	self[n] = 0;
	for (int i = 0; i < 3; i++) {
		char *slash = strrchr(self, '/');
		if (!slash)
			return gr_error_set(err, GR_EINVAL, "not in libexec/garasu");
		*slash = 0;
	}
	if ((size_t)snprintf(out, cap, "%s/share/garasu", self) >= cap)
		return gr_error_set(err, GR_EINVAL, "path too long: %s", self);
	return 0;
}

static void control_ready(void *context, int fd, unsigned events)
{
	struct process *process = context;
	struct gr_ipc_message message;
	int passed = -1;
	(void)events;
	int status = gr_ipc_receive(fd, &message, &passed);
	if (status == GR_EAGAIN)
		return;
	gr_io_close(&passed);
	if (!status && message.type == GR_IPC_ASSIGN) {
		gr_pool_assign(process->pool, message.container, message.session);
	} else if (!status && message.type == GR_IPC_DESTROY) {
		gr_pool_end(process->pool, message.container);
	} else {
		if (status != GR_ECLOSED)
			gr_log_error("control: %s",
				     status ? gr_status_text(status) : "a message that is not for the pool");
		gr_loop_remove(process->control);
		process->control = NULL;
		gr_pool_shut_down(process->pool);
	}
}

static void signalled(void *context, int signo)
{
	struct process *process = context;
	if (signo == SIGCHLD)
		gr_pool_reap(process->pool);
	else if (signo == SIGTERM) /* SIGINT is the terminal's: the supervisor says when it is over */
		gr_pool_shut_down(process->pool);
}

static int run(struct process *process, const char *file, struct gr_error *err)
{
	char share[PATH_MAX];
	enum gr_cgroup_layout layout;
	sigset_t signals;
	int status = gr_ipc_child_configure("garasu-pool", file, &process->config, err);
	if (status)
		return status;
	if (geteuid() != 0)
		return gr_error_set(err, GR_EDENIED, "the pool must be started as root: the OCI runtime needs it");
	umask(022);
	status = share_directory(share, sizeof(share), err);
	if (!status)
		status = gr_cgroup_enter(&layout, err);
	/*
	 * Nothing here needs a network. And runsc listens at an abstract socket for orders to each container, which it takes from
	 * any user: it does not know their ids apart. In a network namespace of our own nobody else comes there.
	 */
	if (!status && unshare(CLONE_NEWNET) < 0)
		status = gr_error_errno(err, "network namespace");
	if (!status)
		status = gr_confine_privileged(GR_POOL_CAPABILITIES, err);
	if (status)
		return status;
	/* The runtime goes away when a container runs; its first process is then ours to wait for. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return gr_error_errno(err, "subreaper");
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	process->loop = gr_loop_create();
	if (!process->loop || gr_loop_signals(process->loop, &signals, signalled, process))
		return gr_error_set(err, GR_ENOMEM, "event loop");
	struct gr_pool_settings settings = { .config = &process->config,
					     .loop = process->loop,
					     .share_directory = share,
					     .layout = layout,
					     .control = GR_IPC_CONTROL_FD };
	status = gr_pool_create(&settings, &process->pool, err);
	if (status)
		return status;
	process->control = gr_loop_add(process->loop, GR_IPC_CONTROL_FD, GR_LOOP_READ, control_ready, process);
	if (!process->control)
		return gr_error_errno(err, "no control socket at descriptor %d", GR_IPC_CONTROL_FD);
	status = gr_ipc_child_ready(err);
	if (status)
		return status;
	gr_pool_fill(process->pool);
	return gr_loop_run(process->loop);
}

int main(int argc, char **argv)
{
	static struct process process;
	struct gr_error err = { 0 };
	gr_log_init("garasu-pool", GR_LOG_INFO);
	if (argc != 2) {
		gr_log_error("usage: garasu-pool CONFIG-FILE, started by garasu-broker");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	fcntl(GR_IPC_CONTROL_FD, F_SETFD, FD_CLOEXEC);
	int status = run(&process, argv[1], &err);
	if (status < 0)
		gr_log_error("%s", err.text[0] ? err.text : gr_status_text(status));
	gr_pool_destroy(process.pool);
	gr_loop_destroy(process.loop);
	return status ? 1 : 0;
}
