#include "viewer/tls.h"
#include "common/limits.h"
#include "viewer/platform_net.h"
#include "viewer/platform_process.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct gr_tls {
	SSL_CTX *context;
	SSL *ssl;
	short wants;
	int alert; /* the last one received, -1 for none */
	char person[GR_PERSON_MAX + 1];
	char server_name[256];
};

static const unsigned char alpn[] = "\x08garasu/1";

/* The oldest error of OpenSSL's queue, which is the cause of the others; the queue is emptied. */
static int openssl_error(struct gr_error *err, int code, const char *doing)
{
	unsigned long number = ERR_peek_error();
	const char *text = ERR_SYSTEM_ERROR(number) ? strerror(ERR_GET_REASON(number))
						    : ERR_reason_error_string(number);
	gr_error_set(err, code, "%s: %s", doing, text ? text : "unknown error");
	ERR_clear_error();
	return code;
}

/* Keys with a pass phrase are not asked for: the window has no dialog for it, and a prompt would hang a script. */
static int no_pass_phrase(char *buffer, int size, int writing, void *context)
{
	(void)buffer, (void)size, (void)writing, (void)context;
	return -1;
}

static void read_person(struct gr_tls *tls)
{
	static const char prefix[] = "garasu:user/";
	X509 *certificate = SSL_CTX_get0_certificate(tls->context);
	GENERAL_NAMES *names = certificate ? X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL) : NULL;
	for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_URI)
			continue;
		const char *uri = (const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
		size_t length = (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier),
		       skip = sizeof(prefix) - 1;
		if (length > skip && length - skip <= GR_PERSON_MAX && !memcmp(uri, prefix, skip) &&
		    !memchr(uri, 0, length)) {
			memcpy(tls->person, uri + skip, length - skip);
			tls->person[length - skip] = '\0';
		}
	}
	GENERAL_NAMES_free(names);
}

static int load_lists(struct gr_tls *tls, const char *file)
{
	X509_STORE *store = SSL_CTX_get_cert_store(tls->context);
	X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
	return lookup && X509_load_crl_file(lookup, file, X509_FILETYPE_PEM) > 0 &&
			       X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL)
		       ? 0
		       : GR_EINVAL;
}

static int load(struct gr_tls *tls, const struct gr_tls_settings *settings, enum gr_failure *failure,
		struct gr_error *err)
{
	SSL_CTX_set_default_passwd_cb(tls->context, no_pass_phrase);
	*failure = GR_FAIL_CA_FILE;
	if (SSL_CTX_load_verify_file(tls->context, settings->ca) != 1)
		return openssl_error(err, GR_EINVAL, settings->ca);
	if (settings->crl && load_lists(tls, settings->crl))
		return openssl_error(err, GR_EINVAL, settings->crl);
	if (!settings->certificate)
		return 0;
	*failure = GR_FAIL_CERTIFICATE_FILE;
	if (SSL_CTX_use_certificate_chain_file(tls->context, settings->certificate) != 1)
		return openssl_error(err, GR_EINVAL, settings->certificate);
	*failure = GR_FAIL_KEY_FILE;
	if (gr_platform_private_file(settings->key, err))
		return err->code;
	if (SSL_CTX_use_PrivateKey_file(tls->context, settings->key, SSL_FILETYPE_PEM) != 1)
		return openssl_error(err, GR_EINVAL, settings->key);
	if (SSL_CTX_check_private_key(tls->context) != 1)
		return openssl_error(err, GR_EINVAL, settings->key);
	read_person(tls);
	return 0;
}

/*
 * A server's certificate must say that it is one, and nothing else: OpenSSL alone also accepts one without any purpose, or with
 * several. In the handshake, so that nothing of the person's is sent to somebody else.
 */
static int check_purpose(int ok, X509_STORE_CTX *context)
{
	X509 *certificate = X509_STORE_CTX_get_current_cert(context);
	if (!ok || X509_STORE_CTX_get_error_depth(context) > 0)
		return ok;
	if ((X509_get_extension_flags(certificate) & EXFLAG_XKUSAGE) &&
	    X509_get_extended_key_usage(certificate) == XKU_SSL_SERVER)
		return 1;
	X509_STORE_CTX_set_error(context, X509_V_ERR_INVALID_PURPOSE);
	return 0;
}

