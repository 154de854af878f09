#include "broker/config/value.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <stdlib.h>
#include <string.h>

const char *gr_value_path(const char *text, size_t cap, int optional)
{
	if (optional && !*text)
		return NULL;
	return text[0] != '/' ? "must be an absolute path" : strlen(text) >= cap ? "is too long" : NULL;
}

const char *gr_value_address(const char *text)
{
	struct in6_addr address;
	return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1
		       ? NULL
		       : "must be a numeric IPv4 or IPv6 address";
}

const char *gr_value_url(const char *text, size_t cap)
{
	static const char wrong[] = "must be an http: or https: URL without spaces";
	size_t scheme = strncmp(text, "http://", 7) == 0 ? 7 : strncmp(text, "https://", 8) == 0 ? 8 : 0;
	if (strlen(text) >= cap)
		return "is too long";
	if (!scheme || !text[scheme])
		return wrong;
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || *p == '"' || *p == '\\')
			return wrong;
	return NULL;
}

const char *gr_value_name(const char *text, size_t cap)
{
	size_t length = strlen(text);
	if (length == 0 || length >= cap)
		return "must have a length that fits";
	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return "must be printable ASCII without spaces";
	return NULL;
}

const char *gr_value_level(const char *text, enum gr_log_level *out)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	for (unsigned i = 0; i < 4; i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = (enum gr_log_level)i;
			return NULL;
		}
	}
	return "must be error, warning, info or debug";
}

const char *gr_value_verdict(const char *text, enum gr_config_verdict *out)
{
	int deny = strcmp(text, "deny") == 0;
	if (!deny && strcmp(text, "permit") != 0)
		return "must be permit or deny";
	*out = deny ? GR_CONFIG_DENY : GR_CONFIG_PERMIT;
	return NULL;
}

const char *gr_value_endpoint(const char *text, struct gr_config_endpoint *out)
{
	struct gr_config_endpoint endpoint = { .port = 0 };
	int is_address;
	if (*text && (gr_host_port_normal(text, strlen(text), endpoint.host, &is_address, &endpoint.port) != 0 ||
		      endpoint.port == 0))
		return "must be host:port";
	*out = endpoint;
	return NULL;
}

/* The A-label form (RFC 5891) that browsers ask for, of a name that is not ASCII; ":port" stays. UTS 46 maps full-width letters. */
static int to_ascii(const char *text, char out[GR_HOST_TEXT + 8])
{
	const char *colon = strrchr(text, ':');
	char *name = strndup(text, colon ? (size_t)(colon - text) : strlen(text)), *converted = NULL;
	int status = name ? idn2_to_ascii_8z(name, &converted, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) : IDN2_MALLOC;
	if (status == IDN2_OK &&
	    snprintf(out, GR_HOST_TEXT + 8, "%s%s", converted, colon ? colon : "") >= GR_HOST_TEXT + 8)
		status = IDN2_TOO_BIG_DOMAIN;
	idn2_free(converted);
	free(name);
	return status == IDN2_OK ? 0 : GR_EINVAL;
}

const char *gr_value_rule(const char *text, char host[GR_HOST_TEXT + 1], uint16_t *port)
{
	char ascii[GR_HOST_TEXT + 8];
	int domain = text[0] == '.', is_address;
	text += domain;
	for (const char *at = text; *at; at++) {
		if ((unsigned char)*at < 0x80)
			continue;
		if (to_ascii(text, ascii) != 0)
			return "is no internationalised domain name (IDNA 2008)";
		text = ascii;
		break;
	}
	host[0] = '.';
	if (gr_host_port_normal(text, strlen(text), host + domain, &is_address, port) != 0 || (domain && is_address))
		return "must be a name, \".name\" for a whole domain, or an address; \":port\" may follow";
	return NULL;
}

const char *gr_value_network(const char *text, struct gr_config_network *out)
{
	static const char wrong[] = "must be a network such as 203.0.113.0/24 or 2001:db8::/32";
	struct gr_config_network network = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };
	unsigned bits = network.family == AF_INET ? 32 : 128;
	size_t n = strcspn(text, "/");
	char address[INET6_ADDRSTRLEN] = "";
	if (n >= sizeof(address))
		return wrong;
	memcpy(address, text, n);
	if (inet_pton(network.family, address, network.bytes) != 1)
		return wrong;
	network.bits = bits;
	if (text[n]) {
		size_t digits = strspn(text + n + 1, "0123456789");
		if (digits == 0 || digits > 3 || text[n + 1 + digits])
			return wrong;
		network.bits = (unsigned)atoi(text + n + 1);
	}
	if (network.bits > bits)
		return wrong;
	for (unsigned bit = network.bits; bit < bits; bit++)
		if (network.bytes[bit / 8] & 0x80u >> bit % 8)
			return "has bits set behind its prefix";
	*out = network;
	return NULL;
}

const char *gr_value_person(const char *text)
{
	size_t n = strlen(text);
	if (n == 0 || n > GR_PERSON_MAX || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-") != n ||
	    strchr("._-", text[0]))
		return "is no person's id, as certificates have it (a-z, 0-9, \".\", \"_\", \"-\")";
	return NULL;
}

const char *gr_value_group_name(const char *text)
{
	if (!*text || strlen(text) > GR_CONFIG_GROUP_NAME_MAX)
		return "must be 1 to 96 bytes long";
	for (const char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			return "has control characters";
	return NULL;
}
