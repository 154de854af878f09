/*
 * The server's side of TLS 1.3 with client certificates for the one connection of this process (docs/PROTOCOL.md §1).
 * The server's private key is not here: signatures are made by the keys process (remote_key.c).
 */
#ifndef GARASU_BROKER_GATEWAY_TLS_H
#define GARASU_BROKER_GATEWAY_TLS_H

#include "broker/config/config.h"
#include "broker/identity/identity.h"
#include "common/error.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

struct gr_tls;

/*
 * Loads certificates and revocation lists: needs the files, so before gr_confine. keys_fd is borrowed. With alpn
 * the protocol garasu/1 is accepted (demanded, when config denies standard viewers), otherwise none. Returns owned.
 * GR_EIO, GR_EINVAL, GR_ENOMEM.
 */
int gr_tls_create(const struct gr_config *config, int keys_fd, bool alpn, struct gr_tls **out, struct gr_error *err);
void gr_tls_destroy(struct gr_tls *tls); /* NULL allowed */

/* Begins the handshake on the non-blocking socket fd (borrowed). GR_ENOMEM. */
int gr_tls_begin(struct gr_tls *tls, int fd);

/* What ended a handshake, for the audit record. */
struct gr_tls_failure {
	uint32_t reason; /* gr_reason */
	char text[256]; /* printable ASCII: why, and which certificate was shown */
};

/*
 * Goes on with the handshake. 0: it is complete and the viewer's certificate is good. GR_EAGAIN with *events =
 * GR_LOOP_READ or _WRITE: call again then. GR_EDENIED: it failed, the alert is sent, failure tells why.
 */
int gr_tls_handshake(struct gr_tls *tls, unsigned *events, struct gr_tls_failure *failure);

/* After the handshake. The connection is borrowed; whether garasu/1 was negotiated. */
SSL *gr_tls_connection(struct gr_tls *tls);
bool gr_tls_is_garasu(const struct gr_tls *tls);

/* What the identity process is asked. GR_EFULL: the certificates are too many or too large for it. */
int gr_tls_identity_request(struct gr_tls *tls, struct gr_identity_request *out);

#endif
