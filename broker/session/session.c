#include "broker/session/session.h"
#include "broker/encode/encode.h"
#include "broker/ipc/ipc.h"
#include "broker/session/agent.h"
#include "broker/session/clipboard.h"
#include "broker/session/input.h"
#include "broker/session/print.h"
#include "broker/session/update.h"
#include "broker/session/viewer.h"
#include "common/io.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTIVITY_MS 10000 /* GR_IPC_ACTIVITY comes no more often */
#define COPY_MS                                                                                                        \
	10000 /* a page copies upon the person's key or click: what comes so long behind the last one is nothing that they did */
#define LEAVE_MS 800 /* for a viewer's last bytes; END is done within a second */

struct gr_session {
	struct gr_loop *loop;
	int control;
	struct gr_loop_watch *control_watch;
	uint64_t id;
	uint32_t container;
	uint16_t max_width, max_height;
	int started;
	int ending;
	int opened; /* an agent was greeted with OPEN_HOME */
	int painted; /* the encoder holds a picture of the container's: nothing is shown before */
	struct gr_agent *agent;
	struct gr_encoder *encoder;
	struct gr_update *update;
	struct gr_input input;
	struct gr_print print;
	const struct gr_config *config; /* borrowed */
	unsigned print_dpi;
	struct gr_viewer *viewer, *leaving; /* leaving: an earlier one, still to be told why */
	uint32_t connection; /* of viewer; 0 = none */
	int agent_full; /* it takes no records until agent_writable */
	uint16_t scale; /* of the browser, in percent, as the last viewer wanted it; 0 = none has said so yet */
	int size_asked; /* the viewer waits for the answer to SetDesktopSize */
	uint64_t activity_told; /* ms; 0 = not of this viewer yet */
	uint64_t acted; /* ms: its last key, click or text; 0 = none yet */
	uint64_t clipboard_up, clipboard_down; /* bytes of one text that it may send and get */
	struct gr_clipboard clipboard;
	struct gr_loop_timer *clipboard_timer;
};

static void end(struct gr_session *s, int code)
{
	gr_loop_stop(s->loop, code);
}

static void tell(struct gr_session *s, struct gr_ipc_message message)
{
	message.session = s->id;
	message.container = s->container;
	int status = gr_ipc_send(s->control, &message, -1);
	if (status && status != GR_ECLOSED) /* its end is seen by the loop */
		gr_log_error("the supervisor does not take a message: %s", gr_status_text(status));
}

/* What the agent does not take, and what would be a text too many, stays with the viewer: its socket fills, no queue grows here. */
static void hold_viewer(struct gr_session *s)
{
	if (s->viewer)
		gr_viewer_pause(s->viewer, s->agent_full || s->input.text_count == GR_INPUT_TEXTS_MAX);
}

static void send_record(struct gr_session *s, const union gr_record *record)
{
	int status = gr_agent_send(s->agent, record);
	if (status == GR_EAGAIN || status == GR_EFULL)
		s->agent_full = 1;
	hold_viewer(s);
}

static void texts_are_lost(struct gr_session *s)
{
	uint32_t sequence;
	while (gr_input_text_pending(&s->input, &sequence))
		if (s->viewer)
			gr_viewer_text_result(s->viewer, sequence, GR_TEXT_NOT_DELIVERED);
}

static void print_does(struct gr_session *s, int what);

/* What the browser has copied, as soon as it may go and the viewer's output has room. */
static void send_clipboard(struct gr_session *s)
{
	uint64_t now = gr_io_now_ms();
	int64_t wait = s->viewer ? gr_clipboard_wait(&s->clipboard, now) : -1;
	if (wait > 0)
		gr_loop_timer_set(s->clipboard_timer, wait);
	else if (!wait && gr_viewer_clipboard(s->viewer, s->clipboard.text, s->clipboard.waiting))
		gr_clipboard_sent(&s->clipboard, now);
}

