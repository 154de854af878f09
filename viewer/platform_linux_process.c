/* Linux: processes by fork(2), memory by a sealed memfd. */
#include "common/io.h"
#include "viewer/decoder.h"
#include "viewer/platform_process.h"
#include "viewer/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	START_MS = 10000, /* for the starter to answer; it takes some milliseconds */
	EXIT_MS = 2000, /* for the processes to end after their sockets are closed */
	TIMEOUT_MS = 15000, /* for each of the broker's first records, unless --timeout says otherwise */
};

struct request {
	uint16_t width, height;
	int32_t connect_ms;
	int32_t capture; /* a descriptor comes with it */
};

struct starter {
	const struct gr_viewer_options *options;
	int control;
	uint32_t *picture;
	struct gr_viewer_counters *counters;
	pid_t decoder, transport;
};

#ifdef __SANITIZE_ADDRESS__
#define KEEP_STDERR 1 /* for its reports */
#else
#define KEEP_STDERR 0
#endif

/* What every child does first: it ends with its parent, and holds only its own descriptors. -1 in keep counts for nothing. */
static void become_child(pid_t parent, const char *name, const int *keep, size_t count)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, name);
	if (getppid() != parent)
		_exit(1);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < (KEEP_STDERR ? 2 : 3); fd++)
		dup2(null, fd);
	for (unsigned from = 3, next; from; from = next + 1) {
		next = ~0U; /* the lowest to be kept from there on */
		for (size_t i = 0; i < count; i++)
			if (keep[i] >= 0 && (unsigned)keep[i] >= from && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		if (next > from)
			close_range(from, next == ~0U ? next : next - 1, 0);
	}
}

static void run_decoder(const struct starter *starter, const struct request *request, int stream, int window,
			int capture)
{
	const struct gr_viewer_options *options = starter->options;
	struct gr_decoder_settings settings = { .stream = stream,
						.window = window,
						.picture = starter->picture,
						.quality = options->quality,
						.history_log2 = options->history_log2,
						.width = request->width,
						.height = request->height,
						.capture = capture };
	munmap(starter->counters, sizeof(struct gr_viewer_counters));
	_exit(gr_decoder_run(&settings));
}

static void run_transport(const struct starter *starter, const struct request *request, int stream, int window)
{
	const struct gr_viewer_options *options = starter->options;
	struct gr_transport_settings settings = {
		.host = options->host,
		.port = options->port,
		.tls = { .certificate = options->certificate,
			 .key = options->key,
			 .ca = options->ca,
			 .crl = options->crl,
			 .server_name = options->server_name },
		.connect_ms = request->connect_ms,
		.timeout_ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_MS,
		.stream = stream,
		.window = window,
		.counters = starter->counters,
	};
	munmap(starter->picture, GR_PICTURE_BYTES);
	_exit(gr_transport_run(&settings));
}

/* The picture is the next decoder's alone. */
static void kill_pair(struct starter *starter)
{
	pid_t *pids[] = { &starter->decoder, &starter->transport };
	for (int i = 0; i < 2; i++) {
		if (*pids[i] > 0) {
			kill(*pids[i], SIGKILL);
			waitpid(*pids[i], NULL, 0);
		}
		*pids[i] = 0;
	}
}

static int start_pair(struct starter *starter, const struct request *request, int capture)
{
	int stream[2] = { -1, -1 }, decoder[2] = { -1, -1 }, transport[2] = { -1, -1 };
	pid_t parent = getpid();
	char answer = 1;
	int status = GR_EIO;
	kill_pair(starter);
	if (gr_io_pair(SOCK_STREAM, stream) || gr_io_pair(SOCK_SEQPACKET, decoder) ||
	    gr_io_pair(SOCK_SEQPACKET, transport))
		goto done;
	starter->decoder = fork();
	if (starter->decoder == 0) {
		become_child(parent, "garasu-decoder", (int[]){ stream[0], decoder[0], capture }, 3);
		run_decoder(starter, request, stream[0], decoder[0], capture);
	}
	starter->transport = starter->decoder < 0 ? -1 : fork();
	if (starter->transport == 0) {
		become_child(parent, "garasu-transp.", (int[]){ stream[1], transport[0] }, 2);
		run_transport(starter, request, stream[1], transport[0]);
	}
	if (starter->decoder > 0 && starter->transport > 0)
		status = gr_io_send(starter->control, &answer, 1, decoder[1]);
	if (!status)
		status = gr_io_send(starter->control, &answer, 1, transport[1]);
done:
	for (int i = 0; i < 2; i++) {
		gr_io_close(&stream[i]);
		gr_io_close(&decoder[i]);
		gr_io_close(&transport[i]);
	}
	return status;
}

static void child_ended(int signal_number)
{
	(void)signal_number; /* it has woken ppoll(2) */
}

static void reap(pid_t *pid)
{
	if (*pid > 0 && waitpid(*pid, NULL, WNOHANG) == *pid)
		*pid = 0;
}

/* Reads nothing but the window process's requests, and gives the window the ends of the new processes' sockets. */
static void serve(struct starter *starter)
{
	sigset_t child, others;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &others);
	signal(SIGCHLD, child_ended);
	for (;;) {
		struct pollfd wait = { .fd = starter->control, .events = POLLIN };
		struct request request;
		size_t size;
		int capture = -1;
		reap(&starter->decoder);
		reap(&starter->transport);
		if (ppoll(&wait, 1, NULL, &others) < 0 && errno != EINTR)
			return;
		int status = gr_io_receive(starter->control, &request, sizeof(request), &size, &capture);
		if (status == GR_EAGAIN)
			continue;
		if (!status && (size != sizeof(request) || request.capture != (capture >= 0)))
			status = GR_EPROTO;
		if (!status)
			status = start_pair(starter, &request, capture);
		gr_io_close(&capture);
		if (status)
			return;
	}
}

