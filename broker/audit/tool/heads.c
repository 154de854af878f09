#include "broker/audit/tool/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The next line of the file, without its newline. 1; 0 at the end; 2: bytes without a newline; GR_EIO. */
static int next_line(struct gr_check_heads *heads, const char **line, size_t *n, struct gr_error *err)
{
	for (;;) {
		char *start = heads->buffer + heads->at;
		size_t left = heads->held - heads->at;
		char *newline = memchr(start, '\n', left);
		if (newline) {
			*line = start;
			*n = (size_t)(newline - start);
			heads->at += *n + 1;
			heads->line++;
			return 1;
		}
		memmove(heads->buffer, start, left);
		heads->held = left;
		heads->at = 0;
		size_t room = sizeof(heads->buffer) - left;
		ssize_t got = heads->fd >= 0 && room
				      ? pread(heads->fd, heads->buffer + left, room, (off_t)heads->offset)
				      : 0;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return gr_error_errno(err, "cannot read %s", heads->name);
		if (got == 0) {
			*line = heads->buffer;
			*n = left;
			heads->at = left;
			heads->line += left > 0;
			return left > 0 ? 2 : 0;
		}
		heads->offset += (uint64_t)got;
		heads->held += (size_t)got;
	}
}

/* ---- known heads ---- */

static int is_base64(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
	       byte == '+' || byte == '/' || byte == '=';
}

/* A known head stands anywhere in a line: behind the time and name that a syslog server wrote, in quotes. */
static int find_head(const char *line, size_t n, struct gr_check_known *out)
{
	static const char begin[] = "head size=", signature[] = " signature=";
	const char *start = memmem(line, n, begin, sizeof(begin) - 1);
	if (!start)
		return 0;
	size_t left = n - (size_t)(start - line);
	const char *end = memmem(start, left, signature, sizeof(signature) - 1);
	if (end) {
		end += sizeof(signature) - 1;
		while (end < start + left && is_base64(*end))
			end++;
		left = (size_t)(end - start);
	}
	out->start = start;
	out->length = left;
	out->size = strtoull(start + sizeof(begin) - 1, NULL, 10); /* for the order; it is read properly later */
	return 1;
}

static int by_size(const void *a, const void *b)
{
	const struct gr_check_known *left = a, *right = b;
	return left->size < right->size ? -1 : left->size > right->size;
}

int gr_check_heads_known(struct gr_check *check, struct gr_error *err)
{
	struct gr_check_heads *known = &check->known;
	const char *at = check->options->known;
	size_t room = 0;
	for (uint64_t number = 1; at && *at; number++) {
		size_t n = strcspn(at, "\n");
		struct gr_check_known found = { .line = number };
		if (known->known_count == room) {
			room = room ? 2 * room : 64;
			struct gr_check_known *more = reallocarray(known->known, room, sizeof(*more));
			if (!more)
				return gr_error_set(err, GR_ENOMEM, "no memory for the known heads");
			known->known = more;
		}
		if (find_head(at, n, &found))
			known->known[known->known_count++] = found;
		at += n + (at[n] == '\n');
	}
	if (known->known_count > 1)
		qsort(known->known, known->known_count, sizeof(*known->known), by_size);
	return 0;
}

/* ---- both ---- */

int gr_check_heads_next(struct gr_check *check, struct gr_check_heads *heads, struct gr_error *err)
{
	const struct gr_check_options *options = check->options;
	int is_log = heads == &check->heads, trusted = 0, status = 1;
	const char *line = "", *reason;
	size_t n = 0;
	heads->present = 0;
	if (is_log) {
		status = next_line(heads, &line, &n, err);
		if (status <= 0)
			return status;
	} else {
		if (heads->known_at == heads->known_count)
			return 0;
		const struct gr_check_known *known = &heads->known[heads->known_at++];
		line = known->start;
		n = known->length;
		heads->line = known->line;
	}
	if (status == 2)
		return gr_check_bad(check, heads->name, heads->line, 0, 0,
				    "the tree head is torn: its newline is missing");
	if (gr_head_read(line, n, options->keys, options->key_count, &heads->head, &trusted, &reason) != 0)
		return gr_check_bad(check, heads->name, heads->line, 0, 0, "%s", reason);
	if (options->key_count && !trusted)
		return gr_check_bad(check, heads->name, heads->line, 0, 0,
				    "the tree head is signed with the key %s, which is none of those given",
				    heads->head.key);
	if (is_log && heads->head.size <= heads->last)
		return gr_check_bad(check, heads->name, heads->line, 0, 0,
				    "the tree head of %" PRIu64 " records stands behind that of %" PRIu64
				    ": heads were moved, or put in",
				    heads->head.size, heads->last);
	memcpy(heads->bytes, line, n);
	heads->length = n;
	heads->present = 1;
	return 1;
}

static int check_head(struct gr_check *check, struct gr_check_heads *heads, struct gr_error *err)
{
	struct gr_check_result *result = check->result;
	uint8_t root[GR_TREE_HASH];
	if (gr_check_root(check, root) != 0)
		return gr_error_set(err, GR_EIO, "SHA-256 failed");
	if (memcmp(root, heads->head.root, sizeof(root)) != 0)
		return gr_check_blame_head(check, heads);
	if (heads == &check->heads) {
		int status = gr_check_token(check, heads, err);
		if (status != 0)
			return status;
		result->heads++;
	} else {
		result->known++;
	}
	result->bound = heads->head.size;
	return 0;
}

static int heads_here(struct gr_check *check, struct gr_check_heads *heads, struct gr_error *err)
{
	while (heads->present && heads->head.size == check->result->count) {
		int status = check_head(check, heads, err);
		heads->last = heads->head.size;
		if (status == 0)
			status = gr_check_heads_next(check, heads, err);
		if (status < 0)
			return status;
	}
	return 0;
}

int gr_check_heads_here(struct gr_check *check, struct gr_error *err)
{
	int status = heads_here(check, &check->heads, err);
	return status == 0 ? heads_here(check, &check->known, err) : status;
}

int gr_check_heads_end(struct gr_check *check, struct gr_error *err)
{
	struct gr_check_heads *both[] = { &check->heads, &check->known };
	uint64_t next = check->result->count + 1;
	(void)err;
	for (unsigned i = 0; i < 2; i++)
		if (both[i]->present)
			return gr_check_bad(check, both[i]->name, both[i]->line, next, next,
					    "the record ends before record %" PRIu64 ", but %s tree head binds %" PRIu64
					    ": it was cut, or an older one was put in its place",
					    next, i ? "a known" : "this", both[i]->head.size);
	for (size_t i = 0; i < check->token_count; i++)
		if (check->tokens[i])
			return gr_check_bad(check, "tokens", 0, 0, 0,
					    "there is a token for %" PRIu64 " records, but no tree head of that size",
					    check->tokens[i]);
	return 0;
}
