#include "viewer/script.h"
#include "common/io.h"
#include "viewer/keys.h"
#include "viewer/options.h"
#include "viewer/picture.h"
#include "viewer/print.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LINE_MAX_BYTES = 8192,
	KEYS_AT_ONCE = 8,
};

enum wait {
	WAIT_NOTHING,
	WAIT_FIRST_FRAME,
	WAIT_ASK,
	WAIT_IDLE,
	WAIT_CHANGE,
	WAIT_PIXEL,
	WAIT_SIZE,
	WAIT_TEXT,
	WAIT_TIME,
	WAIT_OFFER,
	WAIT_PAGES,
};

struct gr_script {
	struct gr_viewer *viewer;
	struct gr_script_host host;
	int fd; /* -1: fixed, or at its end */
	int fixed;
	int deadline_ms;
	int ended; /* no more lines will come */
	int quit;
	enum gr_failure failure;
	char buffer[LINE_MAX_BYTES];
	size_t used;
	/* The waiting command. */
	enum wait wait;
	char command[32];
	uint64_t start_us, until_us; /* until: the deadline, or the end of a sleep */
	uint64_t idle_us;
	uint16_t x, y;
	uint32_t rgb;
	uint32_t sequence;
	struct {
		char file[4096]; /* "": only wait for the offer */
		unsigned first, last; /* 0: all pages */
	} print;
};

static struct gr_script *create(struct gr_viewer *viewer, const struct gr_script_host *host, int deadline_ms)
{
	struct gr_script *script = calloc(1, sizeof(*script));
	if (script) {
		script->viewer = viewer;
		script->host = *host;
		script->deadline_ms = deadline_ms;
		script->fd = -1;
	}
	return script;
}

