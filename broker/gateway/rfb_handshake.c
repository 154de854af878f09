#include "broker/gateway/rfb_handshake.h"

#include <string.h>

#define VERSION_BYTES 12
#define TYPE_NONE 1
#define TYPE_VENCRYPT 19

static const char version_3_8[] = "RFB 003.008\n";
/* VeNCrypt's sub-types. */
static const uint8_t plain[4] = { 0, 0, 256 >> 8, 256 & 0xff };
static const uint8_t x509_none[4] = { 0, 0, 260 >> 8, 260 & 0xff };
static const uint8_t x509_plain[4] = { 0, 0, 262 >> 8, 262 & 0xff };

enum step {
	/* SERVER */
	VIEWER_VERSION = 1,
	TYPES_GATE,
	VIEWER_TYPE,
	RESULT_GATE, /* SERVER_RESULT begins here */
	PLAIN_LENGTHS, /* or here, when it asks */
	PLAIN_TEXT,
	/* SERVER_VENCRYPT, and SERVER when it asks; VIEWER_VERSION before it */
	VENCRYPT_TYPE,
	VENCRYPT_VERSION,
	VENCRYPT_SUBTYPE,
	/* CLIENT */
	SERVER_VERSION,
	SERVER_TYPE_COUNT,
	SERVER_TYPES,
	SERVER_RESULT,

	DONE,
	FAILED,
};

/* How many bytes the peer sends in a step; those of SERVER_TYPES and PLAIN_TEXT are set by what came before. */
static size_t step_bytes(enum step step)
{
	switch (step) {
	case VIEWER_VERSION:
	case SERVER_VERSION: return VERSION_BYTES;
	case VIEWER_TYPE:
	case VENCRYPT_TYPE:
	case SERVER_TYPE_COUNT: return 1;
	case VENCRYPT_VERSION: return 2;
	case VENCRYPT_SUBTYPE:
	case SERVER_RESULT: return 4;
	case PLAIN_LENGTHS: return 8;
	default: return 0;
	}
}

static void enter(struct gr_rfb_handshake *h, enum step step)
{
	h->step = (int)step;
	h->in_length = 0;
	h->wants = step_bytes(step);
}

/* The bound holds by the longest a handshake can say before its output is taken (the unit test goes through all). */
static void say(struct gr_rfb_handshake *h, const void *data, size_t n)
{
	if (n > sizeof h->out - h->out_length)
		n = sizeof h->out - h->out_length;
	memcpy(h->out + h->out_length, data, n);
	h->out_length += n;
}

static void say_u8(struct gr_rfb_handshake *h, uint8_t value)
{
	say(h, &value, 1);
}

static void say_u32(struct gr_rfb_handshake *h, uint32_t value)
{
	const uint8_t bytes[4] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
				   (uint8_t)value };

	say(h, bytes, sizeof bytes);
}

static void say_reason(struct gr_rfb_handshake *h, const char *text)
{
	size_t n = strnlen(text, GR_RFB_REFUSAL_MAX);

	say_u32(h, (uint32_t)n);
	say(h, text, n);
}

static int fail(struct gr_rfb_handshake *h, int code)
{
	enter(h, FAILED);
	return code;
}

/* Goes through the gates that are open. */
static void advance(struct gr_rfb_handshake *h)
{
	if (h->step == TYPES_GATE && h->gate >= GR_RFB_GATE_TYPES) {
		say_u8(h, 1);
		say_u8(h, h->ask ? TYPE_VENCRYPT : TYPE_NONE);
		enter(h, h->ask ? VENCRYPT_TYPE : VIEWER_TYPE);
	}
	if (h->step == RESULT_GATE && h->gate >= GR_RFB_GATE_RESULT) {
		say_u32(h, 0);
		enter(h, DONE);
	}
}

void gr_rfb_handshake_init(struct gr_rfb_handshake *h, enum gr_rfb_role role)
{
	memset(h, 0, sizeof *h);
	h->role = role;
	switch (role) {
	case GR_RFB_SERVER:
	case GR_RFB_SERVER_VENCRYPT:
		say(h, version_3_8, VERSION_BYTES);
		enter(h, VIEWER_VERSION);
		break;
	case GR_RFB_SERVER_RESULT: enter(h, RESULT_GATE); break;
	case GR_RFB_CLIENT: enter(h, SERVER_VERSION); break;
	}
}

void gr_rfb_handshake_ask(struct gr_rfb_handshake *h)
{
	h->ask = true;
	if (h->role == GR_RFB_SERVER_RESULT && h->step == RESULT_GATE)
		enter(h, PLAIN_LENGTHS);
}

void gr_rfb_handshake_wipe(struct gr_rfb_handshake *h)
{
	if (h->plain)
		explicit_bzero(h->in, sizeof h->in);
	h->plain = false;
	h->name_length = h->password_length = 0;
}

size_t gr_rfb_handshake_wants(const struct gr_rfb_handshake *h)
{
	return h->wants - h->in_length;
}

/* RFC 6143 7.1.2 and appendix A: before 3.7 the type is one u32 of the server's choice. */
static int refuse_version(struct gr_rfb_handshake *h)
{
	if (memcmp(h->in, "RFB 003.", 8) == 0) {
		if (memcmp(h->in + 8, "007\n", 4) < 0)
			say_u32(h, 0);
		else
			say_u8(h, 0);
		say_reason(h, "only RFB 3.8 is spoken here");
	}
	return fail(h, GR_EPROTO);
}

static const uint8_t *subtype(const struct gr_rfb_handshake *h)
{
	return h->role == GR_RFB_SERVER ? plain : h->ask ? x509_plain : x509_none;
}

