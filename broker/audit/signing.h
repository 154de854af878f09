/* The key that signs the tree heads. */
#ifndef GARASU_BROKER_AUDIT_SIGNING_H
#define GARASU_BROKER_AUDIT_SIGNING_H

#include "common/error.h"

#include <openssl/evp.h>

/*
 * Reads the Ed25519 key in PEM from a regular file that nobody but its owner may read. Returns owned. GR_EDENIED, GR_EINVAL,
 * GR_EIO with the file and what to do.
 */
int gr_audit_key_load(const char *file, EVP_PKEY **out, struct gr_error *err);

#endif
