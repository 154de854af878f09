/* garasu-audit-verify: checks an audit record anywhere; needs nothing of the broker but this file and libcrypto. */
#include "broker/audit/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int usage(FILE *to)
{
	fputs("usage: garasu-audit-verify FILE [--head HASH]\n"
	      "Checks every line of an audit record and the chain between them.\n"
	      "  --head HASH  a hash noted earlier (64 hexadecimal digits): some line must still have it\n"
	      "Exit status: 0 the record holds, 1 it does not (or cannot be read), 2 wrong usage.\n",
	      to);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "head", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	const char *head = NULL;
	int option;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h')
			return usage(stdout), 0;
		if (option == 'v')
			return puts("garasu-audit-verify " GARASU_VERSION), 0;
		if (option != 'd')
			return usage(stderr);
		head = optarg;
	}
	if (optind != argc - 1)
		return usage(stderr);
	if (head && (strlen(head) != 64 || strspn(head, "0123456789abcdef") != 64)) {
		fputs("garasu-audit-verify: --head wants 64 lower-case hexadecimal digits\n", stderr);
		return 2;
	}
	const char *file = argv[optind];
	struct gr_error err = { .code = 0 };
	struct gr_audit_verified verified;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		fprintf(stderr, "%s: cannot open: %s\n", file, strerror(errno));
		return 1;
	}
	int status = gr_audit_verify(fd, head, &verified, &err);
	close(fd);
	if (status != 0) {
		fprintf(stderr, "%s: %s\n", file, err.text);
		return 1;
	}
	if (verified.torn) {
		fprintf(stderr,
			"%s: line %" PRIu64 ": it is torn: %" PRIu64 " bytes without a newline at the end (the %" PRIu64
			" lines before it hold)\n",
			file, verified.count + 1, verified.torn, verified.count);
		return 1;
	}
	if (head && !verified.head_found) {
		fprintf(stderr,
			"%s: line %" PRIu64 ": the record ends and no line had the hash %s: it was cut or replaced\n",
			file, verified.count, head);
		return 1;
	}
	if (verified.count == 0)
		printf("0 records\n");
	else
		printf("%" PRIu64 " records, last hash %s, from %s to %s\n", verified.count, verified.last,
		       verified.first_time, verified.last_time);
	return fflush(stdout) == 0 ? 0 : 1;
}
