#include "broker/audit/index_db.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t gr_audit_kind_of(const char *name, size_t n)
{
	for (uint32_t kind = 1; kind < GR_AUDIT_KINDS; kind++) {
		const char *known = gr_audit_kind_name(kind);
		if (known && strlen(known) == n && memcmp(known, name, n) == 0)
			return kind;
	}
	return 0;
}

/* egress's target: "METHOD host:port", the host of IPv6 in brackets. */
void gr_audit_line_host(const struct gr_audit_line *line, char out[GR_AUDIT_HOST_MAX])
{
	char text[GR_AUDIT_LINE_MAX];
	size_t n;
	out[0] = 0;
	if (!line->fields[GR_AUDIT_FIELD_TARGET].start || line->fields[GR_AUDIT_FIELD_KIND].length < 7 ||
	    memcmp(line->fields[GR_AUDIT_FIELD_KIND].start, "egress.", 7) != 0 ||
	    gr_audit_unescape(text, &n, line->fields[GR_AUDIT_FIELD_TARGET].start,
			      line->fields[GR_AUDIT_FIELD_TARGET].length) != 0)
		return;
	const char *host = strchr(text, ' ');
	host = host ? host + 1 : text;
	const char *end = strrchr(host, ':');
	if (!end)
		end = host + strlen(host);
	if (*host == '[' && end > host && end[-1] == ']') {
		host++;
		end--;
	}
	size_t used = 0;
	for (; host < end && used < GR_AUDIT_HOST_MAX - 1; host++)
		out[used++] = (char)tolower((unsigned char)*host);
	out[used] = 0;
}

uint64_t gr_audit_line_session(const struct gr_audit_line *line)
{
	uint8_t bytes[8];
	uint64_t number = 0;
	if (!line->fields[GR_AUDIT_FIELD_SESSION].start ||
	    gr_audit_unhex(line->fields[GR_AUDIT_FIELD_SESSION].start, line->fields[GR_AUDIT_FIELD_SESSION].length, 16,
			   bytes) != 0)
		return 0;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		number = number << 8 | bytes[i];
	return number;
}

static int is_person(const struct gr_audit_line *line, const char *person)
{
	char text[GR_AUDIT_LINE_MAX];
	size_t n;
	return line->fields[GR_AUDIT_FIELD_PERSON].start &&
	       gr_audit_unescape(text, &n, line->fields[GR_AUDIT_FIELD_PERSON].start,
				 line->fields[GR_AUDIT_FIELD_PERSON].length) == 0 &&
	       n == strlen(person) && memcmp(text, person, n) == 0;
}

int gr_audit_matches(const struct gr_audit_criteria *criteria, const struct gr_audit_line *line)
{
	const char *time = line->fields[GR_AUDIT_FIELD_TIME].start;
	char host[GR_AUDIT_HOST_MAX];
	if (line->pruned)
		return 0;
	/* Times are of one form and length, so that their text is in their order. */
	if ((criteria->from[0] && memcmp(time, criteria->from, GR_AUDIT_TIME_TEXT - 1) < 0) ||
	    (criteria->to[0] && memcmp(time, criteria->to, GR_AUDIT_TIME_TEXT - 1) >= 0))
		return 0;
	if (criteria->kind && gr_audit_kind_of(line->fields[GR_AUDIT_FIELD_KIND].start,
					       line->fields[GR_AUDIT_FIELD_KIND].length) != criteria->kind)
		return 0;
	if (criteria->session && gr_audit_line_session(line) != criteria->session)
		return 0;
	if (criteria->person && !is_person(line, criteria->person))
		return 0;
	if (!criteria->host)
		return 1;
	gr_audit_line_host(line, host);
	return strcmp(host, criteria->host) == 0;
}

/* ---- what the index knows ---- */

#define STREAMS_MAX 4

