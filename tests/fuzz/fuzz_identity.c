/*
 * What the identity process reads: the URI of a certificate's person (input begins with 'u'), a packet of certificates ('r'), one of
 * factors ('f'), a code ('c'), a certificate (otherwise, DER).
 */
#include "broker/identity/certificate.h"
#include "broker/identity/chain.h"
#include "broker/identity/identity.h"
#include "broker/identity/secret.h"
#include "broker/ipc/ipc.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

static void demand(int condition)
{
	if (!condition)
		abort();
}

static void check_person(const char *id)
{
	size_t n = strlen(id);

	demand(n >= 1 && n <= GR_PERSON_MAX);
	demand(strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n && !strchr("._-", id[0]));
}

static void certificate(const uint8_t *data, size_t size)
{
	static X509_STORE *nobody;
	struct gr_certificate_verdict verdict;
	char person[GR_PERSON_MAX + 1] = "";
	X509 *leaf = d2i_X509(NULL, &data, (long)size);

	if (!nobody)
		nobody = X509_STORE_new();
	if (leaf) {
		if (gr_certificate_check_leaf(leaf, person) == X509_V_OK)
			check_person(person);
		gr_certificate_judge(nobody, leaf, NULL, &verdict);
		demand(verdict.reason != GR_REASON_NONE && verdict.person[0] == '\0'); /* nobody vouches for it */
		for (const char *c = verdict.text; *c; c++)
			demand(*c >= ' ' && *c <= '~');
	}
	X509_free(leaf);
	ERR_clear_error();
}

static void request(const uint8_t *data, size_t size)
{
	struct gr_identity_request untrusted = { 0 };
	struct gr_chain chain = { 0 };

	memcpy(&untrusted, data, size < sizeof untrusted ? size : sizeof untrusted);
	if (gr_chain_parse(&untrusted, sizeof untrusted, &chain) == 0) {
		demand(chain.leaf && untrusted.count >= 1 && untrusted.count <= GR_IDENTITY_CHAIN_MAX &&
		       sk_X509_num(chain.others) == (int)untrusted.count - 1);
		gr_chain_finish(&chain);
	}
	demand(!chain.leaf && !chain.others);
	ERR_clear_error();
}

static void factors(const uint8_t *data, size_t size)
{
	struct gr_identity_factors untrusted = { 0 };
	uint32_t asked = size ? *data & (GR_ASK_PASSWORD | GR_ASK_CODE) : 0;

	if (size > 1)
		memcpy(&untrusted, data + 1, size - 1 < sizeof untrusted ? size - 1 : sizeof untrusted);
	if (gr_identity_factors_check(&untrusted, sizeof untrusted, asked) < 0)
		return;
	demand(untrusted.password_length <= (asked & GR_ASK_PASSWORD ? GR_IDENTITY_PASSWORD_MAX : 0));
	demand(untrusted.code_length <= (asked & GR_ASK_CODE ? GR_IDENTITY_CODE_MAX : 0));
	for (uint32_t i = 0; i < untrusted.code_length; i++)
		demand(untrusted.code[i] >= ' ' && untrusted.code[i] <= '~');
}

/* A code counts only when it is one of the window, and none that was used counts. */
static void code(const uint8_t *data, size_t size)
{
	static const uint8_t secret[GR_TOTP_SECRET] = "12345678901234567890";
	const int64_t now = 1234567890;
	uint8_t hash[GR_SECRET_HASH];
	char normal[GR_IDENTITY_CODE_MAX], right[GR_TOTP_DIGITS + 1];
	uint64_t step = 0;
	int replayed = 0;

	size = size < GR_IDENTITY_CODE_MAX ? size : GR_IDENTITY_CODE_MAX;
	size_t length = gr_secret_normal((const char *)data, size, normal, sizeof normal);
	demand(length <= size);
	gr_recovery_hash("hanako", (const char *)data, size, hash);
	if (gr_totp_check(secret, (const char *)data, size, now, 0, &step, &replayed)) {
		demand(gr_totp_code(secret, sizeof secret, step, GR_TOTP_DIGITS, right) == 0);
		demand(length == GR_TOTP_DIGITS && memcmp(right, normal, length) == 0);
		demand(!gr_totp_check(secret, (const char *)data, size, now, now / GR_TOTP_SECONDS + 1, &step,
				      &replayed) &&
		       replayed);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char id[GR_PERSON_MAX + 1];

	if (size > 0 && data[0] == 'u') {
		if (gr_identity_person_of_uri((const char *)data + 1, size - 1, id) == 0) {
			check_person(id);
			demand(size - 1 == strlen("garasu:user/") + strlen(id) &&
			       memcmp(data + 13, id, strlen(id)) == 0);
		}
	} else if (size > 0 && data[0] == 'r') {
		request(data + 1, size - 1);
	} else if (size > 0 && data[0] == 'f') {
		factors(data + 1, size - 1);
	} else if (size > 0 && data[0] == 'c') {
		code(data + 1, size - 1);
	} else {
		certificate(data, size);
	}
	return 0;
}
