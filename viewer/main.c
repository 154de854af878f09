/*
 * garasu-viewer. Forks the decoder and the transport before any graphics, font or TLS library is loaded with
 * anything that the person owns; this process then is the window (or, headless, just the script).
 */
#include "common/io.h"
#include "common/log.h"
#include "viewer/decoder.h"
#include "viewer/draw.h"
#include "viewer/factors.h"
#include "viewer/options.h"
#include "viewer/picture.h"
#include "viewer/print.h"
#include "viewer/script.h"
#include "viewer/transport.h"
#include "viewer/window.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CONNECT_MS = 15000, /* for connecting and for every answer, unless --timeout says otherwise */
	WAIT_MS = 30000, /* for a script's waits, likewise */
	WINDOW_WIDTH = 1280,
	WINDOW_HEIGHT = 800,
};

struct program {
	struct gr_viewer_options options;
	struct gr_viewer viewer;
	struct gr_window *window;
	struct gr_script *script;
	struct gr_print print;
	struct gr_draw *page; /* of the pages' scale; NULL: none was marked yet */
	int signals;
	int factors_ready; /* factors has what --factors says, not given yet */
	struct gr_viewer_factors factors; /* wiped when it was given */
	int capture; /* -1: none; closed in this process after the forks */
	uint32_t *picture; /* writable: unmapped in this process after the forks */
};

