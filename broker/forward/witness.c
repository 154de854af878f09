#include "broker/forward/witness.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RECORDS_PER_LOOK 5000

void gr_forward_witness_init(struct gr_forward_witness *witness, int directory, int log, struct gr_forward_state *state)
{
	memset(witness, 0, sizeof(*witness));
	witness->directory = directory;
	witness->state = state;
	witness->reader.log = log;
}

void gr_forward_witness_finish(struct gr_forward_witness *witness)
{
	gr_forward_reader_finish(&witness->reader);
}

static int __attribute__((format(printf, 2, 3))) alarm_for(struct gr_forward_witness *witness, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(witness->alarm, sizeof(witness->alarm), format, arguments);
	va_end(arguments);
	gr_forward_reader_finish(&witness->reader);
	return 0;
}

/* A fault of reading becomes an alarm when it says something about the record. */
static int failed(struct gr_forward_witness *witness, int status, const struct gr_error *err)
{
	return status == GR_EPROTO ? alarm_for(witness, "%s", err->text) : status;
}

/* Whether what the state says is still there. */
static int begin(struct gr_forward_witness *witness, struct gr_error *err)
{
	const struct gr_forward_state *state = witness->state;
	struct gr_forward_head head;
	struct gr_audit_record record;
	uint64_t size = state->tree.size;
	witness->tree = state->tree;
	if (size == 0) {
		witness->begun = 1;
		return 0;
	}
	int status = gr_forward_head_read(witness->directory, state->heads - state->length - 1, &head, err);
	if (status < 0)
		return failed(witness, status, err);
	if (status == 0 || head.length != state->length || memcmp(head.line, state->head, head.length) != 0)
		return alarm_for(witness,
				 "the tree head of %" PRIu64
				 " records, seen before, is missing in heads.log: it was rolled back or changed",
				 size);
	gr_forward_reader_seek(&witness->reader, size - 1, NULL);
	status = gr_forward_reader_next(&witness->reader, &record, err);
	if (status < 0)
		return failed(witness, status, err);
	if (status == 0)
		return alarm_for(witness, "the record ends before seq %" PRIu64 ", which was there: it was rolled back",
				 size);
	if (memcmp(record.leaf, state->leaf, sizeof(record.leaf)) != 0)
		return alarm_for(witness,
				 "the record with seq %" PRIu64
				 " is another one than before: the record was rolled back or changed",
				 size);
	witness->begun = 1;
	return 0;
}

/*
 * Behind the head before: of what was read of the files then, more than that head covers, the audit process may have taken lines
 * back and written others in their place. Only what is there now counts. 1: it is to be read; 0: it was.
 */
static int read_anew(struct gr_forward_witness *witness)
{
	const struct gr_forward_state *state = witness->state;
	if (witness->again)
		return 0;
	witness->again = 1;
	witness->tree = state->tree;
	gr_forward_reader_seek(&witness->reader, state->tree.size, state->tree.size ? state->leaf : NULL);
	return 1;
}

static int compare(struct gr_forward_witness *witness, int *checked_out, struct gr_error *err)
{
	struct gr_forward_state *state = witness->state;
	uint8_t root[GR_TREE_HASH];
	if (gr_tree_root(&witness->tree, root) != 0)
		return gr_error_set(err, GR_EIO, "SHA-256 failed");
	if (memcmp(root, witness->wanted.head.root, sizeof(root)) != 0) {
		if (read_anew(witness))
			return 1;
		return alarm_for(witness,
				 "the tree head of %" PRIu64
				 " records does not fit them, or those under the head before: the record was changed",
				 witness->wanted.head.size);
	}
	state->heads = witness->wanted.end;
	state->tree = witness->tree;
	state->length = witness->wanted.length;
	memcpy(state->head, witness->wanted.line, sizeof(state->head));
	memcpy(state->leaf, witness->reader.last, sizeof(state->leaf));
	witness->checking = witness->again = 0;
	*checked_out = 1;
	return 1; /* there may be another one */
}

int gr_forward_witness_look(struct gr_forward_witness *witness, int *checked_out, struct gr_error *err)
{
	*checked_out = 0;
	if (witness->alarm[0])
		return 0;
	if (!witness->begun) {
		int status = begin(witness, err);
		if (status != 0 || !witness->begun)
			return status;
	}
	if (!witness->checking) {
		int status = gr_forward_head_read(witness->directory, witness->state->heads, &witness->wanted, err);
		if (status <= 0)
			return status < 0 ? failed(witness, status, err) : 0;
		if (witness->wanted.head.size < witness->tree.size)
			return alarm_for(witness,
					 "a tree head of %" PRIu64 " records follows one of %" PRIu64
					 ": the record was rolled back",
					 witness->wanted.head.size, witness->tree.size);
		witness->checking = 1;
	}
	for (unsigned i = 0; i < RECORDS_PER_LOOK && witness->tree.size < witness->wanted.head.size; i++) {
		struct gr_audit_record record;
		int status = gr_forward_reader_next(&witness->reader, &record, err);
		if ((status == 0 || status == GR_EPROTO) && read_anew(witness))
			return 1;
		if (status < 0)
			return failed(witness, status, err);
		if (status == 0) /* a head is signed after its records are on the disk */
			return alarm_for(witness,
					 "the record ends before seq %" PRIu64 ", of which there is a tree head",
					 witness->wanted.head.size);
		if (gr_tree_append(&witness->tree, 0, record.leaf) != 0)
			return gr_error_set(err, GR_EIO, "SHA-256 failed");
	}
	return witness->tree.size < witness->wanted.head.size ? 1 : compare(witness, checked_out, err);
}
