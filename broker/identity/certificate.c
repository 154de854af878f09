#include "broker/identity/certificate.h"

#include "broker/ipc/ipc.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One PEM file with at least one certificate, or at least one revocation list; nothing else in it. Takes stream. */
static int load(X509_STORE *store, FILE *stream, const char *file, int lists, struct gr_error *err)
{
	if (!stream)
		return gr_error_errno(err, "%s", file);
	STACK_OF(X509_INFO) *infos = PEM_X509_INFO_read(stream, NULL, NULL, NULL);
	fclose(stream);

	int good = infos != NULL && sk_X509_INFO_num(infos) > 0;
	for (int i = 0; good && i < sk_X509_INFO_num(infos); i++) {
		X509_INFO *info = sk_X509_INFO_value(infos, i);
		if (lists)
			good = info->crl && X509_STORE_add_crl(store, info->crl);
		else
			good = info->x509 && X509_STORE_add_cert(store, info->x509);
	}
	sk_X509_INFO_pop_free(infos, X509_INFO_free);
	ERR_clear_error();
	if (!good)
		return gr_error_set(err, GR_EINVAL, "%s: not a PEM file of %s", file,
				    lists ? "revocation lists" : "certificates");
	return 0;
}

/* Takes stream. From then on a chain without a current list is refused. */
static int load_lists(X509_STORE *store, FILE *stream, const char *file, struct gr_error *err)
{
	int rc = load(store, stream, file, 1, err);

	if (!rc && !X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL))
		rc = gr_error_set(err, GR_ENOMEM, "out of memory");
	return rc;
}

int gr_certificate_store_load(const char *ca, const char *crl, X509_STORE **out, struct gr_error *err)
{
	X509_STORE *store = X509_STORE_new();
	int rc;

	if (!store)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	rc = load(store, fopen(ca, "re"), ca, 0, err);
	if (!rc && crl[0])
		rc = load_lists(store, fopen(crl, "re"), crl, err);
	if (rc) {
		X509_STORE_free(store);
		return rc;
	}
	*out = store;
	return 0;
}

int gr_certificate_store_renew(X509_STORE **store, int crl_fd, struct gr_error *err)
{
	X509_STORE *fresh = X509_STORE_new();
	FILE *stream = fdopen(crl_fd, "r");
	STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(*store);
	int rc = 0;

	if (!stream)
		close(crl_fd);
	if (!fresh || !stream)
		rc = gr_error_set(err, GR_ENOMEM, "out of memory");
	for (int i = 0; !rc && i < sk_X509_OBJECT_num(objects); i++) {
		X509 *trusted = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i)); /* NULL: a list */
		if (trusted && !X509_STORE_add_cert(fresh, trusted))
			rc = gr_error_set(err, GR_ENOMEM, "out of memory");
	}
	if (!rc)
		rc = load_lists(fresh, stream, "the revocation lists", err);
	else if (stream)
		fclose(stream);
	if (rc) {
		X509_STORE_free(fresh);
		return rc;
	}
	X509_STORE_free(*store);
	*store = fresh;
	return 0;
}

/* An absent extension means "any purpose" to OpenSSL, and a second purpose is not looked at: hence by ourselves. */
static int purpose_is_client_only(X509 *leaf)
{
	EXTENDED_KEY_USAGE *usage = X509_get_ext_d2i(leaf, NID_ext_key_usage, NULL, NULL);
	int good = usage && sk_ASN1_OBJECT_num(usage) == 1 &&
		   OBJ_obj2nid(sk_ASN1_OBJECT_value(usage, 0)) == NID_client_auth;

	EXTENDED_KEY_USAGE_free(usage);
	return good;
}

static int person_of(X509 *leaf, char *person)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	int uris = 0, rc = GR_EINVAL;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) { /* -1 for NULL */
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_URI)
			continue;
		int length = ASN1_STRING_length(name->d.uniformResourceIdentifier);
		const unsigned char *untrusted_uri = ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
		uris++;
		rc = length < 0 ? GR_EINVAL
				: gr_identity_person_of_uri((const char *)untrusted_uri, (size_t)length, person);
	}
	GENERAL_NAMES_free(names);
	return uris == 1 ? rc : GR_EINVAL;
}

int gr_certificate_check_leaf(X509 *leaf, char *person)
{
	int rc = X509_V_OK;

	if (!purpose_is_client_only(leaf))
		rc = X509_V_ERR_INVALID_PURPOSE;
	else if (person_of(leaf, person))
		rc = X509_V_ERR_APPLICATION_VERIFICATION;
	ERR_clear_error();
	return rc;
}

