/*
 * Resumption tickets: whoever was let in by factors comes back with one instead, as long as the session lives. Held in memory only, as
 * SHA-256; one a person, the newest. Used once. Times are milliseconds of CLOCK_MONOTONIC.
 */
#ifndef GARASU_BROKER_IDENTITY_TICKET_H
#define GARASU_BROKER_IDENTITY_TICKET_H

#include "broker/identity/identity.h"

#include <openssl/x509.h>

#define GR_TICKET_HASH 32

struct gr_ticket {
	char person[GR_PERSON_MAX + 8]; /* empty: the place is free */
	uint8_t hash[GR_TICKET_HASH], certificate[GR_TICKET_HASH];
	uint64_t until_ms;
};

struct gr_tickets {
	struct gr_ticket places[GR_CONNECTIONS_MAX];
};

/* Makes the person's ticket in place of an earlier one. out is wiped by the caller. GR_EFULL, GR_EIO: none was made, and out is all zero. */
int gr_ticket_issue(struct gr_tickets *tickets, const char *person, const X509 *certificate, uint64_t until_ms,
		    uint8_t out[GR_IDENTITY_TICKET]);

/* 1: it is the person's, made for this certificate, and in time. Whatever the answer, the person's ticket is gone. */
int gr_ticket_use(struct gr_tickets *tickets, const char *person, const X509 *certificate, uint64_t now_ms,
		  const uint8_t untrusted[GR_IDENTITY_TICKET]);

/* The person has none any more. */
void gr_ticket_forget(struct gr_tickets *tickets, const char *person);

#endif
