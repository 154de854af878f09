#include "broker/gateway/recorder.h"

#include "broker/ipc/ipc.h"
#include "broker/recording/seal.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* How far the file is. */
struct reach {
	uint64_t chunks, bytes;
	uint8_t chain[GR_RECORDING_HASH];
};

struct gr_recorder {
	struct gr_recording_auditors *auditors; /* NULL: wrong says why */
	struct gr_error wrong;
	aio_context_t aio;
	int event; /* eventfd: a flush is over */
	int fd; /* the file; -1: it does not run */
	uint32_t connection;
	struct gr_recording_seal *seal;
	struct gr_loop_watch *event_watch;
	struct gr_loop_timer *chunk_timer, *sync_timer, *mark_timer;
	struct gr_recording_chunk chunk; /* of what waits in content */
	struct reach written, syncing, synced, told;
	uint64_t sync_ms; /* when the last one began */
	bool in_sync; /* a flush is under way, up to `syncing` */
	bool mark_wanted; /* tell when the next one is over */
	uint8_t content[GR_RECORDING_CHUNK_MAX];
	uint8_t stored[GR_RECORDING_CHUNK_MAX + GR_RECORDING_CHUNK_ADDED];
};

struct gr_recorder *gr_recorder_create(const struct gr_config *config)
{
	struct gr_recorder *recorder = calloc(1, sizeof *recorder);
	const char *file = config->recording.auditors;

	if (!recorder)
		return NULL;
	recorder->fd = recorder->event = -1;
	if (!*file) {
		gr_error_set(&recorder->wrong, GR_ENOENT, "recording.auditors names no certificate");
		return recorder;
	}
	if (syscall(SYS_io_setup, 1, &recorder->aio) < 0)
		gr_error_errno(&recorder->wrong, "the kernel has no asynchronous I/O");
	else if ((recorder->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		gr_error_errno(&recorder->wrong, "eventfd");
	else
		gr_recording_auditors_load(file, &recorder->auditors, &recorder->wrong);
	return recorder;
}

static void stop(struct gr_recorder *recorder)
{
	gr_loop_remove(recorder->event_watch);
	gr_loop_timer_remove(recorder->chunk_timer);
	gr_loop_timer_remove(recorder->sync_timer);
	gr_loop_timer_remove(recorder->mark_timer);
	recorder->event_watch = NULL;
	recorder->chunk_timer = recorder->sync_timer = recorder->mark_timer = NULL;
	gr_io_close(&recorder->fd);
	gr_recording_seal_destroy(recorder->seal);
	recorder->seal = NULL;
}

void gr_recorder_destroy(struct gr_recorder *recorder)
{
	if (!recorder)
		return;
	stop(recorder);
	gr_recording_auditors_destroy(recorder->auditors);
	gr_io_close(&recorder->event);
	explicit_bzero(recorder, sizeof *recorder); /* pictures that were not written */
	free(recorder);
}

bool gr_recorder_runs(const struct gr_recorder *recorder)
{
	return recorder->fd >= 0;
}

/* why: NULL, or it has failed. */
static void tell(struct gr_recorder *recorder, const struct reach *reach, bool last, const char *why)
{
	struct gr_ipc_message message = { .type = GR_IPC_RECORDED,
					  .connection = recorder->connection,
					  .reason = why ? GR_REASON_RECORDING_FAILED : GR_REASON_NONE,
					  .number = reach->chunks,
					  .bytes_down = reach->bytes,
					  .bytes_up = last };
	char hash[GR_RECORDING_HASH_TEXT];

	gr_recording_hash_text(reach->chain, hash);
	snprintf(message.text, sizeof message.text, "sha256=%s%s%.160s", hash, why ? " " : "", why ? why : "");
	recorder->told = *reach;
	if (gr_ipc_send(GR_IPC_CONTROL_FD, &message, -1))
		gr_log_error("connection %u: the supervisor does not hear of the recording", recorder->connection);
}

static void failed(struct gr_recorder *recorder, const char *why)
{
	gr_log_error("connection %u: the recording ends: %s", recorder->connection, why);
	stop(recorder);
	tell(recorder, &recorder->written, true, why);
}

/* Appends, all of it or nothing that counts. */
static bool append(struct gr_recorder *recorder, const uint8_t *bytes, size_t n)
{
	if (gr_io_write_all(recorder->fd, bytes, n)) {
		failed(recorder, strerror(errno));
		return false;
	}
	recorder->written.bytes += n;
	return true;
}

static bool unsynced(const struct gr_recorder *recorder)
{
	const struct reach *ahead = recorder->in_sync ? &recorder->syncing : &recorder->synced;

	return recorder->written.bytes != ahead->bytes;
}

static void begin_sync(struct gr_recorder *recorder)
{
	struct iocb order = { .aio_lio_opcode = IOCB_CMD_FDSYNC,
			      .aio_fildes = (uint32_t)recorder->fd,
			      .aio_flags = IOCB_FLAG_RESFD,
			      .aio_resfd = (uint32_t)recorder->event };
	struct iocb *orders[] = { &order };

	if (recorder->in_sync || !unsynced(recorder))
		return;
	if (syscall(SYS_io_submit, recorder->aio, 1, orders) != 1) {
		failed(recorder, strerror(errno));
		return;
	}
	recorder->in_sync = true;
	recorder->sync_ms = gr_io_now_ms();
	recorder->syncing = recorder->written;
}

static void sync_over(void *context, int fd, unsigned events)
{
	struct gr_recorder *recorder = context;
	struct io_event done;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof count) != sizeof count ||
	    syscall(SYS_io_getevents, recorder->aio, 0, 1, &done, NULL) != 1)
		return;
	recorder->in_sync = false;
	if (done.res < 0) {
		failed(recorder, strerror((int)-done.res));
		return;
	}
	bool first = recorder->synced.bytes == 0;
	recorder->synced = recorder->syncing;
	if (first || recorder->mark_wanted) {
		recorder->mark_wanted = false;
		tell(recorder, &recorder->synced, false, NULL);
	}
	if (unsynced(recorder)) {
		uint64_t ago = gr_io_now_ms() - recorder->sync_ms;
		gr_loop_timer_set(recorder->sync_timer,
				  ago < GR_RECORDER_SYNC_MS ? (int64_t)(GR_RECORDER_SYNC_MS - ago) : 0);
	}
}

