/*
 * The broker's one configuration file, in libconfuse's form: section { key = value }, strings in double quotes, "#"
 * comments; broker/config/garasu.conf holds every key with its default. Each process reads it itself before it gives
 * up its files.
 */
#ifndef GARASU_BROKER_CONFIG_H
#define GARASU_BROKER_CONFIG_H

#include "broker/config/host.h"
#include "common/error.h"
#include "common/limits.h"
#include "common/log.h"

#include <limits.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/un.h>

#define GR_CONFIG_DEFAULT_FILE "/etc/garasu/garasu.conf"
#define GR_CONFIG_GROUP_NAME_MAX 96 /* bytes */
/* Entries of one list in the file. */
#define GR_CONFIG_RULES_MAX 4096
#define GR_CONFIG_PERSONS_MAX 4096
#define GR_CONFIG_NETWORKS_MAX 256
#define GR_CONFIG_PORTS_MAX 16
#define GR_CONFIG_GROUPS_MAX 256
#define GR_CONFIG_PRIORITY_MAX 9

struct gr_config_endpoint {
	char host[GR_HOST_TEXT]; /* a name or an address, as gr_host_normal gives it */
	uint16_t port;
};

/* An entry of allow or deny. */
struct gr_config_rule {
	char *host; /* as gr_host_normal gives it; ".name" = that name and every name below it. Owned */
	uint16_t port; /* 0 = whatever port */
};

struct gr_config_rules {
	struct gr_config_rule *list; /* owned, as all lists here */
	unsigned count;
};

enum gr_config_verdict {
	GR_CONFIG_PERMIT = 0,
	GR_CONFIG_DENY = 1,
	GR_CONFIG_UNSET = 2, /* a group's: as for everybody */
};

/* What of the internet may be reached; broker/egress/rules.h tells the order in which it counts. */
struct gr_config_reach {
	enum gr_config_verdict otherwise; /* key "default" */
	struct gr_config_rules allow, deny;
};

struct gr_config_ports {
	uint16_t list[GR_CONFIG_PORTS_MAX];
	unsigned count;
};

struct gr_config_network {
	int family; /* AF_INET, AF_INET6 */
	unsigned bits; /* of the prefix; those behind it are 0 */
	uint8_t bytes[16];
};

struct gr_config_networks {
	struct gr_config_network *list;
	unsigned count;
};

struct gr_config_persons {
	char (*list)[GR_PERSON_MAX + 1];
	unsigned count;
};

/* What is cut short so that it can be chosen by name in the file; the order is that of the names in config.c. */
enum gr_config_recording { GR_RECORDING_NONE, GR_RECORDING_ON, GR_RECORDING_REQUIRED };
enum gr_config_factor { GR_FACTOR_NONE, GR_FACTOR_LOCAL, GR_FACTOR_PAM };
enum gr_config_content { GR_CONTENT_HEADS, GR_CONTENT_ALL };
enum gr_config_format { GR_FORMAT_RFC5424, GR_FORMAT_CEF };

/* What a person's sessions may do and use: section limits for everybody, the same keys of a group in their place. */
struct gr_config_limits {
	unsigned clipboard_up, clipboard_down; /* bytes of one text towards and from the internet; 0 = none */
	unsigned print_pages; /* of one document that may be printed or saved as images; 0 = none */
	unsigned print_dpi; /* 150..300 */
	unsigned idle_minutes; /* without key or pointer, until the session ends; 0 = never */
	unsigned absolute_minutes; /* of a session's whole life; 0 = never */
	enum gr_config_recording recording;
	unsigned watermark; /* 1: the viewer writes the person and the time over the picture */
	unsigned bandwidth_kbit; /* per second towards the viewer; 0 = as the link gives */
	unsigned priority; /* 0..9; when every container is taken a higher one may take the place of a lower one */
};

/* group "NAME" { … } */
struct gr_config_group {
	char name[GR_CONFIG_GROUP_NAME_MAX + 1]; /* UTF-8 */
	struct gr_config_persons persons; /* each is in one group at most */
	struct gr_config_reach reach; /* keys default, allow, deny */
	struct gr_config_limits limits; /* those of section limits where the group says nothing */
	unsigned maximum_sessions; /* of the group's persons together; 0 = no bound of its own */
};

struct gr_config {
	char file[PATH_MAX]; /* where it was read from */

	struct { /* section listen */
		char address[64]; /* numeric IPv4 or IPv6 address */
		uint16_t port; /* TLS from the first byte */
		uint16_t vencrypt_port; /* VeNCrypt X509None; 0 = not offered */
		enum gr_config_verdict standard_viewers; /* DENY: those of other makes; no vencrypt_port then */
		uint32_t
			failures_per_minute; /* of one address, until it is not served for a while; 0 = always served */
	} listen;

	struct { /* section tls */
		char certificate[PATH_MAX]; /* PEM: the server's certificate, then the issuing CA's */
		char key[PATH_MAX]; /* PEM, P-256, mode 0600 or stricter */
		char client_ca[PATH_MAX]; /* PEM: whom persons' certificates must chain to */
		char client_crl[PATH_MAX]; /* PEM; "" = revocation is not checked */
	} tls;

