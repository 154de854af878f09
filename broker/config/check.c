#include "broker/config/check.h"

#include "broker/audit/signing.h"
#include "broker/config/trust.h"
#include "broker/egress/credentials.h"
#include "broker/recording/seal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct check {
	const struct gr_config *config;
	gr_check_found found;
	void *context;
	unsigned count;
};

/* Whether line, its blanks skipped, begins with word and then, blanks skipped, has mark. */
static int begins(const char *line, const char *word, char mark)
{
	size_t length = strlen(word);

	line += strspn(line, " \t");
	if (strncmp(line, word, length) != 0)
		return 0;
	line += length;
	line += strspn(line, " \t");
	return *line == mark;
}

unsigned gr_check_line(const char *file, const char *section, const char *key)
{
	FILE *stream = fopen(file, "re");
	char line[4096];
	unsigned number = 0, found = 0;
	int inside = 0;

	if (!stream)
		return 0;
	/* Good enough for a pointer to a place: the configuration itself was parsed by its own parser. */
	while (!found && fgets(line, sizeof(line), stream)) {
		const char *body = line;

		number++;
		if (begins(line, section, '{')) {
			inside = 1;
			body = strchr(line, '{') + 1;
		}
		if (inside && begins(body, key, '='))
			found = number;
		if (inside && strchr(body, '}') && !strchr(body, '{'))
			inside = 0;
	}
	fclose(stream);
	return found;
}

static void __attribute__((format(printf, 5, 0)))
tell(struct check *check, int warning, const char *section, const char *key, const char *format, va_list arguments)
{
	char text[1024], line[PATH_MAX + 1280], place[16] = "";
	unsigned number = gr_check_line(check->config->file, section, key);

	vsnprintf(text, sizeof(text), format, arguments);
	if (number)
		snprintf(place, sizeof(place), ":%u", number);
	snprintf(line, sizeof(line), "%s%s: %s%s.%s%s: %s", check->config->file, place, warning ? "warning: " : "",
		 section, key, number ? "" : " (default)", text);
	check->count += !warning;
	check->found(check->context, warning, line);
}

static void __attribute__((format(printf, 4, 5)))
problem(struct check *check, const char *section, const char *key, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	tell(check, 0, section, key, format, arguments);
	va_end(arguments);
}

static void __attribute__((format(printf, 4, 5)))
warning(struct check *check, const char *section, const char *key, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	tell(check, 1, section, key, format, arguments);
	va_end(arguments);
}

static void check_pem(struct check *check, const char *section, const char *key, const char *path, const char *marker,
		      int secret)
{
	char *content = NULL;
	struct stat status;
	FILE *stream;
	size_t size;

	stream = fopen(path, "re");
	if (!stream || fstat(fileno(stream), &status) < 0) {
		problem(check, section, key, "cannot read %s: %s", path, strerror(errno));
		goto out;
	}
	if (!S_ISREG(status.st_mode)) {
		problem(check, section, key, "%s is not a file", path);
		goto out;
	}
	if (secret && (status.st_mode & 077))
		problem(check, section, key, "%s can be read by others (mode %04o): chmod 600 %s", path,
			(unsigned)(status.st_mode & 07777), path);
	content = calloc(1, 1 << 20);
	size = content ? fread(content, 1, (1 << 20) - 1, stream) : 0;
	if (content && !memmem(content, size, marker, strlen(marker)))
		problem(check, section, key, "%s holds no PEM block that has \"%s\"", path, marker);
out:
	if (content)
		explicit_bzero(content, 1 << 20);
	free(content);
	if (stream)
		fclose(stream);
}

/* The folder is there, or its parent is, so that it can be made. */
static void check_directory(struct check *check, const char *section, const char *key, const char *path)
{
	char parent[PATH_MAX];
	struct stat status;
	char *slash;

	if (stat(path, &status) == 0) {
		if (!S_ISDIR(status.st_mode))
			problem(check, section, key, "%s is not a folder", path);
		return;
	}
	if (errno != ENOENT) {
		problem(check, section, key, "cannot look at %s: %s", path, strerror(errno));
		return;
	}
	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (slash)
		*slash = '\0';
	if (stat(parent[0] ? parent : "/", &status) < 0 || !S_ISDIR(status.st_mode))
		problem(check, section, key, "%s cannot be made: the folder %s is not there", path, parent);
}

