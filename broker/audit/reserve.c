#include "broker/audit/reserve.h"

#include "common/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOT 1024

struct content {
	struct gr_audit_stamp stamp;
	struct gr_audit_event event;
};
union slot {
	struct {
		uint8_t hash
			[GR_TREE_HASH]; /* SHA-256 over the hash before and the content, as a tree's node and leaf */
		struct content content;
	};
	uint8_t bytes[SLOT];
};
static_assert(sizeof(union slot) == SLOT, "an event fits a slot");

static int hash_of(const uint8_t before[GR_TREE_HASH], const struct content *content, uint8_t out[GR_TREE_HASH])
{
	int status = gr_tree_leaf(content, sizeof(*content), out);
	return status == 0 ? gr_tree_node(before, out, out) : status;
}

static int transfer(int fd, unsigned index, union slot *slot, int out)
{
	off_t at = (off_t)index * SLOT;
	ssize_t n;
	do
		n = out ? pwrite(fd, slot, SLOT, at) : pread(fd, slot, SLOT, at);
	while (n < 0 && errno == EINTR);
	if (n >= 0 && n != SLOT)
		errno = EIO;
	return n == SLOT ? 0 : GR_EIO;
}

/* Written whole, not only allocated: a block that was never written may still need room for the system's own notes. */
static int fill(int fd, int directory)
{
	static const union slot zeros;
	union slot slot = zeros;
	for (unsigned i = 0; i < GR_AUDIT_RESERVE_SLOTS; i++)
		if (transfer(fd, i, &slot, 1) != 0)
			return GR_EIO;
	return fsync(fd) == 0 && fsync(directory) == 0 ? 0 : GR_EIO;
}

static int ends(const char *text, size_t n)
{
	return memchr(text, 0, n) != NULL;
}

static int is_sound(const struct content *content)
{
	const struct gr_audit_event *event = &content->event;
	return ends(content->stamp.boot, sizeof(content->stamp.boot)) && gr_audit_kind_name(event->kind) &&
	       ends(event->person, sizeof(event->person)) && ends(event->group, sizeof(event->group)) &&
	       ends(event->actor, sizeof(event->actor)) && ends(event->peer, sizeof(event->peer)) &&
	       ends(event->target, sizeof(event->target)) && ends(event->detail, sizeof(event->detail));
}

/* Whether the slot follows the hash, which becomes its own. */
static int follows(const union slot *untrusted_slot, uint8_t hash[GR_TREE_HASH])
{
	uint8_t own[GR_TREE_HASH];
	if (hash_of(hash, &untrusted_slot->content, own) != 0 || memcmp(own, untrusted_slot->hash, sizeof(own)) != 0 ||
	    !is_sound(&untrusted_slot->content))
		return 0;
	memcpy(hash, own, sizeof(own));
	return 1;
}

int gr_reserve_open(struct gr_reserve *reserve, int directory, struct gr_error *err)
{
	struct stat status;
	union slot slot;
	*reserve = (struct gr_reserve){ .fd = openat(directory, GR_AUDIT_RESERVE_FILE,
						     O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600) };
	if (reserve->fd < 0 || fstat(reserve->fd, &status) < 0 || fchmod(reserve->fd, 0600) < 0) {
		gr_error_errno(err, "cannot open " GR_AUDIT_RESERVE_FILE);
		gr_io_close(&reserve->fd);
		return GR_EIO;
	}
	if (!S_ISREG(status.st_mode) || status.st_nlink != 1) {
		gr_io_close(&reserve->fd);
		return gr_error_set(err, GR_EDENIED, GR_AUDIT_RESERVE_FILE " is no regular file with one name");
	}
	/* Of another size it is new, or was being made when the disk was full: nothing was ever kept in it. */
	if (status.st_size != (off_t)GR_AUDIT_RESERVE_SLOTS * SLOT && fill(reserve->fd, directory) != 0) {
		gr_error_errno(err, "cannot make " GR_AUDIT_RESERVE_FILE ", room of %u KiB for when the disk is full",
			       GR_AUDIT_RESERVE_SLOTS * SLOT / 1024);
		gr_io_close(&reserve->fd);
		return GR_EIO;
	}
	while (reserve->count < GR_AUDIT_RESERVE_SLOTS && transfer(reserve->fd, reserve->count, &slot, 0) == 0 &&
	       follows(&slot, reserve->last))
		reserve->count++;
	memcpy(reserve->durable, reserve->last, sizeof(reserve->durable));
	return 0;
}

void gr_reserve_close(struct gr_reserve *reserve)
{
	gr_io_close(&reserve->fd);
}

int gr_reserve_add(struct gr_reserve *reserve, const struct gr_audit_stamp *stamp, const struct gr_audit_event *event)
{
	union slot slot = { .bytes = { 0 } };
	if (reserve->count + reserve->added == GR_AUDIT_RESERVE_SLOTS)
		return GR_EFULL;
	slot.content.stamp = *stamp;
	slot.content.event = *event;
	if (hash_of(reserve->last, &slot.content, slot.hash) != 0 ||
	    transfer(reserve->fd, reserve->count + reserve->added, &slot, 1) != 0)
		return GR_EIO;
	memcpy(reserve->last, slot.hash, sizeof(reserve->last));
	reserve->added++;
	return 0;
}

int gr_reserve_flush(struct gr_reserve *reserve)
{
	int status = reserve->added == 0 || fdatasync(reserve->fd) == 0 ? 0 : GR_EIO;
	if (status == 0) {
		reserve->count += reserve->added;
		memcpy(reserve->durable, reserve->last, sizeof(reserve->durable));
	} else {
		memcpy(reserve->last, reserve->durable, sizeof(reserve->last));
	}
	reserve->added = 0;
	return status;
}

int gr_reserve_get(struct gr_reserve *reserve, unsigned index, struct gr_audit_stamp *stamp_out,
		   struct gr_audit_event *event_out)
{
	union slot slot;
	uint8_t hash[GR_TREE_HASH] = { 0 };
	if (index >= reserve->count)
		return GR_EINVAL;
	if (index > 0) {
		if (transfer(reserve->fd, index - 1, &slot, 0) != 0)
			return GR_EIO;
		memcpy(hash, slot.hash, sizeof(hash));
	}
	if (transfer(reserve->fd, index, &slot, 0) != 0)
		return GR_EIO;
	if (!follows(&slot, hash)) {
		errno = EBADMSG;
		return GR_EPROTO;
	}
	*stamp_out = slot.content.stamp;
	*event_out = slot.content.event;
	return 0;
}

int gr_reserve_clear(struct gr_reserve *reserve)
{
	union slot slot = { .bytes = { 0 } };
	if (transfer(reserve->fd, 0, &slot, 1) != 0 || fdatasync(reserve->fd) < 0)
		return GR_EIO;
	reserve->count = reserve->added = 0;
	memset(reserve->last, 0, sizeof(reserve->last));
	memset(reserve->durable, 0, sizeof(reserve->durable));
	return 0;
}