struct gr_tls *gr_tls_create(const struct gr_tls_settings *settings, enum gr_failure *failure, struct gr_error *err)
{
	struct gr_tls *tls = calloc(1, sizeof(*tls));
	*failure = GR_FAIL_INTERNAL;
	if (!tls || !(tls->context = SSL_CTX_new(TLS_client_method()))) {
		gr_error_set(err, GR_ENOMEM, "no memory for TLS");
		free(tls);
		return NULL;
	}
	tls->alert = -1;
	SSL_CTX_set_min_proto_version(tls->context, TLS1_3_VERSION);
	SSL_CTX_set_session_cache_mode(tls->context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, check_purpose);
	SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_alpn_protos(tls->context, alpn, sizeof(alpn) - 1);
	size_t length = strlen(settings->server_name);
	if (length >= sizeof(tls->server_name)) {
		gr_error_set(err, GR_EINVAL, "the server's name is too long");
		gr_tls_destroy(tls);
		return NULL;
	}
	memcpy(tls->server_name, settings->server_name, length + 1);
	if (load(tls, settings, failure, err)) {
		gr_tls_destroy(tls);
		return NULL;
	}
	return tls;
}

void gr_tls_destroy(struct gr_tls *tls)
{
	if (!tls)
		return;
	SSL_free(tls->ssl);
	SSL_CTX_free(tls->context);
	free(tls);
}

const char *gr_tls_person(const struct gr_tls *tls)
{
	return tls->person;
}

static void note_alert(const SSL *ssl, int where, int value)
{
	struct gr_tls *tls = SSL_get_app_data(ssl);
	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
		tls->alert = value & 0xff;
}

int gr_tls_attach(struct gr_tls *tls, int fd)
{
	int is_address = gr_platform_is_address(tls->server_name);

	tls->ssl = SSL_new(tls->context);
	if (!tls->ssl || SSL_set_fd(tls->ssl, fd) != 1)
		return GR_ENOMEM;
	SSL_set_app_data(tls->ssl, tls);
	SSL_set_info_callback(tls->ssl, note_alert);
	X509_VERIFY_PARAM *verify = SSL_get0_param(tls->ssl);
	X509_VERIFY_PARAM_set_hostflags(verify,
					X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (is_address) {
		if (X509_VERIFY_PARAM_set1_ip_asc(verify, tls->server_name) != 1)
			return GR_ENOMEM;
	} else if (X509_VERIFY_PARAM_set1_host(verify, tls->server_name, 0) != 1 ||
		   SSL_set_tlsext_host_name(tls->ssl, tls->server_name) != 1) {
		return GR_ENOMEM;
	}
	SSL_set_connect_state(tls->ssl);
	return 0;
}

static enum gr_failure failure_of_alert(int alert)
{
	switch (alert) {
	case SSL_AD_CERTIFICATE_REQUIRED: return GR_FAIL_PERSON_MISSING;
	case SSL_AD_CERTIFICATE_EXPIRED: return GR_FAIL_PERSON_EXPIRED;
	case SSL_AD_UNKNOWN_CA: return GR_FAIL_PERSON_UNTRUSTED;
	case SSL_AD_CERTIFICATE_REVOKED: return GR_FAIL_PERSON_REVOKED;
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_ACCESS_DENIED:
	case SSL_AD_DECRYPT_ERROR: return GR_FAIL_PERSON_BAD;
	case SSL_AD_NO_APPLICATION_PROTOCOL:
	case SSL_AD_HANDSHAKE_FAILURE:
	case SSL_AD_PROTOCOL_VERSION:
	case SSL_AD_UNRECOGNIZED_NAME: return GR_FAIL_NOT_BROKER;
	default: return GR_FAIL_LOST;
	}
}

static enum gr_failure failure_of_verify(long result)
{
	switch (result) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID: return GR_FAIL_SERVER_EXPIRED;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH: return GR_FAIL_SERVER_NAME;
	case X509_V_ERR_INVALID_PURPOSE: return GR_FAIL_SERVER_PURPOSE;
	case X509_V_ERR_CERT_REVOKED: return GR_FAIL_SERVER_REVOKED;
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_CRL_NOT_YET_VALID:
	case X509_V_ERR_CRL_HAS_EXPIRED: return GR_FAIL_CRL_STALE;
	default: return GR_FAIL_SERVER_UNTRUSTED;
	}
}

