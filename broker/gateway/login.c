#include "broker/gateway/login.h"

#include "broker/gateway/factors.h"
#include "broker/gateway/opening.h"
#include "broker/gateway/state.h"
#include "broker/ipc/ipc.h"
#include "common/io.h"
#include "common/log.h"

#include <string.h>

/* Milliseconds. */
#define JUDGE_MS 60000 /* for the identity process to judge a factor: scrypt, or an organisation's directory */
#define FACTORS_MS 120000 /* for the person to give one */
#define SESSION_MS                                                                                                     \
	((GR_OPEN_WAIT_MAX + (int64_t)1) * 1000) /* the supervisor's answer; it has shorter ones of its own */
#define FIRST_WAIT_MS 200

bool gr_login_asks(const struct gr_config *config)
{
	return config->identity.password != GR_FACTOR_NONE || config->identity.code != GR_FACTOR_NONE;
}

static void internal_error(struct gr_connection *c, const char *who, int rc)
{
	gr_log_error("connection %u: %s: %s", c->number, who, gr_status_text(rc));
	gr_connection_refuse(c, GR_REASON_INTERNAL, 0);
}

/* Tells the supervisor, which otherwise would take a person who thinks for a viewer that hangs in its handshake. */
static int tell(struct gr_connection *c, uint32_t type)
{
	struct gr_ipc_message message = { .type = type, .connection = c->number };
	int rc = gr_ipc_send(GR_IPC_CONTROL_FD, &message, -1);

	if (rc)
		internal_error(c, "control socket", rc);
	return rc;
}

static void want_session(struct gr_connection *c, const char *person)
{
	const struct gr_config_limits *limits = gr_config_limits_of(c->config, person);
	bool garasu = gr_tls_is_garasu(c->tls);

	if (limits->watermark && !garasu) {
		gr_connection_refuse(c, GR_REASON_NOT_PERMITTED, 0); /* it would show none */
		return;
	}
	if (tell(c, GR_IPC_WANT_SESSION))
		return;
	c->ready_flags = limits->watermark ? GR_OPEN_WATERMARK : 0u;
	c->state = STATE_SESSION;
	gr_loop_timer_set(c->deadline, SESSION_MS);
	if (garasu)
		gr_loop_timer_set(c->wait, FIRST_WAIT_MS);
	if (c->viewer_speaks)
		gr_rfb_handshake_open(&c->viewer, GR_RFB_GATE_TYPES);
	gr_connection_viewer_step(c);
}

static void ask(struct gr_connection *c, const struct gr_identity_answer *answer)
{
	bool again = c->ask != 0, garasu = gr_tls_is_garasu(c->tls);

	if (again && !garasu) { /* RFB has no second try */
		gr_connection_refuse(c, answer->reason ? answer->reason : GR_REASON_WRONG_FACTOR, answer->wait_seconds);
		return;
	}
	if (tell(c, GR_IPC_ASKING))
		return;
	c->ask = answer->ask & (GR_ASK_PASSWORD | GR_ASK_CODE);
	memcpy(c->person, answer->person, sizeof c->person);
	c->person[sizeof c->person - 1] = '\0';
	c->state = STATE_FACTORS;
	gr_loop_timer_set(c->deadline, FACTORS_MS);
	if (garasu) {
		gr_connection_queue_open(c, &(struct gr_open){ .kind = GR_OPEN_ASK,
							       .reason = answer->reason,
							       .flags = c->ask,
							       .tries = answer->tries_left,
							       .seconds = answer->wait_seconds });
	} else {
		if (!c->vencrypt)
			gr_rfb_handshake_ask(&c->viewer);
		gr_rfb_handshake_open(&c->viewer, GR_RFB_GATE_TYPES);
		gr_login_plain(c); /* it may have come before it was asked for */
	}
	if (c->state < STATE_FLUSH)
		gr_connection_viewer_step(c);
}

