/*
 * garasu-viewer. First of all the process that starts decoders and transports is made (platform_process.h), before any graphics, font or
 * TLS library is loaded with anything that the person owns; this process then is the window (or, headless, just the script).
 */
#include "common/io.h"
#include "common/log.h"
#include "viewer/draw.h"
#include "viewer/factors.h"
#include "viewer/options.h"
#include "viewer/picture.h"
#include "viewer/platform_process.h"
#include "viewer/print.h"
#include "viewer/reconnect.h"
#include "viewer/script.h"
#include "viewer/window.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	struct gr_platform_starter starter;
	unsigned captures; /* files of --capture so far */
};

/*
 * With the person's rights, which the decoder has not. What is there already is not overwritten: a capture is evidence. One has the
 * bytes of one connection: after a cut the next begins, FILE.2 and so on.
 */
static int open_capture(struct program *program, int *fd)
{
	char file[4096];
	if (!program->options.capture)
		return 0;
	int n = program->captures++ ? snprintf(file, sizeof(file), "%s.%u", program->options.capture, program->captures)
				    : snprintf(file, sizeof(file), "%s", program->options.capture);
	*fd = n < (int)sizeof(file) ? open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
	if (*fd >= 0)
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

/* The first time, or again after a cut. */
static int start_processes(struct program *program)
{
	const struct gr_viewer_options *options = &program->options;
	struct gr_viewer *viewer = &program->viewer;
	uint16_t width = viewer->want_width ? viewer->want_width : options->width,
		 height = viewer->want_height ? viewer->want_height : options->height;
	int again = viewer->away.since_us != 0, capture = -1;
	int connect_ms = options->timeout_ms ? options->timeout_ms : CONNECT_MS;
	if (!options->headless && !width) {
		width = WINDOW_WIDTH; /* corrected as soon as the window is open */
		height = WINDOW_HEIGHT;
	}
	if (again && connect_ms > GR_RECONNECT_CONNECT_MS)
		connect_ms = GR_RECONNECT_CONNECT_MS;
	if (open_capture(program, &capture)) {
		gr_viewer_end(viewer, GR_FAIL_OUTPUT_FILE, 0, "capture");
		return -1;
	}
	int status = gr_platform_start(&program->starter, viewer, width, height, connect_ms, capture);
	gr_io_close(&capture);
	if (status)
		gr_viewer_end(viewer, GR_FAIL_INTERNAL, 0, "the viewer's processes cannot be started");
	return status;
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

/* After a cut. Returns ms until it must be looked at again, or -1. */
static int come_back(struct program *program)
{
	int wait_ms = -1;
	if (program->options.reconnect && gr_reconnect_step(&program->viewer, &wait_ms))
		start_processes(program);
	return wait_ms;
}

static void run(struct program *program)
{
	struct gr_viewer *viewer = &program->viewer;
	/* Somebody who looks at a message wants to read it; a script wants the exit code. */
	int stay = program->window && !program->script;
	for (;;) {
		int wait_ms = sooner(gr_viewer_tick(viewer), come_back(program));
		wait_ms = sooner(wait_ms, answer(program));
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
	gr_platform_end(&program->starter);
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

	program.signals = gr_platform_signals();
	if (program.signals < 0 || gr_platform_begin(&program.starter, &program.options, &program.viewer) ||
	    read_factors(&program) || start_processes(&program)) {
		gr_platform_end(&program.starter);
		return 1;
	}

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
