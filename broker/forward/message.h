/*
 * What a syslog server is told: one frame of RFC 5425 (octet count, space, message) with one message of RFC 5424 for each
 * record, each tree head and each alarm. Pure.
 *
 *   <PRI>1 TIME HOST garasu - KIND [garasu@32473 seq="1" …] the record's line          format "rfc5424"
 *   <PRI>1 TIME HOST garasu - KIND - CEF:0|Garasu|garasu|VERSION|KIND|NAME|SEVERITY|…    format "cef"
 *
 * KIND is the record's kind, "head", "pruned" (a record that was taken away before it was sent) or "alarm". Values are those
 * of the record, where percent-encoding is undone for printable ASCII other than "%": what is left of it are control characters,
 * bytes that are no UTF-8 and "%25", so that the record's bytes can be had again. 32473 is the number that RFC 5612 sets aside
 * for those who have none.
 */
#ifndef GARASU_BROKER_FORWARD_MESSAGE_H
#define GARASU_BROKER_FORWARD_MESSAGE_H

#include "broker/audit/chain.h"
#include "broker/audit/head.h"
#include "broker/config/config.h"

#define GR_FORWARD_MESSAGE_MAX 12288 /* bytes of a frame */
#define GR_FORWARD_HOST 256 /* room for the name of this machine, terminated */

struct gr_forward_form {
	enum gr_config_format format;
	char host[GR_FORWARD_HOST]; /* HOSTNAME */
};

/* Name is this machine's; what may not stand in a HOSTNAME becomes "-". */
void gr_forward_form_init(struct gr_forward_form *form, enum gr_config_format format, const char *name);

/*
 * Each writes one frame into out and returns its length; 0 when it would not fit, which the longest line does. line is the one
 * that n bytes were parsed to, without a newline.
 */
size_t gr_forward_record(const struct gr_forward_form *form, const struct gr_audit_line *line, const char *bytes,
			 size_t n, char out[GR_FORWARD_MESSAGE_MAX]);
size_t gr_forward_head(const struct gr_forward_form *form, const struct gr_head *head, const char *bytes, size_t n,
		       char out[GR_FORWARD_MESSAGE_MAX]);
/* time as in the record; text: for people. */
size_t gr_forward_alarm(const struct gr_forward_form *form, const char *time, const char *text,
			char out[GR_FORWARD_MESSAGE_MAX]);

#endif
