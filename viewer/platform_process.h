/*
 * The part of platform.h that has to do with processes; platform_linux_process.c has it for Linux. A port must give: two processes that
 * are started again at will and know nothing of the person, memory that one writes and the other reads, packet channels between
 * them, the end of all with the window process, and the signals that end a program.
 */
#ifndef GARASU_VIEWER_PLATFORM_PROCESS_H
#define GARASU_VIEWER_PLATFORM_PROCESS_H

#include "common/error.h"
#include "viewer/options.h"
#include "viewer/viewer.h"

#include <sys/types.h>

struct gr_platform_starter {
	int control; /* to the process that starts the others; -1: there is none */
	pid_t pid;
};

/*
 * Makes the shared memory (viewer->picture, viewer->counters) and the process that starts decoders and transports. Called first of all:
 * that process has what this one has now. options is borrowed for ever. 0 or -1 after a message on standard error.
 */
int gr_platform_begin(struct gr_platform_starter *starter, const struct gr_viewer_options *options,
		      struct gr_viewer *viewer);

/*
 * Starts a decoder and a transport, which begins to connect; an earlier pair is dead before. width, height: the size wanted, 0 = the
 * server's. connect_ms: for the connection. capture: file for the server's bytes (borrowed), -1: none. Sets viewer->decoder and
 * viewer->transport. GR_EIO.
 */
int gr_platform_start(const struct gr_platform_starter *starter, struct gr_viewer *viewer, uint16_t width,
		      uint16_t height, int connect_ms, int capture);

/* Waits for all of them, whose channels the caller has closed, for two seconds; then ends them. */
void gr_platform_end(struct gr_platform_starter *starter);

/* As the broker does with its own: what others may read is not the person's alone. 0, GR_EDENIED, or the system's error. */
int gr_platform_private_file(const char *file, struct gr_error *err);
/* The same of an open one, whatever it is; name: for err. */
int gr_platform_private_descriptor(int fd, const char *name, struct gr_error *err);

/* A descriptor that becomes readable when the program is to end; in the processes made later those signals are ignored. -1. */
int gr_platform_signals(void);

unsigned gr_platform_random(void);

#endif
