/*
 * users.db (SQLite): the persons that this broker knows by a password, a one-time code and recovery codes, and everybody's
 * wrong tries in a row, those of persons whom it does not know too. Every change is on the disk when the function
 * returns. Times are seconds since 1970, given by the caller.
 */
#ifndef GARASU_BROKER_IDENTITY_USERS_H
#define GARASU_BROKER_IDENTITY_USERS_H

#include "broker/identity/secret.h"
#include "common/limits.h"

#include <stdint.h>

#define GR_USERS_FILE "users.db"
#define GR_USERS_WAIT_MAX 8 /* seconds after a wrong try that does not lock out: 1, 2, 4, 8, 8, … */
#define GR_USERS_LOCKOUT_MAX 3600 /* seconds */

struct gr_users;

struct gr_users_limits {
	unsigned attempts; /* wrong tries in a row, until the person is locked out */
	unsigned lockout_seconds; /* the first time; twice as long with each further one */
};

/* Opens the file, or makes it with mode 0600. Nobody else can open it meanwhile. Returns owned in *out. GR_EIO, GR_EFULL. */
int gr_users_open(const char *file, const struct gr_users_limits *limits, struct gr_users **out, struct gr_error *err);
void gr_users_close(struct gr_users *users); /* NULL allowed */

/* ---- wrong tries ---- */

struct gr_users_standing {
	int locked; /* out; otherwise wait_seconds is only the pause after a wrong try */
	unsigned tries_left; /* before the person is locked out */
	unsigned wait_seconds; /* until the next try counts */
};
int gr_users_standing(struct gr_users *users, const char *person, int64_t now, struct gr_users_standing *out);

/*
 * A try begins: it counts as a wrong one until gr_users_succeeded, so that nothing that happens in between gives one away.
 * GR_EAGAIN: not now (standing); GR_EIO. *out: how the person stands when it turns out wrong.
 */
int gr_users_try(struct gr_users *users, const char *person, int64_t now, struct gr_users_standing *out);
/* It could not be judged, and counts for nothing. */
int gr_users_untry(struct gr_users *users, const char *person);

/* ---- factors ---- */

/* 1 = this is the person's password, 0 = not, or there is none: as slowly. GR_EIO, GR_ENOMEM. */
int gr_users_password(struct gr_users *users, const char *person, const char *untrusted_password, size_t length);

enum gr_users_code_kind { GR_CODE_NONE, GR_CODE_TOTP, GR_CODE_RECOVERY };

/* What a code turned out to be. It is used up by gr_users_succeeded, not before. */
struct gr_users_code {
	enum gr_users_code_kind kind; /* NONE: wrong */
	const char *why; /* of NONE, for the record: "wrong", "used-before", "none-set" */
	uint64_t step;
	uint8_t hash[GR_SECRET_HASH];
};
/* GR_EIO. */
int gr_users_code(struct gr_users *users, const char *person, const char *untrusted_code, size_t length, int64_t now,
		  struct gr_users_code *out);

/*
 * Everything was right: the wrong tries are forgotten and the code (NULL or kind NONE: there was none) is used up, both or
 * none. GR_EDENIED: somebody else used it meanwhile; GR_EIO. Without a 0 nobody may be let in.
 */
int gr_users_succeeded(struct gr_users *users, const char *person, const struct gr_users_code *code);

/* ---- kept by administrators ---- */

/* With a password and nothing else. GR_EEXIST, GR_EIO. */
int gr_users_add(struct gr_users *users, const char *person, const struct gr_password *password);
/* GR_ENOENT when there is no such person, as all of these. */
int gr_users_set_password(struct gr_users *users, const char *person, const struct gr_password *password);
int gr_users_set_code(struct gr_users *users, const char *person, const uint8_t secret[GR_TOTP_SECRET]);
/* Earlier ones are void. */
int gr_users_set_recovery(struct gr_users *users, const char *person,
			  const uint8_t hashes[GR_RECOVERY_CODES][GR_SECRET_HASH]);
/* Forgets the wrong tries; GR_ENOENT: there were none. */
int gr_users_unlock(struct gr_users *users, const char *person);
/* With all that belongs to it. */
int gr_users_remove(struct gr_users *users, const char *person);

struct gr_users_entry {
	char person[GR_PERSON_MAX + 8];
	int known; /* otherwise only the wrong tries are */
	int code; /* has one */
	unsigned recovery; /* codes that are left */
	unsigned failures; /* in a row */
};
/* The first person behind after ("" = from the beginning) in the order of bytes; GR_ENOENT at the end. */
int gr_users_next(struct gr_users *users, const char *after, struct gr_users_entry *out);

#endif
