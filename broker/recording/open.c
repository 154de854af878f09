#include "broker/recording/open.h"

#include <openssl/cms.h>
#include <openssl/err.h>
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

int gr_recording_open(const uint8_t *untrusted_header, size_t size, EVP_PKEY *key, struct gr_recording_opened **out)
{
	struct gr_recording_header header;
	size_t measured;

	if (size < GR_RECORDING_HEADER_FIXED || gr_recording_header_parse(untrusted_header, &header, &measured) ||
	    measured != size)
		return GR_EPROTO;
	const unsigned char *at = untrusted_header + GR_RECORDING_HEADER_FIXED;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)(size - GR_RECORDING_HEADER_FIXED));
	if (!cms || at != untrusted_header + size || OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_enveloped) {
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
