/*
 * The single values of the configuration, for config.c alone: each function stores the value in *out and returns NULL, or
 * returns what is wrong with the text ("must be …", static).
 */
#ifndef GARASU_BROKER_CONFIG_VALUE_H
#define GARASU_BROKER_CONFIG_VALUE_H

#include "broker/config/config.h"

const char *gr_value_path(const char *text, size_t cap, int optional);
const char *gr_value_address(const char *text);
const char *gr_value_url(const char *text, size_t cap);
const char *gr_value_level(const char *text, enum gr_log_level *out);
const char *gr_value_verdict(const char *text, enum gr_config_verdict *out);
const char *gr_value_endpoint(const char *text, struct gr_config_endpoint *out); /* "" = none */

/* An entry of allow or deny: host receives the normal form, beginning with "." for a whole domain; *port 0 = none given. */
const char *gr_value_rule(const char *text, char host[GR_HOST_TEXT + 1], uint16_t *port);

/* "address/bits", or an address alone. */
const char *gr_value_network(const char *text, struct gr_config_network *out);

/* 1..cap - 1 bytes of printable ASCII. */
const char *gr_value_name(const char *text, size_t cap);
const char *gr_value_person(const char *text);
const char *gr_value_group_name(const char *text);

#endif
