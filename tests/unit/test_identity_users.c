/* broker/identity: secret.c and users.c, with a clock of its own. */
#include "broker/identity/users.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000)

static char folder[] = "/tmp/garasu-users-XXXXXX";
static char file[64];
static struct gr_users *users;
static const struct gr_users_limits limits = { .attempts = 3, .lockout_seconds = 30 };

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) && snprintf(file, sizeof(file), "%s/users.db", folder) > 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static void reopen(void)
{
	struct gr_error err = { .text = "" };

	gr_users_close(users);
	users = NULL;
	if (gr_users_open(file, &limits, &users, &err) != 0)
		fail_msg("%s", err.text);
}

static int open_store(void **state)
{
	(void)state;
	reopen();
	return 0;
}

static int remove_store(void **state)
{
	char journal[80];

	(void)state;
	gr_users_close(users);
	users = NULL;
	snprintf(journal, sizeof(journal), "%s-journal", file);
	unlink(journal);
	return unlink(file);
}

static void add(const char *person, const char *password)
{
	struct gr_password made;

	assert_int_equal(gr_password_hash(password, strlen(password), &made), 0);
	assert_int_equal(gr_users_add(users, person, &made), 0);
}

static struct gr_users_standing standing(const char *person, int64_t now)
{
	struct gr_users_standing result;

	assert_int_equal(gr_users_standing(users, person, now, &result), 0);
	return result;
}

/* ---- secrets ---- */

static void codes_are_those_of_rfc_6238(void **state)
{
	/* Appendix B, SHA-1; the time in steps of 30 s. */
	static const struct {
		uint64_t time;
		const char *code;
	} vectors[] = {
		{ 59, "94287082" },         { 1111111109, "07081804" }, { 1111111111, "14050471" },
		{ 1234567890, "89005924" }, { 2000000000, "69279037" }, { UINT64_C(20000000000), "65353130" },
	};
	static const uint8_t secret[GR_TOTP_SECRET + 1] = "12345678901234567890";
	char code[9];

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		assert_int_equal(gr_totp_code(secret, GR_TOTP_SECRET, vectors[i].time / 30, 8, code), 0);
		assert_string_equal(code, vectors[i].code);
		assert_int_equal(gr_totp_code(secret, GR_TOTP_SECRET, vectors[i].time / 30, 6, code), 0);
		assert_string_equal(code, vectors[i].code + 2);
	}
}

static void a_code_counts_one_step_around_now_and_after_the_last(void **state)
{
	static const uint8_t secret[GR_TOTP_SECRET] = { 1, 2, 3 };
	const uint64_t current = NOW / 30;
	char code[7];

	(void)state;
	for (uint64_t at = current - 3; at <= current + 3; at++) {
		uint64_t step = 0;
		int replayed, inside = at >= current - 1 && at <= current + 1;

		assert_int_equal(gr_totp_code(secret, sizeof(secret), at, 6, code), 0);
		assert_int_equal(gr_totp_check(secret, code, 6, NOW, 0, &step, &replayed), inside);
		assert_int_equal(step, inside ? at : 0);
		assert_false(replayed);
		/* Once a later one was used, no earlier one counts. */
		assert_int_equal(gr_totp_check(secret, code, 6, NOW, current, &step, &replayed), at == current + 1);
		assert_int_equal(replayed, at == current || at == current - 1);
		assert_false(gr_totp_check(secret, code, 5, NOW, 0, &step, &replayed));
		assert_false(gr_totp_check(secret, "", 0, NOW, 0, &step, &replayed));
	}
	assert_int_equal(gr_totp_code(secret, sizeof(secret), current, 6, code), 0);
	char typed[16];
	uint64_t step;
	int replayed;
	snprintf(typed, sizeof(typed), " %.3s %s ", code, code + 3);
	assert_true(gr_totp_check(secret, typed, strlen(typed), NOW, 0, &step, &replayed));
}

