/* The decoder process: everything that the server's bytes are interpreted by. */
#ifndef GARASU_VIEWER_DECODER_H
#define GARASU_VIEWER_DECODER_H

#include <stdint.h>

struct gr_decoder_settings {
	int stream; /* to the transport, SOCK_STREAM, non-blocking */
	int window; /* to the window, SOCK_SEQPACKET, non-blocking */
	uint32_t *picture; /* GR_PICTURE_BYTES, shared, writable */
	int quality; /* 0, or 1..10 */
	unsigned history_log2; /* 20..25 */
	uint16_t width, height; /* the size wanted, 0 = the server's */
	int replay; /* the stream is a recording: it begins with ServerInit, stands still as long as it likes, and nobody is answered */
	int capture; /* a file for the server's bytes from ServerInit on; -1: none */
};

/* Confines itself, decodes until the end, and returns the process's exit status: 0, or 1 when it could not be confined. */
int gr_decoder_run(const struct gr_decoder_settings *settings);

#endif
