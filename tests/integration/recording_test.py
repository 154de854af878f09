#!/usr/bin/env python3
"""Recordings, with the real broker: what the viewer was sent is what an auditor plays; what crashes or fills up loses little and is told."""
import itertools
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import tempfile
import threading
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

    def __init__(self, policy, **sections):
        self.site = garasu.site()
        home = f"http://127.0.0.1:{self.site.server_port}/"
        self.broker = garasu.Broker(home, allow=[f"127.0.0.1:{self.site.server_port}"], limits={"recording": policy},
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
    def record(self, policy, **sections):
        recorded = Recorded(policy, **sections)
        self.addCleanup(recorded.close)
        self.addCleanup(recorded.broker.remove)
        recorded.broker.start()
        return recorded

    def test_1_what_is_played_is_what_the_viewer_was_sent(self):
        recorded = self.record("required")
        broker, folder, key = recorded.broker, recorded.broker.folder, recorded.key
        viewer = broker.viewer("hanako", "--capture", folder / "capture")
        self.addCleanup(viewer.close)
        browse(viewer, recorded.site)
        viewer(f"screenshot {folder}/seen.png")
        viewer("quit")
        viewer.wait()
        wait_for("the recording's end", lambda: recorded.events("recording.end"))
        file, = recorded.files()
        start, end = recorded.events("recording.start")[0], recorded.events("recording.end")[0]
        attach = recorded.events("session.attach")[0]
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.assertEqual(recorded.directory.stat().st_mode & 0o777, 0o700)
        self.assertEqual(start["target"], f"{file.parent.name}/{file.name}")
        self.assertEqual(start["session"], attach["session"])
        self.assertEqual(int(end["down"]), file.stat().st_size)
        self.assertGreater(len(chunks(file)), 10)

        log = recorded.log()
        self.assertIn("from beginning to end", replay(file, "--key", key, "--log", log, "--stream", folder / "stream"))
        self.assertIn("監査記録のとおりの録画です", replay(file, "--key", key, "--log", log, "--check", lang="ja_JP.UTF-8"))
        self.assertEqual((folder / "stream").read_bytes(), (folder / "capture").read_bytes())
        judged = subprocess.run([garasu.BUILD / "bin/garasu-guard", folder / "stream"], capture_output=True, text=True)
        self.assertEqual(judged.returncode, 0, judged.stderr)
        replay(file, "--key", key, "--png", folder / "played.png")
        self.assertEqual(garasu.differing_pixels(folder / "seen.png", folder / "played.png"), 0)
        # A moment before the window got its last size, by the wall clock and from the beginning.
        first = chunks(file)[0][2]
        replay(file, "--key", key, "--png", folder / "a.png", "--at", "2.5")
        self.assertEqual(garasu.differing_pixels(folder / "seen.png", folder / "a.png"), -1)

        # The key as PKCS #12, with its password and without.
        for name, password in ("password", "正しい合言葉は長い"), ("wrong", "他の合言葉は通じない"):
            (folder / name).write_text(password + "\n")
        subprocess.run([garasu.SOURCE / "certs/garasu-ca", "p12", broker.ca, "kansa", "--role", "auditor", "--password-file", folder / "password"],
                       check=True, stdout=subprocess.DEVNULL)
        p12 = broker.ca / "auditors/kansa.p12"
        replay(file, "--key", p12, "--password-file", folder / "password", "--check")
        self.assertIn("password", replay(file, "--key", p12, "--password-file", folder / "wrong", "--check", expect=3))

        # Nobody else's key, and no other file.
        subprocess.run([garasu.SOURCE / "certs/garasu-ca", "person", broker.ca, "kanri", "--role", "admin"], check=True,
                       stdout=subprocess.DEVNULL)
        for other in ("persons/hanako.key", "admins/kanri.key", "server.key"):
            self.assertIn("does not open it", replay(file, "--key", broker.ca / other, "--check", expect=3))
        data = bytearray(file.read_bytes())
        changed = folder / "changed.grec"
        changed.write_bytes(data[:chunks(file)[5][0]])
        self.assertIn("cut off", replay(changed, "--key", key, "--log", log, "--check", expect=1))
        data[chunks(file)[5][0] + CHUNK_HEAD] ^= 1
        changed.write_bytes(data)
        told = replay(changed, "--key", key, "--log", log, "--check", expect=1)
        self.assertIn("NOT what was recorded", told)
        self.assertIn("from chunk 6 on", told)
        self.assertEqual(broker.rfb("hanako").ready_flags, 2, "the viewer knows that it is recorded")
        self.video(file, key, folder, int(chunks(file)[-1][2] - first))
        self.window(file, key, folder)
        broker.finish()

    def window(self, file, key, folder):
        reader, writer = os.pipe()
        server = subprocess.Popen(["Xvfb", "-displayfd", str(writer), "-screen", "0", "1400x1000x24", "-nolisten", "tcp", "-noreset"], pass_fds=[writer],
                                  stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (server.kill(), server.wait()))
        os.close(writer)
        with os.fdopen(reader) as stream:
            x = {**os.environ, "DISPLAY": f":{stream.readline().strip()}", "LC_ALL": "C.UTF-8"}
        player = subprocess.Popen([REPLAY, file, "--key", key], env=x, stdout=subprocess.DEVNULL)
        self.addCleanup(lambda: (player.kill(), player.wait()))

        def shown():
            """How many pixels of its picture are not those that the person saw last."""
            subprocess.run(["import", "-window", window, "-crop", "1100x720+4+30", "+repage", folder / "window.png"], env=x, check=True,
                           timeout=garasu.DEADLINE)
            return garasu.differing_pixels(folder / "seen.png", folder / "window.png")

        def press(*keys):
            subprocess.run(["xdotool", "mousemove", "700", "500", "key", *keys], env=x, check=True)
        window = wait_for("the window", lambda: subprocess.run(["xdotool", "search", "--name", "Recording"], env=x, capture_output=True,
                                                               text=True).stdout.strip())
        press("space", "End")
        wait_for("the last picture", lambda: shown() == 0)
        press("Home")
        wait_for("the first one", lambda: shown() > 10_000)
        press("shift+Right")
        wait_for("the last one again", lambda: shown() == 0)
        press("Escape")
        self.assertEqual(player.wait(garasu.DEADLINE), 0)

    def video(self, file, key, folder, seconds):
        for name, codec in (("a.webm", "vp9"), ("a.mp4", "h264")):
            replay(file, "--key", key, "--video", folder / name, "--fps", 4)
            probe = json.loads(subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", folder / name],
                                              capture_output=True, check=True).stdout)["streams"][0]
            self.assertEqual(probe["codec_name"], codec)
            self.assertEqual((probe["width"], probe["height"]), (1280, 800 + 28))
            self.assertGreaterEqual(int(probe["nb_read_frames"]), 4 * seconds)
            self.assertLessEqual(int(probe["nb_read_frames"]), 4 * (seconds + 2))
        # Its last frame shows what the viewer saw.
        subprocess.run(["ffmpeg", "-v", "error", "-sseof", "-0.5", "-i", folder / "a.mp4", "-update", "1", "-vf", "crop=1100:720:0:0",
                        folder / "last.png"], check=True)
        done = subprocess.run(["compare", "-metric", "PSNR", folder / "seen.png", folder / "last.png", "null:"], capture_output=True, text=True)
        self.assertGreater(float(done.stderr.split()[0]), 30)

    def scrolling(self, recorded, person):
        """A viewer of a page that moves all the time."""
        folder = recorded.broker.folder
        capture = folder / f"capture-{time.monotonic_ns()}"
        viewer = recorded.broker.viewer(person, "--capture", capture)
        browse(viewer, recorded.site, ["long"])
        stop = threading.Event()

        def scroll():
            try:
                for i in itertools.count():
                    if stop.is_set():
                        return
                    viewer(f"wheel 540 400 {1 if i % 40 < 20 else -1}")
                    time.sleep(0.04)
            except (AssertionError, ValueError, OSError):
                pass  # the connection's end
        thread = threading.Thread(target=scroll, daemon=True)
        thread.start()

        def end():
            stop.set()
            thread.join()
            try:
                viewer.close()
            except BrokenPipeError:
                pass  # the last command, which nobody read
        self.addCleanup(end)
        return viewer, capture

    def assert_survived(self, recorded, file, capture, killed):
        last = chunks(file)[-1][2]
        self.assertGreater(last, killed - 1, "more than the last second is lost")
        told = replay(file, "--key", recorded.key, "--log", recorded.log(), "--stream", f"{capture}.played")
        self.assertIn("This is what was recorded up to", told)
        played, seen = pathlib.Path(f"{capture}.played").read_bytes(), capture.read_bytes()
        self.assertGreater(len(played), 50_000)
        self.assertEqual(played[:len(seen)], seen[:len(played)])
        replay(file, "--key", recorded.key, "--png", f"{capture}.png")

    def test_2_what_is_killed_leaves_all_but_the_last_second(self):
        recorded = self.record("on", session={"grace_seconds": 60})
        broker = recorded.broker
        viewer, capture = self.scrolling(recorded, "hanako")
        time.sleep(2)
        gateway = next(pid for pid, command in broker.own_processes().items() if "garasu-gateway" in command)
        os.kill(gateway, signal.SIGKILL)
        killed = time.time()
        wait_for("the record of it", lambda: recorded.events("recording.failed"))
        viewer.wait()
        self.assert_survived(recorded, recorded.files()[0], capture, killed)

        viewer, capture = self.scrolling(recorded, "hanako")
        time.sleep(2)
        before = set(recorded.files())
        for pid in sorted(broker.own_processes(), key=lambda pid: pid != broker.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        killed = time.time()
        broker.process.wait()
        viewer.wait()
        file = max(before, key=lambda f: chunks(f)[-1][2])
        self.assert_survived(recorded, file, capture, killed)
        broker.stop()
        broker.start()  # removes what the dead one left
        broker.finish()

    def test_3_a_full_disk_ends_the_session_or_not_as_the_policy_says(self):
        recorded = self.record("required", recording={"quota_gib": 1}, **{'group "広報課"': {"persons": ["taro"], "recording": "on"}})
        broker, folder = recorded.broker, recorded.broker.folder
        recorded.directory.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", recorded.directory], check=True)
        mounted = [recorded.directory]
        self.addCleanup(lambda: [subprocess.run(["umount", "-l", d]) for d in mounted])

        viewer = broker.viewer("hanako")
        self.addCleanup(viewer.close)
        with self.assertRaises(AssertionError):
            for _ in range(10):
                browse(viewer, recorded.site)
        self.assertNotEqual(viewer.wait(), 0)
        failed = wait_for("the record of it", lambda: recorded.events("recording.failed"))[0]
        self.assertEqual((failed["person"], failed["reason"]), ("hanako", "recording-failed"))
        self.assertIn("No%20space", failed["detail"])
        wait_for("the session's end", lambda: [e for e in recorded.events("session.end") if e.get("reason") == "recording-failed"])
        told = replay(recorded.files()[0], "--key", recorded.key, "--log", recorded.log(), "--check")
        self.assertIn("the recording ended by a failure", told)

        viewer = broker.viewer("taro")
        self.addCleanup(viewer.close)
        viewer("wait-first-frame")
        wait_for("the record of it", lambda: [e for e in recorded.events("recording.failed") if e["person"] == "taro"])
        viewer("quit")
        self.assertEqual(viewer.wait(), 0)
        self.assertEqual([e for e in recorded.events("recording.start") if e["person"] == "taro"], [])

        subprocess.run(["umount", recorded.directory], check=True)
        mounted.clear()
        (recorded.directory / "2026-01-01").mkdir()
        with open(recorded.directory / "2026-01-01/old.grec", "wb") as old:
            old.truncate(1 << 30)
        time.sleep(2.1)  # a count of the folder holds so long
        viewer = broker.viewer("hanako")
        self.addCleanup(viewer.close)
        with self.assertRaises(AssertionError):
            viewer("wait-first-frame")
        failed = recorded.events("recording.failed")[-1]
        self.assertIn("quota", failed["detail"])
        self.assertEqual(recorded.events("login.refused")[-1]["reason"], "recording-failed")
        broker.finish()

    def test_4_nothing_starts_that_nobody_could_watch(self):
        for recording, problem in ({"auditors": ""}, "for nobody to see"), ({"auditors": "CA/persons/hanako.pem"}, "does not name an auditor"):
            recorded = Recorded("on", recording=dict(recording))
            self.addCleanup(recorded.close)
            self.addCleanup(recorded.broker.remove)
            text = recorded.broker.config.read_text()
            recorded.broker.config.write_text(text.replace("CA/", f"{recorded.broker.ca}/"))
            done = subprocess.run([garasu.BUILD / "bin/garasu-broker", "--check", "--config", recorded.broker.config],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn("recording.auditors", done.stderr)
            self.assertIn(problem, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
