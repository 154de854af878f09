/* The policies of the viewer's processes: what decoding and TLS need works, everything that could reach out kills. */
#include "common/decode/decode.h"
#include "tests/unit/policy_child.h"
#include "viewer/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <turbojpeg.h>
#include <unistd.h>

#include <cmocka.h> /* needs some of those above */

static int stream[2];

/* The largest history, and a photograph. */
static void do_decode(void)
{
	/* One pixel in a stream with a window of 32 MiB: RFC 8878, a block as it is. */
	static const uint8_t begin[] = "\x28\xb5\x2f\xfd\0\x78\x60\0\0\0\0\0\0\0\1\0\1\xc0\x10\1\2";
	static uint32_t pixels[64 * 64];
	static uint8_t grey[64 * 64 * 3];
	const char *why = NULL;
	struct gr_rect all = { 0, 0, 64, 64 };
	struct gr_decode *decode = gr_decode_create(25, 1);
	if (!decode ||
	    gr_decode_rectangle(decode, GR_ENCODING_HISTORY, begin, sizeof(begin) - 1, pixels, 64, all, &why) ||
	    pixels[0] != 0xff121011u)
		_exit(1);
	tjhandle jpeg = tjInitCompress();
	unsigned char *data = NULL;
	unsigned long size = 0;
	if (tjCompress2(jpeg, grey, 64, 0, 64, TJPF_RGB, &data, &size, TJSAMP_420, 80, 0))
		_exit(2);
	size_t app0 = 2 + ((size_t)data[4] << 8 | data[5]); /* not in our form */
	memmove(data + 2, data + 2 + app0, size - 2 - app0);
	if (gr_decode_rectangle(decode, GR_ENCODING_PHOTO, data, size - app0, pixels, 64, all, &why))
		_exit(3);
	tjFree(data);
	tjDestroy(jpeg);
	gr_decode_destroy(decode);
}

/* As decoder and transport use theirs. */
static void do_stream(void)
{
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (send(stream[0], "x", 1, MSG_NOSIGNAL) != 1 || recv(stream[1], &byte, 1, MSG_DONTWAIT) != 1 ||
	    sendmsg(stream[1], &message, MSG_NOSIGNAL) != 1)
		_exit(1);
}

/* And as libssl does. */
static void do_connection(void)
{
	char byte = 0;
	do_stream();
	if (read(stream[0], &byte, 1) != 1 || write(stream[0], &byte, 1) != 1 || shutdown(stream[0], SHUT_WR) < 0)
		_exit(1);
}

static void reaching_out_kills(void **state)
{
	(void)state;
	policy_assert_kills(&gr_decoder_policy, NULL);
	policy_assert_kills(&gr_transport_policy, NULL);
}

static void decoding_works(void **state)
{
	(void)state;
	assert_int_equal(policy_child(&gr_decoder_policy, -1, do_decode), 0);
	assert_int_equal(policy_child(&gr_decoder_policy, -1, do_stream), 0);
	policy_assert_common(&gr_decoder_policy);
}

static void carrying_works(void **state)
{
	(void)state;
	assert_int_equal(policy_child(&gr_transport_policy, -1, do_connection), 0);
	policy_assert_common(&gr_transport_policy);
}

static int prepare(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reaching_out_kills),
		cmocka_unit_test(decoding_works),
		cmocka_unit_test(carrying_works),
	};
	return cmocka_run_group_tests(tests, prepare, NULL);
}
