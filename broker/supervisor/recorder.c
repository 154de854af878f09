#include "broker/supervisor/recorder.h"

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
	enum gr_recorder_purpose purpose;
	gr_recorder_answered answered;
	void *context;
	uint64_t number;
	uint64_t deadline; /* of PERMIT; ms as gr_io_now_ms */
	int sent;
	int held; /* could not be written: waits for the retry timer, or for another event's success */
};
TAILQ_HEAD(entries, entry);

struct gr_recorder {
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

static void send_waiting(struct gr_recorder *recorder)
{
	struct entry *entry;
	unsigned events = GR_LOOP_READ;

	if (recorder->sock < 0)
		return;
	TAILQ_FOREACH(entry, &recorder->entries, link) {
		int rc;

		if (entry->sent || entry->held)
			continue;
		rc = gr_io_send(recorder->sock, &entry->event, sizeof(entry->event), -1);
		if (rc == GR_EAGAIN) {
			events |= GR_LOOP_WRITE;
			break;
		}
		if (rc < 0)
			return; /* the end of the socket is seen when reading */
		entry->sent = 1;
	}
	gr_loop_change(recorder->watch, events);
}

static void arm_deadline(struct gr_recorder *recorder)
{
	const struct entry *entry;
	uint64_t now = gr_io_now_ms();

	TAILQ_FOREACH(entry, &recorder->entries, link) {
		if (entry->purpose == GR_RECORDER_PERMIT) {
			/* The first one is the oldest, and all have the same time. */
			gr_loop_timer_set(recorder->deadline, entry->deadline > now ? (int64_t)(entry->deadline - now) : 0);
			return;
		}
	}
	gr_loop_timer_set(recorder->deadline, -1);
}

static void finish_entry(struct gr_recorder *recorder, struct entry *entry, int recorded)
{
	gr_recorder_answered answered = entry->answered;
	void *context = entry->context;
	uint64_t number = entry->number;
	int permit = entry->purpose == GR_RECORDER_PERMIT;

	TAILQ_REMOVE(&recorder->entries, entry, link);
	recorder->count--;
	free(entry);
	if (permit)
		arm_deadline(recorder);
	if (answered)
		answered(context, number, recorded);
}

static void deadline_over(void *context)
{
	struct gr_recorder *recorder = context;
	struct entry *entry;

again:
	TAILQ_FOREACH(entry, &recorder->entries, link) {
		if (entry->purpose == GR_RECORDER_PERMIT && entry->deadline <= gr_io_now_ms()) {
			gr_log_error("audit: no answer within %d s; what waits for the record is refused",
				GR_RECORDER_DEADLINE_MS / 1000);
			finish_entry(recorder, entry, 0);
			goto again; /* whoever was answered may have recorded something */
		}
	}
	arm_deadline(recorder);
}

static void release_held(struct gr_recorder *recorder)
{
	struct entry *entry;
	int any = 0;

	TAILQ_FOREACH(entry, &recorder->entries, link) {
		any |= entry->held;
		entry->held = 0;
	}
	gr_loop_timer_set(recorder->retry, -1);
	if (any)
		send_waiting(recorder);
}

static void retry_over(void *context)
{
	struct gr_recorder *recorder = context;

	if (recorder->retry_ms < RETRY_LAST_MS)
		recorder->retry_ms *= 2;
	release_held(recorder);
}

static void report_lost(struct gr_recorder *recorder)
{
	struct gr_audit_event event = {.kind = GR_AUDIT_FAULT};
	uint64_t lost = recorder->lost;

	recorder->lost = 0;
	snprintf(event.detail, sizeof(event.detail), "%" PRIu64 " events were lost: there was no room to keep them", lost);
	if (gr_recorder_record(recorder, &event, GR_RECORDER_KEEP, NULL, NULL, 0) < 0)
		recorder->lost = lost;
}

static void acknowledged(struct gr_recorder *recorder, const struct gr_audit_acknowledgement *answer)
{
	struct entry *entry;

	TAILQ_FOREACH(entry, &recorder->entries, link)
		if (entry->sent && entry->event.token == answer->token)
			break;
	if (answer->sequence) {
		recorder->sequence = answer->sequence;
		if (recorder->refusing)
			gr_log_info("audit: the record is written again");
		recorder->refusing = 0;
		recorder->retry_ms = RETRY_FIRST_MS;
		release_held(recorder);
		if (recorder->lost && recorder->count < GR_RECORDER_MAX / 2)
			report_lost(recorder);
	} else if (!recorder->refusing) {
		recorder->refusing = 1;
		gr_log_error("audit: the record cannot be written; nobody new is let in until it can");
	}
	if (!entry)
		return; /* given up before */
	if (answer->sequence || entry->purpose == GR_RECORDER_PERMIT) {
		finish_entry(recorder, entry, answer->sequence != 0);
	} else {
		entry->sent = 0;
		entry->held = 1;
		gr_loop_timer_set(recorder->retry, recorder->retry_ms);
	}
}

static void socket_ready(void *context, int fd, unsigned events)
{
	struct gr_recorder *recorder = context;

	if (events & GR_LOOP_READ) {
		for (;;) {
			struct gr_audit_acknowledgement answer;
			size_t size;
			int rc = gr_io_receive(fd, &answer, sizeof(answer), &size, NULL);

			if (rc == GR_EAGAIN)
				break;
			if (rc < 0 || size != sizeof(answer)) {
				gr_recorder_disconnect(recorder);
				return;
			}
			acknowledged(recorder, &answer);
			if (recorder->sock != fd)
				return;
		}
	}
	if (events & GR_LOOP_WRITE)
		send_waiting(recorder);
}

struct gr_recorder *gr_recorder_create(struct gr_loop *loop)
{
	struct gr_recorder *recorder = calloc(1, sizeof(*recorder));

