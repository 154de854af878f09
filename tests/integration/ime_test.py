#!/usr/bin/python3
"""Japanese through the real window, into a real browser: nothing lost, nothing twice, nothing in another order.

GARASU_RUNS=20 (GARASU_LONG=1 means the same) repeats what is counted in characters.
"""
import http.server
import json
import os
import pathlib
import random
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

import garasu
from garasu import wait_for
from terminal_ime import Terminal

RUNS = int(os.environ.get("GARASU_RUNS", 20 if os.environ.get("GARASU_LONG") else 1))
CHARACTERS = 10000
BAR, BORDER = 30, 4  # viewer/draw.h
INK = bytes((0x1f, 0x1a, 0x17))  # viewer/paint.c

# Kana and kanji, JIS X 0213 (beyond Unicode's first plane, and with combining marks), variation sequences, emoji with joiners.
WORDS = ("あ", "い", "ん", "かな漢字", "子ども手当", "現況届", "カタカナ", "ヴァイオリン", "ー", "、", "。", "「窓口」", "葛\U000e0100城", "辻\U000e0101堂", "祇\U000e0100園",
         "𠮟る", "𠮷野家", "𩸽", "𡈽", "か゚", "セ゚", "ㇷ゚", "髙﨑", "①㈱", "〜―", "👨‍👩‍👧‍👦", "🏳️‍🌈", "👩🏽‍💻", "🇯🇵", "1️⃣", "ｶﾅ", "令和八年十一月", "々〆〇")

PAGE = """<!doctype html><meta charset=utf-8><title>ime</title>
<style>body{margin:0;font:20px/30px "Noto Sans CJK JP"} textarea,#rich{display:block;width:800px;height:200px;font:inherit;border:0;padding:0;margin:10px;
 overflow:auto;white-space:pre-wrap;word-break:break-all;background:#eee;outline:0} input{font:inherit;margin:10px;width:300px}</style>
<textarea id=area></textarea><div id=rich contenteditable></div><input id=secret type=password><input id=after>
<script>
let busy=0,due=0,events=[];
const value=e=>e.value??e.innerText, el=i=>document.getElementById(i);
function state(){const p={},v={};for(const i of ['area','rich','secret','after']){const r=el(i).getBoundingClientRect();p[i]=[r.x,r.y,r.width,r.height];v[i]=value(el(i))}
 const s=getSelection();let c=null;if(document.activeElement===el('rich')&&s.rangeCount){const r=s.getRangeAt(0).getClientRects();if(r.length){c=[r[0].x,r[0].y,r[0].width,r[0].height]}}
 return {path:location.pathname,focus:document.activeElement.id,scale:devicePixelRatio,left:screenX+(outerWidth-innerWidth)/2,top:screenY+outerHeight-innerHeight,h:innerHeight,places:p,values:v,caret:c,events:events.splice(0)}}
async function tell(){due=1;if(busy)return;busy=1;while(due){due=0;await fetch('/log',{method:'POST',body:JSON.stringify(state())});await new Promise(r=>setTimeout(r,30))}busy=0}
for(const t of ['input','focusin','focusout','load','resize'])addEventListener(t,tell);
document.addEventListener('selectionchange',tell);
// The browser tells the page of its window's place and size after the event that would say so.
let place='';setInterval(()=>{const p=[screenX,screenY,outerWidth,outerHeight,innerWidth,innerHeight,devicePixelRatio].join();if(p!==place){place=p;tell()}},100);
for(const t of ['keydown','keyup'])addEventListener(t,e=>{events.push([t,e.key,e.shiftKey,e.ctrlKey]);tell();
 if(t==='keydown'&&e.key==='Tab'&&e.target===el('area')){e.preventDefault();document.execCommand('insertText',false,'\\t')}});
</script>"""


class Site:
    def __init__(self):
        self.state, self.events, self.asked = {}, [], []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, body):
                self.send_response(200)
                for name, value in (("Content-Type", "text/html; charset=utf-8"), ("Content-Length", len(body)), ("Cache-Control", "no-store")):
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                path, _, query = self.path.partition("?")
                if path == "/q":
                    site.asked.append(urllib.parse.unquote(query))
                self.answer(PAGE.encode())

            def do_POST(self):
                state = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                site.events += state.pop("events")
                site.state = state
                self.answer(b"")

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def value(self, field):
        return self.state.get("values", {}).get(field)


