/*
 * garasu-identity <config>: tells gateways and the supervisor whose a certificate is, asks persons for their second factor
 * (broker/identity/identity.h), and keeps users.db.
 */
#include "broker/identity/certificate.h"
#include "broker/identity/login.h"
#include "broker/identity/manage.h"
#include "broker/identity/policy.h"
#include "broker/identity/tell.h"
#include "broker/ipc/child.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct identity {
	struct gr_config config;
	struct gr_loop *loop;
	X509_STORE *store;
	struct gr_users *users; /* NULL: no factor is asked for */
	struct gr_logins *logins;
	struct gr_tickets tickets;
	/* Of those that were let in; by number % GR_CONNECTIONS_MAX, which no two that are open share. */
	struct gr_chain known[GR_CONNECTIONS_MAX];
};

static void known(void *context, struct gr_chain *chain)
{
	struct identity *identity = context;
	struct gr_chain *place = &identity->known[chain->connection % GR_CONNECTIONS_MAX];

	gr_chain_finish(place);
	*place = *chain;
	*chain = (struct gr_chain){ 0 };
}

/* Those that are open, and some that are not any more, of whom the supervisor takes no notice. */
static void judge_anew(struct identity *identity)
{
	for (size_t i = 0; i < GR_CONNECTIONS_MAX; i++) {
		struct gr_chain *chain = &identity->known[i];
		struct gr_ipc_message message = { .type = GR_IPC_REVOKED, .connection = chain->connection };

		if (!chain->connection || !gr_certificate_is_revoked(identity->store, chain->leaf, chain->others))
			continue;
		int rc = gr_identity_tell(&message);
		if (rc)
			gr_log_error("connection %u is revoked, and the supervisor does not listen: %s",
				     chain->connection, gr_status_text(rc));
		else
			gr_chain_finish(chain);
	}
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
	int passed = -1;

	(void)events;
	int rc = gr_ipc_receive(fd, &message, &passed);
	if (rc == GR_EAGAIN)
		return;
	switch (rc ? 0 : message.type) {
	case GR_IPC_REVOCATIONS: renew_lists(identity, passed); break;
	case GR_IPC_PEER:
		if (message.connection)
			gr_logins_begin(identity->logins, passed, message.connection);
		else
			gr_logins_connect_pam(identity->logins, passed);
		break;
	case GR_IPC_USER:
		if (strcmp(message.subject, "list") != 0)
			gr_ticket_forget(&identity->tickets, message.person); /* what it stood for has changed */
		rc = gr_manage(identity->users, &identity->config, &message);
		break;
	case GR_IPC_SESSION_OVER: gr_ticket_forget(&identity->tickets, message.person); break;
	default:
		gr_io_close(&passed);
		rc = rc ? rc : GR_EPROTO;
		break;
	}
	if (rc) {
		if (rc != GR_ECLOSED)
			gr_log_error("control socket: %s", gr_status_text(rc));
		gr_loop_stop(identity->loop, rc == GR_ECLOSED ? 0 : 1);
	}
}

/* Where factors are asked for, the folder of users.db is the process's root: the file is opened after the confinement. */
static int confine_and_open(struct identity *identity, struct gr_error *err)
{
	const struct gr_config *config = &identity->config;
	struct gr_users_limits limits = { config->identity.attempts, config->identity.lockout_seconds };
	char file[PATH_MAX + sizeof(GR_USERS_FILE) + 1];
	int directory = -1, rc;

	if (config->identity.password == GR_FACTOR_NONE && config->identity.code == GR_FACTOR_NONE)
		return gr_ipc_child_confine(config, &gr_identity_policy, GR_UID_IDENTITY, err);
	snprintf(file, sizeof(file), "%s/%s", geteuid() == 0 ? "" : config->identity.directory, GR_USERS_FILE);
	rc = gr_ipc_child_directory(config, GR_UID_IDENTITY, "identity.directory", config->identity.directory,
				    &directory, err);
	if (rc)
		return rc;
	rc = gr_ipc_child_confine_in(config, &gr_identity_policy, GR_UID_IDENTITY, config->identity.directory,
				     directory, err);
	close(directory);
	if (rc)
		return rc;
	return gr_users_open(file, &limits, &identity->users, err);
}

static int start(struct identity *identity, const char *file, struct gr_error *err)
{
	struct gr_config *config = &identity->config;
	int rc = gr_ipc_child_configure("garasu-identity", file, config, err);

	if (rc)
		return rc;
	rc = gr_certificate_store_load(config->tls.client_ca, config->tls.client_crl, &identity->store, err);
	if (rc)
		return rc;
	identity->loop = gr_loop_create();
	if (!identity->loop || !gr_loop_add(identity->loop, GR_IPC_CONTROL_FD, GR_LOOP_READ, control_ready, identity))
		return gr_error_errno(err, "cannot watch the control socket");
	rc = confine_and_open(identity, err);
	if (rc)
		return rc;

	struct gr_logins_settings settings = {
		.loop = identity->loop,
		.store = &identity->store,
		.users = identity->users,
		.password = config->identity.password,
		.code = config->identity.code,
		.tickets = &identity->tickets,
		.config = config,
		.known = known,
		.context = identity,
	};
	identity->logins = gr_logins_create(&settings);
	if (!identity->logins)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	return gr_ipc_child_ready(err);
}

int main(int argc, char **argv)
{
	static struct identity identity;
	struct gr_error err;
	int code = 1;

	gr_log_init("garasu-identity", GR_LOG_INFO);
	if (argc != 2) {
		fprintf(stderr, "usage: garasu-identity CONFIG (started by garasu-broker)\n");
		return 2;
	}
	close_range(GR_IPC_CONTROL_FD + 1, ~0U, 0); /* whatever the supervisor may have left open */
	signal(SIGXFSZ, SIG_IGN); /* a file size limit is then EFBIG, as a full disk is ENOSPC */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_ADD_ALL_DIGESTS, NULL);
	if (start(&identity, argv[1], &err))
		gr_log_error("%s", err.text);
	else
		code = gr_loop_run(identity.loop);
	gr_logins_destroy(identity.logins);
	for (size_t i = 0; i < GR_CONNECTIONS_MAX; i++)
		gr_chain_finish(&identity.known[i]);
	OPENSSL_cleanse(&identity.tickets, sizeof(identity.tickets));
	gr_users_close(identity.users);
	X509_STORE_free(identity.store);
	gr_loop_destroy(identity.loop);
	return code < 0 ? 1 : code;
}
