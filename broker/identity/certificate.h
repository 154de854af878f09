/*
 * Judging a person's certificate. Used twice, independently: by the gateway inside the TLS handshake, so that a bad certificate
 * is answered by an alert and never by a byte of application data, and by the identity process, whose word counts.
 */
#ifndef GARASU_BROKER_IDENTITY_CERTIFICATE_H
#define GARASU_BROKER_IDENTITY_CERTIFICATE_H

#include "broker/identity/identity.h"
#include "common/error.h"

#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stddef.h>
#include <stdint.h>

#define GR_CERTIFICATE_DESCRIPTION 160 /* bytes that gr_certificate_describe needs */

struct gr_certificate_verdict {
	uint32_t reason; /* gr_reason; NONE = good */
	int error; /* X509_V_*; X509_V_OK = good */
	char person[GR_PERSON_MAX + 8]; /* also of a revoked certificate; otherwise "" unless good */
	char text[256]; /* "serial=… fingerprint=sha256:…", and why not */
};

/*
 * Loads the trusted certificates of the PEM file ca. With crl not "", loads the revocation lists of that PEM file and
 * demands a current one for every certificate of a chain, so that a stale list refuses everybody. Returns owned.
 * GR_EIO, GR_EINVAL.
 */
int gr_certificate_store_load(const char *ca, const char *crl, X509_STORE **out, struct gr_error *err);

/*
 * Replaces *store by one of the same trusted certificates with the revocation lists of the PEM file crl_fd (taken; read
 * from where it stands). On failure *store stays as it is. GR_EIO, GR_EINVAL, GR_ENOMEM.
 */
int gr_certificate_store_renew(X509_STORE **store, int crl_fd, struct gr_error *err);

/*
 * What the chain does not say: the purpose is clientAuth and nothing else, and exactly one URI names a person.
 * Returns X509_V_OK and fills person (GR_PERSON_MAX + 1 bytes), or an X509_V_ERR_*: INVALID_PURPOSE or
 * APPLICATION_VERIFICATION (names nobody).
 */
int gr_certificate_check_leaf(X509 *leaf, char *person);

/* Chain, dates, revocation, then gr_certificate_check_leaf. untrusted may be NULL; all borrowed. */
void gr_certificate_judge(X509_STORE *store, X509 *leaf, STACK_OF(X509) * untrusted,
			  struct gr_certificate_verdict *out);

/*
 * Whether a certificate of this chain is on a list of store. Nothing else counts, such as a list or a certificate that has
 * run out meanwhile. As above.
 */
int gr_certificate_is_revoked(X509_STORE *store, X509 *leaf, STACK_OF(X509) * untrusted);

/* "serial=… fingerprint=sha256:…" into out (cap ≥ GR_CERTIFICATE_DESCRIPTION). Returns out. */
char *gr_certificate_describe(char *out, size_t cap, const X509 *certificate);

/* The reason and the words for an X509_V_* of this module. */
uint32_t gr_certificate_reason(int error);
const char *gr_certificate_words(int error);

#endif
