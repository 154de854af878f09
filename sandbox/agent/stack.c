#include "sandbox/agent/stack.h"
#include "common/io.h"
#include "common/log.h"
#include "common/record.h"
#include "sandbox/agent/port.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	SCREEN_MS = 10000, /* for the X server to take connections */
	STOP_MS = 1500, /* for a polite end */
	ENDS_MAX = 5, /* so many ends ... */
	ENDS_MS = 60000, /* ... within this time are too many */
	BACK_OFF_MS = 100, /* doubled for each recent end */
};

enum service_id { SCREEN, RELAY, KEYBOARD, MANAGER, BUS, CONVERSION, BROWSER, SERVICES };

enum policy {
	ESSENTIAL, /* its end is the container's end */
	RESTARTED, /* started again; too many ends are the container's end */
	OPTIONAL, /* started again; after too many ends done without */
	ONCE, /* runs and ends */
};

static const struct {
	const char *name;
	enum policy policy;
	const char *argv[28];
} programs[SERVICES] = {
	[SCREEN] = { "the X server", ESSENTIAL, { 0 } }, /* its arguments are made at run time */
	[RELAY] = { "the relay to the egress socket", ESSENTIAL, { 0 } }, /* a fork, no program */
	[KEYBOARD] = { "setxkbmap", ONCE, { "/usr/bin/setxkbmap", "-model", "jp106", "-layout", "jp", "-option", "" } },
	[MANAGER] = { "the window manager",
		      RESTARTED,
		      { "/usr/bin/openbox", "--sm-disable", "--config-file", "/etc/xdg/openbox/rc.xml" } },
	[BUS] = { "the session bus", OPTIONAL, { 0 } }, /* its address is made at run time */
	[CONVERSION] = { "fcitx5",
			 OPTIONAL,
			 { "/usr/bin/fcitx5", "--disable=wayland,waylandim,notificationitem,notifications,kimpanel" } },
	[BROWSER] = { "the browser",
		      RESTARTED,
		      /* The binary, not the distribution's wrapper, which adds flags of its own. The proxy is fixed by
			 the managed policies, and there is no other way out. */
		      { "/usr/lib/chromium/chromium", "--user-data-dir=" /* completed at run time */, "--class=garasu",
			"--ozone-platform=x11", "--no-first-run", "--no-default-browser-check",
			"--password-store=basic", "--disable-gpu", "--disable-quic",
			"--force-webrtc-ip-handling-policy=disable_non_proxied_udp", "--disable-background-networking",
			/* Its own sign-in service, which nobody uses here; pages go to theirs as ever. */
			"--gaia-url=https://gaia.invalid", "--disable-features=AutofillServerCommunication",
			"--disable-breakpad", "--noerrdialogs", "--hide-crash-restore-bubble",
			"--disable-smooth-scrolling",
			/* Prints without a dialogue, into a file: the pages are offered to the person by us (print.c). */
			"--kiosk-printing", "--start-maximized", "about:blank" } },
};

struct service {
	struct gr_stack *stack;
	enum service_id id;
	pid_t pid; /* 0: does not run */
	struct gr_loop_timer *restart;
	uint64_t ends[ENDS_MAX]; /* when it ended, ms; a ring */
	size_t ended;
	bool wanted; /* has been started once */
};

struct gr_stack {
	struct gr_loop *loop;
	struct gr_stack_owner owner;
	struct service services[SERVICES];
	int listener; /* of the relay */
	int ready; /* pipe on which the X server says its number */
	struct gr_loop_watch *ready_watch;
	struct gr_loop_timer *timer; /* the X server's deadline, later the end's */
	bool stopping, ended, show_output;
	char number[16]; /* of the display, as far as read */
	size_t digits;
	char geometry[40], display_fd[16], bus_address[160], profile[160], print_folder[160];
};

/* In the child: as a program expects to find the world. */
static void become(const struct gr_stack *stack, int kept)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A group of its own, so that what it leaves behind can be found. */
	setpgid(0, 0);
	/* What the browser prints is the internet's words: it stays out of the operator's log. */
	int null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		if (!stack->show_output) {
			dup2(null, STDOUT_FILENO);
			dup2(null, STDERR_FILENO);
		}
	}
	if (kept >= 0)
		fcntl(kept, F_SETFD, 0);
}

