/*
 * What the identity process asks the pam process over a SOCK_SEQPACKET socket between the two: are these the factors of this
 * person, and may the account be used? PAM's modules are other people's code, with files, sockets and time of their own: each
 * question is answered by a process of its own, which is killed when it takes too long. Fixed sizes, host byte order.
 */
#ifndef GARASU_BROKER_PAM_PAM_H
#define GARASU_BROKER_PAM_PAM_H

#include "common/limits.h"

#include <stdint.h>

#define GR_PAM_ANSWERS_MAX 2
#define GR_PAM_ANSWER_MAX 256 /* bytes */

struct gr_pam_request {
	uint64_t number; /* comes back in the answer */
	char person[GR_PERSON_MAX + 8]; /* terminated; PAM's user */
	uint32_t count; /* of answers, one for each question of PAM's that shows no echo, in this order */
	uint32_t length[GR_PAM_ANSWERS_MAX];
	char answer[GR_PAM_ANSWERS_MAX][GR_PAM_ANSWER_MAX]; /* UTF-8 without NUL; wiped by whoever holds it, at once */
};

enum gr_pam_verdict {
	GR_PAM_GOOD = 1,
	GR_PAM_WRONG, /* the factors are wrong, or the account is unknown, disabled or expired */
	GR_PAM_UNAVAILABLE, /* it cannot be told: the service does not answer, or is set up wrongly */
};

struct gr_pam_answer {
	uint64_t number;
	uint32_t verdict; /* gr_pam_verdict */
	char why[76]; /* terminated, printable ASCII: PAM's own words, for the record */
};

#endif
