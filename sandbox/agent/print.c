#include "sandbox/agent/print.h"
#include "common/io.h"
#include "common/log.h"
#include "sandbox/agent/print_info.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	OFFER_MS = 10 * 60 * 1000, /* nobody has accepted */
	PIECE_MS = 2 * 60 * 1000, /* a piece is drawn and nobody fetches it, or the one shown is not taken */
	COUNT_MS = 30000, /* for pdfinfo, on a machine that has other things to do */
	PAGE_MS = 60000, /* for pdftoppm and one page */
	PAUSE_MS =
		1000, /* between two documents: a page that prints in a loop does not keep the person busy all the time */
	CHILD_SECONDS = 60, /* of CPU */
	CHILD_MEMORY = 1 << 30,
	DOCUMENT_MAX = 64 << 20, /* bytes */
	INFO_MAX = 256 << 10, /* bytes of pdfinfo's output: two lines a page */
	HEADER_MAX = 64, /* bytes of a PPM's header */
};

/* A program whose output is read. */
struct child {
	pid_t pid; /* 0: none, or it has ended */
	int fd; /* -1: all is read */
	struct gr_loop_watch *watch;
};

/* A page that is drawn, or being drawn. */
struct page {
	struct child child;
	unsigned number; /* 1..; 0: none */
	uint16_t w, h;
	char header[HEADER_MAX];
	size_t headed; /* bytes of header */
	uint8_t *pixels; /* w * h of R, G, B; NULL while the header is not read */
	size_t size, filled;
	struct gr_print *print;
};

enum state { NOTHING, COUNTING, OFFERED, SHOWING };

struct gr_print {
	struct gr_loop *loop;
	const char *folder;
	char document_path[PATH_MAX]; /* beside the folder: what is worked on */
	struct gr_print_owner owner;
	int inotify;
	struct gr_loop_watch *watch;
	struct gr_loop_timer *deadline;
	uint64_t ended_ms; /* the last document's end; 0: none yet */
	unsigned pages_max, dpi; /* 0: printing is not permitted */
	enum state state;
	uint32_t document; /* the number of the last one offered */
	struct child count;
	char *text; /* pdfinfo's */
	size_t length;
	struct gr_print_info info;
	unsigned pages; /* offered */
	unsigned last; /* to be shown */
	struct page pages_drawn[2], *now, *next;
	bool shown; /* a piece is, and was not taken */
	uint16_t x, y, piece_w, piece_h; /* of the present piece */
};

/* ---- children ---- */

static void end_child(struct child *child)
{
	gr_loop_remove(child->watch);
	child->watch = NULL;
	gr_io_close(&child->fd);
	if (child->pid)
		kill(child->pid, SIGKILL); /* collected by SIGCHLD's handler, as ever */
	child->pid = 0;
}

static void limit(__rlimit_resource_t resource, rlim_t value)
{
	const struct rlimit limits = { value, value };
	setrlimit(resource, &limits);
}

/* The document is made by the internet side: what reads it has nothing but its output. */
static int start_child(struct gr_print *p, struct child *child, const char *const *argv, gr_loop_ready ready,
		       void *context)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return GR_EIO;
	fcntl(ends[0], F_SETPIPE_SZ, 1 << 20); /* fewer turns; what it is by default does too */
	pid_t pid = fork();
	if (pid == 0) {
		static const char *const environment[] = { "LC_ALL=C", "PATH=/usr/bin", NULL };
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		int null = open("/dev/null", O_RDWR);
		dup2(null, STDIN_FILENO);
		dup2(null, STDERR_FILENO);
		dup2(ends[1], STDOUT_FILENO);
		fcntl(STDOUT_FILENO, F_SETFL, 0); /* it expects to be made to wait */
		limit(RLIMIT_CPU, CHILD_SECONDS);
		limit(RLIMIT_AS, CHILD_MEMORY);
		limit(RLIMIT_FSIZE, 0);
		execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)environment);
		_exit(127);
	}
	close(ends[1]);
	child->pid = pid > 0 ? pid : 0;
	child->fd = ends[0];
	child->watch = pid > 0 ? gr_loop_add(p->loop, ends[0], GR_LOOP_READ, ready, context) : NULL;
	if (child->watch)
		return 0;
	end_child(child);
	return GR_EIO;
}

void gr_print_reaped(struct gr_print *p, pid_t pid)
{
	enum { CHILDREN = 3 };
	struct child *const children[CHILDREN] = { &p->count, &p->pages_drawn[0].child, &p->pages_drawn[1].child };
	for (size_t i = 0; i < CHILDREN; i++)
		if (children[i]->pid == pid)
			children[i]->pid = 0; /* its output is read to the end */
}

/* ---- a document's end ---- */

