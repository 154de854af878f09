/* One event loop per process, over epoll: descriptors, one-shot timers, signals. Single-threaded. */
#ifndef GARASU_COMMON_LOOP_H
#define GARASU_COMMON_LOOP_H

#include <signal.h>
#include <stdint.h>

struct gr_loop;
struct gr_loop_watch; /* one watched descriptor */
struct gr_loop_timer;

enum gr_loop_events { GR_LOOP_READ = 1, GR_LOOP_WRITE = 2 };

/* events: gr_loop_events that are ready; hang-up and error are reported as READ (and WRITE when asked for). */
typedef void (*gr_loop_ready)(void *context, int fd, unsigned events);
typedef void (*gr_loop_expired)(void *context);
typedef void (*gr_loop_signalled)(void *context, int signo);

/* Returns an owned loop, or NULL when the system refuses. */
struct gr_loop *gr_loop_create(void);
/* Destroys the loop with all watches and timers that are left; closes no watched descriptor. NULL allowed. */
void gr_loop_destroy(struct gr_loop *loop);

/* Watches fd (borrowed). Returns a watch owned by the loop, valid until removed, or NULL when out of memory or watched already. */
struct gr_loop_watch *gr_loop_add(struct gr_loop *loop, int fd, unsigned events, gr_loop_ready ready, void *context);
/* Changes the events waited for; 0 pauses the watch (a hang-up is then not reported either). */
void gr_loop_change(struct gr_loop_watch *watch, unsigned events);
/* Removes the watch; call before closing its descriptor. May be called from any callback; NULL allowed. */
void gr_loop_remove(struct gr_loop_watch *watch);

/* A timer, not yet armed. NULL when out of memory. A process whose timers are not armed never wakes up. */
struct gr_loop_timer *gr_loop_timer_add(struct gr_loop *loop, gr_loop_expired expired, void *context);
/* Arms (or re-arms) the timer once, in ms from now; ms < 0 disarms. */
void gr_loop_timer_set(struct gr_loop_timer *timer, int64_t ms);
void gr_loop_timer_remove(struct gr_loop_timer *timer); /* NULL allowed */

/* Blocks the signals of set and reports them through the loop from now on; GR_EIO. Once per loop. */
int gr_loop_signals(struct gr_loop *loop, const sigset_t *set, gr_loop_signalled signalled, void *context);

/* Runs until gr_loop_stop; returns the code given there, or GR_EIO. */
int gr_loop_run(struct gr_loop *loop);
void gr_loop_stop(struct gr_loop *loop, int code);

#endif