static void base32_is_that_of_rfc_4648(void **state)
{
	static const char *const vectors[][2] = { { "", "" },
						  { "f", "MY" },
						  { "fo", "MZXQ" },
						  { "foo", "MZXW6" },
						  { "foob", "MZXW6YQ" },
						  { "fooba", "MZXW6YTB" },
						  { "foobar", "MZXW6YTBOI" } };
	char text[16];

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		gr_secret_base32((const uint8_t *)vectors[i][0], strlen(vectors[i][0]), text);
		assert_string_equal(text, vectors[i][1]);
	}
}

static void passwords_are_checked_with_what_was_kept(void **state)
{
	/* By another implementation: hashlib.scrypt(b"pleaseletmein", salt=…, n=16384, r=8, p=1, dklen=32). */
	struct gr_password kept = { .n = 16384, .r = 8, .p = 1, .salt = "SodiumChlorideXY" };
	static const uint8_t hash[GR_SECRET_HASH] = { 0x37, 0x02, 0xd1, 0x0f, 0x11, 0x64, 0xc4, 0xd5, 0x40, 0xdd, 0x74,
						      0xa1, 0x7c, 0x90, 0xf8, 0x5b, 0x0a, 0x6b, 0xfa, 0x72, 0x4a, 0xd8,
						      0x26, 0x17, 0x7e, 0x66, 0x7e, 0xac, 0x40, 0x7f, 0xa7, 0x34 };

	(void)state;
	memcpy(kept.hash, hash, sizeof(hash));
	assert_int_equal(gr_password_check(&kept, "pleaseletmein", 13), 1);
	assert_int_equal(gr_password_check(&kept, "pleaseletmeiN", 13), 0);
	assert_int_equal(gr_password_check(&kept, "pleaseletmein", 12), 0);
	kept.n = 1u << 24; /* would take 16 GiB */
	assert_int_equal(gr_password_check(&kept, "pleaseletmein", 13), GR_EINVAL);
	assert_int_equal(gr_password_hash("a", 1, &kept), 0);
	assert_int_equal(kept.n, GR_SCRYPT_N);
	assert_int_equal(gr_password_check(&kept, "a", 1), 1);
	assert_int_equal(gr_password_check(&kept, "", 0), 0);
}

static void words_are_of_their_letters(void **state)
{
	char words[20], again[20];

	(void)state;
	assert_int_equal(gr_secret_words(4, words), 0);
	assert_int_equal(gr_secret_words(4, again), 0);
	assert_string_not_equal(words, again);
	assert_int_equal(strlen(words), 19);
	for (size_t i = 0; i < 19; i++)
		assert_true(i % 5 == 4 ? words[i] == '-' : strchr("23456789abcdefghjkmnpqrstuvwxyz", words[i]) != NULL);
}

/* ---- the store ---- */

