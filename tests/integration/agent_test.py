#!/usr/bin/env python3
"""The agent in a real container, spoken to by a stand-in for the broker: agent_test.py [--picture FILE] [NAME ...]

Needs root and the sandbox image; without them exit status 77. One line per case, figures behind "measured".
"""
import os
import pathlib
import random
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from agent_peer import *  # noqa: F403

CASES = []
picture = None


def case(function):
    CASES.append(function)
    return function


class World:
    """A container with its page loaded and at rest."""

    def __init__(self):
        self.container = Container()
        self.peer = Peer(self.container.io / "agent.sock")
        self.site = Site(self.container.io / "egress.sock")
        self.container.start()
        self.peer.accept(flags=1)
        self.ready = time.monotonic() - self.container.started
        load = self.site.wait(lambda events: [e for e in events if e["type"] == "load"], "its load")[0]
        self.places, self.top = load["places"], self.peer.h - load["h"]
        self.peer.settle()

    def focus(self, field):
        place = self.places[field]
        self.peer.settle()  # a click is for what is under it when the browser gets to it
        self.peer.click(place["x"], place["y"] + self.top)
        self.peer.settle()

    def empty(self, field):
        self.focus(field)
        if self.site.value(field):
            self.peer.chord(CONTROL, ord("a"))
            self.peer.key(BACKSPACE)
            self.site.wait_value(field, "")
        self.peer.settle()
        self.site.clear()

    def agents(self):
        return [pid for pid, line in self.container.processes().items() if "/garasu-agent " in line]

    def browser(self):
        return next(pid for pid, line in self.container.processes().items()
                    if line.startswith("/usr/lib/chromium/chromium --user-data-dir"))

    def remove(self):
        self.peer.close()
        self.container.remove()


