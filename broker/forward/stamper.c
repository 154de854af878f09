#include "broker/forward/stamper.h"

#include "common/io.h"

#include <fcntl.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ASK_TYPE "application/timestamp-query"
#define ANSWER_TYPE "application/timestamp-reply"

int gr_stamper_url(struct gr_stamper *stamper, const char *url, int *tls_out)
{
	char *host = NULL, *port = NULL, *path = NULL, *query = NULL;
	int number;
	int good = OSSL_HTTP_parse_url(url, tls_out, NULL, &host, &port, &number, &path, &query, NULL) == 1 &&
		   gr_target_parse_authority(&stamper->target, host, strlen(host), (uint16_t)number) == 0;
	if (good) {
		snprintf(stamper->port, sizeof(stamper->port), "%d", number);
		good = snprintf(stamper->path, sizeof(stamper->path), "%s%s%s", path, query && query[0] ? "?" : "",
				query ? query : "") < (int)sizeof(stamper->path);
		/* What "Host:" says. */
		gr_target_text(&stamper->target, stamper->host);
	}
	OPENSSL_free(host);
	OPENSSL_free(port);
	OPENSSL_free(path);
	OPENSSL_free(query);
	stamper->server.target = &stamper->target;
	return good ? 0 : GR_EINVAL;
}

static void clear(struct gr_stamper *stamper)
{
	gr_link_cancel(stamper->link);
	stamper->link = NULL;
	gr_loop_remove(stamper->watch);
	stamper->watch = NULL;
	OSSL_HTTP_REQ_CTX_free(stamper->http);
	stamper->http = NULL;
	BIO_free_all(stamper->bio);
	stamper->bio = NULL;
	gr_io_close(&stamper->fd);
	TS_REQ_free(stamper->question);
	stamper->question = NULL;
}

static void failed(struct gr_stamper *stamper, const char *detail)
{
	clear(stamper);
	stamper->next_ms = gr_io_now_ms() + (uint64_t)stamper->again_ms;
	stamper->again_ms *= 2;
	if (stamper->again_ms > GR_STAMPER_AGAIN_LAST_MS)
		stamper->again_ms = GR_STAMPER_AGAIN_LAST_MS;
	stamper->told(stamper->context, detail);
	gr_stamper_wake(stamper);
}

static void answered(struct gr_stamper *stamper)
{
	char name[32], detail[600];
	struct gr_error err;
	unsigned char *bytes = NULL;
	long n = BIO_get_mem_data(OSSL_HTTP_REQ_CTX_get0_mem_bio(stamper->http), &bytes);
	snprintf(name, sizeof(name), "%" PRIu64 ".tsr", stamper->asked);
	if (n <= 0) {
		failed(stamper, "the answer is empty");
	} else if (gr_stamp_check(stamper->question, bytes, (size_t)n, stamper->trust, &err) != 0 ||
		   gr_forward_write_file(stamper->directory, name, bytes, (size_t)n, &err) != 0) {
		snprintf(detail, sizeof(detail), "%s", err.text);
		failed(stamper, detail);
	} else {
		clear(stamper);
		stamper->stamped = stamper->asked;
		stamper->again_ms = GR_STAMPER_AGAIN_FIRST_MS;
		stamper->next_ms = gr_io_now_ms() + (uint64_t)stamper->interval_ms;
		stamper->told(stamper->context, NULL);
		gr_stamper_wake(stamper);
	}
}

static void exchange(void *context, int fd, unsigned events)
{
	struct gr_stamper *stamper = context;
	(void)fd;
	(void)events;
	ERR_clear_error();
	int result = OSSL_HTTP_REQ_CTX_nbio(stamper->http);
	if (result == 1) {
		answered(stamper);
	} else if (result == 0) {
		char detail[256];
		snprintf(detail, sizeof(detail), "HTTP: %s", gr_link_error());
		failed(stamper, detail);
	} else {
		gr_loop_change(stamper->watch, BIO_should_write(stamper->bio) ? GR_LOOP_WRITE : GR_LOOP_READ);
	}
}

