/* The reader of recordings: any file is taken apart within its own bounds, and none of a stranger's opens. */
#include "broker/recording/file.h"
#include "common/io.h"

#include <assert.h>
#include <openssl/ec.h>
#include <stdlib.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[GR_RECORDING_CHUNK_MAX];
	static EVP_PKEY *key;
	struct gr_recording_opened *opened = NULL;
	struct gr_recording_file file;
	struct gr_error err;
	int fd = memfd_create("recording", MFD_CLOEXEC);

	if (!key)
		key = EVP_EC_gen("P-256");
	assert(key && fd >= 0 && gr_io_write_all(fd, data, size) == 0);
	if (gr_recording_file_load(&file, fd, &err))
		return 0;
	assert(file.header_size <= size && file.size + file.behind == size);
	uint64_t at = file.header_size;
	for (size_t i = 0; i < file.count; i++) {
		assert(file.places[i].offset == at && file.places[i].chunk.bytes <= GR_RECORDING_CHUNK_MAX);
		assert(file.places[i].chunk.bytes || (i + 1 == file.count && file.ended));
		at += file.places[i].chunk.bytes + GR_RECORDING_CHUNK_ADDED;
	}
	assert(at == file.size);
	if (gr_recording_open(file.header_bytes, file.header_size, key, &opened) == 0) {
		gr_recording_close(opened); /* 32 bytes by luck: then they open nothing */
		opened = NULL;
	}
	assert(gr_recording_open_with(file.header_bytes, file.header_size, out, &opened) == 0);
	for (size_t i = 0; i < file.count && i < 8; i++)
		assert(gr_recording_file_read(&file, opened, i, out) == GR_EPROTO);
	gr_recording_close(opened);
	gr_recording_file_finish(&file);
	return 0;
}
