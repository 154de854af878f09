#include "broker/config/difference.h"

#include "broker/config/settings.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* Sections, and single keys of others, that count without a restart: as in gr_config_apply. */
static const char *const at_once[][2] = {
	{ "egress", "default" },
	{ "egress", "allow" },
	{ "egress", "deny" },
	{ "egress", "ports" },
	{ "egress", "networks_refused" },
	{ "listen", "failures_per_minute" },
	{ "session", "grace_seconds" },
	{ "limits", NULL },
	{ "retention", NULL },
	{ "admin", NULL },
	{ "group", NULL },
};

#define SWAP(field)                                                                                                    \
	do {                                                                                                           \
		__typeof__(config->field) kept = config->field;                                                        \
		config->field = next->field;                                                                           \
		next->field = kept;                                                                                    \
	} while (0)

void gr_config_apply(struct gr_config *config, struct gr_config *next)
{
	SWAP(egress.reach);
	SWAP(egress.ports);
	SWAP(egress.networks_refused);
	SWAP(listen.failures_per_minute);
	SWAP(session.grace_seconds);
	SWAP(limits);
	SWAP(retention);
	SWAP(admin);
	SWAP(groups);
	SWAP(group_count);
}

static int needs_restart(const struct setting *setting)
{
	for (size_t i = 0; i < sizeof(at_once) / sizeof(at_once[0]); i++)
		if (strcmp(at_once[i][0], setting->section) == 0 &&
		    (!at_once[i][1] || strcmp(at_once[i][1], setting->key) == 0))
			return 0;
	return 1;
}

struct comparison {
	gr_difference_found found;
	void *context;
	const struct setting *setting;
	int restart;
	char where[GR_CONFIG_GROUP_NAME_MAX + 48]; /* "limits idle_minutes", "group \"…\" deny" */
};

/* Cuts text to size bytes at most, between characters, and says so. */
static void cut(char *text, size_t size)
{
	static const char mark[] = "…";
	size_t end = size - sizeof(mark) + 1;

	if (strlen(text) <= size)
		return;
	while (end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80)
		end--;
	memcpy(text + end, mark, sizeof(mark));
}

static void tell(const struct comparison *c, const char *text)
{
	char line[GR_DIFFERENCE_TEXT + 512];

	snprintf(line, sizeof(line), "%s: %s", c->where, text);
	cut(line, GR_DIFFERENCE_TEXT - 1);
	for (char *at = line; *at; at++) /* a path can have them */
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	c->found(c->context, c->restart, line);
}

/* ---- single values ---- */

static unsigned number(const struct setting *setting, const void *field)
{
	uint16_t small;
	uint32_t large;

	if (setting->size == sizeof(small)) {
		memcpy(&small, field, sizeof(small));
		return small;
	}
	memcpy(&large, field, sizeof(large));
	return large;
}

static void value_text(const struct setting *setting, const void *field, char out[256])
{
	static const char *const verdicts[] = { "permit", "deny", "as for everybody" };
	static const char *const levels[] = { "error", "warning", "info", "debug" };
	const struct gr_config_endpoint *endpoint = field;

	switch (setting->type) {
	case NUMBER: snprintf(out, 256, "%u", number(setting, field)); break;
	case RECORDING:
	case FACTOR:
	case CONTENT:
	case FORMAT: snprintf(out, 256, "%s", gr_config_choice(setting->type, number(setting, field))); break;
	case VERDICT: snprintf(out, 256, "%s", verdicts[number(setting, field)]); break;
	case LEVEL: snprintf(out, 256, "%s", levels[number(setting, field)]); break;
	case ENDPOINT:
		if (endpoint->host[0])
			snprintf(out, 256, "%.200s:%u", endpoint->host, endpoint->port);
		else
			snprintf(out, 256, "none");
		break;
	default: snprintf(out, 256, "\"%.200s\"", (const char *)field); break;
	}
	cut(out, 90);
}

static void compare_values(const struct comparison *c, const void *before, const void *after)
{
	const struct setting *setting = c->setting;
	int text = setting->type == PATH || setting->type == OPTIONAL_PATH || setting->type == ADDRESS ||
		   setting->type == URL || setting->type == OPTIONAL_URL || setting->type == NAME;
	char old[256], new[256], line[600];

	if (text ? strcmp(before, after) == 0 : memcmp(before, after, setting->size) == 0)
		return;
	value_text(setting, before, old);
	value_text(setting, after, new);
	snprintf(line, sizeof(line), "%s -> %s", old, new);
	tell(c, line);
}

/* ---- lists ---- */

static unsigned list_count(enum value_type type, const void *field)
{
	switch (type) {
	case RULES: return ((const struct gr_config_rules *)field)->count;
	case PORTS: return ((const struct gr_config_ports *)field)->count;
	case NETWORKS: return ((const struct gr_config_networks *)field)->count;
	default: return ((const struct gr_config_persons *)field)->count;
	}
}

