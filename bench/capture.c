#include "bench/capture.h"
#include "bench/trace.h"
#include "common/io.h"

#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
#include <xcb/damage.h>
#include <xcb/shm.h>
#include <xcb/xcb.h>
#include <xcb/xfixes.h>

enum { ALL_PLANES = -1 };

struct capture {
	const struct gr_capture_options *options;
	xcb_connection_t *x;
	xcb_window_t root;
	uint8_t damage_event;
	uint16_t w, h;
	uint8_t *pixels; /* shared with the X server */
	size_t size;
	xcb_shm_seg_t segment;
	/* Reported since the last record, each once. */
	struct gr_rect *damage; /* GR_TRACE_RECTS_MAX */
	size_t damage_count;
	int overflow; /* there were more: all of the screen counts as damaged */
	struct gr_trace_writer *writer;
	uint32_t frames;
	int stop; /* signalfd */
};

static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static int open_display(struct capture *c, struct gr_error *err)
{
	int number = 0;
	c->x = xcb_connect(c->options->display, &number);
	if (xcb_connection_has_error(c->x))
		return gr_error_set(err, GR_EIO, "display %s: no connection", c->options->display);
	xcb_screen_iterator_t screens = xcb_setup_roots_iterator(xcb_get_setup(c->x));
	for (; number > 0 && screens.rem > 1; number--)
		xcb_screen_next(&screens);
	c->root = screens.data->root;
	c->w = screens.data->width_in_pixels;
	c->h = screens.data->height_in_pixels;
	if (screens.data->root_depth != 24)
		return gr_error_set(err, GR_EIO, "display %s: its depth is %u: only 24 can be recorded",
				    c->options->display, screens.data->root_depth);
	const xcb_query_extension_reply_t *damage = xcb_get_extension_data(c->x, &xcb_damage_id);
	const xcb_query_extension_reply_t *shm = xcb_get_extension_data(c->x, &xcb_shm_id);
	if (!damage || !damage->present || !shm || !shm->present)
		return gr_error_set(err, GR_EIO, "display %s: it lacks DAMAGE or MIT-SHM", c->options->display);
	c->damage_event = damage->first_event;
	/* Extensions with a version of their own must be asked before they are used. */
	free(xcb_damage_query_version_reply(c->x, xcb_damage_query_version(c->x, 1, 1), NULL));
	free(xcb_shm_query_version_reply(c->x, xcb_shm_query_version(c->x), NULL));
	return 0;
}

static int share_memory(struct capture *c, struct gr_error *err)
{
	c->size = (size_t)c->w * c->h * 4;
	int fd = memfd_create("garasu-bench-screen", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)c->size) < 0) {
		gr_error_errno(err, "shared memory of %zu bytes", c->size);
		gr_io_close(&fd);
		return GR_EIO;
	}
	void *memory = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		gr_error_errno(err, "mmap of %zu bytes", c->size);
		close(fd);
		return GR_EIO;
	}
	c->pixels = memory;
	c->segment = xcb_generate_id(c->x);
	/* Takes fd. */
	xcb_generic_error_t *refused = xcb_request_check(c->x, xcb_shm_attach_fd_checked(c->x, c->segment, fd, 0));
	if (refused) {
		free(refused);
		return gr_error_set(err, GR_EIO,
				    "display %s: it does not take shared memory (is it another machine's?)",
				    c->options->display);
	}
	return 0;
}

static void add_damage(struct capture *c, const xcb_rectangle_t *area)
{
	int x = area->x < 0 ? 0 : area->x, y = area->y < 0 ? 0 : area->y;
	int right = area->x + area->width, bottom = area->y + area->height;
	right = right > c->w ? c->w : right;
	bottom = bottom > c->h ? c->h : bottom;
	if (x >= right || y >= bottom)
		return;
	const struct gr_rect rect = { (uint16_t)x, (uint16_t)y, (uint16_t)(right - x), (uint16_t)(bottom - y) };
	for (size_t i = 0; i < c->damage_count; i++)
		if (memcmp(&c->damage[i], &rect, sizeof(rect)) == 0)
			return;
	if (c->damage_count == GR_TRACE_RECTS_MAX)
		c->overflow = 1;
	else
		c->damage[c->damage_count++] = rect;
}

static int read_events(struct capture *c)
{
	for (xcb_generic_event_t *event; (event = xcb_poll_for_event(c->x)); free(event))
		if ((event->response_type & 0x7f) == c->damage_event + XCB_DAMAGE_NOTIFY)
			add_damage(c, &((const xcb_damage_notify_event_t *)event)->area);
	return xcb_connection_has_error(c->x) ? GR_ECLOSED : 0;
}

