#include "broker/gateway/opening.h"
#include "broker/gateway/rfb_handshake.h"
#include "broker/ipc/ipc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct gr_rfb_handshake h;
static uint8_t out[256];

static void expect(const char *bytes, size_t n)
{
	size_t length = gr_rfb_handshake_output(&h, out, sizeof out);
	assert_int_equal(length, n);
	assert_memory_equal(out, bytes, n);
}
#define EXPECT(literal) expect(literal, sizeof(literal) - 1)

/* Feeds byte by byte: the machine must not care how the bytes are cut. */
static int feed(const char *bytes, size_t n)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++) {
		assert_true(gr_rfb_handshake_wants(&h) > 0);
		rc = gr_rfb_handshake_feed(&h, (const uint8_t *)bytes + i, 1);
	}
	return rc;
}
#define FEED(literal) feed(literal, sizeof(literal) - 1)

#define VERSION "RFB 003.008\n"

static void a_viewer_is_led_through_the_gates(void **state)
{
	(void)state;
	gr_rfb_handshake_init(&h, GR_RFB_SERVER);
	EXPECT(VERSION);
	assert_int_equal(FEED(VERSION), 0);
	assert_int_equal(gr_rfb_handshake_wants(&h), 0);
	EXPECT("");
	gr_rfb_handshake_open(&h, GR_RFB_GATE_TYPES);
	EXPECT("\1\1");
	assert_int_equal(FEED("\1"), 0);
	assert_int_equal(gr_rfb_handshake_wants(&h), 0);
	assert_false(gr_rfb_handshake_done(&h));
	EXPECT("");
	gr_rfb_handshake_open(&h, GR_RFB_GATE_RESULT);
	EXPECT("\0\0\0\0");
	assert_true(gr_rfb_handshake_done(&h));
	assert_int_equal(gr_rfb_handshake_wants(&h), 0);
	assert_int_equal(gr_rfb_handshake_feed(&h, (const uint8_t *)"\1", 1), GR_EPROTO);
}

static void gates_that_are_open_before_do_not_stop(void **state)
{
	(void)state;
	gr_rfb_handshake_init(&h, GR_RFB_SERVER);
	gr_rfb_handshake_open(&h, GR_RFB_GATE_RESULT);
	gr_rfb_handshake_open(&h, GR_RFB_GATE_TYPES); /* does not close one again */
	EXPECT(VERSION);
	assert_int_equal(gr_rfb_handshake_feed(&h, (const uint8_t *)VERSION, 12), 0);
	EXPECT("\1\1");
	assert_int_equal(FEED("\1"), 0);
	EXPECT("\0\0\0\0");
	assert_true(gr_rfb_handshake_done(&h));
}

static void a_refusal_has_the_form_of_the_present_step(void **state)
{
	(void)state;
	for (int step = 0; step < 4; step++) {
		gr_rfb_handshake_init(&h, GR_RFB_SERVER);
		EXPECT(VERSION);
		if (step > 0)
			assert_int_equal(FEED(VERSION), 0);
		if (step > 1) {
			gr_rfb_handshake_open(&h, GR_RFB_GATE_TYPES);
			EXPECT("\1\1");
		}
		if (step > 2)
			assert_int_equal(FEED("\1"), 0);
		assert_int_equal(gr_rfb_handshake_refuse(&h, "no room"), 0);
		if (step < 2)
			EXPECT("\0\0\0\0\7no room");
		else
			EXPECT("\0\0\0\1\0\0\0\7no room");
		assert_int_equal(gr_rfb_handshake_wants(&h), 0);
		assert_false(gr_rfb_handshake_done(&h));
		gr_rfb_handshake_open(&h, GR_RFB_GATE_RESULT); /* an answer that comes late says nothing more */
		EXPECT("");
		assert_int_equal(gr_rfb_handshake_refuse(&h, "no room"), GR_EINVAL);
		EXPECT("");
	}
}

