/* garasuctl: what administrators and auditors ask a running broker, for people and (--json) for programs. */
#include "broker/admin/admin.h"
#include "broker/admin/show.h"
#include "broker/admin/table.h"
#include "broker/admin/user.h"
#include "broker/config/config.h"
#include "broker/ipc/ipc.h"
#include "common/io.h"
#include "common/log.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MS 10000

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_NOT_RUNNING = 3 };

static const char usage[] =
	"usage: garasuctl [--config FILE | --socket PATH] [--json] COMMAND\n"
	"  status                       how the broker is, and who is cut off\n"
	"  sessions                     who has a session\n"
	"  kill SESSION|PERSON [--reason TEXT]\n"
	"                               ends a session, given by its 16 hexadecimal digits, or a person's session\n"
	"  cutoff [--group NAME] --reason TEXT\n"
	"                               emergency: ends all sessions (of the group) and lets nobody (of it) in\n"
	"  restore [--group NAME] --reason TEXT\n"
	"                               takes that back\n"
	"  check [FILE]                 what is wrong or risky with a configuration; asks no broker\n"
	"  reload --reason TEXT         the changed configuration counts from now on, or is proposed\n"
	"  pending                      the change that waits for a second administrator\n"
	"  approve CHANGE --reason TEXT, reject CHANGE --reason TEXT\n"
	"                               says yes or no to it\n"
	"  prune egress|records|recordings --reason TEXT\n"
	"                               removes what is past its time; an auditor's\n"
	"  user add PERSON --reason TEXT\n"
	"                               a person of users.db; its password is made and shown once\n"
	"  user password|code|recovery PERSON --reason TEXT\n"
	"                               a new password, a new secret for one-time codes, ten new recovery codes: shown "
	"once\n"
	"  user unlock|remove PERSON --reason TEXT\n"
	"                               forgets the wrong tries; removes the person\n"
	"  user list                    who is in it, and who has wrong tries\n"
	"  --config FILE     the broker's configuration, which says where its socket is (" GR_CONFIG_DEFAULT_FILE ")\n"
	"  --socket PATH     the broker's admin socket itself\n"
	"  --json            answers for programs\n"
	"exit status: 0 done, 1 refused or not found, 2 wrong command line, 3 the broker is not running\n";

static int wrong(const char *what)
{
	fprintf(stderr, "garasuctl: %s\n%s", what, usage);
	return EXIT_USAGE;
}

static int find_socket(const char *config_file, const char *path, struct sockaddr_un *out)
{
	static struct gr_config config;
	struct gr_error err;
	int rc;

	if (path) {
		memset(out, 0, sizeof(*out));
		out->sun_family = AF_UNIX;
		if (strlen(path) >= sizeof(out->sun_path))
			return wrong("the socket's path is too long");
		memcpy(out->sun_path, path, strlen(path));
		return 0;
	}
	gr_config_init(&config);
	rc = gr_config_load(&config, config_file ? config_file : GR_CONFIG_DEFAULT_FILE, &err);
	if (rc < 0 && config_file) {
		fprintf(stderr, "garasuctl: %s\nName the broker's socket with --socket instead.\n", err.text);
		return EXIT_USAGE;
	}
	if (rc < 0) {
		/* In an emergency somebody's half-done change must not stand in the way. */
		if (rc != GR_ENOENT)
			fprintf(stderr, "garasuctl: %s\n", err.text);
		gr_config_init(&config);
	}
	if (gr_config_socket(&config, GR_ADMIN_SOCKET, out) < 0)
		return wrong("broker.run_directory is too long for a socket's path");
	return 0;
}

/* 0 with the socket, or an exit status. */
static int reach_broker(const struct sockaddr_un *address, int *sock_out)
{
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (sock >= 0 && connect(sock, (const struct sockaddr *)address, sizeof(*address)) == 0) {
		*sock_out = sock;
		return 0;
	}
	if (errno == ENOENT || errno == ECONNREFUSED) {
		fprintf(stderr,
			"garasuctl: the broker is not running: nobody answers at %s\n"
			"Start it with garasu-broker, or name its configuration with --config FILE.\n",
			address->sun_path);
		gr_io_close(&sock);
		return EXIT_NOT_RUNNING;
	}
	fprintf(stderr, "garasuctl: %s: %s%s\n", address->sun_path, strerror(errno),
		errno == EACCES ? ": only administrators and auditors may ask" : "");
	gr_io_close(&sock);
	return EXIT_REFUSED;
}

