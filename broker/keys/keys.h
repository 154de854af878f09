/*
 * The keys process holds the server's private key (EC P-256) and signs digests, so that no process that reads bytes from
 * outside has the key in its memory. One request, one answer, fixed sizes, SOCK_SEQPACKET.
 */
#ifndef GARASU_BROKER_KEYS_H
#define GARASU_BROKER_KEYS_H

#include <stdint.h>

#define GR_KEYS_DIGEST 32 /* SHA-256: the only one that TLS 1.3 permits with a P-256 key (RFC 8446 4.2.3) */

struct gr_keys_request {
	uint32_t length; /* of the digest: GR_KEYS_DIGEST */
	uint8_t digest[GR_KEYS_DIGEST];
};

struct gr_keys_answer {
	uint32_t length; /* of the DER-encoded ECDSA-Sig-Value; 0 = refused */
	uint8_t signature[80];
};

#endif
