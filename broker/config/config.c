#include "broker/config/config.h"

#include <arpa/inet.h>
#include <confuse.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum value_type { PATH, OPTIONAL_PATH, ADDRESS, URL, UPSTREAM, ALLOW, VERDICT, LEVEL, NUMBER };

struct setting {
	const char *section, *key;
	enum value_type type;
	size_t offset, size; /* of the field in struct gr_config */
	long minimum, maximum; /* NUMBER */
};

#define FIELD(section, key) offsetof(struct gr_config, section.key), sizeof(((struct gr_config *)NULL)->section.key)

static const struct setting settings[] = {
	{ "listen", "address", ADDRESS, FIELD(listen, address), 0, 0 },
	{ "listen", "port", NUMBER, FIELD(listen, port), 1, 65535 },
	{ "listen", "vencrypt_port", NUMBER, FIELD(listen, vencrypt_port), 0, 65535 },
	{ "listen", "standard_viewers", VERDICT, FIELD(listen, standard_deny), 0, 0 },
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
	{ "pool", "images", PATH, FIELD(pool, images), 0, 0 },
	{ "pool", "runtime", PATH, FIELD(pool, runtime), 0, 0 },
	{ "pool", "warm", NUMBER, FIELD(pool, warm), 1, GR_CONTAINERS_MAX },
	{ "pool", "maximum", NUMBER, FIELD(pool, maximum), 1, GR_CONTAINERS_MAX },
	{ "pool", "memory_mib", NUMBER, FIELD(pool, memory_mib), 256, 65536 },
	{ "pool", "pids", NUMBER, FIELD(pool, pids), 64, 32768 },
	{ "pool", "cpu_percent", NUMBER, FIELD(pool, cpu_percent), 10, 25600 },
	{ "pool", "uid_first", NUMBER, FIELD(pool, uid_first), 65536, 0x7fffffffL - 65536L * GR_CONTAINERS_MAX },
	{ "pool", "start_seconds", NUMBER, FIELD(pool, start_seconds), 1, 600 },
	{ "egress", "upstream", UPSTREAM, FIELD(egress, upstream), 0, 0 },
	{ "egress", "allow", ALLOW, FIELD(egress, allow), 0, 0 },
	{ "egress", "default", VERDICT, FIELD(egress, default_deny), 0, 0 },
	{ "audit", "directory", PATH, FIELD(audit, directory), 0, 0 },
	{ "broker", "run_directory", PATH, FIELD(broker, run_directory), 0, 0 },
	{ "broker", "uid_base", NUMBER, FIELD(broker, uid_base), 1000, 0x7fffffffL - 16384L },
	{ "broker", "log_level", LEVEL, FIELD(broker, log_level), 0, 0 },
};
enum { SETTINGS = sizeof(settings) / sizeof(settings[0]) };

/* libconfuse's callbacks carry no context of ours; a process loads its configuration from one thread. */
static struct gr_error *load_error;
static const char *load_file;

static void __attribute__((format(printf, 2, 0))) keep_first_error(cfg_t *cfg, const char *format, va_list args)
{
	if (!load_error || load_error->code)
		return;
	int n = snprintf(load_error->text, sizeof(load_error->text), "%s:%d: ", load_file, cfg->line);
	if (n > 0 && (size_t)n < sizeof(load_error->text))
		vsnprintf(load_error->text + n, sizeof(load_error->text) - (size_t)n, format, args);
	load_error->code = GR_EINVAL;
}

static int parse_endpoint(const char *text, struct gr_config_endpoint *out)
{
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	const char *host = text;
	if (length >= 2 && text[0] == '[' && text[length - 1] == ']') { /* [IPv6]:port */
		host++;
		length -= 2;
	} else if (colon && memchr(text, ':', length)) {
		return GR_EINVAL;
	}
	if (length == 0 || length >= sizeof(out->host))
		return GR_EINVAL;
	for (size_t i = 0; i < length; i++)
		if (host[i] <= ' ' || host[i] == '/' || host[i] == 0x7f)
			return GR_EINVAL;
	char *end;
	errno = 0;
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (colon[1] < '0' || colon[1] > '9' || *end || errno || port < 1 || port > 65535)
		return GR_EINVAL;
	memcpy(out->host, host, length);
	out->host[length] = '\0';
	out->port = (uint16_t)port;
	return 0;
}

