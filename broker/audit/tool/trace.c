/*
 * garasu-audit trace: who reached a host, in which session, at which terminal, with which factors, when. A request names its
 * session; the session's attachments name the terminals and the connections, and the connections' logins the factors.
 */
#include "broker/admin/table.h"
#include "broker/audit/tool/tool.h"

#include <getopt.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#define LOGIN_NEAR 100000 /* records between a login and the attachment that it is for, at most */
#define COLUMNS 8

/* One session at one terminal. */
struct visit {
	uint64_t attached; /* sequence number; 0: before any terminal */
	char group[128], terminal[64], factors[128];
	time_t first, last;
	uint64_t requests, refused, down, up;
};

struct session {
	uint64_t number;
	char person[64];
	struct visit *visits; /* in order */
	size_t count;
	struct session *next; /* in the order of their first requests */
};

struct trace {
	struct gr_tool_log *log;
	void *tree;
	struct session *first, **end;
	struct gr_error err;
};

static int compare(const void *a, const void *b)
{
	const struct session *left = a, *right = b;
	return left->number < right->number ? -1 : left->number > right->number;
}

static struct visit *add_visit(struct session *session)
{
	struct visit *more = reallocarray(session->visits, session->count + 1, sizeof(*more));
	if (!more)
		return NULL;
	session->visits = more;
	memset(&more[session->count], 0, sizeof(*more));
	return &more[session->count++];
}

/* "factors=certificate,password,code" in the login's detail. */
static void read_factors(const struct gr_audit_line *line, char *out, size_t cap)
{
	char detail[GR_AUDIT_LINE_MAX];
	gr_tool_value(line, GR_AUDIT_FIELD_DETAIL, detail, sizeof(detail));
	const char *factors = strstr(detail, "factors=");
	factors = factors ? factors + 8 : "certificate";
	snprintf(out, cap, "%.*s", (int)strcspn(factors, " "), factors);
}

/* The login of the connection that attached. */
static int find_login(struct trace *trace, const struct session *session, struct visit *visit, uint64_t connection)
{
	struct gr_audit_criteria criteria = { .person = session->person, .kind = GR_AUDIT_LOGIN };
	struct gr_tool_query query;
	struct gr_tool_record record = { .bytes = "" };
	int more = gr_tool_query_open(&query, trace->log, &criteria, &trace->err);
	if (more == 0) {
		gr_tool_query_limit(&query, visit->attached > LOGIN_NEAR ? visit->attached - LOGIN_NEAR : 1,
				    visit->attached);
		while ((more = gr_tool_query_next(&query, &record, &trace->err)) == 1) {
			if (gr_tool_number(&record.line, GR_AUDIT_FIELD_CONNECTION) != connection)
				continue;
			read_factors(&record.line, visit->factors, sizeof(visit->factors));
			if (!visit->group[0])
				gr_tool_value(&record.line, GR_AUDIT_FIELD_GROUP, visit->group, sizeof(visit->group));
		}
	}
	gr_tool_query_close(&query);
	return more;
}

static int find_attachments(struct trace *trace, struct session *session)
{
	struct gr_audit_criteria criteria = { .session = session->number,
					      .kind = GR_AUDIT_SESSION_ATTACH,
					      .person = session->person };
	struct gr_tool_query query;
	struct gr_tool_record record = { .bytes = "" };
	uint64_t *connections = NULL;
	int more = gr_tool_query_open(&query, trace->log, &criteria, &trace->err);
	while (more >= 0 && (more = gr_tool_query_next(&query, &record, &trace->err)) == 1) {
		struct visit *visit = add_visit(session);
		uint64_t *grown = reallocarray(connections, session->count, sizeof(*grown));
		if (grown)
			connections = grown;
		if (!visit || !grown) {
			more = gr_error_set(&trace->err, GR_ENOMEM, "no memory to trace");
			break;
		}
		visit->attached = record.line.sequence;
		gr_tool_value(&record.line, GR_AUDIT_FIELD_PEER, visit->terminal, sizeof(visit->terminal));
		gr_tool_value(&record.line, GR_AUDIT_FIELD_GROUP, visit->group, sizeof(visit->group));
		connections[session->count - 1] = gr_tool_number(&record.line, GR_AUDIT_FIELD_CONNECTION);
	}
	gr_tool_query_close(&query);
	for (size_t i = 0; connections && i < session->count && more >= 0; i++)
		more = find_login(trace, session, &session->visits[i], connections[i]);
	free(connections);
	return more < 0 ? more : 0;
}

