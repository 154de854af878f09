/*
 * Run inside a container: tries what must not work there and prints what came out, one line each, "TEST NAME RESULT";
 * RESULT is "allowed", an errno's name or a signal's. Each try is in a process of its own. The calls get bad arguments
 * chosen so that one that gets through has no effect, and so that the kernel's own refusal differs, where it can, from
 * the filter's EPERM. Static, so that its root file system needs nothing else.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOWHERE ((long)0)

/* Ends the child with the result of a call: 0 = allowed, otherwise errno. */
static _Noreturn void tell(long result)
{
	_exit(result < 0 ? errno & 0xff : 0);
}

static void report(const char *test, const char *name, int status)
{
	if (WIFSIGNALED(status))
		printf("%s %s SIG%s\n", test, name, sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == 0)
		printf("%s %s allowed\n", test, name);
	else
		printf("%s %s %s\n", test, name, strerrorname_np(WEXITSTATUS(status)));
	fflush(stdout);
}

static int in_child(pid_t pid)
{
	int status = 0;
	if (pid < 0 || waitpid(pid, &status, 0) < 0) {
		printf("probe: cannot fork: %s\n", strerror(errno));
		exit(3);
	}
	return status;
}

/* TRY("T4", "name", expression) */
#define TRY(test, name, expression)                                                                                    \
	do {                                                                                                           \
		pid_t child_ = fork();                                                                                 \
		if (child_ == 0)                                                                                       \
			tell((long)(expression));                                                                      \
		report(test, name, in_child(child_));                                                                  \
	} while (0)

static void try_call(const char *test, const char *name, long number, long a, long b, long c, long d, long e)
{
	TRY(test, name, syscall(number, a, b, c, d, e));
}

static void sockets(void)
{
	static const struct {
		const char *name;
		int family, type, protocol;
	} kinds[] = {
		{ "AF_INET6", AF_INET6, SOCK_STREAM, 0 },
		{ "AF_NETLINK", AF_NETLINK, SOCK_RAW, 0 },
		{ "AF_PACKET", AF_PACKET, SOCK_RAW, 0 },
		{ "AF_VSOCK", AF_VSOCK, SOCK_STREAM, 0 },
		{ "AF_ALG", AF_ALG, SOCK_SEQPACKET, 0 },
		{ "AF_TIPC", AF_TIPC, SOCK_RDM, 0 },
		{ "AF_BLUETOOTH", AF_BLUETOOTH, SOCK_RAW, 0 },
		{ "AF_KEY", AF_KEY, SOCK_RAW, 2 },
		{ "AF_XDP", AF_XDP, SOCK_RAW, 0 },
		{ "AF_RDS", AF_RDS, SOCK_SEQPACKET, 0 },
		{ "AF_SMC", AF_SMC, SOCK_STREAM, 0 },
		{ "AF_QIPCRTR", AF_QIPCRTR, SOCK_DGRAM, 0 },
		{ "raw", AF_INET, SOCK_RAW, IPPROTO_ICMP },
		{ "ping", AF_INET, SOCK_DGRAM, IPPROTO_ICMP },
		{ "sctp", AF_INET, SOCK_STREAM, IPPROTO_SCTP },
		{ "mptcp", AF_INET, SOCK_STREAM, IPPROTO_MPTCP },
		{ "family-with-high-bits", 0, 0, 0 },
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (kinds[i].type)
			TRY("T4", kinds[i].name, socket(kinds[i].family, kinds[i].type, kinds[i].protocol));
		else /* the kernel looks at 32 bits, a filter at 64: AF_NETLINK behind a value that is none */
			try_call("T4", kinds[i].name, SYS_socket, (1L << 32) | AF_NETLINK, SOCK_RAW, 0, 0, 0);
	}
	int pair[2];
	TRY("T4", "socketpair-AF_TIPC", socketpair(AF_TIPC, SOCK_STREAM, 0, pair));
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	char bytes[64] = { 0 };
	TRY("T4", "setsockopt-IPT_SO_SET_REPLACE", setsockopt(udp, SOL_IP, 64, bytes, 0));
	TRY("T4", "setsockopt-SO_ATTACH_FILTER", setsockopt(udp, SOL_SOCKET, SO_ATTACH_FILTER, bytes, 0));
	try_call("T4", "setsockopt-level-with-high-bits", SYS_setsockopt, udp, 1L << 32, 64, (long)bytes, 0);
	close(udp);
}

