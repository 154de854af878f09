#include "sandbox/agent/input.h"
#include "common/io.h"
#include "sandbox/agent/text.h"

#include <stdlib.h>
#include <string.h>
#include <xcb/xtest.h>

enum {
	QUEUE_MAX = 256, /* records */
	HELD_MAX = 64, /* keys down at once */
	/* Chromium drops text that comes while a click or Tab moves the focus. It tells the module of the move, several times: */
	AFTER_CLICK_MS = 60, /* a click that it tells nothing of moves nothing, or to another such field */
	AFTER_MOVE_MS = 15, /* so long after the last word of it the move is over */
	AFTER_CLICK_MAX_MS = 200,
	PROBES = 3, /* of the caret, after what may have moved it: a busy page takes longer to show it */
	BUTTONS = 9,
	FIRST_WHEEL_BIT = 3,
	LAST_WHEEL_BIT = 6,
	XK_NUM_LOCK = 0xff7f,
	XK_KP_FIRST = 0xff80,
	XK_KP_LAST = 0xffbd,
	XK_DEAD_FIRST = 0xfe50,
	XK_DEAD_LAST = 0xfe93,
	XK_ALT_L = 0xffe9,
	XK_HOME = 0xff50,
	XK_EISU_TOGGLE = 0xff30,
	XK_TAB = 0xff09,
	XK_ISO_LEFT_TAB = 0xfe20,
};

static const int64_t probe_ms[PROBES] = { 25, 100, 400 }; /* from the last input, from the last probe */

struct item {
	uint32_t type; /* gr_record_type */
	int own; /* TEXT made from keysyms: nobody waits for its result */
	union {
		struct gr_record_key key;
		struct gr_record_pointer pointer;
		struct gr_record_text text;
	};
};

/* A key that is down: what the viewer called it, and what was pressed for it. */
struct held {
	uint32_t keysym, scancode;
	uint8_t keycode;
};

struct gr_input {
	struct gr_input_owner owner;
	struct gr_display *display;
	struct gr_text *text;
	struct gr_loop_timer *click_timer, *probe_timer;
	unsigned probes; /* made since the last input */
	struct gr_keymap map;
	struct held held[HELD_MAX];
	size_t helds;
	uint32_t buttons; /* mask as the viewer said it last */
	uint16_t x, y;
	uint64_t clicked; /* ms; or Tab */
	int own_text; /* the text under way is one of ours */
	uint32_t text_sequence; /* of the text under way, when it is the viewer's */
	int running;
	size_t first, count;
	struct item queue[QUEUE_MAX];
};

static void fake(struct gr_input *in, uint8_t type, uint8_t detail)
{
	xcb_test_fake_input(in->display->x, type, detail, XCB_CURRENT_TIME, in->display->root, 0, 0, 0);
}

static void fake_key(struct gr_input *in, uint8_t keycode, int down)
{
	fake(in, down ? XCB_KEY_PRESS : XCB_KEY_RELEASE, keycode);
}

/* The server's own modifier state: locks may have been toggled by keys that we know nothing of. */
static uint32_t modifier_state(struct gr_input *in)
{
	xcb_query_pointer_reply_t *reply =
		xcb_query_pointer_reply(in->display->x, xcb_query_pointer(in->display->x, in->display->root), NULL);
	uint32_t state = reply ? reply->mask & 0xffu : 0;
	free(reply);
	return state;
}

/* Releases or presses again the held keys that give the modifier. */
static void fake_held(struct gr_input *in, uint32_t modifier, int down)
{
	for (size_t i = 0; i < in->helds; i++)
		if (in->map.modifiers[in->held[i].keycode] & modifier)
			fake_key(in, in->held[i].keycode, down);
}