static int start_program(struct service *service, const char *const *argv, int kept, struct gr_error *err)
{
	struct gr_stack *stack = service->stack;
	if (access(argv[0], X_OK) < 0)
		return gr_error_errno(err, "cannot start %s: %s", programs[service->id].name, argv[0]);
	pid_t pid = fork();
	if (pid < 0)
		return gr_error_errno(err, "cannot start %s: fork", programs[service->id].name);
	if (pid == 0) {
		become(stack, kept);
		/* execv's argument is not const for historical reasons only (POSIX, rationale of exec). */
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	service->pid = pid;
	service->wanted = true;
	return 0;
}

static int start_relay(struct service *service, struct gr_error *err)
{
	struct gr_stack *stack = service->stack;
	pid_t pid = fork();
	if (pid < 0)
		return gr_error_errno(err, "cannot start %s: fork", programs[RELAY].name);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		/* Nothing of the agent's but this socket (and stderr) is the relay's business. */
		int listener = fcntl(stack->listener, F_DUPFD_CLOEXEC, 3);
		if (dup2(listener, 3) < 0)
			_exit(1);
		closefrom(4);
		_exit(gr_port_run(3, GR_EGRESS_SOCKET));
	}
	service->pid = pid;
	service->wanted = true;
	return 0;
}

/* A browser that was killed leaves its lock, which names a pid that may be somebody else's by now. */
static void remove_browser_locks(const char *profile)
{
	static const char *const names[] = { "SingletonLock", "SingletonCookie", "SingletonSocket" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[256];
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", profile, names[i]) < sizeof(path))
			unlink(path);
	}
}

static int start(struct gr_stack *stack, enum service_id id, struct gr_error *err)
{
	struct service *service = &stack->services[id];
	const char *argv[28];
	memcpy(argv, programs[id].argv, sizeof(argv));
	switch (id) {
	case RELAY: return start_relay(service, err);
	case BUS: {
		const char *const bus[] = { "/usr/bin/dbus-daemon", "--session",        "--nofork",
					    "--nopidfile",          stack->bus_address, NULL };
		return start_program(service, bus, -1, err);
	}
	case BROWSER: {
		char profile[sizeof(stack->profile) + 32];
		snprintf(profile, sizeof(profile), "--user-data-dir=%s", stack->profile);
		argv[1] = profile;
		remove_browser_locks(stack->profile);
		return start_program(service, argv, -1, err);
	}
	default: return start_program(service, argv, -1, err);
	}
}

static void fail(struct gr_stack *stack, const char *reason)
{
	if (!stack->stopping)
		stack->owner.failed(stack->owner.context, reason);
}

static void restart(void *context)
{
	struct service *service = context;
	struct gr_stack *stack = service->stack;
	struct gr_error err;
	if (stack->stopping)
		return;
	if (start(stack, service->id, &err) < 0) {
		if (programs[service->id].policy == OPTIONAL)
			gr_log_warning("%s", err.text);
		else
			fail(stack, err.text);
		return;
	}
	if (service->id == BROWSER)
		stack->owner.browser(stack->owner.context);
}

static void describe(char *out, size_t cap, const char *name, int status)
{
	if (WIFSIGNALED(status))
		snprintf(out, cap, "%s ended by signal %d (%s)", name, WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(out, cap, "%s ended with exit status %d", name, WEXITSTATUS(status));
}

static void service_ended(struct service *service, int status)
{
	struct gr_stack *stack = service->stack;
	enum policy policy = programs[service->id].policy;
	char how[256], reason[320];
	kill(-service->pid, SIGKILL); /* what it left behind in its group */
	service->pid = 0;
	if (stack->stopping || (policy == ONCE && status == 0))
		return;
	describe(how, sizeof(how), programs[service->id].name, status);
	if (policy == ONCE) {
		gr_log_warning("%s", how);
		return;
	}
	if (policy == ESSENTIAL) {
		fail(stack, how);
		return;
	}
	uint64_t now = gr_io_now_ms();
	service->ends[service->ended++ % ENDS_MAX] = now;
	unsigned recent = 0;
	for (size_t i = 0; i < ENDS_MAX && i < service->ended; i++)
		recent += now - service->ends[i] < ENDS_MS;
	if (recent == ENDS_MAX) {
		snprintf(reason, sizeof(reason), "%s, for the %dth time within %d s", how, ENDS_MAX, ENDS_MS / 1000);
		if (policy == OPTIONAL)
			gr_log_warning("%s: done without from now on", reason);
		else
			fail(stack, reason);
		return;
	}
	gr_log_warning("%s: it is started again", how);
	gr_loop_timer_set(service->restart, BACK_OFF_MS << (recent ? recent - 1 : 0));
}

static void check_ended(struct gr_stack *stack)
{
	if (!stack->stopping || stack->ended)
		return;
	for (int id = 0; id < SERVICES; id++)
		if (stack->services[id].pid)
			return;
	stack->ended = true;
	gr_loop_timer_set(stack->timer, -1);
	stack->owner.ended(stack->owner.context);
}

void gr_stack_reap(struct gr_stack *stack)
{
	pid_t pid;
	int status;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		int id = 0;
		while (id < SERVICES && stack->services[id].pid != pid)
			id++;
		if (id < SERVICES)
			service_ended(&stack->services[id], status);
		else
			stack->owner.reaped(stack->owner.context, pid);
	}
	check_ended(stack);
}