static int next_answer(int sock, struct gr_admin_answer *out)
{
	struct pollfd wait = { .fd = sock, .events = POLLIN };
	size_t size;
	int rc;

	if (poll(&wait, 1, ANSWER_MS) <= 0) {
		fprintf(stderr, "garasuctl: the broker does not answer\n");
		return EXIT_NOT_RUNNING;
	}
	rc = gr_io_receive(sock, out, sizeof(*out), &size, NULL);
	if (rc < 0 || size != sizeof(*out) || out->version != GR_ADMIN_VERSION) {
		if (rc == GR_ECLOSED || (rc < 0 && geteuid() != 0))
			fprintf(stderr, "garasuctl: the broker refused: only administrators and auditors may ask\n");
		else
			fprintf(stderr,
				"garasuctl: the answer is not understood: is the broker of the same version?\n");
		return EXIT_REFUSED;
	}
	out->person[sizeof(out->person) - 1] = '\0';
	out->actor[sizeof(out->actor) - 1] = '\0';
	out->subject[sizeof(out->subject) - 1] = '\0';
	out->text[sizeof(out->text) - 1] = '\0';
	return 0;
}

/* ---- status ---- */

static const char *label(const char *key)
{
	static const struct {
		const char *key, *label;
	} labels[] = {
		{ "version", "version" },
		{ "since", "running since" },
		{ "uptime", "uptime (s)" },
		{ "warm", "containers warm" },
		{ "used", "containers in use" },
		{ "starting", "containers starting" },
		{ "maximum", "containers at most" },
		{ "sessions", "sessions" },
		{ "viewers", "viewers" },
		{ "audit", "audit record" },
		{ "records", "last audit record" },
		{ "forward", "forwarding of the record" },
		{ "image", "image" },
		{ "tls", "listening (TLS)" },
		{ "vencrypt", "listening (VeNCrypt)" },
		{ "policy", "policy (SHA-256)" },
		{ "two_person", "two persons change it" },
		{ "pending", "change that waits" },
	};

	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		if (strcmp(labels[i].key, key) == 0)
			return labels[i].label;
	return key;
}

/* The names of programs' members that are texts even when they look like numbers. */
static int is_text(const char *key)
{
	return strcmp(key, "policy") == 0 || strcmp(key, "pending") == 0;
}

static int is_number(const char *text)
{
	return *text && strlen(text) < 16 && text[strspn(text, "0123456789")] == '\0' && (text[0] != '0' || !text[1]);
}

static struct gr_admin_answer rows[GR_CONTAINERS_MAX + 1];
static size_t row_count;

static void show_status(char *text, int json)
{
	const char *cells[64];
	size_t count = 0;
	char *rest = NULL;

	for (char *pair = strtok_r(text, " ", &rest); pair && count + 2 <= 64; pair = strtok_r(NULL, " ", &rest)) {
		char *value = strchr(pair, '=');

		if (!value)
			continue;
		*value++ = '\0';
		for (char *c = value; *c && strcmp(pair, "audit") == 0; c++)
			if (*c == '_')
				*c = ' ';
		cells[count++] = json ? pair : label(pair);
		cells[count++] = value;
	}
	if (!json) {
		gr_table_print(stdout, cells, count / 2, 2);
		gr_show_cutoffs(rows, row_count, json);
		return;
	}
	putchar('{');
	for (size_t i = 0; i < count; i += 2) {
		fputs(i ? "," : "", stdout);
		gr_table_json(stdout, cells[i]);
		putchar(':');
		if (!is_text(cells[i]) && is_number(cells[i + 1]))
			fputs(cells[i + 1], stdout);
		else
			gr_table_json(stdout, cells[i + 1]);
	}
	gr_show_cutoffs(rows, row_count, json);
	puts("}");
}

/* ---- sessions ---- */

#define COLUMNS 5

static void keep_row(const struct gr_admin_answer *answer)
{
	if (row_count < sizeof(rows) / sizeof(rows[0]))
		rows[row_count++] = *answer;
}

