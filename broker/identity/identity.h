/*
 * What a gateway asks the identity process: is this certificate that of a person? The identity process checks the chain
 * itself (it does not take the gateway's word), takes the person from the SAN URI garasu:user/<id>, tells the supervisor
 * (GR_IPC_IDENTIFIED) and answers the gateway. Where the configuration asks for a second factor the first answer asks for it:
 * the gateway has the viewer give it, sends gr_identity_factors, and gets another answer, until one asks no more. A wrong
 * factor is told to the supervisor (GR_IPC_LOGIN_FAILED); IDENTIFIED comes once, with the last answer. It keeps the certificates of who is connected, and tells the supervisor (GR_IPC_REVOKED) of those
 * that a new list revokes.
 */
#ifndef GARASU_BROKER_IDENTITY_H
#define GARASU_BROKER_IDENTITY_H

#include "common/error.h"
#include "common/limits.h"

#include <stddef.h>
#include <stdint.h>

#define GR_IDENTITY_DER_MAX 4096 /* bytes of one certificate */
#define GR_IDENTITY_CHAIN_MAX 3 /* leaf and intermediates */

struct gr_identity_request {
	uint32_t count; /* certificates, leaf first */
	uint32_t length[GR_IDENTITY_CHAIN_MAX];
	uint8_t der[GR_IDENTITY_CHAIN_MAX][GR_IDENTITY_DER_MAX];
};

#define GR_IDENTITY_PASSWORD_MAX 256 /* bytes of UTF-8 */
#define GR_IDENTITY_CODE_MAX 64 /* printable ASCII: a one-time code, or a recovery code */
#define GR_IDENTITY_TICKET 32 /* bytes of a resumption ticket (ticket.h) */

/* What is asked for. */
enum gr_identity_ask { GR_ASK_PASSWORD = 1, GR_ASK_CODE = 2 };

struct gr_identity_answer {
	uint32_t reason; /* gr_reason. With ask: of the last try (NONE = there was none). Without: NONE = a person */
	uint32_t ask; /* set of gr_identity_ask; 0 = this is the last answer */
	uint32_t tries_left; /* before the person is locked out; with ask */
	uint32_t wait_seconds; /* the next try counts only after so long; with ask; of LOCKED_OUT: how long */
	char person[GR_PERSON_MAX + 8]; /* with ask: whose the certificate is; without: who is let in, or empty */
	uint32_t
		ticketed; /* without ask: ticket is one for the next time. Wiped by whoever holds it, once it is sent */
	uint8_t ticket[GR_IDENTITY_TICKET];
};

/* From the gateway, after an answer that asks. What is not asked for is empty. Wiped by whoever holds it, at once. */
struct gr_identity_factors {
	uint32_t password_length, code_length; /* bytes */
	char password[GR_IDENTITY_PASSWORD_MAX];
	char code[GR_IDENTITY_CODE_MAX];
	uint32_t ticketed; /* 1: ticket is given instead, and the others are empty; otherwise 0, and ticket all zero */
	uint8_t ticket[GR_IDENTITY_TICKET];
};

/*
 * Takes the person's id out of one URI ("garasu:user/hanako"); id_out has GR_PERSON_MAX + 1 bytes.
 * GR_EINVAL when it is not exactly of that form.
 */
int gr_identity_person_of_uri(const char *untrusted_uri, size_t length, char *id_out);

/* Whether this is a person's id: [a-z0-9][a-z0-9._-]*, at most GR_PERSON_MAX bytes. */
int gr_identity_is_person(const char *untrusted_id, size_t length);

/*
 * Whether a packet is well-formed factors, as an answer to what was asked for (a set of gr_identity_ask): nothing that was not
 * asked for, and of a code only printable ASCII. GR_EPROTO.
 */
int gr_identity_factors_check(const struct gr_identity_factors *untrusted, size_t size, uint32_t asked);

#endif
