#!/usr/bin/env python3
"""garasu-audit on a copy of a record, against what a second hand (record.py) makes of the same files; pruning by the audit process."""
import collections
import csv
import datetime
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

sys.dont_write_bytecode = True
import supervise  # noqa: E402
from audit_test import Child, Folder  # noqa: E402
from record import Record  # noqa: E402
from supervise import BUILD, MESSAGE, REASONS, TYPES, check  # noqa: E402

ENVIRONMENT = {**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"}
JAPAN = datetime.timezone(datetime.timedelta(hours=9))


def tool(*arguments, code=0, **more):
    done = subprocess.run([BUILD / "bin/garasu-audit", *map(str, arguments)], capture_output=True, text=True, env=ENVIRONMENT,
                          **more)
    check(done.returncode == code, f"garasu-audit {' '.join(map(str, arguments))}: exit {done.returncode}", done.stdout[-500:], done.stderr)
    return done.stdout if code == 0 else done.stdout + done.stderr


def generate(directory, egress):
    subprocess.run([BUILD / "bin/garasu-audit-year", directory, str(egress)], check=True, stdout=subprocess.DEVNULL)


def values(line):
    return {name: urllib.parse.unquote(value) for name, value in line.items()}


def host_of(line):
    return line["target"].split(" ")[1].rsplit(":", 1)[0].lower() if line.get("kind", "").startswith("egress.") else None


def when(line):
    return datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00"))


def it_verifies_and_names_what_does_not_hold(folder, lines):
    key = folder / "audit.pub"
    said = tool("verify", folder, "--key", key)
    count, heads = Record(folder).verify()
    check(f"{count} records hold" in said and f"{heads} tree heads, all signed" in said, said)
    check("signatures not checked" in tool("verify", folder))
    (folder / "heads.log").rename(folder.parent / "heads.log")
    said = tool("verify", folder, "--key", key)
    check("no tree head" in said and "WARNING" in said, said)
    (folder.parent / "heads.log").rename(folder / "heads.log")
    segment, good = folder / "log/00000000.log", (folder / "log/00000000.log").read_bytes()
    segment.write_bytes(good.replace(b"\nseq=77 ", b"\nseq=78 ", 1))
    said = tool("verify", folder, code=1)
    check("log/00000000.log line 77, record 77: " in said, said)
    # Rolled back, heads and all: only who kept a head knows.
    all_heads = (folder / "heads.log").read_text().splitlines(keepends=True)
    kept = all_heads[-1]
    size = int(re.search(r"size=(\d+)", all_heads[0])[1])
    segment.write_bytes(b"".join(good.splitlines(keepends=True)[:size]))
    (folder / "heads.log").write_text(all_heads[0])
    check(f"{size} records hold" in tool("verify", folder, "--key", key))
    said = tool("verify", folder, "--key", key, "--head", f"<110>1 broker garasu - head - {kept}", code=1)
    check(f"record {size + 1}: " in said and "an older one was put in its place" in said, said)
    (folder.parent / "kept").write_text(kept)
    tool("verify", folder, "--head", folder.parent / "kept", code=1)
    segment.write_bytes(good)
    (folder / "heads.log").write_text("".join(all_heads))
    check("1 known heads fit" in tool("verify", folder, "--head", folder.parent / "kept"))
    tool("verify", code=2)
    tool("verify", folder / "log", code=3)
    tool("verify", folder, "--key", "/nonexistent", code=3)


def time_stamps_are_checked(folder, lines):
    ca = folder.parent / "tsa"
    ca.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", ca / "key",
                    "-out", ca / "pem", "-days", "3", "-subj", "/CN=tsa", "-addext", "extendedKeyUsage=critical,timeStamping",
                    "-addext", "keyUsage=critical,digitalSignature,nonRepudiation"], check=True, capture_output=True)
    (ca / "serial").write_text("01\n")
    (ca / "conf").write_text(f"[tsa]\ndefault_tsa=x\n[x]\nserial={ca}/serial\ndefault_policy=1.2.3\ndigests=sha256\n"
                             "signer_digest=sha256\ness_cert_id_alg=sha256\n")
    head = (folder / "heads.log").read_text().splitlines()[3]
    size = re.search(r"size=(\d+)", head)[1]
    (folder / "tokens").mkdir()
    token = folder / f"tokens/{size}.tsr"

    def stamp(text):
        (ca / "data").write_text(text)
        subprocess.run(["openssl", "ts", "-query", "-data", ca / "data", "-sha256", "-cert", "-out", ca / "tsq"], check=True,
                       capture_output=True)
        subprocess.run(["openssl", "ts", "-reply", "-config", ca / "conf", "-queryfile", ca / "tsq", "-signer", ca / "pem",
                        "-inkey", ca / "key", "-out", token], check=True, capture_output=True)

    stamp(head)
    check("; 1 time-stamp tokens" in tool("verify", folder, "--tsa-ca", ca / "pem"))
    stamp(head + "x")  # of something else
    check(f"tokens/{size}.tsr: the time-stamp token does not hold" in tool("verify", folder, "--tsa-ca", ca / "pem", code=1))
    stamp(head)
    token.write_bytes(token.read_bytes()[:-9])
    tool("verify", folder, "--tsa-ca", ca / "pem", code=1)
    stamp(head)
    token.rename(folder / "tokens/999999999.tsr")
    check("no tree head of that size" in tool("verify", folder, "--tsa-ca", ca / "pem", code=1))
    shutil.rmtree(folder / "tokens")


