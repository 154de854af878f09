/* The one form of a host in which the configuration's and a request's are compared. Pure. */
#ifndef GARASU_BROKER_CONFIG_HOST_H
#define GARASU_BROKER_CONFIG_HOST_H

#include <stddef.h>

#define GR_HOST_TEXT 256 /* with its terminator */

/*
 * A host of n bytes: a name of letters, digits, "-", "_" and dots whose last label is no number, an IPv4 address of four decimal
 * numbers, or an IPv6 address, in brackets or bare. out: the name in lower case without a final dot, or the address in its canonical
 * text without brackets. Nothing else is accepted, so that what is checked is what is connected to. GR_EINVAL.
 */
int gr_host_normal(const char *untrusted_host, size_t n, char out[GR_HOST_TEXT], int *is_address);

/* "host:port", or "host" alone: *port 0 then. As gr_host_normal, and GR_EINVAL for a port that is none of 1..65535. */
int gr_host_port_normal(const char *untrusted_text, size_t n, char out[GR_HOST_TEXT], int *is_address,
			unsigned short *port);

#endif
