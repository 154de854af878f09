#include "broker/session/agent.h"
#include "broker/session/agent_records.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define HELLO_MS 10000 /* from HELLO to STATE */
#define CHECK_MS 1000 /* between two looks at what it owes */
#define CHECKS 10 /* at so many in a row it still owes the same: it is stuck */
#define RATE 2000 /* records in a second, more than any browser has to say; the rest waits in its socket */
#define FLOODS 5 /* seconds in a row that were full */
#define QUEUE 128 /* records; releasing every key that a viewer can hold must fit */
#define TURN 32 /* records taken in one turn of the loop: a chatterbox does not starve the others */

enum state { STATE_NONE, STATE_HELLO, STATE_READY, STATE_LOST };

struct gr_agent {
	struct gr_loop *loop;
	const struct gr_agent_events *events;
	void *context;
	struct gr_agent_geometry geometry;
	int memory;
	size_t memory_size;
	const uint8_t *untrusted_map;
	int sock;
	struct gr_loop_watch *watch;
	struct gr_loop_timer *timer; /* HELLO, or the delivery of `lost` */
	struct gr_loop_timer *check; /* runs while it owes something */
	int checking;
	unsigned unread, unpainted,
		unresized; /* checks in a row that found a record unread, a whole FRAME or a RESIZED due */
	struct gr_loop_timer *throttle; /* until the end of a second that was full */
	int throttled;
	uint64_t second; /* gr_io_now_ms when it began */
	unsigned records, floods; /* of this second; full ones in a row until now */
	int full; /* the socket took no more: `writable` is due when the queue is empty again */
	enum state state;
	const char *violation;
	int draws_pages;
	int wanted; /* a WANT_FRAME is unanswered */
	int wanted_whole; /* and its answer is due at once */
	int whole; /* the next one is for everything */
	int resizing; /* a RESIZE is unanswered */
	uint16_t next_width, next_height; /* asked for meanwhile; 0 = none */
	size_t queued, first;
	union gr_record queue[QUEUE];
};

static void lose(struct gr_agent *a, const char *violation)
{
	if (a->state == STATE_NONE || a->state == STATE_LOST)
		return;
	a->state = STATE_LOST;
	a->violation = violation;
	gr_loop_remove(a->watch);
	a->watch = NULL;
	gr_io_close(&a->sock);
	gr_loop_timer_set(a->check, -1);
	gr_loop_timer_set(a->throttle, -1);
	gr_loop_timer_set(a->timer, 0);
}

static void watch_what_matters(struct gr_agent *a)
{
	gr_loop_change(a->watch, (a->throttled ? 0u : GR_LOOP_READ) | (a->queued ? GR_LOOP_WRITE : 0u));
}

static void keep_checking(struct gr_agent *a)
{
	if (!a->checking)
		gr_loop_timer_set(a->check, CHECK_MS);
	a->checking = 1;
}

static void flush(struct gr_agent *a)
{
	while (a->queued) {
		const union gr_record *record = &a->queue[a->first];
		int status = gr_io_send(a->sock, record, gr_record_size(record->type), -1);
		if (status == GR_EAGAIN) {
			watch_what_matters(a);
			a->full = 1;
			return;
		}
		if (status) {
			lose(a, NULL);
			return;
		}
		a->first = (a->first + 1) % QUEUE;
		a->queued--;
	}
	watch_what_matters(a);
	if (a->full) { /* whoever emptied it: the loop's turn, or a record posted meanwhile */
		a->full = 0;
		a->events->writable(a->context);
	}
}

/* Everything after HELLO goes this way, so that the order stays. */
static int post(struct gr_agent *a, const union gr_record *record)
{
	if (a->state != STATE_READY)
		return GR_ECLOSED;
	if (a->queued == QUEUE)
		return GR_EFULL;
	memcpy(&a->queue[(a->first + a->queued) % QUEUE], record, gr_record_size(record->type));
	a->queued++;
	keep_checking(a); /* that it is read */
	flush(a);
	if (a->state != STATE_READY)
		return GR_ECLOSED;
	return a->queued ? GR_EAGAIN : 0;
}

