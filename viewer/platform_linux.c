/* Linux: X11, and Wayland through SDL. */
#include "viewer/platform.h"

#include <SDL_syswm.h>
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

#ifdef SDL_VIDEO_DRIVER_X11
static Atom resource_manager;

/* Of the X server's events SDL is to pass on only this one: the desktop's settings are a property of the root window. */
static int filter(void *context, SDL_Event *event)
{
	(void)context;
	if (event->type != SDL_SYSWMEVENT)
		return 1;
	const SDL_SysWMmsg *message = event->syswm.msg;
	return message->subsystem == SDL_SYSWM_X11 && message->msg.x11.event.type == PropertyNotify &&
	       message->msg.x11.event.xproperty.atom == resource_manager;
}
#endif

void gr_platform_watch_scale(SDL_Window *window)
{
#ifdef SDL_VIDEO_DRIVER_X11
	SDL_SysWMinfo info;
	XWindowAttributes root;
	SDL_VERSION(&info.version);
	if (!SDL_GetWindowWMInfo(window, &info) || info.subsystem != SDL_SYSWM_X11)
		return;
	Display *display = info.info.x11.display;
	resource_manager = XInternAtom(display, "RESOURCE_MANAGER", False);
	if (!XGetWindowAttributes(display, DefaultRootWindow(display), &root))
		return;
	XSelectInput(display, DefaultRootWindow(display), root.your_event_mask | PropertyChangeMask);
	SDL_SetEventFilter(filter, NULL);
	SDL_EventState(SDL_SYSWMEVENT, SDL_ENABLE);
#else
	(void)window;
#endif
}

int gr_platform_is_scale_event(const SDL_Event *event)
{
	return event->type == SDL_SYSWMEVENT ||
	       (event->type == SDL_WINDOWEVENT && event->window.event == SDL_WINDOWEVENT_DISPLAY_CHANGED);
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
