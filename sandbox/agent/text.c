#include "sandbox/agent/text.h"
#include "common/io.h"
#include "common/log.h"
#include "sandbox/agent/im_message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	PEERS_MAX = 8, /* one is normal; a restarted browser makes two for a moment */
	REPLY_MS = 5000, /* a field has the focus: a busy browser may take its time */
	REPLY_UNFOCUSED_MS = 400, /* none has, as far as the module knows: probably nobody will answer */
	FORGET_MS = 1000, /* for the answer to CANCEL; after that the browser hangs */
	REPORTS_AT_ONCE = 64,
};

struct peer {
	struct gr_text *text;
	int fd; /* -1: free */
	struct gr_loop_watch *watch;
	int focused;
	uint64_t used; /* order of the last sign of life */
};

struct gr_text {
	struct gr_loop *loop;
	struct gr_text_owner owner;
	struct sockaddr_un address;
	int listener;
	struct gr_loop_watch *watch;
	struct gr_loop_timer *timer;
	struct peer peers[PEERS_MAX];
	uint64_t uses;
	uint64_t heard; /* ms, of focus or caret */
	struct gr_record_caret caret; /* as told last */

	uint32_t sequence; /* of the last text */
	struct peer *asked; /* whose answer is waited for; NULL: idle */
	int cancelled;
};

static const uint8_t keycodes[4] = GR_IM_KEYCODES;

static void finish_text(struct gr_text *text, uint32_t status)
{
	text->asked = NULL;
	gr_loop_timer_set(text->timer, -1);
	text->owner.done(text->owner.context, status);
}

static void close_peer(struct peer *peer)
{
	struct gr_text *text = peer->text;
	gr_loop_remove(peer->watch);
	peer->watch = NULL;
	gr_io_close(&peer->fd);
	peer->focused = 0;
	if (text->asked == peer)
		finish_text(text, GR_TEXT_NOT_DELIVERED);
}

/* Chromium says it with every key. */
static void tell_caret(struct gr_text *text, const struct gr_record_caret *caret)
{
	if (!memcmp(&text->caret, caret, sizeof(*caret)))
		return;
	text->caret = *caret;
	text->heard = gr_io_now_ms();
	text->owner.caret(text->owner.context, caret);
}

static uint16_t to_u16(int32_t value)
{
	return value < 0 ? 0 : value > UINT16_MAX ? UINT16_MAX : (uint16_t)value;
}

static void take_report(struct peer *peer, const struct gr_im_report *untrusted_report)
{
	struct gr_text *text = peer->text;
	peer->used = ++text->uses;
	switch (untrusted_report->type) {
	case GR_IM_COMMITTED:
	case GR_IM_FORGOTTEN:
		if (text->asked == peer && untrusted_report->sequence == text->sequence)
			finish_text(text,
				    untrusted_report->type == GR_IM_COMMITTED ? GR_TEXT_GIVEN : GR_TEXT_NOT_DELIVERED);
		break;
	case GR_IM_FOCUS:
		peer->focused = untrusted_report->focused == 1;
		text->heard = gr_io_now_ms();
		if (!peer->focused) {
			const struct gr_record_caret none = { .type = GR_RECORD_CARET };
			tell_caret(text, &none);
		}
		/* When the focus goes while a text is under way its key probably passes the module by; unless it comes back. */
		if (text->asked == peer && !text->cancelled)
			gr_loop_timer_set(text->timer, peer->focused ? REPLY_MS : REPLY_UNFOCUSED_MS);
		break;
	case GR_IM_CARET: {
		struct gr_record_caret caret = {
			.type = GR_RECORD_CARET,
			.visible = 1,
			.rect = { to_u16(untrusted_report->x), to_u16(untrusted_report->y), to_u16(untrusted_report->w),
				  to_u16(untrusted_report->h) },
		};
		tell_caret(text, &caret);
		break;
	}
	default: close_peer(peer);
	}
}

static void peer_ready(void *context, int fd, unsigned events)
{
	struct peer *peer = context;
	(void)events;
	for (int i = 0; i < REPORTS_AT_ONCE && peer->fd == fd; i++) {
		struct gr_im_report untrusted_report;
		size_t size = 0;
		int code = gr_io_receive(fd, &untrusted_report, sizeof(untrusted_report), &size, NULL);
		if (code == GR_EAGAIN)
			return;
		if (code < 0 || size != sizeof(untrusted_report)) {
			close_peer(peer);
			return;
		}
		take_report(peer, &untrusted_report);
	}
}

static void listener_ready(void *context, int fd, unsigned events)
{
	struct gr_text *text = context;
	(void)events;
	int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (accepted < 0)
		return;
	/* The oldest makes room: whoever connects last is the browser that runs. */
	struct peer *peer = &text->peers[0];
	for (size_t i = 0; i < PEERS_MAX && peer->fd >= 0; i++)
		if (text->peers[i].fd < 0 || text->peers[i].used < peer->used)
			peer = &text->peers[i];
	if (peer->fd >= 0)
		close_peer(peer);
	peer->fd = accepted;
	peer->used = ++text->uses;
	peer->watch = gr_loop_add(text->loop, accepted, GR_LOOP_READ, peer_ready, peer);
	if (!peer->watch)
		close_peer(peer);
}