static void drop_page(struct page *page)
{
	end_child(&page->child);
	free(page->pixels);
	page->pixels = NULL;
	page->number = 0;
	page->headed = page->size = page->filled = 0;
}

/* Everything of it goes; with say the broker is told of one that it knows. */
static void end_document(struct gr_print *p, enum gr_page_end how, bool say)
{
	enum state state = p->state;
	unsigned whole = state == SHOWING && p->now->number ? p->now->number - 1 : 0;
	if (state == NOTHING)
		return;
	if (how == GR_PAGE_DONE)
		whole = p->last;
	end_child(&p->count);
	free(p->text);
	p->text = NULL;
	drop_page(p->now);
	drop_page(p->next);
	unlink(p->document_path);
	gr_loop_timer_set(p->deadline, -1);
	p->state = NOTHING;
	p->ended_ms = gr_io_now_ms();
	if (say && state >= OFFERED) {
		const struct gr_record_page end = { .type = GR_RECORD_PAGE,
						    .state = GR_PAGE_END,
						    .document = p->document,
						    .page = (uint16_t)whole,
						    .x = (uint16_t)how };
		p->owner.say(p->owner.context, &end);
	}
	if (state == SHOWING)
		p->owner.changed(p->owner.context);
}

static void too_late(void *context)
{
	struct gr_print *p = context;
	end_document(p, p->state == OFFERED ? GR_PAGE_CANCELLED : GR_PAGE_FAILED, true);
}

/* ---- pages ---- */

static void draw(struct gr_print *p, struct page *page, unsigned number);

static int read_header(struct page *page)
{
	unsigned w, h;
	int n = 0;
	/* "P6\nW H\n255\n", as pdftoppm writes it. */
	if (page->headed < 3 || memcmp(page->header, "P6\n", 3) != 0)
		return page->headed < 3 ? 0 : GR_EINVAL;
	if (sscanf(page->header + 3, "%5u %5u\n255%n", &w, &h, &n) != 2 || !n || page->header[3 + n] != '\n')
		return page->headed < HEADER_MAX - 1 ? 0 : GR_EINVAL;
	if (!w || !h || w > GR_PRINT_SIDE_MAX || h > GR_PRINT_SIDE_MAX || (size_t)w * h > GR_PRINT_PIXELS_MAX)
		return GR_EINVAL;
	size_t used = 3 + (size_t)n + 1, left = page->headed - used;
	page->size = (size_t)w * h * 3;
	page->pixels = malloc(page->size);
	if (!page->pixels || left > page->size)
		return GR_EINVAL;
	memcpy(page->pixels, page->header + used, left);
	page->filled = left;
	page->w = (uint16_t)w;
	page->h = (uint16_t)h;
	return 0;
}

static bool is_drawn(const struct page *page)
{
	return page->pixels && page->filled == page->size;
}

static void begin_page(struct gr_print *p)
{
	p->x = p->y = 0;
	p->shown = false;
}

/* The present page is there: the next one may be drawn meanwhile. */
static void prepare_next(struct gr_print *p)
{
	if (p->now->number < p->last && !p->next->number)
		draw(p, p->next, p->now->number + 1);
}

static void page_ready(void *context, int fd, unsigned events)
{
	struct page *page = context;
	struct gr_print *p = page->print;
	ssize_t n;
	(void)events;
	if (page->pixels) {
		n = read(fd, page->pixels + page->filled, page->size - page->filled);
		if (n > 0)
			page->filled += (size_t)n;
	} else {
		n = read(fd, page->header + page->headed, HEADER_MAX - 1 - page->headed);
		if (n > 0) {
			page->headed += (size_t)n;
			page->header[page->headed] = '\0';
			if (read_header(page))
				n = 0;
		}
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (is_drawn(page)) {
		end_child(&page->child);
		if (page == p->now) {
			gr_loop_timer_set(p->deadline, PIECE_MS);
			prepare_next(p);
			p->owner.changed(p->owner.context);
		}
	} else if (n <= 0) {
		gr_log_warning("page %u of what was printed cannot be drawn", page->number);
		end_document(p, GR_PAGE_FAILED, true);
	}
}

static void draw(struct gr_print *p, struct page *page, unsigned number)
{
	char first[16], resolution[32];
	uint16_t w, h;
	drop_page(page);
	page->number = number;
	snprintf(first, sizeof(first), "%u", number);
	snprintf(resolution, sizeof(resolution), "%.4f", gr_print_info_scale(&p->info, number - 1, p->dpi, &w, &h));
	const char *const argv[] = { "/usr/bin/pdftoppm", "-q", "-f", first, "-l", first, "-r", resolution,
				     p->document_path,    NULL };
	if (start_child(p, &page->child, argv, page_ready, page))
		end_document(p, GR_PAGE_FAILED, true);
}

/* ---- a document's beginning ---- */

static void offer(struct gr_print *p)
{
	struct gr_record_page record = {
		.type = GR_RECORD_PAGE, .state = GR_PAGE_OFFER, .document = ++p->document, .y = (uint16_t)p->dpi
	};
	p->pages = p->info.described < p->pages_max ? p->info.described : p->pages_max;
	record.pages = (uint16_t)p->pages;
	record.x = p->info.pages > p->pages;
	gr_print_info_scale(&p->info, 0, p->dpi, &record.width, &record.height);
	p->state = OFFERED;
	gr_loop_timer_set(p->deadline, OFFER_MS);
	p->owner.say(p->owner.context, &record);
}

static void count_ready(void *context, int fd, unsigned events)
{
	struct gr_print *p = context;
	(void)events;
	ssize_t n = read(fd, p->text + p->length, INFO_MAX - 1 - p->length);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		p->length += (size_t)n;
		return;
	}
	p->text[p->length] = '\0';
	end_child(&p->count);
	int code = gr_print_info_read(p->text, &p->info);
	free(p->text);
	p->text = NULL;
	if (code) {
		gr_log_warning("what the browser has printed is no document");
		end_document(p, GR_PAGE_FAILED, true);
		return;
	}
	offer(p);
}

