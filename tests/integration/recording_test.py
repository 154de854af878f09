#!/usr/bin/env python3
"""Recordings, with the real broker: what the viewer was sent is what an auditor plays; what crashes or fills up loses little and is told."""
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import tempfile
import time
import unittest

import garasu
from garasu import wait_for

REPLAY = garasu.BUILD / "libexec/garasu/garasu-replay"
HEADER_FIXED, CHUNK_HEAD, CHUNK_TAG = 84, 20, 16


def replay(*arguments, expect=0, lang="C.UTF-8"):
    done = subprocess.run([REPLAY, *map(str, arguments)], capture_output=True, text=True, timeout=garasu.DEADLINE,
                          env={**os.environ, "LANG": lang, "LC_ALL": lang})
    assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def chunks(file):
    """(offset, bytes, wall clock in seconds) of each whole chunk."""
    data = file.read_bytes()
    at, found = HEADER_FIXED + int.from_bytes(data[80:84], "big"), []
    while at + CHUNK_HEAD + CHUNK_TAG <= len(data):
        n, _, wall = struct.unpack(">IQQ", data[at:at + CHUNK_HEAD])
        if at + CHUNK_HEAD + n + CHUNK_TAG > len(data):
            break
        found.append((at, n, wall / 1e6))
        at += CHUNK_HEAD + n + CHUNK_TAG
    return found


class Recorded:
    """A broker that records, and an auditor."""

    def __init__(self, recording, groups=(), **sections):
        self.site = garasu.site()
        home = f"http://127.0.0.1:{self.site.server_port}/"
        self.broker = garasu.Broker(home, allow=[f"127.0.0.1:{self.site.server_port}"], limits={"recording": recording},
                                    **sections)
        ca = self.broker.ca
        subprocess.run([garasu.SOURCE / "certs/garasu-ca", "person", ca, "kansa", "--role", "auditor", "--days", "825"], check=True,
                       stdout=subprocess.DEVNULL)
        self.key = ca / "auditors/kansa.key"
        text = self.broker.config.read_text()
        if "auditors" not in sections.get("recording", {}):
            text = text.replace("recording {\n", f'recording {{\n\tauditors = "{ca}/auditors/kansa.pem"\n')
        self.broker.config.write_text(text)
        self.directory = pathlib.Path(re.search(r'recording \{[^}]*directory = "([^"]*)"', text).group(1))

    def files(self):
        return sorted(self.directory.glob("*/*.grec"))

    def log(self):
        """The audit directory as an auditor copies it."""
        copy = pathlib.Path(tempfile.mkdtemp(dir=self.broker.folder))
        (copy / "log").mkdir()
        source = pathlib.Path(self.broker.audit_directory)
        segments = sorted(source.glob("log/*.log")) or [source / "audit.log"]
        for i, segment in enumerate(segments):
            (copy / f"log/{i:08}.log").write_bytes(segment.read_bytes())
        return copy

    def events(self, kind):
        return [e for e in self.broker.audit() if e["kind"] == kind]

    def close(self):
        self.site.shutdown()
        self.site.server_close()


def browse(viewer, site, pages=("history", "long")):
    """Some pages, some scrolling, another size; at the end the picture is at rest."""
    viewer("wait-first-frame")
    viewer("wait-idle 500")
    for page in pages:
        viewer("key Control_L+l")
        viewer("wait-change")
        viewer("wait-idle 300")
        viewer(f"type http://127.0.0.1:{site.server_port}/{page}")
        viewer("key Return")
        wait_for("the page", lambda: any(e["path"] == f"/{page}" for e in site.events if e["type"] == "load"))
        viewer("wheel 640 500 4")
        viewer("wait-idle 500")
    viewer("resize 1100 720")
    viewer("wait-idle 700")


class Recording(unittest.TestCase):
    def test_what_is_played_is_what_the_viewer_was_sent(self):
        recorded = Recorded("required")
        self.addCleanup(recorded.close)
        broker, folder = recorded.broker.start(), recorded.broker.folder
        self.addCleanup(broker.remove)
        viewer = broker.viewer("hanako", "--capture", folder / "capture")
        try:
            browse(viewer, recorded.site)
            viewer(f"screenshot {folder}/seen.png")
            middle = time.time()
            viewer("quit")
            viewer.wait()
        finally:
            viewer.close()
        wait_for("the recording's end", lambda: recorded.events("recording.end"))
        file, = recorded.files()
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.assertEqual(recorded.directory.stat().st_mode & 0o777, 0o700)
        start, end = recorded.events("recording.start")[0], recorded.events("recording.end")[0]
        attach = recorded.events("session.attach")[0]
        self.assertEqual(start["target"], f"{file.parent.name}/{file.name}")
        self.assertEqual(start["session"], attach["session"])
        self.assertEqual(int(end["down"]), file.stat().st_size)
        log = recorded.log()
        print(replay(file, "--key", recorded.key, "--log", log, "--check", lang="ja_JP.UTF-8"))
        self.assertIn("from beginning to end", replay(file, "--key", recorded.key, "--log", log, "--stream", folder / "stream"))
        self.assertEqual((folder / "stream").read_bytes(), (folder / "capture").read_bytes())
        replay(file, "--key", recorded.key, "--png", folder / "played.png")
        self.assertEqual(garasu.differing_pixels(folder / "seen.png", folder / "played.png"), 0)
        broker.finish()


if __name__ == "__main__":
    unittest.main(verbosity=2)