def search_prints_the_lines_themselves(folder, lines):
    text = (folder / "log/00000000.log").read_text().splitlines()

    def expect(wanted, *arguments):
        found = tool("search", folder, "--limit", 0, *arguments).splitlines()
        check(found and found == [text[int(line["seq"]) - 1] for line in lines if wanted(line)], f"search {arguments}", len(found))

    some = next(line for line in lines if line["kind"] == "egress.request" and int(line["seq"]) > 900)
    expect(lambda line: line.get("person") == "shokuin0007", "--person", "shokuin0007")
    expect(lambda line: host_of(line) == host_of(some), "--host", host_of(some).upper())
    expect(lambda line: line.get("session") == some["session"], "--session", some["session"])
    expect(lambda line: line["kind"] == "login.failed", "--kind", "login.failed")
    day = when(some).astimezone(JAPAN).date()
    expect(lambda line: when(line).astimezone(JAPAN).date() == day, "--from", day, "--to", day + datetime.timedelta(days=1))
    expect(lambda line: line["kind"] == "egress.refused" and when(line).hour >= 0, "--kind", "egress.refused", "--from", "2026-01-01T00:00Z")
    said = subprocess.run([BUILD / "bin/garasu-audit", "search", folder, "--limit", "3"], capture_output=True, text=True)
    check(said.stdout.splitlines() == text[:3] and "more than these 3" in said.stderr, said)
    tool("search", folder, "--person", "nobody", code=1)
    tool("search", folder, "--kind", "unheard.of", code=2)
    # Where nothing can be written, and when the index is another's. Root writes everywhere, so somebody else asks.
    for file in [folder, *folder.rglob("*")]:
        file.chmod(0o555 if file.is_dir() else 0o444)
    (folder / "index.db").unlink()
    nobody = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "env", "ASAN_OPTIONS=detect_leaks=0",
                             BUILD / "bin/garasu-audit", "search", folder, "--person", "shokuin0007", "--limit", "0"],
                            capture_output=True, text=True)
    check(nobody.returncode == 0 and "index is temporary" in nobody.stderr, nobody.stderr)
    check(len(nobody.stdout.splitlines()) == sum(line.get("person") == "shokuin0007" for line in lines))
    folder.chmod(0o755)
    (folder / "index.db").write_bytes(b"no database" * 1000)
    expect(lambda line: line.get("person") == "shokuin0007", "--person", "shokuin0007")


def trace_names_person_terminal_and_factors(folder, lines):
    wanted = host_of(next(line for line in lines if line["kind"] == "egress.request" and int(line["seq"]) > 2000))
    expected = collections.OrderedDict()
    for line in lines:
        if host_of(line) == wanted:
            entry = expected.setdefault(line["session"], [0, 0])
            entry[0] += line["kind"] != "egress.end"
            entry[1] += int(line.get("down", 0))
    found = json.loads(tool("trace", folder, f"https://{wanted}:8443/some/page?x=1", "--json"))
    check([row["session"] for row in found] == list(expected), "trace: the sessions", found)
    for row in found:
        attach = next(line for line in lines if line["kind"] == "session.attach" and line["session"] == row["session"])
        check([row["requests"], row["down"]] == expected[row["session"]], "trace: the sums", row, expected[row["session"]])
        check((row["person"], row["terminal"], row["group"], row["factors"]) ==
              (attach["person"], attach["peer"], attach["group"], "certificate,password,code"), "trace: who", row)
    table = tool("trace", folder, wanted).splitlines()
    check(table[0] == f"{wanted}, times in JST (+0900)" and table[1].split() == "PERSON GROUP SESSION TERMINAL FACTORS FIRST LAST REQUESTS".split(), table)
    check(len(table) == 2 + len(expected) and found[0]["terminal"] in table[2], table)
    tool("trace", folder, "never.example", code=1)


