/* garasu-audit report: what a month was, by group (課), as CSV and HTML in Japanese. */
#include "broker/audit/tool/report.h"

#include <getopt.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* ---- sets of names ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b); /* a name stands first in each */
}

/* The one of this name in the tree, made with size bytes when it is new. NULL: no memory. */
static void *find_or_make(void **tree, const char *name, size_t size, int *made_out)
{
	void **found = tfind(name, tree, by_name);
	*made_out = 0;
	if (found)
		return *found;
	char *made = calloc(1, size + strlen(name));
	if (!made)
		return NULL;
	memcpy(made, name, strlen(name) + 1);
	if (!tsearch(made, tree, by_name)) {
		free(made);
		return NULL;
	}
	*made_out = 1;
	return made;
}

/* ---- reading ---- */

struct person {
	char name[64];
	char group[128];
	int grouped; /* group is known, "" too */
	int attached; /* used a session in this month */
	uint64_t seconds, attachments, requests, refused, failed;
	struct person *next;
	void *hosts; /* names */
};

struct open {
	uint64_t connection;
	struct person *person;
	time_t since;
	struct open *next;
};

struct reading {
	struct gr_report *report;
	void *persons;
	struct person *first;
	struct open *open; /* attachments */
	time_t last;
	uint64_t unknown_failed; /* logins of nobody who is known */
	struct gr_error err;
};

static struct person *person_of(struct reading *reading, const struct gr_audit_line *line)
{
	char name[64];
	int made;
	gr_tool_value(line, GR_AUDIT_FIELD_PERSON, name, sizeof(name));
	if (!name[0])
		return NULL;
	struct person *person = find_or_make(&reading->persons, name, sizeof(*person), &made);
	if (!person)
		return NULL;
	if (made) {
		person->next = reading->first;
		reading->first = person;
	}
	return person;
}

static void close_attachment(struct reading *reading, struct open **at, time_t when)
{
	struct open *open = *at;
	if (when > open->since)
		open->person->seconds += (uint64_t)(when - open->since);
	*at = open->next;
	free(open);
	(void)reading;
}

static void close_all(struct reading *reading, time_t when)
{
	while (reading->open)
		close_attachment(reading, &reading->open, when);
}

static int attach(struct reading *reading, struct person *person, uint64_t connection, time_t when)
{
	struct open *open = calloc(1, sizeof(*open));
	if (!open)
		return gr_error_set(&reading->err, GR_ENOMEM, "no memory for the report");
	open->connection = connection;
	open->person = person;
	open->since = when;
	open->next = reading->open;
	reading->open = open;
	person->attached = 1;
	person->attachments++;
	return 0;
}

static void detach(struct reading *reading, struct person *person, uint64_t connection, time_t when)
{
	for (struct open **at = &reading->open; *at; at = &(*at)->next) {
		if ((*at)->connection == connection) {
			close_attachment(reading, at, when);
			return;
		}
	}
	/* It was there since before the month began. */
	person->attached = 1;
	if (when > reading->report->from)
		person->seconds += (uint64_t)(when - reading->report->from);
}

static int take_host(struct reading *reading, struct person *person, const struct gr_audit_line *line)
{
	char host[GR_AUDIT_HOST_MAX];
	int made;
	gr_audit_line_host(line, host);
	if (host[0] && !find_or_make(&person->hosts, host, 1, &made))
		return gr_error_set(&reading->err, GR_ENOMEM, "no memory for the report");
	return 0;
}

