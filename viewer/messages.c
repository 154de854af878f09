#include "viewer/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int japanese;

void gr_messages_init(void)
{
	const char *names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };
	for (int i = 0; i < 3; i++) {
		const char *value = getenv(names[i]);
		if (value && *value) {
			japanese = !strncmp(value, "ja", 2);
			return;
		}
	}
}

int gr_messages_japanese(void)
{
	return japanese;
}

const char *gr_text(const char *in_japanese, const char *in_english)
{
	return japanese ? in_japanese : in_english;
}

struct entry {
	int exit_code;
	const char *name;
	const char *what[2], *action[2]; /* English, Japanese */
};

#define ASK_ADMIN_EN "Ask the administrator of the system."
#define ASK_ADMIN_JA "システム管理者に連絡してください。"

static const struct entry failures[GR_FAIL_COUNT] = {
	[GR_FAIL_NONE] = { 0, "closed", { "The session was closed.", "画面転送を終了しました。" }, { "", "" } },
	[GR_FAIL_CERTIFICATE_FILE] = { 1,
				       "certificate-file",
				       { "Your certificate cannot be read.", "あなたの証明書ファイルを読めません。" },
				       { "Check the file given with --certificate (PEM).",
					 "--certificate で指定したファイル(PEM形式)を確認してください。" } },
	[GR_FAIL_KEY_FILE] = { 1,
			       "key-file",
			       { "Your private key cannot be read, does not belong to your certificate, or can be read "
				 "by others.",
				 "秘密鍵ファイルを読めないか、証明書と対になっていないか、ほかの利用者にも読める状態で"
				 "す。" },
			       { "Check the file given with --key (PEM, without a pass phrase, mode 0600).",
				 "--key で指定したファイル(PEM形式、パスフレーズなし、モード "
				 "0600)を確認してください。" } },
	[GR_FAIL_CA_FILE] = { 1,
			      "ca-file",
			      { "The trust anchor or its revocation list cannot be read.",
				"認証局の証明書ファイルまたは失効リストを読めません。" },
			      { "Check the files given with --ca and --crl (PEM).",
				"--ca と --crl で指定したファイル(PEM形式)を確認してください。" } },
	[GR_FAIL_FACTORS_FILE] = { 1,
				   "factors-file",
				   { "The password and the code cannot be read.",
				     "パスワードと確認コードのファイルを読めません。" },
				   { "Check the file given with --factors (two lines, UTF-8, mode 0600).",
				     "--factors で指定したファイル(2行、UTF-8、モード 0600)を確認してください。" } },
	[GR_FAIL_OUTPUT_FILE] = { 1,
				  "output-file",
				  { "The file cannot be written.", "ファイルを書き込めません。" },
				  { "Check the folder and the space on the disk.",
				    "保存先のフォルダーと空き容量を確認してください。" } },
	[GR_FAIL_DISPLAY] = { 1,
			      "no-display",
			      { "No window can be opened.", "ウィンドウを開けません。" },
			      { "Check DISPLAY, or use --headless.",
				"環境変数 DISPLAY を確認するか、--headless を指定してください。" } },
	[GR_FAIL_NAME] = { 2,
			   "unknown-host",
			   { "The broker's name is not known.", "接続先の名前が見つかりません。" },
			   { "Check the spelling of the host, and the network.",
			     "ホスト名の綴りとネットワークの接続を確認してください。" } },
	[GR_FAIL_REFUSED] = { 2,
			      "connection-refused",
			      { "The broker does not answer on this port.",
				"接続先のポートで応答がありません(接続拒否)。" },
			      { "Check host and port. The broker may not be running: ask the administrator.",
				"ホスト名とポート番号を確認してください。正しい場合はサーバーが停止しています。管理者に"
				"連絡してください。" } },
	[GR_FAIL_UNREACHABLE] = { 2,
				  "unreachable",
				  { "The broker cannot be reached.", "接続先に到達できません。" },
				  { "Check the network connection.", "ネットワークの接続を確認してください。" } },
	[GR_FAIL_TIMEOUT] = { 2,
			      "timeout",
			      { "The broker did not answer in time.", "接続先が時間内に応答しませんでした。" },
			      { "Try again in a moment; if it stays so, ask the administrator.",
				"しばらくしてからもう一度お試しください。続く場合は管理者に連絡してください。" } },
	[GR_FAIL_NOT_BROKER] = { 3,
				 "not-a-broker",
				 { "What answers there is no Garasu broker.",
				   "接続先は画面転送サーバー(Garasu)ではありません。" },
				 { "Check host and port; the usual port is 5910.",
				   "ホスト名とポート番号(通常は 5910)を確認してください。" } },
	[GR_FAIL_RFB_PORT] = { 3,
			       "rfb-port",
			       { "This port speaks RFB without TLS: it is meant for other viewers.",
				 "このポートはTLSなしのRFB(ほかのビューアー用)です。" },
			       { "Use the broker's port for garasu-viewer, usually 5910.",
				 "garasu-viewer 用のポート(通常は 5910)を指定してください。" } },
	[GR_FAIL_HTTP_PORT] = { 3,
				"http-port",
				{ "A web server answers on this port.",
				  "このポートで応答しているのはWebサーバーです。" },
				{ "Check host and port; the usual port is 5910.",
				  "ホスト名とポート番号(通常は 5910)を確認してください。" } },
	[GR_FAIL_SERVER_UNTRUSTED] = { 3,
				       "server-untrusted",
				       { "The broker's certificate is not trusted. Nothing was sent.",
					 "接続先の証明書を信頼できません。何も送信していません。" },
				       { "Do not go on. Check --ca, and tell the administrator.",
					 "接続を続けないでください。--ca "
					 "の指定を確認し、管理者に連絡してください。" } },
	[GR_FAIL_SERVER_EXPIRED] = { 3,
				     "server-expired",
				     { "The broker's certificate is not valid today.",
				       "接続先の証明書は有効期間外です。" },
				     { "Check the date of this computer, and tell the administrator.",
				       "この端末の日付を確認し、管理者に連絡してください。" } },
	[GR_FAIL_SERVER_REVOKED] = { 3,
				     "server-revoked",
				     { "The broker's certificate was revoked. Nothing was sent.",
				       "接続先の証明書は失効しています。何も送信していません。" },
				     { "Do not go on. Tell the administrator.",
				       "接続を続けないでください。管理者に連絡してください。" } },
	[GR_FAIL_CRL_STALE] = { 3,
				"crl-stale",
				{ "The revocation list is not current: the broker's certificate cannot be checked.",
				  "失効リストの有効期間が過ぎているため、接続先の証明書を確認できません。" },
				{ "Ask the administrator for a new file for --crl.",
				  "--crl に指定する新しいファイルを管理者から受け取ってください。" } },
	[GR_FAIL_SERVER_NAME] = { 3,
				  "server-name",
				  { "The broker's certificate is for another name.",
				    "接続先の証明書に書かれた名前が、指定した名前と異なります。" },
				  { "Check the host, or give the right name with --server-name.",
				    "ホスト名を確認するか、正しい名前を --server-name で指定してください。" } },
	[GR_FAIL_SERVER_PURPOSE] = { 3,
				     "server-purpose",
				     { "The certificate of what answers is not one for servers.",
				       "接続先の証明書はサーバー用ではありません。" },
				     { "Do not go on. Tell the administrator.",
				       "接続を続けないでください。管理者に連絡してください。" } },
	[GR_FAIL_PERSON_MISSING] = { 4,
				     "certificate-required",
				     { "The broker wants a certificate, and none was given.",
				       "接続先は利用者の証明書を求めていますが、指定されていません。" },
				     { "Give yours with --certificate and --key.",
				       "--certificate と --key で証明書を指定してください。" } },
	[GR_FAIL_PERSON_EXPIRED] = { 4,
				     "certificate-expired",
				     { "Your certificate has expired.", "あなたの証明書は有効期限が切れています。" },
				     { "Ask the administrator for a new one.",
				       "管理者に新しい証明書の発行を依頼してください。" } },
	[GR_FAIL_PERSON_UNTRUSTED] = { 4,
				       "certificate-unknown-ca",
				       { "The broker does not know the authority that issued your certificate.",
					 "あなたの証明書の発行元は、接続先に登録されていません。" },
				       { "Check --certificate, or ask the administrator.",
					 "--certificate の指定を確認するか、管理者に連絡してください。" } },
	[GR_FAIL_PERSON_REVOKED] = { 4,
				     "certificate-revoked",
				     { "Your certificate has been revoked.", "あなたの証明書は失効しています。" },
				     { "Ask the administrator for a new one.",
				       "管理者に新しい証明書の発行を依頼してください。" } },
	[GR_FAIL_PERSON_BAD] = { 4,
				 "certificate-refused",
				 { "The broker does not accept your certificate.",
				   "あなたの証明書は接続先で受け付けられません。" },
				 { "Check --certificate: it must be a person's. Otherwise ask the administrator.",
				   "--certificate "
				   "が利用者の証明書か確認してください。正しい場合は管理者に連絡してください。" } },
	[GR_FAIL_FACTOR_MISSING] = { 4,
				     "factor-missing",
				     { "A second factor is asked for: a password, a one-time code, or both.",
				       "パスワードか確認コード、または両方の入力が必要です。" },
				     { "Start the viewer with a window, or give them in a file with --factors.",
				       "ウィンドウを開いて入力するか、--factors でファイルを指定してください。" } },
	[GR_FAIL_ANSWER_LATE] = { 7,
				  "time-over",
				  { "Nothing was entered for two minutes, so the broker closed the connection.",
				    "2分間入力がなかったため、接続が終了しました。" },
				  { "Connect again when you have your password and code at hand.",
				    "パスワードと確認コードを用意して、もう一度接続してください。" } },
	[GR_FAIL_PROTOCOL] = { 8,
			       "protocol-error",
			       { "The broker sent what the protocol does not permit; the connection was ended.",
				 "接続先から規定外のデータを受信したため、接続を切りました。" },
			       { ASK_ADMIN_EN, ASK_ADMIN_JA } },
	[GR_FAIL_DECODER] = { 8,
			      "decoder-died",
			      { "The picture decoder ended unexpectedly; the connection was ended.",
				"画像の復号プロセスが異常終了したため、接続を切りました。" },
			      { "Tell the administrator: this can be a sign of an attack.",
				"攻撃の兆候の可能性があります。管理者に連絡してください。" } },
	[GR_FAIL_LOST] = { 9,
			   "connection-lost",
			   { "The connection was lost.", "接続が切れました。" },
			   { "Connect again: your pages are kept for a while.",
			     "もう一度接続してください。開いていたページはしばらく保持されます。" } },
	[GR_FAIL_GRACE_OVER] = { 9,
				 "grace-over",
				 { "The network did not come back in time, so the session has ended.",
				   "ネットワークが時間内に復旧しなかったため、画面転送を終了しました。" },
				 { "Check the network and connect again: a new browser is started, the pages of before "
				   "are "
				   "closed.",
				   "ネットワークを確認して、もう一度接続してください。ブラウザーは新しく起動します("
				   "開いていた"
				   "ページは閉じられています)。" } },
	[GR_FAIL_NO_PICTURE] = { 9,
				 "no-picture",
				 { "No picture arrived in time.", "時間内に画面が届きませんでした。" },
				 { "Try again in a moment.", "しばらくしてからもう一度お試しください。" } },
	[GR_FAIL_INTERNAL] = { 8,
			       "internal",
			       { "The viewer has failed.", "ビューアーの内部エラーです。" },
			       { ASK_ADMIN_EN, ASK_ADMIN_JA } },
};

