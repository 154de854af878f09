#include "broker/audit/head.h"

#include "broker/audit/text.h"

#include <inttypes.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#define SIGNATURE 64 /* bytes of Ed25519, RFC 8032 */
#define SIGNATURE_TEXT 88 /* in base64 */

int gr_head_key_id(EVP_PKEY *key, char out[GR_HEAD_KEY_TEXT])
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	uint8_t *der = NULL;
	int size = i2d_PUBKEY(key, &der);
	int hashed = size > 0 && EVP_Digest(der, (size_t)size, hash, NULL, EVP_sha256(), NULL) == 1;
	OPENSSL_free(der);
	if (!hashed)
		return GR_EIO;
	gr_audit_hex(hash, 8, out);
	return 0;
}

int gr_head_sign(EVP_PKEY *key, uint64_t size, const uint8_t root[GR_TREE_HASH], const struct timespec *now, char *out,
		 size_t *length_out)
{
	char time[GR_AUDIT_TIME_TEXT], root_text[GR_AUDIT_HASH_TEXT], id[GR_HEAD_KEY_TEXT];
	uint8_t signature[SIGNATURE];
	unsigned char signature_text[SIGNATURE_TEXT + 1];
	size_t signature_size = sizeof(signature);
	if (gr_audit_time_format(now, time) != 0)
		return GR_EINVAL;
	gr_audit_hex(root, GR_TREE_HASH, root_text);
	if (gr_head_key_id(key, id) != 0)
		return GR_EIO;
	int n = snprintf(out, GR_HEAD_LINE_MAX, "head size=%" PRIu64 " time=%s root=%s key=%s", size, time, root_text,
			 id);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int made = context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
		   EVP_DigestSign(context, signature, &signature_size, (unsigned char *)out, (size_t)n) == 1 &&
		   signature_size == SIGNATURE;
	EVP_MD_CTX_free(context);
	if (!made)
		return GR_EIO;
	EVP_EncodeBlock(signature_text, signature, SIGNATURE);
	n += snprintf(out + n, GR_HEAD_LINE_MAX - (size_t)n, " signature=%s\n", (char *)signature_text);
	*length_out = (size_t)n;
	return 0;
}

static int verify_signature(EVP_PKEY *key, const char *bytes, size_t n, const uint8_t signature[SIGNATURE])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int good = context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
		   EVP_DigestVerify(context, signature, SIGNATURE, (const unsigned char *)bytes, n) == 1;
	EVP_MD_CTX_free(context);
	return good;
}

/* 64 bytes from exactly one base64 text: it must be what they encode to. */
static int read_signature(const char *untrusted_text, size_t n, uint8_t out[SIGNATURE])
{
	uint8_t bytes[SIGNATURE + 2]; /* what 88 digits hold when none is padding */
	unsigned char again[SIGNATURE_TEXT + 1];
	if (n != SIGNATURE_TEXT ||
	    EVP_DecodeBlock(bytes, (const unsigned char *)untrusted_text, SIGNATURE_TEXT) != SIGNATURE + 2)
		return GR_EPROTO;
	EVP_EncodeBlock(again, bytes, SIGNATURE);
	if (memcmp(again, untrusted_text, SIGNATURE_TEXT) != 0)
		return GR_EPROTO;
	memcpy(out, bytes, SIGNATURE);
	return 0;
}

int gr_head_read(const char *untrusted_line, size_t n, EVP_PKEY *const *keys, size_t count, struct gr_head *out,
		 int *known_out, const char **reason_out)
{
	static const char word[] = "head ";
	struct gr_head head = { .size = 0 };
	uint8_t signature[SIGNATURE];
	const char *at = untrusted_line + sizeof(word) - 1, *value;
	size_t left = n - (sizeof(word) - 1), length;
	*reason_out = "it is no tree head";
	if (n < sizeof(word) || n >= GR_HEAD_LINE_MAX || memcmp(untrusted_line, word, sizeof(word) - 1) != 0)
		return GR_EPROTO;
	*reason_out = "the tree head's size is malformed";
	if (gr_audit_take_field(&at, &left, "size", &value, &length) != 0 ||
	    (head.size = gr_audit_number(value, length)) == 0)
		return GR_EPROTO;
	*reason_out = "the tree head's time is malformed";
	if (gr_audit_take_field(&at, &left, "time", &value, &length) != 0 || !gr_audit_is_time(value, length))
		return GR_EPROTO;
	memcpy(head.time, value, length);
	*reason_out = "the tree head's root is malformed";
	if (gr_audit_take_field(&at, &left, "root", &value, &length) != 0 ||
	    gr_audit_unhex(value, length, 2 * (size_t)GR_TREE_HASH, head.root) != 0)
		return GR_EPROTO;
	*reason_out = "the tree head's key is malformed";
	if (gr_audit_take_field(&at, &left, "key", &value, &length) != 0 ||
	    !gr_audit_is_hex(value, length, GR_HEAD_KEY_TEXT - 1))
		return GR_EPROTO;
	memcpy(head.key, value, length);
	*reason_out = "the tree head's signature is malformed";
	const char *end = at > untrusted_line ? at - 1 : at; /* what is signed has no space at its end */
	if (gr_audit_take_field(&at, &left, "signature", &value, &length) != 0 || left != 0 ||
	    read_signature(value, length, signature) != 0)
		return GR_EPROTO;
	int known = 0;
	for (size_t i = 0; i < count; i++) {
		char id[GR_HEAD_KEY_TEXT];
		*reason_out = "the tree head's key cannot be used";
		if (gr_head_key_id(keys[i], id) != 0)
			return GR_EPROTO;
		if (strcmp(id, head.key) != 0)
			continue;
		*reason_out = "the tree head's signature does not fit: it was changed, or not made with that key";
		if (!verify_signature(keys[i], untrusted_line, (size_t)(end - untrusted_line), signature))
			return GR_EPROTO;
		known = 1;
	}
	*out = head;
	*known_out = known;
	*reason_out = NULL;
	return 0;
}