static void signal_all(struct gr_stack *stack, int signo)
{
	for (int id = 0; id < SERVICES; id++) {
		pid_t pid = stack->services[id].pid;
		if (pid)
			kill(signo == SIGKILL ? -pid : pid, signo);
	}
}

static void timer_expired(void *context)
{
	struct gr_stack *stack = context;
	if (stack->stopping)
		signal_all(stack, SIGKILL);
	else
		fail(stack, "the X server does not take connections");
}

void gr_stack_stop(struct gr_stack *stack)
{
	if (stack->stopping)
		return;
	stack->stopping = true;
	signal_all(stack, SIGTERM);
	gr_loop_timer_set(stack->timer, STOP_MS);
	check_ended(stack);
}

static void screen_ready(void *context, int fd, unsigned events)
{
	struct gr_stack *stack = context;
	char display[20];
	(void)events;
	/* Digits and line feed come in two writes; closing between them would end the server with EPIPE. */
	ssize_t n = read(fd, stack->number + stack->digits, sizeof(stack->number) - 1 - stack->digits);
	if (n > 0)
		stack->digits += (size_t)n;
	if (n > 0 && !strchr(stack->number, '\n') && stack->digits < sizeof(stack->number) - 1)
		return;
	gr_loop_remove(stack->ready_watch);
	stack->ready_watch = NULL;
	gr_io_close(&stack->ready);
	if (n <= 0)
		return; /* it ended: SIGCHLD tells how */
	gr_loop_timer_set(stack->timer, -1);
	snprintf(display, sizeof(display), ":%d", atoi(stack->number));
	setenv("DISPLAY", display, 1);
	stack->owner.screen(stack->owner.context);
}

const char *gr_stack_print_folder(const struct gr_stack *stack)
{
	return stack->print_folder;
}

int gr_stack_start_screen(struct gr_stack *stack, uint16_t max_w, uint16_t max_h, struct gr_error *err)
{
	int code = start(stack, RELAY, err);
	if (code < 0)
		return code;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return gr_error_errno(err, "pipe");
	snprintf(stack->geometry, sizeof(stack->geometry), "%ux%ux24", max_w, max_h);
	snprintf(stack->display_fd, sizeof(stack->display_fd), "%d", ends[1]);
	/* Auto-repeat is the viewer's: a server that repeats too would type while a release is on its way. */
	const char *const argv[] = { "/usr/bin/Xvfb",
				     "-displayfd",
				     stack->display_fd,
				     "-screen",
				     "0",
				     stack->geometry,
				     "-nolisten",
				     "tcp",
				     "-nolisten",
				     "local",
				     "-extension",
				     "GLX",
				     "-noreset",
				     "-dpi",
				     "96",
				     "-s",
				     "0",
				     "-ardelay",
				     "86400000",
				     NULL };
	code = start_program(&stack->services[SCREEN], argv, ends[1], err);
	close(ends[1]);
	stack->ready = ends[0];
	if (code < 0)
		return code;
	stack->ready_watch = gr_loop_add(stack->loop, ends[0], GR_LOOP_READ, screen_ready, stack);
	if (!stack->ready_watch)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	gr_loop_timer_set(stack->timer, SCREEN_MS);
	return 0;
}

int gr_stack_start_desktop(struct gr_stack *stack, struct gr_error *err)
{
	struct gr_error no_bus;
	if (start(stack, BUS, &no_bus) < 0) /* before the browser, which asks for it once */
		gr_log_warning("%s", no_bus.text);
	int code = start(stack, KEYBOARD, err);
	return code < 0 ? code : start(stack, MANAGER, err);
}

