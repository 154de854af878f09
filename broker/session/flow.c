#include "broker/session/flow.h"
#include "broker/encode/encode.h"

#include <string.h>

/* A sample of fewer bytes says more about the viewer's scheduler than about the link: it can only raise the estimate. */
#define SAMPLE_MIN 16384u
#define SMALL 2048u /* bytes whose time on the link is no part of a round trip worth speaking of */
#define DISTINCT_US 5000u /* a queue shorter than this is not told from jitter */
#define FELT_US 20000u /* without a probe of the round trip: a picture that took less says nothing */
#define SECOND 1000000u
#define FASTEST 10000000000u /* bytes per second: what is above says nothing, and products stay in 64 bits */
#define LEVEL_UP_US SECOND /* between two rises of quality */

/*
 * Qualities by bandwidth, bytes per second. Text and interfaces are always exact, and photographs become exact when they
 * rest: this is about the first look. A photograph that fills a 1280x800 screen has some 150 kB at 75 and 80 kB at 50;
 * video (854x480, 25 pictures a second) some 6 Mbit/s at 75 and 2.5 Mbit/s at 30.
 */
static const struct level {
	uint64_t bandwidth;
	struct gr_flow_quality quality;
} levels[] = {
	{ 0, { 35, 20 } },
	{ 60000, { 50, 30 } }, /* 0.5 Mbit/s */
	{ 250000, { 65, 45 } }, /* 2 Mbit/s */
	{ 750000, { 75, 55 } }, /* 6 Mbit/s */
	{ 2500000, { GR_ENCODE_PHOTO_QUALITY, GR_ENCODE_VIDEO_QUALITY } }, /* 20 Mbit/s */
};
enum { LEVELS = sizeof(levels) / sizeof(levels[0]), LEVEL_START = 3 };

void gr_flow_init(struct gr_flow *flow)
{
	memset(flow, 0, sizeof(*flow));
	flow->probing = 1;
	flow->level = LEVEL_START;
}

void gr_flow_fences(struct gr_flow *flow)
{
	if (flow->fences)
		return;
	flow->fences = 1;
	/* What went before had no fence behind it. */
	flow->outstanding = 0;
	flow->answered = flow->sent;
}

int gr_flow_has_fences(const struct gr_flow *flow)
{
	return flow->fences;
}

uint64_t gr_flow_bandwidth(const struct gr_flow *flow)
{
	uint64_t best = 0;
	for (size_t i = 0; i < GR_FLOW_SAMPLES; i++)
		if (flow->samples[i] > best)
			best = flow->samples[i];
	return best;
}

uint64_t gr_flow_round_trip(const struct gr_flow *flow)
{
	return flow->round_trip_us;
}

uint64_t gr_flow_window(const struct gr_flow *flow)
{
	uint64_t bandwidth = gr_flow_bandwidth(flow);
	if (!bandwidth)
		return GR_FLOW_WINDOW_START;
	uint64_t window = bandwidth * (flow->round_trip_us + GR_FLOW_QUEUE_US) / SECOND;
	if (flow->probing) {
		window *= 2;
		if (window < GR_FLOW_WINDOW_START)
			window = GR_FLOW_WINDOW_START;
	}
	return window > GR_FLOW_WINDOW_MIN ? window : GR_FLOW_WINDOW_MIN;
}

int64_t gr_flow_wait(const struct gr_flow *flow, uint64_t now_us, size_t unsent, int continued)
{
	if (unsent)
		return -1;
	if (flow->fences &&
	    (flow->outstanding == GR_FLOW_OUTSTANDING_MAX || flow->sent - flow->answered >= gr_flow_window(flow)))
		return -1;
	if (continued || !flow->started || now_us - flow->began_us >= GR_FLOW_COALESCE_US)
		return 0;
	return (int64_t)(GR_FLOW_COALESCE_US - (now_us - flow->began_us));
}

int gr_flow_may_send(const struct gr_flow *flow, uint64_t now_us, size_t unsent, int continued)
{
	return gr_flow_wait(flow, now_us, unsent, continued) == 0;
}

uint32_t gr_flow_sent(struct gr_flow *flow, uint64_t now_us, size_t n, int continued)
{
	if (!continued) {
		flow->began_us = now_us;
		flow->started = 1;
	}
	if (flow->outstanding == GR_FLOW_OUTSTANDING_MAX) { /* without fences only: the oldest is not measured */
		flow->first = (flow->first + 1) % GR_FLOW_OUTSTANDING_MAX;
		flow->outstanding--;
	}
	if (!flow->outstanding) {
		flow->answered = flow->sent;
		flow->epoch_us = now_us;
		flow->from_quiet = 1;
	}
	flow->sent += n;
	flow->pictures[(flow->first + flow->outstanding++) % GR_FLOW_OUTSTANDING_MAX] =
		(struct gr_flow_picture){ .sequence = ++flow->sequence,
					  .from_quiet = (uint32_t)flow->from_quiet,
					  .size = n,
					  .end = flow->sent,
					  .sent_us = now_us,
					  .epoch_us = flow->epoch_us,
					  .epoch_answered = flow->answered };
	return flow->sequence;
}

