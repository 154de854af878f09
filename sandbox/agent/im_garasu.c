/*
 * The GTK 3 input-method module "garasu": loaded by Chromium's browser process, commits the text that the agent sends
 * (im_message.h) when the key that belongs to it arrives, and tells the agent where the caret is.
 *
 * Everything else goes to fcitx, once a key has asked for kana-kanji conversion: before that keys never wait for another
 * process, and keep their order with committed text. Only the connection is made before, for that takes fcitx a while.
 */
#include "sandbox/agent/im_message.h"

#include <errno.h>
#include <gdk/gdkkeysyms.h>
#include <glib-unix.h>
#include <gtk/gtk.h>
#include <gtk/gtkimmodule.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define CONTEXT_ID "garasu"
#define CONVERSION_ID "fcitx"

struct gr_im {
	GtkIMContext parent;
	GtkIMContext *conversion; /* fcitx's context; NULL before the first focus */
	guint began; /* module.began when it was made */
	GdkWindow *window; /* owned reference; NULL: none */
	GdkRectangle caret; /* in the window's coordinates */
	gboolean focused;
};

/* One connection for the whole process, however many contexts the browser makes. GTK is single-threaded. */
static struct {
	int fd; /* -1: none */
	guint source;
	struct gr_im *focused; /* the context that has the focus, or NULL */
	gboolean converts; /* a key has asked for conversion */
	guint began; /* counts the PLAINs: contexts from before have a state that is not wanted any more */
	gboolean has_text;
	struct gr_im_request text; /* waits for its key */
} module = { .fd = -1 };

static GType context_type;
static GtkIMContextClass *parent_class;

static void connect_agent(void);
static void end_conversion(void);

static void report(const struct gr_im_report *what)
{
	connect_agent();
	if (module.fd >= 0 && send(module.fd, what, sizeof(*what), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		shutdown(module.fd, SHUT_RDWR); /* noticed by read_agent */
}

static void report_outcome(guint32 type, guint32 sequence)
{
	const struct gr_im_report outcome = { .type = type, .sequence = sequence };
	report(&outcome);
}

static void report_focus(gboolean focused)
{
	const struct gr_im_report focus = { .type = GR_IM_FOCUS, .focused = focused ? 1 : 0 };
	report(&focus);
}

static void disconnect_agent(void)
{
	/* What the agent has given up must not come out later. */
	module.has_text = FALSE;
	if (module.source)
		g_source_remove(module.source);
	module.source = 0;
	if (module.fd >= 0)
		close(module.fd);
	module.fd = -1;
}

/* Reads all that the agent has said so far. */
static void read_agent(void)
{
	while (module.fd >= 0) {
		struct gr_im_request request;
		ssize_t n = recv(module.fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n != (ssize_t)sizeof(request) || request.length > GR_TEXT_MAX) {
			disconnect_agent();
			return;
		}
		if (request.type == GR_IM_TEXT) {
			module.text = request;
			module.has_text = TRUE;
		} else if (request.type == GR_IM_CANCEL && module.has_text &&
			   module.text.sequence == request.sequence) {
			module.has_text = FALSE;
			report_outcome(GR_IM_FORGOTTEN, request.sequence);
		}
		/* A CANCEL of what is committed already: that was reported. */
		if (request.type == GR_IM_PLAIN)
			end_conversion();
	}
}

static gboolean agent_ready(gint fd, GIOCondition condition, gpointer data)
{
	(void)fd;
	(void)condition;
	(void)data;
	read_agent();
	return G_SOURCE_CONTINUE; /* at the end of the connection disconnect_agent has removed this source already */
}

static void connect_agent(void)
{
	if (module.fd >= 0)
		return;
	const char *path = g_getenv(GR_IM_SOCKET_VARIABLE);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (g_strlcpy(address.sun_path, path ? path : GR_IM_SOCKET, sizeof(address.sun_path)) >=
	    sizeof(address.sun_path))
		return;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return;
	}
	module.fd = fd;
	module.source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, agent_ready, NULL);
	if (module.focused)
		report_focus(TRUE);
}

static void report_caret(struct gr_im *im)
{
	if (!im->focused || !im->window)
		return;
	int x = 0, y = 0;
	gdk_window_get_origin(im->window, &x, &y);
	const struct gr_im_report caret = { .type = GR_IM_CARET,
					    .x = x + im->caret.x,
					    .y = y + im->caret.y,
					    .w = im->caret.width,
					    .h = im->caret.height };
	report(&caret);
}

/* fcitx's signals are ours. */

static void on_commit(GtkIMContext *from, const char *text, gpointer im)
{
	(void)from;
	g_signal_emit_by_name(im, "commit", text);
}

static void on_preedit_start(GtkIMContext *from, gpointer im)
{
	(void)from;
	g_signal_emit_by_name(im, "preedit-start");
}

static void on_preedit_changed(GtkIMContext *from, gpointer im)
{
	(void)from;
	g_signal_emit_by_name(im, "preedit-changed");
}

