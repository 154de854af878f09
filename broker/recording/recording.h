/*
 * The file of a recording (docs/RECORDING.md): a header with the file's key encrypted to the auditors, then chunks of what the
 * viewer was sent, each encrypted by itself. Pure: bytes in, struct out. Numbers are big-endian.
 */
#ifndef GARASU_BROKER_RECORDING_H
#define GARASU_BROKER_RECORDING_H

#include "common/error.h"
#include "common/limits.h"

#include <stddef.h>
#include <stdint.h>

#define GR_RECORDING_HASH 32 /* SHA-256 */
#define GR_RECORDING_KEY 32 /* AES-256 */
#define GR_RECORDING_TAG 16
#define GR_RECORDING_CHUNK_HEAD 20
#define GR_RECORDING_CHUNK_MAX 65536 /* bytes of content */
#define GR_RECORDING_CHUNK_ADDED (GR_RECORDING_CHUNK_HEAD + GR_RECORDING_TAG)
#define GR_RECORDING_HEADER_FIXED 84
#define GR_RECORDING_HEADER_MAX 65536 /* bytes of the whole header */

struct gr_recording_header {
	uint64_t session;
	uint32_t connection;
	int garasu; /* the viewer is garasu-viewer */
	uint64_t mono_us, wall_us; /* CLOCK_MONOTONIC, CLOCK_REALTIME at its beginning */
	char person[GR_PERSON_MAX + 8]; /* terminated */
};

/* Writes the fixed part; envelope_bytes of CMS are to follow it. */
void gr_recording_header_format(const struct gr_recording_header *header, uint32_t envelope_bytes,
				uint8_t out[GR_RECORDING_HEADER_FIXED]);

/*
 * Reads the fixed part. *size_out: bytes of the whole header, of which the last are the CMS EnvelopedData. GR_EPROTO: no recording,
 * another version, or sizes outside the bounds.
 */
int gr_recording_header_parse(const uint8_t untrusted_bytes[GR_RECORDING_HEADER_FIXED], struct gr_recording_header *out,
			      size_t *size_out);

struct gr_recording_chunk {
	uint32_t bytes; /* of its content, 0: the last one of a recording that ended in good order */
	uint64_t mono_us, wall_us; /* when its first byte was sent */
};

void gr_recording_chunk_format(const struct gr_recording_chunk *chunk, uint8_t out[GR_RECORDING_CHUNK_HEAD]);
/* GR_EPROTO when it is too long. */
int gr_recording_chunk_parse(const uint8_t untrusted_bytes[GR_RECORDING_CHUNK_HEAD], struct gr_recording_chunk *out);

/* chain: in, the hash of all before; out, with these n bytes as they are stored. GR_EIO. */
int gr_recording_chain(uint8_t chain[GR_RECORDING_HASH], const void *bytes, size_t n);
/* SHA-256 of the whole header: the chain's beginning. GR_EIO. */
int gr_recording_hash(const void *bytes, size_t n, uint8_t out[GR_RECORDING_HASH]);

#define GR_RECORDING_HASH_TEXT 65
void gr_recording_hash_text(const uint8_t hash[GR_RECORDING_HASH], char out[GR_RECORDING_HASH_TEXT]);

/* The nonce and the authenticated bytes of chunk `number` (from 1), which bind it to its file and its place. */
#define GR_RECORDING_NONCE 12
#define GR_RECORDING_BOUND (GR_RECORDING_HASH + 8 + GR_RECORDING_CHUNK_HEAD)
void gr_recording_bind(const uint8_t header_hash[GR_RECORDING_HASH], uint64_t number,
		       const uint8_t head[GR_RECORDING_CHUNK_HEAD], uint8_t nonce[GR_RECORDING_NONCE],
		       uint8_t bound[GR_RECORDING_BOUND]);

#endif
