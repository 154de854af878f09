#include "viewer/dialog_draw.h"

#include <string.h>

enum { BAR_MS = 40, BAR_STEPS = 50 };

/* One pass over the panel from above to below: the same code measures and draws, so that they cannot differ. */
struct pass {
	const struct gr_dialog *dialog;
	const struct gr_paint *paint;
	const struct gr_viewer *viewer;
	SDL_Surface *surface; /* NULL: only measure */
	struct gr_dialog_layout *layout;
	int x, y, width;
	int tight; /* the window is too small for what can be left out */
};

static int px(const struct pass *p, int n)
{
	return gr_paint_px(p->paint, n);
}

static void fill(const struct pass *p, SDL_Rect rect, SDL_Color colour)
{
	if (p->surface)
		gr_paint_fill(p->surface, rect, colour);
}

static void outline(const struct pass *p, SDL_Rect rect, int width, SDL_Color colour)
{
	if (p->surface)
		gr_paint_outline(p->surface, rect, width, colour);
}

/* A paragraph; moves on by its height and gap. */
static void write_text(struct pass *p, enum gr_font font, const char *text, SDL_Color colour, int gap)
{
	p->y += gr_paint_text(p->paint, p->surface, font, text, colour, p->x, p->y, p->width).y + px(p, gap);
}

static void alarm(struct pass *p, const char *text)
{
	const struct gr_palette *colours = p->paint->colours;
	enum gr_font font = p->tight ? GR_FONT_SMALL : GR_FONT_BODY;
	int pad = px(p, p->tight ? 6 : 10), strip = px(p, 4);
	SDL_Point size = gr_paint_measure(p->paint, font, text, p->width - 2 * pad - strip);
	SDL_Rect box = { p->x, p->y, p->width, size.y + 2 * pad };
	fill(p, box, colours->alarm);
	fill(p, (SDL_Rect){ box.x, box.y, strip, box.h }, colours->alarm_ink);
	gr_paint_text(p->paint, p->surface, font, text, colours->alarm_ink, box.x + strip + pad, box.y + pad,
		      p->width - 2 * pad - strip);
	p->y += box.h + px(p, p->tight ? 8 : 16);
}

static void what_was_wrong(struct pass *p, unsigned wait)
{
	const struct gr_viewer *viewer = p->viewer;
	char text[400], more[200] = "";
	const char *what;
	if (!viewer->ask.reason || viewer->state != GR_VIEWER_ASKED)
		return;
	if (viewer->ask.reason != GR_MESSAGE_WRONG_FACTOR)
		what = gr_message_get(GR_FAIL_REASON, viewer->ask.reason).what;
	else if (viewer->ask.what == (GR_ASK_PASSWORD | GR_ASK_CODE))
		what = gr_text("パスワードまたは確認コードが違います。", "The password or the code is wrong.");
	else if (viewer->ask.what & GR_ASK_CODE)
		what = gr_text("確認コードが違います。", "The code is wrong.");
	else
		what = gr_text("パスワードが違います。", "The password is wrong.");
	if (viewer->ask.tries == 1)
		SDL_snprintf(more, sizeof(more), "%s",
			     gr_text("次に間違えると、しばらくログインできません。",
				     "After one more wrong answer your login is locked for a while."));
	else if (viewer->ask.tries && viewer->ask.tries < 255)
		SDL_snprintf(more, sizeof(more),
			     gr_messages_japanese() ? "あと%u回間違えると、しばらくログインできません。"
						    : "After %u more wrong answers your login is locked for a while.",
			     viewer->ask.tries);
	SDL_snprintf(text, sizeof(text), "%s%s%s", what, *more ? "\n" : "", more);
	alarm(p, text);
	if (wait) {
		SDL_snprintf(text, sizeof(text),
			     gr_messages_japanese() ? "あと%u秒お待ちください。" : "Please wait %u s.", wait);
		write_text(p, GR_FONT_SMALL, text, p->paint->colours->hint_ink, 12);
	}
}

