#include "broker/audit/client.h"

#include "common/io.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define RETRY_FIRST_MS 1000
#define RETRY_LAST_MS 30000
/* Room that only events which permit something may use, so that a flood of reports cannot keep people out. */
#define RESERVED 256

struct entry {
	TAILQ_ENTRY(entry) link;
	struct gr_audit_event event;
	gr_audit_answered answered; /* NULL: nobody waits, or not any more */
	void *context;
	uint64_t number;
	uint64_t deadline; /* of permit; ms as gr_io_now_ms */
	int sent;
	int held; /* could not be written: waits for the retry timer, or for another event's success */
};
TAILQ_HEAD(entries, entry);

struct gr_audit_client {
	struct gr_loop *loop;
	enum gr_audit_source source;
	struct gr_loop_timer *deadline; /* armed while an event that permits something is in flight */
	struct gr_loop_timer *retry; /* armed while events wait that could not be written */
	struct gr_loop_watch *watch;
	struct entries entries; /* in the order in which they came */
	size_t count;
	uint64_t last_token, sequence;
	uint64_t lost; /* events that there was no room to keep */
	int64_t retry_ms;
	int sock;
	struct gr_audit_acknowledgement state; /* as last told */
};

static void send_waiting(struct gr_audit_client *client)
{
	struct entry *entry;
	unsigned events = GR_LOOP_READ;

	if (client->sock < 0)
		return;
	TAILQ_FOREACH(entry, &client->entries, link)
	{
		int rc;

		if (entry->sent || entry->held)
			continue;
		rc = gr_io_send(client->sock, &entry->event, sizeof(entry->event), -1);
		if (rc == GR_EAGAIN) {
			events |= GR_LOOP_WRITE;
			break;
		}
		if (rc < 0)
			return; /* the end of the socket is seen when reading */
		entry->sent = 1;
	}
	gr_loop_change(client->watch, events);
}

/* The oldest event that permits something, and so the one whose deadline comes first; NULL. */
static struct entry *first_permit(const struct gr_audit_client *client)
{
	struct entry *entry;

	TAILQ_FOREACH(entry, &client->entries, link)
	if (entry->event.permit)
		return entry;
	return NULL;
}

static void arm_deadline(struct gr_audit_client *client)
{
	const struct entry *first = first_permit(client);
	uint64_t now = gr_io_now_ms();

	if (!first)
		gr_loop_timer_set(client->deadline, -1);
	else
		gr_loop_timer_set(client->deadline, first->deadline > now ? (int64_t)(first->deadline - now) : 0);
}

/* Forgets the entry and tells who waits for it. Whoever is told may record, cancel and connect. */
static void finish_entry(struct gr_audit_client *client, struct entry *entry, int recorded)
{
	gr_audit_answered answered = entry->answered;
	void *context = entry->context;
	uint64_t number = entry->number;

	TAILQ_REMOVE(&client->entries, entry, link);
	client->count--;
	if (entry->event.permit)
		arm_deadline(client);
	free(entry);
	if (answered)
		answered(context, number, recorded);
}

static void deadline_over(void *context)
{
	struct gr_audit_client *client = context;
	struct entry *entry = first_permit(client);

	if (entry && entry->deadline <= gr_io_now_ms()) {
		gr_log_error("audit: no answer within %d s; what waits for the record is refused",
			     GR_AUDIT_DEADLINE_MS / 1000);
		finish_entry(client, entry, 0); /* the timer comes for the next one */
	} else {
		arm_deadline(client);
	}
}

static void release_held(struct gr_audit_client *client)
{
	struct entry *entry;
	int any = 0;

	TAILQ_FOREACH(entry, &client->entries, link)
	{
		any |= entry->held;
		entry->held = 0;
	}
	gr_loop_timer_set(client->retry, -1);
	if (any)
		send_waiting(client);
}

static void retry_over(void *context)
{
	struct gr_audit_client *client = context;

	if (client->retry_ms < RETRY_LAST_MS)
		client->retry_ms *= 2;
	release_held(client);
}

static int add(struct gr_audit_client *client, const struct gr_audit_event *event, int permit, size_t room,
	       struct entry **out)
{
	struct entry *entry = client->count < room ? calloc(1, sizeof(*entry)) : NULL;

	if (!entry)
		return client->count < room ? GR_ENOMEM : GR_EFULL;
	entry->event = *event;
	entry->event.token = ++client->last_token;
	entry->event.permit = (uint32_t)permit;
	TAILQ_INSERT_TAIL(&client->entries, entry, link);
	client->count++;
	*out = entry;
	return 0;
}

static void report_lost(struct gr_audit_client *client)
{
	struct gr_audit_event event = { .kind = GR_AUDIT_FAULT };
	struct entry *entry;

	snprintf(event.detail, sizeof(event.detail), "%" PRIu64 " events were lost: there was no room to keep them",
		 client->lost);
	if (client->source == GR_AUDIT_SOURCE_SUPERVISOR && add(client, &event, 0, GR_AUDIT_QUEUE_MAX, &entry) < 0)
		return;
	gr_log_error("audit: %s", event.detail);
	client->lost = 0;
	send_waiting(client);
}

static void note_state(struct gr_audit_client *client, const struct gr_audit_acknowledgement *answer)
{
	uint32_t before = client->state.state;

	client->state = *answer;
	if (answer->state == before)
		return;
	if (answer->state == GR_AUDIT_WRITABLE)
		gr_log_info("audit: the record is written and signed again");
	else if (answer->state == GR_AUDIT_UNWRITABLE)
		gr_log_error("audit: the record cannot be written: %s; nothing new is permitted until it can",
			     strerror((int)answer->cause));
	else
		gr_log_error("audit: the record cannot be signed: %s", strerror((int)answer->cause));
}