static char *entry_text(enum value_type type, const void *field, unsigned i)
{
	const struct gr_config_rules *rules = field;
	const struct gr_config_networks *networks = field;
	char text[GR_HOST_TEXT + 32], address[INET6_ADDRSTRLEN] = "";
	int numeric;

	switch (type) {
	case RULES:
		numeric = rules->list[i].port && strchr(rules->list[i].host, ':');
		snprintf(text, sizeof(text), "\"%s%s%s", numeric ? "[" : "", rules->list[i].host, numeric ? "]" : "");
		if (rules->list[i].port)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), ":%u", rules->list[i].port);
		strcat(text, "\"");
		break;
	case PORTS: snprintf(text, sizeof(text), "%u", ((const struct gr_config_ports *)field)->list[i]); break;
	case NETWORKS:
		inet_ntop(networks->list[i].family, networks->list[i].bytes, address, sizeof(address));
		snprintf(text, sizeof(text), "\"%s/%u\"", address, networks->list[i].bits);
		break;
	default: snprintf(text, sizeof(text), "\"%s\"", ((const struct gr_config_persons *)field)->list[i]); break;
	}
	return strdup(text);
}

struct entries {
	char **list; /* sorted texts, owned */
	unsigned count;
};

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_entries(struct entries *entries)
{
	for (unsigned i = 0; i < entries->count; i++)
		free(entries->list[i]);
	free(entries->list);
}

static int make_entries(enum value_type type, const void *field, struct entries *out)
{
	unsigned count = list_count(type, field);

	*out = (struct entries){ .list = calloc(count + 1u, sizeof(char *)) };
	if (!out->list)
		return GR_ENOMEM;
	while (out->count < count) {
		out->list[out->count] = entry_text(type, field, out->count);
		if (!out->list[out->count])
			return GR_ENOMEM;
		out->count++;
	}
	qsort(out->list, count, sizeof(char *), compare_texts);
	return 0;
}

/* What of entries is not in others, as many in one line as fit. */
static void tell_missing(const struct comparison *c, const char *word, const struct entries *entries,
			 const struct entries *others)
{
	char line[GR_DIFFERENCE_TEXT + GR_HOST_TEXT + 64] = "";
	size_t used = 0, room = GR_DIFFERENCE_TEXT - 1 - strlen(c->where) - 2;

	for (unsigned i = 0, o = 0; i < entries->count; i++) {
		while (o < others->count && strcmp(others->list[o], entries->list[i]) < 0)
			o++;
		if (o < others->count && strcmp(others->list[o], entries->list[i]) == 0)
			continue;
		if (used > 0 && used + 2 + strlen(entries->list[i]) > room) {
			tell(c, line);
			used = 0;
		}
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%s", used ? ", " : word,
					 entries->list[i]);
	}
	if (used > 0)
		tell(c, line);
}

static int compare_lists(const struct comparison *c, const void *before, const void *after)
{
	struct entries old, new = { .list = NULL };
	int status = make_entries(c->setting->type, before, &old);

	if (status == 0)
		status = make_entries(c->setting->type, after, &new);
	if (status == 0) {
		tell_missing(c, "removed ", &old, &new);
		tell_missing(c, "added ", &new, &old);
	}
	free_entries(&old);
	free_entries(&new);
	return status;
}

/* ---- sections ---- */

/* group: its name, or NULL: every other section. */
static int compare_fields(const void *before, const void *after, const char *group, struct comparison *c)
{
	size_t count;
	const struct setting *settings = gr_config_settings(&count);
	int status = 0;

	for (size_t i = 0; i < count && status == 0; i++) {
		const void *old = (const char *)before + settings[i].offset;
		const void *new = (const char *)after + settings[i].offset;

		if ((strcmp(settings[i].section, "group") == 0) != (group != NULL))
			continue;
		c->setting = &settings[i];
		c->restart = needs_restart(c->setting);
		if (group)
			snprintf(c->where, sizeof(c->where), "group \"%s\" %s", group, settings[i].key);
		else
			snprintf(c->where, sizeof(c->where), "%s %s", settings[i].section, settings[i].key);
		if (settings[i].type >= RULES)
			status = compare_lists(c, old, new);
		else
			compare_values(c, old, new);
	}
	return status;
}

static const struct gr_config_group *find_group(const struct gr_config *config, const char *name)
{
	for (unsigned g = 0; config->groups && g < config->group_count; g++)
		if (strcmp(config->groups[g].name, name) == 0)
			return &config->groups[g];
	return NULL;
}

/* A group that only one of the two has, against one that says nothing. */
static int tell_group(const struct gr_config *config, const struct gr_config_group *group, int added,
		      struct comparison *c)
{
	const struct gr_config_group nothing = { .reach = { .otherwise = GR_CONFIG_UNSET }, .limits = config->limits };

	c->restart = 0;
	snprintf(c->where, sizeof(c->where), "group \"%s\"", group->name);
	tell(c, added ? "added" : "removed");
	return compare_fields(added ? &nothing : group, added ? group : &nothing, group->name, c);
}

int gr_config_difference(const struct gr_config *before, const struct gr_config *after, gr_difference_found found,
			 void *context)
{
	struct comparison c = { .found = found, .context = context };
	int status = compare_fields(before, after, NULL, &c);

	for (unsigned g = 0; before->groups && g < before->group_count && status == 0; g++) {
		const struct gr_config_group *group = &before->groups[g], *now = find_group(after, group->name);

		status = now ? compare_fields(group, now, group->name, &c) : tell_group(before, group, 0, &c);
	}
	for (unsigned g = 0; after->groups && g < after->group_count && status == 0; g++)
		if (!find_group(before, after->groups[g].name))
			status = tell_group(after, &after->groups[g], 1, &c);
	return status;
}
