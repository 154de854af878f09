#include "broker/supervisor/queue.h"

#include <string.h>

static size_t find(const struct gr_queue *queue, uint32_t number)
{
	size_t i = 0;

	while (i < queue->count && queue->numbers[i] != number)
		i++;
	return i;
}

int gr_queue_push(struct gr_queue *queue, uint32_t number)
{
	if (find(queue, number) < queue->count)
		return GR_EEXIST;
	if (queue->count == GR_CONTAINERS_MAX)
		return GR_EFULL;
	queue->numbers[queue->count++] = number;
	return 0;
}

int gr_queue_remove(struct gr_queue *queue, uint32_t number)
{
	size_t i = find(queue, number);

	if (i == queue->count)
		return GR_ENOENT;
	queue->count--;
	memmove(&queue->numbers[i], &queue->numbers[i + 1], (queue->count - i) * sizeof(queue->numbers[0]));
	return 0;
}
