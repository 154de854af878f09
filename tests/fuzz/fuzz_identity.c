/* What the identity process reads of a certificate: the URI of its person (input begins with 'u'), the whole of it (otherwise, DER). */
#include "broker/identity/certificate.h"
#include "broker/identity/identity.h"
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
	} else {
		certificate(data, size);
	}
	return 0;
}
