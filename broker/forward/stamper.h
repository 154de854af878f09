/*
 * Shows the newest tree head to the time-stamp server, one question an interval at most and none while no head is new, by
 * HTTP/1.0 (RFC 3161 §3.4; OpenSSL's OSSL_HTTP over a connection of ours). A good answer is kept as tokens/SIZE.tsr.
 */
#ifndef GARASU_BROKER_FORWARD_STAMPER_H
#define GARASU_BROKER_FORWARD_STAMPER_H

#include "broker/forward/link.h"
#include "broker/forward/stamp.h"
#include "broker/forward/state.h"

#include <openssl/http.h>

#define GR_STAMPER_DIRECTORY "tokens"
#define GR_STAMPER_ANSWER_MS 30000
#define GR_STAMPER_AGAIN_FIRST_MS 5000 /* after a failure; doubled, up to: */
#define GR_STAMPER_AGAIN_LAST_MS 600000

/* A head was stamped (detail NULL), or it could not be. */
typedef void (*gr_stamper_told)(void *context, const char *detail);

struct gr_stamper {
	/* Set before gr_stamper_start; borrowed, but trust. */
	struct gr_link_settings server;
	X509_STORE *trust; /* owned */
	const struct gr_forward_state *state;
	int directory; /* tokens */
	int64_t interval_ms;
	gr_stamper_told told;
	void *context;

	struct gr_target target;
	char host[GR_TARGET_TEXT], port[8], path[1024];
	struct gr_loop_timer *timer; /* the next question, or the deadline of this one */
	struct gr_link *link;
	struct gr_loop_watch *watch;
	int fd;
	BIO *bio;
	OSSL_HTTP_REQ_CTX *http;
	TS_REQ *question; /* NULL: none is under way */
	uint64_t asked, stamped; /* sizes of heads */
	uint64_t next_ms; /* no question before */
	int64_t again_ms;
	int stopped;
};

/* Takes the URL apart. GR_EINVAL. *tls_out: it is https. */
int gr_stamper_url(struct gr_stamper *stamper, const char *url, int *tls_out);
/* GR_ENOMEM. */
int gr_stamper_start(struct gr_stamper *stamper);
/* There may be a new head. */
void gr_stamper_wake(struct gr_stamper *stamper);
/* Asks nothing any more. */
void gr_stamper_stop(struct gr_stamper *stamper);
void gr_stamper_finish(struct gr_stamper *stamper);

#endif
