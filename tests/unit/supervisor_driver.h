/*
 * A whole supervisor with children that say whatever the test tells them to.
 *
 * The test program is its own stand-in for every child: started as garasu-<kind> it connects to drive.sock beside the
 * configuration, then passes packets from there to its control socket and back. The stand-in for audit acknowledges events,
 * with 0 while a file "full" is there. Descriptors named `sock` are the test's end of such a stand-in.
 */
#ifndef GARASU_TESTS_SUPERVISOR_DRIVER_H
#define GARASU_TESTS_SUPERVISOR_DRIVER_H

#include "broker/supervisor/limits.h"
#include "broker/supervisor/supervisor.h"

#include <stdint.h>
#include <sys/types.h>

#define MAXIMUM 2 /* containers */
#define FAILURES_PER_MINUTE 5
#define PATIENCE_MS 10000
#define SHORT_PACKET UINT32_MAX /* has a stand-in send what is no message */

/* The program's main when its name is garasu-<kind>: argv as a child's. Returns its exit status. */
int stand_in(const char *kind_name, char **argv);

/* Set up and tear down a broker for one test (cmocka): its folder, its process, where its children come to. */
int begin(void **state);
extern enum gr_config_factor code_factor; /* of the configuration of those that begin from now on */
int end(void **state);
extern char folder[64];
extern enum gr_config_recording recording; /* limits.recording of the next begin() */
extern pid_t broker;
extern int listener;
extern int services[GR_SERVICES]; /* the stand-ins of the services */

/* The configuration of the next broker to begin, as text; NULL: none. Some values are the driver's (run_broker). */
extern const char *policy;
/* Moves the clock of the broker forward; its timers are looked at when it next wakes up. */
void advance(uint64_t ms);
/* From now on the broker's clock moves by advance() alone. */
void freeze(void);
/* Writes the configuration file anew. */
void write_policy(const char *text);

/* Waits for its end: the exit status, 1000 + the signal, or -1 when it does not come. */
int wait_for_broker(void);

int readable(int fd, int ms);
/* The next child of this kind that comes; number_out: its number, or NULL. */
int take_child(int kind, int *number_out);
/* Has the child say this, and waits until it is said. 0 when the child is gone already. */
int say(int sock, struct gr_ipc_message message);
/* The next message of this type that the supervisor sends to the child; others before it are passed over. */
struct gr_ipc_message hear(int sock, uint32_t type);
/* The child is ended; is not. */
void gone(int sock);
void stays(int sock);
/* The next event that the audit process got; the next of this kind (others are passed over). */
struct gr_audit_event next_event(void);
struct gr_audit_event recorded(uint32_t kind);

void warm_up(uint32_t container);

/* A viewer's connection and its gateway. */
struct viewer {
	int tcp, gateway, number;
};

int connect_viewer(void);
struct viewer arrive(void);
void identify(const struct viewer *viewer, const char *person);
/* Arrives, is identified and asks for a session. */
struct viewer want(const char *person);
void leave(struct viewer *viewer);
/* Begins a session for the person on a new container; returns the session process. */
int open_session(const char *person, uint32_t container, struct viewer *viewer_out);
void end_session(const char *person, uint32_t container, int session);

/* A request, of root unless it has another actor, and its answer. */
struct gr_ipc_message ask(struct gr_ipc_message request);
/* What was said before has been heard when this returns, whoever said it. */
void let_hear(void);

#endif
