#include "broker/forward/syslog.h"

#include "broker/audit/text.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

/* ---- what is sent ---- */

static void go_back(struct gr_syslog *syslog, const struct gr_syslog_place *place)
{
	syslog->at = *place;
	syslog->safe = syslog->captured = place->sequence;
	gr_forward_reader_seek(&syslog->reader, place->sequence, NULL);
}

/*
 * Up to where the records that were read are those that stay. Those under a tree head stay; but the audit process may have taken back
 * others (which it does when a batch could not be written whole) and written what the head covers in their place, after they were
 * read here. They are the same when the leaf hash under the head is, or when a line follows by its hash that was read after the
 * head was there.
 */
static void look_what_stays(struct gr_syslog *syslog, int has_read)
{
	const struct gr_forward_state *state = syslog->state;
	uint64_t read = syslog->at.sequence, both = read < syslog->captured ? read : syslog->captured;
	if (read == state->tree.size && syslog->reader.next == read + 1 && syslog->reader.linked &&
	    memcmp(syslog->reader.last, state->leaf, sizeof(state->leaf)) == 0)
		syslog->safe = read;
	else if (has_read && both > syslog->safe)
		syslog->safe = both;
}

/* The next record: 1 with its length. When the line does not follow the last one, from where records stay. */
static int next_record(struct gr_syslog *syslog, char *out, size_t *length)
{
	struct gr_audit_record record;
	struct gr_error err;
	if (syslog->stuck)
		return 0;
	int status = gr_forward_reader_next(&syslog->reader, &record, &err);
	if (status == GR_EPROTO && !syslog->retried) {
		syslog->retried = 1;
		gr_forward_reader_seek(&syslog->reader, syslog->safe, NULL);
		syslog->captured = syslog->safe;
		status = gr_forward_reader_next(&syslog->reader, &record, &err);
	}
	if (status == 1) {
		*length = gr_forward_record(&syslog->form, &record.line, record.bytes, record.length, out);
		syslog->at.sequence = record.line.sequence;
		syslog->retried = syslog->complained = 0;
		look_what_stays(syslog, 1);
		return 1;
	}
	if (status == 0) {
		/* What is read from now on is read after this head was there. */
		syslog->captured = syslog->state->tree.size;
		return 0;
	}
	if (!syslog->complained)
		gr_log_error("the record cannot be read to be forwarded: %s", err.text);
	syslog->stuck = syslog->complained = 1;
	return 0;
}

/* The next head that was checked, unless records before it are still to be sent. */
static int next_head(struct gr_syslog *syslog, char *out, size_t *length)
{
	struct gr_forward_head *head = &syslog->head;
	struct gr_error err;
	if (syslog->at.heads >= syslog->state->heads)
		return 0;
	/* Read once, for it may wait for many records. A fault of it is the witness's to tell. */
	if ((!syslog->head_read || syslog->head_from != syslog->at.heads) &&
	    gr_forward_head_read(syslog->directory, syslog->at.heads, head, &err) <= 0)
		return 0;
	syslog->head_read = 1;
	syslog->head_from = syslog->at.heads;
	if (syslog->content == GR_CONTENT_ALL && head->head.size > syslog->at.sequence)
		return 0;
	*length = gr_forward_head(&syslog->form, &head->head, head->line, head->length, out);
	syslog->at.heads = head->end;
	return 1;
}

static int next_message(struct gr_syslog *syslog, char *out, size_t *length)
{
	if (syslog->alarm[0]) {
		if (syslog->at.alarm)
			return 0;
		*length = gr_forward_alarm(&syslog->form, syslog->alarm_time, syslog->alarm, out);
		syslog->at.alarm = 1;
		return 1;
	}
	return next_head(syslog, out, length) ||
	       (syslog->content == GR_CONTENT_ALL && next_record(syslog, out, length));
}

static void fill(struct gr_syslog *syslog)
{
	syslog->used = syslog->written = 0;
	look_what_stays(syslog, 0);
	while (syslog->used <= GR_SYSLOG_BUFFER - GR_FORWARD_MESSAGE_MAX) {
		size_t length = 0;
		if (!next_message(syslog, syslog->buffer + syslog->used, &length))
			break;
		syslog->used += length;
	}
}

/* ---- the connection ---- */

static void disconnect(struct gr_syslog *syslog)
{
	gr_link_cancel(syslog->link);
	syslog->link = NULL;
	gr_loop_remove(syslog->watch);
	syslog->watch = NULL;
	gr_loop_timer_set(syslog->settle, -1);
	syslog->marked_bytes = 0;
	SSL_free(syslog->ssl);
	syslog->ssl = NULL;
	gr_io_close(&syslog->fd);
	syslog->used = syslog->written = 0;
}

static void failed(struct gr_syslog *syslog, const char *detail)
{
	disconnect(syslog);
	if (!syslog->told)
		syslog->reached(syslog->context, detail);
	syslog->told = 1;
	gr_loop_timer_set(syslog->again, syslog->again_ms);
	syslog->again_ms *= 2;
	if (syslog->again_ms > GR_SYSLOG_AGAIN_LAST_MS)
		syslog->again_ms = GR_SYSLOG_AGAIN_LAST_MS;
}

static void settle_later(struct gr_syslog *syslog)
{
	if (syslog->marked_bytes)
		return;
	syslog->mark = syslog->at;
	syslog->mark.sequence = syslog->safe;
	syslog->marked_bytes = BIO_number_written(SSL_get_wbio(syslog->ssl));
	gr_loop_timer_set(syslog->settle, GR_SYSLOG_SETTLE_MS);
}