struct gr_script *gr_script_create(struct gr_viewer *viewer, const struct gr_script_host *host, const char *file,
				   int deadline_ms)
{
	struct gr_script *script = create(viewer, host, deadline_ms);
	if (!script)
		return NULL;
	script->fd = strcmp(file, "-") ? open(file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (script->fd < 0) {
		fprintf(stderr, "garasu-viewer: %s: %s\n", file, strerror(errno));
		free(script);
		return NULL;
	}
	return script;
}

struct gr_script *gr_script_create_fixed(struct gr_viewer *viewer, const struct gr_script_host *host, const char *lines,
					 int deadline_ms)
{
	struct gr_script *script = create(viewer, host, deadline_ms);
	size_t length = strlen(lines);
	if (!script || length >= LINE_MAX_BYTES) {
		free(script);
		return NULL;
	}
	memcpy(script->buffer, lines, length);
	script->used = length;
	script->fixed = 1;
	script->ended = 1;
	return script;
}

void gr_script_destroy(struct gr_script *script)
{
	if (!script)
		return;
	if (script->fd > STDIN_FILENO)
		close(script->fd);
	free(script);
}

static void answer(struct gr_script *script, int good, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void answer(struct gr_script *script, int good, const char *format, ...)
{
	char text[600];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	script->wait = WAIT_NOTHING;
	if (script->fixed) {
		if (!good) {
			fprintf(stderr, "garasu-viewer: %s\n", text);
			script->quit = 1;
		}
		return;
	}
	printf("%s %s\n", good ? "ok" : "error", text);
	fflush(stdout);
}

static void begin_wait(struct gr_script *script, enum wait wait, const char *command, int deadline_ms)
{
	script->wait = wait;
	snprintf(script->command, sizeof(script->command), "%s", command);
	script->start_us = gr_viewer_now_us();
	script->until_us = script->start_us + (uint64_t)deadline_ms * 1000;
}

/* Commands. arguments: what stands behind the command's name, never NULL. */

static int is_asked(const struct gr_script *script)
{
	return script->viewer->state == GR_VIEWER_ASKED && script->host.dialog_key && script->host.dialog_text;
}

/* Keys of the dialogue: the modifiers among them are not pressed but said. */
static int dialog_keys(struct gr_script *script, const uint32_t *keysyms, int count)
{
	int shift = 0, control = 0, taken = 0;
	for (int i = 0; i < count; i++) {
		if (keysyms[i] == GR_KEYSYM_SHIFT || keysyms[i] == GR_KEYSYM_SHIFT + 1)
			shift = 1;
		else if (keysyms[i] == GR_KEYSYM_CONTROL || keysyms[i] == GR_KEYSYM_CONTROL + 1)
			control = 1;
		else
			taken |= script->host.dialog_key(script->host.context, keysyms[i], shift, control);
	}
	return taken;
}

static void press(struct gr_script *script, uint32_t keysym, uint8_t xt, int shift)
{
	if (shift)
		gr_viewer_key(script->viewer, GR_KEYSYM_SHIFT, 0x2a, 1);
	gr_viewer_key(script->viewer, keysym, xt, 1);
	gr_viewer_key(script->viewer, keysym, xt, 0);
	if (shift)
		gr_viewer_key(script->viewer, GR_KEYSYM_SHIFT, 0x2a, 0);
}

static void do_key(struct gr_script *script, const char *arguments)
{
	uint32_t keysyms[KEYS_AT_ONCE];
	uint8_t xts[KEYS_AT_ONCE];
	int count = gr_key_parse(arguments, keysyms, xts, KEYS_AT_ONCE);
	if (count < 0) {
		answer(script, 0, "key: unknown key %.100s", arguments);
		return;
	}
	if (is_asked(script)) {
		int taken = dialog_keys(script, keysyms, count);
		answer(script, taken, taken ? "key" : "key: the dialogue is not open");
		return;
	}
	uint32_t keysym;
	uint8_t xt;
	int shift;
	if (count == 1 && arguments[1] == '\0' && !gr_key_of_ascii(arguments[0], &keysym, &xt, &shift)) {
		press(script, keysym, xt, shift);
	} else {
		for (int i = 0; i < count; i++)
			gr_viewer_key(script->viewer, keysyms[i], xts[i], 1);
		for (int i = count; i-- > 0;)
			gr_viewer_key(script->viewer, keysyms[i], xts[i], 0);
	}
	answer(script, 1, "key");
}

static void do_type(struct gr_script *script, const char *arguments)
{
	if (is_asked(script)) {
		int taken = script->host.dialog_text(script->host.context, arguments);
		answer(script, taken, taken ? "type" : "type: the dialogue is not open");
		return;
	}
	uint32_t keysym;
	uint8_t xt;
	int shift;
	for (const char *c = arguments; *c; c++)
		if (gr_key_of_ascii(*c, &keysym, &xt, &shift)) {
			answer(script, 0, "type: ASCII only; use text for the rest");
			return;
		}
	for (const char *c = arguments; *c; c++) {
		gr_key_of_ascii(*c, &keysym, &xt, &shift);
		press(script, keysym, xt, shift);
	}
	answer(script, 1, "type");
}

static void do_text(struct gr_script *script, const char *arguments)
{
	if (!*arguments) {
		answer(script, 0, "text: nothing to send");
		return;
	}
	if (is_asked(script)) {
		int taken = script->host.dialog_text(script->host.context, arguments);
		answer(script, taken, taken ? "text given" : "text: the dialogue is not open");
		return;
	}
	script->sequence = gr_viewer_text(script->viewer, arguments, strlen(arguments));
	begin_wait(script, WAIT_TEXT, "text", script->deadline_ms);
}

static void do_pointer(struct gr_script *script, const char *command, const char *arguments)
{
	struct gr_viewer *viewer = script->viewer;
	int v[5] = { 0 };
	int count = sscanf(arguments, "%d %d %d %d %d", &v[0], &v[1], &v[2], &v[3], &v[4]);
	int drag = !strcmp(command, "drag"), wheel = !strcmp(command, "wheel"), click = !strcmp(command, "click");
	for (int i = 0; i < (drag ? 4 : 2); i++)
		if (i >= count || v[i] < 0 || v[i] > GR_SCREEN_MAX) {
			answer(script, 0, "%s: coordinates are wanted", command);
			return;
		}
	int button = click && count > 2 ? v[2] : drag && count > 4 ? v[4] : 1;
	if (button < 1 || button > 8 || (wheel && (count < 3 || v[2] < -100 || v[2] > 100))) {
		answer(script, 0, "%s: out of range", command);
		return;
	}
	uint16_t x = (uint16_t)v[0], y = (uint16_t)v[1];
	uint32_t mask = 1u << (button - 1);
	gr_viewer_pointer(viewer, x, y, 0);
	if (click) {
		gr_viewer_pointer(viewer, x, y, mask);
		gr_viewer_pointer(viewer, x, y, 0);
	} else if (wheel) {
		uint32_t notch = v[2] < 0 ? 8 : 16; /* RFB buttons 4 (up) and 5 (down) */
		for (int i = 0; i < abs(v[2]); i++) {
			gr_viewer_pointer(viewer, x, y, notch);
			gr_viewer_pointer(viewer, x, y, 0);
		}
	} else if (drag) {
		enum { STEPS = 8 };
		gr_viewer_pointer(viewer, x, y, mask);
		for (int i = 1; i <= STEPS; i++)
			gr_viewer_pointer(viewer, (uint16_t)(v[0] + (v[2] - v[0]) * i / STEPS),
					  (uint16_t)(v[1] + (v[3] - v[1]) * i / STEPS), mask);
		gr_viewer_pointer(viewer, (uint16_t)v[2], (uint16_t)v[3], 0);
	}
	answer(script, 1, "%s", command);
}

static void do_screenshot(struct gr_script *script, const char *command, const char *file)
{
	struct gr_viewer *viewer = script->viewer;
	struct gr_error err = { 0 };
	int status;
	if (!*file) {
		answer(script, 0, "%s: a file is wanted", command);
		return;
	}
	if (!strcmp(command, "screenshot-window") && script->host.screenshot_window)
		status = script->host.screenshot_window(script->host.context, file, &err);
	else if (viewer->width && viewer->ready & GR_READY_WATERMARK && script->host.picture)
		status = script->host.picture(script->host.context, file, &err);
	else if (viewer->width)
		status = gr_picture_write(file, viewer->picture, GR_PICTURE_STRIDE, viewer->width, viewer->height,
					  &err);
	else
		status = gr_error_set(&err, GR_ENOENT, "there is no picture yet");
	if (status)
		script->failure = GR_FAIL_OUTPUT_FILE;
	answer(script, !status, "%s %s", command, status ? err.text : file);
}

static void do_resize(struct gr_script *script, const char *arguments)
{
	struct gr_viewer *viewer = script->viewer;
	uint16_t width, height;
	if (gr_viewer_parse_size(arguments, &width, &height)) {
		answer(script, 0, "resize: a width and a height are wanted");
		return;
	}
	viewer->size_refused = 0;
	script->x = width;
	script->y = height;
	if (script->host.resize)
		script->host.resize(script->host.context, width, height);
	else
		gr_viewer_want_size(viewer, width, height);
	begin_wait(script, WAIT_SIZE, "resize", script->deadline_ms);
}

/* print FILE [FIRST LAST], wait-offer */
static void do_print(struct gr_script *script, const char *command, const char *arguments)
{
	struct gr_print *print = script->viewer->print;
	script->print.first = script->print.last = 0;
	script->print.file[0] = '\0';
	if (!strcmp(command, "print") &&
	    (sscanf(arguments, "%4095s %u %u", script->print.file, &script->print.first, &script->print.last) == 2 ||
	     !*script->print.file)) {
		answer(script, 0, "print: a file is wanted, and two numbers or none");
		return;
	}
	if (*script->print.file && print->state != GR_PRINT_OFFERED && !gr_print_start(print)) {
		answer(script, 0, "print: not permitted, or not now");
		return;
	}
	begin_wait(script, WAIT_OFFER, command, script->deadline_ms);
}

/* The offer is there. */
static void take_offer(struct gr_script *script)
{
	struct gr_print *print = script->viewer->print;
	struct gr_error err = { 0 };
	if (!*script->print.file) {
		answer(script, 1, "wait-offer pages=%u more=%d size=%ux%u dpi=%u", print->pages, print->more,
		       print->width, print->height, print->dpi);
		return;
	}
	unsigned first = script->print.last ? script->print.first : 1,
		 last = script->print.last ? script->print.last : print->pages;
	if (gr_print_accept(print, first, last, script->print.file, &err)) {
		answer(script, 0, "print: %.500s", err.text);
		return;
	}
	script->wait = WAIT_PAGES;
}

static void tell_printed(struct gr_script *script)
{
	const struct gr_print *print = script->viewer->print;
	static const char *const names[] = { "cancelled", "", "withdrawn", "failed", "refused", "", "lost" };
	if (print->outcome == GR_PRINTED)
		answer(script, 1, "print %u", print->done);
	else
		answer(script, 0, "print: %.500s",
		       print->outcome == GR_PRINT_NO_FILE ? print->err.text : names[print->outcome]);
}

static int deadline_of(const struct gr_script *script, const char *arguments)
{
	int ms = atoi(arguments);
	return ms > 0 && ms <= 86400000 ? ms : script->deadline_ms;
}

static void carry_out(struct gr_script *script, char *line)
{
	char *command = line + strspn(line, " \t");
	if (!*command || *command == '#') {
		return;
	}
	size_t length = strcspn(command, " \t");
	const char *arguments = command + length + (command[length] ? 1 : 0);
	command[length] = '\0';
	if (!strcmp(command, "key")) {
		do_key(script, arguments);
	} else if (!strcmp(command, "type")) {
		do_type(script, arguments);
	} else if (!strcmp(command, "text")) {
		do_text(script, arguments);
	} else if (!strcmp(command, "move") || !strcmp(command, "click") || !strcmp(command, "wheel") ||
		   !strcmp(command, "drag")) {
		do_pointer(script, command, arguments);
	} else if (!strcmp(command, "resize")) {
		do_resize(script, arguments);
	} else if (!strcmp(command, "screenshot") || !strcmp(command, "screenshot-window")) {
		do_screenshot(script, command, arguments);
	} else if (!strcmp(command, "wait-first-frame")) {
		begin_wait(script, WAIT_FIRST_FRAME, command, script->deadline_ms);
	} else if (!strcmp(command, "wait-ask")) {
		begin_wait(script, WAIT_ASK, command, script->deadline_ms);
	} else if (!strcmp(command, "wait-idle")) {
		int ms = atoi(arguments);
		script->idle_us = (uint64_t)(ms > 0 ? ms : 0) * 1000;
		begin_wait(script, WAIT_IDLE, command, script->deadline_ms);
	} else if (!strcmp(command, "wait-change")) {
		begin_wait(script, WAIT_CHANGE, command, deadline_of(script, arguments));
	} else if (!strcmp(command, "wait-pixel")) {
		unsigned x, y, rgb;
		if (sscanf(arguments, "%u %u %6x", &x, &y, &rgb) != 3 || x >= GR_SCREEN_MAX || y >= GR_SCREEN_MAX) {
			answer(script, 0, "wait-pixel: X Y RRGGBB are wanted");
			return;
		}
		script->x = (uint16_t)x;
		script->y = (uint16_t)y;
		script->rgb = rgb;
		begin_wait(script, WAIT_PIXEL, command, script->deadline_ms);
	} else if (!strcmp(command, "print") || !strcmp(command, "wait-offer")) {
		do_print(script, command, arguments);
	} else if (!strcmp(command, "sleep")) {
		int ms = atoi(arguments);
		begin_wait(script, WAIT_TIME, command, ms > 0 ? ms : 0);
	} else if (!strcmp(command, "quit")) {
		answer(script, 1, "quit");
		script->quit = 1;
	} else {
		answer(script, 0, "unknown command %.50s", command);
	}
}

/* Answers the waiting command if it is over; returns ms until it must be looked at again, -1: when something happens, 0: over. */
static int check_wait(struct gr_script *script)
{
	struct gr_viewer *viewer = script->viewer;
	uint64_t now = gr_viewer_now_us(), next = script->until_us, quiet_since;
	const uint32_t *pixel;
	switch (script->wait) {
	case WAIT_FIRST_FRAME:
		if (viewer->full) {
			answer(script, 1, "wait-first-frame %ux%u", viewer->width, viewer->height);
			return 0;
		}
		break;
	case WAIT_ASK:
		if (viewer->state == GR_VIEWER_ASKED) {
			answer(script, 1, "wait-ask %s tries=%u",
			       viewer->ask.reason ? gr_message_reason_name(viewer->ask.reason) : "first",
			       viewer->ask.tries);
			return 0;
		}
		if (viewer->state >= GR_VIEWER_OPEN) {
			answer(script, 0, "wait-ask: nothing is asked, the session is open");
			return 0;
		}
		break;
	case WAIT_IDLE:
		if (!viewer->full || !viewer->exact)
			break;
		quiet_since = viewer->last_change_us > viewer->last_input_us ? viewer->last_change_us
									     : viewer->last_input_us;
		if (now >= quiet_since + script->idle_us) {
			answer(script, 1, "wait-idle");
			return 0;
		}
		if (quiet_since + script->idle_us < next)
			next = quiet_since + script->idle_us;
		break;
	case WAIT_CHANGE:
		if (viewer->change_after_input_us) {
			uint64_t from = viewer->last_input_us ? viewer->last_input_us : viewer->change_after_input_us;
			answer(script, 1, "wait-change %.3f", (double)(viewer->change_after_input_us - from) / 1000.0);
			return 0;
		}
		break;
	case WAIT_PIXEL:
		pixel = viewer->picture + (size_t)script->y * GR_PICTURE_STRIDE + script->x;
		if (script->x < viewer->width && script->y < viewer->height && (*pixel & 0xffffff) == script->rgb) {
			uint64_t changed = viewer->last_change_us > viewer->last_input_us ? viewer->last_change_us
											  : now;
			answer(script, 1, "wait-pixel %.3f",
			       viewer->last_input_us ? (double)(changed - viewer->last_input_us) / 1000.0 : 0.0);
			return 0;
		}
		break;
	case WAIT_SIZE:
		if (viewer->full && viewer->width == script->x && viewer->height == script->y) {
			answer(script, 1, "resize %ux%u", viewer->width, viewer->height);
			return 0;
		}
		if (viewer->size_refused) {
			answer(script, 0, "resize: refused, the size is %ux%u", viewer->width, viewer->height);
			return 0;
		}
		break;
	case WAIT_TEXT:
		if (viewer->text_answers == viewer->text_sent) {
			int refused = gr_viewer_text_refused(viewer, script->sequence);
			answer(script, !refused, refused ? "text not delivered" : "text given");
			return 0;
		}
		break;
	case WAIT_TIME:
		if (now >= script->until_us) {
			answer(script, 1, "sleep");
			return 0;
		}
		break;
	case WAIT_OFFER:
		if (viewer->print->state == GR_PRINT_OFFERED) {
			take_offer(script);
			return 0;
		}
		break;
	case WAIT_PAGES:
		if (viewer->print->state == GR_PRINT_IDLE) {
			tell_printed(script);
			return 0;
		}
		break;
	case WAIT_NOTHING: return 0;
	}
	if (now >= script->until_us) {
		if (script->wait == WAIT_PAGES)
			gr_print_cancel(viewer->print);
		if (script->fixed)
			script->failure = GR_FAIL_NO_PICTURE;
		answer(script, 0, "%s: timed out", script->command);
		return 0;
	}
	return (int)((next - now + 999) / 1000);
}

static void read_more(struct gr_script *script)
{
	ssize_t n = read(script->fd, script->buffer + script->used, LINE_MAX_BYTES - script->used);
	if (n > 0) {
		script->used += (size_t)n;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		script->ended = 1;
		if (script->used && script->used < LINE_MAX_BYTES && script->buffer[script->used - 1] != '\n')
			script->buffer[script->used++] = '\n'; /* the last line need not have one */
	}
}

int gr_script_fd(const struct gr_script *script)
{
	return script->wait == WAIT_NOTHING && !script->ended && !script->quit ? script->fd : -1;
}

/* The descriptor may be shared with other programs (a terminal), so it is not made non-blocking. */
static int readable(int fd)
{
	struct pollfd one = { .fd = fd, .events = POLLIN };
	return poll(&one, 1, 0) > 0;
}

int gr_script_step(struct gr_script *script)
{
	while (!script->quit) {
		if (script->wait != WAIT_NOTHING) {
			int ms = check_wait(script);
			if (ms > 0)
				return ms;
			continue;
		}
		char *end = memchr(script->buffer, '\n', script->used);
		if (end) {
			char line[LINE_MAX_BYTES];
			size_t length = (size_t)(end - script->buffer);
			memcpy(line, script->buffer, length);
			line[length] = '\0';
			script->used -= length + 1;
			memmove(script->buffer, end + 1, script->used);
			carry_out(script, line);
			continue;
		}
		if (script->used == LINE_MAX_BYTES) {
			answer(script, 0, "a line that is too long");
			script->used = 0;
		}
		if (script->ended) {
			script->quit = 1;
			break;
		}
		if (!readable(script->fd))
			return -1;
		read_more(script);
	}
	return -1;
}

int gr_script_done(const struct gr_script *script)
{
	return script->quit;
}

enum gr_failure gr_script_failure(const struct gr_script *script)
{
	return script->fixed ? script->failure : GR_FAIL_NONE;
}
