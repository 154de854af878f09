/* fcitx's D-Bus interface (fcitx 5, and fcitx 4 since 4.2.9.6): src/frontend/dbusfrontend of fcitx5. */
#include "common/io.h"
#include "viewer/ime.h"

#include <dbus/dbus.h>
#include <SDL.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE "org.freedesktop.portal.Fcitx"
#define METHODS_PATH "/org/freedesktop/portal/inputmethod"
#define METHODS "org.fcitx.Fcitx.InputMethod1"
#define CONTEXT "org.fcitx.Fcitx.InputContext1"

enum {
	ANSWER_MS = 500, /* for a key: nobody types on when the letters stay away for longer */
	AGAIN_MS = 3000, /* between attempts to reach it */
	CAN_PREEDIT = 1 << 1,
	CAN_FORMATTED_PREEDIT = 1 << 4,
};

struct gr_ime {
	struct gr_ime_events events;
	DBusConnection *bus; /* NULL: not connected */
	char path[200]; /* of our input context; "": none */
	uint64_t again_ms; /* no attempt before */
	int focused;
	int caret[4];
};

static void drop_context(struct gr_ime *ime)
{
	if (!*ime->path)
		return;
	ime->path[0] = '\0'; /* its signals are nobody's from here on */
	ime->again_ms = gr_io_now_ms() + AGAIN_MS;
	ime->events.preedit(ime->events.context, "");
}

static void disconnect(struct gr_ime *ime)
{
	drop_context(ime);
	if (!ime->bus)
		return;
	dbus_connection_close(ime->bus);
	dbus_connection_unref(ime->bus);
	ime->bus = NULL;
}

/* The text of a(si), all pieces in a row. */
static void take_preedit(struct gr_ime *ime, DBusMessageIter *pieces)
{
	char text[1024] = "";
	DBusMessageIter array, piece;
	if (dbus_message_iter_get_arg_type(pieces) != DBUS_TYPE_ARRAY)
		return;
	for (dbus_message_iter_recurse(pieces, &array); dbus_message_iter_get_arg_type(&array) == DBUS_TYPE_STRUCT;
	     dbus_message_iter_next(&array)) {
		const char *part;
		dbus_message_iter_recurse(&array, &piece);
		if (dbus_message_iter_get_arg_type(&piece) != DBUS_TYPE_STRING)
			return;
		dbus_message_iter_get_basic(&piece, &part);
		size_t length = strlen(text);
		SDL_utf8strlcpy(text + length, part, sizeof(text) - length);
	}
	ime->events.preedit(ime->events.context, text);
}

static DBusHandlerResult on_message(DBusConnection *bus, DBusMessage *message, void *data)
{
	struct gr_ime *ime = data;
	DBusMessageIter arguments;
	(void)bus;
	if (dbus_message_is_signal(message, "org.freedesktop.DBus", "NameOwnerChanged")) {
		drop_context(ime); /* fcitx has ended or has been started again */
		ime->again_ms = 0;
		return DBUS_HANDLER_RESULT_HANDLED;
	}
	if (!*ime->path || !dbus_message_has_path(message, ime->path) || !dbus_message_iter_init(message, &arguments))
		return DBUS_HANDLER_RESULT_NOT_YET_HANDLED;
	if (dbus_message_is_signal(message, CONTEXT, "CommitString") &&
	    dbus_message_iter_get_arg_type(&arguments) == DBUS_TYPE_STRING) {
		const char *text;
		dbus_message_iter_get_basic(&arguments, &text);
		if (*text)
			ime->events.commit(ime->events.context, text);
	} else if (dbus_message_is_signal(message, CONTEXT, "UpdateFormattedPreedit")) {
		take_preedit(ime, &arguments);
	}
	return DBUS_HANDLER_RESULT_HANDLED;
}

static DBusMessage *method(const struct gr_ime *ime, const char *name)
{
	return dbus_message_new_method_call(SERVICE, ime->path, CONTEXT, name);
}

/* Sends without waiting for what it answers; takes the message. */
static void tell(struct gr_ime *ime, DBusMessage *message)
{
	if (!message)
		return;
	dbus_message_set_no_reply(message, TRUE);
	dbus_connection_send(ime->bus, message, NULL);
	dbus_connection_flush(ime->bus);
	dbus_message_unref(message);
}

