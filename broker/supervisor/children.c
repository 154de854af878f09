#include "broker/supervisor/children.h"

#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGES_PER_TURN 32 /* of one child, before the others have their turn */
#define END_MS 3000 /* from the end of its control socket to its own end */
#define CONTROL_BUFFER (1 << 20) /* bytes: rows for the admin process, listeners again for a new egress */

int gr_children_init(struct gr_children *children, struct gr_loop *loop, const char *programs, const char *config_file)
{
	struct rlimit limit;

	memset(children, 0, sizeof(*children));
	children->loop = loop;
	if (strlen(programs) >= sizeof(children->programs) - 32 || strlen(config_file) >= sizeof(children->config_file))
		return GR_EINVAL;
	snprintf(children->programs, sizeof(children->programs), "%s", programs);
	snprintf(children->config_file, sizeof(children->config_file), "%s", config_file);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		children->descriptors = limit.rlim_cur;
	LIST_INIT(&children->list);
	return 0;
}

int gr_child_alive(const struct gr_child *child)
{
	return child->state != GR_CHILD_NONE;
}

static void close_control(struct gr_child *child)
{
	gr_loop_remove(child->watch);
	child->watch = NULL;
	gr_io_close(&child->control);
}

static void __attribute__((format(printf, 2, 0)))
kill_for(struct gr_child *child, const char *format, va_list arguments)
{
	if (!gr_child_alive(child))
		return;
	if (!child->fault[0])
		vsnprintf(child->fault, sizeof(child->fault), format, arguments);
	close_control(child);
	child->state = GR_CHILD_ENDING;
	gr_loop_timer_set(child->timer, -1);
	kill(child->pid, SIGKILL);
}

void gr_child_kill(struct gr_child *child, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	kill_for(child, format, arguments);
	va_end(arguments);
}

/* It said what it may not say. */
static void __attribute__((format(printf, 2, 3))) violation(struct gr_child *child, const char *format, ...)
{
	va_list arguments;

	child->violated = 1;
	va_start(arguments, format);
	kill_for(child, format, arguments);
	va_end(arguments);
}

void gr_child_finish(struct gr_child *child, int64_t ms)
{
	if (!gr_child_alive(child) || child->asked)
		return;
	child->asked = 1;
	/* Only our half: what it says on its way out (CLOSED, GONE) is still heard. */
	if (child->control >= 0)
		shutdown(child->control, SHUT_WR);
	child->state = GR_CHILD_ENDING;
	gr_loop_timer_set(child->timer, ms);
}

static void timer_over(void *context)
{
	struct gr_child *child = context;

	if (child->state == GR_CHILD_STARTING)
		gr_child_kill(child, "was not ready in time");
	else
		gr_child_kill(child, "did not end in time");
}

void gr_child_send(struct gr_child *child, const struct gr_ipc_message *message, int fd)
{
	int rc;

	if (child->state != GR_CHILD_STARTING && child->state != GR_CHILD_READY)
		return;
	rc = gr_ipc_send(child->control, message, fd);
	/* A closed socket is seen when reading, after what it sent last. */
	if (rc < 0 && rc != GR_ECLOSED)
		gr_child_kill(child, "does not take its messages (%s)", gr_status_text(rc));
}

static void deliver(struct gr_child *child, const struct gr_ipc_message *message, int *fd)
{
	if (!gr_ipc_permitted(child->kind, message->type)) {
		violation(child, "sent message %" PRIu32 ", which is not its own", message->type);
		return;
	}
	if (message->type == GR_IPC_READY && child->asked)
		return; /* crossed our request to end */
	if (!child->asked && (message->type == GR_IPC_READY) != (child->state == GR_CHILD_STARTING)) {
		violation(child, "sent message %" PRIu32 " %s READY", message->type,
			  child->state == GR_CHILD_STARTING ? "before its" : "after its");
		return;
	}
	if (message->type == GR_IPC_READY) {
		child->state = GR_CHILD_READY;
		gr_loop_timer_set(child->timer, -1);
		child->owner->ready(child);
	} else if (child->owner->message(child, message, fd) < 0) {
		violation(child, "sent message %" PRIu32 " in a state that does not permit it", message->type);
	}
}

