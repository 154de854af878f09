/*
 * Sends the record to the syslog server. The record itself is the queue: what was not sent stays in it, and nothing but one buffer
 * is in memory. What was handed to a connection counts as sent when its bytes were acknowledged (TCP) and the connection lived for
 * GR_SYSLOG_SETTLE_MS after that, and a tree head covers it; what a connection carried that ended before is sent again. So a record
 * comes at least once, and who gets it twice knows it by its seq.
 */
#ifndef GARASU_BROKER_FORWARD_SYSLOG_H
#define GARASU_BROKER_FORWARD_SYSLOG_H

#include "broker/forward/link.h"
#include "broker/forward/message.h"
#include "broker/forward/reader.h"
#include "broker/forward/state.h"

#define GR_SYSLOG_SETTLE_MS 5000
#define GR_SYSLOG_BUFFER 65536
#define GR_SYSLOG_AGAIN_FIRST_MS 1000 /* doubled with each failure, up to: */
#define GR_SYSLOG_AGAIN_LAST_MS 60000

/* The state was changed: it is to be saved. */
typedef void (*gr_syslog_settled)(void *context);
/* The server is reached (detail NULL), or not any more. */
typedef void (*gr_syslog_reached)(void *context, const char *detail);

/* A place in what is sent. */
struct gr_syslog_place {
	uint64_t sequence; /* of the last record before it */
	uint64_t heads; /* offset in heads.log */
	int alarm; /* the alarm was sent */
};

struct gr_syslog {
	/* Set before gr_syslog_start; all borrowed. */
	struct gr_link_settings server;
	struct gr_forward_form form;
	enum gr_config_content content;
	int directory, log;
	struct gr_forward_state *state; /* sent, sent_heads are kept here */
	gr_syslog_settled settled;
	gr_syslog_reached reached;
	void *context;

	struct gr_link *link;
	int fd; /* -1 = not connected */
	SSL *ssl;
	struct gr_loop_watch *watch;
	struct gr_loop_timer *again, *settle;
	int64_t again_ms;
	int told; /* that it is not reached */

	struct gr_forward_reader reader;
	struct gr_forward_head head; /* the next one, when head_read: that which begins at head_from */
	int head_read;
	uint64_t head_from;
	struct gr_syslog_place at, mark; /* behind the buffer; what settles next */
	uint64_t safe; /* records up to here, of those that were read, are in the record for good */
	uint64_t captured; /* size of the head that there was when what is read next had not been read yet */
	uint64_t marked_bytes; /* written to the socket when mark was made; 0 = none is waited for */
	int retried; /* the reader went back and has read nothing since */
	int stuck; /* … and that did not help: until the record changes */
	int complained;
	int alarm_settled;
	char alarm[256]; /* "" = none. After it nothing else is sent */
	char alarm_time[32];
	size_t used, written; /* of buffer */
	char buffer[GR_SYSLOG_BUFFER];
};

/* Begins to connect. GR_ENOMEM. */
int gr_syslog_start(struct gr_syslog *syslog);
/* The record has grown; replaced: files of it may be others now. */
void gr_syslog_wake(struct gr_syslog *syslog, int replaced);
/* Sends this, and then nothing any more. */
void gr_syslog_alarm(struct gr_syslog *syslog, const char *text);
/* Whether all that there is was given to a connection that still stands, or there is none. */
int gr_syslog_idle(const struct gr_syslog *syslog);
void gr_syslog_finish(struct gr_syslog *syslog);

#endif
