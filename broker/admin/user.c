#include "broker/admin/user.h"

#include "broker/admin/table.h"
#include "broker/ipc/ipc.h"

#include <langinfo.h>
#include <qrencode.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REFUSED 1 /* exit status */
#define COLUMNS 6

static const struct {
	const char *word;
	int reason; /* must be given */
	int person;
	const char *label; /* of what is shown once; NULL: nothing is */
	const char *member; /* the same for programs */
} commands[] = {
	{ "add", 1, 1, "password", "password" },
	{ "password", 1, 1, "password", "password" },
	{ "code", 1, 1, NULL, "uri" },
	{ "recovery", 1, 1, NULL, "codes" },
	{ "unlock", 1, 1, NULL, NULL },
	{ "remove", 1, 1, NULL, NULL },
	{ "list", 0, 0, NULL, NULL },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static size_t find(const char *word)
{
	size_t i = 0;

	while (i < COMMANDS && strcmp(commands[i].word, word) != 0)
		i++;
	return i;
}

const char *gr_user_parse(int count, char *const *words, const char *reason, struct gr_admin_request *out)
{
	size_t i = count > 0 ? find(words[0]) : COMMANDS;

	if (i == COMMANDS)
		return "user wants add, password, code, recovery, unlock, remove or list";
	if (count != 1 + commands[i].person)
		return commands[i].person ? "this wants one person's id" : "user list wants nothing more";
	if (commands[i].reason && (!reason || !reason[0]))
		return "this wants a reason for the record: --reason TEXT";
	if (reason && strlen(reason) > GR_USER_REASON_MAX)
		return "the reason is too long: 160 bytes at most";
	if (commands[i].person && (!words[1][0] || strlen(words[1]) > GR_PERSON_MAX))
		return "this is no person's id";
	memset(out, 0, sizeof(*out));
	out->version = GR_ADMIN_VERSION;
	out->kind = GR_ADMIN_USER;
	snprintf(out->subject, sizeof(out->subject), "%s", words[0]);
	if (commands[i].person)
		snprintf(out->person, sizeof(out->person), "%s", words[1]);
	if (reason)
		snprintf(out->text, sizeof(out->text), "%s", reason);
	return NULL;
}

/* ---- list ---- */

struct person {
	char text[sizeof(((struct gr_admin_answer *)0)->text)]; /* "person=hanako kept=yes …", cut into its values */
	const char *cells[COLUMNS];
};

struct list {
	struct person *persons; /* owned */
	size_t count;
};

/* GR_EPROTO when it is not the line that identity writes. */
static int cut(struct person *person)
{
	static const char *const names[COLUMNS] = { "person", "kept", "code", "recovery", "failures", "locked" };
	char *rest = NULL, *pair = strtok_r(person->text, " ", &rest);

	for (size_t i = 0; i < COLUMNS; i++, pair = strtok_r(NULL, " ", &rest)) {
		size_t length = strlen(names[i]);

		if (!pair || strncmp(pair, names[i], length) != 0 || pair[length] != '=')
			return GR_EPROTO;
		person->cells[i] = pair + length + 1;
	}
	return 0;
}

static int add_rows(struct list *list, const struct gr_admin_answer *rows, size_t count)
{
	struct person *more = reallocarray(list->persons, list->count + count, sizeof(*more));

	if (!more)
		return GR_ENOMEM;
	list->persons = more;
	for (size_t i = 0; i < count; i++) {
		memcpy(more[list->count].text, rows[i].text, sizeof(rows[i].text));
		list->count++;
	}
	return 0;
}

static int show_list(struct list *list, int json)
{
	static const char *const head[COLUMNS] = { "PERSON",   "KEPT HERE",   "CODE",
						   "RECOVERY", "WRONG TRIES", "LOCKED (S)" };
	const char **cells = calloc((list->count + 1) * COLUMNS, sizeof(*cells));
	int rc = cells ? 0 : GR_ENOMEM;

	for (size_t i = 0; !rc && i < list->count; i++) {
		rc = cut(&list->persons[i]);
		if (!rc)
			memcpy(&cells[(i + 1) * COLUMNS], list->persons[i].cells, sizeof(list->persons[i].cells));
	}
	if (rc) {
		fprintf(stderr, "garasuctl: %s\n", gr_status_text(rc));
	} else if (json) {
		putchar('[');
		for (size_t i = 0; i < list->count; i++) {
			const char *const *cell = list->persons[i].cells;

			printf("%s{\"person\":", i ? "," : "");
			gr_table_json(stdout, cell[0]);
			printf(",\"kept\":%s,\"code\":%s,\"recovery\":%s,\"failures\":%s,\"locked\":%s}",
			       strcmp(cell[1], "yes") == 0 ? "true" : "false",
			       strcmp(cell[2], "yes") == 0 ? "true" : "false", cell[3], cell[4], cell[5]);
		}
		puts("]");
	} else if (list->count == 0) {
		puts("no persons");
	} else {
		memcpy(cells, head, sizeof(head));
		gr_table_print(stdout, cells, list->count + 1, COLUMNS);
	}
	free(cells);
	return rc ? REFUSED : 0;
}

/* ---- what is shown once ---- */

void gr_user_qr(FILE *out, const char *text)
{
	static const char *const blocks[4] = { " ", "\u2580", "\u2584",
					       "\u2588" }; /* bit 0: upper half, bit 1: lower */
	const int quiet = 4; /* modules, ISO/IEC 18004 */
	QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);

	if (!code)
		return;
	for (int y = -quiet; y < code->width + quiet; y += 2) {
		fputs("\033[30;107m", out); /* black on white, whatever the terminal's own colours are */
		for (int x = -quiet; x < code->width + quiet; x++) {
			unsigned block = 0;

			for (int half = 0; half < 2; half++) {
				int row = y + half;

				if (x >= 0 && x < code->width && row >= 0 && row < code->width)
					block |= (code->data[row * code->width + x] & 1u) << half;
			}
			fputs(blocks[block], out);
		}
		fputs("\033[0m\n", out);
	}
	explicit_bzero(code->data, (size_t)code->width * (size_t)code->width);
	QRcode_free(code);
}

