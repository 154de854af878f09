#include "broker/identity/chain.h"

#include <openssl/err.h>

/* The certificate of one entry, which must be exactly that many bytes of DER; NULL when it is none. */
static X509 *parse(const uint8_t *untrusted_der, uint32_t length)
{
	const unsigned char *end = untrusted_der;
	X509 *certificate = d2i_X509(NULL, &end, (long)length);

	if (certificate && end != untrusted_der + length) {
		X509_free(certificate);
		certificate = NULL;
	}
	ERR_clear_error();
	return certificate;
}

void gr_chain_finish(struct gr_chain *chain)
{
	X509_free(chain->leaf);
	sk_X509_pop_free(chain->others, X509_free);
	*chain = (struct gr_chain){ 0 };
}

int gr_chain_parse(const struct gr_identity_request *untrusted, size_t size, struct gr_chain *out)
{
	struct gr_chain chain = { .others = sk_X509_new_null() };
	uint32_t count = size == sizeof *untrusted ? untrusted->count : 0;
	int rc = 0;

	if (!chain.others)
		return GR_ENOMEM;
	if (count < 1 || count > GR_IDENTITY_CHAIN_MAX)
		rc = GR_EPROTO;
	for (uint32_t i = 0; !rc && i < count; i++) {
		uint32_t length = untrusted->length[i];
		X509 *certificate = length >= 1 && length <= GR_IDENTITY_DER_MAX ? parse(untrusted->der[i], length)
										 : NULL;
		if (!certificate)
			rc = GR_EPROTO;
		else if (i == 0)
			chain.leaf = certificate;
		else if (!sk_X509_push(chain.others, certificate)) {
			X509_free(certificate);
			rc = GR_ENOMEM;
		}
	}
	if (rc)
		gr_chain_finish(&chain);
	else
		*out = chain;
	return rc;
}