static uint64_t rate(uint64_t bytes, uint64_t us)
{
	uint64_t result = bytes * SECOND / (us ? us : 1);
	return result < FASTEST ? result : FASTEST;
}

static void add_sample(struct gr_flow *flow, uint64_t sample)
{
	flow->samples[flow->sample] = sample;
	flow->sample = (flow->sample + 1) % GR_FLOW_SAMPLES;
}

/* full: this answer told how much the link carries, and not only how much it carries at least. */
static void choose_level(struct gr_flow *flow, uint64_t now_us, int full)
{
	uint64_t bandwidth = gr_flow_bandwidth(flow);
	size_t level = flow->level;
	/* A fifth below the threshold to fall, a quarter above it to rise, and not often: quality does not flap. */
	while (full && level > 0 && bandwidth < levels[level].bandwidth - levels[level].bandwidth / 5)
		level--;
	if (level == flow->level && level + 1 < LEVELS &&
	    bandwidth >= levels[level + 1].bandwidth + levels[level + 1].bandwidth / 4 &&
	    now_us - flow->level_us >= LEVEL_UP_US)
		level++;
	if (level != flow->level)
		flow->level_us = now_us;
	flow->level = level;
}

/*
 * The shortest round trip counts: longer ones waited in a queue, mostly our own. Only a small message that was alone under
 * way can say that the way itself has become longer; it is believed slowly.
 */
static void measure_round_trip(struct gr_flow *flow, uint64_t round_trip, int alone, uint64_t bytes)
{
	if (!flow->round_trip_us || round_trip < flow->round_trip_us)
		flow->round_trip_us = round_trip;
	else if (alone && bytes <= SMALL)
		flow->round_trip_us += (round_trip - flow->round_trip_us) / 16;
}

/*
 * How much was answered between an earlier answer (or the beginning, after quiet) and this one, and how long that took. It is
 * the link's bandwidth when the link was busy all the time, which the time spent in a queue tells; otherwise the bandwidth is
 * at least that. Returns which.
 */
static int measure_bandwidth(struct gr_flow *flow, const struct gr_flow_picture *p, uint64_t now_us, int alone)
{
	uint64_t least = flow->round_trip_us, best = gr_flow_bandwidth(flow);
	uint64_t bytes = p->end - p->epoch_answered, elapsed = now_us - p->epoch_us;
	uint64_t queued = now_us - p->sent_us - least; /* never negative: measure_round_trip came first */
	uint64_t distinct = flow->fences && least / 16 > DISTINCT_US ? least / 16 : DISTINCT_US;
	uint64_t busy = elapsed;
	if (p->from_quiet)
		busy = elapsed > least ? elapsed - least : 0;
	/* Its own time on the link is no sign that something was before it. */
	int waited = alone || (best && queued >= p->size * SECOND / best + distinct);
	if (!flow->fences) {
		/* No probe has told the round trip: what counts is how long a picture took to be asked for the next. */
		waited = elapsed >= FELT_US;
		busy = elapsed;
	}
	int full = waited && bytes >= SAMPLE_MIN && busy >= distinct;
	if (full)
		flow->probing = 0;
	if (full || rate(bytes, elapsed) > best)
		add_sample(flow, rate(bytes, full ? busy : elapsed));
	return full;
}

static void take_answer(struct gr_flow *flow, uint64_t now_us)
{
	const struct gr_flow_picture p = flow->pictures[flow->first];
	int alone = p.from_quiet && p.epoch_us == p.sent_us;
	flow->first = (flow->first + 1) % GR_FLOW_OUTSTANDING_MAX;
	flow->outstanding--;
	measure_round_trip(flow, now_us - p.sent_us, alone, p.size);
	int full = measure_bandwidth(flow, &p, now_us, alone);
	flow->answered = p.end;
	flow->epoch_us = now_us;
	flow->from_quiet = 0;
	choose_level(flow, now_us, full);
}

void gr_flow_answered(struct gr_flow *flow, uint64_t now_us, uint32_t sequence)
{
	uint32_t ahead = flow->outstanding ? sequence - flow->pictures[flow->first].sequence : 0;
	if (!flow->fences || !flow->outstanding || ahead >= flow->outstanding)
		return;
	/* Answers come in the order of the fences: what is before it is answered by it. */
	flow->first = (flow->first + ahead) % GR_FLOW_OUTSTANDING_MAX;
	flow->outstanding -= ahead;
	take_answer(flow, now_us);
}

void gr_flow_requested(struct gr_flow *flow, uint64_t now_us)
{
	if (!flow->fences && flow->outstanding)
		take_answer(flow, now_us);
}

uint64_t gr_flow_unanswered_since(const struct gr_flow *flow)
{
	return flow->fences && flow->outstanding ? flow->pictures[flow->first].sent_us : 0;
}

struct gr_flow_quality gr_flow_quality(const struct gr_flow *flow)
{
	return levels[flow->level].quality;
}
