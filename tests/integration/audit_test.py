#!/usr/bin/env python3
"""garasu-audit as its own process: acknowledged events are in the record, whatever happens to the disk or the process.

This program plays the supervisor and the sources. egress_test.py uses the classes here too.
"""
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import supervise  # noqa: E402
from record import Broken, Record  # noqa: E402
from supervise import check, numbers  # noqa: E402

KINDS = numbers("broker/audit/audit.h", "gr_audit_kind", "GR_AUDIT_")
SOURCES = numbers("broker/audit/audit.h", "gr_audit_source", "GR_AUDIT_SOURCE_")
SUPERVISOR, EGRESS = SOURCES["SUPERVISOR"], SOURCES["EGRESS"]
EVENT = struct.Struct("=IIQQIIIIQQ40s104s40s64s320s256s")  # struct gr_audit_event
ACKNOWLEDGEMENT = struct.Struct("=QQIIII")  # struct gr_audit_acknowledgement
KEPT = 2**64 - 1  # GR_AUDIT_KEPT
WRITABLE, UNWRITABLE, UNSIGNED = range(3)  # enum gr_audit_state


def event(kind, token, detail="", **more):
    return EVENT.pack(KINDS.get(kind, kind), 0, token, more.get("session", 0), 0, 0, more.get("permit", 0), 0, 0, 0,
                      more.get("person", "").encode(), b"", b"", b"", b"", detail.encode())


class Child(supervise.Child):
    """One of the broker's processes, and what it says on stderr."""

    started = []  # all of the present test

    def __init__(self, name, config, prelude="", ready=True):
        """prelude: shell commands before it, in a mount namespace of their own."""
        self.errors = tempfile.TemporaryFile()
        wrap = ["unshare", "-m", "bash", "-c", prelude + ' exec "$0" "$@"'] if prelude else []
        super().__init__(name, config, stderr=self.errors.fileno(), wrap=wrap)
        Child.started.append(self)
        if ready:
            answer = self.receive(30)
            check(answer and answer.type == "READY", f"{name} is not ready: {self.said()}")

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def switches(self):
        with open(f"/proc/{self.pid}/status") as status:
            return sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)


class Folder:
    """A place with a configuration file, removed at the end."""

    def __init__(self, more=""):
        self.path = tempfile.mkdtemp(prefix="garasu-test-")
        os.chmod(self.path, 0o755)
        os.mkdir(self.path + "/empty")
        self.audit = self.path + "/audit"
        self.log = self.audit + "/log/00000000.log"
        self.record = Record(self.audit)
        self.key = self.path + "/audit.key"
        self.config = self.path + "/garasu.conf"
        subprocess.run([supervise.SOURCE / "certs/garasu-ca", "audit-key", self.key], check=True, stdout=subprocess.DEVNULL)
        self.configure(more)

    def configure(self, more):
        with open(self.config, "w") as out:
            out.write(f'audit {{\n directory = "{self.audit}"\n signing_key = "{self.key}"\n}}\nbroker {{\n run_directory = "{self.path}"\n}}\n{more}')

    def lines(self):
        """The record as a list of dictionaries."""
        return self.record.lines()

    def verify(self):
        """How many records and heads there are, all checked."""
        return self.record.verify(self.path + "/audit.pub")

    def remove(self):
        for child in Child.started:
            child.kill()
        Child.started.clear()
        subprocess.run(["umount", "-q", self.audit], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.path)


def acknowledgements(sock, n):
    """[(token, sequence)] of n; what only tells the state is left out."""
    result = []
    while len(result) < n:
        token, sequence, *_ = ACKNOWLEDGEMENT.unpack(sock.recv(64))
        if token:
            result.append((token, sequence))
    return result


# ---- the tests ----


