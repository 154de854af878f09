/* Reading a recording, with an auditor's key: for garasu-audit replay, the tests and the fuzzer. */
#ifndef GARASU_BROKER_RECORDING_OPEN_H
#define GARASU_BROKER_RECORDING_OPEN_H

#include "broker/recording/recording.h"

#include <openssl/evp.h>

struct gr_recording_opened; /* holds the file's key */

/*
 * Decrypts the file's key with an auditor's. header: the whole header, size bytes, as gr_recording_header_parse measures it.
 * GR_EDENIED: this key is none of the auditors' that the recording is encrypted to (an RSA key of somebody else's may be found out by the
 * first chunk only); GR_EPROTO: the header is damaged; GR_ENOMEM, GR_EIO. *out owned.
 */
int gr_recording_open(const uint8_t *untrusted_header, size_t size, EVP_PKEY *key, struct gr_recording_opened **out);
/* The same with the file's key itself. */
int gr_recording_open_with(const uint8_t *untrusted_header, size_t size, const uint8_t key[GR_RECORDING_KEY],
			   struct gr_recording_opened **out);
void gr_recording_close(struct gr_recording_opened *opened); /* NULL allowed; the key is wiped */

/*
 * Decrypts chunk `number` (from 1; in any order): its head, then `stored`, the chunk's bytes of content and the tag. out:
 * GR_RECORDING_CHUNK_MAX bytes; nothing of a chunk that does not hold is left in it. GR_EPROTO: it is not what was written there.
 */
int gr_recording_open_chunk(struct gr_recording_opened *opened, uint64_t number,
			    const uint8_t untrusted_head[GR_RECORDING_CHUNK_HEAD], const uint8_t *untrusted_stored,
			    uint8_t *out);

#endif
