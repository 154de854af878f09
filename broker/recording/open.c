#include "broker/recording/open.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct gr_recording_opened {
	EVP_CIPHER_CTX *cipher;
	uint8_t header_hash[GR_RECORDING_HASH];
};

int gr_recording_open_with(const uint8_t *untrusted_header, size_t size, const uint8_t key[GR_RECORDING_KEY],
			   struct gr_recording_opened **out)
{
	struct gr_recording_opened *opened = calloc(1, sizeof *opened);

	if (!opened)
		return GR_ENOMEM;
	opened->cipher = EVP_CIPHER_CTX_new();
	if (!opened->cipher || EVP_DecryptInit_ex(opened->cipher, EVP_aes_256_gcm(), NULL, key, NULL) != 1 ||
	    gr_recording_hash(untrusted_header, size, opened->header_hash)) {
		gr_recording_close(opened);
		return GR_EIO;
	}
	*out = opened;
	return 0;
}

/* One recipient, as seal.c makes them. */
static bool is_ours(CMS_RecipientInfo *recipient)
{
	const ASN1_OBJECT *kind;
	X509_ALGOR *algorithm = NULL;
	ASN1_OCTET_STRING *ignored;
	const void *value;
	int type;

	if (CMS_RecipientInfo_type(recipient) == CMS_RECIPINFO_TRANS)
		return CMS_RecipientInfo_ktri_get0_algs(recipient, NULL, NULL, &algorithm) == 1 &&
		       OBJ_obj2nid(algorithm->algorithm) == NID_rsaesOaep;
	if (CMS_RecipientInfo_type(recipient) != CMS_RECIPINFO_AGREE ||
	    CMS_RecipientInfo_kari_get0_alg(recipient, &algorithm, &ignored) != 1 ||
	    OBJ_obj2nid(algorithm->algorithm) != NID_dhSinglePass_stdDH_sha256kdf_scheme)
		return false;
	X509_ALGOR_get0(&kind, &type, &value, algorithm);
	if (type != V_ASN1_SEQUENCE)
		return false;
	const unsigned char *at = ASN1_STRING_get0_data(value);
	X509_ALGOR *wrap = d2i_X509_ALGOR(NULL, &at, ASN1_STRING_length(value));
	bool plain = wrap && OBJ_obj2nid(wrap->algorithm) == NID_id_aes256_wrap;
	X509_ALGOR_free(wrap);
	return plain;
}

/*
 * Nothing but what we write is handed to libcrypto's CMS, which can much more: OpenSSL 3.0.19 writes behind its memory when a key
 * wrapped by id-aes256-wrap-pad does not fit (found by fuzz_recording).
 */
static bool are_ours(CMS_ContentInfo *cms)
{
	STACK_OF(CMS_RecipientInfo) *recipients = CMS_get0_RecipientInfos(cms);
	int count = recipients ? sk_CMS_RecipientInfo_num(recipients) : 0;
	bool ours = count > 0;

	for (int i = 0; ours && i < count; i++)
		ours = is_ours(sk_CMS_RecipientInfo_value(recipients, i));
	return ours;
}

int gr_recording_open(const uint8_t *untrusted_header, size_t size, EVP_PKEY *key, struct gr_recording_opened **out)
{
	struct gr_recording_header header;
	size_t measured;

	if (size < GR_RECORDING_HEADER_FIXED || gr_recording_header_parse(untrusted_header, &header, &measured) ||
	    measured != size)
		return GR_EPROTO;
	const unsigned char *at = untrusted_header + GR_RECORDING_HEADER_FIXED;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)(size - GR_RECORDING_HEADER_FIXED));
	if (!cms || at != untrusted_header + size || OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_enveloped ||
	    !are_ours(cms)) {
		CMS_ContentInfo_free(cms);
		ERR_clear_error();
		return GR_EPROTO;
	}
	/* Secure memory is not to be had everywhere; the BIO's own buffer is wiped below. */
	BIO *content = BIO_new(BIO_s_mem());
	char *bytes = NULL;
	int rc = content ? GR_EDENIED : GR_ENOMEM;
	if (content && CMS_decrypt(cms, key, NULL, NULL, content, CMS_BINARY) == 1) {
		long n = BIO_get_mem_data(content, &bytes);
		if (n == GR_RECORDING_KEY)
			rc = gr_recording_open_with(untrusted_header, size, (const uint8_t *)bytes, out);
		OPENSSL_cleanse(bytes, n > 0 ? (size_t)n : 0);
	}
	BIO_free(content);
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	return rc;
}

void gr_recording_close(struct gr_recording_opened *opened)
{
	if (!opened)
		return;
	EVP_CIPHER_CTX_free(opened->cipher); /* wipes its key */
	free(opened);
}

int gr_recording_open_chunk(struct gr_recording_opened *opened, uint64_t number,
			    const uint8_t untrusted_head[GR_RECORDING_CHUNK_HEAD], const uint8_t *untrusted_stored,
			    uint8_t *out)
{
	uint8_t nonce[GR_RECORDING_NONCE], bound[GR_RECORDING_BOUND], tag[GR_RECORDING_TAG];
	struct gr_recording_chunk chunk;
	int n = 0, end = 0;

	if (number < 1 || gr_recording_chunk_parse(untrusted_head, &chunk))
		return GR_EPROTO;
	memcpy(tag, untrusted_stored + chunk.bytes, sizeof tag);
	gr_recording_bind(opened->header_hash, number, untrusted_head, nonce, bound);
	if (EVP_DecryptInit_ex(opened->cipher, NULL, NULL, NULL, nonce) == 1 &&
	    EVP_DecryptUpdate(opened->cipher, NULL, &n, bound, sizeof bound) == 1 &&
	    (!chunk.bytes || EVP_DecryptUpdate(opened->cipher, out, &n, untrusted_stored, (int)chunk.bytes) == 1) &&
	    EVP_CIPHER_CTX_ctrl(opened->cipher, EVP_CTRL_GCM_SET_TAG, sizeof tag, tag) == 1 &&
	    EVP_DecryptFinal_ex(opened->cipher, out + chunk.bytes, &end) == 1)
		return 0;
	OPENSSL_cleanse(out, chunk.bytes);
	ERR_clear_error();
	return GR_EPROTO;
}