/* Presses the key with Shift and level 3 as wanted; leaves them as the viewer holds them. */
static void press_with(struct gr_input *in, uint8_t keycode, uint32_t state, uint32_t want)
{
	const struct {
		uint32_t modifier;
		uint8_t key;
	} modifiers[] = { { GR_MOD_SHIFT, in->map.shift_key }, { in->map.level3, in->map.level3_key } };
	for (size_t i = 0; i < 2; i++) {
		if (want & ~state & modifiers[i].modifier)
			fake_key(in, modifiers[i].key, 1);
		else if (state & ~want & modifiers[i].modifier)
			fake_held(in, modifiers[i].modifier, 0);
	}
	fake_key(in, keycode, 1);
	for (size_t i = 0; i < 2; i++) {
		if (want & ~state & modifiers[i].modifier)
			fake_key(in, modifiers[i].key, 0);
		else if (state & ~want & modifiers[i].modifier)
			fake_held(in, modifiers[i].modifier, 1);
	}
}

static int gives(const struct gr_keymap *map, uint8_t keycode, uint32_t keysym)
{
	for (size_t i = 0; i < GR_KEYMAP_COLUMNS; i++)
		if (map->keysyms[keycode][i] == keysym)
			return 1;
	return 0;
}

/*
 * Presses what gives the keysym; the scancode tells which of several keys, or which key when the keysym says nothing.
 * A viewer's keyboard may have another layout than the container's: then the character counts, not the place.
 * Returns the keycode that is now down; 0: none.
 */
static uint8_t press(struct gr_input *in, uint32_t keysym, uint8_t place)
{
	const struct gr_keymap *map = &in->map;
	int keypad = keysym >= XK_KP_FIRST && keysym <= XK_KP_LAST;
	if (place && !map->keysyms[place][0])
		place = 0;
	if (place && (keysym == 0 || (!keypad && !gr_keymap_is_character(keysym) && gives(map, place, keysym)))) {
		fake_key(in, place, 1);
		return place;
	}

	uint32_t state = modifier_state(in), want = state;
	if (place && gr_keymap_keysym(map, place, state) == keysym) {
		fake_key(in, place, 1);
		return place;
	}
	if (keypad && map->num_lock) {
		/* The viewer's Num Lock differs from ours: turn ours, rather than typing with a Shift that a page would see. */
		uint8_t keycode = gr_keymap_find(map, keysym, state ^ map->num_lock, &want);
		uint32_t changed;
		uint8_t lock = gr_keymap_find(map, XK_NUM_LOCK, state, &changed);
		if (keycode && lock && want == (state ^ map->num_lock)) {
			fake_key(in, lock, 1);
			fake_key(in, lock, 0);
			fake_key(in, keycode, 1);
			return keycode;
		}
	}
	uint8_t keycode = gr_keymap_find(map, keysym, state, &want);
	if (keycode) {
		press_with(in, keycode, state, want);
		return keycode;
	}
	if (place && !(keysym >= XK_DEAD_FIRST && keysym <= XK_DEAD_LAST))
		fake_key(in, place, 1);
	else
		place = 0;
	return place;
}

static struct held *find_held(struct gr_input *in, const struct gr_record_key *key)
{
	/* The scancode decides where there is one: between press and release the keysym may change with Shift. */
	for (size_t i = 0; i < in->helds; i++)
		if (key->keycode ? in->held[i].scancode == key->keycode : in->held[i].keysym == key->keysym)
			return &in->held[i];
	return NULL;
}

static void do_key(struct gr_input *in, const struct gr_record_key *key)
{
	if (key->keysym == XK_EISU_TOGGLE) { /* 英数: the person's own input method is used from here on */
		if (key->down)
			gr_text_plain(in->text);
		return;
	}
	struct held *held = find_held(in, key);
	if (!key->down) {
		if (held) {
			fake_key(in, held->keycode, 0);
			*held = in->held[--in->helds];
		}
		return;
	}
	if (held) {
		/* The viewer's auto-repeat, or a press whose release it has missed. The server's own repeat is off, so that it drops
		   the press of a key that is down. */
		if (in->map.modifiers[held->keycode])
			return;
		fake_key(in, held->keycode, 0);
		*held = in->held[--in->helds];
	}
	if (in->helds == HELD_MAX)
		return;
	if (key->keysym == XK_TAB || key->keysym == XK_ISO_LEFT_TAB)
		in->clicked = gr_io_now_ms();
	uint8_t keycode = press(in, key->keysym, gr_keymap_of_scancode(key->keycode));
	if (keycode)
		in->held[in->helds++] = (struct held){ key->keysym, key->keycode, keycode };
}