static void on_preedit_end(GtkIMContext *from, gpointer im)
{
	(void)from;
	g_signal_emit_by_name(im, "preedit-end");
}

static gboolean on_retrieve_surrounding(GtkIMContext *from, gpointer im)
{
	gboolean done = FALSE;
	(void)from;
	g_signal_emit_by_name(im, "retrieve-surrounding", &done);
	return done;
}

static gboolean on_delete_surrounding(GtkIMContext *from, gint offset, gint n, gpointer im)
{
	gboolean done = FALSE;
	(void)from;
	g_signal_emit_by_name(im, "delete-surrounding", offset, n, &done);
	return done;
}

static void drop_conversion(struct gr_im *im)
{
	if (im->conversion)
		g_signal_handlers_disconnect_by_data(im->conversion, im);
	g_clear_object(&im->conversion);
}

static GtkIMContext *conversion_of(struct gr_im *im)
{
	if (im->conversion && im->began == module.began)
		return im->conversion;
	drop_conversion(im);
	im->began = module.began;
	im->conversion = gtk_im_multicontext_new();
	gtk_im_multicontext_set_context_id(GTK_IM_MULTICONTEXT(im->conversion), CONVERSION_ID);
	g_signal_connect(im->conversion, "commit", G_CALLBACK(on_commit), im);
	g_signal_connect(im->conversion, "preedit-start", G_CALLBACK(on_preedit_start), im);
	g_signal_connect(im->conversion, "preedit-changed", G_CALLBACK(on_preedit_changed), im);
	g_signal_connect(im->conversion, "preedit-end", G_CALLBACK(on_preedit_end), im);
	g_signal_connect(im->conversion, "retrieve-surrounding", G_CALLBACK(on_retrieve_surrounding), im);
	g_signal_connect(im->conversion, "delete-surrounding", G_CALLBACK(on_delete_surrounding), im);
	gtk_im_context_set_client_window(im->conversion, im->window);
	return im->conversion;
}

/* A new context of fcitx's does not convert. */
static void end_conversion(void)
{
	struct gr_im *im = module.focused;
	if (!module.converts)
		return;
	module.converts = FALSE;
	module.began++;
	if (!im)
		return;
	if (im->conversion)
		gtk_im_context_reset(im->conversion); /* what is being composed ends here */
	gtk_im_context_focus_in(conversion_of(im));
}

/* GtkIMContext's methods */

static int slot_of(guint16 keycode)
{
	static const guint8 keycodes[4] = GR_IM_KEYCODES;
	for (int i = 0; i < 4; i++)
		if (keycodes[i] == keycode)
			return i;
	return -1;
}

static gboolean asks_for_conversion(const GdkEventKey *event)
{
	switch (event->keyval) {
	case GDK_KEY_Zenkaku_Hankaku:
	case GDK_KEY_Kanji:
	case GDK_KEY_Henkan_Mode:
	case GDK_KEY_Hiragana_Katakana: return TRUE;
	default: return FALSE;
	}
}

static gboolean filter_keypress(GtkIMContext *context, GdkEventKey *event)
{
	struct gr_im *im = (struct gr_im *)context;
	int slot = slot_of(event->hardware_keycode);
	if (event->hardware_keycode == GR_IM_PROBE_KEYCODE)
		return TRUE;
	if (slot < 0) {
		if (!module.converts) {
			if (event->type != GDK_KEY_PRESS || !asks_for_conversion(event))
				return FALSE;
			module.converts = TRUE;
			gtk_im_context_set_cursor_location(conversion_of(im), &im->caret);
		}
		return gtk_im_context_filter_keypress(conversion_of(im), event);
	}
	if (event->type == GDK_KEY_PRESS) {
		connect_agent();
		read_agent();
		if (module.has_text && module.text.sequence % 4 == (guint)slot) {
			char text[GR_TEXT_MAX + 1];
			memcpy(text, module.text.text, module.text.length);
			text[module.text.length] = '\0';
			guint32 sequence = module.text.sequence;
			module.has_text = FALSE;
			g_signal_emit_by_name(im, "commit", text);
			report_outcome(GR_IM_COMMITTED, sequence);
		}
	}
	return TRUE; /* ours, even when its text is gone: no page sees these keys */
}

/*
 * A password field's keys go to a context of GTK's simple class, never to an input method. That the key of a text arrives
 * there tells at once what otherwise only a deadline would: the text cannot be delivered.
 */
static gboolean (*simple_filter_keypress)(GtkIMContext *context, GdkEventKey *event);

static gboolean watch_simple_keypress(GtkIMContext *context, GdkEventKey *event)
{
	int slot = slot_of(event->hardware_keycode);
	if (event->hardware_keycode == GR_IM_PROBE_KEYCODE)
		return TRUE;
	if (slot < 0)
		return simple_filter_keypress(context, event);
	if (event->type == GDK_KEY_PRESS) {
		read_agent();
		if (module.has_text && module.text.sequence % 4 == (guint)slot) {
			module.has_text = FALSE;
			report_outcome(GR_IM_FORGOTTEN, module.text.sequence);
		}
	}
	return TRUE;
}