static int take_record(struct reading *reading, const struct gr_audit_line *line)
{
	uint32_t kind = gr_audit_kind_of(line->fields[GR_AUDIT_FIELD_KIND].start,
					 line->fields[GR_AUDIT_FIELD_KIND].length);
	time_t when = gr_tool_time_seconds(line->fields[GR_AUDIT_FIELD_TIME].start);
	uint64_t connection = gr_tool_number(line, GR_AUDIT_FIELD_CONNECTION);
	struct gr_report *report = reading->report;
	if (!report->first)
		report->first = line->sequence;
	report->last = line->sequence;
	if (kind == GR_AUDIT_BROKER_START) /* what was attached ended with the broker before */
		close_all(reading, reading->last ? reading->last : when);
	reading->last = when;
	struct person *person = person_of(reading, line);
	if (!person) {
		reading->unknown_failed += kind == GR_AUDIT_LOGIN_FAILED || kind == GR_AUDIT_LOGIN_REFUSED;
		return 0;
	}
	if (line->fields[GR_AUDIT_FIELD_GROUP].start || kind == GR_AUDIT_LOGIN || kind == GR_AUDIT_SESSION_START) {
		gr_tool_value(line, GR_AUDIT_FIELD_GROUP, person->group, sizeof(person->group));
		person->grouped = 1;
	}
	switch (kind) {
	case GR_AUDIT_SESSION_ATTACH: return attach(reading, person, connection, when);
	case GR_AUDIT_SESSION_DETACH: detach(reading, person, connection, when); return 0;
	case GR_AUDIT_LOGIN_FAILED:
	case GR_AUDIT_LOGIN_REFUSED: person->failed++; return 0;
	case GR_AUDIT_EGRESS_REQUEST: person->requests++; return take_host(reading, person, line);
	case GR_AUDIT_EGRESS_REFUSED: person->refused++; return 0;
	default: return 0;
	}
}

/* ---- by group ---- */

static struct gr_report_group *group_of(struct gr_report *report, const char *name)
{
	for (size_t i = 0; i < report->count; i++)
		if (strcmp(report->groups[i].name, name) == 0)
			return &report->groups[i];
	struct gr_report_group *more = reallocarray(report->groups, report->count + 1, sizeof(*more));
	if (!more)
		return NULL;
	report->groups = more;
	memset(&more[report->count], 0, sizeof(*more));
	snprintf(more[report->count].name, sizeof(more->name), "%s", name);
	return &more[report->count++];
}

struct hosts {
	void **into;
	uint64_t count;
	int failed;
};

static void unite(const void *node, VISIT which, void *context)
{
	struct hosts *hosts = context;
	int made;
	if (which != postorder && which != leaf)
		return;
	if (!find_or_make(hosts->into, *(const char *const *)node, 1, &made))
		hosts->failed = 1;
	hosts->count += (uint64_t)made;
}

static int add_person(struct gr_report *report, struct person *person, void **all_hosts, struct gr_error *err)
{
	/* Somebody whom only an administrator's action names. */
	if (!person->attached && !person->requests && !person->refused && !person->failed)
		return 0;
	struct gr_report_group *group = group_of(report, !person->grouped   ? "（不明）"
							 : person->group[0] ? person->group
									    : "（課なし）");
	if (!group)
		return gr_error_set(err, GR_ENOMEM, "no memory for the report");
	struct hosts hosts = { .into = &group->host_names }, all = { .into = all_hosts };
	twalk_r(person->hosts, unite, &hosts);
	twalk_r(person->hosts, unite, &all);
	if (hosts.failed || all.failed)
		return gr_error_set(err, GR_ENOMEM, "no memory for the report");
	struct gr_report_group *sums[] = { group, &report->total };
	uint64_t new_hosts[] = { hosts.count, all.count };
	for (unsigned i = 0; i < 2; i++) {
		sums[i]->persons += (uint64_t)person->attached;
		sums[i]->seconds += person->seconds;
		sums[i]->attachments += person->attachments;
		sums[i]->requests += person->requests;
		sums[i]->refused += person->refused;
		sums[i]->failed += person->failed;
		sums[i]->hosts += new_hosts[i];
	}
	return 0;
}

static int by_group(const void *a, const void *b)
{
	return strcmp(((const struct gr_report_group *)a)->name, ((const struct gr_report_group *)b)->name);
}

static int sum_up(struct reading *reading)
{
	struct gr_report *report = reading->report;
	void *all_hosts = NULL;
	int status = 0;
	while (reading->first) {
		struct person *person = reading->first;
		reading->first = person->next;
		if (status == 0)
			status = add_person(report, person, &all_hosts, &reading->err);
		tdestroy(person->hosts, free);
		person->hosts = NULL;
	}
	if (status == 0 && reading->unknown_failed) {
		struct gr_report_group *group = group_of(report, "（不明）");
		if (group)
			group->failed += reading->unknown_failed;
		report->total.failed += reading->unknown_failed;
	}
	for (size_t i = 0; i < report->count; i++) {
		tdestroy(report->groups[i].host_names, free);
		report->groups[i].host_names = NULL;
	}
	if (report->count)
		qsort(report->groups, report->count, sizeof(*report->groups), by_group);
	tdestroy(all_hosts, free);
	return status;
}

