#include "bench/worker.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	FRESH_FROM = 128 << 10, /* bytes */
};

struct gr_worker_shared {
	/* question */
	uint64_t now_ms;
	size_t rect_count;
	struct gr_rect rects[GR_WORKER_RECTS_MAX];
	/* answer */
	int code;
	struct gr_error error;
	uint64_t take_ns;
	size_t slice_count;
	struct gr_worker_slice slices[GR_WORKER_SLICES_MAX];
	int more;
	int64_t refinement_in;
	size_t anonymous;
};

static void *map_shared(int fd, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

void gr_worker_prepare(void)
{
	/* Set at all, it does not grow with what is freed. */
	mallopt(M_MMAP_THRESHOLD, FRESH_FROM);
}

int gr_worker_screen_init(struct gr_worker_screen *screen, uint16_t w, uint16_t h, struct gr_error *err)
{
	*screen = (struct gr_worker_screen){ w, h, map_shared(-1, (size_t)w * h * 4) };
	return screen->pixels ? 0 : gr_error_errno(err, "shared memory for a screen of %ux%u", w, h);
}

void gr_worker_screen_finish(struct gr_worker_screen *screen)
{
	if (screen->pixels)
		munmap(screen->pixels, (size_t)screen->w * screen->h * 4);
	screen->pixels = NULL;
}

static uint64_t cpu_ns(void)
{
	struct timespec time;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Bytes of anonymous memory of this process that are in RAM; 0 when the system does not say. */
static size_t anonymous_memory(void)
{
	char text[4096];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	const char *line = strstr(text, "\nRssAnon:");
	return line ? strtoul(line + strlen("\nRssAnon:"), NULL, 10) * 1024 : 0;
}

/* On the last of the cores that we may use: the first ones have the interrupts. */
static void stay_on_one_core(void)
{
	cpu_set_t permitted, one;
	if (sched_getaffinity(0, sizeof(permitted), &permitted) != 0)
		return;
	for (size_t cpu = CPU_SETSIZE; cpu-- > 0;)
		if (CPU_ISSET(cpu, &permitted)) {
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			sched_setaffinity(0, sizeof(one), &one);
			return;
		}
}

static void work(const struct gr_worker *worker, const struct gr_codec_memory *memory, void *state)
{
	struct gr_worker_shared *shared = worker->shared;
	const struct gr_codec *codec = worker->codec;
	size_t room = gr_codec_room(memory->w, memory->h), at = 0;
	uint64_t began = cpu_ns();
	if (shared->rect_count)
		codec->take(state, shared->rects, shared->rect_count, shared->now_ms);
	shared->take_ns = codec->take_counts && shared->rect_count ? cpu_ns() - began : 0;
	shared->slice_count = 0;
	shared->more = 0;
	while (codec->pending(state, shared->now_ms)) {
		if (shared->slice_count == GR_WORKER_SLICES_MAX || memory->capacity - at < room) {
			shared->more = 1;
			break;
		}
		began = cpu_ns();
		ptrdiff_t n = codec->write(state, at, shared->now_ms);
		uint64_t used = cpu_ns() - began;
		if (n <= 0) {
			const char *why = n ? gr_status_text((int)n) : "it had something to write and wrote nothing";
			shared->code = gr_error_set(&shared->error, n ? (int)n : GR_EPROTO, "%s: write: %s",
						    codec->name, why);
			return;
		}
		at += (size_t)n;
		shared->slices[shared->slice_count++] = (struct gr_worker_slice){ (size_t)n, used };
	}
	shared->refinement_in = codec->refinement_in(state, shared->now_ms);
}

static void run(const struct gr_worker *worker, const struct gr_codec_memory *memory,
		const struct gr_codec_settings *settings, int sock)
{
	struct gr_worker_shared *shared = worker->shared;
	void *state = NULL;
	char byte = 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	stay_on_one_core();
	malloc_trim(0); /* what our parent freed must not hide what the codec takes */
	size_t before = anonymous_memory();
	shared->code = worker->codec->open(memory, settings, &state, &shared->error);
	while (write(sock, &byte, 1) == 1 && !shared->code && read(sock, &byte, 1) == 1) {
		work(worker, memory, state);
		size_t now = anonymous_memory(), own = before + worker->codec->shadow_size(state);
		shared->anonymous = now > own ? now - own : 0;
	}
	if (state)
		worker->codec->close(state);
}

static int wait_answer(struct gr_worker *worker, struct gr_error *err)
{
	char byte;
	ssize_t n;
	do
		n = read(worker->sock, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1) {
		int status = 0;
		pid_t ended = waitpid(worker->pid, &status, 0);
		if (ended == worker->pid)
			worker->pid = -1;
		if (ended > 0 && WIFSIGNALED(status))
			return gr_error_set(err, GR_ECLOSED, "%s: killed by signal %d", worker->codec->name,
					    WTERMSIG(status));
		return gr_error_set(err, GR_ECLOSED, "%s: its process ended", worker->codec->name);
	}
	if (worker->shared->code)
		return gr_error_set(err, worker->shared->code, "%.480s", worker->shared->error.text);
	return 0;
}

int gr_worker_init(struct gr_worker *worker, const struct gr_codec *codec, const struct gr_codec_settings *settings,
		   const struct gr_worker_screen *screen, struct gr_error *err)
{
	int pair[2];
	*worker = (struct gr_worker){ .codec = codec, .out_fd = -1, .sock = -1, .pid = -1 };
	worker->capacity = gr_codec_room(screen->w, screen->h) * 2;
	worker->shared = map_shared(-1, sizeof(*worker->shared));
	worker->out_fd = memfd_create("garasu-bench", MFD_CLOEXEC);
	if (worker->out_fd >= 0 && ftruncate(worker->out_fd, (off_t)worker->capacity) == 0)
		worker->out = map_shared(worker->out_fd, worker->capacity);
	if (!worker->shared || !worker->out)
		return gr_error_errno(err, "%zu bytes of shared memory", worker->capacity);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return gr_error_errno(err, "socketpair");
	memset(worker->out, 1, worker->capacity);
	fflush(NULL); /* or what is buffered leaves twice */
	worker->pid = fork();
	if (worker->pid < 0) {
		gr_error_errno(err, "fork");
		close(pair[0]);
		close(pair[1]);
		return GR_EIO;
	}
	if (worker->pid == 0) {
		close(pair[0]);
		const struct gr_codec_memory memory = { screen->w,   screen->h,        screen->pixels,
							worker->out, worker->capacity, worker->out_fd };
		/* Touched by this process too. */
		volatile const uint8_t *out = worker->out, *pixels = (const uint8_t *)screen->pixels;
		for (size_t at = 0; at < worker->capacity; at += 4096)
			(void)out[at];
		for (size_t at = 0; at < (size_t)screen->w * screen->h * 4; at += 4096)
			(void)pixels[at];
		run(worker, &memory, settings, pair[1]);
		/* A failure of a sanitizer at exit must be seen; our parent sees the status. */
		exit(0);
	}
	close(pair[1]);
	worker->sock = pair[0];
	return wait_answer(worker, err);
}

void gr_worker_finish(struct gr_worker *worker)
{
	/* At its end the process ends; a worker that was started later has a copy of the descriptor, so closing is not enough. */
	if (worker->sock >= 0)
		shutdown(worker->sock, SHUT_RDWR);
	gr_io_close(&worker->sock);
	if (worker->pid > 0)
		waitpid(worker->pid, NULL, 0);
	if (worker->shared)
		munmap(worker->shared, sizeof(*worker->shared));
	if (worker->out)
		munmap(worker->out, worker->capacity);
	gr_io_close(&worker->out_fd);
	worker->shared = NULL;
	worker->out = NULL;
	worker->pid = -1;
}

int gr_worker_step(struct gr_worker *worker, const struct gr_rect *rects, size_t n, uint64_t now_ms,
		   struct gr_worker_step *out, struct gr_error *err)
{
	struct gr_worker_shared *shared = worker->shared;
	if (n > GR_WORKER_RECTS_MAX)
		return gr_error_set(err, GR_EFULL, "more than %d damaged rectangles", GR_WORKER_RECTS_MAX);
	shared->now_ms = now_ms;
	shared->rect_count = n;
	if (n)
		memcpy(shared->rects, rects, n * sizeof(*rects));
	char byte = 0;
	if (send(worker->sock, &byte, 1, MSG_NOSIGNAL) != 1)
		return gr_error_set(err, GR_ECLOSED, "%s: its process ended", worker->codec->name);
	int code = wait_answer(worker, err);
	if (code)
		return code;
	*out = (struct gr_worker_step){ shared->take_ns, shared->slices,        shared->slice_count,
					shared->more,    shared->refinement_in, shared->anonymous };
	return 0;
}
