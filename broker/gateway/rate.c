#include "broker/gateway/rate.h"

static uint64_t burst(const struct gr_rate *rate)
{
	const uint64_t bits = rate->kbit * GR_RATE_BURST_MS, least = UINT64_C(8) * GR_RATE_BURST_MIN;

	return bits > least ? bits : least;
}

void gr_rate_init(struct gr_rate *rate, unsigned kbit, uint64_t now_ms)
{
	*rate = (struct gr_rate){ .kbit = kbit, .at_ms = now_ms };
	rate->bits = burst(rate);
}

static void fill(struct gr_rate *rate, uint64_t now_ms)
{
	uint64_t passed = now_ms > rate->at_ms ? now_ms - rate->at_ms : 0, full = burst(rate);

	rate->at_ms += passed;
	if (passed >= (full - rate->bits) / rate->kbit + 1)
		rate->bits = full;
	else
		rate->bits += passed * rate->kbit;
	if (rate->bits > full)
		rate->bits = full;
}

size_t gr_rate_room(struct gr_rate *rate, uint64_t now_ms)
{
	if (!rate->kbit)
		return SIZE_MAX;
	fill(rate, now_ms);
	return rate->bits / 8 >= GR_RATE_CHUNK ? (size_t)(rate->bits / 8) : 0;
}

void gr_rate_spend(struct gr_rate *rate, size_t n)
{
	uint64_t bits = (uint64_t)n * 8;

	if (rate->kbit)
		rate->bits -= bits < rate->bits ? bits : rate->bits;
}

int64_t gr_rate_wait(struct gr_rate *rate, uint64_t now_ms)
{
	const uint64_t chunk = UINT64_C(8) * GR_RATE_CHUNK;

	if (gr_rate_room(rate, now_ms))
		return 0;
	return (int64_t)((chunk - rate->bits + rate->kbit - 1) / rate->kbit);
}
