/*
 * update.h by libvncserver 0.9.14. It is used as a codec: it never sees the viewer's socket. Whole messages are put into
 * one end of a socket pair whose other end it reads, so a read never waits; for the time of an update its descriptor is
 * the outflow's, so a write never waits either. It listens nowhere, and has neither threads nor an event loop here.
 */
#include "broker/session/update.h"
#include "common/error.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <rfb/rfb.h>
#include <rfb/rfbregion.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECTS_PER_UPDATE 64

struct gr_update {
	struct gr_shadow *shadow; /* borrowed */
	rfbScreenInfoPtr screen;
	rfbClientPtr client; /* NULL: no viewer */
	struct gr_outflow *out; /* borrowed */
	int feed; /* our end of the pair; the client's sock is the other */
};

static void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void log_line(const char *format, ...)
{
	char line[256], escaped[512];
	va_list arguments;
	va_start(arguments, format);
	int n = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (n < 0)
		return;
	size_t length = strcspn(line, "\n");
	gr_log_debug("libvncserver: %s", gr_log_escape(escaped, sizeof(escaped), line, length));
}

/* The clipboard goes nowhere; the message does not even get here. */
static void ignore_cut_text(char *text, int length, rfbClientPtr client)
{
	(void)text;
	(void)length;
	(void)client;
}

/* BGRX8888 in host (little-endian) order: docs/PROTOCOL.md, section 3. */
static void set_format(rfbScreenInfoPtr screen)
{
	screen->depth = 24;
	screen->serverFormat.depth = 24;
	screen->serverFormat.trueColour = 1; /* its own TRUE is -1, and ServerInit would say 255 */
	screen->serverFormat.redShift = 16;
	screen->serverFormat.greenShift = 8;
	screen->serverFormat.blueShift = 0;
}

struct gr_update *gr_update_create(struct gr_shadow *shadow)
{
	struct gr_update *update = calloc(1, sizeof(*update));
	if (!update)
		return NULL;
	rfbLog = log_line;
	rfbErr = log_line;
	update->shadow = shadow;
	update->feed = -1;
	rfbScreenInfoPtr screen = rfbGetScreen(NULL, NULL, gr_shadow_width(shadow), gr_shadow_height(shadow), 8, 3, 4);
	if (!screen) {
		free(update);
		return NULL;
	}
	update->screen = screen;
	screen->screenData = update;
	screen->frameBuffer = (char *)gr_shadow_pixels(shadow);
	screen->desktopName = "Garasu";
	set_format(screen);
	/* rfbInitServer is never called; these say so again. */
	screen->port = screen->ipv6port = -1;
	screen->autoPort = FALSE;
	screen->httpPort = screen->http6Port = 0;
	screen->httpDir = NULL;
	screen->udpPort = 0;
	screen->permitFileTransfer = FALSE;
	screen->alwaysShared = TRUE; /* who comes and goes is decided before libvncserver */
	screen->deferUpdateTime = 0;
	screen->deferPtrUpdateTime = 0;
	screen->maxRectsPerUpdate = RECTS_PER_UPDATE;
	screen->progressiveSliceHeight = 0;
	screen->dontConvertRichCursorToXCursor = TRUE;
	screen->setXCutText = ignore_cut_text;
	screen->setXCutTextUTF8 = ignore_cut_text;
	screen->xvpHook = NULL;
	rfbSetCursor(screen, NULL);
	return update;
}

void gr_update_destroy(struct gr_update *update)
{
	if (!update)
		return;
	gr_update_close(update);
	rfbScreenCleanup(update->screen);
	free(update);
}