/* Shows what is to be shown, and asks the agent only when the viewer waits: so back-pressure reaches the browser. */
static void pump(void *context)
{
	struct gr_session *s = context;
	send_clipboard(s);
	if (!s->painted || !s->viewer || s->print.piece == GR_PIECE_SENT)
		return; /* a piece of a page stays until the viewer has taken it */
	int wanted = gr_viewer_pump(s->viewer);
	if (s->print.piece == GR_PIECE_PAINTING) {
		if (gr_update_all_sent(s->update, gr_io_now_ms()))
			print_does(s, gr_print_painted(&s->print));
	} else if (wanted && s->print.piece == GR_PIECE_NONE) {
		gr_agent_want(s->agent, 0);
	}
}

/* ---- printing ---- */

static void tell_ended(struct gr_session *s)
{
	static const uint32_t reasons[] = { [GR_PAGE_DONE] = GR_REASON_NONE,
					    [GR_PAGE_CANCELLED] = GR_REASON_VIEWER_LEFT,
					    [GR_PAGE_FAILED] = GR_REASON_CONTAINER_FAILED };
	tell(s, (struct gr_ipc_message){ .type = GR_IPC_PRINTED,
					 .number = s->print.ended.document,
					 .bytes_down = s->print.ended.whole,
					 .bytes_up = s->print.ended.part != 0,
					 .reason = reasons[s->print.ended.reason] });
}

static void ask_print(struct gr_session *s)
{
	const struct gr_print *p = &s->print;
	struct gr_ipc_message message = { .type = GR_IPC_PRINT,
					  .connection = s->connection,
					  .number = p->document,
					  .bytes_up = p->first,
					  .bytes_down = p->last };
	snprintf(message.text, sizeof(message.text), "pages=%u-%u of=%u size=%ux%u dpi=%u", (unsigned)p->first,
		 (unsigned)p->last, (unsigned)p->offer.pages, (unsigned)p->offer.width, (unsigned)p->offer.height,
		 s->print_dpi);
	tell(s, message);
}

static void print_does(struct gr_session *s, int what)
{
	if (what & GR_PRINT_DO_ENDED)
		tell_ended(s);
	if (what & GR_PRINT_DO_ASK)
		ask_print(s);
	int pages = s->print.state == GR_PRINT_RUNNING || s->print.state == GR_PRINT_STOPPING;
	gr_update_exact(s->update, s->print.state == GR_PRINT_RUNNING);
	gr_agent_draws_pages(s->agent, pages);
	if (what & GR_PRINT_DO_ORDER) {
		union gr_record record = { .print = s->print.order };
		send_record(s, &record);
	}
	if (what & GR_PRINT_DO_TELL && s->viewer)
		gr_viewer_page(s->viewer, &s->print.told);
}

/* ---- the agent ---- */

static void set_size(struct gr_session *s, uint16_t w, uint16_t h)
{
	if (w == gr_encoder_width(s->encoder) && h == gr_encoder_height(s->encoder))
		return;
	if (gr_encoder_resize(s->encoder, w, h)) {
		gr_log_error("no memory for a screen of %ux%u", (unsigned)w, (unsigned)h);
		end(s, 1);
		return;
	}
	gr_update_resized(s->update);
}

static void send_scale(struct gr_session *s)
{
	if (s->scale && gr_agent_ready(s->agent))
		send_record(s, &(union gr_record){ .scale = { GR_RECORD_SCALE, s->scale } });
}

static void agent_ready(void *context, uint16_t w, uint16_t h)
{
	struct gr_session *s = context;
	set_size(s, w, h);
	send_scale(s);
	/* The first picture is fetched before a viewer asks: it is there when it connects. */
	gr_agent_want(s->agent, 1);
	pump(s);
}

