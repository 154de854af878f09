#include "viewer/options.h"
#include "common/limits.h"
#include "viewer/messages.h"
#include "viewer/settings.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PORT "5910"
enum { DEFAULT_QUALITY = 8, DEFAULT_HISTORY = 25 };

enum option_code {
	OPTION_CERTIFICATE = 256,
	OPTION_KEY,
	OPTION_CA,
	OPTION_CRL,
	OPTION_SERVER_NAME,
	OPTION_SIZE,
	OPTION_FULL_SCREEN,
	OPTION_QUALITY,
	OPTION_HISTORY,
	OPTION_HEADLESS,
	OPTION_SCREENSHOT,
	OPTION_SCREENSHOT_WINDOW,
	OPTION_WAIT_IDLE,
	OPTION_TIMEOUT,
	OPTION_CAPTURE,
	OPTION_SCRIPT,
	OPTION_REPORT,
	OPTION_FACTORS,
	OPTION_SCALE,
	OPTION_SAVE_DIRECTORY,
	OPTION_PRINT_COMMAND,
	OPTION_INPUT,
	OPTION_RECONNECT,
	OPTION_NO_RECONNECT,
	OPTION_ZOOM,
	OPTION_HIGH_CONTRAST,
	OPTION_CONFIG,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option long_options[] = {
	{ "certificate", required_argument, NULL, OPTION_CERTIFICATE },
	{ "key", required_argument, NULL, OPTION_KEY },
	{ "ca", required_argument, NULL, OPTION_CA },
	{ "crl", required_argument, NULL, OPTION_CRL },
	{ "server-name", required_argument, NULL, OPTION_SERVER_NAME },
	{ "size", required_argument, NULL, OPTION_SIZE },
	{ "full-screen", no_argument, NULL, OPTION_FULL_SCREEN },
	{ "quality", required_argument, NULL, OPTION_QUALITY },
	{ "history", required_argument, NULL, OPTION_HISTORY },
	{ "headless", no_argument, NULL, OPTION_HEADLESS },
	{ "screenshot", required_argument, NULL, OPTION_SCREENSHOT },
	{ "screenshot-window", required_argument, NULL, OPTION_SCREENSHOT_WINDOW },
	{ "wait-idle", required_argument, NULL, OPTION_WAIT_IDLE },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ "capture", required_argument, NULL, OPTION_CAPTURE },
	{ "script", required_argument, NULL, OPTION_SCRIPT },
	{ "report", no_argument, NULL, OPTION_REPORT },
	{ "factors", required_argument, NULL, OPTION_FACTORS },
	{ "scale", required_argument, NULL, OPTION_SCALE },
	{ "save-directory", required_argument, NULL, OPTION_SAVE_DIRECTORY },
	{ "print-command", required_argument, NULL, OPTION_PRINT_COMMAND },
	{ "input", required_argument, NULL, OPTION_INPUT },
	{ "reconnect", no_argument, NULL, OPTION_RECONNECT },
	{ "no-reconnect", no_argument, NULL, OPTION_NO_RECONNECT },
	{ "zoom", required_argument, NULL, OPTION_ZOOM },
	{ "high-contrast", no_argument, NULL, OPTION_HIGH_CONTRAST },
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *to)
{
	fprintf(to,
		"usage: garasu-viewer [options] [--ca FILE --certificate FILE --key FILE HOST[:PORT]]\n"
		"Shows a browser that runs elsewhere; only its picture comes here. The port is " DEFAULT_PORT
		" unless given.\n\n"
		"  --config FILE       instead of ~/.config/garasu/viewer.conf; both are read "
		"behind " GR_SETTINGS_SYSTEM "\n"
		"  --certificate FILE  your certificate (PEM)\n"
		"  --key FILE          its private key (PEM)\n"
		"  --ca FILE           the authority that the broker's certificate must be of (PEM)\n"
		"  --crl FILE          its revocation lists (PEM): without a current one for each CA nothing is shown\n"
		"  --server-name NAME  the name in the broker's certificate, when it is not HOST\n"
		"  --factors FILE      password and one-time code, a line each, instead of being asked (mode 0600)\n"
		"  --size WxH          size of the picture\n"
		"  --full-screen       start in full screen (F11 or Ctrl+Alt+Enter changes it)\n"
		"  --scale 100..300    how large all is drawn, in percent (as the desktop has it)\n"
		"  --zoom 50..300      and on top of that (100; Ctrl+Alt and + or - change it)\n"
		"  --high-contrast     the viewer's own parts in black, white and yellow (Ctrl+Alt+H)\n"
		"  --input local|session   whose input method makes Japanese: this computer's, or the one beside the\n"
		"                      browser (Ctrl+Alt+J changes it)\n"
		"  --quality 0..10     of photographs and videos at first sight, exact a moment later (8);\n"
		"                      0, or a screenshot without this option: all is exact at once\n"
		"  --history 20..25    memory for decompression, as a power of two in bytes (25: 32 MiB)\n"
		"  --save-directory FOLDER   for pages and pictures that are saved (your documents)\n"
		"  --print-command COMMAND   prints the PDF whose name is put behind it (lp)\n"
		"  --headless          no window\n"
		"  --screenshot FILE   write the picture as PNG when it is complete, and end\n"
		"  --screenshot-window FILE   the same with the viewer's title and border\n"
		"  --wait-idle MS      before that, wait until the picture has not changed for MS\n"
		"  --timeout SECONDS   for connecting, and for every wait\n"
		"  --capture FILE      keep what the broker sends in this new file, for garasu-guard(1)\n"
		"  --script FILE|-     commands, one a line: see garasu-viewer(1)\n"
		"  --reconnect         come back by itself after a cut, for as long as the session waits: as with a "
		"window\n"
		"  --no-reconnect      end with the first cut: as without one, and with --script\n"
		"  --report            print one line of figures at the end\n");
}