/* What a field shows instead of its text: dots. Cut to length bytes of text. */
static void shown(const struct gr_dialog *dialog, enum gr_dialog_part part, size_t length, char *out, size_t cap)
{
	const char *text = dialog->fields[part].text;
	out[0] = '\0';
	if (part == GR_DIALOG_CODE) {
		SDL_snprintf(out, cap, "%.*s", (int)length, text);
		return;
	}
	for (size_t i = 0, n = 0; i < length && n + 4 < cap; i += gr_dialog_character(text + i), n += 3)
		memcpy(out + n, "\xe2\x97\x8f", 4); /* ● */
}

static int width_until(const struct gr_dialog *dialog, const struct gr_paint *paint, enum gr_dialog_part part,
		       size_t length)
{
	char text[3 * GR_DIALOG_BYTES + 4];
	shown(dialog, part, length, text, sizeof(text));
	int width = gr_paint_measure(paint, GR_FONT_BODY, text, 0).x;
	explicit_bzero(text, sizeof(text));
	return width;
}

/* How far a text is moved to the left, so that its cursor can be seen. */
static int scrolled(const struct gr_dialog *dialog, const struct gr_paint *paint, enum gr_dialog_part part, int room)
{
	int cursor = width_until(dialog, paint, part, dialog->fields[part].cursor);
	return cursor > room ? cursor - room : 0;
}

static void draw_field(const struct pass *p, enum gr_dialog_part part, SDL_Rect box)
{
	const struct gr_dialog *dialog = p->dialog;
	const struct gr_dialog_field *field = &dialog->fields[part];
	char text[3 * GR_DIALOG_BYTES + 4];
	int usable = p->viewer->state == GR_VIEWER_ASKED, focus = usable && dialog->focus == part, pad = px(p, 10);
	int height = gr_paint_line_height(p->paint, GR_FONT_BODY), y = box.y + (box.h - height) / 2;
	fill(p, box, usable ? p->paint->colours->panel : p->paint->colours->idle);
	outline(p, box, focus ? px(p, 2) : px(p, 1), focus ? p->paint->colours->accent : p->paint->colours->edge);
	SDL_Rect before, inside = { box.x + pad, box.y + px(p, 2), box.w - 2 * pad, box.h - 2 * px(p, 2) }, clip;
	SDL_GetClipRect(p->surface, &before);
	if (SDL_IntersectRect(&before, &inside, &clip))
		SDL_SetClipRect(p->surface, &clip);
	int x = inside.x - scrolled(dialog, p->paint, part, inside.w - px(p, 4));
	if (focus && field->all)
		fill(p, (SDL_Rect){ x, y, width_until(dialog, p->paint, part, field->length), height },
		     p->paint->colours->selected);
	shown(dialog, part, field->length, text, sizeof(text));
	gr_paint_text(p->paint, p->surface, GR_FONT_BODY, text, p->paint->colours->ink, x, y, 0);
	explicit_bzero(text, sizeof(text));
	if (focus) {
		int cursor = x + width_until(dialog, p->paint, part, field->cursor);
		if (*dialog->composing && part == GR_DIALOG_CODE) {
			SDL_Point size = gr_paint_measure(p->paint, GR_FONT_BODY, dialog->composing, 0);
			fill(p, (SDL_Rect){ cursor, y, size.x, height }, p->paint->colours->panel);
			gr_paint_text(p->paint, p->surface, GR_FONT_BODY, dialog->composing, p->paint->colours->ink,
				      cursor, y, 0);
			fill(p, (SDL_Rect){ cursor, y + height - px(p, 2), size.x, px(p, 2) },
			     p->paint->colours->accent);
			cursor += size.x;
		}
		fill(p, (SDL_Rect){ cursor, y, px(p, 2), height }, p->paint->colours->ink);
	}
	SDL_SetClipRect(p->surface, &before);
}

static void field(struct pass *p, enum gr_dialog_part part, const char *label)
{
	if (!gr_dialog_has(p->dialog, part))
		return;
	write_text(p, GR_FONT_SMALL, label, p->paint->colours->ink, 4);
	SDL_Rect box = { p->x, p->y, p->width, px(p, 38) };
	p->layout->parts[part] = box;
	if (p->surface)
		draw_field(p, part, box);
	p->y += box.h + px(p, 6);
}

