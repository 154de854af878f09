/*
 * Addresses from which handshakes fail again and again: they are not served for a while, which doubles each time that it
 * begins again. Bounded; the time is given by the caller.
 */
#ifndef GARASU_BROKER_SUPERVISOR_SOURCES_H
#define GARASU_BROKER_SUPERVISOR_SOURCES_H

#include <stdint.h>

#define GR_SOURCES_MAX 256 /* beyond that the one whose last failure is the oldest is forgotten */
#define GR_SOURCES_WINDOW_MS 60000
#define GR_SOURCES_FIRST_MS 10000 /* the first time that a source is not served */
#define GR_SOURCES_LONGEST_MS 300000

struct gr_source {
	uint8_t network[16]; /* gr_peer.network */
	int used; /* 0 = the entry is free */
	unsigned failures; /* since window_began */
	unsigned times; /* that it was not served, since it last succeeded or was quiet for GR_SOURCES_LONGEST_MS */
	uint64_t window_began, last, until; /* ms */
};

struct gr_sources {
	struct gr_source sources[GR_SOURCES_MAX];
};

/* Whether it is not to be served now. */
int gr_sources_barred(const struct gr_sources *sources, const uint8_t network[16], uint64_t now_ms);

/*
 * A handshake from there failed; maximum of them within GR_SOURCES_WINDOW_MS are too many (0 = never). Returns for how many
 * milliseconds it is not served from now on; 0 when that has not just begun.
 */
uint64_t gr_sources_failed(struct gr_sources *sources, const uint8_t network[16], unsigned maximum, uint64_t now_ms);

/* One succeeded: what was before is forgotten. */
void gr_sources_succeeded(struct gr_sources *sources, const uint8_t network[16]);

#endif
