/*
 * garasu-audit: what its subcommands share. Each is one file with one row in main.c's table. None needs a broker; each works on
 * a copy of the audit directory.
 */
#ifndef GARASU_AUDIT_TOOL_H
#define GARASU_AUDIT_TOOL_H

#include "broker/audit/head.h"
#include "broker/audit/index.h"

#include <stdio.h>

/* Exit statuses, of all subcommands. */
enum {
	GR_TOOL_GOOD = 0,
	GR_TOOL_BAD = 1, /* the record, or the proof, does not hold; nothing was found */
	GR_TOOL_USAGE = 2,
	GR_TOOL_FAILED = 3, /* a file cannot be read, and so on */
};

struct gr_tool_command {
	const char *name;
	const char *arguments; /* for the usage */
	const char *help; /* one line */
	int (*run)(const struct gr_tool_command *command, int argc, char **argv); /* argv[0] = the name */
};
extern const struct gr_tool_command gr_tool_verify, gr_tool_index, gr_tool_search, gr_tool_trace, gr_tool_report,
	gr_tool_prove, gr_tool_consistency, gr_tool_check_proof, gr_tool_export, gr_tool_replay;

/* Says what is wrong with the command line, and how it should be. Returns GR_TOOL_USAGE. */
int gr_tool_usage(const struct gr_tool_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Says why it could not be done. Returns GR_TOOL_FAILED. */
int gr_tool_fail(const struct gr_error *err);

/* Progress on standard error, when that is a terminal: "verifying 42 % 3.1 GiB"; total 0: ends the line. */
void gr_tool_progress(const char *what, uint64_t done, uint64_t total);

/*
 * A time as people give it: 2026-10-01, 2026-10-01T09:00 or with :00, in this machine's time zone, or with Z or +09:00 behind. GR_EINVAL.
 * The other way: local, "2026-10-01 09:00:00"; the line's own time when it cannot be read.
 */
int gr_tool_time_read(const char *text, char out[GR_AUDIT_TIME_TEXT]);
int gr_tool_time_of(time_t seconds, char out[GR_AUDIT_TIME_TEXT]);
time_t gr_tool_time_seconds(const char *line_time); /* of 27 bytes in a line; -1 when it is none */
void gr_tool_time_show(time_t seconds, char out[32]);
const char *gr_tool_time_zone(void); /* "JST (+0900)" */

/* A public key, PEM or DER, owned; NULL with err set. */
EVP_PKEY *gr_tool_key(const char *file, struct gr_error *err);
/* A whole file of at most limit bytes, or "-" = standard input, owned and terminated; NULL with err set. */
char *gr_tool_read(const char *file, size_t limit, size_t *n_out, struct gr_error *err);

/* ---- a record with its index ---- */

struct gr_tool_log {
	const char *path;
	int directory, log;
	struct gr_audit_index *index;
	char index_path[4096];
	int temporary; /* the index is removed in the end */
	int segment; /* the segment read last */
	uint64_t number;
	char bytes[GR_AUDIT_LINE_MAX];
};

struct gr_tool_record {
	const char *bytes; /* without the newline; until the next call */
	size_t length;
	struct gr_audit_line line;
};

/* Opens the files only; gr_tool_log_index brings its index up to date or makes it: at file, or where the record is, or temporary. */
int gr_tool_log_open(struct gr_tool_log *log, const char *directory, struct gr_error *err);
int gr_tool_log_index(struct gr_tool_log *log, const char *file, struct gr_error *err);
/* Makes it anew. */
int gr_tool_log_rebuild(struct gr_tool_log *log, const char *file, struct gr_error *err);
void gr_tool_log_close(struct gr_tool_log *log);

/* What the index finds, read from the record; where that would be nearly everything, by reading on in the segments. */
struct gr_tool_query {
	struct gr_tool_log *log;
	struct gr_audit_criteria criteria;
	struct gr_audit_search *search;
	uint64_t last, end;
	struct gr_audit_segment *segment; /* when reading on */
	int reading;
};
int gr_tool_query_open(struct gr_tool_query *query, struct gr_tool_log *log, const struct gr_audit_criteria *criteria,
		       struct gr_error *err);
/* 1; 0 at the end; GR_EPROTO: index and record do not fit, or the record does not hold; GR_EIO. */
int gr_tool_query_next(struct gr_tool_query *query, struct gr_tool_record *out, struct gr_error *err);
/* Only records from first to last. */
void gr_tool_query_limit(struct gr_tool_query *query, uint64_t first, uint64_t last);
void gr_tool_query_close(struct gr_tool_query *query);

/* The criteria's options, which several commands have. */
#define GR_TOOL_CRITERIA                                                                                               \
	{ "person", required_argument, NULL, 'p' }, { "host", required_argument, NULL, 'H' },                          \
		{ "kind", required_argument, NULL, 'k' }, { "session", required_argument, NULL, 's' },                 \
		{ "from", required_argument, NULL, 'f' }, { "to", required_argument, NULL, 't' },                      \
	{                                                                                                              \
		"index", required_argument, NULL, 'i'                                                                  \
	}
#define GR_TOOL_CRITERIA_USAGE                                                                                         \
	"[--person ID] [--host HOST] [--kind KIND] [--session ID] [--from TIME] [--to TIME] [--index FILE]"
struct gr_tool_options {
	struct gr_audit_criteria criteria;
	char host[GR_AUDIT_HOST_MAX];
	const char *index;
	const char *wrong; /* why an option's value is none */
};
/* 1 when it was one of them, 0 when not. */
int gr_tool_option(struct gr_tool_options *options, int option, const char *value);
/* The host of a URL, or of "host:port", or the host; lower case. GR_EINVAL. */
int gr_tool_host(const char *text, char out[GR_AUDIT_HOST_MAX]);

/* A field's value as it is in the world; "" when it is not there. */
void gr_tool_value(const struct gr_audit_line *line, enum gr_audit_field field, char *out, size_t cap);
uint64_t gr_tool_number(const struct gr_audit_line *line, enum gr_audit_field field);
/* With its quotes; what is no UTF-8 becomes U+FFFD. */
void gr_tool_json(FILE *out, const char *text);

#endif
