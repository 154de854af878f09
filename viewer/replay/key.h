/* The auditor's private key. */
#ifndef GARASU_VIEWER_REPLAY_KEY_H
#define GARASU_VIEWER_REPLAY_KEY_H

#include "common/error.h"

#include <openssl/evp.h>

/*
 * Reads a PEM file or a PKCS #12 one. password_file: its first line is the password, NULL: the terminal is asked when there must be
 * one. Owned; NULL with err set.
 */
EVP_PKEY *gr_replay_key_load(const char *file, const char *password_file, struct gr_error *err);

#endif
