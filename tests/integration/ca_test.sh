#!/usr/bin/env bash
# garasu-ca, run for real: what it issues is what SECURITY.md §4 asks for, and what openssl accepts
# and refuses; wrong use is refused by its documented exit code; two at once, a kill at any moment
# and a full disk leave a CA that works.
# ca_test.sh [garasu-ca]. Prints what failed; exits 1 if anything did.
set -uo pipefail
unset OPENSSL_CONF

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ca=${1:-$here/../../certs/garasu-ca}
ca=$(readlink -f -- "$ca")
top=$(mktemp -d)
trap 'rm -rf -- "$top"' EXIT
dir=$top/demo

ran=0 failed=0
check() { # behaviour, command...: the command succeeds
	local what=$1
	shift
	ran=$((ran + 1))
	"$@" >"$top/out" 2>&1 && return
	failed=$((failed + 1))
	printf 'FAILED: %s\n  %s\n' "$what" "$*"
	sed 's/^/  | /' "$top/out"
}
fails() { ! "$@"; }
gives() { # exit code, command...: ends with that code, and unless it is 0 says why
	local want=$1 got=0
	shift
	"$@" </dev/null >"$top/gives" 2>&1 || got=$?
	cat "$top/gives"
	printf 'exit code %s, expected %s\n' "$got" "$want"
	[ "$got" -eq "$want" ] && { [ "$want" -eq 0 ] || grep -q '^garasu-ca: ' "$top/gives"; }
}
verify() { # file, options of openssl verify...
	local leaf=$1
	shift
	openssl verify -x509_strict -CAfile "$dir/ca.pem" -untrusted "$leaf" "$@" "$leaf"
}
refused() { # reason, verify's arguments: refused, and for that reason
	local reason=$1 out
	shift
	out=$(verify "$@" 2>&1) && echo "was accepted" && return 1
	printf '%s\n' "$out"
	[[ $out == *"$reason"* ]]
}
# An extension's value on one line; "critical" stays in the header line.
extension() { openssl x509 -in "$1" -noout -ext "$2" | sed 's/^ *//;s/ *$//' | paste -sd' '; }
extension_is() { # file, extension, value
	local got
	got=$(extension "$1" "$2")
	printf 'got:      %s\nexpected: %s\n' "$got" "$3"
	[ "$got" = "$3" ]
}
state() { find "$1" -mindepth 1 -printf '%P %m %T@\n' | sort && find "$1" -type f -exec sha256sum {} + | sort; }
lists() { "$ca" list "$dir" | grep "^$1 "; } # line's beginning
lasts() { openssl x509 -in "$1" -noout -checkend "$2"; }
# Every write to a file fails; messages go through a pipe, which the limit does not touch.
full_disk() { (ulimit -f 0 && trap '' XFSZ && "$@") 2>&1 | cat; }
no_leftovers() { [ -z "$(find "$1" -name '.work.*')" ]; }

# --- the demo set -----------------------------------------------------------------------------

check 'demo makes a set' gives 0 "$ca" demo "$dir"
state "$dir" >"$top/before"
check 'demo again says so' gives 0 "$ca" demo "$dir"
state "$dir" >"$top/after"
check 'demo again changes nothing' diff "$top/before" "$top/after"
check 'only the owner reads anything' test -z "$(find "$dir" -perm /077)"
for key in server.key persons/hanako.key persons/taro.key private/root.key private/issuing.key; do
	check "key_is_0600 $key" test "$(stat -c %a "$dir/$key")" = 600
done
check 'the directory is 0700' test "$(stat -c %a "$dir")" = 700
check 'no scratch is left' no_leftovers "$dir"

