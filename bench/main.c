/* garasu-bench: how many bytes and how much time screens take, ours against libvncserver's, on recorded traces. */
#include "bench/capture.h"
#include "bench/report.h"
#include "bench/worker.h"
#include "broker/encode/encode.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	EXIT_BAD = 1, /* a trace failed, or its last frame is not exact */
	EXIT_USAGE = 2,
	INTERVAL_MS = 16,
	REPEAT_MAX = 100,
};

static int usage(FILE *to)
{
	fputs("usage: garasu-bench encode [options] TRACE...\n"
	      "       garasu-bench record [options] DISPLAY FILE\n"
	      "encode: replays recorded screens through the encoder, and in the same run through a peer\n"
	      "  --out garasu|tight          what the encoder writes (garasu)\n"
	      "  --history 20..25            log2 of the bytes of history (24)\n"
	      "  --photo-quality 0..100      of photographs shown for the first time; 0: everything lossless (82)\n"
	      "  --video-quality 1..100      of what changes all the time (60)\n"
	      "  --refine-after MS           until a lossy area is sent exactly; 0: never (1500)\n"
	      "  --peer libvncserver|none    whom to compare with (libvncserver)\n"
	      "  --peer-damage true|raw      what the peer is told: what truly changed, or the damage as reported "
	      "(true)\n"
	      "  --json FILE                 write the figures there too\n"
	      "  --repeat 1..100             times are those of the best of so many runs (1)\n"
	      "  --no-verify                 decode nothing afterwards: bytes and times only\n"
	      "record: writes a trace of an X display until SIGINT\n"
	      "  --seconds N                 stop after so long\n"
	      "  --interval-ms N             at least so long between two frames (16)\n"
	      "Exit status: 0 all is well, 1 a trace failed or did not end exact, 2 wrong usage.\n",
	      to);
	return EXIT_USAGE;
}

static int wrong(const char *option, const char *wants)
{
	fprintf(stderr, "garasu-bench: --%s wants %s\n", option, wants);
	return EXIT_USAGE;
}

static int parse_number(const char *text, unsigned min, unsigned max, unsigned *out)
{
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (end == text || *end || errno || text[0] == '-' || value < min || value > max)
		return GR_EINVAL;
	*out = (unsigned)value;
	return 0;
}

/* 0: the first word, 1: the second, or GR_EINVAL. */
static int choose(const char *text, const char *first, const char *second)
{
	if (strcmp(text, first) == 0)
		return 0;
	return strcmp(text, second) == 0 ? 1 : GR_EINVAL;
}

static int replay_all(const struct gr_replay_options *options, char **paths, size_t count, const char *json)
{
	struct gr_error err = { .code = 0 };
	struct gr_bench_result *results = calloc(count, sizeof(*results));
	if (!results) {
		fputs("garasu-bench: out of memory\n", stderr);
		return EXIT_BAD;
	}
	struct gr_bench_result total = { .name = "total",
					 .has_peer = options->with_peer,
					 .out.exact_final = options->verify ? 1 : -1,
					 .peer.exact_final = options->verify ? 1 : -1 };
	int status = 0;
	size_t whole = 0;
	for (size_t i = 0; i < count; i++) {
		if (gr_replay(paths[i], options, &results[i], &err)) {
			snprintf(results[i].failure, sizeof(results[i].failure), "%s", err.text);
			fprintf(stderr, "garasu-bench: %s: %s\n", paths[i], err.text);
			status = EXIT_BAD;
			continue;
		}
		whole++;
		if (results[i].out.exact_final == 0) {
			fprintf(stderr, "garasu-bench: %s: the last frame is not exact after the refinement\n",
				paths[i]);
			status = EXIT_BAD;
		}
		gr_bench_result_sort(&results[i]);
		if (gr_bench_result_join(&total, &results[i])) {
			fputs("garasu-bench: out of memory\n", stderr);
			status = EXIT_BAD;
		}
	}
	gr_bench_result_sort(&total);
	const struct gr_report report = { options, results, count, &total };
	if (whole)
		gr_report_table(&report, stdout);
	if (fflush(stdout) != 0)
		status = EXIT_BAD;
	if (json && gr_report_json(&report, json, &err)) {
		fprintf(stderr, "garasu-bench: %s\n", err.text);
		status = EXIT_BAD;
	}
	for (size_t i = 0; i < count; i++)
		gr_bench_result_finish(&results[i]);
	gr_bench_result_finish(&total);
	free(results);
	return status;
}

