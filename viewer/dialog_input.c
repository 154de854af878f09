#include "viewer/dialog_input.h"

#include <string.h>

/* From the clipboard of this machine: it goes into the field and no further. */
static enum gr_dialog_action paste(struct gr_dialog *dialog)
{
	char *text = SDL_GetClipboardText();
	enum gr_dialog_action action = text ? gr_dialog_text(dialog, text) : GR_DIALOG_NOTHING;
	if (text)
		explicit_bzero(text, strlen(text));
	SDL_free(text);
	return action;
}

static enum gr_dialog_action command(struct gr_dialog *dialog, SDL_Keycode key)
{
	switch (key) {
	case SDLK_a: return gr_dialog_key(dialog, GR_DIALOG_KEY_ALL);
	case SDLK_v: return paste(dialog);
	default: return GR_DIALOG_NOTHING;
	}
}

static enum gr_dialog_action press(struct gr_dialog *dialog, SDL_Keycode key, Uint16 mod)
{
	if (mod & KMOD_CTRL)
		return command(dialog, key);
	switch (key) {
	case SDLK_TAB: return gr_dialog_key(dialog, mod & KMOD_SHIFT ? GR_DIALOG_KEY_PREVIOUS : GR_DIALOG_KEY_NEXT);
	case SDLK_DOWN: return gr_dialog_key(dialog, GR_DIALOG_KEY_NEXT);
	case SDLK_UP: return gr_dialog_key(dialog, GR_DIALOG_KEY_PREVIOUS);
	case SDLK_LEFT: return gr_dialog_key(dialog, GR_DIALOG_KEY_LEFT);
	case SDLK_RIGHT: return gr_dialog_key(dialog, GR_DIALOG_KEY_RIGHT);
	case SDLK_HOME: return gr_dialog_key(dialog, GR_DIALOG_KEY_HOME);
	case SDLK_END: return gr_dialog_key(dialog, GR_DIALOG_KEY_END);
	case SDLK_BACKSPACE: return gr_dialog_key(dialog, GR_DIALOG_KEY_BACKSPACE);
	case SDLK_DELETE: return gr_dialog_key(dialog, GR_DIALOG_KEY_DELETE);
	case SDLK_INSERT: return mod & KMOD_SHIFT ? paste(dialog) : GR_DIALOG_NOTHING;
	case SDLK_RETURN:
	case SDLK_KP_ENTER: return gr_dialog_key(dialog, GR_DIALOG_KEY_ENTER);
	case SDLK_SPACE:
		if (dialog->focus >= GR_DIALOG_FIELDS)
			SDL_FlushEvent(SDL_TEXTINPUT); /* the focus may be in a field now, where nobody typed it */
		return gr_dialog_key(dialog, GR_DIALOG_KEY_SPACE);
	case SDLK_ESCAPE: return gr_dialog_key(dialog, GR_DIALOG_KEY_ESCAPE);
	default: return GR_DIALOG_NOTHING;
	}
}

static enum gr_dialog_action click(struct gr_dialog *dialog, const struct gr_paint *paint, SDL_Rect area,
				   const struct gr_viewer *viewer, const SDL_MouseButtonEvent *event)
{
	struct gr_dialog_layout layout;
	SDL_Point at = { event->x, event->y };
	if (event->button != SDL_BUTTON_LEFT)
		return GR_DIALOG_NOTHING;
	gr_dialog_draw(dialog, paint, NULL, area, viewer, &layout);
	for (int i = 0; i < GR_DIALOG_PARTS; i++) {
		enum gr_dialog_part part = (enum gr_dialog_part)i;
		if (!SDL_PointInRect(&at, &layout.parts[i]))
			continue;
		size_t byte = i < GR_DIALOG_FIELDS ? gr_dialog_byte_at(dialog, paint, part, layout.parts[i], at.x) : 0;
		return gr_dialog_click(dialog, part, byte);
	}
	return GR_DIALOG_NOTHING;
}

enum gr_dialog_action gr_dialog_input(struct gr_dialog *dialog, const struct gr_paint *paint, SDL_Rect area,
				      const struct gr_viewer *viewer, const SDL_Event *event)
{
	int caps_lock = (SDL_GetModState() & KMOD_CAPS) != 0, changed = caps_lock != dialog->caps_lock;
	enum gr_dialog_action action = GR_DIALOG_NOTHING;
	dialog->caps_lock = caps_lock;
	switch (event->type) {
	case SDL_KEYDOWN:
		/* An input method's keys are its own while it composes. */
		if (!*dialog->composing)
			action = press(dialog, event->key.keysym.sym, event->key.keysym.mod);
		break;
	case SDL_TEXTINPUT: action = gr_dialog_text(dialog, event->text.text); break;
	case SDL_TEXTEDITING:
		SDL_strlcpy(dialog->composing, event->edit.text, sizeof(dialog->composing));
		action = GR_DIALOG_CHANGED;
		break;
	case SDL_MOUSEBUTTONDOWN: action = click(dialog, paint, area, viewer, &event->button); break;
	default: break;
	}
	return action == GR_DIALOG_NOTHING && changed ? GR_DIALOG_CHANGED : action;
}

enum gr_dialog_action gr_dialog_input_keysym(struct gr_dialog *dialog, uint32_t keysym, int shift, int control)
{
	static const struct {
		uint32_t keysym;
		SDL_Keycode key;
	} keys[] = { { 0xff08, SDLK_BACKSPACE }, { 0xff09, SDLK_TAB },    { 0xff0d, SDLK_RETURN },
		     { 0xff1b, SDLK_ESCAPE },    { 0xff50, SDLK_HOME },   { 0xff51, SDLK_LEFT },
		     { 0xff52, SDLK_UP },        { 0xff53, SDLK_RIGHT },  { 0xff54, SDLK_DOWN },
		     { 0xff57, SDLK_END },       { 0xffff, SDLK_DELETE }, { 0xff8d, SDLK_KP_ENTER },
		     { 0xff63, SDLK_INSERT } };
	Uint16 mod = (Uint16)((shift ? KMOD_LSHIFT : 0) | (control ? KMOD_LCTRL : 0));
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (keys[i].keysym == keysym)
			return press(dialog, keys[i].key, mod);
	if (keysym < 0x20 || keysym > 0x7e)
		return GR_DIALOG_NOTHING;
	if (control)
		return command(dialog, (SDL_Keycode)keysym);
	if (keysym == ' ' && dialog->focus >= GR_DIALOG_FIELDS)
		return gr_dialog_key(dialog, GR_DIALOG_KEY_SPACE);
	return gr_dialog_text(dialog, (const char[]){ (char)keysym, '\0' });
}