static void count(struct gr_print *p)
{
	char last[16];
	snprintf(last, sizeof(last), "%u", p->pages_max);
	const char *const argv[] = { "/usr/bin/pdfinfo", "-f", "1", "-l", last, p->document_path, NULL };
	p->state = COUNTING;
	p->length = 0;
	p->text = malloc(INFO_MAX);
	if (!p->text || start_child(p, &p->count, argv, count_ready, p)) {
		end_document(p, GR_PAGE_FAILED, true);
		return;
	}
	gr_loop_timer_set(p->deadline, COUNT_MS);
}

static void came(struct gr_print *p, const char *name)
{
	char path[PATH_MAX];
	struct stat status;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", p->folder, name) >= sizeof(path))
		return;
	bool wanted = p->pages_max && p->state == NOTHING &&
		      (!p->ended_ms || gr_io_now_ms() - p->ended_ms >= PAUSE_MS) && lstat(path, &status) == 0 &&
		      S_ISREG(status.st_mode) && status.st_size > 0 && status.st_size <= DOCUMENT_MAX;
	if (wanted && rename(path, p->document_path) == 0)
		count(p);
	else
		unlink(path);
}

/* More has happened than the system kept: what is there is thrown away. */
static void sweep(struct gr_print *p)
{
	DIR *folder = opendir(p->folder);
	const struct dirent *entry;
	while (folder && (entry = readdir(folder)))
		unlinkat(dirfd(folder), entry->d_name, 0);
	if (folder)
		closedir(folder);
}

static void folder_ready(void *context, int fd, unsigned events)
{
	struct gr_print *p = context;
	_Alignas(struct inotify_event) char buffer[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
	(void)events;
	ssize_t n = read(fd, buffer, sizeof(buffer));
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *event = (const void *)(buffer + at);
		if (event->mask & IN_Q_OVERFLOW)
			sweep(p);
		else if (event->len)
			came(p, event->name);
		at += (ssize_t)(sizeof(*event) + event->len);
	}
}

/* ---- what the broker says ---- */

int gr_print_hello(struct gr_print *p, const struct gr_record_hello *untrusted)
{
	p->pages_max = p->dpi = 0;
	if (!(untrusted->flags & GR_HELLO_PRINTING))
		return 0;
	if (!untrusted->print_pages || untrusted->print_pages > GR_PRINT_PAGES_MAX ||
	    untrusted->print_dpi < GR_PRINT_DPI_MIN || untrusted->print_dpi > GR_PRINT_DPI_MAX)
		return GR_EPROTO;
	p->pages_max = untrusted->print_pages;
	p->dpi = untrusted->print_dpi;
	return 0;
}

void gr_print_lost(struct gr_print *p)
{
	p->pages_max = 0;
	end_document(p, GR_PAGE_CANCELLED, false);
}

static void taken(struct gr_print *p)
{
	p->shown = false;
	if (p->x + p->piece_w < p->now->w) {
		p->x = (uint16_t)(p->x + p->piece_w);
	} else if (p->y + p->piece_h < p->now->h) {
		p->x = 0;
		p->y = (uint16_t)(p->y + p->piece_h);
	} else if (p->now->number == p->last) {
		end_document(p, GR_PAGE_DONE, true);
		return;
	} else {
		struct page *done = p->now;
		p->now = p->next;
		p->next = done;
		drop_page(done);
		begin_page(p);
		if (is_drawn(p->now))
			prepare_next(p);
	}
	if (p->state == SHOWING)
		gr_loop_timer_set(p->deadline, is_drawn(p->now) ? PIECE_MS : PAGE_MS);
}

