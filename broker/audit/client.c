#include "broker/audit/client.h"

#include "common/io.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_MS 2000 /* until a noted event that could not be written is sent again */

struct entry {
	struct entry *next, *previous;
	struct gr_audit_event event;
	gr_audit_answered answered; /* NULL: noted, or its asker is gone */
	void *context;
	int asked, sent;
};

struct gr_audit_client {
	struct gr_loop *loop;
	struct gr_loop_watch *watch;
	struct gr_loop_timer *retry;
	int fd;
	int holding; /* the record cannot be written: noted events wait for the timer */
	uint64_t last_token;
	struct entry *first, *last;
	unsigned count;
	uint64_t dropped;
};

static void remove_entry(struct gr_audit_client *client, struct entry *entry)
{
	*(entry->previous ? &entry->previous->next : &client->first) = entry->next;
	*(entry->next ? &entry->next->previous : &client->last) = entry->previous;
	client->count--;
	free(entry);
}

static void append_entry(struct gr_audit_client *client, struct entry *entry)
{
	entry->previous = client->last;
	entry->next = NULL;
	*(client->last ? &client->last->next : &client->first) = entry;
	client->last = entry;
	client->count++;
}

/* The audit process is gone: what was asked is answered, what was noted waits for the next one. */
static void detach(struct gr_audit_client *client)
{
	uint64_t newest = client->last_token;
	gr_loop_remove(client->watch);
	client->watch = NULL;
	gr_io_close(&client->fd);
	/* A callback may ask, note and cancel: so each turn starts from the front again. */
	for (struct entry *entry = client->first; entry;) {
		struct entry *next = entry->next;
		entry->sent = 0;
		if (!entry->asked || entry->event.token > newest) {
			entry = next;
			continue;
		}
		gr_audit_answered answered = entry->answered;
		void *context = entry->context;
		remove_entry(client, entry);
		if (answered) {
			answered(context, 0);
			next = client->first;
		}
		entry = next;
	}
}

static void send_waiting(struct gr_audit_client *client)
{
	int full = 0;
	for (struct entry *entry = client->first; entry && client->fd >= 0 && !full; entry = entry->next) {
		if (entry->sent || (!entry->asked && client->holding))
			continue;
		int status = gr_io_send(client->fd, &entry->event, sizeof(entry->event), -1);
		if (status == GR_EAGAIN)
			full = 1;
		else
			entry->sent = 1; /* an error shows as the socket's end too, which is handled there */
	}
	if (client->watch)
		gr_loop_change(client->watch, GR_LOOP_READ | (full ? (unsigned)GR_LOOP_WRITE : 0u));
}

static void acknowledged(struct gr_audit_client *client, const struct gr_audit_acknowledgement *acknowledgement)
{
	struct entry *entry = client->first;
	/* They come in the order of sending: this ends at one of the first. */
	while (entry && !(entry->event.token == acknowledgement->token && entry->sent))
		entry = entry->next;
	if (!entry)
		return;
	if (entry->asked) {
		gr_audit_answered answered = entry->answered;
		void *context = entry->context;
		if (acknowledgement->sequence)
			client->holding = 0;
		remove_entry(client, entry);
		if (answered)
			answered(context, acknowledgement->sequence);
	} else if (acknowledgement->sequence) {
		client->holding = 0;
		remove_entry(client, entry);
		if (client->dropped) {
			gr_log_error("%llu audit events were dropped while the audit record could not be written",
				     (unsigned long long)client->dropped);
			client->dropped = 0;
		}
	} else {
		entry->sent = 0;
		client->holding = 1;
		gr_loop_timer_set(client->retry, RETRY_MS);
	}
}

static void client_ready(void *context, int fd, unsigned events)
{
	struct gr_audit_client *client = context;
	(void)events;
	/* A callback may attach another socket. */
	while (client->fd == fd) {
		struct gr_audit_acknowledgement acknowledgement;
		size_t size;
		int status = gr_io_receive(fd, &acknowledgement, sizeof(acknowledgement), &size, NULL);
		if (status == GR_EAGAIN)
			break;
		if (status != 0 || size != sizeof(acknowledgement)) {
			gr_log_warning("the audit process is gone: requests are refused until it is back");
			detach(client);
			return;
		}
		acknowledged(client, &acknowledgement);
	}
	send_waiting(client);
}

static void retry_expired(void *context)
{
	struct gr_audit_client *client = context;
	client->holding = 0;
	send_waiting(client);
}

struct gr_audit_client *gr_audit_client_create(struct gr_loop *loop)
{
	struct gr_audit_client *client = calloc(1, sizeof(*client));
	if (!client)
		return NULL;
	client->loop = loop;
	client->fd = -1;
	client->retry = gr_loop_timer_add(loop, retry_expired, client);
	if (!client->retry) {
		free(client);
		return NULL;
	}
	return client;
}

void gr_audit_client_destroy(struct gr_audit_client *client)
{
	if (!client)
		return;
	gr_loop_remove(client->watch);
	gr_loop_timer_remove(client->retry);
	gr_io_close(&client->fd);
	while (client->first)
		remove_entry(client, client->first);
	free(client);
}

void gr_audit_client_attach(struct gr_audit_client *client, int fd)
{
	if (client->fd >= 0)
		detach(client);
	client->fd = fd;
	client->holding = 0;
	client->watch = gr_loop_add(client->loop, fd, GR_LOOP_READ, client_ready, client);
	if (!client->watch) {
		gr_log_error("no memory to watch the audit process");
		detach(client);
		return;
	}
	send_waiting(client);
}

static int add(struct gr_audit_client *client, const struct gr_audit_event *event, struct entry **out)
{
	if (client->count >= GR_AUDIT_CLIENT_QUEUE_MAX)
		return GR_EFULL;
	struct entry *entry = calloc(1, sizeof(*entry));
	if (!entry)
		return GR_ENOMEM;
	entry->event = *event;
	entry->event.token = ++client->last_token;
	append_entry(client, entry);
	*out = entry;
	return 0;
}

int gr_audit_client_ask(struct gr_audit_client *client, const struct gr_audit_event *event, gr_audit_answered answered,
			void *context, uint64_t *token_out)
{
	struct entry *entry;
	if (client->fd < 0)
		return GR_ECLOSED;
	int status = add(client, event, &entry);
	if (status != 0)
		return status;
	entry->answered = answered;
	entry->context = context;
	entry->asked = 1;
	*token_out = entry->event.token;
	send_waiting(client);
	return 0;
}

void gr_audit_client_cancel(struct gr_audit_client *client, uint64_t token)
{
	for (struct entry *entry = client->first; entry; entry = entry->next)
		if (entry->event.token == token) {
			entry->answered = NULL;
			return;
		}
}

int gr_audit_client_note(struct gr_audit_client *client, const struct gr_audit_event *event)
{
	struct entry *entry;
	int status = add(client, event, &entry);
	if (status != 0) {
		if (client->dropped++ == 0)
			gr_log_error("audit events are dropped: too many wait for the audit process");
		return status;
	}
	send_waiting(client);
	return 0;
}

unsigned gr_audit_client_waiting(const struct gr_audit_client *client)
{
	return client->count;
}
