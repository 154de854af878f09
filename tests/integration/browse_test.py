#!/usr/bin/env python3
"""A person browses through the glass: our viewer, TigerVNC's through stunnel, and libvncclient by VeNCrypt.

What the page recorded is compared with what was sent, and what the viewer shows with the container's own screen.
"""
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import unittest

import garasu
import record
from garasu import wait_for


class Browse(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = garasu.site()
        cls.broker = garasu.Broker(cls.site.url, allow=[f"127.0.0.1:{cls.site.server_port}"], pool={"warm": 1},
                                   session={"home_url": cls.site.url, "grace_seconds": 60}).start()
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="garasu-test-"))
        cls.addClassCleanup(lambda: subprocess.run(["rm", "-rf", cls.folder]))

    @classmethod
    def tearDownClass(cls):
        cls.broker.finish()

    def setUp(self):
        self.site.events.clear()
        self.addCleanup(self.site.events.clear)

    # -- what the page reported

    def events(self, kind):
        return [e for e in self.site.events if e["type"] == kind]

    def loaded(self, path):
        """Waits until a page has loaded and returns its report, with the places of its elements on the screen."""
        report = wait_for(f"{path} to load", lambda: next((e for e in reversed(self.events("load")) if e["path"] == path), None))
        return {name: (int(p["x"] + report["left"]), int(p["y"] + report["top"])) for name, p in report["places"].items()}

    def value(self, field):
        return next((e["value"] for e in reversed(self.events("input")) if e["id"] == field), "")

    # -- the pictures

    def assert_same_picture(self, viewer, person, extension="png"):
        """The viewer's picture equals the container's screen; tried again while the page still moves (a caret blinks)."""
        seen, real = self.folder / f"seen.{extension}", self.folder / "real.ppm"

        def equal():
            viewer("wait-idle 300")
            viewer(f"screenshot {seen}")
            garasu.container_screen(self.broker, person, real)
            self.difference = garasu.differing_pixels(seen, real)
            return self.difference == 0
        try:
            wait_for("equal pictures", equal, 30)
        except AssertionError:
            raise AssertionError(f"{self.difference} pixels differ")
        self.assertGreater(len(set(real.read_bytes()[20::3])), 100, "the screen is nearly empty")

    def go(self, viewer, url):
        """Types an address; the browser gives the focus to its address bar some time after the key."""
        viewer("key Control_L+l")
        viewer("wait-change")
        viewer("wait-idle 300")
        viewer(f"type {url}")
        viewer("key Return")

    def browse(self, viewer, person, resize):
        """The same tour for each viewer: see, type, click, scroll, resize."""
        places = self.loaded("/")
        self.assert_same_picture(viewer, person, "ppm" if resize == "wait-size" else "png")

        viewer("click %d %d" % places["name"])
        # Chromium hands keys to the page while it still looks for what was clicked: nobody types within that millisecond.
        wait_for("the click", lambda: self.events("click"))
        viewer("type Garasu 123")
        try:
            wait_for("the typed text", lambda: self.value("name") == "Garasu 123")
        except AssertionError:
            raise AssertionError(f"the page received {self.site.events}")
        self.assertEqual([e["key"] for e in self.events("keydown") if len(e["key"]) == 1], list("Garasu 123"))
        self.assertEqual([e["target"] for e in self.events("click")], ["name"])

        viewer("click %d %d" % places["long"])
        places = self.loaded("/long")
        viewer("wheel 640 500 3")
        wait_for("the page to scroll", lambda: self.events("scroll"))
        wait_for("all of the wheel", lambda: sum(e["dy"] for e in self.events("wheel")) == 360)
        self.assert_same_picture(viewer, person, "ppm" if resize == "wait-size" else "png")

        self.site.events.clear()
        viewer("resize 1100 720")
        wait_for("the page to notice its new size", lambda: any(e["w"] == 1100 for e in self.events("resize")))
        if resize == "wait-size":
            viewer("wait-size 1100 720")
        self.assert_same_picture(viewer, person, "ppm" if resize == "wait-size" else "png")

    # -- the tests

    def test_1_our_viewer_browses(self):
        viewer = self.broker.viewer("hanako", "--size", "1280x800")
        self.addCleanup(viewer.close)
        viewer("wait-first-frame")
        self.browse(viewer, "hanako", "")
        viewer("resize 1280 800")
        viewer("wait-idle 300")

        # Committed text of an input method: kanji, a surrogate pair, a variation sequence.
        self.site.events.clear()
        viewer("wheel 640 500 -30")
        viewer("wait-idle 300")
        viewer("key Alt_L+Home")
        places = self.loaded("/")
        viewer("click %d %d" % places["message"])
        text = "子ども手当の現況届は、葛󠄀城市の𠮷田さんへ。👩‍👧"
        wait_for("the click", lambda: any(e["target"] == "message" for e in self.events("click")))
        viewer(f"text {text}")
        wait_for("the committed text", lambda: self.value("message") == text, 20)
        viewer("click %d %d" % places["more"])
        self.loaded("/history")
        viewer("quit")
        self.assertEqual(viewer.wait(), 0)

    def test_1b_the_picture_keeps_up(self):
        """Scrolled, resized, sent to other pages in quick succession: when it rests, the picture is right."""
        viewer = self.broker.viewer("hanako")
        self.addCleanup(viewer.close)
        viewer("wait-first-frame")
        chance = random.Random(7)
        for turn in range(20):
            if turn % 3 == 0:
                viewer("key Alt_L+Home")
            if turn % 7 == 3:
                viewer(f"resize {chance.choice([1100, 1280, 900, 1301])} {chance.choice([720, 800, 653])}")
            viewer(f"wheel 640 500 {chance.choice([3, -2, 5, -4, 8])}")
            viewer("wait-idle 150")
        viewer("resize 1280 800")
        self.assert_same_picture(viewer, "hanako")
        viewer("quit")
        self.broker.ctl("kill", "hanako")

    def test_2_a_second_person_has_a_second_container(self):
        first = self.broker.viewer("hanako")
        self.addCleanup(first.close)
        first("wait-first-frame")
        second = self.broker.viewer("taro")
        self.addCleanup(second.close)
        second("wait-first-frame")
        self.loaded("/")
        sessions = {s["person"]: s for s in self.broker.sessions()}
        self.assertEqual(set(sessions), {"hanako", "taro"})
        self.assertNotEqual(sessions["hanako"]["container"], sessions["taro"]["container"])
        self.assertNotEqual(sessions["hanako"]["session"], sessions["taro"]["session"])
        self.assert_same_picture(second, "taro")

        # What one does is not seen by the other.
        first("wait-idle 300")
        first(f"screenshot {self.folder}/before.png")
        second("key Control_L+t")
        second("wait-change")
        second("wait-idle 300")
        first("wait-idle 300")
        first(f"screenshot {self.folder}/after.png")
        second(f"screenshot {self.folder}/second.png")
        self.assertEqual(garasu.differing_pixels(self.folder / "before.png", self.folder / "after.png"), 0)
        self.assertNotEqual(garasu.differing_pixels(self.folder / "after.png", self.folder / "second.png"), 0)
        second("quit")
        self.broker.ctl("kill", "taro")
        wait_for("taro's session to end", lambda: all(s["person"] != "taro" for s in self.broker.sessions()))

    def test_3_libvncclient_browses_by_vencrypt(self):
        self.broker.ctl("kill", "hanako", check=False)
        # libvncclient asks GnuTLS for SRP too, for which GnuTLS gives up TLS 1.3: without SRP it speaks it.
        priorities = self.folder / "gnutls.conf"
        priorities.write_text("[overrides]\n" + "".join(f"tls-disabled-kx = {kx}\n" for kx in ("SRP", "SRP-DSS", "SRP-RSA")))
        ca = self.broker.ca
        viewer = garasu.Peer([garasu.BUILD / "tests/libvncclient_peer", "localhost", self.broker.vencrypt_port, ca / "ca.pem",
                              ca / "persons/hanako.pem", ca / "persons/hanako.key"],
                             {"GNUTLS_SYSTEM_PRIORITY_FILE": str(priorities), "ASAN_OPTIONS": "detect_leaks=0"})
        self.addCleanup(viewer.close)
        self.assertEqual(viewer.process.stdout.readline().strip(), "ok connected", viewer.error_text())
        self.browse(viewer, "hanako", "wait-size")
        viewer("quit")
        self.broker.ctl("kill", "hanako")

    def test_4_tigervnc_browses_through_stunnel(self):
        ca, port = self.broker.ca, garasu.free_port()
        configuration = self.folder / "stunnel.conf"
        configuration.write_text(f"""foreground = yes
pid =
[garasu]
client = yes
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{self.broker.port}
cert = {ca}/persons/taro.pem
key = {ca}/persons/taro.key
CAfile = {ca}/ca.pem
verifyChain = yes
checkHost = localhost
sslVersionMin = TLSv1.3
""")
        tunnel = subprocess.Popen(["stunnel", configuration], stderr=(self.folder / "stunnel.log").open("wb"))
        self.addCleanup(lambda: (tunnel.terminate(), tunnel.wait()))
        wait_for("stunnel to listen", lambda: b"started" in (self.folder / "stunnel.log").read_bytes() or
                 b"Configuration successful" in (self.folder / "stunnel.log").read_bytes())
        read, write = os.pipe()
        xvfb = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24", "-nolisten", "tcp"], pass_fds=[write],
                                stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (xvfb.terminate(), xvfb.wait()))
        os.close(write)
        with os.fdopen(read) as line:  # Xvfb writes the number and the newline one after the other
            environment = {**os.environ, "DISPLAY": ":" + line.readline().strip(), "HOME": str(self.folder)}

        def tigervnc(*options):
            with open(self.folder / "tigervnc.log", "w") as log:
                process = subprocess.Popen(["xtigervncviewer", "-SecurityTypes=None", "-AutoSelect=0", "-NoJPEG", "-PreferredEncoding=Tight",
                                            *options, f"127.0.0.1::{port}"], env=environment, stdout=subprocess.DEVNULL, stderr=log)
            self.addCleanup(lambda: (process.terminate(), process.wait()))
            return process
        vncviewer = tigervnc("-FullScreen", "-RemoteResize=0")

        def do(*arguments):
            subprocess.run(["xdotool", *map(str, arguments)], env=environment, check=True)
        try:
            places = self.loaded("/")
        except AssertionError:
            raise AssertionError((self.folder / "stunnel.log").read_text() + (self.folder / "tigervnc.log").read_text())

        def same():
            """The pointer stays outside: the container's screen has none."""
            garasu.container_screen(self.broker, "taro", self.folder / "real.ppm")
            dump = subprocess.run(["xwd", "-silent", "-root"], env=environment, capture_output=True, check=True).stdout
            subprocess.run(["convert", "xwd:-", f"png24:{self.folder}/tiger.png"], input=dump, check=True)
            self.difference = garasu.differing_pixels(self.folder / "tiger.png", self.folder / "real.ppm")
            return self.difference == 0
        wait_for("TigerVNC's viewer to show the container's screen", same)

        do("mousemove", *places["name"], "click", 1)
        wait_for("the click", lambda: [e for e in self.events("click") if e["target"] == "name"])
        do("type", "--delay", 30, "Tiger 456")
        wait_for("the typed text", lambda: self.value("name") == "Tiger 456")
        self.assertEqual([e["key"] for e in self.events("keydown") if len(e["key"]) == 1], list("Tiger 456"))
        do("mousemove", *places["long"], "click", 1)
        self.loaded("/long")
        do("mousemove", 640, 500, "click", "--repeat", 2, "--delay", 50, 5)
        wait_for("the wheel", lambda: sum(e["dy"] for e in self.events("wheel")) == 240)
        wait_for("the scrolled page", same)

        vncviewer.terminate()
        vncviewer.wait()
        tigervnc("-RemoteResize=1", "-DesktopSize=1100x720")
        wait_for("the page to notice its new size", lambda: any(e["w"] == 1100 for e in self.events("resize")))

    def test_5_t12_the_browser_keeps_its_own_sandbox(self):
        viewer = self.broker.viewer("hanako")
        self.addCleanup(viewer.close)
        viewer("wait-first-frame")
        self.loaded("/")
        found = garasu.container_processes()
        self.assertFalse([c for c in found.values() if "no-sandbox" in c])
        renderers = [pid for pid, command in found.items() if "--type=renderer" in command]
        self.assertTrue(renderers)
        for pid in renderers:
            status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
            self.assertEqual(status["Seccomp"].strip(), "2")
            self.assertGreaterEqual(int(status["Seccomp_filters"]), 2)
            self.assertGreaterEqual(len(status["NSpid"].split()), 3)
            self.assertEqual(status["CapEff"].strip(), "0" * 16)

    def test_6_the_record_tells_the_story(self):
        self.broker.ctl("kill", "hanako", check=False)
        count = lambda kind: sum(r["kind"] == kind and r["person"] == "hanako" for r in self.broker.audit())
        wait_for("her earlier sessions' ends in the record", lambda: count("session.start") == count("session.end"))
        start = len(self.broker.audit())
        viewer = self.broker.viewer("hanako")
        self.addCleanup(viewer.close)
        viewer("wait-first-frame")
        self.loaded("/")
        viewer("quit")
        viewer.wait()
        wait_for("the viewer to be gone", lambda: all(not s["connection"] for s in self.broker.sessions() if s["person"] == "hanako"))
        self.broker.ctl("kill", "hanako")
        story = wait_for("the session's end in the record", lambda: (lambda lines: lines if any(
            r["kind"] == "session.end" for r in lines) else None)(self.broker.audit()[start:]))
        session = next(r["session"] for r in story if r["kind"] == "session.start")
        mine = [r for r in story if r.get("session") == session and r["kind"] != "admin"]
        kinds = [r["kind"] for r in mine]
        for earlier, later in [("session.start", "session.attach"), ("session.attach", "egress.request"),
                               ("session.attach", "session.detach"), ("session.detach", "session.end")]:
            self.assertLess(kinds.index(earlier), kinds.index(later), kinds)
        self.assertEqual(kinds[-1], "session.end")
        self.assertEqual([r["kind"] for r in story if r["kind"] in ("login", "session.start")], ["login", "session.start"])
        self.assertTrue(all(r["person"] == "hanako" for r in mine))
        authority = f"127.0.0.1:{self.site.server_port}"
        self.assertTrue(any(authority in r["target"] for r in mine if r["kind"] == "egress.request"))
        self.assertEqual(mine[-1]["reason"], "ended-by-admin")
        self.assertTrue(any(r["kind"] == "admin" for r in story))
        self.broker.verify()
        # One changed byte is found.
        copy = self.folder / "audit"
        shutil.copytree(self.broker.audit_directory, copy)
        changed = copy / "log/00000000.log"
        changed.write_bytes(changed.read_bytes().replace(b"person=hanako", b"person=haneko", 1))
        with self.assertRaises(record.Broken):
            record.Record(copy).verify()

    def test_7_an_idle_page_wakes_nobody(self):
        """A still page and a warm container: no process of the broker and no agent is scheduled in 10 seconds.

        (Of every 20: so often the supervisor looks for a new revocation list.)"""
        viewer = self.broker.viewer("hanako")
        self.addCleanup(viewer.close)
        viewer("wait-first-frame")
        self.loaded("/")
        self.go(viewer, self.site.url + "still")
        places = self.loaded("/still")
        viewer("click 600 600")
        viewer("wait-idle 2000")

        def switches():
            mine = self.broker.own_processes()
            mine.update({p: c for p, c in garasu.container_processes().items() if "garasu-agent" in c})
            result = {}
            for pid, command in mine.items():
                for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                    result[f"{task.name} {command}"] = int(next(
                        line.split()[1] for line in (task / "status").read_text().splitlines() if line.startswith("voluntary_ctxt")))
            return result

        def quiet():
            before = switches()
            subprocess.run(["sleep", "10"])
            after = switches()
            self.woken = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
            return not self.woken
        try:
            wait_for("ten seconds in which nothing wakes", quiet, 60)
        except AssertionError:
            raise AssertionError(f"woken: {self.woken}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
