/*
 * garasu-pool <config file>: the containers of this node (broker/ipc/ipc.h, fd 3 = control). Stays root, because the OCI
 * runtime needs it, but without the capabilities that neither it nor the runtime uses, in a mount and a network namespace
 * of its own.
 */
#include "broker/ipc/child.h"
#include "broker/ipc/ipc.h"
#include "broker/pool/pool.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct process {
	struct gr_config config;
	struct gr_loop *loop;
	struct gr_pool *pool;
	struct gr_loop_watch *control;
};

/* What making namespaces, mounts, id maps and control groups, and ending what runs there, takes. */
static const unsigned kept_capabilities[] = {
	CAP_CHOWN,     CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,       CAP_KILL,
	CAP_MKNOD,     CAP_NET_ADMIN,    CAP_SETGID,          CAP_SETPCAP,      CAP_SETUID,
	CAP_SYS_ADMIN, CAP_SYS_CHROOT,   CAP_SYS_PTRACE,      CAP_SYS_RESOURCE,
};

static int drop_capabilities(struct gr_error *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct had[2] = { { 0 }, { 0 } }, data[2] = { { 0 }, { 0 } };
	if (syscall(SYS_capget, &header, had) < 0)
		return gr_error_errno(err, "capget");
	for (size_t i = 0; i < sizeof(kept_capabilities) / sizeof(*kept_capabilities); i++) {
		unsigned capability = kept_capabilities[i];
		/* A machine may lack one of them (CAP_SYS_RESOURCE in some virtual machines), and most containers do without it. */
		data[capability / 32].permitted |= had[capability / 32].permitted & (1u << capability % 32);
		data[capability / 32].effective = data[capability / 32].permitted;
	}
	for (unsigned capability = 0; capability <= CAP_LAST_CAP; capability++)
		if (!(data[capability / 32].permitted & (1u << capability % 32)) &&
		    prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EINVAL)
			return gr_error_errno(err, "drop capability %u", capability);
	if (syscall(SYS_capset, &header, data) < 0)
		return gr_error_errno(err, "capset");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return gr_error_errno(err, "no_new_privs");
	return 0;
}

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
		status = drop_capabilities(err);
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