static int find_session(struct trace *trace, const struct gr_audit_line *line, struct session **out)
{
	struct session wanted = { .number = gr_audit_line_session(line) };
	struct session **found = tfind(&wanted, &trace->tree, compare);
	if (found) {
		*out = *found;
		return 0;
	}
	struct session *session = calloc(1, sizeof(*session));
	if (session)
		session->number = wanted.number;
	if (!session || !tsearch(session, &trace->tree, compare)) {
		free(session);
		gr_error_set(&trace->err, GR_ENOMEM, "no memory to trace");
		return GR_ENOMEM;
	}
	gr_tool_value(line, GR_AUDIT_FIELD_PERSON, session->person, sizeof(session->person));
	*trace->end = session;
	trace->end = &session->next;
	*out = session;
	return session->number ? find_attachments(trace, session) : 0;
}

static int take_request(struct trace *trace, const struct gr_audit_line *line)
{
	struct session *session;
	uint64_t sequence = line->sequence;
	uint32_t kind = gr_audit_kind_of(line->fields[GR_AUDIT_FIELD_KIND].start,
					 line->fields[GR_AUDIT_FIELD_KIND].length);
	uint64_t down = gr_tool_number(line, GR_AUDIT_FIELD_DOWN), up = gr_tool_number(line, GR_AUDIT_FIELD_UP);
	time_t time = gr_tool_time_seconds(line->fields[GR_AUDIT_FIELD_TIME].start);
	/* Looking for its session reads other records: the line is gone after that. */
	int status = find_session(trace, line, &session);
	if (status != 0)
		return status;
	size_t at = session->count;
	while (at > 0 && session->visits[at - 1].attached > sequence)
		at--;
	if (at == 0 && (session->count == 0 || session->visits[0].attached != 0)) {
		/* The page went on while nobody had attached yet, or the attachment was pruned. */
		if (!add_visit(session))
			return gr_error_set(&trace->err, GR_ENOMEM, "no memory to trace");
		memmove(&session->visits[1], &session->visits[0], (session->count - 1) * sizeof(struct visit));
		memset(&session->visits[0], 0, sizeof(struct visit));
	}
	struct visit *visit = &session->visits[at ? at - 1 : 0];
	if (!visit->first)
		visit->first = time;
	visit->last = time;
	visit->requests += kind != GR_AUDIT_EGRESS_END;
	visit->refused += kind == GR_AUDIT_EGRESS_REFUSED;
	visit->down += down;
	visit->up += up;
	return 0;
}

static const char *or_dash(const char *text)
{
	return text[0] ? text : "-";
}

static int print_table(const struct trace *trace, size_t rows)
{
	const char **cells = calloc((rows + 1) * COLUMNS, sizeof(*cells));
	char(*text)[4][64] = calloc(rows + 1, sizeof(*text));
	static const char *const heading[COLUMNS] = { "PERSON",  "GROUP", "SESSION", "TERMINAL",
						      "FACTORS", "FIRST", "LAST",    "REQUESTS" };
	size_t row = 1;
	if (!cells || !text) {
		free(cells);
		free(text);
		return GR_ENOMEM;
	}
	memcpy(cells, heading, sizeof(heading));
	for (const struct session *session = trace->first; session; session = session->next) {
		for (size_t i = 0; i < session->count; i++) {
			const struct visit *visit = &session->visits[i];
			if (!visit->first)
				continue;
			const char **cell = &cells[row * COLUMNS];
			snprintf(text[row][0], 64, "%016" PRIx64, session->number);
			gr_tool_time_show(visit->first, text[row][1]);
			gr_tool_time_show(visit->last, text[row][2]);
			if (visit->refused)
				snprintf(text[row][3], 64, "%" PRIu64 " (%" PRIu64 " refused)", visit->requests,
					 visit->refused);
			else
				snprintf(text[row][3], 64, "%" PRIu64, visit->requests);
			cell[0] = or_dash(session->person);
			cell[1] = or_dash(visit->group);
			cell[2] = session->number ? text[row][0] : "-";
			cell[3] = or_dash(visit->terminal);
			cell[4] = or_dash(visit->factors);
			cell[5] = text[row][1];
			cell[6] = text[row][2];
			cell[7] = text[row][3];
			row++;
		}
	}
	gr_table_print(stdout, cells, row, COLUMNS);
	free(cells);
	free(text);
	return 0;
}