#define AGAIN_EN "Try again in a few minutes; if it stays so, ask the administrator."
#define AGAIN_JA "数分後にもう一度お試しください。続く場合は管理者に連絡してください。"

/* PROTOCOL.md §6. */
static const struct entry reasons[] = {
	[1] = { 4,
		"unknown-person",
		{ "You are not registered for this system.", "このシステムの利用者として登録されていません。" },
		{ "Ask the administrator to register you.", "管理者に利用者登録を依頼してください。" } },
	[2] = { 4,
		"revoked",
		{ "Your permission was withdrawn.", "利用権限が取り消されています。" },
		{ ASK_ADMIN_EN, ASK_ADMIN_JA } },
	[3] = { 5,
		"no-capacity",
		{ "All places are taken at the moment.", "ただいま満員です。" },
		{ AGAIN_EN, AGAIN_JA } },
	[4] = { 5,
		"audit-unavailable",
		{ "The broker cannot keep its records, so it opens no session.",
		  "利用記録を保存できないため、接続を受け付けていません。" },
		{ ASK_ADMIN_EN, ASK_ADMIN_JA } },
	[5] = { 6,
		"container-failed",
		{ "The browser could not be started, or has ended.", "ブラウザーを起動できないか、異常終了しました。" },
		{ AGAIN_EN, AGAIN_JA } },
	[6] = { 7,
		"taken-over",
		{ "Your session is now shown by another viewer.", "別のビューアーがあなたの画面に接続しました。" },
		{ "If that was not you, tell the administrator at once.",
		  "心当たりがない場合は、すぐに管理者に連絡してください。" } },
	[7] = { 7,
		"ended-by-admin",
		{ "An administrator ended the session.", "管理者が画面転送を終了しました。" },
		{ ASK_ADMIN_EN, ASK_ADMIN_JA } },
	[8] = { 7,
		"shutting-down",
		{ "The broker is shutting down.", "サーバーを停止しています。" },
		{ AGAIN_EN, AGAIN_JA } },
	[9] = { 7,
		"time-over",
		{ "The time for this session is over.", "利用時間が終了しました。" },
		{ "Connect again if you need to go on.", "続ける場合は、もう一度接続してください。" } },
	[10] = { 8,
		 "protocol",
		 { "The broker ended the connection because of a protocol error.",
		   "通信規約の誤りにより、サーバーが接続を切りました。" },
		 { "Check that the viewer has the broker's version; tell the administrator.",
		   "ビューアーの版を確認し、管理者に連絡してください。" } },
	[11] = { 6,
		 "internal",
		 { "The broker has an internal error.", "サーバーの内部エラーです。" },
		 { AGAIN_EN, AGAIN_JA } },
	[12] = { 4,
		 "bad-certificate",
		 { "The broker does not accept your certificate.", "あなたの証明書は接続先で受け付けられません。" },
		 { "Ask the administrator for a new one.", "管理者に新しい証明書の発行を依頼してください。" } },
	[14] = { 6,
		 "out-of-memory",
		 { "The page needed more memory than permitted, and the browser ended.",
		   "ページのメモリー使用量が上限を超えたため、ブラウザーが終了しました。" },
		 { "Connect again, and open fewer pages at once.",
		   "もう一度接続し、同時に開くページを減らしてください。" } },
	[GR_MESSAGE_WRONG_FACTOR] = { 4,
				      "wrong-factor",
				      { "The password or the one-time code is wrong.",
					"パスワードまたは確認コードが違います。" },
				      { "Connect again and enter them anew. A code is good once, for about a minute.",
					"もう一度接続して入力し直してください。確認コードは表示から約1分間有効で、使え"
					"るのは一度だけです。" } },
	[GR_MESSAGE_LOCKED_OUT] = { 4,
				    "locked-out",
				    { "Too many wrong passwords or codes: your login is locked for a while.",
				      "入力の間違いが続いたため、一時的にログインできません。" },
				    { "If that was not you, tell the administrator at once.",
				      "心当たりがない場合は、すぐに管理者に連絡してください。" } },
	[17] = { 7,
		 "cut-off",
		 { "All sessions were stopped in an emergency.", "緊急対応のため、画面転送を停止しています。" },
		 { "Wait for word from the administrator before you connect again.",
		   "管理者から案内があるまで、接続せずにお待ちください。" } },
	[18] = { 5,
		 "not-permitted",
		 { "The rules of your organisation do not permit this session.",
		   "所属の利用ルールにより、接続できません。" },
		 { "As many of your group as may use it at once may be connected already. Try again later, or ask the "
		   "administrator.",
		   "利用人数の上限に達している場合もあります。時間をおいて試すか、管理者に連絡してください。" } },
	[19] = { 7,
		 "idle",
		 { "The session was ended because nothing was done for a while.",
		   "一定時間操作がなかったため、画面転送を終了しました。" },
		 { "Connect again if you need to go on.", "続ける場合は、もう一度接続してください。" } },
	[20] = { 7,
		 "time-limit",
		 { "The session has reached the longest time permitted.",
		   "1回の利用時間の上限に達したため、画面転送を終了しました。" },
		 { "Connect again if you need to go on: a new browser is started.",
		   "続ける場合は、もう一度接続してください。ブラウザーは新しく起動します。" } },
	[21] = { 6,
		 "recording-failed",
		 { "Your sessions must be recorded, and the recording cannot be made.",
		   "録画が必要な接続ですが、録画できないため終了しました。" },
		 { ASK_ADMIN_EN, ASK_ADMIN_JA } },
	[22] = { 7,
		 "displaced",
		 { "All places are taken, and somebody of a higher priority needed yours.",
		   "満員のため、優先度の高い利用者の接続に切り替わりました。" },
		 { AGAIN_EN, AGAIN_JA } },
};

