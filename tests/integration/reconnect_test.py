#!/usr/bin/env python3
"""The viewer comes back by itself: real broker, container and window; the network is cut by a relay and by a network namespace.

Needs root, Xvfb and a sandbox image (GARASU_IMAGES). GARASU_PICTURES=FOLDER keeps what the window showed while it waited.
"""
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import garasu
from garasu import wait_for
from viewer_test import BAR, BORDER, Window

GRACE = 20
ON_CLOSE_RESET = struct.pack("ii", 1, 0)


class Relay:
    """Between viewer and broker: passes on, or not."""

    def __init__(self, port):
        self.to, self.pairs, self.kept = port, [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, args=(self.listener,), daemon=True).start()

    def run(self, listener):
        while True:
            try:
                ours, _ = listener.accept()
            except OSError:
                return
            try:
                theirs = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                ours.close()
                continue
            pair = [ours, theirs, None]
            self.pairs.append(pair)
            threading.Thread(target=self.pump, args=(pair,), daemon=True).start()

    def pump(self, pair):
        ours, theirs, _ = pair
        try:
            while not pair[2]:  # a socket that is closed while select(2) looks at it is not closed
                for one in select.select([ours, theirs], [], [], 0.02)[0]:
                    data = one.recv(65536)
                    if not data:
                        return
                    (theirs if one is ours else ours).sendall(data)
        except OSError:
            pass
        finally:
            for one in (ours,) if pair[2] == "half" else (ours, theirs):
                if pair[2] and pair[2] != "end":
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ON_CLOSE_RESET)
                one.close()
            if pair[2] == "half":
                self.kept.append(theirs)

    def cut(self, how="reset"):
        """Ends what there is: "reset", "end", or "half": the broker believes that its viewer is still there."""
        for pair in self.pairs:
            pair[2] = how
        self.pairs = []

    def refuse(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # which also ends the accept(2) of the thread
        self.listener.close()
        self.cut()

    def listen(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.run, args=(self.listener,), daemon=True).start()

    def close(self):
        if self.listener.fileno() >= 0:
            self.refuse()
        for one in self.kept:
            one.close()


class Reconnect(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = garasu.site()
        cls.broker = garasu.Broker(cls.site.url, allow=[f"127.0.0.1:{cls.site.server_port}"], pool={"warm": 1},
                                   session={"home_url": cls.site.url, "grace_seconds": GRACE}, listen={"address": "0.0.0.0", "failures_per_minute": 0},
                                   identity={"password": "local", "code": "none"}).start()
        cls.password = {p: json.loads(cls.broker.ctl("--json", "user", "add", p, "--reason", "test").stdout)["password"] for p in ("hanako", "taro")}

    @classmethod
    def tearDownClass(cls):
        cls.broker.finish()

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="garasu-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.site.events.clear()
        self.relay = Relay(self.broker.port)
        self.addCleanup(self.relay.close)
        self.port = self.relay.port

    # -- what the test sees

    def options(self):
        return [*self.broker.person(self.person), "--factors", self.factors(), "--size", "1000x700"]

    def factors(self):
        file = self.folder / "factors"
        file.write_text(self.password[self.person] + "\n")
        file.chmod(0o600)
        return file

    def recorded(self, kind):
        return [r for r in self.broker.audit() if r["kind"] == kind and r.get("person") == self.person]

    def value(self, field):
        return next((e["value"] for e in reversed(self.site.events) if e["type"] == "input" and e["id"] == field), "")

    def window(self, person="hanako"):
        self.person = person
        window = Window(self, self, 1100, 800)
        report = wait_for("the page", lambda: next((e for e in self.site.events if e["type"] == "load" and e["path"] == "/"), None))
        self.loads = len([e for e in self.site.events if e["type"] == "load"])
        x, y, w, h = window.geometry()
        self.area = x + BORDER, y + BAR, w - 2 * BORDER, h - BAR - BORDER
        self.corner = self.area[0] + 60, self.area[1] + 60
        place = report["places"]["name"]
        window.name = int(self.area[0] + place["x"] + report["left"]), int(self.area[1] + place["y"] + report["top"])
        wait_for("the picture", lambda: self.colours(window) > 40)
        return window

    def colours(self, window):
        """How many pixels of the browser's row of tabs have a colour: no message of the viewer stands there."""
        x, y, w, _ = self.area
        part = window.screen().part(x, y, w, 36)
        return sum(abs(part[i] - part[i + 2]) > 30 for i in range(0, len(part), 3 * 7))

    def type(self, window, text):
        window.do("mousemove", *window.name, "click", "1", "sleep", "0.3")  # text right behind a click is dropped by the browser
        window.do("type", text)

    def waits(self, window, name):
        wait_for("the greyed picture", lambda: self.colours(window) == 0)
        if os.environ.get("GARASU_PICTURES"):
            subprocess.run(["convert", window.file, pathlib.Path(os.environ["GARASU_PICTURES"], f"{name}.png")], check=True)

    def ended(self, window):
        return [r for r in self.recorded("session.detach") if r["reason"] == "taken-over"][self.taken:]

    def back(self, window):
        wait_for("the picture in colours", lambda: self.colours(window) > 40)
        return time.monotonic()

    def same_page(self, window, before, text):
        """The page was not loaded anew, and goes on where it was."""
        self.type(window, text)
        wait_for("the text in the page", lambda: self.value("name") == before + text)
        self.assertEqual(len([e for e in self.site.events if e["type"] == "load"]), self.loads)

    def end(self, window):
        window.viewer.send_signal(signal.SIGTERM)
        window.viewer.wait(garasu.DEADLINE)
        wait_for("its connection to end", lambda: all(not s["connection"] for s in self.broker.sessions()))

    # -- the tests

    def test_1_cuts(self):
        window = self.window()
        self.type(window, "one")
        wait_for("the text", lambda: self.value("name") == "one")
        figures = []
        for how in "reset", "end", "half":
            attaches = len(self.recorded("session.attach"))
            began = time.monotonic()
            self.relay.cut(how)
            wait_for("another connection", lambda: len(self.recorded("session.attach")) > attaches)
            figures.append(f"{how} {self.back(window) - began:.1f} s")
            self.same_page(window, self.value("name"), "x")
        # The old connection gave way to the new one of the same person; neither told her of it.
        wait_for("all detaches", lambda: len(self.recorded("session.detach")) >= 3)
        self.assertEqual(self.recorded("session.detach")[-1]["reason"], "taken-over")
        # Nobody answers for a while; the second factor is not asked for again.
        self.relay.refuse()
        self.waits(window, "waiting")
        time.sleep(5)
        began = time.monotonic()
        self.relay.listen()
        figures.append(f"refused for 5 s: {self.back(window) - began:.1f} s after it was over")
        self.same_page(window, self.value("name"), "y")
        logins = self.recorded("login")
        self.assertIn("factors%3Dcertificate,ticket", logins[-1]["detail"])
        self.assertEqual(sum("ticket" in r["detail"] for r in logins), 4)
        # Its own processes and the broker's.
        for program in "garasu-gateway", "garasu-session":
            pid = max(p for p, command in self.broker.own_processes().items() if program in command.split(" ")[0])
            attaches = len(self.recorded("session.attach"))
            began = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            wait_for("another connection", lambda: len(self.recorded("session.attach")) > attaches)
            figures.append(f"{program} killed: {self.back(window) - began:.1f} s")
            self.same_page(window, self.value("name"), "z")
        print("; ".join(figures), flush=True)
        # A second terminal takes the session over, and the first one does not take it back.
        self.taken = len([r for r in self.recorded("session.detach") if r["reason"] == "taken-over"])
        other = Window(self, self, 1100, 800)
        wait_for("the first one's message", lambda: window.screen().count((255, 255, 255)) > 20000 and window.viewer.poll() is None and self.ended(window))
        attaches = len(self.recorded("session.attach"))
        time.sleep(2)
        self.assertEqual(len(self.recorded("session.attach")), attaches)
        self.assertIsNone(window.viewer.poll())
        if os.environ.get("GARASU_PICTURES"):
            subprocess.run(["convert", window.file, pathlib.Path(os.environ["GARASU_PICTURES"], "taken-over.png")], check=True)
        window.do("key", "Escape")
        self.assertEqual(window.viewer.wait(garasu.DEADLINE), 7)
        self.end(other)

    def test_2_longer_than_the_grace_time(self):
        window = self.window("taro")
        self.relay.refuse()
        self.waits(window, "long")
        wait_for("the session's end", lambda: self.recorded("session.end"), GRACE + garasu.DEADLINE)
        time.sleep(2)
        self.relay.listen()
        window.screen()
        if os.environ.get("GARASU_PICTURES"):
            subprocess.run(["convert", window.file, pathlib.Path(os.environ["GARASU_PICTURES"], "over.png")], check=True)
        attaches = len(self.recorded("session.attach"))
        time.sleep(4)
        self.assertEqual(len(self.recorded("session.attach")), attaches)
        self.assertIsNone(window.viewer.poll())
        window.do("key", "Escape")
        self.assertEqual(window.viewer.wait(garasu.DEADLINE), 9)

    def test_3_a_script_ends_unless_told_otherwise(self):
        self.person = "taro"
        for options, code in (([], 9), (["--reconnect", "--capture", self.folder / "capture"], 0)):
            viewer = garasu.Viewer([*self.options(), *options, f"127.0.0.1:{self.port}"])
            self.addCleanup(viewer.close)
            viewer("wait-first-frame")
            self.relay.cut()
            if not code:
                viewer("wait-returned 1")
                viewer("wait-idle 300")
                viewer("quit")
            self.assertEqual(viewer.wait(), code)
        for file in "capture", "capture.2":
            self.assertGreater((self.folder / file).stat().st_size, 1000)

    def test_4_another_address(self):
        """In a network namespace: packets vanish, and the viewer's address changes."""
        name = f"garasu{os.getpid() % 100000}"
        def ip(*arguments):
            subprocess.run(["ip", *arguments], check=True, capture_output=True)
        ip("netns", "add", name)
        self.addCleanup(lambda: subprocess.run(["ip", "netns", "del", name]))
        ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
        ip("addr", "add", "203.0.113.1/24", "dev", f"{name}a")
        ip("link", "set", f"{name}a", "up")
        ip("-n", name, "addr", "add", "203.0.113.2/24", "dev", f"{name}b")
        ip("-n", name, "link", "set", f"{name}b", "up")
        self.person = "hanako"
        command = ["ip", "netns", "exec", name, garasu.BUILD / "bin/garasu-viewer", "--headless", "--timeout", garasu.DEADLINE, "--script", "-",
                   *self.options(), "--reconnect", "--server-name", "localhost", f"203.0.113.1:{self.broker.port}"]
        viewer = garasu.Peer(command)
        self.addCleanup(viewer.close)
        viewer("wait-first-frame")
        viewer("wait-idle 300")
        began = time.monotonic()
        ip("-n", name, "addr", "del", "203.0.113.2/24", "dev", f"{name}b")
        ip("-n", name, "addr", "add", "203.0.113.3/24", "dev", f"{name}b")
        viewer("key a")
        viewer("wait-returned 1")
        typed = time.monotonic() - began
        self.assertTrue(self.recorded("session.attach")[-1]["peer"].startswith("203.0.113.3"), self.recorded("session.attach")[-1])
        # Nothing is typed: keep-alive finds it.
        viewer("wait-idle 1500")
        began = time.monotonic()
        ip("-n", name, "addr", "del", "203.0.113.3/24", "dev", f"{name}b")
        ip("-n", name, "addr", "add", "203.0.113.4/24", "dev", f"{name}b")
        viewer("wait-returned 2")
        idle = time.monotonic() - began
        viewer("quit")
        self.assertEqual(viewer.wait(), 0)
        print(f"another address: {typed:.1f} s when something was typed, {idle:.1f} s when not", flush=True)
        self.assertLess(typed, 20)
        self.assertLess(idle, 45)


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists(garasu.IMAGES + "/current"):
        print("skipped: needs root and a sandbox image")
        sys.exit(77)
    unittest.main(verbosity=2)
