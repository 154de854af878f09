/*
 * garasu-audit's readers: a whole record as files, and the text of a proof. The first byte says which. Whatever the bytes are, a
 * record holds or something of it is named; and a proof that holds still holds when it is read again.
 */
#include "broker/audit/tool/checker.h"
#include "broker/audit/tool/proof.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char directory[64];

static void remove_directory(void)
{
	char path[128];
	static const char *const names[] = { "log/00000000.log", "log/00000001.log", "heads.log", "log", "" };
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		remove(path);
	}
}

static void make_directory(void)
{
	char path[128];
	snprintf(directory, sizeof(directory), "%s/garasu-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/log", directory);
	assert(mkdir(path, 0700) == 0);
	atexit(remove_directory);
}

static void write_file(const char *name, const uint8_t *bytes, size_t n)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	close(fd);
}

/* The segment, a zero byte, the heads, a zero byte, the known heads. */
static void check_record(const uint8_t *data, size_t size)
{
	struct gr_check_result result;
	struct gr_error err;
	const uint8_t *heads = size ? memchr(data, 0, size) : NULL;
	size_t segment = heads ? (size_t)(heads - data) : size;
	const uint8_t *known = heads ? memchr(heads + 1, 0, size - segment - 1) : NULL;
	size_t heads_size = !heads ? 0 : known ? (size_t)(known - heads - 1) : size - segment - 1;
	char *text = known ? strndup((const char *)known + 1, size - (size_t)(known + 1 - data)) : NULL;
	struct gr_check_options options = { .known = text, .known_name = "known" };
	write_file("log/00000000.log", data, segment);
	write_file("heads.log", heads ? heads + 1 : data, heads_size);
	int status = gr_check_log(directory, &options, &result, &err);
	assert(status == 0 || status == GR_EPROTO);
	if (status == GR_EPROTO)
		assert(result.file[0] && result.what[0] && result.sequence <= result.until);
	else
		assert(result.bytes == segment);
	free(text);
}

static void check_proof(const uint8_t *data, size_t size)
{
	static struct gr_proof proof;
	struct gr_error err;
	char *exact = malloc(size + 1);
	memcpy(exact, data, size);
	if (gr_proof_read(&proof, exact, size, NULL, 0, &err) == 0) {
		int status = gr_proof_check(&proof, &err);
		assert(status == 0 || status == GR_EPROTO);
		assert(gr_proof_check(&proof, &err) == status);
	}
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!directory[0])
		make_directory();
	if (size > 1 && data[0] == 'p')
		check_proof(data + 1, size - 1);
	else if (size > 1)
		check_record(data + 1, size - 1);
	return 0;
}
