#!/usr/bin/env python3
"""T45: SIGKILL of one process of a running broker, at some moment of a person's session, again and again.

Which process, which step and how long after it is drawn from a seed. After each: nothing of it is left, the record verifies
and tells of every session's end, and the next person browses. GARASU_SEEDS=100 for more than the few of a test run.
"""
import os
import pathlib
import random
import signal
import sys
import time
import unittest

sys.dont_write_bytecode = True
import garasu  # noqa: E402
from garasu import wait_for  # noqa: E402

SEEDS = int(os.environ.get("GARASU_SEEDS", 6))
STEPS = ("connecting", "first frame", "browsing", "leaving")
SUPERVISOR = "garasu-broker"


def command(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def children(pid):
    try:
        return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Kill(unittest.TestCase):
    def setUp(self):
        self.site = garasu.site()
        self.broker = garasu.Broker(self.site.url, allow=[f"127.0.0.1:{self.site.server_port}"])
        self.broker.start()

    def tearDown(self):
        self.broker.finish()

    def victims(self):
        """{name: pid} of every process that there is now: the broker's, the container's first and its browser."""
        found = {SUPERVISOR: self.broker.process.pid}
        for pid in children(self.broker.process.pid):
            words = command(pid).split()
            if words:
                found[os.path.basename(words[0])] = pid
        for pid, line in garasu.container_processes().items():
            for name in ("garasu-agent", "chromium", "Xvfb"):
                if name in line.split(" ")[0]:
                    found.setdefault(name, pid)
        return found

    def browse(self, until=None):
        """A person's session as far as until; the viewer, or None when it ended before."""
        viewer = self.broker.viewer("hanako")
        try:
            if until != "connecting":
                viewer("wait-first-frame")
            if until in (None, "browsing", "leaving"):
                viewer("key Alt_L+Home")
                viewer("wait-idle 300")
            if until == "leaving":
                viewer("quit")
        except AssertionError:
            viewer.close()
            return None
        return viewer

    def one(self, seed):
        chance = random.Random(seed)
        step, wait = chance.choice(STEPS), chance.random() * 0.3
        viewer = self.browse(step)
        time.sleep(wait)
        victims = self.victims()
        name = chance.choice(sorted(victims))
        print(f"  seed {seed}: {name} killed {wait * 1000:.0f} ms after {step}", flush=True)
        os.kill(victims[name], signal.SIGKILL)
        if name == SUPERVISOR:
            self.broker.process.wait()
            wait_for("the broker's processes to follow it", lambda: not garasu.processes(self.broker.UID_BASE, 16384))
            self.broker.process.stdout.close()
            self.broker.log.close()
            self.broker.verify()
            self.broker.start()
        if viewer:
            viewer.close()
        again = wait_for("another session", self.browse)
        again("quit")
        self.assertEqual(again.wait(), 0)
        again.close()

    def test_seeds(self):
        for seed in range(SEEDS):
            with self.subTest(seed=seed):
                self.one(seed)
        self.assertEqual(self.broker.stop(), 0)
        self.broker.verify()
        open_sessions = {}
        for record in self.broker.audit():
            if record["kind"] == "broker.start":
                open_sessions.clear()  # the broker was killed: it says so by starting without having stopped
            elif record["kind"] == "session.start":
                self.assertNotIn(record["session"], open_sessions)
                open_sessions[record["session"]] = record["seq"]
            elif record["kind"] == "session.end":
                open_sessions.pop(record["session"])
        self.assertEqual(open_sessions, {})
        self.broker.start()  # tearDown looks at how it ends


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("kill: skipped: needs root")
        sys.exit(77)
    unittest.main(verbosity=2)
