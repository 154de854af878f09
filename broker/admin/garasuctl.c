/* garasuctl: status, sessions and the end of one, for people and (--json) for programs. */
#include "broker/admin/admin.h"
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
	"usage: garasuctl [--config FILE | --socket PATH] [--json] status | sessions | kill SESSION|PERSON | user …\n"
	"  status            how the broker is\n"
	"  sessions          who has a session\n"
	"  kill              ends a session, given by its 16 hexadecimal digits, or a person's session\n"
	"  user add PERSON   a person of users.db; its password is made and shown once\n"
	"  user password | code | recovery PERSON\n"
	"                    a new password, a new secret for one-time codes, ten new recovery codes: shown once\n"
	"  user unlock | remove PERSON\n"
	"                    forgets the wrong tries; removes the person\n"
	"  user list         who is in it, and who has wrong tries\n"
	"  --reason TEXT     why, for the record: with user … but list\n"
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
	if (rc < 0 && (rc != GR_ENOENT || config_file)) {
		fprintf(stderr, "garasuctl: %s\n", err.text);
		return EXIT_USAGE;
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
		errno == EACCES ? ": only root may ask" : "");
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
			fprintf(stderr, "garasuctl: the broker refused: only root may ask\n");
		else
			fprintf(stderr,
				"garasuctl: the answer is not understood: is the broker of the same version?\n");
		return EXIT_REFUSED;
	}
	out->person[sizeof(out->person) - 1] = '\0';
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
		{ "image", "image" },
		{ "tls", "listening (TLS)" },
		{ "vencrypt", "listening (VeNCrypt)" },
	};

	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		if (strcmp(labels[i].key, key) == 0)
			return labels[i].label;
	return key;
}

static int is_number(const char *text)
{
	return *text && strlen(text) < 16 && text[strspn(text, "0123456789")] == '\0' && (text[0] != '0' || !text[1]);
}

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
		cells[count++] = json ? pair : label(pair);
		cells[count++] = value;
	}
	if (!json) {
		gr_table_print(stdout, cells, count / 2, 2);
		return;
	}
	putchar('{');
	for (size_t i = 0; i < count; i += 2) {
		fputs(i ? "," : "", stdout);
		gr_table_json(stdout, cells[i]);
		putchar(':');
		if (is_number(cells[i + 1]))
			fputs(cells[i + 1], stdout);
		else
			gr_table_json(stdout, cells[i + 1]);
	}
	puts("}");
}

/* ---- sessions ---- */

#define COLUMNS 5

struct row {
	char session[20], person[GR_PERSON_MAX + 8], container[12], viewer[24], since[256];
};

static struct row rows[GR_CONTAINERS_MAX];
static size_t row_count;

static void keep_row(const struct gr_admin_answer *answer)
{
	struct row *row = &rows[row_count];

	if (row_count == GR_CONTAINERS_MAX)
		return;
	row_count++;
	snprintf(row->session, sizeof(row->session), "%016" PRIx64, answer->session);
	memcpy(row->person, answer->person, sizeof(row->person));
	snprintf(row->container, sizeof(row->container), "%" PRIu32, answer->container);
	snprintf(row->viewer, sizeof(row->viewer), "%" PRIu32, answer->connection);
	memcpy(row->since, answer->text, sizeof(row->since));
}

static void show_sessions(int json)
{
	static const char *cells[(GR_CONTAINERS_MAX + 1) * COLUMNS] = { "SESSION", "PERSON", "CONTAINER", "VIEWER",
									"SINCE" };

	if (json)
		putchar('[');
	for (size_t i = 0; i < row_count; i++) {
		const struct row *row = &rows[i];
		const char **cell = &cells[(i + 1) * COLUMNS];
		int watched = strcmp(row->viewer, "0") != 0;

		if (json) {
			printf("%s{\"session\":\"%s\",\"person\":", i ? "," : "", row->session);
			gr_table_json(stdout, row->person);
			printf(",\"container\":%s,\"connection\":%s,\"since\":", row->container,
			       watched ? row->viewer : "null");
			gr_table_json(stdout, row->since);
			putchar('}');
			continue;
		}
		cell[0] = row->session;
		cell[1] = row->person;
		cell[2] = row->container;
		cell[3] = watched ? row->viewer : "-";
		cell[4] = row->since;
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
		fprintf(stderr, "garasuctl: the broker refused: only root may ask\n");
		return EXIT_REFUSED;
	}
	while ((rc = next_answer(sock, &answer)) == 0 && answer.kind == GR_ADMIN_ROW)
		keep_row(&answer);
	if (rc)
		return rc;
	if (answer.reason != GR_REASON_NONE) {
		if (json) {
			fputs("{\"done\":false,\"reason\":", stdout);
			gr_table_json(stdout, answer.text);
			puts("}");
		}
		fprintf(stderr, "garasuctl: %s\n", answer.text[0] ? answer.text : gr_reason_name(answer.reason));
		return EXIT_REFUSED;
	}
	if (request->kind == GR_ADMIN_STATUS)
		show_status(answer.text, json);
	else if (request->kind == GR_ADMIN_SESSIONS)
		show_sessions(json);
	else
		puts(json ? "{\"done\":true}" : answer.text);
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

/* gr_user_ask; context: the socket. */
static int ask_user(void *context, const struct gr_admin_request *request, struct gr_admin_answer *rows_out,
		    size_t *count_out, struct gr_admin_answer *done_out)
{
	const int *sock = context;
	int rc;

	if (gr_io_send(*sock, request, sizeof(*request), -1) < 0) {
		fprintf(stderr, "garasuctl: the broker refused: only root may ask\n");
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

static int parse_command(int count, char **words, const char *reason, struct gr_admin_request *request)
{
	const char *user_wrong;

	request->version = GR_ADMIN_VERSION;
	if (count == 0)
		return wrong("what is to be done?");
	if (strcmp(words[0], "user") == 0) {
		user_wrong = gr_user_parse(count - 1, words + 1, reason, request);
		if (user_wrong)
			return wrong(user_wrong);
	} else if (strcmp(words[0], "status") == 0 && count == 1)
		request->kind = GR_ADMIN_STATUS;
	else if (strcmp(words[0], "sessions") == 0 && count == 1)
		request->kind = GR_ADMIN_SESSIONS;
	else if (strcmp(words[0], "kill") == 0 && count == 2) {
		request->kind = GR_ADMIN_KILL;
		if (parse_target(words[1], request) < 0)
			return wrong("kill wants a session's 16 hexadecimal digits or a person's id");
	} else
		return wrong("the command is not understood");
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "reason", required_argument, NULL, 'r' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *config_file = NULL, *socket_path = NULL, *reason = NULL;
	struct gr_admin_request request = { 0 };
	struct sockaddr_un address;
	int json = 0, option, rc, sock;

	setlocale(LC_ALL, "");
	gr_log_init("garasuctl", GR_LOG_WARNING);
	while ((option = getopt_long(argc, argv, "c:s:j", options, NULL)) != -1) {
		switch (option) {
		case 'c': config_file = optarg; break;
		case 's': socket_path = optarg; break;
		case 'j': json = 1; break;
		case 'r': reason = optarg; break;
		case 'v': printf("garasuctl %s\n", GARASU_VERSION); return 0;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return EXIT_USAGE;
		}
	}
	rc = parse_command(argc - optind, argv + optind, reason, &request);
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
