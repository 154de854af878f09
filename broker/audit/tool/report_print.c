#include "broker/audit/tool/report.h"

#include <inttypes.h>
#include <string.h>

/* ---- CSV: RFC 4180, with a mark of UTF-8 in front, without which Excel shows no Japanese ---- */

/* A name that a spreadsheet would take for a formula gets an apostrophe in front. */
static void csv_text(FILE *out, const char *text)
{
	fputc('"', out);
	if (text[0] && strchr("=+-@\t\r", text[0]))
		fputc('\'', out);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void csv_row(FILE *out, const char *name, const struct gr_report_group *group)
{
	csv_text(out, name);
	fprintf(out, ",%" PRIu64 ",%.1f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\r\n",
		group->persons, (double)group->seconds / 3600, group->attachments, group->hosts, group->requests,
		group->refused, group->failed);
}

void gr_report_csv(FILE *out, const struct gr_report *report)
{
	fputs("\xef\xbb\xbf課,利用者数,利用時間（時間）,接続回数,接続先ホスト数,要求数,拒否数,ログイン失敗数\r\n", out);
	for (size_t i = 0; i < report->count; i++)
		csv_row(out, report->groups[i].name, &report->groups[i]);
	csv_row(out, "合計", &report->total);
}

/* ---- HTML: one file, for the screen and for paper ---- */

static void html_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<': fputs("&lt;", out); break;
		case '>': fputs("&gt;", out); break;
		case '&': fputs("&amp;", out); break;
		case '"': fputs("&quot;", out); break;
		default: fputc(*text, out);
		}
	}
}

/* 12,345 */
static void html_number(FILE *out, uint64_t value)
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, value);
	for (int i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			fputc(',', out);
		fputc(digits[i], out);
	}
}

/* What somebody should look at: twice of what there is of it for each person elsewhere. */
static int stands_out(uint64_t value, const struct gr_report_group *group, uint64_t all,
		      const struct gr_report_group *total)
{
	return group != total && value >= 10 && value * total->persons >= 2 * all * group->persons;
}

static void html_row(FILE *out, const char *name, const struct gr_report_group *group,
		     const struct gr_report_group *total)
{
	const int look[] = { 0, 0, 0, stands_out(group->refused, group, total->refused, total),
			     stands_out(group->failed, group, total->failed, total) };
	const uint64_t values[] = { group->attachments, group->hosts, group->requests, group->refused, group->failed };
	fputs("<tr><th scope=\"row\">", out);
	html_text(out, name);
	fputs("</th><td>", out);
	html_number(out, group->persons);
	fputs("</td><td>", out);
	html_number(out, group->seconds / 3600);
	fprintf(out, ".%u</td>", (unsigned)(group->seconds % 3600 / 360));
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		fputs(look[i] ? "<td class=\"look\">" : "<td>", out);
		html_number(out, values[i]);
		fputs("</td>", out);
	}
	fputs("</tr>\n", out);
}

static const char style[] =
	"body{font-family:\"Noto Sans JP\",\"Noto Sans CJK JP\",\"Hiragino Sans\",\"Yu Gothic\",Meiryo,sans-serif;"
	"color:#1c2733;max-width:62rem;margin:2.5rem auto;padding:0 1.5rem;line-height:1.6}"
	"h1{font-size:1.5rem;margin:0 0 .25rem}p{margin:.25rem 0}.when{color:#5a6b7b}"
	"table{border-collapse:collapse;width:100%;margin:1.5rem 0;font-variant-numeric:tabular-nums}"
	"th,td{padding:.45rem .7rem;border-bottom:1px solid #d5dde5;text-align:right;white-space:nowrap}"
	"thead th{border-bottom:2px solid #1c2733;font-weight:600;vertical-align:bottom}"
	"tbody th,tfoot th,thead th:first-child{text-align:left;font-weight:500}"
	"tfoot th,tfoot td{border-top:2px solid #1c2733;border-bottom:0;font-weight:700}"
	".look{color:#a3271f;font-weight:600}.notes{font-size:.85rem;color:#5a6b7b}.notes li{margin:.15rem 0}"
	"@media print{body{margin:0;max-width:none;font-size:10pt}.look{color:#000}}";

static void html_notes(FILE *out, const struct gr_report *report)
{
	fputs("<ul class=\"notes\">\n"
	      "<li>利用者数は、この月に画面を開いた人の数です。利用時間は、画面を開いていた時間の合計です。</li>\n"
	      "<li>接続先ホスト数は重複を除いた数です。複数の課が接続したホストは、合計では一つと数えます。</li>\n"
	      "<li>拒否数は、許可されていない接続先などへの要求をゲートウェイが止めた回数です。</li>\n"
	      "<li>赤字は、利用者一人当たりで全体の平均の2倍以上になった課です（10件以上のとき）。</li>\n"
	      "<li>月の途中で課を異動した人は、その月の最後の課に含めます。</li>\n"
	      "<li>「（不明）」は、課が記録されていない人と、本人を特定できなかったログイン失敗です。</li>\n",
	      out);
	if (report->first)
		fprintf(out,
			"<li>元の記録: %" PRIu64 "～%" PRIu64
			"番。改ざんの有無は garasu-audit verify で確かめられます。</li>\n",
			report->first, report->last);
	fputs("</ul>\n", out);
}

void gr_report_html(FILE *out, const struct gr_report *report)
{
	char from[32], to[32], made[32];
	static const char *const heads[] = { "課",       "利用者数",           "利用時間<br>（時間）",
					     "接続回数", "接続先<br>ホスト数", "要求数",
					     "拒否数",   "ログイン<br>失敗数" };
	gr_tool_time_show(report->from, from);
	gr_tool_time_show(report->to - 1, to);
	gr_tool_time_show(report->made, made);
	fprintf(out,
		"<!DOCTYPE html>\n<html lang=\"ja\">\n<head>\n<meta charset=\"utf-8\">\n"
		"<meta name=\"viewport\" content=\"width=device-width\">\n"
		"<title>インターネット利用状況 %u年%u月</title>\n<style>%s</style>\n</head>\n<body>\n"
		"<h1>インターネット利用状況　%u年%u月</h1>\n"
		"<p class=\"when\">期間: %.10s～%.10s　作成: %.16s　時刻: %s</p>\n<table>\n<thead><tr>",
		report->year, report->month, style, report->year, report->month, from, to, made, gr_tool_time_zone());
	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++)
		fprintf(out, "<th scope=\"col\">%s</th>", heads[i]);
	fputs("</tr></thead>\n<tbody>\n", out);
	for (size_t i = 0; i < report->count; i++)
		html_row(out, report->groups[i].name, &report->groups[i], &report->total);
	fputs("</tbody>\n<tfoot>\n", out);
	html_row(out, "合計", &report->total, &report->total);
	fputs("</tfoot>\n</table>\n", out);
	html_notes(out, report);
	fputs("</body>\n</html>\n", out);
}
