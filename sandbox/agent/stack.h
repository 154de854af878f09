/*
 * The programs of the container: the X server, the window manager, the input method, the browser, and the relay to the
 * egress socket. Starts them, restarts what may be restarted (with a back-off and an end), and ends them.
 */
#ifndef GARASU_AGENT_STACK_H
#define GARASU_AGENT_STACK_H

#include "common/error.h"
#include "common/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct gr_stack;

struct gr_stack_owner {
	void *context;
	void (*screen)(void *context); /* the X server takes connections; $DISPLAY names it */
	void (*browser)(void *context); /* the browser ended and was started again */
	void (*failed)(void *context, const char *reason); /* cannot go on: call gr_stack_stop */
	void (*reaped)(void *context, pid_t pid); /* a child of the owner's own has ended */
	void (*ended)(void *context); /* after gr_stack_stop: nothing of ours runs any more */
};

/* Prepares the environment and the listening socket of the relay. *owner is copied. NULL with *err set. */
struct gr_stack *gr_stack_create(struct gr_loop *loop, const struct gr_stack_owner *owner, struct gr_error *err);
void gr_stack_destroy(struct gr_stack *stack); /* NULL allowed; kills what is left */

/* Where the browser saves what it prints; exists. Borrowed. */
const char *gr_stack_print_folder(const struct gr_stack *stack);

/* Starts the relay and the X server with a screen of this size; owner.screen comes within 10 s, or owner.failed. */
int gr_stack_start_screen(struct gr_stack *stack, uint16_t max_w, uint16_t max_h, struct gr_error *err);
/* Starts the window manager and the session bus and sets the keyboard; call when connected to the X server. */
int gr_stack_start_desktop(struct gr_stack *stack, struct gr_error *err);
/* Starts the browser; call when the window manager has announced itself. */
int gr_stack_start_browser(struct gr_stack *stack, struct gr_error *err);
/* Starts what kana-kanji conversion inside the container needs; its failure fails nothing else. */
void gr_stack_start_conversion(struct gr_stack *stack);

/* Call on SIGCHLD: collects every child that has ended, ours and, as the container's first process, everyone's. */
void gr_stack_reap(struct gr_stack *stack);

/* Ends all, politely for 1.5 s and then not; owner.ended follows. */
void gr_stack_stop(struct gr_stack *stack);

#endif
