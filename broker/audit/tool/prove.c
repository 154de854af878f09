/* garasu-audit prove, consistency and check-proof */
#include "broker/audit/tool/proof.h"
#include "broker/audit/tool/tool.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 32

static void print_hashes(const uint8_t (*hashes)[GR_TREE_HASH], size_t count)
{
	char text[GR_AUDIT_HASH_TEXT];
	for (size_t i = 0; i < count; i++) {
		gr_audit_hex(hashes[i], GR_TREE_HASH, text);
		printf("hash %s\n", text);
	}
}

static uint64_t number_of(const char *text)
{
	return gr_audit_number(text, strlen(text));
}

static int failed(int status, const struct gr_error *err)
{
	gr_tool_fail(err);
	return status == GR_EPROTO || status == GR_ENOENT ? GR_TOOL_BAD : GR_TOOL_FAILED;
}

static int prove(const struct gr_tool_command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	static struct gr_tool_log log;
	static struct gr_proof proof;
	struct gr_error err = { .code = 0 };
	uint64_t size = 0;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 's')
			return gr_tool_usage(command, "wrong option");
		if (!(size = number_of(optarg)))
			return gr_tool_usage(command, "--size wants the number of records of a tree head");
	}
	if (optind != argc - 2)
		return gr_tool_usage(command, "a directory and a record's number are wanted");
	uint64_t sequence = number_of(argv[optind + 1]);
	if (!sequence)
		return gr_tool_usage(command, "%s is no record's number", argv[optind + 1]);
	if (gr_tool_log_open(&log, argv[optind], &err) != 0)
		return gr_tool_fail(&err);
	int status = gr_proof_inclusion(&proof, &log, sequence, size, &err);
	gr_tool_log_close(&log);
	if (status != 0)
		return failed(status, &err);
	printf("garasu-audit proof: inclusion\nrecord %s\n%s\n", proof.record, proof.head.text);
	print_hashes(proof.hashes, proof.count);
	return GR_TOOL_GOOD;
}

static int consistency(const struct gr_tool_command *command, int argc, char **argv)
{
	static const struct option options[] = { { NULL, 0, NULL, 0 } };
	static struct gr_tool_log log;
	static struct gr_proof proof;
	struct gr_error err = { .code = 0 };
	if (getopt_long(argc, argv, "", options, NULL) != -1)
		return gr_tool_usage(command, "wrong option");
	if (optind != argc - 3)
		return gr_tool_usage(command, "a directory and the sizes of two tree heads are wanted");
	uint64_t old = number_of(argv[optind + 1]), size = number_of(argv[optind + 2]);
	if (!old || !size || old > size)
		return gr_tool_usage(command, "the sizes of two tree heads are wanted, the smaller one first");
	if (gr_tool_log_open(&log, argv[optind], &err) != 0)
		return gr_tool_fail(&err);
	int status = gr_proof_consistency(&proof, &log, old, size, &err);
	gr_tool_log_close(&log);
	if (status != 0)
		return failed(status, &err);
	printf("garasu-audit proof: consistency\n%s\n%s\n", proof.old.text, proof.head.text);
	print_hashes(proof.hashes, proof.count);
	return GR_TOOL_GOOD;
}

static int check(const char *file, EVP_PKEY *const *keys, size_t count)
{
	static struct gr_proof proof;
	struct gr_error err = { .code = 0 };
	size_t n;
	char *text = gr_tool_read(file, GR_PROOF_MAX, &n, &err);
	if (!text)
		return gr_tool_fail(&err);
	int status = gr_proof_read(&proof, text, n, keys, count, &err);
	if (status == 0)
		status = gr_proof_check(&proof, &err);
	free(text);
	if (status != 0) {
		fprintf(stderr, "DOES NOT HOLD: %s\n", err.text);
		return GR_TOOL_BAD;
	}
	if (proof.record[0])
		printf("holds: this record stands at %" PRIu64 " of the %" PRIu64
		       " records that the tree head of %s binds\n%s\n",
		       proof.sequence, proof.head.head.size, proof.head.head.time, proof.record);
	else
		printf("holds: the first %" PRIu64 " of the %" PRIu64
		       " records of %s are those that the tree head of %s binds\n",
		       proof.old.head.size, proof.head.head.size, proof.head.head.time, proof.old.head.time);
	printf(count ? "signed with the key given, %s\n" : "signature not checked: no --key (it names the key %s)\n",
	       proof.head.head.key);
	return GR_TOOL_GOOD;
}

static int check_proof(const struct gr_tool_command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{ "key", required_argument, NULL, 'k' },
		{ NULL, 0, NULL, 0 },
	};
	EVP_PKEY *keys[KEYS_MAX];
	struct gr_error err = { .code = 0 };
	size_t count = 0;
	int option, code = 0;
	while (code == 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'k' || count == KEYS_MAX)
			code = gr_tool_usage(command, option == 'k' ? "too many keys" : "wrong option");
		else if (!(keys[count] = gr_tool_key(optarg, &err)))
			code = gr_tool_fail(&err);
		else
			count++;
	}
	if (code == 0)
		code = optind == argc - 1 ? check(argv[optind], keys, count)
					  : gr_tool_usage(command, "one file is wanted, - for the standard input");
	for (size_t i = 0; i < count; i++)
		EVP_PKEY_free(keys[i]);
	return code;
}

const struct gr_tool_command gr_tool_prove = {
	.name = "prove",
	.arguments = "DIRECTORY N [--size SIZE]",
	.help = "proves that record N is bound by a tree head",
	.run = prove,
};
const struct gr_tool_command gr_tool_consistency = {
	.name = "consistency",
	.arguments = "DIRECTORY SIZE SIZE",
	.help = "proves that a tree head's record only grew until a later one",
	.run = consistency,
};
const struct gr_tool_command gr_tool_check_proof = {
	.name = "check-proof",
	.arguments = "FILE|- [--key FILE]...",
	.help = "checks what prove and consistency print, without the record",
	.run = check_proof,
};