def burst(chance, characters, keys, first=""):
    """[(text or None, key or None)]: texts of the input method's and keys between them, and what must come of it."""
    actions, want = [], first
    while characters > 0:
        text = "".join(chance.choice(WORDS) for _ in range(chance.randint(1, 5)))
        actions.append((text, None))
        want += text
        characters -= len(text)
        for _ in range(chance.choice((0, 0, 1, 2))):
            key = chance.choice(keys)
            if key == "BackSpace":  # of a character of one key: what else it deletes is the page's affair
                actions += [(None, "z"), (None, key)]
                continue
            actions.append((None, key))
            if key in ("Return", "Tab"):  # behind a text and before one
                want += "\n" if key == "Return" else "\t"
                break
            want += key
            characters -= 1
    actions.append((None, "e"))
    return actions, want + "e"


class Ime(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Site()
        cls.home = f"http://127.0.0.1:{cls.site.port}/"
        cls.broker = garasu.Broker(cls.home, allow=[f"127.0.0.1:{cls.site.port}"], pool={"warm": 1},
                                   session={"home_url": cls.home, "grace_seconds": 1}).start()

    @classmethod
    def tearDownClass(cls):
        cls.site.server.shutdown()
        cls.site.server.server_close()
        cls.broker.finish()

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="garasu-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o755)
        self.site.state, self.scale = {}, 100
        self.site.events.clear()
        self.addCleanup(lambda: self.broker.ctl("kill", "hanako", check=False))

    def open(self, *options, real=False, layout="jp", scale=100):
        """A terminal with the page before it."""
        self.terminal, self.scale = Terminal(self, layout=layout, user="nobody" if real else None), scale
        if real:
            home = self.folder / "home"
            home.mkdir()
            self.terminal.real_fcitx(home)
        else:
            self.ime = self.terminal.fcitx()
        self.terminal.viewer(self.broker, "--size", "1200x760", "--scale", scale, *options)
        wait_for("the page", lambda: self.site.state.get("h", 0) > 300 and self.site.state["scale"] == scale / 100)
        self.rest()
        return self.terminal

    def rest(self):
        """The page says nothing new for a while."""
        while True:
            before = json.dumps(self.site.state)
            time.sleep(0.3)
            if json.dumps(self.site.state) == before:
                return

    def point(self, x, y):
        """A point of the browser's screen, in the page's pixels, on the terminal's."""
        at_x, at_y = self.terminal.origin()
        return at_x + BORDER * self.scale // 100 + int(x * self.scale / 100), at_y + BAR * self.scale // 100 + int(y * self.scale / 100)

    def focus(self, field):
        state = self.site.state
        x, y, w, h = state["places"][field]
        self.terminal.do("mousemove", *self.point(int(x + state["left"] + min(w, 600) / 2), int(y + state["top"] + h / 2)), "click", 1)
        wait_for("the focus", lambda: self.site.state["focus"] == field)
        self.rest()

    def play(self, actions):
        self.ime.texts.extend(text for text, _ in actions if text)
        self.terminal.keys(*(key or "Henkan_Mode" for _, key in actions))

    def assert_same(self, got, want):
        if got != want:
            seen = f"{'the person was told' if self.told() > 3000 else 'the person was not told'}; {self.keep('different')}; "
            i = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
            self.fail(f"{seen}{len(got)} characters for {len(want)}, different from {i} on: …{got[max(0, i - 10):i + 30]!r} for …{want[max(0, i - 10):i + 30]!r}")

    def assert_value(self, field, want):
        try:
            wait_for("the text", lambda: self.site.value(field) == want, 30)
        except AssertionError:
            self.assert_same(self.site.value(field), want)

    def keep(self, name):
        """A picture of the terminal's screen, for who asks for pictures."""
        if not os.environ.get("GARASU_PICTURES"):
            return "no picture kept"
        file = self.terminal.picture(self.folder / "kept.ppm")
        subprocess.run(["convert", file, f"{os.environ['GARASU_PICTURES']}/{name}.png"], check=True)
        return name

    def told(self):
        """How many pixels of the line that tells something the screen shows: its ink, in the lower part of the window."""
        data = self.terminal.picture(self.folder / "told.ppm").read_bytes()
        _, size, _, pixels = data.split(b"\n", 3)
        width, height = map(int, size.split())
        lower = pixels[width * (height * 2 // 3) * 3:]
        return sum(lower[i:i + 3] == INK for i in range(0, len(lower), 3 * 7)) * 7

    # -- the local input method

    def fill(self, field, keys):
        self.open()
        for run in range(RUNS):
            self.focus(field)
            if self.site.value(field):
                self.terminal.keys("ctrl+a", "BackSpace")
                wait_for("the field to be empty", lambda: not (self.site.value(field) or "").strip())
                self.rest()
            actions, want = burst(random.Random(run), CHARACTERS, keys)
            started = time.monotonic()
            self.play(actions)
            self.assert_value(field, want)
            print(f"{field} {run}: {len(want)} characters in {len(actions)} keys, {time.monotonic() - started:.1f} s", flush=True)

    def test_1_text_area(self):
        self.fill("area", ("a", "b", "7", "Return", "Tab", "BackSpace"))

    def test_2_rich_text_editor(self):
        self.fill("rich", ("a", "b", "7", "Return", "BackSpace"))

    def test_3_address_bar(self):
        self.open()
        for run in range(RUNS):
            chance, started, sent = random.Random(run), time.monotonic(), 0
            while sent < (CHARACTERS if RUNS > 1 else 2000):  # an address takes as long as all of a page's text
                self.terminal.keys("ctrl+l")
                self.rest()
                first = f"127.0.0.1:{self.site.port}/q?{run}.{sent}."
                actions, want = burst(chance, 2000, ("a", "b", "7", "BackSpace"))
                self.site.asked.clear()
                self.terminal.do("type", "--delay", 0, first)
                self.play([*actions, (None, "Return")])
                try:
                    wait_for("the address", lambda: self.site.asked, 30)
                except AssertionError:
                    self.fail(f"no address came; of the texts {len(self.ime.texts)} are left; {self.keep('address')}")
                self.assert_same(self.site.asked[0], first.partition("?")[2] + want)
                sent += len(want)
                wait_for("the page", lambda: self.site.state.get("path") == "/q")
                self.rest()
            print(f"address bar {run}: {sent} characters, {time.monotonic() - started:.1f} s", flush=True)

    def test_4_what_no_field_takes_is_said_and_comes_out_nowhere(self):
        """A password field, and no field at all: the person is told, and the text is in no later field."""
        self.open()
        for place in ("secret", None):
            with self.subTest(place or "no field"):
                if place:
                    self.focus(place)
                else:
                    self.terminal.do("mousemove", *self.point(1000, 600), "click", 1)
                    wait_for("no focus", lambda: not self.site.state["focus"])
                    self.rest()
                self.ime.texts.append("届かない文字")
                self.terminal.keys("Henkan_Mode")
                wait_for("the person to be told", lambda: self.told() > 3000)
                self.assertNotIn("届", json.dumps(self.site.state["values"], ensure_ascii=False))
                self.focus("after")
                self.ime.texts.append("届く")
                self.terminal.keys("a", "Henkan_Mode", "b")
                self.assert_value("after", "a届くb")
                self.assertEqual(self.site.value("secret"), "")
                self.terminal.keys("ctrl+a", "BackSpace")
                self.assert_value("after", "")
                wait_for("the line to go", lambda: self.told() < 3000)

    def test_5_keys_that_are_held_when_the_focus_goes_are_released(self):
        terminal = self.open()
        self.focus("area")
        self.site.events.clear()
        terminal.do("keydown", "Control_L", "keydown", "Shift_L", "keydown", "z")
        wait_for("the keys", lambda: [e for e in self.site.events if e[0] == "keydown" and e[1] == "Z"])
        terminal.start(["xlogo"], terminal.environment)
        other = wait_for("another window", lambda: terminal.do("search", "--onlyvisible", "--class", "XLogo", check=False).split())[0]
        wait_for("the other window to have the focus", lambda: terminal.do("getwindowfocus").strip() == other)
        released = lambda: {e[1].lower() for e in self.site.events if e[0] == "keyup"}
        wait_for("the releases", lambda: released() >= {"control", "shift", "z"})
        terminal.do("keyup", "z", "keyup", "Shift_L", "keyup", "Control_L")
        terminal.do("windowactivate", "--sync", terminal.window)
        terminal.keys("x")
        self.assert_value("area", "x")

    def near_caret(self, want, slack=3):
        """The input method was told a rectangle at this point of the terminal's screen, within some pixels, as tall as the text."""
        def told():
            if not self.ime.carets:
                return False
            x, y, w, h = self.ime.carets[-1]
            return abs(x - want[0]) <= slack and abs(y + h / 2 - want[1]) <= slack + 3 and h >= 10
        try:
            wait_for("the caret", told, 20)
        except AssertionError:
            self.fail(f"told {self.ime.carets[-3:]}, but the caret is at {want}")

    def test_6_the_candidates_stand_at_the_text(self):
        for scale in (100, 150):
            with self.subTest(f"{scale} %"):
                terminal = self.open(scale=scale)
                state = self.site.state
                left, top = state["left"], state["top"]
                self.focus("area")
                x, y, _, _ = state["places"]["area"]
                for n in range(1, 4):
                    self.ime.texts.append("漢字")
                    terminal.keys("Henkan_Mode")
                    self.assert_value("area", "漢字" * n)
                    self.near_caret(self.point(x + left + 40 * n, y + top + 15))
                self.focus("rich")
                self.ime.texts.append("候補の窓")
                terminal.keys("Henkan_Mode")
                self.assert_value("rich", "候補の窓")
                caret = wait_for("the page's own caret", lambda: self.site.state["caret"])
                self.near_caret(self.point(caret[0] + left, caret[1] + top + caret[3] / 2))
                # The window moves, and what is composed is drawn at the caret.
                terminal.do("windowmove", terminal.window, 120, 60)
                wait_for("the window's new place", lambda: terminal.origin()[0] >= 110)
                self.near_caret(self.point(caret[0] + left, caret[1] + top + caret[3] / 2))
                self.ime.preedit("へんかんちゅう")
                time.sleep(0.5)
                self.keep(f"composing-{scale}")
                self.ime.preedit("")
                terminal.keys("ctrl+l")
                self.rest()
                self.ime.texts.append("住所")
                terminal.keys("Henkan_Mode")
                def in_bar():
                    cx, cy, cw, ch = self.ime.carets[-1]
                    first, last = self.point(0, 0)[1], self.point(0, top)[1]
                    return first < cy and cy + ch < last and ch >= 10
                wait_for("the caret in the address bar", in_bar)
                before = self.ime.carets[-1][0]
                self.ime.texts.append("住所住所")
                terminal.keys("Henkan_Mode")
                wait_for("the caret to move with the text", lambda: in_bar() and 30 < self.ime.carets[-1][0] - before < 1.2 * scale)
                terminal.close()
                self.broker.ctl("kill", "hanako")
                self.site.state = {}

    # -- real conversion

    def test_7_mozc_on_the_terminal(self):
        terminal = self.open(real=True)
        self.focus("area")
        terminal.keys("Zenkaku_Hankaku")
        time.sleep(1)
        terminal.do("type", "--delay", 50, "nihon")
        time.sleep(2)  # mozc's server starts with the first key
        terminal.keys("space")
        time.sleep(0.5)
        terminal.keys("Return")
        self.assert_value("area", "日本")
        terminal.keys("Zenkaku_Hankaku")
        terminal.do("type", "--delay", 30, "abc")
        self.assert_value("area", "日本abc")

    def test_8_mozc_in_the_session(self):
        """The fcitx of the terminal is there all the while and sees none of it. A Japanese keyboard, and an American one."""
        for layout, at in (("jp", "at"), ("us", "at")):
            with self.subTest(layout):
                terminal = self.open("--input", "session", layout=layout)
                self.focus("area")
                terminal.do("type", "--delay", 30, "a@b\"'_:")
                self.assert_value("area", "a@b\"'_:")
                terminal.keys("Return")
                want = "a@b\"'_:\n"
                self.ime.keys.clear()
                if layout == "jp":
                    terminal.keys(49)  # 半角/全角 of a Japanese keyboard
                else:
                    terminal.keys("ctrl+space")
                time.sleep(1)
                for turn in range(10 * RUNS):
                    terminal.do("type", "--delay", 0 if turn else 50, "nihon")
                    time.sleep(0 if turn else 2)
                    terminal.keys("space", "Return")
                    want += "日本"
                self.assert_value("area", want)
                self.assertEqual(self.ime.keys, [])
                # Back to the terminal's: what mozc was doing in the session is over.
                terminal.keys("ctrl+alt+j")
                self.rest()
                self.ime.texts.append("端末")
                terminal.keys("k", "a", "Henkan_Mode", "k", "i")
                self.assert_value("area", want + "ka端末ki")
                terminal.close()
                self.broker.ctl("kill", "hanako")
                self.site.state = {}


if __name__ == "__main__":
    unittest.main(verbosity=2)
