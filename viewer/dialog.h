/*
 * The dialogue that asks for the second factor: what is in its fields, where the focus is, what a key does. No drawing
 * (dialog_draw.h) and no I/O. What the person enters is in this struct only, and wiped as soon as it was given.
 */
#ifndef GARASU_VIEWER_DIALOG_H
#define GARASU_VIEWER_DIALOG_H

#include "viewer/channel.h"

#include <stddef.h>
#include <stdint.h>

#define GR_DIALOG_BYTES 256

/* What can have the focus, in the order of Tab. Those before OK are fields. */
enum gr_dialog_part { GR_DIALOG_PASSWORD, GR_DIALOG_CODE, GR_DIALOG_OK, GR_DIALOG_CANCEL, GR_DIALOG_PARTS };
#define GR_DIALOG_FIELDS 2

struct gr_dialog_field {
	char text[GR_DIALOG_BYTES + 1]; /* UTF-8; of the code: printable ASCII without spaces */
	size_t length, cursor; /* bytes; the cursor is between two characters */
	int all; /* all of it is selected */
};

struct gr_dialog {
	int open; /* there is one */
	unsigned what; /* gr_viewer_ask */
	enum gr_dialog_part focus;
	struct gr_dialog_field fields[GR_DIALOG_FIELDS]; /* by gr_dialog_part */
	char composing[128]; /* text of the local input method that is not committed yet; "" = none */
	int caps_lock;
};

enum gr_dialog_key {
	GR_DIALOG_KEY_NEXT, /* Tab, Down */
	GR_DIALOG_KEY_PREVIOUS,
	GR_DIALOG_KEY_LEFT,
	GR_DIALOG_KEY_RIGHT,
	GR_DIALOG_KEY_HOME,
	GR_DIALOG_KEY_END,
	GR_DIALOG_KEY_BACKSPACE,
	GR_DIALOG_KEY_DELETE,
	GR_DIALOG_KEY_ALL, /* Ctrl+A */
	GR_DIALOG_KEY_ENTER,
	GR_DIALOG_KEY_SPACE, /* on a button; in a field it comes as text */
	GR_DIALOG_KEY_ESCAPE,
};

enum gr_dialog_action { GR_DIALOG_NOTHING, GR_DIALOG_CHANGED, GR_DIALOG_GIVE, GR_DIALOG_LEAVE };

/* Opens it for what is asked, with empty fields and the focus in the first one. */
void gr_dialog_ask(struct gr_dialog *dialog, unsigned what);
/* Closes and wipes it. */
void gr_dialog_close(struct gr_dialog *dialog);

/* Whether this part is there, and whether it can be used: OK only when every field has something. */
int gr_dialog_has(const struct gr_dialog *dialog, enum gr_dialog_part part);
int gr_dialog_complete(const struct gr_dialog *dialog);

/* Committed or pasted text, for the field that has the focus. What does not belong there, or does not fit, is left out. */
enum gr_dialog_action gr_dialog_text(struct gr_dialog *dialog, const char *utf8);
enum gr_dialog_action gr_dialog_key(struct gr_dialog *dialog, enum gr_dialog_key key);
/* A click: on a field at this byte of its text, or on a button. */
enum gr_dialog_action gr_dialog_click(struct gr_dialog *dialog, enum gr_dialog_part part, size_t at);

/* Moves what was entered into out and empties the fields. */
void gr_dialog_give(struct gr_dialog *dialog, struct gr_viewer_factors *out);

/* Bytes of the character that begins at text (UTF-8, not at its end), and of the one that ends at text + at. */
size_t gr_dialog_character(const char *text);
size_t gr_dialog_character_before(const char *text, size_t at);

#endif
