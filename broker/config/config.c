#include "broker/config/config.h"
#include "broker/config/settings.h"
#include "broker/config/value.h"

#include <confuse.h>
#include <errno.h>
#include <search.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(section, key) offsetof(struct gr_config, section.key), sizeof(((struct gr_config *)NULL)->section.key)
#define GROUP_FIELD(key) offsetof(struct gr_config_group, key), sizeof(((struct gr_config_group *)NULL)->key)

/* Of 0, 1, and so on. */
static const char *const choices[][4] = {
	[RECORDING] = { "none", "on", "required" },
	[FACTOR] = { "none", "local", "pam" },
	[CONTENT] = { "heads", "all" },
	[FORMAT] = { "rfc5424", "cef" },
};

/* The limits of section, whose fields are those of FIELD. */
#define LIMITS(section, FIELD)                                                                                         \
	{ section, "clipboard_up", NUMBER, FIELD(clipboard_up), 0, GR_CLIPBOARD_MAX },                                 \
		{ section, "clipboard_down", NUMBER, FIELD(clipboard_down), 0, GR_CLIPBOARD_MAX },                     \
		{ section, "print_pages", NUMBER, FIELD(print_pages), 0, GR_PRINT_PAGES_MAX },                         \
		{ section, "print_dpi", NUMBER, FIELD(print_dpi), GR_PRINT_DPI_MIN, GR_PRINT_DPI_MAX },                \
		{ section, "idle_minutes", NUMBER, FIELD(idle_minutes), 0, 10080 },                                    \
		{ section, "absolute_minutes", NUMBER, FIELD(absolute_minutes), 0, 10080 },                            \
		{ section, "recording", RECORDING, FIELD(recording), 0, 0 },                                           \
		{ section, "watermark", NUMBER, FIELD(watermark), 0, 1 },                                              \
		{ section, "bandwidth_kbit", NUMBER, FIELD(bandwidth_kbit), 0, 10000000 },                             \
	{                                                                                                              \
		section, "priority", NUMBER, FIELD(priority), 0, GR_CONFIG_PRIORITY_MAX                                \
	}
#define LIMIT_FIELD(key) FIELD(limits, key)
#define GROUP_LIMIT_FIELD(key) GROUP_FIELD(limits.key)