static void the_file_is_its_owners_and_nobody_elses_meanwhile(void **state)
{
	struct gr_users *other = NULL;
	struct stat status;
	struct gr_error err;

	(void)state;
	assert_int_equal(stat(file, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	pid_t pid = fork(); /* POSIX locks are between processes */
	if (pid == 0)
		_exit(gr_users_open(file, &limits, &other, &err) == GR_EIO && strstr(err.text, "another process") ? 0
														  : 1);
	int code = -1;
	assert_int_equal(waitpid(pid, &code, 0), pid);
	assert_int_equal(code, 0);
}

static void a_person_has_its_own_password(void **state)
{
	struct gr_password made;

	(void)state;
	add("hanako", "correct");
	add("taro", "other");
	assert_int_equal(gr_users_password(users, "hanako", "correct", 7), 1);
	assert_int_equal(gr_users_password(users, "hanako", "other", 5), 0);
	assert_int_equal(gr_users_password(users, "taro", "correct", 7), 0);
	assert_int_equal(gr_users_password(users, "nobody", "correct", 7), 0);
	assert_int_equal(gr_users_password(users, "nobody", "", 0), 0); /* what is hashed in their place */
	assert_int_equal(gr_password_hash("new", 3, &made), 0);
	assert_int_equal(gr_users_add(users, "hanako", &made), GR_EEXIST);
	assert_int_equal(gr_users_set_password(users, "nobody", &made), GR_ENOENT);
	assert_int_equal(gr_users_set_password(users, "hanako", &made), 0);
	reopen();
	assert_int_equal(gr_users_password(users, "hanako", "correct", 7), 0);
	assert_int_equal(gr_users_password(users, "hanako", "new", 3), 1);
}

static void a_one_time_code_is_used_once(void **state)
{
	static const uint8_t secret[GR_TOTP_SECRET] = { 9 };
	struct gr_users_code code;
	char text[7];

	(void)state;
	add("hanako", "x");
	assert_int_equal(gr_totp_code(secret, sizeof(secret), NOW / 30, 6, text), 0);
	assert_int_equal(gr_users_code(users, "hanako", text, 6, NOW, &code), 0);
	assert_int_equal(code.kind, GR_CODE_NONE);
	assert_string_equal(code.why, "none-set");
	assert_int_equal(gr_users_set_code(users, "nobody", secret), GR_ENOENT);
	assert_int_equal(gr_users_set_code(users, "hanako", secret), 0);
	assert_int_equal(gr_users_code(users, "hanako", text, 6, NOW, &code), 0);
	assert_int_equal(code.kind, GR_CODE_TOTP);
	/* Looking at it does not use it up; two who looked at the same time do not both get in. */
	struct gr_users_code twice;
	assert_int_equal(gr_users_code(users, "hanako", text, 6, NOW, &twice), 0);
	assert_int_equal(gr_users_succeeded(users, "hanako", &code), 0);
	assert_int_equal(gr_users_succeeded(users, "hanako", &twice), GR_EDENIED);
	for (int i = 0; i < 2; i++) { /* and after a restart */
		assert_int_equal(gr_users_code(users, "hanako", text, 6, NOW + 29, &code), 0);
		assert_int_equal(code.kind, GR_CODE_NONE);
		assert_string_equal(code.why, "used-before");
		reopen();
	}
	assert_int_equal(gr_totp_code(secret, sizeof(secret), NOW / 30 + 1, 6, text), 0);
	assert_int_equal(gr_users_code(users, "hanako", text, 6, NOW, &code), 0);
	assert_int_equal(code.kind, GR_CODE_TOTP);
}

static void a_recovery_code_is_used_once(void **state)
{
	char texts[GR_RECOVERY_CODES][GR_RECOVERY_TEXT], typed[GR_RECOVERY_TEXT];
	uint8_t hashes[GR_RECOVERY_CODES][GR_SECRET_HASH];
	struct gr_users_code code;
	struct gr_users_entry entry;

	(void)state;
	add("hanako", "x");
	add("taro", "x");
	for (size_t i = 0; i < GR_RECOVERY_CODES; i++) {
		assert_int_equal(gr_secret_words(4, texts[i]), 0);
		gr_recovery_hash("hanako", texts[i], strlen(texts[i]), hashes[i]);
	}
	assert_int_equal(gr_users_set_recovery(users, "nobody", (const uint8_t(*)[GR_SECRET_HASH])hashes), GR_ENOENT);
	assert_int_equal(gr_users_set_recovery(users, "hanako", (const uint8_t(*)[GR_SECRET_HASH])hashes), 0);
	for (size_t i = 0; i < GR_RECOVERY_CODES; i++) {
		/* As people type them. */
		for (size_t k = 0; k < GR_RECOVERY_TEXT; k++)
			typed[k] = (char)(texts[i][k] == '-'   ? ' '
					  : texts[i][k] >= 'a' ? texts[i][k] - 32
							       : texts[i][k]);
		assert_int_equal(gr_users_code(users, "taro", typed, strlen(typed), NOW, &code), 0);
		assert_int_equal(code.kind, GR_CODE_NONE);
		assert_int_equal(gr_users_code(users, "hanako", typed, strlen(typed), NOW, &code), 0);
		assert_int_equal(code.kind, GR_CODE_RECOVERY);
		assert_int_equal(gr_users_succeeded(users, "hanako", &code), 0);
		assert_int_equal(gr_users_succeeded(users, "hanako", &code), GR_EDENIED);
		assert_int_equal(gr_users_code(users, "hanako", typed, strlen(typed), NOW, &code), 0);
		assert_int_equal(code.kind, GR_CODE_NONE);
		assert_int_equal(gr_users_next(users, "", &entry), 0);
		assert_int_equal(entry.recovery, GR_RECOVERY_CODES - 1 - i);
	}
	/* New ones make the old ones void. */
	assert_int_equal(gr_users_set_recovery(users, "hanako", (const uint8_t(*)[GR_SECRET_HASH])hashes), 0);
	for (size_t i = 0; i < GR_RECOVERY_CODES; i++)
		hashes[i][0] ^= 1;
	assert_int_equal(gr_users_set_recovery(users, "hanako", (const uint8_t(*)[GR_SECRET_HASH])hashes), 0);
	assert_int_equal(gr_users_code(users, "hanako", texts[0], strlen(texts[0]), NOW, &code), 0);
	assert_int_equal(code.kind, GR_CODE_NONE);
}

static void wrong_tries_lock_out_longer_and_longer(void **state)
{
	/* Pauses after the 1st, 2nd, … wrong try in a row: 3 attempts, then 30 s, doubled up to an hour. */
	static const unsigned pauses[] = { 1, 2, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600 };
	struct gr_users_standing how;
	int64_t now = NOW;

	(void)state;
	assert_int_equal(standing("nobody", now).tries_left, 3);
	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		int locks = i >= 2;

		assert_int_equal(gr_users_try(users, "nobody", now, &how), 0);
		assert_int_equal(how.wait_seconds, pauses[i]);
		assert_int_equal(how.locked, locks);
		assert_int_equal(how.tries_left, locks ? 0 : 2 - i);
		reopen(); /* it is remembered */
		assert_int_equal(gr_users_try(users, "nobody", now + pauses[i] - 1, &how), GR_EAGAIN);
		assert_int_equal(how.wait_seconds, 1);
		assert_int_equal(how.locked, locks);
		now += pauses[i];
		how = standing("nobody", now);
		assert_int_equal(how.wait_seconds, 0);
		assert_false(how.locked);
		assert_int_equal(how.tries_left, locks ? 1 : 2 - i);
	}
	/* A clock that was set back by a year. */
	assert_int_equal(gr_users_try(users, "nobody", now, &how), 0);
	assert_int_equal(standing("nobody", now - 31536000).wait_seconds, 3600);
	assert_int_equal(gr_users_unlock(users, "nobody"), 0);
	assert_int_equal(gr_users_unlock(users, "nobody"), GR_ENOENT);
	assert_int_equal(standing("nobody", now).tries_left, 3);
	assert_int_equal(standing("somebody", now).tries_left, 3);
}

static void success_forgets_wrong_tries_and_untry_takes_one_back(void **state)
{
	struct gr_users_standing how;

	(void)state;
	assert_int_equal(gr_users_try(users, "hanako", NOW, &how), 0);
	assert_int_equal(gr_users_try(users, "hanako", NOW + 1, &how), 0);
	assert_int_equal(how.tries_left, 1);
	assert_int_equal(gr_users_untry(users, "hanako"), 0);
	how = standing("hanako", NOW + 1);
	assert_int_equal(how.tries_left, 2);
	assert_int_equal(how.wait_seconds, 0);
	assert_int_equal(gr_users_succeeded(users, "hanako", NULL), 0);
	assert_int_equal(standing("hanako", NOW + 1).tries_left, 3);
}

static void a_try_counts_as_wrong_though_the_process_dies(void **state)
{
	struct gr_users_standing how;

	(void)state;
	gr_users_close(users);
	users = NULL;
	pid_t pid = fork();
	if (pid == 0) {
		struct gr_error err;
		if (gr_users_open(file, &limits, &users, &err) || gr_users_try(users, "hanako", NOW, &how))
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	int code = 0;
	assert_int_equal(waitpid(pid, &code, 0), pid);
	assert_true(WIFSIGNALED(code));
	reopen();
	assert_int_equal(standing("hanako", NOW).tries_left, 2);
	assert_int_equal(standing("hanako", NOW).wait_seconds, 1);
}

static void persons_are_listed_in_order_and_removed_whole(void **state)
{
	static const uint8_t secret[GR_TOTP_SECRET] = { 1 };
	uint8_t hashes[GR_RECOVERY_CODES][GR_SECRET_HASH] = { { 0 } };
	struct gr_users_standing how;
	struct gr_users_entry entry;

	(void)state;
	for (uint8_t i = 0; i < GR_RECOVERY_CODES; i++)
		hashes[i][0] = i;
	assert_int_equal(gr_users_next(users, "", &entry), GR_ENOENT);
	add("taro", "x");
	add("hanako", "x");
	assert_int_equal(gr_users_set_code(users, "taro", secret), 0);
	assert_int_equal(gr_users_set_recovery(users, "taro", (const uint8_t(*)[GR_SECRET_HASH])hashes), 0);
	assert_int_equal(gr_users_try(users, "taro", NOW, &how), 0);
	assert_int_equal(gr_users_try(users, "stranger", NOW, &how), 0);
	assert_int_equal(gr_users_next(users, "", &entry), 0);
	assert_string_equal(entry.person, "hanako");
	assert_true(entry.known && !entry.code && !entry.recovery && !entry.failures);
	assert_int_equal(gr_users_next(users, entry.person, &entry), 0);
	assert_string_equal(entry.person, "stranger");
	assert_true(!entry.known && !entry.code && !entry.recovery && entry.failures == 1);
	assert_int_equal(gr_users_next(users, entry.person, &entry), 0);
	assert_string_equal(entry.person, "taro");
	assert_true(entry.known && entry.code && entry.recovery == GR_RECOVERY_CODES && entry.failures == 1);
	assert_int_equal(gr_users_next(users, entry.person, &entry), GR_ENOENT);

	assert_int_equal(gr_users_remove(users, "taro"), 0);
	assert_int_equal(gr_users_remove(users, "taro"), GR_ENOENT);
	add("taro", "x"); /* nothing of the earlier one is there */
	assert_int_equal(gr_users_next(users, "stranger", &entry), 0);
	assert_true(entry.known && !entry.code && !entry.recovery && !entry.failures);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
	struct gr_error err = { .text = "" };
	FILE *stream;

	(void)state;
	gr_users_close(users);
	users = NULL;
	stream = fopen(file, "we");
	assert_non_null(stream);
	for (int i = 0; i < 1000; i++)
		fputs("no database ", stream);
	fclose(stream);
	assert_int_equal(gr_users_open(file, &limits, &users, &err), GR_EIO);
	assert_non_null(strstr(err.text, "not a database"));
}

int main(void)
{
#define STORE(test) cmocka_unit_test_setup_teardown(test, open_store, remove_store)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_are_those_of_rfc_6238),
		cmocka_unit_test(a_code_counts_one_step_around_now_and_after_the_last),
		cmocka_unit_test(base32_is_that_of_rfc_4648),
		cmocka_unit_test(passwords_are_checked_with_what_was_kept),
		cmocka_unit_test(words_are_of_their_letters),
		STORE(the_file_is_its_owners_and_nobody_elses_meanwhile),
		STORE(a_person_has_its_own_password),
		STORE(a_one_time_code_is_used_once),
		STORE(a_recovery_code_is_used_once),
		STORE(wrong_tries_lock_out_longer_and_longer),
		STORE(success_forgets_wrong_tries_and_untry_takes_one_back),
		STORE(a_try_counts_as_wrong_though_the_process_dies),
		STORE(persons_are_listed_in_order_and_removed_whole),
		STORE(a_file_that_is_no_database_is_refused),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
