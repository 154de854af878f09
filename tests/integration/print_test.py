#!/usr/bin/env python3
"""Printing in the container: what the browser prints is offered, and its pages are shown piece by piece: print_test.py [NAME ...]

The real image, agent and browser, spoken to by a stand-in for the broker. Needs root and the sandbox image; without them exit
status 77. One line per case, figures behind "measured".
"""
import os
import pathlib
import signal
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import agent_peer  # noqa: E402
from agent_peer import *  # noqa: F403, E402

PRINT, PAGE_RECORD = 8, 70
START, ACCEPT, TAKEN, CANCEL = 1, 2, 3, 4
OFFER, PIECE, END = 1, 2, 3
DONE, CANCELLED, FAILED_END = 0, 1, 2
PRINTING = 4
agent_peer.NAMES[PAGE_RECORD] = "PAGE"
agent_peer.KEPT.add(PAGE_RECORD)
DPI = 150
CASES = []

SHEET = """<!doctype html><meta charset=utf-8><title>印刷の試験</title><style>@page{margin:0}
body{margin:0;font:20px "Noto Sans CJK JP"} section{height:270mm;break-after:page;color:#fff}</style>
<section style="background:#c00">一枚目 赤</section><section style="background:#0c0">二枚目 緑</section>
<section style="background:#00c;break-after:auto">三枚目 青</section>
<script>const post=(o)=>fetch('/log',{method:'POST',body:JSON.stringify(o)});
addEventListener('load',()=>post({type:'load',path:location.pathname}));
if(location.pathname=='/now')setTimeout(print,300);
if(location.pathname=='/loop')setInterval(()=>{print();post({type:'printed'})},50);
</script>"""
LONG = ("<!doctype html><meta charset=utf-8><title>long</title><script>addEventListener('load',()=>fetch('/log',"
        "{method:'POST',body:JSON.stringify({type:'load',path:'/long'})}))</script>") + "<p>日本語の長い文書の一段落です。" * 3000
COLOURS = {1: (0xcc, 0, 0), 2: (0, 0xcc, 0), 3: (0, 0, 0xcc)}


def pdf(pages=2):
    """A document of coloured A4 pages; its text names a Japanese font that is not in it."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>",
               b"<</Type/Pages/Count %d/Kids[%s]>>" % (pages, b" ".join(b"%d 0 R" % (4 + 2 * i) for i in range(pages))),
               b"<</Type/Font/Subtype/Type0/BaseFont/MS-Mincho/Encoding/UniJIS-UCS2-H/DescendantFonts[<</Type/Font/Subtype/CIDFontType2"
               b"/BaseFont/MS-Mincho/CIDSystemInfo<</Registry(Adobe)/Ordering(Japan1)/Supplement 2>>/FontDescriptor<</Type/FontDescriptor"
               b"/FontName/MS-Mincho/Flags 4/FontBBox[0 -137 1000 859]/ItalicAngle 0/Ascent 859/Descent -137/CapHeight 709/StemV 78>>>>]>>"]
    for i in range(pages):
        r, g, b = COLOURS[i + 1]
        stream = b"%.3f %.3f %.3f rg 0 0 595 842 re f 0 g BT /F 60 Tf 60 600 Td <65e5672c8a9e> Tj ET" % (r / 255, g / 255, b / 255)
        objects.append(b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R/Resources<</Font<</F 3 0 R>>>>>>" % (5 + 2 * i))
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream))
    out, places = b"%PDF-1.5\n", []
    for i, body in enumerate(objects):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (i + 1, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + b"".join(b"%010d 00000 n \n" % p for p in places)
    return out + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)


def case(function):
    CASES.append(function)
    return function


class PrintSite(Site):
    """As the agent's, and documents to be printed."""

    def __init__(self, path):
        super().__init__(path)
        site, plain = self, self.server.RequestHandlerClass.do_GET

        def get(handler):
            path = handler.path[len(SITE) - 1:]
            if not handler.path.startswith(SITE):
                return plain(handler)
            if path in ("/sheet", "/now", "/loop", "/again"):
                return handler.reply(SHEET.encode())
            if path == "/long":
                return handler.reply(LONG.encode())
            if path in ("/document.pdf", "/attached.pdf"):
                body = pdf()
                handler.send_response(200)
                handler.send_header("Content-Type", "application/pdf")
                handler.send_header("Content-Length", str(len(body)))
                if path == "/attached.pdf":
                    handler.send_header("Content-Disposition", 'attachment; filename="attached.pdf"')
                handler.end_headers()
                with site.changed:
                    site.events.append({"type": "load", "path": path})
                    site.changed.notify_all()
                return handler.wfile.write(body)
            return plain(handler)

        self.server.RequestHandlerClass.do_GET = get


