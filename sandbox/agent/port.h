/*
 * The container's way out: TCP 127.0.0.1:3128, where the browser expects its proxy, byte for byte to the broker's egress
 * socket. Runs in a process of its own, so that downloads cost the screen no time.
 */
#ifndef GARASU_AGENT_PORT_H
#define GARASU_AGENT_PORT_H

#include "common/error.h"

#include <stdint.h>

#define GR_PORT_NUMBER 3128

/* Opens the listening socket on 127.0.0.1. Returns an owned descriptor, or GR_EIO with *err set. */
int gr_port_listen(uint16_t port, struct gr_error *err);

/* Relays until SIGTERM: takes the listening socket, and connects each client to path. Returns the exit status. */
int gr_port_run(int listener, const char *path);

#endif
