/*
 * The part of platform.h that has to do with sockets; platform_linux_net.c has it for Linux. A port must give TCP with early notice of a
 * dead peer, and byte streams between two processes. poll(2) of descriptors stands outside: with Winsock it is WSAPoll.
 */
#ifndef GARASU_VIEWER_PLATFORM_NET_H
#define GARASU_VIEWER_PLATFORM_NET_H

#include "common/error.h"
#include "viewer/messages.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct gr_platform_addresses;

/* Returns owned in *out. GR_ENOENT: the name is not known. */
int gr_platform_resolve(const char *host, const char *port, struct gr_platform_addresses **out, struct gr_error *err);
void gr_platform_addresses_free(struct gr_platform_addresses *addresses);

/* Waits until sock is writable: 0, GR_ETIMEOUT at the deadline (which ends the whole), or another error. Sets failure and err itself. */
typedef int (*gr_platform_wait)(void *context, int sock, uint64_t deadline_ms);

/*
 * Connects to one of them after the other; *sock is non-blocking and the caller's. A peer that is gone is noticed by the system, without
 * this process waking up: 10 s after bytes were sent that nobody acknowledges, 25 s after the last byte otherwise. An error
 * sets *failure and *err.
 */
int gr_platform_connect(const struct gr_platform_addresses *addresses, gr_platform_wait wait, void *context,
			uint64_t deadline_ms, int *sock, enum gr_failure *failure, struct gr_error *err);

/* Looks at the first bytes that have come, and leaves them there. Their number, or less than 1. */
ssize_t gr_platform_peek(int sock, uint8_t *into, size_t room);

/* Streams between processes. 0, GR_EAGAIN, GR_ECLOSED: the other end is gone. */
int gr_platform_stream_send(int fd, const uint8_t *bytes, size_t n, size_t *sent);
int gr_platform_stream_receive(int fd, uint8_t *into, size_t room, size_t *got);

/* Whether this is a numeric address, and no name. */
int gr_platform_is_address(const char *host);

#endif
