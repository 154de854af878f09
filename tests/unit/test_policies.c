/*
 * The policies of the broker's processes, each applied in a forked child as the process applies it: what it needs works,
 * what it has no business with kills it. test_viewer_sandbox.c has those of the viewer.
 */
#include "broker/admin/policy.h"
#include "broker/audit/policy.h"
#include "broker/egress/policy.h"
#include "broker/forward/policy.h"
#include "broker/gateway/policy.h"
#include "broker/identity/policy.h"
#include "broker/keys/policy.h"
#include "broker/pool/policy.h"
#include "broker/session/policy.h"
#include "common/io.h"
#include "common/landlock.h"
#include "common/loop.h"
#include "tests/unit/policy_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h> /* needs some of those above */

/* What the children find open, as the supervisor would have given it to them. */
static struct gr_loop *loop;
static int packets[2], stream[2] = { -1, -1 };
static int tcp_listener, tcp_client, tcp_server;
static struct sockaddr_in tcp_address;
static char folder[] = "/tmp/garasu-policy-XXXXXX";
static int directory;

#define NEED(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, strerror(errno));                  \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

static int prepare(void **state)
{
	socklen_t size = sizeof(tcp_address);
	(void)state;
	loop = gr_loop_create();
	tcp_address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	tcp_listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	tcp_client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!loop || gr_io_pair(SOCK_SEQPACKET, packets) || gr_io_pair(SOCK_STREAM, stream) ||
	    bind(tcp_listener, (struct sockaddr *)&tcp_address, size) < 0 || listen(tcp_listener, 8) < 0 ||
	    getsockname(tcp_listener, (struct sockaddr *)&tcp_address, &size) < 0 ||
	    connect(tcp_client, (struct sockaddr *)&tcp_address, size) < 0)
		return -1;
	tcp_server = accept4(tcp_listener, NULL, NULL, SOCK_CLOEXEC);
	if (tcp_server < 0 || !mkdtemp(folder) || chmod(folder, 0777) < 0)
		return -1;
	directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return directory < 0 ? -1 : 0;
}

static int clean_up(void **state)
{
	(void)state;
	unlinkat(directory, "record", 0);
	return rmdir(folder);
}

/* ---- what each needs ---- */

static void packet_came(void *context, int fd, unsigned events)
{
	char byte;
	size_t size;
	int passed = -1;
	(void)context;
	(void)events;
	NEED(gr_io_receive(fd, &byte, 1, &size, &passed) == 0 && passed >= 0);
	gr_io_close(&passed);
	gr_loop_stop(loop, 0);
}

static void timer_over(void *context)
{
	(void)context;
	NEED(gr_io_send(packets[0], "x", 1, stream[0]) == 0);
}

/* The loop, a timer, a packet with a descriptor. */
static void use_loop(void)
{
	struct gr_loop_timer *timer = gr_loop_timer_add(loop, timer_over, NULL);
	struct gr_loop_watch *watch = gr_loop_add(loop, packets[1], GR_LOOP_READ, packet_came, NULL);
	NEED(timer && watch);
	gr_loop_timer_set(timer, 1);
	NEED(gr_loop_run(loop) == 0);
	gr_loop_remove(watch);
}

static void use_stream(int write_end, int read_end)
{
	char byte = 0;
	NEED(send(write_end, "y", 1, MSG_NOSIGNAL) == 1);
	NEED(recv(read_end, &byte, 1, 0) == 1 && byte == 'y');
	NEED(shutdown(write_end, SHUT_WR) == 0);
	NEED(recv(read_end, &byte, 1, 0) == 0);
}