static int complain(const char *japanese, const char *english, const char *what)
{
	fprintf(stderr, "garasu-viewer: %s: %s\n", gr_text(japanese, english), what);
	return -1;
}

static int parse_number(const char *text, long least, long most, long *value)
{
	char *end;
	errno = 0;
	long number = strtol(text, &end, 10);
	if (errno || end == text || *end || number < least || number > most)
		return -1;
	*value = number;
	return 0;
}

int gr_viewer_parse_size(const char *text, uint16_t *width, uint16_t *height)
{
	unsigned w, h;
	char rest;
	if (sscanf(text, "%5u%*[x ]%5u%c", &w, &h, &rest) != 2)
		return -1;
	if (w < GR_SCREEN_MIN || h < GR_SCREEN_MIN || w > GR_SCREEN_MAX || h > GR_SCREEN_MAX)
		return -1;
	*width = (uint16_t)w;
	*height = (uint16_t)h;
	return 0;
}

/* HOST, HOST:PORT, [IPv6]:PORT, or a bare IPv6 address. */
static int parse_target(struct gr_viewer_options *options, const char *text)
{
	const char *host = text, *port = NULL;
	size_t length = strlen(text);
	const char *colon = strrchr(text, ':');
	if (text[0] == '[') {
		const char *end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -1;
		host = text + 1;
		length = (size_t)(end - host);
		port = end[1] ? end + 2 : NULL;
	} else if (colon && strchr(text, ':') == colon) {
		length = (size_t)(colon - text);
		port = colon + 1;
	}
	long number;
	if (length == 0 || length >= sizeof(options->host) || (port && parse_number(port, 1, 65535, &number)))
		return -1;
	memcpy(options->host, host, length);
	options->host[length] = '\0';
	if (port)
		snprintf(options->port, sizeof(options->port), "%ld", number);
	return 0;
}

