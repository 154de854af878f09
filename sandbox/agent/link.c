#include "sandbox/agent/link.h"
#include "common/error.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	RETRY_MS = 200,
	QUEUE_MAX = 64, /* records that the socket did not take */
	RECORDS_AT_ONCE = 64, /* before other descriptors have their turn */
};

struct gr_link {
	struct gr_loop *loop;
	const char *path;
	struct gr_link_owner owner;
	struct gr_loop_timer *retry;
	int sock; /* -1: none */
	struct gr_loop_watch *watch;
	bool paused;
	uint8_t *memory; /* NULL: no HELLO yet */
	size_t size;
	uint16_t max_width, max_height;
	bool wanted, whole;
	size_t first, count;
	union gr_record queue[QUEUE_MAX];
};

static void watch_what_matters(struct gr_link *link)
{
	gr_loop_change(link->watch, (link->paused ? 0u : GR_LOOP_READ) | (link->count ? GR_LOOP_WRITE : 0u));
}

static void disconnect(struct gr_link *link)
{
	if (link->sock < 0)
		return;
	gr_loop_remove(link->watch);
	link->watch = NULL;
	gr_io_close(&link->sock);
	bool had = link->memory != NULL;
	if (had)
		munmap(link->memory, link->size);
	link->memory = NULL;
	link->wanted = link->whole = link->paused = false;
	link->count = 0;
	if (had)
		link->owner.lost(link->owner.context);
	gr_loop_timer_set(link->retry, RETRY_MS);
}

static int take_hello(struct gr_link *link, const struct gr_record_hello *hello, int fd)
{
	if (link->memory || fd < 0)
		return GR_EPROTO;
	if (hello->version != GR_RECORD_VERSION || hello->max_width < GR_SCREEN_MIN ||
	    hello->max_height < GR_SCREEN_MIN || hello->max_width > GR_SCREEN_MAX || hello->max_height > GR_SCREEN_MAX)
		return GR_EPROTO;
	/* A file that can shrink would turn a write into SIGBUS. gVisor does not tell the seals of a file from outside. */
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
	int has = fcntl(fd, F_GET_SEALS);
	if (has < 0 && errno == EINVAL)
		has = seals;
	struct stat status;
	size_t size = gr_record_memory(hello->max_width, hello->max_height);
	if (has < 0 || (has & seals) != seals || fstat(fd, &status) < 0 || status.st_size != (off_t)size)
		return GR_EPROTO;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return GR_EIO;
	link->memory = memory;
	link->size = size;
	link->max_width = hello->max_width;
	link->max_height = hello->max_height;
	link->owner.hello(link->owner.context, hello);
	return 0;
}

static int take(struct gr_link *link, const union gr_record *record, size_t size, int fd)
{
	if (size < sizeof(record->type) || size != gr_record_size(record->type))
		return GR_EPROTO;
	if (record->type == GR_RECORD_HELLO)
		return take_hello(link, &record->hello, fd);
	if (fd >= 0 || !link->memory)
		return GR_EPROTO;
	switch (record->type) {
	case GR_RECORD_WANT_FRAME:
		if (link->wanted || record->want_frame.whole > 1)
			return GR_EPROTO;
		link->wanted = true;
		link->whole = record->want_frame.whole;
		return 0;
	case GR_RECORD_RESIZE:
		if (record->resize.width > link->max_width || record->resize.height > link->max_height)
			return GR_EPROTO;
		return link->owner.record(link->owner.context, record);
	case GR_RECORD_KEY:
	case GR_RECORD_POINTER:
	case GR_RECORD_PRINT:
	case GR_RECORD_SET_CLIPBOARD:
	case GR_RECORD_TEXT: return link->owner.record(link->owner.context, record);
	default: return GR_EPROTO;
	}
}

static int flush_queue(struct gr_link *link)
{
	while (link->count > 0) {
		const union gr_record *record = &link->queue[link->first];
		int code = gr_io_send(link->sock, record, gr_record_size(record->type), -1);
		if (code < 0)
			return code == GR_EAGAIN ? 0 : code;
		link->first = (link->first + 1) % QUEUE_MAX;
		link->count--;
	}
	return 0;
}

