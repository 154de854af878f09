#include "broker/identity/manage.h"

#include "broker/identity/identity.h"
#include "broker/identity/tell.h"
#include "common/log.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PASSWORD_GROUPS 3

struct manage {
	struct gr_users *users;
	const struct gr_config *config;
	const struct gr_ipc_message *request;
	const char *person;
	struct gr_ipc_message done;
	int told; /* as gr_identity_tell */
};

static void __attribute__((format(printf, 3, 4))) done(struct manage *manage, uint32_t reason, const char *format, ...)
{
	va_list arguments;

	manage->done.reason = reason;
	va_start(arguments, format);
	vsnprintf(manage->done.text, sizeof(manage->done.text), format, arguments);
	va_end(arguments);
}

static void row(struct manage *manage, const char *text)
{
	struct gr_ipc_message message = { .type = GR_IPC_USER_ROW, .number = manage->request->number };

	snprintf(message.text, sizeof(message.text), "%s", text);
	if (!manage->told)
		manage->told = gr_identity_tell(&message);
	OPENSSL_cleanse(&message, sizeof(message));
}

/* 1 = rc is 0; otherwise DONE says why not. */
static int good(struct manage *manage, int rc)
{
	if (rc == GR_ENOENT)
		done(manage, GR_REASON_UNKNOWN_PERSON, "there is no person %s in users.db", manage->person);
	else if (rc == GR_EEXIST)
		done(manage, GR_REASON_UNKNOWN_PERSON, "%s is in users.db already", manage->person);
	else if (rc)
		done(manage, GR_REASON_INTERNAL, "users.db: %s", gr_status_text(rc));
	return rc == 0;
}

static void password(struct manage *manage, int add)
{
	int local = manage->config->identity.password == GR_FACTOR_LOCAL;
	struct gr_password made = { .n = GR_SCRYPT_N, .r = GR_SCRYPT_R, .p = GR_SCRYPT_P };
	char text[5 * PASSWORD_GROUPS] = "";
	int rc = RAND_bytes(made.hash, sizeof(made.hash)) == 1 ? 0 : GR_EIO; /* no password's */

	if (!rc && local)
		rc = gr_secret_words(PASSWORD_GROUPS, text);
	if (!rc && local)
		rc = gr_password_hash(text, strlen(text), &made);
	if (!rc)
		rc = add ? gr_users_add(manage->users, manage->person, &made)
			 : gr_users_set_password(manage->users, manage->person, &made);
	if (good(manage, rc)) {
		if (local)
			row(manage, text);
		done(manage, GR_REASON_NONE, "%s %s", manage->person, add ? "is added" : "has a new password");
	}
	OPENSSL_cleanse(text, sizeof(text));
	OPENSSL_cleanse(&made, sizeof(made));
}

static void code(struct manage *manage)
{
	uint8_t secret[GR_TOTP_SECRET];
	char base32[GR_TOTP_SECRET * 8 / 5 + 1], uri[160];
	int rc = RAND_bytes(secret, sizeof(secret)) == 1 ? 0 : GR_EIO;

	if (!rc)
		rc = gr_users_set_code(manage->users, manage->person, secret);
	if (good(manage, rc)) {
		gr_secret_base32(secret, sizeof(secret), base32);
		snprintf(uri, sizeof(uri), "otpauth://totp/Garasu:%s?secret=%s&issuer=Garasu", manage->person, base32);
		row(manage, uri);
		done(manage, GR_REASON_NONE, "%s has a new secret for one-time codes", manage->person);
	}
	OPENSSL_cleanse(secret, sizeof(secret));
	OPENSSL_cleanse(base32, sizeof(base32));
	OPENSSL_cleanse(uri, sizeof(uri));
}