static void other_processes(void)
{
	try_call("T5", "ptrace", SYS_ptrace, 0xbad, NOWHERE, NOWHERE, NOWHERE, 0);
	try_call("T5", "process_vm_readv", SYS_process_vm_readv, NOWHERE, NOWHERE, 0, NOWHERE, 0);
	try_call("T5", "process_vm_writev", SYS_process_vm_writev, NOWHERE, NOWHERE, 0, NOWHERE, 0);
	try_call("T5", "process_madvise", SYS_process_madvise, -1, NOWHERE, 0, 0, 0);
	try_call("T5", "pidfd_getfd", SYS_pidfd_getfd, -1, -1, 0, 0, 0);
	try_call("T5", "kcmp", SYS_kcmp, -1, -1, 0, 0, 0);
	try_call("T5", "setns", SYS_setns, -1, 0, 0, 0, 0);
}

static void mounts(void)
{
	try_call("T6", "mount", SYS_mount, NOWHERE, NOWHERE, NOWHERE, 0, NOWHERE);
	try_call("T6", "umount2", SYS_umount2, NOWHERE, -1, 0, 0, 0);
	try_call("T6", "pivot_root", SYS_pivot_root, NOWHERE, NOWHERE, 0, 0, 0);
	try_call("T6", "fsopen", SYS_fsopen, NOWHERE, -1, 0, 0, 0);
	try_call("T6", "fsconfig", SYS_fsconfig, -1, -1, NOWHERE, NOWHERE, 0);
	try_call("T6", "fsmount", SYS_fsmount, -1, -1, -1, 0, 0);
	try_call("T6", "fspick", SYS_fspick, -1, NOWHERE, -1, 0, 0);
	try_call("T6", "open_tree", SYS_open_tree, -1, NOWHERE, 0, 0, 0);
	try_call("T6", "move_mount", SYS_move_mount, -1, NOWHERE, -1, NOWHERE, 0);
	try_call("T6", "mount_setattr", SYS_mount_setattr, -1, NOWHERE, 0, NOWHERE, 0);
	try_call("T6", "chroot", SYS_chroot, (long)"/", 0, 0, 0, 0);
	TRY("T6", "unshare-NEWNS", unshare(CLONE_NEWUSER | CLONE_NEWNS));
	TRY("T6", "unshare-NEWCGROUP", unshare(CLONE_NEWUSER | CLONE_NEWCGROUP));
	TRY("T6", "unshare-NEWIPC", unshare(CLONE_NEWUSER | CLONE_NEWIPC));
	TRY("T6", "unshare-NEWUTS", unshare(CLONE_NEWUSER | CLONE_NEWUTS));
	TRY("T6", "unshare-NEWTIME", unshare(CLONE_NEWUSER | 0x80));
	try_call("T6", "clone-NEWNS", SYS_clone,
		 CLONE_NEWUSER | CLONE_NEWNS | CLONE_VM /* invalid without a stack that fits */ | CLONE_FS, 0, 0, 0, 0);
	try_call("T6", "clone3", SYS_clone3, NOWHERE, 0, 0, 0, 0);
	TRY("T6", "unshare-NEWUSER-alone", unshare(CLONE_NEWUSER)); /* Chromium's own sandbox needs this one */
}