/* Each criterion gives its sequence numbers in order; the search goes from number to number that all of them have. */
struct gr_audit_search {
	struct gr_audit_index *index;
	sqlite3_stmt *streams[STREAMS_MAX]; /* ?1 = what is looked for, ?2 = after, ?3 = last */
	unsigned count;
	sqlite3_stmt *place;
	uint64_t first, last; /* none is outside */
};

static int add_stream(struct gr_audit_search *search, const char *sql, sqlite3_int64 value, struct gr_error *err)
{
	sqlite3_stmt **statement = &search->streams[search->count];
	if (sqlite3_prepare_v2(search->index->db, sql, -1, statement, NULL) != SQLITE_OK)
		return gr_audit_index_failed(search->index, err);
	sqlite3_bind_int64(*statement, 1, value);
	search->count++;
	return 0;
}

/* *id_out 0: the index has no such name, and so nothing is found. */
static int find_name(struct gr_audit_search *search, enum gr_audit_index_statement find, const char *name,
		     sqlite3_int64 *id_out, struct gr_error *err)
{
	sqlite3_stmt *statement = search->index->statements[find];
	sqlite3_bind_text(statement, 1, name, -1, SQLITE_TRANSIENT);
	int result = sqlite3_step(statement);
	*id_out = result == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
	int status = result == SQLITE_ROW || result == SQLITE_DONE ? 0 : gr_audit_index_failed(search->index, err);
	sqlite3_reset(statement);
	if (status == 0 && *id_out == 0)
		search->last = 0;
	return status;
}

static void narrow(struct gr_audit_search *search, uint64_t first, uint64_t last)
{
	if (first > search->first)
		search->first = first;
	if (last < search->last)
		search->last = last;
}

static int take_session(struct gr_audit_search *search, uint64_t number, struct gr_error *err)
{
	sqlite3_stmt *statement = search->index->statements[FIND_SESSION];
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)number);
	int result = sqlite3_step(statement);
	sqlite3_int64 id = 0;
	if (result == SQLITE_ROW) {
		id = sqlite3_column_int64(statement, 0);
		narrow(search, (uint64_t)sqlite3_column_int64(statement, 1),
		       (uint64_t)sqlite3_column_int64(statement, 2));
	} else {
		search->last = 0;
	}
	sqlite3_reset(statement);
	if (result != SQLITE_ROW && result != SQLITE_DONE)
		return gr_audit_index_failed(search->index, err);
	/* Its records lie close together: reading between its first and last is quick. */
	return add_stream(search,
			  "SELECT seq FROM record WHERE +session = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT 1",
			  id, err);
}

