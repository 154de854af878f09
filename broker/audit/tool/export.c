/* garasu-audit export: JSON Lines, and CEF as syslog servers get it. */
#include "broker/audit/tool/tool.h"
#include "broker/forward/message.h"

#include <getopt.h>
#include <inttypes.h>
#include <string.h>

static int is_number(enum gr_audit_field field)
{
	return field == GR_AUDIT_FIELD_SEQ || field == GR_AUDIT_FIELD_MONO || field == GR_AUDIT_FIELD_CONTAINER ||
	       field == GR_AUDIT_FIELD_CONNECTION || field == GR_AUDIT_FIELD_DOWN || field == GR_AUDIT_FIELD_UP;
}

static void print_json(const struct gr_tool_record *record)
{
	char value[GR_AUDIT_LINE_MAX];
	const char *before = "{";
	for (unsigned field = 0; field < GR_AUDIT_FIELDS; field++) {
		if (!record->line.fields[field].start)
			continue;
		printf("%s\"%s\":", before, gr_audit_fields[field]);
		gr_tool_value(&record->line, field, value, sizeof(value));
		if (is_number(field))
			fputs(value, stdout);
		else
			gr_tool_json(stdout, value);
		before = ",";
	}
	puts("}");
}

/* What a syslog server is sent, without syslog's own header. */
static void print_cef(const struct gr_tool_record *record)
{
	static struct gr_forward_form form;
	static char message[GR_FORWARD_MESSAGE_MAX];
	if (form.format != GR_FORMAT_CEF)
		gr_forward_form_init(&form, GR_FORMAT_CEF, "-");
	size_t n = gr_forward_record(&form, &record->line, record->bytes, record->length, message);
	const char *start = n ? memmem(message, n, "CEF:0|", 6) : NULL;
	if (start)
		fwrite(start, 1, n - (size_t)(start - message), stdout);
	fputc('\n', stdout);
}

static int print_all(struct gr_tool_log *log, const struct gr_audit_criteria *criteria, int cef)
{
	struct gr_tool_query query;
	struct gr_tool_record record = { .bytes = "" };
	struct gr_error err = { .code = 0 };
	int more = gr_tool_query_open(&query, log, criteria, &err);
	if (more == 0)
		more = gr_tool_query_next(&query, &record, &err);
	while (more == 1) {
		if (cef)
			print_cef(&record);
		else
			print_json(&record);
		more = gr_tool_query_next(&query, &record, &err);
	}
	gr_tool_query_close(&query);
	return more < 0 ? gr_tool_fail(&err) : GR_TOOL_GOOD;
}

static int run(const struct gr_tool_command *command, int argc, char **argv)
{
	static const struct option long_options[] = {
		GR_TOOL_CRITERIA,
		{ "format", required_argument, NULL, 'F' },
		{ NULL, 0, NULL, 0 },
	};
	static struct gr_tool_options options;
	static struct gr_tool_log log;
	struct gr_error err = { .code = 0 };
	const char *format = NULL;
	int option;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (gr_tool_option(&options, option, optarg))
			continue;
		if (option != 'F')
			return gr_tool_usage(command, "wrong option");
		format = optarg;
	}
	if (options.wrong)
		return gr_tool_usage(command, "%s", options.wrong);
	if (!format || (strcmp(format, "jsonl") != 0 && strcmp(format, "cef") != 0))
		return gr_tool_usage(command, "--format wants jsonl or cef");
	if (optind != argc - 1)
		return gr_tool_usage(command, "one directory is wanted");
	if (gr_tool_log_open(&log, argv[optind], &err) != 0)
		return gr_tool_fail(&err);
	int code = gr_tool_log_index(&log, options.index, &err) == 0
			   ? print_all(&log, &options.criteria, strcmp(format, "cef") == 0)
			   : gr_tool_fail(&err);
	gr_tool_log_close(&log);
	return code;
}

const struct gr_tool_command gr_tool_export = {
	.name = "export",
	.arguments = "DIRECTORY --format jsonl|cef " GR_TOOL_CRITERIA_USAGE,
	.help = "prints records as JSON Lines or CEF",
	.run = run,
};