static int encode_main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "out", required_argument, NULL, 'o' },
		{ "history", required_argument, NULL, 'i' },
		{ "photo-quality", required_argument, NULL, 'q' },
		{ "video-quality", required_argument, NULL, 'v' },
		{ "refine-after", required_argument, NULL, 'r' },
		{ "peer", required_argument, NULL, 'p' },
		{ "peer-damage", required_argument, NULL, 'd' },
		{ "json", required_argument, NULL, 'j' },
		{ "repeat", required_argument, NULL, 'e' },
		{ "no-verify", no_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct gr_replay_options options = {
		.codec = { .garasu = 1,
			   .history_log2 = GR_ENCODE_HISTORY_LOG2,
			   .photo_quality = GR_ENCODE_PHOTO_QUALITY,
			   .video_quality = GR_ENCODE_VIDEO_QUALITY,
			   .refine_after_ms = GR_ENCODE_REFINE_AFTER_MS },
		.with_peer = 1,
		.verify = 1,
		.repeat = 1,
	};
	const char *json = NULL;
	int option, chosen;
	while ((option = getopt_long(argc, argv, "h", names, NULL)) != -1) {
		switch (option) {
		case 'o':
			if ((chosen = choose(optarg, "tight", "garasu")) < 0)
				return wrong("out", "garasu or tight");
			options.codec.garasu = chosen;
			break;
		case 'i':
			if (parse_number(optarg, GR_ENCODE_HISTORY_MIN, GR_ENCODE_HISTORY_MAX,
					 &options.codec.history_log2))
				return wrong("history", "a number from 20 to 25");
			break;
		case 'q':
			if (parse_number(optarg, 0, 100, &options.codec.photo_quality))
				return wrong("photo-quality", "a number from 0 to 100");
			break;
		case 'v':
			if (parse_number(optarg, 1, 100, &options.codec.video_quality))
				return wrong("video-quality", "a number from 1 to 100");
			break;
		case 'r':
			if (parse_number(optarg, 0, 3600000, &options.codec.refine_after_ms))
				return wrong("refine-after", "milliseconds, at most 3600000");
			break;
		case 'p':
			if ((chosen = choose(optarg, "none", "libvncserver")) < 0)
				return wrong("peer", "libvncserver or none");
			options.with_peer = chosen;
			break;
		case 'd':
			if ((chosen = choose(optarg, "true", "raw")) < 0)
				return wrong("peer-damage", "true or raw");
			options.peer_raw = chosen;
			break;
		case 'e':
			if (parse_number(optarg, 1, REPEAT_MAX, &options.repeat))
				return wrong("repeat", "a number from 1 to 100");
			break;
		case 'j': json = optarg; break;
		case 'n': options.verify = 0; break;
		case 'h': return usage(stdout), 0;
		default: return usage(stderr);
		}
	}
	if (optind == argc) {
		fputs("garasu-bench: no trace is named\n", stderr);
		return usage(stderr);
	}
	gr_worker_prepare();
	return replay_all(&options, argv + optind, (size_t)(argc - optind), json);
}

static int record_main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "seconds", required_argument, NULL, 's' },
		{ "interval-ms", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct gr_capture_options options = { .interval_ms = INTERVAL_MS };
	int option;
	while ((option = getopt_long(argc, argv, "h", names, NULL)) != -1) {
		switch (option) {
		case 's':
			if (parse_number(optarg, 1, 86400, &options.seconds))
				return wrong("seconds", "a number from 1 to 86400");
			break;
		case 'i':
			if (parse_number(optarg, 0, 60000, &options.interval_ms))
				return wrong("interval-ms", "milliseconds, at most 60000");
			break;
		case 'h': return usage(stdout), 0;
		default: return usage(stderr);
		}
	}
	if (optind != argc - 2) {
		fputs("garasu-bench: record wants a display and a file\n", stderr);
		return usage(stderr);
	}
	options.display = argv[optind];
	options.path = argv[optind + 1];
	struct gr_error err = { .code = 0 };
	struct gr_captured captured = { 0 };
	int code = gr_capture(&options, &captured, &err);
	if (code)
		fprintf(stderr, "garasu-bench: %s\n", err.text);
	if (captured.frames)
		printf("%s: %ux%u, %u frames in %.1f s\n", options.path, captured.w, captured.h, captured.frames,
		       captured.seconds);
	return code ? EXIT_BAD : 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0)
		return usage(stdout), 0;
	if (strcmp(command, "--version") == 0)
		return puts("garasu-bench " GARASU_VERSION), 0;
	if (strcmp(command, "encode") == 0)
		return encode_main(argc - 1, argv + 1);
	if (strcmp(command, "record") == 0)
		return record_main(argc - 1, argv + 1);
	return usage(stderr);
}