static void ask_size(struct gr_agent *a, uint16_t w, uint16_t h)
{
	union gr_record record = { .resize = { GR_RECORD_RESIZE, w, h } };
	a->next_width = a->next_height = 0;
	int status = post(a, &record);
	if (status && status != GR_EAGAIN)
		return;
	a->resizing = 1;
	a->unresized = 0;
}

static void take_cursor(struct gr_agent *a, const struct gr_record_cursor *cursor)
{
	uint32_t untrusted_image[GR_CURSOR_MAX * GR_CURSOR_MAX], colours[GR_CURSOR_MAX * GR_CURSOR_MAX];
	uint8_t mask[GR_CURSOR_MAX / 8 * GR_CURSOR_MAX];
	if (cursor->width) {
		memcpy(untrusted_image, a->untrusted_map + a->memory_size - sizeof(untrusted_image),
		       sizeof(untrusted_image));
		/* Read once: the compiler must not go back to the shared memory for what is now here. */
		__asm__ volatile("" : : "r"(untrusted_image) : "memory");
		gr_agent_cursor_flatten(untrusted_image, cursor->width, cursor->height, colours, mask);
	}
	a->events->cursor(a->context, cursor, colours, mask);
}

static void take_resized(struct gr_agent *a, const struct gr_record_resized *resized)
{
	if (!a->resizing) {
		lose(a, "RESIZED without RESIZE");
		return;
	}
	a->resizing = 0;
	a->geometry.width = resized->width;
	a->geometry.height = resized->height;
	a->whole = 1;
	uint16_t w = a->next_width, h = a->next_height;
	if (w && (w != resized->width || h != resized->height))
		ask_size(a, w, h);
	a->events->resized(a->context, resized->width, resized->height);
}

static void take_state(struct gr_agent *a, const struct gr_record_state *state)
{
	if (state->state == GR_AGENT_FAILED) {
		lose(a, "the agent reports that the browser cannot be kept up");
		return;
	}
	if ((state->state == GR_AGENT_READY) != (a->state == STATE_HELLO)) {
		lose(a, "STATE out of turn");
		return;
	}
	if (state->state != GR_AGENT_READY)
		return; /* the browser was started again: its window comes as a frame */
	a->state = STATE_READY;
	gr_loop_timer_set(a->timer, -1);
	a->geometry.width = state->width;
	a->geometry.height = state->height;
	a->whole = 1;
	a->events->ready(a->context, state->width, state->height);
}

static void take(struct gr_agent *a, const union gr_record *record)
{
	if (a->state == STATE_HELLO && record->type != GR_RECORD_STATE) {
		lose(a, "a record before STATE");
		return;
	}
	switch (record->type) {
	case GR_RECORD_FRAME:
		if (!a->wanted) {
			lose(a, "FRAME without WANT_FRAME");
			return;
		}
		a->wanted = a->wanted_whole = 0;
		a->events->frame(a->context, &record->frame);
		return;
	case GR_RECORD_CURSOR: take_cursor(a, &record->cursor); return;
	case GR_RECORD_RESIZED: take_resized(a, &record->resized); return;
	case GR_RECORD_CARET: a->events->caret(a->context, &record->caret); return;
	case GR_RECORD_TEXT_RESULT: a->events->text_result(a->context, &record->text_result); return;
	case GR_RECORD_CLIPBOARD:
		if (a->events->clipboard(a->context, &record->clipboard))
			lose(a, "CLIPBOARD that is no text");
		return;
	case GR_RECORD_PAGE: a->events->page(a->context, &record->page); return;
	case GR_RECORD_STATE: take_state(a, &record->state); return;
	default: lose(a, "an unknown record"); return;
	}
}

/* Whether it has said too much in this second. What it says in the rest of it waits, and then its own sending does. */
static int too_much(struct gr_agent *a)
{
	uint64_t now = gr_io_now_ms();
	if (now - a->second >= 1000) {
		if (a->records < RATE)
			a->floods = 0;
		a->second = now;
		a->records = 0;
	}
	if (a->records < RATE) {
		a->records++;
		return 0;
	}
	if (++a->floods >= FLOODS) {
		lose(a, "a flood of records");
		return 1;
	}
	a->throttled = 1;
	gr_loop_timer_set(a->throttle, (int64_t)(a->second + 1000 - now));
	watch_what_matters(a);
	return 1;
}

