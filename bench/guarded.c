#include "bench/guarded.h"
#include "broker/guard/guard.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define PIECE 65536u /* bytes read at once */

static uint64_t cpu_ns(void)
{
	struct timespec time;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int send(struct gr_guard *guard, const uint8_t *bytes, size_t n)
{
	while (n) {
		size_t room, passed;
		uint8_t *to = gr_guard_down_room(guard, &room);
		if (!to)
			return GR_ENOMEM;
		size_t piece = n < PIECE ? n : PIECE;
		if (piece > room)
			piece = room;
		memcpy(to, bytes, piece);
		bytes += piece;
		n -= piece;
		int code = gr_guard_down_took(guard, piece);
		if (code)
			return code;
		gr_guard_down_passed(guard, &passed);
		gr_guard_down_sent(guard, passed);
	}
	return 0;
}

static int run(const struct gr_kept *kept, const struct gr_guard_settings *settings, uint64_t *cpu_ns_out,
	       struct gr_error *err)
{
	/* ServerInit */
	const uint8_t size[4] = { (uint8_t)(settings->max_width >> 8), (uint8_t)settings->max_width,
				  (uint8_t)(settings->max_height >> 8), (uint8_t)settings->max_height };
	static const uint8_t format[] = { 32, 24, 0, 1, 0, 255, 0, 255, 0,   255, 16,  8,   0,
					  0,  0,  0, 0, 0, 0,   6, 'G', 'a', 'r', 'a', 's', 'u' };
	uint64_t began = cpu_ns();
	struct gr_guard *guard = gr_guard_create(settings);
	if (!guard)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	gr_guard_assume_viewer(guard, true);
	int code = send(guard, size, sizeof(size));
	if (!code)
		code = send(guard, format, sizeof(format));
	if (!code)
		code = send(guard, kept->bytes, kept->size);
	if (!code && gr_guard_down_held(guard))
		code = GR_EPROTO;
	*cpu_ns_out = cpu_ns() - began;
	const struct gr_guard_violation *violation = gr_guard_violation(guard);
	if (violation)
		code = gr_error_set(err, GR_EPROTO, "the guard refuses it at offset %" PRIu64 ": %s", violation->offset,
				    violation->rule);
	else if (code)
		code = gr_error_set(err, code, "the guard: %s", gr_status_text(code));
	gr_guard_destroy(guard);
	return code;
}

int gr_guarded(const struct gr_kept *kept, uint16_t w, uint16_t h, unsigned history_log2, unsigned repeat,
	       uint64_t *cpu_ns_out, struct gr_error *err)
{
	const struct gr_guard_settings settings = {
		.max_width = w, .max_height = h, .history_log2 = history_log2, .strict = true
	};
	uint64_t best = UINT64_MAX;
	int code = 0;
	for (unsigned i = 0; i < repeat && !code; i++) {
		uint64_t now = 0;
		code = run(kept, &settings, &now, err);
		if (now < best)
			best = now;
	}
	if (!code)
		*cpu_ns_out = best;
	return code;
}
