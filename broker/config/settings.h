/* The table of the configuration file's keys: config.c has it and reads by it, difference.c compares by it. */
#ifndef GARASU_BROKER_CONFIG_SETTINGS_H
#define GARASU_BROKER_CONFIG_SETTINGS_H

#include <stddef.h>

enum value_type {
	PATH,
	OPTIONAL_PATH,
	ADDRESS,
	URL,
	ENDPOINT,
	VERDICT,
	LEVEL,
	NUMBER,
	/* One of some names. */
	RECORDING,
	FACTOR,
	CONTENT,
	FORMAT,
	/* Texts. */
	NAME,
	OPTIONAL_URL,
	/* Lists. */
	RULES,
	PORTS,
	NETWORKS,
	PERSONS,
	USERS,
};

struct setting {
	const char *section, *key;
	enum value_type type;
	size_t offset, size; /* of the field in struct gr_config, of a group's in struct gr_config_group */
	long minimum, maximum; /* NUMBER, PORTS; of other lists maximum is how many entries there may be */
};

/* All of them. */
const struct setting *gr_config_settings(size_t *count_out);

/* The name of a value of RECORDING to FORMAT. */
const char *gr_config_choice(enum value_type type, unsigned value);

#endif
