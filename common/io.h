/* Packets with file descriptors over SOCK_SEQPACKET sockets, and whole buffers over streams. */
#ifndef GARASU_COMMON_IO_H
#define GARASU_COMMON_IO_H

#include <stddef.h>
#include <stdint.h>

/*
 * Sends one packet, with the file descriptor fd unless it is -1 (borrowed: the caller still closes it).
 * Never blocks and raises no SIGPIPE. Returns GR_EAGAIN when the socket's buffer is full, GR_ECLOSED when the peer is
 * gone, GR_EIO otherwise.
 */
int gr_io_send(int sock, const void *packet, size_t size, int fd);

/*
 * Receives one packet of at most cap bytes into packet without blocking. A descriptor that comes with it is stored
 * in *fd_out, owned by the caller, close-on-exec (-1 when none). With fd_out NULL none is accepted: what came
 * is closed and GR_EPROTO returned. A longer packet than cap, or more than one descriptor, is GR_EPROTO too,
 * with nothing leaked. Returns GR_EAGAIN when there is none now, GR_ECLOSED at the end, GR_EIO.
 */
int gr_io_receive(int sock, void *packet, size_t cap, size_t *size_out, int *fd_out);

/* Writes all n bytes to a blocking descriptor; GR_EIO. */
int gr_io_write_all(int fd, const void *data, size_t n);

/* O_NONBLOCK on or off; GR_EIO. */
int gr_io_set_nonblocking(int fd, int on);

/* Closes *fd unless it is -1 and sets it to -1. */
void gr_io_close(int *fd);

/* A pair of connected, non-blocking, close-on-exec sockets of the type (SOCK_SEQPACKET or SOCK_STREAM). GR_EIO. */
int gr_io_pair(int type, int pair_out[2]);

/* Milliseconds, microseconds of CLOCK_MONOTONIC. */
uint64_t gr_io_now_ms(void);
uint64_t gr_io_now_us(void);

#endif