/* As the screen's memory and the evidence are made. */
static int make_sealed(size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	NEED(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	NEED(gr_io_write_all(fd, "evidence", 8) == 0);
	NEED(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
	return fd;
}

/* As SQLite does with a database and its journal. */
static void use_database(void)
{
	char path[64], text[5];
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	struct stat status;
	snprintf(path, sizeof(path), "%s/record", folder);
	NEED(stat(path, &status) < 0 && access(path, F_OK) < 0);
	umask(077);
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	NEED(fd >= 0 && fcntl(fd, F_SETLK, &lock) == 0 && fcntl(fd, F_GETLK, &lock) == 0);
	NEED(pwrite(fd, "page", 5, 4096) == 5 && fdatasync(fd) == 0 && fsync(fd) == 0);
	NEED(pread(fd, text, 5, 4096) == 5 && !memcmp(text, "page", 5));
	NEED(ftruncate(fd, 0) == 0 && geteuid() != 0);
	NEED(unlink(path) == 0);
}

static void do_identity(void)
{
	char line[32];
	char *scrypt = malloc(65 << 20);
	use_loop();
	use_database();
	NEED(scrypt && memset(scrypt, 1, 65 << 20));
	free(scrypt);
	FILE *file = fdopen(directory, "r"); /* any descriptor: stdio over it is what counts */
	NEED(file);
	NEED(!fgets(line, sizeof(line), file) && errno == EISDIR);
	NEED(fclose(file) == 0);
}

static void do_admin(void)
{
	struct ucred peer;
	use_loop();
	NEED(getsockopt(packets[0], SOL_SOCKET, SO_PEERCRED, &peer, &(socklen_t){ sizeof(peer) }) == 0);
	NEED(accept4(packets[0], NULL, NULL, SOCK_CLOEXEC) < 0 &&
	     errno == EINVAL); /* no listener, but the call is permitted */
}

static void do_relay(void)
{
	use_loop();
	NEED(gr_io_set_nonblocking(stream[0], 1) == 0);
}

static void do_gateway(void)
{
	int queued, evidence;
	use_loop();
	use_stream(stream[0], stream[1]);
	NEED(gr_io_set_nonblocking(tcp_client, 1) == 0);
	NEED(ioctl(tcp_client, SIOCOUTQ, &queued) == 0);
	NEED(write(tcp_client, "z", 1) == 1 && read(tcp_server, &queued, 1) == 1); /* as OpenSSL does */
	evidence = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	NEED(evidence >= 0 && gr_io_write_all(evidence, "evidence", 8) == 0);
	NEED(fcntl(evidence, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0);
	NEED(gr_io_send(packets[0], "x", 1, evidence) == 0);
	/* The recorder's; there is no context after the fork, but the calls are permitted. */
	NEED(syscall(SYS_io_submit, 0, 1, NULL) < 0 && errno == EINVAL);
	NEED(syscall(SYS_io_getevents, 0, 0, 1, NULL, NULL) < 0 && errno == EINVAL);
	NEED(fdatasync(tcp_client) < 0 && errno == EINVAL);
}

static void do_session(void)
{
	int pair[2], memory = make_sealed((size_t)257 << 20), copy, queued;
	use_loop();
	use_stream(stream[0], stream[1]);
	copy = fcntl(memory, F_DUPFD_CLOEXEC, 3);
	NEED(copy >= 0 && lseek(copy, 0, SEEK_CUR) == 8);
	NEED(mmap(NULL, 4096, PROT_READ, MAP_SHARED, memory, 0) != MAP_FAILED);
	NEED(gr_io_pair(SOCK_STREAM, pair) == 0);
	NEED(ioctl(packets[0], SIOCOUTQ, &queued) == 0);
}

/* What resolving names and connecting takes. Returns the connection. */
static int connect_out(void)
{
	struct sockaddr_storage own;
	socklen_t size = sizeof(own);
	int one = 1, cause = -1;
	use_loop();
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	NEED(udp >= 0 && connect(udp, (struct sockaddr *)&tcp_address, sizeof(tcp_address)) == 0);
	NEED(getsockname(udp, (struct sockaddr *)&own, &size) == 0);
	NEED(send(udp, "q", 1, MSG_NOSIGNAL) == 1);
	int udp6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	NEED(udp6 >= 0 || errno == EAFNOSUPPORT);
	int tcp6 = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	NEED(tcp6 >= 0 || errno == EAFNOSUPPORT);
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	NEED(tcp >= 0 && connect(tcp, (struct sockaddr *)&tcp_address, sizeof(tcp_address)) == 0);
	NEED(gr_io_set_nonblocking(tcp, 1) == 0);
	NEED(setsockopt(tcp, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) == 0);
	NEED(getsockopt(tcp, SOL_SOCKET, SO_ERROR, &cause, &(socklen_t){ sizeof(cause) }) == 0 && cause == 0);
	return tcp;
}

static void do_egress(void)
{
	int tcp = connect_out();
	int server = accept4(tcp_listener, NULL, NULL, SOCK_CLOEXEC);
	NEED(server >= 0);
	NEED(gr_io_set_nonblocking(tcp, 0) == 0);
	char terminal[64];
	NEED(ioctl(-1, TCGETS, terminal) < 0 && errno == EBADF); /* the lexer of a new policy */
	use_stream(tcp, server);
}

static void do_audit(void)
{
	use_loop();
	int fd = openat(directory, "record", O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	char text[5];
	struct stat status;
	NEED(fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0);
	NEED(fchmod(fd, 0600) == 0 && fstat(fd, &status) == 0);
	NEED(gr_io_write_all(fd, "line\n", 5) == 0 && fdatasync(fd) == 0 && fsync(fd) == 0);
	NEED(pread(fd, text, 5, 0) == 5 && !memcmp(text, "line\n", 5));
	NEED(pwrite(fd, "slot", 4, 0) >= 0);
	NEED(ftruncate(fd, 0) == 0);
	NEED(unlinkat(directory, "record", 0) == 0);
}

static void do_forward(void)
{
	int value = 60000, queued;
	int tcp = connect_out();
	NEED(setsockopt(tcp, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof(value)) == 0);
	NEED(ioctl(tcp, SIOCOUTQ, &queued) == 0);
	int fd = openat(directory, ".new", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	struct stat status;
	NEED(fd >= 0 && gr_io_write_all(fd, "state", 5) == 0 && fsync(fd) == 0 && fstat(fd, &status) == 0);
	NEED(renameat(directory, ".new", directory, "record") == 0 && fsync(directory) == 0);
	fd = openat(directory, "record", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char text[5];
	NEED(fd >= 0 && pread(fd, text, 5, 0) == 5 && !memcmp(text, "state", 5));
}

/* ---- */

static const struct {
	const struct gr_confine_policy *policy;
	policy_deed deed;
	const char *except[4]; /* of what kills everywhere else */
} processes[] = {
	{ &gr_keys_policy, use_loop, { NULL } },
	{ &gr_identity_policy, do_identity, { "open", "unlink", "stat", NULL } },
	{ &gr_admin_policy, do_admin, { NULL } },
	{ &gr_relay_policy, do_relay, { NULL } },
	{ &gr_gateway_policy, do_gateway, { NULL } },
	{ &gr_session_policy, do_session, { NULL } },
	{ &gr_egress_policy, do_egress, { "inet socket", "connect", NULL } },
	{ &gr_audit_policy, do_audit, { "open", NULL } },
	{ &gr_forward_policy, do_forward, { "open", "inet socket", "connect", NULL } },
};
#define PROCESSES (sizeof(processes) / sizeof(*processes))

static void what_a_process_needs_works(void **state)
{
	(void)state;
	for (size_t i = 0; i < PROCESSES; i++) {
		gr_io_close(&stream[0]); /* an earlier child has shut it down */
		gr_io_close(&stream[1]);
		assert_int_equal(gr_io_pair(SOCK_STREAM, stream), 0);
		int status = policy_child(processes[i].policy, directory, processes[i].deed);
		if (status)
			fail_msg("%s: what it needs fails (wait status 0x%x)", processes[i].policy->name,
				 (unsigned)status);
		policy_assert_common(processes[i].policy);
	}
}

static void what_it_has_no_business_with_kills(void **state)
{
	(void)state;
	for (size_t i = 0; i < PROCESSES; i++)
		policy_assert_kills(processes[i].policy, processes[i].except);
}

static void open_outside(void)
{
	NEED(openat(AT_FDCWD, "/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	NEED(openat(AT_FDCWD, "/tmp/garasu-policy-file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 && errno == EACCES);
	NEED(openat(directory, "../../etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	NEED(openat(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
}

static void open_and_remove_outside(void)
{
	open_outside();
	NEED(unlinkat(AT_FDCWD, "/tmp/garasu-policy-file", 0) < 0);
}

static void who_opens_files_opens_none_outside_of_the_record(void **state)
{
	(void)state;
	if (gr_landlock_version() < 1) {
		print_message("this kernel has no Landlock\n");
		skip();
	}
	assert_int_equal(policy_child(&gr_audit_policy, directory, open_and_remove_outside), 0);
	assert_int_equal(policy_child(&gr_forward_policy, directory, open_outside), 0);
}

/* Landlock alone, behind a filter that would let all of this pass. */
static const struct gr_seccomp_rule loose_rules[] = {
	GR_CALL(openat), GR_CALL(socket), GR_CALL(connect),   GR_CALL(bind),    GR_CALL(listen),      GR_CALL(kill),
	GR_CALL(unlink), GR_CALL(mkdir),  GR_CALL(prlimit64), GR_CALL(prctl),   GR_CALL(getsockname), GR_CALL(getppid),
	GR_CALL(sendto), GR_CALL(setuid), GR_CALL(capget),    GR_CALL(geteuid),
};
static const struct gr_confine_policy loose = {
	.name = "loose",
	.rules = loose_rules,
	.rule_count = sizeof(loose_rules) / sizeof(*loose_rules),
	.descriptors = 64,
};

static void reach_out(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	NEED(openat(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 && errno == EACCES);
	NEED(openat(directory, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 && errno == EACCES);
	NEED(mkdir("/tmp/garasu-policy-folder", 0700) < 0 && errno == EACCES);
	NEED(connect(tcp, (struct sockaddr *)&tcp_address, sizeof(tcp_address)) < 0 && errno == EACCES);
	NEED(bind(tcp, (struct sockaddr *)&any, sizeof(any)) < 0 && errno == EACCES);
}

static pid_t parent;
static struct sockaddr_un abstract_address;
static socklen_t abstract_size;

static void reach_processes(void)
{
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	NEED(kill(parent, 0) < 0 && errno == EPERM);
	NEED(kill(getpid(), 0) == 0);
	NEED(connect(sock, (struct sockaddr *)&abstract_address, abstract_size) < 0 && errno == EPERM);
}

static int landlock_has(int version)
{
	if (gr_landlock_version() >= version)
		return 1;
	print_message("this kernel's Landlock is version %d: it needs %d\n", gr_landlock_version(), version);
	return 0;
}

static void landlock_denies_files_and_tcp_by_itself(void **state)
{
	(void)state;
	if (!landlock_has(4))
		skip();
	assert_int_equal(policy_child(&loose, -1, reach_out), 0);
}

static void landlock_denies_other_processes_by_itself(void **state)
{
	(void)state;
	if (!landlock_has(6))
		skip();
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	abstract_address.sun_family = AF_UNIX;
	abstract_size =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			    (size_t)snprintf(abstract_address.sun_path + 1, 64, "garasu-policy-%d", (int)getpid()));
	assert_int_equal(bind(listener, (struct sockaddr *)&abstract_address, abstract_size), 0);
	assert_int_equal(listen(listener, 1), 0);
	/* A child of the same user, so that nothing but Landlock forbids the signal. */
	parent = fork();
	if (parent == 0) {
		if (geteuid() == 0 && setuid(65534) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	usleep(1000);
	int status = policy_child(&loose, -1, reach_processes);
	kill(parent, SIGKILL);
	waitpid(parent, NULL, 0);
	close(listener);
	assert_int_equal(status, 0);
}

static int was_root;

static void look_at_itself(void)
{
	struct rlimit limit;
	/* Only root can empty the bounding set; with no_new_privs nobody else is given anything of it either. */
	for (unsigned capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
		NEED(!was_root || prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 0);
	NEED(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	NEED(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	NEED(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2);
	NEED(getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_max == 0);
	NEED(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	NEED(getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_max == 0);
	NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max == 64);
	NEED(setuid(0) < 0);
}

static void nothing_can_be_gained_back(void **state)
{
	(void)state;
	was_root = geteuid() == 0;
	assert_int_equal(policy_child(&loose, -1, look_at_itself), 0);
}

static void write_a_file(void)
{
	char byte = 0;
	NEED(write(tcp_listener, &byte, 1) < 0);
}

static void limits_hold(void **state)
{
	static const struct gr_seccomp_rule rules[] = { GR_CALL(prlimit64) };
	struct gr_confine_policy small = { .name = "small", .rules = rules, .rule_count = 1, .descriptors = 64 };
	int file = openat(directory, "log", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), standard_error = dup(2);
	(void)state;
	assert_true(file >= 0);
	tcp_listener = file;
	/* Nothing is written into a file … */
	int pipe_ends[2];
	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
	dup2(pipe_ends[1], 2);
	int status = policy_child(&small, -1, write_a_file);
	/* … but into a log that is one. */
	dup2(file, 2);
	int log_status = policy_child(&small, -1, write_a_file);
	dup2(standard_error, 2);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
	assert_int_equal(WEXITSTATUS(log_status), 1); /* the write succeeded, which write_a_file tells so */
	unlinkat(directory, "log", 0);
	close(standard_error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_process_needs_works),
		cmocka_unit_test(what_it_has_no_business_with_kills),
		cmocka_unit_test(who_opens_files_opens_none_outside_of_the_record),
		cmocka_unit_test(landlock_denies_files_and_tcp_by_itself),
		cmocka_unit_test(landlock_denies_other_processes_by_itself),
		cmocka_unit_test(nothing_can_be_gained_back),
		cmocka_unit_test(limits_hold),
	};
	return cmocka_run_group_tests(tests, prepare, clean_up);
}
