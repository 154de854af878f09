#include "broker/forward/stamp.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define NONCE 16 /* bytes */

TS_REQ *gr_stamp_ask(const void *bytes, size_t n)
{
	unsigned char hash[EVP_MAX_MD_SIZE], random[NONCE];
	unsigned size;
	TS_REQ *request = TS_REQ_new();
	TS_MSG_IMPRINT *imprint = TS_MSG_IMPRINT_new();
	X509_ALGOR *algorithm = X509_ALGOR_new();
	BIGNUM *number = NULL;
	ASN1_INTEGER *nonce = NULL;
	int made = request && imprint && algorithm && EVP_Digest(bytes, n, hash, &size, EVP_sha256(), NULL) == 1 &&
		   X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_sha256), V_ASN1_NULL, NULL) == 1 &&
		   TS_MSG_IMPRINT_set_algo(imprint, algorithm) == 1 &&
		   TS_MSG_IMPRINT_set_msg(imprint, hash, (int)size) == 1 && RAND_bytes(random, sizeof(random)) == 1 &&
		   (number = BN_bin2bn(random, sizeof(random), NULL)) && (nonce = BN_to_ASN1_INTEGER(number, NULL)) &&
		   TS_REQ_set_version(request, 1) == 1 && TS_REQ_set_msg_imprint(request, imprint) == 1 &&
		   TS_REQ_set_nonce(request, nonce) == 1 && TS_REQ_set_cert_req(request, 1) == 1;
	ASN1_INTEGER_free(nonce);
	BN_free(number);
	X509_ALGOR_free(algorithm);
	TS_MSG_IMPRINT_free(imprint);
	if (made)
		return request;
	TS_REQ_free(request);
	return NULL;
}

/* What OpenSSL says of it: the innermost reason, and what it adds. */
static int refuse(struct gr_error *err, const char *what)
{
	const char *data = "";
	int flags = 0;
	unsigned long code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	gr_error_set(err, GR_EPROTO, "%s%s%s%s%s", what, reason ? ": " : "", reason ? reason : "",
		     (flags & ERR_TXT_STRING) && data[0] ? ": " : "", (flags & ERR_TXT_STRING) ? data : "");
	ERR_clear_error();
	return GR_EPROTO;
}

int gr_stamp_check(const TS_REQ *question, const void *untrusted_answer, size_t n, X509_STORE *trust,
		   struct gr_error *err)
{
	const unsigned char *at = untrusted_answer;
	int status = 0;
	ERR_clear_error();
	if (n > GR_STAMP_MAX)
		return gr_error_set(err, GR_EPROTO, "the answer is too long");
	TS_RESP *answer = d2i_TS_RESP(NULL, &at, (long)n);
	if (!answer || at != (const unsigned char *)untrusted_answer + n) {
		TS_RESP_free(answer);
		return refuse(err, "it is no answer of RFC 3161");
	}
	/* Imprint, nonce and version of the question; the policy is the server's own. */
	TS_VERIFY_CTX *context = TS_REQ_to_TS_VERIFY_CTX((TS_REQ *)(uintptr_t)question, NULL);
	if (!context || X509_STORE_up_ref(trust) != 1) {
		TS_VERIFY_CTX_free(context);
		TS_RESP_free(answer);
		return gr_error_set(err, GR_ENOMEM, "no memory");
	}
	TS_VERIFY_CTX_set_store(context, trust);
	TS_VERIFY_CTX_add_flags(context, TS_VFY_SIGNATURE);
	if (TS_RESP_verify_response(context, answer) != 1)
		status = refuse(err, "the answer is refused");
	TS_VERIFY_CTX_free(context);
	TS_RESP_free(answer);
	return status;
}
