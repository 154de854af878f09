#include "broker/audit/index.h"

#include "broker/audit/index_db.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of another form, or with other numbers of kinds: another number. */
#define VERSION 1
#define CHUNK (1u << 18)

static const char schema[] =
	"CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
	"CREATE TABLE host(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
	"CREATE TABLE session(id INTEGER PRIMARY KEY, number INTEGER NOT NULL UNIQUE, first INTEGER, last INTEGER);"
	"CREATE TABLE record(seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, person INTEGER, host INTEGER,"
	" session INTEGER, place INTEGER NOT NULL);"
	"CREATE TABLE block(first INTEGER PRIMARY KEY, earliest TEXT NOT NULL, latest TEXT NOT NULL);"
	"CREATE TABLE segment(number INTEGER PRIMARY KEY, lines INTEGER NOT NULL, bytes INTEGER NOT NULL);"
	"CREATE TABLE log(leaf BLOB NOT NULL);" /* of its first record: which log this is the index of */
	"PRAGMA user_version=1;";
_Static_assert(VERSION == 1, "the schema sets it");

static const char indices[] = "CREATE INDEX IF NOT EXISTS by_person ON record(person) WHERE person IS NOT NULL;"
			      "CREATE INDEX IF NOT EXISTS by_host ON record(host) WHERE host IS NOT NULL;"
			      "CREATE INDEX IF NOT EXISTS by_kind ON record(kind) WHERE " GR_AUDIT_INDEX_RARE ";";

static const char *const statements[GR_AUDIT_INDEX_STATEMENTS] = {
	[PUT_RECORD] = "INSERT INTO record(seq, kind, person, host, session, place) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
	[FIND_PERSON] = "SELECT id FROM person WHERE name = ?1",
	[PUT_PERSON] = "INSERT INTO person(name) VALUES(?1)",
	[FIND_HOST] = "SELECT id FROM host WHERE name = ?1",
	[PUT_HOST] = "INSERT INTO host(name) VALUES(?1)",
	[FIND_SESSION] = "SELECT id, first, last FROM session WHERE number = ?1",
	[PUT_SESSION] = "INSERT INTO session(number, first, last) VALUES(?1, ?2, ?2)",
	[SET_SESSION] = "UPDATE session SET first = min(first, ?2), last = max(last, ?3) WHERE id = ?1",
	[FIND_BLOCK] = "SELECT earliest, latest FROM block WHERE first = ?1",
	[PUT_BLOCK] = "INSERT OR REPLACE INTO block(first, earliest, latest) VALUES(?1, ?2, ?3)",
	[PUT_SEGMENT] = "INSERT OR REPLACE INTO segment(number, lines, bytes) VALUES(?1, ?2, ?3)",
	[NEXT_SEGMENT] = "SELECT number, lines, bytes FROM segment WHERE number >= ?1 ORDER BY number",
	[FORGET_RECORDS] = "DELETE FROM record WHERE seq BETWEEN ?1 AND ?2",
	[FORGET_BLOCKS] = "DELETE FROM block WHERE first BETWEEN ?1 AND ?2",
	[FIND_LOG] = "SELECT leaf FROM log",
	[PUT_LOG] = "INSERT INTO log(leaf) VALUES(?1)",
};

/* ---- SQLite ---- */

int gr_audit_index_failed(struct gr_audit_index *index, struct gr_error *err)
{
	int code = sqlite3_errcode(index->db) & 0xff;
	int status = code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? GR_EPROTO
		     : code == SQLITE_NOMEM                          ? GR_ENOMEM
		     : code == SQLITE_FULL                           ? GR_EFULL
								     : GR_EIO;
	return gr_error_set(err, status, "%s: %s", GR_AUDIT_INDEX_FILE, sqlite3_errmsg(index->db));
}