int gr_print_take(struct gr_print *p, const struct gr_record_print *untrusted)
{
	if (untrusted->action < GR_PRINT_START || untrusted->action > GR_PRINT_CANCEL)
		return GR_EPROTO;
	if (untrusted->action == GR_PRINT_START) {
		if (p->pages_max && p->state == NOTHING)
			p->owner.start(p->owner.context);
		return 0;
	}
	if (untrusted->document != p->document || p->state < OFFERED)
		return 0;
	switch (untrusted->action) {
	case GR_PRINT_ACCEPT:
		if (!untrusted->first || untrusted->first > untrusted->last || untrusted->last > p->pages)
			return GR_EPROTO;
		if (p->state != OFFERED)
			return 0;
		p->state = SHOWING;
		p->last = untrusted->last;
		begin_page(p);
		gr_loop_timer_set(p->deadline, PAGE_MS);
		draw(p, p->now, untrusted->first);
		if (p->state == SHOWING)
			p->owner.changed(p->owner.context);
		return 0;
	case GR_PRINT_TAKEN:
		if (p->state == SHOWING && p->shown && untrusted->first == p->now->number)
			taken(p);
		return 0;
	default: end_document(p, GR_PAGE_CANCELLED, true); return 0;
	}
}

/* ---- what is shown ---- */

bool gr_print_is_shown(const struct gr_print *p)
{
	return p->state == SHOWING;
}

bool gr_print_piece(struct gr_print *p, uint8_t *pixels, size_t stride, uint16_t w, uint16_t h,
		    struct gr_record_page *page_out, struct gr_rect *rect_out)
{
	const struct page *page = p->now;
	if (p->state != SHOWING || p->shown || !is_drawn(page))
		return false;
	size_t pw = page->w - p->x < w ? (size_t)(page->w - p->x) : w,
	       ph = page->h - p->y < h ? (size_t)(page->h - p->y) : h;
	for (size_t y = 0; y < ph; y++) {
		const uint8_t *from = page->pixels + ((p->y + y) * page->w + p->x) * 3;
		uint8_t *to = pixels + y * stride;
		for (size_t x = 0; x < pw; x++, from += 3, to += 4) {
			to[0] = from[2];
			to[1] = from[1];
			to[2] = from[0];
			to[3] = 0;
		}
	}
	p->shown = true;
	p->piece_w = w;
	p->piece_h = h;
	gr_loop_timer_set(p->deadline, PIECE_MS);
	*rect_out = (struct gr_rect){ 0, 0, (uint16_t)pw, (uint16_t)ph };
	*page_out = (struct gr_record_page){ .type = GR_RECORD_PAGE,
					     .state = GR_PAGE_PIECE,
					     .document = p->document,
					     .page = (uint16_t)page->number,
					     .pages = (uint16_t)p->pages,
					     .width = page->w,
					     .height = page->h,
					     .x = p->x,
					     .y = p->y };
	return true;
}

void gr_print_resized(struct gr_print *p)
{
	if (p->state == SHOWING)
		begin_page(p);
}

struct gr_print *gr_print_create(struct gr_loop *loop, const char *folder, const struct gr_print_owner *owner,
				 struct gr_error *err)
{
	struct gr_print *p = calloc(1, sizeof(*p));
	if (!p) {
		gr_error_set(err, GR_ENOMEM, "out of memory");
		return NULL;
	}
	p->loop = loop;
	p->folder = folder;
	p->owner = *owner;
	p->count.fd = -1;
	p->now = &p->pages_drawn[0];
	p->next = &p->pages_drawn[1];
	for (size_t i = 0; i < 2; i++) {
		p->pages_drawn[i].child.fd = -1;
		p->pages_drawn[i].print = p;
	}
	snprintf(p->document_path, sizeof(p->document_path), "%s.pdf", folder);
	p->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (p->inotify >= 0 && inotify_add_watch(p->inotify, folder, IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR) >= 0)
		p->watch = gr_loop_add(loop, p->inotify, GR_LOOP_READ, folder_ready, p);
	p->deadline = gr_loop_timer_add(loop, too_late, p);
	if (!p->watch || !p->deadline) {
		gr_error_errno(err, "%s cannot be watched", folder);
		gr_print_destroy(p);
		return NULL;
	}
	return p;
}

void gr_print_destroy(struct gr_print *p)
{
	if (!p)
		return;
	end_child(&p->count);
	drop_page(p->now);
	drop_page(p->next);
	free(p->text);
	gr_loop_remove(p->watch);
	gr_loop_timer_remove(p->deadline);
	gr_io_close(&p->inotify);
	free(p);
}
