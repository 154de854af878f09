/* The viewer's side of TLS 1.3 (PROTOCOL.md §1), over a connected, non-blocking socket. */
#ifndef GARASU_VIEWER_TLS_H
#define GARASU_VIEWER_TLS_H

#include "common/error.h"
#include "viewer/messages.h"

#include <stddef.h>
#include <stdint.h>

struct gr_tls;

struct gr_tls_settings {
	const char *certificate, *key, *ca; /* PEM files; certificate and key both NULL: none is shown to the broker */
	const char *
		crl; /* PEM file of revocation lists, a current one of which every CA must have; NULL: none is asked for */
	const char *server_name; /* what the broker's certificate must be for: a DNS name or an IP address */
};

/*
 * Reads the files and prepares everything that needs a file. Returns owned, or NULL with *failure and err set.
 */
struct gr_tls *gr_tls_create(const struct gr_tls_settings *settings, enum gr_failure *failure, struct gr_error *err);
void gr_tls_destroy(struct gr_tls *tls); /* NULL allowed; closes no socket */

/* The <id> of SAN URI garasu:user/<id> in the person's certificate; "" when there is none. Borrowed from tls. */
const char *gr_tls_person(const struct gr_tls *tls);

/* Uses fd (borrowed) from now on. GR_ENOMEM. */
int gr_tls_attach(struct gr_tls *tls, int fd);

/*
 * All three return 0, GR_EAGAIN (wait for what gr_tls_wants says), GR_ECLOSED (read: the peer's close_notify),
 * or another error with *failure and err set.
 */
int gr_tls_handshake(struct gr_tls *tls, enum gr_failure *failure, struct gr_error *err);
int gr_tls_read(struct gr_tls *tls, uint8_t *into, size_t room, size_t *got, enum gr_failure *failure,
		struct gr_error *err);
int gr_tls_write(struct gr_tls *tls, const uint8_t *bytes, size_t n, size_t *taken, enum gr_failure *failure,
		 struct gr_error *err);

/* poll(2) events that the last GR_EAGAIN waits for: POLLIN or POLLOUT. */
short gr_tls_wants(const struct gr_tls *tls);

/* Whether bytes that came are waiting to be read here: the socket does not show them. */
int gr_tls_pending(const struct gr_tls *tls);

/* Bytes on the wire so far. */
uint64_t gr_tls_received(const struct gr_tls *tls);
uint64_t gr_tls_sent(const struct gr_tls *tls);

/* Sends close_notify, without waiting. */
void gr_tls_close(struct gr_tls *tls);

#endif
