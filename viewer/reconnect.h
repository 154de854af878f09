/*
 * After a cut: the viewer comes back to its session by itself for as long as that waits (TERMS: grace_seconds), with a back-off and
 * without limit of tries. What is no cut (taken over, ended, refused, a protocol error, a decoder that died) ends as ever.
 */
#ifndef GARASU_VIEWER_RECONNECT_H
#define GARASU_VIEWER_RECONNECT_H

#include "viewer/viewer.h"

#define GR_RECONNECT_FIRST_MS 200
#define GR_RECONNECT_MOST_MS 3200 /* between two tries */
#define GR_RECONNECT_CONNECT_MS                                                                                        \
	4000 /* for one try's connection: a packet sent while the network was away is not waited for long */

/*
 * Call after anything happened, often. Notices a cut (begins to wait), that it is over, and that the time is. Returns 1 when a new
 * pair of processes is to be started now; gr_viewer_end if that cannot be. *wait_ms: until the next call is due, or -1.
 */
int gr_reconnect_step(struct gr_viewer *viewer, int *wait_ms);

/* The person does not want to wait for the next try. */
void gr_reconnect_now(struct gr_viewer *viewer);

#endif
