/* garasu-gateway <config> <number> tls|vencrypt: one viewer connection; its descriptors are in broker/ipc/ipc.h. */
#include "broker/gateway/connection.h"
#include "broker/gateway/policy.h"
#include "broker/gateway/recorder.h"
#include "broker/gateway/tls.h"
#include "broker/ipc/child.h"
#include "broker/ipc/ipc.h"
#include "common/log.h"

#include <errno.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert(GR_GUARD_REASON_MAX == GR_REASON_DISPLACED, "the guard lets every reason through to the viewer");

static int start(const char *file, uint32_t number, bool vencrypt, struct gr_connection **out, struct gr_error *err)
{
	static struct gr_config config;
	struct gr_tls *tls = NULL;
	unsigned char warm[1];
	int rc = gr_ipc_child_configure("garasu-gateway", file, &config, err);

	if (rc)
		return rc;
	rc = gr_tls_create(&config, GR_IPC_KEYS_FD, !vencrypt, &tls, err);
	if (rc)
		return rc;
	if (RAND_bytes(warm, sizeof warm) != 1) {
		gr_tls_destroy(tls);
		return gr_error_set(err, GR_EIO, "OpenSSL has no random numbers");
	}
	struct gr_guard_settings guard = {
		.max_width = config.session.max_width,
		.max_height = config.session.max_height,
		.history_log2 = 20,
		.strict = config.session.strict_guard != 0,
	};
	for (unsigned mib = config.session.history_mib; mib > 1; mib /= 2)
		guard.history_log2++;
	struct gr_recorder *recorder = gr_recorder_create(&config);
	if (!recorder)
		rc = gr_error_set(err, GR_ENOMEM, "out of memory");
	else
		rc = gr_connection_create(tls, number, vencrypt, &config, &guard, recorder, out, err);
	if (rc) {
		gr_recorder_destroy(recorder);
		gr_tls_destroy(tls);
		return rc;
	}

	struct gr_confine_policy policy = gr_gateway_policy;
	if (config.recording.auditors[0])
		policy.file_size = (uint64_t)config.recording.quota_gib << 30;
	signal(SIGXFSZ, SIG_IGN); /* write(2) says EFBIG instead */
	rc = gr_ipc_child_confine(&config, &policy, GR_UID_GATEWAYS + number % GR_CONNECTIONS_MAX, err);
	return rc ? rc : gr_ipc_child_ready(err);
}

int main(int argc, char **argv)
{
	struct gr_connection *connection = NULL;
	struct gr_error err;
	char *end = NULL;
	bool vencrypt;

	gr_log_init("garasu-gateway", GR_LOG_INFO);
	errno = 0;
	unsigned long number = argc == 4 ? strtoul(argv[2], &end, 10) : 0;
	if (argc != 4 || errno || *end || number == 0 || number > UINT32_MAX ||
	    (strcmp(argv[3], "tls") != 0 && strcmp(argv[3], "vencrypt") != 0)) {
		fprintf(stderr, "usage: garasu-gateway CONFIG NUMBER tls|vencrypt (started by garasu-broker)\n");
		return 2;
	}
	vencrypt = strcmp(argv[3], "vencrypt") == 0;
	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2) */
	close_range(GR_IPC_IDENTITY_FD + 1, ~0U, 0); /* whatever the supervisor may have left open */
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	int rc = start(argv[1], (uint32_t)number, vencrypt, &connection, &err);
	if (rc)
		gr_log_error("connection %lu: %s", number, err.text);
	else
		rc = gr_connection_run(connection);
	gr_connection_destroy(connection);
	return rc ? 1 : 0;
}
