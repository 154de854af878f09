/* garasu-guard: checks a captured stream (garasu-viewer --capture) against the grammar of what may cross; needs nothing else. */
#include "broker/guard/guard.h"
#include "common/error.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GOOD = 0, VIOLATION = 1, WRONG_USAGE = 2, CUT_SHORT = 3 };

#define HISTORY_LOG2_MAX 25 /* docs/PROTOCOL.md §4.1 */
#define SHOWN_MAX 16 /* bytes of a violation */

static int usage(FILE *to)
{
	fputs("usage: garasu-guard [--geometry WxH] [--lax] FILE\n"
	      "Checks what a viewer received from its broker, from ServerInit on, against the grammar of what may "
	      "cross.\n"
	      "  --geometry WxH  the largest screen that is permitted (default: 8192x8192)\n"
	      "  --lax           do not inflate: check headers, lengths and the structure of JPEG only\n"
	      "Exit status: 0 all of it is in the grammar, 1 it is not (the offset and the rule are told), 2 wrong "
	      "usage or a\n"
	      "file that cannot be read, 3 in the grammar, but the last element is cut short.\n",
	      to);
	return WRONG_USAGE;
}

static bool parse_geometry(const char *text, uint16_t *w, uint16_t *h)
{
	char *end;
	unsigned long width = strtoul(text, &end, 10);
	if (end == text || (*end != 'x' && *end != 'X'))
		return false;
	const char *second = end + 1;
	unsigned long height = strtoul(second, &end, 10);
	if (end == second || *end || *text == '-' || *second == '-' || width < 1 || height < 1 ||
	    width > GR_SCREEN_MAX || height > GR_SCREEN_MAX)
		return false;
	*w = (uint16_t)width;
	*h = (uint16_t)height;
	return true;
}

static void tell_violation(const char *file, const struct gr_guard_violation *violation)
{
	printf("%s: offset %" PRIu64 ": %s:", file, violation->offset, violation->rule);
	for (size_t i = 0; i < violation->n && i < SHOWN_MAX; i++)
		printf(" %02x", violation->bytes[i]);
	puts(violation->n > SHOWN_MAX ? " ..." : "");
}

static void tell_tally(const char *file, const struct gr_guard_tally *t)
{
	printf("%s: %" PRIu64 " bytes, all in the grammar: %" PRIu64 " updates with %" PRIu64 " HISTORY, %" PRIu64
	       " PHOTO, %" PRIu64 " Tight, %" PRIu64 " CopyRect; %" PRIu64 " cursors, %" PRIu64 " sizes, %" PRIu64
	       " fences, %" PRIu64 " carets, %" PRIu64 " text results, %" PRIu64 " printing, %" PRIu64
	       " clipboards, %" PRIu64 " notices\n",
	       file, t->bytes, t->updates, t->histories, t->photos, t->tights, t->copies, t->cursors, t->sizes,
	       t->fences, t->carets, t->text_results, t->pages, t->clipboards, t->notices);
}

static int check(struct gr_guard *guard, const char *file, int fd)
{
	ssize_t got;
	do {
		size_t room, passed;
		uint8_t *to = gr_guard_down_room(guard, &room);
		if (!to) {
			fprintf(stderr, "garasu-guard: out of memory\n");
			return WRONG_USAGE;
		}
		got = read(fd, to, room);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			fprintf(stderr, "%s: cannot read: %s\n", file, strerror(errno));
			return WRONG_USAGE;
		}
		int status = gr_guard_down_took(guard, (size_t)got);
		if (status == GR_ENOMEM) {
			fprintf(stderr, "garasu-guard: out of memory\n");
			return WRONG_USAGE;
		}
		if (status) {
			tell_violation(file, gr_guard_violation(guard));
			return VIOLATION;
		}
		gr_guard_down_passed(guard, &passed);
		gr_guard_down_sent(guard, passed);
	} while (got != 0);

	const struct gr_guard_tally *tally = gr_guard_down_tally(guard);
	if (tally->sizes == 0 || gr_guard_down_held(guard)) {
		printf("%s: offset %" PRIu64 ": cut short: %zu bytes that are not yet a whole element\n", file,
		       tally->bytes, gr_guard_down_held(guard));
		return CUT_SHORT;
	}
	tell_tally(file, tally);
	return GOOD;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "geometry", required_argument, NULL, 'g' },
		{ "lax", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	struct gr_guard_settings settings = { .max_width = GR_SCREEN_MAX,
					      .max_height = GR_SCREEN_MAX,
					      .history_log2 = HISTORY_LOG2_MAX,
					      .strict = true };
	int option;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'h': return usage(stdout), GOOD;
		case 'v': return puts("garasu-guard " GARASU_VERSION), GOOD;
		case 'l': settings.strict = false; break;
		case 'g':
			if (parse_geometry(optarg, &settings.max_width, &settings.max_height))
				break;
			fputs("garasu-guard: --geometry wants WIDTHxHEIGHT, each 1 to 8192\n", stderr);
			return WRONG_USAGE;
		default: return usage(stderr);
		}
	}
	if (optind != argc - 1)
		return usage(stderr);
	const char *file = argv[optind];
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		fprintf(stderr, "%s: cannot open: %s\n", file, strerror(errno));
		return WRONG_USAGE;
	}
	struct gr_guard *guard = gr_guard_create(&settings);
	int code = WRONG_USAGE;
	if (guard) {
		gr_guard_assume_viewer(guard, true);
		code = check(guard, file, fd);
	} else {
		fputs("garasu-guard: out of memory\n", stderr);
	}
	gr_guard_destroy(guard);
	close(fd);
	return fflush(stdout) == 0 ? code : WRONG_USAGE;
}
