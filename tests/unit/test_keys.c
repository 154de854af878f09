#include "broker/keys/signer.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/garasu-test-keys-XXXXXX";
static char key_file[64], other_file[64], certificate_file[64];

static void write_key(EVP_PKEY *key, const char *file)
{
	FILE *f = fopen(file, "w");
	assert_non_null(f);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	assert_int_equal(chmod(file, 0600), 0);
}

static int set_up(void **state)
{
	assert_non_null(mkdtemp(folder));
	snprintf(key_file, sizeof key_file, "%s/key", folder);
	snprintf(other_file, sizeof other_file, "%s/other", folder);
	snprintf(certificate_file, sizeof certificate_file, "%s/pem", folder);

	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	assert_non_null(key);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	write_key(key, key_file);
	FILE *f = fopen(certificate_file, "w");
	PEM_write_X509(f, certificate);
	fclose(f);
	X509_free(certificate);
	*state = key;
	return 0;
}

static int tear_down(void **state)
{
	EVP_PKEY_free(*state);
	unlink(key_file);
	unlink(other_file);
	unlink(certificate_file);
	return rmdir(folder);
}

static void a_signature_verifies_with_the_certificates_key(void **state)
{
	struct gr_signer *signer = NULL;
	struct gr_error err;
	struct gr_keys_request request = { .length = GR_KEYS_DIGEST };
	struct gr_keys_answer answer = { 0 };

	assert_int_equal(gr_signer_load(key_file, certificate_file, &signer, &err), 0);
	memset(request.digest, 0x5a, sizeof request.digest);
	assert_int_equal(gr_signer_answer(signer, &request, sizeof request, &answer), 0);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(*state, NULL);
	assert_int_equal(EVP_PKEY_verify_init(context), 1);
	assert_int_equal(EVP_PKEY_verify(context, answer.signature, answer.length, request.digest, GR_KEYS_DIGEST), 1);
	request.digest[0] ^= 1;
	assert_int_not_equal(EVP_PKEY_verify(context, answer.signature, answer.length, request.digest, GR_KEYS_DIGEST),
			     1);
	EVP_PKEY_CTX_free(context);
	gr_signer_destroy(signer);
}

static void malformed_requests_are_refused(void **state)
{
	struct gr_signer *signer = NULL;
	struct gr_error err;
	struct gr_keys_request request = { .length = GR_KEYS_DIGEST };
	struct gr_keys_answer answer = { .length = 77 };

	(void)state;
	assert_int_equal(gr_signer_load(key_file, certificate_file, &signer, &err), 0);
	assert_int_equal(gr_signer_answer(signer, &request, sizeof request - 1, &answer), GR_EPROTO);
	assert_int_equal(gr_signer_answer(signer, &request, 0, &answer), GR_EPROTO);
	static const uint32_t lengths[] = { 0, 20, 31, 33, 48, 64, UINT32_MAX };
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		request.length = lengths[i];
		assert_int_equal(gr_signer_answer(signer, &request, sizeof request, &answer), GR_EPROTO);
	}
	assert_int_equal(answer.length, 77);
	gr_signer_destroy(signer);
}

static void a_key_that_others_may_read_is_refused(void **state)
{
	struct gr_signer *signer = NULL;
	struct gr_error err;
	static const mode_t modes[] = { 0640, 0604, 0644, 0620, 0602, 0610 };

	(void)state;
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		assert_int_equal(chmod(key_file, modes[i]), 0);
		assert_int_equal(gr_signer_load(key_file, certificate_file, &signer, &err), GR_EDENIED);
		assert_non_null(strstr(err.text, "others may read"));
	}
	assert_int_equal(chmod(key_file, 0400), 0);
	assert_int_equal(gr_signer_load(key_file, certificate_file, &signer, &err), 0);
	gr_signer_destroy(signer);
	assert_int_equal(chmod(key_file, 0600), 0);
}

static void another_kind_of_key_or_another_key_is_refused(void **state)
{
	struct gr_signer *signer = NULL;
	struct gr_error err;
	EVP_PKEY *other = EVP_EC_gen("P-256");

	(void)state;
	write_key(other, other_file);
	assert_int_equal(gr_signer_load(other_file, certificate_file, &signer, &err), GR_EINVAL);
	assert_non_null(strstr(err.text, "is not the key of the certificate"));
	EVP_PKEY_free(other);
	other = EVP_EC_gen("P-384");
	write_key(other, other_file);
	assert_int_equal(gr_signer_load(other_file, certificate_file, &signer, &err), GR_EINVAL);
	assert_non_null(strstr(err.text, "not an EC key on the curve P-256"));
	EVP_PKEY_free(other);
	assert_int_equal(gr_signer_load(certificate_file, certificate_file, &signer, &err), GR_EDENIED); /* 0644 */
	assert_int_equal(gr_signer_load("/nonexistent", certificate_file, &signer, &err), GR_EIO);
	assert_int_equal(gr_signer_load(folder, certificate_file, &signer, &err), GR_EINVAL);
	assert_int_equal(gr_signer_load(key_file, "/nonexistent", &signer, &err), GR_EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signature_verifies_with_the_certificates_key),
		cmocka_unit_test(malformed_requests_are_refused),
		cmocka_unit_test(a_key_that_others_may_read_is_refused),
		cmocka_unit_test(another_kind_of_key_or_another_key_is_refused),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
