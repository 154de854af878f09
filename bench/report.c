#include "bench/report.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static double mebibytes(size_t bytes)
{
	return (double)bytes / (1 << 20);
}

static double megapixels(uint64_t pixels)
{
	return (double)pixels / 1e6;
}

/* "1/52.1" or "x 1.07" */
static const char *ratio(char text[16], double ours, double peers)
{
	if (ours <= 0 || peers <= 0)
		return "-";
	if (ours <= peers)
		snprintf(text, 16, "1/%.2f", peers / ours);
	else
		snprintf(text, 16, "x %.2f", ours / peers);
	return text;
}

static void costs_line(const struct gr_bench_result *result, FILE *to)
{
	const struct gr_bench_side *out = &result->out, *peer = &result->peer;
	char text[16];
	fprintf(to, "%-18.18s %6zu %8.1f %8.1f %12" PRIu64, result->name, result->frames, megapixels(result->damaged),
		megapixels(result->changed), out->bytes);
	if (result->has_peer)
		fprintf(to, " %12" PRIu64 " %8s", peer->bytes, ratio(text, (double)out->bytes, (double)peer->bytes));
	fprintf(to, " %8.3f", seconds(out->cpu_ns));
	if (result->has_peer)
		fprintf(to, " %8.3f %6.3f", seconds(peer->cpu_ns),
			peer->cpu_ns ? (double)out->cpu_ns / (double)peer->cpu_ns : 0);
	fprintf(to, " %8.3f %6.3f\n", seconds(result->guard_ns),
		out->cpu_ns ? (double)result->guard_ns / (double)out->cpu_ns : 0);
}

static void costs_table(const struct gr_report *report, FILE *to)
{
	fprintf(to, "%-18s %6s %8s %8s %12s", "trace", "frames", "damaged", "changed", "bytes");
	if (report->options->with_peer)
		fprintf(to, " %12s %8s", "peer", "ratio");
	fprintf(to, " %8s", "CPU s");
	if (report->options->with_peer)
		fprintf(to, " %8s %6s", "peer", "ratio");
	fprintf(to, " %8s %6s\n", "guard", "ratio");
	for (size_t i = 0; i < report->count; i++)
		if (!report->results[i].failure[0])
			costs_line(&report->results[i], to);
	costs_line(report->total, to);
}

static void side_times(const struct gr_bench_side *side, FILE *to)
{
	fprintf(to, " %7.2f %7.2f %7.2f | %7.2f %7.2f", gr_samples_ms(&side->frames, 0.5),
		gr_samples_ms(&side->frames, 0.99), gr_samples_ms(&side->frames, 1), gr_samples_ms(&side->slices, 0.99),
		gr_samples_ms(&side->slices, 1));
}

static void times_line(const struct gr_bench_result *result, FILE *to)
{
	fprintf(to, "%-18.18s", result->name);
	side_times(&result->out, to);
	if (result->has_peer) {
		fputs(" |", to);
		side_times(&result->peer, to);
	}
	fprintf(to, " | %6.1f", mebibytes(result->out.anonymous));
	if (result->has_peer)
		fprintf(to, " %6.1f", mebibytes(result->peer.anonymous));
	fputc('\n', to);
}

static void times_table(const struct gr_report *report, FILE *to)
{
	const char *columns = "     p50     p99     max |  sl.p99  sl.max";
	fprintf(to, "%-18s%s", "ms a frame, slice", columns);
	if (report->options->with_peer)
		fprintf(to, " |%s", columns);
	fprintf(to, " | %6s", "MiB");
	if (report->options->with_peer)
		fprintf(to, " %6s", "peer");
	fputc('\n', to);
	for (size_t i = 0; i < report->count; i++)
		if (!report->results[i].failure[0])
			times_line(&report->results[i], to);
	times_line(report->total, to);
}

static void side_quality(const struct gr_lossy_frames *lossy, FILE *to)
{
	if (lossy->count == 0)
		fprintf(to, " %6d %6s %6s %7s %7s", 0, "-", "-", "-", "-");
	else
		fprintf(to, " %6zu %6.2f %6.2f %7.4f %7.4f", lossy->count, lossy->psnr_min,
			lossy->psnr_sum / (double)lossy->count, lossy->ssim_min,
			lossy->ssim_sum / (double)lossy->count);
}

static const char *exactness(int exact)
{
	return exact < 0 ? "-" : exact ? "exact" : "NOT exact";
}

static void quality_line(const struct gr_bench_result *result, FILE *to)
{
	fprintf(to, "%-18.18s", result->name);
	side_quality(&result->out.lossy, to);
	if (result->has_peer) {
		fputs(" |", to);
		side_quality(&result->peer.lossy, to);
		if (result->out.lossy.count)
			fprintf(to, " | %7.4f %5u", result->ssim_deficit, result->ssim_deficit_frame);
		else
			fprintf(to, " | %7s %5s", "-", "-");
	}
	fprintf(to, "  %s\n", exactness(result->out.exact_final));
}