static void watch_simple_class(void)
{
	GtkIMContextClass *simple = g_type_class_ref(GTK_TYPE_IM_CONTEXT_SIMPLE); /* kept for ever: we changed it */
	if (simple->filter_keypress == watch_simple_keypress)
		return;
	simple_filter_keypress = simple->filter_keypress;
	simple->filter_keypress = watch_simple_keypress;
}

static void focus_in(GtkIMContext *context)
{
	struct gr_im *im = (struct gr_im *)context;
	im->focused = TRUE;
	module.focused = im;
	report_focus(TRUE);
	gtk_im_context_focus_in(conversion_of(im));
}

static void forget_focus(struct gr_im *im)
{
	im->focused = FALSE;
	if (module.focused != im)
		return;
	module.focused = NULL;
	report_focus(FALSE);
}

static void focus_out(GtkIMContext *context)
{
	struct gr_im *im = (struct gr_im *)context;
	forget_focus(im);
	if (im->conversion)
		gtk_im_context_focus_out(im->conversion);
}

static void set_client_window(GtkIMContext *context, GdkWindow *window)
{
	struct gr_im *im = (struct gr_im *)context;
	g_set_object(&im->window, window);
	if (im->conversion)
		gtk_im_context_set_client_window(im->conversion, window);
}

static void set_cursor_location(GtkIMContext *context, GdkRectangle *area)
{
	struct gr_im *im = (struct gr_im *)context;
	im->caret = *area;
	report_caret(im);
	if (im->conversion && module.converts)
		gtk_im_context_set_cursor_location(im->conversion, area);
}

static void reset(GtkIMContext *context)
{
	struct gr_im *im = (struct gr_im *)context;
	if (im->conversion)
		gtk_im_context_reset(im->conversion);
}

static void set_use_preedit(GtkIMContext *context, gboolean use)
{
	struct gr_im *im = (struct gr_im *)context;
	if (im->conversion)
		gtk_im_context_set_use_preedit(im->conversion, use);
}

static void get_preedit_string(GtkIMContext *context, gchar **text, PangoAttrList **attributes, gint *caret)
{
	struct gr_im *im = (struct gr_im *)context;
	if (im->conversion)
		gtk_im_context_get_preedit_string(im->conversion, text, attributes, caret);
	else
		parent_class->get_preedit_string(context, text, attributes, caret);
}

static void set_surrounding(GtkIMContext *context, const gchar *text, gint length, gint caret)
{
	struct gr_im *im = (struct gr_im *)context;
	if (im->conversion)
		gtk_im_context_set_surrounding(im->conversion, text, length, caret);
}

static void finalize(GObject *object)
{
	struct gr_im *im = (struct gr_im *)object;
	forget_focus(im);
	drop_conversion(im);
	g_clear_object(&im->window);
	G_OBJECT_CLASS(parent_class)->finalize(object);
}

static void init_class(gpointer class, gpointer data)
{
	GtkIMContextClass *im_class = class;
	(void)data;
	parent_class = g_type_class_peek_parent(class);
	im_class->filter_keypress = filter_keypress;
	im_class->focus_in = focus_in;
	im_class->focus_out = focus_out;
	im_class->set_client_window = set_client_window;
	im_class->set_cursor_location = set_cursor_location;
	im_class->reset = reset;
	im_class->set_use_preedit = set_use_preedit;
	im_class->get_preedit_string = get_preedit_string;
	im_class->set_surrounding = set_surrounding;
	G_OBJECT_CLASS(class)->finalize = finalize;
}

/* What GTK looks for in a module; it declares them nowhere. */
EXPORT void im_module_init(GTypeModule *type_module);
EXPORT void im_module_exit(void);
EXPORT void im_module_list(const GtkIMContextInfo ***contexts, guint *count);
EXPORT GtkIMContext *im_module_create(const gchar *id);

void im_module_init(GTypeModule *type_module)
{
	const GTypeInfo info = {
		.class_size = sizeof(GtkIMContextClass),
		.class_init = init_class,
		.instance_size = sizeof(struct gr_im),
	};
	context_type = g_type_module_register_type(type_module, GTK_TYPE_IM_CONTEXT, "GrImContext", &info, 0);
	g_type_module_use(type_module); /* our event source points into it: never unloaded */
	watch_simple_class();
}

void im_module_exit(void)
{
	disconnect_agent();
}

void im_module_list(const GtkIMContextInfo ***contexts, guint *count)
{
	static const GtkIMContextInfo info = { CONTEXT_ID, "Garasu", "garasu", "", "" };
	static const GtkIMContextInfo *list[] = { &info };
	*contexts = list;
	*count = G_N_ELEMENTS(list);
}

GtkIMContext *im_module_create(const gchar *id)
{
	if (strcmp(id, CONTEXT_ID) != 0)
		return NULL;
	connect_agent();
	return g_object_new(context_type, NULL);
}
