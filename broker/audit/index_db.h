/* The index's own: shared by index.c, which fills it, and search.c, which asks it. */
#ifndef GARASU_BROKER_AUDIT_INDEX_DB_H
#define GARASU_BROKER_AUDIT_INDEX_DB_H

#include "broker/audit/index.h"

#include <sqlite3.h>

#define GR_AUDIT_INDEX_BLOCK 1024 /* records whose earliest and latest time are known together */
#define GR_AUDIT_INDEX_NAMES 4096
#define GR_AUDIT_INDEX_SESSIONS 1024
/* The kinds that have an index: of the others (egress.request, egress.end) there are so many that reading on finds one. */
#define GR_AUDIT_INDEX_RARE "kind NOT IN (11, 13)"
_Static_assert(GR_AUDIT_EGRESS_REQUEST == 11 && GR_AUDIT_EGRESS_END == 13, "as in GR_AUDIT_INDEX_RARE");

enum gr_audit_index_statement {
	PUT_RECORD,
	FIND_PERSON,
	PUT_PERSON,
	FIND_HOST,
	PUT_HOST,
	FIND_SESSION,
	PUT_SESSION,
	SET_SESSION,
	FIND_BLOCK,
	PUT_BLOCK,
	PUT_SEGMENT,
	NEXT_SEGMENT,
	FORGET_RECORDS,
	FORGET_BLOCKS,
	FIND_LOG,
	PUT_LOG,
	GR_AUDIT_INDEX_STATEMENTS
};

struct gr_audit_index {
	sqlite3 *db;
	int lock;
	sqlite3_stmt *statements[GR_AUDIT_INDEX_STATEMENTS];
	uint64_t segment, lines, bytes; /* of the current segment: what was taken */
	char *buffer;
	/* What was looked up last; forgotten when a transaction is taken back. */
	struct gr_audit_index_name {
		sqlite3_int64 id; /* 0 = free */
		int table;
		size_t length;
		char name[64]; /* longer ones are looked up each time */
	} names[GR_AUDIT_INDEX_NAMES];
	struct gr_audit_index_session {
		sqlite3_int64 id; /* 0 = free */
		uint64_t number, first, last;
		int changed;
	} sessions[GR_AUDIT_INDEX_SESSIONS];
	struct {
		uint64_t first; /* 0 = none */
		char earliest[GR_AUDIT_TIME_TEXT], latest[GR_AUDIT_TIME_TEXT];
	} block;
};

/* Says what SQLite said. GR_EPROTO: the file is damaged; GR_EFULL, GR_ENOMEM, GR_EIO. */
int gr_audit_index_failed(struct gr_audit_index *index, struct gr_error *err);

#endif
