#include "broker/identity/login.h"

#include "broker/identity/certificate.h"
#include "broker/identity/tell.h"
#include "broker/pam/pam.h"
#include "common/io.h"
#include "common/log.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#define TICKET_MS (UINT64_C(24) * 3600 * 1000) /* where the policy does not bound a session's time */
#define PAM_MS 45000 /* for a pam process's answer; it has a shorter deadline itself, and the gateway a longer one */

enum login_state {
	LOGIN_REQUEST, /* for the certificates */
	LOGIN_FACTORS, /* for the person */
	LOGIN_DUE, /* for its turn, or for the pause after a wrong try to be over */
	LOGIN_PAM, /* for PAM's answer */
};

struct login {
	TAILQ_ENTRY(login) link;
	struct gr_logins *logins;
	struct gr_loop_watch *watch;
	int fd;
	enum login_state state;
	struct gr_chain chain;
	struct gr_certificate_verdict verdict;
	struct gr_identity_factors factors;
	struct gr_users_standing standing; /* if this try is wrong */
	int password; /* right; or not asked for here */
	uint64_t due; /* ms: DUE's turn, PAM's deadline */
	uint64_t number; /* of the question to PAM */
};

struct gr_logins {
	struct gr_logins_settings settings;
	TAILQ_HEAD(, login) list;
	unsigned count;
	struct gr_loop_timer *work; /* armed for the earliest due */
	int pam; /* -1 = there is none now */
	struct gr_loop_watch *pam_watch;
	uint64_t last_number;
};

static uint32_t asked(const struct gr_logins *logins)
{
	uint32_t ask = 0;

	if (logins->settings.users && logins->settings.password != GR_FACTOR_NONE)
		ask |= GR_ASK_PASSWORD;
	if (logins->settings.users && logins->settings.code != GR_FACTOR_NONE)
		ask |= GR_ASK_CODE;
	return ask;
}

static int asks_pam(const struct gr_logins *logins)
{
	return logins->settings.password == GR_FACTOR_PAM || logins->settings.code == GR_FACTOR_PAM;
}

/* The next turn; each comes from the loop, which has served everybody else before. */
static void arm(struct gr_logins *logins)
{
	uint64_t now = gr_io_now_ms(), first = UINT64_MAX;
	struct login *login;

	TAILQ_FOREACH(login, &logins->list, link)
	if ((login->state == LOGIN_DUE || login->state == LOGIN_PAM) && login->due < first)
		first = login->due;
	gr_loop_timer_set(logins->work, first == UINT64_MAX ? -1 : first > now ? (int64_t)(first - now) : 0);
}

static void finish(struct login *login)
{
	struct gr_logins *logins = login->logins;

	TAILQ_REMOVE(&logins->list, login, link);
	logins->count--;
	gr_loop_remove(login->watch);
	gr_io_close(&login->fd);
	gr_chain_finish(&login->chain);
	OPENSSL_cleanse(login, sizeof(*login));
	free(login);
	arm(logins);
}

static void complain(const struct login *login, int rc)
{
	gr_log_warning("connection %u: request not answered well: %s", login->chain.connection, gr_status_text(rc));
}

/* For the next time, where factors were asked for. Without one the person is asked again: no reason to let nobody in. */
static void issue(struct login *login, struct gr_identity_answer *answer)
{
	const struct gr_logins_settings *settings = &login->logins->settings;

	if (!asked(login->logins))
		return;
	uint64_t minutes = gr_config_limits_of(settings->config, login->verdict.person)->absolute_minutes;
	answer->ticketed = gr_ticket_issue(settings->tickets, login->verdict.person, login->chain.leaf,
					   gr_io_now_ms() + (minutes ? minutes * 60000 : TICKET_MS),
					   answer->ticket) == 0;
}

/*
 * The last answer. What happened is recorded first: without the supervisor's knowledge nobody is let in. more: what was
 * checked beside the certificate, or why not, for the record.
 */
static void conclude(struct login *login, uint32_t reason, const char *more, uint32_t wait_seconds)
{
	struct gr_ipc_message message = { .type = GR_IPC_IDENTIFIED,
					  .connection = login->chain.connection,
					  .reason = reason };
	struct gr_identity_answer answer = { .reason = reason, .wait_seconds = wait_seconds };

	memcpy(message.person, login->verdict.person, sizeof message.person);
	snprintf(message.text, sizeof message.text, "%.180s%s%s", login->verdict.text, more[0] ? " " : "", more);
	int rc = gr_identity_tell(&message);
	if (!rc) {
		if (reason == GR_REASON_NONE) {
			memcpy(answer.person, login->verdict.person, sizeof answer.person);
			issue(login, &answer);
			login->logins->settings.known(login->logins->settings.context, &login->chain);
		}
		gr_io_send(login->fd, &answer, sizeof answer, -1);
		OPENSSL_cleanse(&answer, sizeof answer);
	} else {
		complain(login, rc);
	}
	finish(login);
}

