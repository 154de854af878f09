#!/usr/bin/env python3
"""What a viewer has kept of a real session (garasu-viewer --capture) is all in the grammar, and one changed bit of its structure is found."""
import os
import pathlib
import random
import re
import struct
import subprocess
import tempfile
import unittest

import garasu
from garasu import wait_for

FLIPS = 400  # of either kind
EXAMINED = 200_000  # bytes of the capture in which bits are changed


def guard(*arguments):
    return subprocess.run([garasu.BUILD / "bin/garasu-guard", *arguments], capture_output=True, text=True, timeout=garasu.DEADLINE)


def structure(data):
    """Walks the stream as docs/PROTOCOL.md says: (where messages begin, places (byte, bit) whose change leaves the grammar)."""
    places = [(i, bit) for i in range(4, 30) for bit in range(8)]  # ServerInit's pixel format and name
    places += [(0, 7), (2, 7)]  # a size beyond the limits
    at, begins = 30, []

    def number(offset, size):
        return int.from_bytes(data[offset:offset + size], "big")

    def every_bit(offset, size):
        places.extend((offset + i, bit) for i in range(size) for bit in range(8))

    while at < len(data):
        begins.append(at)
        kind = data[at]
        every_bit(at, 1)
        if kind == 150:
            at += 1
        elif kind == 248:
            every_bit(at + 1, 8)
            at += 9 + data[at + 8]
        elif kind == 71:
            every_bit(at + 2, 1)
            at += 12 if data[at + 1] == 2 else 8
        else:
            assert kind == 0, f"message {kind} at {at}"
            every_bit(at + 1, 1)
            count, at = number(at + 2, 2), at + 4
            for _ in range(count):
                w, h, encoding = number(at + 4, 2), number(at + 6, 2), struct.unpack(">i", data[at + 8:at + 12])[0]
                every_bit(at + 8, 4)
                places.extend((at + i, 7) for i in (0, 2, 4, 6))  # outside the screen, whatever the screen's size
                at += 12
                if encoding in (0x47415210, 0x47415211):
                    every_bit(at, 4)
                    at += 4 + number(at, 4)
                elif encoding == -308:
                    every_bit(at, 4)
                    at += 4 + 16 * data[at]
                else:
                    at += {1: 4, -239: w * h * 4 + (w + 7) // 8 * h, -258: 0}[encoding]
    return begins, places


class Capture(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="garasu-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.file = cls.folder / "capture"
        site = garasu.site()
        broker = garasu.Broker(site.url, allow=[f"127.0.0.1:{site.server_port}"]).start()
        cls.addClassCleanup(broker.finish)
        viewer = broker.viewer("hanako", "--size", "1280x800", "--capture", cls.file)
        cls.addClassCleanup(viewer.close)
        viewer("wait-first-frame")
        places = wait_for("the page", lambda: next((e for e in site.events if e["type"] == "load"), None))
        viewer("click %d %d" % tuple(int(places["places"]["name"][k] + places[side]) for k, side in (("x", "left"), ("y", "top"))))
        wait_for("the click", lambda: any(e["type"] == "click" for e in site.events))
        viewer("text 住民票")
        viewer("wheel 640 500 5")
        viewer("wait-idle 500")
        viewer("resize 1000 700")
        viewer("wheel 500 500 -3")
        viewer("wait-idle 500")
        viewer("quit")
        assert viewer.wait() == 0, viewer.error_text()
        cls.data = cls.file.read_bytes()

    def test_all_of_it_is_in_the_grammar(self):
        # 3: the end came within an element, which is the viewer's doing.
        for arguments in ((), ("--lax",), ("--geometry", "1280x800")):
            done = guard(*arguments, self.file)
            self.assertIn(done.returncode, (0, 3), done.stdout + done.stderr)
            self.assertIn("all in the grammar", done.stdout)
        done = guard("--geometry", "1279x800", self.file)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)

    def test_changed_bits(self):
        begins, places = structure(self.data)
        data = self.data[:max(b for b in begins if b <= EXAMINED)]
        (self.folder / "cut").write_bytes(data)
        self.assertEqual(guard(self.folder / "cut").returncode, 0)
        chance = random.Random(4)
        places = [p for p in places if p[0] < len(data)]
        wanted = [(p, True) for p in chance.sample(places, FLIPS)]
        wanted += [((chance.randrange(len(data)), chance.randrange(8)), False) for _ in range(FLIPS)]

        def examine(numbered):
            number, ((at, bit), must_be_found) = numbered
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            file = self.folder / f"changed{number % 8}"
            file.write_bytes(changed)
            return at, bit, must_be_found, guard(file)
        found = 0
        for at, bit, must_be_found, done in map(examine, enumerate(wanted)):
            what = f"bit {bit} of byte {at}: exit {done.returncode} {done.stdout} {done.stderr}"
            self.assertIn(done.returncode, (1, 3) if must_be_found else (0, 1, 3), what)
            self.assertEqual(done.stderr, "", what)
            if done.returncode == 1:
                offset, rule = re.search(r"offset (\d+): (.+)", done.stdout).groups()
                self.assertLessEqual(int(offset), len(data))
                found += not must_be_found
        # The others gave other pixels, which are as permitted as the first.
        self.assertGreater(found, FLIPS // 10)


if __name__ == "__main__":
    unittest.main(verbosity=2)
