/* garasu-broker: the command line around the supervisor. */
#include "broker/config/check.h"
#include "broker/supervisor/instance.h"
#include "broker/supervisor/policy.h"
#include "broker/supervisor/supervisor.h"
#include "common/log.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
	"usage: garasu-broker [--config FILE] [--check] [--version]\n"
	"  --config FILE  the configuration (" GR_CONFIG_DEFAULT_FILE ")\n"
	"  --check        look at the configuration and what it names, tell each problem, and end\n";

static void print_finding(void *context, int warning, const char *finding)
{
	(void)context;
	(void)warning;
	fprintf(stderr, "%s\n", finding);
}

static void log_finding(void *context, int warning, const char *finding)
{
	(void)context;
	gr_log(warning ? GR_LOG_WARNING : GR_LOG_ERROR, "%s", finding);
}

/* Where the other programs are, seen from this one: the same in the build folder and installed. */
static int find_programs(char out[PATH_MAX], struct gr_error *err)
{
	char self[PATH_MAX], joined[PATH_MAX + 32];
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (size <= 0)
		return gr_error_errno(err, "cannot find the broker's own program");
	self[size] = '\0';
	*strrchr(self, '/') = '\0';
	snprintf(joined, sizeof(joined), "%s/../libexec/garasu", self);
	if (!realpath(joined, out))
		return gr_error_errno(err, "the broker's other programs are not in %s", joined);
	return 0;
}

static int check(const struct gr_config *config)
{
	unsigned count = gr_check(config, print_finding, NULL);

	if (count) {
		fprintf(stderr, "%s: %u problem%s\n", config->file, count, count == 1 ? "" : "s");
		return 1;
	}
	printf("%s: no problem found\n", config->file);
	return 0;
}

static int run(const struct gr_config *config, struct gr_policy_text *text)
{
	struct gr_supervisor *supervisor;
	struct gr_instance instance;
	char programs[PATH_MAX];
	struct gr_error err;
	int rc;

	if (geteuid() != 0) {
		gr_log_error("the broker must be started by root: it gives each of its processes a user id of its own");
		return 1;
	}
	umask(022);
	if (gr_check(config, log_finding, NULL) > 0)
		return 1;
	/* Of all that is started from here on, nothing can have more. */
	if (gr_confine_privileged(GR_SUPERVISOR_CAPABILITIES, &err) < 0 || find_programs(programs, &err) < 0 ||
	    gr_instance_begin(&instance, config, &err) < 0) {
		gr_log_error("%s", err.text);
		return 1;
	}
	rc = gr_supervisor_create(config, text, programs, &supervisor, &err);
	if (rc < 0) {
		gr_log_error("%s", err.text);
	} else {
		rc = gr_supervisor_run(supervisor);
		gr_supervisor_destroy(supervisor);
	}
	gr_instance_end(&instance);
	return rc < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, 'k' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct gr_config config;
	static struct gr_policy_text text;
	const char *file = GR_CONFIG_DEFAULT_FILE;
	char resolved[PATH_MAX];
	struct gr_error err;
	int only_check = 0, option;

	gr_log_init("garasu-broker", GR_LOG_INFO);
	while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		switch (option) {
		case 'c': file = optarg; break;
		case 'k': only_check = 1; break;
		case 'v': printf("garasu-broker %s\n", GARASU_VERSION); return 0;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "garasu-broker: \"%s\" is not understood\n%s", argv[optind], usage);
		return 2;
	}
	/* A reload reads it again, by this name: a link may lead elsewhere by then. */
	if (file[0] != '/' && realpath(file, resolved))
		file = resolved;
	if (gr_policy_text_read(&text, file, &err) < 0 || gr_policy_text_parse(&text, file, &config, &err) < 0) {
		fprintf(stderr, "garasu-broker: %s\n", err.text);
		return 1;
	}
	if (only_check)
		return check(&config);
	gr_log_init("garasu-broker", config.broker.log_level);
	return run(&config, &text);
}
