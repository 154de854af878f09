#include "tests/unit/policy_child.h"

#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef GR_ADDRESS_SANITIZER
#include <sanitizer/common_interface_defs.h>
#endif

#include <cmocka.h> /* needs some of those above */

int policy_child(const struct gr_confine_policy *policy, int directory, policy_deed deed)
{
#ifdef GR_ADDRESS_SANITIZER
	/* What each child would read again of this program's debug information. */
	char once[256];
	__sanitizer_symbolize_pc(__builtin_return_address(0), "%L", once, sizeof(once));
#endif
	pid_t pid = fork();
	if (pid == 0) {
		struct gr_confine_place place = { .uid = geteuid() == 0 ? 65534 : 0, .directory = directory };
		struct gr_error err;
		if (gr_confine(policy, &place, &err)) {
			gr_log_error("%s", err.text);
			_exit(99);
		}
		deed();
		_exit(0);
	}
	int status = -1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void open_file(void)
{
	(void)openat(AT_FDCWD, "/etc/passwd", O_RDONLY | O_CLOEXEC);
}

#ifndef GR_ADDRESS_SANITIZER /* it may try */
static void open_file_the_old_way(void)
{
	syscall(SYS_open, "/etc/passwd", O_RDONLY);
}
#endif

static void remove_file(void)
{
	unlink("/nonexistent/file");
}

static void change_mode(void)
{
	(void)chmod("/nonexistent/file", 0777);
}

static void rename_file(void)
{
	rename("/nonexistent/a", "/nonexistent/b");
}

static void make_link(void)
{
	syscall(SYS_symlink, "/nonexistent/a", "/nonexistent/b");
}

static void look_at_file(void)
{
	struct stat status;
	(void)stat("/etc/passwd", &status);
}

static void make_inet_socket(void)
{
	(void)socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void make_raw_socket(void)
{
	(void)socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP);
}

static void make_ping_socket(void)
{
	(void)socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
}

static void make_mptcp_socket(void)
{
	(void)socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 262 /* IPPROTO_MPTCP */);
}

static void make_unix_socket(void)
{
	(void)socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void make_netlink_socket(void)
{
	(void)socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
}

static void make_vsock_socket(void)
{
	(void)socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void connect_somewhere(void)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	(void)connect(-1, &none, sizeof(none));
}

static void bind_somewhere(void)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	(void)bind(-1, &none, sizeof(none));
}

static void listen_somewhere(void)
{
	listen(-1, 1);
}

static void run_program(void)
{
	char *const arguments[] = { (char *)(uintptr_t) "/bin/true", NULL };
	execve("/bin/true", arguments, arguments + 1);
}

static void make_process(void)
{
	if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0)
		_exit(0);
}

static void make_process_the_old_way(void)
{
	if (syscall(SYS_fork) == 0)
		_exit(0);
}

static void make_process_the_new_way(void)
{
	syscall(SYS_clone3, NULL, 0);
}

static void leave_namespace(void)
{
	(void)unshare(0);
}

static void trace(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void read_memory_of_another(void)
{
	syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0);
}

static void signal_another(void)
{
	kill(1, 0);
}

static void signal_a_thread_of_another(void)
{
	syscall(SYS_tgkill, 1, 1, 0);
}

static void map_executable(void)
{
	(void)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void make_executable(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(memory, 4096, PROT_READ | PROT_EXEC);
}

static void become_another(void)
{
	syscall(SYS_setuid, 65534);
}

static void use_keyring(void)
{
	syscall(SYS_keyctl, -1, 0, 0, 0, 0);
}

static void use_io_uring(void)
{
	syscall(SYS_io_uring_setup, 0, NULL);
}

static void use_bpf(void)
{
	syscall(SYS_bpf, -1, NULL, 0);
}

static void use_userfaultfd(void)
{
	syscall(SYS_userfaultfd, -1);
}

static void open_performance_counter(void)
{
	syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0);
}

static void mount_something(void)
{
	syscall(SYS_mount, NULL, "/nonexistent", NULL, 0, NULL);
}