static const struct entry *reason_entry(unsigned reason)
{
	if (reason < sizeof(reasons) / sizeof(*reasons) && reasons[reason].name)
		return &reasons[reason];
	return &failures[GR_FAIL_INTERNAL];
}

struct gr_message gr_message_get(enum gr_failure failure, unsigned reason)
{
	const struct entry *entry = &failures[GR_FAIL_INTERNAL];
	if (failure == GR_FAIL_REASON)
		entry = reason_entry(reason);
	else if ((unsigned)failure < GR_FAIL_COUNT && failures[failure].name)
		entry = &failures[failure];
	return (struct gr_message){ entry->exit_code, entry->name, entry->what[japanese], entry->action[japanese] };
}

void gr_message_again(unsigned seconds, char *out, size_t cap)
{
	unsigned minutes = seconds / 60;
	out[0] = '\0';
	if (minutes)
		snprintf(out, cap,
			 japanese ? "あと%u分%u秒で、もう一度お試しいただけます。"
				  : "You can try again in %u min %u s.",
			 minutes, seconds % 60);
	else if (seconds)
		snprintf(out, cap, japanese ? "あと%u秒で、もう一度お試しいただけます。" : "You can try again in %u s.",
			 seconds);
}

const char *gr_message_reason_name(unsigned reason)
{
	const struct entry *entry = reason_entry(reason);
	return entry == &failures[GR_FAIL_INTERNAL] ? "unknown" : entry->name;
}