static const struct setting settings[] = {
	{ "listen", "address", ADDRESS, FIELD(listen, address), 0, 0 },
	{ "listen", "port", NUMBER, FIELD(listen, port), 1, 65535 },
	{ "listen", "vencrypt_port", NUMBER, FIELD(listen, vencrypt_port), 0, 65535 },
	{ "listen", "standard_viewers", VERDICT, FIELD(listen, standard_viewers), 0, 0 },
	{ "listen", "failures_per_minute", NUMBER, FIELD(listen, failures_per_minute), 0, 10000 },
	{ "tls", "certificate", PATH, FIELD(tls, certificate), 0, 0 },
	{ "tls", "key", PATH, FIELD(tls, key), 0, 0 },
	{ "tls", "client_ca", PATH, FIELD(tls, client_ca), 0, 0 },
	{ "tls", "client_crl", OPTIONAL_PATH, FIELD(tls, client_crl), 0, 0 },
	{ "session", "home_url", URL, FIELD(session, home_url), 0, 0 },
	{ "session", "width", NUMBER, FIELD(session, width), GR_SCREEN_MIN, GR_SCREEN_MAX },
	{ "session", "height", NUMBER, FIELD(session, height), GR_SCREEN_MIN, GR_SCREEN_MAX },
	{ "session", "max_width", NUMBER, FIELD(session, max_width), GR_SCREEN_MIN, GR_SCREEN_MAX },
	{ "session", "max_height", NUMBER, FIELD(session, max_height), GR_SCREEN_MIN, GR_SCREEN_MAX },
	{ "session", "grace_seconds", NUMBER, FIELD(session, grace_seconds), 0, 86400 },
	{ "session", "history_mib", NUMBER, FIELD(session, history_mib), 1, 32 },
	{ "session", "trusted_ca", OPTIONAL_PATH, FIELD(session, trusted_ca), 0, 0 },
	{ "session", "strict_guard", NUMBER, FIELD(session, strict_guard), 0, 1 },
	{ "pool", "images", PATH, FIELD(pool, images), 0, 0 },
	{ "pool", "runtime", PATH, FIELD(pool, runtime), 0, 0 },
	{ "pool", "warm", NUMBER, FIELD(pool, warm), 1, GR_CONTAINERS_MAX },
	{ "pool", "maximum", NUMBER, FIELD(pool, maximum), 1, GR_CONTAINERS_MAX },
	{ "pool", "memory_mib", NUMBER, FIELD(pool, memory_mib), 256, 65536 },
	{ "pool", "pids", NUMBER, FIELD(pool, pids), 64, 32768 },
	{ "pool", "cpu_percent", NUMBER, FIELD(pool, cpu_percent), 10, 25600 },
	{ "pool", "uid_first", NUMBER, FIELD(pool, uid_first), 65536, 0x7fffffffL - 65536L * GR_CONTAINERS_MAX },
	{ "pool", "start_seconds", NUMBER, FIELD(pool, start_seconds), 1, 600 },
	{ "egress", "default", VERDICT, FIELD(egress, reach.otherwise), 0, 0 },
	{ "egress", "allow", RULES, FIELD(egress, reach.allow), 0, GR_CONFIG_RULES_MAX },
	{ "egress", "deny", RULES, FIELD(egress, reach.deny), 0, GR_CONFIG_RULES_MAX },
	{ "egress", "ports", PORTS, FIELD(egress, ports), 1, 65535 },
	{ "egress", "networks_refused", NETWORKS, FIELD(egress, networks_refused), 0, GR_CONFIG_NETWORKS_MAX },
	{ "egress", "upstream", ENDPOINT, FIELD(egress, upstream), 0, 0 },
	{ "egress", "upstream_credentials", OPTIONAL_PATH, FIELD(egress, upstream_credentials), 0, 0 },
	LIMITS("limits", LIMIT_FIELD),
	{ "identity", "password", FACTOR, FIELD(identity, password), 0, 0 },
	{ "identity", "code", FACTOR, FIELD(identity, code), 0, 0 },
	{ "identity", "directory", PATH, FIELD(identity, directory), 0, 0 },
	{ "identity", "pam_service", NAME, FIELD(identity, pam_service), 0, 0 },
	{ "identity", "attempts", NUMBER, FIELD(identity, attempts), 1, 100 },
	{ "identity", "lockout_seconds", NUMBER, FIELD(identity, lockout_seconds), 1, 3600 },
	{ "audit", "directory", PATH, FIELD(audit, directory), 0, 0 },
	{ "audit", "signing_key", NAME, FIELD(audit, signing_key), 0, 0 },
	{ "syslog", "server", ENDPOINT, FIELD(syslog, server), 0, 0 },
	{ "syslog", "ca", OPTIONAL_PATH, FIELD(syslog, ca), 0, 0 },
	{ "syslog", "certificate", OPTIONAL_PATH, FIELD(syslog, certificate), 0, 0 },
	{ "syslog", "key", OPTIONAL_PATH, FIELD(syslog, key), 0, 0 },
	{ "syslog", "content", CONTENT, FIELD(syslog, content), 0, 0 },
	{ "syslog", "format", FORMAT, FIELD(syslog, format), 0, 0 },
	{ "timestamp", "url", OPTIONAL_URL, FIELD(timestamp, url), 0, 0 },
	{ "timestamp", "ca", OPTIONAL_PATH, FIELD(timestamp, ca), 0, 0 },
	{ "timestamp", "interval_minutes", NUMBER, FIELD(timestamp, interval_minutes), 1, 10080 },
	{ "recording", "directory", PATH, FIELD(recording, directory), 0, 0 },
	{ "recording", "auditors", OPTIONAL_PATH, FIELD(recording, auditors), 0, 0 },
	{ "recording", "quota_gib", NUMBER, FIELD(recording, quota_gib), 1, 1048576 },
	{ "retention", "records_days", NUMBER, FIELD(retention, records_days), 1, 36500 },
	{ "retention", "egress_days", NUMBER, FIELD(retention, egress_days), 1, 36500 },
	{ "retention", "recordings_days", NUMBER, FIELD(retention, recordings_days), 1, 36500 },
	{ "admin", "administrators", USERS, FIELD(admin, administrators), 0, 64 },
	{ "admin", "auditors", USERS, FIELD(admin, auditors), 0, 64 },
	{ "admin", "two_person", NUMBER, FIELD(admin, two_person), 0, 1 },
	{ "broker", "run_directory", PATH, FIELD(broker, run_directory), 0, 0 },
	{ "broker", "uid_base", NUMBER, FIELD(broker, uid_base), 1000, 0x7fffffffL - 16384L },
	{ "broker", "log_level", LEVEL, FIELD(broker, log_level), 0, 0 },
	{ "group", "persons", PERSONS, GROUP_FIELD(persons), 0, GR_CONFIG_PERSONS_MAX },
	{ "group", "default", VERDICT, GROUP_FIELD(reach.otherwise), 0, 0 },
	{ "group", "allow", RULES, GROUP_FIELD(reach.allow), 0, GR_CONFIG_RULES_MAX },
	{ "group", "deny", RULES, GROUP_FIELD(reach.deny), 0, GR_CONFIG_RULES_MAX },
	LIMITS("group", GROUP_LIMIT_FIELD),
	{ "group", "maximum_sessions", NUMBER, GROUP_FIELD(maximum_sessions), 0, GR_CONTAINERS_MAX },
};
enum { SETTINGS = sizeof(settings) / sizeof(settings[0]) };

