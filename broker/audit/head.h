/* A signed tree head (docs/AUDIT.md §5): how it is written, signed, read and checked. */
#ifndef GARASU_BROKER_AUDIT_HEAD_H
#define GARASU_BROKER_AUDIT_HEAD_H

#include "broker/audit/tree.h"

#include <openssl/evp.h>
#include <time.h>

#define GR_HEAD_LINE_MAX 512 /* bytes with the newline */
#define GR_HEAD_KEY_TEXT 17 /* 16 hexadecimal digits, terminated */

struct gr_head {
	uint64_t size;
	char time[32]; /* as in the line */
	uint8_t root[GR_TREE_HASH];
	char key[GR_HEAD_KEY_TEXT];
};

/* The id of a public key, or of a private key's public half. GR_EIO. */
int gr_head_key_id(EVP_PKEY *key, char out[GR_HEAD_KEY_TEXT]);

/* Writes the signed line, newline included, into out (GR_HEAD_LINE_MAX bytes). GR_EINVAL for the time, GR_EIO. */
int gr_head_sign(EVP_PKEY *key, uint64_t size, const uint8_t root[GR_TREE_HASH], const struct timespec *now, char *out,
		 size_t *length_out);

/*
 * Reads a line of n bytes without its newline and checks its signature with that of the keys (count of them) that it names;
 * with none of them only its form, and *known_out = 0. GR_EPROTO with *reason_out (static text).
 */
int gr_head_read(const char *untrusted_line, size_t n, EVP_PKEY *const *keys, size_t count, struct gr_head *out,
		 int *known_out, const char **reason_out);

#endif