static void check_pool(struct check *check)
{
	const struct gr_config *config = check->config;
	char current[PATH_MAX + 16];
	struct stat status;

	if (access(config->pool.runtime, X_OK) < 0)
		problem(check, "pool", "runtime", "cannot run %s: %s", config->pool.runtime, strerror(errno));
	snprintf(current, sizeof(current), "%s/current", config->pool.images);
	if (stat(current, &status) < 0)
		problem(check, "pool", "images", "no image: %s: %s (sandbox/image/build makes one)", current,
			strerror(errno));
	else if (!S_ISDIR(status.st_mode))
		problem(check, "pool", "images", "%s is not a folder", current);
}

/* With the same functions that read them later. */
static void check_egress_credentials(struct check *check)
{
	char header[GR_CREDENTIALS_HEADER];
	struct gr_error err;

	if (gr_credentials_read(check->config->egress.upstream_credentials, header, &err) != 0)
		problem(check, "egress", "upstream_credentials", "%s", err.text);
	explicit_bzero(header, sizeof(header));
}

static void check_trusted_ca(struct check *check)
{
	char **list = NULL;
	struct gr_error err;

	if (gr_trust_load(check->config->session.trusted_ca, &list, &err) != 0)
		problem(check, "session", "trusted_ca", "%s", err.text);
	gr_trust_free(list);
}

/* ---- what came with identity, policy and record ---- */

static void check_identity(struct check *check)
{
	const struct gr_config *config = check->config;
	char service[sizeof(config->identity.pam_service) + 16];
	struct stat status;

	if (config->identity.password == GR_FACTOR_PAM || config->identity.code == GR_FACTOR_PAM) {
		snprintf(service, sizeof(service), "/etc/pam.d/%s", config->identity.pam_service);
		if (access(service, R_OK) < 0)
			problem(check, "identity", "pam_service", "cannot read %s: %s", service, strerror(errno));
	}
	if (stat(config->identity.directory, &status) == 0 && !S_ISDIR(status.st_mode))
		problem(check, "identity", "directory", "%s is not a folder", config->identity.directory);
	if (config->identity.password == GR_FACTOR_NONE)
		warning(check, "identity", "password",
			"no password is asked for: who has a person's key is that person");
	if (config->identity.code == GR_FACTOR_NONE)
		warning(check, "identity", "code",
			"no one-time code is asked for: there is no second thing that a thief would need");
}

static void check_record(struct check *check)
{
	const struct gr_config *config = check->config;
	struct gr_error err;
	EVP_PKEY *key;

	if (gr_audit_key_load(config->audit.signing_key, &key, &err) != 0)
		problem(check, "audit", "signing_key", "%s", err.text);
	else
		EVP_PKEY_free(key);
	if (config->syslog.server.host[0] && !config->syslog.ca[0])
		problem(check, "syslog", "ca", "a server without the CA that its certificate must come from");
	if (config->syslog.ca[0])
		check_pem(check, "syslog", "ca", config->syslog.ca, "BEGIN CERTIFICATE", 0);
	if (config->syslog.certificate[0])
		check_pem(check, "syslog", "certificate", config->syslog.certificate, "BEGIN CERTIFICATE", 0);
	if (config->syslog.key[0])
		check_pem(check, "syslog", "key", config->syslog.key, "PRIVATE KEY", 1);
	if (!config->syslog.certificate[0] != !config->syslog.key[0])
		problem(check, "syslog", config->syslog.key[0] ? "certificate" : "key",
			"a certificate and its key go together");
	if (config->timestamp.url[0] && !config->timestamp.ca[0])
		problem(check, "timestamp", "ca", "a server without the CA that its certificate must come from");
	if (config->timestamp.ca[0])
		check_pem(check, "timestamp", "ca", config->timestamp.ca, "BEGIN CERTIFICATE", 0);
}

