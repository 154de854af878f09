/*
 * Who owns a person's session. One owner at a time over all nodes; each claim has an epoch that is greater than
 * every earlier one, so that whatever outlives a session can be told from the present one.
 *
 * This is the local backend: a table in the supervisor, whose answers come before gr_coordination_claim returns. A
 * backend over the network answers later through the same function; callers must be written for both.
 */
#ifndef GARASU_BROKER_COORDINATION_H
#define GARASU_BROKER_COORDINATION_H

#include "common/error.h"
#include "common/limits.h"

#include <stdint.h>

#define GR_COORDINATION_NODE_MAX 64 /* bytes of a node's name with its terminator */
#define GR_COORDINATION_CLAIMS_MAX (GR_CONTAINERS_MAX + GR_CONNECTIONS_MAX)

struct gr_coordination;

struct gr_claim {
	char owner[GR_COORDINATION_NODE_MAX]; /* the node that has the person's session */
	uint64_t epoch;
	int mine; /* owner is this node */
};

/* status: 0 with *claim (valid during the call), GR_EFULL, or GR_ETIMEOUT from a backend over the network. */
typedef void (*gr_coordination_answered)(void *context, uint64_t number, int status, const struct gr_claim *claim);

/* A table for this node (name copied). Returns owned, NULL when out of memory. */
struct gr_coordination *gr_coordination_create(const char *node);
void gr_coordination_destroy(struct gr_coordination *coordination); /* NULL allowed */

/*
 * Claims person for this node unless a node has it already, and answers who has it now. Claiming again what is mine
 * answers the same epoch. Calls answered(context, number, …) exactly once, now or later.
 */
void gr_coordination_claim(struct gr_coordination *coordination, const char *person, gr_coordination_answered answered,
			   void *context, uint64_t number);

/* Gives a claim up; one of another epoch is left alone. GR_ENOENT when there is none of this epoch. */
int gr_coordination_release(struct gr_coordination *coordination, const char *person, uint64_t epoch);

/* Who has the person, as far as known here, without asking: GR_ENOENT for nobody. */
int gr_coordination_lookup(struct gr_coordination *coordination, const char *person, struct gr_claim *out);

#endif
