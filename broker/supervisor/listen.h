/* The listening sockets for viewers. */
#ifndef GARASU_BROKER_SUPERVISOR_LISTEN_H
#define GARASU_BROKER_SUPERVISOR_LISTEN_H

#include "common/error.h"
#include "common/loop.h"

#include <stdint.h>

struct gr_listener;

/* Where a connection comes from. */
struct gr_peer {
	char text[64]; /* address:port, [address]:port for IPv6 */
	uint8_t network[16]; /* whom bounds count as one: an IPv4 address (mapped), the /64 of an IPv6 address */
};

/* fd: the accepted connection, non-blocking, close-on-exec; the function takes it. */
typedef void (*gr_listen_accepted)(void *context, int fd, const struct gr_peer *peer);

/* Binds and listens on the numeric address. Returns owned in *out; GR_EINVAL for the address, GR_EIO. */
int gr_listener_create(struct gr_loop *loop, const char *address, uint16_t port, gr_listen_accepted accepted,
		       void *context, struct gr_listener **out, struct gr_error *err);
void gr_listener_destroy(struct gr_listener *listener); /* NULL allowed */

/* "127.0.0.1:5910", "[::1]:5910": where it really listens. Valid as long as the listener. */
const char *gr_listener_name(const struct gr_listener *listener);

#endif
