/* The certificates of one request: parsed, and kept for as long as the connection may be open. */
#ifndef GARASU_BROKER_IDENTITY_CHAIN_H
#define GARASU_BROKER_IDENTITY_CHAIN_H

#include "broker/identity/identity.h"

#include <openssl/x509.h>

struct gr_chain {
	uint32_t connection; /* 0 = none */
	X509 *leaf;
	STACK_OF(X509) * others;
};

/* Returns owned in *out, with connection 0. GR_EPROTO when the request is not well-formed, GR_ENOMEM. */
int gr_chain_parse(const struct gr_identity_request *untrusted, size_t size, struct gr_chain *out);
/* Frees what it holds and empties it; an empty one is allowed. */
void gr_chain_finish(struct gr_chain *chain);

#endif
