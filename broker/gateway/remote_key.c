/*
 * By an EC_KEY_METHOD, as OpenSMTPD and relayd do. OpenSSL 3 calls this interface deprecated; its successor, a provider,
 * would take some ten times the code for the same one call. Hence the warning is off in this file only.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "broker/gateway/remote_key.h"

#include "broker/keys/keys.h"
#include "common/io.h"
#include "common/log.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>

#define ANSWER_MS 2000

static int keys_socket = -1;

/* The keys process answers at once or is broken; waiting here stops nobody else, as a process has one connection. */
static int ask(const struct gr_keys_request *request, struct gr_keys_answer *answer)
{
	struct pollfd answered = { .fd = keys_socket, .events = POLLIN };
	size_t size = 0;
	int rc = gr_io_send(keys_socket, request, sizeof *request, -1);

	if (!rc && poll(&answered, 1, ANSWER_MS) != 1)
		rc = GR_ETIMEOUT;
	if (!rc)
		rc = gr_io_receive(keys_socket, answer, sizeof *answer, &size, NULL);
	if (!rc && (size != sizeof *answer || answer->length == 0 || answer->length > sizeof answer->signature))
		rc = GR_EPROTO;
	return rc;
}

static int sign(int type, const unsigned char *digest, int length, unsigned char *signature, unsigned *signature_length,
		const BIGNUM *kinv, const BIGNUM *r, EC_KEY *key)
{
	struct gr_keys_request request = { .length = GR_KEYS_DIGEST };
	struct gr_keys_answer answer;
	int rc;

	(void)type;
	(void)kinv;
	(void)r;
	if (length != GR_KEYS_DIGEST) {
		ERR_raise(ERR_LIB_EC, EC_R_INVALID_DIGEST);
		return 0;
	}
	memcpy(request.digest, digest, GR_KEYS_DIGEST);
	rc = ask(&request, &answer);
	if (rc || answer.length > (uint32_t)ECDSA_size(key)) {
		gr_log_error("no signature from the keys process: %s", gr_status_text(rc ? rc : GR_EPROTO));
		ERR_raise(ERR_LIB_EC, ERR_R_INTERNAL_ERROR);
		return 0;
	}
	memcpy(signature, answer.signature, answer.length);
	*signature_length = answer.length;
	return 1;
}

int gr_remote_key_create(X509 *certificate, int keys_fd, EVP_PKEY **out, struct gr_error *err)
{
	EVP_PKEY *public_key = X509_get0_pubkey(certificate);
	const EC_KEY *public_ec = public_key ? EVP_PKEY_get0_EC_KEY(public_key) : NULL;

	if (!public_ec) {
		ERR_clear_error();
		return gr_error_set(err, GR_EINVAL, "the server's certificate has no EC key");
	}
	/* The method lives as long as the process: so does the key. */
	EC_KEY_METHOD *method = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
	EC_KEY *key = EC_KEY_new();
	EVP_PKEY *wrapped = EVP_PKEY_new();

	if (method)
		EC_KEY_METHOD_set_sign(method, sign, NULL, NULL);
	if (!method || !key || !wrapped || !EC_KEY_set_method(key, method) ||
	    !EC_KEY_set_group(key, EC_KEY_get0_group(public_ec)) ||
	    !EC_KEY_set_public_key(key, EC_KEY_get0_public_key(public_ec)) || !EVP_PKEY_set1_EC_KEY(wrapped, key)) {
		EVP_PKEY_free(wrapped);
		EC_KEY_free(key);
		EC_KEY_METHOD_free(method);
		ERR_clear_error();
		return gr_error_set(err, GR_ENOMEM, "cannot set up the server's key");
	}
	EC_KEY_free(key); /* wrapped has its own reference */
	keys_socket = keys_fd;
	*out = wrapped;
	return 0;
}