static int read_month(struct gr_report *report, struct gr_tool_log *log, struct gr_error *err)
{
	struct reading reading = { .report = report };
	struct gr_audit_criteria criteria = { .person = NULL };
	struct gr_tool_query query;
	struct gr_tool_record record;
	gr_tool_time_of(report->from, criteria.from);
	gr_tool_time_of(report->to, criteria.to);
	int more = gr_tool_query_open(&query, log, &criteria, &reading.err);
	uint64_t span = query.end > query.last ? query.end - query.last : 1, begin = query.last;
	while (more >= 0 && (more = gr_tool_query_next(&query, &record, &reading.err)) == 1) {
		more = take_record(&reading, &record.line);
		if (record.line.sequence % 65536 == 0)
			gr_tool_progress("reading", record.line.sequence - begin, span);
	}
	gr_tool_progress("", 0, 0);
	gr_tool_query_close(&query);
	/* Who is still there was there until the month's end, when the record goes on behind it, or until its own end. */
	time_t end = query.last < gr_audit_index_last(log->index) ? report->to : reading.last;
	close_all(&reading, end);
	int status = sum_up(&reading);
	tdestroy(reading.persons, free);
	*err = reading.err;
	return more < 0 ? more : status;
}

static int read_month_name(const char *text, struct gr_report *report)
{
	struct tm tm = { .tm_mday = 1, .tm_isdst = -1 };
	if (strlen(text) != 7 || sscanf(text, "%4u-%2u", &report->year, &report->month) != 2 || text[4] != '-' ||
	    report->month < 1 || report->month > 12 || report->year < 1970)
		return GR_EINVAL;
	tm.tm_year = (int)report->year - 1900;
	tm.tm_mon = (int)report->month - 1;
	report->from = mktime(&tm);
	memset(&tm, 0, sizeof(tm));
	tm.tm_mday = 1;
	tm.tm_isdst = -1;
	tm.tm_year = (int)report->year - 1900;
	tm.tm_mon = (int)report->month;
	report->to = mktime(&tm);
	report->made = time(NULL);
	return 0;
}

static int write_file(const char *file, void (*print)(FILE *, const struct gr_report *), const struct gr_report *report)
{
	FILE *stream = fopen(file, "we");
	int written = 0;
	if (stream) {
		print(stream, report);
		written = !ferror(stream);
		written = fclose(stream) == 0 && written;
	}
	if (written)
		return GR_TOOL_GOOD;
	fprintf(stderr, "garasu-audit: cannot write %s\n", file);
	return GR_TOOL_FAILED;
}

static int run(const struct gr_tool_command *command, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "month", required_argument, NULL, 'm' },
		{ "csv", required_argument, NULL, 'c' },
		{ "html", required_argument, NULL, 'h' },
		{ "index", required_argument, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};
	static struct gr_tool_log log;
	static struct gr_report report;
	struct gr_error err = { .code = 0 };
	const char *month = NULL, *csv = NULL, *html = NULL, *index = NULL;
	int option;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'm': month = optarg; break;
		case 'c': csv = optarg; break;
		case 'h': html = optarg; break;
		case 'i': index = optarg; break;
		default: return gr_tool_usage(command, "wrong option");
		}
	}
	if (!month || read_month_name(month, &report) != 0)
		return gr_tool_usage(command, "--month wants a month, such as 2026-10");
	if (optind != argc - 1)
		return gr_tool_usage(command, "one directory is wanted");
	if (gr_tool_log_open(&log, argv[optind], &err) != 0)
		return gr_tool_fail(&err);
	int status = gr_tool_log_index(&log, index, &err);
	if (status == 0)
		status = read_month(&report, &log, &err);
	gr_tool_log_close(&log);
	int code = status == 0 ? GR_TOOL_GOOD : gr_tool_fail(&err);
	if (code == GR_TOOL_GOOD && csv)
		code = write_file(csv, gr_report_csv, &report);
	if (code == GR_TOOL_GOOD && html)
		code = write_file(html, gr_report_html, &report);
	if (code == GR_TOOL_GOOD && !csv && !html)
		gr_report_csv(stdout, &report);
	free(report.groups);
	return code;
}

const struct gr_tool_command gr_tool_report = {
	.name = "report",
	.arguments = "DIRECTORY --month YYYY-MM [--csv FILE] [--html FILE] [--index FILE]",
	.help = "sums a month up by group, for people",
	.run = run,
};
