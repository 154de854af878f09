/*
 * What a gateway asks the identity process: is this certificate that of a person? The identity process checks the chain
 * itself (it does not take the gateway's word), takes the person from the SAN URI garasu:user/<id>, tells the supervisor
 * (GR_IPC_IDENTIFIED) and answers the gateway. One request per connection. It keeps the certificates of who is connected, and
 * tells the supervisor (GR_IPC_REVOKED) of those that a new list revokes.
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

struct gr_identity_answer {
	uint32_t reason; /* gr_reason; NONE = a person */
	char person[GR_PERSON_MAX + 8];
};

/*
 * Takes the person's id out of one URI ("garasu:user/hanako"); id_out has GR_PERSON_MAX + 1 bytes.
 * GR_EINVAL when it is not exactly of that form.
 */
int gr_identity_person_of_uri(const char *untrusted_uri, size_t length, char *id_out);

#endif
