#include "viewer/replay/key.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PASSWORD_MAX 256
#define FILE_MAX 65536

struct secret {
	const char *file;
	bool asked;
	char text[PASSWORD_MAX];
};

/* Once: from the file, or of the terminal. */
static bool get_password(struct secret *secret)
{
	if (secret->asked)
		return true;
	if (!secret->file) {
		if (EVP_read_pw_string(secret->text, PASSWORD_MAX, "Password: ", 0))
			return false;
	} else {
		FILE *stream = fopen(secret->file, "re");
		bool read = stream && fgets(secret->text, PASSWORD_MAX, stream);
		if (stream)
			fclose(stream);
		if (!read)
			return false;
		secret->text[strcspn(secret->text, "\r\n")] = '\0';
	}
	return secret->asked = true;
}

static int pem_password(char *out, int cap, int writing, void *context)
{
	struct secret *secret = context;

	(void)writing;
	if (!get_password(secret) || strlen(secret->text) > (size_t)cap)
		return -1;
	memcpy(out, secret->text, strlen(secret->text));
	return (int)strlen(secret->text);
}

EVP_PKEY *gr_replay_key_load(const char *file, const char *password_file, struct gr_error *err)
{
	unsigned char bytes[FILE_MAX];
	struct secret secret = { .file = password_file };
	FILE *stream = fopen(file, "re");
	size_t size = stream ? fread(bytes, 1, sizeof bytes, stream) : 0;
	EVP_PKEY *key = NULL;

	if (!stream) {
		gr_error_errno(err, "cannot read %s", file);
		return NULL;
	}
	fclose(stream);
	const unsigned char *at = bytes;
	PKCS12 *p12 = d2i_PKCS12(NULL, &at, (long)size);
	if (p12) {
		if (PKCS12_verify_mac(p12, "", 0) || PKCS12_verify_mac(p12, NULL, 0) || get_password(&secret))
			PKCS12_parse(p12, secret.text, &key, NULL, NULL);
		PKCS12_free(p12);
	} else {
		BIO *bio = BIO_new_mem_buf(bytes, (int)size);
		key = bio ? PEM_read_bio_PrivateKey(bio, NULL, pem_password, &secret) : NULL;
		BIO_free(bio);
	}
	OPENSSL_cleanse(bytes, sizeof bytes);
	OPENSSL_cleanse(&secret, sizeof secret);
	ERR_clear_error();
	if (!key)
		gr_error_set(err, GR_EINVAL, "%s holds no private key that can be read with this password", file);
	return key;
}
