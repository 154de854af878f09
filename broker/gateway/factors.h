/* The second factor as viewers send it: an ANSWER of ours, or VeNCrypt's Plain (docs/PROTOCOL.md §2, §3). Pure. */
#ifndef GARASU_BROKER_GATEWAY_FACTORS_H
#define GARASU_BROKER_GATEWAY_FACTORS_H

#include "broker/identity/identity.h"
#include "common/error.h"

#include <stddef.h>
#include <stdint.h>

#define GR_ANSWER_BYTES 336
#define GR_FACTORS_CODE_DIGITS 6 /* of a one-time code behind a password */

/*
 * Takes one ANSWER: factors, or a ticket in their place. ask: set of gr_identity_ask, what was asked for. GR_EPROTO: it is not exactly of that form, or has what
 * was not asked for; out is all zero then.
 */
int gr_factors_of_answer(const uint8_t untrusted[GR_ANSWER_BYTES], uint32_t ask, struct gr_identity_factors *out);

/*
 * Takes the password field of a viewer of another make, n bytes of it: the password, the code, or when both are asked for
 * the password followed by six digits. Without those at its end all of it is the password, and wrong. GR_EINVAL: no UTF-8, or
 * too long for anything; out is all zero then.
 */
int gr_factors_of_plain(const uint8_t *untrusted, size_t n, uint32_t ask, struct gr_identity_factors *out);

#endif
