#include "broker/keys/signer.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct gr_signer {
	EVP_PKEY *key;
	EVP_PKEY_CTX *context;
};

static int no_password(char *buf, int size, int rwflag, void *context)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)context;
	return -1; /* otherwise OpenSSL would ask on the terminal */
}

static int read_key(const char *file, EVP_PKEY **out, struct gr_error *err)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return gr_error_errno(err, "%s", file);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return gr_error_set(err, GR_EINVAL, "%s: not a regular file", file);
	}
	if (st.st_mode & 077) {
		close(fd);
		return gr_error_set(err, GR_EDENIED, "%s: others may read the private key (mode %04o); chmod 600 it",
				    file, (unsigned)st.st_mode & 07777);
	}
	FILE *stream = fdopen(fd, "r");
	if (!stream) {
		close(fd);
		return gr_error_errno(err, "%s", file);
	}
	EVP_PKEY *key = PEM_read_PrivateKey(stream, NULL, no_password, NULL);
	fclose(stream);
	if (!key)
		return gr_error_set(err, GR_EINVAL, "%s: no unencrypted private key in PEM form", file);

	char group[64] = "";
	if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
	    !EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) ||
	    strcmp(group, "prime256v1") != 0) {
		EVP_PKEY_free(key);
		return gr_error_set(err, GR_EINVAL, "%s: not an EC key on the curve P-256", file);
	}
	*out = key;
	return 0;
}

static int check_certificate(EVP_PKEY *key, const char *key_file, const char *file, struct gr_error *err)
{
	FILE *stream = fopen(file, "re");
	if (!stream)
		return gr_error_errno(err, "%s", file);
	X509 *certificate = PEM_read_X509(stream, NULL, no_password, NULL);
	fclose(stream);
	if (!certificate)
		return gr_error_set(err, GR_EINVAL, "%s: no certificate in PEM form", file);
	int same = X509_check_private_key(certificate, key);
	X509_free(certificate);
	if (same != 1)
		return gr_error_set(err, GR_EINVAL, "%s is not the key of the certificate %s", key_file, file);
	return 0;
}

int gr_signer_load(const char *key, const char *certificate, struct gr_signer **out, struct gr_error *err)
{
	struct gr_signer *signer = calloc(1, sizeof *signer);
	int rc;

	if (!signer)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	rc = read_key(key, &signer->key, err);
	if (!rc)
		rc = check_certificate(signer->key, key, certificate, err);
	if (!rc) {
		signer->context = EVP_PKEY_CTX_new(signer->key, NULL);
		if (!signer->context || EVP_PKEY_sign_init(signer->context) != 1)
			rc = gr_error_set(err, GR_EIO, "%s: OpenSSL cannot sign with it", key);
	}
	ERR_clear_error();
	if (rc) {
		gr_signer_destroy(signer);
		return rc;
	}
	*out = signer;
	return 0;
}

void gr_signer_destroy(struct gr_signer *signer)
{
	if (!signer)
		return;
	EVP_PKEY_CTX_free(signer->context);
	EVP_PKEY_free(signer->key);
	free(signer);
}

int gr_signer_answer(struct gr_signer *signer, const void *untrusted_request, size_t size,
		     struct gr_keys_answer *answer)
{
	struct gr_keys_request request;
	struct gr_keys_answer result = { 0 };
	size_t length = sizeof result.signature;

	if (size != sizeof request)
		return GR_EPROTO;
	memcpy(&request, untrusted_request, sizeof request);
	if (request.length != GR_KEYS_DIGEST)
		return GR_EPROTO;
	if (EVP_PKEY_sign(signer->context, result.signature, &length, request.digest, GR_KEYS_DIGEST) != 1) {
		ERR_clear_error();
		return GR_EIO;
	}
	result.length = (uint32_t)length;
	*answer = result;
	return 0;
}
