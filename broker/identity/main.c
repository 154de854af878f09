/* garasu-identity <config>: tells gateways and the supervisor whose a certificate is (broker/identity/identity.h). */
#include "broker/identity/certificate.h"
#include "broker/identity/identity.h"
#include "broker/ipc/child.h"
#include "broker/ipc/ipc.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONTROL_WAIT_MS 2000 /* for room in the control socket: the supervisor must know before the gateway does */

struct identity;

struct peer {
	struct identity *identity;
	struct gr_loop_watch *watch;
	int fd;
	uint32_t connection;
};

/* Certificates that were found good, for as long as their connection may be open. */
struct chain {
	uint32_t connection; /* 0 = none */
	X509 *leaf;
	STACK_OF(X509) * others;
};

struct identity {
	struct gr_loop *loop;
	X509_STORE *store;
	unsigned peers;
	struct chain known[GR_CONNECTIONS_MAX]; /* by number % GR_CONNECTIONS_MAX, which no two that are open share */
};

static void peer_end(struct peer *peer)
{
	gr_loop_remove(peer->watch);
	close(peer->fd);
	peer->identity->peers--;
	free(peer);
}

/* The certificate of one entry, which must be exactly that many bytes of DER; NULL when it is none. */
static X509 *parse(const uint8_t *untrusted_der, uint32_t length)
{
	const unsigned char *end = untrusted_der;
	X509 *certificate = d2i_X509(NULL, &end, (long)length);

	if (certificate && end != untrusted_der + length) {
		X509_free(certificate);
		certificate = NULL;
	}
	ERR_clear_error();
	return certificate;
}

static void chain_free(struct chain *chain)
{
	X509_free(chain->leaf);
	sk_X509_pop_free(chain->others, X509_free);
	*chain = (struct chain){ 0 };
}

/* Returns owned; GR_EPROTO when the request is not well-formed. */
static int parse_chain(const struct gr_identity_request *untrusted, struct chain *out)
{
	struct chain chain = { .others = sk_X509_new_null() };
	uint32_t count = untrusted->count;
	int rc = 0;

	if (!chain.others)
		return GR_ENOMEM;
	if (count < 1 || count > GR_IDENTITY_CHAIN_MAX)
		rc = GR_EPROTO;
	for (uint32_t i = 0; !rc && i < count; i++) {
		uint32_t length = untrusted->length[i];
		X509 *certificate = length >= 1 && length <= GR_IDENTITY_DER_MAX ? parse(untrusted->der[i], length)
										 : NULL;
		if (!certificate)
			rc = GR_EPROTO;
		else if (i == 0)
			chain.leaf = certificate;
		else if (!sk_X509_push(chain.others, certificate)) {
			X509_free(certificate);
			rc = GR_ENOMEM;
		}
	}
	if (rc)
		chain_free(&chain);
	else
		*out = chain;
	return rc;
}

static int tell_supervisor(const struct gr_ipc_message *message)
{
	struct pollfd room = { .fd = GR_IPC_CONTROL_FD, .events = POLLOUT };
	int rc = gr_ipc_send(GR_IPC_CONTROL_FD, message, -1);

	if (rc == GR_EAGAIN && poll(&room, 1, CONTROL_WAIT_MS) == 1)
		rc = gr_ipc_send(GR_IPC_CONTROL_FD, message, -1);
	return rc;
}

/* What happened is recorded first: without the supervisor's knowledge nobody is let in. Takes chain. */
static int judge(struct identity *identity, struct chain *chain, struct gr_certificate_verdict *verdict)
{
	struct chain *place = &identity->known[chain->connection % GR_CONNECTIONS_MAX];
	struct gr_ipc_message message = { .type = GR_IPC_IDENTIFIED, .connection = chain->connection };

	gr_certificate_judge(identity->store, chain->leaf, chain->others, verdict);
	message.reason = verdict->reason;
	memcpy(message.person, verdict->person, sizeof message.person);
	memcpy(message.text, verdict->text, sizeof message.text);
	int rc = tell_supervisor(&message);
	if (rc || verdict->reason != GR_REASON_NONE) {
		chain_free(chain);
		return rc;
	}
	chain_free(place);
	*place = *chain;
	return 0;
}

/* Those that are open, and some that are not any more, of whom the supervisor takes no notice. */
static void judge_anew(struct identity *identity)
{
	for (size_t i = 0; i < GR_CONNECTIONS_MAX; i++) {
		struct chain *chain = &identity->known[i];
		struct gr_ipc_message message = { .type = GR_IPC_REVOKED, .connection = chain->connection };

		if (!chain->connection || !gr_certificate_is_revoked(identity->store, chain->leaf, chain->others))
			continue;
		int rc = tell_supervisor(&message);
		if (rc)
			gr_log_error("connection %u is revoked, and the supervisor does not listen: %s",
				     chain->connection, gr_status_text(rc));
		else
			chain_free(chain);
	}
}

