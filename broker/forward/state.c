#include "broker/forward/state.h"

#include "broker/audit/text.h"
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NEW_FILE ".new"

size_t gr_forward_state_format(const struct gr_forward_state *state, char out[GR_FORWARD_STATE_MAX])
{
	char hex[GR_AUDIT_HASH_TEXT];
	int n = snprintf(out, GR_FORWARD_STATE_MAX, "sent=%" PRIu64 "\nsent_heads=%" PRIu64 "\n", state->sent,
			 state->sent_heads);
	if (state->heads == 0)
		return (size_t)n;
	gr_audit_hex(state->leaf, GR_TREE_HASH, hex);
	n += snprintf(out + n, GR_FORWARD_STATE_MAX - (size_t)n, "heads=%" PRIu64 "\nleaf=%s\ntree=", state->heads,
		      hex);
	for (int height = GR_TREE_DEPTH_MAX; height >= 0; height--) {
		if (!(state->tree.size >> height & 1))
			continue;
		gr_audit_hex(state->tree.peaks[height], GR_TREE_HASH, hex);
		n += snprintf(out + n, GR_FORWARD_STATE_MAX - (size_t)n, "%s", hex);
	}
	n += snprintf(out + n, GR_FORWARD_STATE_MAX - (size_t)n, "\nhead=%.*s\n", (int)state->length, state->head);
	return (size_t)n;
}

/* Takes the line "name=value" off the front of *text. */
static int take(const char **text, size_t *n, const char *name, const char **value, size_t *length)
{
	size_t name_length = strlen(name);
	const char *newline = memchr(*text, '\n', *n);
	if (!newline || (size_t)(newline - *text) < name_length + 1 || memcmp(*text, name, name_length) != 0 ||
	    (*text)[name_length] != '=')
		return GR_EPROTO;
	*value = *text + name_length + 1;
	*length = (size_t)(newline - *value);
	*n -= (size_t)(newline + 1 - *text);
	*text = newline + 1;
	return 0;
}

static int take_number(const char **text, size_t *n, const char *name, uint64_t *out)
{
	const char *value;
	size_t length;
	if (take(text, n, name, &value, &length) != 0)
		return GR_EPROTO;
	*out = gr_audit_number(value, length);
	return *out || (length == 1 && value[0] == '0') ? 0 : GR_EPROTO;
}

static int parse_head(const char *text, size_t n, struct gr_forward_state *state)
{
	struct gr_head head;
	uint8_t root[GR_TREE_HASH];
	const char *tree, *value, *reason;
	size_t tree_length, length;
	int known;
	if (take_number(&text, &n, "heads", &state->heads) != 0 || state->heads == 0 ||
	    take(&text, &n, "leaf", &value, &length) != 0 ||
	    gr_audit_unhex(value, length, 2 * (size_t)GR_TREE_HASH, state->leaf) != 0 ||
	    take(&text, &n, "tree", &tree, &tree_length) != 0 || take(&text, &n, "head", &value, &length) != 0 ||
	    n != 0 || length >= sizeof(state->head) ||
	    gr_head_read(value, length, NULL, 0, &head, &known, &reason) != 0)
		return GR_EPROTO;
	memcpy(state->head, value, length);
	state->head[length] = 0;
	state->length = length;
	state->tree.size = head.size;
	for (int height = GR_TREE_DEPTH_MAX; height >= 0; height--) {
		if (!(head.size >> height & 1))
			continue;
		if (tree_length < 2 * (size_t)GR_TREE_HASH ||
		    gr_audit_unhex(tree, 2 * (size_t)GR_TREE_HASH, 2 * (size_t)GR_TREE_HASH,
				   state->tree.peaks[height]) != 0)
			return GR_EPROTO;
		tree += 2 * (size_t)GR_TREE_HASH;
		tree_length -= 2 * (size_t)GR_TREE_HASH;
	}
	return tree_length == 0 && gr_tree_root(&state->tree, root) == 0 && memcmp(root, head.root, sizeof(root)) == 0
		       ? 0
		       : GR_EPROTO;
}

int gr_forward_state_parse(const char *untrusted_text, size_t n, struct gr_forward_state *out)
{
	struct gr_forward_state state = { .sent = 0 };
	if (take_number(&untrusted_text, &n, "sent", &state.sent) != 0 ||
	    take_number(&untrusted_text, &n, "sent_heads", &state.sent_heads) != 0 ||
	    (n > 0 && parse_head(untrusted_text, n, &state) != 0))
		return GR_EPROTO;
	*out = state;
	return 0;
}

int gr_forward_state_load(int directory, struct gr_forward_state *out, struct gr_error *err)
{
	char text[GR_FORWARD_STATE_MAX];
	int fd = openat(directory, GR_FORWARD_STATE_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	memset(out, 0, sizeof(*out));
	if (fd < 0)
		return errno == ENOENT
			       ? 0
			       : gr_error_errno(err, "cannot open " GR_FORWARD_DIRECTORY "/" GR_FORWARD_STATE_FILE);
	ssize_t n = pread(fd, text, sizeof(text), 0);
	close(fd);
	if (n < 0)
		return gr_error_errno(err, "cannot read " GR_FORWARD_DIRECTORY "/" GR_FORWARD_STATE_FILE);
	if (gr_forward_state_parse(text, (size_t)n, out) != 0)
		return gr_error_set(err, GR_EPROTO, GR_FORWARD_DIRECTORY "/" GR_FORWARD_STATE_FILE " was changed");
	return 0;
}

int gr_forward_write_file(int directory, const char *name, const void *bytes, size_t n, struct gr_error *err)
{
	int fd = openat(directory, NEW_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return gr_error_errno(err, "cannot make %s", name);
	int written = gr_io_write_all(fd, bytes, n) == 0 && fsync(fd) == 0;
	int cause = errno;
	close(fd);
	errno = cause;
	if (!written || renameat(directory, NEW_FILE, directory, name) < 0 || fsync(directory) < 0)
		return gr_error_errno(err, "cannot write %s", name);
	return 0;
}

int gr_forward_state_save(int directory, const struct gr_forward_state *state, struct gr_error *err)
{
	char text[GR_FORWARD_STATE_MAX];
	return gr_forward_write_file(directory, GR_FORWARD_STATE_FILE, text, gr_forward_state_format(state, text), err);
}