@case
def the_browser_draws_at_the_scale_that_is_asked_for(w):
    """And its window fills the screen at each, also after one that is too large for it."""
    def size():
        return [e for e in w.site.events if e["type"] == "resize"][-1:]
    w.site.clear()
    for percent in (125, 150, 200, 400, 100, 50, 100):
        # Chromium's window is never narrower than 500 of its own pixels: 400 % becomes less.
        scale = min(percent, max(100, w.peer.w * 100 // 500))
        began = time.monotonic()
        w.peer.scale(percent)
        w.site.wait(lambda events: [e for e in events if e["type"] == "resize" and abs(e["w"] * e["ratio"] - w.peer.w) < 4
                                    and abs(e["ratio"] * 100 - scale) < 2], f"a scale of {percent} %")
        if percent == 150:
            measured("scale to page", (time.monotonic() - began) * 1000, "ms")
        w.site.clear()
    w.peer.settle()


@case
def keys_arrive_exactly_as_characters(w):
    text = "Hello, World! ~@[]{}\\_^|`'\"#$%&()=-+*;:<>?/ 0123456789"
    w.empty("area")
    w.peer.type(text)
    w.site.wait_value("area", text)


@case
def the_place_of_a_key_decides_where_the_keysym_agrees(w):
    w.empty("area")
    w.peer.key(ord("a"), scancode=0x1e)
    w.peer.key(SHIFT, 1, 0x2a)
    w.peer.key(ord('"'), scancode=0x03)  # Shift+2 of a Japanese keyboard
    w.peer.key(ord("@"), scancode=0x03)  # Shift+2 of an American one: the character counts
    w.peer.key(SHIFT, 0, 0x2a)
    w.peer.key(ord("z"), scancode=0x2c)
    w.site.wait_value("area", 'a"@z')
    codes = [e["code"] for e in w.site.events if e["type"] == "keydown" and e["key"] != "Shift"]
    assert codes[0] == "KeyA" and codes[1] == "Digit2" and codes[-1] == "KeyZ", codes


@case
def committed_text_and_keys_keep_their_order(w):
    for field in ("area", "editable"):
        w.empty(field)
        want = ""
        for i in range(40):
            w.peer.text(f"漢字かな𠮟る葛\U000e0100👨‍👩‍👧{i}")
            w.peer.type("ab")
            want += f"漢字かな𠮟る葛\U000e0100👨‍👩‍👧{i}ab"
        w.site.wait_value(field, want)
        first = w.peer.sequence - 39
        for i in range(40):
            assert w.peer.text_result() == (first + i, 0)


@case
def characters_that_no_key_gives_are_committed(w):
    w.empty("area")
    w.peer.type("日本語とASCIIを混ぜて、é ñ €")
    w.site.wait_value("area", "日本語とASCIIを混ぜて、é ñ €")


@case
def text_for_a_password_field_is_reported_and_comes_out_nowhere(w):
    w.empty("after")
    w.focus("secret")
    started = time.monotonic()
    for _ in range(5):
        sequence = w.peer.text("秘密")
        assert w.peer.text_result() == (sequence, 1)
    measured("a refused text is reported within", (time.monotonic() - started) / 5 * 1000, "ms")
    w.peer.key(TAB)
    w.peer.type("x")
    w.site.wait_value("after", "x")
    for i in range(5):
        sequence = w.peer.text(f"後{i}")
        assert w.peer.text_result() == (sequence, 0)
    w.site.wait_value("after", "x後0後1後2後3後4")
    assert w.site.value("secret") == ""


@case
def text_without_a_field_is_reported(w):
    w.peer.click(700, 700)
    w.peer.settle()
    sequence = w.peer.text("無")
    assert w.peer.text_result() == (sequence, 1)


@case
def text_right_behind_a_tab_out_of_the_last_field_is_reported(w):
    """The renderer has no field any more when the browser process still believes in one."""
    before = w.site.value("editable")
    for _ in range(5):
        w.focus("editable")
        w.peer.key(TAB)  # to the link
        sequence = w.peer.text("無")
        assert w.peer.text_result() == (sequence, 1)
    assert w.site.value("editable") == before


@case
def a_key_that_is_pressed_again_while_it_is_down_types_again(w):
    w.empty("area")
    for _ in range(3):
        w.peer.key(ord("a"), 1, 0x1e)
    w.peer.key(SHIFT, 1, 0x2a)
    w.peer.key(ord("A"), 1, 0x1e)
    w.peer.key(SHIFT, 1, 0x2a)
    w.peer.key(SHIFT, 0, 0x2a)
    w.peer.key(ord("a"), 1, 0x1e)
    w.peer.key(ord("a"), 0, 0x1e)
    w.site.wait_value("area", "aaaAa")


@case
def text_right_behind_a_click_goes_to_the_field_clicked(w):
    for i in range(10):
        field = ("area", "after")[i % 2]
        other = ("after", "area")[i % 2]
        w.empty(field)
        w.focus(other)
        w.peer.click(w.places[field]["x"], w.places[field]["y"] + w.top)
        sequence = w.peer.text("即")
        assert w.peer.text_result() == (sequence, 0)
        w.site.wait_value(field, "即")


@case
def text_reaches_the_address_bar(w):
    w.peer.chord(CONTROL, ord("l"))
    w.peer.settle()
    sequence = w.peer.text("住所")
    assert w.peer.text_result() == (sequence, 0)
    w.peer.settle()
    visible, x, y, _, h = w.peer.caret
    assert visible and y < w.top and y + h <= w.top, w.peer.caret
    w.peer.key(ESCAPE)
    w.peer.key(ESCAPE)
    w.peer.settle()


@case
def the_caret_is_where_the_field_is(w):
    for field in ("area", "after"):
        w.empty(field)
        w.peer.type("a")
        w.peer.settle()
        visible, x, y, _, h = w.peer.caret
        middle = w.places[field]["y"] + w.top
        assert visible and x < 60 and h > 10 and abs(y + h / 2 - middle) < 45, (field, w.peer.caret, middle)


@case
def buttons_and_wheel_arrive(w):
    w.empty("area")
    x, y = 700, 500
    w.peer.click(x, y)
    w.peer.click(x, y, 2)
    for _ in range(3):
        w.peer.pointer(x, y, 1 << 4)
        w.peer.pointer(x, y)
    w.site.wait(lambda events: sum(e["dy"] for e in events if e["type"] == "wheel") == 360, "three notches of the wheel")
    presses = [(e["button"], e["x"], e["y"]) for e in w.site.events if e["type"] == "mousedown"]
    assert presses == [(0, x, y - w.top), (1, x, y - w.top)], presses
    for _ in range(3):
        w.peer.pointer(x, y, 1 << 3)
        w.peer.pointer(x, y)
    w.peer.settle()
    assert w.peer.cursor[0] > 0, "no cursor image came"


@case
def a_small_change_gives_a_small_frame(w):
    w.empty("area")
    w.peer.type("1")
    rects = w.peer.frame()
    assert sum(r[2] * r[3] for r in rects) < 200 * 100, rects
    w.peer.settle()


@case
def changed_tiles_add_up_to_the_whole_screen(w):
    w.peer.click(700, 500)
    for button in [1 << 4] * 8 + [1 << 3] * 8:
        w.peer.pointer(700, 500, button)
        w.peer.pointer(700, 500)
        time.sleep(0.02)
        w.peer.frame()
    w.empty("after")
    w.peer.type("q")
    w.peer.settle(quiet=0.6)
    parts = w.peer.rows()
    # Only one WANT_FRAME may be open: something small has to change before the whole screen can be asked for.
    w.peer.type("r")
    while w.peer.frame(whole=1) != [(0, 0, w.peer.w, w.peer.h)]:
        pass
    whole = w.peer.rows()
    different = [y for y in range(w.peer.h) if whole[y] != parts[y]]
    field = w.places["after"]["y"] + w.top
    assert all(abs(y - field) < 30 for y in different), different
    w.peer.settle()


@case
def the_last_change_of_a_burst_is_never_missed(w):
    for _ in range(12):
        w.site.clear()
        w.peer.key(0xffc6)  # F9: twenty changes of the page, then none
        while not any(e["type"] == "burst" for e in w.site.events):
            if not w.peer.wanted:
                w.peer.want()
            w.peer.receive(0.002)
        w.peer.settle(quiet=0.3)
        kept = w.peer.rows()
        w.peer.close()
        w.peer.accept()
        w.peer.frame()  # all of the screen, into new memory
        different = [y for y, row in enumerate(w.peer.rows()) if row != kept[y]]
        assert not different, different


@case
def the_screen_takes_any_size_up_to_the_maximum(w):
    for size in [(1280, 900), (801, 603), (1920, 1080), (1024, 768)]:
        w.site.clear()
        started = time.monotonic()
        assert w.peer.resize(*size) == size
        took = time.monotonic() - started
        frame = w.peer.frame()
        assert frame == [(0, 0, *size)], frame
        w.site.wait(lambda events: [e for e in events if e["type"] == "resize" and e["h"] == size[1] - w.top and
                                    abs(e["w"] - size[0]) <= 20], f"its size on a screen of {size}")
        w.peer.settle()
    measured("RESIZED after", took * 1000, "ms")
    assert w.peer.resize(63, 500) == (1024, 768)
    w.peer.settle()


@case
def a_frame_follows_a_key_fast(w):
    w.empty("area")
    times = []
    for i in range(150):
        time.sleep(0.04 + random.random() * 0.02)
        while True:
            if not w.peer.wanted:
                w.peer.want()
            if w.peer.receive(0) is None:
                break
        started = time.monotonic()
        w.peer.key(ord("a") + i % 26)
        w.peer.next(FRAME)
        times.append((time.monotonic() - started) * 1000)
    measured("key to FRAME p50", quantile(times, 0.5), "ms")
    measured("key to FRAME p95", quantile(times, 0.95), "ms")
    w.peer.settle()


@case
def at_rest_nothing_wakes_up(w):
    w.peer.settle(quiet=2)
    assert w.peer.wanted
    agents = w.agents()
    assert len(agents) == 2, w.container.processes()
    before = [switches(pid) for pid in agents]
    record = w.peer.receive(10)
    after = [switches(pid) for pid in agents]
    woken = [b[0] - a[0] for a, b in zip(before, after)]
    ticks = [b[1] - a[1] for a, b in zip(before, after)]
    measured("wake-ups in 10 s (agent, relay)", woken, "")
    # The relay carries what the browser asks of its own accord, now and then.
    assert record is None and min(woken) == 0 and max(woken) < 30 and ticks == [0, 0], (record, woken, ticks)


@case
def a_moving_page_that_nobody_looks_at_wakes_the_agent_once(w):
    w.empty("area")
    w.peer.settle()
    w.peer.type("z")
    w.peer.frame()
    assert not w.peer.wanted
    agent = max(w.agents(), key=lambda pid: switches(pid)[0])
    # The browser animates its own progress indicator and the page while these are typed; nobody asks for frames.
    pid_switches = switches(agent)[0]
    for _ in range(2):
        w.peer.pointer(700, 500, 1 << 4)
        w.peer.pointer(700, 500)
        w.peer.pointer(700, 500, 1 << 3)
        w.peer.pointer(700, 500)
    time.sleep(1)
    woken = switches(agent)[0] - pid_switches
    assert woken <= 8 * 3 + 3, woken  # eight records, each at most one wake-up and two waits for the X server
    w.peer.settle()


@case
def a_lost_connection_releases_keys_and_comes_back(w):
    w.empty("after")
    w.peer.key(SHIFT, 1)
    w.peer.pointer(700, 500, 1)
    time.sleep(0.1)
    w.peer.close()
    w.peer.accept()
    frame = w.peer.frame()
    assert frame == [(0, 0, w.peer.w, w.peer.h)], frame
    w.focus("after")
    w.peer.type("lower")
    w.site.wait_value("after", "lower")


@case
def a_broken_broker_loses_its_connection_only(w):
    for packet in (struct.pack("=II", 99, 0), struct.pack("=I", KEY), struct.pack("=IIII", KEY, 65, 0, 2),
                   struct.pack("=III", TEXT, 1, 5) + b"\xff\xfe\xfd\xfc\xfb".ljust(1024, b"\0"),
                   struct.pack("=III", TEXT, 1, 2000) + b"a".ljust(1024, b"\0"),
                   struct.pack("=II", WANT_FRAME, 2), struct.pack("=IIHHIII", HELLO, 1, 800, 600, 0, 0, 0)):
        w.peer.sock.send(packet)
        end = time.monotonic() + 5
        try:
            while time.monotonic() < end:
                w.peer.receive(1)
            raise AssertionError(f"the connection survived {packet[:16]}")
        except AssertionError as error:
            assert "closed" in str(error), error
        except ConnectionResetError:
            pass
        w.peer.close()
        w.peer.accept()
    w.peer.frame()
    w.peer.settle()


@case
def many_connections_and_much_data_pass_the_relay(w):
    w.peer.chord(CONTROL, ord("l"))
    w.site.clear()
    started = time.monotonic()
    w.peer.type("site.test/bulk/30000000\n")
    # Downloads are refused by policy; what counts is that the relay carries on beside it.
    time.sleep(0.3)
    w.peer.chord(CONTROL, ord("l"))
    w.peer.settle(deadline=30)
    w.peer.type("site.test/back\n")
    w.site.wait(lambda events: [e for e in events if e["type"] == "load" and e["path"] == "/back"], "the next page")
    measured("page after bulk data", (time.monotonic() - started) * 1000, "ms")
    w.peer.settle()


@case
def a_browser_that_ends_is_started_again(w):
    w.site.clear()
    os.kill(w.browser(), signal.SIGKILL)
    kind, body = w.peer.next(STATE, 20)
    assert struct.unpack("=I", body[:4])[0] == BROWSER_RESTARTED
    w.site.wait(lambda events: [e for e in events if e["type"] == "load"], "the home page again")
    w.peer.settle()
    w.empty("area")
    sequence = w.peer.text("再開")
    assert w.peer.text_result() == (sequence, 0)
    w.site.wait_value("area", "再開")


@case
def kana_kanji_conversion_in_the_container_works(w):
    w.empty("area")
    zenkaku_hankaku = 0xff2a
    time.sleep(2)  # the browser is new: its connection to fcitx takes a while, as for a person
    w.peer.key(zenkaku_hankaku, scancode=0x29)
    time.sleep(0.5)
    w.peer.type("nihon", pause=0.05)
    time.sleep(1)  # mozc_server starts with the first key
    w.peer.type(" ")
    w.peer.settle()
    w.peer.key(RETURN)
    w.site.wait_value("area", "日本")
    w.peer.key(zenkaku_hankaku, scancode=0x29)
    w.peer.settle()
    w.peer.type("abc")
    w.site.wait_value("area", "日本abc")


@case
def no_process_runs_without_its_sandbox(w):
    lines = w.container.processes().values()
    assert not any("--no-sandbox" in line for line in lines)
    renderers = [pid for pid, line in w.container.processes().items() if "--type=renderer" in line]
    assert renderers
    for pid in renderers:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        assert "Seccomp_filters:\t2" in status, status
        assert len(re.search(r"^NSpid:(.*)$", status, re.M).group(1).split()) >= 3, status


@case
def sigterm_ends_all_in_good_order(w):
    started = time.monotonic()
    os.kill(w.container.pid(), signal.SIGTERM)
    code = w.container.process.wait(5)
    took = time.monotonic() - started
    measured("end after SIGTERM", took * 1000, "ms")
    assert code == 0 and took < 2.5 and not w.container.processes(), (code, took)


def a_browser_that_keeps_ending_ends_the_container():
    w = World()
    try:
        last = 0
        for _ in range(5):
            last = wait_browser(w, last)
            os.kill(last, signal.SIGKILL)
        code = w.container.process.wait(15)
        assert code == 1, code
        assert "the browser ended by signal 9" in w.container.log_text(), w.container.log_text()
        assert "for the 5th time within 60 s" in w.container.log_text()
    finally:
        w.remove()


def wait_browser(w, last):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            pid = w.browser()
            if pid != last:
                return pid
        except StopIteration:
            pass
        time.sleep(0.02)
    raise AssertionError("no browser came")


def a_wrong_command_line_says_so():
    for arguments in (["--size", "10x10", "--max", "1920x1080"], ["--size", "1920x1080", "--max", "800x600"], ["--size"], []):
        container = Container(arguments=["/usr/lib/garasu/garasu-agent", *arguments])
        try:
            code = container.start().process.wait(20)
            assert code == 2 and "garasu-agent" in container.log_text(), (code, container.log_text())
        finally:
            container.remove()


def measured(what, value, unit):
    print(f"  measured: {what} {value if isinstance(value, list) else format(value, '.1f')} {unit}".rstrip(), flush=True)


def main():
    global picture
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that containers are removed
    arguments = sys.argv[1:]
    if "--picture" in arguments:
        at = arguments.index("--picture")
        picture = arguments[at + 1]
        del arguments[at:at + 2]
    if os.geteuid() != 0 or not (IMAGES / "current/rootfs").exists():
        print("skipped: needs root and the sandbox image")
        return 77
    failed = 0
    wanted = lambda f: not arguments or f.__name__ in arguments

    def run(function, *values):
        nonlocal failed
        try:
            function(*values)
            print(f"ok {function.__name__}", flush=True)
        except Exception as error:  # noqa: BLE001: the next case may still say something
            failed += 1
            print(f"FAILED {function.__name__}: {type(error).__name__}: {error}", flush=True)

    w = World()
    try:
        measured("container to ready", w.ready * 1000, "ms")
        if picture:
            w.peer.save(picture)
        for function in CASES:
            if wanted(function):
                run(function, w)
                if failed and w.container.process.poll() is not None:
                    break
        if failed:
            print(w.container.log_text()[-2000:])
    finally:
        w.remove()
    for function in (a_browser_that_keeps_ending_ends_the_container, a_wrong_command_line_says_so):
        if wanted(function):
            run(function)
    print("agent_test:", f"{failed} FAILED" if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