static void sync_due(void *context)
{
	begin_sync(context);
}

/* Seals what waits as one chunk; an empty one ends the file. */
static bool write_chunk(struct gr_recorder *recorder)
{
	struct gr_recording_chunk *chunk = &recorder->chunk;
	size_t n = chunk->bytes + (size_t)GR_RECORDING_CHUNK_ADDED;
	bool clean = !unsynced(recorder) && !recorder->in_sync;

	gr_loop_timer_set(recorder->chunk_timer, -1);
	if (gr_recording_seal_chunk(recorder->seal, chunk, recorder->content, recorder->stored)) {
		failed(recorder, "AES-256-GCM fails");
		return false;
	}
	if (!append(recorder, recorder->stored, n))
		return false;
	recorder->written.chunks = gr_recording_seal_chunks(recorder->seal);
	memcpy(recorder->written.chain, gr_recording_seal_chain(recorder->seal), GR_RECORDING_HASH);
	chunk->bytes = 0;
	if (clean)
		gr_loop_timer_set(recorder->sync_timer, GR_RECORDER_SYNC_MS);
	return true;
}

static void chunk_due(void *context)
{
	write_chunk(context);
}

static void stamp(struct gr_recording_chunk *chunk)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	chunk->mono_us = gr_io_now_us();
	chunk->wall_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void gr_recorder_add(struct gr_recorder *recorder, const uint8_t *bytes, size_t n)
{
	struct gr_recording_chunk *chunk = &recorder->chunk;

	while (n && recorder->fd >= 0) {
		size_t room = sizeof recorder->content - chunk->bytes, part = n < room ? n : room;
		if (chunk->bytes == 0) {
			stamp(chunk);
			gr_loop_timer_set(recorder->chunk_timer, GR_RECORDER_CHUNK_MS);
		}
		memcpy(recorder->content + chunk->bytes, bytes, part);
		chunk->bytes += (uint32_t)part;
		bytes += part;
		n -= part;
		if (part == room)
			write_chunk(recorder);
	}
}

static void mark_due(void *context)
{
	struct gr_recorder *recorder = context;

	gr_loop_timer_set(recorder->mark_timer, GR_RECORDER_MARK_MS);
	if (unsynced(recorder) || recorder->in_sync || recorder->chunk.bytes)
		recorder->mark_wanted = true;
	else if (recorder->synced.chunks != recorder->told.chunks)
		tell(recorder, &recorder->synced, false, NULL);
}

void gr_recorder_begin(struct gr_recorder *recorder, struct gr_loop *loop, int fd,
		       const struct gr_recording_header *header)
{
	struct gr_recording_header stamped = *header;
	struct gr_recording_chunk now;
	const uint8_t *bytes;
	size_t size;

	recorder->fd = fd;
	recorder->connection = header->connection;
	if (!recorder->auditors) {
		failed(recorder, recorder->wrong.text);
		return;
	}
	stamp(&now);
	stamped.mono_us = now.mono_us;
	stamped.wall_us = now.wall_us;
	if (gr_recording_seal_create(recorder->auditors, &stamped, &recorder->seal, &bytes, &size, &recorder->wrong)) {
		failed(recorder, recorder->wrong.text);
		return;
	}
	recorder->event_watch = gr_loop_add(loop, recorder->event, GR_LOOP_READ, sync_over, recorder);
	recorder->chunk_timer = gr_loop_timer_add(loop, chunk_due, recorder);
	recorder->sync_timer = gr_loop_timer_add(loop, sync_due, recorder);
	recorder->mark_timer = gr_loop_timer_add(loop, mark_due, recorder);
	if (!recorder->event_watch || !recorder->chunk_timer || !recorder->sync_timer || !recorder->mark_timer) {
		failed(recorder, "no memory");
		return;
	}
	memcpy(recorder->written.chain, gr_recording_seal_chain(recorder->seal), GR_RECORDING_HASH);
	if (!append(recorder, bytes, size))
		return;
	gr_loop_timer_set(recorder->mark_timer, GR_RECORDER_MARK_MS);
	begin_sync(recorder);
}

void gr_recorder_fail(struct gr_recorder *recorder, const char *why)
{
	if (recorder->fd >= 0 && (!recorder->chunk.bytes || write_chunk(recorder)))
		failed(recorder, why);
}

void gr_recorder_end(struct gr_recorder *recorder)
{
	if (recorder->fd < 0 || (recorder->chunk.bytes && !write_chunk(recorder)))
		return;
	stamp(&recorder->chunk);
	if (!write_chunk(recorder)) /* the empty one */
		return;
	if (fdatasync(recorder->fd) < 0) {
		failed(recorder, strerror(errno));
		return;
	}
	tell(recorder, &recorder->written, true, NULL);
	stop(recorder);
}
