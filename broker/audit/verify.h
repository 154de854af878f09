/* Reads a whole audit record and checks its chain. gr_audit_verify_file in audit.h is the short form. */
#ifndef GARASU_BROKER_AUDIT_VERIFY_H
#define GARASU_BROKER_AUDIT_VERIFY_H

#include "broker/audit/chain.h"

struct gr_audit_verified {
	uint64_t count; /* lines that hold */
	uint64_t length; /* bytes up to and with the last line that holds */
	uint64_t
		torn; /* bytes behind it without a newline: a line that was being written when the machine or the process stopped */
	int head_found; /* the expected hash was met */
	char last[GR_AUDIT_HASH_TEXT]; /* 64 zeros for an empty record */
	char first_time[32], last_time[32]; /* as in the lines; "" for an empty record */
};

/*
 * Reads fd (borrowed) from offset 0 to its end. A torn end is not an error here, only reported. GR_EPROTO with "line N:
 * …" for the first line that does not hold; GR_EIO, GR_ENOMEM. expected: NULL or a hash to look for.
 */
int gr_audit_verify(int fd, const char *expected, struct gr_audit_verified *out, struct gr_error *err);

#endif