int gr_stack_start_browser(struct gr_stack *stack, struct gr_error *err)
{
	return stack->services[BROWSER].wanted ? 0 : start(stack, BROWSER, err);
}

void gr_stack_start_conversion(struct gr_stack *stack)
{
	struct gr_error err;
	if (start(stack, CONVERSION, &err) < 0)
		gr_log_warning("%s", err.text);
}

/*
 * Where the browser saves what it prints: no policy says that, so a new profile begins with it. The pages' own downloads have
 * another folder (DownloadDirectory, a policy).
 */
static int prepare_profile(struct gr_stack *stack, struct gr_error *err)
{
	char path[300], text[400];
	snprintf(stack->print_folder, sizeof(stack->print_folder), "%.100s/print", getenv("HOME"));
	snprintf(stack->profile, sizeof(stack->profile), "%.100s/profile", getenv("HOME"));
	int n = snprintf(text, sizeof(text), "{\"savefile\":{\"default_directory\":\"%s\"}}", stack->print_folder);
	mkdir(stack->print_folder, 0700);
	mkdir(stack->profile, 0700);
	snprintf(path, sizeof(path), "%s/Default", stack->profile);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/Default/Preferences", stack->profile);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return gr_error_errno(err, "%s", path);
	int code = gr_io_write_all(fd, text, (size_t)n);
	close(fd);
	return code ? gr_error_set(err, code, "%s cannot be written", path) : 0;
}

static void prepare_environment(struct gr_stack *stack)
{
	static const char *const variables[][2] = {
		{ "HOME", "/home/browser" },
		{ "USER", "browser" },
		{ "LOGNAME", "browser" },
		{ "PATH", "/usr/bin" },
		{ "LANG", "ja_JP.UTF-8" },
		{ "TZ", "Asia/Tokyo" },
		{ "XDG_RUNTIME_DIR", "/tmp/run" },
		{ "GSETTINGS_BACKEND", "memory" },
		{ "GTK_A11Y", "none" },
		{ "NO_AT_BRIDGE", "1" },
		{ "GTK_USE_PORTAL", "0" },
		{ "GTK_IM_MODULE", "garasu" },
		{ "GTK_IM_MODULE_FILE", "/usr/lib/garasu/immodules.cache" },
	};
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		setenv(variables[i][0], variables[i][1], 0);
	const char *run = getenv("XDG_RUNTIME_DIR");
	mkdir(run, 0700);
	snprintf(stack->bus_address, sizeof(stack->bus_address), "--address=unix:path=%.100s/bus", run);
	setenv("DBUS_SESSION_BUS_ADDRESS", strchr(stack->bus_address, '=') + 1, 1);
	stack->show_output = getenv("GARASU_AGENT_SHOW_OUTPUT") != NULL;
}

struct gr_stack *gr_stack_create(struct gr_loop *loop, const struct gr_stack_owner *owner, struct gr_error *err)
{
	struct gr_stack *stack = calloc(1, sizeof(*stack));
	if (!stack) {
		gr_error_set(err, GR_ENOMEM, "out of memory");
		return NULL;
	}
	stack->loop = loop;
	stack->owner = *owner;
	stack->ready = -1;
	prepare_environment(stack);
	bool prepared = prepare_profile(stack, err) == 0;
	stack->listener = prepared ? gr_port_listen(GR_PORT_NUMBER, err) : -1;
	bool memory = (stack->timer = gr_loop_timer_add(loop, timer_expired, stack)) != NULL;
	for (int id = 0; id < SERVICES; id++) {
		struct service *service = &stack->services[id];
		service->stack = stack;
		service->id = (enum service_id)id;
		service->restart = gr_loop_timer_add(loop, restart, service);
		memory = memory && service->restart;
	}
	if (!memory)
		gr_error_set(err, GR_ENOMEM, "out of memory");
	if (!memory || stack->listener < 0) {
		gr_stack_destroy(stack);
		return NULL;
	}
	return stack;
}

void gr_stack_destroy(struct gr_stack *stack)
{
	if (!stack)
		return;
	signal_all(stack, SIGKILL);
	for (int id = 0; id < SERVICES; id++)
		gr_loop_timer_remove(stack->services[id].restart);
	gr_loop_timer_remove(stack->timer);
	gr_loop_remove(stack->ready_watch);
	gr_io_close(&stack->ready);
	gr_io_close(&stack->listener);
	free(stack);
}
