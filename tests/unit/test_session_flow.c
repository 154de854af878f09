/*
 * Flow control over a simulated link: what is sent and when, for a viewer on a LAN, one with 1 Mbit/s, one that is 200 ms away,
 * one that stalls, one without fences. GARASU_FLOW_TIMELINE=1 in the environment prints it.
 */
#include "broker/encode/encode.h"
#include "broker/session/flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000u
#define SECOND 1000000u
#define STEP 100u /* microseconds of a step */
#define PACKETS 4096
#define MBIT (1000000u / 8)

/* A picture, or a slice of one, on its way. */
struct packet {
	size_t size;
	uint64_t sent_us; /* when it was encoded */
	uint64_t shows_us; /* the time of the page that it shows */
	uint32_t sequence;
	uint64_t arrives_us; /* at the viewer; 0: still before the link */
};

struct sim {
	/* the link */
	uint64_t bandwidth; /* bytes per second; 0: stalled */
	uint64_t delay_us; /* one way */
	size_t buffer; /* what sockets hold before the link; more stays with us, unsent */
	uint64_t jitter_us; /* of the viewer's answer */
	int fences, asks; /* the viewer answers fences; or asks for each picture */
	/* the page: another picture every frame_us, of so many bytes, sent in slices */
	uint64_t frame_us;
	size_t frame, slice;

	uint64_t now;
	uint64_t began; /* of the figures */
	struct gr_flow flow;
	struct packet packets[PACKETS];
	size_t head, link, tail; /* head..link: beyond the link; link..tail: before it */
	size_t link_left; /* bytes of packets[link] that the link has not taken */
	size_t waiting; /* bytes from link to tail */
	uint64_t credit; /* of the link, bytes * SECOND */
	uint64_t shown_us; /* page time of the newest picture that the viewer has */
	uint64_t taken_us; /* page time of the newest that was encoded */
	size_t left; /* of the picture that is being sent in slices */
	uint64_t last_answer_us;
	int owes; /* the viewer has asked */
	uint32_t random;
	/* figures */
	uint64_t delivered, pictures, sends;
	uint64_t worst_us, sum_us; /* from encoding to arrival beyond the delay of the empty link */
	int timeline;
};

static void sim_init(struct sim *s)
{
	memset(s, 0, sizeof(*s));
	s->buffer = 4u << 20;
	s->frame_us = 16667;
	s->slice = 32768;
	s->asks = 1;
	s->owes = 1;
	s->random = 1;
	s->now = SECOND;
	s->timeline = getenv("GARASU_FLOW_TIMELINE") != NULL;
	gr_flow_init(&s->flow);
}

static void figures_begin(struct sim *s)
{
	s->began = s->now;
	s->delivered = s->pictures = s->sends = s->worst_us = s->sum_us = 0;
}

static void line(const struct sim *s, const char *what, const struct packet *p)
{
	if (s->timeline)
		printf("%9.1f ms  %-8s #%-5u %6zu bytes of page at %9.1f ms; bandwidth %8.0f kB/s, round trip %6.1f "
		       "ms, window %8llu\n",
		       (double)s->now / MS, what, (unsigned)p->sequence, p->size, (double)p->shows_us / MS,
		       (double)gr_flow_bandwidth(&s->flow) / 1e3, (double)gr_flow_round_trip(&s->flow) / MS,
		       (unsigned long long)gr_flow_window(&s->flow));
}

static uint64_t jitter(struct sim *s)
{
	s->random = s->random * 1664525u + 1013904223u;
	return s->jitter_us ? (s->random >> 8) % s->jitter_us : 0;
}

/* What our own output still holds: what does not fit into the sockets. */
static size_t unsent(const struct sim *s)
{
	return s->waiting > s->buffer ? s->waiting - s->buffer : 0;
}

static void put(struct sim *s, size_t size, uint64_t shows_us, int continued)
{
	struct packet *p = &s->packets[s->tail++ % PACKETS];
	assert_true(s->tail - s->head < PACKETS);
	*p = (struct packet){ size, s->now, shows_us, gr_flow_sent(&s->flow, s->now, size, continued), 0 };
	if (s->tail - s->link == 1)
		s->link_left = size;
	s->waiting += size;
	s->sends++;
	line(s, "sent", p);
}

