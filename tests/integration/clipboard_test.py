#!/usr/bin/env python3
"""The clipboard through the real chain: the terminal's (xclip), the viewer's window, the broker, the browser in its container, and back.

Four policies, one after the other by reload: neither way, both, each alone. What crosses is compared byte for byte and with the record.
"""
import hashlib
import os
import pathlib
import struct
import subprocess
import tempfile
import time
import unittest
from urllib.parse import unquote

import garasu
from garasu import wait_for
from viewer_test import BAR, BORDER, Window

LIMIT = 300  # bytes of one text
JAPANESE = "会議の資料　𠮷野家\tパンフレット\n二行目 👨‍👩‍👧"


def encodings(*numbers):
    return struct.pack(">BxH", 2, len(numbers)) + b"".join(struct.pack(">I", n & 0xffffffff) for n in numbers)


class Clipboard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = garasu.site()
        cls.broker = garasu.Broker(cls.site.url, allow=[f"127.0.0.1:{cls.site.server_port}"], pool={"warm": 1}, session={
            "home_url": cls.site.url, "grace_seconds": 60}, limits={"clipboard_up": 0, "clipboard_down": 0}).start()
        folder = tempfile.TemporaryDirectory(prefix="garasu-test-")
        cls.folder = pathlib.Path(folder.name)
        cls.folder.chmod(0o755)
        cls.addClassCleanup(folder.cleanup)

    @classmethod
    def tearDownClass(cls):
        cls.broker.finish()

    port = property(lambda self: self.broker.port)

    def options(self):
        return self.broker.person("hanako")

    # -- the page

    def events(self, kind):
        return [e for e in self.site.events if e["type"] == kind]

    def value(self):
        return next((e["value"] for e in reversed(self.events("input")) if e["id"] == "message"), "")

    def empty(self):
        self.window.do("key", "ctrl+a", "BackSpace")
        wait_for("an empty field", lambda: self.value() == "")
        self.site.events.clear()

    # -- the terminal

    def own(self, text):
        """The terminal's clipboard holds this."""
        owner = subprocess.run(["xclip", "-i", "-selection", "clipboard"], env=self.window.environment, input=text.encode(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        self.assertEqual(owner.returncode, 0)
        self.assertEqual(self.owned(), text)

    def owned(self):
        return subprocess.run(["xclip", "-o", "-selection", "clipboard"], env=self.window.environment, capture_output=True).stdout.decode()

    def policy(self, up, down):
        """In force from the next connection on; connects."""
        text = self.broker.config.read_text()
        lines = [f"\tclipboard_up = {up}" if "clipboard_up" in line else f"\tclipboard_down = {down}" if "clipboard_down" in line else line
                 for line in text.splitlines()]
        self.broker.config.write_text("\n".join(lines) + "\n")
        if "\n".join(lines) + "\n" != text:
            self.broker.ctl("reload", "--reason", "clipboard test")
        self.connect()

    def connect(self):
        if getattr(self, "window", None):
            self.window.close()
        self.site.events.clear()
        attached = len(self.record("session.attach"))
        self.window = Window(self, self, 1400, 900, "--size", "1280x800")
        x, y, _, _ = self.window.geometry()
        wait_for("the session", lambda: len(self.record("session.attach")) > attached)
        if not hasattr(Clipboard, "place"):
            report = wait_for("the page", lambda: next((e for e in reversed(self.events("load")) if "message" in e["places"]), None))
            Clipboard.place = [int(report["places"]["message"][k] + report[s]) for k, s in (("x", "left"), ("y", "top"))]

        def typed():
            self.window.do("mousemove", x + BORDER + self.place[0], y + BAR + self.place[1], "click", "1", "key", "z")
            try:
                return wait_for("the first key", lambda: "z" in self.value(), 3)
            except AssertionError:
                return False
        wait_for("the field to take keys", typed)
        self.empty()

    # -- the record

    def record(self, kind):
        return [r for r in self.broker.audit() if r["kind"] == kind]

    def recorded(self, kind, direction, data):
        """One more event of this kind says what crossed, or did not."""
        found = wait_for(f"{kind} {direction}", lambda: self.record(kind)[self.counted[kind]:])
        self.assertEqual(len(found), 1, found)
        self.counted[kind] += 1
        self.assertEqual(unquote(found[0]["detail"]), f"direction={direction} sha256={hashlib.sha256(data).hexdigest()}")
        self.assertEqual(found[0]["up" if direction == "up" else "down"], str(len(data)))
        self.assertEqual(found[0]["person"], "hanako")

    def nothing_recorded(self):
        for kind, count in self.counted.items():
            self.assertEqual(len(self.record(kind)), count, kind)

    # -- what a person does

    def paste(self, key="ctrl+v"):
        self.window.do("key", key)

    def copy_from_page(self, text):
        """Types ASCII into the field and copies all of it."""
        self.empty()
        self.window.do("type", text)
        wait_for("the typed text", lambda: self.value() == text)
        self.window.do("key", "ctrl+a", "ctrl+c")

    def goes_up(self, text, key="ctrl+v"):
        self.empty()
        self.own(text)
        self.paste(key)
        wait_for("what was pasted", lambda: self.value() == text)
        self.recorded("clipboard", "up", text.encode())

    def comes_down(self, text):
        self.copy_from_page(text)
        wait_for("what was copied", lambda: self.owned() == text)
        self.recorded("clipboard", "down", text.encode())

    def stays_here(self, text):
        """Pasting text of the terminal brings nothing of it into the page."""
        self.empty()
        self.own(text)
        self.paste()
        self.window.do("key", "y")
        wait_for("the key behind it", lambda: self.value().endswith("y"))
        self.assertNotIn(text, self.value())
        self.nothing_recorded()

    def stays_there(self):
        """What is in the field is copied, and pasted within the session; the terminal's clipboard stays what it is."""
        text, before = self.value(), self.owned()
        self.window.do("key", "ctrl+a", "ctrl+x")
        wait_for("the cut", lambda: self.value() == "")
        time.sleep(1.5)  # one a second goes down
        self.assertEqual(self.owned(), before)
        self.assertNotEqual(before, text)
        self.nothing_recorded()

    def picture(self, name):
        if os.environ.get("GARASU_PICTURES"):
            subprocess.run(["import", "-window", "root", f"{os.environ['GARASU_PICTURES']}/{name}.png"], env=self.window.environment, check=True)

    def test_each_policy(self):
        self.counted = {"clipboard": 0, "clipboard.refused": 0}

        with self.subTest("neither way"):
            self.policy(0, 0)
            self.stays_here("secret of the terminal")
            self.picture("hint")
            self.window.close()
            raw = self.broker.rfb("hanako")
            secret = "機密".encode()
            raw.sendall(b"\1" + encodings(0x47415201) + struct.pack(">BBxxI", 71, 3, len(secret)) + secret + struct.pack(">B3xI", 6, 3) + b"cut")
            found = wait_for("both refusals", lambda: len(self.record("clipboard.refused")) >= 2 and self.record("clipboard.refused"))
            self.assertEqual([(r["up"], unquote(r["detail"])) for r in found],
                             [(str(len(d)), f"direction=up sha256={hashlib.sha256(d).hexdigest()}") for d in (secret, b"cut")])
            self.counted["clipboard.refused"] = 2
            raw.close()

        with self.subTest("both ways"):
            self.policy(LIMIT, LIMIT)
            self.goes_up(JAPANESE)
            self.picture("sent")
            self.goes_up("by Shift+Insert", "shift+Insert")
            # The same text is there already: it does not cross again.
            self.empty()
            self.paste()
            wait_for("the same again", lambda: self.value() == "by Shift+Insert")
            self.nothing_recorded()
            self.comes_down("copied in the page")
            self.picture("received")
            self.empty()
            self.paste()  # what came down is not sent up again
            wait_for("what was copied", lambda: self.value() == "copied in the page")
            self.nothing_recorded()
            # T27: to the byte.
            self.goes_up("u" * LIMIT)
            self.stays_here("v" * (LIMIT + 1))
            self.picture("too-long")
            self.goes_up("d" * LIMIT)
            self.own("other")
            self.window.do("key", "ctrl+a", "ctrl+c")
            wait_for("a text of the limit", lambda: self.owned() == "d" * LIMIT)
            self.recorded("clipboard", "down", b"d" * LIMIT)
            self.window.do("key", "End", "e")
            wait_for("one more", lambda: self.value() == "d" * LIMIT + "e")
            self.stays_there()

        with self.subTest("up alone"):
            self.policy(LIMIT, 0)
            self.window.do("type", "copied")
            wait_for("the typed text", lambda: self.value() == "copied")
            self.stays_there()
            self.goes_up("up alone")

        with self.subTest("down alone"):
            self.policy(0, LIMIT)
            self.stays_here("of the terminal")
            self.comes_down("down alone")

        record = garasu.Record(self.broker.audit_directory).text().decode() + self.broker.log_text()
        for text in "機密", "会議", "copied in the page", "Shift+Insert":
            self.assertNotIn(text, record)
        self.broker.verify()


if __name__ == "__main__":
    unittest.main(verbosity=2)