static void peer_ready(void *context, int fd, unsigned events)
{
	struct peer *peer = context;
	static struct gr_identity_request untrusted_request;
	struct gr_identity_answer answer = { .reason = GR_REASON_INTERNAL };
	struct gr_certificate_verdict verdict;
	struct chain chain;
	size_t size;

	(void)events;
	int rc = gr_io_receive(fd, &untrusted_request, sizeof untrusted_request, &size, NULL);
	if (rc == GR_EAGAIN)
		return;
	if (!rc && size != sizeof untrusted_request)
		rc = GR_EPROTO;
	if (!rc)
		rc = parse_chain(&untrusted_request, &chain);
	if (!rc) {
		chain.connection = peer->connection;
		rc = judge(peer->identity, &chain, &verdict);
		if (!rc) {
			answer.reason = verdict.reason;
			if (verdict.reason == GR_REASON_NONE)
				memcpy(answer.person, verdict.person, sizeof answer.person);
		}
		gr_io_send(fd, &answer, sizeof answer, -1);
	}
	if (rc && rc != GR_ECLOSED)
		gr_log_warning("connection %u: request not answered well: %s", peer->connection, gr_status_text(rc));
	peer_end(peer); /* one request per connection */
}

static void peer_begin(struct identity *identity, int fd, uint32_t connection)
{
	struct peer *peer = identity->peers < GR_CONNECTIONS_MAX ? calloc(1, sizeof *peer) : NULL;

	if (!peer) {
		gr_log_error("no room for another gateway");
		close(fd);
		return;
	}
	*peer = (struct peer){ .identity = identity, .fd = fd, .connection = connection };
	peer->watch = gr_loop_add(identity->loop, fd, GR_LOOP_READ, peer_ready, peer);
	if (!peer->watch) {
		free(peer);
		close(fd);
		return;
	}
	identity->peers++;
}

static void renew_lists(struct identity *identity, int fd)
{
	struct gr_error err;

	/* With the old ones it goes on as long as those are current. */
	if (gr_certificate_store_renew(&identity->store, fd, &err)) {
		gr_log_error("the changed revocation lists are not used: %s", err.text);
		return;
	}
	gr_log_info("the revocation lists were read again");
	judge_anew(identity);
}

static void control_ready(void *context, int fd, unsigned events)
{
	struct identity *identity = context;
	struct gr_ipc_message message;
	int peer_fd = -1;

	(void)events;
	int rc = gr_ipc_receive(fd, &message, &peer_fd);
	if (rc == GR_EAGAIN)
		return;
	if (!rc && message.type == GR_IPC_REVOCATIONS) {
		renew_lists(identity, peer_fd);
		return;
	}
	if (rc || message.type != GR_IPC_PEER || message.connection == 0) {
		gr_io_close(&peer_fd);
		if (rc != GR_ECLOSED)
			gr_log_error("control socket: %s", rc ? gr_status_text(rc) : "unexpected message");
		gr_loop_stop(identity->loop, rc == GR_ECLOSED ? 0 : 1);
		return;
	}
	peer_begin(identity, peer_fd, message.connection);
}

static int start(struct identity *identity, const char *file, struct gr_error *err)
{
	static struct gr_config config;
	int rc = gr_ipc_child_configure("garasu-identity", file, &config, err);

	if (rc)
		return rc;
	rc = gr_certificate_store_load(config.tls.client_ca, config.tls.client_crl, &identity->store, err);
	if (rc)
		return rc;

	identity->loop = gr_loop_create();
	if (!identity->loop || !gr_loop_add(identity->loop, GR_IPC_CONTROL_FD, GR_LOOP_READ, control_ready, identity))
		return gr_error_errno(err, "cannot watch the control socket");

	rc = gr_ipc_child_confine(&config, GR_UID_IDENTITY, GR_CONNECTIONS_MAX + 32, err);
	return rc ? rc : gr_ipc_child_ready(err);
}

int main(int argc, char **argv)
{
	static struct identity identity;
	struct gr_error err;

	gr_log_init("garasu-identity", GR_LOG_INFO);
	if (argc != 2) {
		fprintf(stderr, "usage: garasu-identity CONFIG (started by garasu-broker)\n");
		return 2;
	}
	close_range(GR_IPC_CONTROL_FD + 1, ~0U, 0); /* whatever the supervisor may have left open */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_ADD_ALL_DIGESTS, NULL);
	if (start(&identity, argv[1], &err)) {
		gr_log_error("%s", err.text);
		return 1;
	}
	int code = gr_loop_run(identity.loop);
	for (size_t i = 0; i < GR_CONNECTIONS_MAX; i++)
		chain_free(&identity.known[i]);
	X509_STORE_free(identity.store);
	gr_loop_destroy(identity.loop);
	return code < 0 ? 1 : code;
}