static void do_pointer(struct gr_input *in, const struct gr_record_pointer *pointer)
{
	uint16_t x = pointer->x < in->display->w ? pointer->x : (uint16_t)(in->display->w - 1);
	uint16_t y = pointer->y < in->display->h ? pointer->y : (uint16_t)(in->display->h - 1);
	if (x != in->x || y != in->y) {
		xcb_test_fake_input(in->display->x, XCB_MOTION_NOTIFY, 0, XCB_CURRENT_TIME, in->display->root,
				    (int16_t)x, (int16_t)y, 0);
		in->x = x;
		in->y = y;
	}
	uint32_t changed = in->buttons ^ pointer->buttons;
	for (unsigned bit = 0; bit < BUTTONS; bit++) {
		if (!(changed & (1u << bit)))
			continue;
		int down = (pointer->buttons >> bit) & 1;
		uint8_t button = (uint8_t)(bit + 1);
		if (bit >= FIRST_WHEEL_BIT && bit <= LAST_WHEEL_BIT) {
			/* A notch: the viewer's release of the bit says nothing more. */
			if (down) {
				fake(in, XCB_BUTTON_PRESS, button);
				fake(in, XCB_BUTTON_RELEASE, button);
			}
			continue;
		}
		fake(in, down ? XCB_BUTTON_PRESS : XCB_BUTTON_RELEASE, button);
		in->clicked = gr_io_now_ms();
	}
	in->buttons = pointer->buttons & ((1u << BUTTONS) - 1);
}

static void text_result(struct gr_input *in, const struct item *item, uint32_t status)
{
	if (!item->own)
		in->owner.result(in->owner.context, item->text.sequence, status);
}

/* When a text may go out: not while a click may still be moving the focus. */
static uint64_t text_due(const struct gr_input *in)
{
	uint64_t heard = gr_text_heard(in->text);
	if (heard < in->clicked)
		return in->clicked + AFTER_CLICK_MS;
	uint64_t quiet = heard + AFTER_MOVE_MS, most = in->clicked + AFTER_CLICK_MAX_MS;
	return quiet < most ? quiet : most;
}

/* Does what waits until a text is under way or has to wait. */
static void run(struct gr_input *in)
{
	if (in->running) /* a callback of ours came back here */
		return;
	in->running = 1;
	int did = 0;
	while (in->count > 0 && !gr_text_is_busy(in->text)) {
		const struct item item = in->queue[in->first];
		uint64_t now = gr_io_now_ms(), due = item.type == GR_RECORD_TEXT ? text_due(in) : 0;
		if (now < due) {
			gr_loop_timer_set(in->click_timer, (int64_t)(due - now));
			break;
		}
		/* Off the queue before it is acted on: an answer that cannot be sent empties the whole queue. */
		in->first = (in->first + 1) % QUEUE_MAX;
		in->count--;
		did |= item.type != GR_RECORD_POINTER || item.pointer.buttons != in->buttons;
		if (item.type == GR_RECORD_TEXT) {
			in->own_text = item.own;
			in->text_sequence = item.text.sequence;
			if (gr_text_send(in->text, item.text.text, item.text.length) < 0)
				text_result(in, &item, GR_TEXT_NOT_DELIVERED);
		} else if (item.type == GR_RECORD_KEY) {
			do_key(in, &item.key);
		} else {
			do_pointer(in, &item.pointer);
		}
	}
	if (did) {
		in->probes = 0;
		gr_loop_timer_set(in->probe_timer, probe_ms[0]);
	}
	xcb_flush(in->display->x);
	in->running = 0;
}

static void probe(void *context)
{
	struct gr_input *in = context;
	if (gr_text_probe(in->text) && ++in->probes < PROBES)
		gr_loop_timer_set(in->probe_timer, probe_ms[in->probes]);
	xcb_flush(in->display->x);
	in->owner.worked(in->owner.context);
}

