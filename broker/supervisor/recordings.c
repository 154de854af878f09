#include "broker/supervisor/recordings.h"

#include "broker/supervisor/supervisor.h"
#include "common/io.h"
#include "common/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 2000 /* a count of the folder holds so long */
#define PRUNE_MAX 65536 /* files of one run; the next one has the rest */
#define PRUNE_PENDING 64
#define DAY 86400

/* ---- the folder ---- */

/* Calls each with every recording, by its name below the folder, until it returns other than 0. */
static void look_through(const char *directory, int (*each)(void *context, const char *name, const struct stat *status),
			 void *context)
{
	char name[GR_RECORDING_FILE_MAX];
	struct dirent *day, *entry;
	DIR *days = opendir(directory);
	int over = 0;

	while (days && !over && (day = readdir(days))) {
		int fd = day->d_name[0] == '.'
				 ? -1
				 : openat(dirfd(days), day->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		DIR *files = fd < 0 ? NULL : fdopendir(fd);

		if (!files) {
			gr_io_close(&fd);
			continue;
		}
		while (!over && (entry = readdir(files))) {
			struct stat status;
			int size = snprintf(name, sizeof(name), "%s/%s", day->d_name, entry->d_name);

			if (size > 0 && (size_t)size < sizeof(name) &&
			    fstatat(dirfd(files), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
			    S_ISREG(status.st_mode))
				over = each(context, name, &status);
		}
		closedir(files);
	}
	if (days)
		closedir(days);
}

static int add_size(void *context, const char *name, const struct stat *status)
{
	uint64_t *usage = context;

	(void)name;
	*usage += (uint64_t)status->st_size;
	return 0;
}

static int over_quota(struct gr_supervisor *supervisor)
{
	struct gr_recordings *recordings = &supervisor->recordings;
	uint64_t now = gr_io_now_ms();

	if (!recordings->looked_ms || now - recordings->looked_ms >= LOOK_MS) {
		recordings->usage = 0;
		recordings->looked_ms = now;
		look_through(supervisor->config.recording.directory, add_size, &recordings->usage);
	}
	return recordings->usage >= (uint64_t)supervisor->config.recording.quota_gib << 30;
}

/* The new file, for appending only; -1. */
static int make_file(struct gr_connection *connection, struct gr_error *err)
{
	struct gr_supervisor *supervisor = connection->supervisor;
	const char *directory = supervisor->config.recording.directory;
	char *name = connection->recording.file;
	time_t now = time(NULL);
	struct tm parts;
	int folder, fd = -1;

	if (!gmtime_r(&now, &parts) || strftime(name, GR_RECORDING_FILE_MAX, "%Y-%m-%d", &parts) == 0)
		return gr_error_set(err, GR_EIO, "the clock is wrong"), -1;
	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return gr_error_errno(err, "cannot make %s", directory), -1;
	folder = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return gr_error_errno(err, "cannot open %s", directory), -1;
	if (mkdirat(folder, name, 0700) < 0 && errno != EEXIST) {
		gr_error_errno(err, "cannot make %s/%s", directory, name);
	} else {
		size_t length = strlen(name);

		snprintf(name + length, GR_RECORDING_FILE_MAX - length, "/%016" PRIx64 "-%" PRIu32 ".grec",
			 connection->session_id, connection->number);
		fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0)
			gr_error_errno(err, "cannot make %s/%s", directory, name);
	}
	gr_io_close(&folder);
	return fd;
}

/* ---- one recording ---- */

static struct gr_audit_event event_of(const struct gr_connection *connection, enum gr_audit_kind kind)
{
	const struct gr_recording *recording = &connection->recording;
	struct gr_audit_event event = { .kind = kind, .connection = connection->number };

	event.session = connection->session_id;
	event.down = recording->bytes;
	memcpy(event.person, connection->person, sizeof(event.person));
	snprintf(event.target, sizeof(event.target), "%s", recording->file);
	if (recording->hash[0])
		snprintf(event.detail, sizeof(event.detail), "chunks=%" PRIu64 " %s", recording->chunks,
			 recording->hash);
	return event;
}

static void failed(struct gr_connection *connection, const char *why)
{
	struct gr_recording *recording = &connection->recording;
	struct gr_audit_event event = event_of(connection, GR_AUDIT_RECORDING_FAILED);
	size_t length = strlen(event.detail);

	recording->state = GR_RECORDING_STATE_OVER;
	event.reason = GR_REASON_RECORDING_FAILED;
	snprintf(event.detail + length, sizeof(event.detail) - length, "%s%.120s", length ? " " : "", why);
	gr_supervisor_record(connection->supervisor, &event);
	gr_log_error("connection %u of %s is not recorded%s: %s", connection->number, connection->person,
		     recording->required ? ", as it must be" : "", why);
	if (!recording->required) {
		if (connection->state == GR_CONNECTION_WAITING && connection->session)
			gr_session_hand_over(connection->session);
	} else if (connection->state == GR_CONNECTION_WAITING) {
		gr_connection_refuse(connection, GR_REASON_RECORDING_FAILED, why);
	} else if (connection->state == GR_CONNECTION_OPEN && connection->session &&
		   connection->session->viewer == connection->number) {
		gr_session_end(connection->session, GR_REASON_RECORDING_FAILED);
	}
}

void gr_recording_begin(struct gr_connection *connection)
{
	struct gr_supervisor *supervisor = connection->supervisor;
	const struct gr_config_limits *limits = gr_config_limits_of(&supervisor->config, connection->person);
	struct gr_ipc_message message = { .type = GR_IPC_RECORD, .connection = connection->number };
	struct gr_error err;
	int fd;

	if (limits->recording == GR_RECORDING_NONE) {
		connection->recording.state = GR_RECORDING_STATE_OVER;
		return;
	}
	connection->recording.required = limits->recording == GR_RECORDING_REQUIRED;
	if (over_quota(supervisor)) {
		failed(connection, "recording.quota_gib is reached");
		return;
	}
	fd = make_file(connection, &err);
	if (fd < 0) {
		failed(connection, err.text);
		return;
	}
	connection->recording.state = GR_RECORDING_STATE_OPENING;
	message.session = connection->session_id;
	memcpy(message.person, connection->person, sizeof(message.person));
	gr_child_send(&connection->child, &message, fd);
	gr_io_close(&fd);
}

int gr_recording_settled(const struct gr_connection *connection)
{
	return connection->recording.state >= GR_RECORDING_STATE_RUNNING;
}

static void start_recorded(void *context, uint64_t number, int was_recorded)
{
	struct gr_connection *connection = gr_connection_find(context, (uint32_t)number);

	if (!connection || connection->recording.state != GR_RECORDING_STATE_STARTING)
		return;
	connection->recording.state = GR_RECORDING_STATE_RUNNING;
	if (connection->state != GR_CONNECTION_WAITING)
		return;
	if (!was_recorded)
		gr_connection_refuse(connection, GR_REASON_AUDIT_UNAVAILABLE,
				     "the record of the recording cannot be written");
	else if (connection->session)
		gr_session_hand_over(connection->session);
}

static void begun(struct gr_connection *connection)
{
	struct gr_audit_event event = event_of(connection, GR_AUDIT_RECORDING_START);

	connection->recording.state = GR_RECORDING_STATE_STARTING;
	if (gr_audit_client_permit(connection->supervisor->audit, &event, start_recorded, connection->supervisor,
				   connection->number, NULL) < 0 &&
	    connection->state == GR_CONNECTION_WAITING)
		gr_connection_refuse(connection, GR_REASON_AUDIT_UNAVAILABLE, "too many events wait for the record");
}

static void marked(struct gr_connection *connection)
{
	struct gr_ipc_message enough = { .type = GR_IPC_RECORDED,
					 .connection = connection->number,
					 .reason = GR_REASON_RECORDING_FAILED,
					 .text = "recording.quota_gib is reached" };
	struct gr_audit_event event = event_of(connection, GR_AUDIT_RECORDING_MARK);

	gr_supervisor_record(connection->supervisor, &event);
	if (connection->state == GR_CONNECTION_OPEN && over_quota(connection->supervisor))
		gr_child_send(&connection->child, &enough, -1);
}

int gr_recording_message(struct gr_connection *connection, const struct gr_ipc_message *message)
{
	struct gr_recording *recording = &connection->recording;
	const char *why = message->text + strcspn(message->text, " ");
	struct gr_audit_event event;

	/* A file only grows, and says what it comes to. */
	if (recording->state == GR_RECORDING_STATE_NONE || recording->state == GR_RECORDING_STATE_OVER ||
	    message->number < recording->chunks || message->bytes_down < recording->bytes ||
	    strncmp(message->text, "sha256=", 7) != 0 || (size_t)(why - message->text) >= sizeof(recording->hash))
		return GR_EPROTO;
	recording->chunks = message->number;
	recording->bytes = message->bytes_down;
	snprintf(recording->hash, sizeof(recording->hash), "%.*s", (int)(why - message->text), message->text);
	if (message->reason != GR_REASON_NONE) {
		failed(connection, *why ? why + 1 : "without a reason");
	} else if (message->bytes_up) {
		event = event_of(connection, GR_AUDIT_RECORDING_END);
		recording->state = GR_RECORDING_STATE_OVER;
		gr_supervisor_record(connection->supervisor, &event);
	} else if (recording->state == GR_RECORDING_STATE_OPENING) {
		begun(connection);
	} else {
		marked(connection);
	}
	return 0;
}

void gr_recording_lost(struct gr_connection *connection)
{
	enum gr_recording_state state = connection->recording.state;

	if (state != GR_RECORDING_STATE_NONE && state != GR_RECORDING_STATE_OVER)
		failed(connection, "its gateway ended without a last word");
}

/* ---- removing old ones ---- */

struct gr_recordings_prune {
	uint64_t number; /* of the request */
	char actor[GR_PERSON_MAX + 8];
	char why[256];
	time_t before;
	char (*names)[GR_RECORDING_FILE_MAX];
	size_t count, next, pending, removed;
	uint32_t reason; /* other than NONE: no more are removed, for what trouble says */
	char trouble[160];
};

static int add_old(void *context, const char *name, const struct stat *status)
{
	struct gr_recordings_prune *prune = context;

	if (status->st_mtime >= prune->before)
		return 0;
	if (prune->count % 256 == 0) {
		void *names = reallocarray(prune->names, prune->count + 256, sizeof(*prune->names));

		if (!names)
			return 1;
		prune->names = names;
	}
	snprintf(prune->names[prune->count++], sizeof(*prune->names), "%s", name);
	return prune->count == PRUNE_MAX;
}

void gr_recordings_finish(struct gr_supervisor *supervisor)
{
	if (supervisor->recordings.prune)
		free(supervisor->recordings.prune->names);
	free(supervisor->recordings.prune);
	supervisor->recordings.prune = NULL;
}

static void pruned(struct gr_supervisor *supervisor)
{
	struct gr_recordings_prune *prune = supervisor->recordings.prune;
	struct gr_ipc_message done = { .type = GR_IPC_ADMIN_DONE, .number = prune->number, .reason = prune->reason };

	snprintf(done.text, sizeof(done.text), "%zu recordings are removed%s", prune->removed, prune->trouble);
	gr_recordings_finish(supervisor);
	supervisor->recordings.looked_ms = 0;
	gr_services_send(supervisor, GR_IPC_KIND_ADMIN, &done, -1);
}

static void trouble(struct gr_recordings_prune *prune, uint32_t reason, const char *why)
{
	prune->reason = reason;
	snprintf(prune->trouble, sizeof(prune->trouble), "; then %s", why);
}

static void prune_more(struct gr_supervisor *supervisor);

static void removal_recorded(void *context, uint64_t index, int was_recorded)
{
	struct gr_supervisor *supervisor = context;
	struct gr_recordings_prune *prune = supervisor->recordings.prune;
	char path[PATH_MAX + GR_RECORDING_FILE_MAX];

	prune->pending--;
	snprintf(path, sizeof(path), "%s/%s", supervisor->config.recording.directory, prune->names[index]);
	if (!was_recorded) {
		trouble(prune, GR_REASON_AUDIT_UNAVAILABLE, "the record could not be written");
	} else if (unlink(path) < 0 && errno != ENOENT) {
		gr_log_error("cannot remove %s: %s", path, strerror(errno));
		trouble(prune, GR_REASON_INTERNAL, strerror(errno));
	} else {
		*strrchr(path, '/') = '\0';
		rmdir(path); /* when it was its day's last */
		prune->removed++;
	}
	prune_more(supervisor);
}

/* Some at once, so that one flush of the record serves them together. */
static void prune_more(struct gr_supervisor *supervisor)
{
	struct gr_recordings_prune *prune = supervisor->recordings.prune;
	struct gr_audit_event event = { .kind = GR_AUDIT_RECORDING_REMOVED };

	memcpy(event.actor, prune->actor, sizeof(event.actor));
	memcpy(event.detail, prune->why, sizeof(event.detail));
	while (prune->reason == GR_REASON_NONE && prune->next < prune->count && prune->pending < PRUNE_PENDING) {
		snprintf(event.target, sizeof(event.target), "%s", prune->names[prune->next]);
		if (gr_audit_client_permit(supervisor->audit, &event, removal_recorded, supervisor, prune->next, NULL) <
		    0) {
			trouble(prune, GR_REASON_AUDIT_UNAVAILABLE, "too many events waited for the record");
			break;
		}
		prune->next++;
		prune->pending++;
	}
	if (prune->pending == 0)
		pruned(supervisor);
}

void gr_recordings_prune(struct gr_supervisor *supervisor, const struct gr_ipc_message *message)
{
	struct gr_ipc_message busy = { .type = GR_IPC_ADMIN_DONE,
				       .number = message->number,
				       .reason = GR_REASON_INTERNAL,
				       .text = "recordings are being removed already, or there is no memory" };
	struct gr_recordings_prune *prune = supervisor->recordings.prune ? NULL : calloc(1, sizeof(*prune));

	if (!prune) {
		gr_services_send(supervisor, GR_IPC_KIND_ADMIN, &busy, -1);
		return;
	}
	prune->number = message->number;
	prune->before = time(NULL) - (time_t)supervisor->config.retention.recordings_days * DAY;
	memcpy(prune->actor, message->actor, sizeof(prune->actor));
	memcpy(prune->why, message->text, sizeof(prune->why));
	look_through(supervisor->config.recording.directory, add_old, prune);
	supervisor->recordings.prune = prune;
	prune_more(supervisor);
}