def the_month_adds_up(folder, lines):
    groups, persons, seconds = {}, collections.defaultdict(set), collections.Counter()
    hosts, counts, open_since = collections.defaultdict(set), collections.Counter(), {}
    for line in lines:
        if when(line).astimezone(JAPAN).strftime("%Y-%m") != "2026-05":
            continue
        groups[line["person"]] = line.get("group") or groups.get(line["person"])
        group, kind = groups[line["person"]], line["kind"]
        if kind == "session.attach":
            persons[group].add(line["person"])
            open_since[line["connection"]] = when(line).replace(microsecond=0)
            counts[group, "attached"] += 1
        elif kind == "session.detach":
            seconds[group] += (when(line).replace(microsecond=0) - open_since.pop(line["connection"])).total_seconds()
        elif kind == "egress.request":
            hosts[group].add(host_of(line))
        counts[group, kind] += 1
    page = folder.parent / "report.html"
    tool("report", folder, "--month", "2026-05", "--html", page, "--csv", folder.parent / "report.csv")
    rows = list(csv.reader(io.StringIO((folder.parent / "report.csv").read_bytes().decode("utf-8-sig"))))
    check(rows[0] == "課 利用者数 利用時間（時間） 接続回数 接続先ホスト数 要求数 拒否数 ログイン失敗数".split(), rows[0])
    check({row[0] for row in rows[1:-1]} == set(persons) and rows[-1][0] == "合計", rows)
    for name, people, hours, attached, reached, requests, refused, failed in rows[1:-1]:
        check((int(people), int(attached), int(reached), int(requests), int(refused), int(failed)) ==
              (len(persons[name]), counts[name, "attached"], len(hosts[name]), counts[name, "egress.request"],
               counts[name, "egress.refused"], counts[name, "login.failed"]), "the report of", name)
        check(abs(float(hours) - seconds[name] / 3600) < 0.06, "hours of", name, hours, seconds[name] / 3600)
    check(int(rows[-1][4]) == len(set().union(*hosts.values())), "all hosts", rows[-1])
    check("インターネット利用状況" in page.read_text() and page.read_text().count("<tr>") == len(rows))
    tool("report", folder, "--month", "2026-13", code=2)


def proofs_prove_and_nothing_else_passes(folder, lines):
    key, proof = folder / "audit.pub", folder.parent / "proof"
    sizes = [int(size) for size in re.findall(r"size=(\d+)", (folder / "heads.log").read_text())]
    leaves = [hashlib.sha256(b"\0" + line.encode()).digest() for line in (folder / "log/00000000.log").read_text().splitlines()]

    def root(first, count):
        if count == 1:
            return leaves[first]
        split = 1 << (count - 1).bit_length() - 1
        return hashlib.sha256(b"\1" + root(first, split) + root(first + split, count - split)).digest()

    def path(index, first, count):  # RFC 9162 §2.1.3.1
        if count == 1:
            return []
        split = 1 << (count - 1).bit_length() - 1
        if index < split:
            return path(index, first, split) + [root(first + split, count - split)]
        return path(index - split, first + split, count - split) + [root(first, split)]

    for number, size in ((1, sizes[0]), (sizes[0], sizes[0]), (57, next(size for size in sizes if size > 60)), (sizes[-1], sizes[-1])):
        proof.write_text(tool("prove", folder, number, "--size", size))
        check(re.findall(r"^hash (\w+)", proof.read_text(), re.M) == [h.hex() for h in path(number - 1, 0, size)], "the path of", number)
        said = tool("check-proof", proof, "--key", key)
        check(f"stands at {number} of the {size} records" in said, said)
        good = proof.read_text()
        for wrong in (good.replace("person=shokuin", "person=shokuiN", 1), good.replace("hash ", "hash 0", 1),
                      good.replace("root=", "root=0", 1), good[:-66], good.replace("seq=", "seq=1", 1)):
            if wrong != good:
                proof.write_text(wrong)
                tool("check-proof", proof, "--key", key, code=1)
    for old, new in ((sizes[0], sizes[1]), (sizes[1], sizes[-1]), (sizes[2], sizes[2])):
        proof.write_text(tool("consistency", folder, old, new))
        check(f"the first {old} of the {new} records" in tool("check-proof", proof, "--key", key))
    proof.write_text(proof.read_text().replace(f"size={sizes[2]}", f"size={sizes[2] + 1}"))
    tool("check-proof", proof, "--key", key, code=1)
    check("there is no tree head of" in tool("consistency", folder, sizes[0], sizes[-1] - 1, code=1))
    tool("prove", folder, len(lines) + 1, code=1)


