#include "viewer/dialog.h"

#include "common/utf8.h"

#include <stdint.h>
#include <string.h>

static const size_t room[GR_DIALOG_FIELDS] = { [GR_DIALOG_PASSWORD] = GR_PASSWORD_MAX, [GR_DIALOG_CODE] = GR_CODE_MAX };

_Static_assert(GR_PASSWORD_MAX <= GR_DIALOG_BYTES && GR_CODE_MAX <= GR_DIALOG_BYTES, "a field holds what may be given");

size_t gr_dialog_character(const char *text)
{
	size_t n = 1;
	while (((unsigned char)text[n] & 0xc0) == 0x80)
		n++;
	return n;
}

size_t gr_dialog_character_before(const char *text, size_t at)
{
	size_t n = 0;
	while (n < at && ((unsigned char)text[at - ++n] & 0xc0) == 0x80)
		;
	return n;
}

int gr_dialog_has(const struct gr_dialog *dialog, enum gr_dialog_part part)
{
	switch (part) {
	case GR_DIALOG_PASSWORD: return (dialog->what & GR_ASK_PASSWORD) != 0;
	case GR_DIALOG_CODE: return (dialog->what & GR_ASK_CODE) != 0;
	default: return 1;
	}
}

int gr_dialog_complete(const struct gr_dialog *dialog)
{
	for (int i = 0; i < GR_DIALOG_FIELDS; i++)
		if (gr_dialog_has(dialog, (enum gr_dialog_part)i) && !dialog->fields[i].length)
			return 0;
	return 1;
}

void gr_dialog_close(struct gr_dialog *dialog)
{
	explicit_bzero(dialog, sizeof(*dialog));
}

void gr_dialog_ask(struct gr_dialog *dialog, unsigned what)
{
	int caps_lock = dialog->caps_lock;
	gr_dialog_close(dialog);
	dialog->open = 1;
	dialog->what = what;
	dialog->caps_lock = caps_lock;
	dialog->focus = gr_dialog_has(dialog, GR_DIALOG_PASSWORD) ? GR_DIALOG_PASSWORD : GR_DIALOG_CODE;
}

static struct gr_dialog_field *focused(struct gr_dialog *dialog)
{
	return dialog->focus < GR_DIALOG_FIELDS ? &dialog->fields[dialog->focus] : NULL;
}

static void erase(struct gr_dialog_field *field, size_t at, size_t n)
{
	memmove(field->text + at, field->text + at + n, field->length - at - n + 1);
	field->length -= n;
	explicit_bzero(field->text + field->length, sizeof(field->text) - field->length);
	field->cursor = at;
}

static void erase_selected(struct gr_dialog_field *field)
{
	if (field->all)
		erase(field, 0, field->length);
	field->all = 0;
}

/* A code as a Japanese input method may write it, in full-width forms (U+FF01..FF5E), is meant in ASCII. 0: left out. */
static char code_character(const char *text, size_t n)
{
	const unsigned char *t = (const unsigned char *)text;
	if (n == 1)
		return *text > ' ' && *text <= '~' ? *text : 0;
	if (n != 3 || t[0] != 0xef || (t[1] != 0xbc && t[1] != 0xbd))
		return 0;
	unsigned character = 0xf000u | (t[1] & 0x3fu) << 6 | (t[2] & 0x3fu);
	return character >= 0xff01 && character <= 0xff5e ? (char)(character - 0xff01 + '!') : 0;
}

static void insert(struct gr_dialog *dialog, const char *bytes, size_t n)
{
	struct gr_dialog_field *field = focused(dialog);
	if (field->length + n > room[dialog->focus])
		return;
	memmove(field->text + field->cursor + n, field->text + field->cursor, field->length - field->cursor + 1);
	memcpy(field->text + field->cursor, bytes, n);
	field->length += n;
	field->cursor += n;
}

enum gr_dialog_action gr_dialog_text(struct gr_dialog *dialog, const char *utf8)
{
	size_t length = strlen(utf8);
	dialog->composing[0] = '\0';
	if (!focused(dialog) || !gr_utf8_is_text((const uint8_t *)utf8, length))
		return GR_DIALOG_CHANGED;
	erase_selected(focused(dialog));
	for (size_t i = 0, n; i < length; i += n) {
		n = gr_dialog_character(utf8 + i);
		if (dialog->focus == GR_DIALOG_CODE) {
			char c = code_character(utf8 + i, n);
			if (c)
				insert(dialog, &c, 1);
		} else if (utf8[i] != '\n' && utf8[i] != '\t') { /* a pasted line has its end */
			insert(dialog, utf8 + i, n);
		}
	}
	return GR_DIALOG_CHANGED;
}