static void button(struct pass *p, enum gr_dialog_part part, SDL_Rect box, const char *text, int usable)
{
	int main_one = part == GR_DIALOG_OK, focus = p->dialog->focus == part;
	SDL_Color back = main_one ? usable ? p->paint->colours->accent : p->paint->colours->idle
				  : p->paint->colours->panel;
	SDL_Color ink = main_one ? usable ? p->paint->colours->accent_ink : p->paint->colours->pale_ink
				 : p->paint->colours->ink;
	p->layout->parts[part] = box;
	if (!p->surface)
		return;
	fill(p, box, back);
	if (!main_one)
		outline(p, box, px(p, 1), p->paint->colours->edge);
	if (focus) {
		int gap = px(p, 4);
		outline(p, (SDL_Rect){ box.x - gap, box.y - gap, box.w + 2 * gap, box.h + 2 * gap }, px(p, 2),
			p->paint->colours->accent);
	}
	SDL_Point size = gr_paint_measure(p->paint, GR_FONT_BODY, text, 0);
	gr_paint_text(p->paint, p->surface, GR_FONT_BODY, text, ink, box.x + (box.w - size.x) / 2,
		      box.y + (box.h - size.y) / 2, 0);
}

static void buttons(struct pass *p, unsigned wait)
{
	const char *ok = gr_text("ログイン", "Log in"), *cancel = gr_text("キャンセル", "Cancel");
	int height = px(p, 38), gap = px(p, 12), pad = px(p, 48);
	int ok_width = gr_paint_measure(p->paint, GR_FONT_BODY, ok, 0).x + pad;
	int cancel_width = gr_paint_measure(p->paint, GR_FONT_BODY, cancel, 0).x + pad;
	int least = px(p, 120), right = p->x + p->width;
	ok_width = ok_width < least ? least : ok_width;
	cancel_width = cancel_width < least ? least : cancel_width;
	button(p, GR_DIALOG_OK, (SDL_Rect){ right - ok_width, p->y, ok_width, height }, ok,
	       gr_dialog_complete(p->dialog) && !wait);
	button(p, GR_DIALOG_CANCEL, (SDL_Rect){ right - ok_width - gap - cancel_width, p->y, cancel_width, height },
	       cancel, 1);
	p->y += height;
}

/* While the broker judges: a bar that moves, since nobody knows how long it takes. */
static void progress(struct pass *p)
{
	SDL_Rect track = { p->x, p->y + px(p, 38) - px(p, 6), p->width, px(p, 4) };
	gr_paint_text(p->paint, p->surface, GR_FONT_BODY, gr_text("確認しています…", "Checking…"),
		      p->paint->colours->ink, p->x, p->y, 0);
	fill(p, track, p->paint->colours->idle);
	int length = track.w / 4, step = (int)(gr_viewer_now_us() / 1000 / BAR_MS % BAR_STEPS);
	int at = (track.w + length) * step / BAR_STEPS - length;
	SDL_Rect piece = { track.x + at, track.y, length, track.h }, inside;
	if (SDL_IntersectRect(&piece, &track, &inside))
		fill(p, inside, p->paint->colours->accent);
	p->y += px(p, 38);
}

static void body(struct pass *p)
{
	const struct gr_dialog *dialog = p->dialog;
	const struct gr_viewer *viewer = p->viewer;
	unsigned wait = viewer->state == GR_VIEWER_ASKED ? gr_viewer_seconds_until(viewer->ask.from_us) : 0;
	char who[400];
	if (!p->tight)
		write_text(p, GR_FONT_TITLE, gr_text("ログイン", "Log in"), p->paint->colours->accent, 6);
	SDL_snprintf(who, sizeof(who), gr_messages_japanese() ? "%s さん　接続先: %s" : "%s at %s", viewer->person,
		     viewer->host);
	write_text(p, p->tight ? GR_FONT_SMALL : GR_FONT_BODY, who, p->paint->colours->pale_ink, p->tight ? 8 : 18);
	what_was_wrong(p, wait);
	field(p, GR_DIALOG_PASSWORD, gr_text("パスワード", "Password"));
	if (gr_dialog_has(dialog, GR_DIALOG_PASSWORD)) {
		if (dialog->focus == GR_DIALOG_PASSWORD && *dialog->composing)
			write_text(p, GR_FONT_SMALL,
				   gr_text("日本語入力がオンになっています。", "An input method is on."),
				   p->paint->colours->hint_ink, 2);
		if (dialog->caps_lock && dialog->focus == GR_DIALOG_PASSWORD)
			write_text(p, GR_FONT_SMALL, gr_text("Caps Lock がオンになっています。", "Caps Lock is on."),
				   p->paint->colours->hint_ink, 2);
		p->y += px(p, 10);
	}
	field(p, GR_DIALOG_CODE, gr_text("確認コード", "One-time code"));
	if (gr_dialog_has(dialog, GR_DIALOG_CODE) && !p->tight) {
		write_text(p, GR_FONT_SMALL,
			   gr_text("認証アプリに表示される6桁の数字です。使えないときは回復コードを入力してください。",
				   "The six digits of your authenticator app. Without it, enter a recovery code."),
			   p->paint->colours->pale_ink, 0);
	}
	p->y += px(p, p->tight ? 8 : 22);
	if (viewer->state == GR_VIEWER_JUDGED)
		progress(p);
	else
		buttons(p, wait);
}