static void agent_frame(void *context, const struct gr_record_frame *frame)
{
	struct gr_session *s = context;
	if (gr_print_frame(&s->print, frame, gr_encoder_width(s->encoder), gr_encoder_height(s->encoder))) {
		gr_agent_violated(s->agent, "a piece of a page that is not as announced");
		return;
	}
	gr_encoder_take(s->encoder, gr_agent_untrusted_pixels(s->agent), gr_agent_stride(s->agent), frame->rects,
			frame->count, gr_io_now_ms());
	gr_update_changed(s->update, frame->rects, frame->count);
	s->painted = 1;
	pump(s);
}

static void agent_cursor(void *context, const struct gr_record_cursor *cursor, const uint32_t *colours,
			 const uint8_t *mask)
{
	struct gr_session *s = context;
	if (gr_update_cursor(s->update, cursor->width, cursor->height, cursor->hot_x, cursor->hot_y, colours, mask))
		gr_log_error("no memory for a cursor");
	pump(s);
}

static void agent_resized(void *context, uint16_t w, uint16_t h)
{
	struct gr_session *s = context;
	int changed = w != gr_encoder_width(s->encoder) || h != gr_encoder_height(s->encoder);
	set_size(s, w, h);
	gr_print_resized(&s->print);
	if (s->size_asked)
		gr_update_size_answer(s->update, changed ? 0 : 2 /* out of resources */);
	s->size_asked = 0;
	pump(s);
}

static void agent_caret(void *context, const struct gr_record_caret *caret)
{
	struct gr_session *s = context;
	if (!s->viewer)
		return;
	gr_viewer_caret(s->viewer, (int)caret->visible, caret->rect);
	pump(s);
}

static void agent_text_result(void *context, const struct gr_record_text_result *result)
{
	struct gr_session *s = context;
	uint32_t sequence;
	if (!gr_input_text_done(&s->input, result->sequence, &sequence) && s->viewer)
		gr_viewer_text_result(s->viewer, sequence, result->status);
	hold_viewer(s);
}

static int agent_clipboard(void *context, const struct gr_record_clipboard *piece)
{
	struct gr_session *s = context;
	int status = gr_clipboard_take(&s->clipboard.down, piece->text, piece->length, piece->left);
	if (status <= 0)
		return status;
	uint32_t length = s->clipboard.down.length;
	if (!s->viewer || !s->clipboard_down)
		return 0;
	if (length > s->clipboard_down) {
		gr_log_info("a copied text of %u bytes stays here: the policy permits %u", (unsigned)length,
			    (unsigned)s->clipboard_down);
	} else if (!s->acted || gr_io_now_ms() - s->acted > COPY_MS) {
		gr_log_warning("a copied text of %u bytes stays here: nobody pressed anything", (unsigned)length);
	} else {
		gr_clipboard_wait_for_viewer(&s->clipboard);
		pump(s);
	}
	return 0;
}

static void agent_page(void *context, const struct gr_record_page *page)
{
	struct gr_session *s = context;
	int listens = s->viewer && gr_viewer_knows_records(s->viewer);
	int what = gr_print_page(&s->print, page, listens);
	if (what < 0) {
		gr_agent_violated(s->agent, "a page out of turn");
		return;
	}
	print_does(s, what);
	pump(s);
}

static void agent_writable(void *context)
{
	struct gr_session *s = context;
	s->agent_full = 0;
	hold_viewer(s);
	pump(s); /* a WANT_FRAME may have found no room */
}

/* What was asked of an agent that is gone is answered for it. */
static void agent_owes_nothing(struct gr_session *s)
{
	texts_are_lost(s);
	print_does(s, gr_print_agent_gone(&s->print));
	if (s->size_asked)
		gr_update_size_answer(s->update, 2);
	s->size_asked = 0;
	s->agent_full = 0;
	hold_viewer(s);
}

/* The viewer keeps the picture as it is; the supervisor brings another agent, or ends the session. */
static void agent_lost(void *context, const char *violation)
{
	struct gr_session *s = context;
	struct gr_ipc_message message = { .type = GR_IPC_AGENT_LOST };
	if (violation) {
		gr_log_error("the agent broke the protocol: %s", violation);
		message.reason = GR_REASON_CONTAINER_FAILED;
		snprintf(message.text, sizeof(message.text), "%s", violation);
	} else {
		gr_log_warning("the agent's connection ended");
	}
	agent_owes_nothing(s);
	tell(s, message);
	pump(s);
}