static void tell_caret(struct gr_ime *ime)
{
	DBusMessage *message = method(ime, "SetCursorRect");
	if (message && dbus_message_append_args(message, DBUS_TYPE_INT32, &ime->caret[0], DBUS_TYPE_INT32,
						&ime->caret[1], DBUS_TYPE_INT32, &ime->caret[2], DBUS_TYPE_INT32,
						&ime->caret[3], DBUS_TYPE_INVALID))
		tell(ime, message);
}

static int connect_bus(struct gr_ime *ime)
{
	if (ime->bus && !dbus_connection_get_is_connected(ime->bus))
		disconnect(ime);
	if (ime->bus)
		return 0;
	ime->bus = dbus_bus_get_private(DBUS_BUS_SESSION, NULL);
	if (!ime->bus)
		return -1;
	dbus_connection_set_exit_on_disconnect(ime->bus, FALSE);
	dbus_bus_add_match(ime->bus, "type='signal',interface='" CONTEXT "'", NULL);
	dbus_bus_add_match(ime->bus,
			   "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" SERVICE "'",
			   NULL);
	dbus_connection_add_filter(ime->bus, on_message, ime, NULL);
	return 0;
}

static DBusMessage *ask_for_context(struct gr_ime *ime)
{
	DBusMessage *message = dbus_message_new_method_call(SERVICE, METHODS_PATH, METHODS, "CreateInputContext");
	const char *key = "program", *value = "garasu-viewer";
	DBusMessageIter arguments, array, pair;
	if (!message)
		return NULL;
	dbus_message_set_auto_start(message, FALSE);
	dbus_message_iter_init_append(message, &arguments);
	DBusMessage *reply = NULL;
	if (dbus_message_iter_open_container(&arguments, DBUS_TYPE_ARRAY, "(ss)", &array) &&
	    dbus_message_iter_open_container(&array, DBUS_TYPE_STRUCT, NULL, &pair) &&
	    dbus_message_iter_append_basic(&pair, DBUS_TYPE_STRING, &key) &&
	    dbus_message_iter_append_basic(&pair, DBUS_TYPE_STRING, &value) &&
	    dbus_message_iter_close_container(&array, &pair) && dbus_message_iter_close_container(&arguments, &array))
		reply = dbus_connection_send_with_reply_and_block(ime->bus, message, ANSWER_MS, NULL);
	dbus_message_unref(message);
	return reply;
}

/* Makes sure that there is an input context. Returns 0 when there is one. */
static int reach(struct gr_ime *ime)
{
	uint64_t now = gr_io_now_ms();
	if (ime->bus && *ime->path)
		return 0;
	if (now < ime->again_ms)
		return -1;
	ime->again_ms = now + AGAIN_MS;
	if (connect_bus(ime))
		return -1;
	DBusMessage *reply = ask_for_context(ime);
	DBusMessageIter arguments;
	if (!reply)
		return -1;
	if (dbus_message_iter_init(reply, &arguments) &&
	    dbus_message_iter_get_arg_type(&arguments) == DBUS_TYPE_OBJECT_PATH) {
		const char *path;
		dbus_message_iter_get_basic(&arguments, &path);
		if (SDL_strlcpy(ime->path, path, sizeof(ime->path)) >= sizeof(ime->path))
			ime->path[0] = '\0';
	}
	dbus_message_unref(reply);
	if (!*ime->path)
		return -1;
	const dbus_uint64_t able = CAN_PREEDIT | CAN_FORMATTED_PREEDIT;
	DBusMessage *capability = method(ime, "SetCapability");
	if (capability && dbus_message_append_args(capability, DBUS_TYPE_UINT64, &able, DBUS_TYPE_INVALID))
		tell(ime, capability);
	if (ime->focused) {
		tell(ime, method(ime, "FocusIn"));
		tell_caret(ime);
	}
	return 0;
}

static void dispatch(struct gr_ime *ime)
{
	while (ime->bus && dbus_connection_dispatch(ime->bus) == DBUS_DISPATCH_DATA_REMAINS)
		;
}

