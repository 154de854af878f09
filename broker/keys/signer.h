/* The server's private key, and the one thing done with it. */
#ifndef GARASU_BROKER_KEYS_SIGNER_H
#define GARASU_BROKER_KEYS_SIGNER_H

#include "broker/keys/keys.h"
#include "common/error.h"

#include <stddef.h>

#define GR_SIGNER_PER_PEER 4 /* signatures for one gateway: a TLS 1.3 handshake needs one */

struct gr_signer;

/*
 * Loads the PEM key of file key (P-256, not readable by group or others, not encrypted) and checks that it is the key of
 * the first certificate in the PEM file certificate. Returns owned. GR_EIO, GR_EDENIED (permissions),
 * GR_EINVAL (not such a key, or not of that certificate).
 */
int gr_signer_load(const char *key, const char *certificate, struct gr_signer **out, struct gr_error *err);
void gr_signer_destroy(struct gr_signer *signer); /* NULL allowed */

/*
 * Answers one request of size bytes. GR_EPROTO: malformed, nothing is written to answer; GR_EIO: OpenSSL failed.
 */
int gr_signer_answer(struct gr_signer *signer, const void *untrusted_request, size_t size,
		     struct gr_keys_answer *answer);

#endif