static void recovery(struct manage *manage)
{
	char texts[GR_RECOVERY_CODES][GR_RECOVERY_TEXT];
	uint8_t hashes[GR_RECOVERY_CODES][GR_SECRET_HASH];
	int rc = 0;

	for (size_t i = 0; !rc && i < GR_RECOVERY_CODES; i++) {
		rc = gr_secret_words(GR_RECOVERY_TEXT / 5, texts[i]);
		if (!rc)
			gr_recovery_hash(manage->person, texts[i], strlen(texts[i]), hashes[i]);
	}
	if (!rc)
		rc = gr_users_set_recovery(manage->users, manage->person, hashes);
	if (good(manage, rc)) {
		for (size_t i = 0; i < GR_RECOVERY_CODES; i++)
			row(manage, texts[i]);
		done(manage, GR_REASON_NONE, "%s has new recovery codes", manage->person);
	}
	OPENSSL_cleanse(texts, sizeof(texts));
	OPENSSL_cleanse(hashes, sizeof(hashes));
}

static void list(struct manage *manage)
{
	struct gr_users_entry entry;
	struct gr_users_standing standing = { 0 };
	char after[sizeof(entry.person)], line[160];
	int rc = 0;

	snprintf(after, sizeof(after), "%s", manage->person);
	for (unsigned i = 0; i < GR_MANAGE_ROWS_MAX; i++) {
		rc = gr_users_next(manage->users, after, &entry);
		if (!rc)
			rc = gr_users_standing(manage->users, entry.person, time(NULL), &standing);
		if (rc)
			break;
		snprintf(line, sizeof(line), "person=%s kept=%s code=%s recovery=%u failures=%u locked=%u",
			 entry.person, entry.known ? "yes" : "no", entry.code ? "yes" : "no", entry.recovery,
			 entry.failures, standing.locked ? standing.wait_seconds : 0);
		row(manage, line);
		memcpy(after, entry.person, sizeof(after));
	}
	if (rc == GR_ENOENT)
		rc = 0;
	good(manage, rc);
}

static void run(struct manage *manage)
{
	const char *subject = manage->request->subject;
	int is_list = strcmp(subject, "list") == 0;

	if (!manage->users)
		done(manage, GR_REASON_NOT_PERMITTED,
		     "no factor is asked for: identity.password and identity.code are \"none\"");
	else if (!gr_identity_is_person(manage->person, strlen(manage->person)) && !(is_list && !manage->person[0]))
		done(manage, GR_REASON_UNKNOWN_PERSON, "this is no person's id");
	else if (is_list)
		list(manage);
	else if (strcmp(subject, "unlock") == 0) {
		int rc = gr_users_unlock(manage->users, manage->person);

		if (rc == GR_ENOENT)
			done(manage, GR_REASON_UNKNOWN_PERSON, "%s has no wrong tries", manage->person);
		else if (good(manage, rc))
			done(manage, GR_REASON_NONE, "%s may try again", manage->person);
	} else if (manage->config->identity.password != GR_FACTOR_LOCAL &&
		   manage->config->identity.code != GR_FACTOR_LOCAL)
		done(manage, GR_REASON_NOT_PERMITTED,
		     "persons are PAM's: identity.password and identity.code are not \"local\"");
	else if (strcmp(subject, "add") == 0)
		password(manage, 1);
	else if (strcmp(subject, "password") == 0)
		password(manage, 0);
	else if (strcmp(subject, "code") == 0)
		code(manage);
	else if (strcmp(subject, "recovery") == 0)
		recovery(manage);
	else if (strcmp(subject, "remove") == 0) {
		if (good(manage, gr_users_remove(manage->users, manage->person)))
			done(manage, GR_REASON_NONE, "%s is removed", manage->person);
	} else
		done(manage, GR_REASON_INTERNAL, "this cannot be done with persons");
}

int gr_manage(struct gr_users *users, const struct gr_config *config, const struct gr_ipc_message *request)
{
	struct manage manage = { .users = users, .config = config, .request = request, .person = request->person };

	manage.done = (struct gr_ipc_message){ .type = GR_IPC_USER_DONE, .number = request->number };
	run(&manage);
	return manage.told ? manage.told : gr_identity_tell(&manage.done);
}