/* Everything of one question over the connection that stands. */
static int begin_exchange(struct gr_stamper *stamper, SSL *ssl)
{
	BIO *body = BIO_new(BIO_s_mem());
	int made = 0;
	if (ssl) {
		stamper->bio = BIO_new(BIO_f_ssl());
		if (stamper->bio)
			BIO_set_ssl(stamper->bio, ssl, BIO_CLOSE);
		else
			SSL_free(ssl);
	} else {
		stamper->bio = BIO_new_socket(stamper->fd, BIO_NOCLOSE);
	}
	if (stamper->bio && body && i2d_TS_REQ_bio(body, stamper->question) == 1)
		stamper->http = OSSL_HTTP_open(stamper->host, stamper->port, NULL, NULL,
					       0, /* TLS is in the BIO already, if there is any */
					       stamper->bio, stamper->bio, NULL, NULL, 0, 0);
	if (stamper->http)
		made = OSSL_HTTP_set1_request(stamper->http, stamper->path, NULL, ASK_TYPE, body, ANSWER_TYPE, 1,
					      GR_STAMP_MAX, 0, 0);
	BIO_free(body);
	if (!made)
		return GR_ENOMEM;
	stamper->watch = gr_loop_add(stamper->server.loop, stamper->fd, GR_LOOP_WRITE, exchange, stamper);
	return stamper->watch ? 0 : GR_ENOMEM;
}

static void linked(void *context, int status, int fd, SSL *ssl, const char *detail)
{
	struct gr_stamper *stamper = context;
	stamper->link = NULL;
	stamper->fd = fd;
	if (status != 0)
		failed(stamper, detail);
	else if (begin_exchange(stamper, ssl) != 0)
		failed(stamper, "HTTP cannot begin");
}

static void ask(struct gr_stamper *stamper)
{
	stamper->asked = stamper->state->tree.size;
	stamper->question = gr_stamp_ask(stamper->state->head, stamper->state->length);
	if (!stamper->question || gr_link_start(&stamper->link, &stamper->server, linked, stamper) != 0) {
		failed(stamper, "no memory");
		return;
	}
	gr_loop_timer_set(stamper->timer, GR_STAMPER_ANSWER_MS);
}

static void timer_over(void *context)
{
	struct gr_stamper *stamper = context;
	if (stamper->question)
		failed(stamper, "it does not answer");
	else
		ask(stamper);
}

int gr_stamper_start(struct gr_stamper *stamper)
{
	stamper->fd = -1;
	stamper->again_ms = GR_STAMPER_AGAIN_FIRST_MS;
	stamper->timer = gr_loop_timer_add(stamper->server.loop, timer_over, stamper);
	return stamper->timer ? 0 : GR_ENOMEM;
}

/* Whether a head has its token, of an earlier life. */
static int has_token(const struct gr_stamper *stamper, uint64_t size)
{
	char name[32];
	snprintf(name, sizeof(name), "%" PRIu64 ".tsr", size);
	int fd = openat(stamper->directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void gr_stamper_wake(struct gr_stamper *stamper)
{
	uint64_t size = stamper->state->tree.size, now = gr_io_now_ms();
	if (stamper->question)
		return;
	if (!stamper->stamped && size && has_token(stamper, size))
		stamper->stamped = size;
	if (stamper->stopped || size == stamper->stamped) {
		gr_loop_timer_set(stamper->timer, -1);
		return;
	}
	gr_loop_timer_set(stamper->timer, stamper->next_ms > now ? (int64_t)(stamper->next_ms - now) : 0);
}

void gr_stamper_stop(struct gr_stamper *stamper)
{
	stamper->stopped = 1;
	clear(stamper);
	gr_loop_timer_set(stamper->timer, -1);
}

void gr_stamper_finish(struct gr_stamper *stamper)
{
	clear(stamper);
	gr_loop_timer_remove(stamper->timer);
	X509_STORE_free(stamper->trust);
}
