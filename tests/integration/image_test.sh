#!/usr/bin/env bash
# Looks at a built image: image_test.sh [IMAGES]   (default $GARASU_IMAGES or /var/lib/garasu/images)
# Exit 77 says that there is no image or no root here to look at it with: skipped.
set -uo pipefail

images=${1:-${GARASU_IMAGES:-/var/lib/garasu/images}}
recipe=$(cd "$(dirname "$0")/../../sandbox/image" && pwd)
[ -d "$images/current/rootfs" ] || { echo "skipped: no image in $images (sandbox/image/build makes it)"; exit 77; }
[ "$(id -u)" -eq 0 ] || { echo "skipped: chroot needs root"; exit 77; }
image=$(readlink -f "$images/current")
root=$image/rootfs
policies=$root/etc/chromium/policies/managed
passed=0
failed=0

check() {
	local name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $name"
	fi
}
inside() { chroot --userspec=1000:1000 "$root" /usr/bin/env -i HOME=/home/browser LANG=ja_JP.UTF-8 PATH=/usr/bin "$@"; }
nothing() { local found && found=$("$@"); [ -z "$found" ] || { printf '  %s\n' "${found:0:500}"; return 1; }; }
# What the page of a language gets for a family.
font_is() { [ "$(inside fc-match -f '%{family[0]}' "$1")" = "$2" ] || { echo "  $1: $(inside fc-match "$1")"; return 1; }; }

policies_are_valid_json() {
	local file
	for file in "$policies"/*.json; do python3 -m json.tool "$file" >/dev/null || return 1; done
}
policies_close_what_they_must() {
	python3 - "$policies/garasu.json" <<'END'
import json, sys
p = json.load(open(sys.argv[1]))
want = {"DownloadDirectory": "/home/browser/Downloads", "PromptForDownloadLocation": False, "ExtensionInstallBlocklist": ["*"], "SyncDisabled": True, "BrowserSignin": 0,
        "TranslateEnabled": False, "PasswordManagerEnabled": False, "QuicAllowed": False, "DnsOverHttpsMode": "off",
        "WebRtcIPHandling": "disable_non_proxied_udp", "BackgroundModeEnabled": False, "PrinterTypeDenyList": ["privet", "extension", "cloud", "local"],
        "RemoteDebuggingAllowed": False, "DeveloperToolsAvailability": 2, "AllowFileSelectionDialogs": False}
wrong = [k for k, v in want.items() if p.get(k) != v]
wrong += [u for u in ("file://*", "view-source:*", "chrome://*") if u not in p["URLBlocklist"]]
wrong += [u for u in p["URLAllowlist"] if u.startswith("file:") and u != "file:///home/browser/Downloads/"]
# Without these pages Chromium's own address list and tab search show "blocked".
wrong += [u for u in ("chrome://top-chrome",) if u not in p["URLAllowlist"]]
s = p["ProxySettings"]
if (s["ProxyMode"], s["ProxyServer"], s["ProxyBypassList"]) != ("fixed_servers", "http://127.0.0.1:3128", "<-loopback>;gaia.invalid;update.googleapis.com"):
    wrong.append("ProxySettings")
if wrong:
    sys.exit("  " + ", ".join(wrong))
END
}
bind_targets_exist() {
	local folder
	for folder in run/garasu tmp var/tmp home/browser dev/shm proc sys usr/lib/garasu; do
		[ -d "$root/$folder" ] || { echo "  $folder"; return 1; }
	done
	[ -z "$(ls -A "$root/run/garasu")" ] && [ "$(cat "$policies/home.json")" = '{}' ]
}
no_file_capabilities() {
	python3 - "$root" <<'END'
import os, sys
bad = []
for folder, _, files in os.walk(sys.argv[1]):
    for name in files:
        path = os.path.join(folder, name)
        if "security.capability" in os.listxattr(path, follow_symlinks=False):
            bad.append(path)
sys.exit("  " + " ".join(bad) if bad else 0)
END
}
# The owner of the files is not mapped in a container: what others may not read is not there.
programs_are_readable_by_others() {
	nothing find "$root/usr" "$root/etc/chromium" "$root/etc/fonts" "$root/etc/xdg" "$root/etc/gtk-3.0" \
		'(' -type f ! -perm -o+r -o -type d ! -perm -o+rx ')'
}
libraries_are_complete() {
	local program
	for program in /usr/lib/chromium/chromium /usr/bin/Xvfb /usr/bin/openbox /usr/bin/fcitx5 /usr/bin/dbus-daemon \
		/usr/bin/xkbcomp /usr/lib/mozc/mozc_server /usr/lib/garasu/garasu-agent /usr/lib/garasu/im-garasu.so; do
		if inside /usr/bin/ldd "$program" 2>&1 | grep 'not found'; then
			echo "  needed by $program"
			return 1
		fi
	done
}
input_method_modules_are_registered() {
	grep -q '^"/usr/lib/garasu/im-garasu.so"' "$root/usr/lib/garasu/immodules.cache" &&
		grep -q '^"/usr/lib/.*/im-fcitx5.so"' "$root/usr/lib/garasu/immodules.cache"
}
manifest_is_true() {
	grep -qx "image $(basename "$image")" "$image/manifest" &&
		grep -q '^package chromium=[0-9]' "$image/manifest" &&
		(cd "$root/usr/lib/garasu" && sed -n 's/^sha256 //p' "$image/manifest" | sha256sum --quiet -c)
}
agent_is_not_shared_with_the_base() { [ "$(stat -c %h "$root/usr/lib/garasu/garasu-agent")" -eq 1 ]; }
packages_are_the_base_s_by_hard_links() { [ "$(stat -c %h "$root/usr/lib/chromium/chromium")" -ge 2 ]; }
text_is_antialiased_in_greys() {
	[ "$(inside fc-match -f '%{antialias} %{rgba} %{lcdfilter}' sans-serif)" = "True 5 0" ]
}
locale_is_japanese() { [ "$(inside locale charmap)" = UTF-8 ] && inside locale -a | grep -qx ja_JP.utf8; }
an_unknown_option_is_refused() { ! "$recipe/build" --no-such-option >/dev/null 2>&1; }
a_missing_agent_is_named() { grep -q /nonexistent/garasu-agent <<<"$("$recipe/build" --agent /nonexistent --images "$images" 2>&1)"; }

