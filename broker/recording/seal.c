#include "broker/recording/seal.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define AUDITOR "garasu:auditor/"

struct gr_recording_auditors {
	STACK_OF(X509) * certificates;
};

struct gr_recording_seal {
	EVP_CIPHER_CTX *cipher;
	unsigned char *header; /* OPENSSL_malloc */
	uint64_t chunks;
	uint8_t header_hash[GR_RECORDING_HASH], chain[GR_RECORDING_HASH];
	bool failed;
};

static int refused(struct gr_error *err, const char *what)
{
	char text[160];

	ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
	ERR_clear_error();
	return gr_error_set(err, GR_EIO, "%s: %s", what, text);
}

/* What is wrong with it, or NULL. */
static const char *fault(X509 *certificate)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int type = EVP_PKEY_get_base_id(X509_get0_pubkey(certificate));
	bool auditor = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type == GEN_URI)
			auditor |= ASN1_STRING_length(name->d.uniformResourceIdentifier) > (int)sizeof AUDITOR - 1 &&
				   !memcmp(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier), AUDITOR,
					   sizeof AUDITOR - 1);
	}
	GENERAL_NAMES_free(names);
	if (!auditor)
		return "does not name an auditor (garasu-ca person --role auditor)";
	return type == EVP_PKEY_EC || type == EVP_PKEY_RSA ? NULL : "has a key that is neither EC nor RSA";
}

int gr_recording_auditors_load(const char *file, struct gr_recording_auditors **out, struct gr_error *err)
{
	struct gr_recording_auditors *auditors = calloc(1, sizeof *auditors);
	FILE *stream = auditors ? fopen(file, "re") : NULL;
	X509 *certificate;
	int rc = 0, number = 0;

	if (!stream) {
		free(auditors);
		return auditors ? gr_error_errno(err, "cannot read %s", file)
				: gr_error_set(err, GR_ENOMEM, "no memory");
	}
	auditors->certificates = sk_X509_new_null();
	ERR_clear_error();
	while (!rc && (certificate = PEM_read_X509(stream, NULL, NULL, NULL)) != NULL) {
		int issuer = X509_check_ca(certificate) == 1; /* which garasu-ca puts behind each */
		const char *wrong = issuer ? NULL : fault(certificate);
		number++;
		if (!wrong && !issuer && sk_X509_num(auditors->certificates) == GR_RECORDING_AUDITORS_MAX)
			wrong = "is one too many";
		if (wrong)
			rc = gr_error_set(err, GR_EINVAL, "%s: certificate %d %s", file, number, wrong);
		else if (!issuer && sk_X509_push(auditors->certificates, certificate) > 0)
			continue;
		else if (!issuer)
			rc = gr_error_set(err, GR_ENOMEM, "no memory");
		X509_free(certificate);
	}
	/* The end of the file is told as an error too. */
	if (!rc &&
	    (sk_X509_num(auditors->certificates) < 1 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE))
		rc = gr_error_set(err, GR_EINVAL, "%s: certificate %d is missing or damaged", file, number + 1);
	ERR_clear_error();
	fclose(stream);
	if (rc)
		gr_recording_auditors_destroy(auditors);
	else
		*out = auditors;
	return rc;
}

void gr_recording_auditors_destroy(struct gr_recording_auditors *auditors)
{
	if (!auditors)
		return;
	sk_X509_pop_free(auditors->certificates, X509_free);
	free(auditors);
}

/* RSAES-OAEP and the one-pass ECDH with SHA-256 in both, in place of what libcrypto takes unasked: PKCS #1 v1.5 and SHA-1. */
static bool add_auditor(CMS_ContentInfo *cms, X509 *certificate)
{
	CMS_RecipientInfo *recipient = CMS_add1_recipient_cert(cms, certificate, CMS_KEY_PARAM);
	EVP_PKEY_CTX *context = recipient ? CMS_RecipientInfo_get0_pkey_ctx(recipient) : NULL;

	if (!context)
		return false;
	if (EVP_PKEY_get_base_id(X509_get0_pubkey(certificate)) == EVP_PKEY_RSA)
		return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
		       EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) == 1;
	return EVP_PKEY_CTX_ctrl_str(context, "ecdh_kdf_md", "SHA256") == 1;
}

