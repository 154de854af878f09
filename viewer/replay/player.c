#include "viewer/replay/player.h"

#include "common/io.h"
#include "viewer/decoder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The decoder's descriptors. */
enum { DECODER_STREAM = 3, DECODER_WINDOW, DECODER_PICTURE, DECODER_END };

#define HUNG_MS 60000 /* a decoder that neither takes nor says anything */
#define HISTORY_LOG2 25 /* the largest that a broker may have used */

int gr_player_decoder(void)
{
	uint32_t *picture = mmap(NULL, GR_PICTURE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, DECODER_PICTURE, 0);

	if (picture == MAP_FAILED)
		return 1;
	close(DECODER_PICTURE);
	struct gr_decoder_settings settings = {
		.stream = DECODER_STREAM,
		.window = DECODER_WINDOW,
		.picture = picture,
		.quality = 1, /* whatever the viewer asked for: photographs are permitted */
		.history_log2 = HISTORY_LOG2,
		.replay = 1,
		.capture = -1,
	};
	prctl(PR_SET_NAME, "garasu-decoder");
	return gr_decoder_run(&settings);
}

static void become_decoder(int stream, int window, int picture, pid_t parent)
{
	char *const argv[] = { "garasu-replay", GR_PLAYER_DECODER, NULL };
	int fds[] = { stream, window, picture };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	for (int i = 0; i < 3; i++)
		if ((fds[i] = fcntl(fds[i], F_DUPFD, DECODER_END)) < 0)
			_exit(1);
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], DECODER_STREAM + i) < 0)
			_exit(1);
	close_range(DECODER_END, ~0U, 0);
	execv("/proc/self/exe", argv);
	_exit(1);
}

static void end_decoder(struct gr_player *player)
{
	gr_io_close(&player->stream);
	gr_io_close(&player->viewer.decoder);
	if (player->decoder_pid > 0) {
		/* It must not paint any more when the next one begins. */
		kill(player->decoder_pid, SIGKILL);
		waitpid(player->decoder_pid, NULL, 0);
	}
	player->decoder_pid = 0;
}

/* From the recording's beginning. */
static int restart(struct gr_player *player, struct gr_error *err)
{
	const uint32_t *picture = player->viewer.picture;
	int stream[2], window[2] = { -1, -1 };
	pid_t parent = getpid();

	end_decoder(player);
	player->viewer = (struct gr_viewer){ .decoder = -1, .transport = -1, .picture = picture, .host = "" };
	player->next = player->begin = player->end = 0;
	player->given = 0;
	player->at_rest = false;
	if (gr_io_pair(SOCK_STREAM, stream) || gr_io_pair(SOCK_SEQPACKET, window)) {
		gr_io_close(&stream[0]);
		gr_io_close(&stream[1]);
		return gr_error_errno(err, "cannot make sockets");
	}
	player->decoder_pid = fork();
	if (player->decoder_pid == 0)
		become_decoder(stream[0], window[0], player->picture, parent);
	gr_io_close(&stream[0]);
	gr_io_close(&window[0]);
	player->stream = stream[1];
	player->viewer.decoder = window[1];
	if (player->decoder_pid < 0)
		return gr_error_errno(err, "cannot start the decoder");
	return 0;
}

int gr_player_init(struct gr_player *player, const struct gr_recording_file *file, struct gr_recording_opened *opened,
		   struct gr_error *err)
{
	void *readable;