static void run_link(struct sim *s)
{
	s->credit = s->waiting ? s->credit + s->bandwidth * STEP : 0;
	while (s->link < s->tail && s->credit >= SECOND) {
		size_t n = (size_t)(s->credit / SECOND);
		if (n > s->link_left)
			n = s->link_left;
		s->link_left -= n;
		s->waiting -= n;
		s->credit -= (uint64_t)n * SECOND;
		if (s->link_left)
			continue;
		struct packet *p = &s->packets[s->link++ % PACKETS];
		p->arrives_us = s->now + s->delay_us;
		s->link_left = s->link < s->tail ? s->packets[s->link % PACKETS].size : 0;
	}
}

/* The viewer has a picture; its answer is here a round trip later. */
static void run_viewer(struct sim *s)
{
	while (s->head < s->link) {
		struct packet *p = &s->packets[s->head % PACKETS];
		uint64_t answer = p->arrives_us + s->delay_us + jitter(s);
		if (answer < s->last_answer_us)
			answer = s->last_answer_us;
		if (s->now < answer)
			break;
		s->last_answer_us = answer;
		s->head++;
		if (p->shows_us > s->shown_us)
			s->shown_us = p->shows_us;
		uint64_t waited = p->arrives_us - p->sent_us - s->delay_us;
		if (p->sent_us >= s->began) {
			s->delivered += p->size;
			s->pictures++;
			s->sum_us += waited;
			if (waited > s->worst_us)
				s->worst_us = waited;
		}
		if (s->fences)
			gr_flow_answered(&s->flow, s->now, p->sequence);
		else
			gr_flow_requested(&s->flow, s->now);
		s->owes = 1;
		line(s, "answered", p);
	}
}

static void run_sender(struct sim *s)
{
	uint64_t page = s->now / s->frame_us * s->frame_us; /* the newest picture's time */
	while (gr_flow_may_send(&s->flow, s->now, unsent(s), s->left > 0) && (s->fences || s->owes || s->left)) {
		int continued = s->left > 0;
		if (!continued && page <= s->taken_us)
			return;
		if (!continued)
			s->left = s->frame;
		s->taken_us = page; /* slices after the first show the newest too */
		size_t n = s->left < s->slice ? s->left : s->slice;
		s->left -= n;
		s->owes = 0;
		put(s, n, page, continued);
	}
}

static void run(struct sim *s, uint64_t us)
{
	for (uint64_t end = s->now + us; s->now < end; s->now += STEP) {
		run_link(s);
		run_viewer(s);
		if (s->frame)
			run_sender(s);
	}
}

static void report(const struct sim *s, const char *name)
{
	double seconds = (double)(s->now - s->began) / SECOND;
	struct gr_flow_quality q = gr_flow_quality(&s->flow);
	printf("%-28s %7.2f Mbit/s, %5.1f sends/s, on the way %6.1f ms mean %6.1f ms worst; estimated %7.2f Mbit/s, "
	       "%5.1f ms; quality %u/%u\n",
	       name, (double)s->delivered * 8 / 1e6 / seconds, (double)s->sends / seconds,
	       s->pictures ? (double)s->sum_us / (double)s->pictures / MS : 0, (double)s->worst_us / MS,
	       (double)gr_flow_bandwidth(&s->flow) * 8 / 1e6, (double)gr_flow_round_trip(&s->flow) / MS, q.photo,
	       q.video);
}

static double share(const struct sim *s)
{
	return (double)s->delivered / ((double)s->bandwidth * (double)(s->now - s->began) / SECOND);
}

/* A fence behind SetEncodings is the first measurement. */
static void connect_viewer(struct sim *s)
{
	s->fences = 1;
	gr_flow_fences(&s->flow);
	put(s, 17, 0, 0);
}

static void a_lan_viewer_gets_every_picture_at_once(void **state)
{
	(void)state;
	struct sim s;
	sim_init(&s);
	s.bandwidth = 1000 * MBIT;
	s.delay_us = 200;
	s.jitter_us = 1000;
	s.frame = 60000;
	connect_viewer(&s);
	run(&s, SECOND / 2);
	figures_begin(&s);
	run(&s, 5 * SECOND);
	report(&s, "LAN, 60 kB pictures");
	assert_true(s.sends >= 2 * 295); /* 60 pictures of two slices a second */
	assert_true(s.worst_us < 2 * MS);
	struct gr_flow_quality q = gr_flow_quality(&s.flow);
	assert_int_equal(q.photo, GR_ENCODE_PHOTO_QUALITY);
	assert_int_equal(q.video, GR_ENCODE_VIDEO_QUALITY);
}

