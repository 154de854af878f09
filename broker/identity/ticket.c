#include "broker/identity/ticket.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static struct gr_ticket *find(struct gr_tickets *tickets, const char *person)
{
	for (size_t i = 0; i < GR_CONNECTIONS_MAX; i++)
		if (strcmp(tickets->places[i].person, person) == 0)
			return &tickets->places[i];
	return NULL;
}

static int hash_ticket(const uint8_t ticket[GR_IDENTITY_TICKET], uint8_t out[GR_TICKET_HASH])
{
	return EVP_Digest(ticket, GR_IDENTITY_TICKET, out, NULL, EVP_sha256(), NULL) == 1 ? 0 : GR_EIO;
}

static int hash_certificate(const X509 *certificate, uint8_t out[GR_TICKET_HASH])
{
	return X509_digest(certificate, EVP_sha256(), out, NULL) == 1 ? 0 : GR_EIO;
}

int gr_ticket_issue(struct gr_tickets *tickets, const char *person, const X509 *certificate, uint64_t until_ms,
		    uint8_t out[GR_IDENTITY_TICKET])
{
	struct gr_ticket ticket = { .until_ms = until_ms }, *place = find(tickets, person);
	int rc = 0;

	if (!place)
		place = find(tickets, "");
	if (!place)
		rc = GR_EFULL;
	if (!rc && getrandom(out, GR_IDENTITY_TICKET, 0) != GR_IDENTITY_TICKET)
		rc = GR_EIO;
	if (!rc)
		rc = hash_ticket(out, ticket.hash);
	if (!rc)
		rc = hash_certificate(certificate, ticket.certificate);
	if (rc) {
		OPENSSL_cleanse(out, GR_IDENTITY_TICKET);
		return rc;
	}
	snprintf(ticket.person, sizeof ticket.person, "%s", person);
	*place = ticket;
	return 0;
}

int gr_ticket_use(struct gr_tickets *tickets, const char *person, const X509 *certificate, uint64_t now_ms,
		  const uint8_t untrusted[GR_IDENTITY_TICKET])
{
	struct gr_ticket *place = find(tickets, person);
	uint8_t hash[GR_TICKET_HASH], shown[GR_TICKET_HASH];

	if (!place || hash_ticket(untrusted, hash) || hash_certificate(certificate, shown))
		return 0;
	int same = CRYPTO_memcmp(hash, place->hash, sizeof hash) == 0,
	    theirs = CRYPTO_memcmp(shown, place->certificate, sizeof shown) == 0, in_time = now_ms < place->until_ms;
	gr_ticket_forget(tickets, person);
	return same && theirs && in_time;
}

void gr_ticket_forget(struct gr_tickets *tickets, const char *person)
{
	struct gr_ticket *place = *person ? find(tickets, person) : NULL;

	if (place)
		OPENSSL_cleanse(place, sizeof *place);
}