static void the_longest_refusal_fits(void **state)
{
	char text[400];

	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	gr_rfb_handshake_init(&h, GR_RFB_SERVER);
	gr_rfb_handshake_refuse(&h, text); /* with ProtocolVersion still in the output */
	size_t n = gr_rfb_handshake_output(&h, out, sizeof out);
	assert_int_equal(n, 12 + 1 + 4 + GR_RFB_REFUSAL_MAX);
	assert_int_equal(out[16], GR_RFB_REFUSAL_MAX);
	for (uint32_t reason = 0; reason < 30; reason++)
		assert_true(strlen(gr_open_refusal_text(reason)) <= GR_RFB_REFUSAL_MAX);
}

static void other_versions_are_refused_in_their_own_form(void **state)
{
	static const char *const others[] = { "RFB 003.003\n", "RFB 003.005\n", "RFB 003.007\n", "RFB 003.889\n",
					      "RFB 003.009\n" };
	static const char *const foreign[] = { "GET / HTTP/1", "RFB 004.001\n", "\x16\x03\x01\x02\x02\x01\0\0\0\0\0",
					       "RFB 003X008\n" };

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		gr_rfb_handshake_init(&h, GR_RFB_SERVER);
		EXPECT(VERSION);
		assert_int_equal(feed(others[i], 12), GR_EPROTO);
		if (i < 2)
			EXPECT("\0\0\0\0\0\0\0\x1bonly RFB 3.8 is spoken here");
		else
			EXPECT("\0\0\0\0\x1bonly RFB 3.8 is spoken here");
	}
	for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
		gr_rfb_handshake_init(&h, GR_RFB_SERVER_VENCRYPT);
		EXPECT(VERSION);
		assert_int_equal(feed(foreign[i], 12), GR_EPROTO);
		EXPECT("");
		assert_int_equal(gr_rfb_handshake_wants(&h), 0);
	}
}

static void a_security_type_that_is_not_offered_is_refused(void **state)
{
	(void)state;
	for (int type = 0; type < 256; type++) {
		uint8_t byte = (uint8_t)type;
		gr_rfb_handshake_init(&h, GR_RFB_SERVER);
		gr_rfb_handshake_open(&h, GR_RFB_GATE_RESULT);
		EXPECT(VERSION);
		assert_int_equal(FEED(VERSION), 0);
		EXPECT("\1\1");
		assert_int_equal(gr_rfb_handshake_feed(&h, &byte, 1), type == 1 ? 0 : GR_EPROTO);
		assert_int_equal(gr_rfb_handshake_done(&h), type == 1);
		if (type == 1)
			EXPECT("\0\0\0\0");
		else
			EXPECT("\0\0\0\1\0\0\0\x22only security type None is offered");
	}
}

static void vencrypt_ends_with_the_acknowledging_byte(void **state)
{
	(void)state;
	gr_rfb_handshake_init(&h, GR_RFB_SERVER_VENCRYPT);
	EXPECT(VERSION);
	assert_int_equal(FEED(VERSION), 0);
	EXPECT("\1\x13");
	assert_int_equal(FEED("\x13"), 0);
	EXPECT("\0\2");
	assert_int_equal(FEED("\0\2"), 0);
	EXPECT("\0\1\0\0\1\4");
	assert_int_equal(FEED("\0\0\1\4"), 0);
	EXPECT("\1");
	assert_true(gr_rfb_handshake_done(&h));
}

