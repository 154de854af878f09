#include "broker/identity/users.h"

#include "common/log.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct gr_users {
	sqlite3 *db;
	struct gr_users_limits limits;
	struct gr_password nobody; /* no password's: checked in the place of one that is not there */
	uint8_t no_secret[GR_TOTP_SECRET];
};

/*
 * FULL with TRUNCATE: on the disk when a transaction has ended, and the journal's name stays, so that no folder need be
 * flushed. secure_delete: what is removed is overwritten. trusted_schema: a file that somebody changed runs nothing.
 */
static const char settings[] = "PRAGMA locking_mode = EXCLUSIVE;"
			       "PRAGMA journal_mode = TRUNCATE;"
			       "PRAGMA synchronous = FULL;"
			       "PRAGMA secure_delete = ON;"
			       "PRAGMA temp_store = MEMORY;"
			       "PRAGMA trusted_schema = OFF;"
			       "PRAGMA cell_size_check = ON;"
			       "PRAGMA foreign_keys = ON;";

static const char schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE IF NOT EXISTS users("
	"	person TEXT PRIMARY KEY NOT NULL,"
	"	n INTEGER NOT NULL, r INTEGER NOT NULL, p INTEGER NOT NULL, salt BLOB NOT NULL, hash BLOB NOT NULL,"
	"	secret BLOB,"
	"	step INTEGER NOT NULL DEFAULT 0" /* of the code that was used last */
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS recovery("
	"	person TEXT NOT NULL REFERENCES users ON DELETE CASCADE,"
	"	hash BLOB NOT NULL, PRIMARY KEY(person, hash)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS failures("
	"	person TEXT PRIMARY KEY NOT NULL,"
	"	count INTEGER NOT NULL, last INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"COMMIT;";

static int failed(const struct gr_users *users)
{
	gr_log_error("%s: %s", GR_USERS_FILE, sqlite3_errmsg(users->db));
	return GR_EIO;
}

static int run(struct gr_users *users, const char *sql)
{
	return sqlite3_exec(users->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : failed(users);
}

/*
 * One statement with its values: s = a string, i = an int64_t, b = bytes and their size_t. Borrowed until it is finished.
 * NULL when it cannot be had.
 */
static sqlite3_stmt *prepare(struct gr_users *users, const char *sql, const char *types, ...)
{
	sqlite3_stmt *statement = NULL;
	va_list values;
	int rc = sqlite3_prepare_v2(users->db, sql, -1, &statement, NULL);

	va_start(values, types);
	for (int i = 1; rc == SQLITE_OK && *types; types++, i++) {
		if (*types == 's') {
			rc = sqlite3_bind_text(statement, i, va_arg(values, const char *), -1, SQLITE_STATIC);
		} else if (*types == 'i') {
			rc = sqlite3_bind_int64(statement, i, va_arg(values, int64_t));
		} else {
			const void *bytes = va_arg(values, const void *);
			rc = sqlite3_bind_blob64(statement, i, bytes, va_arg(values, size_t), SQLITE_STATIC);
		}
	}
	va_end(values);
	if (rc != SQLITE_OK) {
		failed(users);
		sqlite3_finalize(statement);
		return NULL;
	}
	return statement;
}

/* 1 = there is a row, 0 = there is none, GR_EIO. */
static int step(struct gr_users *users, sqlite3_stmt *statement)
{
	int rc = statement ? sqlite3_step(statement) : SQLITE_ERROR;

	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		return rc == SQLITE_ROW;
	return statement ? failed(users) : GR_EIO;
}

/* A statement without rows: how many it changed, or GR_EIO. Takes it. */
static int change(struct gr_users *users, sqlite3_stmt *statement)
{
	int rc = step(users, statement);

	sqlite3_finalize(statement);
	return rc < 0 ? rc : sqlite3_changes(users->db);
}

/* GR_ENOENT when it changed nothing. */
static int change_one(struct gr_users *users, sqlite3_stmt *statement)
{
	int rc = change(users, statement);

	return rc < 0 ? rc : rc ? 0 : GR_ENOENT;
}

/* Ends a transaction: rc is what happened in it. */
static int end(struct gr_users *users, int rc)
{
	if (!rc)
		rc = run(users, "COMMIT");
	if (rc && !sqlite3_get_autocommit(users->db))
		sqlite3_exec(users->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

static int bytes_of(sqlite3_stmt *statement, int column, void *out, size_t size)
{
	const void *bytes = sqlite3_column_blob(statement, column);

	if (!bytes || (size_t)sqlite3_column_bytes(statement, column) != size)
		return GR_EIO;
	memcpy(out, bytes, size);
	return 0;
}

int gr_users_open(const char *file, const struct gr_users_limits *limits, struct gr_users **out, struct gr_error *err)
{
	struct gr_users *users = calloc(1, sizeof(*users));
	mode_t mask = umask(077);
	int rc;

	if (!users || sqlite3_initialize() != SQLITE_OK) {
		umask(mask);
		free(users);
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	}
	users->limits = *limits;
	rc = sqlite3_open_v2(file, &users->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(users->db, settings, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(users->db, schema, NULL, NULL, NULL);
	umask(mask);
	if (rc != SQLITE_OK) {
		rc = gr_error_set(err, rc == SQLITE_FULL ? GR_EFULL : GR_EIO, "%s: %s", file,
				  rc == SQLITE_BUSY ? "another process has it open" : sqlite3_errmsg(users->db));
	} else {
		users->nobody = (struct gr_password){ .n = GR_SCRYPT_N, .r = GR_SCRYPT_R, .p = GR_SCRYPT_P };
		if (RAND_bytes(users->nobody.salt, sizeof(users->nobody.salt)) != 1 ||
		    RAND_bytes(users->nobody.hash, sizeof(users->nobody.hash)) != 1 ||
		    RAND_bytes(users->no_secret, sizeof(users->no_secret)) != 1)
			rc = gr_error_set(err, GR_EIO, "no random bytes are to be had");
	}
	if (rc) {
		gr_users_close(users);
		return rc;
	}
	*out = users;
	return 0;
}

void gr_users_close(struct gr_users *users)
{
	if (!users)
		return;
	sqlite3_close(users->db);
	OPENSSL_cleanse(users, sizeof(*users));
	free(users);
}

/* ---- wrong tries ---- */

/* How long after the count-th wrong try in a row the next one counts. */
static int64_t pause_after(const struct gr_users_limits *limits, int64_t count)
{
	int locks = count >= limits->attempts;
	int64_t seconds = locks ? limits->lockout_seconds : 1, most = locks ? GR_USERS_LOCKOUT_MAX : GR_USERS_WAIT_MAX;

	if (count == 0)
		return 0;
	for (int64_t i = locks ? count - limits->attempts : count - 1; i > 0 && seconds < most; i--)
		seconds *= 2;
	return seconds < most ? seconds : most;
}

static struct gr_users_standing standing_of(const struct gr_users *users, int64_t count, int64_t last, int64_t now)
{
	struct gr_users_standing standing = { .tries_left = 1 };
	int64_t pause = pause_after(&users->limits, count), wait = last + pause - now;

	/* A clock that was set back makes nobody wait longer than once. */
	if (wait > pause)
		wait = pause;
	if (wait > 0)
		standing.wait_seconds = (unsigned)wait;
	if (count < users->limits.attempts)
		standing.tries_left = users->limits.attempts - (unsigned)count;
	standing.locked = count >= users->limits.attempts && wait > 0;
	if (standing.locked)
		standing.tries_left = 0;
	return standing;
}

static int failures_of(struct gr_users *users, const char *person, int64_t *count, int64_t *last)
{
	sqlite3_stmt *statement = prepare(users, "SELECT count, last FROM failures WHERE person = ?", "s", person);
	int rc = step(users, statement);

	*count = rc > 0 ? sqlite3_column_int64(statement, 0) : 0;
	*last = rc > 0 ? sqlite3_column_int64(statement, 1) : 0;
	sqlite3_finalize(statement);
	return rc < 0 ? rc : 0;
}

int gr_users_standing(struct gr_users *users, const char *person, int64_t now, struct gr_users_standing *out)
{
	int64_t count, last;
	int rc = failures_of(users, person, &count, &last);

	if (!rc)
		*out = standing_of(users, count, last, now);
	return rc;
}

int gr_users_try(struct gr_users *users, const char *person, int64_t now, struct gr_users_standing *out)
{
	int64_t count, last;
	int rc = failures_of(users, person, &count, &last);

	if (rc)
		return rc;
	*out = standing_of(users, count, last, now);
	if (out->wait_seconds)
		return GR_EAGAIN;
	rc = change(users,
		    prepare(users, "INSERT OR REPLACE INTO failures VALUES(?, ?, ?)", "sii", person, count + 1, now));
	if (rc < 0)
		return rc;
	*out = standing_of(users, count + 1, now, now);
	return 0;
}

int gr_users_untry(struct gr_users *users, const char *person)
{
	int rc = change(users,
			prepare(users, "UPDATE failures SET count = count - 1, last = 0 WHERE person = ? AND count > 0",
				"s", person));

	return rc < 0 ? rc : 0;
}

/* ---- factors ---- */

int gr_users_password(struct gr_users *users, const char *person, const char *untrusted_password, size_t length)
{
	struct gr_password kept = users->nobody;
	sqlite3_stmt *statement = prepare(users, "SELECT n, r, p, salt, hash FROM users WHERE person = ?", "s", person);
	int known = step(users, statement), rc = known < 0 ? known : 0;

	if (known > 0) {
		kept.n = (uint32_t)sqlite3_column_int64(statement, 0);
		kept.r = (uint32_t)sqlite3_column_int64(statement, 1);
		kept.p = (uint32_t)sqlite3_column_int64(statement, 2);
		rc = bytes_of(statement, 3, kept.salt, sizeof(kept.salt));
		if (!rc)
			rc = bytes_of(statement, 4, kept.hash, sizeof(kept.hash));
	}
	sqlite3_finalize(statement);
	if (!rc)
		rc = gr_password_check(&kept, untrusted_password, length);
	OPENSSL_cleanse(&kept, sizeof(kept));
	return rc < 0 ? rc : rc && known > 0;
}

static int recovery_code(struct gr_users *users, const char *person, struct gr_users_code *code)
{
	sqlite3_stmt *statement = prepare(users, "SELECT 1 FROM recovery WHERE person = ? AND hash = ?", "sb", person,
					  code->hash, sizeof(code->hash));
	int rc = step(users, statement);

	sqlite3_finalize(statement);
	if (rc > 0)
		code->kind = GR_CODE_RECOVERY;
	return rc < 0 ? rc : 0;
}

int gr_users_code(struct gr_users *users, const char *person, const char *untrusted_code, size_t length, int64_t now,
		  struct gr_users_code *out)
{
	struct gr_users_code code = { .kind = GR_CODE_NONE, .why = "wrong" };
	uint8_t secret[GR_TOTP_SECRET];
	sqlite3_stmt *statement =
		prepare(users, "SELECT secret, step FROM users WHERE person = ? AND secret IS NOT NULL", "s", person);
	int has = step(users, statement), rc = has < 0 ? has : 0, replayed = 0;
	uint64_t last = has > 0 ? (uint64_t)sqlite3_column_int64(statement, 1) : 0;

	memcpy(secret, users->no_secret, sizeof(secret));
	if (has > 0)
		rc = bytes_of(statement, 0, secret, sizeof(secret));
	sqlite3_finalize(statement);
	if (!rc && gr_totp_check(secret, untrusted_code, length, now, last, &code.step, &replayed) && has > 0)
		code.kind = GR_CODE_TOTP;
	gr_recovery_hash(person, untrusted_code, length, code.hash);
	if (!rc && code.kind == GR_CODE_NONE)
		rc = recovery_code(users, person, &code);
	if (replayed)
		code.why = "used-before";
	else if (has == 0)
		code.why = "none-set";
	OPENSSL_cleanse(secret, sizeof(secret));
	if (!rc)
		*out = code;
	return rc;
}

int gr_users_succeeded(struct gr_users *users, const char *person, const struct gr_users_code *code)
{
	int used = 1, rc = run(users, "BEGIN IMMEDIATE");

	if (rc)
		return rc;
	if (code && code->kind == GR_CODE_TOTP)
		used = change(users, prepare(users, "UPDATE users SET step = ? WHERE person = ? AND step < ?", "isi",
					     (int64_t)code->step, person, (int64_t)code->step));
	else if (code && code->kind == GR_CODE_RECOVERY)
		used = change(users, prepare(users, "DELETE FROM recovery WHERE person = ? AND hash = ?", "sb", person,
					     code->hash, sizeof(code->hash)));
	rc = used < 0 ? used : used ? 0 : GR_EDENIED;
	if (!rc) {
		int forgotten = change(users, prepare(users, "DELETE FROM failures WHERE person = ?", "s", person));
		rc = forgotten < 0 ? forgotten : 0;
	}
	return end(users, rc);
}

/* ---- kept by administrators ---- */

int gr_users_add(struct gr_users *users, const char *person, const struct gr_password *password)
{
	int rc = change_one(users,
			    prepare(users,
				    "INSERT OR IGNORE INTO users(person, n, r, p, salt, hash) VALUES(?, ?, ?, ?, ?, ?)",
				    "siiibb", person, (int64_t)password->n, (int64_t)password->r, (int64_t)password->p,
				    password->salt, sizeof(password->salt), password->hash, sizeof(password->hash)));

	return rc == GR_ENOENT ? GR_EEXIST : rc;
}

int gr_users_set_password(struct gr_users *users, const char *person, const struct gr_password *password)
{
	return change_one(
		users, prepare(users, "UPDATE users SET n = ?, r = ?, p = ?, salt = ?, hash = ? WHERE person = ?",
			       "iiibbs", (int64_t)password->n, (int64_t)password->r, (int64_t)password->p,
			       password->salt, sizeof(password->salt), password->hash, sizeof(password->hash), person));
}

int gr_users_set_code(struct gr_users *users, const char *person, const uint8_t secret[GR_TOTP_SECRET])
{
	return change_one(users, prepare(users, "UPDATE users SET secret = ?, step = 0 WHERE person = ?", "bs", secret,
					 (size_t)GR_TOTP_SECRET, person));
}

int gr_users_set_recovery(struct gr_users *users, const char *person,
			  const uint8_t hashes[GR_RECOVERY_CODES][GR_SECRET_HASH])
{
	sqlite3_stmt *statement = prepare(users, "SELECT 1 FROM users WHERE person = ?", "s", person);
	int rc = step(users, statement);

	sqlite3_finalize(statement);
	if (rc <= 0)
		return rc < 0 ? rc : GR_ENOENT;
	rc = run(users, "BEGIN IMMEDIATE");
	if (rc)
		return rc;
	rc = change(users, prepare(users, "DELETE FROM recovery WHERE person = ?", "s", person));
	rc = rc < 0 ? rc : 0;
	for (size_t i = 0; !rc && i < GR_RECOVERY_CODES; i++)
		rc = change_one(users, prepare(users, "INSERT INTO recovery VALUES(?, ?)", "sb", person, hashes[i],
					       (size_t)GR_SECRET_HASH));
	return end(users, rc);
}

int gr_users_unlock(struct gr_users *users, const char *person)
{
	return change_one(users, prepare(users, "DELETE FROM failures WHERE person = ?", "s", person));
}

int gr_users_remove(struct gr_users *users, const char *person)
{
	int rc = run(users, "BEGIN IMMEDIATE");

	if (rc)
		return rc;
	rc = change_one(users, prepare(users, "DELETE FROM users WHERE person = ?", "s", person));
	if (!rc) {
		int forgotten = change(users, prepare(users, "DELETE FROM failures WHERE person = ?", "s", person));
		rc = forgotten < 0 ? forgotten : 0;
	}
	return end(users, rc);
}

int gr_users_next(struct gr_users *users, const char *after, struct gr_users_entry *out)
{
	sqlite3_stmt *statement = prepare(
		users,
		"SELECT everybody.person, users.person IS NOT NULL, secret IS NOT NULL,"
		" (SELECT count(*) FROM recovery WHERE recovery.person = everybody.person), coalesce(failures.count, 0)"
		" FROM (SELECT person FROM users UNION SELECT person FROM failures) AS everybody"
		" LEFT JOIN users USING(person) LEFT JOIN failures USING(person)"
		" WHERE everybody.person > ? ORDER BY everybody.person LIMIT 1",
		"s", after);
	int rc = step(users, statement);

	if (rc > 0) {
		struct gr_users_entry entry = {
			.known = sqlite3_column_int(statement, 1),
			.code = sqlite3_column_int(statement, 2),
			.recovery = (unsigned)sqlite3_column_int(statement, 3),
			.failures = (unsigned)sqlite3_column_int64(statement, 4),
		};
		const unsigned char *person = sqlite3_column_text(statement, 0);

		snprintf(entry.person, sizeof(entry.person), "%s", person ? (const char *)person : "");
		*out = entry;
	}
	sqlite3_finalize(statement);
	return rc < 0 ? rc : rc ? 0 : GR_ENOENT;
}