static void typing_does_not_lower_the_quality(void **state)
{
	(void)state;
	struct sim s;
	sim_init(&s);
	s.bandwidth = 100 * MBIT;
	s.delay_us = 1 * MS;
	s.jitter_us = 25 * MS;
	s.frame = 900;
	s.frame_us = 90 * MS;
	connect_viewer(&s);
	run(&s, 20 * SECOND);
	report(&s, "100 Mbit/s, typing, jitter");
	assert_true(gr_flow_quality(&s.flow).photo >= 75);
	assert_true(gr_flow_window(&s.flow) >= GR_FLOW_WINDOW_MIN);
}

static void a_1_mbit_viewer_gets_no_queue(void **state)
{
	(void)state;
	struct sim s;
	static const size_t frames[] = { 1500, 6000, 30000, 200000 };
	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		sim_init(&s);
		s.bandwidth = 1 * MBIT;
		s.delay_us = 10 * MS;
		s.jitter_us = 2 * MS;
		s.frame = frames[i];
		connect_viewer(&s);
		run(&s, 5 * SECOND);
		figures_begin(&s);
		run(&s, 20 * SECOND);
		report(&s, "1 Mbit/s");
		/* Beyond the time that a slice itself takes: what the window may queue, and one slice more. */
		uint64_t slice = frames[i] < s.slice ? frames[i] : s.slice;
		uint64_t own = slice * SECOND / s.bandwidth;
		assert_true(s.worst_us < own + own + GR_FLOW_WINDOW_MIN * 1ull * SECOND / s.bandwidth + 60 * MS);
		if (frames[i] >= 6000) { /* a link that is never full cannot be told from a faster one */
			assert_true(share(&s) > 0.85);
			assert_int_equal(gr_flow_quality(&s.flow).photo, 50);
			assert_int_equal(gr_flow_quality(&s.flow).video, 30);
		}
		/* The picture on the viewer's screen is never old. */
		assert_true(s.now - s.shown_us < 2 * own + 300 * MS);
	}
}

static void a_200_ms_viewer_gets_most_of_its_link(void **state)
{
	(void)state;
	struct sim s;
	static const size_t mbits[] = { 5, 10, 100 };
	for (size_t i = 0; i < sizeof(mbits) / sizeof(mbits[0]); i++) {
		sim_init(&s);
		s.bandwidth = mbits[i] * MBIT;
		s.delay_us = 100 * MS;
		s.jitter_us = 4 * MS;
		s.frame = 40000 * mbits[i];
		connect_viewer(&s);
		run(&s, 4 * SECOND);
		figures_begin(&s);
		run(&s, 20 * SECOND);
		report(&s, "200 ms");
		assert_true(share(&s) > 0.7);
		assert_true(s.worst_us < 160 * MS);
	}
}

static void nothing_is_sent_to_a_stalled_viewer_and_the_newest_goes_afterwards(void **state)
{
	(void)state;
	struct sim s;
	sim_init(&s);
	s.bandwidth = 20 * MBIT;
	s.delay_us = 5 * MS;
	s.frame = 20000;
	connect_viewer(&s);
	run(&s, 3 * SECOND);
	uint64_t window = gr_flow_window(&s.flow);
	s.bandwidth = 0;
	run(&s, 200 * MS); /* what the window still takes */
	assert_true(s.waiting <= window + s.slice);
	figures_begin(&s);
	run(&s, 10 * SECOND);
	assert_int_equal(s.sends, 0);
	assert_int_equal(gr_flow_wait(&s.flow, s.now, 0, 0), -1); /* no timer runs */
	assert_true(gr_flow_unanswered_since(&s.flow) > 0);
	s.bandwidth = 20 * MBIT;
	uint64_t again = s.now;
	while (!s.sends)
		run(&s, STEP);
	/* As soon as the window opens, and of the page as it is now. */
	assert_true(s.now - again < 2 * s.delay_us + window * SECOND / s.bandwidth + 5 * MS);
	assert_true(s.now - s.packets[(s.tail - 1) % PACKETS].shows_us < s.frame_us + MS);
	run(&s, SECOND);
	figures_begin(&s);
	run(&s, 5 * SECOND);
	report(&s, "20 Mbit/s, after a stall");
	assert_true(s.sends > 5 * 55);
}

