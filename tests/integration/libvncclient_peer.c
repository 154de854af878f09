/*
 * An RFB viewer that nobody here wrote: libvncclient, by VeNCrypt X509None with a client certificate, or X509Plain with name and
 * password, the two lines of FACTORS, too. Driven by lines on
 * standard input, each answered by "ok" or "error …" on standard output:
 *
 *   move X Y | click X Y | wheel X Y N | type ASCII | key KEYSYM | resize W H
 *   wait-idle MS | wait-size W H | screenshot FILE.ppm | quit
 *
 * usage: libvncclient_peer HOST PORT CA CERTIFICATE KEY [FACTORS]
 */
#include <rfb/rfbclient.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *ca, *certificate, *key, *factors;
static int changed;

static long now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static rfbCredential *name_and_password(void)
{
	rfbCredential *c = calloc(1, sizeof(*c));
	FILE *file = factors ? fopen(factors, "r") : NULL;
	char line[2][512] = { "", "" };
	if (!c || !file || !fgets(line[0], sizeof(line[0]), file) || !fgets(line[1], sizeof(line[1]), file)) {
		free(c);
		c = NULL;
	} else {
		for (int i = 0; i < 2; i++)
			line[i][strcspn(line[i], "\n")] = '\0';
		c->userCredential.username = strdup(line[0]);
		c->userCredential.password = strdup(line[1]);
	}
	if (file)
		fclose(file);
	return c;
}

static rfbCredential *credential(rfbClient *client, int type)
{
	(void)client;
	if (type == rfbCredentialTypeUser)
		return name_and_password();
	if (type != rfbCredentialTypeX509)
		return NULL;
	rfbCredential *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->x509Credential.x509CACertFile = strdup(ca);
	c->x509Credential.x509ClientCertFile = strdup(certificate);
	c->x509Credential.x509ClientKeyFile = strdup(key);
	c->x509Credential.x509CrlVerifyMode = rfbX509CrlVerifyNone;
	return c;
}

static void got_update(rfbClient *client, int x, int y, int w, int h)
{
	(void)client, (void)x, (void)y, (void)w, (void)h;
	changed = 1;
}

/* Handles what the server sends for ms milliseconds, or until the picture was still for idle_ms; 0, 1 = idle, -1 = lost. */
static int handle(rfbClient *client, long ms, long idle_ms)
{
	long end = now_ms() + ms, last = now_ms();
	while (now_ms() < end) {
		/* What libvncclient has read ahead does not show on the socket. */
		int n = client->buffered > 0 ? 1 : WaitForMessage(client, 10000);
		if (n < 0 || (n > 0 && !HandleRFBServerMessage(client)))
			return -1;
		if (changed)
			last = now_ms();
		changed = 0;
		if (idle_ms && now_ms() - last >= idle_ms)
			return 1;
	}
	return 0;
}

static int screenshot(const rfbClient *client, const char *file)
{
	FILE *out = fopen(file, "wb");
	if (!out)
		return -1;
	fprintf(out, "P6\n%d %d\n255\n", client->width, client->height);
	size_t pixels = (size_t)client->width * (size_t)client->height;
	for (size_t i = 0; i < pixels; i++) { /* BGRX, as asked for in main */
		const uint8_t *p = client->frameBuffer + i * 4;
		fputc(p[2], out), fputc(p[1], out), fputc(p[0], out);
	}
	return fclose(out);
}

static void click(rfbClient *client, int x, int y, int button)
{
	SendPointerEvent(client, x, y, 0);
	SendPointerEvent(client, x, y, button);
	SendPointerEvent(client, x, y, 0);
}

/* 0 = done, 1 = quit, -1 = failed. */
static int command(rfbClient *client, char *line)
{
	int x, y, n;
	unsigned sym;
	char text[1024];
	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "move %d %d", &x, &y) == 2)
		return SendPointerEvent(client, x, y, 0) ? 0 : -1;
	if (sscanf(line, "click %d %d", &x, &y) == 2) {
		click(client, x, y, rfbButton1Mask);
	} else if (sscanf(line, "wheel %d %d %d", &x, &y, &n) == 3) {
		for (; n > 0; n--)
			click(client, x, y, rfbButton5Mask);
		for (; n < 0; n++)
			click(client, x, y, rfbButton4Mask);
	} else if (sscanf(line, "type %1023[^\n]", text) == 1) {
		for (const char *p = text; *p; p++) {
			SendKeyEvent(client, (uint32_t)(unsigned char)*p, TRUE);
			SendKeyEvent(client, (uint32_t)(unsigned char)*p, FALSE);
		}
	} else if (sscanf(line, "key %x", &sym) == 1) {
		SendKeyEvent(client, sym, TRUE);
		SendKeyEvent(client, sym, FALSE);
	} else if (sscanf(line, "resize %d %d", &x, &y) == 2) {
		return SendExtDesktopSize(client, (uint16_t)x, (uint16_t)y) ? 0 : -1;
	} else if (sscanf(line, "wait-size %d %d", &x, &y) == 2) {
		for (long end = now_ms() + 30000; now_ms() < end;) {
			if (client->width == x && client->height == y)
				return 0;
			if (handle(client, 50, 0) < 0)
				return -1;
		}
		return -1;
	} else if (sscanf(line, "wait-idle %d", &n) == 1) {
		changed = 0;
		return handle(client, 60000, n) == 1 ? 0 : -1;
	} else if (sscanf(line, "screenshot %1023s", text) == 1) {
		return screenshot(client, text);
	} else {
		return strcmp(line, "quit") == 0 ? 1 : -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 6 && argc != 7) {
		fprintf(stderr, "usage: libvncclient_peer HOST PORT CA CERTIFICATE KEY [FACTORS]\n");
		return 2;
	}
	ca = argv[3], certificate = argv[4], key = argv[5], factors = argc > 6 ? argv[6] : NULL;
	rfbClient *client = rfbGetClient(8, 3, 4);
	uint32_t schemes[] = { rfbVeNCrypt };
	SetClientAuthSchemes(client, schemes, 1);
	client->GetCredential = credential;
	client->GotFrameBufferUpdate = got_update;
	client->canHandleNewFBSize = TRUE;
	client->format.redShift = 16, client->format.greenShift = 8, client->format.blueShift = 0;
	client->appData.encodingsString = "tight copyrect raw";
	client->appData.enableJPEG = FALSE; /* lossless */
	client->appData.useRemoteCursor = TRUE;
	client->serverHost = strdup(argv[1]);
	client->serverPort = atoi(argv[2]);
	if (!rfbInitClient(client, NULL, NULL)) { /* frees client when it fails */
		printf("error cannot connect\n");
		return 1;
	}
	printf("ok connected\n");
	fflush(stdout);

	/* The server's messages are handled while no line is there. */
	char line[2048];
	for (;;) {
		struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
		if (poll(&input, 1, 0) == 0) {
			if (handle(client, 10, 0) < 0) {
				printf("error connection lost\n");
				return 3;
			}
			continue;
		}
		/* One read(2) a line: the driver waits for each answer before it sends the next. */
		ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);
		if (n <= 0)
			break;
		line[n] = '\0';
		int result = command(client, line);
		printf(result < 0 ? "error %s\n" : "ok\n", line);
		fflush(stdout);
		if (result == 1)
			break;
	}
	rfbClientCleanup(client);
	return 0;
}
