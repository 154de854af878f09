/* A moment of a recording as a picture, a stretch of it as a video. */
#ifndef GARASU_VIEWER_REPLAY_EXPORT_H
#define GARASU_VIEWER_REPLAY_EXPORT_H

#include "viewer/replay/player.h"

#define GR_EXPORT_STRIP 28 /* pixel rows below a video's picture: who and when */

/* Writes the picture at position as a PNG, as garasu-viewer's screenshot would have been then. */
int gr_export_png(struct gr_player *player, uint64_t position, const char *file, struct gr_error *err);

/*
 * Writes a video by the program ffmpeg, of the kind that the file's name ends with: .webm (VP9) or .mp4 (H.264), so many frames a second.
 * The picture is as large as the largest screen size; the strip below it says the person, the session and the wall clock. A file
 * that is there already is not overwritten: GR_EEXIST.
 */
int gr_export_video(struct gr_player *player, uint64_t from, uint64_t to, unsigned frames_per_second, const char *file,
		    struct gr_error *err);

/* Writes what the viewer was sent, from ServerInit on, as garasu-viewer --capture does; to a new file. */
int gr_export_stream(const struct gr_recording_file *recording, struct gr_recording_opened *opened, const char *file,
		     struct gr_error *err);

/* "2026-11-26 18:04:05" local time, or UTC. */
void gr_export_clock(uint64_t wall_us, int utc, char out[32]);

#endif
