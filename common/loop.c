#include "common/loop.h"
#include "common/error.h"
#include "common/io.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct gr_loop_watch {
	struct gr_loop *loop;
	struct gr_loop_watch *next, *previous;
	int fd;
	unsigned events;
	gr_loop_ready ready; /* NULL: removed, freed after this round of callbacks */
	void *context;
};

struct gr_loop_timer {
	struct gr_loop *loop;
	struct gr_loop_timer *next, *previous;
	uint64_t deadline; /* ms; UINT64_MAX = not armed */
	gr_loop_expired expired; /* NULL: removed */
	void *context;
};

struct gr_loop {
	int epoll;
	int stopped, code;
	int removed; /* something waits to be freed */
	int signals;
	gr_loop_signalled signalled;
	void *signal_context;
	struct gr_loop_watch *watches;
	struct gr_loop_timer *timers;
};

struct gr_loop *gr_loop_create(void)
{
	struct gr_loop *loop = calloc(1, sizeof(*loop));
	if (!loop)
		return NULL;
	loop->signals = -1;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0) {
		free(loop);
		return NULL;
	}
	return loop;
}

static void sweep(struct gr_loop *loop)
{
	if (!loop->removed)
		return;
	loop->removed = 0;
	for (struct gr_loop_watch *w = loop->watches, *next; w; w = next) {
		next = w->next;
		if (w->ready)
			continue;
		if (w->previous)
			w->previous->next = w->next;
		else
			loop->watches = w->next;
		if (w->next)
			w->next->previous = w->previous;
		free(w);
	}
	for (struct gr_loop_timer *t = loop->timers, *next; t; t = next) {
		next = t->next;
		if (t->expired)
			continue;
		if (t->previous)
			t->previous->next = t->next;
		else
			loop->timers = t->next;
		if (t->next)
			t->next->previous = t->previous;
		free(t);
	}
}

void gr_loop_destroy(struct gr_loop *loop)
{
	if (!loop)
		return;
	for (struct gr_loop_watch *w = loop->watches; w; w = w->next)
		w->ready = NULL;
	for (struct gr_loop_timer *t = loop->timers; t; t = t->next)
		t->expired = NULL;
	loop->removed = 1;
	sweep(loop);
	gr_io_close(&loop->signals);
	close(loop->epoll);
	free(loop);
}

static uint32_t epoll_mask(unsigned events)
{
	return (events & GR_LOOP_READ ? (uint32_t)(EPOLLIN | EPOLLRDHUP) : 0) |
	       (events & GR_LOOP_WRITE ? (uint32_t)EPOLLOUT : 0);
}

struct gr_loop_watch *gr_loop_add(struct gr_loop *loop, int fd, unsigned events, gr_loop_ready ready, void *context)
{
	struct gr_loop_watch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		return NULL;
	watch->loop = loop;
	watch->fd = fd;
	watch->events = events;
	watch->ready = ready;
	watch->context = context;
	/* epoll reports EPOLLHUP even for an empty mask, so a paused watch is taken out of the set altogether. */
	struct epoll_event event = { .events = epoll_mask(events), .data.ptr = watch };
	if (events && epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		free(watch);
		return NULL;
	}
	watch->next = loop->watches;
	if (watch->next)
		watch->next->previous = watch;
	loop->watches = watch;
	return watch;
}

void gr_loop_change(struct gr_loop_watch *watch, unsigned events)
{
	if (events == watch->events)
		return;
	struct epoll_event event = { .events = epoll_mask(events), .data.ptr = watch };
	int operation = !events ? EPOLL_CTL_DEL : watch->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	epoll_ctl(watch->loop->epoll, operation, watch->fd, &event);
	watch->events = events;
}

void gr_loop_remove(struct gr_loop_watch *watch)
{
	if (!watch || !watch->ready)
		return;
	gr_loop_change(watch, 0);
	watch->ready = NULL;
	watch->loop->removed = 1;
}

struct gr_loop_timer *gr_loop_timer_add(struct gr_loop *loop, gr_loop_expired expired, void *context)
{
	struct gr_loop_timer *timer = calloc(1, sizeof(*timer));
	if (!timer)
		return NULL;
	timer->loop = loop;
	timer->deadline = UINT64_MAX;
	timer->expired = expired;
	timer->context = context;
	timer->next = loop->timers;
	if (timer->next)
		timer->next->previous = timer;
	loop->timers = timer;
	return timer;
}

void gr_loop_timer_set(struct gr_loop_timer *timer, int64_t ms)
{
	timer->deadline = ms < 0 ? UINT64_MAX : gr_io_now_ms() + (uint64_t)ms;
}

void gr_loop_timer_remove(struct gr_loop_timer *timer)
{
	if (!timer || !timer->expired)
		return;
	timer->expired = NULL;
	timer->deadline = UINT64_MAX;
	timer->loop->removed = 1;
}

static void signals_ready(void *context, int fd, unsigned events)
{
	struct gr_loop *loop = context;
	struct signalfd_siginfo info;
	(void)events;
	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		loop->signalled(loop->signal_context, (int)info.ssi_signo);
}

int gr_loop_signals(struct gr_loop *loop, const sigset_t *set, gr_loop_signalled signalled, void *context)
{
	if (loop->signals >= 0 || sigprocmask(SIG_BLOCK, set, NULL) < 0)
		return GR_EIO;
	loop->signals = signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (loop->signals < 0)
		return GR_EIO;
	loop->signalled = signalled;
	loop->signal_context = context;
	return gr_loop_add(loop, loop->signals, GR_LOOP_READ, signals_ready, loop) ? 0 : GR_ENOMEM;
}

static int next_timeout(const struct gr_loop *loop)
{
	uint64_t first = UINT64_MAX;
	for (const struct gr_loop_timer *t = loop->timers; t; t = t->next)
		if (t->deadline < first)
			first = t->deadline;
	if (first == UINT64_MAX)
		return -1;
	uint64_t now = gr_io_now_ms();
	if (first <= now)
		return 0;
	return first - now > INT_MAX ? INT_MAX : (int)(first - now);
}

static void run_timers(struct gr_loop *loop)
{
	uint64_t now = gr_io_now_ms();
	for (struct gr_loop_timer *t = loop->timers; t && !loop->stopped; t = t->next) {
		if (t->deadline > now)
			continue;
		t->deadline = UINT64_MAX; /* before the call, which may arm it again */
		if (t->expired)
			t->expired(t->context);
	}
}

int gr_loop_run(struct gr_loop *loop)
{
	loop->stopped = 0;
	while (!loop->stopped) {
		struct epoll_event ready[32];
		int n = epoll_wait(loop->epoll, ready, 32, next_timeout(loop));
		if (n < 0 && errno != EINTR)
			return GR_EIO;
		for (int i = 0; i < n && !loop->stopped; i++) {
			struct gr_loop_watch *watch = ready[i].data.ptr;
			uint32_t bits = ready[i].events;
			unsigned events = 0;
			if (bits & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
				events |= GR_LOOP_READ;
			if (bits & (EPOLLOUT | EPOLLHUP | EPOLLERR))
				events |= GR_LOOP_WRITE & watch->events;
			if (watch->ready && watch->events)
				watch->ready(watch->context, watch->fd, events);
		}
		run_timers(loop);
		sweep(loop);
	}
	return loop->code;
}

void gr_loop_stop(struct gr_loop *loop, int code)
{
	loop->stopped = 1;
	loop->code = code;
}