/* Sealed, so that neither side can make the other's reads fail by shrinking it. */
static int make_picture(struct program *program)
{
	int fd = memfd_create("garasu-picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)GR_PICTURE_BYTES) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		goto fail;
	void *writable = mmap(NULL, GR_PICTURE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	void *readable = mmap(NULL, GR_PICTURE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (writable == MAP_FAILED || readable == MAP_FAILED)
		goto fail;
	close(fd);
	program->picture = writable;
	program->viewer.picture = readable;
	return 0;
fail:
	perror("garasu-viewer: memory for the picture");
	gr_io_close(&fd);
	return -1;
}

/* With the person's rights, which the decoder has not. What is there already is not overwritten: a capture is evidence. */
static int open_capture(struct program *program)
{
	const char *file = program->options.capture;
	program->capture = -1;
	if (!file)
		return 0;
	program->capture = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (program->capture >= 0)
		return 0;
	fprintf(stderr, "garasu-viewer: %s: %s: %s\n",
		gr_text("--capture で指定したファイルを新しく作れません", "--capture: the file cannot be made"), file,
		errno == EEXIST ? gr_text("すでに存在します", "it exists already") : strerror(errno));
	return -1;
}

static int read_factors(struct program *program)
{
	struct gr_error err = { 0 };
	if (!program->options.factors)
		return 0;
	if (gr_factors_read(program->options.factors, &program->factors, &err)) {
		struct gr_message message = gr_message_get(GR_FAIL_FACTORS_FILE, 0);
		fprintf(stderr, "garasu-viewer: %s%s%s [%s: %s]\n", message.what, gr_messages_japanese() ? "" : " ",
			message.action, message.name, err.text);
		return -1;
	}
	program->factors_ready = 1;
	return 0;
}

/* What every child does first: it ends with this process, and holds only its own descriptors. -1 in keep counts for nothing. */
static void become_child(pid_t parent, const int *keep, size_t count, int keep_stderr)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < (keep_stderr ? 2 : 3); fd++)
		dup2(null, fd);
	for (unsigned from = 3, next; from; from = next + 1) {
		next = ~0U; /* the lowest to be kept from there on */
		for (size_t i = 0; i < count; i++)
			if (keep[i] >= 0 && (unsigned)keep[i] >= from && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		if (next > from)
			close_range(from, next == ~0U ? next : next - 1, 0);
	}
}

#ifdef __SANITIZE_ADDRESS__
#define KEEP_STDERR 1 /* for its reports */
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
#else
#define KEEP_STDERR 0
#endif

static int start_processes(struct program *program)
{
	const struct gr_viewer_options *options = &program->options;
	struct gr_viewer *viewer = &program->viewer;
	int stream[2], decoder[2], transport[2];
	pid_t parent = getpid();
	void *counters = mmap(NULL, sizeof(struct gr_viewer_counters), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counters == MAP_FAILED || gr_io_pair(SOCK_STREAM, stream) || gr_io_pair(SOCK_SEQPACKET, decoder) ||
	    gr_io_pair(SOCK_SEQPACKET, transport)) {
		perror("garasu-viewer: sockets");
		return -1;
	}
	viewer->counters = counters;

	viewer->decoder_pid = fork();
	if (viewer->decoder_pid == 0) {
		become_child(parent, (int[]){ stream[0], decoder[0], program->capture }, 3, KEEP_STDERR);
		struct gr_decoder_settings settings = { .stream = stream[0],
							.window = decoder[0],
							.picture = program->picture,
							.quality = options->quality,
							.history_log2 = options->history_log2,
							.width = options->width,
							.height = options->height,
							.capture = program->capture };
		if (!options->headless && !settings.width) {
			settings.width = WINDOW_WIDTH; /* corrected as soon as the window is open */
			settings.height = WINDOW_HEIGHT;
		}
		prctl(PR_SET_NAME, "garasu-decoder");
		explicit_bzero(&program->factors, sizeof(program->factors)); /* this process's copy */
		munmap((void *)(uintptr_t)viewer->picture, GR_PICTURE_BYTES);
		munmap(counters, sizeof(struct gr_viewer_counters));
		_exit(gr_decoder_run(&settings));
	}
	viewer->transport_pid = viewer->decoder_pid < 0 ? -1 : fork();
	if (viewer->transport_pid == 0) {
		become_child(parent, (int[]){ stream[1], transport[0] }, 2, KEEP_STDERR);
		struct gr_transport_settings settings = {
			.host = options->host,
			.port = options->port,
			.tls = { .certificate = options->certificate,
				 .key = options->key,
				 .ca = options->ca,
				 .crl = options->crl,
				 .server_name = options->server_name },
			.timeout_ms = options->timeout_ms ? options->timeout_ms : CONNECT_MS,
			.stream = stream[1],
			.window = transport[0],
			.counters = counters,
		};
		prctl(PR_SET_NAME, "garasu-transp.");
		explicit_bzero(&program->factors, sizeof(program->factors));
		munmap((void *)(uintptr_t)viewer->picture, GR_PICTURE_BYTES);
		munmap(program->picture, GR_PICTURE_BYTES);
		_exit(gr_transport_run(&settings));
	}
	close(stream[0]);
	close(stream[1]);
	close(decoder[0]);
	close(transport[0]);
	gr_io_close(&program->capture);
	munmap(program->picture, GR_PICTURE_BYTES);
	program->picture = NULL;
	viewer->decoder = decoder[1];
	viewer->transport = transport[1];
	if (viewer->decoder_pid < 0 || viewer->transport_pid < 0) {
		perror("garasu-viewer: fork");
		gr_viewer_finish(viewer);
		return -1;
	}
	return 0;
}

static int scale_headless(const struct program *program)
{
	return program->options.scale ? program->options.scale : 100;
}

static int screenshot_headless(void *context, const char *file, struct gr_error *err)
{
	const struct program *program = context;
	return gr_window_screenshot_headless(&program->viewer, scale_headless(program), file, err);
}

static int picture_headless(void *context, const char *file, struct gr_error *err)
{
	const struct program *program = context;
	return gr_window_picture_headless(&program->viewer, scale_headless(program), file, err);
}

/* Of the policy, as on the screen. */
static void mark_page(void *context, uint32_t *pixels, unsigned width, unsigned height, unsigned dpi)
{
	struct program *program = context;
	if (!(program->viewer.ready & GR_READY_WATERMARK))
		return;
	if (!program->page)
		program->page = gr_draw_create((int)(dpi * 100 / 96));
	if (program->page)
		gr_draw_mark(program->page, pixels, (int)width, (int)height, &program->viewer);
}

/* --screenshot and --wait-idle are a script too. Returns 0 when there is none to make or it is made. */
static int make_script(struct program *program)
{
	const struct gr_viewer_options *options = &program->options;
	int deadline_ms = options->timeout_ms ? options->timeout_ms : WAIT_MS;
	struct gr_script_host host = { .context = program,
				       .screenshot_window = screenshot_headless,
				       .picture = picture_headless };
	if (program->window)
		host = (struct gr_script_host){ .context = program->window,
						.screenshot_window = gr_window_screenshot,
						.picture = gr_window_picture,
						.dialog_key = gr_window_dialog_key,
						.dialog_text = gr_window_dialog_text,
						.resize = gr_window_resize };
	if (options->script) {
		program->script = gr_script_create(&program->viewer, &host, options->script, deadline_ms);
		return program->script ? 0 : -1;
	}
	if (!options->headless && !options->screenshot && !options->screenshot_window)
		return 0;
	char lines[4096] = "wait-first-frame\n", idle[40] = "";
	if (options->wait_idle_ms >= 0)
		snprintf(idle, sizeof(idle), "wait-idle %d\n", options->wait_idle_ms);
	int n = snprintf(lines, sizeof(lines), "wait-first-frame\n%s%s%s%s%s%s%s", idle,
			 options->screenshot ? "screenshot " : "", options->screenshot ? options->screenshot : "",
			 options->screenshot ? "\n" : "", options->screenshot_window ? "screenshot-window " : "",
			 options->screenshot_window ? options->screenshot_window : "",
			 options->screenshot_window ? "\n" : "");
	if (n > 0 && n < (int)sizeof(lines))
		program->script = gr_script_create_fixed(&program->viewer, &host, lines, deadline_ms);
	return program->script ? 0 : -1;
}

/* The smaller of two waits, where -1 is for ever. */
static int sooner(int a, int b)
{
	return a < 0 ? b : b < 0 || a < b ? a : b;
}

/*
 * Gives what --factors has, once; without a window there is nobody else to give anything. Returns ms until it must be looked at
 * again, or -1.
 */
static int answer(struct program *program)
{
	struct gr_viewer *viewer = &program->viewer;
	if (viewer->state != GR_VIEWER_ASKED)
		return -1;
	if (program->factors_ready) {
		unsigned seconds = gr_viewer_seconds_until(viewer->ask.from_us);
		if (program->window)
			gr_window_answered(program->window, 1);
		if (seconds)
			return (int)seconds * 1000;
		if (!(viewer->ask.what & GR_ASK_PASSWORD)) {
			explicit_bzero(program->factors.password, sizeof(program->factors.password));
			program->factors.password_length = 0;
		}
		if (!(viewer->ask.what & GR_ASK_CODE)) {
			explicit_bzero(program->factors.code, sizeof(program->factors.code));
			program->factors.code_length = 0;
		}
		gr_viewer_answer(viewer, &program->factors);
		program->factors_ready = 0;
	} else if (program->window) {
		gr_window_answered(program->window, 0);
	} else if (viewer->ask.reason) {
		gr_viewer_end(viewer, GR_FAIL_REASON, viewer->ask.reason, NULL);
	} else {
		gr_viewer_end(viewer, GR_FAIL_FACTOR_MISSING, 0, NULL);
	}
	return -1;
}

static void run(struct program *program)
{
	struct gr_viewer *viewer = &program->viewer;
	/* Somebody who looks at a message wants to read it; a script wants the exit code. */
	int stay = program->window && !program->script;
	for (;;) {
		int wait_ms = sooner(gr_viewer_tick(viewer), answer(program));
		if (program->script && viewer->state != GR_VIEWER_ENDED)
			wait_ms = sooner(wait_ms, gr_script_step(program->script));
		if (program->window)
			wait_ms = sooner(wait_ms, gr_window_step(program->window));
		else
			viewer->dirty = 0, wait_ms = sooner(wait_ms, gr_print_step(&program->print));
		if (program->script && gr_script_done(program->script))
			return;
		if (program->window && gr_window_closed(program->window))
			return;
		if (viewer->state == GR_VIEWER_ENDED && !stay)
			return;
		gr_viewer_flush(viewer);

		struct pollfd fds[6] = {
			{ .fd = viewer->decoder,
			  .events = (short)(gr_viewer_pending(viewer) ? POLLIN | POLLOUT : POLLIN) },
			{ .fd = viewer->transport, .events = POLLIN },
			{ .fd = program->script ? gr_script_fd(program->script) : -1, .events = POLLIN },
			{ .fd = program->window ? gr_window_fd(program->window) : -1, .events = POLLIN },
			{ .fd = program->signals, .events = POLLIN },
			{ .fd = program->window ? gr_window_ime_fd(program->window) : -1, .events = POLLIN },
		};
		if (poll(fds, 6, wait_ms) > 0) {
			if (fds[4].revents)
				return;
			if (fds[3].revents &
			    (POLLHUP | POLLERR)) { /* the display is gone; Xlib would end the process its own way */
				gr_viewer_end(viewer, GR_FAIL_DISPLAY, 0, "the display is gone");
				return;
			}
			gr_viewer_read_transport(viewer);
			gr_viewer_read_decoder(viewer);
		}
	}
}

static int conclude(struct program *program)
{
	struct gr_viewer *viewer = &program->viewer;
	enum gr_failure failure = viewer->state == GR_VIEWER_ENDED ? viewer->failure : GR_FAIL_NONE;
	if (failure == GR_FAIL_NONE && program->script)
		failure = gr_script_failure(program->script);
	struct gr_message message = gr_message_get(failure, viewer->reason);
	if (failure != GR_FAIL_NONE) {
		char again[200];
		gr_message_again(gr_viewer_seconds_until(viewer->again_us), again, sizeof(again));
		const char *space = gr_messages_japanese() ? "" : " ";
		if (program->options.script)
			printf("error connection %s\n", message.name), fflush(stdout);
		fprintf(stderr, "garasu-viewer: %s%s%s%s%s [%s%s%s]\n", message.what, space, again, *again ? space : "",
			message.action, message.name, *viewer->detail ? ": " : "", viewer->detail);
	}
	gr_viewer_finish(viewer);
	if (program->options.report)
		gr_viewer_report(viewer, message.exit_code);
	return message.exit_code;
}

int main(int argc, char **argv)
{
	static struct program program;
	gr_messages_init();
	gr_log_init("garasu-viewer", GR_LOG_INFO);
	int parsed = gr_viewer_options_parse(&program.options, argc, argv);
	if (parsed)
		return parsed < 0 ? 1 : 0;
	program.viewer.decoder = program.viewer.transport = -1;
	program.viewer.host = program.options.host;
	gr_print_init(&program.print, &program.viewer);
	program.print.mark = mark_page;
	program.print.mark_context = &program;

	/* Blocked in the children too: Ctrl-C in a terminal must not kill them before this process has said goodbye. */
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	program.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (program.signals < 0 || make_picture(&program) || read_factors(&program) || open_capture(&program) ||
	    start_processes(&program))
		return 1;

	struct gr_error err = { 0 };
	if (!program.options.headless && !(program.window = gr_window_create(&program.viewer, &program.options, &err)))
		gr_viewer_end(&program.viewer, GR_FAIL_DISPLAY, 0, err.text);
	else if (make_script(&program))
		gr_viewer_end(&program.viewer, GR_FAIL_INTERNAL, 0, "the script cannot be begun");
	else
		run(&program);
	explicit_bzero(&program.factors, sizeof(program.factors));
	int exit_code = conclude(&program);
	gr_script_destroy(program.script);
	gr_print_finish(&program.print);
	gr_draw_destroy(program.page);
	gr_window_destroy(program.window);
	gr_viewer_options_finish(&program.options);
	return exit_code;
}