static void become_dumpable(void)
{
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void raise_limit(void)
{
	struct rlimit more = { 1000, 1000 };
	setrlimit(RLIMIT_NPROC, &more);
}

static void type_into_terminal(void)
{
	char byte = 0;
	ioctl(-1, TIOCSTI, &byte);
}

static void take_file_lease(void)
{
	fcntl(-1, F_SETLEASE, F_RDLCK);
}

static void call_by_x32(void)
{
	syscall(0x40000000 + SYS_getpid);
}

static void call_by_i386(void)
{
	long number = 20; /* getpid */
	__asm__ volatile("int $0x80" : "+a"(number) : : "memory");
}

const struct policy_forbidden policy_forbidden[] = {
	{ "open", open_file },
#ifndef GR_ADDRESS_SANITIZER
	{ "old open", open_file_the_old_way },
#endif
	{ "unlink", remove_file },
	{ "chmod", change_mode },
	{ "rename", rename_file },
	{ "symlink", make_link },
	{ "stat", look_at_file },
	{ "inet socket", make_inet_socket },
	{ "raw socket", make_raw_socket },
	{ "ping socket", make_ping_socket },
	{ "MPTCP socket", make_mptcp_socket },
	{ "unix socket", make_unix_socket },
	{ "netlink socket", make_netlink_socket },
	{ "vsock socket", make_vsock_socket },
	{ "connect", connect_somewhere },
	{ "bind", bind_somewhere },
	{ "listen", listen_somewhere },
	{ "execve", run_program },
	{ "clone", make_process },
	{ "fork", make_process_the_old_way },
	{ "clone3", make_process_the_new_way },
	{ "unshare", leave_namespace },
	{ "ptrace", trace },
	{ "process_vm_readv", read_memory_of_another },
	{ "kill", signal_another },
	{ "tgkill", signal_a_thread_of_another },
	{ "executable mmap", map_executable },
	{ "executable mprotect", make_executable },
	{ "setuid", become_another },
	{ "keyctl", use_keyring },
	{ "io_uring", use_io_uring },
	{ "bpf", use_bpf },
	{ "userfaultfd", use_userfaultfd },
	{ "perf_event_open", open_performance_counter },
	{ "mount", mount_something },
	{ "prctl", become_dumpable },
	{ "setrlimit", raise_limit },
	{ "TIOCSTI", type_into_terminal },
	{ "F_SETLEASE", take_file_lease },
	{ "x32", call_by_x32 },
	{ "i386", call_by_i386 },
	{ NULL, NULL },
};

static int is_among(const char *name, const char *const *names)
{
	for (; names && *names; names++)
		if (!strcmp(name, *names))
			return 1;
	return 0;
}

void policy_assert_kills(const struct gr_confine_policy *policy, const char *const *except)
{
	for (const struct policy_forbidden *one = policy_forbidden; one->name; one++) {
		if (is_among(one->name, except))
			continue;
		int status = policy_child(policy, -1, one->deed);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: %s does not kill (wait status 0x%x)", policy->name, one->name, (unsigned)status);
	}
}

static void work(void)
{
	struct timespec now;
	struct tm tm;
	struct pollfd nothing = { .fd = -1 };
	unsigned char bytes[16];
	char *volatile small = malloc(100), *volatile large = malloc(8 << 20);
	if (!small || !large || clock_gettime(CLOCK_MONOTONIC, &now) < 0 || poll(&nothing, 1, 1) < 0 ||
	    getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes) || !localtime_r(&now.tv_sec, &tm))
		_exit(1);
	memset(large, 1, 8 << 20);
	large = realloc(large, 16 << 20);
	if (!large)
		_exit(2);
	free(large);
	free(small);
	gr_log_info("a line of a confined process");
}

#ifdef GR_ADDRESS_SANITIZER
static void overrun(void)
{
	char *volatile memory = malloc(10);
	((volatile char *)memory)[10] = 1;
}

/* The sanitizer's last words come through, with the stack. */
static void assert_report(const struct gr_confine_policy *policy)
{
	static char report[65536];
	size_t used = 0;
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, (int)sizeof(report)) > 0);
	int standard_error = dup(2);
	dup2(ends[1], 2);
	int status = policy_child(policy, -1, overrun);
	dup2(standard_error, 2);
	close(standard_error);
	close(ends[1]);
	for (ssize_t n; used < sizeof(report) - 1 && (n = read(ends[0], report + used, sizeof(report) - 1 - used)) > 0;)
		used += (size_t)n;
	report[used] = 0;
	close(ends[0]);
	if (!strstr(report, "heap-buffer-overflow") || !strstr(report, "#1 ") || WIFSIGNALED(status))
		fail_msg("%s: no report (wait status 0x%x): %s", policy->name, (unsigned)status, report);
}
#endif

void policy_assert_common(const struct gr_confine_policy *policy)
{
	int status = policy_child(policy, -1, work);
	if (status)
		fail_msg("%s: ordinary work fails (wait status 0x%x)", policy->name, (unsigned)status);
	status = policy_child(policy, -1, abort);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
		fail_msg("%s: abort() does not abort (wait status 0x%x)", policy->name, (unsigned)status);
#ifdef GR_ADDRESS_SANITIZER
	assert_report(policy);
#endif
}
