#!/usr/bin/env python3
"""How many events the audit process takes with everything durable: tests/bench/audit.py [RATE [SECONDS [FOLDER]]]

The real process, with the supervisor's and egress's sockets: RATE events a second (5,000) for SECONDS (20), every one waiting for
its acknowledgement as a request does; then as many as it takes. The record lies in FOLDER (a temporary one), which should
be on the disk in question. Then how long it takes to start on that record. GARASU_BUILD: a release build.
"""
import os
import pathlib
import select
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from audit_test import ACKNOWLEDGEMENT, EGRESS, KEPT, SUPERVISOR, Child, Folder, event  # noqa: E402

IN_FLIGHT = 512  # of each source, when there is no rate


def load(sources, seconds, rate=None):
    """Events for so long; how many a second were acknowledged, and how long each waited."""
    waits, begin = [], time.monotonic()
    token = 0
    for _, sock in sources:
        sock.setblocking(False)
    pending = {sock: {} for _, sock in sources}
    packets = {kind: event(kind, 0, person="hanako", session=0x0123456789abcdef, detail="host=www.example.jp port=443", permit=1)
               for kind, _ in sources}
    while True:
        now = time.monotonic()
        over = now - begin >= seconds
        if over and not any(pending.values()):
            break
        due = int((now - begin) * rate) - token if rate else IN_FLIGHT
        for kind, sock in sources:
            room = 0 if over else min(IN_FLIGHT - len(pending[sock]), due // len(sources) + 1 if rate and due > 0 else due)
            for _ in range(room):
                packet = packets[kind][:8] + (token + 1).to_bytes(8, "little") + packets[kind][16:]
                try:
                    sock.send(packet)
                except BlockingIOError:
                    break
                token += 1
                pending[sock][token] = time.monotonic()
        ready, _, _ = select.select([sock for _, sock in sources], [], [], 0.0005)
        for sock in ready:
            try:
                while True:
                    number, sequence, *_ = ACKNOWLEDGEMENT.unpack(sock.recv(64))
                    if number:
                        assert sequence and sequence != KEPT, "an event was refused"
                        waits.append(time.monotonic() - pending[sock].pop(number))
            except BlockingIOError:
                pass
    return len(waits) / (time.monotonic() - begin), sorted(waits)


def show(name, result):
    rate, waits = result
    at = lambda p: waits[min(len(waits) - 1, int(len(waits) * p))] * 1e3
    print(f"{name}: {rate:,.0f} events/s, n={len(waits)}, acknowledged after p50 {at(.5):.2f} p95 {at(.95):.2f} p99 {at(.99):.2f} "
          f"max {waits[-1] * 1e3:.1f} ms", flush=True)
    return rate


def main():
    rate = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 20
    if len(sys.argv) > 3:
        tempfile.tempdir = sys.argv[3]
    folder = Folder()
    try:
        audit = Child("garasu-audit", folder.config)
        sources = [("SESSION_START", audit.peer(number=SUPERVISOR)), ("EGRESS_REQUEST", audit.peer(number=EGRESS))]
        sustained = show(f"{rate:,} events/s offered", load(sources, seconds, rate))
        show("as many as it takes", load(sources, seconds / 2))
        ticks = sum(int(x) for x in pathlib.Path(f"/proc/{audit.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])
        print(f"the process took {ticks / os.sysconf('SC_CLK_TCK'):.1f} s of one core in all")
        audit.stop()
        begin = time.monotonic()
        again = Child("garasu-audit", folder.config)
        took = time.monotonic() - begin
        again.stop()
        count, heads = folder.record.verify()
        print(f"started again in {took:.2f} s on {count:,} records, all of which hold, with {heads} heads")
    finally:
        folder.remove()
    return 0 if sustained > 0.99 * rate else 1


if __name__ == "__main__":
    sys.exit(main())
