/*
 * When the next picture may go to one viewer, and how good it may be: pacing, a window for what is under way, and the
 * estimates of bandwidth and round trip that both come from. Pure: no I/O and no clock; times are microseconds of a
 * monotonic clock, given by the caller, sizes are bytes.
 *
 * What is sent passes through the socket buffers of this process, of the gateway and of TCP, which can hold megabytes:
 * seconds of a slow link. So a fence (docs/PROTOCOL.md, section 4.3) goes behind every picture, and its answer says that the
 * viewer has it. Sent and not yet answered is under way; of that there is at most what the link carries in one round trip
 * and GR_FLOW_QUEUE_US. What is not sent yet is not encoded yet: so the newest pixels go.
 *
 * A viewer without fences asks for each picture (FramebufferUpdateRequest), which bounds what is under way by itself; its
 * requests serve as answers for the estimates only.
 */
#ifndef GARASU_BROKER_SESSION_FLOW_H
#define GARASU_BROKER_SESSION_FLOW_H

#include <stddef.h>
#include <stdint.h>

/*
 * Between the beginnings of two pictures. Chromium paints up to 60 times a second, and what one paint damages is reported in
 * pieces a few milliseconds apart: less would send the pieces one by one, more would be seen as lag.
 */
#define GR_FLOW_COALESCE_US 5000u
/* How long what is sent may wait in the buffers before the slowest link: long enough that the link never runs dry. */
#define GR_FLOW_QUEUE_US 30000u
#define GR_FLOW_WINDOW_MIN 8192u /* may always be under way */
#define GR_FLOW_WINDOW_START 65536u /* before anything was measured */
#define GR_FLOW_OUTSTANDING_MAX 64u /* pictures without an answer */
#define GR_FLOW_SAMPLES 8u

struct gr_flow_picture {
	uint32_t sequence;
	uint32_t from_quiet; /* epoch_us is when something was sent while nothing was under way */
	uint64_t size, end; /* its bytes; bytes sent in all, up to and with this one */
	uint64_t sent_us;
	uint64_t epoch_us, epoch_answered; /* the last answer before it was sent, and the bytes answered then */
};

/* Embedded by its owner; read through the functions only. */
struct gr_flow {
	int fences;
	int started; /* began_us counts */
	uint64_t began_us; /* the last picture's first bytes */
	uint64_t sent, answered; /* bytes in all */
	uint64_t epoch_us;
	int from_quiet;
	uint32_t sequence;
	size_t first, outstanding;
	struct gr_flow_picture pictures[GR_FLOW_OUTSTANDING_MAX];
	uint64_t round_trip_us; /* the shortest; 0 = not known */
	uint64_t samples[GR_FLOW_SAMPLES]; /* bytes per second */
	size_t sample;
	int probing; /* the link was never seen full */
	size_t level; /* of quality */
	uint64_t level_us;
};

void gr_flow_init(struct gr_flow *flow);

/* The viewer answers fences, from now on. */
void gr_flow_fences(struct gr_flow *flow);
int gr_flow_has_fences(const struct gr_flow *flow);

/*
 * May a picture be encoded now? unsent: bytes that our own output still holds. continued: the next slice of a picture that has
 * begun, which is not paced.
 */
int gr_flow_may_send(const struct gr_flow *flow, uint64_t now_us, size_t unsent, int continued);

/* Microseconds until gr_flow_may_send says yes by the passing of time alone; 0: now; -1: only an answer or sending helps. */
int64_t gr_flow_wait(const struct gr_flow *flow, uint64_t now_us, size_t unsent, int continued);

/* n bytes of a picture (a slice, a probe) were put into our output; returns the sequence number for the fence behind them. */
uint32_t gr_flow_sent(struct gr_flow *flow, uint64_t now_us, size_t n, int continued);

/* The viewer answered the fence of this number. One that is not outstanding is ignored. */
void gr_flow_answered(struct gr_flow *flow, uint64_t now_us, uint32_t sequence);
/* The viewer asked for the next picture. With fences it says nothing. */
void gr_flow_requested(struct gr_flow *flow, uint64_t now_us);

/* Since when (time of sending) an answer to a fence is awaited; 0: none is. */
uint64_t gr_flow_unanswered_since(const struct gr_flow *flow);

/* Bytes per second and microseconds; 0 = not known yet. */
uint64_t gr_flow_bandwidth(const struct gr_flow *flow);
uint64_t gr_flow_round_trip(const struct gr_flow *flow);
/* Bytes that may be under way. */
uint64_t gr_flow_window(const struct gr_flow *flow);

/* JPEG qualities (1..100) that suit the bandwidth. */
struct gr_flow_quality {
	unsigned photo, video;
};
struct gr_flow_quality gr_flow_quality(const struct gr_flow *flow);

#endif
