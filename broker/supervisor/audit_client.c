#include "broker/supervisor/audit_client.h"

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
	enum gr_audit_purpose purpose;
	gr_audit_answered answered;
	void *context;
	uint64_t number;
	uint64_t deadline; /* of PERMIT; ms as gr_io_now_ms */
	int sent;
	int held; /* could not be written: waits for the retry timer, or for another event's success */
};
TAILQ_HEAD(entries, entry);

struct gr_audit_client {
	struct gr_loop *loop;
	struct gr_loop_timer *deadline; /* armed while an event that permits something is in flight */
	struct gr_loop_timer *retry; /* armed while events wait that could not be written */
	struct gr_loop_watch *watch;
	struct entries entries; /* in the order in which they came */
	size_t count;
	uint64_t last_token, sequence;
	uint64_t lost; /* events that there was no room to keep */
	int64_t retry_ms;
	int sock;
	int refusing; /* the last answer was that it could not be written */
};

static void send_waiting(struct gr_audit_client *client)
{
	struct entry *entry;
	unsigned events = GR_LOOP_READ;

	if (client->sock < 0)
		return;
	TAILQ_FOREACH(entry, &client->entries, link) {
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

static void arm_deadline(struct gr_audit_client *client)
{
	const struct entry *entry;
	uint64_t now = gr_io_now_ms();

	TAILQ_FOREACH(entry, &client->entries, link) {
		if (entry->purpose == GR_AUDIT_PERMIT) {
			/* The first one is the oldest, and all have the same time. */
			gr_loop_timer_set(client->deadline, entry->deadline > now ? (int64_t)(entry->deadline - now) : 0);
			return;
		}
	}
	gr_loop_timer_set(client->deadline, -1);
}

static void finish_entry(struct gr_audit_client *client, struct entry *entry, int recorded)
{
	gr_audit_answered answered = entry->answered;
	void *context = entry->context;
	uint64_t number = entry->number;
	int permit = entry->purpose == GR_AUDIT_PERMIT;

	TAILQ_REMOVE(&client->entries, entry, link);
	client->count--;
	free(entry);
	if (permit)
		arm_deadline(client);
	if (answered)
		answered(context, number, recorded);
}

static void deadline_over(void *context)
{
	struct gr_audit_client *client = context;
	struct entry *entry;

again:
	TAILQ_FOREACH(entry, &client->entries, link) {
		if (entry->purpose == GR_AUDIT_PERMIT && entry->deadline <= gr_io_now_ms()) {
			gr_log_error("audit: no answer within %d s; what waits for the record is refused",
				GR_AUDIT_CLIENT_DEADLINE_MS / 1000);
			finish_entry(client, entry, 0);
			goto again; /* whoever was answered may have recorded something */
		}
	}
	arm_deadline(client);
}

static void release_held(struct gr_audit_client *client)
{
	struct entry *entry;
	int any = 0;

	TAILQ_FOREACH(entry, &client->entries, link) {
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

static void report_lost(struct gr_audit_client *client)
{
	struct gr_audit_event event = {.kind = GR_AUDIT_FAULT};
	uint64_t lost = client->lost;

	client->lost = 0;
	snprintf(event.detail, sizeof(event.detail), "%" PRIu64 " events were lost: there was no room to keep them", lost);
	if (gr_audit_client_record(client, &event, GR_AUDIT_KEEP, NULL, NULL, 0) < 0)
		client->lost = lost;
}

static void acknowledged(struct gr_audit_client *client, const struct gr_audit_acknowledgement *answer)
{
	struct entry *entry;

	TAILQ_FOREACH(entry, &client->entries, link)
		if (entry->sent && entry->event.token == answer->token)
			break;
	if (answer->sequence) {
		client->sequence = answer->sequence;
		if (client->refusing)
			gr_log_info("audit: the record is written again");
		client->refusing = 0;
		client->retry_ms = RETRY_FIRST_MS;
		release_held(client);
		if (client->lost && client->count < GR_AUDIT_CLIENT_MAX / 2)
			report_lost(client);
	} else if (!client->refusing) {
		client->refusing = 1;
		gr_log_error("audit: the record cannot be written; nobody new is let in until it can");
	}
	if (!entry)
		return; /* given up before */
	if (answer->sequence || entry->purpose == GR_AUDIT_PERMIT) {
		finish_entry(client, entry, answer->sequence != 0);
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

struct gr_audit_client *gr_audit_client_create(struct gr_loop *loop)
{
	struct gr_audit_client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->loop = loop;
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
	TAILQ_FOREACH(entry, &client->entries, link) {
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

int gr_audit_client_record(struct gr_audit_client *client, const struct gr_audit_event *event, enum gr_audit_purpose purpose,
	gr_audit_answered answered, void *context, uint64_t number)
{
	struct entry *entry;

	if (client->count >= (purpose == GR_AUDIT_PERMIT ? GR_AUDIT_CLIENT_MAX : GR_AUDIT_CLIENT_MAX - RESERVED)) {
		if (purpose == GR_AUDIT_KEEP && client->lost++ == 0)
			gr_log_error("audit: events are being lost: the record has not been writable for too long");
		return GR_EFULL;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return GR_ENOMEM;
	entry->event = *event;
	entry->event.token = ++client->last_token;
	entry->purpose = purpose;
	entry->answered = answered;
	entry->context = context;
	entry->number = number;
	entry->deadline = gr_io_now_ms() + GR_AUDIT_CLIENT_DEADLINE_MS;
	TAILQ_INSERT_TAIL(&client->entries, entry, link);
	client->count++;
	if (purpose == GR_AUDIT_PERMIT)
		arm_deadline(client);
	send_waiting(client);
	return 0;
}

size_t gr_audit_client_pending(const struct gr_audit_client *client)
{
	return client->count;
}

int gr_audit_client_available(const struct gr_audit_client *client, uint64_t *sequence_out)
{
	*sequence_out = client->sequence;
	return client->sock >= 0 && !client->refusing;
}
