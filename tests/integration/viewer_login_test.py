#!/usr/bin/env python3
"""garasu-viewer is asked for the second factor, by a server that plays the broker: the dialogue by keys and pointer, --factors, signs."""
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

import garasu
import viewer_test
from garasu import wait_for
from viewer_server import Server, filled
from viewer_test import BAR, BORDER, ENGLISH, Window

PASSWORD, CODE, BOTH = 1, 2, 3
WRONG, LOCKED = 15, 16
ALARM = (0xfd, 0xec, 0xea)
PRIMARY = (0x9a, 0x34, 0x12)
RECORD_RED = (0xff, 0x5a, 0x4d)
INPUT_FRAME = PRIMARY


class Login(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="garasu-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.folder.chmod(0o755)
        cls.server = Server(cls.folder)
        cls.addClassCleanup(cls.server.close)

    assert_ended = viewer_test.Viewer.assert_ended

    def window(self, *options):
        window = Window(self, self.server, 800, 700, "--size", "700x600", *options)
        return window, self.server.accept()

    def scripted(self, *options, environment=ENGLISH, display=None):
        """A viewer with a window that a script drives."""
        environment = {**environment, "DISPLAY": display} if display else environment
        viewer = garasu.Peer([garasu.BUILD / "bin/garasu-viewer", *([] if display else ["--headless"]), "--timeout", garasu.DEADLINE, "--script", "-",
                              *options, *self.server.options(), f"127.0.0.1:{self.server.port}"], environment)
        self.addCleanup(viewer.close)
        return viewer, self.server.accept()

    def display(self):
        read, write = os.pipe()
        xvfb = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "1000x800x24", "-nolisten", "tcp", "-noreset"],
                                pass_fds=[write], stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (xvfb.kill(), xvfb.wait()))
        os.close(write)
        with os.fdopen(read) as line:
            return ":" + line.readline().strip()

    @staticmethod
    def wait_dialog(window):
        """Until the dialogue is drawn: a field with the focus. Returns the screen."""
        def drawn():
            picture = window.screen()
            x, y, w, h = window.geometry()
            inside = [picture.part(x + BORDER, y + BAR + row, w - 2 * BORDER, 1) for row in range(0, h - BAR - BORDER, 2)]
            return picture if any(row.count(bytes(INPUT_FRAME) * 300) for row in inside) else None
        return wait_for("the dialogue", drawn)

    # -- the dialogue

    def test_right_at_once_by_the_keyboard(self):
        window, connection = self.window()
        connection.ask(BOTH)
        self.wait_dialog(window)
        window.do("type", "Secret-1\\")
        window.do("key", "Tab")
        window.do("type", "123456")
        window.do("key", "Return")
        self.assertEqual(connection.answer(), ("Secret-1\\", "123456"))
        connection.handshake()
        connection.server_init(700, 600)
        connection.send(connection.picture(700, 600, filled(0, 0, 700, 600, (1, 2, 3))))
        wait_for("the picture", lambda: window.screen().count((1, 2, 3)) > 300000)
        # Nothing of it went into the session, and keys do from now on.
        window.do("key", "z")
        self.assertEqual(connection.message(4)[-4:], b"\0\0\0z")

    def test_wrong_then_right_and_what_is_typed_too_early_goes_nowhere(self):
        window, connection = self.window()
        window.geometry()
        time.sleep(0.5)
        window.do("type", "too early")  # while it connects: goes nowhere
        connection.ask(BOTH)
        self.wait_dialog(window)
        self.assertEqual(window.screen().count(ALARM), 0)
        window.do("type", "wrong")
        window.do("key", "Return")  # leads into the empty field
        window.do("type", "000000")
        window.do("key", "Return")
        self.assertEqual(connection.answer(), ("wrong", "000000"))
        connection.ask(BOTH, WRONG, tries=4)
        wait_for("what was wrong", lambda: window.screen().count(ALARM) > 1000)
        window.assert_framed(self)
        window.do("type", "right")
        window.do("key", "shift+Tab", "shift+Tab", "shift+Tab")  # cancel, log in, and the code
        window.do("type", "111111")
        window.do("key", "Tab", "space")
        self.assertEqual(connection.answer(), ("right", "111111"))

    def test_by_the_pointer(self):
        window, connection = self.window()
        connection.ask(CODE)
        picture = self.wait_dialog(window)
        x, y, w, h = window.geometry()
        left = next(i for i in range(x + BORDER, x + w) if picture.at(i, y + h // 3) == PRIMARY)  # the panel's stripe
        field = next(i for i in range(y + BAR + 60, y + h) if picture.part(left + 60, i, 300, 1) == bytes(INPUT_FRAME) * 300)
        window.do("mousemove", x + w // 2, field + 18, "click", 1)
        window.do("type", "654321")
        def button():
            picture = window.screen()
            return next((i for i in range(field + 50, y + h - BORDER) if picture.part(x + w // 2 + 150, i, 20, 1) == bytes(PRIMARY) * 20), None)
        window.do("mousemove", x + w // 2 + 160, wait_for("the button", button) + 5, "click", 1)
        self.assertEqual(connection.answer(), ("", "654321"))

    def test_no_answer_is_given_before_its_time(self):
        window, connection = self.window()
        connection.ask(PASSWORD, WRONG, 2, seconds=3)
        began = time.monotonic()
        self.wait_dialog(window)
        window.do("type", "secret")
        answer = None
        connection.stream.settimeout(0.3)
        while answer is None:
            window.do("key", "Return")
            try:
                answer = connection.answer()
            except TimeoutError:
                self.assertLess(time.monotonic() - began, garasu.DEADLINE)
        self.assertGreater(time.monotonic() - began, 2.5)
        self.assertEqual(answer, ("secret", ""))

    def test_locked_out_counts_down(self):
        window, connection = self.window()
        connection.ask(BOTH)
        self.wait_dialog(window)
        connection.refuse(LOCKED, 90)
        x, y, w, h = window.geometry()
        panel = (x + BORDER, y + BAR, w - 2 * BORDER, h - BAR - BORDER)
        wait_for("the dialogue to be gone", lambda: window.screen().count((0, 0, 0)) >= 0 and not window.screen().part(*panel).count(bytes(INPUT_FRAME) * 300))
        first = window.screen().part(*panel)
        wait_for("the next second", lambda: window.screen().part(*panel) != first)
        window.do("key", "Escape")
        self.assertEqual(window.viewer.wait(garasu.DEADLINE), 4)

    def test_cancel(self):
        for keys in (["Escape"], ["shift+Tab", "Return"]):
            window, connection = self.window()
            connection.ask(BOTH)
            self.wait_dialog(window)
            window.do("type", "secret")
            window.do("key", *keys)
            self.assertEqual(window.viewer.wait(garasu.DEADLINE), 0)
            self.assertEqual(connection.stream.recv(1), b"", "something was sent")
            window.close()

    def test_a_script_fills_it(self):
        viewer, connection = self.scripted("--size", "700x600", display=self.display())
        connection.ask(BOTH)
        self.assertIn("ok wait-ask first tries=5", viewer("wait-ask"))
        viewer("text ひみつ")
        viewer("key Return")
        viewer("text １２３ 456")
        viewer("key Return")
        self.assertEqual(connection.answer(), ("ひみつ", "123456"))
        connection.ask(CODE, WRONG, tries=1)
        self.assertIn("ok wait-ask wrong-factor tries=1", viewer("wait-ask"))
        viewer("type abcd-efgh")
        viewer("key Control_L+a")
        viewer("type WXYZ-1234")
        viewer("key Tab")
        viewer("key space")
        self.assertEqual(connection.answer(), ("", "WXYZ-1234"))
        connection.handshake()
        connection.server_init(128, 64)
        connection.send(connection.picture(128, 64, filled(0, 0, 128, 64, (1, 2, 3))))
        viewer("wait-pixel 1 1 010203")
        viewer("key z")
        self.assertEqual(connection.message(4)[-4:], b"\0\0\0z")

    def test_paste(self):
        window, connection = self.window()
        connection.ask(PASSWORD)
        self.wait_dialog(window)
        owner = subprocess.Popen(["xclip", "-i", "-selection", "clipboard", "-loops", "1"], env=window.environment, stdin=subprocess.PIPE)
        self.addCleanup(lambda: (owner.kill(), owner.wait()))
        owner.stdin.write("貼り付け pass\n".encode())
        owner.stdin.close()
        time.sleep(0.5)
        window.do("key", "ctrl+v")
        wait_for("what was pasted", lambda: owner.poll() is not None)
        window.do("key", "Return")
        self.assertEqual(connection.answer(), ("貼り付け pass", ""))

    # -- without a window

    def factors(self, text, mode=0o600):
        file = self.folder / "factors"
        file.write_text(text)
        file.chmod(mode)
        return file

    def test_without_a_window_there_is_an_error(self):
        for environment, words in ((ENGLISH, "second factor is asked for"), ({"LC_ALL": "ja_JP.UTF-8"}, "入力が必要です")):
            viewer, connection = self.scripted(environment=environment)
            connection.ask(BOTH)
            self.assert_ended(viewer, 4, "factor-missing", words)
            self.assertEqual(connection.stream.recv(1), b"")

    def test_factors_from_a_file(self):
        viewer, connection = self.scripted("--factors", self.factors("ひみつ\n123456\n"))
        connection.ask(BOTH)
        self.assertEqual(connection.answer(), ("ひみつ", "123456"))
        connection.ask(BOTH, WRONG, tries=2)
        self.assert_ended(viewer, 4, "wrong-factor")
        # What is not asked for is not given; a time to wait is kept.
        viewer, connection = self.scripted("--factors", self.factors("secret\r\n123456"))
        began = time.monotonic()
        connection.ask(CODE, seconds=2)
        self.assertEqual(connection.answer(), ("", "123456"))
        self.assertGreater(time.monotonic() - began, 1.5)
        connection.handshake()
        connection.server_init(128, 64)
        connection.send(connection.picture(128, 64, filled(0, 0, 128, 64, (1, 2, 3))))
        viewer("wait-pixel 1 1 010203")
        for name in ("garasu-viewer", "garasu-decoder", "garasu-transp."):
            pid = viewer.process.pid if name == "garasu-viewer" else garasu.viewer_processes(viewer.process.pid)[name]
            self.assertFalse(found_in(pid, b"123456\0\0"), name)

    def test_a_wrong_file_of_factors_is_told_before_anything_is_opened(self):
        for text, mode, words in (("a\nb\n", 0o640, "others may read"), ("a\nb\nc\n", 0o600, "two lines"), ("p" * 257 + "\n", 0o600, "two lines"),
                                  ("a\nあ\n", 0o600, "two lines")):
            done = subprocess.run([garasu.BUILD / "bin/garasu-viewer", "--headless", "--factors", self.factors(text, mode), *self.server.options(),
                                   f"127.0.0.1:{self.server.port}"], env={**os.environ, **ENGLISH}, capture_output=True, text=True,
                                  timeout=garasu.DEADLINE)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)

    def test_refusals_have_their_words(self):
        for reason, code, name, english, japanese in (
                (15, 4, "wrong-factor", "code is wrong", "確認コードが違います"), (16, 4, "locked-out", "again in 1 min 30 s", "あと1分30秒"),
                (17, 7, "cut-off", "in an emergency", "緊急対応"), (18, 5, "not-permitted", "do not permit", "利用ルール"),
                (19, 7, "idle", "nothing was done", "操作がなかった"), (20, 7, "time-limit", "longest time", "利用時間の上限"),
                (21, 6, "recording-failed", "must be recorded", "録画できない"), (22, 7, "displaced", "higher priority", "優先度")):
            for environment, words in ((ENGLISH, english), ({"LC_ALL": "ja_JP.UTF-8"}, japanese)):
                viewer, connection = self.scripted(environment=environment)
                connection.refuse(reason, 90 if reason == 16 else 0)
                self.assert_ended(viewer, code, name, words)
        viewer, connection = self.scripted("--factors", self.factors("a\n1\n"))
        connection.ask(BOTH, seconds=100)
        connection.refuse(9)
        self.assert_ended(viewer, 7, "time-over", "two minutes")

    # -- what the policy has shown

    def test_watermark_and_recording_are_shown(self):
        window, connection = self.window()
        connection.handshake(3)
        connection.server_init(700, 600)
        pieces = [filled(0, 0, 700, 300, (255, 255, 255)), filled(0, 300, 700, 300, (0, 0, 0))]
        connection.send(connection.picture(700, 600, *pieces))
        x, y, w, h = window.geometry()
        place = (x + BORDER, y + BAR)
        def marked():
            picture = window.screen()
            halves = [picture.part(place[0], place[1] + at, 700, 300) for at in (0, 300)]
            pale = sum(halves[0][i] < 255 for i in range(0, len(halves[0]), 3)), sum(halves[1][i] > 0 for i in range(0, len(halves[1]), 3))
            return (picture, pale) if min(pale) > 1000 and picture.at(place[0], place[1]) == (255, 255, 255) else None
        picture, pale = wait_for("the watermark on white and on black", marked)
        self.assertLess(max(pale), 700 * 300 // 8, "it hinders reading")
        self.assertGreater(picture.count(RECORD_RED), 30)
        self.assertIn("[REC]", window.do("getwindowname", window.do("search", "--class", "garasu-viewer").split()[0]))
        # A part that is painted again has the same mark, at the same place.
        before = picture.part(*place, 700, 600)
        connection.send(connection.picture(700, 600, filled(100, 100, 50, 50, (255, 0, 0))))
        wait_for("the square", lambda: window.screen().count((255, 0, 0)) > 1000)
        connection.send(connection.picture(700, 600, filled(100, 100, 50, 50, (255, 255, 255))))
        minute = time.strftime("%M")
        wait_for("the same again", lambda: window.screen().part(*place, 700, 600) == before or time.strftime("%M") != minute)
        # A screen at rest stays at rest: the process sleeps.
        ticks = lambda: sum(map(int, pathlib.Path(f"/proc/{window.viewer.pid}/stat").read_text().rsplit(")")[1].split()[11:13]))
        time.sleep(2)
        begin = ticks()
        time.sleep(3)
        self.assertLessEqual(ticks() - begin, 5)

    def test_what_is_saved_has_the_watermark_too(self):
        for flags, marked in ((0, False), (1, True)):
            viewer, connection = self.scripted()
            connection.handshake(flags)
            connection.server_init(400, 300)
            connection.send(connection.picture(400, 300, filled(0, 0, 400, 300, (255, 255, 255))))
            viewer("wait-first-frame")
            file = self.folder / "picture.png"
            viewer(f"screenshot {file}")
            raw = subprocess.run(["ffmpeg", "-loglevel", "error", "-i", file, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True,
                                 check=True).stdout
            self.assertEqual(raw != b"\xff" * len(raw), marked)
            viewer("quit")

    def test_the_desktops_scale_is_followed(self):
        display = self.display()
        subprocess.run(["xprop", "-root", "-f", "RESOURCE_MANAGER", "8s", "-set", "RESOURCE_MANAGER", "Xft.dpi:\t144\n"],
                       env={**os.environ, "DISPLAY": display}, check=True, stdout=subprocess.DEVNULL)
        for options, scale in (((), 150), (("--scale", "125"), 125)):
            viewer, connection = self.scripted("--size", "700x600", *options, display=display)
            connection.ask(BOTH)
            viewer("wait-ask")
            file = self.folder / "window.png"
            viewer(f"screenshot-window {file}")
            size = subprocess.run(["file", file], capture_output=True, text=True).stdout
            bar, border = (30 * scale + 50) // 100, (4 * scale + 50) // 100
            self.assertIn(f"{700 + 2 * border} x {600 + bar + border}", size)
            viewer.close()


def found_in(pid, needle):
    """Whether the process's writable memory has it."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, access = line.split()[:2]
            begin_at, end_at = (int(x, 16) for x in span.split("-"))
            if "w" not in access or end_at - begin_at > 1 << 26:
                continue
            try:
                memory.seek(begin_at)
                if needle in memory.read(end_at - begin_at):
                    return line
            except (OSError, ValueError, OverflowError):
                pass
    return None


if __name__ == "__main__":
    unittest.main(verbosity=2)
