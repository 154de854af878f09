#include "broker/identity/certificate.h"
#include "broker/identity/identity.h"
#include "broker/ipc/ipc.h"

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int person(const char *uri, size_t length, char *id)
{
	memset(id, '#', GR_PERSON_MAX + 1);
	return gr_identity_person_of_uri(uri, length, id);
}

static void good_uris_name_their_person(void **state)
{
	static const char *const ids[] = {
		"hanako", "h", "0", "a.b_c-d", "9lives", "abcdefghijklmnopqrstuvwxyz012345"
	};
	char uri[64], id[GR_PERSON_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		int n = snprintf(uri, sizeof uri, "garasu:user/%s", ids[i]);
		assert_int_equal(person(uri, (size_t)n, id), 0);
		assert_string_equal(id, ids[i]);
	}
}

static void other_uris_name_nobody(void **state)
{
	static const char *const uris[] = { "",
					    "garasu:user/",
					    "garasu:user",
					    "garasu:role/hanako",
					    "Garasu:user/hanako",
					    "garasu:user/Hanako",
					    "garasu:user/.hanako",
					    "garasu:user/-x",
					    "garasu:user/_x",
					    "garasu:user/ha nako",
					    "garasu:user/hanako/",
					    "garasu:user/../x",
					    "garasu:user/a/b",
					    "garasu:user/h%61",
					    "garasu:user/a\n",
					    "garasu:user/a?x",
					    "garasu:user/a#x",
					    "garasu://user/a",
					    " garasu:user/a",
					    "http://garasu:user/a",
					    "garasu:user/\xe8\x8a\xb1",
					    "garasu:user/abcdefghijklmnopqrstuvwxyz0123456" };
	char id[GR_PERSON_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++) {
		assert_int_equal(person(uris[i], strlen(uris[i]), id), GR_EINVAL);
		assert_int_equal(id[0], '#'); /* written only on success */
	}
	assert_int_equal(person("garasu:user/a\0b", 15, id), GR_EINVAL);
	assert_int_equal(person("garasu:user/a\0", 14, id), GR_EINVAL);
}

static void every_byte_after_the_first_is_judged(void **state)
{
	char id[GR_PERSON_MAX + 1];

	(void)state;
	for (int c = 0; c < 256; c++) {
		char uri[] = "garasu:user/a?b";
		uri[13] = (char)c;
		int allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
		assert_int_equal(person(uri, sizeof uri - 1, id), allowed ? 0 : GR_EINVAL);
		uri[12] = (char)c;
		uri[13] = 'x';
		allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		assert_int_equal(person(uri, sizeof uri - 1, id), allowed ? 0 : GR_EINVAL);
	}
}

/* A self-signed certificate with these two extensions; NULL = without. */
static X509 *make(const char *usage, const char *names)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *c = X509_new();

	X509_set_version(c, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(c), 0x1234);
	X509_gmtime_adj(X509_getm_notBefore(c), -60);
	X509_gmtime_adj(X509_getm_notAfter(c), 3600);
	X509_set_pubkey(c, key);
	const struct {
		int nid;
		const char *value;
	} extensions[] = { { NID_ext_key_usage, usage }, { NID_subject_alt_name, names } };
	for (size_t i = 0; i < 2; i++) {
		if (!extensions[i].value)
			continue;
		X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, extensions[i].nid, extensions[i].value);
		assert_non_null(e);
		X509_add_ext(c, e, -1);
		X509_EXTENSION_free(e);
	}
	assert_true(X509_sign(c, key, EVP_sha256()) > 0);
	EVP_PKEY_free(key);
	return c;
}

static int leaf(const char *usage, const char *names, char *id)
{
	X509 *c = make(usage, names);
	int rc = gr_certificate_check_leaf(c, id);

	X509_free(c);
	return rc;
}

static void the_purpose_must_be_client_authentication_alone(void **state)
{
	char id[GR_PERSON_MAX + 1];
	const char *name = "URI:garasu:user/hanako";

	(void)state;
	assert_int_equal(leaf("clientAuth", name, id), X509_V_OK);
	assert_string_equal(id, "hanako");
	assert_int_equal(leaf(NULL, name, id), X509_V_ERR_INVALID_PURPOSE);
	assert_int_equal(leaf("serverAuth", name, id), X509_V_ERR_INVALID_PURPOSE);
	assert_int_equal(leaf("clientAuth,serverAuth", name, id), X509_V_ERR_INVALID_PURPOSE);
	assert_int_equal(leaf("anyExtendedKeyUsage", name, id), X509_V_ERR_INVALID_PURPOSE);
	assert_int_equal(leaf("clientAuth,clientAuth", name, id), X509_V_ERR_INVALID_PURPOSE);
}

static void exactly_one_uri_must_name_the_person(void **state)
{
	char id[GR_PERSON_MAX + 1];
	const char *use = "clientAuth";

	(void)state;
	assert_int_equal(leaf(use, NULL, id), X509_V_ERR_APPLICATION_VERIFICATION);
	assert_int_equal(leaf(use, "DNS:hanako", id), X509_V_ERR_APPLICATION_VERIFICATION);
	assert_int_equal(leaf(use, "URI:https://example.com/", id), X509_V_ERR_APPLICATION_VERIFICATION);
	assert_int_equal(leaf(use, "URI:garasu:user/a,URI:garasu:user/b", id), X509_V_ERR_APPLICATION_VERIFICATION);
	assert_int_equal(leaf(use, "URI:https://x/,URI:garasu:user/b", id), X509_V_ERR_APPLICATION_VERIFICATION);
	assert_int_equal(leaf(use, "email:a@example.com,URI:garasu:user/b", id), X509_V_OK);
	assert_string_equal(id, "b");
}

static void an_untrusted_certificate_is_refused_and_described(void **state)
{
	X509_STORE *store = X509_STORE_new();
	X509 *c = make("clientAuth", "URI:garasu:user/hanako");
	struct gr_certificate_verdict verdict;

	(void)state;
	gr_certificate_judge(store, c, NULL, &verdict);
	assert_int_equal(verdict.reason, GR_REASON_BAD_CERTIFICATE);
	assert_string_equal(verdict.person, "");
	assert_ptr_equal(strstr(verdict.text, "serial=1234 fingerprint=sha256:"), verdict.text);
	assert_true(strlen(verdict.text) > 31 + 64 + 5);

	X509_STORE_add_cert(store, c); /* as its own trust anchor it is good: only then */
	gr_certificate_judge(store, c, NULL, &verdict);
	assert_int_equal(verdict.reason, GR_REASON_NONE);
	assert_string_equal(verdict.person, "hanako");
	assert_int_equal(strlen(verdict.text), 31 + 64);

	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	gr_certificate_judge(store, c, NULL, &verdict); /* a list is demanded and there is none */
	assert_int_not_equal(verdict.reason, GR_REASON_NONE);
	assert_string_equal(verdict.person, "");
	X509_free(c);
	X509_STORE_free(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_uris_name_their_person),
		cmocka_unit_test(other_uris_name_nobody),
		cmocka_unit_test(every_byte_after_the_first_is_judged),
		cmocka_unit_test(the_purpose_must_be_client_authentication_alone),
		cmocka_unit_test(exactly_one_uri_must_name_the_person),
		cmocka_unit_test(an_untrusted_certificate_is_refused_and_described),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
