/* Which addresses the internet side may reach: public unicast only. Pure. */
#ifndef GARASU_BROKER_EGRESS_ADDRESS_H
#define GARASU_BROKER_EGRESS_ADDRESS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/* An IPv4 or IPv6 address without a port. */
struct gr_address {
	int family; /* AF_INET or AF_INET6 */
	union {
		struct in_addr v4;
		struct in6_addr v6;
	};
};

/*
 * Why this address is never connected to unless the configuration lists its host: a short name of its range ("private",
 * "loopback", …; IANA special-purpose registries, RFC 6890 and its successors), or NULL when it is public unicast.
 */
const char *gr_address_refused(const struct gr_address *address);

/* The IPv4 address that a v4-mapped (RFC 4291) or a NAT64 one (RFC 6052, 64:ff9b::/96) leads to; any other stays as it is. */
struct gr_address gr_address_unwrapped(const struct gr_address *address);

/* Whether the first bits of the address (4 or 16 bytes, as in a packet) are those of network. */
int gr_address_in(const struct gr_address *address, int family, const uint8_t *network, unsigned bits);

/* Parses a numeric address in its strict forms: four decimal numbers, or IPv6 without brackets and zone. 0 or GR_EINVAL. */
int gr_address_parse(const char *text, struct gr_address *out);

int gr_address_equal(const struct gr_address *a, const struct gr_address *b);

/* As text; cap >= INET6_ADDRSTRLEN. Returns out. */
const char *gr_address_text(const struct gr_address *address, char *out, size_t cap);

/* The address in a socket address. GR_EINVAL for another family; NULL is one. */
int gr_address_from_socket(const struct sockaddr *socket_address, struct gr_address *out);

/* Fills a socket address for connect(2). Returns its size. */
socklen_t gr_address_socket(const struct gr_address *address, uint16_t port, struct sockaddr_storage *out);

#endif
