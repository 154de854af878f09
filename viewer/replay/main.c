/* garasu-replay, which garasu-audit replay starts: shows a recording to an auditor. Runs on the auditor's machine, on copied files. */
#include "common/io.h"
#include "common/log.h"
#include "viewer/messages.h"
#include "viewer/replay/evidence.h"
#include "viewer/replay/export.h"
#include "viewer/replay/key.h"
#include "viewer/replay/player.h"
#include "viewer/replay/window.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
__attribute__((visibility("default"))) const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libX11\nleak:libdbus\nleak:libfontconfig\nleak:libSDL2\n"; /* their own, kept for the process's life */
}
#endif

enum { EXIT_DIFFERENT = 1, EXIT_USAGE = 2, EXIT_FAILED = 3 }; /* as those of garasu-audit */

static const char usage[] = "usage: garasu-audit replay FILE --key KEY [--password-file FILE] [--log DIRECTORY]\n"
			    "           [--check | --png FILE [--at TIME] | --video FILE [--from TIME] [--to TIME] "
			    "[--fps N] | --stream FILE |\n"
			    "            [--from TIME] [--speed N]]\n"
			    "  --key KEY            the auditor's private key: PEM or PKCS #12\n"
			    "  --password-file FILE its password; otherwise the terminal is asked\n"
			    "  --log DIRECTORY      a copy of the audit directory: is this what was recorded?\n"
			    "  --check              only that\n"
			    "  --png FILE           the picture at a moment (the last one)\n"
			    "  --video FILE         a video, .webm or .mp4, by ffmpeg\n"
			    "  --stream FILE        what the viewer was sent, as garasu-viewer --capture keeps it\n"
			    "TIME: 1:30 or 90 from the beginning, or 2026-04-01T10:20:30Z, or with +09:00\n";

struct options {
	const char *file, *key, *password, *log, *png, *video, *stream;
	const char *from, *to, *at; /* as given */
	double speed;
	unsigned frames_per_second;
	int check;
};

static int parse_number(const char *text, double least, double most, double *out)
{
	char *end;

	errno = 0;
	double value = strtod(text, &end);
	if (errno || end == text || *end || !isfinite(value) || value < least || value > most)
		return -1;
	*out = value;
	return 0;
}

static int parse_options(struct options *options, int argc, char **argv)
{
	static const struct option names[] = {
		{ "key", required_argument, NULL, 'k' },    { "password-file", required_argument, NULL, 'w' },
		{ "log", required_argument, NULL, 'l' },    { "check", no_argument, NULL, 'c' },
		{ "png", required_argument, NULL, 'p' },    { "video", required_argument, NULL, 'v' },
		{ "stream", required_argument, NULL, 'r' }, { "from", required_argument, NULL, 'f' },
		{ "to", required_argument, NULL, 't' },     { "at", required_argument, NULL, 'a' },
		{ "speed", required_argument, NULL, 's' },  { "fps", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
	};
	double number;
	int option;

	*options = (struct options){ .speed = 1, .frames_per_second = 10 };
	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (option) {
		case 'k': options->key = optarg; break;
		case 'w': options->password = optarg; break;
		case 'l': options->log = optarg; break;
		case 'c': options->check = 1; break;
		case 'p': options->png = optarg; break;
		case 'v': options->video = optarg; break;
		case 'r': options->stream = optarg; break;
		case 'f': options->from = optarg; break;
		case 't': options->to = optarg; break;
		case 'a': options->at = optarg; break;
		case 's':
			if (parse_number(optarg, 0.25, 64, &options->speed))
				return -1;
			break;
		case 'n':
			if (parse_number(optarg, 1, 25, &number))
				return -1;
			options->frames_per_second = (unsigned)number;
			break;
		case 'h': fputs(usage, stdout); return 1;
		default: return -1;
		}
	}
	int outputs = options->check + !!options->png + !!options->video + !!options->stream;
	if (optind + 1 != argc || !options->key || outputs > 1)
		return -1;
	options->file = argv[optind];
	return 0;
}