const struct setting *gr_config_settings(size_t *count_out)
{
	*count_out = SETTINGS;
	return settings;
}

const char *gr_config_choice(enum value_type type, unsigned value)
{
	return choices[type][value];
}

/* libconfuse's callbacks carry no context of ours; a process loads its configuration from one thread. */
static struct gr_error *load_error;
static const char *load_file;
static void *load_persons; /* tree of all that stand in a group */
static const char *load_person; /* the value looked at last; it is looked at again at the end of its list */

static void __attribute__((format(printf, 2, 0))) keep_first_error(cfg_t *cfg, const char *format, va_list args)
{
	if (!load_error || load_error->code)
		return;
	int n = snprintf(load_error->text, sizeof(load_error->text), "%s:%d: ", load_file, cfg->line);
	if (n > 0 && (size_t)n < sizeof(load_error->text))
		vsnprintf(load_error->text + n, sizeof(load_error->text) - (size_t)n, format, args);
	load_error->code = GR_EINVAL;
}

static int compare_persons(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Keeps a copy of the person's id; what is wrong, or NULL. */
static const char *remember_person(const char *person)
{
	if (person == load_person && tfind(person, &load_persons, compare_persons))
		return NULL;
	load_person = person;
	char *copy = strdup(person);
	char *const *found = copy ? tsearch(copy, &load_persons, compare_persons) : NULL;
	if (found && *found == copy)
		return NULL;
	free(copy);
	return found ? "is in a group already" : "out of memory";
}

/* The number of a name to choose; -1 = it is none. */
static int choice_of(const struct setting *setting, const char *text)
{
	const char *const *names = choices[setting->type];
	for (int i = 0; i < 4 && names[i]; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	return -1;
}

static const char *choice_fault(const struct setting *setting)
{
	static char fault[80];
	const char *const *names = choices[setting->type];
	size_t used = (size_t)snprintf(fault, sizeof(fault), "must be %s", names[0]);
	for (int i = 1; names[i] && used < sizeof(fault); i++)
		used += (size_t)snprintf(fault + used, sizeof(fault) - used, "%s%s", names[i + 1] ? ", " : " or ",
					 names[i]);
	return fault;
}

/* What is wrong with a string for this setting, or NULL. */
static const char *string_fault(const struct setting *setting, const char *text)
{
	struct gr_config_endpoint endpoint;
	struct gr_config_network network;
	enum gr_config_verdict verdict;
	enum gr_log_level level;
	char host[GR_HOST_TEXT + 1];
	uint16_t port;
	switch (setting->type) {
	case OPTIONAL_PATH: return gr_value_path(text, setting->size, 1);
	case PATH: return gr_value_path(text, setting->size, 0);
	case ADDRESS: return gr_value_address(text);
	case OPTIONAL_URL: return *text ? gr_value_url(text, setting->size) : NULL;
	case URL: return gr_value_url(text, setting->size);
	case NAME: return gr_value_name(text, setting->size);
	case RECORDING:
	case FACTOR:
	case CONTENT:
	case FORMAT: return choice_of(setting, text) < 0 ? choice_fault(setting) : NULL;
	case USERS: return gr_value_name(text, GR_PERSON_MAX + 1);
	case ENDPOINT: return gr_value_endpoint(text, &endpoint);
	case VERDICT: return gr_value_verdict(text, &verdict);
	case LEVEL: return gr_value_level(text, &level);
	case RULES: return gr_value_rule(text, host, &port);
	case NETWORKS: return gr_value_network(text, &network);
	case PERSONS: return gr_value_person(text);
	case NUMBER:
	case PORTS: break;
	}
	return NULL;
}

static const struct setting *find_setting(const char *section, const char *key)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (strcmp(settings[i].section, section) == 0 && strcmp(settings[i].key, key) == 0)
			return &settings[i];
	return NULL;
}

/* Called by libconfuse at each value, while the line is known. */
static int check_value(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct setting *setting = find_setting(cfg_name(cfg), cfg_opt_name(opt));
	unsigned last = cfg_opt_size(opt) - 1;
	long most = setting->type == PORTS ? GR_CONFIG_PORTS_MAX : setting->maximum;
	if (setting->type >= RULES && last >= most) {
		cfg_error(cfg, "%s: there can be %ld entries", setting->key, most);
		return -1;
	}
	if (setting->type == NUMBER || setting->type == PORTS) {
		long value = cfg_opt_getnint(opt, last);
		if (value >= setting->minimum && value <= setting->maximum)
			return 0;
		cfg_error(cfg, "%s = %ld: must be %ld to %ld", setting->key, value, setting->minimum, setting->maximum);
		return -1;
	}
	const char *text = cfg_opt_getnstr(opt, last);
	const char *fault = string_fault(setting, text);
	if (!fault && setting->type == PERSONS)
		fault = remember_person(text);
	if (!fault)
		return 0;
	cfg_error(cfg, "%s = \"%s\": %s", setting->key, text, fault);
	return -1;
}

/* At the end of each group. */
static int check_group(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *name = cfg_title(cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1));
	const char *fault = gr_value_group_name(name);
	if (!fault && cfg_opt_size(opt) > GR_CONFIG_GROUPS_MAX)
		fault = "there are too many groups";
	if (!fault)
		return 0;
	cfg_error(cfg, "group \"%s\": %s", name, fault);
	return -1;
}