static int parse_level(const char *text, enum gr_log_level *out)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	for (unsigned i = 0; i < 4; i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = (enum gr_log_level)i;
			return 0;
		}
	}
	return GR_EINVAL;
}

static int parse_verdict(const char *text, int *deny)
{
	*deny = strcmp(text, "deny") == 0;
	return *deny || strcmp(text, "permit") == 0 ? 0 : GR_EINVAL;
}

static int is_url(const char *text)
{
	size_t scheme = strncmp(text, "http://", 7) == 0 ? 7 : strncmp(text, "https://", 8) == 0 ? 8 : 0;
	if (!scheme || !text[scheme])
		return 0;
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || *p == '"' || *p == '\\')
			return 0;
	return 1;
}

static int is_address(const char *text)
{
	struct in6_addr address;
	return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

/* What is wrong with a string for this setting, or NULL. */
static const char *string_fault(const struct setting *setting, const char *text)
{
	struct gr_config_endpoint endpoint;
	enum gr_log_level level;
	int deny;
	switch (setting->type) {
	case OPTIONAL_PATH:
		if (!*text)
			return NULL;
		/* fall through */
	case PATH:
		return text[0] != '/'                  ? "must be an absolute path"
		       : strlen(text) >= setting->size ? "is too long"
						       : NULL;
	case ADDRESS: return is_address(text) ? NULL : "must be a numeric IPv4 or IPv6 address";
	case URL:
		return strlen(text) >= setting->size ? "is too long"
		       : is_url(text)                ? NULL
						     : "must be an http: or https: URL without spaces";
	case UPSTREAM:
		if (!*text)
			return NULL;
		/* fall through */
	case ALLOW: return parse_endpoint(text, &endpoint) ? "must be host:port" : NULL;
	case VERDICT: return parse_verdict(text, &deny) ? "must be permit or deny" : NULL;
	case LEVEL: return parse_level(text, &level) ? "must be error, warning, info or debug" : NULL;
	default: return NULL;
	}
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
	if (setting->type == NUMBER) {
		long value = cfg_opt_getnint(opt, last);
		if (value >= setting->minimum && value <= setting->maximum)
			return 0;
		cfg_error(cfg, "%s = %ld: must be %ld to %ld", setting->key, value, setting->minimum, setting->maximum);
		return -1;
	}
	const char *text = cfg_opt_getnstr(opt, last);
	const char *fault = string_fault(setting, text);
	if (!fault && setting->type == ALLOW && last >= GR_CONFIG_ALLOW_MAX)
		fault = "has too many entries";
	if (!fault)
		return 0;
	cfg_error(cfg, "%s = \"%s\": %s", setting->key, text, fault);
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

static void take_values(struct gr_config *config, cfg_t *cfg)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *setting = &settings[i];
		cfg_opt_t *opt = cfg_getopt(cfg_getsec(cfg, setting->section), setting->key);
		void *field = (char *)config + setting->offset;
		if (cfg_opt_size(opt) == 0)
			continue;
		switch (setting->type) {
		case NUMBER: take_number(field, setting->size, cfg_opt_getnint(opt, 0)); break;
		case UPSTREAM:
			memset(&config->egress.upstream, 0, sizeof(config->egress.upstream));
			parse_endpoint(cfg_opt_getnstr(opt, 0), &config->egress.upstream);
			break;
		case ALLOW:
			config->egress.allow_count = cfg_opt_size(opt);
			for (unsigned n = 0; n < config->egress.allow_count; n++)
				parse_endpoint(cfg_opt_getnstr(opt, n), &config->egress.allow[n]);
			break;
		case VERDICT: parse_verdict(cfg_opt_getnstr(opt, 0), field); break;
		case LEVEL: parse_level(cfg_opt_getnstr(opt, 0), &config->broker.log_level); break;
		default: snprintf(field, setting->size, "%s", cfg_opt_getnstr(opt, 0));
		}
	}
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
			    .standard_deny = 1,
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
			     .history_mib = 16 },
		.pool = { .images = "/var/lib/garasu/images",
			  .runtime = "/usr/bin/crun",
			  .warm = 1,
			  .maximum = 8,
			  .memory_mib = 1536,
			  .pids = 400,
			  .cpu_percent = 200,
			  .uid_first = 1048576,
			  .start_seconds = 30 },
		.audit = { .directory = "/var/lib/garasu/audit" },
		.broker = { .run_directory = "/run/garasu", .uid_base = 900000, .log_level = GR_LOG_INFO },
	};
}