static const struct gr_agent_events agent_events = {
	.ready = agent_ready,
	.frame = agent_frame,
	.cursor = agent_cursor,
	.resized = agent_resized,
	.caret = agent_caret,
	.page = agent_page,
	.text_result = agent_text_result,
	.clipboard = agent_clipboard,
	.writable = agent_writable,
	.lost = agent_lost,
};

/* ---- the viewer ---- */

static void viewer_ready(void *context)
{
	struct gr_session *s = context;
	tell(s, (struct gr_ipc_message){ .type = GR_IPC_ATTACHED, .connection = s->connection });
}

static uint16_t within(uint16_t value, uint16_t low, uint16_t high)
{
	return value < low ? low : value > high ? high : value;
}

static void desktop_size(struct gr_session *s, uint16_t untrusted_w, uint16_t untrusted_h)
{
	uint16_t w = within(untrusted_w, GR_SCREEN_MIN, s->max_width),
		 h = within(untrusted_h, GR_SCREEN_MIN, s->max_height);
	if (!untrusted_w || !untrusted_h) {
		gr_update_size_answer(s->update, 3 /* invalid layout */);
	} else if (!gr_agent_ready(s->agent)) {
		gr_update_size_answer(s->update, 2);
	} else if (!s->size_asked && w == gr_encoder_width(s->encoder) && h == gr_encoder_height(s->encoder)) {
		gr_update_size_answer(s->update, 0);
	} else {
		s->size_asked = 1;
		gr_agent_resize(s->agent, w, h);
		return;
	}
	pump(s);
}

/* The supervisor ends who does nothing for too long. */
static void tell_activity(struct gr_session *s)
{
	uint64_t now = gr_io_now_ms();
	if (s->activity_told && now - s->activity_told < ACTIVITY_MS)
		return;
	s->activity_told = now;
	tell(s, (struct gr_ipc_message){ .type = GR_IPC_ACTIVITY });
}

static void viewer_input(void *context, const struct gr_viewer_message *message)
{
	struct gr_session *s = context;
	if (message->kind == GR_VIEWER_DESKTOP_SIZE) {
		desktop_size(s, message->desktop_size.width, message->desktop_size.height);
		return;
	}
	if (message->kind == GR_VIEWER_SCALE) {
		s->scale = message->scale;
		send_scale(s);
		return;
	}
	tell_activity(s);
	/* PRINT comes of its own accord for each piece of a page. */
	if (message->kind != GR_VIEWER_PRINT && (message->kind != GR_VIEWER_POINTER || message->pointer.buttons))
		s->acted = gr_io_now_ms();
	union gr_record record;
	int ready = gr_agent_ready(s->agent);
	if (message->kind == GR_VIEWER_PRINT) {
		/* What is taken while the size changes comes again in the new one: the agent ignores it too. */
		int crossed = message->print.action == GR_PRINT_TAKEN && gr_agent_resizing(s->agent);
		if (ready && !crossed)
			print_does(s, gr_print_order(&s->print, message, gr_encoder_width(s->encoder),
						     gr_encoder_height(s->encoder)));
		pump(s);
		return;
	}
	if (message->kind == GR_VIEWER_TEXT && !ready) {
		gr_viewer_text_result(s->viewer, message->text.sequence, GR_TEXT_NOT_DELIVERED);
		return;
	}
	if (gr_input_record(&s->input, message, &record)) {
		if (message->kind == GR_VIEWER_TEXT)
			gr_viewer_text_result(s->viewer, message->text.sequence, GR_TEXT_NOT_DELIVERED);
		return;
	}
	if (ready)
		send_record(s, &record);
	if (message->kind == GR_VIEWER_POINTER)
		pump(s); /* some viewers have the pointer drawn into the picture */
}

