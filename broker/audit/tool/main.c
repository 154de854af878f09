/* garasu-audit: checks, searches and proves an audit record, on a copy of its files. */
#include "broker/audit/tool/tool.h"

#include <locale.h>
#include <string.h>

static const struct gr_tool_command *const commands[] = {
	&gr_tool_verify,
	&gr_tool_search,
	&gr_tool_trace,
	&gr_tool_report,
	&gr_tool_export,
	&gr_tool_prove,
	&gr_tool_consistency,
	&gr_tool_check_proof,
	&gr_tool_index,
	&gr_tool_replay,
	NULL,
};

static int usage(FILE *to)
{
	fputs("usage: garasu-audit COMMAND DIRECTORY [ARGUMENTS]\n"
	      "DIRECTORY is a copy of the broker's audit directory.\n",
	      to);
	for (size_t i = 0; commands[i]; i++)
		fprintf(to, "  %-12s %s\n", commands[i]->name, commands[i]->help);
	fputs("garasu-audit COMMAND --help says more; garasu-audit(1) says all.\n"
	      "exit status: 0 good, 1 the record or proof does not hold, or nothing was found, 2 wrong command line, "
	      "3 it could not be done\n",
	      to);
	return GR_TOOL_USAGE;
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "");
	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return usage(stdout), GR_TOOL_GOOD;
	if (strcmp(argv[1], "--version") == 0)
		return puts("garasu-audit " GARASU_VERSION), GR_TOOL_GOOD;
	for (size_t i = 0; commands[i]; i++) {
		if (strcmp(argv[1], commands[i]->name) != 0)
			continue;
		for (int k = 2; k < argc; k++) {
			if (strcmp(argv[k], "--help") == 0)
				return printf("usage: garasu-audit %s %s\n%s\n", commands[i]->name,
					      commands[i]->arguments, commands[i]->help),
				       GR_TOOL_GOOD;
		}
		int code = commands[i]->run(commands[i], argc - 1, argv + 1);
		if (fflush(stdout) != 0 || ferror(stdout)) {
			fputs("garasu-audit: cannot write the output\n", stderr);
			return GR_TOOL_FAILED;
		}
		return code;
	}
	fprintf(stderr, "garasu-audit: there is no command %s\n", argv[1]);
	return usage(stderr);
}
