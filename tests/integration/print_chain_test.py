#!/usr/bin/env python3
"""A person prints through the glass: the real browser, broker and viewer. The viewer's PDF has pixel for pixel what the container's
document looks like, and the record tells of it.
"""
import pathlib
import subprocess
import tempfile
import time
import unittest
import urllib.parse

import garasu
from garasu import wait_for

DPI = 200


def pictures(pdf, folder, *options):
    """What pdftoppm makes of a document: one (width, height, pixels) a page."""
    folder.mkdir()
    subprocess.run(["pdftoppm", *options, pdf, folder / "page"], check=True)
    return [read_ppm(f) for f in sorted(folder.glob("*.ppm"))]


def read_ppm(file):
    magic, size, depth, pixels = file.read_bytes().split(b"\n", 3)
    assert (magic, depth) == (b"P6", b"255")
    return (*map(int, size.split()), pixels)


def images(pdf, folder):
    """The images that a document of images consists of."""
    folder.mkdir()
    subprocess.run(["pdfimages", pdf, folder / "image"], check=True)
    return [read_ppm(f) for f in sorted(folder.glob("*.ppm"))]


class PrintChain(unittest.TestCase):
    def setUp(self):
        self.site = garasu.site()
        self.broker = garasu.Broker(self.site.url, allow=[f"127.0.0.1:{self.site.server_port}"], pool={"warm": 1},
                                    session={"home_url": self.site.url, "grace_seconds": 60}).start()
        self.addCleanup(self.broker.finish)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="garasu-test-"))
        self.addCleanup(lambda: subprocess.run(["rm", "-rf", self.folder]))

    def events(self, kind):
        return [{k: urllib.parse.unquote(v) if isinstance(v, str) else v for k, v in e.items()}
                for e in self.broker.audit() if e["kind"] == kind]

    def document(self):
        """The container's file, while it is offered."""
        for pid in garasu.container_processes():
            file = pathlib.Path(f"/proc/{pid}/root/home/browser/print.pdf")
            try:
                return file.read_bytes()
            except OSError:
                pass
        return None

    def loaded(self, viewer):
        wait_for("the home page", lambda: any(e["type"] == "load" for e in self.site.events))
        viewer("wait-idle 500")

    def test_what_is_printed_is_what_the_document_looks_like(self):
        viewer = self.broker.viewer("hanako", "--size", "1280x800")
        self.addCleanup(viewer.close)
        viewer("wait-first-frame")
        self.loaded(viewer)

        viewer("key Control_L+p")
        viewer("wait-offer")
        original = self.folder / "original.pdf"
        original.write_bytes(wait_for("the container's document", self.document))
        self.assertEqual(self.events("print"), [], "recorded though nobody has accepted")
        started = time.monotonic()
        viewer(f"print {self.folder}/printed.pdf")
        took = time.monotonic() - started
        expected = pictures(original, self.folder / "expected", "-r", str(DPI))
        got = images(self.folder / "printed.pdf", self.folder / "got")
        print(f"  measured: {len(got)} page(s) of {got[0][0]}x{got[0][1]} from ACCEPT to the PDF in {took * 1000:.0f} ms", flush=True)
        self.assertEqual([p[:2] for p in got], [p[:2] for p in expected])
        for page, other in zip(got, expected):
            different = sum(a != b for a, b in zip(page[2], other[2]))
            self.assertEqual(different, 0, f"{different} bytes differ")

        wait_for("the end's record", lambda: self.events("print.end"))
        begin, end = self.events("print")[-1], self.events("print.end")[-1]
        self.assertEqual((begin["person"], begin["target"]), ("hanako", "document 1"))
        self.assertIn(f"pages=1-{len(got)} of={len(got)}", begin["detail"])
        self.assertEqual((end["person"], end["target"], end["detail"]), ("hanako", "document 1", f"pages={len(got)}"))
        self.assertIsNone(self.document(), "the file is still there")

        # The screen is back, and takes keys.
        viewer("wait-idle 500")
        viewer("key Alt_L+Home")
        self.site.events.clear()
        self.loaded(viewer)
        times = []
        for i in range(3):
            time.sleep(1.1)
            started = time.monotonic()
            viewer(f"print {self.folder}/again{i}.pdf 1 1")
            times.append(round((time.monotonic() - started) * 1000))
        print(f"  measured: START to the PDF of one A4 page {times} ms", flush=True)

        # Who leaves in the middle leaves a record too.
        time.sleep(1.1)
        viewer("key Control_L+p")
        viewer("wait-offer")
        viewer("quit")
        self.assertEqual(viewer.wait(), 0)
        wait_for("the document to be thrown away", lambda: self.document() is None)
        self.assertEqual(len(self.events("print")), len(self.events("print.end")))
        self.broker.verify()


if __name__ == "__main__":
    unittest.main(verbosity=2)
