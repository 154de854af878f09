#!/usr/bin/env python3
"""garasu-viewer against a server that sends what it likes: what its window always shows, and how it ends."""
import os
import pathlib
import signal
import struct
import subprocess
import tempfile
import unittest

import garasu
from garasu import viewer_processes, wait_for
from viewer_server import HISTORY, WAIT, Server, cursor, filled, rectangle, screen, update

BAR, BORDER = 30, 4  # viewer/draw.h
COLOUR, LINE = (0x9a, 0x34, 0x12), (0xff, 0xed, 0xd5)
OTHER = (0x10, 0xc0, 0x40)
ENGLISH = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


class Picture:
    """A PPM. Rows are lists of (r, g, b)."""

    def __init__(self, file):
        data = pathlib.Path(file).read_bytes()
        _, size, _, pixels = data.split(b"\n", 3)
        self.width, self.height = map(int, size.split())
        self.pixels = pixels

    def at(self, x, y):
        i = (y * self.width + x) * 3
        return tuple(self.pixels[i:i + 3])

    def part(self, x, y, w, h):
        return b"".join(self.pixels[((y + i) * self.width + x) * 3:((y + i) * self.width + x + w) * 3] for i in range(h))

    def count(self, colour):
        return sum(self.pixels[i:i + 3] == bytes(colour) for i in range(0, len(self.pixels), 3))

    def frame(self, x, y, w, h):
        """The pixels of bar and border of a window."""
        inner = h - BAR - BORDER
        return (self.part(x, y, w, BAR) + self.part(x, y + BAR, BORDER, inner) + self.part(x + w - BORDER, y + BAR, BORDER, inner)
                + self.part(x, y + h - BORDER, w, BORDER))


