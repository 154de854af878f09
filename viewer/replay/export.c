#include "viewer/replay/export.h"

#include "common/io.h"
#include "viewer/draw.h"
#include "viewer/picture.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEP_US 1000000 /* in which the largest screen size is looked for */

void gr_export_clock(uint64_t wall_us, int utc, char out[32])
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm parts;

	if (!(utc ? gmtime_r(&seconds, &parts) : localtime_r(&seconds, &parts)) ||
	    strftime(out, 32, utc ? "%Y-%m-%d %H:%M:%SZ" : "%Y-%m-%d %H:%M:%S", &parts) == 0)
		snprintf(out, 32, "-");
}

int gr_export_png(struct gr_player *player, uint64_t position, const char *file, struct gr_error *err)
{
	int rc = gr_player_go(player, position, -1, err);

	if (rc < 0)
		return rc;
	if (!player->viewer.width)
		return gr_error_set(err, GR_ENOENT, "there is no picture yet at that moment");
	return gr_picture_write(file, player->viewer.picture, GR_PICTURE_STRIDE, player->viewer.width,
				player->viewer.height, err);
}

int gr_export_stream(const struct gr_recording_file *recording, struct gr_recording_opened *opened, const char *file,
		     struct gr_error *err)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	uint8_t *content = malloc(GR_RECORDING_CHUNK_MAX);
	int rc = 0;

	if (fd < 0)
		rc = gr_error_errno(err, "cannot make %s", file);
	else if (!content)
		rc = gr_error_set(err, GR_ENOMEM, "no memory");
	for (size_t i = 0; !rc && i < recording->count; i++) {
		if ((rc = gr_recording_file_read(recording, opened, i, content)))
			gr_error_set(err, rc, "chunk %zu is not what was recorded", i + 1);
		else if (gr_io_write_all(fd, content, recording->places[i].chunk.bytes))
			rc = gr_error_errno(err, "cannot write %s", file);
	}
	free(content);
	gr_io_close(&fd);
	return rc;
}

/* ---- video ---- */

struct video {
	SDL_Surface *frame;
	struct gr_draw *draw;
	pid_t encoder;
	int pipe;
	char strip[200]; /* as drawn */
	uint64_t frames; /* of the picture, as drawn */
};

static int largest_size(struct gr_player *player, uint64_t from, uint64_t to, int *width, int *height,
			struct gr_error *err)
{
	int rc = 0;

	*width = *height = 0;
	for (uint64_t at = from;; at = at + STEP_US < to ? at + STEP_US : to) {
		rc = gr_player_go(player, at, -1, err);
		*width = player->viewer.width > *width ? player->viewer.width : *width;
		*height = player->viewer.height > *height ? player->viewer.height : *height;
		if (rc < 0 || at >= to)
			break;
	}
	if (rc >= 0 && !*width)
		return gr_error_set(err, GR_ENOENT, "there is no picture in that time");
	return rc < 0 ? rc : 0;
}