static int execute(struct gr_audit_index *index, const char *sql, struct gr_error *err)
{
	return sqlite3_exec(index->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : gr_audit_index_failed(index, err);
}

/* Runs one that gives no row. */
static int run(struct gr_audit_index *index, enum gr_audit_index_statement which, struct gr_error *err)
{
	sqlite3_stmt *statement = index->statements[which];
	int result = sqlite3_step(statement);
	int status = result == SQLITE_DONE ? 0 : gr_audit_index_failed(index, err);
	sqlite3_reset(statement);
	return status;
}

static void forget_caches(struct gr_audit_index *index)
{
	memset(index->names, 0, sizeof(index->names));
	memset(index->sessions, 0, sizeof(index->sessions));
	index->block.first = 0;
}

/* Where the next line is: behind the last one of the first segment that is not full. */
static int find_place(struct gr_audit_index *index, uint64_t from, struct gr_error *err)
{
	sqlite3_stmt *statement = index->statements[NEXT_SEGMENT];
	int result;
	index->segment = from;
	index->lines = index->bytes = 0;
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)from);
	while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
		uint64_t number = (uint64_t)sqlite3_column_int64(statement, 0);
		if (number != index->segment)
			break; /* a gap: nothing of it was taken */
		index->lines = (uint64_t)sqlite3_column_int64(statement, 1);
		index->bytes = (uint64_t)sqlite3_column_int64(statement, 2);
		if (index->lines < GR_AUDIT_SEGMENT_LINES)
			break;
		index->segment++;
		index->lines = index->bytes = 0;
	}
	int status = result == SQLITE_ROW || result == SQLITE_DONE ? 0 : gr_audit_index_failed(index, err);
	sqlite3_reset(statement);
	return status;
}