static void acknowledged(struct gr_audit_client *client, const struct gr_audit_acknowledgement *answer)
{
	struct entry *entry;

	note_state(client, answer);
	TAILQ_FOREACH(entry, &client->entries, link)
	if (entry->sent && entry->event.token == answer->token)
		break;
	if (answer->sequence && answer->sequence != GR_AUDIT_KEPT)
		client->sequence = answer->sequence;
	if (answer->sequence || (answer->token == 0 && answer->state != GR_AUDIT_UNWRITABLE)) {
		client->retry_ms = RETRY_FIRST_MS;
		release_held(client);
		if (client->lost && client->count < GR_AUDIT_QUEUE_MAX / 2)
			report_lost(client);
	}
	if (!entry)
		return; /* given up before, or only the state */
	if (answer->sequence || entry->event.permit) {
		finish_entry(client, entry, answer->sequence != 0 && answer->sequence != GR_AUDIT_KEPT);
	} else {
		entry->sent = 0;
		entry->held = 1;
		gr_loop_timer_set(client->retry, client->retry_ms);
	}
}

static void socket_ready(void *context, int fd, unsigned events)
{
	struct gr_audit_client *client = context;

	if (events & GR_LOOP_READ) {
		for (;;) {
			struct gr_audit_acknowledgement answer;
			size_t size;
			int rc = gr_io_receive(fd, &answer, sizeof(answer), &size, NULL);

			if (rc == GR_EAGAIN)
				break;
			if (rc < 0 || size != sizeof(answer)) {
				gr_audit_client_disconnect(client);
				return;
			}
			acknowledged(client, &answer);
			if (client->sock != fd)
				return;
		}
	}
	if (events & GR_LOOP_WRITE)
		send_waiting(client);
}

struct gr_audit_client *gr_audit_client_create(struct gr_loop *loop, enum gr_audit_source source)
{
	struct gr_audit_client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->loop = loop;
	client->source = source;
	client->sock = -1;
	client->retry_ms = RETRY_FIRST_MS;
	TAILQ_INIT(&client->entries);
	client->deadline = gr_loop_timer_add(loop, deadline_over, client);
	client->retry = gr_loop_timer_add(loop, retry_over, client);
	if (!client->deadline || !client->retry) {
		gr_audit_client_destroy(client);
		return NULL;
	}
	return client;
}

void gr_audit_client_destroy(struct gr_audit_client *client)
{
	struct entry *entry;

	if (!client)
		return;
	gr_audit_client_disconnect(client);
	while ((entry = TAILQ_FIRST(&client->entries))) {
		TAILQ_REMOVE(&client->entries, entry, link);
		free(entry);
	}
	gr_loop_timer_remove(client->deadline);
	gr_loop_timer_remove(client->retry);
	free(client);
}

void gr_audit_client_disconnect(struct gr_audit_client *client)
{
	struct entry *entry;

	if (client->sock < 0)
		return;
	gr_loop_remove(client->watch);
	client->watch = NULL;
	gr_io_close(&client->sock);
	TAILQ_FOREACH(entry, &client->entries, link)
	{
		entry->sent = 0;
		entry->held = 0;
	}
	gr_loop_timer_set(client->retry, -1);
}

void gr_audit_client_connect(struct gr_audit_client *client, int sock)
{
	gr_audit_client_disconnect(client);
	client->watch = gr_loop_add(client->loop, sock, GR_LOOP_READ, socket_ready, client);
	if (!client->watch) {
		gr_io_close(&sock);
		gr_log_error("audit: out of memory");
		return;
	}
	client->sock = sock;
	send_waiting(client);
}

int gr_audit_client_permit(struct gr_audit_client *client, const struct gr_audit_event *event,
			   gr_audit_answered answered, void *context, uint64_t number, uint64_t *token_out)
{
	struct entry *entry;
	int rc = add(client, event, 1, GR_AUDIT_QUEUE_MAX, &entry);

	if (rc < 0)
		return rc;
	entry->answered = answered;
	entry->context = context;
	entry->number = number;
	entry->deadline = gr_io_now_ms() + GR_AUDIT_DEADLINE_MS;
	if (token_out)
		*token_out = entry->event.token;
	arm_deadline(client);
	send_waiting(client);
	return 0;
}

void gr_audit_client_cancel(struct gr_audit_client *client, uint64_t token)
{
	struct entry *entry;

	TAILQ_FOREACH(entry, &client->entries, link)
	{
		if (entry->event.token != token)
			continue;
		entry->answered = NULL;
		if (!entry->sent)
			finish_entry(client, entry, 0);
		return;
	}
}

void gr_audit_client_keep(struct gr_audit_client *client, const struct gr_audit_event *event)
{
	struct entry *entry;

	if (add(client, event, 0, GR_AUDIT_QUEUE_MAX - RESERVED, &entry) < 0) {
		if (client->lost++ == 0)
			gr_log_error("audit: events are being lost: the record has not been writable for too long");
		return;
	}
	send_waiting(client);
}

size_t gr_audit_client_pending(const struct gr_audit_client *client)
{
	return client->count;
}

void gr_audit_client_state(const struct gr_audit_client *client, char *out, size_t cap, uint64_t *sequence_out)
{
	*sequence_out = client->sequence;
	if (client->sock < 0)
		snprintf(out, cap, "not running");
	else if (client->state.state == GR_AUDIT_UNWRITABLE)
		snprintf(out, cap, "cannot be written: %s (%u events kept)", strerror((int)client->state.cause),
			 client->state.kept);
	else if (client->state.state == GR_AUDIT_UNSIGNED)
		snprintf(out, cap, "cannot be signed: %s", strerror((int)client->state.cause));
	else
		snprintf(out, cap, "ok");
}
