#include "broker/identity/secret.h"

#include <liboath/oath.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

/* The length of a password or a code with what is taken out of it, at most. */
#define CODE_MAX 64

static int scrypt(const struct gr_password *kept, const char *password, size_t length, uint8_t out[GR_SECRET_HASH])
{
	/* 128 N r for the table; p blocks and a little beside it. */
	uint64_t memory = UINT64_C(128) * kept->n * kept->r + UINT64_C(256) * kept->r * kept->p + (1 << 20);
	int good;

	if (memory > GR_SCRYPT_MEMORY_MAX)
		return GR_EINVAL;
	good = EVP_PBE_scrypt(password, length, kept->salt, sizeof(kept->salt), kept->n, kept->r, kept->p, memory, out,
			      GR_SECRET_HASH);
	ERR_clear_error();
	return good ? 0 : GR_ENOMEM;
}

int gr_password_hash(const char *password, size_t length, struct gr_password *out)
{
	struct gr_password made = { .n = GR_SCRYPT_N, .r = GR_SCRYPT_R, .p = GR_SCRYPT_P };
	int rc = RAND_bytes(made.salt, sizeof(made.salt)) == 1 ? 0 : GR_EIO;

	if (!rc)
		rc = scrypt(&made, password, length, made.hash);
	if (!rc)
		*out = made;
	return rc;
}

int gr_password_check(const struct gr_password *kept, const char *untrusted_password, size_t length)
{
	uint8_t hash[GR_SECRET_HASH];
	int rc = scrypt(kept, untrusted_password, length, hash);

	if (!rc)
		rc = CRYPTO_memcmp(hash, kept->hash, sizeof(hash)) == 0;
	OPENSSL_cleanse(hash, sizeof(hash));
	return rc;
}

int gr_totp_code(const uint8_t *secret, size_t size, uint64_t step, unsigned digits, char *out)
{
	/* liboath counts in seconds from a start; with steps of one second its time is the step. */
	return oath_totp_generate((const char *)secret, size, (time_t)step, 1, 0, digits, out) == OATH_OK ? 0 : GR_EIO;
}

int gr_totp_check(const uint8_t secret[GR_TOTP_SECRET], const char *untrusted_code, size_t length, int64_t now,
		  uint64_t last_step, uint64_t *step_out, int *replayed_out)
{
	char given[CODE_MAX] = "", code[GR_TOTP_DIGITS + 1];
	uint64_t current = now > 0 ? (uint64_t)now / GR_TOTP_SECONDS : 0;
	int found = 0;

	*replayed_out = 0;
	length = gr_secret_normal(untrusted_code, length, given, sizeof(given));
	for (uint64_t step = current > GR_TOTP_WINDOW ? current - GR_TOTP_WINDOW : 0; step <= current + GR_TOTP_WINDOW;
	     step++) {
		if (gr_totp_code(secret, GR_TOTP_SECRET, step, GR_TOTP_DIGITS, code) < 0 || length != GR_TOTP_DIGITS ||
		    CRYPTO_memcmp(code, given, GR_TOTP_DIGITS) != 0)
			continue;
		if (step > last_step) {
			*step_out = step;
			found = 1;
		} else {
			*replayed_out = 1;
		}
	}
	if (found)
		*replayed_out = 0;
	OPENSSL_cleanse(code, sizeof(code));
	OPENSSL_cleanse(given, sizeof(given));
	return found;
}

void gr_recovery_hash(const char *person, const char *untrusted_code, size_t length, uint8_t out[GR_SECRET_HASH])
{
	char given[CODE_MAX];
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	length = gr_secret_normal(untrusted_code, length, given, sizeof(given));
	memset(out, 0, GR_SECRET_HASH);
	/* The id's terminator stands between the two. Without memory the zeroes are no code's hash. */
	if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) &&
	    EVP_DigestUpdate(context, person, strlen(person) + 1) && EVP_DigestUpdate(context, given, length))
		EVP_DigestFinal_ex(context, out, NULL);
	EVP_MD_CTX_free(context);
	OPENSSL_cleanse(given, sizeof(given));
}

int gr_secret_words(unsigned groups, char *out)
{
	/* 31 that are not taken for one another: no 0, 1, i, l, o. Of 256 values the last 8 would prefer the first letters. */
	static const char letters[] = "23456789abcdefghjkmnpqrstuvwxyz";
	const unsigned count = sizeof(letters) - 1;
	uint8_t byte;

	for (unsigned i = 0; i < 5 * groups; i++) {
		if (i % 5 == 4) {
			*out++ = i + 1 < 5 * groups ? '-' : '\0';
			continue;
		}
		do {
			if (RAND_bytes(&byte, 1) != 1)
				return GR_EIO;
		} while (byte >= 256 / count * count);
		*out++ = letters[byte % count];
	}
	OPENSSL_cleanse(&byte, 1);
	return 0;
}

void gr_secret_base32(const uint8_t *data, size_t size, char *out)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	size_t used = 0;

	for (size_t bit = 0; bit < size * 8; bit += 5) {
		unsigned pair = (unsigned)data[bit / 8] << 8 | (bit / 8 + 1 < size ? data[bit / 8 + 1] : 0u);

		out[used++] = letters[pair >> (11 - bit % 8) & 31];
	}
	out[used] = '\0';
}

size_t gr_secret_normal(const char *untrusted_code, size_t length, char *out, size_t cap)
{
	size_t used = 0;

	for (size_t i = 0; i < length && used < cap; i++) {
		char c = untrusted_code[i];

		if (c == ' ' || c == '-')
			continue;
		out[used++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	return used;
}