static int start_encoder(struct video *video, unsigned frames_per_second, const char *file, struct gr_error *err)
{
	static const char *const vp9[] = { "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-row-mt",
					   "1",          "-crf",      "24",       "-b:v",      "0", NULL };
	static const char *const h264[] = { "libx264", "-preset",   "veryfast",   "-crf",
					    "20",      "-movflags", "+faststart", NULL };
	const char *end = strrchr(file, '.');
	const char *const *codec = end && !strcmp(end, ".webm") ? vp9 : end && !strcmp(end, ".mp4") ? h264 : NULL;
	const char *argv[40];
	char size[32], rate[16], path[4096];
	int pair[2], n = 0;

	if (!codec)
		return gr_error_set(err, GR_EINVAL, "%s: the name of a video ends with .webm or .mp4", file);
	if (access(file, F_OK) == 0)
		return gr_error_set(err, GR_EEXIST, "%s exists already", file);
	snprintf(size, sizeof size, "%dx%d", video->frame->w, video->frame->h);
	snprintf(rate, sizeof rate, "%u", frames_per_second);
	snprintf(path, sizeof path, "file:%s", file); /* whatever the name looks like */
	for (const char *const *word =
		     (const char *const[]){ "ffmpeg",  "-hide_banner", "-loglevel", "error",  "-nostdin", "-n",
					    "-f",      "rawvideo",     "-pix_fmt",  "bgr0",   "-s",       size,
					    "-r",      rate,           "-i",        "pipe:0", "-an",      "-pix_fmt",
					    "yuv420p", "-c:v",         NULL };
	     *word; word++)
		argv[n++] = *word;
	for (; *codec; codec++)
		argv[n++] = *codec;
	argv[n++] = path;
	argv[n] = NULL;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return gr_error_errno(err, "cannot make a pipe");
	pid_t parent = getpid();
	video->encoder = fork();
	if (video->encoder == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent || dup2(pair[0], STDIN_FILENO) < 0)
			_exit(126);
		close_range(3, ~0U, 0);
		execvp("ffmpeg", (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(pair[0]);
	video->pipe = pair[1];
	return video->encoder < 0 ? gr_error_errno(err, "cannot start ffmpeg") : 0;
}

/* Composes the frame anew where it is another one. */
static void compose(struct video *video, const struct gr_player *player)
{
	const struct gr_viewer *viewer = &player->viewer;
	SDL_Surface *frame = video->frame;
	char strip[sizeof video->strip], clock[32];
	SDL_Rect below = { 0, frame->h - GR_EXPORT_STRIP, frame->w, GR_EXPORT_STRIP };

	if (video->frames != viewer->frames || !viewer->frames) {
		int width = viewer->width < frame->w ? viewer->width : frame->w;
		int height = viewer->height < below.y ? viewer->height : below.y;
		SDL_FillRect(frame, &(SDL_Rect){ 0, 0, frame->w, below.y },
			     SDL_MapRGB(frame->format, 0x20, 0x24, 0x2a));
		for (int y = 0; y < height; y++)
			memcpy((uint8_t *)frame->pixels + (size_t)y * (size_t)frame->pitch,
			       viewer->picture + (size_t)y * GR_PICTURE_STRIDE, (size_t)width * 4);
		video->frames = viewer->frames;
	}
	gr_export_clock(gr_player_wall(player, player->position), 0, clock);
	snprintf(strip, sizeof strip, "%s   %s   %016" PRIx64, clock, player->file->header.person,
		 player->file->header.session);
	if (strcmp(strip, video->strip) != 0) {
		SDL_FillRect(frame, &below, SDL_MapRGB(frame->format, 0x1e, 0x3a, 0x5f));
		gr_draw_text(video->draw, frame, strip, (SDL_Color){ 0xff, 0xff, 0xff, 0xff }, 10, below.y + 3);
		memcpy(video->strip, strip, sizeof strip);
	}
}

static int encode(struct video *video, struct gr_player *player, uint64_t from, uint64_t to, unsigned frames_per_second,
		  struct gr_error *err)
{
	uint64_t count = (to - from) * frames_per_second / 1000000 + 1;

	for (uint64_t i = 0; i < count; i++) {
		int rc = gr_player_go(player, from + i * 1000000 / frames_per_second, -1, err);
		if (rc < 0)
			return rc;
		compose(video, player);
		if (gr_io_write_all(video->pipe, video->frame->pixels,
				    (size_t)video->frame->pitch * (size_t)video->frame->h))
			return gr_error_set(err, GR_EIO,
					    "ffmpeg has ended"); /* its own words stand on standard error */
		if (isatty(STDERR_FILENO) && i % 50 == 0)
			fprintf(stderr, "\r%3u %%", (unsigned)(i * 100 / count));
	}
	if (isatty(STDERR_FILENO))
		fputs("\r      \r", stderr);
	return 0;
}

int gr_export_video(struct gr_player *player, uint64_t from, uint64_t to, unsigned frames_per_second, const char *file,
		    struct gr_error *err)
{
	struct video video = { .pipe = -1 };
	int width, height, status = 0;
	int rc = largest_size(player, from, to, &width, &height, err);

	if (rc)
		return rc;
	/* Chroma is halved both ways: even numbers. */
	video.frame = SDL_CreateRGBSurfaceWithFormat(0, width + width % 2, height + height % 2 + GR_EXPORT_STRIP, 32,
						     SDL_PIXELFORMAT_RGB888);
	video.draw = gr_draw_create(100);
	if (!video.frame || !video.draw) {
		gr_draw_destroy(video.draw);
		SDL_FreeSurface(video.frame);
		return gr_error_set(err, GR_ENOMEM, "no memory for a video's frame");
	}
	rc = start_encoder(&video, frames_per_second, file, err);
	if (!rc) {
		rc = encode(&video, player, from, to, frames_per_second, err);
		gr_io_close(&video.pipe);
		waitpid(video.encoder, &status, 0);
		if (!rc && (!WIFEXITED(status) || WEXITSTATUS(status)))
			rc = gr_error_set(err, GR_EIO,
					  WIFEXITED(status) && WEXITSTATUS(status) == 127
						  ? "the program ffmpeg is not installed"
						  : "ffmpeg could not make the video");
		if (rc)
			unlink(file);
	}
	gr_io_close(&video.pipe);
	gr_draw_destroy(video.draw);
	SDL_FreeSurface(video.frame);
	return rc;
}
