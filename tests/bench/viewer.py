#!/usr/bin/env python3
"""How fast and how small the staff's viewer is, in its real window: tests/bench/viewer.py [PART ...] [--keys N] [--corpus FOLDER]

On a release build with tests (cmake -DCMAKE_BUILD_TYPE=Release -DGARASU_TESTS=ON; GARASU_BUILD, GARASU_IMAGES as for the tests), with
the packages of `scripts/setup bench`. A real broker, container, Chromium and garasu-viewer, its window full screen on an Xvfb of
1920 by 1080, over loopback. Without parts all are measured:

  window   from exec to the first pixel of the window, 20 starts
  keys     a key pressed in the viewer's window (XTest) until the pixel of the page changes there, as any X client sees it; the same
           page in the same Chromium through TigerVNC's Xvnc and viewer on an Xvfb of its own; and each browser alone, the key
           pressed in its own X server; N of each (200), in turns, so that all meet the same machine
  scroll   the article trace (../shared/corpus) shown in the container's X server at 60 frames a second, and which of them are
           seen in the window, while the viewer's processes and the broker's session and gateway have one core
  memory   of the viewer's processes, after that
  still    their CPU time and wake-ups in 30 s of a page at rest
  decode   the decoder's CPU time for each update of full pictures of 1920 by 1080 of the corpus

Milliseconds are of this machine and hour: compare what one run printed. `screen_watch` is the same instrument for all.
"""
import argparse
import http.server
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
import garasu  # noqa: E402
from garasu import BUILD, wait_for  # noqa: E402

WIDTH, HEIGHT = 1920, 1080
BORDER, BAR, FRAME = 4, 30, "9a3412"  # viewer/draw.h
KEY_A = 38
CHROMIUM = "/usr/lib/chromium/chromium"
PARTS = ("window", "keys", "scroll", "memory", "still", "decode")

# A page at rest: no caret blinks. It says where on the screen its field is.
PAGE = """<!doctype html><html lang=ja><meta charset=utf-8><title>keys</title><style>
body { font:16px/1.75 "Noto Sans CJK JP",sans-serif; margin:24px; background:#f2f6f8 }
textarea { font:32px "Noto Sans CJK JP"; width:800px; height:64px; caret-color:transparent; resize:none; overflow:hidden }
</style><textarea autofocus spellcheck=false></textarea>""" + "<p>硝子町は、山あいの清らかな水と珪砂に恵まれ、ガラスづくりで知られてきました。</p>" * 12 + """
<script>const t=document.querySelector('textarea');
t.addEventListener('input',()=>{ if(t.value.length>30) t.value=t.value.slice(-1) });
const tell=()=>{ const r=t.getBoundingClientRect();
  fetch('/at?'+new URLSearchParams({x:r.x+screenX+(outerWidth-innerWidth)/2, y:r.y+screenY+outerHeight-innerHeight, w:r.width, h:r.height})) };
addEventListener('load',()=>setTimeout(tell,300)); addEventListener('resize',()=>setTimeout(tell,300));
</script>"""


class Site:
    """The page; where its field was when it was last loaded."""

    def __init__(self):
        site = self
        self.places = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                url = urllib.parse.urlparse(self.path)
                if url.path == "/at":
                    site.places.append({k: int(float(v[0])) for k, v in urllib.parse.parse_qs(url.query).items()})
                body = PAGE.encode() if url.path == "/" else b""
                self.send_response(200 if body else 204)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def loaded(self):
        return wait_for("the page", lambda: self.places and self.places.pop())


class Processes:
    """What this program has started, ended in the opposite order."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="garasu-bench-"))
        self.folder.chmod(0o755)
        self.all = []

    def start(self, command, **options):
        options.setdefault("stdout", subprocess.DEVNULL)
        process = subprocess.Popen([str(c) for c in command], stderr=(self.folder / f"{len(self.all)}.log").open("wb"), **options)
        self.all.append(process)
        return process

    def display(self, *command):
        """An X server; returns its number. `command` ends with where its number is to go."""
        read, write = os.pipe()
        self.start([*command, "-displayfd", write], pass_fds=[write])
        os.close(write)
        with os.fdopen(read) as line:
            return line.readline().strip()

    def end(self):
        for process in reversed(self.all):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def watch(socket):
    return garasu.Peer([BUILD / "tests/screen_watch", socket])


def number(answer):
    return float(answer.split()[1])


def at(figures, p):
    figures = sorted(figures)
    return figures[min(len(figures) - 1, int(len(figures) * p))]


def line(name, figures, unit="ms"):
    print(f"  {name:34s} n={len(figures):4d}  p50 {at(figures, .5):6.2f}  p95 {at(figures, .95):6.2f}  p99 {at(figures, .99):6.2f}  "
          f"max {max(figures):6.2f} {unit}", flush=True)


def children(pid):
    """The viewer's processes by name."""
    found = {"window": pid}
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found[pathlib.Path(f"/proc/{child}/comm").read_text().strip()] = int(child)
    return {**found, **garasu.viewer_processes(pid)}


