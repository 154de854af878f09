#include "broker/supervisor/cutoff.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gr_cutoff *entry_of(const struct gr_cutoffs *cutoffs, const char *group)
{
	for (unsigned i = 0; i < cutoffs->count; i++)
		if (strcmp(cutoffs->list[i].group, group) == 0)
			return (struct gr_cutoff *)(uintptr_t)&cutoffs->list[i];
	return NULL;
}

const struct gr_cutoff *gr_cutoffs_find(const struct gr_cutoffs *cutoffs, const char *group)
{
	const struct gr_cutoff *entry = group && *group ? entry_of(cutoffs, group) : NULL;

	if (entry)
		return entry->back ? NULL : entry;
	return entry_of(cutoffs, "");
}

static void forget(struct gr_cutoffs *cutoffs, const char *group)
{
	struct gr_cutoff *entry = entry_of(cutoffs, group);

	if (entry)
		*entry = cutoffs->list[--cutoffs->count];
}

/* Tabs and line ends divide the file. */
static void put(char *out, size_t cap, const char *text)
{
	snprintf(out, cap, "%s", text);
	for (char *c = out; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

static int set(struct gr_cutoffs *cutoffs, const struct gr_cutoff *entry)
{
	forget(cutoffs, entry->group);
	if (cutoffs->count == GR_CUTOFF_MAX)
		return GR_EFULL;
	cutoffs->list[cutoffs->count++] = *entry;
	return 0;
}

static struct gr_cutoff make(int back, const char *group, const char *actor, const char *reason, int64_t since)
{
	struct gr_cutoff entry = { .back = back, .since = since };

	put(entry.group, sizeof(entry.group), group);
	put(entry.actor, sizeof(entry.actor), actor);
	put(entry.reason, sizeof(entry.reason), reason);
	return entry;
}

int gr_cutoffs_cut(struct gr_cutoffs *cutoffs, const char *group, const char *actor, const char *reason, int64_t since)
{
	const struct gr_cutoff entry = make(0, group, actor, reason, since);

	if (*group && gr_cutoffs_find(cutoffs, group))
		return GR_EEXIST;
	if (!*group) {
		if (cutoffs->count == 1 && entry_of(cutoffs, ""))
			return GR_EEXIST;
		cutoffs->count = 0;
	} else if (entry_of(cutoffs, "")) {
		forget(cutoffs, group); /* as everybody again */
		return 0;
	}
	return set(cutoffs, &entry);
}

int gr_cutoffs_restore(struct gr_cutoffs *cutoffs, const char *group, const char *actor, const char *reason,
		       int64_t since)
{
	const struct gr_cutoff entry = make(1, group, actor, reason, since);

	if (*group ? !gr_cutoffs_find(cutoffs, group) : !cutoffs->count)
		return GR_ENOENT;
	if (!*group) {
		cutoffs->count = 0;
		return 0;
	}
	forget(cutoffs, group);
	return entry_of(cutoffs, "") ? set(cutoffs, &entry) : 0;
}

char *gr_cutoffs_write(const struct gr_cutoffs *cutoffs, size_t *size_out)
{
	size_t room = (size_t)cutoffs->count * GR_CUTOFF_LINE + 1, used = 0;
	char *bytes = malloc(room);

	for (unsigned i = 0; bytes && i < cutoffs->count; i++) {
		const struct gr_cutoff *entry = &cutoffs->list[i];

		used += (size_t)snprintf(bytes + used, room - used, "%s\t%" PRId64 "\t%s\t%s\t%s\n",
					 entry->back ? "back" : "cut", entry->since, entry->actor, entry->group,
					 entry->reason);
	}
	*size_out = used;
	return bytes;
}

/* The next field of a line; NULL when it is not there or too long. */
static const char *field(char **rest, size_t cap)
{
	const char *text = strsep(rest, "\t");

	return text && strlen(text) < cap ? text : NULL;
}

static int read_line(struct gr_cutoffs *cutoffs, char *line)
{
	struct gr_cutoff entry;
	const char *verb = field(&line, 8), *since = field(&line, 24);
	const char *actor = field(&line, sizeof(entry.actor)), *group = field(&line, sizeof(entry.group));
	const char *reason = field(&line, sizeof(entry.reason));
	char *end;
	int64_t when;

	if (!verb || !since || !actor || !group || !reason || line)
		return GR_EPROTO;
	errno = 0;
	when = strtoll(since, &end, 10);
	if (errno || end == since || *end || (strcmp(verb, "cut") != 0 && strcmp(verb, "back") != 0))
		return GR_EPROTO;
	entry = make(verb[0] == 'b', group, actor, reason, when);
	if ((entry.back && !*group) || entry_of(cutoffs, entry.group))
		return GR_EPROTO;
	return set(cutoffs, &entry) == 0 ? 0 : GR_EPROTO;
}

int gr_cutoffs_read(struct gr_cutoffs *cutoffs, char *bytes, size_t size)
{
	char *rest = bytes;

	cutoffs->count = 0;
	if (strlen(bytes) != size || (size > 0 && bytes[size - 1] != '\n'))
		return GR_EPROTO;
	while (*rest) {
		char *line = strsep(&rest, "\n");

		if (read_line(cutoffs, line) < 0)
			return GR_EPROTO;
	}
	return 0;
}