static void the_link_becomes_slower_and_faster(void **state)
{
	(void)state;
	struct sim s;
	sim_init(&s);
	s.bandwidth = 20 * MBIT;
	s.delay_us = 10 * MS;
	s.frame = 40000;
	connect_viewer(&s);
	run(&s, 5 * SECOND);
	s.bandwidth = 1 * MBIT;
	run(&s, 5 * SECOND);
	figures_begin(&s);
	run(&s, 10 * SECOND);
	report(&s, "20, then 1 Mbit/s");
	assert_int_equal(gr_flow_quality(&s.flow).photo, 50);
	assert_true(s.worst_us < 800 * MS);
	s.bandwidth = 20 * MBIT;
	run(&s, 5 * SECOND);
	figures_begin(&s);
	run(&s, 5 * SECOND);
	report(&s, "and 20 Mbit/s again");
	assert_true(share(&s) > 0.7);
	assert_true(gr_flow_quality(&s.flow).photo >= 75);
}

static void without_fences_a_request_answers(void **state)
{
	(void)state;
	struct sim s;
	sim_init(&s);
	s.bandwidth = 1 * MBIT;
	s.delay_us = 10 * MS;
	s.frame = 30000;
	run(&s, 5 * SECOND);
	figures_begin(&s);
	run(&s, 20 * SECOND);
	report(&s, "1 Mbit/s, no fences");
	assert_true(share(&s) > 0.8);
	assert_true(s.worst_us < 300 * MS);
	assert_int_equal(gr_flow_quality(&s.flow).photo, 50);
	/* What our own output holds is never added to. */
	sim_init(&s);
	s.bandwidth = 0;
	s.buffer = 1000;
	s.frame = 5000;
	run(&s, 5 * SECOND);
	assert_int_equal(s.sends, 1);
	assert_int_equal(gr_flow_wait(&s.flow, s.now, unsent(&s), 0), -1);
}

static void pictures_are_paced_and_quiet_ends_at_once(void **state)
{
	(void)state;
	struct gr_flow f;
	gr_flow_init(&f);
	uint64_t t = 77 * SECOND;
	assert_true(gr_flow_may_send(&f, t, 0, 0));
	assert_false(gr_flow_may_send(&f, t, 1, 0));
	gr_flow_sent(&f, t, 100, 0);
	assert_false(gr_flow_may_send(&f, t, 0, 0));
	assert_true(gr_flow_may_send(&f, t, 0, 1)); /* the next slice does not wait */
	gr_flow_sent(&f, t + 1000, 100, 1);
	assert_int_equal(gr_flow_wait(&f, t + 1000, 0, 0), GR_FLOW_COALESCE_US - 1000);
	assert_true(gr_flow_may_send(&f, t + GR_FLOW_COALESCE_US, 0, 0));
	assert_int_equal(gr_flow_unanswered_since(&f), 0);
}

static void answers_that_nobody_waits_for_change_nothing(void **state)
{
	(void)state;
	struct gr_flow f, before;
	gr_flow_init(&f);
	gr_flow_answered(&f, 5, 1);
	gr_flow_fences(&f);
	gr_flow_answered(&f, 5, 0);
	uint32_t first = gr_flow_sent(&f, 10, 100, 0);
	uint32_t second = gr_flow_sent(&f, 20, 100, 1);
	before = f;
	gr_flow_answered(&f, 30, first - 1);
	gr_flow_answered(&f, 30, second + 1);
	gr_flow_answered(&f, 30, 0xffffffff);
	gr_flow_requested(&f, 30);
	assert_memory_equal(&before, &f, sizeof(f));
	gr_flow_answered(&f, 30, second); /* answers the first too */
	assert_int_equal(gr_flow_unanswered_since(&f), 0);
	gr_flow_answered(&f, 30, first);
	/* Never more outstanding than can be remembered. */
	for (unsigned i = 0; i < GR_FLOW_OUTSTANDING_MAX; i++) {
		assert_true(gr_flow_may_send(&f, 40, 0, 1));
		gr_flow_sent(&f, 40, 1, 1);
	}
	assert_false(gr_flow_may_send(&f, 40, 0, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lan_viewer_gets_every_picture_at_once),
		cmocka_unit_test(typing_does_not_lower_the_quality),
		cmocka_unit_test(a_1_mbit_viewer_gets_no_queue),
		cmocka_unit_test(a_200_ms_viewer_gets_most_of_its_link),
		cmocka_unit_test(nothing_is_sent_to_a_stalled_viewer_and_the_newest_goes_afterwards),
		cmocka_unit_test(the_link_becomes_slower_and_faster),
		cmocka_unit_test(without_fences_a_request_answers),
		cmocka_unit_test(pictures_are_paced_and_quiet_ends_at_once),
		cmocka_unit_test(answers_that_nobody_waits_for_change_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
