/*
 * garasu-agent: the first process of a sandbox container. Runs the X server, the window manager and the browser, gives
 * the broker the screen when it asks, and hands the viewer's input on.
 */
#include "common/error.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"
#include "sandbox/agent/clipboard.h"
#include "sandbox/agent/display.h"
#include "sandbox/agent/im_message.h"
#include "sandbox/agent/input.h"
#include "sandbox/agent/link.h"
#include "sandbox/agent/print.h"
#include "sandbox/agent/stack.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READY_MS = 30000 /* from start to a painted browser */ };

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1 /* clang's way of saying it */
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
/* As the first process it would have to be traced by nobody else to look for leaks, and must not be. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

struct agent {
	struct gr_loop *loop;
	struct gr_stack *stack;
	struct gr_display display;
	struct gr_loop_watch *display_watch;
	struct gr_input *input;
	struct gr_clipboard *clipboard;
	struct gr_link *link;
	struct gr_print *print;
	struct gr_loop_timer *deadline; /* for the browser's first picture */
	uint16_t w, h, max_w, max_h; /* as the command line says */
	bool mapped; /* the browser has a window */
	bool painted; /* and it has shown something: from then on the broker is connected to */
	bool restarted; /* the browser was started again and has no window yet */
	bool home; /* the home page was asked for once */
	bool whole; /* the next frame shows everything */
	struct gr_record_caret caret;
	bool caret_news;
	bool pumping;
	bool ended; /* nothing of ours runs any more */
	int status;
};

static void fail(struct agent *agent, const char *reason)
{
	if (agent->status)
		return;
	agent->status = 1;
	gr_log_error("%s", reason);
	if (agent->link) {
		union gr_record record = { .state = { GR_RECORD_STATE, GR_AGENT_FAILED, agent->display.w,
						      agent->display.h } };
		gr_link_send(agent->link, &record);
	}
	gr_stack_stop(agent->stack);
}

static void send_state(struct agent *agent, uint32_t state)
{
	union gr_record record = { .state = { GR_RECORD_STATE, state, agent->display.w, agent->display.h } };
	gr_link_send(agent->link, &record);
}

/* While nobody is connected: has the browser got so far that somebody may look? */
static void await_browser(struct agent *agent)
{
	struct gr_display *display = &agent->display;
	if (display->news.manager) {
		struct gr_error err;
		display->news.manager = false;
		if (gr_stack_start_browser(agent->stack, &err) < 0)
			fail(agent, err.text);
	}
	if (display->news.clients) {
		agent->mapped = gr_display_clients(display) > 0;
		if (agent->mapped && agent->restarted) {
			agent->restarted = false;
			send_state(agent, GR_AGENT_BROWSER_RESTARTED);
			if (agent->home)
				gr_input_go_home(agent->input);
		}
	}
	if (!agent->painted && agent->mapped && display->news.damaged && gr_display_is_painted(display)) {
		agent->painted = true;
		gr_loop_timer_set(agent->deadline, -1);
		gr_link_start(agent->link);
		gr_stack_start_conversion(agent->stack);
	}
}

/* In place of the screen. */
static void show_page(struct agent *agent, uint8_t *pixels, size_t stride)
{
	union gr_record record = { 0 };
	struct gr_rect rect;
	if (!gr_print_piece(agent->print, pixels, stride, agent->display.w, agent->display.h, &record.page, &rect))
		return;
	gr_link_send(agent->link, &record);
	memset(&record, 0, sizeof(record));
	record.frame = (struct gr_record_frame){ .type = GR_RECORD_FRAME, .count = 1, .rects = { rect } };
	gr_link_send(agent->link, &record);
}

