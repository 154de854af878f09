/*
 * The gateway's RFB handshake in all roles. Input: role, with bit 2 asking for name and password, then operations: 0xff open the
 * next gate, 0xfe refuse, 0xfd wipe, otherwise a length (modulo 16) and that many bytes of the peer. The same bytes fed one by one must give the same result.
 */
#include "broker/gateway/rfb_handshake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct outcome {
	uint8_t out[4096];
	size_t length;
	int rc;
	bool done;
};

static void demand(bool condition)
{
	if (!condition)
		abort();
}

static void collect(struct gr_rfb_handshake *h, struct outcome *o)
{
	demand(sizeof o->out - o->length >= sizeof h->out);
	o->length += gr_rfb_handshake_output(h, o->out + o->length, sizeof o->out - o->length);
}

static void run(const uint8_t *data, size_t size, size_t at_once, struct outcome *o)
{
	struct gr_rfb_handshake h;
	enum gr_rfb_gate gate = GR_RFB_GATE_VERSION;
	bool refused = false, given = false;

	memset(o, 0, sizeof *o);
	gr_rfb_handshake_init(&h, data[0] % 4);
	if (data[0] & 4 && h.role != GR_RFB_CLIENT)
		gr_rfb_handshake_ask(&h);
	collect(&h, o);
	for (size_t i = 1; i < size && o->rc == 0 && !refused;) {
		uint8_t operation = data[i++];
		if (operation == 0xff) {
			gate = gate == GR_RFB_GATE_VERSION ? GR_RFB_GATE_TYPES : GR_RFB_GATE_RESULT;
			gr_rfb_handshake_open(&h, gate);
		} else if (operation == 0xfe) {
			refused = gr_rfb_handshake_refuse(&h, "refused") == 0;
			demand(!refused || gr_rfb_handshake_wants(&h) == 0);
		} else if (operation == 0xfd) {
			given = given || h.plain;
			gr_rfb_handshake_wipe(&h);
			demand(!h.plain && !h.name_length && !h.password_length);
		} else {
			size_t left = operation % 16;
			left = left < size - i ? left : size - i;
			while (left && o->rc == 0 && gr_rfb_handshake_wants(&h)) {
				size_t n = gr_rfb_handshake_wants(&h);
				demand(n <= sizeof h.in);
				n = n < left ? n : left;
				n = n < at_once ? n : at_once;
				o->rc = gr_rfb_handshake_feed(&h, data + i, n);
				collect(&h, o);
				i += n;
				left -= n;
			}
			i += left; /* what it did not want */
		}
		collect(&h, o);
	}
	o->done = gr_rfb_handshake_done(&h);
	given = given || h.plain;
	demand(h.name_length <= GR_RFB_NAME_MAX && h.password_length <= GR_RFB_PASSWORD_MAX);
	demand(!o->done || (o->rc == 0 && !refused && gr_rfb_handshake_wants(&h) == 0));
	if (o->done && (h.role == GR_RFB_SERVER || h.role == GR_RFB_SERVER_RESULT))
		demand(gate == GR_RFB_GATE_RESULT && (given || !h.ask)); /* nobody gets past it without a session */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome cut, whole;

	if (size < 1 || size > 1024)
		return 0;
	run(data, size, 1, &cut);
	run(data, size, 256, &whole);
	demand(cut.rc == whole.rc && cut.done == whole.done && cut.length == whole.length);
	demand(memcmp(cut.out, whole.out, cut.length) == 0);
	return 0;
}
