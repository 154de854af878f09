#include "bench/peer.h"
#include "common/io.h"

#include <rfb/rfb.h>
#include <rfb/rfbregion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	QUALITY_LEVEL = 8,
	COMPRESSION_LEVEL = 2,
	RECTS_MAX = 65534, /* 65535 stands for "until LastRect" */
};

struct peer {
	const struct gr_codec_memory *memory; /* borrowed */
	rfbScreenInfoPtr screen;
	rfbClientPtr client;
	int sink; /* a descriptor of memory->out_fd's file: libvncserver writes its updates there */
	int feed; /* our end of the pair; the client's socket is the other */
};

static void log_nothing(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void log_nothing(const char *format, ...)
{
	(void)format;
}

/* Gives libvncserver one message of the viewer that it believes in, and throws the answer away. */
static int say(struct peer *peer, const void *message, size_t n)
{
	uint8_t answer[4096];
	if (n && send(peer->feed, message, n, MSG_NOSIGNAL) != (ssize_t)n)
		return GR_EIO;
	rfbProcessClientMessage(peer->client);
	while (recv(peer->feed, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		;
	return peer->client->sock < 0 ? GR_EPROTO : 0;
}

static int ask(struct peer *peer)
{
	uint16_t w = peer->memory->w, h = peer->memory->h;
	const uint8_t request[10] = { 3, 1, 0, 0, 0, 0, (uint8_t)(w >> 8), (uint8_t)w, (uint8_t)(h >> 8), (uint8_t)h };
	return say(peer, request, sizeof(request));
}

static int connect_client(struct peer *peer)
{
	static const char version[] = "RFB 003.008\n";
	static const uint8_t none = 1, shared = 1;
	static const int32_t encodings[] = { rfbEncodingTight, rfbEncodingCopyRect,
					     (int32_t)rfbEncodingQualityLevel0 + QUALITY_LEVEL,
					     (int32_t)rfbEncodingCompressLevel0 + COMPRESSION_LEVEL,
					     (int32_t)rfbEncodingLastRect };
	enum { COUNT = sizeof(encodings) / sizeof(encodings[0]) };
	uint8_t message[4 + 4 * COUNT] = { rfbSetEncodings, 0, 0, COUNT };
	for (size_t i = 0; i < COUNT; i++)
		for (size_t byte = 0; byte < 4; byte++)
			message[4 + 4 * i + byte] = (uint8_t)((uint32_t)encodings[i] >> (24 - 8 * byte));
	int pair[2];
	if (gr_io_pair(SOCK_STREAM, pair))
		return GR_EIO;
	peer->feed = pair[1];
	/* The version must be there before, or rfbNewClient waits for a WebSocket's greeting. */
	if (send(pair[1], version, 12, MSG_NOSIGNAL) != 12) {
		close(pair[0]);
		return GR_EIO;
	}
	peer->client = rfbNewClient(peer->screen, pair[0]); /* takes it */
	if (!peer->client)
		return GR_EIO;
	int code = say(peer, NULL, 0);
	if (!code)
		code = say(peer, &none, 1);
	if (!code)
		code = say(peer, &shared, 1);
	if (!code)
		code = say(peer, message, sizeof(message));
	if (!code && peer->client->state != RFB_NORMAL)
		code = GR_EPROTO;
	/* What there is before the first frame is of no interest. */
	if (!code)
		sraRgnMakeEmpty(peer->client->modifiedRegion);
	return code;
}

static void peer_close(void *state)
{
	struct peer *peer = state;
	if (peer->client) {
		if (peer->client->sock >= 0)
			rfbCloseClient(peer->client);
		rfbClientConnectionGone(peer->client);
	}
	if (peer->screen)
		rfbScreenCleanup(peer->screen);
	gr_io_close(&peer->sink);
	gr_io_close(&peer->feed);
	free(peer);
}

static int peer_open(const struct gr_codec_memory *memory, const struct gr_codec_settings *settings, void **out,
		     struct gr_error *err)
{
	(void)settings;
	struct peer *peer = calloc(1, sizeof(*peer));
	if (!peer)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	rfbLog = log_nothing;
	rfbErr = log_nothing;
	peer->memory = memory;
	peer->feed = -1;
	peer->sink = dup(memory->out_fd);
	peer->screen = rfbGetScreen(NULL, NULL, memory->w, memory->h, 8, 3, 4);
	if (peer->sink < 0 || !peer->screen) {
		peer_close(peer);
		return gr_error_set(err, GR_ENOMEM, "libvncserver cannot be set up");
	}
	rfbScreenInfoPtr screen = peer->screen;
	screen->frameBuffer = (char *)(uintptr_t)memory->pixels; /* only drawn into for a pointer's image */
	screen->depth = screen->serverFormat.depth = 24;
	screen->serverFormat.trueColour = 1;
	screen->serverFormat.redShift = 16;
	screen->serverFormat.greenShift = 8;
	screen->serverFormat.blueShift = 0;
	screen->port = screen->ipv6port = -1;
	screen->autoPort = FALSE;
	screen->deferUpdateTime = 0;
	screen->maxRectsPerUpdate = RECTS_MAX;
	screen->progressiveSliceHeight = 0;
	rfbSetCursor(screen, NULL);
	if (connect_client(peer)) {
		peer_close(peer);
		return gr_error_set(err, GR_EPROTO, "libvncserver refused its viewer");
	}
	*out = peer;
	return 0;
}

static void peer_take(void *state, const struct gr_rect *rects, size_t n, uint64_t now_ms)
{
	(void)now_ms;
	struct peer *peer = state;
	for (size_t i = 0; i < n; i++)
		rfbMarkRectAsModified(peer->screen, rects[i].x, rects[i].y, rects[i].x + rects[i].w,
				      rects[i].y + rects[i].h);
	ask(peer); /* a failure shows in the write */
}

static int peer_pending(void *state, uint64_t now_ms)
{
	(void)now_ms;
	const struct peer *peer = state;
	return !sraRgnEmpty(peer->client->modifiedRegion);
}

static int64_t peer_refinement_in(void *state, uint64_t now_ms)
{
	(void)state;
	(void)now_ms;
	return -1;
}

static ptrdiff_t peer_write(void *state, size_t at, uint64_t now_ms)
{
	(void)now_ms;
	struct peer *peer = state;
	if (peer->client->sock < 0 || lseek(peer->sink, (off_t)at, SEEK_SET) < 0)
		return GR_EIO;
	rfbSocket own = peer->client->sock;
	peer->client->sock = peer->sink;
	rfbBool good = rfbSendFramebufferUpdate(peer->client, peer->client->modifiedRegion);
	int closed = peer->client->sock < 0; /* by libvncserver, as a write failed */
	peer->client->sock = own;
	if (closed)
		peer->sink = -1;
	off_t end = closed ? -1 : lseek(peer->sink, 0, SEEK_CUR);
	if (!good || end < 0 || (size_t)end > peer->memory->capacity)
		return GR_EIO;
	return (ptrdiff_t)((size_t)end - at);
}

static size_t peer_shadow_size(void *state)
{
	(void)state;
	return 0; /* it encodes from the screen itself */
}

const struct gr_codec gr_codec_peer = {
	.name = "libvncserver",
	.take_counts = 0,
	.open = peer_open,
	.close = peer_close,
	.take = peer_take,
	.pending = peer_pending,
	.refinement_in = peer_refinement_in,
	.write = peer_write,
	.shadow_size = peer_shadow_size,
};