server=$dir/server.pem hanako=$dir/persons/hanako.pem
for leaf in "$server" "$hanako" "$dir/persons/taro.pem"; do
	check 'the chain is leaf and issuing' test "$(grep -c BEGIN "$leaf")" -eq 2
	check 'key and certificate fit' test "$(openssl x509 -in "$leaf" -noout -pubkey)" = "$(openssl pkey -in "${leaf%.pem}.key" -pubout)"
	check 'P-256' test "$(openssl x509 -in "$leaf" -noout -text | grep -c prime256v1)" -eq 1
	check 'leaf basicConstraints' extension_is "$leaf" basicConstraints 'X509v3 Basic Constraints: critical CA:FALSE'
	check 'leaf keyUsage' extension_is "$leaf" keyUsage 'X509v3 Key Usage: critical Digital Signature'
	check 'leaf has SKI, AKI' test "$(openssl x509 -in "$leaf" -noout -ext subjectKeyIdentifier,authorityKeyIdentifier | grep -c Identifier)" -eq 2
	check 'leaf has exactly six extensions' test "$(openssl x509 -in "$leaf" -noout -text | grep -c '^ *X509v3 [A-Z].*: *\(critical\)\?$')" -eq 6
	check 'serial has 128 bits' test "$(openssl x509 -in "$leaf" -noout -serial | wc -c)" -eq $((7 + 32 + 1))
done
check 'server EKU' extension_is "$server" extendedKeyUsage 'X509v3 Extended Key Usage: TLS Web Server Authentication'
check 'person EKU' extension_is "$hanako" extendedKeyUsage 'X509v3 Extended Key Usage: TLS Web Client Authentication'
check 'server SANs' extension_is "$server" subjectAltName \
	'X509v3 Subject Alternative Name: DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1'
check 'person SAN URI' extension_is "$hanako" subjectAltName 'X509v3 Subject Alternative Name: URI:garasu:user/hanako'
check 'root pathlen' extension_is "$dir/ca.pem" basicConstraints 'X509v3 Basic Constraints: critical CA:TRUE, pathlen:1'
check 'issuing pathlen' extension_is "$dir/issuing.pem" basicConstraints 'X509v3 Basic Constraints: critical CA:TRUE, pathlen:0'
for c in ca issuing; do
	check 'CA keyUsage' extension_is "$dir/$c.pem" keyUsage 'X509v3 Key Usage: critical Certificate Sign, CRL Sign'
done
check 'person for seven days' lasts "$hanako" $((7 * 86400 - 600))
check 'person not for longer' fails lasts "$hanako" $((7 * 86400 + 1))

# --- right and wrong ways to use them ---------------------------------------------------------

all_crls=(-crl_check_all -CRLfile "$dir/crl.pem")
check 'server as server' verify "$server" -purpose sslserver "${all_crls[@]}"
check 'person as client' verify "$hanako" -purpose sslclient "${all_crls[@]}"
check 'server as client is refused' refused 'unsuitable certificate purpose' "$server" -purpose sslclient
check 'person as server is refused' refused 'unsuitable certificate purpose' "$hanako" -purpose sslserver
check 'host localhost' verify "$server" -verify_hostname localhost
for ip in 127.0.0.1 ::1; do check "address $ip" verify "$server" -verify_ip "$ip"; done
check 'another host is refused' refused 'hostname mismatch' "$server" -verify_hostname other.example
check 'another address is refused' refused 'IP address mismatch' "$server" -verify_ip 127.0.0.2
# --- the audit record's key -------------------------------------------------------------------

check 'demo makes a key for the audit record' test -s "$dir/audit.key" -a -s "$dir/audit.pub"
check 'a key for the audit record is made' gives 0 "$ca" audit-key "$top/a.key"
check 'it is Ed25519, and only its owner may read it' test "$(stat -c %a "$top/a.key")" = 600 -a \
	"$(openssl pkey -in "$top/a.key" -noout -text | head -n 1)" = 'ED25519 Private-Key:'
check 'its public half fits' test "$(openssl pkey -in "$top/a.key" -pubout)" = "$(<"$top/a.pub")"
check 'it is not replaced' gives 4 "$ca" audit-key "$top/a.key"
check 'its name must end in .key' gives 2 "$ca" audit-key "$top/a"
full_disk "$ca" audit-key "$top/b.key" >/dev/null
check 'a full disk leaves no key' fails test -e "$top/b.key"
check 'and nothing else' no_leftovers "$top"