char *gr_certificate_describe(char *out, size_t cap, const X509 *certificate)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	char hex[2 * 32 + 1] = "";
	BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
	char *serial = number ? BN_bn2hex(number) : NULL;

	if (X509_digest(certificate, EVP_sha256(), digest, &length) && length == 32)
		for (size_t i = 0; i < length; i++)
			snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	/* RFC 5280 4.1.2.2: at most 20 octets; a longer serial is cut, the fingerprint still tells which it is. */
	snprintf(out, cap, "serial=%.42s fingerprint=sha256:%s", serial ? serial : "?", hex);
	OPENSSL_free(serial);
	BN_free(number);
	ERR_clear_error();
	return out;
}

uint32_t gr_certificate_reason(int error)
{
	switch (error) {
	case X509_V_OK: return GR_REASON_NONE;
	case X509_V_ERR_CERT_REVOKED: return GR_REASON_REVOKED;
	case X509_V_ERR_APPLICATION_VERIFICATION: return GR_REASON_UNKNOWN_PERSON;
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
	case X509_V_ERR_CRL_NOT_YET_VALID:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_CRL_SIGNATURE_FAILURE:
	case X509_V_ERR_OUT_OF_MEM:
	case X509_V_ERR_UNSPECIFIED: return GR_REASON_INTERNAL; /* ours: the operator must act, not the person */
	default: return GR_REASON_BAD_CERTIFICATE;
	}
}

const char *gr_certificate_words(int error)
{
	if (error == X509_V_ERR_APPLICATION_VERIFICATION)
		return "certificate names no person";
	return X509_verify_cert_error_string(error);
}

/* Returns an X509_V_*. callback may be NULL. */
static int verify(X509_STORE *store, X509 *leaf, STACK_OF(X509) * untrusted, X509_STORE_CTX_verify_cb callback)
{
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	int error = X509_V_ERR_UNSPECIFIED;

	if (context && X509_STORE_CTX_init(context, store, leaf, untrusted)) {
		X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
		X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT);
		X509_VERIFY_PARAM_set_depth(param, GR_IDENTITY_CHAIN_MAX);
		X509_VERIFY_PARAM_set_auth_level(param, 2); /* 112 bits */
		if (callback)
			X509_STORE_CTX_set_verify_cb(context, callback);
		if (X509_verify_cert(context) == 1)
			error = X509_V_OK;
		else if (X509_STORE_CTX_get_error(context) != X509_V_OK)
			error = X509_STORE_CTX_get_error(context);
	}
	X509_STORE_CTX_free(context);
	ERR_clear_error();
	return error;
}

/* Goes on behind what only time or a missing list brought about, up to a certificate that is revoked. */
static int pass_over_time(int ok, X509_STORE_CTX *context)
{
	switch (X509_STORE_CTX_get_error(context)) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_CRL_NOT_YET_VALID:
	case X509_V_ERR_UNABLE_TO_GET_CRL: return 1;
	default: return ok;
	}
}

int gr_certificate_is_revoked(X509_STORE *store, X509 *leaf, STACK_OF(X509) * untrusted)
{
	return verify(store, leaf, untrusted, pass_over_time) == X509_V_ERR_CERT_REVOKED;
}

void gr_certificate_judge(X509_STORE *store, X509 *leaf, STACK_OF(X509) * untrusted, struct gr_certificate_verdict *out)
{
	struct gr_certificate_verdict verdict = { .error = verify(store, leaf, untrusted, NULL) };
	char person[GR_PERSON_MAX + 1] = "";
	char description[GR_CERTIFICATE_DESCRIPTION];

	if (verdict.error == X509_V_OK)
		verdict.error = gr_certificate_check_leaf(leaf, person);
	else if (verdict.error == X509_V_ERR_CERT_REVOKED && gr_certificate_check_leaf(leaf, person) != X509_V_OK)
		person[0] = '\0';
	if (verdict.error == X509_V_OK || verdict.error == X509_V_ERR_CERT_REVOKED)
		memcpy(verdict.person, person, sizeof person);

	verdict.reason = gr_certificate_reason(verdict.error);
	gr_certificate_describe(description, sizeof description, leaf);
	snprintf(verdict.text, sizeof verdict.text, "%s%s%.80s", description, verdict.error ? " " : "",
		 verdict.error ? gr_certificate_words(verdict.error) : "");
	ERR_clear_error();
	*out = verdict;
}