static void click_over(void *context)
{
	struct gr_input *in = context;
	run(in);
	in->owner.worked(in->owner.context);
}

static void text_press(void *context, uint8_t keycode)
{
	fake_key(context, keycode, 1);
	fake_key(context, keycode, 0);
}

static void text_done(void *context, uint32_t status)
{
	struct gr_input *in = context;
	if (!in->own_text)
		in->owner.result(in->owner.context, in->text_sequence, status);
	run(in);
	in->owner.worked(in->owner.context);
}

static void text_caret(void *context, const struct gr_record_caret *untrusted_caret)
{
	struct gr_input *in = context;
	struct gr_record_caret caret = *untrusted_caret;
	const uint16_t w = in->display->w, h = in->display->h;
	if (caret.rect.x >= w || caret.rect.y >= h)
		caret.visible = 0;
	if (!caret.visible)
		caret.rect = (struct gr_rect){ 0 };
	else {
		if (caret.rect.w > w - caret.rect.x)
			caret.rect.w = (uint16_t)(w - caret.rect.x);
		if (caret.rect.h > h - caret.rect.y)
			caret.rect.h = (uint16_t)(h - caret.rect.y);
	}
	in->owner.caret(in->owner.context, &caret);
}

struct gr_input *gr_input_create(struct gr_loop *loop, struct gr_display *display, const char *im_path,
				 const struct gr_input_owner *owner, struct gr_error *err)
{
	struct gr_input *in = calloc(1, sizeof(*in));
	if (!in) {
		gr_error_set(err, GR_ENOMEM, "out of memory");
		return NULL;
	}
	in->owner = *owner;
	in->display = display;
	in->x = in->y = UINT16_MAX; /* the first pointer record always moves */
	const struct gr_text_owner text_owner = { in, text_press, text_done, text_caret };
	in->text = gr_text_create(loop, im_path, &text_owner, err);
	in->click_timer = gr_loop_timer_add(loop, click_over, in);
	in->probe_timer = gr_loop_timer_add(loop, probe, in);
	if (in->text && (!in->click_timer || !in->probe_timer))
		gr_error_set(err, GR_ENOMEM, "out of memory");
	if (!in->text || !in->click_timer || !in->probe_timer) {
		gr_input_destroy(in);
		return NULL;
	}
	return in;
}

void gr_input_destroy(struct gr_input *in)
{
	if (!in)
		return;
	gr_text_destroy(in->text);
	gr_loop_timer_remove(in->click_timer);
	gr_loop_timer_remove(in->probe_timer);
	free(in);
}

int gr_input_reload(struct gr_input *in)
{
	return gr_display_keymap(in->display, &in->map);
}

int gr_input_is_full(const struct gr_input *in)
{
	return in->count == QUEUE_MAX;
}

static struct item *last(struct gr_input *in)
{
	return in->count ? &in->queue[(in->first + in->count - 1) % QUEUE_MAX] : NULL;
}

static struct item *append(struct gr_input *in, uint32_t type)
{
	if (in->count == QUEUE_MAX)
		return NULL;
	in->count++;
	struct item *item = last(in);
	item->type = type;
	item->own = 0;
	return item;
}

/* A character that no key of the map gives: as text. Such keys in a row become one text. */
static int take_character(struct gr_input *in, uint32_t character)
{
	uint8_t utf8[4];
	uint32_t n = gr_keymap_utf8(character, utf8);
	struct item *item = last(in);
	if (!item || item->type != GR_RECORD_TEXT || !item->own || item->text.length + n > GR_TEXT_MAX) {
		item = append(in, GR_RECORD_TEXT);
		if (!item)
			return GR_EFULL;
		item->own = 1;
		item->text.sequence = 0;
		item->text.length = 0;
	}
	memcpy(item->text.text + item->text.length, utf8, n);
	item->text.length += n;
	return 0;
}