def events_of_two_sources_are_acknowledged_and_chained(folder):
    audit = Child("garasu-audit", folder.config)
    a, b = audit.peer(number=SUPERVISOR), audit.peer(number=EGRESS)
    seen = {}
    started, waits = time.monotonic(), []
    for turn in range(100):
        for i in range(10):
            a.send(event("SESSION_START", turn * 10 + i + 1, detail="改行\nと%"))
            b.send(event("EGRESS_REQUEST", turn * 10 + i + 1))
        for sock in (a, b):
            for token, sequence in acknowledgements(sock, 10):
                check(turn * 10 < token <= turn * 10 + 10 and sequence, "an acknowledgement is wrong")
                check(sequence not in seen, "a sequence number twice")
                seen[sequence] = token
    rate = 2000 / (time.monotonic() - started)
    for i in range(200):
        before = time.monotonic()
        a.send(event("SESSION_START", 5000 + i))
        acknowledgements(a, 1)
        waits.append(time.monotonic() - before)
    waits.sort()
    print(f"   {rate:.0f} events/s in groups of 20; alone p50 {waits[100] * 1e3:.2f} ms, p95 {waits[190] * 1e3:.2f} ms")
    time.sleep(2)  # the index follows within a second
    switches = audit.switches()
    time.sleep(2)
    check(audit.switches() == switches, "an idle audit process wakes up")
    audit.signal(signal.SIGTERM)
    a.send(event("BROKER_START", 0))
    check(audit.stop() == 0, audit.said())
    with sqlite3.connect(f"{folder.audit}/index.db") as index:
        count = index.execute("SELECT count(*) FROM record").fetchone()[0]
        check(count > 2000, "the index lacks records", count, audit.said())
    lines = folder.lines()
    check(len(lines) == 2202 and lines[0]["kind"] == "key" and lines[-1]["kind"] == "broker.start", "the last event was lost")
    check({line["detail"] for line in lines if line["kind"] == "session.start" and "detail" in line} == {"改行%0Aと%25"}, "escaping")
    check(os.stat(folder.log).st_mode & 0o777 == 0o640 and os.stat(folder.audit).st_mode & 0o7777 == 0o2710, "modes")
    count, heads = folder.verify()
    check(count == 2202 and 3 <= heads <= 4, "a head after each 1,000 records and one at the end", count, heads)
    check(int(folder.record.heads()[-1][1]) == 2202, "the last head is not over everything")


def a_source_may_send_only_its_kinds(folder):
    audit = Child("garasu-audit", folder.config)
    for packet in (event("FAULT", 1), event("EGRESS_REQUEST", 1)[:-1], event(99, 1), event(0, 1), event("EGRESS_REQUEST", 1)[:-1] + b"x",
                   event("EGRESS_REQUEST", 1) + b"x"):
        if packet[-1:] == b"x" and len(packet) == EVENT.size:
            packet = packet[:-256] + b"x" * 256
        peer = audit.peer(number=EGRESS)
        peer.send(packet)
        check(peer.recv(64) == b"", "a peer that breaks the rules is closed")
    good = audit.peer(number=SUPERVISOR)
    good.send(event("BROKER_START", 7))
    check(acknowledgements(good, 1) == [(7, 8)], "another peer goes on")
    lines = folder.lines()
    check([line["kind"] for line in lines] == ["key"] + ["fault"] * 6 + ["broker.start"], lines)
    audit.peer(number=9)
    check(audit.exit_status(10) == 1, "an unknown source")


def a_second_process_is_refused(folder):
    audit = Child("garasu-audit", folder.config)
    other = Child("garasu-audit", folder.config, ready=False)
    check(other.exit_status(10) == 1 and "another garasu-audit is running" in other.said(), other.said())
    audit.stop()


