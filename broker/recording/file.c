#include "broker/recording/file.h"

#include "common/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORED_MAX (GR_RECORDING_CHUNK_MAX + GR_RECORDING_CHUNK_ADDED)

/* All n bytes, or GR_EIO. */
static int read_at(int fd, void *out, size_t n, uint64_t offset)
{
	for (size_t have = 0; have < n;) {
		ssize_t got = pread(fd, (uint8_t *)out + have, n - have, (off_t)(offset + have));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return GR_EIO;
		have += (size_t)got;
	}
	return 0;
}

static int load_header(struct gr_recording_file *file, uint64_t size, struct gr_error *err)
{
	uint8_t fixed[GR_RECORDING_HEADER_FIXED];

	if (size < sizeof fixed)
		return gr_error_set(err, GR_EPROTO, "it is no recording");
	if (read_at(file->fd, fixed, sizeof fixed, 0))
		return gr_error_errno(err, "cannot read the recording");
	if (gr_recording_header_parse(fixed, &file->header, &file->header_size))
		return gr_error_set(err, GR_EPROTO, "it is no recording, or of a later version");
	if (file->header_size > size)
		return gr_error_set(err, GR_EPROTO, "its header is cut off");
	file->header_bytes = malloc(file->header_size);
	if (!file->header_bytes)
		return gr_error_set(err, GR_ENOMEM, "no memory");
	if (read_at(file->fd, file->header_bytes, file->header_size, 0))
		return gr_error_errno(err, "cannot read the recording");
	return gr_recording_hash(file->header_bytes, file->header_size, file->chain)
		       ? gr_error_set(err, GR_EIO, "SHA-256 fails")
		       : 0;
}

/* *more: there was a whole one. */
static int load_chunk(struct gr_recording_file *file, uint64_t size, uint8_t *stored, size_t *room, bool *more,
		      struct gr_error *err)
{
	struct gr_recording_place place = { .offset = file->size };
	uint64_t left = size - file->size;

	*more = false;
	if (left < GR_RECORDING_CHUNK_ADDED || file->ended)
		return 0;
	if (read_at(file->fd, stored, GR_RECORDING_CHUNK_HEAD, file->size))
		return gr_error_errno(err, "cannot read the recording");
	if (gr_recording_chunk_parse(stored, &place.chunk) ||
	    left < place.chunk.bytes + (uint64_t)GR_RECORDING_CHUNK_ADDED)
		return 0;
	size_t whole = place.chunk.bytes + (size_t)GR_RECORDING_CHUNK_ADDED;
	if (read_at(file->fd, stored, whole, file->size))
		return gr_error_errno(err, "cannot read the recording");
	memcpy(place.chain, file->count ? file->places[file->count - 1].chain : file->chain, sizeof place.chain);
	if (gr_recording_chain(place.chain, stored, whole))
		return gr_error_set(err, GR_EIO, "SHA-256 fails");
	if (file->count == *room) {
		if (*room >= GR_RECORDING_CHUNKS_MAX)
			return gr_error_set(err, GR_EFULL, "the recording is too long");
		*room = *room ? *room * 2 : 1024;
		struct gr_recording_place *places = reallocarray(file->places, *room, sizeof *places);
		if (!places)
			return gr_error_set(err, GR_ENOMEM, "no memory");
		file->places = places;
	}
	file->places[file->count++] = place;
	file->size += whole;
	file->ended = place.chunk.bytes == 0;
	*more = true;
	return 0;
}

int gr_recording_file_load(struct gr_recording_file *file, int fd, struct gr_error *err)
{
	uint8_t *stored = malloc(STORED_MAX);
	struct stat status;
	uint64_t size = 0;
	size_t room = 0;
	bool more = true;
	int rc = 0;

	memset(file, 0, sizeof *file);
	file->fd = fd;
	if (!stored)
		rc = gr_error_set(err, GR_ENOMEM, "no memory");
	else if (fstat(fd, &status) < 0)
		rc = gr_error_errno(err, "cannot read the recording");
	else if (!S_ISREG(status.st_mode) || status.st_size < 0)
		rc = gr_error_set(err, GR_EPROTO, "it is no file");
	else
		rc = load_header(file, size = (uint64_t)status.st_size, err);
	file->size = file->header_size;
	while (!rc && more)
		rc = load_chunk(file, size, stored, &room, &more, err);
	free(stored);
	if (rc)
		gr_recording_file_finish(file);
	else
		file->behind = size - file->size;
	return rc;
}

void gr_recording_file_finish(struct gr_recording_file *file)
{
	gr_io_close(&file->fd);
	free(file->header_bytes);
	free(file->places);
	memset(file, 0, sizeof *file);
	file->fd = -1;
}

int gr_recording_file_read(const struct gr_recording_file *file, struct gr_recording_opened *opened, size_t i,
			   uint8_t *out)
{
	uint8_t stored[STORED_MAX];
	const struct gr_recording_place *place = &file->places[i];

	if (read_at(file->fd, stored, place->chunk.bytes + (size_t)GR_RECORDING_CHUNK_ADDED, place->offset))
		return GR_EIO;
	/* The head that was counted: the file must not have changed since. */
	gr_recording_chunk_format(&place->chunk, stored);
	return gr_recording_open_chunk(opened, i + 1, stored, stored + GR_RECORDING_CHUNK_HEAD, out);
}
