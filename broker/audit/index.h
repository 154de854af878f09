/*
 * index.db: where in the log the records of a person, a host, a session or a kind stand, and of a time. Derived: it is filled from
 * the log and made anew when it does not fit. What is shown to anybody is always read from the log (docs/AUDIT.md §1).
 *
 * SQLite, one connection: WAL with synchronous=FULL, without SQLite's own locks and shared memory (whoever has the log's
 * lock has this file too). Names of persons and hosts are kept once, so that a row is a few bytes.
 */
#ifndef GARASU_BROKER_AUDIT_INDEX_H
#define GARASU_BROKER_AUDIT_INDEX_H

#include "broker/audit/segment.h"

#define GR_AUDIT_INDEX_FILE "index.db"
#define GR_AUDIT_HOST_MAX 256 /* bytes of a host's name, terminated */

struct gr_audit_index;

/*
 * Opens the file at this path, or makes it. build: for filling from nothing by one who can begin again after a failure
 * (faster: nothing is safe before gr_audit_index_finish). GR_EPROTO when it is damaged or of another version: remove it and
 * open again. GR_EIO, GR_ENOMEM.
 */
int gr_audit_index_open(struct gr_audit_index **out, const char *path, int build, struct gr_error *err);
void gr_audit_index_close(struct gr_audit_index *index); /* NULL allowed */

/*
 * Takes at most lines (0: no limit) records, which must be durable, from the segments in the folder log (borrowed), in one
 * transaction. A line without its newline waits for the next time. *more_out: 1 when there is more to take. GR_EPROTO when log and index do
 * not fit each other or a line is malformed; GR_EIO, GR_EFULL.
 */
int gr_audit_index_update(struct gr_audit_index *index, int log, uint64_t lines, int *more_out, struct gr_error *err);

/* Looks for segments that are shorter than they were (pruned), and forgets them, so that they are taken again. After opening. */
int gr_audit_index_check(struct gr_audit_index *index, int log, struct gr_error *err);
/* Forgets one segment, which was written anew. */
int gr_audit_index_forget(struct gr_audit_index *index, uint64_t segment, struct gr_error *err);
/* After filling with build: makes what searching needs. */
int gr_audit_index_finish(struct gr_audit_index *index, struct gr_error *err);
/* The last sequence number that it has, 0 when none. */
uint64_t gr_audit_index_last(const struct gr_audit_index *index);

/* ---- searching ---- */

/* All given ones must hold. The names as they are in the world, not escaped. */
struct gr_audit_criteria {
	const char *person; /* NULL: any */
	const char *host; /* of egress records, lower case */
	uint32_t kind; /* 0: any */
	uint64_t session; /* 0: any */
	char from[GR_AUDIT_TIME_TEXT], to[GR_AUDIT_TIME_TEXT]; /* "" = open; to is not included */
};

/* Whether a line is one of them. */
int gr_audit_matches(const struct gr_audit_criteria *criteria, const struct gr_audit_line *line);

struct gr_audit_search;

/* Borrows all but the criteria's own strings, which are copied into SQLite's. GR_EIO, GR_ENOMEM. */
int gr_audit_search_open(struct gr_audit_search **out, struct gr_audit_index *index,
			 const struct gr_audit_criteria *criteria, struct gr_error *err);
void gr_audit_search_close(struct gr_audit_search *search); /* NULL allowed */
/* No record outside these can be one; the last is 0 when there is none. */
void gr_audit_search_range(const struct gr_audit_search *search, uint64_t *first_out, uint64_t *last_out);
void gr_audit_search_limit(struct gr_audit_search *search, uint64_t first, uint64_t last);
/*
 * The next record by sequence number, after the given one: where it begins in its segment. A candidate: read it and ask gr_audit_matches.
 * Returns 1; 0 at the end; GR_EIO.
 */
int gr_audit_search_next(struct gr_audit_search *search, uint64_t after, uint64_t *sequence_out, uint64_t *place_out);

/* The host of an egress record, without port and brackets, lower case; "" when it has none. */
void gr_audit_line_host(const struct gr_audit_line *line, char out[GR_AUDIT_HOST_MAX]);
/* Its session, 0 when it has none. */
uint64_t gr_audit_line_session(const struct gr_audit_line *line);
/* The kind by its name; 0 when there is none of it. */
uint32_t gr_audit_kind_of(const char *name, size_t n);

#endif
