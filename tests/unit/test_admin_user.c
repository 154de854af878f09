/* garasuctl user: its words, its pages, its QR code. */
#include "broker/admin/user.h"
#include "broker/ipc/ipc.h"

#include <qrencode.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void words_become_requests_or_what_is_wrong_with_them(void **state)
{
	static const struct {
		const char *words[3];
		const char *reason;
		int count, good;
	} lines[] = {
		{ { "add", "hanako" }, "new", 2, 1 },
		{ { "code", "hanako" }, "\xe7\xab\xaf\xe6\x9c\xab", 2, 1 },
		{ { "list" }, NULL, 1, 1 },
		{ { "list" }, "monthly", 1, 1 },
		{ { "list", "hanako" }, NULL, 2, 0 },
		{ { "add", "hanako" }, NULL, 2, 0 },
		{ { "add", "hanako" }, "", 2, 0 },
		{ { "add" }, "new", 1, 0 },
		{ { "add", "hanako", "taro" }, "new", 3, 0 },
		{ { "add", "" }, "new", 2, 0 },
		{ { "add", "abcdefghijklmnopqrstuvwxyz0123456" }, "new", 2, 0 },
		{ { "promote", "hanako" }, "new", 2, 0 },
		{ { NULL }, "new", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct gr_admin_request request;
		const char *wrong = gr_user_parse(lines[i].count, (char *const *)(uintptr_t)lines[i].words,
						  lines[i].reason, &request);

		if ((wrong == NULL) != lines[i].good)
			fail_msg("line %zu: %s", i, wrong ? wrong : "good");
		if (wrong)
			continue;
		assert_int_equal(request.kind, GR_ADMIN_USER);
		assert_string_equal(request.subject, lines[i].words[0]);
		assert_string_equal(request.person, lines[i].count > 1 ? lines[i].words[1] : "");
		assert_string_equal(request.text, lines[i].reason ? lines[i].reason : "");
	}
	char longest[GR_USER_REASON_MAX + 2];
	struct gr_admin_request request;
	char *const add[] = { (char *)(uintptr_t) "add", (char *)(uintptr_t) "hanako" };
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_non_null(gr_user_parse(2, add, longest, &request));
	longest[GR_USER_REASON_MAX] = '\0';
	assert_null(gr_user_parse(2, add, longest, &request));
}

/* A broker with as many persons as *context says, "p000" and so on. */
static int answer(void *context, const struct gr_admin_request *request, struct gr_admin_answer *rows_out,
		  size_t *count_out, struct gr_admin_answer *done_out)
{
	int *left = context, first = request->person[0] ? atoi(request->person + 1) + 1 : 0;

	memset(done_out, 0, sizeof(*done_out));
	*count_out = 0;
	for (int i = first; *count_out<GR_USER_ROWS_MAX && * left> 0; i++, (*left)--) {
		struct gr_admin_answer *row = &rows_out[(*count_out)++];

		memset(row, 0, sizeof(*row));
		snprintf(row->text, sizeof(row->text), "person=p%03d kept=yes code=no recovery=0 failures=0 locked=0",
			 i);
	}
	return 0;
}

static char *printed_list(int persons, int json)
{
	static char text[65536];
	char *const list[] = { (char *)(uintptr_t) "list" };
	struct gr_admin_request request;
	char name[] = "/tmp/garasu-user-XXXXXX";
	int file = mkstemp(name), standard_out = dup(1);

	assert_true(file >= 0 && standard_out >= 0);
	unlink(name);
	fflush(stdout);
	dup2(file, 1);
	assert_null(gr_user_parse(1, list, NULL, &request));
	int rc = gr_user_run(&request, json, answer, &persons);
	fflush(stdout);
	dup2(standard_out, 1);
	close(standard_out);
	assert_int_equal(rc, 0);
	ssize_t size = pread(file, text, sizeof(text) - 1, 0);
	close(file);
	assert_true(size >= 0);
	text[size] = '\0';
	return text;
}

static void lists_of_any_length_are_whole(void **state)
{
	static const int lengths[] = { 1, 63, 64, 65, 128, 200 };
	char person[16];

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const char *text = printed_list(lengths[i], 0);
		size_t lines = 0;

		for (const char *c = text; *c; c++)
			lines += *c == '\n';
		assert_int_equal(lines, lengths[i] + 1);
		for (int k = 0; k < lengths[i]; k++) {
			snprintf(person, sizeof(person), "\np%03d ", k);
			assert_non_null(strstr(text, person));
		}
	}
	assert_string_equal(printed_list(0, 0), "no persons\n");
	assert_string_equal(printed_list(0, 1), "[]\n");
	assert_string_equal(
		printed_list(1, 1),
		"[{\"person\":\"p000\",\"kept\":true,\"code\":false,\"recovery\":0,\"failures\":0,\"locked\":0}]\n");
}

static void qr_code_is_the_librarys_with_its_quiet_zone(void **state)
{
	static const char uri[] = "otpauth://totp/Garasu:hanako?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Garasu";
	static char text[65536];
	FILE *stream = fmemopen(text, sizeof(text), "w");
	QRcode *code = QRcode_encodeString8bit(uri, 0, QR_ECLEVEL_M);
	const char *at = text;

	(void)state;
	assert_true(stream && code);
	gr_user_qr(stream, uri);
	fclose(stream);
	for (int y = -4; y < code->width + 4; y += 2) {
		assert_int_equal(strncmp(at, "\033[30;107m", 9), 0);
		at += 9;
		for (int x = -4; x < code->width + 4; x++) {
			int black[2] = { 0, 0 };

			if (*at == ' ') {
				at++;
			} else {
				unsigned char last = (unsigned char)at[2];

				assert_int_equal(strncmp(at, "\xe2\x96", 2), 0);
				assert_true(last == 0x80 || last == 0x84 || last == 0x88);
				black[0] = last != 0x84;
				black[1] = last != 0x80;
				at += 3;
			}
			for (int half = 0; half < 2; half++) {
				int row = y + half, inside = x >= 0 && x < code->width && row >= 0 && row < code->width;

				assert_int_equal(black[half], inside ? code->data[row * code->width + x] & 1 : 0);
			}
		}
		assert_int_equal(strncmp(at, "\033[0m\n", 5), 0);
		at += 5;
	}
	assert_int_equal(*at, 0);
	QRcode_free(code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_become_requests_or_what_is_wrong_with_them),
		cmocka_unit_test(lists_of_any_length_are_whole),
		cmocka_unit_test(qr_code_is_the_librarys_with_its_quiet_zone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
