/* garasu-audit verify */
#include "broker/audit/tool/checker.h"
#include "broker/audit/tool/tool.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 32
#define UNBOUND_MAX 2000 /* records: a head is made after 1,000, and a batch may come with it */
#define KNOWN_MAX (256u << 20)

struct verify {
	EVP_PKEY *keys[KEYS_MAX];
	struct gr_check_options options;
	char *known;
};

static void progress(void *context, uint64_t bytes, uint64_t total)
{
	(void)context;
	gr_tool_progress("verifying", bytes, total);
}

static void report_good(const struct gr_check_result *result, const struct gr_check_options *options)
{
	char root[GR_AUDIT_HASH_TEXT];
	gr_audit_hex(result->root, GR_TREE_HASH, root);
	printf("%" PRIu64 " records hold", result->count);
	if (result->first_time[0])
		printf(", from %s to %s", result->first_time, result->last_time);
	printf("\nroot %s\n", root);
	if (result->pruned)
		printf("%" PRIu64 " of them pruned, as prune records say\n", result->pruned);
	if (result->heads == 0)
		printf("no tree head");
	else
		printf("%" PRIu64 " tree heads%s", result->heads,
		       options->key_count ? ", all signed with the keys given" : "; signatures not checked: no --key");
	if (result->known)
		printf("; %" PRIu64 " known heads fit", result->known);
	if (options->tsa_ca)
		printf("; %" PRIu64 " time-stamp tokens", result->tokens);
	printf("\n");
	if (result->bound < result->count)
		printf("records %" PRIu64 " to %" PRIu64 " are not bound by a tree head yet\n", result->bound + 1,
		       result->count);
	if (result->count - result->bound > UNBOUND_MAX)
		printf("WARNING: these are more than the broker leaves without one: tree heads may have been taken "
		       "away\n");
	if (result->sums_missing)
		printf("%" PRIu64 " sums are missing (the broker makes them anew)\n", result->sums_missing);
}

static void report_bad(const struct gr_check_result *result)
{
	fflush(stdout);
	fprintf(stderr, "DOES NOT HOLD: %s", result->file);
	if (result->line)
		fprintf(stderr, " line %" PRIu64, result->line);
	if (result->sequence && result->until > result->sequence)
		fprintf(stderr, ", records %" PRIu64 " to %" PRIu64, result->sequence, result->until);
	else if (result->sequence)
		fprintf(stderr, ", record %" PRIu64, result->sequence);
	fprintf(stderr, ": %s\n", result->what);
}

static int check(const struct verify *verify, const char *directory)
{
	struct gr_check_result result;
	struct gr_error err = { .code = 0 };
	int status = gr_check_log(directory, &verify->options, &result, &err);
	gr_tool_progress("", 0, 0);
	if (status == GR_EPROTO) {
		report_bad(&result);
		return GR_TOOL_BAD;
	}
	if (status != 0)
		return gr_tool_fail(&err);
	report_good(&result, &verify->options);
	return GR_TOOL_GOOD;
}

/* A head itself, or a file of heads. */
static int take_known(struct verify *verify, const char *value, struct gr_error *err)
{
	size_t n;
	free(verify->known);
	verify->options.known_name = "--head";
	if (strstr(value, "head size=")) {
		verify->known = strdup(value);
	} else {
		verify->known = gr_tool_read(value, KNOWN_MAX, &n, err);
		if (verify->known && !strstr(verify->known, "head size=")) {
			gr_error_set(err, GR_EINVAL, "%s: there is no tree head in it", value);
			free(verify->known);
			verify->known = NULL;
		}
		verify->options.known_name = value;
	}
	verify->options.known = verify->known;
	return verify->known ? 0 : GR_EINVAL;
}

static int parse(const struct gr_tool_command *command, struct verify *verify, int argc, char **argv)
{
	static const struct option options[] = {
		{ "key", required_argument, NULL, 'k' },
		{ "head", required_argument, NULL, 'd' },
		{ "tsa-ca", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	struct gr_error err = { .code = 0 };
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'k':
			if (verify->options.key_count == KEYS_MAX)
				return gr_tool_usage(command, "too many keys");
			EVP_PKEY *key = gr_tool_key(optarg, &err);
			if (!key)
				return gr_tool_fail(&err);
			verify->keys[verify->options.key_count++] = key;
			break;
		case 'd':
			if (take_known(verify, optarg, &err) != 0)
				return gr_tool_fail(&err);
			break;
		case 't': verify->options.tsa_ca = optarg; break;
		default: return gr_tool_usage(command, "wrong option");
		}
	}
	if (optind != argc - 1)
		return gr_tool_usage(command, "one directory is wanted");
	return 0;
}

static int run(const struct gr_tool_command *command, int argc, char **argv)
{
	static struct verify verify;
	verify.options.keys = verify.keys;
	verify.options.progress = progress;
	int code = parse(command, &verify, argc, argv);
	if (code == 0)
		code = check(&verify, argv[optind]);
	for (size_t i = 0; i < verify.options.key_count; i++)
		EVP_PKEY_free(verify.keys[i]);
	free(verify.known);
	return code;
}

const struct gr_tool_command gr_tool_verify = {
	.name = "verify",
	.arguments = "DIRECTORY [--key FILE]... [--head FILE|LINE] [--tsa-ca FILE]",
	.help = "checks every record, the chain, the tree, its heads and time stamps",
	.run = run,
};