/* Returns 0 when there may be more, or why there is none. */
static int receive_some(struct gr_child *child, unsigned count)
{
	while (count-- && child->control >= 0) {
		struct gr_ipc_message message;
		int fd = -1;
		int rc = gr_ipc_receive(child->control, &message, &fd);

		if (rc < 0)
			return rc;
		deliver(child, &message, &fd);
		gr_io_close(&fd);
		explicit_bzero(&message, sizeof(message)); /* the identity process's may hold a password for an admin */
	}
	return child->control >= 0 ? 0 : GR_ECLOSED;
}

static void receive_failed(struct gr_child *child, int rc)
{
	if (rc == 0 || rc == GR_EAGAIN || child->control < 0)
		return;
	if (rc == GR_ECLOSED) {
		close_control(child);
		if (!child->asked)
			gr_loop_timer_set(child->timer, END_MS);
		child->state = GR_CHILD_ENDING;
	} else {
		violation(child, "sent what is no message (%s)", gr_status_text(rc));
	}
}

static void control_ready(void *context, int fd, unsigned events)
{
	struct gr_child *child = context;

	(void)fd;
	(void)events;
	receive_failed(child, receive_some(child, MESSAGES_PER_TURN));
}

void gr_child_drain(struct gr_child *child)
{
	int rc;

	if (!gr_child_alive(child) || child->control < 0)
		return;
	do
		rc = receive_some(child, MESSAGES_PER_TURN);
	while (rc == 0);
	receive_failed(child, rc);
}