static void throttle_ends(void *context)
{
	struct gr_agent *a = context;
	a->throttled = 0;
	watch_what_matters(a);
}

static void ready(void *context, int fd, unsigned events)
{
	struct gr_agent *a = context;
	if (events & GR_LOOP_WRITE && a->queued)
		flush(a);
	for (unsigned i = 0; i < TURN && a->watch && a->sock == fd && !a->throttled; i++) {
		union gr_record untrusted_record, record;
		size_t size;
		if (too_much(a))
			return;
		int status = gr_io_receive(fd, &untrusted_record, sizeof(untrusted_record), &size, NULL);
		if (status == GR_EAGAIN)
			return;
		if (status == GR_EPROTO)
			lose(a, "a packet too long or with a file descriptor");
		else if (status)
			lose(a, NULL);
		else if (gr_agent_record_check(&untrusted_record, size, &a->geometry, &record))
			lose(a, "a record of wrong size, type or values");
		else
			take(a, &record);
	}
}

static void expired(void *context)
{
	struct gr_agent *a = context;
	switch (a->state) {
	case STATE_LOST:
		a->state = STATE_NONE;
		a->events->lost(a->context, a->violation);
		break;
	case STATE_HELLO: lose(a, "no STATE after HELLO"); break;
	default: break;
	}
}

static unsigned again(int due, unsigned checks)
{
	return due ? checks + 1 : 0;
}

/*
 * Counts looks instead of comparing clocks: a broker that was stopped for a while does not blame the agent. A record is
 * unread while it lies in the agent's receive queue; between the many of a person who moves the pointer it is empty.
 */
static void check(void *context)
{
	struct gr_agent *a = context;
	int unread = 0;
	a->checking = 0;
	if (a->state != STATE_READY)
		return;
	ioctl(a->sock, SIOCOUTQ, &unread);
	a->unread = again(unread > 0, a->unread);
	a->unpainted = again(a->wanted_whole && !a->draws_pages, a->unpainted);
	a->unresized = again(a->resizing, a->unresized);
	if (a->unread >= CHECKS)
		lose(a, "it does not read its records");
	else if (a->unpainted >= CHECKS)
		lose(a, "no FRAME of the whole screen");
	else if (a->unresized >= CHECKS)
		lose(a, "no RESIZED after RESIZE");
	else if (a->unread || a->unpainted || a->unresized)
		keep_checking(a);
}