static void ask(struct login *login, uint32_t reason)
{
	struct gr_identity_answer answer = {
		.reason = reason,
		.ask = asked(login->logins),
		.tries_left = login->standing.tries_left,
		.wait_seconds = login->standing.wait_seconds,
	};

	login->state = LOGIN_FACTORS;
	memcpy(answer.person, login->verdict.person, sizeof answer.person);
	login->due = gr_io_now_ms() + UINT64_C(1000) * login->standing.wait_seconds;
	gr_loop_change(login->watch, GR_LOOP_READ);
	if (gr_io_send(login->fd, &answer, sizeof answer, -1) < 0)
		finish(login); /* it is gone */
}

static void request_came(struct login *login, const struct gr_identity_request *untrusted, size_t size)
{
	struct gr_logins *logins = login->logins;
	uint32_t connection = login->chain.connection;
	int rc = gr_chain_parse(untrusted, size, &login->chain);

	login->chain.connection = connection;
	if (rc) {
		complain(login, rc);
		finish(login);
		return;
	}
	gr_certificate_judge(*logins->settings.store, login->chain.leaf, login->chain.others, &login->verdict);
	if (login->verdict.reason != GR_REASON_NONE || !asked(logins)) {
		conclude(login, login->verdict.reason, "", 0);
		return;
	}
	if (gr_users_standing(logins->settings.users, login->verdict.person, time(NULL), &login->standing) < 0) {
		conclude(login, GR_REASON_INTERNAL, "users.db cannot be read", 0);
		return;
	}
	if (login->standing.locked) {
		conclude(login, GR_REASON_LOCKED_OUT, "locked out", login->standing.wait_seconds);
		return;
	}
	ask(login, GR_REASON_NONE);
}

static void factors_came(struct login *login, const struct gr_identity_factors *untrusted, size_t size)
{
	uint64_t now = gr_io_now_ms();
	int rc = gr_identity_factors_check(untrusted, size, asked(login->logins));

	if (rc) {
		complain(login, rc);
		finish(login);
		return;
	}
	login->factors = *untrusted;
	login->state = LOGIN_DUE;
	if (login->due < now)
		login->due = now;
	arm(login->logins);
}

static void gateway_ready(void *context, int fd, unsigned events)
{
	static union {
		struct gr_identity_request request;
		struct gr_identity_factors factors;
	} untrusted;
	struct login *login = context;
	size_t size;
	int rc = gr_io_receive(fd, &untrusted, sizeof untrusted, &size, NULL);

	(void)events;
	if (rc == GR_EAGAIN)
		return;
	if (rc) {
		if (rc != GR_ECLOSED)
			complain(login, rc);
		finish(login);
	} else if (login->state == LOGIN_REQUEST) {
		request_came(login, &untrusted.request, size);
	} else if (login->state == LOGIN_FACTORS) {
		factors_came(login, &untrusted.factors, size);
	} else {
		complain(login, GR_EPROTO);
		finish(login);
	}
	if (!rc)
		OPENSSL_cleanse(&untrusted, size);
}

/* ---- a try ---- */

/* It was not the person's fault. */
static void cannot_tell(struct login *login, const char *why)
{
	gr_users_untry(login->logins->settings.users, login->verdict.person);
	conclude(login, GR_REASON_INTERNAL, why, 0);
}

static void wrong(struct login *login, const char *results)
{
	uint32_t reason = login->standing.locked ? GR_REASON_LOCKED_OUT : GR_REASON_WRONG_FACTOR;
	struct gr_ipc_message message = { .type = GR_IPC_LOGIN_FAILED,
					  .connection = login->chain.connection,
					  .reason = reason };

	memcpy(message.person, login->verdict.person, sizeof message.person);
	snprintf(message.text, sizeof message.text, "%s", results);
	int rc = gr_identity_tell(&message);
	if (rc) {
		complain(login, rc);
		finish(login);
	} else if (login->standing.locked) {
		conclude(login, reason, "locked out", login->standing.wait_seconds);
	} else {
		ask(login, reason);
	}
}

