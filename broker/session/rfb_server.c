/*
 * libvncserver 0.9.14. Whole messages are put into one end of a socket pair whose other end it reads, so a read never waits;
 * for the time of an update its descriptor is the outflow's, so a write never waits either.
 */
#include "broker/session/rfb_server.h"
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

struct gr_rfb_server {
	struct gr_encoder *encoder; /* borrowed */
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

/*
 * libvncserver reads the shadow, and draws the pointer into it for viewers that cannot draw it themselves; it takes it out
 * again before it returns.
 */
static char *shadow(struct gr_encoder *encoder)
{
	return (char *)(uintptr_t)gr_encoder_pixels(encoder);
}

/* Between equal formats libvncserver copies a pixel's fourth byte too, in which the container may say what it likes. */
static void copy_colours(char *table, rfbPixelFormat *in, rfbPixelFormat *out, char *from, char *to, int stride,
			 int width, int height)
{
	(void)table;
	(void)in;
	(void)out;
	for (int y = 0; y < height; y++, from += stride)
		for (int x = 0; x < width; x++, to += 4) {
			uint32_t pixel;
			memcpy(&pixel, from + (size_t)x * 4, 4);
			pixel &= 0x00ffffff;
			memcpy(to, &pixel, 4);
		}
}

static rfbBool set_translation(rfbClientPtr client)
{
	if (!rfbSetTranslateFunction(client))
		return FALSE;
	const rfbPixelFormat *a = &client->format, *b = &client->screen->serverFormat;
	if (a->bitsPerPixel == b->bitsPerPixel && a->depth == b->depth && !a->bigEndian == !b->bigEndian &&
	    a->redMax == b->redMax && a->greenMax == b->greenMax && a->blueMax == b->blueMax &&
	    a->redShift == b->redShift && a->greenShift == b->greenShift && a->blueShift == b->blueShift)
		client->translateFn = copy_colours;
	return TRUE;
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

struct gr_rfb_server *gr_rfb_server_create(struct gr_encoder *encoder)
{
	struct gr_rfb_server *server = calloc(1, sizeof(*server));
	if (!server)
		return NULL;
	rfbLog = log_line;
	rfbErr = log_line;
	server->encoder = encoder;
	server->feed = -1;
	rfbScreenInfoPtr screen = rfbGetScreen(NULL, NULL, gr_encoder_width(encoder), gr_encoder_height(encoder), 8, 3,
					       4);
	if (!screen) {
		free(server);
		return NULL;
	}
	server->screen = screen;
	screen->screenData = server;
	screen->setTranslateFunction = set_translation;
	screen->frameBuffer = shadow(encoder);
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
	return server;
}

void gr_rfb_server_destroy(struct gr_rfb_server *server)
{
	if (!server)
		return;
	gr_rfb_server_close(server);
	rfbScreenCleanup(server->screen);
	free(server);
}

/* Moves what the client wrote to its descriptor into the outflow. */
static int collect(struct gr_rfb_server *server)
{
	for (;;) {
		uint8_t buffer[4096];
		ssize_t n = recv(server->feed, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : GR_EPROTO;
		if (gr_outflow_append(server->out, buffer, (size_t)n))
			return GR_EFULL;
	}
}

int gr_rfb_server_open(struct gr_rfb_server *server, struct gr_outflow *out)
{
	if (server->client)
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
	server->feed = pair[1];
	server->out = out;
	server->client = rfbNewClient(server->screen, pair[0]); /* takes it */
	if (server->client) { /* a viewer may never set a format, nor ask for anything (continuous updates) */
		set_translation(server->client);
		server->client->readyForSetColourMapEntries = TRUE;
	}
	if (!server->client || collect(server)) {
		gr_rfb_server_close(server);
		return GR_EIO;
	}
	return 0;
}

void gr_rfb_server_close(struct gr_rfb_server *server)
{
	if (server->client) {
		if (server->client->sock >= 0)
			rfbCloseClient(server->client);
		rfbClientConnectionGone(server->client);
	}
	server->client = NULL;
	server->out = NULL;
	gr_io_close(&server->feed);
}

/* libvncserver takes SetEncodings as it stands and its defaults are meant for it: nothing lossy unless asked for. */
int gr_rfb_server_feed(struct gr_rfb_server *server, const void *message, size_t n)
{
	rfbClientPtr client = server->client;
	if (!client || client->sock < 0)
		return GR_EPROTO;
	/* The version is there since gr_rfb_server_open. */
	if (client->state != RFB_PROTOCOL_VERSION && send(server->feed, message, n, MSG_NOSIGNAL) != (ssize_t)n)
		return GR_EPROTO;
	rfbProcessClientMessage(client);
	if (client->sock < 0)
		return GR_EPROTO;
	return collect(server);
}

int gr_rfb_server_requested(const struct gr_rfb_server *server)
{
	return server->client && server->client->state == RFB_NORMAL && !sraRgnEmpty(server->client->requestedRegion);
}

int gr_rfb_server_requested_whole(const struct gr_rfb_server *server)
{
	if (!gr_rfb_server_requested(server))
		return 0;
	sraRegionPtr missing = sraRgnCreateRect(0, 0, server->screen->width, server->screen->height);
	sraRgnSubtract(missing, server->client->requestedRegion);
	int whole = sraRgnEmpty(missing) != 0;
	sraRgnDestroy(missing);
	return whole;
}

void gr_rfb_server_request(struct gr_rfb_server *server, struct gr_rect rect)
{
	int right = rect.x + rect.w, bottom = rect.y + rect.h;
	if (right > server->screen->width)
		right = server->screen->width;
	if (bottom > server->screen->height)
		bottom = server->screen->height;
	if (!server->client || rect.x >= right || rect.y >= bottom)
		return;
	sraRegionPtr region = sraRgnCreateRect(rect.x, rect.y, right, bottom);
	sraRgnOr(server->client->requestedRegion, region);
	sraRgnDestroy(region);
}

void gr_rfb_server_answered(struct gr_rfb_server *server)
{
	if (server->client)
		sraRgnMakeEmpty(server->client->requestedRegion);
}

int gr_rfb_server_suits(const struct gr_rfb_server *server)
{
	const rfbClientRec *client = server->client;
	if (!client || client->state != RFB_NORMAL)
		return 0;
	const rfbPixelFormat *format = &client->format;
	return client->enableCursorShapeUpdates && client->useNewFBSize && format->trueColour &&
	       format->bitsPerPixel == 32 && format->depth == 24 && format->redMax == 255 && format->greenMax == 255 &&
	       format->blueMax == 255;
}

int gr_rfb_server_size_pending(const struct gr_rfb_server *server)
{
	return server->client && server->client->newFBSizePending;
}

uint16_t gr_rfb_server_width(const struct gr_rfb_server *server)
{
	return (uint16_t)server->screen->width;
}

uint16_t gr_rfb_server_height(const struct gr_rfb_server *server)
{
	return (uint16_t)server->screen->height;
}

void gr_rfb_server_changed(struct gr_rfb_server *server, const struct gr_rect *rects, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rfbMarkRectAsModified(server->screen, rects[i].x, rects[i].y, rects[i].x + rects[i].w,
				      rects[i].y + rects[i].h);
}

void gr_rfb_server_resized(struct gr_rfb_server *server)
{
	rfbNewFramebuffer(server->screen, shadow(server->encoder), gr_encoder_width(server->encoder),
			  gr_encoder_height(server->encoder), 8, 3, 4);
	/* That went back to libvncserver's own pixel format. */
	set_format(server->screen);
	if (server->client)
		set_translation(server->client);
}

void gr_rfb_server_size_answer(struct gr_rfb_server *server, int status)
{
	if (!server->client || !server->client->useExtDesktopSize)
		return;
	server->client->requestedDesktopSizeChange = rfbExtDesktopSize_ClientRequestedChange;
	server->client->lastDesktopSizeChangeError = status;
	server->client->newFBSizePending = TRUE;
}

int gr_rfb_server_cursor(struct gr_rfb_server *server, uint16_t w, uint16_t h, uint16_t hot_x, uint16_t hot_y,
			 const uint32_t *colours, const uint8_t *mask)
{
	if (!w || !h) {
		rfbSetCursor(server->screen, NULL);
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
	rfbSetCursor(server->screen, cursor); /* takes it */
	return 0;
}

void gr_rfb_server_pointer(struct gr_rfb_server *server, uint16_t x, uint16_t y)
{
	int right = server->screen->width - 1, bottom = server->screen->height - 1;
	server->screen->cursorX = x < right ? x : right;
	server->screen->cursorY = y < bottom ? y : bottom;
	/* Without an image there is nothing to draw; libvncserver would send an update of no rectangles. */
	if (server->client && !server->screen->cursor) {
		server->client->cursorX = server->screen->cursorX;
		server->client->cursorY = server->screen->cursorY;
	}
}

void gr_rfb_server_unchanged(struct gr_rfb_server *server)
{
	if (server->client)
		sraRgnMakeEmpty(server->client->modifiedRegion);
}

int gr_rfb_server_pending(const struct gr_rfb_server *server)
{
	return server->client && server->client->state == RFB_NORMAL && FB_UPDATE_PENDING(server->client);
}

int gr_rfb_server_send(struct gr_rfb_server *server, size_t *n_out)
{
	rfbClientPtr client = server->client;
	size_t total = 0;
	/* A change of size goes as an update of its own, before the pixels. */
	for (unsigned round = 0; round < 3 && gr_rfb_server_requested(server) && gr_rfb_server_pending(server);
	     round++) {
		client->updateBuf[1] = 0; /* the message's padding, which it leaves as it is: the guard wants 0 */
		rfbSocket own = client->sock;
		int sink;
		if (gr_outflow_sink(server->out, &sink))
			return GR_ENOMEM;
		client->sock = sink;
		rfbBool good = rfbSendFramebufferUpdate(client, client->modifiedRegion);
		int closed = client->sock < 0; /* by libvncserver, as a write failed */
		client->sock = own;
		if (!closed)
			close(sink);
		size_t n;
		if (!good || closed || gr_outflow_written(server->out, &n))
			return GR_EFULL;
		if (!n)
			break;
		total += n;
	}
	*n_out = total;
	return 0;
}
