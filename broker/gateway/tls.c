#include "broker/gateway/tls.h"

#include "broker/gateway/remote_key.h"
#include "broker/identity/certificate.h"
#include "broker/ipc/ipc.h"
#include "common/log.h"
#include "common/loop.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gr_tls {
	SSL_CTX *context;
	SSL *ssl;
	bool alpn, garasu;
	int verify_error; /* X509_V_*, the first one */
	char description[GR_CERTIFICATE_DESCRIPTION]; /* of the viewer's certificate, once it was seen */
};

static const unsigned char alpn_garasu[] = { 8, 'g', 'a', 'r', 'a', 's', 'u', '/', '1' };

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *untrusted,
		       unsigned length, void *context)
{
	struct gr_tls *tls = context;
	unsigned char *selected;

	(void)ssl;
	if (!tls->alpn || SSL_select_next_proto(&selected, out_length, alpn_garasu, sizeof alpn_garasu, untrusted,
						length) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = selected;
	tls->garasu = true;
	return SSL_TLSEXT_ERR_OK;
}

/* A viewer that says no protocol is one of another make: choose_alpn is not asked about it. */
static int demand_alpn(SSL *ssl, int *alert, void *context)
{
	const unsigned char *ignored;
	size_t length;

	(void)context;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &ignored, &length))
		return SSL_CLIENT_HELLO_SUCCESS;
	ERR_raise(ERR_LIB_SSL, SSL_R_NO_APPLICATION_PROTOCOL);
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	return SSL_CLIENT_HELLO_ERROR;
}

/*
 * Called per certificate, root first, and for each error. Ends at the first error, which is kept for the audit record;
 * OpenSSL derives the alert from the one that is set.
 */
static int verify(int ok, X509_STORE_CTX *context)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct gr_tls *tls = SSL_get_app_data(ssl);
	X509 *leaf = X509_STORE_CTX_get0_cert(context);
	char person[GR_PERSON_MAX + 1];
	int error = X509_STORE_CTX_get_error(context);

	if (leaf && !tls->description[0])
		gr_certificate_describe(tls->description, sizeof tls->description, leaf);
	if (ok) {
		if (X509_STORE_CTX_get_error_depth(context) != 0)
			return 1;
		error = leaf ? gr_certificate_check_leaf(leaf, person) : X509_V_ERR_UNSPECIFIED;
		if (error == X509_V_OK)
			return 1;
	}
	tls->verify_error = error;
	/* Some errors would become a misleading alert: a stale list certificate_expired, no person in it handshake_failure. */
	if (gr_certificate_reason(error) == GR_REASON_INTERNAL)
		error = X509_V_ERR_UNSPECIFIED; /* internal_error */
	else if (error == X509_V_ERR_APPLICATION_VERIFICATION)
		error = X509_V_ERR_CERT_REJECTED; /* bad_certificate */
	X509_STORE_CTX_set_error(context, error);
	return 0;
}

static int load_certificate(struct gr_tls *tls, const char *file, int keys_fd, struct gr_error *err)
{
	EVP_PKEY *key = NULL;

	if (SSL_CTX_use_certificate_chain_file(tls->context, file) != 1)
		return gr_error_set(err, GR_EINVAL, "%s: no certificate chain in PEM form", file);
	int rc = gr_remote_key_create(SSL_CTX_get0_certificate(tls->context), keys_fd, &key, err);
	if (rc)
		return gr_error_wrap(err, "%s", file);
	if (SSL_CTX_use_PrivateKey(tls->context, key) != 1)
		rc = gr_error_set(err, GR_EINVAL, "%s: not usable for TLS", file);
	EVP_PKEY_free(key);
	return rc;
}

int gr_tls_create(const struct gr_config *config, int keys_fd, bool alpn, struct gr_tls **out, struct gr_error *err)
{
	struct gr_tls *tls = calloc(1, sizeof *tls);
	X509_STORE *store = NULL;
	int rc = 0;

	if (tls)
		tls->context = SSL_CTX_new(TLS_server_method());
	if (!tls || !tls->context) {
		free(tls);
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	}
	tls->alpn = alpn;

	SSL_CTX *c = tls->context;
	SSL_CTX_set_security_level(c, 2);
	SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
				       SSL_OP_CLEANSE_PLAINTEXT /* passwords come by here */);
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify);
	SSL_CTX_set_verify_depth(c, GR_IDENTITY_CHAIN_MAX);
	SSL_CTX_set_max_cert_list(c, (long)GR_IDENTITY_CHAIN_MAX * (GR_IDENTITY_DER_MAX + 16));
	SSL_CTX_set_alpn_select_cb(c, choose_alpn, tls);
	if (alpn && config->listen.standard_viewers != GR_CONFIG_PERMIT)
		SSL_CTX_set_client_hello_cb(c, demand_alpn, NULL);
	if (!SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION) || !SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION) ||
	    !SSL_CTX_set_num_tickets(c, 0) || !SSL_CTX_set_max_early_data(c, 0) ||
	    !SSL_CTX_set1_groups_list(c, "X25519:P-256:P-384") || !SSL_CTX_set_purpose(c, X509_PURPOSE_SSL_CLIENT))
		rc = gr_error_set(err, GR_EIO, "OpenSSL does not take the settings for TLS");
	if (!rc)
		rc = load_certificate(tls, config->tls.certificate, keys_fd, err);
	if (!rc)
		rc = gr_certificate_store_load(config->tls.client_ca, config->tls.client_crl, &store, err);
	if (!rc)
		SSL_CTX_set_cert_store(c, store); /* takes it */
	ERR_clear_error();
	if (rc) {
		gr_tls_destroy(tls);
		return rc;
	}
	*out = tls;
	return 0;
}