/* What the broker has asked for, as far as there is something to say. */
static void serve(struct agent *agent)
{
	struct gr_display *display = &agent->display;
	bool whole;
	if (!gr_link_is_wanted(agent->link, &whole) || gr_link_is_congested(agent->link))
		return;
	union gr_record record;
	size_t stride;
	whole = whole || agent->whole;
	/* FRAME ends the permission to write and to speak, so the cursor and the caret go out before it. */
	if (display->news.cursor) {
		if (gr_display_cursor(display, gr_link_cursor(agent->link), &record.cursor) < 0)
			return;
		gr_link_send(agent->link, &record);
	}
	if (agent->caret_news) {
		agent->caret_news = false;
		record.caret = agent->caret;
		gr_link_send(agent->link, &record);
	}
	uint8_t *pixels = gr_link_pixels(agent->link, &stride);
	if (pixels && gr_print_is_shown(agent->print)) {
		show_page(agent, pixels, stride);
		return;
	}
	if (!pixels || (!whole && !display->news.damaged))
		return;
	memset(&record, 0, sizeof(record));
	int count = gr_display_capture(display, pixels, stride, whole, record.frame.rects);
	if (count <= 0)
		return;
	agent->whole = false;
	record.type = GR_RECORD_FRAME;
	record.frame.count = (uint32_t)count;
	gr_link_send(agent->link, &record);
}

/*
 * Called at the end of every callback that made X requests. Waiting for an answer may read events too, which no descriptor
 * announces any more: only when there are none left after the last request may we go back to sleep.
 */
static void pump(struct agent *agent)
{
	if (!agent->display.x || agent->pumping)
		return;
	agent->pumping = true;
	int events;
	gr_display_dispatch(&agent->display);
	do {
		if (agent->clipboard)
			gr_clipboard_send(agent->clipboard, agent->link);
		if (agent->display.news.keymap)
			gr_input_reload(agent->input);
		await_browser(agent);
		if (agent->painted)
			serve(agent);
		events = gr_display_dispatch(&agent->display);
	} while (events > 0);
	if (events < 0) {
		gr_loop_remove(agent->display_watch);
		agent->display_watch = NULL; /* the X server's end is noticed by its parent, us */
	}
	if (!agent->input || !gr_input_is_full(agent->input))
		gr_link_resume(agent->link);
	agent->pumping = false;
}

static void display_ready(void *context, int fd, unsigned events)
{
	(void)fd;
	(void)events;
	pump(context);
}

static void text_result(void *context, uint32_t sequence, uint32_t status)
{
	struct agent *agent = context;
	union gr_record record = { .text_result = { GR_RECORD_TEXT_RESULT, sequence, status } };
	gr_link_send(agent->link, &record);
}

/* Link */

static void link_hello(void *context, const struct gr_record_hello *hello)
{
	struct agent *agent = context;
	if (gr_print_hello(agent->print, hello))
		gr_log_warning("the broker's bounds for printing are out of range: nothing is printed");
	/* A memory that is smaller than the screen: the screen follows. */
	uint16_t w = agent->display.w < hello->max_width ? agent->display.w : hello->max_width;
	uint16_t h = agent->display.h < hello->max_height ? agent->display.h : hello->max_height;
	if (w != agent->display.w || h != agent->display.h)
		gr_display_resize(&agent->display, w, h);
	agent->whole = true;
	agent->display.news.cursor = true;
	agent->caret_news = agent->caret.visible;
	send_state(agent, GR_AGENT_READY);
	gr_clipboard_watch(agent->clipboard, hello->flags & GR_HELLO_CLIPBOARD);
	if (hello->flags & GR_HELLO_OPEN_HOME) {
		agent->home = true;
		gr_input_go_home(agent->input);
	}
}

/* While pages are shown the person does not see what a key or a click would do. */
static int ignore(struct agent *agent, const union gr_record *untrusted_record)
{
	if (untrusted_record->type == GR_RECORD_TEXT)
		text_result(agent, untrusted_record->text.sequence, GR_TEXT_NOT_DELIVERED);
	return 0;
}

