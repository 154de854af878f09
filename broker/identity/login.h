/*
 * The conversations with gateways: a certificate, then factors as often as they are wrong, until somebody is a person, locked
 * out or refused (identity.h).
 *
 *   REQUEST ── good, factors asked ──► FACTORS ── they come ──► DUE ── password ──┬─► judged ──► the last answer
 *       └─ refused, or nothing asked: the last answer    ▲                        └─► PAM ──┘
 *                                                        └──────────── wrong ───────────────┘
 *
 * A password takes a good part of a second of the processor. Only one is checked at a time, and between two of them everything that has
 * come meanwhile is served: a certificate waits for one password at most, however many people come.
 */
#ifndef GARASU_BROKER_IDENTITY_LOGIN_H
#define GARASU_BROKER_IDENTITY_LOGIN_H

#include "broker/config/config.h"
#include "broker/identity/chain.h"
#include "broker/identity/ticket.h"
#include "broker/identity/users.h"
#include "common/loop.h"

struct gr_logins;

struct gr_logins_settings {
	struct gr_loop *loop; /* borrowed, as all of these */
	X509_STORE *const *store; /* it changes with the revocation lists */
	struct gr_users *users; /* NULL: no factor is asked for */
	enum gr_config_factor password, code;
	struct gr_tickets *tickets;
	const struct gr_config *config; /* how long a person's session may last */
	void (*known)(void *context, struct gr_chain *chain); /* somebody is let in; takes chain */
	void *context;
};

/* Returns owned; NULL when out of memory. */
struct gr_logins *gr_logins_create(const struct gr_logins_settings *settings);
void gr_logins_destroy(struct gr_logins *logins); /* NULL allowed; ends every conversation */

/* A gateway's socket; takes fd. */
void gr_logins_begin(struct gr_logins *logins, int fd, uint32_t connection);

/* The socket to a pam process, in place of an earlier one; takes fd. */
void gr_logins_connect_pam(struct gr_logins *logins, int fd);

#endif
