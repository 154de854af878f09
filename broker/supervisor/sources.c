#include "broker/supervisor/sources.h"

#include <stddef.h>
#include <string.h>

/* Its place; GR_SOURCES_MAX when nothing of it is known. */
static size_t find(const struct gr_sources *sources, const uint8_t network[16])
{
	size_t i = 0;

	while (i < GR_SOURCES_MAX && !(sources->sources[i].used && memcmp(sources->sources[i].network, network,
									  sizeof(sources->sources[i].network)) == 0))
		i++;
	return i;
}

/* Its entry, or a fresh one: a free one, or in place of that which failed longest ago. */
static struct gr_source *entry(struct gr_sources *sources, const uint8_t network[16], uint64_t now_ms)
{
	struct gr_source *oldest = &sources->sources[0];
	size_t known = find(sources, network);

	if (known < GR_SOURCES_MAX)
		return &sources->sources[known];
	for (size_t i = 1; i < GR_SOURCES_MAX && oldest->used; i++)
		if (!sources->sources[i].used || sources->sources[i].last < oldest->last)
			oldest = &sources->sources[i];
	*oldest = (struct gr_source){ .used = 1, .window_began = now_ms, .last = now_ms };
	memcpy(oldest->network, network, sizeof(oldest->network));
	return oldest;
}

int gr_sources_barred(const struct gr_sources *sources, const uint8_t network[16], uint64_t now_ms)
{
	size_t i = find(sources, network);

	return i < GR_SOURCES_MAX && now_ms < sources->sources[i].until;
}

uint64_t gr_sources_failed(struct gr_sources *sources, const uint8_t network[16], unsigned maximum, uint64_t now_ms)
{
	struct gr_source *source;
	uint64_t ms = GR_SOURCES_FIRST_MS;

	if (maximum == 0)
		return 0;
	source = entry(sources, network, now_ms);
	if (now_ms < source->until)
		return 0; /* one that was accepted before */
	if (now_ms - source->last >= GR_SOURCES_LONGEST_MS)
		source->times = 0;
	if (now_ms - source->window_began >= GR_SOURCES_WINDOW_MS) {
		source->window_began = now_ms;
		source->failures = 0;
	}
	source->last = now_ms;
	if (++source->failures < maximum)
		return 0;
	for (unsigned i = 0; i < source->times && ms < GR_SOURCES_LONGEST_MS; i++)
		ms *= 2;
	if (ms > GR_SOURCES_LONGEST_MS)
		ms = GR_SOURCES_LONGEST_MS;
	source->times++;
	source->failures = 0;
	source->last = source->window_began = source->until = now_ms + ms;
	return ms;
}

void gr_sources_succeeded(struct gr_sources *sources, const uint8_t network[16])
{
	size_t i = find(sources, network);

	if (i < GR_SOURCES_MAX)
		sources->sources[i] = (struct gr_source){ 0 };
}