static int make_memory(struct gr_agent *a, struct gr_error *err)
{
	a->memory_size = gr_record_memory(a->geometry.max_width, a->geometry.max_height);
	a->memory = memfd_create("garasu-screen", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (a->memory < 0)
		return gr_error_errno(err, "memfd_create");
	if (ftruncate(a->memory, (off_t)a->memory_size) < 0)
		return gr_error_errno(err, "size of the memfd");
	if (fcntl(a->memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return gr_error_errno(err, "sealing the memfd");
	void *map = mmap(NULL, a->memory_size, PROT_READ, MAP_SHARED, a->memory, 0);
	if (map == MAP_FAILED)
		return gr_error_errno(err, "mapping the memfd");
	a->untrusted_map = map;
	return 0;
}

struct gr_agent *gr_agent_create(struct gr_loop *loop, uint16_t max_width, uint16_t max_height,
				 const struct gr_agent_events *events, void *context, struct gr_error *err)
{
	struct gr_agent *a = calloc(1, sizeof(*a));
	if (!a) {
		gr_error_set(err, GR_ENOMEM, "out of memory");
		return NULL;
	}
	a->loop = loop;
	a->events = events;
	a->context = context;
	a->sock = -1;
	a->geometry.max_width = max_width;
	a->geometry.max_height = max_height;
	a->memory = -1;
	a->timer = gr_loop_timer_add(loop, expired, a);
	a->check = gr_loop_timer_add(loop, check, a);
	a->throttle = gr_loop_timer_add(loop, throttle_ends, a);
	if (!a->timer || !a->check || !a->throttle) {
		gr_error_set(err, GR_ENOMEM, "out of memory");
		gr_agent_destroy(a);
		return NULL;
	}
	if (make_memory(a, err)) {
		gr_agent_destroy(a);
		return NULL;
	}
	return a;
}

void gr_agent_destroy(struct gr_agent *a)
{
	if (!a)
		return;
	gr_loop_remove(a->watch);
	gr_loop_timer_remove(a->timer);
	gr_loop_timer_remove(a->check);
	gr_loop_timer_remove(a->throttle);
	gr_io_close(&a->sock);
	gr_io_close(&a->memory);
	if (a->untrusted_map)
		munmap((void *)(uintptr_t)a->untrusted_map, a->memory_size);
	free(a);
}

void gr_agent_violated(struct gr_agent *a, const char *violation)
{
	lose(a, violation);
}

void gr_agent_draws_pages(struct gr_agent *a, int on)
{
	a->draws_pages = on;
	if (!on && a->wanted_whole)
		keep_checking(a);
}

void gr_agent_connect(struct gr_agent *a, int fd, uint32_t flags, unsigned pages, unsigned dpi)
{
	gr_loop_remove(a->watch);
	gr_io_close(&a->sock);
	a->sock = fd;
	a->watch = gr_loop_add(a->loop, fd, GR_LOOP_READ, ready, a);
	a->state = STATE_HELLO;
	a->violation = NULL;
	a->wanted = a->wanted_whole = a->whole = a->resizing = 0;
	a->next_width = a->next_height = 0;
	a->queued = a->first = 0;
	a->full = a->checking = a->throttled = a->draws_pages = 0;
	a->unread = a->unpainted = a->unresized = a->records = a->floods = 0;
	gr_loop_timer_set(a->check, -1);
	gr_loop_timer_set(a->throttle, -1);
	struct gr_record_hello hello = { .type = GR_RECORD_HELLO,
					 .version = GR_RECORD_VERSION,
					 .max_width = a->geometry.max_width,
					 .max_height = a->geometry.max_height,
					 .flags = flags,
					 .print_pages = pages,
					 .print_dpi = dpi };
	if (!a->watch || gr_io_set_nonblocking(fd, 1) || gr_io_send(fd, &hello, sizeof(hello), a->memory))
		lose(a, NULL);
	else
		gr_loop_timer_set(a->timer, HELLO_MS);
}

int gr_agent_ready(const struct gr_agent *a)
{
	return a->state == STATE_READY;
}

void gr_agent_want(struct gr_agent *a, int whole)
{
	a->whole |= whole;
	if (a->state != STATE_READY || a->wanted)
		return;
	union gr_record record = { .want_frame = { GR_RECORD_WANT_FRAME, (uint32_t)a->whole } };
	/* Before it is posted: that may come back here by way of `writable`. */
	a->wanted = 1;
	int asked_whole = a->whole;
	a->wanted_whole = asked_whole;
	a->unpainted = 0;
	a->whole = 0;
	int status = post(a, &record);
	if (status && status != GR_EAGAIN) {
		a->wanted = a->wanted_whole = 0;
		a->whole |= asked_whole;
	}
}

void gr_agent_resize(struct gr_agent *a, uint16_t w, uint16_t h)
{
	if (a->resizing) {
		a->next_width = w;
		a->next_height = h;
	} else {
		ask_size(a, w, h);
	}
}

int gr_agent_resizing(const struct gr_agent *a)
{
	return a->resizing;
}

int gr_agent_send(struct gr_agent *a, const union gr_record *record)
{
	return post(a, record);
}

const uint8_t *gr_agent_untrusted_pixels(const struct gr_agent *a)
{
	return a->untrusted_map;
}

size_t gr_agent_stride(const struct gr_agent *a)
{
	return (size_t)a->geometry.max_width * 4;
}