static void take_number(void *field, size_t size, long value)
{
	uint16_t small = (uint16_t)value;
	uint32_t large = (uint32_t)value;
	if (size == sizeof(small))
		memcpy(field, &small, sizeof(small));
	else
		memcpy(field, &large, sizeof(large));
}

static void free_rules(struct gr_config_rules *rules)
{
	for (unsigned i = 0; i < rules->count; i++)
		free(rules->list[i].host);
	free(rules->list);
	*rules = (struct gr_config_rules){ .list = NULL };
}

static int take_rules(struct gr_config_rules *rules, cfg_opt_t *opt)
{
	free_rules(rules);
	rules->list = calloc(cfg_opt_size(opt), sizeof(*rules->list));
	for (unsigned i = 0; rules->list && i < cfg_opt_size(opt); i++) {
		char host[GR_HOST_TEXT + 1];
		gr_value_rule(cfg_opt_getnstr(opt, i), host, &rules->list[i].port);
		rules->list[i].host = strdup(host);
		if (!rules->list[i].host)
			return GR_ENOMEM;
		rules->count++;
	}
	return rules->list ? 0 : GR_ENOMEM;
}

static int take_networks(struct gr_config_networks *networks, cfg_opt_t *opt)
{
	free(networks->list);
	networks->list = calloc(cfg_opt_size(opt), sizeof(*networks->list));
	networks->count = networks->list ? cfg_opt_size(opt) : 0;
	for (unsigned i = 0; i < networks->count; i++)
		gr_value_network(cfg_opt_getnstr(opt, i), &networks->list[i]);
	return networks->list ? 0 : GR_ENOMEM;
}

