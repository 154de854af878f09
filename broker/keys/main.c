/* garasu-keys <config>: signs digests for the gateways. Its sockets come from the supervisor (broker/ipc/ipc.h). */
#include "broker/ipc/child.h"
#include "broker/ipc/ipc.h"
#include "broker/keys/policy.h"
#include "broker/keys/signer.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct keys;

struct peer {
	struct keys *keys;
	struct gr_loop_watch *watch;
	int fd;
	unsigned signatures; /* made for it */
};

struct keys {
	struct gr_loop *loop;
	struct gr_signer *signer;
	unsigned peers;
};

static void peer_end(struct peer *peer)
{
	gr_loop_remove(peer->watch);
	close(peer->fd);
	peer->keys->peers--;
	free(peer);
}

static void peer_ready(void *context, int fd, unsigned events)
{
	struct peer *peer = context;
	struct gr_keys_request untrusted_request;
	struct gr_keys_answer answer;
	size_t size;

	(void)events;
	int rc = gr_io_receive(fd, &untrusted_request, sizeof untrusted_request, &size, NULL);
	if (rc == GR_EAGAIN)
		return;
	if (!rc && peer->signatures >= GR_SIGNER_PER_PEER)
		rc = GR_EFULL;
	if (!rc)
		rc = gr_signer_answer(peer->keys->signer, &untrusted_request, size, &answer);
	if (!rc) {
		peer->signatures++;
		rc = gr_io_send(fd, &answer, sizeof answer, -1);
	}
	if (rc) {
		if (rc != GR_ECLOSED)
			gr_log_warning("a gateway's connection ended: %s", gr_status_text(rc));
		peer_end(peer);
	}
}

static void peer_begin(struct keys *keys, int fd)
{
	struct peer *peer = keys->peers < GR_CONNECTIONS_MAX ? calloc(1, sizeof *peer) : NULL;

	if (!peer) {
		gr_log_error("no room for another gateway");
		close(fd);
		return;
	}
	*peer = (struct peer){ .keys = keys, .fd = fd };
	peer->watch = gr_loop_add(keys->loop, fd, GR_LOOP_READ, peer_ready, peer);
	if (!peer->watch) {
		free(peer);
		close(fd);
		return;
	}
	keys->peers++;
}

static void control_ready(void *context, int fd, unsigned events)
{
	struct keys *keys = context;
	struct gr_ipc_message message;
	int peer_fd = -1;

	(void)events;
	int rc = gr_ipc_receive(fd, &message, &peer_fd);
	if (rc == GR_EAGAIN)
		return;
	if (rc || message.type != GR_IPC_PEER) {
		gr_io_close(&peer_fd);
		if (rc != GR_ECLOSED)
			gr_log_error("control socket: %s", rc ? gr_status_text(rc) : "unexpected message");
		gr_loop_stop(keys->loop, rc == GR_ECLOSED ? 0 : 1);
		return;
	}
	peer_begin(keys, peer_fd);
}

static int start(struct keys *keys, const char *file, struct gr_error *err)
{
	static struct gr_config config;
	int rc = gr_ipc_child_configure("garasu-keys", file, &config, err);

	if (rc)
		return rc;
	rc = gr_signer_load(config.tls.key, config.tls.certificate, &keys->signer, err);
	if (rc)
		return rc;

	/* One signature before the empty root: whatever OpenSSL loads late is loaded now. */
	struct gr_keys_request request = { .length = GR_KEYS_DIGEST };
	struct gr_keys_answer answer;
	if (gr_signer_answer(keys->signer, &request, sizeof request, &answer))
		return gr_error_set(err, GR_EIO, "%s: a first signature failed", config.tls.key);

	keys->loop = gr_loop_create();
	if (!keys->loop || !gr_loop_add(keys->loop, GR_IPC_CONTROL_FD, GR_LOOP_READ, control_ready, keys))
		return gr_error_errno(err, "cannot watch the control socket");

	rc = gr_ipc_child_confine(&config, &gr_keys_policy, GR_UID_KEYS, err);
	return rc ? rc : gr_ipc_child_ready(err);
}

int main(int argc, char **argv)
{
	struct keys keys = { 0 };
	struct gr_error err;

	gr_log_init("garasu-keys", GR_LOG_INFO);
	if (argc != 2) {
		fprintf(stderr, "usage: garasu-keys CONFIG (started by garasu-broker)\n");
		return 2;
	}
	close_range(GR_IPC_CONTROL_FD + 1, ~0U, 0); /* whatever the supervisor may have left open */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	if (start(&keys, argv[1], &err)) {
		gr_log_error("%s", err.text);
		return 1;
	}
	int code = gr_loop_run(keys.loop);
	gr_signer_destroy(keys.signer);
	gr_loop_destroy(keys.loop);
	return code < 0 ? 1 : code;
}
