/*
 * Log lines for the operator, on standard error: "garasu-egress[412]: warning: text". Not the audit
 * record, which has its own interface (broker/audit/audit.h). No key strokes, clipboard contents, full
 * URLs or key material in a log line.
 */
#ifndef GARASU_COMMON_LOG_H
#define GARASU_COMMON_LOG_H

#include <stddef.h>

enum gr_log_level { GR_LOG_ERROR, GR_LOG_WARNING, GR_LOG_INFO, GR_LOG_DEBUG };

/* Sets the program name in front of every line (borrowed: keep it alive) and the most talkative level shown. */
void gr_log_init(const char *program, enum gr_log_level level);

/* One line, written by one write(2). Control characters in the result are escaped as \xNN. */
void gr_log(enum gr_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define gr_log_error(...) gr_log(GR_LOG_ERROR, __VA_ARGS__)
#define gr_log_warning(...) gr_log(GR_LOG_WARNING, __VA_ARGS__)
#define gr_log_info(...) gr_log(GR_LOG_INFO, __VA_ARGS__)
#define gr_log_debug(...) gr_log(GR_LOG_DEBUG, __VA_ARGS__)

/*
 * Writes n bytes of what a peer sent into out (cap bytes, always terminated) with everything but printable
 * ASCII other than backslash escaped as \xNN; cuts what does not fit. Returns out.
 */
char *gr_log_escape(char *out, size_t cap, const void *untrusted, size_t n);

#endif