static void expired(void *context)
{
	struct gr_text *text = context;
	struct peer *peer = text->asked;
	if (!peer)
		return;
	struct gr_im_request cancel = { .type = GR_IM_CANCEL, .sequence = text->sequence };
	if (text->cancelled || gr_io_send(peer->fd, &cancel, sizeof(cancel), -1) < 0) {
		/* The module reads CANCEL, or the end, before any later key: the text cannot come out any more. */
		close_peer(peer);
		return;
	}
	text->cancelled = 1;
	gr_loop_timer_set(text->timer, FORGET_MS);
}

static int open_listener(struct gr_text *text, const char *path, struct gr_error *err)
{
	text->address.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(text->address.sun_path))
		return gr_error_set(err, GR_EINVAL, "socket path too long");
	memcpy(text->address.sun_path, path, strlen(path) + 1);
	text->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (text->listener < 0)
		return gr_error_errno(err, "socket");
	unlink(path);
	mode_t mask = umask(0177);
	int failed = bind(text->listener, (struct sockaddr *)&text->address, sizeof(text->address)) < 0;
	umask(mask);
	if (failed || listen(text->listener, PEERS_MAX) < 0)
		return gr_error_errno(err, "%s", path);
	return 0;
}

struct gr_text *gr_text_create(struct gr_loop *loop, const char *path, const struct gr_text_owner *owner,
			       struct gr_error *err)
{
	struct gr_text *text = calloc(1, sizeof(*text));
	if (!text) {
		gr_error_set(err, GR_ENOMEM, "out of memory");
		return NULL;
	}
	text->loop = loop;
	text->owner = *owner;
	text->listener = -1;
	for (size_t i = 0; i < PEERS_MAX; i++)
		text->peers[i] = (struct peer){ .text = text, .fd = -1 };
	int code = open_listener(text, path, err);
	if (!code) {
		text->watch = gr_loop_add(loop, text->listener, GR_LOOP_READ, listener_ready, text);
		text->timer = gr_loop_timer_add(loop, expired, text);
		if (!text->watch || !text->timer)
			code = gr_error_set(err, GR_ENOMEM, "out of memory");
	}
	if (code) {
		gr_text_destroy(text);
		return NULL;
	}
	return text;
}

void gr_text_destroy(struct gr_text *text)
{
	if (!text)
		return;
	text->asked = NULL;
	for (size_t i = 0; i < PEERS_MAX; i++)
		close_peer(&text->peers[i]);
	gr_loop_remove(text->watch);
	gr_loop_timer_remove(text->timer);
	if (text->listener >= 0)
		unlink(text->address.sun_path);
	gr_io_close(&text->listener);
	free(text);
}

/* The module that has the focus, else the one heard of last. */
static struct peer *choose(struct gr_text *text)
{
	struct peer *best = NULL;
	for (size_t i = 0; i < PEERS_MAX; i++) {
		struct peer *peer = &text->peers[i];
		if (peer->fd < 0)
			continue;
		if (!best || peer->focused > best->focused ||
		    (peer->focused == best->focused && peer->used > best->used))
			best = peer;
	}
	return best;
}

int gr_text_send(struct gr_text *text, const uint8_t *bytes, uint32_t length)
{
	if (text->asked || length == 0 || length > GR_TEXT_MAX)
		return GR_EINVAL;
	struct peer *peer = choose(text);
	if (!peer)
		return GR_ENOENT;
	struct gr_im_request request = { .type = GR_IM_TEXT, .sequence = ++text->sequence, .length = length };
	memcpy(request.text, bytes, length);
	if (gr_io_send(peer->fd, &request, sizeof(request), -1) < 0) {
		close_peer(peer);
		return GR_ENOENT;
	}
	text->asked = peer;
	text->cancelled = 0;
	gr_loop_timer_set(text->timer, peer->focused ? REPLY_MS : REPLY_UNFOCUSED_MS);
	text->owner.press(text->owner.context, keycodes[text->sequence % 4]);
	return 0;
}

int gr_text_probe(struct gr_text *text)
{
	struct peer *peer = choose(text);
	if (!peer || !peer->focused)
		return 0;
	text->owner.press(text->owner.context, GR_IM_PROBE_KEYCODE);
	return 1;
}

void gr_text_plain(struct gr_text *text)
{
	const struct gr_im_request plain = { .type = GR_IM_PLAIN };
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (text->peers[i].fd >= 0 && gr_io_send(text->peers[i].fd, &plain, sizeof(plain), -1) < 0)
			close_peer(&text->peers[i]);
}

int gr_text_is_busy(const struct gr_text *text)
{
	return text->asked != NULL;
}

uint64_t gr_text_heard(const struct gr_text *text)
{
	return text->heard;
}
