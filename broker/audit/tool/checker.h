/*
 * Checks a whole record as docs/AUDIT.md describes it: every line, the chain, the tree, the sums, the heads with their signatures,
 * the tokens, and that what was pruned was pruned by somebody. Reads files only; nothing of it is believed.
 */
#ifndef GARASU_AUDIT_TOOL_CHECKER_H
#define GARASU_AUDIT_TOOL_CHECKER_H

#include "broker/audit/head.h"
#include "broker/audit/segment.h"

struct gr_check_options {
	EVP_PKEY *const *keys; /* the audit's public keys, old ones too; none: signatures are not checked */
	size_t key_count;
	const char *known; /* NULL, or heads that were kept elsewhere, one a line, whatever stands around them */
	const char *known_name; /* of where they come from */
	const char *tsa_ca; /* NULL, or PEM: whom the signer of a time-stamp token must chain to */
	void (*progress)(void *context, uint64_t bytes, uint64_t total); /* NULL: none */
	void *context;
};

struct gr_check_result {
	uint64_t count, pruned; /* records; of these pruned ones */
	uint64_t bytes, segments, sums, heads, tokens, known; /* what was checked */
	uint64_t sums_missing; /* of full segments: derived, and so no fault */
	uint64_t bound; /* the last record that a head binds */
	char first_time[GR_AUDIT_TIME_TEXT], last_time[GR_AUDIT_TIME_TEXT];
	uint8_t root[GR_TREE_HASH];

	/* When it does not hold: the first thing that does not. */
	char file[64]; /* beneath the directory, or where the known heads come from */
	uint64_t line; /* in it, 0: none */
	uint64_t sequence, until; /* the first bad record is one of these, mostly the same; 0: no record is */
	char what[512];
};

/* GR_EPROTO: it does not hold, and *out says why. Other errors: it could not be checked, err says why. */
int gr_check_log(const char *directory, const struct gr_check_options *options, struct gr_check_result *out,
		 struct gr_error *err);

/* A line of a record that says "first=N last=N count=N: why", as a prune record does in its detail. GR_EPROTO. */
struct gr_check_prune {
	uint64_t sequence, first, last, count;
	int egress; /* of egress.*, else of the others */
};
int gr_check_prune_read(const struct gr_audit_line *line, struct gr_check_prune *out);

#endif
