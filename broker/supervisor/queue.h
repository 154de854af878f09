/* Connections that wait for a container, first come first served: a bounded list of numbers. */
#ifndef GARASU_BROKER_SUPERVISOR_QUEUE_H
#define GARASU_BROKER_SUPERVISOR_QUEUE_H

#include "common/error.h"
#include "common/limits.h"

#include <stddef.h>
#include <stdint.h>

struct gr_queue {
	size_t count;
	uint32_t numbers[GR_CONTAINERS_MAX]; /* in order of arrival; none twice */
};

/* GR_EFULL; GR_EEXIST when it is in already. */
int gr_queue_push(struct gr_queue *queue, uint32_t number);
/* Takes number out, wherever it stands; GR_ENOENT. */
int gr_queue_remove(struct gr_queue *queue, uint32_t number);

#endif