static uint32_t u32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void plain_is_here(struct gr_rfb_handshake *h)
{
	enter(h, RESULT_GATE);
	h->plain = true;
}

static int take_plain_lengths(struct gr_rfb_handshake *h)
{
	uint32_t name = u32(h->in), password = u32(h->in + 4);

	if (name > GR_RFB_NAME_MAX || password > GR_RFB_PASSWORD_MAX) {
		say_u32(h, 1);
		say_reason(h, "the user name or the password is too long");
		return fail(h, GR_EPROTO);
	}
	h->name_length = name;
	h->password_length = password;
	if (name + password == 0) {
		plain_is_here(h);
		return 0;
	}
	enter(h, PLAIN_TEXT);
	h->wants = name + password;
	return 0;
}

/* One complete item is in h->in. */
static int take(struct gr_rfb_handshake *h)
{
	switch ((enum step)h->step) {
	case VIEWER_VERSION:
		if (memcmp(h->in, version_3_8, VERSION_BYTES) != 0)
			return refuse_version(h);
		if (h->role == GR_RFB_SERVER_VENCRYPT) {
			say_u8(h, 1);
			say_u8(h, TYPE_VENCRYPT);
			enter(h, VENCRYPT_TYPE);
		} else {
			enter(h, TYPES_GATE);
		}
		return 0;
	case VIEWER_TYPE:
		if (h->in[0] != TYPE_NONE) {
			say_u32(h, 1);
			say_reason(h, "only security type None is offered");
			return fail(h, GR_EPROTO);
		}
		enter(h, RESULT_GATE);
		return 0;
	case VENCRYPT_TYPE:
		if (h->in[0] != TYPE_VENCRYPT) {
			say_u32(h, 1);
			say_reason(h, "only VeNCrypt is offered");
			return fail(h, GR_EPROTO);
		}
		say_u8(h, 0);
		say_u8(h, 2);
		enter(h, VENCRYPT_VERSION);
		return 0;
	case VENCRYPT_VERSION:
		if (h->in[0] != 0 || h->in[1] != 2) {
			say_u8(h, 255); /* anything but 0: not supported */
			return fail(h, GR_EPROTO);
		}
		say_u8(h, 0);
		say_u8(h, 1);
		say(h, subtype(h), 4);
		enter(h, VENCRYPT_SUBTYPE);
		return 0;
	case VENCRYPT_SUBTYPE:
		if (memcmp(h->in, subtype(h), 4) != 0) {
			say_u8(h, 0);
			return fail(h, GR_EPROTO);
		}
		if (h->role == GR_RFB_SERVER) { /* only the sub-types with TLS are acknowledged */
			enter(h, PLAIN_LENGTHS);
			return 0;
		}
		say_u8(h, 1);
		enter(h, DONE);
		return 0;
	case PLAIN_LENGTHS: return take_plain_lengths(h);
	case PLAIN_TEXT: plain_is_here(h); return 0;
	case SERVER_VERSION:
		if (memcmp(h->in, version_3_8, VERSION_BYTES) != 0)
			return fail(h, GR_EPROTO);
		say(h, version_3_8, VERSION_BYTES);
		enter(h, SERVER_TYPE_COUNT);
		return 0;
	case SERVER_TYPE_COUNT: {
		uint8_t count = h->in[0];
		if (count == 0) /* a reason follows, which nobody here needs */
			return fail(h, GR_EDENIED);
		enter(h, SERVER_TYPES);
		h->wants = count;
		return 0;
	}
	case SERVER_TYPES:
		if (!memchr(h->in, TYPE_NONE, h->in_length))
			return fail(h, GR_EPROTO);
		say_u8(h, TYPE_NONE);
		enter(h, SERVER_RESULT);
		return 0;
	case SERVER_RESULT:
		if (h->in[0] | h->in[1] | h->in[2] | h->in[3])
			return fail(h, GR_EDENIED);
		enter(h, DONE);
		return 0;
	default: return fail(h, GR_EPROTO);
	}
}

int gr_rfb_handshake_feed(struct gr_rfb_handshake *h, const uint8_t *untrusted, size_t n)
{
	if (n > gr_rfb_handshake_wants(h))
		return fail(h, GR_EPROTO);
	memcpy(h->in + h->in_length, untrusted, n);
	h->in_length += n;
	if (h->in_length < h->wants || h->wants == 0)
		return 0;
	int rc = take(h);
	if (!rc)
		advance(h);
	return rc;
}

void gr_rfb_handshake_open(struct gr_rfb_handshake *h, enum gr_rfb_gate gate)
{
	if (gate > h->gate)
		h->gate = gate;
	advance(h);
}

int gr_rfb_handshake_refuse(struct gr_rfb_handshake *h, const char *text)
{
	switch ((enum step)h->step) {
	case VIEWER_VERSION:
	case TYPES_GATE: say_u8(h, 0); break;
	case VIEWER_TYPE:
	case VENCRYPT_TYPE:
	case VENCRYPT_SUBTYPE:
	case PLAIN_LENGTHS:
	case PLAIN_TEXT:
	case RESULT_GATE: say_u32(h, 1); break;
	default: return GR_EINVAL;
	}
	say_reason(h, text);
	enter(h, FAILED);
	return 0;
}

size_t gr_rfb_handshake_output(struct gr_rfb_handshake *h, uint8_t *out, size_t cap)
{
	size_t n = h->out_length < cap ? h->out_length : cap;

	memcpy(out, h->out, n);
	h->out_length = 0;
	return n;
}

bool gr_rfb_handshake_done(const struct gr_rfb_handshake *h)
{
	return h->step == DONE;
}
