/*
 * garasu-audit-year DIRECTORY [EGRESS-RECORDS]: writes an audit record as a city of 500 people makes in a year, 40 million
 * egress records by default, with segments, sums and signed heads in the real format, for measuring what reads it. The key's public half
 * is left in DIRECTORY/audit.pub. The same every time but for the key.
 */
#include "broker/audit/head.h"
#include "broker/audit/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PERSONS 500
#define GROUPS 24
#define HOSTS 30000
#define DAYS 245 /* of work */
#define DAY_SECONDS (9 * UINT64_C(3600))
#define OPEN_REQUESTS 256
#define HEAD_RECORDS 1000
#define HEAD_SECONDS 60

static const char *const groups[GROUPS] = {
	"総務課",     "職員課",     "財政課",   "管財課",     "税務課",     "収納課",     "市民課",     "保険年金課",
	"環境課",     "福祉課",     "子育て課", "高齢福祉課", "健康増進課", "農林課",     "商工観光課", "建設課",
	"都市計画課", "上下水道課", "会計課",   "議会事務局", "教育総務課", "学校教育課", "生涯学習課", "広報課",
};

struct year {
	int log;
	FILE *segment, *heads;
	EVP_PKEY *key;
	uint64_t count, egress, head_at;
	time_t head_time;
	uint8_t leaf[GR_TREE_HASH];
	struct gr_tree tree, whole; /* of the segment; of the full ones */
	struct timespec now;
	uint64_t random;
	uint64_t sessions[PERSONS]; /* 0 = not there */
	uint32_t connections[PERSONS], next_connection;
	struct gr_audit_event open[OPEN_REQUESTS];
};