check 'another CA is made' gives 0 "$ca" demo "$top/other"
check 'another CA is not trusted' fails openssl verify -CAfile "$top/other/ca.pem" -untrusted "$hanako" "$hanako"

check 'expired is made' gives 0 "$ca" person "$dir" mukashi --expired
check 'expired is refused' refused 'certificate has expired' "$dir/persons/mukashi.pem" -purpose sslclient
check 'future is made' gives 0 "$ca" person "$dir" mirai --not-before "$(date -u -d '+2 days' +%Y%m%d%H%M%SZ)" --not-after '+3 days'
check 'future is refused' refused 'certificate is not yet valid' "$dir/persons/mirai.pem" -purpose sslclient
check 'a name in Japanese' gives 0 "$ca" person "$dir" satou --name '佐藤 次郎'
check 'is its common name' test "$(openssl x509 -in "$dir/persons/satou.pem" -noout -subject -nameopt utf8,sep_comma_plus)" = 'subject=CN=佐藤 次郎'

# --- revocation -------------------------------------------------------------------------------

taro=$dir/persons/taro.pem
cp "$taro" "$top/taro-first.pem"
check 'renewal' gives 0 "$ca" person "$dir" taro --renew
check 'renewal makes a new key' fails cmp -s <(openssl x509 -in "$taro" -noout -pubkey) <(openssl x509 -in "$top/taro-first.pem" -noout -pubkey)
check 'revoke a person' gives 0 "$ca" revoke "$dir" taro
check 'revoked is refused' refused 'certificate revoked' "$taro" "${all_crls[@]}"
check 'so is what was issued to the person before' refused 'certificate revoked' "$top/taro-first.pem" "${all_crls[@]}"
check 'others are not' verify "$hanako" "${all_crls[@]}"
serial=$(openssl x509 -in "$dir/persons/satou.pem" -noout -serial)
serial=${serial#*=}
check 'revoke a serial number' gives 0 "$ca" revoke "$dir" "${serial,,}"
check 'revoked by number is refused' refused 'certificate revoked' "$dir/persons/satou.pem" "${all_crls[@]}"
check 'revoke again is no error' gives 0 "$ca" revoke "$dir" taro
check 'revoke the unknown' gives 5 "$ca" revoke "$dir" nobody
check 'list says revoked' lists 'revoked  person  taro'
check 'list says expired' lists 'expired  person  mukashi'
number() { openssl crl -in "$dir/crl.pem" -noout -crlnumber; }
first=$(number)
check 'crl' gives 0 "$ca" crl "$dir" --days 1
check 'each list has its own number' test "$(number)" != "$first"
check 'demo renews a list that ends within a day, and who was revoked' gives 0 "$ca" demo "$dir"
check 'new certificate of taro' verify "$taro" -purpose sslclient "${all_crls[@]}"
mv "$dir/private/root.key" "$top/root.key"
check 'the root key may be elsewhere' gives 0 "$ca" crl "$dir"
check 'the root list stays' verify "$hanako" "${all_crls[@]}"
mv "$top/root.key" "$dir/private/root.key"
check 'a certificate that ends within a day' gives 0 "$ca" person "$dir" hanako --renew --not-after '+23 hours'
check 'is taken by demo' gives 0 "$ca" demo "$dir"
check 'and renewed' lasts "$hanako" 90000

# --- roles ------------------------------------------------------------------------------------

for role in admin auditor; do
	check "certificate of an $role" gives 0 "$ca" person "$dir" hanako --role "$role"
	leaf=$dir/${role}s/hanako.pem
	check "$role is in the URI" extension_is "$leaf" subjectAltName "X509v3 Subject Alternative Name: URI:garasu:$role/hanako"
	check "$role EKU" extension_is "$leaf" extendedKeyUsage 'X509v3 Extended Key Usage: TLS Web Client Authentication'
	check "$role is good" verify "$leaf" -purpose sslclient "${all_crls[@]}"
done
check 'staff is the default role' gives 4 "$ca" person "$dir" hanako --role staff
check 'an unknown role' gives 2 "$ca" person "$dir" hanako --role root
check 'list says admin' lists 'valid    admin   hanako'
check 'one who leaves' gives 0 "$ca" person "$dir" sumire
check 'with another role' gives 0 "$ca" person "$dir" sumire --role auditor
check 'is revoked' gives 0 "$ca" revoke "$dir" sumire
check 'as staff' refused 'certificate revoked' "$dir/persons/sumire.pem" "${all_crls[@]}"
check 'and as auditor' refused 'certificate revoked' "$dir/auditors/sumire.pem" "${all_crls[@]}"

# --- PKCS#12 ----------------------------------------------------------------------------------

p12() { openssl pkcs12 -in "$dir/persons/hanako.p12" -passin "$@"; }
check 'p12' gives 0 "$ca" p12 "$dir" hanako
password=$(sed -n 's/^passphrase, shown only now: //p' "$top/out")
check 'a passphrase of 80 bits is shown' test "$(grep -cE '^([0-9a-f]{5}-){3}[0-9a-f]{5}$' <<<"$password")" = 1
check 'p12 is 0600' test "$(stat -c %a "$dir/persons/hanako.p12")" = 600
info=$(p12 "pass:$password" -info -noout 2>&1)
check 'p12 has a SHA-256 MAC' grep -q '^MAC: sha256, Iteration 100000' <<<"$info"
check 'p12 has AES-256 alone' test "$(grep -c 'PBES2, PBKDF2, AES-256-CBC, Iteration 100000, PRF hmacWithSHA256' <<<"$info")" = "$(grep -c 'Iteration' <<<"$(grep -v ^MAC <<<"$info")")"
check 'p12 has the key' cmp -s <(p12 "pass:$password" -nocerts -noenc | openssl pkey) "$dir/persons/hanako.key"
check 'p12 has leaf, issuing and root' test "$(p12 "pass:$password" -nokeys | grep -c BEGIN)" = 3
check 'another passphrase does not open it' fails p12 pass:another -noout
(umask 077 && echo 'a long passphrase' >"$top/password")
check 'p12 with a given passphrase' gives 0 "$ca" p12 "$dir" hanako --password-file "$top/password"
check 'is not shown' fails grep -q passphrase "$top/out"
check 'opens with it' p12 "file:$top/password" -noout
echo short >"$top/password"
check 'a short passphrase' gives 2 "$ca" p12 "$dir" hanako --password-file "$top/password"
check 'p12 of nobody' gives 5 "$ca" p12 "$dir" nobody
check 'p12 of one who is revoked' gives 5 "$ca" p12 "$dir" sumire

# --- the root elsewhere, and the issuing CA's own end -----------------------------------------

away=$top/medium first=$dir
mkdir -m 700 "$away"
dir=$top/apart
check 'init with the root elsewhere' gives 0 "$ca" init "$dir" --root "$away"
check 'the root key is there' test "$(stat -c %a "$away/root.key")" = 600
check 'and nowhere else' test -z "$(grep -rlF "$(sed -n 2p "$away/root.key")" "$dir")"
check 'init does not overwrite it' gives 4 "$ca" init "$top/apart2" --root "$away"
check 'a medium that is not there' gives 3 "$ca" init "$top/apart2" --root "$top/none"
mkdir "$top/apart3"
check 'a medium that is no other' gives 2 "$ca" init "$top/apart3" --root "$top/apart3"
mv "$away/root.key" "$top/safe.key"
check 'server without the root' gives 0 "$ca" server "$dir" --dns localhost
check 'person without the root' gives 0 "$ca" person "$dir" hanako
check 'crl without the root' gives 0 "$ca" crl "$dir"
check 'revoke without the root' gives 0 "$ca" revoke "$dir" hanako
check 'person again' gives 0 "$ca" person "$dir" hanako
check 'the issuing CA only with the root' gives 3 "$ca" issuing "$dir" --root "$away"
check 'the root list only with the root' gives 3 "$ca" crl "$dir" --root "$away"
mv "$top/safe.key" "$away/root.key"
root_number() { sed '1,/END X509/d' "$dir/crl.pem" | openssl crl -noout -crlnumber; }
number_before=$(root_number)
check 'the root list with the root' gives 0 "$ca" crl "$dir" --root "$away"
check 'is new' test "$(root_number)" != "$number_before"
cp "$dir/persons/hanako.pem" "$top/old.pem"
cp "$dir/issuing.pem" "$top/old-issuing.pem"
check 'the issuing CA is renewed' gives 0 "$ca" issuing "$dir" --root "$away"
check 'with another certificate' fails cmp -s "$dir/issuing.pem" "$top/old-issuing.pem"
check 'of the same key' test "$(openssl x509 -in "$dir/issuing.pem" -noout -pubkey)" = "$(openssl x509 -in "$top/old-issuing.pem" -noout -pubkey)"
check 'what it issued stays good' verify "$top/old.pem" -crl_check_all -CRLfile "$dir/crl.pem"
check 'and what it issues is' gives 0 "$ca" person "$dir" hanako --renew
check 'verified' verify "$dir/persons/hanako.pem" -crl_check_all -CRLfile "$dir/crl.pem"
check 'the issuing CA is replaced' gives 0 "$ca" issuing "$dir" --root "$away" --new-key
check 'by one of another key and name' test "$(openssl x509 -in "$dir/issuing.pem" -noout -subject -pubkey | md5sum)" != "$(openssl x509 -in "$top/old-issuing.pem" -noout -subject -pubkey | md5sum)"
for old in "$top/old.pem" "$dir/persons/hanako.pem" "$dir/server.pem"; do
	check 'what the one before issued is refused' refused 'certificate revoked' "$old" -crl_check_all -CRLfile "$dir/crl.pem"
done
revoked_by_root() { sed '1,/END X509/d' "$dir/crl.pem" | openssl crl -noout -text | grep -c 'Serial Number'; }
check 'the root revokes both certificates of the one before' test "$(revoked_by_root)" = 2
serial=$(openssl x509 -in "$top/old-issuing.pem" -noout -serial)
check 'by their numbers' grep -q "${serial#*=}" <(sed '1,/END X509/d' "$dir/crl.pem" | openssl crl -noout -text)
check 'a person again' gives 0 "$ca" person "$dir" hanako
check 'is good' verify "$dir/persons/hanako.pem" -crl_check_all -CRLfile "$dir/crl.pem"
check 'a server again' gives 0 "$ca" server "$dir" --dns localhost
check 'is good too' verify "$dir/server.pem" -crl_check_all -CRLfile "$dir/crl.pem"
check 'with the root elsewhere nothing of it is left here' test ! -e "$dir/private/root.key"
dir=$first

# --- wrong use --------------------------------------------------------------------------------

for id in '' Hanako .hidden -x ../x a/b 'a b' 花子 a123456789012345678901234567890123 $'a\nb' 'a*' 'a,URI:garasu:user/root'; do
	check "id_is_refused ${id@Q}" gives 2 "$ca" person "$dir" "$id"
done
check 'the longest id' gives 0 "$ca" person "$dir" a1234567890123456789012345678901
for dns in '' -x 'a b' 'a,DNS:b' '*.example' 1.2.3.4 a..b a_b $'a\nDNS.9=b'; do
	check "dns_is_refused ${dns@Q}" gives 2 "$ca" server "$dir" --out s --dns "$dns"
done
for ip in '' 1.2.3 1.2.3.256 a::g 1:2:3 '::1,DNS:b'; do
	check "ip_is_refused ${ip@Q}" gives 2 "$ca" server "$dir" --out s --ip "$ip"
done
check 'server without a name' gives 2 "$ca" server "$dir"
check 'out in another place' gives 2 "$ca" server "$dir" --dns a --out ../s
check 'out over the CA' gives 2 "$ca" server "$dir" --dns a --out ca
for name in '' $'a\nb' $'a\u202eb' $'\xff' "$(printf 'あ%.0s' {1..65})"; do
	check "name_is_refused ${name@Q}" gives 2 "$ca" person "$dir" n --name "$name"
done
for days in 0 -1 x 826 1e3 08; do check "days_are_refused $days" gives 2 "$ca" person "$dir" n --days "$days"; done
check 'longer than the CA' gives 2 "$ca" person "$dir" n --not-after 20990101000000Z
check 'ends before it begins' gives 2 "$ca" person "$dir" n --not-before 20300102000000Z --not-after 20300101000000Z
check 'no time' gives 2 "$ca" person "$dir" n --not-after yesterdayish
check 'unknown option' gives 2 "$ca" person "$dir" n --rolle admin
check 'unknown command' gives 2 "$ca" frobnicate "$dir"
check 'exists already' gives 4 "$ca" person "$dir" hanako
check 'CA exists already' gives 4 "$ca" init "$dir"
mkdir "$top/full" && touch "$top/full/something"
check 'init among other files' gives 4 "$ca" init "$top/full"
check 'no directory' gives 3 "$ca" person "$top/none" x
mkdir "$top/empty"
check 'no CA' gives 3 "$ca" list "$top/empty"
chmod 640 "$dir/private/issuing.key"
check 'a key that others may read' gives 3 "$ca" crl "$dir"
chmod 600 "$dir/private/issuing.key"
check 'init in an empty directory' gives 0 "$ca" init "$top/empty" --name 'Test'
check 'a path with spaces and signs' gives 0 "$ca" demo "$top/a b\$c#d'é"
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$top"
	install -m 755 "$ca" "$top/garasu-ca"
	check 'a directory of someone else' gives 3 setpriv --reuid 65534 --regid 65534 --clear-groups "$top/garasu-ca" list "$dir"
else
	echo 'skipped: a directory of someone else (needs root and setpriv)'
fi
mkdir "$top/bin" && ln -s /usr/bin/* "$top/bin/" && rm "$top/bin/openssl"
PATH=$top/bin check 'no openssl command' gives 7 "$ca" person "$dir" x

# --- faults -----------------------------------------------------------------------------------

state "$dir" >"$top/before"
check 'a full disk is said' gives 1 full_disk "$ca" person "$dir" late
state "$dir" >"$top/after"
check 'a full disk changes nothing' diff "$top/before" "$top/after"

"$ca" demo "$top/two" >"$top/two.1" 2>&1 &
one=$!
"$ca" demo "$top/two" >"$top/two.2" 2>&1
two=$?
wait "$one"
check 'two at once both succeed' test "$?$two" = 00
check 'two at once make one set' test "$("$ca" list "$top/two" | wc -l)" -eq 4

mkdir "$top/killed"
for ms in 005 020 040 060 080 100 130 160 200 250 300; do
	timeout -s KILL "0.$ms" "$ca" demo "$top/killed"
done >/dev/null 2>&1
check 'after being killed at any moment demo completes' gives 0 "$ca" demo "$top/killed"
dir=$top/killed
for leaf in server persons/hanako persons/taro; do
	check 'and all is good' verify "$dir/$leaf.pem" -crl_check_all -CRLfile "$dir/crl.pem"
	check 'and fits' test "$(openssl x509 -in "$dir/$leaf.pem" -noout -pubkey)" = "$(openssl pkey -in "$dir/$leaf.key" -pubout)"
done
check 'and clean' no_leftovers "$dir"

if command -v shellcheck >/dev/null; then
	check 'shellcheck' shellcheck "$ca" "${BASH_SOURCE[0]}"
else
	echo 'skipped: shellcheck is not installed'
fi

echo "ca_test: $((ran - failed)) of $ran checks passed"
[ "$failed" -eq 0 ]