static void quality_table(const struct gr_report *report, FILE *to)
{
	const char *columns = "  lossy PSNR/<   mean  SSIM/<    mean";
	fprintf(to, "%-18s%s", "quality", columns);
	if (report->options->with_peer)
		fprintf(to, " |%s | deficit frame", columns);
	fputs("  last\n", to);
	for (size_t i = 0; i < report->count; i++)
		if (!report->results[i].failure[0])
			quality_line(&report->results[i], to);
	quality_line(report->total, to);
}

void gr_report_table(const struct gr_report *report, FILE *to)
{
	const struct gr_replay_options *options = report->options;
	if (options->codec.garasu)
		fprintf(to, "out: garasu, history %u MiB", (1u << options->codec.history_log2) >> 20);
	else
		fputs("out: tight", to);
	fprintf(to, ", photo quality %u, video quality %u, refined after %u ms\n", options->codec.photo_quality,
		options->codec.video_quality, options->codec.refine_after_ms);
	if (options->with_peer)
		fprintf(to, "peer: libvncserver, Tight, quality 8, compression 2, one thread, given %s\n",
			options->peer_raw ? "the damage as reported" : "the rectangles that truly changed");
	if (options->repeat > 1)
		fprintf(to, "times: of the best of %u runs\n", options->repeat);
	fputc('\n', to);
	costs_table(report, to);
	fputc('\n', to);
	times_table(report, to);
	if (options->verify) {
		fputc('\n', to);
		quality_table(report, to);
	}
	for (size_t i = 0; i < report->count; i++)
		if (report->results[i].failure[0])
			fprintf(to, "\n%s FAILED: %s\n", report->results[i].name, report->results[i].failure);
}

/* A number that JSON can hold, or null. */
static json_t *number(int known, double value)
{
	return known && isfinite(value) ? json_real(value) : json_null();
}

static json_t *lossy_json(const struct gr_lossy_frames *lossy)
{
	int any = lossy->count > 0;
	double count = any ? (double)lossy->count : 1;
	return json_pack("{s:I, s:o, s:o, s:o, s:o}", "lossy_frames", (json_int_t)lossy->count, "psnr_min",
			 number(any, lossy->psnr_min), "psnr_mean", number(any, lossy->psnr_sum / count), "ssim_min",
			 number(any, lossy->ssim_min), "ssim_mean", number(any, lossy->ssim_sum / count));
}

static json_t *side_json(const struct gr_bench_side *side)
{
	json_t *json = json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:f}", "bytes", (json_int_t)side->bytes,
				 "cpu_s", seconds(side->cpu_ns), "p50_ms", gr_samples_ms(&side->frames, 0.5), "p99_ms",
				 gr_samples_ms(&side->frames, 0.99), "max_ms", gr_samples_ms(&side->frames, 1),
				 "slice_p99_ms", gr_samples_ms(&side->slices, 0.99), "slice_max_ms",
				 gr_samples_ms(&side->slices, 1), "exact_final",
				 side->exact_final < 0 ? json_null() : json_boolean(side->exact_final), "rss_mib",
				 mebibytes(side->anonymous));
	json_t *lossy = lossy_json(&side->lossy);
	json_object_update(json, lossy);
	json_decref(lossy);
	return json;
}

static json_t *result_json(const struct gr_bench_result *result)
{
	if (result->failure[0])
		return json_pack("{s:s, s:s}", "name", result->name, "error", result->failure);
	json_t *json = json_pack("{s:s, s:I, s:f, s:f, s:f, s:o}", "name", result->name, "frames",
				 (json_int_t)result->frames, "damaged_mpx", megapixels(result->damaged), "changed_mpx",
				 megapixels(result->changed), "guard_cpu_s", seconds(result->guard_ns), "out",
				 side_json(&result->out));
	if (result->has_peer) {
		int any = result->out.lossy.count > 0;
		json_object_set_new(json, "peer", side_json(&result->peer));
		json_object_set_new(json, "peer_on_the_same_frames", lossy_json(&result->peer_beside));
		json_object_set_new(json, "ssim_deficit_max", number(any, result->ssim_deficit));
	}
	return json;
}

int gr_report_json(const struct gr_report *report, const char *path, struct gr_error *err)
{
	const struct gr_replay_options *options = report->options;
	json_t *traces = json_array();
	for (size_t i = 0; i < report->count; i++)
		json_array_append_new(traces, result_json(&report->results[i]));
	json_t *settings = json_pack(
		"{s:s, s:i, s:i, s:i, s:i, s:s, s:s, s:i}", "out", options->codec.garasu ? "garasu" : "tight",
		"history_log2", (int)options->codec.history_log2, "photo_quality", (int)options->codec.photo_quality,
		"video_quality", (int)options->codec.video_quality, "refine_after_ms",
		(int)options->codec.refine_after_ms, "peer", options->with_peer ? "libvncserver" : "none",
		"peer_damage", options->peer_raw ? "raw" : "true", "repeat", (int)options->repeat);
	json_t *root = json_pack("{s:o, s:o, s:o}", "settings", settings, "traces", traces, "total",
				 result_json(report->total));
	if (!root)
		return gr_error_set(err, GR_ENOMEM, "out of memory");
	int failed = json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
	json_decref(root);
	return failed ? gr_error_errno(err, "%s: cannot be written", path) : 0;
}
