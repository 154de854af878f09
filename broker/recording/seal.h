/* Writing a recording: the auditors' certificates, the header, the chunks. Bytes out; where they go is the caller's. */
#ifndef GARASU_BROKER_RECORDING_SEAL_H
#define GARASU_BROKER_RECORDING_SEAL_H

#include "broker/recording/recording.h"

#define GR_RECORDING_AUDITORS_MAX 32

/* Those who can read a recording. */
struct gr_recording_auditors;

/*
 * Reads the PEM file of their certificates; those of CAs are passed over. Each must name an auditor (URI garasu:auditor/ID) and have an EC or RSA key;
 * its dates do not count: what is encrypted today must be readable for years. Returns owned. GR_EIO, GR_EINVAL, GR_ENOMEM.
 */
int gr_recording_auditors_load(const char *file, struct gr_recording_auditors **out, struct gr_error *err);
void gr_recording_auditors_destroy(struct gr_recording_auditors *auditors); /* NULL allowed */

struct gr_recording_seal;

/*
 * Makes a key for this file, which nobody but the auditors ever sees, and the header. *out owned; *bytes_out is the header's (owned by
 * the seal, until it is destroyed). GR_EIO: libcrypto refuses; GR_ENOMEM.
 */
int gr_recording_seal_create(const struct gr_recording_auditors *auditors, const struct gr_recording_header *header,
			     struct gr_recording_seal **out, const uint8_t **bytes_out, size_t *size_out,
			     struct gr_error *err);
void gr_recording_seal_destroy(struct gr_recording_seal *seal); /* NULL allowed; the key is wiped */

/*
 * Encrypts the next chunk, chunk->bytes of content, into out (chunk->bytes + GR_RECORDING_CHUNK_ADDED bytes). The bytes count in
 * the chain, so they must be written. GR_EIO: nothing may be sealed any more.
 */
int gr_recording_seal_chunk(struct gr_recording_seal *seal, const struct gr_recording_chunk *chunk, const void *content,
			    uint8_t *out);

/* The number of chunks so far, and the chain over the file up to there (borrowed). */
uint64_t gr_recording_seal_chunks(const struct gr_recording_seal *seal);
const uint8_t *gr_recording_seal_chain(const struct gr_recording_seal *seal);

#endif
