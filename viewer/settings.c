#include "viewer/settings.h"

#include <confuse.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { VALUE, FLAG, FILE_NAME };

/* The table that says all: what can stand in a file. Its numbers are the bits of gr_viewer_options.fixed. */
static const struct {
	const char *key, *option;
	enum kind kind;
} settings[] = {
	{ "host", "host", VALUE },
	{ "port", "port", VALUE },
	{ "certificate", "certificate", FILE_NAME },
	{ "key", "key", FILE_NAME },
	{ "ca", "ca", FILE_NAME },
	{ "crl", "crl", FILE_NAME },
	{ "server_name", "server-name", VALUE },
	{ "size", "size", VALUE },
	{ "full_screen", "full-screen", FLAG },
	{ "input", "input", VALUE },
	{ "scale", "scale", VALUE },
	{ "zoom", "zoom", VALUE },
	{ "high_contrast", "high-contrast", FLAG },
	{ "quality", "quality", VALUE },
	{ "history", "history", VALUE },
	{ "save_directory", "save-directory", FILE_NAME },
	{ "print_command", "print-command", VALUE },
	{ "reconnect", "reconnect", FLAG },
	{ "timeout", "timeout", VALUE },
};
enum { SETTINGS = sizeof(settings) / sizeof(settings[0]) };

/* libconfuse's callbacks carry no context of ours; the files are read before there is a second thread. */
static struct gr_viewer_options *into;
static const char *reading;
static struct gr_error *problem;

static int number_of(const char *name, int as_option)
{
	for (int i = 0; i < SETTINGS; i++)
		if (strcmp(as_option ? settings[i].option : settings[i].key, name) == 0)
			return i;
	return -1;
}

int gr_settings_is_fixed(const struct gr_viewer_options *options, const char *option)
{
	int i = number_of(option, 1);
	return i >= 0 && options->fixed >> i & 1;
}

static void __attribute__((format(printf, 2, 0))) keep_first(cfg_t *cfg, const char *format, va_list args)
{
	if (problem->code)
		return;
	int n = snprintf(problem->text, sizeof(problem->text), "%s:%d: ", reading, cfg->line);
	if (n > 0 && (size_t)n < sizeof(problem->text))
		vsnprintf(problem->text + n, sizeof(problem->text) - (size_t)n, format, args);
	problem->code = GR_EINVAL;
}

static int truth(const char *text)
{
	static const char *const words[] = { "false", "no", "off", "true", "yes", "on" };
	for (int i = 0; i < 6; i++)
		if (strcmp(text, words[i]) == 0)
			return i > 2;
	return -1;
}

/* Takes a value as soon as it was read: only then its line is known. */
static int take(cfg_t *cfg, cfg_opt_t *opt)
{
	int i = number_of(cfg_opt_name(opt), 0);
	const char *text = cfg_opt_getstr(opt);
	if (i < 0 || !text)
		return 0;
	if (into->fixed >> i & 1) {
		fprintf(stderr, "garasu-viewer: %s:%d: %s is fixed by %s\n", reading, cfg->line, settings[i].key,
			GR_SETTINGS_SYSTEM);
		return 0;
	}
	int code;
	if (settings[i].kind == FLAG) {
		int on = truth(text);
		code = on < 0 ? GR_EINVAL : gr_viewer_option_switch(into, settings[i].option, on);
	} else {
		char *kept = settings[i].kind == FILE_NAME ? cfg_tilde_expand(text) : strdup(text);
		code = kept ? gr_viewer_option_take(into, settings[i].option, kept) : GR_ENOMEM;
		if (kept && into->owned_count < GR_OPTIONS_OWNED)
			into->owned[into->owned_count++] = kept;
		else
			free(kept);
	}
	if (code)
		cfg_error(cfg, "%s: '%s' is not possible", settings[i].key, text);
	return code ? -1 : 0;
}

static int check_fixed(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *name = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	if (!name || number_of(name, 0) >= 0)
		return 0;
	cfg_error(cfg, "fixed: there is no '%s'", name);
	return -1;
}

int gr_settings_read(struct gr_viewer_options *options, const char *file, int is_system, struct gr_error *err)
{
	cfg_opt_t opts[SETTINGS + 2] = { 0 };
	for (int i = 0; i < SETTINGS; i++)
		opts[i] = (cfg_opt_t)CFG_STR(settings[i].key, NULL, CFGF_NODEFAULT);
	opts[SETTINGS] = (cfg_opt_t)CFG_STR_LIST("fixed", NULL, CFGF_NODEFAULT);
	opts[SETTINGS + 1] = (cfg_opt_t)CFG_END();
	if (access(file, F_OK) < 0 && errno == ENOENT)
		return gr_error_set(err, GR_ENOENT, "%s: there is no such file", file);
	cfg_t *cfg = cfg_init(opts, CFGF_NONE);
	if (!cfg)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	*err = (struct gr_error){ 0 };
	into = options;
	reading = file;
	problem = err;
	cfg_set_error_function(cfg, keep_first);
	for (int i = 0; i < SETTINGS; i++)
		cfg_set_validate_func(cfg, settings[i].key, take);
	cfg_set_validate_func(cfg, "fixed", check_fixed);
	int code = cfg_parse(cfg, file);
	if (code == CFG_FILE_ERROR)
		gr_error_errno(err, "%s", file);
	else if (code == CFG_PARSE_ERROR && !err->code)
		gr_error_set(err, GR_EINVAL, "%s: cannot be read", file);
	for (unsigned i = 0; is_system && !err->code && i < cfg_size(cfg, "fixed"); i++)
		options->fixed |= 1u << number_of(cfg_getnstr(cfg, "fixed", i), 0);
	cfg_free(cfg);
	return err->code;
}

int gr_settings_of_person(char *out, size_t cap)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n = config && *config ? snprintf(out, cap, "%s/garasu/viewer.conf", config)
		: home && *home   ? snprintf(out, cap, "%s/.config/garasu/viewer.conf", home)
				  : -1;
	return n > 0 && (size_t)n < cap ? 0 : GR_ENOENT;
}