def what_was_acknowledged_survives_kill_9(folder):
    seed = int(os.environ.get("GARASU_SEED", "1"))
    chance = random.Random(seed)
    known = {}
    for turn in range(12):
        audit = Child("garasu-audit", folder.config)
        peer = audit.peer(number=SUPERVISOR)
        peer.setblocking(False)
        stop = time.monotonic() + chance.uniform(0.005, 0.1)
        token = turn * 1000000
        while time.monotonic() < stop:
            try:
                token += 1
                peer.send(event("SESSION_START", token, detail=str(token)))
            except BlockingIOError:
                token -= 1
            try:
                while True:
                    answered, sequence, *_ = ACKNOWLEDGEMENT.unpack(peer.recv(64))
                    check(sequence, "refused without a reason")
                    known[sequence] = answered
            except BlockingIOError:
                pass
        audit.kill()
        try:
            while (packet := peer.recv(64)):
                answered, sequence, *_ = ACKNOWLEDGEMENT.unpack(packet)
                known[sequence] = answered
        except OSError:
            pass
        peer.close()
    audit = Child("garasu-audit", folder.config)
    audit.stop()
    lines = {int(line["seq"]): line for line in folder.lines()}
    folder.verify()
    check(len(known) > 100, "too few events to say anything")
    for sequence, token in known.items():
        check(lines[sequence].get("detail") == str(token), f"seed {seed}: acknowledged event {sequence} is not in the record")
    print(f"   {len(known)} acknowledged of {len(lines)} recorded, 12 kills, seed {seed}")


def a_full_disk_refuses_and_keeps(folder):
    """What permits something is refused, the rest waits in the reserve, through a kill, until there is room."""
    os.mkdir(folder.audit)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8500k", "tmpfs", folder.audit], check=True)  # the reserve has 8 MiB of it
    audit = Child("garasu-audit", folder.config)
    peer = audit.peer(number=SUPERVISOR)
    good, kept, refused = [], [], 0
    for turn in range(300):
        for i in range(10):
            token = turn * 10 + i + 1
            peer.send(event("SESSION_START", token, detail=f"{token}:" + "x" * 200, permit=i % 2))
        for token, sequence in acknowledgements(peer, 10):
            if sequence == KEPT:
                check(token % 2 == 1, "an event that permits something was kept")
                kept.append(token)
            elif sequence:
                good.append(token)
            else:
                refused += 1
        if refused > 50:
            break
    check(len(good) > 100 and len(kept) > 40 and refused > 50, len(good), len(kept), refused)
    there = {int(line["detail"].split(":")[0]) for line in folder.lines() if line["kind"] == "session.start"}
    check(set(good) <= there <= set(good + kept), "a refused event left a trace")
    check(1 <= audit.said().count("No space left") <= 10, audit.said())  # a smaller batch may still have fitted
    peer.send(event("SESSION_START", 9001, permit=1))
    token = 0
    while not token:
        token, sequence, state, cause, waiting, _ = ACKNOWLEDGEMENT.unpack(peer.recv(64))
    check((token, sequence, state, cause) == (9001, 0, UNWRITABLE, 28) and 0 < waiting, "the state", state, cause, waiting)
    audit.kill()
    audit = Child("garasu-audit", folder.config)
    peer = audit.peer(number=SUPERVISOR)
    check(ACKNOWLEDGEMENT.unpack(peer.recv(64))[:4] == (0, 0, UNWRITABLE, 28), "whoever comes is told")
    peer.send(event("SESSION_START", 9002, permit=1))
    check(acknowledgements(peer, 1) == [(9002, 0)], "the disk is still full")
    # Room again: it is found by itself, and told.
    subprocess.run(["mount", "-o", "remount,size=20m", folder.audit], check=True)
    while ACKNOWLEDGEMENT.unpack(peer.recv(64))[2] != WRITABLE:
        pass
    peer.send(event("SESSION_START", 9003, permit=1, detail="last:"))
    check(acknowledgements(peer, 1)[0][1], "it does not work again")
    check(audit.stop() == 0, audit.said())
    folder.verify()
    told = [line["detail"].split(":")[0] for line in folder.lines() if line["kind"] == "session.start"]
    check(told == [str(token) for token in sorted(good + kept)] + ["last"], "what was kept is not there, or not in its order")
    faults = [line["detail"] for line in folder.lines() if line["kind"] == "fault"]
    check(any("could%20not%20be%20written" in fault for fault in faults) and "written%20again" in faults[-1], faults)


