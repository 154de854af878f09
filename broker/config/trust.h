/* The CA certificates that the containers' browsers trust besides their own: session.trusted_ca. */
#ifndef GARASU_BROKER_CONFIG_TRUST_H
#define GARASU_BROKER_CONFIG_TRUST_H

#include "common/error.h"

#define GR_TRUST_MAX 32 /* certificates */

/*
 * Reads the PEM certificates of a file; each must be a CA's (basicConstraints CA:TRUE) and not expired. *out: a NULL-terminated
 * list, owned, of each one's DER in base64. GR_EINVAL, GR_EIO, GR_ENOMEM.
 */
int gr_trust_load(const char *path, char ***out, struct gr_error *err);
void gr_trust_free(char **list); /* NULL allowed */

#endif