static int viewer_clipboard(void *context, const uint8_t *untrusted, size_t n, size_t left)
{
	struct gr_session *s = context;
	int status = gr_clipboard_take(&s->clipboard.up, untrusted, n, left);
	if (status <= 0)
		return status;
	if (s->clipboard.up.length > s->clipboard_up) /* the guard lets none through that is */
		return GR_EPROTO;
	tell_activity(s);
	union gr_record record;
	for (size_t at = 0, piece; gr_agent_ready(s->agent); at += piece) {
		piece = gr_clipboard_record(&s->clipboard.up, at, &record.clipboard);
		if (!piece)
			break;
		send_record(s,
			    &record); /* all of them fit into the agent's queue, which was empty when this was read */
	}
	return 0;
}

/* What the viewer held down must not stay down; what it waited for is nobody's any more. */
static void viewer_is_off(struct gr_session *s, struct gr_viewer *viewer, uint32_t reason)
{
	tell(s, (struct gr_ipc_message){ .type = GR_IPC_DETACHED,
					 .connection = s->connection,
					 .reason = reason,
					 .bytes_down = gr_viewer_bytes_down(viewer),
					 .bytes_up = gr_viewer_bytes_up(viewer) });
	s->viewer = NULL;
	s->connection = 0;
	s->size_asked = 0;
	s->acted = 0;
	s->clipboard.up.left = s->clipboard.waiting = 0;
	union gr_record record;
	while (gr_input_release(&s->input, &record))
		send_record(s, &record);
	texts_are_lost(s);
	print_does(s, gr_print_viewer_gone(&s->print));
}

static void viewer_gone(void *context, struct gr_viewer *viewer, uint32_t reason)
{
	struct gr_session *s = context;
	if (viewer == s->viewer)
		viewer_is_off(s, viewer, reason);
	if (viewer == s->leaving)
		s->leaving = NULL;
	gr_viewer_destroy(viewer);
	if (s->ending && !s->viewer)
		end(s, 0);
}

static const struct gr_viewer_events viewer_events = {
	.ready = viewer_ready,
	.pump = pump,
	.input = viewer_input,
	.clipboard = viewer_clipboard,
	.gone = viewer_gone,
};

/* The newest viewer wins. */
static void attach(struct gr_session *s, const struct gr_ipc_message *message, int fd)
{
	uint32_t connection = message->connection;
	struct gr_viewer *old = s->viewer;
	if (old) {
		gr_viewer_leave(old, GR_REASON_TAKEN_OVER, LEAVE_MS);
		viewer_is_off(s, old, GR_REASON_TAKEN_OVER);
		gr_viewer_destroy(s->leaving);
		s->leaving = old;
	}
	/* The longest update there can be: the whole screen raw, and what encodings may add to it. */
	size_t raw = (size_t)s->max_width * s->max_height * 4;
	s->viewer = gr_viewer_create(s->loop, s->update, raw + raw / 4 + (1u << 20), fd, &viewer_events, s);
	s->connection = connection;
	s->clipboard_up = message->bytes_up;
	s->clipboard_down = message->bytes_down;
	if (!s->viewer) {
		gr_log_error("connection %u could not be attached", (unsigned)connection);
		tell(s, (struct gr_ipc_message){
				.type = GR_IPC_DETACHED, .connection = connection, .reason = GR_REASON_INTERNAL });
		s->connection = 0;
	}
}

/* ---- the supervisor ---- */

static void finish(struct gr_session *s, uint32_t reason)
{
	if (s->ending)
		return;
	s->ending = 1;
	if (s->viewer)
		gr_viewer_leave(s->viewer, reason, LEAVE_MS);
	else
		end(s, 0);
}