static int link_record(void *context, const union gr_record *untrusted_record)
{
	struct agent *agent = context;
	if (untrusted_record->type == GR_RECORD_PRINT)
		return gr_print_take(agent->print, &untrusted_record->print);
	if (untrusted_record->type == GR_RECORD_SET_CLIPBOARD) {
		const uint8_t *text;
		uint32_t n;
		int status = gr_clipboard_take(agent->clipboard, &untrusted_record->clipboard, &text, &n);
		return status <= 0 ? status : gr_input_clipboard(agent->input, text, n);
	}
	if (untrusted_record->type != GR_RECORD_RESIZE)
		return gr_print_is_shown(agent->print) ? ignore(agent, untrusted_record)
						       : gr_input_take(agent->input, untrusted_record);
	int code = gr_display_resize(&agent->display, untrusted_record->resize.width, untrusted_record->resize.height);
	if (code < 0)
		gr_log_warning("the screen stays at %ux%u: %s", agent->display.w, agent->display.h,
			       gr_status_text(code));
	else
		agent->whole = true;
	gr_print_resized(agent->print);
	union gr_record record = { .resized = { GR_RECORD_RESIZED, agent->display.w, agent->display.h } };
	gr_link_send(agent->link, &record);
	return 0;
}

static bool link_is_full(void *context)
{
	struct agent *agent = context;
	return gr_input_is_full(agent->input);
}

static void link_served(void *context)
{
	pump(context);
}

static void link_lost(void *context)
{
	struct agent *agent = context;
	gr_input_release(agent->input);
	gr_clipboard_reset(agent->clipboard);
	gr_print_lost(agent->print);
	pump(agent);
}

/* Printing */

static void print_says(void *context, const struct gr_record_page *page)
{
	struct agent *agent = context;
	union gr_record record = { .page = *page };
	gr_link_send(agent->link, &record);
}

static void print_start(void *context)
{
	struct agent *agent = context;
	gr_input_print(agent->input);
}

static void print_changed(void *context)
{
	struct agent *agent = context;
	if (gr_print_is_shown(agent->print))
		gr_input_release(agent->input);
	else
		agent->whole = true;
	pump(agent);
}

/* Input */

static void caret_moved(void *context, const struct gr_record_caret *caret)
{
	struct agent *agent = context;
	if (memcmp(&agent->caret, caret, sizeof(*caret)) == 0)
		return;
	agent->caret = *caret;
	agent->caret_news = true;
	pump(agent);
}

static void clipboard_due(void *context, const uint8_t *text, uint32_t n)
{
	struct agent *agent = context;
	gr_clipboard_set(agent->clipboard, text, n);
}

static void input_worked(void *context)
{
	pump(context);
}

/* Stack */

static void screen_started(void *context)
{
	struct agent *agent = context;
	struct gr_error err;
	const char *im_path = getenv(GR_IM_SOCKET_VARIABLE);
	const struct gr_input_owner owner = { agent, text_result, caret_moved, clipboard_due, input_worked };
	int code = gr_display_init(&agent->display, &err);
	if (!code && (code = gr_display_resize(&agent->display, agent->w, agent->h)) < 0)
		gr_error_set(&err, code, "the X server refuses a screen of %ux%u", agent->w, agent->h);
	if (!code) {
		agent->input = gr_input_create(agent->loop, &agent->display, im_path ? im_path : GR_IM_SOCKET, &owner,
					       &err);
		agent->display_watch = gr_loop_add(agent->loop, gr_display_fd(&agent->display), GR_LOOP_READ,
						   display_ready, agent);
		agent->clipboard = gr_clipboard_create(&agent->display);
		if (!agent->input)
			code = err.code;
		else if (!agent->display_watch || !agent->clipboard)
			code = gr_error_set(&err, GR_ENOMEM, "out of memory");
	}
	if (!code)
		code = gr_stack_start_desktop(agent->stack, &err);
	if (code) {
		fail(agent, err.text);
		return;
	}
	pump(agent);
}

static void browser_restarted(void *context)
{
	struct agent *agent = context;
	agent->restarted = agent->painted;
	agent->mapped = false;
}

static void stack_reaped(void *context, pid_t pid)
{
	struct agent *agent = context;
	if (agent->print)
		gr_print_reaped(agent->print, pid);
}

static void stack_failed(void *context, const char *reason)
{
	fail(context, reason);
}

static void stack_ended(void *context)
{
	struct agent *agent = context;
	agent->ended = true;
	gr_loop_stop(agent->loop, agent->status);
}

