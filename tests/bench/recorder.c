/*
 * What recording costs the process that relays pictures: recorder DIRECTORY AUDITORS.pem [SECONDS]
 *
 * Hands the recorder 64 KiB every 20 ms (25 Mbit/s), each of which it seals and appends within the call, while the kernel flushes. Prints how
 * long the calls took, the CPU time, and, for comparison, how long the same writes take with an fdatasync(2) each.
 */
#include "broker/gateway/recorder.h"
#include "broker/ipc/ipc.h"
#include "common/io.h"
#include "common/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE GR_RECORDING_CHUNK_MAX
#define EVERY_MS 20
#define CALLS_MAX 100000

static struct gr_loop *loop;
static struct gr_loop_timer *timer;
static struct gr_recorder *recorder;
static uint8_t piece[PIECE];
static uint64_t took[CALLS_MAX];
static size_t calls, wanted;

static void next(void *context)
{
	(void)context;
	uint64_t before = gr_io_now_us();
	gr_recorder_add(recorder, piece, sizeof piece);
	took[calls++] = gr_io_now_us() - before;
	if (calls == wanted || !gr_recorder_runs(recorder))
		gr_loop_stop(loop, 0);
	else
		gr_loop_timer_set(timer, EVERY_MS);
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void print(const char *what)
{
	qsort(took, calls, sizeof *took, ascending);
	printf("%-34s n=%zu p50=%llu us p99=%llu us max=%llu us\n", what, calls, (unsigned long long)took[calls / 2],
	       (unsigned long long)took[calls * 99 / 100], (unsigned long long)took[calls - 1]);
}

static int new_file(const char *directory, const char *name)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		perror(path);
	return fd;
}

int main(int argc, char **argv)
{
	static struct gr_config config;
	struct gr_recording_header header = { .session = 1, .connection = 1, .person = "bench" };
	struct rusage usage;
	int pair[2];

	if (argc < 3)
		return fprintf(stderr, "usage: recorder DIRECTORY AUDITORS.pem [SECONDS]\n"), 2;
	wanted = (size_t)(argc > 3 ? atoi(argv[3]) : 20) * 1000 / EVERY_MS;
	if (wanted < 1 || wanted > CALLS_MAX || gr_io_pair(SOCK_SEQPACKET, pair) ||
	    dup2(pair[0], GR_IPC_CONTROL_FD) < 0)
		return 2;
	gr_log_init("recorder", GR_LOG_INFO);
	gr_config_init(&config);
	snprintf(config.recording.auditors, sizeof config.recording.auditors, "%s", argv[2]);
	loop = gr_loop_create();
	timer = gr_loop_timer_add(loop, next, NULL);
	recorder = gr_recorder_create(&config);
	gr_recorder_begin(recorder, loop, new_file(argv[1], "bench.grec"), &header);
	gr_loop_timer_set(timer, EVERY_MS);
	gr_loop_run(loop);
	getrusage(RUSAGE_SELF, &usage);
	double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
		     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
	print("recorder, one call with 64 KiB");
	printf("%-34s %.2f ms\n", "CPU for each MiB", cpu / ((double)calls * PIECE / (1 << 20)));
	gr_recorder_destroy(recorder);

	int fd = new_file(argv[1], "bench.sync");
	for (calls = 0; calls < wanted && calls < 250; calls++) {
		uint64_t before = gr_io_now_us();
		if (gr_io_write_all(fd, piece, sizeof piece) || fdatasync(fd) < 0)
			return perror("fdatasync"), 1;
		took[calls] = gr_io_now_us() - before;
		usleep(EVERY_MS * 1000);
	}
	print("write and fdatasync, for comparison");
	close(fd);
	return 0;
}