static void identity_ready(void *context, int fd, unsigned events)
{
	struct gr_connection *c = context;
	struct gr_identity_answer answer;
	size_t size = 0;

	(void)events;
	int rc = gr_io_receive(fd, &answer, sizeof answer, &size, NULL);
	if (rc == GR_EAGAIN)
		return;
	if (!rc && (size != sizeof answer || c->state != STATE_IDENTITY))
		rc = GR_EPROTO;
	if (rc || !answer.ask) {
		gr_loop_remove(c->identity_watch);
		c->identity_watch = NULL;
	}
	if (rc)
		internal_error(c, "no answer from the identity process", rc);
	else if (answer.ask)
		ask(c, &answer);
	else if (answer.reason != GR_REASON_NONE)
		gr_connection_refuse(c, answer.reason, answer.wait_seconds);
	else {
		c->ticketed = answer.ticketed && gr_tls_is_garasu(c->tls);
		if (c->ticketed)
			memcpy(c->ticket, answer.ticket, sizeof c->ticket);
		want_session(c, answer.person);
	}
	explicit_bzero(&answer, sizeof answer);
}

void gr_login_begin(struct gr_connection *c)
{
	static struct gr_identity_request request;

	c->state = STATE_IDENTITY;
	if (gr_tls_identity_request(c->tls, &request)) {
		gr_connection_refuse(c, GR_REASON_BAD_CERTIFICATE, 0);
		return;
	}
	int rc = gr_io_send(GR_IPC_IDENTITY_FD, &request, sizeof request, -1);
	if (!rc) {
		c->identity_watch = gr_loop_add(c->loop, GR_IPC_IDENTITY_FD, GR_LOOP_READ, identity_ready, c);
		rc = c->identity_watch ? 0 : GR_ENOMEM;
	}
	if (rc)
		internal_error(c, "identity process", rc);
	else
		gr_connection_viewer_step(c);
}

/* Hands on what the person gave; wipes it. The identity process answers in STATE_IDENTITY. */
static void judge(struct gr_connection *c, struct gr_identity_factors *factors)
{
	int rc = gr_io_send(GR_IPC_IDENTITY_FD, factors, sizeof *factors, -1);

	explicit_bzero(factors, sizeof *factors);
	c->state = STATE_IDENTITY;
	gr_loop_timer_set(c->deadline, JUDGE_MS);
	if (rc)
		internal_error(c, "identity process", rc);
}

size_t gr_login_wants(const struct gr_connection *c)
{
	return c->state == STATE_FACTORS && gr_tls_is_garasu(c->tls) ? sizeof c->answer - c->answer_length : 0;
}

int gr_login_take(struct gr_connection *c, const uint8_t *untrusted, size_t n)
{
	struct gr_identity_factors factors;

	memcpy(c->answer + c->answer_length, untrusted, n);
	c->answer_length += n;
	if (c->answer_length < sizeof c->answer)
		return 0;
	int rc = gr_factors_of_answer(c->answer, c->ask, &factors);
	explicit_bzero(c->answer, sizeof c->answer);
	c->answer_length = 0;
	if (!rc)
		judge(c, &factors);
	return rc;
}

void gr_login_plain(struct gr_connection *c)
{
	const struct gr_rfb_handshake *viewer = &c->viewer;
	struct gr_identity_factors factors;

	if (c->state != STATE_FACTORS || !viewer->plain)
		return;
	bool theirs = viewer->name_length == 0 || (viewer->name_length == strlen(c->person) &&
						   memcmp(viewer->in, c->person, viewer->name_length) == 0);
	int rc = gr_factors_of_plain(viewer->in + viewer->name_length, viewer->password_length, c->ask, &factors);
	gr_rfb_handshake_wipe(&c->viewer);
	if (theirs && !rc)
		judge(c, &factors);
	explicit_bzero(&factors, sizeof factors);
	if (!theirs)
		gr_connection_refuse_in_words(c, GR_REASON_WRONG_FACTOR,
					      "The user name must be empty, or that of the certificate.");
	else if (rc)
		gr_connection_refuse(c, GR_REASON_WRONG_FACTOR, 0);
}
