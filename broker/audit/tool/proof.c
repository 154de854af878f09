#include "broker/audit/tool/proof.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- hashes from the segments ---- */

struct leaves {
	struct gr_tool_log *log;
	int sums; /* a full segment's root is taken from its sum */
	uint64_t number; /* + 1, of the segment that is held; 0 = none */
	uint64_t count;
	uint64_t sequence; /* of the record that is wanted too */
	char *record; /* GR_AUDIT_LINE_MAX bytes */
	struct gr_error *err;
	uint8_t hashes[GR_AUDIT_SEGMENT_LINES][GR_TREE_HASH];
};

static int hold_segment(struct leaves *leaves, uint64_t number)
{
	struct gr_audit_segment *segment = NULL;
	struct gr_audit_record record;
	int more;
	if (leaves->number == number + 1)
		return 0;
	leaves->number = 0;
	leaves->count = 0;
	int status = gr_audit_segment_open(&segment, leaves->log->log, -1, number, NULL, leaves->err);
	if (status != 0)
		return status;
	while ((more = gr_audit_segment_next(segment, &record, leaves->err)) == 1) {
		memcpy(leaves->hashes[leaves->count++], record.leaf, GR_TREE_HASH);
		if (record.line.sequence == leaves->sequence && leaves->record) {
			memcpy(leaves->record, record.bytes, record.length);
			leaves->record[record.length] = 0;
		}
	}
	gr_audit_segment_close(segment);
	if (more == 0)
		leaves->number = number + 1;
	return more;
}

/* The root of hashes[first : first + 2^height]. */
static int root_of(const struct leaves *leaves, uint64_t first, unsigned height, uint8_t out[GR_TREE_HASH])
{
	struct gr_tree tree = { .size = 0 };
	if (first + (UINT64_C(1) << height) > leaves->count)
		return GR_ENOENT;
	for (uint64_t i = 0; i < UINT64_C(1) << height; i++)
		if (gr_tree_append(&tree, 0, leaves->hashes[first + i]) != 0)
			return GR_EIO;
	memcpy(out, tree.peaks[height], GR_TREE_HASH);
	return 0;
}

static int subtree(void *context, uint64_t first, unsigned height, uint8_t out[GR_TREE_HASH])
{
	struct leaves *leaves = context;
	if (height > GR_AUDIT_SEGMENT_HEIGHT) {
		uint8_t left[GR_TREE_HASH], right[GR_TREE_HASH];
		int status = subtree(context, first, height - 1, left);
		if (status == 0)
			status = subtree(context, first + (UINT64_C(1) << (height - 1)), height - 1, right);
		return status == 0 ? gr_tree_node(left, right, out) : status;
	}
	uint64_t number = first >> GR_AUDIT_SEGMENT_HEIGHT;
	struct gr_audit_sum sum;
	struct gr_error ignored;
	if (height == GR_AUDIT_SEGMENT_HEIGHT && leaves->sums &&
	    gr_audit_sum_read(leaves->log->log, number, &sum, &ignored) == 0) {
		memcpy(out, sum.tree, GR_TREE_HASH);
		return 0;
	}
	int status = hold_segment(leaves, number);
	return status == 0 ? root_of(leaves, first % GR_AUDIT_SEGMENT_LINES, height, out) : status;
}

/* ---- tree heads ---- */

