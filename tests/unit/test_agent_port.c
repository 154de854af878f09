#include "common/error.h"
#include "common/io.h"
#include "sandbox/agent/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The relay in a process of its own, between a TCP client and a listening UNIX socket, both ours. */
struct fixture {
	pid_t relay;
	int egress; /* listening */
	struct sockaddr_in address;
	char path[64];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_un egress = { .sun_family = AF_UNIX };
	struct gr_error err;
	socklen_t size = sizeof(f->address);
	snprintf(f->path, sizeof(f->path), "/tmp/garasu-port-test-%d", (int)getpid());
	unlink(f->path);
	strcpy(egress.sun_path, f->path);
	f->egress = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->egress, (struct sockaddr *)&egress, sizeof(egress)), 0);
	assert_int_equal(listen(f->egress, 64), 0);
	int listener = gr_port_listen(0, &err);
	assert_true(listener >= 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&f->address, &size), 0);
	f->relay = fork();
	assert_true(f->relay >= 0);
	if (f->relay == 0) {
		close(f->egress);
		_exit(gr_port_run(listener, f->path));
	}
	close(listener);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int status;
	kill(f->relay, SIGTERM);
	assert_int_equal(waitpid(f->relay, &status, 0), f->relay);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(f->egress);
	unlink(f->path);
	free(f);
	return 0;
}

static void set_deadline(int fd)
{
	const struct timeval deadline = { .tv_sec = 20 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline));
}

static int client(struct fixture *f)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&f->address, sizeof(f->address)), 0);
	set_deadline(fd);
	return fd;
}

static int server(struct fixture *f)
{
	int fd = accept(f->egress, NULL, NULL);
	assert_true(fd >= 0);
	set_deadline(fd);
	return fd;
}

static void read_exactly(int fd, void *out, size_t n)
{
	assert_int_equal(recv(fd, out, n, MSG_WAITALL), (ssize_t)n);
}

static void bytes_pass_both_ways(void **state)
{
	struct fixture *f = *state;
	char got[5];
	int one = client(f), other = server(f);
	assert_int_equal(gr_io_write_all(one, "hello", 5), 0);
	read_exactly(other, got, 5);
	assert_memory_equal(got, "hello", 5);
	assert_int_equal(gr_io_write_all(other, "world", 5), 0);
	read_exactly(one, got, 5);
	assert_memory_equal(got, "world", 5);
	close(one);
	assert_int_equal(recv(other, got, 1, 0), 0);
	close(other);
}

static void a_half_closed_connection_still_answers(void **state)
{
	struct fixture *f = *state;
	char got[6];
	int one = client(f), other = server(f);
	assert_int_equal(gr_io_write_all(one, "ask", 3), 0);
	shutdown(one, SHUT_WR);
	read_exactly(other, got, 3);
	assert_int_equal(recv(other, got, 1, 0), 0);
	assert_int_equal(gr_io_write_all(other, "answer", 6), 0);
	read_exactly(one, got, 6);
	assert_memory_equal(got, "answer", 6);
	close(other);
	assert_int_equal(recv(one, got, 1, 0), 0);
	close(one);
}

static void a_reader_that_pauses_loses_nothing_and_stops_the_sender(void **state)
{
	struct fixture *f = *state;
	enum { PIECE = 65536, MOST = 512 };
	static uint8_t piece[PIECE], got[PIECE];
	int one = client(f), other = server(f);
	size_t sent = 0;
	/* Nobody reads: the sender must come to a stop. */
	assert_int_equal(gr_io_set_nonblocking(other, 1), 0);
	struct pollfd room = { .fd = other, .events = POLLOUT };
	while (poll(&room, 1, 500) == 1 && sent < (size_t)PIECE * MOST) {
		memset(piece, (int)(sent / PIECE), PIECE);
		ssize_t n = send(other, piece + sent % PIECE, PIECE - sent % PIECE, MSG_NOSIGNAL);
		if (n > 0)
			sent += (size_t)n;
	}
	assert_true(sent > 0 && sent < (size_t)PIECE * MOST);
	close(other);
	for (size_t at = 0; at < sent;) {
		ssize_t n = recv(one, got, PIECE, 0);
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++, at++)
			assert_int_equal(got[i], (uint8_t)(at / PIECE));
	}
	assert_int_equal(recv(one, got, 1, 0), 0);
	close(one);
}

static void many_connections_stay_apart(void **state)
{
	struct fixture *f = *state;
	enum { MANY = 60 };
	int ones[MANY], others[MANY];
	for (int i = 0; i < MANY; i++) {
		uint8_t name = (uint8_t)i;
		ones[i] = client(f);
		others[i] = server(f);
		assert_int_equal(gr_io_write_all(ones[i], &name, 1), 0);
	}
	for (int i = 0; i < MANY; i++) {
		uint8_t name = 255;
		read_exactly(others[i], &name, 1);
		assert_int_equal(gr_io_write_all(others[i], &name, 1), 0);
	}
	for (int i = 0; i < MANY; i++) {
		uint8_t name = 255;
		read_exactly(ones[i], &name, 1);
		assert_int_equal(name, i);
		close(ones[i]);
		close(others[i]);
	}
}

static void without_an_egress_socket_the_client_is_told(void **state)
{
	struct fixture *f = *state;
	char got;
	unlink(f->path);
	int one = client(f);
	assert_true(recv(one, &got, 1, 0) <= 0);
	close(one);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(bytes_pass_both_ways),
		TEST(a_half_closed_connection_still_answers),
		TEST(a_reader_that_pauses_loses_nothing_and_stops_the_sender),
		TEST(many_connections_stay_apart),
		TEST(without_an_egress_socket_the_client_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
