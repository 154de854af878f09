/*
 * Records what the viewer is sent (docs/RECORDING.md) into the file that the supervisor gives, and tells the supervisor by RECORDED how far
 * it is on the disk. Nothing here waits for the disk but a write(2) into the page cache: the kernel flushes on its own (Linux AIO), at least
 * once in half a second while something comes.
 */
#ifndef GARASU_BROKER_GATEWAY_RECORDER_H
#define GARASU_BROKER_GATEWAY_RECORDER_H

#include "broker/config/config.h"
#include "broker/recording/recording.h"
#include "common/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GR_RECORDER_CHUNK_MS 40 /* a chunk ends so long after its first byte: the steps in which it can be replayed */
#define GR_RECORDER_SYNC_MS 500
#define GR_RECORDER_MARK_MS 60000

struct gr_recorder;

/*
 * Before the confinement: loads the auditors' certificates and readies the kernel's AIO. What is missing is told when a
 * recording is to begin. Owned; NULL when out of memory.
 */
struct gr_recorder *gr_recorder_create(const struct gr_config *config);
void gr_recorder_destroy(struct gr_recorder *recorder); /* NULL allowed; says nothing more */

/*
 * Begins, once: fd (taken) is the new file. RECORDED with number 0 is sent when its header is on the disk, and reason
 * RECORDING_FAILED at any time from now on when it cannot go on: then it has ended. loop outlives the recorder.
 */
void gr_recorder_begin(struct gr_recorder *recorder, struct gr_loop *loop, int fd,
		       const struct gr_recording_header *header);
bool gr_recorder_runs(const struct gr_recorder *recorder);

/* These bytes were sent. Nothing happens while it does not run. */
void gr_recorder_add(struct gr_recorder *recorder, const uint8_t *bytes, size_t n);

/* The supervisor wants no more of it: ends as failed, with why. */
void gr_recorder_fail(struct gr_recorder *recorder, const char *why);

/* The end in good order: writes and flushes the rest, waiting for the disk, and sends the last RECORDED. */
void gr_recorder_end(struct gr_recorder *recorder);

#endif