static int take(struct gr_viewer_options *options, int option, const char *value)
{
	long number;
	value = value ? value : ""; /* of a switch */
	switch (option) {
	case OPTION_CERTIFICATE: options->certificate = value; return 0;
	case OPTION_KEY: options->key = value; return 0;
	case OPTION_CA: options->ca = value; return 0;
	case OPTION_CRL: options->crl = value; return 0;
	case OPTION_SERVER_NAME:
		if (!*value || strlen(value) >= sizeof(options->server_name))
			return -1;
		snprintf(options->server_name, sizeof(options->server_name), "%s", value);
		return 0;
	case OPTION_SIZE: return gr_viewer_parse_size(value, &options->width, &options->height);
	case OPTION_FULL_SCREEN: options->full_screen = 1; return 0;
	case OPTION_QUALITY:
		if (parse_number(value, 0, 10, &number))
			return -1;
		options->quality = (int)number;
		return 0;
	case OPTION_HISTORY:
		if (parse_number(value, 20, 25, &number))
			return -1;
		options->history_log2 = (unsigned)number;
		return 0;
	case OPTION_HEADLESS: options->headless = 1; return 0;
	case OPTION_SCREENSHOT: options->screenshot = value; return 0;
	case OPTION_SCREENSHOT_WINDOW: options->screenshot_window = value; return 0;
	case OPTION_WAIT_IDLE:
		if (parse_number(value, 0, 600000, &number))
			return -1;
		options->wait_idle_ms = (int)number;
		return 0;
	case OPTION_TIMEOUT:
		if (parse_number(value, 1, 86400, &number))
			return -1;
		options->timeout_ms = (int)number * 1000;
		return 0;
	case OPTION_CAPTURE: options->capture = value; return 0;
	case OPTION_SCRIPT: options->script = value; return 0;
	case OPTION_REPORT: options->report = 1; return 0;
	case OPTION_RECONNECT: options->reconnect = 1; return 0;
	case OPTION_NO_RECONNECT: options->reconnect = 0; return 0;
	case OPTION_FACTORS: options->factors = value; return 0;
	case OPTION_SCALE:
		if (parse_number(value, GR_SCALE_MIN, GR_SCALE_MAX, &number))
			return -1;
		options->scale = (int)number;
		return 0;
	case OPTION_SAVE_DIRECTORY: options->save_directory = value; return 0;
	case OPTION_PRINT_COMMAND: options->print_command = value; return 0;
	case OPTION_INPUT:
		if (strcmp(value, "local") != 0 && strcmp(value, "session") != 0)
			return -1;
		options->input = *value == 's' ? GR_IME_SESSION : GR_IME_LOCAL;
		return 0;
	case OPTION_ZOOM:
		if (parse_number(value, GR_ZOOM_MIN, GR_ZOOM_MAX, &number))
			return -1;
		options->zoom = (int)number;
		return 0;
	case OPTION_HIGH_CONTRAST: options->high_contrast = 1; return 0;
	default: return -1;
	}
}

int gr_viewer_option_take(struct gr_viewer_options *options, const char *name, const char *value)
{
	long number;
	if (strcmp(name, "host") == 0)
		return parse_target(options, value);
	if (strcmp(name, "port") == 0) {
		if (parse_number(value, 1, 65535, &number))
			return -1;
		snprintf(options->port, sizeof(options->port), "%ld", number);
		return 0;
	}
	for (const struct option *option = long_options; option->name; option++)
		if (strcmp(option->name, name) == 0)
			return take(options, option->val, value);
	return -1;
}

int gr_viewer_option_switch(struct gr_viewer_options *options, const char *name, int on)
{
	if (strcmp(name, "full-screen") == 0)
		options->full_screen = on;
	else if (strcmp(name, "high-contrast") == 0)
		options->high_contrast = on;
	else if (strcmp(name, "reconnect") == 0)
		options->reconnect = on;
	else
		return -1;
	return 0;
}