/* DER; OPENSSL_malloc'ed with room for the fixed part in front. */
static unsigned char *envelope(const struct gr_recording_auditors *auditors, const uint8_t key[GR_RECORDING_KEY],
			       size_t *size_out)
{
	BIO *content = BIO_new_mem_buf(key, GR_RECORDING_KEY);
	CMS_ContentInfo *cms = CMS_encrypt(NULL, NULL, EVP_aes_256_cbc(), CMS_PARTIAL | CMS_BINARY);
	unsigned char *bytes = NULL;
	bool done = content && cms;

	for (int i = 0; done && i < sk_X509_num(auditors->certificates); i++)
		done = add_auditor(cms, sk_X509_value(auditors->certificates, i));
	done = done && CMS_final(cms, content, NULL, CMS_BINARY) == 1;
	int size = done ? i2d_CMS_ContentInfo(cms, NULL) : -1;
	if (size > 0 && size <= GR_RECORDING_HEADER_MAX - GR_RECORDING_HEADER_FIXED)
		bytes = OPENSSL_malloc(GR_RECORDING_HEADER_FIXED + (size_t)size);
	if (bytes) {
		unsigned char *at = bytes + GR_RECORDING_HEADER_FIXED;
		*size_out = (size_t)i2d_CMS_ContentInfo(cms, &at);
	}
	CMS_ContentInfo_free(cms);
	BIO_free(content);
	return bytes;
}

int gr_recording_seal_create(const struct gr_recording_auditors *auditors, const struct gr_recording_header *header,
			     struct gr_recording_seal **out, const uint8_t **bytes_out, size_t *size_out,
			     struct gr_error *err)
{
	struct gr_recording_seal *seal = calloc(1, sizeof *seal);
	uint8_t key[GR_RECORDING_KEY];
	size_t size = 0;
	int rc = 0;

	if (!seal)
		return gr_error_set(err, GR_ENOMEM, "no memory");
	ERR_clear_error();
	seal->cipher = EVP_CIPHER_CTX_new();
	if (!seal->cipher || RAND_priv_bytes(key, sizeof key) != 1 ||
	    EVP_EncryptInit_ex(seal->cipher, EVP_aes_256_gcm(), NULL, key, NULL) != 1)
		rc = refused(err, "no key for the recording");
	else if (!(seal->header = envelope(auditors, key, &size)))
		rc = refused(err, "the recording's key cannot be encrypted to the auditors");
	OPENSSL_cleanse(key, sizeof key);
	if (!rc) {
		gr_recording_header_format(header, (uint32_t)size, seal->header);
		size += GR_RECORDING_HEADER_FIXED;
		if (gr_recording_hash(seal->header, size, seal->header_hash))
			rc = refused(err, "SHA-256");
		memcpy(seal->chain, seal->header_hash, sizeof seal->chain);
	}
	if (rc) {
		gr_recording_seal_destroy(seal);
		return rc;
	}
	*out = seal;
	*bytes_out = seal->header;
	*size_out = size;
	return 0;
}

void gr_recording_seal_destroy(struct gr_recording_seal *seal)
{
	if (!seal)
		return;
	EVP_CIPHER_CTX_free(seal->cipher); /* wipes its key */
	OPENSSL_free(seal->header);
	free(seal);
}

int gr_recording_seal_chunk(struct gr_recording_seal *seal, const struct gr_recording_chunk *chunk, const void *content,
			    uint8_t *out)
{
	uint8_t nonce[GR_RECORDING_NONCE], bound[GR_RECORDING_BOUND];
	uint8_t *body = out + GR_RECORDING_CHUNK_HEAD;
	int n = 0, end = 0;

	if (seal->failed || chunk->bytes > GR_RECORDING_CHUNK_MAX)
		return GR_EIO;
	gr_recording_chunk_format(chunk, out);
	gr_recording_bind(seal->header_hash, seal->chunks + 1, out, nonce, bound);
	seal->failed = EVP_EncryptInit_ex(seal->cipher, NULL, NULL, NULL, nonce) != 1 ||
		       EVP_EncryptUpdate(seal->cipher, NULL, &n, bound, sizeof bound) != 1 ||
		       (chunk->bytes && EVP_EncryptUpdate(seal->cipher, body, &n, content, (int)chunk->bytes) != 1) ||
		       EVP_EncryptFinal_ex(seal->cipher, body + chunk->bytes, &end) != 1 ||
		       EVP_CIPHER_CTX_ctrl(seal->cipher, EVP_CTRL_GCM_GET_TAG, GR_RECORDING_TAG, body + chunk->bytes) !=
			       1 ||
		       gr_recording_chain(seal->chain, out, chunk->bytes + (size_t)GR_RECORDING_CHUNK_ADDED);
	if (seal->failed)
		return GR_EIO; /* a nonce must never come twice */
	seal->chunks++;
	return 0;
}

uint64_t gr_recording_seal_chunks(const struct gr_recording_seal *seal)
{
	return seal->chunks;
}

const uint8_t *gr_recording_seal_chain(const struct gr_recording_seal *seal)
{
	return seal->chain;
}
