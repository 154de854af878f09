/* RFC 3161: the question about a tree head, and the check of its answer. Pure, over OpenSSL's TS functions. */
#ifndef GARASU_BROKER_FORWARD_STAMP_H
#define GARASU_BROKER_FORWARD_STAMP_H

#include "common/error.h"

#include <openssl/ts.h>
#include <openssl/x509.h>
#include <stddef.h>

#define GR_STAMP_MAX 65536 /* bytes of an answer */

/*
 * A question about the SHA-256 of n bytes, with a random nonce, that asks for the signer's certificate. Owned (TS_REQ_free);
 * NULL when libcrypto fails.
 */
TS_REQ *gr_stamp_ask(const void *bytes, size_t n);

/*
 * Whether these n bytes are one answer (TimeStampResp, DER) that grants it: the question's imprint and nonce, signed by a certificate
 * for nothing but time stamps (EKU timeStamping, critical) that chains to one of trust. GR_EPROTO with why.
 */
int gr_stamp_check(const TS_REQ *question, const void *untrusted_answer, size_t n, X509_STORE *trust,
		   struct gr_error *err);

#endif