static int record_frame(struct capture *c, struct gr_error *err)
{
	/* Damage is reported for as long as none is taken; what comes from here on belongs to the next record. */
	xcb_shm_get_image_cookie_t cookie = xcb_shm_get_image(c->x, c->root, 0, 0, c->w, c->h, (uint32_t)ALL_PLANES,
							      XCB_IMAGE_FORMAT_Z_PIXMAP, c->segment, 0);
	xcb_shm_get_image_reply_t *reply = xcb_shm_get_image_reply(c->x, cookie, NULL);
	if (!reply)
		return gr_error_set(err, GR_ECLOSED, "display %s: its screen cannot be read any more",
				    c->options->display);
	free(reply);
	const struct gr_rect screen = { 0, 0, c->w, c->h };
	int code = gr_trace_write(c->writer, GR_TRACE_INTERLEAVED, now_us(), c->overflow ? &screen : c->damage,
				  c->overflow ? 1 : c->damage_count, c->pixels, (size_t)c->w * 4, err);
	c->damage_count = 0;
	c->overflow = 0;
	c->frames++;
	return code;
}

static char *describe(const struct capture *c)
{
	char when[32] = "";
	time_t now = time(NULL);
	struct tm utc;
	if (gmtime_r(&now, &utc))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &utc);
	json_t *json = json_pack("{s:s, s:s, s:s}", "recorded_by", "garasu-bench " GARASU_VERSION, "display",
				 c->options->display, "recorded_at", when);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	return text;
}

/* Until it is to stop, has failed, or the X server has gone. */
static int record(struct capture *c, struct gr_error *err)
{
	int code = record_frame(c, err); /* whatever is there, damaged or not */
	uint64_t began = now_us(), looked = began, interval = (uint64_t)c->options->interval_ms * 1000;
	uint64_t end = c->options->seconds ? began + (uint64_t)c->options->seconds * 1000000u : UINT64_MAX;
	while (!code) {
		if (read_events(c))
			return gr_error_set(err, GR_ECLOSED, "display %s: the X server went away", c->options->display);
		uint64_t now = now_us();
		if (now >= end)
			return 0;
		int damaged = c->damage_count || c->overflow;
		if (damaged && now >= looked + interval) {
			looked = now;
			code = record_frame(c, err);
			continue;
		}
		uint64_t until = damaged ? looked + interval : end, wait_us = until - now;
		if (until > end)
			wait_us = end - now;
		struct timespec timeout = { (time_t)(wait_us / 1000000u), (long)(wait_us % 1000000u * 1000u) };
		struct pollfd polled[2] = { { c->stop, POLLIN, 0 }, { xcb_get_file_descriptor(c->x), POLLIN, 0 } };
		if (damaged)
			polled[1].fd = -1; /* what comes meanwhile is read when the interval is over */
		xcb_flush(c->x);
		ppoll(polled, 2, until == UINT64_MAX ? NULL : &timeout, NULL);
		if (polled[0].revents)
			return 0;
	}
	return code;
}

static int watch_signals(struct capture *c, struct gr_error *err)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || (c->stop = signalfd(-1, &set, SFD_CLOEXEC)) < 0)
		return gr_error_errno(err, "signalfd");
	return 0;
}

static void close_capture(struct capture *c)
{
	if (c->x)
		xcb_disconnect(c->x);
	if (c->pixels)
		munmap(c->pixels, c->size);
	free(c->damage);
	gr_io_close(&c->stop);
}

int gr_capture(const struct gr_capture_options *options, struct gr_captured *out, struct gr_error *err)
{
	struct capture c = { .options = options, .stop = -1 };
	c.damage = calloc(GR_TRACE_RECTS_MAX, sizeof(*c.damage));
	int code = c.damage ? 0 : gr_error_set(err, GR_ENOMEM, "out of memory");
	if (!code)
		code = watch_signals(&c, err);
	if (!code)
		code = open_display(&c, err);
	if (!code)
		code = share_memory(&c, err);
	if (!code) {
		char *json = describe(&c);
		code = json ? gr_trace_create(options->path, c.w, c.h, json, &c.writer, err)
			    : gr_error_set(err, GR_ENOMEM, "out of memory");
		if (code)
			gr_error_wrap(err, "%s", options->path);
		free(json);
	}
	if (code) {
		close_capture(&c);
		return code;
	}
	xcb_damage_create(c.x, xcb_generate_id(c.x), c.root, XCB_DAMAGE_REPORT_LEVEL_RAW_RECTANGLES);
	uint64_t began = now_us();
	code = record(&c, err);
	uint64_t ended = now_us();
	if (code && code != GR_ECLOSED) {
		gr_trace_abandon(c.writer);
	} else {
		struct gr_error finishing;
		int finished = gr_trace_finish(c.writer, ended, &finishing);
		if (finished && !code) {
			code = finished;
			*err = finishing;
			gr_error_wrap(err, "%s", options->path);
		}
	}
	*out = (struct gr_captured){ c.w, c.h, c.frames, (double)(ended - began) / 1e6 };
	close_capture(&c);
	return code;
}