class Window:
    """A viewer in a window on an X server of its own."""

    def __init__(self, test, server, width, height, *options):
        read, write = os.pipe()
        self.xvfb = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"],
                                     pass_fds=[write], stderr=subprocess.DEVNULL)
        self.viewer = None
        test.addCleanup(self.close)
        os.close(write)
        with os.fdopen(read) as line:
            self.number = line.readline().strip()
        self.environment = {**os.environ, **ENGLISH, "DISPLAY": ":" + self.number, "ASAN_OPTIONS": "detect_leaks=0"}
        self.file = test.folder / "screen.ppm"
        self.viewer = subprocess.Popen([garasu.BUILD / "bin/garasu-viewer", *map(str, [*server.options(), *options]), *([] if getattr(server, "target", "") is None else [f"127.0.0.1:{server.port}"])],
                                       env=self.environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        for process in (self.viewer, self.xvfb):
            if process and process.poll() is None:
                process.kill()
                process.wait()

    def do(self, *arguments):
        return subprocess.run(["xdotool", *map(str, arguments)], env=self.environment, check=True, capture_output=True, text=True).stdout

    def geometry(self):
        """x, y, width, height of the viewer's window on the screen."""
        name = wait_for("the window", lambda: subprocess.run(["xdotool", "search", "--onlyvisible", "--class", "garasu-viewer"], env=self.environment,
                                                             capture_output=True, text=True).stdout.split())[0]
        return [int(dict(line.split("=") for line in self.do("getwindowgeometry", "--shell", name).split())[k])
                for k in ("X", "Y", "WIDTH", "HEIGHT")]

    def screen(self, *options):
        """What the screen shows, without the pointer unless "--pointer" is given."""
        subprocess.run([garasu.BUILD / "tests/screen_of", *options, f"/tmp/.X11-unix/X{self.number}", self.file], check=True)
        return Picture(self.file)

    def assert_framed(self, test):
        """Bar and border are where they belong, and the title is in the bar. Returns the frame's pixels."""
        def drawn():
            x, y, w, h = self.geometry()
            self.seen = picture = self.screen()
            frame = picture.frame(x, y, w, h)
            edges = (picture.part(x, y, w, 3) + picture.part(x, y, 3, h) + picture.part(x + w - 3, y, 3, h) + picture.part(x, y + h - 3, w, 3))
            white = picture.part(x + 12, y, 200, BAR).count(b"\xff\xff\xff")
            lines = (picture.part(x + 3, y + BAR - 1, w - 6, 1) + picture.part(x + 3, y + h - BORDER, w - 6, 1)
                     + picture.part(x + 3, y + BAR, 1, h - BAR - 3) + picture.part(x + w - BORDER, y + BAR, 1, h - BAR - 3))
            good = edges == bytes(COLOUR) * (len(edges) // 3) and lines == bytes(LINE) * (len(lines) // 3) and white > 100
            return frame if good else None
        try:
            return wait_for("bar, title and border", drawn)
        except AssertionError:
            raise AssertionError("the window has no frame; its left upper pixels: %s" % [self.seen.at(*self.geometry()[:2])])


class Viewer(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="garasu-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o755)
        self.server = Server(self.folder)
        self.addCleanup(self.server.close)

    # -- bar and border

    def paint_over(self, window, connection, width, height):
        """A hostile page of this size: all of it in the bar's colour, with a title of its own, and a pointer that is as large as permitted."""
        x, y, w, h = window.geometry()
        pieces = [filled(0, 0, width, height, COLOUR)] + [filled(i * 16 + 12, 4, 12, 20, (255, 255, 255)) for i in range(min(9, (width - 12) // 16 - 1))]
        connection.send(connection.picture(width, height, filled(0, 0, width, height, OTHER)))
        before = window.assert_framed(self)
        wait_for("the first picture", lambda: window.screen().at(x + BORDER + 100, y + BAR + 100) == OTHER)
        connection.send(connection.picture(width, height, *pieces))
        wait_for("the second picture", lambda: window.screen().at(x + BORDER + 100, y + BAR + 100) == COLOUR)
        self.assertEqual(window.assert_framed(self), before)
        # A pointer that reaches as far from its hot spot as it can: shown inside, but not where it would reach beyond the picture.
        at_x, at_y, inner_w, inner_h = x + BORDER, y + BAR, min(width, w - 2 * BORDER), min(height, h - BAR - BORDER)
        for hot_x, hot_y, edge_x, edge_y in ((63, 63, 0, 0), (0, 0, inner_w - 1, inner_h - 1), (0, 63, inner_w - 1, 0), (63, 0, 0, inner_h - 1)):
            window.do("mousemove", at_x + inner_w // 2, at_y + inner_h // 2)
            connection.send(cursor(64, 64, hot_x, hot_y, OTHER))
            wait_for("the pointer", lambda: window.screen("--pointer").count(OTHER) == 64 * 64)
            window.do("mousemove", at_x + edge_x, at_y + edge_y)
            wait_for("the pointer to be another one", lambda: window.screen("--pointer").count(OTHER) == 0)

    def test_no_page_can_draw_over_bar_and_border(self):
        for name, size, display, options in (("windowed", (600, 400), (800, 600), ("--size", "600x400")),
                                             ("full screen", (792, 566), (800, 600), ("--full-screen",)),
                                             ("tiny", (312, 206), (800, 600), ("--size", "64x64")),
                                             ("larger than the window", (900, 700), (800, 600), ("--full-screen",)),
                                             ("smaller than the window", (300, 200), (800, 600), ("--full-screen",))):
            with self.subTest(name):
                window = Window(self, self.server, *display, *options)
                connection = self.server.accept()
                connection.stream.sendall(WAIT)
                window.assert_framed(self)
                connection.handshake()
                window.assert_framed(self)
                connection.server_init(*size)
                self.paint_over(window, connection, *size)
                connection.stream.close()
                wait_for("the message", lambda: window.screen().count((255, 255, 255)) > 20000)
                window.assert_framed(self)
                window.close()

    def test_pixels_are_one_to_one_inside_the_frame(self):
        window = Window(self, self.server, 800, 600, "--full-screen")
        connection = self.server.accept()
        connection.handshake()
        connection.server_init(300, 200)
        connection.send(screen(300, 200))
        width, height = struct.unpack(">xHH", connection.message(251)[:5])
        while (width, height) != (800 - 2 * BORDER, 600 - BAR - BORDER):  # it begins with the size of a window
            connection.send(screen(width, height, 1))
            width, height = struct.unpack(">xHH", connection.message(251)[:5])
        connection.send(screen(width, height, 1))
        lines = [filled(0, 0, width, height, OTHER), filled(0, 0, 1, height, (1, 2, 3)), filled(width - 1, 0, 1, height, (4, 5, 6))]
        connection.send(connection.picture(width, height, *lines))
        wait_for("the picture", lambda: window.screen().count((4, 5, 6)) == height)
        picture = window.screen()
        self.assertEqual([picture.at(x, 599 - BORDER) for x in (BORDER - 1, BORDER, 799 - BORDER, 800 - BORDER)], [LINE, (1, 2, 3), (4, 5, 6), LINE])
        window.do("mousemove", BORDER + 123, BAR + 45, "click", 1)
        while (event := connection.message(5))[0] != 1:
            pass
        self.assertEqual(struct.unpack(">HH", event[1:]), (123, 45))

    # -- how it ends

    def start(self, *options):
        """A viewer without a window, with its first picture; and its connection."""
        viewer = garasu.Peer([garasu.BUILD / "bin/garasu-viewer", "--headless", "--timeout", garasu.DEADLINE, "--script", "-", *options,
                              *self.server.options(), f"127.0.0.1:{self.server.port}"], ENGLISH)
        self.addCleanup(viewer.close)
        connection = self.server.accept()
        connection.handshake()
        connection.server_init(128, 64)
        connection.send(connection.picture(128, 64, filled(0, 0, 128, 64, OTHER)))
        viewer("wait-first-frame")
        return viewer, connection

    def assert_ended(self, viewer, code, *words):
        self.assertEqual(viewer.wait(), code, viewer.error_text())
        for word in words:
            self.assertIn(word, viewer.error_text())

    def test_the_decoder_holds_nothing(self):
        """T33: before the server's first byte it is confined, and has its two sockets and the capture."""
        capture = self.folder / "capture"
        for options, size, files in (((), "0", []), (("--capture", capture), str(4 << 30), [str(capture)])):
            viewer = subprocess.Popen([garasu.BUILD / "bin/garasu-viewer", "--headless", *options, *self.server.options(),
                                       f"127.0.0.1:{self.server.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(lambda process=viewer: (process.kill(), process.wait()))
            self.server.accept()  # which says nothing
            process = pathlib.Path("/proc", str(viewer_processes(viewer.pid)["garasu-decoder"]))
            status = lambda: dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
            filters = int(next(line.split()[1] for line in pathlib.Path("/proc/self/status").read_text().splitlines()
                               if line.startswith("Seccomp_filters")))  # the last that the decoder does is to add one to ours
            wait_for("the filter", lambda: int(status()["Seccomp_filters"]) > filters)
            self.assertEqual((status()["NoNewPrivs"], status()["CapEff"], status()["CapPrm"]), ("1", "0" * 16, "0" * 16))
            self.assertNotIn("0", status()["Uid"].split())
            held = sorted(os.readlink(process / "fd" / fd) for fd in os.listdir(process / "fd") if int(fd) > 2)
            self.assertEqual([h for h in held if not h.startswith("socket:")], files)
            self.assertEqual(len(held), 2 + len(files))
            limits = {line[:25].strip(): line[25:].split()[:2] for line in (process / "limits").read_text().splitlines()}
            self.assertEqual(limits["Max file size"], [size, size])
            self.assertEqual(limits["Max processes"], ["0", "0"])

    def test_the_decoder_dies(self):
        """T34: an error, its exit code, no second try, nothing left."""
        viewer, connection = self.start()
        children = viewer_processes(viewer.process.pid)
        self.assertEqual(sorted(children), ["garasu-decoder", "garasu-transp."])
        os.kill(children["garasu-decoder"], signal.SIGKILL)
        self.assert_ended(viewer, 8, "The picture decoder ended unexpectedly", "decoder-died")
        self.assertEqual(viewer_processes(viewer.process.pid), {})
        for pid in children.values():
            self.assertFalse(os.path.exists(f"/proc/{pid}"), "a process is left")
        self.assertTrue(self.server.nobody_waits(), "it has connected again")
        connection.stream.settimeout(garasu.DEADLINE)
        while connection.stream.recv(4096):
            pass  # the rest of its input, and then its end

    def test_the_decoder_dies_behind_a_window(self):
        window = Window(self, self.server, 800, 600, "--size", "600x400")
        connection = self.server.accept()
        connection.handshake()
        connection.server_init(600, 400)
        connection.send(connection.picture(600, 400, filled(0, 0, 600, 400, OTHER)))
        wait_for("the picture", lambda: window.screen().count(OTHER) > 200000)
        os.kill(viewer_processes(window.viewer.pid)["garasu-decoder"], signal.SIGKILL)
        wait_for("the message", lambda: window.screen().count((255, 255, 255)) > 20000)
        window.assert_framed(self)
        self.assertIsNone(window.viewer.poll())
        self.assertNotIn("garasu-decoder", viewer_processes(window.viewer.pid))
        self.assertTrue(self.server.nobody_waits(), "it has connected again")
        window.do("key", "Escape")
        self.assertEqual(window.viewer.wait(garasu.DEADLINE), 8)

    def test_what_is_not_in_the_grammar_ends_the_session(self):
        """T32: each in a viewer of its own, which says what was wrong and where, and has kept it."""
        header = rectangle(0, 0, 128, 64, 0x47415211)
        frame_64k = (b"\xff\xd8" + b"\xff\xdb\0\x43\0" + b"\1" * 64 + b"\xff\xc0\0\x11\x08\xff\xff\xff\xff\3\1\x11\0\2\x11\0\3\x11\0"
                     + b"\xff\xda\0\x0c\3\1\0\2\0\3\0\0\x3f\0\x03\xff\xd9")
        # RFC 8878: blocks that repeat one byte 131072 times, four bytes each: 128 GiB in 4 MiB, of which a unit may have 128 KiB.
        bomb = (struct.pack("<I", 131072 << 3 | 2)[:3] + b"\0") * ((4 << 20) // 4)
        for name, bad, rule, options in (
                ("a bell", b"\2", "a message", ()),
                ("cut text", b"\3\0\0\0\xff\xff\xff\xff", "a message", ()),
                ("a JPEG of 64k by 64k", update(header + struct.pack(">I", len(frame_64k)) + frame_64k), "JPEG", ()),
                ("a JPEG that was not asked for", update(header + struct.pack(">I", len(frame_64k)) + frame_64k), "asked for",
                 ("--quality", "0")),
                ("a zstd bomb", update(rectangle(0, 0, 128, 64, HISTORY, struct.pack(">I", len(bomb)) + bomb)), "too large", ()),
                ("a screen beyond the limits", screen(8193, 100), "outside the limits", ()),
                ("a second end of continuous updates", b"\x96\x96", "not due", ())):
            with self.subTest(name):
                capture = self.folder / f"capture {name}"
                viewer, connection = self.start("--capture", capture, *options)
                offset = len(connection.sent) + (4 if bad[0] == 0 else 1 if bad[0] == 0x96 else 0)
                connection.send(bad)
                self.assert_ended(viewer, 8, "protocol-error", rule)
                if name != "a zstd bomb":  # the guard leaves inflating to the viewer, which knows no offset
                    self.assertIn(f"byte {offset}]", viewer.error_text())
                self.assertEqual(capture.read_bytes(), connection.sent)
                done = subprocess.run([garasu.BUILD / "bin/garasu-guard", capture], capture_output=True, text=True, timeout=garasu.DEADLINE)
                if name != "a JPEG that was not asked for":  # which the file does not tell
                    self.assertEqual(done.returncode, 1, done.stderr)
                    self.assertIn(f"offset {offset}: ", done.stdout)

    # -- the capture

    def test_capture_has_every_byte(self):
        capture = self.folder / "capture"
        viewer, connection = self.start("--capture", capture)
        for i in range(50):
            connection.send(connection.picture(128, 64, filled(0, 0, 128, 64, (i, 2 * i, 3 * i))))
        viewer("wait-pixel 127 63 316293")
        viewer("quit")
        self.assert_ended(viewer, 0)
        self.assertEqual(capture.read_bytes(), connection.sent)
        self.assertEqual(capture.stat().st_mode & 0o777, 0o600)

    def test_capture_overwrites_nothing(self):
        capture = self.folder / "capture"
        for text, locale in (("exists", "C.UTF-8"), ("すでに存在します", "ja_JP.UTF-8")):
            capture.write_text("evidence")
            done = subprocess.run([garasu.BUILD / "bin/garasu-viewer", "--headless", "--capture", capture, *self.server.options(),
                                   f"127.0.0.1:{self.server.port}"], env={**os.environ, "LC_ALL": locale}, capture_output=True, text=True,
                                  timeout=garasu.DEADLINE)
            self.assertEqual(done.returncode, 1)
            self.assertIn(text, done.stderr)
            self.assertIn(str(capture), done.stderr)
            self.assertEqual(capture.read_text(), "evidence")
        self.assertTrue(self.server.nobody_waits())

    @unittest.skipUnless(os.geteuid() == 0, "a small disk is made by mount(8), which needs root")
    def test_a_full_disk_ends_capture_and_session(self):
        disk = self.folder / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", disk], check=True))
        viewer, connection = self.start("--capture", disk / "capture")
        for i in range(200):
            try:
                connection.send(connection.picture(128, 64, *[filled(0, 0, 128, 64, (i, 0, 0))] * 10))
            except OSError:
                break
        self.assert_ended(viewer, 1, "output-file", "No space left on device")
        kept = (disk / "capture").read_bytes()
        self.assertEqual(kept, connection.sent[:len(kept)])


if __name__ == "__main__":
    unittest.main(verbosity=2)
