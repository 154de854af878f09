#include "broker/egress/rules.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int gr_rules_init(struct gr_rules *rules, const struct gr_config *config, struct gr_error *err)
{
	struct ifaddrs *list = NULL;
	unsigned count = 0;
	*rules = (struct gr_rules){ .config = config };
	if (getifaddrs(&list) < 0)
		return gr_error_errno(err, "cannot ask for this machine's addresses");
	for (struct ifaddrs *at = list; at; at = at->ifa_next)
		count++;
	rules->own = calloc(count + 1, sizeof(*rules->own));
	for (struct ifaddrs *at = list; at && rules->own; at = at->ifa_next)
		if (gr_address_from_socket(at->ifa_addr, &rules->own[rules->own_count]) == 0)
			rules->own_count++;
	freeifaddrs(list);
	return rules->own ? 0 : gr_error_set(err, GR_ENOMEM, "no memory");
}

void gr_rules_finish(struct gr_rules *rules)
{
	free(rules->own);
	*rules = (struct gr_rules){ .own = NULL };
}

/* ---- names ---- */

static int matches(const struct gr_config_rule *rule, const struct gr_target *target)
{
	if (rule->port && rule->port != target->port)
		return 0;
	if (rule->host[0] != '.')
		return strcmp(rule->host, target->host) == 0;
	size_t n = strlen(target->host), domain = strlen(rule->host);
	if (target->is_address || n + 1 < domain)
		return 0;
	return n + 1 == domain ? strcmp(rule->host + 1, target->host) == 0
			       : strcmp(target->host + n - domain, rule->host) == 0;
}

static const struct gr_config_rule *find(const struct gr_config_rules *rules, const struct gr_target *target)
{
	for (unsigned i = 0; i < rules->count; i++)
		if (matches(&rules->list[i], target))
			return &rules->list[i];
	return NULL;
}

/* Whether the lists say something: 1 = permitted, 0 = refused (with the reason), -1 = nothing. group NULL = the common lists. */
static int look_up(const struct gr_config_reach *reach, const struct gr_config_group *group,
		   const struct gr_target *target, char *reason, size_t cap)
{
	const struct gr_config_rule *rule = find(&reach->deny, target);
	if (!rule)
		return find(&reach->allow, target) ? 1 : -1;
	snprintf(reason, cap, "%s%s deny: %s", group ? "group " : "egress", group ? group->name : "", rule->host);
	return 0;
}

/* What entries of an allow list with this very port open. */
static void look_for_port(const struct gr_config_reach *reach, const struct gr_target *target, int *port_listed,
			  int *listed)
{
	for (unsigned i = 0; i < reach->allow.count; i++) {
		const struct gr_config_rule *rule = &reach->allow.list[i];
		if (rule->port && matches(rule, target)) {
			*port_listed = 1;
			*listed |= rule->host[0] != '.';
		}
	}
}

static int is_permitted_port(const struct gr_config_ports *ports, uint16_t port)
{
	for (unsigned i = 0; i < ports->count; i++)
		if (ports->list[i] == port)
			return 1;
	return 0;
}

int gr_rules_permit(const struct gr_rules *rules, const struct gr_config_group *group, const struct gr_target *target,
		    int *listed, char *reason, size_t cap)
{
	const struct gr_config_reach *common = &rules->config->egress.reach;
	int verdict = group ? look_up(&group->reach, group, target, reason, cap) : -1;
	if (verdict < 0)
		verdict = look_up(common, NULL, target, reason, cap);
	if (verdict < 0) {
		int own_default = group && group->reach.otherwise != GR_CONFIG_UNSET;
		verdict = (own_default ? group->reach.otherwise : common->otherwise) != GR_CONFIG_DENY;
		snprintf(reason, cap, "%s%s default: deny", own_default ? "group " : "egress",
			 own_default ? group->name : "");
	}
	if (!verdict)
		return 0;

	int port_listed = 0;
	*listed = 0;
	look_for_port(common, target, &port_listed, listed);
	if (group)
		look_for_port(&group->reach, target, &port_listed, listed);
	const char *refused = target->is_address
				      ? gr_rules_address_refused(rules, &target->address, target->port, *listed)
			      : gr_target_is_localhost(target) && !*listed ? "loopback"
									   : NULL;
	if (refused) {
		snprintf(reason, cap, "%s address", refused);
		return 0;
	}
	if (!port_listed && !is_permitted_port(&rules->config->egress.ports, target->port)) {
		snprintf(reason, cap, "port not permitted");
		return 0;
	}
	return 1;
}

/* ---- addresses ---- */

static int is_own(const struct gr_rules *rules, const struct gr_address *address)
{
	for (unsigned i = 0; i < rules->own_count; i++)
		if (gr_address_equal(&rules->own[i], address))
			return 1;
	/* 127.0.0.2 and 0.0.0.0 are here too. */
	const char *range = gr_address_refused(address);
	return range && (strcmp(range, "loopback") == 0 || strcmp(range, "this-network") == 0 ||
			 strcmp(range, "unspecified") == 0);
}

/*
 * Whether the address has come to this machine since: what reaches it would come from it. A datagram socket that is connected
 * asks the kernel's routes and sends nothing. Not a second IPv4 address of a network, which is reached from the first one: those
 * are known when they were there at the start. -1 = unknown.
 */
static int is_own_now(const struct gr_address *address)
{
	struct sockaddr_storage remote, local = { .ss_family = AF_UNSPEC };
	socklen_t size = sizeof(local), remote_size = gr_address_socket(address, 9, &remote);
	struct gr_address source;
	int fd = socket(address->family, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = -1;
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&remote, remote_size) < 0)
		result = errno == ENETUNREACH || errno == EHOSTUNREACH || errno == EADDRNOTAVAIL ? 0 : -1;
	else if (getsockname(fd, (struct sockaddr *)&local, &size) == 0 &&
		 gr_address_from_socket((const struct sockaddr *)&local, &source) == 0)
		result = gr_address_equal(&source, address);
	close(fd);
	return result;
}

const char *gr_rules_address_refused(const struct gr_rules *rules, const struct gr_address *address, uint16_t port,
				     int listed)
{
	const struct gr_config *config = rules->config;
	const struct gr_address reached = gr_address_unwrapped(address);
	for (unsigned i = 0; i < config->egress.networks_refused.count; i++) {
		const struct gr_config_network *network = &config->egress.networks_refused.list[i];
		if (gr_address_in(&reached, network->family, network->bytes, network->bits) ||
		    gr_address_in(address, network->family, network->bytes, network->bits))
			return "networks_refused";
	}
	int own = is_own(rules, &reached);
	if (own && (port == config->listen.port || port == config->listen.vencrypt_port))
		return "broker";
	if (listed)
		return NULL;
	const char *range = gr_address_refused(address);
	if (range)
		return range;
	int now = own ? 1 : is_own_now(&reached);
	return now < 0 ? "unknown" : now ? "this-machine" : NULL;
}