static void settle_over(void *context)
{
	struct gr_syslog *syslog = context;
	int queued;
	uint64_t written = BIO_number_written(SSL_get_wbio(syslog->ssl));
	if (ioctl(syslog->fd, SIOCOUTQ, &queued) < 0 || written - (uint64_t)queued < syslog->marked_bytes) {
		gr_loop_timer_set(syslog->settle, GR_SYSLOG_SETTLE_MS);
		return;
	}
	syslog->again_ms = GR_SYSLOG_AGAIN_FIRST_MS;
	syslog->marked_bytes = 0;
	syslog->alarm_settled = syslog->mark.alarm;
	if (syslog->state->sent != syslog->mark.sequence || syslog->state->sent_heads != syslog->mark.heads) {
		syslog->state->sent = syslog->mark.sequence;
		syslog->state->sent_heads = syslog->mark.heads;
		syslog->settled(syslog->context);
	}
	if (syslog->used == syslog->written &&
	    (syslog->mark.sequence != syslog->safe || syslog->mark.heads != syslog->at.heads ||
	     syslog->mark.alarm != syslog->at.alarm))
		settle_later(syslog);
}

/* Returns 0 when the connection is over. */
static int still_stands(struct gr_syslog *syslog, int result)
{
	int error = SSL_get_error(syslog->ssl, result);
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return 1;
	int cause = errno;
	const char *text = gr_link_error();
	failed(syslog, text[0]                               ? text
		       : error == SSL_ERROR_SYSCALL && cause ? strerror(cause)
							     : "it ended the connection");
	return 0;
}

static void pump(struct gr_syslog *syslog)
{
	/* A full buffer for each turn of the loop. */
	if (syslog->used == syslog->written)
		fill(syslog);
	while (syslog->written < syslog->used) {
		ERR_clear_error();
		errno = 0;
		int n = SSL_write(syslog->ssl, syslog->buffer + syslog->written, (int)(syslog->used - syslog->written));
		if (n <= 0) {
			if (still_stands(syslog, n))
				gr_loop_change(syslog->watch, GR_LOOP_READ | GR_LOOP_WRITE);
			return;
		}
		syslog->written += (size_t)n;
	}
	/* With nothing left the next wake-up begins; with something, the next turn. */
	gr_loop_change(syslog->watch, syslog->used ? GR_LOOP_READ | GR_LOOP_WRITE : GR_LOOP_READ);
	if (syslog->used)
		settle_later(syslog);
}

static void ready(void *context, int fd, unsigned events)
{
	struct gr_syslog *syslog = context;
	char nothing[512];
	(void)fd;
	if (events & GR_LOOP_READ) {
		/* A syslog server says nothing; but TLS does, and the end comes here. */
		int n;
		do {
			ERR_clear_error();
			errno = 0;
			n = SSL_read(syslog->ssl, nothing, sizeof(nothing));
		} while (n > 0);
		if (!still_stands(syslog, n))
			return;
	}
	pump(syslog);
}

static void linked(void *context, int status, int fd, SSL *ssl, const char *detail)
{
	struct gr_syslog *syslog = context;
	struct gr_syslog_place place = { syslog->state->sent, syslog->state->sent_heads, syslog->alarm_settled };
	syslog->link = NULL;
	if (status != 0) {
		failed(syslog, detail);
		return;
	}
	syslog->fd = fd;
	syslog->ssl = ssl;
	syslog->watch = gr_loop_add(syslog->server.loop, fd, GR_LOOP_READ, ready, syslog);
	if (!syslog->watch) {
		failed(syslog, "no memory");
		return;
	}
	syslog->told = 0;
	syslog->reached(syslog->context, NULL);
	syslog->retried = syslog->stuck = 0;
	go_back(syslog, &place);
	pump(syslog);
}

static void connect_again(void *context)
{
	struct gr_syslog *syslog = context;
	if (gr_link_start(&syslog->link, &syslog->server, linked, syslog) != 0)
		failed(syslog, "no memory");
}

int gr_syslog_start(struct gr_syslog *syslog)
{
	syslog->fd = -1;
	syslog->again_ms = GR_SYSLOG_AGAIN_FIRST_MS;
	syslog->reader.log = syslog->log;
	syslog->again = gr_loop_timer_add(syslog->server.loop, connect_again, syslog);
	syslog->settle = gr_loop_timer_add(syslog->server.loop, settle_over, syslog);
	if (!syslog->again || !syslog->settle)
		return GR_ENOMEM;
	gr_loop_timer_set(syslog->again, 0);
	return 0;
}

void gr_syslog_wake(struct gr_syslog *syslog, int replaced)
{
	if (replaced)
		gr_forward_reader_reopen(&syslog->reader);
	syslog->stuck = 0;
	if (syslog->ssl && syslog->used == syslog->written)
		pump(syslog);
}

void gr_syslog_alarm(struct gr_syslog *syslog, const char *text)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(syslog->alarm, sizeof(syslog->alarm), "%s", text);
	if (gr_audit_time_format(&now, syslog->alarm_time) != 0)
		snprintf(syslog->alarm_time, sizeof(syslog->alarm_time), "1970-01-01T00:00:00.000000Z");
	gr_syslog_wake(syslog, 0);
}

int gr_syslog_idle(const struct gr_syslog *syslog)
{
	return !syslog->ssl || syslog->used == 0;
}

void gr_syslog_finish(struct gr_syslog *syslog)
{
	if (syslog->ssl)
		SSL_shutdown(syslog->ssl); /* says that this was all; an answer is not waited for */
	disconnect(syslog);
	gr_loop_timer_remove(syslog->again);
	gr_loop_timer_remove(syslog->settle);
	gr_forward_reader_finish(&syslog->reader);
}