void gr_tls_destroy(struct gr_tls *tls)
{
	if (!tls)
		return;
	SSL_free(tls->ssl);
	SSL_CTX_free(tls->context);
	free(tls);
}

int gr_tls_begin(struct gr_tls *tls, int fd)
{
	tls->ssl = SSL_new(tls->context);
	if (!tls->ssl || !SSL_set_fd(tls->ssl, fd))
		return GR_ENOMEM;
	SSL_set_app_data(tls->ssl, tls);
	SSL_set_accept_state(tls->ssl);
	return 0;
}

/* Who is to blame, by the certificate's judgement first, then by OpenSSL's own error. */
static void explain(struct gr_tls *tls, int ssl_error, int system_error, struct gr_tls_failure *failure)
{
	unsigned long code = ERR_peek_error();
	const char *words = code ? ERR_reason_error_string(code) : NULL;
	int library_reason = code && ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;

	failure->reason = GR_REASON_PROTOCOL;
	if (tls->verify_error != X509_V_OK) {
		failure->reason = gr_certificate_reason(tls->verify_error);
		words = gr_certificate_words(tls->verify_error);
	} else if (library_reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
		failure->reason = GR_REASON_BAD_CERTIFICATE;
		words = "no certificate";
	} else if (code && ERR_GET_LIB(code) == ERR_LIB_EC) {
		failure->reason = GR_REASON_INTERNAL;
		words = "no signature from the keys process";
	} else if (library_reason == SSL_R_UNEXPECTED_EOF_WHILE_READING || ssl_error == SSL_ERROR_ZERO_RETURN ||
		   (ssl_error == SSL_ERROR_SYSCALL && !code)) {
		failure->reason = GR_REASON_VIEWER_LEFT;
		words = system_error ? strerror(system_error) : "connection closed in the TLS handshake";
	}
	if (!words)
		words = "TLS handshake failed";
	char escaped[88];
	gr_log_escape(escaped, sizeof escaped, words, strlen(words));
	snprintf(failure->text, sizeof failure->text, "%s%s%s", tls->description, tls->description[0] ? " " : "",
		 escaped);
}

int gr_tls_handshake(struct gr_tls *tls, unsigned *events, struct gr_tls_failure *failure)
{
	ERR_clear_error();
	errno = 0;
	int rc = SSL_do_handshake(tls->ssl);
	int system_error = errno;
	if (rc == 1) {
		if (SSL_get_verify_result(tls->ssl) == X509_V_OK && SSL_get0_peer_certificate(tls->ssl))
			return 0;
		/* Cannot be, given how it was set up; nobody gets past it if it is. */
		*failure = (struct gr_tls_failure){ .reason = GR_REASON_INTERNAL,
						    .text = "TLS ended without a judged certificate" };
		return GR_EDENIED;
	}
	int error = SSL_get_error(tls->ssl, rc);
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
		*events = error == SSL_ERROR_WANT_READ ? GR_LOOP_READ : GR_LOOP_WRITE;
		return GR_EAGAIN;
	}
	explain(tls, error, error == SSL_ERROR_SYSCALL ? system_error : 0, failure);
	ERR_clear_error();
	return GR_EDENIED;
}

SSL *gr_tls_connection(struct gr_tls *tls)
{
	return tls->ssl;
}

bool gr_tls_is_garasu(const struct gr_tls *tls)
{
	return tls->garasu;
}

static int add(struct gr_identity_request *out, X509 *certificate)
{
	int length = i2d_X509(certificate, NULL);

	if (out->count >= GR_IDENTITY_CHAIN_MAX || length <= 0 || length > GR_IDENTITY_DER_MAX)
		return GR_EFULL;
	unsigned char *der = out->der[out->count];
	out->length[out->count] = (uint32_t)i2d_X509(certificate, &der);
	out->count++;
	return 0;
}

int gr_tls_identity_request(struct gr_tls *tls, struct gr_identity_request *out)
{
	STACK_OF(X509) *others = SSL_get_peer_cert_chain(tls->ssl); /* on a server without the leaf */

	memset(out, 0, sizeof *out);
	int rc = add(out, SSL_get0_peer_certificate(tls->ssl));
	for (int i = 0; !rc && i < sk_X509_num(others); i++)
		rc = add(out, sk_X509_value(others, i));
	return rc;
}