static void kernel_interfaces(void)
{
	try_call("T7", "keyctl", SYS_keyctl, -1, 0, 0, 0, 0);
	try_call("T7", "add_key", SYS_add_key, NOWHERE, NOWHERE, NOWHERE, 0, 0);
	try_call("T7", "request_key", SYS_request_key, NOWHERE, NOWHERE, NOWHERE, 0, 0);
	try_call("T7", "bpf", SYS_bpf, -1, NOWHERE, 0, 0, 0);
	try_call("T7", "perf_event_open", SYS_perf_event_open, NOWHERE, -1, -1, -1, -1);
	try_call("T7", "userfaultfd", SYS_userfaultfd, -1, 0, 0, 0, 0);
	try_call("T7", "io_uring_setup", SYS_io_uring_setup, 0, NOWHERE, 0, 0, 0);
	try_call("T7", "io_uring_enter", SYS_io_uring_enter, -1, 0, 0, 0, 0);
	try_call("T7", "io_uring_register", SYS_io_uring_register, -1, -1, NOWHERE, 0, 0);
	try_call("T7", "io_setup", SYS_io_setup, 0, NOWHERE, 0, 0, 0);
	try_call("T7", "kexec_load", SYS_kexec_load, NOWHERE, 0, NOWHERE, -1, 0);
	try_call("T7", "kexec_file_load", SYS_kexec_file_load, -1, -1, 0, NOWHERE, -1);
	try_call("T7", "init_module", SYS_init_module, NOWHERE, 0, NOWHERE, 0, 0);
	try_call("T7", "finit_module", SYS_finit_module, -1, NOWHERE, -1, 0, 0);
	try_call("T7", "delete_module", SYS_delete_module, NOWHERE, -1, 0, 0, 0);
	try_call("T7", "open_by_handle_at", SYS_open_by_handle_at, -1, NOWHERE, 0, 0, 0);
	try_call("T7", "name_to_handle_at", SYS_name_to_handle_at, -1, NOWHERE, NOWHERE, NOWHERE, 0);
	try_call("T7", "personality-ADDR_NO_RANDOMIZE", SYS_personality, ADDR_NO_RANDOMIZE, 0, 0, 0, 0);
	try_call("T7", "personality-query", SYS_personality, 0xffffffffL, 0, 0, 0, 0);
	try_call("T7", "syslog", SYS_syslog, -1, NOWHERE, 0, 0, 0);
	try_call("T7", "quotactl", SYS_quotactl, -1, NOWHERE, 0, NOWHERE, 0);
	try_call("T7", "swapon", SYS_swapon, NOWHERE, 0, 0, 0, 0);
	try_call("T7", "reboot", SYS_reboot, 0, 0, 0, NOWHERE, 0);
	try_call("T7", "acct", SYS_acct, 1, 0, 0, 0, 0);
	try_call("T7", "settimeofday", SYS_settimeofday, 1, NOWHERE, 0, 0, 0);
	try_call("T7", "sethostname", SYS_sethostname, NOWHERE, -1, 0, 0, 0);
	try_call("T7", "iopl", SYS_iopl, 99, 0, 0, 0, 0);
	try_call("T7", "modify_ldt", SYS_modify_ldt, 99, NOWHERE, 0, 0, 0);
	try_call("T7", "fanotify_init", SYS_fanotify_init, -1, -1, 0, 0, 0);
	try_call("T7", "mbind", SYS_mbind, 0, 0, -1, NOWHERE, 0);
	try_call("T7", "move_pages", SYS_move_pages, -1, 0, NOWHERE, NOWHERE, NOWHERE);
	try_call("T7", "vmsplice", SYS_vmsplice, -1, NOWHERE, 0, 0, 0);
	try_call("T7", "mq_open", SYS_mq_open, NOWHERE, 0, 0, 0, 0);
	/* On a descriptor that is none: nobody's terminal types anything. */
	try_call("T7", "ioctl-TIOCSTI", SYS_ioctl, -1, TIOCSTI, NOWHERE, 0, 0);
	try_call("T7", "ioctl-TIOCLINUX", SYS_ioctl, -1, TIOCLINUX, NOWHERE, 0, 0);
	try_call("T7", "ioctl-SIOCGIFCONF", SYS_ioctl, -1, SIOCGIFCONF, NOWHERE, 0, 0);
	try_call("T7", "ioctl-with-high-bits", SYS_ioctl, -1, (1L << 32) | TIOCSTI, NOWHERE, 0, 0);
	try_call("T7", "ioctl-FIONREAD", SYS_ioctl, -1, FIONREAD, NOWHERE, 0, 0); /* this one reaches the kernel */
	try_call("T7", "semget", SYS_semget, 0, -1, 0, 0, 0);
	try_call("T7", "splice", SYS_splice, -1, NOWHERE, -1, NOWHERE, 0);
	try_call("T7", "tee", SYS_tee, -1, -1, 0, 0, 0);
	try_call("T7", "setxattr", SYS_setxattr, NOWHERE, NOWHERE, NOWHERE, 0, 0);
	try_call("T7", "chown", SYS_chown, NOWHERE, -1, -1, 0, 0);
	try_call("T7", "mlockall", SYS_mlockall, 0, 0, 0, 0, 0);
	try_call("T7", "execveat", SYS_execveat, -1, NOWHERE, NOWHERE, NOWHERE, -1);
	try_call("T7", "syncfs", SYS_syncfs, -1, 0, 0, 0, 0);
	try_call("T7", "setgroups", SYS_setgroups, -1, NOWHERE, 0, 0, 0);
	try_call("T7", "lookup_dcookie", SYS_lookup_dcookie, 0, NOWHERE, 0, 0, 0);
}