static int take_times(struct gr_audit_search *search, const struct gr_audit_criteria *criteria, struct gr_error *err)
{
	sqlite3_stmt *statement = NULL;
	if (sqlite3_prepare_v2(search->index->db,
			       "SELECT min(first), max(first) FROM block WHERE latest >= ?1 AND earliest < ?2", -1,
			       &statement, NULL) != SQLITE_OK)
		return gr_audit_index_failed(search->index, err);
	sqlite3_bind_text(statement, 1, criteria->from, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(statement, 2, criteria->to[0] ? criteria->to : "~", -1, SQLITE_TRANSIENT);
	int result = sqlite3_step(statement);
	if (result == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL)
		narrow(search, (uint64_t)sqlite3_column_int64(statement, 0),
		       (uint64_t)sqlite3_column_int64(statement, 1) + GR_AUDIT_INDEX_BLOCK - 1);
	else
		search->last = 0;
	int status = result == SQLITE_ROW ? 0 : gr_audit_index_failed(search->index, err);
	sqlite3_finalize(statement);
	return status;
}

#define STREAM(table, condition)                                                                                       \
	"SELECT seq FROM record " table " WHERE " condition " AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT 1"

static int take_criteria(struct gr_audit_search *search, const struct gr_audit_criteria *criteria, struct gr_error *err)
{
	sqlite3_int64 id;
	int status = 0;
	if (criteria->from[0] || criteria->to[0])
		status = take_times(search, criteria, err);
	if (status == 0 && criteria->person &&
	    (status = find_name(search, FIND_PERSON, criteria->person, &id, err)) == 0)
		status = add_stream(search, STREAM("INDEXED BY by_person", "person = ?1"), id, err);
	if (status == 0 && criteria->host && (status = find_name(search, FIND_HOST, criteria->host, &id, err)) == 0)
		status = add_stream(search, STREAM("INDEXED BY by_host", "host = ?1"), id, err);
	if (status == 0 && criteria->kind) {
		int often = criteria->kind == GR_AUDIT_EGRESS_REQUEST || criteria->kind == GR_AUDIT_EGRESS_END;
		status = add_stream(search,
				    often ? STREAM("", "+kind = ?1")
					  : STREAM("INDEXED BY by_kind", "kind = ?1 AND " GR_AUDIT_INDEX_RARE),
				    criteria->kind, err);
	}
	if (status == 0 && criteria->session) /* the last: it reads many rows */
		status = take_session(search, criteria->session, err);
	if (status == 0 && search->count == 0)
		status = add_stream(search, STREAM("", "?1 = 0"), 0, err);
	return status;
}

int gr_audit_search_open(struct gr_audit_search **out, struct gr_audit_index *index,
			 const struct gr_audit_criteria *criteria, struct gr_error *err)
{
	struct gr_audit_search *search = calloc(1, sizeof(*search));
	if (!search)
		return gr_error_set(err, GR_ENOMEM, "no memory to search");
	search->index = index;
	search->first = 1;
	search->last = INT64_MAX;
	int status = take_criteria(search, criteria, err);
	if (status == 0 && sqlite3_prepare_v2(index->db, "SELECT place FROM record WHERE seq = ?1", -1, &search->place,
					      NULL) != SQLITE_OK)
		status = gr_audit_index_failed(index, err);
	if (status != 0) {
		gr_audit_search_close(search);
		return status;
	}
	*out = search;
	return 0;
}

void gr_audit_search_close(struct gr_audit_search *search)
{
	if (!search)
		return;
	for (unsigned i = 0; i < search->count; i++)
		sqlite3_finalize(search->streams[i]);
	sqlite3_finalize(search->place);
	free(search);
}

void gr_audit_search_range(const struct gr_audit_search *search, uint64_t *first_out, uint64_t *last_out)
{
	*first_out = search->first;
	*last_out = search->last;
}

void gr_audit_search_limit(struct gr_audit_search *search, uint64_t first, uint64_t last)
{
	narrow(search, first, last);
}

/* The stream's first number past after. 1, 0 at the end, GR_EIO. */
static int seek(struct gr_audit_search *search, unsigned stream, uint64_t after, uint64_t *out)
{
	sqlite3_stmt *statement = search->streams[stream];
	sqlite3_bind_int64(statement, 2, (sqlite3_int64)after);
	sqlite3_bind_int64(statement, 3, (sqlite3_int64)search->last);
	int result = sqlite3_step(statement);
	if (result == SQLITE_ROW)
		*out = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return result == SQLITE_ROW ? 1 : result == SQLITE_DONE ? 0 : GR_EIO;
}

int gr_audit_search_next(struct gr_audit_search *search, uint64_t after, uint64_t *sequence_out, uint64_t *place_out)
{
	uint64_t wanted = after + 1 > search->first ? after + 1 : search->first;
	for (unsigned i = 0; i < search->count;) {
		uint64_t found = 0;
		int status = seek(search, i, wanted - 1, &found);
		if (status != 1)
			return status;
		i = found == wanted || i == 0 ? i + 1 : 0;
		wanted = found;
	}
	sqlite3_bind_int64(search->place, 1, (sqlite3_int64)wanted);
	int result = sqlite3_step(search->place);
	if (result == SQLITE_ROW) {
		*sequence_out = wanted;
		*place_out = (uint64_t)sqlite3_column_int64(search->place, 0);
	}
	sqlite3_reset(search->place);
	return result == SQLITE_ROW ? 1 : GR_EIO;
}
