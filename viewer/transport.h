/* The transport process: connection, TLS and the OPEN records (PROTOCOL.md §1, §2); then bytes to and from the decoder. */
#ifndef GARASU_VIEWER_TRANSPORT_H
#define GARASU_VIEWER_TRANSPORT_H

#include "viewer/channel.h"
#include "viewer/tls.h"

struct gr_transport_settings {
	const char *host, *port;
	struct gr_tls_settings tls;
	int connect_ms; /* for the connection and the handshake */
	int timeout_ms; /* for each OPEN record */
	int stream; /* to the decoder, SOCK_STREAM, non-blocking */
	int window; /* to the window, SOCK_SEQPACKET, non-blocking */
	struct gr_viewer_counters *counters; /* shared */
};

/* Runs until the connection or one of the other processes ends; returns the process's exit status. */
int gr_transport_run(const struct gr_transport_settings *settings);

#endif
