/*
 * Brings the picture of a recording to a moment. Decryption is this process's, everything that the bytes are interpreted by is the
 * viewer's decoder (viewer/decoder.h), confined, in a process of its own that never had the key: this program, executed anew.
 *
 * What is shown depends on all that came before it, so going back means decoding from the beginning.
 */
#ifndef GARASU_VIEWER_REPLAY_PLAYER_H
#define GARASU_VIEWER_REPLAY_PLAYER_H

#include "broker/recording/file.h"
#include "common/error.h"
#include "viewer/viewer.h"

#include <stdbool.h>
#include <sys/types.h>

#define GR_PLAYER_DECODER "--decoder" /* the argument that makes this program the decoder */

struct gr_player {
	pid_t decoder_pid; /* 0: none */
	struct gr_viewer viewer; /* what the decoder reported; state ENDED: it cannot go on, detail says why */
	const struct gr_recording_file *file; /* borrowed, as opened is */
	struct gr_recording_opened *opened;
	uint64_t *positions; /* of each chunk, microseconds from the beginning; never decreasing */
	uint64_t duration; /* of the whole recording */
	uint64_t position; /* that the picture has reached, or is on its way to */
	int picture; /* memfd */
	int stream; /* to the decoder */
	size_t next; /* chunk to be given next */
	size_t damaged; /* chunk that does not decrypt; SIZE_MAX: none was met */
	uint64_t given; /* bytes, to this decoder */
	uint32_t syncs;
	bool at_rest; /* the picture has everything up to position */
	size_t begin, end; /* of what is to be sent from content */
	uint8_t content[GR_RECORDING_CHUNK_MAX];
};

/* GR_ENOMEM, GR_EIO. */
int gr_player_init(struct gr_player *player, const struct gr_recording_file *file, struct gr_recording_opened *opened,
		   struct gr_error *err);
void gr_player_finish(struct gr_player *player);

/*
 * Goes towards position for about budget_ms (-1: until it is there). Returns 1 when the picture is what the viewer showed then, 0 when there is
 * more to do, GR_EIO or GR_EPROTO when the recording cannot be shown up to there (the picture stays as far as it came).
 */
int gr_player_go(struct gr_player *player, uint64_t position, int budget_ms, struct gr_error *err);

/* The wall clock at a position, microseconds since 1970. */
uint64_t gr_player_wall(const struct gr_player *player, uint64_t position);

/* main of the decoder process. */
int gr_player_decoder(void);

#endif