static int take_key(struct gr_input *in, const struct gr_record_key *key)
{
	if (key->down > 1)
		return GR_EPROTO;
	uint32_t character = gr_keymap_unicode(key->keysym), ignored;
	if (character && !gr_keymap_find(&in->map, key->keysym, 0, &ignored)) {
		/* A Unicode keysym of a character that has a keysym of its own: the key may exist under that one. */
		if (character > 0xff || !gr_keymap_find(&in->map, character, 0, &ignored))
			return key->down ? take_character(in, character) : 0;
		struct item *item = append(in, GR_RECORD_KEY);
		if (!item)
			return GR_EFULL;
		item->key = *key;
		item->key.keysym = character;
		return 0;
	}
	struct item *item = append(in, GR_RECORD_KEY);
	if (!item)
		return GR_EFULL;
	item->key = *key;
	return 0;
}

static int take_pointer(struct gr_input *in, const struct gr_record_pointer *pointer)
{
	struct item *item = last(in);
	/* Of moves that wait, the last one counts. */
	if (!item || item->type != GR_RECORD_POINTER || item->pointer.buttons != pointer->buttons)
		item = append(in, GR_RECORD_POINTER);
	if (!item)
		return GR_EFULL;
	item->pointer = *pointer;
	return 0;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF; no control characters but tab and line feed. */
static int is_text(const uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n;) {
		uint8_t lead = p[i++];
		if (lead < 0x80) {
			if ((lead < 0x20 && lead != '\t' && lead != '\n') || lead == 0x7f)
				return 0;
			continue;
		}
		uint32_t more = lead >= 0xc2 && lead <= 0xdf   ? 1
				: (lead & 0xf0) == 0xe0        ? 2
				: lead >= 0xf0 && lead <= 0xf4 ? 3
							       : 0;
		if (!more || more > n - i)
			return 0;
		uint32_t character = lead & (0x3fu >> more);
		for (uint32_t k = 0; k < more; k++, i++) {
			if ((p[i] & 0xc0) != 0x80)
				return 0;
			character = character << 6 | (p[i] & 0x3f);
		}
		if ((more == 2 && character < 0x800) || (more == 3 && character < 0x10000) || character > 0x10ffff ||
		    (character >= 0xd800 && character <= 0xdfff))
			return 0;
	}
	return 1;
}

static int take_text(struct gr_input *in, const struct gr_record_text *text)
{
	if (text->length == 0 || text->length > GR_TEXT_MAX || !is_text(text->text, text->length))
		return GR_EPROTO;
	struct item *item = append(in, GR_RECORD_TEXT);
	if (!item)
		return GR_EFULL;
	item->text = *text;
	return 0;
}

int gr_input_take(struct gr_input *in, const union gr_record *untrusted_record)
{
	int code = GR_EPROTO;
	if (untrusted_record->type == GR_RECORD_KEY)
		code = take_key(in, &untrusted_record->key);
	else if (untrusted_record->type == GR_RECORD_POINTER)
		code = take_pointer(in, &untrusted_record->pointer);
	else if (untrusted_record->type == GR_RECORD_TEXT)
		code = take_text(in, &untrusted_record->text);
	run(in);
	return code;
}

void gr_input_go_home(struct gr_input *in)
{
	const struct {
		uint32_t keysym, down;
	} keys[] = { { XK_ALT_L, 1 }, { XK_HOME, 1 }, { XK_HOME, 0 }, { XK_ALT_L, 0 } };
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct gr_record_key key = { GR_RECORD_KEY, keys[i].keysym, 0, keys[i].down };
		take_key(in, &key);
	}
	run(in);
}

void gr_input_release(struct gr_input *in)
{
	in->count = 0;
	in->own_text = 1; /* of a text under way nobody waits for the result any more */
	gr_loop_timer_set(in->click_timer, -1);
	gr_loop_timer_set(in->probe_timer, -1);
	while (in->helds > 0)
		fake_key(in, in->held[--in->helds].keycode, 0);
	for (unsigned bit = 0; bit < BUTTONS; bit++)
		if ((in->buttons >> bit) & 1 && !(bit >= FIRST_WHEEL_BIT && bit <= LAST_WHEEL_BIT))
			fake(in, XCB_BUTTON_RELEASE, (uint8_t)(bit + 1));
	in->buttons = 0;
	xcb_flush(in->display->x);
}