static void show_sessions(int json)
{
	static const char *cells[(GR_CONTAINERS_MAX + 2) * COLUMNS] = { "SESSION", "PERSON", "CONTAINER", "VIEWER",
									"SINCE" };
	static char numbers[GR_CONTAINERS_MAX + 1][3][24];

	if (json)
		putchar('[');
	for (size_t i = 0; i < row_count; i++) {
		const struct gr_admin_answer *row = &rows[i];
		const char **cell = &cells[(i + 1) * COLUMNS];

		snprintf(numbers[i][0], sizeof(numbers[i][0]), "%016" PRIx64, row->session);
		snprintf(numbers[i][1], sizeof(numbers[i][1]), "%" PRIu32, row->container);
		snprintf(numbers[i][2], sizeof(numbers[i][2]), "%" PRIu32, row->connection);
		if (json) {
			printf("%s{\"session\":\"%s\",\"person\":", i ? "," : "", numbers[i][0]);
			gr_table_json(stdout, row->person);
			printf(",\"container\":%s,\"connection\":%s,\"since\":", numbers[i][1],
			       row->connection ? numbers[i][2] : "null");
			gr_table_json(stdout, row->text);
			putchar('}');
			continue;
		}
		cell[0] = numbers[i][0];
		cell[1] = row->person;
		cell[2] = numbers[i][1];
		cell[3] = row->connection ? numbers[i][2] : "-";
		cell[4] = row->text;
	}
	if (json)
		puts("]");
	else if (row_count == 0)
		puts("no sessions");
	else
		gr_table_print(stdout, cells, row_count + 1, COLUMNS);
}

/* ---- the command ---- */

static int ask(int sock, const struct gr_admin_request *request, int json)
{
	struct gr_admin_answer answer;
	int rc;

	if (gr_io_send(sock, request, sizeof(*request), -1) < 0) {
		fprintf(stderr, "garasuctl: the broker refused: only administrators and auditors may ask\n");
		return EXIT_REFUSED;
	}
	while ((rc = next_answer(sock, &answer)) == 0 && answer.kind == GR_ADMIN_ROW)
		keep_row(&answer);
	if (rc)
		return rc;
	if (answer.reason != GR_REASON_NONE) {
		gr_show_done(rows, row_count, &answer, json);
		fprintf(stderr, "garasuctl: %s\n", answer.text[0] ? answer.text : gr_reason_name(answer.reason));
		return EXIT_REFUSED;
	}
	if (request->kind == GR_ADMIN_STATUS) {
		char pairs[sizeof(answer.text) + sizeof(answer.subject)];

		snprintf(pairs, sizeof(pairs), "%s %s", answer.text, answer.subject);
		show_status(pairs, json);
	} else if (request->kind == GR_ADMIN_SESSIONS) {
		show_sessions(json);
	} else if (request->kind == GR_ADMIN_PENDING) {
		gr_show_pending(rows, row_count, json);
	} else {
		gr_show_done(rows, row_count, &answer, json);
	}
	return 0;
}

/* Exactly 16 hexadecimal digits are a session; anything else must be a person's id. */
static int parse_target(const char *text, struct gr_admin_request *request)
{
	size_t length = strlen(text);

	if (length == 16 && strspn(text, "0123456789abcdefABCDEF") == 16) {
		request->session = strtoull(text, NULL, 16);
		return request->session ? 0 : GR_EINVAL;
	}
	if (length == 0 || length > GR_PERSON_MAX)
		return GR_EINVAL;
	memcpy(request->person, text, length + 1);
	return 0;
}

