/* What the guard did not let through is kept as it was, for root alone, and not without a bound. */
#include "broker/supervisor/evidence.h"
#include "common/io.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static char folder[] = "/tmp/garasu-evidence-XXXXXX";
static uint8_t bytes[GR_EVIDENCE_MAX + 1];

static int memory(size_t n, int seals)
{
	int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(gr_io_write_all(fd, bytes, n), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int keep(uint32_t connection, int fd, char name[64])
{
	struct gr_error err;
	int status = gr_evidence_keep(folder, connection, fd, name, &err);
	assert_true(status == 0 || (err.code == status && err.text[0]));
	close(fd);
	return status;
}

static void the_bytes_are_kept_as_they_were(void **state)
{
	(void)state;
	static uint8_t back[GR_EVIDENCE_MAX + 1];
	static const size_t sizes[] = { 1, 4097, GR_EVIDENCE_MAX };
	for (uint32_t i = 0; i < 3; i++) {
		char name[64], path[256];
		struct stat status;
		assert_int_equal(keep(70 + i, memory(sizes[i], ALL_SEALS), name), 0);
		assert_int_equal(strncmp(name, "violations/2", 12), 0);
		snprintf(path, sizeof(path), "%s/%s", folder, name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &status), 0);
		assert_int_equal(status.st_mode & 07777, 0600);
		assert_int_equal(read(fd, back, sizeof(back)), (ssize_t)sizes[i]);
		assert_memory_equal(back, bytes, sizes[i]);
		close(fd);
		snprintf(path, sizeof(path), "%s/violations", folder);
		assert_int_equal(stat(path, &status), 0);
		assert_int_equal(status.st_mode & 07777, 0700);
	}
}

static void what_is_no_sealed_memfd_is_not_touched(void **state)
{
	(void)state;
	char name[64];
	int ends[2];
	assert_int_equal(keep(1, memory(GR_EVIDENCE_MAX + 1, ALL_SEALS), name), GR_EPROTO);
	assert_int_equal(keep(1, memory(0, ALL_SEALS), name), GR_EPROTO);
	static const int missing[] = { F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE };
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(keep(1, memory(10, ALL_SEALS & ~missing[i]), name), GR_EPROTO);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(keep(1, ends[0], name), GR_EPROTO); /* would be waited for */
	close(ends[1]);
	assert_int_equal(keep(1, open("/etc/passwd", O_RDONLY | O_CLOEXEC), name), GR_EPROTO);
}

static void a_hundred_are_kept(void **state)
{
	(void)state;
	char name[64], last[64] = "";
	unsigned kept = 3; /* by the first test */
	while (keep(1000 + kept, memory(1, ALL_SEALS), name) == 0) {
		memcpy(last, name, sizeof(last));
		assert_true(++kept <= GR_EVIDENCE_FILES_MAX);
	}
	assert_int_equal(kept, GR_EVIDENCE_FILES_MAX);
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", folder, last);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(keep(5, memory(1, ALL_SEALS), name), 0);
	assert_int_equal(keep(6, memory(1, ALL_SEALS), name), GR_EFULL);
}

static void a_link_in_the_place_of_the_folder_is_not_followed(void **state)
{
	(void)state;
	char name[64], path[256], away[256], command[600];
	snprintf(path, sizeof(path), "%s/violations", folder);
	snprintf(away, sizeof(away), "%s/away", folder);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(symlink(away, path), 0);
	assert_int_equal(keep(7, memory(1, ALL_SEALS), name), GR_EIO);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	assert_int_equal(system(command), 0);
	assert_int_equal(keep(8, memory(1, ALL_SEALS), name), GR_EIO);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	if (!mkdtemp(folder))
		return 1;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bytes_are_kept_as_they_were),
		cmocka_unit_test(what_is_no_sealed_memfd_is_not_touched),
		cmocka_unit_test(a_hundred_are_kept),
		cmocka_unit_test(a_link_in_the_place_of_the_folder_is_not_followed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