static void die(const char *what)
{
	fprintf(stderr, "garasu-audit-year: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* xorshift64*, 0 up to n - 1 */
static uint64_t any(struct year *year, uint64_t n)
{
	year->random ^= year->random >> 12;
	year->random ^= year->random << 25;
	year->random ^= year->random >> 27;
	return (year->random * 0x2545F4914F6CDD1DULL >> 11) % n;
}

static void write_head(struct year *year)
{
	struct gr_tree whole = year->whole;
	uint8_t root[GR_TREE_HASH];
	char line[GR_HEAD_LINE_MAX];
	size_t n;
	for (unsigned height = GR_AUDIT_SEGMENT_HEIGHT; height-- > 0;)
		if (year->tree.size >> height & 1)
			gr_tree_append(&whole, height, year->tree.peaks[height]);
	if (gr_tree_root(&whole, root) != 0 || gr_head_sign(year->key, year->count, root, &year->now, line, &n) != 0 ||
	    fwrite(line, 1, n, year->heads) != n)
		die("heads.log");
	year->head_at = year->count;
	year->head_time = year->now.tv_sec;
}

static void end_segment(struct year *year)
{
	char name[GR_AUDIT_SEGMENT_NAME], text[GR_AUDIT_SUM_MAX];
	struct gr_audit_sum sum = { .segment = year->count / GR_AUDIT_SEGMENT_LINES - 1 };
	memcpy(sum.tree, year->tree.peaks[GR_AUDIT_SEGMENT_HEIGHT], GR_TREE_HASH);
	memcpy(sum.last, year->leaf, GR_TREE_HASH);
	gr_audit_segment_name(sum.segment, "sum", name);
	int fd = openat(year->log, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	size_t n = gr_audit_sum_format(&sum, text);
	if (fclose(year->segment) != 0 || fd < 0 || write(fd, text, n) != (ssize_t)n)
		die(name);
	close(fd);
	year->segment = NULL;
	gr_tree_append(&year->whole, GR_AUDIT_SEGMENT_HEIGHT, sum.tree);
	memset(&year->tree, 0, sizeof(year->tree));
}

static void put(struct year *year, const struct gr_audit_event *event)
{
	struct gr_audit_stamp stamp = { .sequence = year->count + 1, .time = year->now };
	char line[GR_AUDIT_LINE_MAX], name[GR_AUDIT_SEGMENT_NAME];
	size_t n;
	stamp.mono = (uint64_t)year->now.tv_sec * 1000000000 + (uint64_t)year->now.tv_nsec;
	memset(stamp.boot, 'b', 32);
	if (!year->segment) {
		gr_audit_segment_name(year->count / GR_AUDIT_SEGMENT_LINES, "log", name);
		int fd = openat(year->log, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		year->segment = fd < 0 ? NULL : fdopen(fd, "w");
		if (!year->segment)
			die(name);
	}
	if (gr_audit_line_format(&stamp, event, year->leaf, line, &n) != 0 || fwrite(line, 1, n, year->segment) != n ||
	    gr_tree_append(&year->tree, 0, year->leaf) != 0)
		die("a record");
	year->count++;
	if (year->count % GR_AUDIT_SEGMENT_LINES == 0)
		end_segment(year);
	if (year->count - year->head_at >= HEAD_RECORDS || year->now.tv_sec - year->head_time >= HEAD_SECONDS)
		write_head(year);
}

static struct gr_audit_event event_of(const struct year *year, unsigned person, uint32_t kind)
{
	struct gr_audit_event event = { .kind = kind,
					.session = year->sessions[person],
					.container = 1 + person % 256 };
	snprintf(event.person, sizeof(event.person), "shokuin%04u", person);
	return event;
}

static struct gr_audit_event viewer_event(const struct year *year, unsigned person, uint32_t kind)
{
	struct gr_audit_event event = event_of(year, person, kind);
	event.connection = year->connections[person];
	snprintf(event.group, sizeof(event.group), "%s", groups[person % GROUPS]);
	snprintf(event.peer, sizeof(event.peer), "10.20.%u.%u:%u", person / 250, person % 250 + 1, 40000 + person);
	return event;
}

static void come(struct year *year, unsigned person)
{
	year->connections[person] = ++year->next_connection;
	struct gr_audit_event event = viewer_event(year, person, GR_AUDIT_LOGIN_FAILED);
	if (any(year, 30) == 0) {
		event.reason = 15;
		put(year, &event);
	}
	event = viewer_event(year, person, GR_AUDIT_LOGIN);
	snprintf(event.detail, sizeof(event.detail), "factors=certificate,password,code serial=%08x", 0x10000 + person);
	put(year, &event);
	while (!year->sessions[person])
		year->sessions[person] = any(year, UINT64_MAX);
	event = viewer_event(year, person, GR_AUDIT_SESSION_START);
	put(year, &event);
	event = viewer_event(year, person, GR_AUDIT_SESSION_ATTACH);
	put(year, &event);
}

static void leave(struct year *year, unsigned person)
{
	struct gr_audit_event event = viewer_event(year, person, GR_AUDIT_SESSION_DETACH);
	event.reason = 13;
	event.down = any(year, 1u << 30);
	event.up = any(year, 1u << 20);
	put(year, &event);
	event = event_of(year, person, GR_AUDIT_SESSION_END);
	event.reason = 9;
	put(year, &event);
	year->sessions[person] = 0;
}

static void end_request(struct year *year, struct gr_audit_event *open)
{
	if (!open->kind)
		return;
	open->kind = GR_AUDIT_EGRESS_END;
	open->down = 1 + any(year, 1u << 18);
	open->up = 1 + any(year, 1u << 12);
	put(year, open);
	open->kind = 0;
	year->egress++;
}

static void browse(struct year *year, unsigned person)
{
	struct gr_audit_event event = event_of(year, person, GR_AUDIT_EGRESS_REQUEST);
	/* A few hosts have most of the requests. */
	unsigned host = (unsigned)exp((double)any(year, 1u << 30) / (1u << 30) * log(HOSTS));
	if (any(year, 2000000) == 0)
		snprintf(event.target, sizeof(event.target), "CONNECT seldom.example.jp:443");
	else
		snprintf(event.target, sizeof(event.target), "CONNECT www%u.example-%u.jp:443", host % 7, host);
	if (any(year, 200) == 0) {
		event.kind = GR_AUDIT_EGRESS_REFUSED;
		snprintf(event.detail, sizeof(event.detail), "list deny of group %s", groups[person % GROUPS]);
		put(year, &event);
		year->egress++;
		return;
	}
	put(year, &event);
	struct gr_audit_event *open = &year->open[any(year, OPEN_REQUESTS)];
	end_request(year, open);
	*open = event;
	year->egress++;
}

static void begin(struct year *year, const char *directory)
{
	char path[4096];
	mkdir(directory, 0700);
	snprintf(path, sizeof(path), "%s/%s", directory, GR_AUDIT_LOG_DIRECTORY);
	mkdir(path, 0700);
	year->log = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/%s", directory, GR_AUDIT_HEADS_FILE);
	year->heads = fopen(path, "we");
	year->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	snprintf(path, sizeof(path), "%s/audit.pub", directory);
	FILE *key = fopen(path, "we");
	if (year->log < 0 || !year->heads || !year->key || !key || PEM_write_PUBKEY(key, year->key) != 1)
		die(directory);
	fclose(key);
	year->random = 88172645463325252ULL;
}

int main(int argc, char **argv)
{
	static struct year year;
	uint64_t wanted = argc > 2 ? strtoull(argv[2], NULL, 10) : 40000000;
	time_t day = 1775000000 / 86400 * 86400 - 3600 * 9 + 3600 * 8 + 1800; /* 2026-03-31T08:30 in Japan */
	if (argc < 2 || argc > 3 || !wanted) {
		fputs("usage: garasu-audit-year DIRECTORY [EGRESS-RECORDS]\n", stderr);
		return 2;
	}
	begin(&year, argv[1]);
	for (unsigned worked = 0; worked < DAYS; day += 86400) {
		struct tm tm;
		gmtime_r(&day, &tm);
		if (tm.tm_wday == 6 || tm.tm_wday == 5) /* in UTC it is still the day before */
			continue;
		worked++;
		uint64_t target = wanted * worked / DAYS, here = year.egress, todo = target - here;
		while (year.egress < target) {
			uint64_t us = (year.egress - here) * DAY_SECONDS * 1000000ULL / (todo ? todo : 1);
			year.now.tv_sec = day + (time_t)(us / 1000000);
			year.now.tv_nsec = (long)(us % 1000000) * 1000;
			unsigned person = (unsigned)any(&year, PERSONS);
			if (!year.sessions[person])
				come(&year, person);
			browse(&year, person);
		}
		for (unsigned i = 0; i < OPEN_REQUESTS; i++)
			end_request(&year, &year.open[i]);
		for (unsigned person = 0; person < PERSONS; person++)
			if (year.sessions[person])
				leave(&year, person);
	}
	write_head(&year);
	if ((year.segment && fclose(year.segment) != 0) || fclose(year.heads) != 0)
		die("the end");
	printf("%" PRIu64 " records, %" PRIu64 " of them egress\n", year.count, year.egress);
	EVP_PKEY_free(year.key);
	return 0;
}