static void wait_or_kill(pid_t pid, uint64_t deadline_ms)
{
	while (pid > 0 && waitpid(pid, NULL, WNOHANG) == 0) {
		if (gr_io_now_ms() >= deadline_ms) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			return;
		}
		usleep(1000);
	}
}

/* Sealed, so that neither side can make the other's reads fail by shrinking it. */
static int make_picture(struct starter *starter, struct gr_viewer *viewer)
{
	int fd = memfd_create("garasu-picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *writable = MAP_FAILED, *readable = MAP_FAILED;
	if (fd >= 0 && ftruncate(fd, (off_t)GR_PICTURE_BYTES) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
		writable = mmap(NULL, GR_PICTURE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		readable = mmap(NULL, GR_PICTURE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	}
	void *counters = mmap(NULL, sizeof(struct gr_viewer_counters), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int failed = writable == MAP_FAILED || readable == MAP_FAILED || counters == MAP_FAILED;
	if (failed)
		perror("garasu-viewer: memory for the picture");
	gr_io_close(&fd);
	if (failed)
		return -1;
	starter->picture = writable;
	starter->counters = counters;
	viewer->picture = readable;
	viewer->counters = counters;
	return 0;
}

int gr_platform_begin(struct gr_platform_starter *out, const struct gr_viewer_options *options,
		      struct gr_viewer *viewer)
{
	struct starter starter = { .options = options };
	int control[2];
	pid_t parent = getpid();
	out->control = -1;
	out->pid = 0;
	if (make_picture(&starter, viewer))
		return -1;
	if (gr_io_pair(SOCK_SEQPACKET, control) || (out->pid = fork()) < 0) {
		perror("garasu-viewer: the process that starts the others");
		return -1;
	}
	if (out->pid == 0) {
		become_child(parent, "garasu-starter", &control[0], 1);
		munmap((void *)(uintptr_t)viewer->picture, GR_PICTURE_BYTES);
		starter.control = control[0];
		serve(&starter);
		uint64_t deadline_ms = gr_io_now_ms() + EXIT_MS;
		wait_or_kill(starter.decoder, deadline_ms);
		wait_or_kill(starter.transport, deadline_ms);
		_exit(0);
	}
	close(control[0]);
	out->control = control[1];
	munmap(starter.picture, GR_PICTURE_BYTES);
	return 0;
}

/* One of the two sockets. */
static int take_socket(const struct gr_platform_starter *starter, int *out)
{
	uint64_t deadline_ms = gr_io_now_ms() + START_MS;
	for (;;) {
		char answer;
		size_t size;
		int fd = -1, status = gr_io_receive(starter->control, &answer, 1, &size, &fd);
		if (!status && fd >= 0) {
			*out = fd;
			return 0;
		}
		uint64_t now = gr_io_now_ms();
		struct pollfd wait = { .fd = starter->control, .events = POLLIN };
		if (status != GR_EAGAIN || now >= deadline_ms || poll(&wait, 1, (int)(deadline_ms - now)) < 0)
			return GR_EIO;
	}
}

int gr_platform_start(const struct gr_platform_starter *starter, struct gr_viewer *viewer, uint16_t width,
		      uint16_t height, int connect_ms, int capture)
{
	struct request request = {
		.width = width, .height = height, .connect_ms = connect_ms, .capture = capture >= 0
	};
	gr_io_close(&viewer->decoder);
	gr_io_close(&viewer->transport);
	if (gr_io_send(starter->control, &request, sizeof(request), capture) ||
	    take_socket(starter, &viewer->decoder) || take_socket(starter, &viewer->transport))
		return GR_EIO;
	return 0;
}

void gr_platform_end(struct gr_platform_starter *starter)
{
	gr_io_close(&starter->control);
	wait_or_kill(starter->pid, gr_io_now_ms() + EXIT_MS + 500);
	starter->pid = 0;
}

int gr_platform_private_file(const char *file, struct gr_error *err)
{
	struct stat status;
	if (stat(file, &status) < 0)
		return gr_error_errno(err, "%s", file);
	if (S_ISREG(status.st_mode) && status.st_mode & 077)
		return gr_error_set(err, GR_EDENIED, "%s: others may read it (mode %04o); chmod 600 it", file,
				    (unsigned)status.st_mode & 07777);
	return 0;
}

int gr_platform_private_descriptor(int fd, const char *name, struct gr_error *err)
{
	struct stat status;
	if (fstat(fd, &status) < 0)
		return gr_error_errno(err, "%s", name);
	if (status.st_mode & 077)
		return gr_error_set(err, GR_EDENIED, "%s: others may read it (mode %04o)", name,
				    (unsigned)status.st_mode & 07777u);
	return 0;
}

int gr_platform_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	/* Blocked in the children too: Ctrl-C in a terminal must not kill them before this process has said goodbye. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

unsigned gr_platform_random(void)
{
	unsigned number = 0;
	(void)!getrandom(&number, sizeof(number), GRND_NONBLOCK);
	return number;
}