class World:
    def __init__(self):
        self.container = Container()
        self.peer = Peer(self.container.io / "agent.sock")
        self.site = PrintSite(self.container.io / "egress.sock")
        self.container.start()
        self.connect(1)
        self.site.wait(lambda events: [e for e in events if e["type"] == "load"], "its load")
        self.peer.settle()

    def connect(self, flags=0, pages=20):
        self.peer.accept(flags=flags | PRINTING, pages=pages, dpi=DPI)

    def go(self, path):
        self.site.clear()
        self.peer.chord(CONTROL, ord("l"))
        self.peer.settle()
        self.peer.type(f"site.test{path}\n")
        self.site.wait(lambda events: [e for e in events if e["type"] == "load" and e["path"] == path], path)
        self.peer.settle(quiet=0.6, deadline=40)

    def order(self, action, document=0, first=0, last=0):
        self.peer.sock.send(struct.pack("=IIIHH", PRINT, action, document, first, last))

    def page(self, deadline=30):
        """The next PAGE: state, document, page, pages, width, height, x, y."""
        for record in self.peer.pending:
            if record[0] == PAGE_RECORD:
                self.peer.pending.remove(record)
                return struct.unpack("=IIHHHHHH", record[1])
        if not self.peer.wanted:
            self.peer.want()
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            record = self.peer.receive(end - time.monotonic())
            if record and record[0] == PAGE_RECORD:
                return struct.unpack("=IIHHHHHH", record[1])
            if record and record[0] == FRAME:
                self.peer.want()
        raise AssertionError("no PAGE came")

    def offer(self, deadline=30):
        page = self.page(deadline)
        assert page[0] == OFFER, page
        return page

    def fetch(self, offered, first, last, resize=None):
        """Accepts and takes every piece; {page: (w, h, {(x, y): pixel in the middle of the piece})}, the END."""
        document, pages = offered[1], {}
        self.order(ACCEPT, document, first, last)
        while True:
            page = self.page(90)
            if page[0] == END:
                return pages, page
            state, doc, number, of, w, h, x, y = page
            assert (state, doc, of) == (PIECE, document, offered[3]) and first <= number <= last, page
            assert x % self.peer.w == 0 and y % self.peer.h == 0, page
            frame = self.peer.next(FRAME)[1]
            pw, ph = min(self.peer.w, w - x), min(self.peer.h, h - y)
            assert frame == [(0, 0, pw, ph)], (frame, page)
            at = (ph // 2 * self.peer.width + pw // 2) * 4
            b, g, r = self.peer.memory[at:at + 3]
            if resize:
                self.peer.resize(*resize)
                resize = None
                self.order(TAKEN, document, number)  # crossed the RESIZE: not heeded
                continue
            pages.setdefault(number, (w, h, {}))[2][x, y] = (r, g, b)
            self.order(TAKEN, document, number)

    def whole(self):
        frame = self.peer.frame(deadline=20)
        assert frame == [(0, 0, self.peer.w, self.peer.h)], frame
        self.peer.settle(quiet=0.6, deadline=30)

    def files(self):
        """What lies in the container's folders for documents."""
        root = pathlib.Path(f"/proc/{self.container.pid()}/root/home/browser")
        return [p.name for p in [*(root / "print").glob("*"), *root.glob("*.pdf")]]

    def remove(self):
        self.peer.close()
        self.container.remove()


@case
def ctrl_p_prints_pages_that_are_exact(w):
    w.go("/sheet")
    times = []
    for attempt in range(3):
        time.sleep(1.1)
        started = time.monotonic()
        w.peer.chord(CONTROL, ord("p"))
        offered = w.offer()
        times.append((time.monotonic() - started) * 1000)
        assert offered[2:4] == (0, 3) and offered[6:] == (0, DPI), offered
        assert abs(offered[4] - 1240) <= 2 and abs(offered[5] - 1754) <= 2, offered
        pages, end = w.fetch(offered, 1, 3)
        assert end == (END, offered[1], 3, 0, 0, 0, DONE, 0), end
        assert sorted(pages) == [1, 2, 3]
        for number, (width, height, pieces) in pages.items():
            assert len(pieces) == -(-width // w.peer.w) * -(-height // w.peer.h), pieces
            assert pieces[0, 0] == COLOURS[number], (number, pieces)
        w.whole()
    assert not w.files(), w.files()
    measured("Ctrl+P to OFFER", [round(t) for t in times], "ms")


@case
def one_page_in_time(w):
    w.go("/sheet")
    times = []
    for _ in range(3):
        time.sleep(1.1)
        started = time.monotonic()
        w.order(START)
        offered = w.offer()
        pages, end = w.fetch(offered, 2, 2)
        times.append(time.monotonic() - started)
        assert end[2] == 2 or end[6] == DONE, end
        assert list(pages) == [2] and pages[2][2][0, 0] == COLOURS[2]
        w.whole()
    measured("START to the last TAKEN of one A4 page", [round(t * 1000) for t in times], "ms")


@case
def a_page_that_prints_is_offered_and_cancelled(w):
    w.go("/now")
    offered = w.offer()
    w.order(CANCEL, offered[1])
    end = w.page()
    assert end == (END, offered[1], 0, 0, 0, 0, CANCELLED, 0), end
    assert not w.files(), w.files()


@case
def cancelled_between_pieces_the_screen_comes_back(w):
    w.go("/sheet")
    time.sleep(1.1)
    w.order(START)
    offered = w.offer()
    w.order(ACCEPT, offered[1], 1, 3)
    assert w.page()[0] == PIECE
    w.peer.next(FRAME)
    w.peer.want()
    w.peer.key(ord("x"))  # not for the browser: the person does not see it
    w.order(CANCEL, offered[1])
    end = w.page()
    assert end[0] == END and end[6] == CANCELLED and end[2] == 0, end
    w.whole()
    assert not w.files(), w.files()


@case
def a_new_size_cuts_the_page_anew(w):
    w.go("/sheet")
    time.sleep(1.1)
    w.order(START)
    offered = w.offer()
    pages, end = w.fetch(offered, 1, 2, resize=(801, 603))
    assert end[6] == DONE and sorted(pages) == [1, 2], end
    for number, (width, height, pieces) in pages.items():
        assert len(pieces) == -(-width // 801) * -(-height // 603), pieces
        assert pieces[0, 0] == COLOURS[number]
    w.peer.resize(1024, 768)
    w.whole()


@case
def a_lost_connection_cancels(w):
    w.go("/sheet")
    time.sleep(1.1)
    w.order(START)
    offered = w.offer()
    w.order(ACCEPT, offered[1], 1, 3)
    assert w.page()[0] == PIECE
    w.peer.close()
    w.connect()
    w.whole()
    assert not w.files(), w.files()
    time.sleep(1.1)
    w.order(START)
    again = w.offer()
    assert again[1] > offered[1]
    w.order(CANCEL, again[1])
    assert w.page()[0] == END


@case
def no_more_pages_than_permitted_are_offered(w):
    w.peer.close()
    w.connect(pages=2)
    w.peer.settle()
    w.go("/long")
    time.sleep(1.1)
    w.order(START)
    offered = w.offer(90)
    assert offered[3] == 2 and offered[6] == 1, offered
    pages, end = w.fetch(offered, 1, 2)
    assert end[6] == DONE and sorted(pages) == [1, 2]
    w.whole()
    w.peer.close()
    w.connect()
    w.peer.settle()


@case
def a_pdf_is_shown_by_the_browser_and_printed(w):
    for path in ("/document.pdf", "/attached.pdf"):
        w.go(path)
        rows = b"".join(w.peer.rows())
        assert rows.count(b"\x00\x00\xcc\xff") + rows.count(b"\x00\x00\xcc\x00") > 50000, (path, "the document is not shown")
        time.sleep(1.1)
        w.peer.click(500, 400)
        w.order(START)
        offered = w.offer()
        assert offered[3] == 2, offered
        pages, end = w.fetch(offered, 1, 2)
        assert end[6] == DONE and pages[1][2][0, 0] == COLOURS[1] and pages[2][2][0, 0] == COLOURS[2], pages
        w.whole()


@case
def files_of_the_container_stay_closed(w):
    for address in ("file:///etc/passwd", "file:///home/browser/", "file:///home/browser/print/",
                    "file:///home/browser/Downloads/../profile/Default/Preferences"):
        w.peer.chord(CONTROL, ord("l"))
        w.peer.settle()
        w.peer.type(address + "\n")
        w.peer.settle(quiet=0.8)
        shown = b"".join(w.peer.rows())
        w.peer.chord(CONTROL, ord("l"))
        w.peer.settle()
        w.peer.type("chrome://settings\n")  # blocked too: the same page
        w.peer.settle(quiet=0.8)
        blocked = b"".join(w.peer.rows())
        differ = sum(a != b for a, b in zip(shown[200 * w.peer.w * 4::4], blocked[200 * w.peer.w * 4::4]))
        assert differ < 2000, (address, differ)


@case
def a_page_that_prints_in_a_loop_does_no_harm(w):
    w.go("/again")
    w.peer.chord(CONTROL, ord("l"))
    w.peer.settle()
    w.peer.type("site.test/loop\n")
    offered, began = w.offer(), time.monotonic()
    others = 0
    while time.monotonic() < began + 5:
        if not w.peer.wanted:
            w.peer.want()
        record = w.peer.receive(0.2)
        others += bool(record and record[0] == PAGE_RECORD)
    assert not others, "while one is offered others are thrown away"
    w.order(CANCEL, offered[1])
    assert w.page()[0] == END
    assert len(w.files()) <= 2, w.files()
    w.peer.chord(CONTROL, ord("w"))  # the person closes it; a last tab's end starts the browser anew
    end = time.monotonic() + 40
    while time.monotonic() < end:
        try:
            w.peer.settle(quiet=2, deadline=4)
            break
        except AssertionError:
            pass
    w.go("/again")


@case
def without_permission_nothing_is_offered(w):
    w.peer.close()
    w.peer.accept()
    w.peer.settle()
    w.go("/now")
    w.order(START)
    w.peer.chord(CONTROL, ord("p"))
    time.sleep(3)
    try:
        raise RuntimeError(w.page(4))
    except AssertionError:
        pass
    assert not w.files(), w.files()


def measured(what, value, unit):
    print(f"  measured: {what} {value} {unit}", flush=True)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that containers are removed
    names = sys.argv[1:]
    if os.geteuid() != 0 or not (IMAGES / "current/rootfs").exists():
        print("skipped: needs root and the sandbox image")
        return 77
    failed = 0
    w = World()
    try:
        for function in CASES:
            if names and function.__name__ not in names:
                continue
            started = time.monotonic()
            try:
                function(w)
                print(f"ok {function.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
            except Exception as error:  # noqa: BLE001: the next case may still say something
                failed += 1
                print(f"FAILED {function.__name__}: {type(error).__name__}: {error}", flush=True)
        if failed:
            print(w.container.log_text()[-2000:])
    finally:
        w.remove()
    print("print_test:", f"{failed} FAILED" if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