void gr_dialog_draw(const struct gr_dialog *dialog, const struct gr_paint *paint, SDL_Surface *surface, SDL_Rect area,
		    const struct gr_viewer *viewer, struct gr_dialog_layout *layout_out)
{
	struct pass p = { .dialog = dialog, .paint = paint, .viewer = viewer, .layout = layout_out };
	int margin = px(&p, 32), stripe = px(&p, 6), width = px(&p, 500);
	if (area.w < width + 2 * px(&p, 8))
		width = area.w - 2 * px(&p, 8);
	memset(layout_out, 0, sizeof(*layout_out));
	if (width < px(&p, 160))
		return;
	if (width < px(&p, 400))
		margin = px(&p, 16);
	p.width = width - 2 * margin - stripe;
	body(&p); /* measured from 0 */
	for (int narrow = 20; p.y + 2 * margin > area.h && narrow > 0; narrow -= 12) {
		p.tight = 1;
		margin = px(&p, narrow);
		p.width = width - 2 * margin - stripe;
		p.y = 0;
		body(&p);
	}
	SDL_Rect panel = { area.x + (area.w - width) / 2, area.y + (area.h - p.y - 2 * margin) / 3, width,
			   p.y + 2 * margin };
	if (panel.y < area.y) { /* still too high: what has the focus can be seen */
		SDL_Rect part = layout_out->parts[dialog->focus];
		int beyond = part.y + part.h + 2 * margin - area.h;
		panel.y = area.y - (beyond > 0 ? beyond : 0);
	}
	layout_out->panel = panel;
	p.surface = surface;
	p.x = panel.x + margin + stripe;
	p.y = panel.y + margin;
	if (surface) {
		gr_paint_outline(surface, (SDL_Rect){ panel.x - 1, panel.y - 1, panel.w + 2, panel.h + 2 }, 1,
				 paint->colours->line);
		gr_paint_fill(surface, panel, paint->colours->panel);
		gr_paint_fill(surface, (SDL_Rect){ panel.x, panel.y, stripe, panel.h }, paint->colours->accent);
	}
	body(&p);
}

size_t gr_dialog_byte_at(const struct gr_dialog *dialog, const struct gr_paint *paint, enum gr_dialog_part part,
			 SDL_Rect place, int x)
{
	const struct gr_dialog_field *f = &dialog->fields[part];
	int pad = gr_paint_px(paint, 10), room = place.w - 2 * pad - gr_paint_px(paint, 4);
	int from = place.x + pad - scrolled(dialog, paint, part, room);
	size_t at = 0;
	while (at < f->length) {
		size_t next = at + gr_dialog_character(f->text + at);
		int left = width_until(dialog, paint, part, at), right = width_until(dialog, paint, part, next);
		if (x < from + (left + right) / 2)
			break;
		at = next;
	}
	return at;
}

int gr_dialog_wait_ms(const struct gr_dialog *dialog, const struct gr_viewer *viewer)
{
	if (!dialog->open)
		return -1;
	if (viewer->state == GR_VIEWER_JUDGED)
		return BAR_MS;
	uint64_t now = gr_viewer_now_us();
	return viewer->ask.from_us > now ? (int)((viewer->ask.from_us - now) % 1000000u / 1000u) + 1 : -1;
}