static int user_version(struct gr_audit_index *index, int *out)
{
	sqlite3_stmt *statement = NULL;
	int status = GR_EPROTO;
	if (sqlite3_prepare_v2(index->db, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW) {
		*out = sqlite3_column_int(statement, 0);
		status = 0;
	}
	sqlite3_finalize(statement);
	return status;
}

static int prepare(struct gr_audit_index *index, int build, struct gr_error *err)
{
	int version = 0;
	/* Exclusive from the start: WAL then needs no shared memory. */
	int status = execute(index,
			     build ? "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
				     "PRAGMA cache_size=-131072;"
				   : "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
				     "PRAGMA cache_size=-16384; PRAGMA temp_store=MEMORY;",
			     err);
	if (status != 0)
		return status;
	if (user_version(index, &version) != 0)
		return gr_audit_index_failed(index, err);
	if (version == 0) {
		status = execute(index, "BEGIN", err);
		if (status == 0)
			status = execute(index, schema, err);
		if (status == 0 && !build)
			status = execute(index, indices, err);
		if (status == 0)
			status = execute(index, "COMMIT", err);
	} else if (version != VERSION) {
		status = gr_error_set(err, GR_EPROTO, "%s is of another version", GR_AUDIT_INDEX_FILE);
	}
	for (unsigned i = 0; i < GR_AUDIT_INDEX_STATEMENTS && status == 0; i++)
		if (sqlite3_prepare_v3(index->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &index->statements[i],
				       NULL) != SQLITE_OK)
			status = gr_audit_index_failed(index, err);
	return status == 0 ? find_place(index, 0, err) : status;
}

/*
 * SQLite's calls that the audit process does not have, by those that it has. The user id only decides about whose a journal becomes:
 * it stays its maker's.
 */
static int remove_file(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

static int look_at(const char *path, int flags, struct stat *out)
{
	int fd = open(path, O_PATH | O_CLOEXEC | flags);
	if (fd < 0)
		return -1;
	int result = fstat(fd, out);
	close(fd);
	return result;
}

static int stat_file(const char *path, struct stat *out)
{
	return look_at(path, 0, out);
}

static int stat_link(const char *path, struct stat *out)
{
	return look_at(path, O_NOFOLLOW, out);
}

static int access_file(const char *path, int mode)
{
	struct stat file;
	(void)mode;
	return look_at(path, 0, &file);
}

static uid_t nobody_special(void)
{
	return 1;
}

static int open_database(const char *path, sqlite3 **out)
{
	static const struct {
		const char *name;
		sqlite3_syscall_ptr call;
	} calls[] = {
		{ "unlink", (sqlite3_syscall_ptr)remove_file },     { "stat", (sqlite3_syscall_ptr)stat_file },
		{ "lstat", (sqlite3_syscall_ptr)stat_link },        { "access", (sqlite3_syscall_ptr)access_file },
		{ "geteuid", (sqlite3_syscall_ptr)nobody_special },
	};
	sqlite3_vfs *vfs = sqlite3_vfs_find("unix-none");
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (!vfs || vfs->xSetSystemCall(vfs, calls[i].name, calls[i].call) != SQLITE_OK)
			return SQLITE_ERROR;
	return sqlite3_open_v2(path, out, SQLITE_OPEN_READWRITE, "unix-none");
}

int gr_audit_index_open(struct gr_audit_index **out, const char *path, int build, struct gr_error *err)
{
	struct gr_audit_index *index = calloc(1, sizeof(*index));
	char *buffer = malloc(CHUNK + GR_AUDIT_LINE_MAX);
	int status = 0;
	if (!index || !buffer) {
		free(index);
		free(buffer);
		return gr_error_set(err, GR_ENOMEM, "no memory for the index");
	}
	index->buffer = buffer;
	/* A lock of our own: SQLite's would need more system calls, and does not see who uses none. */
	index->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (index->lock < 0)
		status = gr_error_errno(err, "cannot open %s", path);
	else if (flock(index->lock, LOCK_EX | LOCK_NB) < 0)
		status = errno == EWOULDBLOCK ? gr_error_set(err, GR_EEXIST, "%s is in use by another process", path)
					      : gr_error_errno(err, "cannot lock %s", path);
	if (status == 0 && open_database(path, &index->db) != SQLITE_OK)
		status = index->db ? gr_audit_index_failed(index, err)
				   : gr_error_set(err, GR_ENOMEM, "no memory for the index");
	if (status == 0)
		status = prepare(index, build, err);
	if (status != 0) {
		gr_audit_index_close(index);
		return status;
	}
	*out = index;
	return 0;
}

void gr_audit_index_close(struct gr_audit_index *index)
{
	if (!index)
		return;
	for (unsigned i = 0; i < GR_AUDIT_INDEX_STATEMENTS; i++)
		sqlite3_finalize(index->statements[i]);
	sqlite3_close(index->db);
	gr_io_close(&index->lock);
	free(index->buffer);
	free(index);
}

int gr_audit_index_finish(struct gr_audit_index *index, struct gr_error *err)
{
	return execute(index, indices, err);
}

uint64_t gr_audit_index_last(const struct gr_audit_index *index)
{
	return index->segment * GR_AUDIT_SEGMENT_LINES + index->lines;
}

/* ---- filling ---- */

static uint32_t text_hash(const char *text, size_t n)
{
	uint32_t hash = 2166136261u; /* FNV-1a */
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (uint8_t)text[i]) * 16777619u;
	return hash;
}

/* The id of a name, which is made when it is new. find: FIND_PERSON or FIND_HOST; the statement that puts one stands behind it. */
static int name_id(struct gr_audit_index *index, enum gr_audit_index_statement find, const char *name, size_t n,
		   sqlite3_int64 *out, struct gr_error *err)
{
	struct gr_audit_index_name *cached = &index->names[(text_hash(name, n) + find) % GR_AUDIT_INDEX_NAMES];
	sqlite3_stmt *statement = index->statements[find];
	int status = 0;
	if (cached->id && cached->table == (int)find && cached->length == n && memcmp(cached->name, name, n) == 0) {
		*out = cached->id;
		return 0;
	}
	sqlite3_bind_text(statement, 1, name, (int)n, SQLITE_STATIC);
	int result = sqlite3_step(statement);
	sqlite3_int64 id = result == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
	if (result != SQLITE_ROW && result != SQLITE_DONE)
		status = gr_audit_index_failed(index, err);
	sqlite3_reset(statement);
	if (status == 0 && id == 0) {
		sqlite3_bind_text(index->statements[find + 1], 1, name, (int)n, SQLITE_STATIC);
		status = run(index, find + 1, err);
		id = sqlite3_last_insert_rowid(index->db);
	}
	if (status != 0)
		return status;
	if (n <= sizeof(cached->name)) {
		cached->id = id;
		cached->table = (int)find;
		cached->length = n;
		memcpy(cached->name, name, n);
	}
	*out = id;
	return 0;
}

static int put_session(struct gr_audit_index *index, struct gr_audit_index_session *session, struct gr_error *err)
{
	sqlite3_stmt *statement = index->statements[SET_SESSION];
	if (!session->changed)
		return 0;
	session->changed = 0;
	sqlite3_bind_int64(statement, 1, session->id);
	sqlite3_bind_int64(statement, 2, (sqlite3_int64)session->first);
	sqlite3_bind_int64(statement, 3, (sqlite3_int64)session->last);
	return run(index, SET_SESSION, err);
}

static int session_id(struct gr_audit_index *index, uint64_t number, uint64_t sequence, sqlite3_int64 *out,
		      struct gr_error *err)
{
	struct gr_audit_index_session *session = &index->sessions[number % GR_AUDIT_INDEX_SESSIONS];
	sqlite3_stmt *statement = index->statements[FIND_SESSION];
	if (session->id == 0 || session->number != number) {
		int status = put_session(index, session, err);
		if (status != 0)
			return status;
		session->id = 0;
		sqlite3_bind_int64(statement, 1, (sqlite3_int64)number);
		int result = sqlite3_step(statement);
		sqlite3_int64 id = result == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
		if (result != SQLITE_ROW && result != SQLITE_DONE)
			status = gr_audit_index_failed(index, err);
		sqlite3_reset(statement);
		if (status == 0 && id == 0) {
			sqlite3_bind_int64(index->statements[PUT_SESSION], 1, (sqlite3_int64)number);
			sqlite3_bind_int64(index->statements[PUT_SESSION], 2, (sqlite3_int64)sequence);
			status = run(index, PUT_SESSION, err);
			id = sqlite3_last_insert_rowid(index->db);
		}
		if (status != 0)
			return status;
		session->id = id;
		session->number = number;
		session->first = sequence;
	}
	session->last = sequence;
	session->changed = 1;
	*out = session->id;
	return 0;
}

static int put_block(struct gr_audit_index *index, struct gr_error *err)
{
	sqlite3_stmt *statement = index->statements[PUT_BLOCK];
	if (index->block.first == 0 || index->block.earliest[0] == 0)
		return 0;
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)index->block.first);
	sqlite3_bind_text(statement, 2, index->block.earliest, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 3, index->block.latest, -1, SQLITE_STATIC);
	return run(index, PUT_BLOCK, err);
}