static void order(struct gr_session *s, const struct gr_ipc_message *message, int fd)
{
	if (message->type == GR_IPC_START) {
		s->id = message->session;
		s->opened = message->number != 0; /* a process before this one died: the page stays */
		s->started = 1;
		const struct gr_config_limits *limits = gr_config_limits_of(s->config, message->person);
		gr_print_init(&s->print, limits->print_pages);
		s->print_dpi = limits->print_dpi;
		return;
	}
	if (!s->started && message->type != GR_IPC_END) {
		gr_log_error("message %u before START", (unsigned)message->type);
		gr_io_close(&fd);
		end(s, 1);
		return;
	}
	switch (message->type) {
	case GR_IPC_AGENT:
		agent_owes_nothing(s); /* its end may not have been noticed yet */
		s->clipboard.down.left = 0;
		gr_agent_connect(s->agent, fd,
				 GR_HELLO_CLIPBOARD | (s->opened ? 0u : GR_HELLO_OPEN_HOME) |
					 (s->print.pages_max ? GR_HELLO_PRINTING : 0u),
				 s->print.pages_max, s->print.pages_max ? s->print_dpi : 0);
		s->opened = 1;
		break;
	case GR_IPC_ATTACH:
		if (s->ending)
			gr_io_close(&fd);
		else
			attach(s, message, fd);
		break;
	case GR_IPC_PRINT:
		print_does(s,
			   gr_print_answered(&s->print, (uint32_t)message->number, message->reason == GR_REASON_NONE));
		pump(s);
		break;
	case GR_IPC_END: finish(s, message->reason); break;
	default:
		gr_log_error("the supervisor sent message %u", (unsigned)message->type);
		gr_io_close(&fd);
		end(s, 1);
	}
}

static void control_ready(void *context, int fd, unsigned events)
{
	struct gr_session *s = context;
	(void)events;
	struct gr_ipc_message message;
	int received;
	int status = gr_ipc_receive(fd, &message, &received);
	if (status == GR_EAGAIN)
		return;
	if (status) {
		gr_loop_remove(s->control_watch);
		s->control_watch = NULL;
		finish(s, GR_REASON_SHUTTING_DOWN);
		return;
	}
	order(s, &message, received);
}

static unsigned history_log2(const struct gr_config *config)
{
	unsigned log2 = GR_ENCODE_HISTORY_MIN;
	for (unsigned mib = config->session.history_mib; mib > 1; mib /= 2)
		log2++;
	return log2;
}

struct gr_session *gr_session_create(struct gr_loop *loop, const struct gr_config *config, unsigned slot, int control,
				     struct gr_error *err)
{
	struct gr_session *s = calloc(1, sizeof(*s));
	if (!s) {
		gr_error_set(err, GR_ENOMEM, "out of memory");
		return NULL;
	}
	s->loop = loop;
	s->control = control;
	s->config = config;
	s->container = slot + 1;
	s->max_width = config->session.max_width;
	s->max_height = config->session.max_height;
	gr_input_init(&s->input);
	s->agent = gr_agent_create(loop, s->max_width, s->max_height, &agent_events, s, err);
	if (!s->agent) {
		gr_session_destroy(s);
		return NULL;
	}
	s->encoder = gr_encoder_create(config->session.width, config->session.height);
	s->clipboard_timer = gr_loop_timer_add(loop, pump, s);
	s->update = s->encoder ? gr_update_create(s->encoder, history_log2(config)) : NULL;
	s->control_watch = gr_loop_add(loop, control, GR_LOOP_READ, control_ready, s);
	if (!s->update || !s->control_watch || !s->clipboard_timer) {
		gr_error_set(err, GR_ENOMEM, "out of memory");
		gr_session_destroy(s);
		return NULL;
	}
	return s;
}

void gr_session_destroy(struct gr_session *s)
{
	if (!s)
		return;
	gr_loop_remove(s->control_watch);
	gr_loop_timer_remove(s->clipboard_timer);
	gr_viewer_destroy(s->viewer);
	gr_viewer_destroy(s->leaving);
	gr_agent_destroy(s->agent);
	gr_update_destroy(s->update);
	gr_encoder_destroy(s->encoder);
	free(s);
}
