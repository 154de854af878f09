#!/usr/bin/env python3
"""scripts/demo as a newcomer runs it: it ends with a picture and a line of figures, and Ctrl-C leaves nothing behind."""
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

import garasu

UIDS = (900000, 16384), (1048576, 65536 * 256)  # the defaults of broker.uid_base and pool.uid_first


class Demo(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="garasu-test-demo-"))
        self.addCleanup(lambda: subprocess.run(["rm", "-rf", self.folder]))
        # The images of the other tests: building them anew would take a minute. The demo's own agent goes into them.
        (self.folder / "images").symlink_to(garasu.IMAGES)
        self.environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
        self.environment["GARASU_STATE"] = str(self.folder)
        self.before = self.traces()

    def traces(self):
        left = [c for first, count in UIDS for c in garasu.processes(first, count).values()]
        left += [line for line in pathlib.Path("/proc/mounts").read_text().splitlines() if "garasu-demo" in line]
        left += [str(p) for p in pathlib.Path("/tmp").glob("garasu-demo-*")]
        left += ["/run/garasu-demo"] if os.path.exists("/run/garasu-demo") else []
        return set(left) | garasu.control_groups()

    def assert_nothing_left(self):
        left = self.traces() - self.before
        self.assertFalse(left, f"left behind: {left}")

    def start(self, *arguments):
        # Not ignored, as it is in what a shell without job control starts in the background.
        return subprocess.Popen([garasu.SOURCE / "scripts/demo", *arguments], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def test_it_ends_with_a_picture(self):
        demo = self.start()
        output = demo.communicate(timeout=600)[0]
        self.assertEqual(demo.returncode, 0, output)
        picture = re.search(r"screenshot: (\S+)", output)[1]
        colours = subprocess.run(["identify", "-format", "%w %h %k", picture], capture_output=True, text=True, check=True).stdout.split()
        self.assertGreater(int(colours[2]), 1000, "no photograph in the picture")
        self.assertRegex(output, r"shown: http\S+ at 1280x800 pixels; command to broker ready \d+ ms .*first full frame [\d.]+ ms, \d+ bytes")
        self.assert_nothing_left()

    def test_ctrl_c_leaves_nothing(self):
        demo = self.start("--serve")
        for line in demo.stdout:
            if "Ctrl-C ends it" in line:
                break
        os.killpg(demo.pid, signal.SIGINT)
        output = demo.communicate(timeout=60)[0]
        self.assertEqual(demo.returncode, 130, output)
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main(verbosity=2)