def torn_and_broken_records_are_told_apart(folder):
    audit = Child("garasu-audit", folder.config)
    peer = audit.peer(number=SUPERVISOR)
    for i in range(5):
        peer.send(event("SESSION_START", i + 1))
    acknowledgements(peer, 5)
    audit.stop()
    with open(folder.log, "ab") as record:
        record.write(b"seq=6 time=20\0\0\0")
    audit = Child("garasu-audit", folder.config)
    audit.stop()
    lines = folder.lines()
    check(len(lines) == 8 and lines[6]["kind"] == "fault" and "torn%20end%20of%2016%20bytes" in lines[6]["detail"], lines[-2:])
    folder.verify()
    torn = [name for name in os.listdir(folder.audit + "/log") if ".torn-" in name]
    with open(f"{folder.audit}/log/{torn[0]}", "rb") as aside:
        check(aside.read() == b"seq=6 time=20\0\0\0", "the torn bytes")
    with open(folder.log, "r+b") as record:
        text = record.read()
        record.seek(text.index(b"kind=session.start", text.index(b"seq=3 ")) + 6)
        record.write(b"S")
    broken = refuses_to_start(folder, "00000000.log: line with seq 4: it does not follow the line before")
    try:
        folder.verify()
        check(False, "our own check does not see it")
    except Broken:
        pass
    check(open(folder.log, "rb").read() == broken, "a broken record was touched")


def refuses_to_start(folder, why):
    before = open(folder.log, "rb").read()
    audit = Child("garasu-audit", folder.config, ready=False)
    check(audit.exit_status(10) == 1, "a broken record was accepted")
    check(why in audit.said() and "keep the folder as evidence" in audit.said(), audit.said())
    return before


def an_older_copy_put_back_is_refused(folder):
    """A head is over more than the copy has; the chain in it holds."""
    audit = Child("garasu-audit", folder.config)
    peer = audit.peer(number=SUPERVISOR)
    peer.send(event("SESSION_START", 1))
    acknowledgements(peer, 1)
    older = open(folder.log, "rb").read()
    peer.send(event("SESSION_START", 2))
    acknowledgements(peer, 1)
    audit.stop()
    newer = open(folder.log, "rb").read()
    with open(folder.log, "wb") as record:
        record.write(older)
    refuses_to_start(folder, "the record ends with seq 2, but 3 were signed at 2")
    with open(folder.log, "wb") as record:
        record.write(newer)
    Child("garasu-audit", folder.config).stop()


def without_its_key_it_does_not_start(folder):
    def refused(why):
        audit = Child("garasu-audit", folder.config, ready=False)
        check(audit.exit_status(10) == 1 and why in audit.said(), audit.said())
    os.chmod(folder.key, 0o644)
    refused("others may read")
    os.rename(folder.key, folder.key + ".away")
    refused("garasu-ca audit-key")
    subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-out", folder.key], check=True)
    os.chmod(folder.key, 0o600)
    refused("is no unencrypted Ed25519 key")


def a_head_is_made_within_a_minute(folder):
    """GARASU_SLOW=1: it takes that minute."""
    audit = Child("garasu-audit", folder.config)
    began = time.monotonic()
    while not folder.record.heads() and time.monotonic() < began + 90:
        time.sleep(0.5)
    took = time.monotonic() - began
    check([head[1] for head in folder.record.heads()] == ["1"] and 55 < took < 90, "the first head", took)
    switches = audit.switches()
    time.sleep(3)
    check(audit.switches() == switches, "it wakes up with nothing to sign")
    audit.stop()
    check(folder.verify() == (1, 1), "one head is enough")


def main():
    if os.geteuid() != 0:
        print("audit_test: skipped: needs root (user ids, tmpfs)")
        return 77
    tests = [events_of_two_sources_are_acknowledged_and_chained, a_source_may_send_only_its_kinds, a_second_process_is_refused,
             what_was_acknowledged_survives_kill_9, a_full_disk_refuses_and_keeps, torn_and_broken_records_are_told_apart,
             an_older_copy_put_back_is_refused, without_its_key_it_does_not_start]
    if os.environ.get("GARASU_SLOW"):
        tests.append(a_head_is_made_within_a_minute)
    for test in tests:
        folder = Folder()
        try:
            test(folder)
        finally:
            folder.remove()
        print(f"ok {test.__name__}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
