/* A month by group, and how it is shown. */
#ifndef GARASU_AUDIT_TOOL_REPORT_H
#define GARASU_AUDIT_TOOL_REPORT_H

#include "broker/audit/tool/tool.h"

struct gr_report_group {
	char name[128];
	uint64_t persons; /* who had a screen */
	uint64_t seconds; /* that somebody had one, added up */
	uint64_t attachments, hosts, requests, refused;
	uint64_t failed; /* logins */
	void *host_names; /* while they are counted */
};

struct gr_report {
	unsigned year, month;
	time_t from, to, made;
	uint64_t first, last; /* records of the month */
	struct gr_report_group *groups;
	size_t count;
	struct gr_report_group total; /* a host that two groups reached counts once */
};

void gr_report_csv(FILE *out, const struct gr_report *report);
void gr_report_html(FILE *out, const struct gr_report *report);

#endif