/* What a call of OpenSSL that returned `result` <= 0 means. otherwise: the failure when nothing better is known. */
static int outcome(struct gr_tls *tls, int result, enum gr_failure otherwise, enum gr_failure *failure,
		   struct gr_error *err)
{
	int saved = errno;
	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_WANT_READ: tls->wants = POLLIN; return GR_EAGAIN;
	case SSL_ERROR_WANT_WRITE: tls->wants = POLLOUT; return GR_EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		*failure = GR_FAIL_LOST;
		return gr_error_set(err, GR_ECLOSED, "closed by the broker");
	case SSL_ERROR_SYSCALL:
		*failure = otherwise;
		ERR_clear_error();
		if (!saved)
			return gr_error_set(err, GR_EIO, "closed without a word");
		errno = saved;
		return gr_error_errno(err, "TLS");
	default: break;
	}
	if (tls->alert >= 0) {
		*failure = failure_of_alert(tls->alert);
		ERR_clear_error();
		return gr_error_set(err, GR_EDENIED, "TLS alert: %s", SSL_alert_desc_string_long(tls->alert));
	}
	long verify = SSL_get_verify_result(tls->ssl);
	if (verify != X509_V_OK && !SSL_is_init_finished(tls->ssl)) {
		*failure = failure_of_verify(verify);
		ERR_clear_error();
		return gr_error_set(err, GR_EDENIED, "%s", X509_verify_cert_error_string(verify));
	}
	*failure = otherwise;
	if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		ERR_clear_error();
		return gr_error_set(err, GR_EIO, "closed without a word");
	}
	return openssl_error(err, GR_EPROTO, "TLS");
}

static int check_protocol(struct gr_tls *tls, enum gr_failure *failure, struct gr_error *err)
{
	const unsigned char *protocol;
	unsigned length;
	SSL_get0_alpn_selected(tls->ssl, &protocol, &length);
	if (length != sizeof(alpn) - 2 || memcmp(protocol, alpn + 1, length) != 0) {
		*failure = GR_FAIL_NOT_BROKER;
		return gr_error_set(err, GR_EPROTO, "the server did not choose the protocol garasu/1");
	}
	return 0;
}

int gr_tls_handshake(struct gr_tls *tls, enum gr_failure *failure, struct gr_error *err)
{
	errno = 0;
	ERR_clear_error();
	int result = SSL_do_handshake(tls->ssl);
	if (result <= 0)
		return outcome(tls, result, GR_FAIL_NOT_BROKER, failure, err);
	return check_protocol(tls, failure, err);
}

int gr_tls_read(struct gr_tls *tls, uint8_t *into, size_t room, size_t *got, enum gr_failure *failure,
		struct gr_error *err)
{
	errno = 0;
	ERR_clear_error();
	int result = SSL_read_ex(tls->ssl, into, room, got);
	return result > 0 ? 0 : outcome(tls, result, GR_FAIL_LOST, failure, err);
}

int gr_tls_write(struct gr_tls *tls, const uint8_t *bytes, size_t n, size_t *taken, enum gr_failure *failure,
		 struct gr_error *err)
{
	errno = 0;
	ERR_clear_error();
	int result = SSL_write_ex(tls->ssl, bytes, n, taken);
	return result > 0 ? 0 : outcome(tls, result, GR_FAIL_LOST, failure, err);
}

short gr_tls_wants(const struct gr_tls *tls)
{
	return tls->wants;
}

int gr_tls_pending(const struct gr_tls *tls)
{
	return SSL_pending(tls->ssl) > 0;
}

uint64_t gr_tls_received(const struct gr_tls *tls)
{
	return tls->ssl ? BIO_number_read(SSL_get_rbio(tls->ssl)) : 0;
}

uint64_t gr_tls_sent(const struct gr_tls *tls)
{
	return tls->ssl ? BIO_number_written(SSL_get_wbio(tls->ssl)) : 0;
}

void gr_tls_close(struct gr_tls *tls)
{
	if (tls->ssl && SSL_is_init_finished(tls->ssl))
		SSL_shutdown(tls->ssl);
	ERR_clear_error();
}