int gr_config_load(struct gr_config *config, const char *file, struct gr_error *err)
{
	static const char *const sections[] = { "listen", "tls", "session", "pool", "egress", "audit", "broker" };
	enum { SECTIONS = sizeof(sections) / sizeof(sections[0]), KEYS_MAX = 16 };
	cfg_opt_t keys[SECTIONS][KEYS_MAX], top[SECTIONS + 1];
	struct gr_error ignored;
	if (!err)
		err = &ignored;
	err->code = 0;

	if (strlen(file) >= sizeof(config->file))
		return gr_error_set(err, GR_EINVAL, "the configuration's path is too long");
	if (access(file, R_OK) < 0) {
		int missing = errno == ENOENT;
		gr_error_errno(err, "cannot read the configuration %s", file);
		return err->code = missing ? GR_ENOENT : GR_EIO;
	}

	for (size_t s = 0; s < SECTIONS; s++) {
		size_t n = 0;
		for (size_t i = 0; i < SETTINGS; i++) {
			if (strcmp(settings[i].section, sections[s]) != 0)
				continue;
			char *key = (char *)(uintptr_t)settings[i].key; /* cfg_init copies it */
			if (settings[i].type == NUMBER)
				keys[s][n] = (cfg_opt_t)CFG_INT(key, 0, CFGF_NODEFAULT);
			else if (settings[i].type == ALLOW)
				keys[s][n] = (cfg_opt_t)CFG_STR_LIST(key, NULL, CFGF_NODEFAULT);
			else
				keys[s][n] = (cfg_opt_t)CFG_STR(key, NULL, CFGF_NODEFAULT);
			keys[s][n++].validcb = check_value;
		}
		keys[s][n] = (cfg_opt_t)CFG_END();
		top[s] = (cfg_opt_t)CFG_SEC((char *)(uintptr_t)sections[s], keys[s], CFGF_NONE);
	}
	top[SECTIONS] = (cfg_opt_t)CFG_END();

	cfg_t *cfg = cfg_init(top, CFGF_NONE);
	if (!cfg)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	cfg_set_error_function(cfg, keep_first_error);
	load_error = err;
	load_file = file;
	int parsed = cfg_parse(cfg, file);
	load_error = NULL;
	if (parsed == CFG_SUCCESS && !err->code) {
		snprintf(config->file, sizeof(config->file), "%s", file);
		take_values(config, cfg);
		check_together(config, err);
	} else if (!err->code) {
		gr_error_set(err, GR_EIO, "cannot read the configuration %s", file);
	}
	cfg_free(cfg);
	return err->code;
}

int gr_config_socket(const struct gr_config *config, const char *name, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	int n = snprintf(out->sun_path, sizeof(out->sun_path), "%s/%s", config->broker.run_directory, name);
	return n > 0 && (size_t)n < sizeof(out->sun_path) ? 0 : GR_EINVAL;
}