static void print_text(const char *name, const char *text)
{
	printf(",\"%s\":", name);
	gr_tool_json(stdout, text);
}

static void print_json(const struct trace *trace)
{
	const char *before = "[\n";
	for (const struct session *session = trace->first; session; session = session->next) {
		for (size_t i = 0; i < session->count; i++) {
			const struct visit *visit = &session->visits[i];
			char first[GR_AUDIT_TIME_TEXT] = "", last[GR_AUDIT_TIME_TEXT] = "";
			if (!visit->first)
				continue;
			gr_tool_time_of(visit->first, first);
			gr_tool_time_of(visit->last, last);
			printf("%s{\"session\":\"%016" PRIx64 "\"", before, session->number);
			print_text("person", session->person);
			print_text("group", visit->group);
			print_text("terminal", visit->terminal);
			print_text("factors", visit->factors);
			print_text("first", first);
			print_text("last", last);
			printf(",\"attached\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"refused\":%" PRIu64
			       ",\"down\":%" PRIu64 ",\"up\":%" PRIu64 "}",
			       visit->attached, visit->requests, visit->refused, visit->down, visit->up);
			before = ",\n";
		}
	}
	puts(trace->first ? "\n]" : "[]");
}

static void keep(void *node)
{
	(void)node; /* the list has them */
}

static int trace_host(struct gr_tool_log *log, const struct gr_audit_criteria *criteria, int json)
{
	struct trace trace = { .log = log };
	struct gr_tool_query query;
	struct gr_tool_record record = { .bytes = "" };
	size_t rows = 0;
	trace.end = &trace.first;
	int more = gr_tool_query_open(&query, log, criteria, &trace.err);
	while (more >= 0 && (more = gr_tool_query_next(&query, &record, &trace.err)) == 1)
		more = take_request(&trace, &record.line);
	gr_tool_query_close(&query);
	for (const struct session *session = trace.first; session; session = session->next)
		rows += session->count;
	if (more == 0 && json) {
		print_json(&trace);
	} else if (more == 0 && rows) {
		printf("%s, times in %s\n", criteria->host, gr_tool_time_zone());
		more = print_table(&trace, rows);
	} else if (more == 0) {
		fprintf(stderr, "garasu-audit: nobody reached %s\n", criteria->host);
	}
	int code = more < 0 ? gr_tool_fail(&trace.err) : rows ? GR_TOOL_GOOD : GR_TOOL_BAD;
	tdestroy(trace.tree, keep);
	while (trace.first) {
		struct session *next = trace.first->next;
		free(trace.first->visits);
		free(trace.first);
		trace.first = next;
	}
	return code;
}

static int run(const struct gr_tool_command *command, int argc, char **argv)
{
	static const struct option long_options[] = {
		GR_TOOL_CRITERIA,
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	static struct gr_tool_options options;
	static struct gr_tool_log log;
	struct gr_error err = { .code = 0 };
	int option, json = 0;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 'j')
			json = 1;
		else if (strchr("Hks", option) || !gr_tool_option(&options, option, optarg))
			return gr_tool_usage(command, "wrong option");
	}
	if (options.wrong)
		return gr_tool_usage(command, "%s", options.wrong);
	if (optind != argc - 2)
		return gr_tool_usage(command, "a directory and a URL or host are wanted");
	if (gr_tool_host(argv[optind + 1], options.host) != 0)
		return gr_tool_usage(command, "%s is no URL and no host", argv[optind + 1]);
	options.criteria.host = options.host;
	if (gr_tool_log_open(&log, argv[optind], &err) != 0)
		return gr_tool_fail(&err);
	int code = gr_tool_log_index(&log, options.index, &err) == 0 ? trace_host(&log, &options.criteria, json)
								     : gr_tool_fail(&err);
	gr_tool_log_close(&log);
	return code;
}

const struct gr_tool_command gr_tool_trace = {
	.name = "trace",
	.arguments = "DIRECTORY URL|HOST [--from TIME] [--to TIME] [--person ID] [--json] [--index FILE]",
	.help = "shows who reached a host, in which session, from which terminal, when",
	.run = run,
};