static int take_persons(struct gr_config_persons *persons, cfg_opt_t *opt)
{
	free(persons->list);
	persons->list = calloc(cfg_opt_size(opt), sizeof(*persons->list));
	persons->count = persons->list ? cfg_opt_size(opt) : 0;
	for (unsigned i = 0; i < persons->count; i++)
		snprintf(persons->list[i], sizeof(persons->list[i]), "%s", cfg_opt_getnstr(opt, i));
	return persons->list ? 0 : GR_ENOMEM;
}

static void take_ports(struct gr_config_ports *ports, cfg_opt_t *opt)
{
	*ports = (struct gr_config_ports){ .count = cfg_opt_size(opt) };
	for (unsigned i = 0; i < ports->count; i++)
		ports->list[i] = (uint16_t)cfg_opt_getnint(opt, i);
}

/* What was checked at each value, into the fields at base. */
static int take_section(void *base, const char *name, cfg_t *section)
{
	int status = 0;
	for (size_t i = 0; i < SETTINGS && status == 0; i++) {
		const struct setting *setting = &settings[i];
		void *field = (char *)base + setting->offset;
		if (strcmp(setting->section, name) != 0)
			continue;
		cfg_opt_t *opt = cfg_getopt(section, setting->key);
		if (cfg_opt_size(opt) == 0)
			continue;
		switch (setting->type) {
		case NUMBER: take_number(field, setting->size, cfg_opt_getnint(opt, 0)); break;
		case ENDPOINT: gr_value_endpoint(cfg_opt_getnstr(opt, 0), field); break;
		case VERDICT: gr_value_verdict(cfg_opt_getnstr(opt, 0), field); break;
		case LEVEL: gr_value_level(cfg_opt_getnstr(opt, 0), field); break;
		case RULES: status = take_rules(field, opt); break;
		case NETWORKS: status = take_networks(field, opt); break;
		case USERS:
		case PERSONS: status = take_persons(field, opt); break;
		case RECORDING:
		case FACTOR:
		case CONTENT:
		case FORMAT: take_number(field, setting->size, choice_of(setting, cfg_opt_getnstr(opt, 0))); break;
		case PORTS: take_ports(field, opt); break;
		case PATH:
		case OPTIONAL_PATH:
		case ADDRESS:
		case NAME:
		case OPTIONAL_URL:
		case URL: snprintf(field, setting->size, "%s", cfg_opt_getnstr(opt, 0)); break;
		}
	}
	return status;
}

static void free_groups(struct gr_config *config)
{
	for (unsigned g = 0; g < config->group_count; g++) {
		free(config->groups[g].persons.list);
		free_rules(&config->groups[g].reach.allow);
		free_rules(&config->groups[g].reach.deny);
	}
	free(config->groups);
	config->groups = NULL;
	config->group_count = 0;
}

static int take_groups(struct gr_config *config, cfg_t *cfg)
{
	unsigned count = cfg_size(cfg, "group");
	int status = 0;
	if (count == 0)
		return 0;
	free_groups(config);
	config->groups = calloc(count, sizeof(*config->groups));
	if (!config->groups)
		return GR_ENOMEM;
	config->group_count = count;
	for (unsigned g = 0; g < count && status == 0; g++) {
		cfg_t *section = cfg_getnsec(cfg, "group", g);
		config->groups[g].reach.otherwise = GR_CONFIG_UNSET;
		config->groups[g].limits = config->limits;
		snprintf(config->groups[g].name, sizeof(config->groups[g].name), "%s", cfg_title(section));
		status = take_section(&config->groups[g], "group", section);
	}
	return status;
}

