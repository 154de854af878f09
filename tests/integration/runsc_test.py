#!/usr/bin/env python3
"""A person browses in a container under gVisor: the descriptor, the pixels, the input and the way out all cross its kernel."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import garasu
from garasu import wait_for

RUNSC = "/usr/bin/runsc"


class Runsc(unittest.TestCase):
    def test_a_page_is_seen_and_typed_into(self):
        site = garasu.site()
        folder = tempfile.TemporaryDirectory(prefix="garasu-test-")
        self.addCleanup(folder.cleanup)
        broker = garasu.Broker(site.url, allow=[f"127.0.0.1:{site.server_port}"], pool={"warm": 1, "runtime": RUNSC},
                               session={"home_url": site.url}).start()
        try:
            viewer = broker.viewer("hanako", "--size", "1280x800")
            self.addCleanup(viewer.close)
            viewer("wait-first-frame")

            def event(kind, **fields):
                return next((e for e in site.events if e["type"] == kind and fields.items() <= e.items()), None)
            report = wait_for("the page", lambda: event("load", path="/"))
            place = report["places"]["name"]
            viewer("click %d %d" % (place["x"] + report["left"], place["y"] + report["top"]))
            wait_for("the click", lambda: event("click", target="name"))
            viewer("type Garasu 123")
            wait_for("the typed text", lambda: event("input", id="name", value="Garasu 123"))
            viewer("wait-idle 300")
            viewer(f"screenshot {folder.name}/seen.ppm")
            picture = pathlib.Path(folder.name, "seen.ppm")
            colours = subprocess.run(["identify", "-format", "%k", picture], capture_output=True, text=True, check=True).stdout
            self.assertGreater(int(colours), 1000, "the page has a photograph")
            # The browser is not a process of this machine: what runs are gVisor's two, and what it stands in for.
            self.assertNotIn("chrom", " ".join(garasu.container_processes().values()))
            viewer("quit")
            self.assertEqual(viewer.wait(), 0)
        finally:
            broker.finish()


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists(RUNSC):
        print("runsc: skipped: needs root and " + RUNSC)
        sys.exit(77)
    unittest.main(verbosity=2)
