#include "broker/config/trust.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

void gr_trust_free(char **list)
{
	for (char **at = list; at && *at; at++)
		free(*at);
	free(list);
}

/* Owned; NULL when out of memory. */
static char *base64(const X509 *certificate)
{
	unsigned char *der = NULL;
	int n = i2d_X509(certificate, &der);
	char *text = n > 0 ? malloc(((size_t)n + 2) / 3 * 4 + 1) : NULL;
	if (text)
		EVP_EncodeBlock((unsigned char *)text, der, n);
	OPENSSL_free(der);
	return text;
}

/* What is wrong with it, or NULL. */
static const char *fault(X509 *certificate)
{
	/* 1 is a CA by its extensions; other values are guesses about old certificates, which Chromium does not make. */
	if (X509_check_ca(certificate) != 1)
		return "is not a CA's (basicConstraints CA:TRUE)";
	if (X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0)
		return "has expired";
	return NULL;
}

int gr_trust_load(const char *path, char ***out, struct gr_error *err)
{
	FILE *stream = fopen(path, "re");
	if (!stream)
		return gr_error_errno(err, "cannot read %s", path);
	char **list = calloc(GR_TRUST_MAX + 1, sizeof(*list));
	if (!list) {
		fclose(stream);
		return gr_error_set(err, GR_ENOMEM, "no memory");
	}
	int status = 0;
	unsigned count = 0;
	X509 *certificate;
	ERR_clear_error();
	while (status == 0 && (certificate = PEM_read_X509(stream, NULL, NULL, NULL)) != NULL) {
		const char *wrong = count < GR_TRUST_MAX ? fault(certificate) : "is one too many";
		if (wrong)
			status = gr_error_set(err, GR_EINVAL, "%s: certificate %u %s", path, count + 1, wrong);
		else if (!(list[count++] = base64(certificate)))
			status = gr_error_set(err, GR_ENOMEM, "no memory");
		X509_free(certificate);
	}
	/* The end of the file is told as an error too. */
	if (status == 0 && (count == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE))
		status = gr_error_set(err, GR_EINVAL, "%s: certificate %u is missing or damaged", path, count + 1);
	ERR_clear_error();
	fclose(stream);
	if (status == 0)
		*out = list;
	else
		gr_trust_free(list);
	return status;
}
