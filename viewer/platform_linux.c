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
