#include "broker/session/session.h"
#include "broker/encode/encode.h"
#include "broker/ipc/ipc.h"
#include "broker/session/agent.h"
#include "broker/session/input.h"
#include "broker/session/update.h"
#include "broker/session/viewer.h"
#include "common/io.h"
#include "common/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTIVITY_MS 10000 /* GR_IPC_ACTIVITY comes no more often */
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
	struct gr_viewer *viewer, *leaving; /* leaving: an earlier one, still to be told why */
	uint32_t connection; /* of viewer; 0 = none */
	uint16_t scale; /* of the browser, in percent, as the last viewer wanted it; 0 = none has said so yet */
	int agent_full; /* it takes no records until agent_writable */
	int size_asked; /* the viewer waits for the answer to SetDesktopSize */
	uint64_t activity_told; /* ms; 0 = not of this viewer yet */
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

/* Shows what is to be shown, and asks the agent only when the viewer waits: so back-pressure reaches the browser. */
static void pump(void *context)
{
	struct gr_session *s = context;
	if (s->painted && s->viewer && gr_viewer_pump(s->viewer))
		gr_agent_want(s->agent, 0);
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
	.text_result = agent_text_result,
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
	union gr_record record;
	int ready = gr_agent_ready(s->agent);
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
	union gr_record record;
	while (gr_input_release(&s->input, &record))
		send_record(s, &record);
	texts_are_lost(s);
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
	.gone = viewer_gone,
};

/* The newest viewer wins. */
static void attach(struct gr_session *s, uint32_t connection, int fd)
{
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
		gr_agent_connect(s->agent, fd, s->opened ? 0 : GR_HELLO_OPEN_HOME);
		s->opened = 1;
		break;
	case GR_IPC_ATTACH:
		if (s->ending)
			gr_io_close(&fd);
		else
			attach(s, message->connection, fd);
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
	s->update = s->encoder ? gr_update_create(s->encoder, history_log2(config)) : NULL;
	s->control_watch = gr_loop_add(loop, control, GR_LOOP_READ, control_ready, s);
	if (!s->update || !s->control_watch) {
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
	gr_viewer_destroy(s->viewer);
	gr_viewer_destroy(s->leaving);
	gr_agent_destroy(s->agent);
	gr_update_destroy(s->update);
	gr_encoder_destroy(s->encoder);
	free(s);
}
