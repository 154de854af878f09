#include "broker/egress/address.h"

#include "common/error.h"

#include <arpa/inet.h>
#include <string.h>

static const struct {
	uint32_t network;
	unsigned bits;
	const char *name;
} v4_ranges[] = {
	{ 0x00000000, 8, "this-network" }, /* 0.0.0.0/8, RFC 791 */
	{ 0x0a000000, 8, "private" }, /* 10/8, RFC 1918 */
	{ 0x64400000, 10, "shared" }, /* 100.64/10, RFC 6598 (CGNAT) */
	{ 0x7f000000, 8, "loopback" }, /* 127/8, RFC 1122 */
	{ 0xa9fe0000, 16, "link-local" }, /* 169.254/16, RFC 3927 (and clouds' metadata) */
	{ 0xac100000, 12, "private" }, /* 172.16/12, RFC 1918 */
	{ 0xc0000000, 24, "reserved" }, /* 192.0.0/24, RFC 6890 */
	{ 0xc0000200, 24, "documentation" }, /* 192.0.2/24, RFC 5737 */
	{ 0xc0586300, 24, "reserved" }, /* 192.88.99/24, RFC 7526 */
	{ 0xc0a80000, 16, "private" }, /* 192.168/16, RFC 1918 */
	{ 0xc6120000, 15, "benchmarking" }, /* 198.18/15, RFC 2544 */
	{ 0xc6336400, 24, "documentation" }, /* 198.51.100/24 */
	{ 0xcb007100, 24, "documentation" }, /* 203.0.113/24 */
	{ 0xe0000000, 4, "multicast" }, /* 224/4, RFC 5771 */
	{ 0xf0000000, 4, "reserved" }, /* 240/4, RFC 1112, and the broadcast address */
};

static const char *v4_refused(uint32_t address)
{
	for (size_t i = 0; i < sizeof(v4_ranges) / sizeof(*v4_ranges); i++)
		if ((address ^ v4_ranges[i].network) >> (32 - v4_ranges[i].bits) == 0)
			return v4_ranges[i].name;
	return NULL;
}

static uint32_t read_32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int is_mapped(const uint8_t a[16])
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };
	return memcmp(a, prefix, sizeof(prefix)) == 0; /* RFC 4291 2.5.5.2 */
}

static int is_nat64(const uint8_t a[16])
{
	static const uint8_t prefix[12] = { 0x00, 0x64, 0xff, 0x9b };
	return memcmp(a, prefix, sizeof(prefix)) == 0; /* RFC 6052 2.1 */
}

static const char *v6_refused(const uint8_t a[16])
{
	static const uint8_t zeros[16];
	if (memcmp(a, zeros, 15) == 0 && a[15] <= 1)
		return a[15] ? "loopback" : "unspecified";
	if (is_mapped(a))
		return "v4-mapped";
	if (is_nat64(a))
		return v4_refused(read_32(a + 12)); /* a NAT64 network reaches the IPv4 address in it */
	if (a[0] == 0xff)
		return "multicast";
	if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80)
		return "link-local";
	if ((a[0] & 0xfe) == 0xfc)
		return "private"; /* fc00::/7, RFC 4193 */
	if ((a[0] & 0xe0) != 0x20)
		return "reserved"; /* outside 2000::/3 no global unicast is assigned */
	if (a[0] == 0x20 && a[1] == 0x01 && (a[2] & 0xfe) == 0)
		return "reserved"; /* 2001::/23: Teredo, ORCHID, benchmarking, … */
	if (a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0d && a[3] == 0xb8)
		return "documentation"; /* 2001:db8::/32 */
	if (a[0] == 0x3f && a[1] == 0xff && (a[2] & 0xf0) == 0)
		return "documentation"; /* 3fff::/20, RFC 9637 */
	if (a[0] == 0x20 && a[1] == 0x02)
		return "6to4"; /* 2002::/16 carries any IPv4 address, RFC 7526 */
	return NULL;
}

const char *gr_address_refused(const struct gr_address *address)
{
	if (address->family == AF_INET)
		return v4_refused(ntohl(address->v4.s_addr));
	if (address->family == AF_INET6)
		return v6_refused(address->v6.s6_addr);
	return "unknown";
}

struct gr_address gr_address_unwrapped(const struct gr_address *address)
{
	struct gr_address v4 = { .family = AF_INET };
	if (address->family != AF_INET6 || !(is_mapped(address->v6.s6_addr) || is_nat64(address->v6.s6_addr)))
		return *address;
	memcpy(&v4.v4, address->v6.s6_addr + 12, sizeof(v4.v4));
	return v4;
}

int gr_address_in(const struct gr_address *address, int family, const uint8_t *network, unsigned bits)
{
	if (address->family != family)
		return 0;
	const uint8_t *bytes = family == AF_INET ? (const uint8_t *)&address->v4 : address->v6.s6_addr;
	unsigned rest = bits % 8;
	if (memcmp(bytes, network, bits / 8) != 0)
		return 0;
	return rest == 0 || (bytes[bits / 8] ^ network[bits / 8]) >> (8 - rest) == 0;
}

int gr_address_parse(const char *text, struct gr_address *out)
{
	struct gr_address address = { .family = AF_INET };
	if (inet_pton(AF_INET, text, &address.v4) != 1) {
		address.family = AF_INET6;
		if (inet_pton(AF_INET6, text, &address.v6) != 1)
			return GR_EINVAL;
	}
	*out = address;
	return 0;
}

int gr_address_equal(const struct gr_address *a, const struct gr_address *b)
{
	if (a->family != b->family)
		return 0;
	return a->family == AF_INET ? a->v4.s_addr == b->v4.s_addr : memcmp(&a->v6, &b->v6, sizeof(a->v6)) == 0;
}

const char *gr_address_text(const struct gr_address *address, char *out, size_t cap)
{
	if (!inet_ntop(address->family,
		       address->family == AF_INET ? (const void *)&address->v4 : (const void *)&address->v6, out,
		       (socklen_t)cap))
		out[0] = 0;
	return out;
}

int gr_address_from_socket(const struct sockaddr *socket_address, struct gr_address *out)
{
	struct gr_address address = { .family = socket_address ? socket_address->sa_family : AF_UNSPEC };
	if (address.family == AF_INET)
		address.v4 = ((const struct sockaddr_in *)(const void *)socket_address)->sin_addr;
	else if (address.family == AF_INET6)
		address.v6 = ((const struct sockaddr_in6 *)(const void *)socket_address)->sin6_addr;
	else
		return GR_EINVAL;
	*out = address;
	return 0;
}

socklen_t gr_address_socket(const struct gr_address *address, uint16_t port, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (address->family == AF_INET) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)out;
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		v4->sin_addr = address->v4;
		return sizeof(*v4);
	}
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	v6->sin6_addr = address->v6;
	return sizeof(*v6);
}