/* Moves what the client wrote to its descriptor into the outflow. */
static int collect(struct gr_update *update)
{
	for (;;) {
		uint8_t buffer[4096];
		ssize_t n = recv(update->feed, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : GR_EPROTO;
		if (gr_outflow_append(update->out, buffer, (size_t)n))
			return GR_EFULL;
	}
}

int gr_update_open(struct gr_update *update, struct gr_outflow *out)
{
	if (update->client)
		return GR_EEXIST;
	int pair[2];
	if (gr_io_pair(SOCK_STREAM, pair))
		return GR_EIO;
	/*
	 * rfbNewClient looks for a WebSocket's or TLS greeting and waits 100 ms for it, unless it sees RFB's at once. The
	 * viewer's own version must then be exactly this one (viewer.c): it is not given again.
	 */
	static const char version[] = "RFB 003.008\n";
	if (send(pair[1], version, 12, MSG_NOSIGNAL) != 12) {
		close(pair[0]);
		close(pair[1]);
		return GR_EIO;
	}
	update->feed = pair[1];
	update->out = out;
	update->client = rfbNewClient(update->screen, pair[0]); /* takes it */
	if (!update->client || collect(update)) {
		gr_update_close(update);
		return GR_EIO;
	}
	return 0;
}

void gr_update_close(struct gr_update *update)
{
	if (update->client) {
		if (update->client->sock >= 0)
			rfbCloseClient(update->client);
		rfbClientConnectionGone(update->client);
	}
	update->client = NULL;
	update->out = NULL;
	gr_io_close(&update->feed);
}

/* libvncserver takes SetEncodings as it stands and its defaults are meant for it: nothing lossy unless asked for. */
int gr_update_feed(struct gr_update *update, const void *message, size_t n)
{
	rfbClientPtr client = update->client;
	if (!client || client->sock < 0)
		return GR_EPROTO;
	/* The version is there since gr_update_open. */
	if (client->state != RFB_PROTOCOL_VERSION && send(update->feed, message, n, MSG_NOSIGNAL) != (ssize_t)n)
		return GR_EPROTO;
	rfbProcessClientMessage(client);
	if (client->sock < 0)
		return GR_EPROTO;
	return collect(update);
}

int gr_update_waiting(const struct gr_update *update)
{
	return update->client && update->client->state == RFB_NORMAL && !sraRgnEmpty(update->client->requestedRegion);
}

int gr_update_size_pending(const struct gr_update *update)
{
	return update->client && update->client->newFBSizePending;
}

int gr_update_shows(const struct gr_update *update, struct gr_rect rect)
{
	return rect.x + rect.w <= update->screen->width && rect.y + rect.h <= update->screen->height;
}

void gr_update_changed(struct gr_update *update, const struct gr_rect *rects, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rfbMarkRectAsModified(update->screen, rects[i].x, rects[i].y, rects[i].x + rects[i].w,
				      rects[i].y + rects[i].h);
}

void gr_update_resized(struct gr_update *update)
{
	rfbNewFramebuffer(update->screen, (char *)gr_shadow_pixels(update->shadow), gr_shadow_width(update->shadow),
			  gr_shadow_height(update->shadow), 8, 3, 4);
	/* That went back to libvncserver's own pixel format. */
	set_format(update->screen);
	if (update->client)
		rfbSetTranslateFunction(update->client);
}

void gr_update_size_answer(struct gr_update *update, int status)
{
	if (!update->client || !update->client->useExtDesktopSize)
		return;
	update->client->requestedDesktopSizeChange = rfbExtDesktopSize_ClientRequestedChange;
	update->client->lastDesktopSizeChangeError = status;
	update->client->newFBSizePending = TRUE;
}

int gr_update_cursor(struct gr_update *update, uint16_t w, uint16_t h, uint16_t hot_x, uint16_t hot_y,
		     const uint32_t *colours, const uint8_t *mask)
{
	if (!w || !h) {
		rfbSetCursor(update->screen, NULL);
		return 0;
	}
	size_t mask_size = (size_t)(w + 7) / 8 * h, colours_size = (size_t)w * h * 4;
	rfbCursorPtr cursor = calloc(1, sizeof(*cursor));
	if (!cursor)
		return GR_ENOMEM;
	cursor->cleanup = cursor->cleanupSource = cursor->cleanupMask = cursor->cleanupRichSource = TRUE;
	cursor->source = calloc(1, mask_size); /* never sent: the X cursor encoding is not offered */
	cursor->mask = malloc(mask_size);
	cursor->richSource = malloc(colours_size);
	if (!cursor->source || !cursor->mask || !cursor->richSource) {
		rfbFreeCursor(cursor); /* which the analyzer does not look into */
		return GR_ENOMEM; /* NOLINT(clang-analyzer-unix.Malloc) */
	}
	memcpy(cursor->mask, mask, mask_size);
	memcpy(cursor->richSource, colours, colours_size);
	cursor->width = w;
	cursor->height = h;
	cursor->xhot = hot_x;
	cursor->yhot = hot_y;
	rfbSetCursor(update->screen, cursor); /* takes it */
	return 0;
}

void gr_update_pointer(struct gr_update *update, uint16_t x, uint16_t y)
{
	int right = update->screen->width - 1, bottom = update->screen->height - 1;
	update->screen->cursorX = x < right ? x : right;
	update->screen->cursorY = y < bottom ? y : bottom;
	/* Without an image there is nothing to draw; libvncserver would send an update of no rectangles. */
	if (update->client && !update->screen->cursor) {
		update->client->cursorX = update->screen->cursorX;
		update->client->cursorY = update->screen->cursorY;
	}
}

int gr_update_send(struct gr_update *update, size_t *n_out)
{
	rfbClientPtr client = update->client;
	size_t total = 0;
	/* A change of size goes as an update of its own, before the pixels. */
	for (unsigned round = 0; round < 3 && gr_update_waiting(update) && FB_UPDATE_PENDING(client); round++) {
		rfbSocket own = client->sock;
		int sink;
		if (gr_outflow_sink(update->out, &sink))
			return GR_ENOMEM;
		client->sock = sink;
		rfbBool good = rfbSendFramebufferUpdate(client, client->modifiedRegion);
		int closed = client->sock < 0; /* by libvncserver, as a write failed */
		client->sock = own;
		if (!closed)
			close(sink);
		size_t n;
		if (!good || closed || gr_outflow_written(update->out, &n))
			return GR_EFULL;
		if (!n)
			break;
		total += n;
	}
	*n_out = total;
	return 0;
}
