#include "bench/source.h"

#include <stdlib.h>
#include <string.h>

int gr_source_init(struct gr_source *source, const char *path, struct gr_error *err)
{
	*source = (struct gr_source){ .trace = NULL };
	int code = gr_trace_open_file(path, &source->trace, err);
	if (code)
		return code;
	gr_trace_info(source->trace, &source->info);
	code = gr_worker_screen_init(&source->screen, source->info.width, source->info.height, err);
	if (code)
		return code;
	source->truth = calloc((size_t)source->info.width * source->info.height, sizeof(*source->truth));
	source->damage = calloc(GR_WORKER_RECTS_MAX, sizeof(*source->damage));
	return source->truth && source->damage ? 0 : gr_error_set(err, GR_ENOMEM, "out of memory");
}

void gr_source_finish(struct gr_source *source)
{
	gr_worker_screen_finish(&source->screen);
	free(source->truth);
	free(source->damage);
	gr_trace_close(source->trace);
	*source = (struct gr_source){ .trace = NULL };
}

int gr_source_read(struct gr_source *source, struct gr_error *err)
{
	return gr_trace_next(source->trace, source->screen.pixels, &source->frame, err);
}

static int differs(const struct gr_source *source, struct gr_rect rect)
{
	size_t w = source->info.width;
	for (size_t y = rect.y; y < (size_t)rect.y + rect.h; y++)
		if (memcmp(source->truth + y * w + rect.x, source->screen.pixels + y * w + rect.x,
			   (size_t)rect.w * 4) != 0)
			return 1;
	return 0;
}

/*
 * A trace's pixels are fetched after its damage: something that changed in between is in the pixels already, its damage
 * only in the next record. A session fetches damaged pixels and no others, so here such a change counts as damaged.
 * Looks at what of rect is left beside damage number `from` and later.
 */
static int add_undamaged(struct gr_source *source, const struct gr_trace_frame *frame, struct gr_rect rect, size_t from)
{
	for (size_t i = from; i < frame->damage_count; i++) {
		struct gr_rect d = frame->damage[i];
		uint16_t right = (uint16_t)(rect.x + rect.w), bottom = (uint16_t)(rect.y + rect.h);
		uint16_t d_right = (uint16_t)(d.x + d.w), d_bottom = (uint16_t)(d.y + d.h);
		if (d.x >= right || d_right <= rect.x || d.y >= bottom || d_bottom <= rect.y)
			continue;
		uint16_t top = d.y > rect.y ? d.y : rect.y, low = d_bottom < bottom ? d_bottom : bottom;
		int code = 0;
		if (rect.y < top)
			code = add_undamaged(source, frame,
					     (struct gr_rect){ rect.x, rect.y, rect.w, (uint16_t)(top - rect.y) },
					     i + 1);
		if (!code && low < bottom)
			code = add_undamaged(source, frame,
					     (struct gr_rect){ rect.x, low, rect.w, (uint16_t)(bottom - low) }, i + 1);
		if (!code && rect.x < d.x)
			code = add_undamaged(
				source, frame,
				(struct gr_rect){ rect.x, top, (uint16_t)(d.x - rect.x), (uint16_t)(low - top) },
				i + 1);
		if (!code && d_right < right)
			code = add_undamaged(
				source, frame,
				(struct gr_rect){ d_right, top, (uint16_t)(right - d_right), (uint16_t)(low - top) },
				i + 1);
		return code;
	}
	if (!differs(source, rect))
		return 0;
	if (source->damage_count == GR_WORKER_RECTS_MAX)
		return GR_EFULL;
	source->damage[source->damage_count++] = rect;
	return 0;
}

int gr_source_accept(struct gr_source *source, struct gr_error *err)
{
	const struct gr_trace_frame *frame = &source->frame;
	size_t w = source->info.width;
	memcpy(source->damage, frame->damage, frame->damage_count * sizeof(*frame->damage));
	source->damage_count = frame->damage_count;
	for (size_t i = 0; i < frame->changed_count; i++) {
		struct gr_rect rect = frame->changed[i];
		int code = frame->sequence ? add_undamaged(source, frame, rect, 0) : 0;
		if (code)
			return gr_error_set(err, code, "frame %u: too many rectangles", frame->sequence);
		for (size_t y = rect.y; y < (size_t)rect.y + rect.h; y++)
			memcpy(source->truth + y * w + rect.x, source->screen.pixels + y * w + rect.x,
			       (size_t)rect.w * 4);
		source->changed += (uint64_t)rect.w * rect.h;
	}
	if (frame->sequence == 0) { /* nobody has seen any of it */
		source->damage[0] = frame->changed[0];
		source->damage_count = 1;
	}
	for (size_t i = 0; i < source->damage_count; i++)
		source->damaged += (uint64_t)source->damage[i].w * source->damage[i].h;
	source->frames += source->damage_count > 0;
	return 0;
}
