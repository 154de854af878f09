#include "broker/admin/show.h"

#include "broker/admin/table.h"
#include "broker/config/check.h"
#include "broker/ipc/ipc.h"

#include <stdio.h>
#include <stdlib.h>

static void member(const char *name, const char *value)
{
	gr_table_json(stdout, name);
	putchar(':');
	gr_table_json(stdout, value);
}

void gr_show_cutoffs(const struct gr_admin_answer *rows, size_t count, int json)
{
	if (json)
		fputs(",\"cut_off\":[", stdout);
	for (size_t i = 0; i < count; i++) {
		const struct gr_admin_answer *row = &rows[i];
		int back = row->reason == GR_REASON_NONE;

		if (!json) {
			printf("%s %s%s%s since %s by %s: %s\n", back ? "let back" : "CUT OFF",
			       row->subject[0] ? "group \"" : "everybody", row->subject, row->subject[0] ? "\"" : "",
			       row->person, row->actor, row->text);
			continue;
		}
		printf("%s{\"group\":", i ? "," : "");
		if (row->subject[0])
			gr_table_json(stdout, row->subject);
		else
			fputs("null", stdout);
		printf(",\"let_back\":%s,", back ? "true" : "false");
		member("since", row->person);
		putchar(',');
		member("by", row->actor);
		putchar(',');
		member("why", row->text);
		putchar('}');
	}
	if (json)
		putchar(']');
}

void gr_show_pending(const struct gr_admin_answer *rows, size_t count, int json)
{
	if (!json && count == 0)
		puts("nothing waits for approval");
	if (json)
		putchar('[');
	for (size_t i = 0; i < count; i++) {
		const struct gr_admin_answer *row = &rows[i];
		int head = row->subject[0] != '\0';

		if (!json && head) {
			printf("%s proposed by %s at %s: %s\n", row->subject, row->actor, row->person, row->text);
		} else if (!json) {
			printf("  %s\n", row->text);
		} else if (head) {
			putchar('{');
			member("change", row->subject);
			putchar(',');
			member("by", row->actor);
			putchar(',');
			member("since", row->person);
			putchar(',');
			member("why", row->text);
			fputs(",\"differences\":[", stdout);
		} else {
			fputs(i > 1 ? "," : "", stdout);
			gr_table_json(stdout, row->text);
		}
	}
	if (json)
		puts(count ? "]}]" : "]");
}

void gr_show_done(const struct gr_admin_answer *rows, size_t count, const struct gr_admin_answer *done, int json)
{
	int is_done = done->reason == GR_REASON_NONE;

	if (json) {
		printf("{\"done\":%s,", is_done ? "true" : "false");
		member(is_done ? "text" : "reason", done->text);
		fputs(",\"lines\":[", stdout);
	}
	for (size_t i = 0; i < count; i++) {
		if (!json) {
			fprintf(is_done ? stdout : stderr, "%s\n", rows[i].text);
			continue;
		}
		fputs(i ? "," : "", stdout);
		gr_table_json(stdout, rows[i].text);
	}
	if (json)
		puts("]}");
	else if (is_done)
		puts(done->text);
}

static void print_finding(void *context, int warning, const char *finding)
{
	unsigned *warnings = context;

	*warnings += warning != 0;
	fprintf(stderr, "%s\n", finding);
}

int gr_show_check(const char *file)
{
	static struct gr_config config;
	char resolved[PATH_MAX];
	unsigned problems, warnings = 0;
	struct gr_error err;

	if (realpath(file, resolved))
		file = resolved;
	gr_config_init(&config);
	if (gr_config_load(&config, file, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	problems = gr_check(&config, print_finding, &warnings);
	if (problems)
		fprintf(stderr, "%s: %u problem%s\n", file, problems, problems == 1 ? "" : "s");
	else
		printf("%s: no problem found%s\n", file, warnings ? ", but see the warnings" : "");
	gr_config_finish(&config);
	return problems ? 1 : 0;
}