def cpu_ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def cpu_ms(pid):
    """Of all its threads, as finely as the scheduler counts."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e6


def switches(pid):
    return sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M).group(1))
               for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


class Bench:
    def __init__(self, options):
        self.options = options
        self.processes = Processes()
        self.site = Site()
        self.url = f"http://127.0.0.1:{self.site.port}/"
        self.broker = None
        self.screen = self.desk(WIDTH, HEIGHT)
        self.peers = []

    def end(self):
        for peer in self.peers:
            peer.close()
        self.processes.end()
        if self.broker:
            self.broker.remove()

    def watch(self, socket):
        self.peers.append(watch(socket))
        return self.peers[-1]

    def desk(self, width, height):
        """A screen such as a person has, with a window manager; returns its number."""
        number = self.processes.display("Xvfb", "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp", "-noreset")
        self.manage(number)
        return number

    def manage(self, number):
        self.processes.start(["openbox", "--sm-disable", "--config-file", f"{garasu.IMAGES}/current/rootfs/etc/xdg/openbox/rc.xml"],
                             env={**os.environ, "DISPLAY": ":" + number})
        wait_for("the window manager", lambda: b"window id" in subprocess.run(["xprop", "-display", ":" + number, "-root", "_NET_SUPPORTING_WM_CHECK"],
                                                                               capture_output=True).stdout)

    @staticmethod
    def click(display, x, y):
        """Gives the keyboard to the window, and to the page's field."""
        subprocess.run(["xdotool", "mousemove", str(x), str(y), "click", "1"], env={**os.environ, "DISPLAY": ":" + display}, check=True)

    # -- ours

    def start_broker(self):
        self.broker = garasu.Broker(self.url, allow=[f"127.0.0.1:{self.site.port}"], session={"home_url": self.url, "grace_seconds": 60}).start()

    def viewer(self, *options):
        return self.processes.start([BUILD / "bin/garasu-viewer", "--full-screen", *self.broker.person("hanako"), *options, f"127.0.0.1:{self.broker.port}"],
                                    env={**os.environ, "DISPLAY": ":" + self.screen})

    def connect(self):
        """The viewer, its watcher, and the container's; each looks at the page's field."""
        self.process = self.viewer()
        place = self.site.loaded()
        self.window = self.watch(f"/tmp/.X11-unix/X{self.screen}")
        self.inside = self.watch(f"/proc/{garasu.of_container(self.broker, 'hanako', 'Xvfb')}/root/tmp/.X11-unix/X0")
        self.click(self.screen, place["x"] + BORDER + 20, place["y"] + BAR + 20)
        self.window("watch %d %d %d %d" % (place["x"] + BORDER, place["y"] + BAR, place["w"], place["h"]))
        self.inside("watch %d %d %d %d" % (place["x"], place["y"], place["w"], place["h"]))
        self.window("still 1500")

    def broker_side(self):
        """{name: pid} of the session's and the gateway's process."""
        return {name: pid for pid, command in self.broker.own_processes().items() for name in ("session", "gateway")
                if f"garasu-{name}" in command.split(" ")[0]}

    # -- the peer

    def connect_peer(self):
        folder = self.processes.folder / "browser"
        folder.mkdir()
        environment = {**os.environ, "HOME": str(folder), "LANG": "ja_JP.UTF-8"}
        as_nobody = []
        if os.geteuid() == 0:  # Chromium keeps its sandbox
            as_nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
            shutil.chown(folder, "nobody")
        w, h = WIDTH - 2 * BORDER, HEIGHT - BAR - BORDER  # as large as the page is behind ours
        port = garasu.free_port()
        display = self.processes.display("Xvnc", "-geometry", f"{w}x{h}", "-depth", "24", "-SecurityTypes", "None", "-localhost", "-rfbport", port)
        environment["DISPLAY"] = ":" + display
        self.manage(display)
        self.processes.start([*as_nobody, CHROMIUM, f"--user-data-dir={folder}/profile", "--incognito", *self.browser_flags(), self.url], env=environment)
        place = self.site.loaded()
        screen = self.desk(w, h)
        environment["DISPLAY"] = ":" + screen
        self.processes.start(["xtigervncviewer", "-SecurityTypes=None", "-FullScreen", "-RemoteResize=0", f"127.0.0.1::{port}"], env=environment)
        self.peer_window, self.peer_inside = self.watch(f"/tmp/.X11-unix/X{screen}"), self.watch(f"/tmp/.X11-unix/X{display}")
        for each in self.peer_window, self.peer_inside:
            each(f"watch 0 0 {w} 400")
        self.peer_window("still 6000")  # its window is open, its notice and what the browser says at first are gone
        place = self.site.places[-1] if self.site.places else place
        for each in self.peer_window, self.peer_inside:
            each("watch %d %d %d %d" % (place["x"], place["y"], place["w"], place["h"]))
        self.click(screen, place["x"] + 20, place["y"] + 20)

    @staticmethod
    def reacts(eye):
        try:
            return eye(f"press {KEY_A}")
        except AssertionError:
            return None

    def browser_flags(self):
        """As the container's browser was started."""
        pid = garasu.of_container(self.broker, "hanako", "/usr/lib/chromium/chromium")
        mine = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        return [flag for flag in mine if flag.startswith("--") and not re.match(r"--(user-data-dir|type|proxy|load)", flag)]

    # -- what is measured

    def measure_window(self):
        print("window: from exec to the first pixels of it on the screen")
        took, eye = [], self.watch(f"/tmp/.X11-unix/X{self.screen}")
        eye("watch 0 0 8 8")
        for _ in range(20):
            began = time.monotonic_ns()
            process = self.viewer()
            took.append((int(eye(f"colour {FRAME} 5000").split()[1]) - began / 1000) / 1000)
            process.terminate()
            process.wait()
            eye("still 200")
            eye("colour 000000 5000")
        line("exec to window", took)

    def measure_keys(self):
        self.connect_peer()
        eyes = {"garasu, in the viewer's window": self.window, "garasu's browser itself": self.inside,
                "TigerVNC, in its viewer's window": self.peer_window, "Xvnc's browser itself": self.peer_inside}
        for name, eye in eyes.items():
            wait_for(name, lambda eye=eye: self.reacts(eye))
        took = {name: [] for name in eyes}
        chance, order = random.Random(6), list(eyes)
        for i in range(self.options.keys + 5):
            chance.shuffle(order)
            for name in order:
                answer = number(eyes[name](f"press {KEY_A}"))
                if i >= 5:
                    took[name].append(answer)
                time.sleep(chance.uniform(0.05, 0.09))
        print("keys: a key pressed until its pixels have changed")
        for name in eyes:
            line(name, took[name])
        ours, own, theirs, their_own = (took[name] for name in eyes)
        for name, a, b in (("garasu above its browser", ours, own), ("TigerVNC above its browser", theirs, their_own)):
            print(f"  {name:34s}         p50 {at(a, .5) - at(b, .5):6.2f}  p95 {at(a, .95) - at(b, .95):6.2f} ms")

    def measure_scroll(self):
        trace = self.options.corpus / "A_article_scroll.gsft"
        player = self.play(trace, 2, self.options.seconds)
        measured = {**children(self.process.pid), **self.broker_side()}
        for pid in measured.values():
            subprocess.run(["taskset", "-a", "-c", "-p", str(os.cpu_count() - 1), str(pid)], check=True, stdout=subprocess.DEVNULL)
        time.sleep(1)
        self.window("watch %d %d 128 8" % (16 + BORDER, 320 + BAR))
        before = {name: cpu_ms(pid) for name, pid in measured.items()}
        self.window.process.stdin.write(f"frames {self.options.seconds * 1000 + 1000}\n")
        self.window.process.stdin.flush()
        began = time.monotonic()
        player.process.stdin.write("go\n")
        player.process.stdin.flush()
        played = dict(tuple(map(int, each.split(":"))) for each in player.process.stdout.readline().split())
        seconds = time.monotonic() - began
        answer = self.window.process.stdout.readline().split()
        assert answer[0] == "ok", answer
        seen = [tuple(map(int, each.split(":"))) for each in answer[1:]]
        seen = [(n, t) for n, t in seen if n in played and t >= played[n]]
        used = {name: (cpu_ms(pid) - before[name]) / 1000 / seconds for name, pid in measured.items()}
        for pid in measured.values():
            subprocess.run(["taskset", "-a", "-c", "-p", f"0-{os.cpu_count() - 1}", str(pid)], check=True, stdout=subprocess.DEVNULL)
        print(f"scroll: {trace.name}, 60 frames a second for {self.options.seconds} s, what is listed here has one core")
        print(f"  played {len(played)}, shown {len(seen)}: {len(seen) / seconds:.1f} frames a second")
        line("put into the X server to shown", [(t - played[n]) / 1000 for n, t in seen])
        line("between two that are shown", [(b[1] - a[1]) / 1000 for a, b in zip(seen, seen[1:])])
        print("  cores used: " + ", ".join(f"{name} {share:.3f}" for name, share in used.items()) + f"; together {sum(used.values()):.3f}")
        player.close()

    def measure_memory(self):
        print(f"memory: window of {WIDTH} by {HEIGHT}")
        total = {"Pss": 0, "Rss": 0}
        for name, pid in children(self.process.pid).items():
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            kib = {key: int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1)) for key in ("Rss", "Pss", "Pss_Anon", "Pss_File", "Pss_Shmem")}
            print(f"  {name:16s}" + "".join(f"  {key} {value / 1024:6.1f} MiB" for key, value in kib.items()))
            for key in total:
                total[key] += kib[key] / 1024
        print(f"  together: Pss {total['Pss']:.1f} MiB (what they take), sum of Rss {total['Rss']:.1f} MiB (shared pages counted each time)")

    def measure_still(self):
        self.window("still 2000")
        pids = children(self.process.pid)
        time.sleep(3)
        before = {name: (cpu_ticks(pid), switches(pid), cpu_ms(pid)) for name, pid in pids.items()}
        time.sleep(30)
        print("still: 30 s of a page at rest")
        for name, pid in pids.items():
            ticks, woken, ms = before[name]
            print(f"  {name:16s} {cpu_ticks(pid) - ticks} ticks, {cpu_ms(pid) - ms:.3f} ms, woken {switches(pid) - woken} times")

    def play(self, trace, first, seconds):
        """The program that will show the trace in the container's X server; it waits for "go"."""
        socket = f"/proc/{garasu.of_container(self.broker, 'hanako', 'Xvfb')}/root/tmp/.X11-unix/X0"
        player = garasu.Peer([BUILD / "tests/play_trace", socket, trace, first, 210, 60, seconds])
        self.peers.append(player)
        assert player.process.stdout.readline() == "ready\n", player.error_text()
        return player

    def measure_decode(self):
        """The traces through the real chain, kept by a viewer without a window, and decoded again by what its decoder is made of."""
        print(f"decode: CPU time of an update, guard and decoder, screen of {WIDTH} by {HEIGHT}")
        all_large = []
        for trace in sorted(self.options.corpus.glob("*.gsft")):
            self.site.places.clear()
            capture = self.processes.folder / f"{trace.stem}.capture"
            self.broker.ctl("kill", "hanako", check=False)
            viewer = self.broker.viewer("hanako", "--size", f"{WIDTH}x{HEIGHT}", "--capture", capture)
            self.peers.append(viewer)
            viewer("wait-first-frame")
            self.site.loaded()
            viewer("wait-idle 500")
            player = self.play(trace, 0, 6)
            player.process.stdin.write("go\n")
            player.process.stdin.flush()
            player.process.stdout.readline()
            viewer("wait-idle 1000")
            viewer("quit")
            viewer.wait()
            player.close()
            done = subprocess.run([BUILD / "tests/decode_time", capture, "25", "8"], capture_output=True, text=True, check=True)
            updates = [(float(us) / 1000, int(pixels)) for us, pixels in map(str.split, done.stdout.splitlines())]
            large = [ms for ms, pixels in updates if pixels >= WIDTH * HEIGHT // 2]
            all_large += large
            line(trace.stem, [ms for ms, _ in updates])
            if large:
                line("  of half a screen and more", large)
            capture.unlink()
        if all_large:
            line("all of half a screen and more", all_large)

    def run(self, parts):
        print(f"tests/bench/viewer.py, {time.strftime('%F %T')}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
        self.start_broker()
        if "window" in parts:
            self.measure_window()
        if {"keys", "scroll", "memory", "still"} & set(parts):
            self.broker.ctl("kill", "hanako", check=False)
            self.site.places.clear()
            self.connect()
        for part in ("keys", "scroll", "memory", "still"):
            if part in parts:
                getattr(self, "measure_" + part)()
        if "decode" in parts:
            self.measure_decode()
        print(f"load {os.getloadavg()[0]:.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--keys", type=int, default=200, metavar="N")
    parser.add_argument("--seconds", type=int, default=10, metavar="N", help="of scrolling")
    parser.add_argument("--corpus", type=pathlib.Path, default=garasu.SOURCE.parent / "shared/corpus", metavar="FOLDER")
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"no such part: {part} ({', '.join(PARTS)})")
    bench = Bench(options)
    try:
        bench.run(options.parts or PARTS)
    finally:
        bench.end()


if __name__ == "__main__":
    main()