static void move_focus(struct gr_dialog *dialog, int step)
{
	int part = (int)dialog->focus;
	do {
		part = (part + step + GR_DIALOG_PARTS) % GR_DIALOG_PARTS;
	} while (!gr_dialog_has(dialog, (enum gr_dialog_part)part));
	dialog->focus = (enum gr_dialog_part)part;
	for (int i = 0; i < GR_DIALOG_FIELDS; i++)
		dialog->fields[i].all = i == part && dialog->fields[i].length > 0;
}

/* Gives what is there, or leads to the first field that has nothing. */
static enum gr_dialog_action give_or_complete(struct gr_dialog *dialog)
{
	if (gr_dialog_complete(dialog))
		return GR_DIALOG_GIVE;
	for (int i = 0; i < GR_DIALOG_FIELDS; i++)
		if (gr_dialog_has(dialog, (enum gr_dialog_part)i) && !dialog->fields[i].length) {
			dialog->focus = (enum gr_dialog_part)i;
			break;
		}
	return GR_DIALOG_CHANGED;
}

static void edit(struct gr_dialog_field *field, enum gr_dialog_key key)
{
	size_t before = gr_dialog_character_before(field->text, field->cursor);
	size_t behind = field->cursor < field->length ? gr_dialog_character(field->text + field->cursor) : 0;
	int all = field->all;
	if (all && (key == GR_DIALOG_KEY_BACKSPACE || key == GR_DIALOG_KEY_DELETE)) {
		erase_selected(field);
		return;
	}
	field->all = 0;
	switch (key) {
	case GR_DIALOG_KEY_LEFT: field->cursor = all ? 0 : field->cursor - before; break;
	case GR_DIALOG_KEY_RIGHT: field->cursor = all ? field->length : field->cursor + behind; break;
	case GR_DIALOG_KEY_HOME: field->cursor = 0; break;
	case GR_DIALOG_KEY_END: field->cursor = field->length; break;
	case GR_DIALOG_KEY_BACKSPACE: erase(field, field->cursor - before, before); break;
	case GR_DIALOG_KEY_DELETE: erase(field, field->cursor, behind); break;
	case GR_DIALOG_KEY_ALL:
		field->cursor = field->length;
		field->all = field->length > 0;
		break;
	default: break;
	}
}

enum gr_dialog_action gr_dialog_key(struct gr_dialog *dialog, enum gr_dialog_key key)
{
	struct gr_dialog_field *field = focused(dialog);
	switch (key) {
	case GR_DIALOG_KEY_ESCAPE: return GR_DIALOG_LEAVE;
	case GR_DIALOG_KEY_NEXT: move_focus(dialog, 1); return GR_DIALOG_CHANGED;
	case GR_DIALOG_KEY_PREVIOUS: move_focus(dialog, -1); return GR_DIALOG_CHANGED;
	case GR_DIALOG_KEY_ENTER: return dialog->focus == GR_DIALOG_CANCEL ? GR_DIALOG_LEAVE : give_or_complete(dialog);
	case GR_DIALOG_KEY_SPACE:
		if (field)
			return GR_DIALOG_NOTHING;
		return dialog->focus == GR_DIALOG_CANCEL ? GR_DIALOG_LEAVE : give_or_complete(dialog);
	default: break;
	}
	if (!field) {
		if (key == GR_DIALOG_KEY_LEFT || key == GR_DIALOG_KEY_RIGHT) /* between the buttons */
			dialog->focus = dialog->focus == GR_DIALOG_OK ? GR_DIALOG_CANCEL : GR_DIALOG_OK;
		return GR_DIALOG_CHANGED;
	}
	edit(field, key);
	return GR_DIALOG_CHANGED;
}

enum gr_dialog_action gr_dialog_click(struct gr_dialog *dialog, enum gr_dialog_part part, size_t at)
{
	dialog->focus = part;
	if (part == GR_DIALOG_CANCEL)
		return GR_DIALOG_LEAVE;
	if (part == GR_DIALOG_OK)
		return give_or_complete(dialog);
	struct gr_dialog_field *field = &dialog->fields[part];
	field->all = 0;
	field->cursor = at < field->length ? at : field->length;
	return GR_DIALOG_CHANGED;
}

void gr_dialog_give(struct gr_dialog *dialog, struct gr_viewer_factors *out)
{
	const struct gr_dialog_field *password = &dialog->fields[GR_DIALOG_PASSWORD],
				     *code = &dialog->fields[GR_DIALOG_CODE];
	memset(out, 0, sizeof(*out));
	out->password_length = (uint32_t)password->length;
	out->code_length = (uint32_t)code->length;
	memcpy(out->password, password->text, password->length);
	memcpy(out->code, code->text, code->length);
	explicit_bzero(dialog->fields, sizeof(dialog->fields));
}
