/* What the viewer tells the person, in Japanese or English, and the exit code that goes with it (PROTOCOL.md §6). */
#ifndef GARASU_VIEWER_MESSAGES_H
#define GARASU_VIEWER_MESSAGES_H

#include <stddef.h>

enum gr_failure {
	GR_FAIL_NONE = 0, /* closed by the person */
	GR_FAIL_CERTIFICATE_FILE, /* the person's certificate cannot be read */
	GR_FAIL_KEY_FILE,
	GR_FAIL_CA_FILE,
	GR_FAIL_FACTORS_FILE, /* --factors cannot be read */
	GR_FAIL_OUTPUT_FILE, /* a screenshot or the capture cannot be written */
	GR_FAIL_DISPLAY, /* no window can be opened */
	GR_FAIL_NAME, /* the broker's name is not known */
	GR_FAIL_REFUSED,
	GR_FAIL_UNREACHABLE,
	GR_FAIL_TIMEOUT,
	GR_FAIL_NOT_BROKER, /* what answers speaks something else */
	GR_FAIL_RFB_PORT, /* it speaks RFB without TLS */
	GR_FAIL_HTTP_PORT,
	GR_FAIL_SERVER_UNTRUSTED, /* the broker's certificate is not of our CA */
	GR_FAIL_SERVER_EXPIRED,
	GR_FAIL_SERVER_REVOKED,
	GR_FAIL_CRL_STALE,
	GR_FAIL_SERVER_NAME,
	GR_FAIL_SERVER_PURPOSE,
	GR_FAIL_PERSON_MISSING, /* the broker wants a certificate */
	GR_FAIL_PERSON_EXPIRED,
	GR_FAIL_PERSON_UNTRUSTED, /* not of the broker's CA */
	GR_FAIL_PERSON_REVOKED,
	GR_FAIL_PERSON_BAD, /* refused for another reason, such as its purpose */
	GR_FAIL_FACTOR_MISSING, /* the broker asks for a second factor, and there is nobody to give it */
	GR_FAIL_ANSWER_LATE, /* the person gave none in time */
	GR_FAIL_REASON, /* the broker said why: a reason of PROTOCOL.md §6 */
	GR_FAIL_PROTOCOL,
	GR_FAIL_DECODER, /* the decoder process ended by itself */
	GR_FAIL_LOST,
	GR_FAIL_GRACE_OVER, /* and did not come back in the time for which the session waits */
	GR_FAIL_NO_PICTURE, /* nothing to see within the time given */
	GR_FAIL_INTERNAL,
	GR_FAIL_COUNT,
};

/* Reasons of PROTOCOL.md §6 that the viewer does something about. */
enum gr_message_reason {
	GR_MESSAGE_TIME_OVER = 9,
	GR_MESSAGE_INTERNAL = 11,
	GR_MESSAGE_VIEWER_LEFT = 13,
	GR_MESSAGE_WRONG_FACTOR = 15,
	GR_MESSAGE_LOCKED_OUT = 16,
};

struct gr_message {
	int exit_code;
	const char *name; /* for machines: "server-untrusted", or the reason's name */
	const char *what; /* one sentence: what happened */
	const char *action; /* one or two sentences: what to do */
};

/* Chooses the language from LC_ALL, LC_MESSAGES, LANG: Japanese when it begins with "ja". */
void gr_messages_init(void);
int gr_messages_japanese(void);

/* Never fails: an unknown failure or reason gets the message of an internal error. Texts are static. */
struct gr_message gr_message_get(enum gr_failure failure, unsigned reason);

/* "After 4 min 59 s you can try again." in the language; "" when seconds is 0. */
void gr_message_again(unsigned seconds, char *out, size_t cap);

/* The reason's name of PROTOCOL.md §6, or "unknown". */
const char *gr_message_reason_name(unsigned reason);

/* japanese or english, whichever was chosen. */
const char *gr_text(const char *japanese, const char *english) __attribute__((format_arg(1), format_arg(2)));

#endif