	memset(player, 0, sizeof *player);
	player->file = file;
	player->opened = opened;
	player->damaged = SIZE_MAX;
	player->stream = player->viewer.decoder = player->viewer.transport = -1;
	player->picture = memfd_create("garasu-picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (player->picture < 0 || ftruncate(player->picture, (off_t)GR_PICTURE_BYTES) < 0 ||
	    fcntl(player->picture, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ||
	    (readable = mmap(NULL, GR_PICTURE_BYTES, PROT_READ, MAP_SHARED, player->picture, 0)) == MAP_FAILED) {
		gr_error_errno(err, "no memory for the picture");
		gr_player_finish(player);
		return err->code;
	}
	player->viewer.picture = readable;
	player->positions = calloc(file->count + 1, sizeof *player->positions);
	if (!player->positions) {
		gr_player_finish(player);
		return gr_error_set(err, GR_ENOMEM, "no memory");
	}
	for (size_t i = 0; i < file->count; i++) {
		uint64_t mono = file->places[i].chunk.mono_us, start = file->header.mono_us;
		uint64_t at = mono > start ? mono - start : 0, before = i ? player->positions[i - 1] : 0;
		player->positions[i] = at > before ? at : before;
	}
	player->duration = file->count ? player->positions[file->count - 1] : 0;
	return 0;
}

void gr_player_finish(struct gr_player *player)
{
	end_decoder(player);
	gr_io_close(&player->picture);
	if (player->viewer.picture)
		munmap((void *)(uintptr_t)player->viewer.picture, GR_PICTURE_BYTES);
	free(player->positions);
	explicit_bzero(player->content, sizeof player->content);
	player->viewer.picture = NULL;
	player->positions = NULL;
}

/* The chunk that the picture of a position has last, + 1. */
static size_t chunks_until(const struct gr_player *player, uint64_t position)
{
	size_t low = 0, high = player->file->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (player->positions[middle] <= position)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t gr_player_wall(const struct gr_player *player, uint64_t position)
{
	size_t n = chunks_until(player, position);

	if (n == 0)
		return player->file->header.wall_us + position;
	return player->file->places[n - 1].chunk.wall_us + (position - player->positions[n - 1]);
}

/* Gives the decoder what it takes now of all chunks before `until`. 1: all of it is given; 0: it must take first. */
static int give(struct gr_player *player, size_t until, struct gr_error *err)
{
	for (;;) {
		if (player->begin == player->end) {
			if (player->next >= until)
				return 1;
			int rc = gr_recording_file_read(player->file, player->opened, player->next, player->content);
			if (rc) {
				player->damaged = player->next;
				return gr_error_set(err, rc, "chunk %zu is not what was recorded", player->next + 1);
			}
			player->begin = 0;
			player->end = player->file->places[player->next++].chunk.bytes;
			continue;
		}
		ssize_t n = send(player->stream, player->content + player->begin, player->end - player->begin,
				 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return 0; /* full; or it is gone, which reading from it will tell */
		player->begin += (size_t)n;
		player->given += (uint64_t)n;
	}
}

/* Asks to be told when all that was given is painted. */
static void ask(struct gr_player *player)
{
	struct gr_viewer_input input = { .type = GR_INPUT_SYNC, .sequence = player->syncs + 1, .bytes = player->given };

	if (gr_io_send(player->viewer.decoder, &input, GR_INPUT_BYTES(0), -1) != GR_EAGAIN)
		player->syncs++;
}

int gr_player_go(struct gr_player *player, uint64_t position, int budget_ms, struct gr_error *err)
{
	size_t until = chunks_until(player, position);
	uint64_t start_ms = gr_io_now_ms(), heard_ms = start_ms;
	uint32_t asked_for = 0; /* the sync that all this ends with; 0: not asked yet */
	int rc;

	player->position = position;
	if (until < player->next || !player->decoder_pid) {
		if ((rc = restart(player, err)))
			return rc;
	} else if (until == player->next && player->begin == player->end && player->at_rest) {
		return 1;
	}
	player->at_rest = false;
	for (;;) {
		uint64_t given = player->given;
		rc = give(player, until, err);
		if (rc < 0)
			return rc;
		if (rc && !asked_for) {
			uint32_t before = player->syncs;
			ask(player);
			asked_for = player->syncs != before ? player->syncs : 0;
		}
		gr_viewer_read_decoder(&player->viewer);
		if (player->viewer.state == GR_VIEWER_ENDED)
			return gr_error_set(err, GR_EPROTO, "the picture cannot be decoded any further: %s",
					    player->viewer.detail);
		uint64_t now_ms = gr_io_now_ms();
		if (asked_for && player->viewer.synced == asked_for) {
			player->at_rest = true;
			return 1;
		}
		if (player->given != given)
			heard_ms = now_ms;
		if (now_ms - heard_ms > HUNG_MS)
			return gr_error_set(err, GR_EIO, "the decoder hangs");
		if (budget_ms >= 0 && now_ms - start_ms >= (uint64_t)budget_ms)
			return 0;
		struct pollfd fds[] = {
			{ .fd = player->stream, .events = (short)(rc ? 0 : POLLOUT) },
			{ .fd = player->viewer.decoder,
			  .events = (short)(rc && !asked_for ? POLLIN | POLLOUT : POLLIN) },
		};
		poll(fds, 2, 20);
	}
}