static int check_together(const struct gr_config *config, struct gr_error *err)
{
	const char *file = config->file;
	if (config->session.width > config->session.max_width || config->session.height > config->session.max_height)
		return gr_error_set(err, GR_EINVAL,
				    "%s: session: width and height must not be larger than max_width and max_height",
				    file);
	if (config->session.history_mib & (config->session.history_mib - 1))
		return gr_error_set(err, GR_EINVAL, "%s: session: history_mib must be 1, 2, 4, 8, 16 or 32", file);
	if (config->pool.warm > config->pool.maximum)
		return gr_error_set(err, GR_EINVAL, "%s: pool: warm must not be larger than maximum", file);
	if (config->listen.port == config->listen.vencrypt_port)
		return gr_error_set(err, GR_EINVAL, "%s: listen: port and vencrypt_port must differ", file);
	if (config->egress.upstream_credentials[0] && !config->egress.upstream.host[0])
		return gr_error_set(err, GR_EINVAL, "%s: egress: upstream_credentials without upstream", file);
	uint64_t containers = config->pool.uid_first + 65536ull * GR_CONTAINERS_MAX;
	if (config->broker.uid_base < containers && config->broker.uid_base + 16384ull > config->pool.uid_first)
		return gr_error_set(
			err, GR_EINVAL,
			"%s: broker: the user ids from uid_base overlap those of the containers from pool's uid_first",
			file);
	/* The longest path of a socket below it: c/255/io/egress.sock. */
	struct sockaddr_un address;
	if (gr_config_socket(config, "c/255/io/egress.sock", &address))
		return gr_error_set(err, GR_EINVAL, "%s: broker: run_directory is too long for the paths of sockets",
				    file);
	return 0;
}

void gr_config_init(struct gr_config *config)
{
	*config = (struct gr_config){
		.listen = { .address = "127.0.0.1",
			    .port = 5910,
			    .vencrypt_port = 5911,
			    .standard_viewers = GR_CONFIG_DENY,
			    .failures_per_minute = 20 },
		.tls = { .certificate = "/etc/garasu/server.pem",
			 .key = "/etc/garasu/server.key",
			 .client_ca = "/etc/garasu/ca.pem",
			 .client_crl = "/etc/garasu/crl.pem" },
		.session = { .home_url = "https://www.lg.jp/",
			     .width = 1280,
			     .height = 800,
			     .max_width = 3840,
			     .max_height = 2160,
			     .grace_seconds = 60,
			     .history_mib = 16,
			     .strict_guard = 1 },
		.pool = { .images = "/var/lib/garasu/images",
			  .runtime = "/usr/bin/crun",
			  .warm = 1,
			  .maximum = 8,
			  .memory_mib = 1536,
			  .pids = 400,
			  .cpu_percent = 200,
			  .uid_first = 1048576,
			  .start_seconds = 30 },
		.egress = { .ports = { .list = { 80, 443 }, .count = 2 } },
		.limits = { .idle_minutes = 60,
			    .absolute_minutes = 720,
			    .priority = 5,
			    .print_pages = 100,
			    .print_dpi = 200 },
		.identity = { .password = GR_FACTOR_LOCAL,
			      .code = GR_FACTOR_LOCAL,
			      .directory = "/var/lib/garasu/identity",
			      .pam_service = "garasu",
			      .attempts = 5,
			      .lockout_seconds = 30 },
		.audit = { .directory = "/var/lib/garasu/audit", .signing_key = "/etc/garasu/audit.key" },
		.timestamp = { .interval_minutes = 60 },
		.recording = { .directory = "/var/lib/garasu/recordings", .quota_gib = 100 },
		.retention = { .records_days = 1095, .egress_days = 400, .recordings_days = 90 },
		.broker = { .run_directory = "/run/garasu", .uid_base = 900000, .log_level = GR_LOG_INFO },
	};
}

void gr_config_finish(struct gr_config *config)
{
	free_groups(config);
	free_rules(&config->egress.reach.allow);
	free_rules(&config->egress.reach.deny);
	free(config->egress.networks_refused.list);
	free(config->admin.administrators.list);
	free(config->admin.auditors.list);
	config->admin.administrators = config->admin.auditors = (struct gr_config_persons){ .list = NULL };
	config->egress.networks_refused = (struct gr_config_networks){ .list = NULL };
}

const struct gr_config_group *gr_config_group_of(const struct gr_config *config, const char *person)
{
	for (unsigned g = 0; g < config->group_count; g++)
		for (unsigned p = 0; p < config->groups[g].persons.count; p++)
			if (strcmp(config->groups[g].persons.list[p], person) == 0)
				return &config->groups[g];
	return NULL;
}

