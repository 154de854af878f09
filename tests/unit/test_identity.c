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

#define DAY 86400L

/* A certificate from begin to end, days from now, by issuer (NULL: by itself, a CA). */
static X509 *issue(EVP_PKEY *key, X509 *issuer, long serial, long begin, long end)
{
	X509 *c = X509_new();
	X509_NAME *name = X509_get_subject_name(c);
	const struct {
		int nid;
		const char *value;
	} extensions[] = { { NID_basic_constraints, issuer ? "critical,CA:FALSE" : "critical,CA:TRUE" },
			   { NID_key_usage, issuer ? "critical,digitalSignature" : "critical,keyCertSign,cRLSign" },
			   { NID_ext_key_usage, issuer ? "clientAuth" : NULL },
			   { NID_subject_alt_name, issuer ? "URI:garasu:user/hanako" : NULL } };

	X509_set_version(c, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(c), serial);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)(issuer ? "leaf" : "ca"), -1, -1,
				   0);
	X509_set_issuer_name(c, issuer ? X509_get_subject_name(issuer) : name);
	X509_gmtime_adj(X509_getm_notBefore(c), begin * DAY);
	X509_gmtime_adj(X509_getm_notAfter(c), end * DAY);
	X509_set_pubkey(c, key);
	for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++) {
		if (!extensions[i].value)
			continue;
		X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, extensions[i].nid, extensions[i].value);
		assert_non_null(e);
		X509_add_ext(c, e, -1);
		X509_EXTENSION_free(e);
	}
	assert_true(X509_sign(c, key, EVP_sha256()) > 0);
	return c;
}

/* A store that trusts ca, with its list from begin to end, which has this serial number. */
static X509_STORE *store_with_list(EVP_PKEY *key, X509 *ca, long serial, long begin, long end)
{
	X509_STORE *store = X509_STORE_new();
	X509_CRL *list = X509_CRL_new();
	X509_REVOKED *revoked = X509_REVOKED_new();
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	ASN1_TIME *time = X509_gmtime_adj(NULL, begin * DAY);

	X509_CRL_set_version(list, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(list, X509_get_subject_name(ca));
	X509_CRL_set1_lastUpdate(list, time);
	ASN1_INTEGER_set(number, serial);
	X509_REVOKED_set_serialNumber(revoked, number);
	X509_REVOKED_set_revocationDate(revoked, time);
	X509_CRL_add0_revoked(list, revoked);
	X509_gmtime_adj(time, end * DAY);
	X509_CRL_set1_nextUpdate(list, time);
	assert_true(X509_CRL_sign(list, key, EVP_sha256()) > 0);
	X509_STORE_add_cert(store, ca);
	X509_STORE_add_crl(store, list);
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	X509_CRL_free(list);
	ASN1_INTEGER_free(number);
	ASN1_TIME_free(time);
	return store;
}

static void who_is_connected_is_ended_by_revocation_and_nothing_else(void **state)
{
	static const struct {
		long serial, list_begin, list_end, begin, end; /* days from now */
		uint32_t reason; /* of a new connection */
		int revoked;
	} cases[] = {
		{ 8, -1, 1, -1, 1, GR_REASON_NONE, 0 },
		{ 7, -1, 1, -1, 1, GR_REASON_REVOKED, 1 },
		{ 8, -3, -2, -1, 1, GR_REASON_INTERNAL, 0 }, /* the list has run out */
		{ 7, -3, -2, -1, 1, GR_REASON_INTERNAL, 1 },
		{ 8, -1, 1, -3, -2, GR_REASON_BAD_CERTIFICATE, 0 }, /* the certificate has */
		{ 7, -1, 1, -3, -2, GR_REASON_REVOKED, 1 },
		{ 7, -3, -2, -3, -2, GR_REASON_INTERNAL, 1 },
	};
	EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
	X509 *ca = issue(key, NULL, 1, -10, 10);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		X509 *c = issue(key, ca, cases[i].serial, cases[i].begin, cases[i].end);
		X509_STORE *store = store_with_list(key, ca, 7, cases[i].list_begin, cases[i].list_end);
		struct gr_certificate_verdict verdict;

		gr_certificate_judge(store, c, NULL, &verdict);
		assert_int_equal(verdict.reason, cases[i].reason);
		assert_int_equal(gr_certificate_is_revoked(store, c, NULL), cases[i].revoked);
		X509_STORE_free(store);
		/* A list that the CA has not signed revokes nobody. */
		store = store_with_list(other, ca, 7, cases[i].list_begin, cases[i].list_end);
		assert_int_equal(gr_certificate_is_revoked(store, c, NULL), 0);
		X509_STORE_free(store);
		X509_free(c);
	}
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
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
		cmocka_unit_test(who_is_connected_is_ended_by_revocation_and_nothing_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