static void never_painted(void *context)
{
	struct agent *agent = context;
	char reason[128];
	snprintf(reason, sizeof(reason), "the browser has %s within %d s",
		 agent->mapped ? "painted nothing" : "shown no window", READY_MS / 1000);
	fail(agent, reason);
}

static void signalled(void *context, int signo)
{
	struct agent *agent = context;
	if (signo == SIGCHLD)
		gr_stack_reap(agent->stack);
	else
		gr_stack_stop(agent->stack);
}

static int parse_size(const char *text, uint16_t *w_out, uint16_t *h_out)
{
	unsigned w, h;
	char rest;
	if (sscanf(text, "%5ux%5u%c", &w, &h, &rest) != 2 || w < GR_SCREEN_MIN || h < GR_SCREEN_MIN ||
	    w > GR_SCREEN_MAX || h > GR_SCREEN_MAX)
		return GR_EINVAL;
	*w_out = (uint16_t)w;
	*h_out = (uint16_t)h;
	return 0;
}

static int parse_options(struct agent *agent, int argc, char **argv)
{
	static const struct option options[] = { { "size", required_argument, NULL, 's' },
						 { "max", required_argument, NULL, 'm' },
						 { NULL, 0, NULL, 0 } };
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		uint16_t *w = option == 's' ? &agent->w : &agent->max_w, *h = option == 's' ? &agent->h : &agent->max_h;
		if (option == '?')
			return GR_EINVAL;
		if (parse_size(optarg, w, h) < 0) {
			gr_log_error("'%s' is no size: WxH, each from %d to %d", optarg, GR_SCREEN_MIN, GR_SCREEN_MAX);
			return GR_EINVAL;
		}
	}
	if (optind != argc || !agent->w || !agent->max_w || agent->w > agent->max_w || agent->h > agent->max_h) {
		gr_log_error("usage: garasu-agent --size WxH --max WxH");
		return GR_EINVAL;
	}
	return 0;
}

static int run(struct agent *agent)
{
	struct gr_error err;
	const struct gr_stack_owner stack_owner = { agent,        screen_started, browser_restarted,
						    stack_failed, stack_reaped,   stack_ended };
	const struct gr_print_owner print_owner = { agent, print_says, print_start, print_changed };
	const struct gr_link_owner link_owner = {
		agent, link_hello, link_record, link_is_full, link_served, link_lost
	};
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);

	agent->loop = gr_loop_create();
	if (!agent->loop || gr_loop_signals(agent->loop, &signals, signalled, agent) < 0) {
		gr_log_error("no event loop");
		return 1;
	}
	agent->deadline = gr_loop_timer_add(agent->loop, never_painted, agent);
	agent->link = gr_link_create(agent->loop, GR_AGENT_SOCKET, &link_owner);
	agent->stack = gr_stack_create(agent->loop, &stack_owner, &err);
	if (agent->stack)
		agent->print = gr_print_create(agent->loop, gr_stack_print_folder(agent->stack), &print_owner, &err);
	if (!agent->deadline || !agent->link || !agent->print) {
		gr_log_error("%s", agent->deadline && agent->link ? err.text : "out of memory");
		return 1;
	}
	gr_loop_timer_set(agent->deadline, READY_MS);
	if (gr_stack_start_screen(agent->stack, agent->max_w, agent->max_h, &err) < 0)
		fail(agent, err.text);
	int code = agent->ended ? agent->status : gr_loop_run(agent->loop);
	return code < 0 ? 1 : code;
}

int main(int argc, char **argv)
{
	static struct agent agent;
	gr_log_init("garasu-agent", GR_LOG_INFO);
	/* As the first process no signal has a default action for us: those that matter go through the loop. */
	signal(SIGPIPE, SIG_IGN);
	if (parse_options(&agent, argc, argv) < 0)
		return 2;
	int status = run(&agent);
	gr_link_destroy(agent.link);
	gr_input_destroy(agent.input);
	gr_clipboard_destroy(agent.clipboard);
	gr_display_finish(&agent.display);
	gr_print_destroy(agent.print);
	gr_stack_destroy(agent.stack);
	gr_loop_destroy(agent.loop);
	return status;
}