def everything_can_be_exported(folder, lines):
    numbers = {"seq", "mono", "container", "connection", "down", "up"}
    found = [json.loads(line) for line in tool("export", folder, "--format", "jsonl").splitlines()]
    check(found == [{name: int(value) if name in numbers else value for name, value in line.items()} for line in lines], "jsonl")
    found = tool("export", folder, "--format", "cef", "--kind", "login.failed").splitlines()
    check(len(found) == sum(line["kind"] == "login.failed" for line in lines), len(found))
    check(all(re.match(r"CEF:0\|Garasu\|garasu\|[\d.]+\|login\.failed\|", line) for line in found), found[:1])
    tool("export", folder, "--format", "xml", code=2)


def the_audit_process_prunes(folder, lines):
    """More than a segment, written before; the process goes on with it, prunes, and all still holds."""
    shutil.rmtree(folder)
    generate(folder, 34000)
    old_key = folder.parent / "old.pub"
    (folder / "audit.pub").rename(old_key)
    broker = Folder()
    try:
        check(Child("garasu-audit", broker.config).stop() == 0)
        owner = os.stat(broker.audit)  # the process's own user
        shutil.rmtree(broker.audit)
        shutil.copytree(folder, broker.audit)
        for file in pathlib.Path(broker.audit).rglob("*"):
            os.chown(file, owner.st_uid, owner.st_gid)
        audit = Child("garasu-audit", broker.config)
        before = Record(broker.audit).lines()
        check(len(before) > 65536, len(before))
        audit.control.send(MESSAGE.pack(TYPES["PRUNE"], REASONS["NONE"], 0, 0, 0, 5, 0, 86400 * 30, b"", b"kansa", b"egress", "保存期間満了".encode()))
        answer = audit.expect("PRUNED", "NONE", 120)
        check(answer.number == 5 and re.fullmatch(r"\d+ records in 1 segments were pruned", answer.text), answer)
        check(audit.stop() == 0, audit.said())
        pruned = int(answer.text.split()[0])
        check(pruned == sum(line["kind"].startswith("egress.") for line in before[:65536]), pruned)
        said = tool("verify", broker.audit, "--key", old_key, "--key", broker.path + "/audit.pub")
        check(f"{pruned} of them pruned" in said, said)
        after = [values(line) for line in Record(broker.audit).lines()]
        mine = [line for line in after if line.get("kind") == "prune"]
        check([(line["actor"], line["target"]) for line in mine] == [("kansa", "egress")] and
              mine[0]["detail"].endswith(f" count={pruned}: 保存期間満了"), mine)
        # The index knows the new places.
        person = next(line["person"] for line in after if line.get("kind") == "session.start" and int(line["seq"]) > 30000)
        found = tool("search", broker.audit, "--person", person, "--limit", 0).splitlines()
        check([int(line.split()[0][4:]) for line in found] == [int(line["seq"]) for line in after if line.get("person") == person], len(found))
        # A line taken out without a record of it.
        segment = pathlib.Path(broker.audit) / "log/00000001.log"
        first, rest = segment.read_bytes().split(b"\n", 1)
        leaf = hashlib.sha256(b"\0" + first).hexdigest().encode()
        segment.write_bytes(b"seq=65537 pruned=egress.request leaf=" + leaf + b"\n" + rest)
        check("record 65537: it was pruned, but no later prune record says so" in tool("verify", broker.audit, code=1))
    finally:
        broker.remove()


TESTS = [it_verifies_and_names_what_does_not_hold, time_stamps_are_checked, search_prints_the_lines_themselves,
         trace_names_person_terminal_and_factors, the_month_adds_up, proofs_prove_and_nothing_else_passes,
         everything_can_be_exported, the_audit_process_prunes]


def main():
    with tempfile.TemporaryDirectory(prefix="garasu-test-") as place:
        os.chmod(place, 0o755)
        folder = pathlib.Path(place) / "audit"
        generate(folder, 3000)
        lines = [values(line) for line in Record(folder).lines()]
        for test in TESTS:
            print(f"== {test.__name__}", flush=True)
            test(folder, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