/* A moment in words to a position; -1. */
static int position_of(const struct gr_player *player, const char *text, uint64_t *out)
{
	struct tm parts = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
	double seconds = 0, number;

	if (rest) {
		double fraction = 0;
		int hours = 0, minutes = 0, length = 0;
		if (*rest == '.') {
			char *end;
			fraction = strtod(rest, &end);
			rest = end;
		}
		if (!strcmp(rest, "Z"))
			hours = minutes = 0;
		else if (sscanf(rest, "%3d:%2d%n", &hours, &minutes, &length) != 2 || rest[length] ||
			 (*rest != '+' && *rest != '-'))
			return -1;
		if (*rest == '-')
			minutes = -minutes;
		uint64_t wall = (uint64_t)((timegm(&parts) - (time_t)hours * 3600 - (time_t)minutes * 60) * 1000000) +
				(uint64_t)(fraction * 1e6);
		/* Where the wall clock was that last; it may have stepped. */
		*out = 0;
		for (size_t i = 0; i < player->file->count; i++)
			if (player->file->places[i].chunk.wall_us <= wall) {
				uint64_t behind = wall - player->file->places[i].chunk.wall_us;
				uint64_t next = i + 1 < player->file->count ? player->positions[i + 1]
									    : player->duration;
				*out = player->positions[i] + behind < next ? player->positions[i] + behind : next;
			}
		return 0;
	}
	for (int colons = 0; *text; colons++) {
		char part[32];
		size_t length = strcspn(text, ":");
		if (length >= sizeof part || colons > 2)
			return -1;
		memcpy(part, text, length);
		part[length] = '\0';
		if (parse_number(part, 0, 1e9, &number))
			return -1;
		seconds = seconds * 60 + number;
		text += length + (text[length] == ':');
	}
	*out = (uint64_t)(seconds * 1e6);
	*out = *out < player->duration ? *out : player->duration;
	return 0;
}

/* What the record says, in words; *different: it is not what was recorded. */
static void word_verdict(const struct gr_evidence *evidence, char out[400], int *different)
{
	char clock[32];

	*different = evidence->verdict != GR_EVIDENCE_WHOLE && evidence->verdict != GR_EVIDENCE_SO_FAR;
	gr_export_clock(evidence->marked_us, 1, clock);
	switch (evidence->verdict) {
	case GR_EVIDENCE_WHOLE:
		snprintf(out, 400, "%s",
			 gr_text("監査記録のとおりの録画です(最初から最後まで一致)",
				 "This is what was recorded, from beginning to end, as the audit record says"));
		break;
	case GR_EVIDENCE_SO_FAR:
		snprintf(out, 400,
			 gr_text("%s までは監査記録のとおりの録画です(その後の記録はありません)",
				 "This is what was recorded up to %s; the audit record says nothing of what follows"),
			 clock);
		break;
	case GR_EVIDENCE_CUT:
		snprintf(out, 400, "%s",
			 gr_text("途中で切れています。監査記録によると続きがありました",
				 "It is cut off: the audit record says that there was more"));
		break;
	case GR_EVIDENCE_OTHER:
		snprintf(out, 400, "%s",
			 gr_text("監査記録と一致しません。録画されたものとは異なります",
				 "This is NOT what was recorded: the audit record says otherwise"));
		break;
	default:
		snprintf(out, 400, "%s",
			 gr_text("この録画は監査記録にありません", "The audit record does not know this recording"));
		break;
	}
	if (evidence->failure[0]) {
		size_t length = strlen(out);
		snprintf(out + length, 400 - length, " / %s: %.120s",
			 gr_text("録画は障害により中断されました", "the recording ended by a failure"),
			 evidence->failure);
	}
}

/* Every chunk, before anything is shown: how many are authentic. */
static size_t count_authentic(const struct gr_recording_file *file, struct gr_recording_opened *opened)
{
	uint8_t *content = malloc(GR_RECORDING_CHUNK_MAX);
	size_t count = 0;

	while (content && count < file->count && !gr_recording_file_read(file, opened, count, content))
		count++;
	if (content)
		explicit_bzero(content, GR_RECORDING_CHUNK_MAX);
	free(content);
	return count;
}

static void describe(const struct gr_recording_file *file, size_t authentic)
{
	char from[32], to[32];

	gr_export_clock(file->header.wall_us, 1, from);
	gr_export_clock(file->count ? file->places[file->count - 1].chunk.wall_us : file->header.wall_us, 1, to);
	printf(gr_text("録画: 利用者 %s、セッション %016" PRIx64 "、接続 %u、%s から %s まで\n",
		       "recording: person %s, session %016" PRIx64 ", connection %u, from %s to %s\n"),
	       file->header.person, file->header.session, (unsigned)file->header.connection, from, to);
	printf(gr_text("中身: %zu チャンク、%" PRIu64 " バイト。%s\n", "content: %zu chunks, %" PRIu64 " bytes; %s\n"),
	       file->count, file->size,
	       file->ended ? gr_text("正常に終了しています", "ended in good order")
	       : file->behind ? gr_text("書き込みの途中で終わっています", "it stops in the middle of a chunk")
			      : gr_text("終了の記録がありません", "there is no mark of its end"));
	if (authentic < file->count)
		printf(gr_text("警告: %zu 番目のチャンク以降は改ざんされているか、破損しています\n",
			       "WARNING: from chunk %zu on it was changed or damaged\n"),
		       authentic + 1);
	if (!file->header.garasu)
		printf("%s", gr_text("注意: 他社製ビューアの録画です。再生できないことがあります\n",
				     "note: of a viewer of another make; it may not be possible to play it\n"));
}