static void other_abis(void)
{
	try_call("T8", "x32-getpid", 0x40000000L | SYS_getpid, 0, 0, 0, 0, 0);
	pid_t child = fork();
	if (child == 0) {
		long result = 20; /* getpid of i386 */
		__asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
		_exit(0);
	}
	report("T8", "int80-getpid", in_child(child));
	/* gVisor has no i386: the number is that of the 64-bit call, which must be denied there as well. */
	child = fork();
	if (child == 0) {
		long result = SYS_ptrace;
		__asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
		_exit(result < 0 ? (int)-result & 0xff : 0);
	}
	report("T8", "int80-ptrace", in_child(child));
}

static int write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -1 : 0; /* opening is enough: nothing is written */
}

static int run_from(const char *directory)
{
	char copy[64];
	snprintf(copy, sizeof(copy), "%s/probe", directory);
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
	    out = open(copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	if (in < 0 || out < 0)
		return -1;
	char block[4096];
	for (ssize_t n; (n = read(in, block, sizeof(block))) > 0;)
		if (write(out, block, (size_t)n) != n)
			return -1;
	close(out);
	char *const argv[] = { copy, (char[]){ "nothing" }, NULL };
	return execv(copy, argv);
}

static void files(void)
{
	TRY("T9", "create-in-root", open("/garasu-was-here", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	TRY("T9", "create-in-usr", open("/usr/garasu-was-here", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	TRY("T9", "create-in-io", open("/run/garasu/garasu-was-here", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	TRY("T9", "create-in-run", open("/run/garasu-was-here", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	TRY("T9", "create-in-dev", open("/dev/garasu-was-here", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	TRY("T9", "write-home-policy", write_file("/etc/chromium/policies/managed/home.json"));
	TRY("T9", "write-core_pattern", write_file("/proc/sys/kernel/core_pattern"));
	TRY("T9", "write-ip_forward", write_file("/proc/sys/net/ipv4/ip_forward"));
	TRY("T9", "write-sysrq", write_file("/proc/sysrq-trigger"));
	TRY("T9", "write-sys", write_file("/sys/kernel/uevent_helper"));
	TRY("T9", "open-cgroup", open("/sys/fs/cgroup", O_RDONLY | O_CLOEXEC));
	TRY("T9", "read-kcore", read(open("/proc/kcore", O_RDONLY | O_CLOEXEC), (char[1]){ 0 }, 1));
	TRY("T9", "open-mem", open("/dev/mem", O_RDONLY | O_CLOEXEC));
	TRY("T9", "open-kmsg", open("/dev/kmsg", O_RDONLY | O_CLOEXEC));
	TRY("T9", "open-kvm", open("/dev/kvm", O_RDWR | O_CLOEXEC));
	TRY("T9", "open-fuse", open("/dev/fuse", O_RDWR | O_CLOEXEC));
	TRY("T9", "open-ptmx", open("/dev/ptmx", O_RDWR | O_CLOEXEC | O_NOCTTY));
	TRY("T9", "open-tty", open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
	/* The machine's own device: as it is, so that nothing changes when it works. */
	TRY("T9", "chmod-dev-null", chmod("/dev/null", 0666));
	TRY("T9", "chmod-dev-zero", chmod("/dev/zero", 0666));
	TRY("T9", "chmod-dev-urandom", chmod("/dev/urandom", 0666));
	TRY("T9", "mknod-device", mknod("/tmp/device", S_IFCHR | 0600, makedev(1, 1)));
	TRY("T9", "mknod-fifo", mknod("/tmp/fifo", S_IFIFO | 0600, 0));
	TRY("T9", "exec-from-tmp", run_from("/tmp"));
	TRY("T9", "exec-from-home", run_from("/home/browser"));
	TRY("T9", "exec-from-shm", run_from("/dev/shm"));
	TRY("T9", "exec-from-var-tmp", run_from("/var/tmp"));
	TRY("T9", "setuid-root", setuid(0));
	TRY("T9", "write-tmp", open("/tmp/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)); /* this one must work */
}

static long connect_to(int family, int type, const struct sockaddr *address, socklen_t size)
{
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, address, size) < 0 && errno != EINPROGRESS)
		return -1;
	struct pollfd poller = { .fd = fd, .events = POLLOUT };
	int error = ETIMEDOUT;
	if (poll(&poller, 1, 2000) > 0)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){ sizeof(error) });
	if (!error && send(fd, "x", 1, MSG_NOSIGNAL) == 1)
		return 0;
	errno = error ? error : errno;
	return -1;
}

/* "1.2.3.4:80" over TCP and UDP, or "@name" of an abstract UNIX socket. */
static void reach(char *where)
{
	char name[128];
	if (where[0] == '@') {
		struct sockaddr_un unix_address = { .sun_family = AF_UNIX };
		size_t n = strlen(where + 1);
		if (n > sizeof(unix_address.sun_path) - 1)
			return;
		memcpy(unix_address.sun_path + 1, where + 1, n);
		TRY("T2", "abstract",
		    connect_to(AF_UNIX, SOCK_STREAM, (struct sockaddr *)&unix_address,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)));
		return;
	}
	char *colon = strchr(where, ':');
	if (!colon)
		return;
	*colon = 0;
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)) };
	inet_pton(AF_INET, where, &address.sin_addr);
	snprintf(name, sizeof(name), "tcp-%s:%s", where, colon + 1);
	TRY("T2", name, connect_to(AF_INET, SOCK_STREAM, (struct sockaddr *)&address, sizeof(address)));
	snprintf(name, sizeof(name), "udp-%s:%s", where, colon + 1);
	TRY("T2", name, connect_to(AF_INET, SOCK_DGRAM, (struct sockaddr *)&address, sizeof(address)));
}

static void copy_out(const char *label, const char *path)
{
	FILE *in = fopen(path, "re");
	char line[512];
	if (!in)
		printf("%s cannot open %s: %s\n", label, path, strerrorname_np(errno));
	while (in && fgets(line, sizeof(line), in))
		printf("%s %s%s", label, line, strchr(line, '\n') ? "" : "\n");
	if (in)
		fclose(in);
}

/* Every device in /dev, whatever it is called: "device 1:3 null". */
static void devices(void)
{
	DIR *dev = opendir("/dev");
	for (struct dirent *entry; dev && (entry = readdir(dev));) {
		struct stat st;
		if (fstatat(dirfd(dev), entry->d_name, &st, 0) == 0 && (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
			printf("device %u:%u %s\n", major(st.st_rdev), minor(st.st_rdev), entry->d_name);
	}
	if (dev)
		closedir(dev);
}

static void identity(void)
{
	static const char *const kinds[] = { "user", "pid", "mnt", "ipc", "uts", "cgroup", "net" };
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		char path[64], target[64];
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		ssize_t n = readlink(path, target, sizeof(target) - 1);
		printf("namespace %.*s\n", n > 0 ? (int)n : 0, target);
	}
	copy_out("status", "/proc/self/status");
	copy_out("uid_map", "/proc/self/uid_map");
	copy_out("cgroup", "/proc/self/cgroup");
	copy_out("mount", "/proc/self/mountinfo");
	copy_out("interface", "/proc/net/dev");
	copy_out("route", "/proc/net/route");
	copy_out("route6", "/proc/net/ipv6_route");
	copy_out("oom", "/proc/self/oom_score_adj");
	devices();
	for (int fd = 0; fd < 64; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("descriptor %d\n", fd);
}

static void fork_bomb(void)
{
	int count = 0, error = 0;
	fflush(stdout);
	while (count < 100000) {
		pid_t child = fork();
		if (child == 0) {
			pause();
			_exit(0);
		}
		if (child < 0) {
			error = errno;
			break;
		}
		count++;
	}
	printf("T10 forked %d then %s\n", count, error ? strerrorname_np(error) : "nothing");
	fflush(stdout);
	_exit(0); /* first process of its pid namespace: the others die with it */
}

static void eat_memory(size_t mib)
{
	for (size_t i = 0; i < mib; i++) {
		char *block = malloc(1 << 20);
		if (!block) {
			printf("T11 malloc failed\n");
			exit(4);
		}
		memset(block, (int)i | 1, 1 << 20);
		__asm__ volatile("" : : "r"(block) : "memory");
	}
	printf("T11 allocated %zu\n", mib);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "calls")) {
			sockets();
			other_processes();
			mounts();
			kernel_interfaces();
			other_abis();
		} else if (!strcmp(argv[i], "files")) {
			files();
		} else if (!strcmp(argv[i], "identity")) {
			identity();
		} else if (!strcmp(argv[i], "fork-bomb")) {
			fork_bomb();
		} else if (!strcmp(argv[i], "sleep") && i + 1 < argc) {
			fflush(stdout);
			sleep((unsigned)strtoul(argv[++i], NULL, 10));
		} else if (!strcmp(argv[i], "memory") && i + 1 < argc) {
			eat_memory(strtoul(argv[++i], NULL, 10));
		} else if (!strcmp(argv[i], "reach") && i + 1 < argc) {
			reach(argv[++i]);
		}
	}
	return 0;
}