/* Widens the block of this record by its time; the block's row is written when another block begins or the batch ends. */
static int take_time(struct gr_audit_index *index, const struct gr_audit_line *line, struct gr_error *err)
{
	uint64_t first = (line->sequence - 1) / GR_AUDIT_INDEX_BLOCK * GR_AUDIT_INDEX_BLOCK + 1;
	char time[GR_AUDIT_TIME_TEXT] = "";
	memcpy(time, line->fields[GR_AUDIT_FIELD_TIME].start, sizeof(time) - 1);
	if (index->block.first != first) {
		sqlite3_stmt *statement = index->statements[FIND_BLOCK];
		int status = put_block(index, err);
		if (status != 0)
			return status;
		index->block.first = first;
		index->block.earliest[0] = index->block.latest[0] = 0;
		sqlite3_bind_int64(statement, 1, (sqlite3_int64)first);
		if (sqlite3_step(statement) == SQLITE_ROW) {
			snprintf(index->block.earliest, sizeof(time), "%s", sqlite3_column_text(statement, 0));
			snprintf(index->block.latest, sizeof(time), "%s", sqlite3_column_text(statement, 1));
		}
		sqlite3_reset(statement);
	}
	if (index->block.earliest[0] == 0 || strcmp(time, index->block.earliest) < 0)
		memcpy(index->block.earliest, time, sizeof(time));
	if (strcmp(time, index->block.latest) > 0)
		memcpy(index->block.latest, time, sizeof(time));
	return 0;
}

static void bind_id(sqlite3_stmt *statement, int at, sqlite3_int64 id)
{
	if (id)
		sqlite3_bind_int64(statement, at, id);
	else
		sqlite3_bind_null(statement, at);
}