static const struct {
	const char *word;
	uint32_t kind;
	int subject; /* one more word */
	int reason; /* 1: may be there, 2: must */
	int group; /* may be there */
} commands[] = {
	{ "status", GR_ADMIN_STATUS, 0, 0, 0 },   { "sessions", GR_ADMIN_SESSIONS, 0, 0, 0 },
	{ "kill", GR_ADMIN_KILL, 1, 1, 0 },       { "cutoff", GR_ADMIN_CUTOFF, 0, 2, 1 },
	{ "restore", GR_ADMIN_RESTORE, 0, 2, 1 }, { "reload", GR_ADMIN_RELOAD, 0, 2, 0 },
	{ "pending", GR_ADMIN_PENDING, 0, 0, 0 }, { "approve", GR_ADMIN_APPROVE, 1, 2, 0 },
	{ "reject", GR_ADMIN_REJECT, 1, 2, 0 },   { "prune", GR_ADMIN_PRUNE, 1, 2, 0 },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* gr_user_ask; context: the socket. */
static int ask_user(void *context, const struct gr_admin_request *request, struct gr_admin_answer *rows_out,
		    size_t *count_out, struct gr_admin_answer *done_out)
{
	const int *sock = context;
	int rc;

	if (gr_io_send(*sock, request, sizeof(*request), -1) < 0) {
		fprintf(stderr, "garasuctl: the broker refused: only administrators and auditors may ask\n");
		return EXIT_REFUSED;
	}
	*count_out = 0;
	while ((rc = next_answer(*sock, done_out)) == 0 && done_out->kind == GR_ADMIN_ROW)
		if (*count_out < GR_USER_ROWS_MAX)
			rows_out[(*count_out)++] = *done_out;
	if (!rc && done_out->reason != GR_REASON_NONE) {
		fprintf(stderr, "garasuctl: %s\n",
			done_out->text[0] ? done_out->text : gr_reason_name(done_out->reason));
		rc = EXIT_REFUSED;
	}
	return rc;
}

static int parse_command(int count, char **words, const char *reason, const char *group,
			 struct gr_admin_request *request)
{
	const char *user_wrong;
	size_t i = 0;

	request->version = GR_ADMIN_VERSION;
	if (count == 0)
		return wrong("what is to be done?");
	if (strcmp(words[0], "user") == 0 && !group) {
		user_wrong = gr_user_parse(count - 1, words + 1, reason, request);
		return user_wrong ? wrong(user_wrong) : 0;
	}
	while (i < COMMANDS && strcmp(commands[i].word, words[0]) != 0)
		i++;
	if (i == COMMANDS || count != 1 + commands[i].subject || (reason && !commands[i].reason) ||
	    (group && !commands[i].group))
		return wrong("the command is not understood");
	if (commands[i].reason == 2 && (!reason || !*reason))
		return wrong("--reason: the record must say why");
	if (reason && strlen(reason) > GR_ADMIN_REASON_MAX)
		return wrong("--reason is too long");
	if (group && (!*group || strlen(group) >= sizeof(request->subject)))
		return wrong("--group wants a group's name");
	request->kind = commands[i].kind;
	if (request->kind == GR_ADMIN_KILL) {
		if (parse_target(words[1], request) < 0)
			return wrong("kill wants a session's 16 hexadecimal digits or a person's id");
	} else if (commands[i].subject) {
		if (strlen(words[1]) >= sizeof(request->subject))
			return wrong("what is named is too long");
		strcpy(request->subject, words[1]);
	}
	if (group)
		strcpy(request->subject, group);
	if (reason)
		strcpy(request->text, reason);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },         { "version", no_argument, NULL, 'v' },
		{ "reason", required_argument, NULL, 'r' }, { "group", required_argument, NULL, 'g' },
		{ "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
	};
	const char *config_file = NULL, *socket_path = NULL, *reason = NULL, *group = NULL;
	struct gr_admin_request request = { 0 };
	struct sockaddr_un address;
	int json = 0, option, rc, sock;

	setlocale(LC_ALL, "");
	gr_log_init("garasuctl", GR_LOG_WARNING);
	while ((option = getopt_long(argc, argv, "c:s:j", options, NULL)) != -1) {
		switch (option) {
		case 'c': config_file = optarg; break;
		case 's': socket_path = optarg; break;
		case 'r': reason = optarg; break;
		case 'g': group = optarg; break;
		case 'j': json = 1; break;
		case 'v': printf("garasuctl %s\n", GARASU_VERSION); return 0;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return EXIT_USAGE;
		}
	}
	if (optind < argc && strcmp(argv[optind], "check") == 0 && argc - optind <= 2 && !reason && !group)
		return gr_show_check(argc - optind == 2 ? argv[optind + 1]
				     : config_file      ? config_file
							: GR_CONFIG_DEFAULT_FILE);
	rc = parse_command(argc - optind, argv + optind, reason, group, &request);
	if (rc == 0)
		rc = find_socket(config_file, socket_path, &address);
	if (rc == 0)
		rc = reach_broker(&address, &sock);
	if (rc)
		return rc;
	rc = request.kind == GR_ADMIN_USER ? gr_user_run(&request, json, ask_user, &sock) : ask(sock, &request, json);
	gr_io_close(&sock);
	return rc;
}
