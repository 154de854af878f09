#include "broker/pool/relay.h"
#include "broker/pool/policy.h"
#include "common/io.h"
#include "common/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	LINE_MAX_BYTES = 400,
	BURST = 40, /* lines shown in a window */
	WINDOW_MS = 2000,
	BLOCK = 4096,
	BLOCKS = 64, /* read in a window; more waits in the pipe, so that a flood costs next to nothing */
};

struct stream {
	struct gr_loop *loop;
	struct gr_loop_watch *watch;
	struct gr_loop_timer *timer; /* end of the window */
	uint32_t number;
	int fd;
	unsigned shown, dropped, blocks; /* in this window */
	size_t used;
	char line[LINE_MAX_BYTES];
};

static void end_line(struct stream *s)
{
	char text[LINE_MAX_BYTES * 2];
	if (s->used && s->shown < BURST) {
		s->shown++;
		gr_log_info("container %u: %s", s->number, gr_log_escape(text, sizeof(text), s->line, s->used));
	} else if (s->used) {
		s->dropped++;
	}
	s->used = 0;
}

static void window_over(void *context)
{
	struct stream *s = context;
	if (s->dropped)
		gr_log_warning("container %u: %u lines of its output are not shown: too many", s->number, s->dropped);
	s->shown = s->dropped = s->blocks = 0;
	gr_loop_change(s->watch, GR_LOOP_READ);
}

static void stream_ready(void *context, int fd, unsigned events)
{
	struct stream *s = context;
	char untrusted_block[BLOCK];
	(void)events;
	ssize_t n = read(fd, untrusted_block, sizeof(untrusted_block));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		end_line(s);
		gr_loop_remove(s->watch);
		gr_loop_timer_remove(s->timer);
		close(fd);
		free(s);
		return;
	}
	if (s->shown == 0 && s->dropped == 0 && s->blocks == 0)
		gr_loop_timer_set(s->timer, WINDOW_MS);
	for (ssize_t i = 0; i < n; i++) {
		if (untrusted_block[i] == '\n' || s->used == sizeof(s->line))
			end_line(s);
		if (untrusted_block[i] != '\n')
			s->line[s->used++] = untrusted_block[i];
	}
	if (++s->blocks >= BLOCKS)
		gr_loop_change(s->watch, 0);
}

static void control_ready(void *context, int fd, unsigned events)
{
	struct gr_loop *loop = context;
	uint32_t number;
	size_t size;
	int pipe = -1;
	(void)events;
	int status = gr_io_receive(fd, &number, sizeof(number), &size, &pipe);
	if (status == GR_EAGAIN)
		return;
	if (status) {
		gr_loop_stop(loop, 0);
		return;
	}
	struct stream *s = size == sizeof(number) && pipe >= 0 ? calloc(1, sizeof(*s)) : NULL;
	if (!s) {
		gr_io_close(&pipe);
		return;
	}
	gr_io_set_nonblocking(pipe, 1);
	s->loop = loop;
	s->number = number;
	s->fd = pipe;
	s->timer = gr_loop_timer_add(loop, window_over, s);
	s->watch = s->timer ? gr_loop_add(loop, pipe, GR_LOOP_READ, stream_ready, s) : NULL;
	if (!s->watch) {
		gr_loop_timer_remove(s->timer);
		close(pipe);
		free(s);
	}
}

static _Noreturn void relay_main(int control, uid_t uid, const char *root, enum gr_log_level level)
{
	struct gr_error err;
	struct gr_confine_place place = { .uid = uid, .root = root, .directory = -1 };
	sigset_t none;
	gr_log_init("garasu-pool-log", level);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGINT, SIG_IGN); /* the terminal's; the pool says when it is over */
	signal(SIGTERM, SIG_IGN);
	dup2(control, 3);
	close_range(4, ~0u, 0);
	fcntl(3, F_SETFD, FD_CLOEXEC);
	struct gr_loop *loop = gr_loop_create();
	if (gr_confine(&gr_relay_policy, &place, &err)) {
		gr_log_error("%s", err.text);
		_exit(1);
	}
	char ready = 1;
	if (!loop || !gr_loop_add(loop, 3, GR_LOOP_READ, control_ready, loop) || gr_io_send(3, &ready, 1, -1))
		_exit(1);
	_exit(gr_loop_run(loop) == 0 ? 0 : 1);
}

int gr_relay_start(struct gr_relay *relay, uid_t uid, const char *scratch, enum gr_log_level level,
		   struct gr_error *err)
{
	int pair[2];
	char root[4096], ready;
	size_t size;
	snprintf(root, sizeof(root), "%.4000s/empty", scratch);
	if (mkdir(root, 0755) < 0 && errno != EEXIST)
		return gr_error_errno(err, "make %s", root);
	if (gr_io_pair(SOCK_SEQPACKET, pair))
		return gr_error_errno(err, "socket pair");
	pid_t pid = fork();
	if (pid == 0)
		relay_main(pair[1], uid, root, level);
	int saved = errno;
	close(pair[1]);
	int status = 0;
	struct pollfd poller = { .fd = pair[0], .events = POLLIN };
	if (pid < 0) {
		errno = saved;
		status = gr_error_errno(err, "fork");
	} else if (poll(&poller, 1, 5000) <= 0 || gr_io_receive(pair[0], &ready, 1, &size, NULL)) {
		status = gr_error_set(err, GR_EIO, "the process for the containers' log lines did not start");
	}
	rmdir(root); /* it stays the process's root, without a name and never to be filled */
	if (status)
		close(pair[0]);
	else
		relay->control = pair[0];
	return status;
}

int gr_relay_add(struct gr_relay *relay, uint32_t number, int pipe)
{
	return relay->control < 0 ? GR_ECLOSED : gr_io_send(relay->control, &number, sizeof(number), pipe);
}

void gr_relay_stop(struct gr_relay *relay)
{
	gr_io_close(&relay->control);
}
