/*
 * The RFB 3.8 handshake (RFC 6143 7.1; VeNCrypt: RFB registry, security type 19) up to SecurityResult, as a pure incremental machine:
 * bytes in, bytes out, no I/O, no allocation. It never takes more bytes than the handshake has, so that what follows
 * (TLS, ClientInit) stays with the caller.
 */
#ifndef GARASU_BROKER_GATEWAY_RFB_HANDSHAKE_H
#define GARASU_BROKER_GATEWAY_RFB_HANDSHAKE_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GR_RFB_REFUSAL_MAX 120 /* bytes of a refusal's text */
/* Bytes of VeNCrypt's Plain: of a name, and of a password with a code behind it. */
#define GR_RFB_NAME_MAX 64
#define GR_RFB_PASSWORD_MAX 320

/* In brackets: once gr_rfb_handshake_ask was called. */
enum gr_rfb_role {
	GR_RFB_SERVER, /* to a viewer inside TLS: security type None (VeNCrypt 0.2, Plain) */
	GR_RFB_SERVER_VENCRYPT, /* to a viewer before TLS: VeNCrypt 0.2, X509None (X509Plain), up to the acknowledging byte */
	GR_RFB_SERVER_RESULT, /* to that viewer inside TLS: only (name, password and) SecurityResult is left */
	GR_RFB_CLIENT, /* to the session process: security type None */
};

/* How far the roles SERVER and SERVER_RESULT may go; the others have no gate. */
enum gr_rfb_gate {
	GR_RFB_GATE_VERSION, /* ProtocolVersion, nothing else */
	GR_RFB_GATE_TYPES, /* the list of security types too: the person is known */
	GR_RFB_GATE_RESULT, /* SecurityResult too: the session is there */
};

struct gr_rfb_handshake {
	enum gr_rfb_role role;
	enum gr_rfb_gate gate;
	int step;
	size_t wants; /* bytes of the present item; 0 = none now */
	size_t in_length;
	uint8_t in[GR_RFB_NAME_MAX + GR_RFB_PASSWORD_MAX];
	size_t out_length;
	uint8_t out[256];
	bool ask; /* for name and password */
	bool plain; /* they are here: in has name_length bytes of name, then password_length bytes of password */
	size_t name_length, password_length;
};

/* Begins; a server's first bytes are in the output at once. */
void gr_rfb_handshake_init(struct gr_rfb_handshake *handshake, enum gr_rfb_role role);

/* How many bytes of the peer may be read now; 0 = none: it waits for a gate, or is over. */
size_t gr_rfb_handshake_wants(const struct gr_rfb_handshake *handshake);

/*
 * Takes n ≤ wants bytes of the peer. GR_EPROTO: the peer does not speak this handshake; the output may hold
 * a last word to it, and nothing is wanted any more. GR_EDENIED: the server (role CLIENT) refused.
 */
int gr_rfb_handshake_feed(struct gr_rfb_handshake *handshake, const uint8_t *untrusted, size_t n);

/*
 * Server roles: name and password are to be given. Before anything of the peer was fed (SERVER_VENCRYPT, SERVER_RESULT), or before
 * GR_RFB_GATE_TYPES is opened (SERVER).
 */
void gr_rfb_handshake_ask(struct gr_rfb_handshake *handshake);

/* Forgets name and password, if they are here: plain is false from then on. */
void gr_rfb_handshake_wipe(struct gr_rfb_handshake *handshake);

/* Opens the gates up to this one. */
void gr_rfb_handshake_open(struct gr_rfb_handshake *handshake, enum gr_rfb_gate gate);

/*
 * Server roles: refuses with text (ASCII, cut at GR_RFB_REFUSAL_MAX) in the form that fits how far the handshake is. It is over then.
 * GR_EINVAL when SecurityResult was sent already.
 */
int gr_rfb_handshake_refuse(struct gr_rfb_handshake *handshake, const char *text);

/* Moves the bytes to be sent into out (cap ≥ sizeof handshake->out) and returns how many there were. */
size_t gr_rfb_handshake_output(struct gr_rfb_handshake *handshake, uint8_t *out, size_t cap);

/* True when it ended well. */
bool gr_rfb_handshake_done(const struct gr_rfb_handshake *handshake);

#endif
