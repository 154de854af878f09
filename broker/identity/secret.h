/*
 * Secrets of persons: how passwords, one-time codes and recovery codes are made, kept and compared. Comparisons take the same
 * time whatever they find. Callers wipe what they hold.
 */
#ifndef GARASU_BROKER_IDENTITY_SECRET_H
#define GARASU_BROKER_IDENTITY_SECRET_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Passwords: scrypt (RFC 7914), 64 MiB and some 0.15 s of one core each. Twice as much would let three persons a second in
 * at half past eight, when a whole city comes; and a stolen users.db is not guessed sooner for that
 * where passwords are made here, with 59 random bits.
 */
#define GR_SCRYPT_N (1u << 16)
#define GR_SCRYPT_R 8
#define GR_SCRYPT_P 1
#define GR_SCRYPT_MEMORY_MAX (256u << 20) /* of what users.db may ask for */

#define GR_SECRET_SALT 16
#define GR_SECRET_HASH 32

struct gr_password {
	uint32_t n, r, p;
	uint8_t salt[GR_SECRET_SALT];
	uint8_t hash[GR_SECRET_HASH];
};

/* A new one with a fresh salt. GR_ENOMEM, GR_EIO. */
int gr_password_hash(const char *password, size_t length, struct gr_password *out);
/* 1 = it is this one; 0 = not; GR_ENOMEM, GR_EIO: cannot be told. Takes as long for every password. */
int gr_password_check(const struct gr_password *kept, const char *untrusted_password, size_t length);

/* One-time codes: TOTP (RFC 6238) with SHA-1, 30 s and 6 digits, as every authenticator has it. */
#define GR_TOTP_SECRET 20 /* bytes: RFC 4226 4 */
#define GR_TOTP_SECONDS 30
#define GR_TOTP_DIGITS 6
#define GR_TOTP_WINDOW 1 /* steps before and after: clocks differ, people type slowly */

/* The code of one step (seconds since 1970 / GR_TOTP_SECONDS); digits 6..8; out has digits + 1 bytes. GR_EIO. */
int gr_totp_code(const uint8_t *secret, size_t size, uint64_t step, unsigned digits, char *out);
/*
 * 1 = a code of a step in the window around now (seconds since 1970) that is later than last_step; its step in *step_out.
 * 0 = not; *replayed_out = 1: it would have been, but for last_step.
 */
int gr_totp_check(const uint8_t secret[GR_TOTP_SECRET], const char *untrusted_code, size_t length, int64_t now,
		  uint64_t last_step, uint64_t *step_out, int *replayed_out);

/* Recovery codes: 79 random bits each, so that one SHA-256 with the person's id keeps them. */
#define GR_RECOVERY_CODES 10
#define GR_RECOVERY_TEXT 20 /* "xxxx-xxxx-xxxx-xxxx" with its terminator */

void gr_recovery_hash(const char *person, const char *untrusted_code, size_t length, uint8_t out[GR_SECRET_HASH]);

/* groups of four letters and digits that nobody takes for one another, some 19.8 random bits each; out has 5 * groups bytes. GR_EIO. */
int gr_secret_words(unsigned groups, char *out);

/* Base 32 (RFC 4648 6) without padding; out has (size * 8 + 4) / 5 + 1 bytes. */
void gr_secret_base32(const uint8_t *data, size_t size, char *out);

/* What people add to a code when they type it is taken out: blanks and hyphens; capital letters become small. The new length. */
size_t gr_secret_normal(const char *untrusted_code, size_t length, char *out, size_t cap);

#endif
