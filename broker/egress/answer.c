#include "broker/egress/answer.h"

#include "common/error.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct {
	unsigned status;
	const char *phrase, *japanese, *english;
} answers[GR_ANSWERS] = {
	[GR_ANSWER_BAD_REQUEST] = { 400, "Bad Request", "ブラウザからの要求が正しくありません。",
				    "The browser's request was malformed." },
	[GR_ANSWER_REFUSED] = { 403, "Forbidden",
				"この接続先は許可されていません。必要な場合は管理者に連絡してください。",
				"This destination is not permitted. Ask the administrator if you need it." },
	[GR_ANSWER_TOO_MANY] = { 429, "Too Many Requests",
				 "このブラウザからの要求が多すぎるため、一時的に制限しています。しばらくしてから再度お"
				 "試しくださ"
				 "い。",
				 "This browser sends too many requests and is held back for a while. Try again in a "
				 "moment." },
	[GR_ANSWER_NOT_FOUND] = { 502, "Bad Gateway", "サイトの名前が見つかりません。アドレスを確認してください。",
				  "No site has this name. Check the address." },
	[GR_ANSWER_UNREACHABLE] = { 502, "Bad Gateway", "サイトに接続できません。時間をおいて再度お試しください。",
				    "The site cannot be reached. Try again later." },
	[GR_ANSWER_BAD_RESPONSE] = { 502, "Bad Gateway", "サイトからの応答が正しくありません。",
				     "The site's answer was malformed." },
	[GR_ANSWER_UPSTREAM_LOGIN] = { 502, "Bad Gateway",
				       "上位プロキシの認証に失敗しました。管理者に連絡してください。",
				       "The upstream proxy does not accept the broker's credentials. Tell the "
				       "administrator." },
	[GR_ANSWER_NOT_ASSIGNED] = { 503, "Service Unavailable", "このブラウザはまだ利用者に割り当てられていません。",
				     "This browser is not assigned to a person yet." },
	[GR_ANSWER_NO_AUDIT] = { 503, "Service Unavailable",
				 "監査記録に書き込めないため、インターネットへの接続を停止しています。管理者に連絡して"
				 "ください。",
				 "The audit record cannot be written, so connections to the internet are stopped. Tell "
				 "the administrator." },
	[GR_ANSWER_BUSY] = { 503, "Service Unavailable", "接続が多すぎます。時間をおいて再度お試しください。",
			     "There are too many connections. Try again later." },
	[GR_ANSWER_TIMEOUT] = { 504, "Gateway Timeout",
				"サイトからの応答がありません。時間をおいて再度お試しください。",
				"The site does not answer. Try again later." },
};

unsigned gr_answer_status(enum gr_answer answer)
{
	assert(answer < GR_ANSWERS);
	return answers[answer].status;
}

int gr_answer_write(enum gr_answer answer, int head_only, struct gr_buffer *out)
{
	char page[1024];
	assert(answer < GR_ANSWERS);
	int n = snprintf(
		page, sizeof(page),
		"<!DOCTYPE html>\n<html lang=\"ja\"><head><meta charset=\"utf-8\"><title>%u</title>"
		"<style>body{font:16px/1.7 sans-serif;max-width:36em;margin:4em auto;padding:0 1em}</style></head>\n"
		"<body><h1>接続できません</h1><p>%s</p><p lang=\"en\">%s</p><p><small>Garasu "
		"(%u)</small></p></body></html>\n",
		answers[answer].status, answers[answer].japanese, answers[answer].english, answers[answer].status);
	assert(n > 0 && (size_t)n < sizeof(page));
	int status =
		gr_buffer_print(out,
				"HTTP/1.1 %u %s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n"
				"Cache-Control: no-store\r\n%sConnection: close\r\n\r\n",
				answers[answer].status, answers[answer].phrase, n,
				answer == GR_ANSWER_TOO_MANY ? "Retry-After: 10\r\n" : "");
	return status == 0 && !head_only ? gr_buffer_append(out, page, (size_t)n) : status;
}