static int take_line(struct gr_audit_index *index, const struct gr_audit_line *line, uint64_t place,
		     struct gr_error *err)
{
	sqlite3_stmt *statement = index->statements[PUT_RECORD];
	sqlite3_int64 person = 0, host = 0, session = 0;
	char text[GR_AUDIT_LINE_MAX];
	size_t n;
	uint64_t number = gr_audit_line_session(line);
	if (line->pruned)
		return 0;
	int status = take_time(index, line, err);
	if (status == 0 && line->fields[GR_AUDIT_FIELD_PERSON].start &&
	    gr_audit_unescape(text, &n, line->fields[GR_AUDIT_FIELD_PERSON].start,
			      line->fields[GR_AUDIT_FIELD_PERSON].length) == 0)
		status = name_id(index, FIND_PERSON, text, n, &person, err);
	gr_audit_line_host(line, text);
	if (status == 0 && text[0])
		status = name_id(index, FIND_HOST, text, strlen(text), &host, err);
	if (status == 0 && number)
		status = session_id(index, number, line->sequence, &session, err);
	if (status != 0)
		return status;
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)line->sequence);
	sqlite3_bind_int64(
		statement, 2,
		gr_audit_kind_of(line->fields[GR_AUDIT_FIELD_KIND].start, line->fields[GR_AUDIT_FIELD_KIND].length));
	bind_id(statement, 3, person);
	bind_id(statement, 4, host);
	bind_id(statement, 5, session);
	sqlite3_bind_int64(statement, 6, (sqlite3_int64)place);
	return run(index, PUT_RECORD, err);
}

/* The first record says which log it is. */
static int take_first(struct gr_audit_index *index, const char *bytes, size_t n, const struct gr_audit_line *line,
		      struct gr_error *err)
{
	uint8_t leaf[GR_TREE_HASH];
	sqlite3_stmt *find = index->statements[FIND_LOG];
	if (gr_audit_line_leaf(bytes, n, line, leaf) != 0)
		return gr_error_set(err, GR_EIO, "SHA-256 failed");
	int result = sqlite3_step(find);
	int same = result == SQLITE_ROW && sqlite3_column_bytes(find, 0) == (int)sizeof(leaf) &&
		   memcmp(sqlite3_column_blob(find, 0), leaf, sizeof(leaf)) == 0;
	sqlite3_reset(find);
	if (result == SQLITE_ROW)
		return same ? 0 : gr_error_set(err, GR_EPROTO, "%s is of another record", GR_AUDIT_INDEX_FILE);
	sqlite3_bind_blob(index->statements[PUT_LOG], 1, leaf, sizeof(leaf), SQLITE_TRANSIENT);
	return run(index, PUT_LOG, err);
}

/* Takes whole lines from what is in the buffer. Returns the bytes taken, or an error. */
static int take_lines(struct gr_audit_index *index, size_t held, uint64_t *left, size_t *taken_out,
		      struct gr_error *err)
{
	size_t at = 0;
	int status = 0;
	while (*left > 0 && index->lines < GR_AUDIT_SEGMENT_LINES) {
		const char *start = index->buffer + at, *newline = memchr(start, '\n', held - at), *reason = NULL;
		struct gr_audit_line line;
		uint64_t wanted = gr_audit_index_last(index) + 1;
		if (!newline)
			break;
		size_t n = (size_t)(newline - start);
		if (gr_audit_line_parse(start, n, &line, &reason) != 0)
			return gr_error_set(err, GR_EPROTO, "line with seq %" PRIu64 ": %s", wanted, reason);
		if (line.sequence != wanted)
			return gr_error_set(err, GR_EPROTO,
					    "line with seq %" PRIu64 ": another sequence number stands here", wanted);
		if (wanted == 1)
			status = take_first(index, start, n, &line, err);
		if (status == 0)
			status = take_line(index, &line, index->bytes, err);
		if (status != 0)
			return status;
		at += n + 1;
		index->bytes += n + 1;
		index->lines++;
		(*left)--;
	}
	*taken_out = at;
	return 0;
}

static int put_segment(struct gr_audit_index *index, struct gr_error *err)
{
	sqlite3_stmt *statement = index->statements[PUT_SEGMENT];
	sqlite3_bind_int64(statement, 1, (sqlite3_int64)index->segment);
	sqlite3_bind_int64(statement, 2, (sqlite3_int64)index->lines);
	sqlite3_bind_int64(statement, 3, (sqlite3_int64)index->bytes);
	return run(index, PUT_SEGMENT, err);
}

