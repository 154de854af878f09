/* Linux: X11, and Wayland through SDL. */
#include "viewer/platform.h"

#include <SDL_syswm.h>
#ifdef SDL_VIDEO_DRIVER_X11
#include <X11/Xutil.h>
#endif
#include <stdlib.h>
#include <string.h>

/* The descriptor of the display's connection. SDL's own waiting cannot watch other descriptors. */
int gr_platform_display_fd(SDL_Window *window)
{
	SDL_SysWMinfo info;
	SDL_VERSION(&info.version);
	if (!SDL_GetWindowWMInfo(window, &info))
		return -1;
#ifdef SDL_VIDEO_DRIVER_X11
	if (info.subsystem == SDL_SYSWM_X11)
		return ConnectionNumber(info.info.x11.display);
#endif
	return -1;
}

#ifdef SDL_VIDEO_DRIVER_X11
/* Of X11's events only the presses are worth a place in the queue. */
static int SDLCALL only_key_presses(void *data, SDL_Event *event)
{
	(void)data;
	return event->type != SDL_SYSWMEVENT || event->syswm.msg->msg.x11.event.type == KeyPress;
}
#endif

void gr_platform_watch_keys(void)
{
#ifdef SDL_VIDEO_DRIVER_X11
	const char *driver = SDL_GetCurrentVideoDriver();
	if (!driver || strcmp(driver, "x11") != 0)
		return;
	SDL_SetEventFilter(only_key_presses, NULL);
	SDL_EventState(SDL_SYSWMEVENT, SDL_ENABLE);
#endif
}

uint32_t gr_platform_keysym(const SDL_SysWMEvent *event, uint32_t *keycode)
{
#ifdef SDL_VIDEO_DRIVER_X11
	if (event->msg->subsystem == SDL_SYSWM_X11) {
		XKeyEvent press = event->msg->msg.x11.event.xkey;
		char text[32];
		KeySym keysym = NoSymbol;
		*keycode = press.keycode;
		XLookupString(&press, text, sizeof(text), &keysym, NULL);
		return (uint32_t)keysym;
	}
#endif
	(void)event;
	*keycode = 0;
	return 0;
}

/* What the person's desktop is set to, as its programs see it: 100 % are 96 dots an inch. */
int gr_platform_scale(SDL_Window *window)
{
	(void)window; /* X11 has one for all displays */
	int scale = 100;
#ifdef SDL_VIDEO_DRIVER_X11
	const char *driver = SDL_GetCurrentVideoDriver();
	Display *display = driver && !strcmp(driver, "x11") ? XOpenDisplay(NULL) : NULL;
	if (display) {
		const char *dpi = XGetDefault(display, "Xft", "dpi");
		int given = dpi ? (int)(strtod(dpi, NULL) * 100 / 96 + 0.5) : 0;
		if (given > GR_PLATFORM_SCALE_MIN)
			scale = given < GR_PLATFORM_SCALE_MAX ? given : GR_PLATFORM_SCALE_MAX;
		XCloseDisplay(display);
	}
#endif
	return scale;
}

int gr_platform_documents(char *out, size_t cap)
{
	(void)out;
	(void)cap;
	return GR_ENOENT;
}

int gr_platform_print(const char *command, const char *file, struct gr_error *err)
{
	(void)file;
	return gr_error_set(err, GR_EIO, "%s cannot be run", command);
}