check policies_are_valid_json policies_are_valid_json
check policies_close_what_they_must policies_close_what_they_must
check bind_targets_exist bind_targets_exist
check no_setuid_or_setgid_file nothing find "$root" -xdev -type f -perm /6000
check no_file_capabilities no_file_capabilities
check no_sandbox_flag_nowhere nothing grep -rlIe '--no-sandbox' "$root/etc" "$root/usr/lib/garasu" "$recipe"
check programs_are_readable_by_others programs_are_readable_by_others
check libraries_are_complete libraries_are_complete
check input_method_modules_are_registered input_method_modules_are_registered
check manifest_is_true manifest_is_true
check agent_is_not_shared_with_the_base agent_is_not_shared_with_the_base
check packages_are_the_base_s_by_hard_links packages_are_the_base_s_by_hard_links
check no_package_lists nothing find "$root/var/lib/apt/lists" "$root/var/cache/apt" -type f
check no_documentation nothing find "$root/usr/share" -maxdepth 1 '(' -name doc -o -name man -o -name info ')'
check no_python nothing find "$root/usr/bin" -name 'python*'
check browser_user_exists grep -q '^browser:x:1000:1000:' "$root/etc/passwd"
check locale_is_japanese locale_is_japanese
check text_is_antialiased_in_greys text_is_antialiased_in_greys
for language in ja en zh-cn ko; do
	check "sans_is_japanese_noto_for_$language" font_is "sans-serif:lang=$language" 'Noto Sans CJK JP'
	check "serif_is_japanese_noto_for_$language" font_is "serif:lang=$language" 'Noto Serif CJK JP'
	check "monospace_is_japanese_noto_for_$language" font_is "monospace:lang=$language" 'Noto Sans Mono CJK JP'
done
check sans_by_its_short_name_is_japanese font_is sans:lang=ja 'Noto Sans CJK JP'
check ms_gothic_becomes_noto font_is 'MS PGothic' 'Noto Sans CJK JP'
check an_unknown_option_is_refused an_unknown_option_is_refused
check a_missing_agent_is_named a_missing_agent_is_named

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
