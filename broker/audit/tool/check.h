/* The checker's own: what its files share. */
#ifndef GARASU_AUDIT_TOOL_CHECK_H
#define GARASU_AUDIT_TOOL_CHECK_H

#include "broker/audit/tool/checker.h"

/* One head that was kept elsewhere, in the text of the options. */
struct gr_check_known {
	uint64_t size, line;
	const char *start;
	size_t length;
};

/* heads.log, read line by line while the records go by; or the known heads in the order of their sizes. */
struct gr_check_heads {
	const char *name;
	int fd; /* of heads.log, -1: there is none */
	uint64_t offset;
	char buffer[65536];
	size_t at, held;
	struct gr_check_known *known;
	size_t known_count, known_at;
	int present; /* head is one whose record was not reached yet */
	struct gr_head head;
	char bytes[GR_HEAD_LINE_MAX]; /* its line, without the newline */
	size_t length;
	uint64_t line; /* its number */
	uint64_t last; /* size of the head before */
};

struct gr_check {
	const struct gr_check_options *options;
	struct gr_check_result *result;
	int directory, log;
	struct gr_tree tree, segment; /* of full segments; of the current one */
	uint8_t last[GR_TREE_HASH]; /* leaf hash of the last record */
	uint64_t number; /* of the current segment */
	int fd; /* the current segment */
	uint64_t end; /* in it: behind the last record */
	/* The first sum that is not as it should be: derived, and so told only when nothing else is bad. */
	uint64_t bad_sum; /* segment + 1; 0 = none */
	const char *bad_sum_why;
	struct gr_check_heads heads, known;
	uint64_t *tokens; /* sizes, in order */
	size_t token_count;
	uint64_t total, reported; /* bytes, for the progress */
	struct gr_check_prune *prunes;
	size_t prune_count, prune_room;
	uint8_t *pruned_segments; /* by number: 1 = there is a pruned line in it */
	size_t segment_room;
};

/* Says what does not hold; returns GR_EPROTO. */
int gr_check_bad(struct gr_check *check, const char *file, uint64_t line, uint64_t sequence, uint64_t until,
		 const char *format, ...) __attribute__((format(printf, 6, 7)));

/* ---- heads.c ---- */

/* Finds the known heads in the options' text. GR_ENOMEM. */
int gr_check_heads_known(struct gr_check *check, struct gr_error *err);
/* The next head of it. Returns 1, 0 at the end, GR_EPROTO (said), GR_EIO. */
int gr_check_heads_next(struct gr_check *check, struct gr_check_heads *heads, struct gr_error *err);
/* All heads of the size that the record has now. */
int gr_check_heads_here(struct gr_check *check, struct gr_error *err);
/* At the end of the record: a head that is left says that something is missing. */
int gr_check_heads_end(struct gr_check *check, struct gr_error *err);
/* The root of what was read so far. */
int gr_check_root(const struct gr_check *check, uint8_t out[GR_TREE_HASH]);

/* ---- blame.c ---- */

/*
 * The line behind the last good record does not hold, for this reason. Looks at what stands around it to tell which record it
 * is that was changed, and says so.
 */
int gr_check_blame(struct gr_check *check, const char *reason);
/* The record's root is not that of this head, which binds the last record read. */
int gr_check_blame_head(struct gr_check *check, const struct gr_check_heads *heads);

/* ---- tokens.c ---- */

/* The sizes for which there are tokens. */
int gr_check_tokens_list(struct gr_check *check, struct gr_error *err);
/* The token for this head, if there is one. */
int gr_check_token(struct gr_check *check, const struct gr_check_heads *heads, struct gr_error *err);

/* ---- pruned.c ---- */

/* Notes a prune record or a pruned line while the records go by. */
int gr_check_pruned_note(struct gr_check *check, const struct gr_audit_line *line, struct gr_error *err);
/* At the end: every pruned line is covered by a later prune record. */
int gr_check_pruned_end(struct gr_check *check, struct gr_error *err);

#endif