/* code NULL: a ticket stood for everything. */
static void right(struct login *login, const struct gr_users_code *code)
{
	static const char *const names[] = { [GR_CODE_TOTP] = ",totp", [GR_CODE_RECOVERY] = ",recovery" };
	struct gr_logins *logins = login->logins;
	char factors[96];

	/* Two minutes may have passed, and a new list come. */
	gr_certificate_judge(*logins->settings.store, login->chain.leaf, login->chain.others, &login->verdict);
	if (login->verdict.reason != GR_REASON_NONE) {
		gr_users_untry(logins->settings.users, login->verdict.person);
		conclude(login, login->verdict.reason, "", 0);
		return;
	}
	int rc = gr_users_succeeded(logins->settings.users, login->verdict.person, code);
	if (rc == GR_EDENIED) {
		wrong(login, "code=used-before");
		return;
	}
	if (rc) {
		conclude(login, GR_REASON_INTERNAL, "users.db cannot be written", 0);
		return;
	}
	if (!code) {
		conclude(login, GR_REASON_NONE, "factors=certificate,ticket", 0);
		return;
	}
	snprintf(factors, sizeof factors, "factors=certificate%s%s",
		 logins->settings.password == GR_FACTOR_LOCAL ? ",password"
		 : logins->settings.password == GR_FACTOR_PAM ? ",pam-password"
							      : "",
		 logins->settings.code == GR_FACTOR_LOCAL ? names[code->kind]
		 : logins->settings.code == GR_FACTOR_PAM ? ",pam-code"
							  : "");
	conclude(login, GR_REASON_NONE, factors, 0);
}

/* All but a local code is known; pam: PAM's answer, or NULL when it is not asked. */
static void judge(struct login *login, const struct gr_pam_answer *pam)
{
	const struct gr_logins_settings *settings = &login->logins->settings;
	struct gr_users_code code = { .kind = GR_CODE_NONE, .why = "" };
	int local = settings->code == GR_FACTOR_LOCAL;
	char results[160] = "";
	size_t used = 0;

	if (local && gr_users_code(settings->users, login->verdict.person, login->factors.code,
				   login->factors.code_length, time(NULL), &code) < 0) {
		cannot_tell(login, "users.db cannot be read");
		return;
	}
	OPENSSL_cleanse(&login->factors, sizeof login->factors);
	if (login->password && (!pam || pam->verdict == GR_PAM_GOOD) && (!local || code.kind != GR_CODE_NONE)) {
		right(login, &code);
	} else {
		if (settings->password == GR_FACTOR_LOCAL)
			used += (size_t)snprintf(results, sizeof results, "password=%s",
						 login->password ? "right" : "wrong");
		if (local)
			used += (size_t)snprintf(results + used, sizeof results - used, "%scode=%s", used ? " " : "",
						 code.kind == GR_CODE_NONE ? code.why : "right");
		if (pam)
			snprintf(results + used, sizeof results - used, "%spam=%s (%s)", used ? " " : "",
				 pam->verdict == GR_PAM_GOOD ? "right" : "wrong", pam->why);
		wrong(login, results);
	}
	OPENSSL_cleanse(&code, sizeof code);
}

static void add_answer(struct gr_pam_request *request, const char *text, uint32_t length)
{
	memcpy(request->answer[request->count], text, length);
	request->length[request->count++] = length;
}

static void ask_pam(struct login *login)
{
	struct gr_logins *logins = login->logins;
	struct gr_pam_request request = { .number = ++logins->last_number };
	int rc = GR_ECLOSED;

	memcpy(request.person, login->verdict.person, sizeof request.person);
	if (logins->settings.password == GR_FACTOR_PAM)
		add_answer(&request, login->factors.password, login->factors.password_length);
	if (logins->settings.code == GR_FACTOR_PAM)
		add_answer(&request, login->factors.code, login->factors.code_length);
	if (logins->pam >= 0)
		rc = gr_io_send(logins->pam, &request, sizeof request, -1);
	OPENSSL_cleanse(&request, sizeof request);
	if (rc) {
		cannot_tell(login, rc == GR_EAGAIN ? "PAM has too much to do" : "the pam process is not there");
		return;
	}
	login->number = logins->last_number;
	login->state = LOGIN_PAM;
	gr_loop_change(login->watch, 0); /* whether it is still there or not: the person tried */
	login->due = gr_io_now_ms() + PAM_MS;
	arm(logins);
}

/* The person's turn. What was not right in the end counts as wrong from here on, whatever becomes of us. */
static void begin_try(struct login *login)
{
	const struct gr_logins_settings *settings = &login->logins->settings;
	int rc = gr_users_try(settings->users, login->verdict.person, time(NULL), &login->standing);

	if (rc == GR_EAGAIN && login->standing.locked) { /* by another connection meanwhile */
		conclude(login, GR_REASON_LOCKED_OUT, "locked out", login->standing.wait_seconds);
		return;
	}
	if (rc == GR_EAGAIN) {
		login->due = gr_io_now_ms() + UINT64_C(1000) * login->standing.wait_seconds;
		return;
	}
	if (rc) {
		conclude(login, GR_REASON_INTERNAL, "users.db cannot be written", 0);
		return;
	}
	if (login->factors.ticketed) {
		int good = gr_ticket_use(settings->tickets, login->verdict.person, login->chain.leaf, gr_io_now_ms(),
					 login->factors.ticket);
		OPENSSL_cleanse(&login->factors, sizeof login->factors);
		if (good)
			right(login, NULL);
		else
			wrong(login, "ticket=wrong");
		return;
	}
	login->password = 1;
	if (settings->password == GR_FACTOR_LOCAL) {
		rc = gr_users_password(settings->users, login->verdict.person, login->factors.password,
				       login->factors.password_length);
		if (rc < 0) {
			cannot_tell(login, "the password cannot be checked");
			return;
		}
		login->password = rc;
	}
	if (asks_pam(login->logins))
		ask_pam(login);
	else
		judge(login, NULL);
}

