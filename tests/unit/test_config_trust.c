/* The file of session.trusted_ca: which certificates are taken, and what is said about the others. */
#include "broker/config/trust.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/garasu-test-trust-XXXXXX";
static EVP_PKEY *key;

static int set_up(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	key = EVP_EC_gen("P-256");
	return fd >= 0 && close(fd) == 0 && key ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	return unlink(path);
}

/* constraints NULL: without that extension. */
static X509 *certificate(const char *constraints, long valid_seconds)
{
	X509 *result = X509_new();
	X509_set_version(result, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(result), 1);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(result), "CN", MBSTRING_ASC, (const unsigned char *)"x", -1,
				   -1, 0);
	X509_set_issuer_name(result, X509_get_subject_name(result));
	X509_gmtime_adj(X509_getm_notBefore(result), -7200);
	X509_gmtime_adj(X509_getm_notAfter(result), valid_seconds);
	X509_set_pubkey(result, key);
	if (constraints) {
		X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, constraints);
		X509_add_ext(result, extension, -1);
		X509_EXTENSION_free(extension);
	}
	assert_true(X509_sign(result, key, EVP_sha256()) > 0);
	return result;
}

/* Adds to the file; text NULL or a certificate (taken) NULL: not that. */
static void add(const char *mode, const char *text, X509 *added)
{
	FILE *stream = fopen(path, mode);
	if (text)
		fputs(text, stream);
	if (added)
		PEM_write_X509(stream, added);
	X509_free(added);
	fclose(stream);
}

static void refused(const char *reason)
{
	char expected[200];
	char **list = NULL;
	struct gr_error err;
	assert_int_equal(gr_trust_load(path, &list, &err), GR_EINVAL);
	snprintf(expected, sizeof(expected), "%s: %s", path, reason);
	assert_string_equal(err.text, expected);
	assert_null(list);
}

static void ca_certificates_are_given_as_their_der_in_base64(void **state)
{
	(void)state;
	char **list;
	struct gr_error err;
	X509 *first = certificate("critical,CA:TRUE", 3600);
	unsigned char *der = NULL, decoded[2048];
	int n = i2d_X509(first, &der);
	add("w", "What a person wrote above it\n", first);
	add("a", NULL, certificate("CA:TRUE,pathlen:0", 3600));
	assert_int_equal(gr_trust_load(path, &list, &err), 0);
	assert_non_null(list[1]);
	assert_null(list[2]);
	assert_null(strchr(list[0], '\n'));
	assert_true(EVP_DecodeBlock(decoded, (const unsigned char *)list[0], (int)strlen(list[0])) >= n);
	assert_memory_equal(decoded, der, (size_t)n);
	OPENSSL_free(der);
	gr_trust_free(list);
	gr_trust_free(NULL);
}

static void anything_else_is_refused_with_its_reason(void **state)
{
	(void)state;
	char **list;
	struct gr_error err;
	add("w", "no certificate\n", NULL);
	refused("certificate 1 is missing or damaged");
	add("w", NULL, certificate("CA:TRUE", 3600));
	add("a", NULL, certificate("CA:FALSE", 3600));
	refused("certificate 2 is not a CA's (basicConstraints CA:TRUE)");
	add("w", NULL, certificate(NULL, 3600));
	refused("certificate 1 is not a CA's (basicConstraints CA:TRUE)");
	add("w", NULL, certificate("CA:TRUE", -3600));
	refused("certificate 1 has expired");
	add("w", NULL, certificate("CA:TRUE", 3600));
	add("a", "-----BEGIN CERTIFICATE-----\nMIIBAAAA\n-----END CERTIFICATE-----\n", NULL);
	refused("certificate 2 is missing or damaged");
	add("w", NULL, NULL);
	for (unsigned i = 0; i <= GR_TRUST_MAX; i++)
		add("a", NULL, certificate("CA:TRUE", 3600));
	refused("certificate 33 is one too many");
	assert_int_equal(gr_trust_load("/nonexistent/ca.pem", &list, &err), GR_EIO);
	assert_string_equal(err.text, "cannot read /nonexistent/ca.pem: No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ca_certificates_are_given_as_their_der_in_base64),
		cmocka_unit_test(anything_else_is_refused_with_its_reason),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