static int show(const struct options *options, struct gr_player *player, const struct gr_evidence *evidence,
		const char *verdict, int alarm, struct gr_error *err)
{
	uint64_t from = 0, to = player->duration, at = player->duration;

	if ((options->from && position_of(player, options->from, &from)) ||
	    (options->to && position_of(player, options->to, &to)) ||
	    (options->at && position_of(player, options->at, &at)) || to < from)
		return gr_error_set(err, GR_EINVAL, "--from, --to, --at: these times are not understood");
	if (options->png)
		return gr_export_png(player, at, options->png, err);
	if (options->video)
		return gr_export_video(player, from, to, options->frames_per_second, options->video, err);
	if (options->stream)
		return gr_export_stream(player->file, player->opened, options->stream, err);
	struct gr_replay_window window = { .player = player,
					   .evidence = evidence,
					   .verdict = verdict,
					   .alarm = alarm,
					   .from = options->at ? at : from,
					   .speed = options->speed };
	return gr_replay_window_run(&window, err);
}

static int fail(const struct gr_error *err)
{
	fprintf(stderr, "garasu-audit replay: %s\n", err->text);
	return EXIT_FAILED;
}

static int replay(const struct options *options)
{
	static struct gr_recording_file file;
	static struct gr_player player;
	struct gr_recording_opened *opened = NULL;
	struct gr_evidence evidence = { 0 };
	struct gr_error err = { 0 };
	char verdict[400];
	int different = 0, rc;

	int fd = open(options->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		gr_error_errno(&err, "cannot read %s", options->file);
		return fail(&err);
	}
	if (gr_recording_file_load(&file, fd, &err) < 0) {
		gr_error_wrap(&err, "%s", options->file);
		return fail(&err);
	}
	EVP_PKEY *key = gr_replay_key_load(options->key, options->password, &err);
	if (!key)
		return fail(&err);
	rc = gr_recording_open(file.header_bytes, file.header_size, key, &opened);
	EVP_PKEY_free(key);
	if (rc) {
		gr_error_set(&err, rc, "%s",
			     rc == GR_EDENIED ? gr_text("この鍵では復号できません。この録画の監査者の鍵ではないか、録画"
							"が破損しています",
							"this key does not open it: it is none of its auditors', or "
							"the file is damaged")
					      : gr_text("録画の先頭が破損しています", "its header is damaged"));
		return fail(&err);
	}
	size_t authentic = count_authentic(&file, opened);
	describe(&file, authentic);
	different = authentic < file.count;
	if (options->log) {
		int other;
		if (gr_evidence_load(&evidence, options->log, &file, &err) < 0) {
			gr_recording_close(opened);
			return fail(&err);
		}
		word_verdict(&evidence, verdict, &other);
		different |= other;
	} else {
		snprintf(verdict, sizeof verdict, "%s",
			 gr_text("監査記録と照合していません(--log)", "not compared with the audit record (--log)"));
	}
	printf("%s\n", verdict);
	fflush(stdout);
	file.count = authentic; /* nothing that was changed is shown */
	rc = 0;
	if (!options->check) {
		rc = gr_player_init(&player, &file, opened, &err);
		if (!rc)
			rc = show(options, &player, options->log ? &evidence : NULL, verdict, different, &err);
		gr_player_finish(&player);
	}
	gr_evidence_finish(&evidence);
	gr_recording_close(opened);
	gr_recording_file_finish(&file);
	return rc < 0 ? fail(&err) : different ? EXIT_DIFFERENT : 0;
}

int main(int argc, char **argv)
{
	struct options options;

	if (argc == 2 && !strcmp(argv[1], GR_PLAYER_DECODER))
		return gr_player_decoder();
	gr_messages_init();
	gr_log_init("garasu-replay", GR_LOG_INFO);
	signal(SIGPIPE, SIG_IGN);
	int parsed = parse_options(&options, argc, argv);
	if (parsed > 0)
		return 0;
	if (parsed < 0) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	return replay(&options);
}