static void show_for_programs(size_t i, const struct gr_admin_answer *rows, size_t count)
{
	int several = strcmp(commands[i].word, "recovery") == 0;

	fputs("{\"done\":true", stdout);
	if (count && commands[i].member) {
		printf(",\"%s\":%s", commands[i].member, several ? "[" : "");
		for (size_t k = 0; k < (several ? count : 1); k++) {
			fputs(k ? "," : "", stdout);
			gr_table_json(stdout, rows[k].text);
		}
		fputs(several ? "]" : "", stdout);
	}
	puts("}");
}

static void show(size_t i, const struct gr_admin_answer *rows, size_t count, const struct gr_admin_answer *done)
{
	puts(done->text);
	for (size_t k = 0; k < count; k++) {
		if (commands[i].label)
			printf("%s: %s\n", commands[i].label, rows[k].text);
		else
			puts(rows[k].text);
	}
	if (count && strcmp(commands[i].word, "code") == 0 && isatty(STDOUT_FILENO) &&
	    strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
		gr_user_qr(stdout, rows[0].text);
	if (count && commands[i].member)
		puts("This is shown once.");
}

static int run_list(struct gr_admin_request *request, int json, gr_user_ask ask, void *context)
{
	static struct gr_admin_answer rows[GR_USER_ROWS_MAX];
	struct gr_admin_answer done;
	struct list list = { NULL, 0 };
	size_t count = 0;
	int rc;

	do {
		rc = ask(context, request, rows, &count, &done);
		if (!rc && count && add_rows(&list, rows, count)) {
			fprintf(stderr, "garasuctl: out of memory\n");
			rc = REFUSED;
		}
		if (!rc && count && sscanf(rows[count - 1].text, "person=%32s", request->person) != 1)
			count = 0;
	} while (!rc && count == GR_USER_ROWS_MAX);
	if (!rc)
		rc = show_list(&list, json);
	free(list.persons);
	return rc;
}

int gr_user_run(const struct gr_admin_request *request, int json, gr_user_ask ask, void *context)
{
	static struct gr_admin_answer rows[GR_USER_ROWS_MAX];
	struct gr_admin_request copy = *request;
	struct gr_admin_answer done;
	size_t count = 0, i = find(request->subject);
	int rc;

	if (i == COMMANDS)
		return REFUSED;
	if (strcmp(commands[i].word, "list") == 0)
		return run_list(&copy, json, ask, context);
	rc = ask(context, request, rows, &count, &done);
	if (!rc && json)
		show_for_programs(i, rows, count);
	else if (!rc)
		show(i, rows, count, &done);
	fflush(stdout);
	explicit_bzero(rows, sizeof(rows));
	return rc;
}
