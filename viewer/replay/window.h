/* The window that plays a recording: the picture, a control bar below it, the audit events over it. */
#ifndef GARASU_VIEWER_REPLAY_WINDOW_H
#define GARASU_VIEWER_REPLAY_WINDOW_H

#include "viewer/replay/evidence.h"
#include "viewer/replay/player.h"

struct gr_replay_window {
	struct gr_player *player;
	const struct gr_evidence *evidence; /* NULL: no record was given */
	const char *verdict; /* one line in words */
	int alarm; /* the verdict is a bad one */
	uint64_t from; /* microseconds */
	double speed;
};

/* Plays until the person closes it. GR_EIO when there is no display. */
int gr_replay_window_run(const struct gr_replay_window *settings, struct gr_error *err);

#endif
