/* Linux: X11, and Wayland through SDL. */
#include "viewer/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <SDL_syswm.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#ifdef SDL_VIDEO_DRIVER_X11
#include <X11/Xutil.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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
static Atom resource_manager;

/* Of X11's events only the presses, and news of the desktop's settings, a property of the root window, are worth a place in the queue. */
static int SDLCALL worth_it(void *data, SDL_Event *event)
{
	(void)data;
	if (event->type != SDL_SYSWMEVENT)
		return 1;
	const XEvent *x = &event->syswm.msg->msg.x11.event;
	return x->type == KeyPress || (x->type == PropertyNotify && x->xproperty.atom == resource_manager);
}
#endif

void gr_platform_watch_keys(void)
{
#ifdef SDL_VIDEO_DRIVER_X11
	const char *driver = SDL_GetCurrentVideoDriver();
	if (!driver || strcmp(driver, "x11") != 0)
		return;
	SDL_SetEventFilter(worth_it, NULL);
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
	SDL_SetEventFilter(worth_it, NULL);
	SDL_EventState(SDL_SYSWMEVENT, SDL_ENABLE);
#else
	(void)window;
#endif
}

int gr_platform_is_scale_event(const SDL_Event *event)
{
#ifdef SDL_VIDEO_DRIVER_X11
	if (event->type == SDL_SYSWMEVENT)
		return event->syswm.msg->msg.x11.event.type == PropertyNotify;
#endif
	return event->type == SDL_WINDOWEVENT && event->window.event == SDL_WINDOWEVENT_DISPLAY_CHANGED;
}

/* What stands for the documents' folder in XDG's user-dirs.dirs: XDG_DOCUMENTS_DIR="$HOME/…" or ="/…". */
static int xdg_documents(const char *home, char *out, size_t cap)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	char file[4096], line[4096];
	int found = 0;
	if (config && *config == '/')
		SDL_snprintf(file, sizeof(file), "%s/user-dirs.dirs", config);
	else
		SDL_snprintf(file, sizeof(file), "%s/.config/user-dirs.dirs", home);
	FILE *stream = fopen(file, "re");
	while (stream && fgets(line, sizeof(line), stream)) {
		static const char name[] = "XDG_DOCUMENTS_DIR=\"";
		char *value = line + sizeof(name) - 1, *end;
		if (strncmp(line, name, sizeof(name) - 1) != 0 || !(end = strrchr(value, '"')))
			continue;
		*end = '\0';
		int at_home = !strncmp(value, "$HOME", 5);
		if (at_home || *value == '/')
			found = SDL_snprintf(out, cap, "%s%s", at_home ? home : "", value + (at_home ? 5 : 0)) <
				(int)cap;
	}
	if (stream)
		fclose(stream);
	return found;
}

static int is_folder(const char *name)
{
	struct stat status;
	return stat(name, &status) == 0 && S_ISDIR(status.st_mode);
}

int gr_platform_documents(char *out, size_t cap)
{
	const char *home = getenv("HOME");
	if (!home || *home != '/')
		return GR_ENOENT;
	if (xdg_documents(home, out, cap) && is_folder(out))
		return 0;
	return SDL_snprintf(out, cap, "%s", home) < (int)cap && is_folder(out) ? 0 : GR_ENOENT;
}

int gr_platform_temporary(char *out, size_t cap, struct gr_error *err)
{
	const char *folder = getenv("XDG_RUNTIME_DIR");
	if (!folder || *folder != '/' || !is_folder(folder))
		folder = getenv("TMPDIR");
	if (SDL_snprintf(out, cap, "%s/garasu-XXXXXX.pdf", folder && *folder == '/' ? folder : "/tmp") >= (int)cap)
		return gr_error_set(err, GR_EIO, "the name of the temporary folder is too long");
	int fd = mkostemps(out, 4, O_CLOEXEC);
	if (fd < 0)
		return gr_error_errno(err, "%s", out);
	close(fd);
	return 0;
}

int gr_platform_print(const char *command, const char *file, struct gr_platform_job *job, struct gr_error *err)
{
	enum { WORDS = 32 };
	char words[1024], *next = words, *arguments[WORDS + 2];
	size_t count = 0;
	if (SDL_strlcpy(words, command, sizeof(words)) >= sizeof(words))
		return gr_error_set(err, GR_EIO, "the print command is too long");
	for (char *word; count < WORDS && (word = strsep(&next, " "));)
		if (*word)
			arguments[count++] = word;
	if (!count || next)
		return gr_error_set(err, GR_EIO, "no print command, or one of too many words");
	arguments[count++] = (char *)(uintptr_t)file;
	arguments[count] = NULL;

	/* Signals are blocked and ignored here for this program's own reasons. */
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_t actions;
	sigset_t none, pipe_only;
	pid_t pid = 0;
	sigemptyset(&none);
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &pipe_only);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY,
					 0); /* a script's answers go there */
	int failed = posix_spawnp(&pid, arguments[0], &actions, &attributes, arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (failed) {
		errno = failed;
		return gr_error_errno(err, "%s", arguments[0]);
	}
	job->process = pid;
	return 0;
}

int gr_platform_printed(struct gr_platform_job *job)
{
	int status = 0;
	pid_t ended = job->process ? waitpid((pid_t)job->process, &status, WNOHANG) : -1;
	if (ended == 0)
		return GR_EAGAIN;
	job->process = 0;
	return ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : GR_EIO;
}