static void vencrypt_takes_nothing_else(void **state)
{
	static const char *const subtypes[] = { "\0\0\1\1", "\0\0\1\2", "\0\0\1\3", "\0\0\1\5",
						"\0\0\1\6", "\1\4\0\0", "\0\0\0\1" };

	(void)state;
	gr_rfb_handshake_init(&h, GR_RFB_SERVER_VENCRYPT);
	FEED(VERSION);
	gr_rfb_handshake_output(&h, out, sizeof out);
	assert_int_equal(FEED("\1"), GR_EPROTO); /* None would be without TLS */
	for (size_t i = 0; i < sizeof subtypes / sizeof subtypes[0]; i++) {
		gr_rfb_handshake_init(&h, GR_RFB_SERVER_VENCRYPT);
		FEED(VERSION "\x13\0\2");
		gr_rfb_handshake_output(&h, out, sizeof out);
		assert_int_equal(feed(subtypes[i], 4), GR_EPROTO);
		EXPECT("\0");
		assert_false(gr_rfb_handshake_done(&h));
	}
	gr_rfb_handshake_init(&h, GR_RFB_SERVER_VENCRYPT);
	FEED(VERSION "\x13");
	gr_rfb_handshake_output(&h, out, sizeof out);
	assert_int_equal(FEED("\0\1"), GR_EPROTO);
	EXPECT("\xff");
}

static void inside_vencrypts_tls_only_the_result_is_left(void **state)
{
	(void)state;
	gr_rfb_handshake_init(&h, GR_RFB_SERVER_RESULT);
	EXPECT("");
	gr_rfb_handshake_open(&h, GR_RFB_GATE_TYPES);
	EXPECT("");
	gr_rfb_handshake_open(&h, GR_RFB_GATE_RESULT);
	EXPECT("\0\0\0\0");
	assert_true(gr_rfb_handshake_done(&h));

	gr_rfb_handshake_init(&h, GR_RFB_SERVER_RESULT);
	assert_int_equal(gr_rfb_handshake_refuse(&h, "why"), 0);
	EXPECT("\0\0\0\1\0\0\0\3why");
}

/* role SERVER: inside TLS; SERVER_RESULT: behind VeNCrypt's TLS. */
static void until_the_lengths(enum gr_rfb_role role)
{
	gr_rfb_handshake_init(&h, role);
	gr_rfb_handshake_ask(&h);
	if (role == GR_RFB_SERVER_RESULT) {
		EXPECT("");
		return;
	}
	EXPECT(VERSION);
	assert_int_equal(FEED(VERSION), 0);
	EXPECT("");
	gr_rfb_handshake_open(&h, GR_RFB_GATE_TYPES);
	EXPECT("\1\x13");
	assert_int_equal(FEED("\x13"), 0);
	EXPECT("\0\2");
	assert_int_equal(FEED("\0\2"), 0);
	EXPECT("\0\1\0\0\1\0");
	assert_int_equal(FEED("\0\0\1\0"), 0);
	EXPECT("");
}

static void name_and_password_are_taken_when_they_are_asked_for(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		until_the_lengths(i ? GR_RFB_SERVER : GR_RFB_SERVER_RESULT);
		gr_rfb_handshake_open(&h, GR_RFB_GATE_RESULT); /* not even then without them */
		EXPECT("");
		h.gate = GR_RFB_GATE_TYPES;
		assert_int_equal(FEED("\0\0\0\6\0\0\0\x0chanakosecret12345"), 0);
		assert_false(h.plain);
		assert_int_equal(FEED("6"), 0);
		assert_true(h.plain);
		assert_int_equal(h.name_length, 6);
		assert_int_equal(h.password_length, 12);
		assert_memory_equal(h.in, "hanakosecret123456", 18);
		assert_int_equal(gr_rfb_handshake_wants(&h), 0);
		EXPECT("");
		gr_rfb_handshake_wipe(&h);
		assert_false(h.plain);
		for (size_t k = 0; k < sizeof h.in; k++)
			assert_int_equal(h.in[k], 0);
		if (i) {
			gr_rfb_handshake_open(&h, GR_RFB_GATE_RESULT);
			EXPECT("\0\0\0\0");
			assert_true(gr_rfb_handshake_done(&h));
		} else {
			assert_int_equal(gr_rfb_handshake_refuse(&h, "wrong"), 0);
			EXPECT("\0\0\0\1\0\0\0\5wrong");
		}
	}
}

