#include "broker/recording/recording.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define VERSION 1
#define FLAG_GARASU 1
#define PERSON_AT 40
#define PERSON_BYTES 40

static const uint8_t magic[8] = { 'G', 'A', 'R', 'A', 'S', 'R', 'E', 'C' };

_Static_assert(PERSON_BYTES == GR_PERSON_MAX + 8, "a person's field in the header");

static void put(uint8_t *out, uint64_t value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
}

static uint64_t get(const uint8_t *bytes, size_t n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n; i++)
		value = value << 8 | bytes[i];
	return value;
}

void gr_recording_header_format(const struct gr_recording_header *header, uint32_t envelope_bytes,
				uint8_t out[GR_RECORDING_HEADER_FIXED])
{
	memset(out, 0, GR_RECORDING_HEADER_FIXED);
	memcpy(out, magic, sizeof magic);
	put(out + 8, VERSION, 2);
	put(out + 10, header->garasu ? FLAG_GARASU : 0, 2);
	put(out + 12, header->connection, 4);
	put(out + 16, header->session, 8);
	put(out + 24, header->mono_us, 8);
	put(out + 32, header->wall_us, 8);
	memcpy(out + PERSON_AT, header->person, strnlen(header->person, GR_PERSON_MAX));
	put(out + 80, envelope_bytes, 4);
}

int gr_recording_header_parse(const uint8_t untrusted_bytes[GR_RECORDING_HEADER_FIXED], struct gr_recording_header *out,
			      size_t *size_out)
{
	const uint8_t *person = untrusted_bytes + PERSON_AT;
	uint64_t flags = get(untrusted_bytes + 10, 2), envelope = get(untrusted_bytes + 80, 4);

	if (memcmp(untrusted_bytes, magic, sizeof magic) != 0 || get(untrusted_bytes + 8, 2) != VERSION ||
	    flags > FLAG_GARASU || envelope < 1 || envelope > GR_RECORDING_HEADER_MAX - GR_RECORDING_HEADER_FIXED)
		return GR_EPROTO;
	size_t length = strnlen((const char *)person, PERSON_BYTES);
	if (length < 1 || length > GR_PERSON_MAX)
		return GR_EPROTO;
	for (size_t i = 0; i < PERSON_BYTES; i++)
		if (i < length ? person[i] < 0x21 || person[i] > 0x7e : person[i] != 0)
			return GR_EPROTO;
	memset(out, 0, sizeof *out);
	out->garasu = flags == FLAG_GARASU;
	out->connection = (uint32_t)get(untrusted_bytes + 12, 4);
	out->session = get(untrusted_bytes + 16, 8);
	out->mono_us = get(untrusted_bytes + 24, 8);
	out->wall_us = get(untrusted_bytes + 32, 8);
	memcpy(out->person, person, length);
	*size_out = GR_RECORDING_HEADER_FIXED + (size_t)envelope;
	return 0;
}

void gr_recording_chunk_format(const struct gr_recording_chunk *chunk, uint8_t out[GR_RECORDING_CHUNK_HEAD])
{
	put(out, chunk->bytes, 4);
	put(out + 4, chunk->mono_us, 8);
	put(out + 12, chunk->wall_us, 8);
}

int gr_recording_chunk_parse(const uint8_t untrusted_bytes[GR_RECORDING_CHUNK_HEAD], struct gr_recording_chunk *out)
{
	uint64_t bytes = get(untrusted_bytes, 4);

	if (bytes > GR_RECORDING_CHUNK_MAX)
		return GR_EPROTO;
	out->bytes = (uint32_t)bytes;
	out->mono_us = get(untrusted_bytes + 4, 8);
	out->wall_us = get(untrusted_bytes + 12, 8);
	return 0;
}

int gr_recording_hash(const void *bytes, size_t n, uint8_t out[GR_RECORDING_HASH])
{
	return EVP_Digest(bytes, n, out, NULL, EVP_sha256(), NULL) == 1 ? 0 : GR_EIO;
}

int gr_recording_chain(uint8_t chain[GR_RECORDING_HASH], const void *bytes, size_t n)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int done = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
		   EVP_DigestUpdate(context, chain, GR_RECORDING_HASH) == 1 &&
		   EVP_DigestUpdate(context, bytes, n) == 1 && EVP_DigestFinal_ex(context, chain, NULL) == 1;

	EVP_MD_CTX_free(context);
	return done ? 0 : GR_EIO;
}

void gr_recording_hash_text(const uint8_t hash[GR_RECORDING_HASH], char out[GR_RECORDING_HASH_TEXT])
{
	for (size_t i = 0; i < GR_RECORDING_HASH; i++)
		snprintf(out + 2 * i, 3, "%02x", hash[i]);
}

void gr_recording_bind(const uint8_t header_hash[GR_RECORDING_HASH], uint64_t number,
		       const uint8_t head[GR_RECORDING_CHUNK_HEAD], uint8_t nonce[GR_RECORDING_NONCE],
		       uint8_t bound[GR_RECORDING_BOUND])
{
	memset(nonce, 0, GR_RECORDING_NONCE);
	put(nonce + GR_RECORDING_NONCE - 8, number, 8);
	memcpy(bound, header_hash, GR_RECORDING_HASH);
	put(bound + GR_RECORDING_HASH, number, 8);
	memcpy(bound + GR_RECORDING_HASH + 8, head, GR_RECORDING_CHUNK_HEAD);
}