	if (!recorder)
		return NULL;
	recorder->loop = loop;
	recorder->sock = -1;
	recorder->retry_ms = RETRY_FIRST_MS;
	TAILQ_INIT(&recorder->entries);
	recorder->deadline = gr_loop_timer_add(loop, deadline_over, recorder);
	recorder->retry = gr_loop_timer_add(loop, retry_over, recorder);
	if (!recorder->deadline || !recorder->retry) {
		gr_recorder_destroy(recorder);
		return NULL;
	}
	return recorder;
}

void gr_recorder_destroy(struct gr_recorder *recorder)
{
	struct entry *entry;

	if (!recorder)
		return;
	gr_recorder_disconnect(recorder);
	while ((entry = TAILQ_FIRST(&recorder->entries))) {
		TAILQ_REMOVE(&recorder->entries, entry, link);
		free(entry);
	}
	gr_loop_timer_remove(recorder->deadline);
	gr_loop_timer_remove(recorder->retry);
	free(recorder);
}

void gr_recorder_disconnect(struct gr_recorder *recorder)
{
	struct entry *entry;

	if (recorder->sock < 0)
		return;
	gr_loop_remove(recorder->watch);
	recorder->watch = NULL;
	gr_io_close(&recorder->sock);
	TAILQ_FOREACH(entry, &recorder->entries, link) {
		entry->sent = 0;
		entry->held = 0;
	}
	gr_loop_timer_set(recorder->retry, -1);
}

void gr_recorder_connect(struct gr_recorder *recorder, int sock)
{
	gr_recorder_disconnect(recorder);
	recorder->watch = gr_loop_add(recorder->loop, sock, GR_LOOP_READ, socket_ready, recorder);
	if (!recorder->watch) {
		gr_io_close(&sock);
		gr_log_error("audit: out of memory");
		return;
	}
	recorder->sock = sock;
	send_waiting(recorder);
}

int gr_recorder_record(struct gr_recorder *recorder, const struct gr_audit_event *event, enum gr_recorder_purpose purpose,
	gr_recorder_answered answered, void *context, uint64_t number)
{
	struct entry *entry;

	if (recorder->count >= (purpose == GR_RECORDER_PERMIT ? GR_RECORDER_MAX : GR_RECORDER_MAX - RESERVED)) {
		if (purpose == GR_RECORDER_KEEP && recorder->lost++ == 0)
			gr_log_error("audit: events are being lost: the record has not been writable for too long");
		return GR_EFULL;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return GR_ENOMEM;
	entry->event = *event;
	entry->event.token = ++recorder->last_token;
	entry->purpose = purpose;
	entry->answered = answered;
	entry->context = context;
	entry->number = number;
	entry->deadline = gr_io_now_ms() + GR_RECORDER_DEADLINE_MS;
	TAILQ_INSERT_TAIL(&recorder->entries, entry, link);
	recorder->count++;
	if (purpose == GR_RECORDER_PERMIT)
		arm_deadline(recorder);
	send_waiting(recorder);
	return 0;
}

size_t gr_recorder_pending(const struct gr_recorder *recorder)
{
	return recorder->count;
}

int gr_recorder_available(const struct gr_recorder *recorder, uint64_t *sequence_out)
{
	*sequence_out = recorder->sequence;
	return recorder->sock >= 0 && !recorder->refusing;
}