static void name_and_password_have_bounds(void **state)
{
	static const struct {
		const char *lengths;
		bool good;
	} cases[] = { { "\0\0\0\0\0\0\0\0", true },          { "\0\0\0\x40\0\0\1\x40", true },
		      { "\0\0\0\x41\0\0\0\0", false },       { "\0\0\0\0\0\0\1\x41", false },
		      { "\xff\xff\xff\xff\0\0\0\1", false }, { "\0\0\0\1\xff\xff\xff\xff", false },
		      { "\x80\0\0\0\x80\0\0\0", false } };
	uint8_t text[GR_RFB_NAME_MAX + GR_RFB_PASSWORD_MAX];

	(void)state;
	memset(text, 'x', sizeof text);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		until_the_lengths(GR_RFB_SERVER_RESULT);
		assert_int_equal(feed(cases[i].lengths, 8), cases[i].good ? 0 : GR_EPROTO);
		if (!cases[i].good) {
			EXPECT("\0\0\0\1\0\0\0\x29the user name or the password is too long");
			assert_int_equal(gr_rfb_handshake_wants(&h), 0);
			continue;
		}
		size_t n = gr_rfb_handshake_wants(&h);
		assert_int_equal(n, i ? sizeof text : 0);
		assert_int_equal(n ? gr_rfb_handshake_feed(&h, text, n) : 0, 0);
		assert_true(h.plain);
	}
}

static void who_is_asked_gets_no_other_sub_type(void **state)
{
	(void)state;
	gr_rfb_handshake_init(&h, GR_RFB_SERVER_VENCRYPT);
	gr_rfb_handshake_ask(&h);
	FEED(VERSION "\x13");
	gr_rfb_handshake_output(&h, out, sizeof out);
	assert_int_equal(FEED("\0\2"), 0);
	EXPECT("\0\1\0\0\1\6");
	assert_int_equal(FEED("\0\0\1\4"), GR_EPROTO);
	EXPECT("\0");

	gr_rfb_handshake_init(&h, GR_RFB_SERVER_VENCRYPT);
	gr_rfb_handshake_ask(&h);
	assert_int_equal(FEED(VERSION "\x13\0\2\0\0\1\6"), 0);
	assert_true(gr_rfb_handshake_done(&h));

	gr_rfb_handshake_init(&h, GR_RFB_SERVER);
	gr_rfb_handshake_ask(&h);
	gr_rfb_handshake_open(&h, GR_RFB_GATE_RESULT);
	FEED(VERSION);
	gr_rfb_handshake_output(&h, out, sizeof out);
	assert_int_equal(FEED("\1"), GR_EPROTO); /* None */
	EXPECT("\0\0\0\1\0\0\0\x18only VeNCrypt is offered");
}

static void the_clients_side_takes_none_from_any_list(void **state)
{
	(void)state;
	gr_rfb_handshake_init(&h, GR_RFB_CLIENT);
	EXPECT("");
	assert_int_equal(FEED(VERSION), 0);
	EXPECT(VERSION);
	assert_int_equal(FEED("\3\x10\2\1"), 0);
	EXPECT("\1");
	assert_int_equal(gr_rfb_handshake_wants(&h), 4);
	assert_int_equal(FEED("\0\0\0\0"), 0);
	assert_true(gr_rfb_handshake_done(&h));

	uint8_t list[255];
	memset(list, 1, sizeof list);
	gr_rfb_handshake_init(&h, GR_RFB_CLIENT);
	FEED(VERSION);
	gr_rfb_handshake_output(&h, out, sizeof out);
	FEED("\xff");
	assert_int_equal(gr_rfb_handshake_wants(&h), 255);
	assert_int_equal(gr_rfb_handshake_feed(&h, list, 255), 0);
	EXPECT("\1");
}

