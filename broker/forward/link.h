/* One connection of ours to a configured server: name, TCP, TLS, and whose certificate it has. */
#ifndef GARASU_BROKER_FORWARD_LINK_H
#define GARASU_BROKER_FORWARD_LINK_H

#include "broker/egress/upstream.h"
#include "common/loop.h"

#include <openssl/ssl.h>

#define GR_LINK_TLS_MS 15000 /* the handshake */

struct gr_link;

/*
 * A context for clients: TLS 1.2 or 1.3, as the server offers, whose certificate must chain to one of the file ca (PEM), or
 * of more (NULL: none; a file that is missing is none). certificate, key: ours (PEM), NULL = none. Reads the files. Owned; NULL
 * with *err: GR_EINVAL.
 */
SSL_CTX *gr_link_context(const char *ca, const char *more, const char *certificate, const char *key,
			 struct gr_error *err);

/* What is needed to begin; all borrowed while the link lives. */
struct gr_link_settings {
	struct gr_loop *loop;
	struct gr_resolver *resolver;
	const struct gr_target *target; /* its host must be in the server's certificate */
	SSL_CTX *context; /* NULL: no TLS */
};

/*
 * status 0: fd is connected, non-blocking, and ssl has shaken hands over it (NULL without TLS): both are the callee's, which frees
 * ssl and closes fd. Otherwise fd is -1 and detail says why (borrowed during the call). The link is gone in both cases.
 */
typedef void (*gr_link_ended)(void *context, int status, int fd, SSL *ssl, const char *detail);

/* Never calls back before it returns. GR_ENOMEM. */
int gr_link_start(struct gr_link **out, const struct gr_link_settings *settings, gr_link_ended ended, void *context);
void gr_link_cancel(struct gr_link *link); /* without a call; NULL allowed */

/* The first of OpenSSL's errors that wait, as text; "" when there is none. Takes them all. */
const char *gr_link_error(void);

#endif
