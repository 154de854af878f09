#!/usr/bin/env python3
"""Printing in garasu-viewer: pages that a server shows piece by piece become a PDF of exactly those pixels, and of nothing else."""
import os
import pathlib
import random
import re
import stat
import struct
import subprocess
import tempfile
import time
import unittest
import unittest.mock

import garasu
from garasu import wait_for
from viewer_server import (ACCEPT, CANCEL, END, OFFER, PIECE, START, TAKEN, Server, exactly, filled, page, terms)
from viewer_test import BAR, BORDER, ENGLISH, Picture, Window

OTHER = (0x10, 0xc0, 0x40)
DPI = 200
PRINTING = terms(2)


def make_page(width, height, seed, colour):
    """R, G, B bytes of a page with something at every place."""
    rng = random.Random(seed)
    if not colour:
        return bytes(v for v in rng.randbytes(width * height) for _ in range(3))
    return rng.randbytes(width * height * 3)


def cut(pixels, width, x, y, w, h):
    return b"".join(pixels[((y + i) * width + x) * 3:((y + i) * width + x + w) * 3] for i in range(h))


def run(*command):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True, timeout=garasu.DEADLINE).stdout


class Print(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="garasu-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.saved = self.folder / "保存 先"
        self.saved.mkdir()
        self.server = Server(self.folder)
        self.addCleanup(self.server.close)
        self.pages = [(70, 130, make_page(70, 130, 1, True)), (64, 64, make_page(64, 64, 2, False)), (129, 65, make_page(129, 65, 3, True))]

    # -- what the server does

    def offer(self, connection, document=1, more=0):
        width, height, _ = self.pages[0]
        connection.send(page(OFFER, document, 0, len(self.pages), width, height, more, DPI))

    def show(self, connection, document, first, last, size):
        """Shows pages first to last in pieces of this size, and waits for each TAKEN."""
        for number in range(first, last + 1):
            width, height, pixels = self.pages[number - 1]
            for y in range(0, height, size[1]):
                for x in range(0, width, size[0]):
                    w, h = min(size[0], width - x), min(size[1], height - y)
                    connection.send(connection.picture(*size, *exactly(0, 0, w, h, cut(pixels, width, x, y, w, h))))
                    connection.send(page(PIECE, document, number, len(self.pages), width, height, x, y))
                    self.assertEqual(connection.print_request(), (TAKEN, document, number, 0))

    def end(self, connection, document, shown, size, why=0):
        connection.send(page(END, document, shown, x=why))
        connection.send(connection.picture(*size, filled(0, 0, *size, OTHER)))

    # -- what must be in the PDF

    def assert_document(self, file, pages):
        """Exactly these pages, as images of exactly these pixels, and nothing else."""
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        run("qpdf", "--check", file)
        data = file.read_bytes()
        for word in (b"/Font", b"/JavaScript", b"/JS", b"/Annots", b"/URI", b"/Title", b"/Author", b"/Metadata", b"/Names", b"/OpenAction",
                     b"/EmbeddedFile", b"/AcroForm"):
            self.assertNotIn(word, data)
        self.assertEqual(run("pdftotext", file, "-").strip("\f\n"), "")
        self.assertEqual(len(run("pdffonts", file).splitlines()), 2, "a font")
        images = [line.split() for line in run("pdfimages", "-list", file).splitlines()[2:]]
        self.assertEqual([(int(i[0]), i[2], int(i[3]), int(i[4]), i[5]) for i in images],
                         [(n + 1, "image", w, h, "gray" if all(p[0::3] == p[k::3] for k in (1, 2)) else "rgb")
                          for n, (w, h, p) in enumerate(pages)])
        sizes = re.findall(r"Page +\d+ size: +([\d.]+) x ([\d.]+) pts", run("pdfinfo", "-l", "999", file))
        for (w, h, _), (points_w, points_h) in zip(pages, sizes, strict=True):
            self.assertAlmostEqual(float(points_w), w * 72 / DPI, delta=0.02)
            self.assertAlmostEqual(float(points_h), h * 72 / DPI, delta=0.02)
        run("pdfimages", file, self.folder / "image")
        for n, (w, h, pixels) in enumerate(pages):
            found = list(self.folder.glob(f"image-{n:03}.p?m"))
            kind, size, _, seen = found[0].read_bytes().split(b"\n", 3)
            seen = bytes(v for v in seen for _ in range(3)) if kind == b"P5" else seen
            self.assertEqual(tuple(map(int, size.split())), (w, h))
            self.assertEqual(seen, pixels, f"page {n + 1}")
            found[0].unlink()

    # -- without a window

    def start(self, *options, flags=0, opening=PRINTING):
        viewer = garasu.Peer([garasu.BUILD / "bin/garasu-viewer", "--headless", "--timeout", garasu.DEADLINE, "--script", "-", *options,
                              *self.server.options(), f"127.0.0.1:{self.server.port}"], ENGLISH)
        self.addCleanup(viewer.close)
        connection = self.server.accept()
        connection.handshake(flags, opening)
        connection.server_init(64, 64)
        connection.send(connection.picture(64, 64, filled(0, 0, 64, 64, OTHER)))
        viewer("wait-first-frame")
        return viewer, connection

    def left(self):
        """Files, whole or not."""
        return [f for f in self.folder.iterdir() if f.suffix == ".pdf" or f.name.startswith(".")]

    def ask(self, viewer, line):
        """The command's answer, later: the server has something to do first."""
        viewer.process.stdin.write(line + "\n")
        viewer.process.stdin.flush()
        return lambda: viewer.process.stdout.readline().strip()

    def test_pages_become_a_pdf_of_their_pixels(self):
        viewer, connection = self.start()
        for document, first, last, more in ((1, 1, 3, 0), (2, 2, 2, 1)):
            file = self.folder / f"{document}.pdf"
            answer = self.ask(viewer, f"print {file}" + (f" {first} {last}" if document == 2 else ""))
            self.assertEqual(connection.print_request(), (START, 0, 0, 0))
            self.offer(connection, document, more)
            self.assertEqual(connection.print_request(), (ACCEPT, document, first, last))
            self.show(connection, document, first, last, (64, 64))
            self.assertEqual([f for f in self.folder.iterdir() if f.name == file.name], [], "it is there before it is whole")
            self.end(connection, document, last - first + 1, (64, 64))
            self.assertEqual(answer(), f"ok print {last - first + 1}")
            self.assert_document(file, self.pages[first - 1:last])
        viewer("wait-pixel 63 63 10c040")
        viewer("quit")
        self.assertEqual(viewer.wait(), 0, viewer.error_text())

    def test_the_watermark_is_on_the_pages_too(self):
        self.pages = [(400, 300, b"\xff" * 400 * 300 * 3)]
        viewer, connection = self.start(flags=1)
        file = self.folder / "marked.pdf"
        answer = self.ask(viewer, f"print {file}")
        connection.print_request()
        self.offer(connection)
        connection.print_request()
        self.show(connection, 1, 1, 1, (64, 64))
        self.end(connection, 1, 1, (64, 64))
        self.assertEqual(answer(), "ok print 1")
        run("pdfimages", file, self.folder / "image")
        seen = next(self.folder.glob("image-000.p?m")).read_bytes().split(b"\n", 3)[3]
        faint = sum(v < 250 for v in seen) / len(seen)
        self.assertTrue(0.01 < faint < 0.5, faint)

    def test_what_is_out_of_turn_ends_the_connection(self):
        w, h, _ = self.pages[0]
        first = page(PIECE, 1, 1, 3, w, h)
        for name, accepted, records, opening in (
                ("an offer where printing is not permitted", False, [page(OFFER, 1, 0, 3, w, h, 0, DPI)], b""),
                ("a piece without an offer", False, [first], PRINTING),
                ("a piece of an offer that was not accepted", False, [page(OFFER, 1, 0, 3, w, h, 0, DPI), first], PRINTING),
                ("the end of nothing", False, [page(END, 1)], PRINTING),
                ("a second offer", False, [page(OFFER, 1, 0, 3, w, h, 0, DPI), page(OFFER, 2, 0, 3, w, h, 0, DPI)], PRINTING),
                ("a page too large", False, [page(OFFER, 1, 0, 3, 8193, h, 0, DPI)], PRINTING),
                ("too many pages", False, [page(OFFER, 1, 0, 1000, w, h, 0, DPI)], PRINTING),
                ("no pixels to an inch", False, [page(OFFER, 1, 0, 3, w, h, 0, 0)], PRINTING),
                ("another document's piece", True, [page(PIECE, 2, 1, 3, w, h)], PRINTING),
                ("another count of pages", True, [page(PIECE, 1, 1, 4, w, h)], PRINTING),
                ("the second page first", True, [page(PIECE, 1, 2, 3, w, h)], PRINTING),
                ("the second piece first", True, [page(PIECE, 1, 1, 3, w, h, 64, 0)], PRINTING),
                ("a piece twice", True, [first, first], PRINTING),
                ("a page that changes its size", True, [first, page(PIECE, 1, 1, 3, w + 1, h, 64, 0)], PRINTING),
                ("more pages than accepted", True, [page(PIECE, 1, 1, 3, 64, 64), page(PIECE, 1, 2, 3, 64, 64)], PRINTING)):
            with self.subTest(name):
                viewer, connection = self.start(opening=opening)
                file = self.folder / "hostile.pdf"
                if accepted:
                    self.ask(viewer, f"print {file} 1 1")
                    connection.print_request()
                    self.offer(connection)
                    self.assertEqual(connection.print_request(), (ACCEPT, 1, 1, 1))
                for record in records:
                    connection.send(record)
                self.assertEqual(viewer.wait(), 8, viewer.error_text())
                self.assertIn("protocol-error", viewer.error_text())
                self.assertEqual(self.left(), [], "something stays")
                viewer.close()

    def test_what_fails_leaves_no_file(self):
        for name, why, answered in (("the browser fails", 2, "error print: failed"), ("the broker refuses", 3, "error print: refused"),
                                    ("done, but not all of it came", 0, "error print: failed")):
            with self.subTest(name):
                viewer, connection = self.start()
                answer = self.ask(viewer, f"print {self.folder / 'half.pdf'}")
                connection.print_request()
                self.offer(connection)
                connection.print_request()
                self.show(connection, 1, 1, 2, (64, 64))
                self.end(connection, 1, 2, (64, 64), why)
                self.assertEqual(answer(), answered)
                self.assertEqual(self.left(), [])
                viewer.close()
        with self.subTest("the connection ends"):
            viewer, connection = self.start()
            self.ask(viewer, f"print {self.folder / 'half.pdf'}")
            connection.print_request()
            self.offer(connection)
            connection.print_request()
            self.show(connection, 1, 1, 2, (64, 64))
            self.assertEqual(len(self.left()), 1)
            connection.stream.close()
            self.assertEqual(viewer.wait(), 9, viewer.error_text())
            self.assertEqual(self.left(), [])

    def test_what_cannot_be_written_is_told_and_cancelled(self):
        viewer, connection = self.start()
        answer = self.ask(viewer, f"print {self.folder / 'nowhere' / 'a.pdf'}")
        connection.print_request()
        self.offer(connection)
        self.assertIn("No such file", answer())
        self.assertTrue(viewer("wait-offer").endswith(f"wait-offer pages=3 more=0 size=70x130 dpi={DPI}"))

    # -- with a window, by its keys

    def open(self, *options, flags=0, opening=PRINTING, size=(600, 400), display=(800, 600)):
        folder = ("--save-directory", self.saved) if self.saved else ()
        window = Window(self, self.server, *display, "--size", "{}x{}".format(*size), *folder, *options)
        connection = self.server.accept()
        connection.handshake(flags, opening)
        connection.server_init(*size)
        connection.send(connection.picture(*size, filled(0, 0, *size, OTHER)))
        wait_for("the picture", lambda: window.screen().count(OTHER) == size[0] * size[1])
        return window, connection

    def await_panel(self, window):
        """It takes no choice in its first half second."""
        wait_for("the panel", lambda: window.screen().count((255, 255, 255)) > 20000)
        time.sleep(0.7)

    def files(self):
        return sorted(self.saved.iterdir())

    def test_keys_save_pages_and_nobody_sees_them_pass(self):
        window, connection = self.open()
        window.do("key", "ctrl+alt+p")
        self.assertEqual(connection.print_request(), (START, 0, 0, 0))
        self.offer(connection)
        self.await_panel(window)
        window.do("key", "shift+Tab", "shift+Tab")  # from the button to the two fields: first page
        window.do("key", "2", "Tab", "3", "Tab")
        window.do("key", "Return")
        self.assertEqual(connection.print_request(), (ACCEPT, 1, 2, 3))
        wait_for("the greyed picture", lambda: window.screen().count(OTHER) == 0)
        before = window.screen()
        red = (250, 3, 5)
        connection.send(connection.picture(600, 400, filled(0, 0, 600, 400, red)))
        width, height, pixels = self.pages[1]
        connection.send(connection.picture(600, 400, *exactly(0, 0, width, height, pixels)))
        connection.send(page(PIECE, 1, 2, 3, width, height))
        self.assertEqual(connection.print_request(), (TAKEN, 1, 2, 0))
        wait_for("progress", lambda: window.screen().pixels != before.pixels)
        self.assertEqual(window.screen().count(red), 0, "a page is seen")
        window.assert_framed(self)
        self.show(connection, 1, 3, 3, (600, 400))
        self.end(connection, 1, 2, (600, 400))
        wait_for("the file", lambda: [f for f in self.files() if f.suffix == ".pdf"])
        wait_for("the picture again", lambda: window.screen().count(OTHER) > 200000)
        self.assertEqual(len(self.files()), 1)
        self.assertRegex(self.files()[0].name, r"^画面印刷-\d{8}-\d{6}\.pdf$")
        self.assert_document(self.files()[0], self.pages[1:])

    def test_escape_declines_and_stops(self):
        window, connection = self.open()
        self.offer(connection)
        self.await_panel(window)
        window.do("key", "Escape")
        self.assertEqual(connection.print_request(), (CANCEL, 1, 0, 0))
        connection.send(page(END, 1, 0, x=1))
        wait_for("the picture", lambda: window.screen().count(OTHER) == 600 * 400)
        self.offer(connection, 2)
        self.await_panel(window)
        window.do("key", "Return")
        self.assertEqual(connection.print_request(), (ACCEPT, 2, 1, 3))
        self.show(connection, 2, 1, 1, (600, 400))
        window.do("key", "Escape")
        self.assertEqual(connection.print_request(), (CANCEL, 2, 0, 0))
        self.end(connection, 2, 1, (600, 400), 1)
        wait_for("the picture", lambda: window.screen().count(OTHER) > 200000)
        self.assertEqual(self.files(), [])
        # What is typed is the page's again.
        window.do("key", "a")
        self.assertEqual(struct.unpack(">BxxI", connection.message(4))[1], ord("a"))

    def test_paper_is_printed_and_the_file_goes(self):
        printed = self.folder / "printed"
        script = self.folder / "printer"
        script.write_text(f"#!/bin/sh\ntest \"$1\" = -o && cp \"$2\" {printed}.part && echo \"$2\" >{printed}.name && mv {printed}.part {printed}\n")
        script.chmod(0o755)
        window, connection = self.open("--print-command", f"{script} -o")
        self.offer(connection)
        self.await_panel(window)
        window.do("key", "Tab", "Return")
        self.assertEqual(connection.print_request(), (ACCEPT, 1, 1, 3))
        self.show(connection, 1, 1, 3, (600, 400))
        self.end(connection, 1, 3, (600, 400))
        wait_for("the printer", printed.exists)
        self.assert_document(printed, self.pages)
        name = pathlib.Path((self.folder / "printed.name").read_text().strip())
        wait_for("the file to be gone", lambda: not name.exists())
        self.assertEqual(self.files(), [])

    def test_the_mouse_chooses(self):
        window, connection = self.open()
        self.offer(connection)
        self.await_panel(window)
        x, y, w, h = window.geometry()
        picture = window.screen()
        # The button to save is the one that is filled with the frame's colour: its middle, below the title.
        frame = bytes((0x9a, 0x34, 0x12))
        rows = [row for row in range(y + BAR + 60, y + h - BORDER - 10) if frame * 30 in picture.part(x + BORDER, row, w - 2 * BORDER, 1)]
        inside = rows[-len(rows) // 4]
        at = picture.part(x + BORDER, inside, w - 2 * BORDER, 1).index(frame * 15) // 3
        window.do("mousemove", x + BORDER + at + 7, inside, "click", 1)
        self.assertEqual(connection.print_request(), (ACCEPT, 1, 1, 3))
        self.show(connection, 1, 1, 3, (600, 400))
        self.end(connection, 1, 3, (600, 400))
        wait_for("the file", lambda: [f for f in self.files() if f.suffix == ".pdf"])
        self.assert_document(self.files()[0], self.pages)

    def test_a_printer_that_fails_is_told_and_the_file_goes(self):
        for command in ("false", "/nonexistent/lp"):
            folder = self.folder / "runtime"
            folder.mkdir(exist_ok=True)
            os.environ["XDG_RUNTIME_DIR"] = str(folder)
            self.addCleanup(lambda: os.environ.pop("XDG_RUNTIME_DIR", None))
            window, connection = self.open("--print-command", command)
            self.offer(connection)
            self.await_panel(window)
            window.do("key", "Tab", "Return")
            self.assertEqual(connection.print_request(), (ACCEPT, 1, 1, 3))
            self.assertEqual(len(list(folder.glob("garasu-*.pdf"))), 1)
            self.show(connection, 1, 1, 3, (600, 400))
            self.end(connection, 1, 3, (600, 400))
            wait_for("what is told", lambda: 100000 < window.screen().count(OTHER) < 600 * 400)
            wait_for("the file to be gone", lambda: not list(folder.iterdir()))
            window.close()

    def test_the_picture_is_saved_where_printing_is_permitted(self):
        for opening, count in ((PRINTING, 1), (b"", 0)):
            window, connection = self.open(opening=opening)
            window.do("key", "ctrl+alt+s")
            wait_for("what is told", lambda: window.screen().count(OTHER) < 600 * 400)
            self.assertEqual(len(self.files()), count)
            for file in self.files():
                self.assertRegex(file.name, r"^画面-\d{8}-\d{6}\.png$")
                self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
                size, colours = run("identify", "-format", "%wx%h %k", file).split()
                self.assertEqual((size, colours), ("600x400", "1"))
                file.unlink()
            window.close()

    def test_without_a_folder_it_is_the_documents_or_the_home(self):
        home, self.saved = self.folder / "home", None
        (home / ".config").mkdir(parents=True)
        (home / "書類").mkdir()
        with unittest.mock.patch.dict(os.environ, {"HOME": str(home)}):
            os.environ.pop("XDG_CONFIG_HOME", None)
            for line, folder in (('XDG_DOCUMENTS_DIR="$HOME/書類"\n', home / "書類"), ('XDG_DOCUMENTS_DIR="$HOME/nowhere"\n', home), ("", home)):
                (home / ".config/user-dirs.dirs").write_text('# made by a desktop\nXDG_MUSIC_DIR="$HOME"\n' + line)
                window, _ = self.open()
                window.do("key", "ctrl+alt+s")
                wait_for("the picture", lambda: list(folder.glob("画面-*.png")))
                for file in folder.glob("画面-*.png"):
                    file.unlink()
                window.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
