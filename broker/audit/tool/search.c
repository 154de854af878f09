/* garasu-audit search and index */
#include "broker/audit/tool/tool.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>

#define LIMIT 1000

static int print_found(struct gr_tool_log *log, const struct gr_tool_options *options, uint64_t limit)
{
	struct gr_tool_query query;
	struct gr_tool_record record = { .bytes = "" };
	struct gr_error err = { .code = 0 };
	uint64_t count = 0;
	int more = gr_tool_query_open(&query, log, &options->criteria, &err);
	if (more == 0)
		more = gr_tool_query_next(&query, &record, &err);
	while (more == 1 && (limit == 0 || count < limit)) {
		fwrite(record.bytes, 1, record.length, stdout);
		fputc('\n', stdout);
		count++;
		more = gr_tool_query_next(&query, &record, &err);
	}
	gr_tool_query_close(&query);
	if (more < 0)
		return gr_tool_fail(&err);
	if (more == 1) {
		fflush(stdout);
		fprintf(stderr, "garasu-audit: there are more than these %" PRIu64 " records (--limit 0 shows all)\n",
			count);
	}
	return count ? GR_TOOL_GOOD : GR_TOOL_BAD;
}

static int search(const struct gr_tool_command *command, int argc, char **argv)
{
	static const struct option long_options[] = {
		GR_TOOL_CRITERIA,
		{ "limit", required_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	static struct gr_tool_options options;
	static struct gr_tool_log log;
	struct gr_error err = { .code = 0 };
	uint64_t limit = LIMIT;
	int option;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		char *end;
		if (gr_tool_option(&options, option, optarg))
			continue;
		if (option != 'l')
			return gr_tool_usage(command, "wrong option");
		limit = strtoull(optarg, &end, 10);
		if (*optarg < '0' || *optarg > '9' || *end)
			return gr_tool_usage(command, "--limit wants a number");
	}
	if (options.wrong)
		return gr_tool_usage(command, "%s", options.wrong);
	if (optind != argc - 1)
		return gr_tool_usage(command, "one directory is wanted");
	if (gr_tool_log_open(&log, argv[optind], &err) != 0)
		return gr_tool_fail(&err);
	int code = gr_tool_log_index(&log, options.index, &err) == 0 ? print_found(&log, &options, limit)
								     : gr_tool_fail(&err);
	gr_tool_log_close(&log);
	return code;
}

const struct gr_tool_command gr_tool_search = {
	.name = "search",
	.arguments = "DIRECTORY " GR_TOOL_CRITERIA_USAGE " [--limit N]",
	.help = "prints the records that have all this, as they stand in the log",
	.run = search,
};

static int make_index(const struct gr_tool_command *command, int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "index", required_argument, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};
	static struct gr_tool_log log;
	struct gr_error err = { .code = 0 };
	const char *file = NULL;
	int option;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option != 'i')
			return gr_tool_usage(command, "wrong option");
		file = optarg;
	}
	if (optind != argc - 1)
		return gr_tool_usage(command, "one directory is wanted");
	if (gr_tool_log_open(&log, argv[optind], &err) != 0)
		return gr_tool_fail(&err);
	int code = GR_TOOL_GOOD;
	if (gr_tool_log_rebuild(&log, file, &err) != 0)
		code = gr_tool_fail(&err);
	else
		printf("%" PRIu64 " records in %s\n", gr_audit_index_last(log.index), log.index_path);
	gr_tool_log_close(&log);
	return code;
}

const struct gr_tool_command gr_tool_index = {
	.name = "index",
	.arguments = "DIRECTORY [--index FILE]",
	.help = "makes the index anew, from the log alone",
	.run = make_index,
};