/* The head of this size; size 0: the last one. */
static int find_head(struct gr_tool_log *log, uint64_t size, struct gr_proof_head *out, struct gr_error *err)
{
	int fd = openat(log->directory, GR_AUDIT_HEADS_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");
	char line[GR_HEAD_LINE_MAX];
	struct gr_head head, below = { .size = 0 }, above = { .size = 0 };
	int found = 0, known;
	const char *reason;
	if (!stream)
		return gr_error_errno(err, "cannot open %s", GR_AUDIT_HEADS_FILE);
	while (!(found && size) && fgets(line, sizeof(line), stream)) {
		size_t n = strcspn(line, "\n");
		if (gr_head_read(line, n, NULL, 0, &head, &known, &reason) != 0)
			continue; /* verify tells of it */
		if (size == 0 || head.size == size) {
			out->head = head;
			memcpy(out->text, line, n);
			out->text[n] = 0;
			found = 1;
		} else if (head.size < size) {
			below = head;
		} else if (!above.size) {
			above = head;
		}
	}
	fclose(stream);
	if (found)
		return 0;
	if (size == 0)
		return gr_error_set(err, GR_ENOENT, "there is no tree head in %s", GR_AUDIT_HEADS_FILE);
	return gr_error_set(err, GR_ENOENT,
			    "there is no tree head of %" PRIu64 " records; those next to it have %" PRIu64
			    " and %" PRIu64,
			    size, below.size, above.size);
}

/* ---- making ---- */

static struct leaves *leaves_of(struct gr_tool_log *log, struct gr_error *err)
{
	struct leaves *leaves = calloc(1, sizeof(*leaves));
	if (!leaves) {
		gr_error_set(err, GR_ENOMEM, "no memory for the proof");
		return NULL;
	}
	leaves->log = log;
	leaves->err = err;
	leaves->sums = 1;
	return leaves;
}

static int failed(int status, struct gr_error *err)
{
	return status == GR_ENOENT ? gr_error_set(err, GR_EPROTO, "the log has fewer records than the tree head binds")
	       : status == GR_EINVAL ? gr_error_set(err, GR_ENOENT, "the tree head does not reach that far")
				     : status;
}

int gr_proof_inclusion(struct gr_proof *out, struct gr_tool_log *log, uint64_t sequence, uint64_t size,
		       struct gr_error *err)
{
	memset(out, 0, sizeof(*out));
	out->sequence = sequence;
	int status = find_head(log, size, &out->head, err);
	if (status != 0)
		return status;
	if (sequence > out->head.head.size)
		return gr_error_set(err, GR_ENOENT,
				    "record %" PRIu64 " is not bound by a tree head: that of %s has %" PRIu64
				    " records",
				    sequence, out->head.head.time, out->head.head.size);
	struct leaves *leaves = leaves_of(log, err);
	if (!leaves)
		return GR_ENOMEM;
	leaves->sequence = sequence;
	leaves->record = out->record;
	status = hold_segment(leaves, (sequence - 1) / GR_AUDIT_SEGMENT_LINES);
	if (status == 0 && !out->record[0])
		status = GR_ENOENT;
	if (status == 0)
		memcpy(out->leaf, leaves->hashes[(sequence - 1) % GR_AUDIT_SEGMENT_LINES], GR_TREE_HASH);
	/* Sums are only believed as long as the proof holds with them. */
	for (; status == 0; leaves->sums = 0) {
		status = gr_tree_inclusion(subtree, leaves, sequence - 1, out->head.head.size, out->hashes,
					   &out->count);
		if (status != 0 || (status = gr_proof_check(out, err)) == 0 || !leaves->sums)
			break;
		status = 0;
	}
	free(leaves);
	return failed(status, err);
}

int gr_proof_consistency(struct gr_proof *out, struct gr_tool_log *log, uint64_t old, uint64_t size,
			 struct gr_error *err)
{
	memset(out, 0, sizeof(*out));
	int status = find_head(log, old, &out->old, err);
	if (status == 0)
		status = find_head(log, size, &out->head, err);
	if (status != 0)
		return status;
	struct leaves *leaves = leaves_of(log, err);
	if (!leaves)
		return GR_ENOMEM;
	for (;; leaves->sums = 0) {
		status = gr_tree_consistency(subtree, leaves, old, size, out->hashes, &out->count);
		if (status != 0 || (status = gr_proof_check(out, err)) == 0 || !leaves->sums)
			break;
	}
	free(leaves);
	return failed(status, err);
}

/* ---- checking ---- */

/* Takes a line that begins with this word off the text. */
static const char *take_line(const char **text, size_t *left, const char *word, size_t *n_out)
{
	size_t length = strlen(word);
	const char *start = *text, *newline = memchr(start, '\n', *left);
	if (!newline || (size_t)(newline - start) < length || memcmp(start, word, length) != 0)
		return NULL;
	*left -= (size_t)(newline - start) + 1;
	*text = newline + 1;
	*n_out = (size_t)(newline - start) - length;
	return start + length;
}

static int take_head(const char **text, size_t *left, EVP_PKEY *const *keys, size_t count, struct gr_proof_head *out,
		     struct gr_error *err)
{
	size_t n;
	int known = 0;
	const char *reason, *start = *text;
	if (!take_line(text, left, "head ", &n))
		return gr_error_set(err, GR_EPROTO, "a line with a tree head is missing");
	n += 5;
	if (gr_head_read(start, n, keys, count, &out->head, &known, &reason) != 0)
		return gr_error_set(err, GR_EPROTO, "%s", reason);
	if (count && !known)
		return gr_error_set(err, GR_EPROTO,
				    "the tree head is signed with the key %s, which is none of those given",
				    out->head.key);
	memcpy(out->text, start, n);
	out->text[n] = 0;
	return 0;
}

static int take_record(struct gr_proof *proof, const char *line, size_t n, struct gr_error *err)
{
	struct gr_audit_line parsed;
	const char *reason;
	if (gr_audit_line_parse(line, n, &parsed, &reason) != 0)
		return gr_error_set(err, GR_EPROTO, "the record: %s", reason);
	if (gr_audit_line_leaf(line, n, &parsed, proof->leaf) != 0)
		return gr_error_set(err, GR_EIO, "SHA-256 failed");
	proof->sequence = parsed.sequence;
	memcpy(proof->record, line, n);
	proof->record[n] = 0;
	return 0;
}

int gr_proof_read(struct gr_proof *out, const char *untrusted_text, size_t n, EVP_PKEY *const *keys, size_t count,
		  struct gr_error *err)
{
	const char *at = untrusted_text, *line;
	size_t left = n, length;
	int status;
	memset(out, 0, sizeof(*out));
	line = take_line(&at, &left, "garasu-audit proof: ", &length);
	int inclusion = line && length == 9 && memcmp(line, "inclusion", 9) == 0;
	if (!inclusion && !(line && length == 11 && memcmp(line, "consistency", 11) == 0))
		return gr_error_set(err, GR_EPROTO, "it is no proof of garasu-audit");
	if (inclusion) {
		line = take_line(&at, &left, "record ", &length);
		status = line ? take_record(out, line, length, err)
			      : gr_error_set(err, GR_EPROTO, "the line with the record is missing");
	} else {
		status = take_head(&at, &left, keys, count, &out->old, err);
	}
	if (status == 0)
		status = take_head(&at, &left, keys, count, &out->head, err);
	while (status == 0 && left > 0) {
		line = take_line(&at, &left, "hash ", &length);
		if (!line || out->count == (size_t)GR_TREE_PROOF_MAX ||
		    gr_audit_unhex(line, length, 2 * (size_t)GR_TREE_HASH, out->hashes[out->count]) != 0)
			status = gr_error_set(err, GR_EPROTO, "a hash is malformed, or there are too many");
		else
			out->count++;
	}
	return status;
}

int gr_proof_check(const struct gr_proof *proof, struct gr_error *err)
{
	const struct gr_head *head = &proof->head.head;
	int status = proof->sequence ? gr_tree_verify_inclusion(proof->leaf, proof->sequence - 1, head->size,
								head->root, proof->hashes, proof->count)
				     : gr_tree_verify_consistency(proof->old.head.size, proof->old.head.root,
								  head->size, head->root, proof->hashes, proof->count);
	if (status == GR_EPROTO)
		return gr_error_set(err, GR_EPROTO, "%s",
				    proof->sequence ? "the record is not one that the tree head binds"
						    : "the two tree heads are not of one record that only grew");
	return status == 0 ? 0 : gr_error_set(err, status, "SHA-256 failed");
}