static void the_clients_side_takes_no_other_answer(void **state)
{
	(void)state;
	gr_rfb_handshake_init(&h, GR_RFB_CLIENT);
	assert_int_equal(FEED("RFB 003.003\n"), GR_EPROTO);
	gr_rfb_handshake_init(&h, GR_RFB_CLIENT);
	assert_int_equal(FEED(VERSION "\0"), GR_EDENIED);
	gr_rfb_handshake_init(&h, GR_RFB_CLIENT);
	assert_int_equal(FEED(VERSION "\2\2\x10"), GR_EPROTO);
	for (int i = 0; i < 4; i++) {
		char result[] = { 0, 0, 0, 0 };
		result[i] = 1;
		gr_rfb_handshake_init(&h, GR_RFB_CLIENT);
		assert_int_equal(FEED(VERSION "\1\1"), 0);
		assert_int_equal(feed(result, 4), GR_EDENIED);
		assert_false(gr_rfb_handshake_done(&h));
	}
}

static void open_records_are_as_published(void **state)
{
	uint8_t record[GR_OPEN_BYTES];

	(void)state;
	gr_open_record(record, &(struct gr_open){ .kind = GR_OPEN_READY });
	assert_memory_equal(record, "GRSU\1\1\0\0\0\0\0\0\0\0\0\0", 16);
	gr_open_record(record, &(struct gr_open){ .kind = GR_OPEN_TERMS,
						  .minutes = 258,
						  .flags = GR_OPEN_CLIPBOARD_DOWN | GR_OPEN_PRINTING,
						  .seconds = 60,
						  .clipboard_up = 65536 });
	assert_memory_equal(record, "GRSU\1\6\1\2\3\0\0\x3c\0\1\0\0", 16);
	gr_open_record(record,
		       &(struct gr_open){ .kind = GR_OPEN_READY, .flags = GR_OPEN_WATERMARK | GR_OPEN_RECORDED });
	assert_memory_equal(record, "GRSU\1\1\0\0\3\0\0\0\0\0\0\0", 16);
	gr_open_record(record,
		       &(struct gr_open){ .kind = GR_OPEN_REFUSED, .reason = GR_REASON_LOCKED_OUT, .seconds = 300 });
	assert_memory_equal(record, "GRSU\1\2\0\x10\0\0\1\x2c\0\0\0\0", 16);
	gr_open_record(record, &(struct gr_open){ .kind = GR_OPEN_WAIT });
	assert_memory_equal(record, "GRSU\1\3\0\0\0\0\0\0\0\0\0\0", 16);
	gr_open_record(record, &(struct gr_open){ .kind = GR_OPEN_ASK,
						  .reason = GR_REASON_WRONG_FACTOR,
						  .flags = 3,
						  .tries = 4000,
						  .seconds = 1000000 });
	assert_memory_equal(record, "GRSU\1\5\0\x0f\3\xff\xff\xff\0\0\0\0", 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_viewer_is_led_through_the_gates),
		cmocka_unit_test(gates_that_are_open_before_do_not_stop),
		cmocka_unit_test(a_refusal_has_the_form_of_the_present_step),
		cmocka_unit_test(the_longest_refusal_fits),
		cmocka_unit_test(other_versions_are_refused_in_their_own_form),
		cmocka_unit_test(a_security_type_that_is_not_offered_is_refused),
		cmocka_unit_test(vencrypt_ends_with_the_acknowledging_byte),
		cmocka_unit_test(vencrypt_takes_nothing_else),
		cmocka_unit_test(inside_vencrypts_tls_only_the_result_is_left),
		cmocka_unit_test(name_and_password_are_taken_when_they_are_asked_for),
		cmocka_unit_test(name_and_password_have_bounds),
		cmocka_unit_test(who_is_asked_gets_no_other_sub_type),
		cmocka_unit_test(the_clients_side_takes_none_from_any_list),
		cmocka_unit_test(the_clients_side_takes_no_other_answer),
		cmocka_unit_test(open_records_are_as_published),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
