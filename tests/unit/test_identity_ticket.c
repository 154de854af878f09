#include "broker/identity/ticket.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct gr_tickets tickets;
static X509 *hers, *other;

static X509 *certificate(long serial)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509 *made = X509_new();

	assert_non_null(key);
	assert_non_null(made);
	ASN1_INTEGER_set(X509_get_serialNumber(made), serial);
	X509_gmtime_adj(X509_getm_notBefore(made), 0);
	X509_gmtime_adj(X509_getm_notAfter(made), 3600);
	X509_set_pubkey(made, key);
	assert_true(X509_sign(made, key, NULL) > 0);
	EVP_PKEY_free(key);
	return made;
}

static int setup(void **state)
{
	(void)state;
	hers = certificate(1);
	other = certificate(2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	X509_free(hers);
	X509_free(other);
	return 0;
}

static void a_ticket_counts_once(void **state)
{
	uint8_t first[GR_IDENTITY_TICKET], second[GR_IDENTITY_TICKET];

	(void)state;
	assert_int_equal(gr_ticket_issue(&tickets, "hanako", hers, 1000, first), 0);
	assert_int_equal(gr_ticket_issue(&tickets, "taro", hers, 1000, second), 0);
	assert_memory_not_equal(first, second, sizeof first);
	assert_int_equal(gr_ticket_use(&tickets, "hanako", hers, 999, first), 1);
	assert_int_equal(gr_ticket_use(&tickets, "hanako", hers, 999, first), 0);
	assert_int_equal(gr_ticket_use(&tickets, "taro", hers, 999, second), 1);
}

static void only_the_newest_counts(void **state)
{
	uint8_t first[GR_IDENTITY_TICKET], second[GR_IDENTITY_TICKET];

	(void)state;
	assert_int_equal(gr_ticket_issue(&tickets, "hanako", hers, 1000, first), 0);
	assert_int_equal(gr_ticket_issue(&tickets, "hanako", hers, 1000, second), 0);
	assert_int_equal(gr_ticket_use(&tickets, "hanako", hers, 0, first), 0);
	assert_int_equal(gr_ticket_use(&tickets, "hanako", hers, 0, second), 0); /* a wrong one costs it */
}

static void what_does_not_belong_to_it_is_refused(void **state)
{
	uint8_t ticket[GR_IDENTITY_TICKET], none[GR_IDENTITY_TICKET] = { 0 };

	(void)state;
	gr_ticket_forget(&tickets, "hanako");
	assert_int_equal(gr_ticket_use(&tickets, "hanako", hers, 0, none), 0);
	assert_int_equal(gr_ticket_use(&tickets, "", hers, 0, none), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(gr_ticket_issue(&tickets, "hanako", hers, 1000, ticket), 0);
		ticket[7] ^= i == 0; /* another bit */
		if (i == 3)
			gr_ticket_forget(&tickets, "hanako");
		int good = gr_ticket_use(&tickets, i == 1 ? "taro" : "hanako", i == 2 ? other : hers,
					 i == 4 ? 1000 : 999, ticket);
		assert_int_equal(good, 0);
	}
}

static void a_full_table_makes_none(void **state)
{
	uint8_t ticket[GR_IDENTITY_TICKET], none[GR_IDENTITY_TICKET] = { 0 };
	char person[16];

	(void)state;
	memset(&tickets, 0, sizeof tickets);
	for (int i = 0; i < GR_CONNECTIONS_MAX; i++) {
		snprintf(person, sizeof person, "p%d", i);
		assert_int_equal(gr_ticket_issue(&tickets, person, hers, 1000, ticket), 0);
		if (i == 0) /* what is kept is not the ticket */
			assert_null(memmem(&tickets, sizeof tickets, ticket, sizeof ticket));
	}
	assert_int_equal(gr_ticket_issue(&tickets, "hanako", hers, 1000, ticket), GR_EFULL);
	assert_memory_equal(ticket, none, sizeof none);
	assert_int_equal(gr_ticket_issue(&tickets, "p7", hers, 1000, ticket), 0);
	gr_ticket_forget(&tickets, "p7");
	assert_int_equal(gr_ticket_issue(&tickets, "hanako", hers, 1000, ticket), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ticket_counts_once),
		cmocka_unit_test(only_the_newest_counts),
		cmocka_unit_test(what_does_not_belong_to_it_is_refused),
		cmocka_unit_test(a_full_table_makes_none),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