/* section: "limits", or a group's; a group's key that is not set there is told with "limits". */
static void check_limits(struct check *check, const char *section, const struct gr_config_limits *limits)
{
	const struct gr_config *config = check->config;
	int group = limits != &config->limits;

	if (limits->recording != GR_RECORDING_NONE && !config->recording.auditors[0] &&
	    (!group || gr_check_line(config->file, section, "recording")))
		problem(check, section, "recording",
			"sessions are to be recorded, but for nobody to see: recording.auditors is empty");
}

static void check_all_limits(struct check *check)
{
	const struct gr_config *config = check->config;
	char section[GR_CONFIG_GROUP_NAME_MAX + 16];
	int recorded = config->limits.recording != GR_RECORDING_NONE;
	struct gr_recording_auditors *auditors = NULL;
	struct gr_error err;

	check_limits(check, "limits", &config->limits);
	for (unsigned g = 0; g < config->group_count; g++) {
		snprintf(section, sizeof(section), "group \"%s\"", config->groups[g].name);
		check_limits(check, section, &config->groups[g].limits);
		recorded |= config->groups[g].limits.recording != GR_RECORDING_NONE;
	}
	if (config->recording.auditors[0] &&
	    gr_recording_auditors_load(config->recording.auditors, &auditors, &err) != 0)
		problem(check, "recording", "auditors", "%s", err.text);
	gr_recording_auditors_destroy(auditors);
	if (recorded)
		check_directory(check, "recording", "directory", config->recording.directory);
}

static int has_person(const struct gr_config_persons *persons, const char *name)
{
	for (unsigned i = 0; i < persons->count; i++)
		if (strcmp(persons->list[i], name) == 0)
			return 1;
	return 0;
}

static void check_users(struct check *check, const char *key, const struct gr_config_persons *persons)
{
	for (unsigned i = 0; i < persons->count; i++)
		if (!getpwnam(persons->list[i]))
			problem(check, "admin", key, "this machine has no user \"%s\"", persons->list[i]);
}

static void check_admin(struct check *check)
{
	const struct gr_config *config = check->config;

	check_users(check, "administrators", &config->admin.administrators);
	check_users(check, "auditors", &config->admin.auditors);
	for (unsigned i = 0; i < config->admin.auditors.count; i++) {
		const char *name = config->admin.auditors.list[i];
		const struct passwd *user = getpwnam(name);

		if (has_person(&config->admin.administrators, name))
			problem(check, "admin", "auditors", "\"%s\" is an administrator: nobody can be both", name);
		else if (user && user->pw_uid == 0)
			problem(check, "admin", "auditors", "\"%s\" is an administrator always: nobody can be both",
				name);
	}
	if (config->admin.two_person && config->admin.administrators.count < 2)
		warning(check, "admin", "two_person",
			"there are fewer than two administrators (admin.administrators): nobody but root could "
			"approve");
}

unsigned gr_check(const struct gr_config *config, gr_check_found found, void *context)
{
	struct check check = { config, found, context, 0 };
	struct sockaddr_un socket_path;
	unsigned char address[16];

	if (inet_pton(AF_INET, config->listen.address, address) != 1 &&
	    inet_pton(AF_INET6, config->listen.address, address) != 1)
		problem(&check, "listen", "address", "\"%s\" is not a numeric address", config->listen.address);
	check_pem(&check, "tls", "certificate", config->tls.certificate, "BEGIN CERTIFICATE", 0);
	check_pem(&check, "tls", "key", config->tls.key, "PRIVATE KEY", 1);
	check_pem(&check, "tls", "client_ca", config->tls.client_ca, "BEGIN CERTIFICATE", 0);
	if (config->tls.client_crl[0])
		check_pem(&check, "tls", "client_crl", config->tls.client_crl, "BEGIN X509 CRL", 0);
	if (config->session.trusted_ca[0])
		check_trusted_ca(&check);
	if (config->egress.upstream_credentials[0])
		check_egress_credentials(&check);
	check_pool(&check);
	check_identity(&check);
	check_record(&check);
	check_all_limits(&check);
	check_admin(&check);
	check_directory(&check, "audit", "directory", config->audit.directory);
	check_directory(&check, "broker", "run_directory", config->broker.run_directory);
	if (gr_config_socket(config, "admin.sock", &socket_path) < 0)
		problem(&check, "broker", "run_directory", "%s is too long for a socket's path",
			config->broker.run_directory);
	return check.count;
}