	struct { /* section session */
		char home_url[GR_URL_MAX]; /* http: or https: */
		uint16_t width, height; /* of the screen until the viewer says otherwise */
		uint16_t max_width, max_height;
		unsigned grace_seconds; /* how long a session waits for its viewer to come back */
		unsigned history_mib; /* of what the viewer was shown, kept at both ends: 1, 2, 4, 8, 16 or 32 */
		char trusted_ca[PATH_MAX]; /* PEM: CAs that the browser trusts besides its own; "" = none */
		unsigned strict_guard; /* 1: what goes to a viewer is unpacked on its way (gr_guard_settings) */
	} session;

	struct { /* section pool */
		char images[PATH_MAX]; /* folder that sandbox/image/build filled */
		char runtime[PATH_MAX]; /* the OCI runtime's program */
		unsigned warm; /* containers kept ready: 1..maximum */
		unsigned maximum; /* containers in all, warm ones included: 1..GR_CONTAINERS_MAX */
		unsigned memory_mib, pids; /* limits of one container */
		unsigned cpu_percent; /* of one core: 100 = one core */
		uint32_t uid_first; /* container n has the 65536 uids from uid_first + n * 65536 */
		unsigned start_seconds; /* a container not ready after this long is given up */
	} pool;

	struct { /* section egress */
		struct gr_config_endpoint upstream; /* an HTTP proxy; host "" = connect directly */
		char upstream_credentials[PATH_MAX]; /* "user:password" for it, mode 0600; "" = none */
		struct gr_config_reach reach; /* keys default, allow, deny; for everybody */
		struct gr_config_ports ports; /* that may be asked for */
		struct gr_config_networks networks_refused; /* never reached, whatever allow says */
	} egress;

	struct gr_config_limits limits; /* section limits */

	struct { /* section identity */
		enum gr_config_factor password; /* who checks it; NONE: the certificate is enough */
		enum gr_config_factor code; /* the one-time code; NONE: there is none */
		char directory[PATH_MAX]; /* of users.db */
		char pam_service[64];
		unsigned attempts; /* wrong ones, until a person is locked out */
		unsigned lockout_seconds; /* the first time; twice as long each time, up to an hour */
	} identity;

	struct { /* section audit */
		char directory[PATH_MAX];
		char signing_key[PATH_MAX]; /* Ed25519, PEM, mode 0600 */
	} audit;

	struct { /* section syslog */
		struct gr_config_endpoint server; /* RFC 5425; host "" = none */
		char ca[PATH_MAX]; /* PEM: whom the server's certificate must chain to */
		char certificate[PATH_MAX], key[PATH_MAX]; /* PEM: ours; "" = none */
		enum gr_config_content content;
		enum gr_config_format format;
	} syslog;

	struct { /* section timestamp */
		char url[GR_URL_MAX]; /* http: or https: of an RFC 3161 server; "" = none */
		char ca[PATH_MAX]; /* PEM: whom its signing certificate must chain to */
		unsigned interval_minutes;
	} timestamp;

	struct { /* section recording */
		char directory[PATH_MAX];
		char auditors[PATH_MAX]; /* PEM: the certificates that recordings are encrypted to */
		unsigned quota_gib;
	} recording;

	struct { /* section retention: nothing younger is ever removed */
		unsigned records_days, egress_days, recordings_days;
	} retention;

	struct
	{ /* section admin: names of this machine's users, as the local socket knows them. root is an administrator */
		struct gr_config_persons administrators, auditors;
		unsigned two_person; /* 1: a change of policy waits for a second administrator */
	} admin;

	struct { /* section broker */
		char run_directory
			[PATH_MAX]; /* sockets, bundles, the runtime's state; must be short enough for a socket's path */
		uint32_t
			uid_base; /* the broker's processes use the uids from here: 0..31 one per kind, from 4096 on one per
				      connection, from 8192 on one per session */
		enum gr_log_level log_level;
	} broker;

	struct gr_config_group *groups;
	unsigned group_count;
};

/* The fixed uids above broker.uid_base. */
enum gr_config_uid {
	GR_UID_KEYS = 1,
	GR_UID_IDENTITY = 2,
	GR_UID_EGRESS = 3,
	GR_UID_AUDIT = 4,
	GR_UID_ADMIN = 5,
	GR_UID_CONTAINER_LOG = 6, /* broker/pool/relay.h */
	GR_UID_FORWARD = 7,
	GR_UID_GATEWAYS = 4096, /* + connection number % GR_CONNECTIONS_MAX */
	GR_UID_SESSIONS = 8192, /* + container slot */
};

/* The defaults. */
void gr_config_init(struct gr_config *config);

/*
 * Reads file over the defaults. GR_EINVAL with "file:line: reason" for a wrong line, an unknown section or key,
 * or values that do not go together; GR_ENOENT, GR_EIO when the file cannot be read.
 */
int gr_config_load(struct gr_config *config, const char *file, struct gr_error *err);
/* The same of an open stream, which stays the caller's; name stands for it in errors. */
int gr_config_read(struct gr_config *config, FILE *stream, const char *name, struct gr_error *err);

/* Frees the lists; a process that ends need not. */
void gr_config_finish(struct gr_config *config);

/* The person's group (borrowed), or NULL. */
const struct gr_config_group *gr_config_group_of(const struct gr_config *config, const char *person);

/* The limits that hold for the person (borrowed): the group's, or everybody's. */
const struct gr_config_limits *gr_config_limits_of(const struct gr_config *config, const char *person);

/* Fills a control socket's path: run_directory/NAME. GR_EINVAL when it does not fit. */
int gr_config_socket(const struct gr_config *config, const char *name, struct sockaddr_un *out);

#endif