/* Takes what is left of the current segment. *end_out: 1 when the log ends here. */
static int take_segment(struct gr_audit_index *index, int log, uint64_t *left, int *end_out, struct gr_error *err)
{
	char name[GR_AUDIT_SEGMENT_NAME];
	int status = 0;
	gr_audit_segment_name(index->segment, "log", name);
	int fd = openat(log, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	*end_out = fd < 0;
	if (fd < 0)
		return errno == ENOENT ? 0 : gr_error_errno(err, "cannot open the segment %s", name);
	while (status == 0 && *left > 0 && index->lines < GR_AUDIT_SEGMENT_LINES) {
		ssize_t n = pread(fd, index->buffer, CHUNK, (off_t)index->bytes);
		size_t taken = 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			status = gr_error_errno(err, "cannot read the segment %s", name);
		else
			status = take_lines(index, (size_t)n, left, &taken, err);
		if (status == 0 && taken == 0) {
			*end_out = 1; /* nothing, or a line that is being written */
			break;
		}
	}
	close(fd);
	if (status == 0)
		status = put_segment(index, err);
	if (status == 0 && index->lines == GR_AUDIT_SEGMENT_LINES)
		status = find_place(index, index->segment + 1, err);
	return status;
}

int gr_audit_index_update(struct gr_audit_index *index, int log, uint64_t lines, int *more_out, struct gr_error *err)
{
	uint64_t left = lines ? lines : UINT64_MAX;
	int end = 0;
	int status = execute(index, "BEGIN", err);
	if (status != 0)
		return status;
	while (status == 0 && !end && left > 0)
		status = take_segment(index, log, &left, &end, err);
	if (status == 0)
		status = put_block(index, err);
	for (unsigned i = 0; i < GR_AUDIT_INDEX_SESSIONS && status == 0; i++)
		status = put_session(index, &index->sessions[i], err);
	if (status == 0)
		status = execute(index, "COMMIT", err);
	if (status != 0) {
		struct gr_error ignored;
		execute(index, "ROLLBACK", &ignored);
		forget_caches(index);
		find_place(index, 0, &ignored);
		return status;
	}
	*more_out = !end;
	return 0;
}

int gr_audit_index_forget(struct gr_audit_index *index, uint64_t segment, struct gr_error *err)
{
	sqlite3_int64 first = (sqlite3_int64)segment * GR_AUDIT_SEGMENT_LINES + 1,
		      last = first + GR_AUDIT_SEGMENT_LINES - 1;
	static const enum gr_audit_index_statement which[] = { FORGET_RECORDS, FORGET_BLOCKS };
	int status = execute(index, "BEGIN", err);
	if (status != 0)
		return status;
	for (unsigned i = 0; i < 2 && status == 0; i++) {
		sqlite3_bind_int64(index->statements[which[i]], 1, first);
		sqlite3_bind_int64(index->statements[which[i]], 2, last);
		status = run(index, which[i], err);
	}
	index->segment = segment;
	index->lines = index->bytes = 0;
	if (status == 0)
		status = put_segment(index, err);
	status = status == 0 ? execute(index, "COMMIT", err) : (execute(index, "ROLLBACK", NULL), status);
	forget_caches(index);
	int found = find_place(index, 0, err);
	return status != 0 ? status : found;
}

int gr_audit_index_check(struct gr_audit_index *index, int log, struct gr_error *err)
{
	for (uint64_t number = 0;; number++) {
		sqlite3_stmt *statement = index->statements[NEXT_SEGMENT];
		char name[GR_AUDIT_SEGMENT_NAME];
		struct stat file;
		sqlite3_bind_int64(statement, 1, (sqlite3_int64)number);
		int result = sqlite3_step(statement);
		uint64_t bytes = 0;
		if (result == SQLITE_ROW) {
			number = (uint64_t)sqlite3_column_int64(statement, 0);
			bytes = (uint64_t)sqlite3_column_int64(statement, 2);
		}
		sqlite3_reset(statement);
		if (result != SQLITE_ROW)
			return result == SQLITE_DONE ? 0 : gr_audit_index_failed(index, err);
		gr_audit_segment_name(number, "log", name);
		int fd = openat(log, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		int shorter = fd < 0 || fstat(fd, &file) < 0 || (uint64_t)file.st_size < bytes;
		gr_io_close(&fd);
		int status = shorter ? gr_audit_index_forget(index, number, err) : 0;
		if (status != 0)
			return status;
	}
}
