/*
 * The configuration file. Whoever writes it is trusted; still, no file may crash a process or be half taken: what is accepted keeps its
 * promises (config.h), and reads the same again.
 */
#include "broker/config/config.h"
#include "broker/config/difference.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_rules(const struct gr_config_rules *rules)
{
	assert(rules->count <= GR_CONFIG_RULES_MAX);
	for (unsigned i = 0; i < rules->count; i++) {
		const char *host = rules->list[i].host;
		char again[GR_HOST_TEXT];
		int domain = host[0] == '.', is_address;
		assert(gr_host_normal(host + domain, strlen(host + domain), again, &is_address) == 0);
		assert(strcmp(again, host + domain) == 0 && !(domain && is_address));
	}
}

static void check(const struct gr_config *config)
{
	assert(config->listen.port != config->listen.vencrypt_port);
	assert(config->session.width <= config->session.max_width);
	assert(config->pool.warm >= 1 && config->pool.warm <= config->pool.maximum);
	assert(config->egress.reach.otherwise != GR_CONFIG_UNSET);
	assert(config->egress.ports.count >= 1 && config->egress.ports.count <= GR_CONFIG_PORTS_MAX);
	for (unsigned i = 0; i < config->egress.ports.count; i++)
		assert(config->egress.ports.list[i] != 0);
	assert(!config->egress.upstream.host[0] == !config->egress.upstream.port);
	for (unsigned i = 0; i < config->egress.networks_refused.count; i++) {
		const struct gr_config_network *network = &config->egress.networks_refused.list[i];
		assert(network->bits <= (network->family == AF_INET ? 32u : 128u));
	}
	check_rules(&config->egress.reach.allow);
	check_rules(&config->egress.reach.deny);
	for (unsigned g = 0; g < config->group_count; g++) {
		const struct gr_config_group *group = &config->groups[g];
		assert(group->name[0]);
		check_rules(&group->reach.allow);
		check_rules(&group->reach.deny);
		for (unsigned p = 0; p < group->persons.count; p++)
			assert(gr_config_group_of(config, group->persons.list[p]) == group);
	}
}

static int read_config(struct gr_config *config, const char *text, size_t size)
{
	struct gr_error err;
	FILE *stream = fmemopen((void *)(uintptr_t)text, size, "r");
	gr_config_init(config);
	int status = gr_config_read(config, stream, "fuzz", &err);
	assert(status == 0 || strncmp(err.text, "fuzz", 4) == 0 || strstr(err.text, "fuzz"));
	fclose(stream);
	return status;
}

static void check_difference(void *context, int restart, const char *text)
{
	unsigned *count = context;
	(void)restart;
	(*count)++;
	assert(strlen(text) < GR_DIFFERENCE_TEXT);
	for (const char *at = text; *at; at++)
		assert((unsigned char)*at >= ' ' && *at != 0x7f);
}

/* What differs from the defaults is told in lines; nothing differs from itself. */
static void check_differences(struct gr_config *first, const struct gr_config *second)
{
	static struct gr_config defaults;
	unsigned count = 0;
	gr_config_init(&defaults);
	assert(gr_config_difference(&defaults, first, check_difference, &count) == 0);
	count = 0;
	assert(gr_config_difference(first, second, check_difference, &count) == 0 && count == 0);
	/* What counts at once goes over, and back. */
	gr_config_apply(&defaults, first);
	gr_config_apply(&defaults, first);
	assert(gr_config_difference(first, second, check_difference, &count) == 0 && count == 0);
	gr_config_finish(&defaults);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gr_config first, second;
	/* What the environment says is the tester's own. */
	if (size == 0 || memchr(data, '$', size))
		return 0;
	char *text = malloc(size);
	memcpy(text, data, size);
	int status = read_config(&first, text, size);
	assert(read_config(&second, text, size) == status);
	if (status == 0) {
		check(&first);
		check_differences(&first, &second);
		assert(first.group_count == second.group_count &&
		       first.egress.reach.allow.count == second.egress.reach.allow.count);
	}
	gr_config_finish(&first);
	gr_config_finish(&second);
	free(text);
	return 0;
}
