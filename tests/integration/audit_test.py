#!/usr/bin/env python3
"""garasu-audit as its own process: acknowledged events are in the record, whatever happens to the disk or the process.

This program plays the supervisor and the sources. egress_test.py uses the classes here too.
"""
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import supervise  # noqa: E402
from supervise import check, numbers  # noqa: E402

VERIFY = str(supervise.BUILD / "bin/garasu-audit-verify")

KINDS = numbers("broker/audit/audit.h", "gr_audit_kind", "GR_AUDIT_")
SOURCES = numbers("broker/audit/audit.h", "gr_audit_source", "GR_AUDIT_SOURCE_")
SUPERVISOR, EGRESS = SOURCES["SUPERVISOR"], SOURCES["EGRESS"]
EVENT = struct.Struct("=IIQQIIQQ40s64s320s256s")  # struct gr_audit_event
ACKNOWLEDGEMENT = struct.Struct("=QQ")  # struct gr_audit_acknowledgement


def event(kind, token, detail="", **more):
    return EVENT.pack(KINDS.get(kind, kind), 0, token, more.get("session", 0), 0, 0, 0, 0, more.get("person", "").encode(),
                      b"", b"", detail.encode())


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
        self.log = self.audit + "/audit.log"
        self.config = self.path + "/garasu.conf"
        self.configure(more)

    def configure(self, more):
        with open(self.config, "w") as out:
            out.write(f'audit {{\n directory = "{self.audit}"\n}}\nbroker {{\n run_directory = "{self.path}"\n}}\n{more}')

    def lines(self):
        """The record as a list of dictionaries."""
        with open(self.log, encoding="utf-8") as record:
            return [dict(field.split("=", 1) for field in line.split()) for line in record]

    def verify(self, *more):
        return subprocess.run([VERIFY, self.log, *more], capture_output=True, text=True)

    def remove(self):
        for child in Child.started:
            child.kill()
        Child.started.clear()
        subprocess.run(["umount", "-q", self.audit], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.path)


def acknowledgements(sock, n):
    return [ACKNOWLEDGEMENT.unpack(sock.recv(64)) for _ in range(n)]


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
    time.sleep(0.3)
    switches = audit.switches()
    time.sleep(2)
    check(audit.switches() == switches, "an idle audit process wakes up")
    audit.signal(signal.SIGTERM)
    a.send(event("BROKER_START", 0))
    check(audit.stop() == 0, audit.said())
    lines = folder.lines()
    check(len(lines) == 2201 and lines[-1]["kind"] == "broker.start", "the last event was lost")
    check({line["detail"] for line in lines if line["kind"] == "session.start" and "detail" in line} == {"改行%0Aと%25"}, "escaping")
    check(os.stat(folder.log).st_mode & 0o777 == 0o600 and os.stat(folder.audit).st_mode & 0o777 == 0o700, "modes")
    result = folder.verify("--head", lines[1000]["hash"])
    check(result.returncode == 0 and result.stdout.startswith(f"2201 records, last hash {lines[-1]['hash']}, from 2"), result)
    check(folder.verify("--head", "0" * 63 + "1").returncode == 1, "a head that never was")
    check(folder.verify("--head", "xyz").returncode == 2 and subprocess.run([VERIFY], capture_output=True).returncode == 2, "usage")


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
    check(acknowledgements(good, 1) == [(7, 7)], "another peer goes on")
    lines = folder.lines()
    check([line["kind"] for line in lines] == ["fault"] * 6 + ["broker.start"], lines)
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
                    answered, sequence = ACKNOWLEDGEMENT.unpack(peer.recv(64))
                    check(sequence, "refused without a reason")
                    known[sequence] = answered
            except BlockingIOError:
                pass
        audit.kill()
        try:
            while (packet := peer.recv(64)):
                answered, sequence = ACKNOWLEDGEMENT.unpack(packet)
                known[sequence] = answered
        except OSError:
            pass
        peer.close()
    audit = Child("garasu-audit", folder.config)
    audit.stop()
    lines = {int(line["seq"]): line for line in folder.lines()}
    check(folder.verify().returncode == 0, folder.verify().stderr)
    check(len(known) > 100, "too few events to say anything")
    for sequence, token in known.items():
        check(lines[sequence].get("detail") == str(token), f"seed {seed}: acknowledged event {sequence} is not in the record")
    print(f"   {len(known)} acknowledged of {len(lines)} recorded, 12 kills, seed {seed}")


def a_full_disk_refuses_and_recovers(folder):
    os.mkdir(folder.audit)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder.audit], check=True)
    audit = Child("garasu-audit", folder.config)
    peer = audit.peer(number=SUPERVISOR)
    good, refused = 0, 0
    for turn in range(100):
        for i in range(10):
            peer.send(event("SESSION_START", 1, detail="x" * 200))
        results = [sequence for _, sequence in acknowledgements(peer, 10)]
        good += len([s for s in results if s])
        refused += results.count(0)
        if refused > 50:
            break
    check(good > 10 and refused > 50, f"{good} {refused}")
    check(folder.verify().returncode == 0 and len(folder.lines()) == good, "a refused event left a trace")
    check(1 <= audit.said().count("No space left") <= 10, audit.said())  # a smaller batch may still have fitted
    # Room again; the sequence goes on without a hole.
    subprocess.run(["mount", "-o", "remount,size=1m", folder.audit], check=True)
    peer.send(event("SESSION_START", 5))
    check(acknowledgements(peer, 1) == [(5, good + 1)], "it does not work again")
    audit.stop()
    check(folder.verify().returncode == 0 and len(folder.lines()) == good + 1, "the chain")


def torn_and_broken_records_are_told_apart(folder):
    audit = Child("garasu-audit", folder.config)
    peer = audit.peer(number=SUPERVISOR)
    for i in range(5):
        peer.send(event("SESSION_START", i + 1))
    acknowledgements(peer, 5)
    audit.stop()
    with open(folder.log, "ab") as record:
        record.write(b"seq=6 time=20\0\0\0")
    result = folder.verify()
    check(result.returncode == 1 and "line 6: it is torn: 16 bytes" in result.stderr, result.stderr)
    audit = Child("garasu-audit", folder.config)
    audit.stop()
    lines = folder.lines()
    check(len(lines) == 6 and lines[5]["kind"] == "fault" and "torn%20line%20of%2016%20bytes" in lines[5]["detail"], lines[-1])
    torn = [name for name in os.listdir(folder.audit) if ".torn-" in name]
    with open(f"{folder.audit}/{torn[0]}", "rb") as aside:
        check(aside.read() == b"seq=6 time=20\0\0\0", "the torn bytes")
    with open(folder.log, "r+b") as record:
        text = record.read()
        record.seek(text.index(b"kind=session.start", text.index(b"\n")) + 6)
        record.write(b"S")
    before = open(folder.log, "rb").read()
    audit = Child("garasu-audit", folder.config, ready=False)
    check(audit.exit_status(10) == 1, "a broken chain was accepted")
    check("audit.log: line 2: " in audit.said() and "keep the file as evidence" in audit.said(), audit.said())
    check(open(folder.log, "rb").read() == before, "a broken record was touched")


def main():
    if os.geteuid() != 0:
        print("audit_test: skipped: needs root (user ids, tmpfs)")
        return 77
    tests = [events_of_two_sources_are_acknowledged_and_chained, a_source_may_send_only_its_kinds, a_second_process_is_refused,
             what_was_acknowledged_survives_kill_9, a_full_disk_refuses_and_recovers, torn_and_broken_records_are_told_apart]
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
