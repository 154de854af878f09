/*
 * What the tests of garasu-session share: the supervisor and the container's agent that they play, libvncclient as a viewer
 * that nobody here wrote, and a viewer by hand where the bytes themselves matter. Whatever is not as it must be fails the test.
 */
#ifndef GARASU_TESTS_SESSION_PARTS_H
#define GARASU_TESTS_SESSION_PARTS_H

#include "broker/ipc/ipc.h"
#include "common/record.h"

#include <rfb/rfbclient.h>

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MAX_W 1920
#define MAX_H 1080
#define STRIDE (MAX_W * 4u)
#define WAIT_MS 5000

extern const char *program; /* garasu-session */
extern uint64_t clipboard_limit; /* bytes of one text, either way, that ATTACH permits from now on */
extern const char *preloaded; /* a library that it is started with; NULL = none */

struct rig {
	char folder[64];
	pid_t pid;
	int control, agent;
	uint8_t *memory;
	int memory_fd;
	uint16_t w, h; /* of the screen that the agent plays */
	struct gr_record_hello hello;
	unsigned activities; /* ACTIVITY messages that were passed over */
};

/* ---- the supervisor and the agent ---- */

double now_us(void);
int readable(int fd, int ms);
uint32_t random_below(uint32_t n);
void order(struct rig *r, uint32_t type, uint32_t reason, uint32_t connection, int fd);
struct gr_ipc_message heard(struct rig *r, uint32_t type);
/* Whether the process says something to the supervisor, but ACTIVITY, within ms. */
int speaks(struct rig *r, int ms);
void silent(struct rig *r);
void start_process(struct rig *r);
void clean(struct rig *r);
int ended(struct rig *r, double *ms);
void finish(struct rig *r);
union gr_record agent_hears(struct rig *r, uint32_t type);
void agent_says(struct rig *r, const void *record, size_t size);
void agent_connects(struct rig *r);
void frame(struct rig *r, struct gr_rect rect);
void whole_frame(struct rig *r);
void draw(struct rig *r, struct gr_rect rect);
void start_painted(struct rig *r);

/* ---- a viewer that nobody here wrote ---- */

struct cursor {
	int w, h, x, y;
	uint32_t pixels[64 * 64];
	uint8_t mask[64 * 64];
};
extern struct cursor cursor; /* the last one that came */

rfbClient *libvncclient_attach(struct rig *r, uint32_t connection, const char *encodings);
int wait_message(rfbClient *c, unsigned ms);
void libvncclient_handle(rfbClient *c, int ms);
void libvncclient_close(rfbClient *c);
void pictures_are_equal(struct rig *r, rfbClient *c);
uint32_t want_with(struct rig *r, rfbClient *c);

/* ---- a viewer by hand ---- */

/* A viewer behind a slow link: takes so many bytes a second, while the rest of the test goes on. 0: all there is. */
extern double link_bandwidth;
extern void (*link_meanwhile)(void);

struct fence {
	uint32_t flags;
	uint8_t length, payload[64];
};

void expect(int fd, void *out, size_t n);
void put(int fd, const void *bytes, size_t n);
void set_encodings(int fd, const int32_t *encodings, size_t count);
int raw_attach_over(struct rig *r, uint32_t connection, int taken_over);
int raw_attach(struct rig *r, uint32_t connection);
void raw_request(int fd, int incremental);
size_t raw_update(int fd);
void raw_first_update(int fd);
void expect_notice(int fd, uint8_t reason);
void put_fence(int fd, uint32_t flags, const void *payload, uint8_t length);
struct fence expect_fence(int fd);

#endif
