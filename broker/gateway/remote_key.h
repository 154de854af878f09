/* A key whose private half is in the keys process (broker/keys/keys.h): every signature is one request to it. */
#ifndef GARASU_BROKER_GATEWAY_REMOTE_KEY_H
#define GARASU_BROKER_GATEWAY_REMOTE_KEY_H

#include "common/error.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

/*
 * The key that belongs to certificate (EC), signing over the SOCK_SEQPACKET socket keys_fd (borrowed, for the life
 * of the process; one such key per process). Returns owned. GR_EINVAL, GR_ENOMEM.
 */
int gr_remote_key_create(X509 *certificate, int keys_fd, EVP_PKEY **out, struct gr_error *err);

#endif