static int asked_for_fcitx(void)
{
	const char *module = SDL_getenv("SDL_IM_MODULE"), *modifiers = SDL_getenv("XMODIFIERS");
	if (module)
		return !strcmp(module, "fcitx");
	return modifiers && strstr(modifiers, "@im=fcitx") != NULL;
}

struct gr_ime *gr_ime_create(const struct gr_ime_events *events)
{
	if (!asked_for_fcitx())
		return NULL;
	struct gr_ime *ime = calloc(1, sizeof(*ime));
	if (!ime)
		return NULL;
	ime->events = *events;
	/* SDL takes ibus for everything that is not fcitx; so it finds none. */
	SDL_setenv("SDL_IM_MODULE", "none", 1);
	SDL_setenv("IBUS_ADDRESS", "/nonexistent", 1);
	return ime;
}

void gr_ime_destroy(struct gr_ime *ime)
{
	if (!ime)
		return;
	if (ime->bus && *ime->path)
		tell(ime, method(ime, "DestroyIC"));
	disconnect(ime);
	free(ime);
}

int gr_ime_fd(const struct gr_ime *ime)
{
	int fd = -1;
	if (!ime || !ime->bus || !dbus_connection_get_unix_fd(ime->bus, &fd))
		return -1;
	return fd;
}

void gr_ime_read(struct gr_ime *ime)
{
	if (!ime || !ime->bus)
		return;
	dbus_connection_read_write(ime->bus, 0);
	dispatch(ime);
	if (!dbus_connection_get_is_connected(ime->bus))
		disconnect(ime);
}

void gr_ime_focus(struct gr_ime *ime, int focused)
{
	if (!ime || ime->focused == focused)
		return;
	ime->focused = focused;
	if (reach(ime) == 0) /* which says FocusIn of a new context itself; twice does no harm */
		tell(ime, method(ime, focused ? "FocusIn" : "FocusOut"));
	dispatch(ime);
}

/* fcitx's key states (fcitx-utils/keysym.h), which are X11's. */
static dbus_uint32_t states_of(unsigned modifiers)
{
	return (modifiers & KMOD_SHIFT ? 1u << 0 : 0) | (modifiers & KMOD_CAPS ? 1u << 1 : 0) |
	       (modifiers & KMOD_CTRL ? 1u << 2 : 0) | (modifiers & KMOD_ALT ? 1u << 3 : 0) |
	       (modifiers & KMOD_NUM ? 1u << 4 : 0) | (modifiers & KMOD_GUI ? 1u << 6 : 0);
}

int gr_ime_key(struct gr_ime *ime, uint32_t keysym, uint32_t keycode, unsigned modifiers, int down)
{
	if (!ime || !ime->focused || !keysym || reach(ime))
		return 0;
	const dbus_uint32_t sym = keysym, code = keycode, states = states_of(modifiers), time = 0;
	const dbus_bool_t is_release = !down;
	dbus_bool_t taken = FALSE;
	DBusMessage *message = method(ime, "ProcessKeyEvent"), *reply = NULL;
	if (message && dbus_message_append_args(message, DBUS_TYPE_UINT32, &sym, DBUS_TYPE_UINT32, &code,
						DBUS_TYPE_UINT32, &states, DBUS_TYPE_BOOLEAN, &is_release,
						DBUS_TYPE_UINT32, &time, DBUS_TYPE_INVALID))
		reply = dbus_connection_send_with_reply_and_block(ime->bus, message, ANSWER_MS, NULL);
	if (message)
		dbus_message_unref(message);
	if (reply) {
		dbus_message_get_args(reply, NULL, DBUS_TYPE_BOOLEAN, &taken, DBUS_TYPE_INVALID);
		dbus_message_unref(reply);
	} else {
		drop_context(ime);
	}
	/* What it committed upon this key came before its answer. */
	dispatch(ime);
	return taken ? 1 : 0;
}

void gr_ime_caret(struct gr_ime *ime, int x, int y, int w, int h)
{
	const int caret[4] = { x, y, w, h };
	if (!ime || !memcmp(ime->caret, caret, sizeof(caret)))
		return;
	memcpy(ime->caret, caret, sizeof(caret));
	if (ime->bus && *ime->path && ime->focused)
		tell_caret(ime);
}
