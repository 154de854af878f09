#include "tests/unit/supervisor_driver.h"
#include "common/io.h"
#include "common/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the stand-in ---- */

struct hello {
	int kind;
	unsigned number;
};

static int sockets_of_peers[16];
static unsigned peer_count;

static void pass_to_driver(int drive, int audit)
{
	struct gr_ipc_message message;
	int fd = -1;

	if (gr_ipc_receive(GR_IPC_CONTROL_FD, &message, &fd) == GR_ECLOSED)
		_exit(0);
	if (audit && fd >= 0 && peer_count < 16)
		sockets_of_peers[peer_count++] = fd;
	else
		gr_io_close(&fd);
	send(drive, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void acknowledge(int sock, int drive, const char *where)
{
	static uint64_t sequence;
	struct gr_audit_acknowledgement answer;
	struct gr_audit_event event;
	char full[512];
	size_t size;

	while (gr_io_receive(sock, &event, sizeof(event), &size, NULL) == 0) {
		snprintf(full, sizeof(full), "%s/full", where);
		int writable = access(full, F_OK) != 0;
		answer = (struct gr_audit_acknowledgement){ .token = event.token,
							    .sequence = writable ? ++sequence : 0,
							    .state = writable ? GR_AUDIT_WRITABLE : GR_AUDIT_UNWRITABLE,
							    .cause = writable ? 0 : ENOSPC };
		send(drive, &event, sizeof(event), MSG_NOSIGNAL | MSG_DONTWAIT);
		gr_io_send(sock, &answer, sizeof(answer), -1);
	}
}

static int evidence(void)
{
	int fd = memfd_create("evidence", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	if (write(fd, "FileTransfer", 12) != 12 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		_exit(9);
	return fd;
}

static void obey(int drive)
{
	struct gr_ipc_message message;
	int pair[2] = { -1, -1 };
	char done = 1;

	if (recv(drive, &message, sizeof(message), 0) != sizeof(message))
		_exit(0);
	if (message.type == 0)
		_exit(9);
	if (message.type == SHORT_PACKET) {
		send(GR_IPC_CONTROL_FD, &message, sizeof(message) - 1, MSG_NOSIGNAL);
		return;
	}
	if (message.type == GR_IPC_STARTED || message.type == GR_IPC_AGENT)
		gr_io_pair(SOCK_SEQPACKET, pair);
	if (message.type == GR_IPC_VIOLATION)
		pair[0] = evidence();
	gr_ipc_send(GR_IPC_CONTROL_FD, &message, pair[0]);
	gr_io_close(&pair[0]);
	send(drive, &done, 1, MSG_NOSIGNAL); /* it is in the supervisor's socket */
}

int stand_in(const char *kind_name, char **argv)
{
	struct gr_ipc_message ready = { .type = GR_IPC_READY };
	struct gr_ipc_message early = { .type = GR_IPC_CLOSED };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct hello hello = { 0, argv[2] ? (unsigned)atoi(argv[2]) : 0 };
	int drive = socket(AF_UNIX, SOCK_SEQPACKET, 0), audit = strcmp(kind_name, "audit") == 0;
	char where[128], before_ready[160];

	snprintf(where, sizeof(where), "%s", argv[1]);
	*strrchr(where, '/') = '\0';
	snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/drive.sock", where);
	while (strcmp(gr_ipc_kind_name((enum gr_ipc_kind)hello.kind), kind_name) != 0)
		hello.kind++;
	/* Told so by a file, it speaks before its READY. */
	snprintf(before_ready, sizeof(before_ready), "%s/early", where);
	if (connect(drive, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    send(drive, &hello, sizeof(hello), 0) < 0 ||
	    gr_ipc_send(GR_IPC_CONTROL_FD, hello.number && access(before_ready, F_OK) == 0 ? &early : &ready, -1) < 0)
		return 1;
	for (;;) {
		struct pollfd wait[18] = { { GR_IPC_CONTROL_FD, POLLIN, 0 }, { drive, POLLIN, 0 } };

		for (unsigned i = 0; i < peer_count; i++)
			wait[2 + i] = (struct pollfd){ sockets_of_peers[i], POLLIN, 0 };
		if (poll(wait, 2 + peer_count, -1) < 0)
			return 1;
		for (unsigned i = 0; i < peer_count; i++)
			if (wait[2 + i].revents & POLLIN)
				acknowledge(sockets_of_peers[i], drive, where);
		for (unsigned i = 0; i < peer_count; i++)
			if (wait[2 + i].revents & POLLHUP)
				sockets_of_peers[i] = sockets_of_peers[--peer_count];
		if (wait[0].revents)
			pass_to_driver(drive, audit);
		if (wait[1].revents)
			obey(drive);
	}
}

/* ---- the driver ---- */

char folder[64];
int listener = -1;
pid_t broker;
static uint16_t port;
static struct {
	struct hello hello;
	int sock;
} children[64]; /* those that have connected and nobody has taken yet */
int services[GR_SERVICES]; /* -1: those that its configuration does not ask for */

int readable(int fd, int ms)
{
	struct pollfd wait = { fd, POLLIN, 0 };

	return poll(&wait, 1, ms) > 0;
}

int take_child(int kind, int *number_out)
{
	for (;;) {
		int sock;

		for (size_t i = 0; i < 64; i++) {
			if (children[i].sock > 0 && children[i].hello.kind == kind) {
				sock = children[i].sock;
				children[i].sock = 0;
				if (number_out)
					*number_out = (int)children[i].hello.number;
				return sock;
			}
		}
		if (!readable(listener, PATIENCE_MS))
			fail_msg("no garasu-%s came", gr_ipc_kind_name((enum gr_ipc_kind)kind));
		sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		for (size_t i = 0; i < 64; i++) {
			if (children[i].sock <= 0) {
				assert_true(readable(sock, PATIENCE_MS));
				assert_int_equal(recv(sock, &children[i].hello, sizeof(struct hello), 0),
						 sizeof(struct hello));
				children[i].sock = sock;
				break;
			}
		}
	}
}

int say(int sock, struct gr_ipc_message message)
{
	char done;
	unsigned char packet[2048];
	ssize_t size;

	if (send(sock, &message, sizeof(message), MSG_NOSIGNAL) < 0)
		return 0;
	/* Messages of the supervisor that came before the answer are not waited for by who says something. */
	for (;;) {
		size = readable(sock, PATIENCE_MS) ? recv(sock, packet, sizeof(packet), 0) : -1;
		if (size <= 0)
			return 0;
		if (size == sizeof(done))
			return 1;
	}
}

struct gr_ipc_message hear(int sock, uint32_t type)
{
	struct gr_ipc_message message;
	unsigned char packet[2048];
	ssize_t size;

	for (;;) {
		size = readable(sock, PATIENCE_MS) ? recv(sock, packet, sizeof(packet), 0) : -1;
		if (size <= 0)
			fail_msg("message %u did not come", type);
		if (size == (ssize_t)sizeof(message)) {
			memcpy(&message, packet, sizeof(message));
			if (message.type == type)
				return message;
		}
	}
}

struct gr_audit_event next_event(void)
{
	struct gr_audit_event event;
	unsigned char packet[2048];
	ssize_t size;

	do {
		size = readable(services[GR_IPC_KIND_AUDIT], PATIENCE_MS)
			       ? recv(services[GR_IPC_KIND_AUDIT], packet, sizeof(packet), 0)
			       : -1;
		if (size <= 0)
			fail_msg("no event");
	} while (size != (ssize_t)sizeof(event));
	memcpy(&event, packet, sizeof(event));
	return event;
}

struct gr_audit_event recorded(uint32_t kind)
{
	struct gr_audit_event event;

	do
		event = next_event();
	while (event.kind != kind);
	return event;
}

void warm_up(uint32_t container)
{
	assert_true(say(services[GR_IPC_KIND_POOL],
			(struct gr_ipc_message){ .type = GR_IPC_STARTED, .container = container }));
	assert_true(say(services[GR_IPC_KIND_POOL],
			(struct gr_ipc_message){ .type = GR_IPC_AGENT, .container = container }));
}

void gone(int sock)
{
	unsigned char packet[2048];

	while (readable(sock, PATIENCE_MS)) {
		if (recv(sock, packet, sizeof(packet), 0) <= 0) {
			close(sock);
			return;
		}
	}
	fail_msg("the child was not ended");
}

void stays(int sock)
{
	unsigned char packet[2048];

	while (readable(sock, 100))
		if (recv(sock, packet, sizeof(packet), 0) <= 0)
			fail_msg("the child was ended");
}

static void run_broker(int out)
{
	static struct gr_config config;
	struct gr_supervisor *supervisor;
	char programs[128];
	struct gr_error err;
	int rc;

	gr_log_init("garasu-broker", getenv("GARASU_TEST_LOG") ? GR_LOG_DEBUG : GR_LOG_ERROR);
	if (!getenv("GARASU_TEST_LOG"))
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
	gr_config_init(&config);
	snprintf(config.file, sizeof(config.file), "%s/garasu.conf", folder);
	config.listen.port = 0;
	config.listen.vencrypt_port = 65535; /* which standard_viewers = "deny", the default, leaves closed */
	snprintf(config.tls.client_crl, sizeof(config.tls.client_crl), "%s/crl.pem", folder);
	snprintf(config.audit.directory, sizeof(config.audit.directory), "%s", folder);
	config.listen.failures_per_minute = FAILURES_PER_MINUTE;
	snprintf(config.syslog.server.host, sizeof(config.syslog.server.host),
		 "syslog.example"); /* for a forward process */
	config.pool.maximum = MAXIMUM;
	config.pool.start_seconds = 30;
	config.session.grace_seconds = 60;
	snprintf(programs, sizeof(programs), "%s/programs", folder);
	dup2(out, 1);
	if (gr_supervisor_create(&config, programs, &supervisor, &err) < 0)
		_exit(2);
	rc = gr_supervisor_run(supervisor);
	gr_supervisor_destroy(supervisor);
	_exit(rc < 0 ? 1 : 0);
}

int begin(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[160], self[512], line[256] = "";
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int out[2];
	unsigned number;

	(void)state;
	self[size] = '\0';
	snprintf(folder, sizeof(folder), "/tmp/garasu-flow-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/programs", folder);
	mkdir(path, 0755);
	for (int kind = 0; kind < GR_IPC_KINDS; kind++) {
		snprintf(path, sizeof(path), "%s/programs/garasu-%s", folder, gr_ipc_kind_name((enum gr_ipc_kind)kind));
		assert_int_equal(symlink(self, path), 0);
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/drive.sock", folder);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 64), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	broker = fork();
	if (broker == 0)
		run_broker(out[1]);
	close(out[1]);
	memset(children, 0, sizeof(children));
	for (int kind = 0; kind < GR_SERVICES; kind++)
		services[kind] = kind == GR_IPC_KIND_PAM ? -1 : take_child(kind, NULL);
	/* It is ready with its first container, which then goes: each test warms up its own. */
	warm_up(1);
	assert_true(readable(out[0], PATIENCE_MS));
	assert_true(read(out[0], line, sizeof(line) - 1) > 0);
	assert_null(strstr(line, "VeNCrypt"));
	assert_int_equal(sscanf(line, "ready: 127.0.0.1:%u (TLS), 1 warm container", &number), 1);
	assert_true(say(services[GR_IPC_KIND_POOL], (struct gr_ipc_message){ .type = GR_IPC_GONE, .container = 1 }));
	recorded(GR_AUDIT_CONTAINER_END);
	port = (uint16_t)number;
	close(out[0]);
	return 0;
}

int wait_for_broker(void)
{
	int status = 0;

	for (int i = 0; i < PATIENCE_MS * 3 / 10; i++) {
		if (waitpid(broker, &status, WNOHANG) == broker) {
			broker = 0;
			return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
		}
		usleep(10000);
	}
	return -1;
}

int end(void **state)
{
	char command[128];
	int code = 0;

	(void)state;
	if (broker) {
		kill(broker, SIGTERM);
		code = wait_for_broker();
		if (code < 0)
			kill(broker, SIGKILL);
	}
	for (size_t i = 0; i < 64; i++)
		if (children[i].sock > 0)
			close(children[i].sock);
	for (int kind = 0; kind < GR_SERVICES; kind++)
		if (services[kind] >= 0)
			close(services[kind]);
	close(listener);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command) == 0 && code == 0 ? 0 : -1;
}

int connect_viewer(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(sock, (struct sockaddr *)&address, sizeof(address)), 0);
	return sock;
}

struct viewer arrive(void)
{
	struct viewer viewer = { .tcp = connect_viewer() };

	viewer.gateway = take_child(GR_IPC_KIND_GATEWAY, &viewer.number);
	return viewer;
}

void identify(const struct viewer *viewer, const char *person)
{
	struct gr_ipc_message message = { .type = GR_IPC_IDENTIFIED,
					  .connection = (uint32_t)viewer->number,
					  .text = "serial=1" };

	snprintf(message.person, sizeof(message.person), "%s", person);
	assert_true(say(services[GR_IPC_KIND_IDENTITY], message));
}

struct viewer want(const char *person)
{
	struct viewer viewer = arrive();

	identify(&viewer, person);
	assert_true(say(viewer.gateway, (struct gr_ipc_message){ .type = GR_IPC_WANT_SESSION }));
	return viewer;
}

void leave(struct viewer *viewer)
{
	close(viewer->tcp);
	close(viewer->gateway); /* the stand-in ends */
}

int open_session(const char *person, uint32_t container, struct viewer *viewer_out)
{
	int session;

	warm_up(container);
	*viewer_out = want(person);
	session = take_child(GR_IPC_KIND_SESSION, NULL);
	assert_string_equal(hear(session, GR_IPC_START).person, person);
	hear(session, GR_IPC_AGENT);
	assert_int_equal(hear(session, GR_IPC_ATTACH).connection, viewer_out->number);
	hear(viewer_out->gateway, GR_IPC_OPEN);
	return session;
}

struct gr_ipc_message ask(struct gr_ipc_message request)
{
	assert_true(send(services[GR_IPC_KIND_ADMIN], &request, sizeof(request), MSG_NOSIGNAL) > 0);
	return hear(services[GR_IPC_KIND_ADMIN], GR_IPC_ADMIN_DONE);
}

void let_hear(void)
{
	assert_int_equal(ask((struct gr_ipc_message){ .type = GR_IPC_ADMIN_STATUS, .number = 9 }).number, 9);
}

void end_session(const char *person, uint32_t container, int session)
{
	struct gr_ipc_message message = { .type = GR_IPC_ADMIN_KILL, .number = 1, .text = "root" };

	snprintf(message.person, sizeof(message.person), "%s", person);
	assert_int_equal(ask(message).reason, GR_REASON_NONE);
	assert_int_equal(hear(session, GR_IPC_END).reason, GR_REASON_ENDED_BY_ADMIN);
	close(session); /* which ends the stand-in */
	assert_int_equal(hear(services[GR_IPC_KIND_POOL], GR_IPC_DESTROY).container, container);
	assert_true(say(services[GR_IPC_KIND_POOL],
			(struct gr_ipc_message){ .type = GR_IPC_GONE, .container = container }));
}
