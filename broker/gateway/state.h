/* The state of one connection, shared by connection.c (how it goes on) and ending.c (how it ends). */
#ifndef GARASU_BROKER_GATEWAY_STATE_H
#define GARASU_BROKER_GATEWAY_STATE_H

#include "broker/config/config.h"
#include "broker/gateway/factors.h"
#include "broker/gateway/opening.h"
#include "broker/gateway/recorder.h"
#include "broker/gateway/relay.h"
#include "broker/gateway/rfb_handshake.h"
#include "broker/gateway/tls.h"
#include "common/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum state {
	STATE_VENCRYPT, /* RFB in the clear, up to the byte before TLS */
	STATE_TLS,
	STATE_IDENTITY, /* asked who it is, or whether a factor is right */
	STATE_FACTORS, /* the viewer is asked for the second factor */
	STATE_SESSION, /* asked the supervisor for the session */
	STATE_ATTACH, /* RFB handshake with the session process */
	STATE_VIEWER, /* the session is there; the viewer's RFB handshake goes on */
	STATE_RELAY,
	STATE_FLUSH, /* the last bytes to the viewer */
	STATE_LINGER, /* until the viewer closed */
	STATES
};

struct gr_connection {
	struct gr_loop *loop;
	struct gr_tls *tls;
	const struct gr_config *config; /* borrowed */
	struct gr_guard_settings guard;
	struct gr_recorder *recorder;
	struct gr_relay relay; /* from STATE_IDENTITY on */
	struct gr_rfb_handshake viewer, session;
	struct gr_loop_watch *control_watch, *viewer_watch, *identity_watch, *stream_watch;
	struct gr_loop_timer *deadline;
	struct gr_loop_timer *wait; /* the next WAIT record; in STATE_RELAY what the guard waits for */
	int stream;
	unsigned waits; /* WAIT records sent */
	unsigned closing_rounds;
	size_t unsent; /* at the last deadline while closing */
	uint32_t number;
	uint32_t reason; /* gr_reason, for CLOSED */
	enum state state;
	bool vencrypt;
	bool relayed; /* relay is set up: TLS is complete */
	bool viewer_speaks; /* the viewer's RFB handshake has begun */
	bool finished;
	uint32_t ask; /* set of gr_identity_ask: what was asked for last; 0 = nothing was yet */
	uint32_t ready_flags; /* set of gr_open_ready */
	bool ticketed; /* ticket is to be told before them; wiped then */
	uint8_t ticket[GR_IDENTITY_TICKET];
	struct gr_open terms; /* what is told right before READY */
	char person[GR_PERSON_MAX + 8]; /* with ask */
	size_t answer_length;
	uint8_t answer[GR_ANSWER_BYTES]; /* what of one has come; wiped when it is whole */
	int code; /* for gr_connection_run */
};

/* Queues one OPEN record. */
void gr_connection_queue_open(struct gr_connection *c, const struct gr_open *open);

/* Before READY: tells why not, in the viewer's language, and closes. seconds: when to come again, 0 = unknown. */
void gr_connection_refuse(struct gr_connection *c, uint32_t reason, uint32_t seconds);
/* The same of a viewer of another make, with words of its own (ASCII, ≤ GR_RFB_REFUSAL_MAX). */
void gr_connection_refuse_in_words(struct gr_connection *c, uint32_t reason, const char *words);

/* From STATE_IDENTITY to STATE_VIEWER: sends what is queued and takes what the viewer may say now. */
void gr_connection_viewer_step(struct gr_connection *c);

/* Ends the process's loop with code; 0 = in good order: CLOSED is sent, if TLS was ever complete. */
void gr_connection_finish(struct gr_connection *c, int code);

/* Before TLS is complete: tells the supervisor why, and waits until the viewer has seen the alert. */
void gr_connection_handshake_failed(struct gr_connection *c, uint32_t reason, const char *text);

/* After TLS: sends what is queued, then close_notify. The stream to the session process is closed at once. */
void gr_connection_close(struct gr_connection *c, uint32_t reason);

/* The viewer is not there any more: nothing to flush, nobody to wait for. */
void gr_connection_viewer_left(struct gr_connection *c);

/* One of the two above, for the GR_ECLOSED or GR_EPROTO of a relay function. */
void gr_connection_viewer_failed(struct gr_connection *c, int rc);

/* Steps of STATE_FLUSH and STATE_LINGER, and their deadline. */
void gr_connection_flush(struct gr_connection *c);
void gr_connection_linger(struct gr_connection *c);
void gr_connection_ending_expired(struct gr_connection *c);

#endif
