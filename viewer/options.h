/* What garasu-viewer is told: by its configuration files (settings.h), and by the command line, which goes first. */
#ifndef GARASU_VIEWER_OPTIONS_H
#define GARASU_VIEWER_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#define GR_SCALE_MIN 100
#define GR_SCALE_MAX 300
#define GR_ZOOM_MIN 50
#define GR_ZOOM_MAX 300

#define GR_OPTIONS_OWNED 32

/* Whose input method makes Japanese of what is typed. */
enum gr_window_input { GR_IME_LOCAL, GR_IME_SESSION };

struct gr_viewer_options {
	char host[256];
	char port[6];
	char server_name[256]; /* what the broker's certificate must be for */
	const char *certificate, *key, *ca, *crl; /* files; NULL: not given */
	uint16_t width, height; /* 0: the broker's, or the window's */
	int full_screen;
	int quality; /* 0: lossless; 1..10: of photographs at first sight */
	unsigned history_log2; /* 20..25 */
	int headless;
	const char *screenshot; /* write it and end */
	const char *screenshot_window; /* the same with title and border */
	int wait_idle_ms; /* -1: not asked for */
	int timeout_ms; /* 0: none given */
	const char *capture; /* a new file for the server's bytes */
	const char *script; /* file, or "-" */
	const char *factors; /* file with a password and a code */
	int scale; /* of browser, bar, border and messages, in percent; 0: as the desktop has it */
	int zoom; /* percent, on top of it */
	int high_contrast;
	const char *save_directory; /* for what the person saves; NULL: the platform's */
	const char *print_command; /* words; the file's name is put behind them */
	int report;
	unsigned fixed; /* by the system's configuration file: settings.h */
	char *owned[GR_OPTIONS_OWNED]; /* what came from a file */
	size_t owned_count;
	enum gr_window_input input;
};

/* For settings.h: a long option by its name, and with its value (borrowed), or on and off. 0 or -1. */
int gr_viewer_option_take(struct gr_viewer_options *options, const char *name, const char *value);
int gr_viewer_option_switch(struct gr_viewer_options *options, const char *name, int on);

/*
 * Reads the configuration files, then the command line; strings are borrowed from argv. Returns 0; 1 when --help or --version was answered;
 * -1 after a message on standard error.
 */
int gr_viewer_options_parse(struct gr_viewer_options *options, int argc, char **argv);

void gr_viewer_options_finish(struct gr_viewer_options *options);

/* "1280x800"; 0 or -1. */
int gr_viewer_parse_size(const char *text, uint16_t *width, uint16_t *height);

#endif
