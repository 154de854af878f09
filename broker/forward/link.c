#include "broker/forward/link.h"

#include "common/io.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SILENT_MS 60000 /* data that nobody has acknowledged for so long ends the connection */
#define KEEPALIVE_IDLE 120 /* s */
#define KEEPALIVE_INTERVAL 20 /* s */
#define KEEPALIVE_COUNT 3

struct gr_link {
	struct gr_link_settings settings;
	gr_link_ended ended;
	void *context;
	struct gr_upstream *upstream;
	struct gr_loop_watch *watch;
	struct gr_loop_timer *timer;
	int fd;
	SSL *ssl;
};

const char *gr_link_error(void)
{
	static char text[200];
	unsigned long code = ERR_get_error();
	text[0] = 0;
	if (code) {
		const char *reason = ERR_reason_error_string(code);
		snprintf(text, sizeof(text), "%s", reason ? reason : "OpenSSL failed");
	}
	ERR_clear_error();
	return text;
}

SSL_CTX *gr_link_context(const char *ca, const char *more, const char *certificate, const char *key,
			 struct gr_error *err)
{
	struct stat status;
	ERR_clear_error();
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
		gr_error_set(err, GR_ENOMEM, "cannot make a TLS context");
		goto failed;
	}
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_load_verify_file(context, ca) != 1) {
		gr_error_set(err, GR_EINVAL, "%s: %s", ca, gr_link_error());
		goto failed;
	}
	if (more && access(more, R_OK) == 0 && SSL_CTX_load_verify_file(context, more) != 1) {
		gr_error_set(err, GR_EINVAL, "%s: %s", more, gr_link_error());
		goto failed;
	}
	if (certificate && stat(key, &status) == 0 && (status.st_mode & 077)) {
		gr_error_set(err, GR_EINVAL, "%s can be read by others: chmod 600 %s", key, key);
		goto failed;
	}
	if (certificate && (SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
			    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
			    SSL_CTX_check_private_key(context) != 1)) {
		gr_error_set(err, GR_EINVAL, "%s, %s: %s", certificate, key, gr_link_error());
		goto failed;
	}
	return context;
failed:
	SSL_CTX_free(context);
	return NULL;
}

static void release(struct gr_link *link)
{
	gr_upstream_cancel(link->upstream);
	gr_loop_remove(link->watch);
	gr_loop_timer_remove(link->timer);
	SSL_free(link->ssl);
	gr_io_close(&link->fd);
	free(link);
}

static void end(struct gr_link *link, int status, const char *detail)
{
	gr_link_ended ended = link->ended;
	void *context = link->context;
	int fd = -1;
	SSL *ssl = NULL;
	char text[256];
	snprintf(text, sizeof(text), "%s", detail);
	if (status == 0) {
		gr_loop_remove(link->watch);
		link->watch = NULL;
		fd = link->fd;
		ssl = link->ssl;
		link->fd = -1;
		link->ssl = NULL;
	}
	release(link);
	ended(context, status, fd, ssl, text);
}

static void handshake_failed(struct gr_link *link)
{
	char text[256];
	long verified = SSL_get_verify_result(link->ssl);
	const char *error = gr_link_error();
	if (verified != X509_V_OK)
		snprintf(text, sizeof(text), "its certificate is refused: %s", X509_verify_cert_error_string(verified));
	else
		snprintf(text, sizeof(text), "TLS: %s", error[0] ? error : "the connection ended");
	end(link, GR_EDENIED, text);
}

static void shake_hands(void *context, int fd, unsigned events)
{
	struct gr_link *link = context;
	(void)fd;
	(void)events;
	ERR_clear_error();
	int result = SSL_connect(link->ssl);
	if (result == 1) {
		end(link, 0, "");
		return;
	}
	switch (SSL_get_error(link->ssl, result)) {
	case SSL_ERROR_WANT_READ: gr_loop_change(link->watch, GR_LOOP_READ); break;
	case SSL_ERROR_WANT_WRITE: gr_loop_change(link->watch, GR_LOOP_WRITE); break;
	default: handshake_failed(link);
	}
}

static int begin_tls(struct gr_link *link)
{
	const struct gr_target *target = link->settings.target;
	link->ssl = SSL_new(link->settings.context);
	if (!link->ssl || SSL_set_fd(link->ssl, link->fd) != 1)
		return GR_ENOMEM;
	X509_VERIFY_PARAM *parameters = SSL_get0_param(link->ssl);
	X509_VERIFY_PARAM_set_hostflags(parameters,
					X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	int named = target->is_address ? X509_VERIFY_PARAM_set1_ip_asc(parameters, target->host)
				       : X509_VERIFY_PARAM_set1_host(parameters, target->host, 0) == 1 &&
						 SSL_set_tlsext_host_name(link->ssl, target->host);
	if (named != 1)
		return GR_ENOMEM;
	link->watch = gr_loop_add(link->settings.loop, link->fd, GR_LOOP_WRITE, shake_hands, link);
	if (!link->watch)
		return GR_ENOMEM;
	gr_loop_timer_set(link->timer, GR_LINK_TLS_MS);
	return 0;
}

static void connected(void *context, int status, int fd, const char *detail)
{
	static const struct {
		int level, option, value;
	} options[] = { { IPPROTO_TCP, TCP_USER_TIMEOUT, SILENT_MS },
			{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE },
			{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL },
			{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT } };
	struct gr_link *link = context;
	link->upstream = NULL;
	if (status != 0) {
		end(link, status, detail);
		return;
	}
	link->fd = fd;
	/* Keepalive itself is on (upstream.c). A kernel that refuses one of these only notices a dead server later. */
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		setsockopt(fd, options[i].level, options[i].option, &options[i].value, sizeof(options[i].value));
	if (!link->settings.context)
		end(link, 0, "");
	else if (begin_tls(link) != 0)
		end(link, GR_ENOMEM, "no memory");
}

static void timer_over(void *context)
{
	end(context, GR_ETIMEOUT, "TLS: it does not answer");
}

int gr_link_start(struct gr_link **out, const struct gr_link_settings *settings, gr_link_ended ended, void *context)
{
	struct gr_link *link = calloc(1, sizeof(*link));
	if (!link)
		return GR_ENOMEM;
	link->settings = *settings;
	link->ended = ended;
	link->context = context;
	link->fd = -1;
	link->timer = gr_loop_timer_add(settings->loop, timer_over, link);
	if (!link->timer || gr_upstream_start(&link->upstream, settings->loop, settings->resolver, NULL,
					      settings->target, 1, connected, link) != 0) {
		release(link);
		return GR_ENOMEM;
	}
	*out = link;
	return 0;
}

void gr_link_cancel(struct gr_link *link)
{
	if (link)
		release(link);
}
