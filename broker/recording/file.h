/* A recording as a file: where its chunks are and what its chain comes to. No key is needed for that. */
#ifndef GARASU_BROKER_RECORDING_FILE_H
#define GARASU_BROKER_RECORDING_FILE_H

#include "broker/recording/open.h"
#include "broker/recording/recording.h"

#include <stdbool.h>

#define GR_RECORDING_CHUNKS_MAX (64u << 20) /* a month of them */

struct gr_recording_place {
	uint64_t offset; /* in the file, of its head */
	struct gr_recording_chunk chunk;
	uint8_t chain[GR_RECORDING_HASH]; /* over the file up to its end */
};

struct gr_recording_file {
	int fd;
	struct gr_recording_header header;
	uint8_t *header_bytes; /* owned; the whole header */
	size_t header_size;
	uint8_t chain[GR_RECORDING_HASH]; /* the header's */
	struct gr_recording_place *places; /* owned */
	size_t count;
	bool ended; /* its last chunk says that it ended in good order */
	uint64_t size; /* bytes up to the end of the last whole chunk */
	uint64_t behind; /* bytes behind it: of a chunk that was cut off, or of nothing */
};

/*
 * Reads all of fd (taken, closed by finish), which must be a file that nobody shortens meanwhile. What stands behind the last whole chunk
 * is counted, not believed. GR_EPROTO: it is no recording; GR_EFULL: too long; GR_EIO, GR_ENOMEM.
 */
int gr_recording_file_load(struct gr_recording_file *file, int fd, struct gr_error *err);
void gr_recording_file_finish(struct gr_recording_file *file);

/* Decrypts chunk i (from 0) into out (GR_RECORDING_CHUNK_MAX bytes). As gr_recording_open_chunk, and GR_EIO. */
int gr_recording_file_read(const struct gr_recording_file *file, struct gr_recording_opened *opened, size_t i,
			   uint8_t *out);

#endif