static void work_over(void *context)
{
	struct gr_logins *logins = context;
	struct login *login, *first = NULL;

	TAILQ_FOREACH(login, &logins->list, link)
	if ((login->state == LOGIN_DUE || login->state == LOGIN_PAM) && (!first || login->due < first->due))
		first = login;
	if (first && first->due <= gr_io_now_ms()) {
		if (first->state == LOGIN_PAM)
			cannot_tell(first, "PAM did not answer in time");
		else
			begin_try(first);
	}
	arm(logins);
}

/* ---- PAM ---- */

static void pam_answered(struct gr_logins *logins, const struct gr_pam_answer *answer)
{
	struct login *login;
	char why[128];

	TAILQ_FOREACH(login, &logins->list, link)
	if (login->state == LOGIN_PAM && login->number == answer->number)
		break;
	if (!login)
		return;
	if (answer->verdict == GR_PAM_GOOD || answer->verdict == GR_PAM_WRONG) {
		judge(login, answer);
		return;
	}
	snprintf(why, sizeof why, "PAM cannot tell: %s", answer->why);
	cannot_tell(login, why);
}

static void disconnect_pam(struct gr_logins *logins)
{
	struct login *login, *next;

	gr_loop_remove(logins->pam_watch);
	logins->pam_watch = NULL;
	gr_io_close(&logins->pam);
	for (login = TAILQ_FIRST(&logins->list); login; login = next) {
		next = TAILQ_NEXT(login, link);
		if (login->state == LOGIN_PAM)
			cannot_tell(login, "the pam process died");
	}
}

static void pam_ready(void *context, int fd, unsigned events)
{
	struct gr_logins *logins = context;
	struct gr_pam_answer answer;
	size_t size;
	int rc = gr_io_receive(fd, &answer, sizeof answer, &size, NULL);

	(void)events;
	if (rc == GR_EAGAIN)
		return;
	if (!rc && (size != sizeof answer || !memchr(answer.why, 0, sizeof answer.why)))
		rc = GR_EPROTO;
	if (rc) {
		if (rc != GR_ECLOSED)
			gr_log_error("the pam process: %s", gr_status_text(rc));
		disconnect_pam(logins);
		return;
	}
	pam_answered(logins, &answer);
}

void gr_logins_connect_pam(struct gr_logins *logins, int fd)
{
	if (logins->pam >= 0)
		disconnect_pam(logins);
	logins->pam_watch = gr_loop_add(logins->settings.loop, fd, GR_LOOP_READ, pam_ready, logins);
	logins->pam = fd;
	if (!logins->pam_watch)
		gr_io_close(&logins->pam);
}

/* ---- the beginning and the end ---- */

void gr_logins_begin(struct gr_logins *logins, int fd, uint32_t connection)
{
	struct login *login = logins->count < GR_CONNECTIONS_MAX ? calloc(1, sizeof(*login)) : NULL;

	if (login)
		login->watch = gr_loop_add(logins->settings.loop, fd, GR_LOOP_READ, gateway_ready, login);
	if (!login || !login->watch) {
		gr_log_error("no room for another gateway");
		free(login);
		gr_io_close(&fd);
		return;
	}
	login->logins = logins;
	login->fd = fd;
	login->chain.connection = connection;
	TAILQ_INSERT_TAIL(&logins->list, login, link);
	logins->count++;
}

struct gr_logins *gr_logins_create(const struct gr_logins_settings *settings)
{
	struct gr_logins *logins = calloc(1, sizeof(*logins));

	if (!logins)
		return NULL;
	logins->settings = *settings;
	logins->pam = -1;
	TAILQ_INIT(&logins->list);
	logins->work = gr_loop_timer_add(settings->loop, work_over, logins);
	if (!logins->work) {
		free(logins);
		return NULL;
	}
	return logins;
}

void gr_logins_destroy(struct gr_logins *logins)
{
	if (!logins)
		return;
	for (struct login *login = TAILQ_FIRST(&logins->list), *next; login; login = next) {
		next = TAILQ_NEXT(login, link);
		finish(login);
	}
	gr_loop_remove(logins->pam_watch);
	gr_io_close(&logins->pam);
	gr_loop_timer_remove(logins->work);
	free(logins);
}