static void ready(void *context, int fd, unsigned events)
{
	struct gr_link *link = context;
	int code = events & GR_LOOP_WRITE ? flush_queue(link) : 0;
	for (int i = 0; !code && i < RECORDS_AT_ONCE && (events & GR_LOOP_READ); i++) {
		if (link->owner.is_full(link->owner.context)) {
			link->paused = true;
			break;
		}
		union gr_record record;
		size_t size = 0;
		int came = -1;
		code = gr_io_receive(fd, &record, sizeof(record), &size, &came);
		if (code == GR_EAGAIN) {
			code = 0;
			break;
		}
		if (!code)
			code = take(link, &record, size, came);
		gr_io_close(&came);
		if (link->sock != fd) /* a send failed meanwhile */
			return;
	}
	if (code < 0) {
		if (code != GR_ECLOSED)
			gr_log_warning("the broker's connection ends: %s", gr_status_text(code));
		disconnect(link);
		return;
	}
	watch_what_matters(link);
	link->owner.served(link->owner.context);
}

static void connect_now(void *context)
{
	struct gr_link *link = context;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(link->path) >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, link->path, strlen(link->path) + 1);
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sock >= 0 && connect(sock, (struct sockaddr *)&address, sizeof(address)) == 0)
		link->watch = gr_loop_add(link->loop, sock, GR_LOOP_READ, ready, link);
	if (!link->watch) {
		gr_io_close(&sock);
		gr_loop_timer_set(link->retry, RETRY_MS);
		return;
	}
	link->sock = sock;
}

struct gr_link *gr_link_create(struct gr_loop *loop, const char *path, const struct gr_link_owner *owner)
{
	struct gr_link *link = calloc(1, sizeof(*link));
	if (!link)
		return NULL;
	link->loop = loop;
	link->path = path;
	link->owner = *owner;
	link->sock = -1;
	link->retry = gr_loop_timer_add(loop, connect_now, link);
	if (!link->retry) {
		free(link);
		return NULL;
	}
	return link;
}

void gr_link_destroy(struct gr_link *link)
{
	if (!link)
		return;
	gr_loop_remove(link->watch);
	gr_loop_timer_remove(link->retry);
	gr_io_close(&link->sock);
	if (link->memory)
		munmap(link->memory, link->size);
	free(link);
}

void gr_link_start(struct gr_link *link)
{
	if (link->sock < 0)
		connect_now(link);
}

void gr_link_resume(struct gr_link *link)
{
	if (link->sock < 0 || !link->paused)
		return;
	link->paused = false;
	watch_what_matters(link);
}

uint8_t *gr_link_pixels(struct gr_link *link, size_t *stride_out)
{
	*stride_out = (size_t)link->max_width * 4;
	return link->memory;
}

uint8_t *gr_link_cursor(struct gr_link *link)
{
	return link->memory ? link->memory + (size_t)link->max_width * link->max_height * 4 : NULL;
}

bool gr_link_is_wanted(const struct gr_link *link, bool *whole_out)
{
	*whole_out = link->whole;
	return link->wanted;
}

bool gr_link_is_congested(const struct gr_link *link)
{
	return link->count > 0;
}

void gr_link_send(struct gr_link *link, const union gr_record *record)
{
	if (!link->memory)
		return;
	if (record->type == GR_RECORD_FRAME)
		link->wanted = link->whole = false;
	int code = GR_EAGAIN;
	if (link->count == 0)
		code = gr_io_send(link->sock, record, gr_record_size(record->type), -1);
	if (code == GR_EAGAIN && link->count < QUEUE_MAX) {
		link->queue[(link->first + link->count++) % QUEUE_MAX] = *record;
		watch_what_matters(link);
	} else if (code < 0) {
		if (code == GR_EAGAIN)
			gr_log_warning("the broker does not read: its connection ends");
		disconnect(link);
	}
}
