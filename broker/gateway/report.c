#include "broker/gateway/report.h"

#include "broker/ipc/ipc.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static void hash(const uint8_t *bytes, size_t n, char out[65])
{
	unsigned char digest[32] = { 0 };

	EVP_Digest(bytes, n, digest, NULL, EVP_sha256(), NULL);
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void report(const struct gr_ipc_message *message, int fd)
{
	if (gr_ipc_send(GR_IPC_CONTROL_FD, message, fd))
		gr_log_error("connection %u: the supervisor does not hear: %s", message->connection, message->text);
}

/* A memfd that nobody can change any more; -1. */
static int sealed(const uint8_t *bytes, size_t n)
{
	int fd = memfd_create("violation", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	if (fd >= 0 && (gr_io_write_all(fd, bytes, n) ||
			fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0))
		gr_io_close(&fd);
	return fd;
}

void gr_report_violation(uint32_t connection, const struct gr_guard_violation *violation)
{
	struct gr_ipc_message message = { .type = GR_IPC_VIOLATION, .connection = connection };
	size_t n = violation->n < GR_REPORT_BYTES_MAX ? violation->n : GR_REPORT_BYTES_MAX;
	char digest[65];
	int fd = sealed(violation->bytes, n);

	hash(violation->bytes, n, digest);
	snprintf(message.text, sizeof message.text, "direction=%s offset=%" PRIu64 " bytes=%zu sha256=%s rule=%s",
		 violation->direction == GR_GUARD_UP ? "up" : "down", violation->offset, n, digest, violation->rule);
	if (fd < 0)
		gr_log_error("connection %u: no memory for the bytes of a violation: %s", connection, strerror(errno));
	report(&message, fd);
	gr_io_close(&fd);
}

void gr_report_clipboard(uint32_t connection, enum gr_guard_direction direction, bool passed,
			 const uint8_t *untrusted_text, size_t n)
{
	bool up = direction == GR_GUARD_UP;
	struct gr_ipc_message message = { .type = passed ? GR_IPC_CLIPBOARD_PASSED : GR_IPC_CLIPBOARD,
					  .connection = connection,
					  .bytes_up = up ? n : 0,
					  .bytes_down = up ? 0 : n };
	char digest[65];

	hash(untrusted_text, n, digest);
	snprintf(message.text, sizeof message.text, "direction=%s sha256=%s", up ? "up" : "down", digest);
	report(&message, -1);
}