const struct gr_config_limits *gr_config_limits_of(const struct gr_config *config, const char *person)
{
	const struct gr_config_group *group = gr_config_group_of(config, person);
	return group ? &group->limits : &config->limits;
}

static cfg_opt_t option_of(const struct setting *setting)
{
	char *key = (char *)(uintptr_t)setting->key; /* cfg_init copies it */
	cfg_opt_t option = CFG_STR(key, NULL, CFGF_NODEFAULT);
	if (setting->type == NUMBER)
		option = (cfg_opt_t)CFG_INT(key, 0, CFGF_NODEFAULT);
	else if (setting->type == PORTS)
		option = (cfg_opt_t)CFG_INT_LIST(key, NULL, CFGF_NODEFAULT);
	else if (setting->type >= RULES)
		option = (cfg_opt_t)CFG_STR_LIST(key, NULL, CFGF_NODEFAULT);
	option.validcb = check_value;
	return option;
}

int gr_config_read(struct gr_config *config, FILE *stream, const char *name, struct gr_error *err)
{
	/* The groups stand last. */
	static const char *const sections[] = {
		"listen", "tls",       "session",   "pool",      "egress", "limits", "identity", "audit",
		"syslog", "timestamp", "recording", "retention", "admin",  "broker", "group",
	};
	enum { SECTIONS = sizeof(sections) / sizeof(sections[0]), KEYS_MAX = 16 };
	cfg_opt_t keys[SECTIONS][KEYS_MAX], top[SECTIONS + 1];
	struct gr_error ignored;
	if (!err)
		err = &ignored;
	err->code = 0;

	for (size_t s = 0; s < SECTIONS; s++) {
		size_t n = 0;
		for (size_t i = 0; i < SETTINGS; i++)
			if (strcmp(settings[i].section, sections[s]) == 0)
				keys[s][n++] = option_of(&settings[i]);
		keys[s][n] = (cfg_opt_t)CFG_END();
		int group = s == SECTIONS - 1;
		top[s] = (cfg_opt_t)CFG_SEC((char *)(uintptr_t)sections[s], keys[s],
					    group ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_NONE);
		if (group)
			top[s].validcb = check_group;
	}
	top[SECTIONS] = (cfg_opt_t)CFG_END();

	cfg_t *cfg = cfg_init(top, CFGF_NONE);
	if (!cfg)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	cfg_set_error_function(cfg, keep_first_error);
	load_error = err;
	load_file = name;
	int parsed = cfg_parse_fp(cfg, stream), status = 0;
	load_error = NULL;
	tdestroy(load_persons, free);
	load_persons = NULL;
	load_person = NULL;
	if (parsed != CFG_SUCCESS || ferror(stream)) {
		if (!err->code)
			gr_error_set(err, GR_EIO, "cannot read the configuration %s", name);
	} else if (!err->code) {
		snprintf(config->file, sizeof(config->file), "%s", name);
		for (size_t s = 0; s < SECTIONS - 1 && status == 0; s++)
			status = take_section(config, sections[s], cfg_getsec(cfg, sections[s]));
		if (status == 0)
			status = take_groups(config, cfg);
		if (status == 0)
			check_together(config, err);
		else
			gr_error_set(err, status, "out of memory");
	}
	cfg_free(cfg);
	return err->code;
}

int gr_config_load(struct gr_config *config, const char *file, struct gr_error *err)
{
	if (strlen(file) >= sizeof(config->file))
		return gr_error_set(err, GR_EINVAL, "the configuration's path is too long");
	FILE *stream = fopen(file, "re");
	if (!stream) {
		int missing = errno == ENOENT;
		int status = gr_error_errno(err, "cannot read the configuration %s", file);
		if (missing && err)
			err->code = GR_ENOENT;
		return missing ? GR_ENOENT : status;
	}
	int status = gr_config_read(config, stream, file, err);
	fclose(stream);
	return status;
}

int gr_config_socket(const struct gr_config *config, const char *name, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	int n = snprintf(out->sun_path, sizeof(out->sun_path), "%s/%s", config->broker.run_directory, name);
	return n > 0 && (size_t)n < sizeof(out->sun_path) ? 0 : GR_EINVAL;
}