static void ended(struct gr_child *child, int status)
{
	struct gr_child_end end = { 0 };

	gr_child_drain(child);
	close_control(child);
	gr_loop_timer_remove(child->timer);
	child->timer = NULL;
	LIST_REMOVE(child, link);
	child->state = GR_CHILD_NONE;
	child->pid = 0;
	if (child->fault[0])
		snprintf(end.text, sizeof(end.text), "%s", child->fault);
	else if (WIFSIGNALED(status))
		snprintf(end.text, sizeof(end.text), "killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(end.text, sizeof(end.text), "exit status %d", WEXITSTATUS(status));
	end.in_order = !child->fault[0] && (child->asked || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
	end.violated = child->violated;
	child->owner->ended(child, &end);
}

void gr_children_reap(struct gr_children *children)
{
	for (;;) {
		struct gr_child *child;
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid <= 0)
			return;
		LIST_FOREACH(child, &children->list, link)
		{
			if (child->pid == pid) {
				ended(child, status);
				break;
			}
		}
	}
}

void gr_children_end_all(struct gr_children *children)
{
	struct gr_child *child;

	while ((child = LIST_FIRST(&children->list))) {
		gr_log_warning("garasu-%s (process %d) is killed: it has not ended", gr_ipc_kind_name(child->kind),
			       (int)child->pid);
		kill(child->pid, SIGKILL);
		while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
		close_control(child);
		gr_loop_timer_remove(child->timer);
		LIST_REMOVE(child, link);
		child->state = GR_CHILD_NONE;
	}
}

int gr_child_adopt(struct gr_children *children, struct gr_child *child, const struct gr_child_start *start, pid_t pid,
		   int control)
{
	int size = CONTROL_BUFFER;

	memset(child, 0, sizeof(*child));
	child->children = children;
	child->owner = start->owner;
	child->context = start->context;
	child->kind = start->kind;
	child->pid = pid;
	child->control = control;
	child->watch = gr_loop_add(children->loop, control, GR_LOOP_READ, control_ready, child);
	child->timer = gr_loop_timer_add(children->loop, timer_over, child);
	if (!child->watch || !child->timer) {
		gr_loop_remove(child->watch);
		gr_loop_timer_remove(child->timer);
		memset(child, 0, sizeof(*child));
		child->control = -1;
		return GR_ENOMEM;
	}
	if (setsockopt(control, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		gr_log_debug("the buffer of a control socket keeps its size: %s", strerror(errno));
	child->state = GR_CHILD_STARTING;
	gr_loop_timer_set(child->timer, start->ready_ms);
	LIST_INSERT_HEAD(&children->list, child, link);
	return 0;
}

struct program {
	char path[PATH_MAX + 32];
	char number[24];
	char *argv[5];
	char *envp[8];
	size_t env_count;
};

/* Passes a variable on, with more behind its value. */
static void add_environment(struct program *program, const char *name, const char *more)
{
	size_t i = program->env_count;
	const char *value = getenv(name);

	if ((value || *more) && i + 1 < sizeof(program->envp) / sizeof(program->envp[0])) {
		size_t size = strlen(name) + (value ? strlen(value) : 0) + strlen(more) + 2;

		program->envp[i] = malloc(size);
		if (program->envp[i]) {
			snprintf(program->envp[i], size, "%s=%s%s", name, value ? value : "", more);
			program->env_count++;
		}
	}
}

/* All allocation is done before fork: the child only moves descriptors and execs. */
static void prepare(struct program *program, const struct gr_children *children, const struct gr_child_start *start)
{
	static char path_variable[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	static char language_variable[] = "LANG=C.UTF-8";
	size_t argc = 0;

	memset(program, 0, sizeof(*program));
	snprintf(program->path, sizeof(program->path), "%s/garasu-%s", children->programs,
		 gr_ipc_kind_name(start->kind));
	program->argv[argc++] = strrchr(program->path, '/') + 1;
	program->argv[argc++] = (char *)(uintptr_t)children->config_file;
	if (start->kind == GR_IPC_KIND_GATEWAY || start->kind == GR_IPC_KIND_SESSION) {
		snprintf(program->number, sizeof(program->number), "%" PRIu64, start->number);
		program->argv[argc++] = program->number;
		if (start->argument)
			program->argv[argc++] = (char *)(uintptr_t)start->argument;
	}
	program->envp[0] = path_variable;
	program->envp[1] = language_variable;
	program->env_count = 2;
#ifdef GR_PASS_SANITIZER_OPTIONS
	/* The leak detector traces its own process, which a confined one does not allow: it would hang at its end. */
	add_environment(program, "ASAN_OPTIONS", ":detect_leaks=0");
	add_environment(program, "UBSAN_OPTIONS", "");
#else
	(void)add_environment;
#endif
}

static void release(struct program *program)
{
	for (size_t i = 2; i < program->env_count; i++)
		free(program->envp[i]);
}

static void __attribute__((noreturn)) become(const struct program *program, const struct gr_children *children,
					     const struct gr_child_start *start, int control, pid_t parent)
{
	static const char complaint[] = "garasu-broker: error: cannot start a child's program\n";
	struct rlimit limit = { 0, 0 };
	int high[4];
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	unsigned count = 1 + (unsigned)start->fd_count;

	/* First away from the low numbers, then down in order: a source may stand where a target comes. */
	high[0] = fcntl(control, F_DUPFD_CLOEXEC, 64);
	for (unsigned i = 1; i < count; i++)
		high[i] = fcntl(start->fds[i - 1], F_DUPFD_CLOEXEC, 64);
	/* Standard output has one line of the supervisor's own; the children talk on standard error. */
	if (null < 0 || dup2(null, 0) < 0 || dup2(2, 1) < 0)
		goto failed;
	for (unsigned i = 0; i < count; i++)
		if (high[i] < 0 || dup2(high[i], GR_IPC_CONTROL_FD + (int)i) < 0)
			goto failed;
	if (close_range(GR_IPC_CONTROL_FD + count, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		goto failed;
	/* A session of its own: Ctrl-C at the terminal is for the supervisor alone, and no child can type into it. */
	if (setsid() < 0 || chdir("/") < 0)
		goto failed;
	for (int signo = 1; signo < 32; signo++)
		signal(signo, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && children->descriptors) {
		limit.rlim_cur = children->descriptors < limit.rlim_max ? children->descriptors : limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	/* Holds until the child changes its uid; after that the end of the control socket tells it. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	execve(program->path, program->argv, program->envp);
failed:
	if (write(2, complaint, sizeof(complaint) - 1) < 0)
		_exit(126);
	_exit(127);
}

int gr_child_start(struct gr_children *children, struct gr_child *child, const struct gr_child_start *start,
		   struct gr_error *err)
{
	struct program program;
	int pair[2];
	pid_t parent = getpid(), pid;
	sigset_t all, before;

	if (gr_io_pair(SOCK_SEQPACKET, pair) < 0)
		return gr_error_errno(err, "cannot make a control socket");
	prepare(&program, children, start);
	/* No handler of ours may run in the child. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		become(&program, children, start, pair[1], parent);
	sigprocmask(SIG_SETMASK, &before, NULL);
	release(&program);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return gr_error_errno(err, "cannot start garasu-%s", gr_ipc_kind_name(start->kind));
	}
	if (gr_child_adopt(children, child, start, pid, pair[0]) < 0) {
		close(pair[0]); /* which ends it */
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	}
	return 0;
}