/* The file that --config names; NULL: it is not there. What else is wrong with the command line is said later. */
static const char *configuration_of(int argc, char **argv)
{
	const char *file = NULL;
	int option;
	opterr = optind = 0;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0)
		if (option == OPTION_CONFIG)
			file = optarg;
	opterr = 1;
	optind = 0; /* getopt begins anew */
	return file;
}

static int read_files(struct gr_viewer_options *options, const char *given)
{
	struct gr_error err = { 0 };
	char person[1024];
	int code = gr_settings_read(options, GR_SETTINGS_SYSTEM, 1, &err);
	if (!code || code == GR_ENOENT) {
		if (given)
			code = gr_settings_read(options, given, 0, &err);
		else if (gr_settings_of_person(person, sizeof(person)) ||
			 (code = gr_settings_read(options, person, 0, &err)) == GR_ENOENT)
			code = 0;
	}
	return code ? complain("設定ファイルに誤りがあります", "in the configuration", err.text) : 0;
}

static int parse_command_line(struct gr_viewer_options *options, int argc, char **argv)
{
	char what[300];
	for (;;) {
		int index = 0, option = getopt_long(argc, argv, "", long_options, &index);
		if (option < 0)
			break;
		if (option == OPTION_HELP || option == OPTION_VERSION) {
			if (option == OPTION_HELP)
				usage(stdout);
			else
				printf("garasu-viewer " GARASU_VERSION "\n");
			return 1;
		}
		if (option == '?') { /* getopt has said what is wrong */
			usage(stderr);
			return -1;
		}
		if (option == OPTION_CONFIG)
			continue;
		snprintf(what, sizeof(what), "--%s %s", long_options[index].name, optarg ? optarg : "");
		if (gr_settings_is_fixed(options, long_options[index].name))
			complain("管理者が設定した値を使います", "the administrator has fixed it otherwise", what);
		else if (take(options, option, optarg))
			return complain("オプションの値が正しくありません", "a value out of its range", what);
	}
	if (optind == argc - 1 && gr_settings_is_fixed(options, "host")) {
		complain("管理者が設定した値を使います", "the administrator has fixed it otherwise", argv[optind]);
	} else if (optind == argc - 1) {
		if (parse_target(options, argv[optind]))
			return complain("HOST[:PORT] の形式で指定してください", "not of the form HOST[:PORT]",
					argv[optind]);
	} else if (optind != argc || !*options->host) {
		usage(stderr);
		return -1;
	}
	return 0;
}

int gr_viewer_options_parse(struct gr_viewer_options *options, int argc, char **argv)
{
	*options = (struct gr_viewer_options){ .port = DEFAULT_PORT,
					       .quality = -1,
					       .history_log2 = DEFAULT_HISTORY,
					       .wait_idle_ms = -1,
					       .zoom = 100,
					       .print_command = "lp",
					       .reconnect = -1 };
	if (read_files(options, configuration_of(argc, argv)))
		return -1;
	int parsed = parse_command_line(options, argc, argv);
	if (parsed)
		return parsed;
	if (!options->ca)
		return complain("指定が必要です", "missing option", "--ca");
	if (!options->certificate != !options->key)
		return complain("指定が必要です", "missing option", options->key ? "--certificate" : "--key");
	if (options->reconnect < 0) /* whoever looks at a window waits; a script wants the exit code */
		options->reconnect = !options->headless && !options->script && !options->screenshot &&
				     !options->screenshot_window;
	if (options->quality < 0) /* a picture to be kept can wait for its photographs */
		options->quality = options->screenshot || options->screenshot_window ? 0 : DEFAULT_QUALITY;
	if (!*options->server_name)
		memcpy(options->server_name, options->host, sizeof(options->server_name));
	return 0;
}

void gr_viewer_options_finish(struct gr_viewer_options *options)
{
	while (options->owned_count)
		free(options->owned[--options->owned_count]);
}
