"""A stand-in for the broker's side of one container: runs the image with the agent under crun, speaks the records of
common/record.h, and is the proxy and the web site behind the egress socket.

Environment: GARASU_IMAGES = the sandbox images.
"""
import array
import fcntl
import http.server
import json
import mmap
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

sys.dont_write_bytecode = True
SOURCE = pathlib.Path(__file__).resolve().parents[2]
IMAGES = pathlib.Path(os.environ.get("GARASU_IMAGES", "/var/lib/garasu/images"))
UID_FIRST = 1048576 + 65536 * 200
SITE = "http://site.test/"

HELLO, WANT_FRAME, RESIZE, KEY, POINTER, TEXT = range(1, 7)
SET_CLIPBOARD, CLIPBOARD = 9, 71
FRAME, CURSOR, RESIZED, CARET, TEXT_RESULT, STATE = range(64, 70)
NAMES = {FRAME: "FRAME", CURSOR: "CURSOR", RESIZED: "RESIZED", CARET: "CARET", TEXT_RESULT: "TEXT_RESULT", STATE: "STATE", CLIPBOARD: "CLIPBOARD"}
KEPT = {TEXT_RESULT, STATE, CLIPBOARD}  # while something else is awaited they wait
CURSOR_BYTES = 64 * 64 * 4
READY, BROWSER_RESTARTED, FAILED = 1, 2, 3
RETURN, TAB, BACKSPACE, ESCAPE = 0xff0d, 0xff09, 0xff08, 0xff1b
SHIFT, CONTROL, ALT = 0xffe1, 0xffe3, 0xffe9

PAGE = """<!doctype html><meta charset=utf-8><title>agent test</title>
<style>body{margin:8px;font:18px "Noto Sans CJK JP"} textarea,input{font:inherit;width:600px;display:block;margin:4px 0}
#long{height:4000px;background:linear-gradient(#fff,#48c)} </style>
<textarea id=area rows=3 autofocus></textarea><input id=secret type=password><input id=after>
<div id=editable contenteditable style="border:1px solid #888;width:600px;min-height:1.5em"></div>
<a id=link href="/second">次のページへ</a> 日本語の文章です。<span id=clock></span><div id=long></div>
<script>
const sent=[];let busy=false;
function record(e){sent.push(e);flush()}
async function flush(){if(busy||!sent.length)return;busy=true;const lot=sent.splice(0);
 await fetch('/log',{method:'POST',body:lot.map(x=>JSON.stringify(x)).join('\\n')});busy=false;flush()}
for(const t of ['keydown','keyup'])addEventListener(t,e=>record({type:t,key:e.key,code:e.code,shift:e.shiftKey}));
for(const t of ['mousedown','mouseup'])addEventListener(t,e=>record({type:t,button:e.button,x:e.clientX,y:e.clientY}));
addEventListener('wheel',e=>record({type:'wheel',dy:e.deltaY}),{passive:true});
addEventListener('resize',()=>record({type:'resize',w:innerWidth,h:innerHeight}));
for(const id of ['area','secret','after','editable'])document.getElementById(id).addEventListener('input',e=>
 record({type:'input',id,value:e.target.value??e.target.innerText}));
function start(){const p={};for(const id of ['area','secret','after','editable','link']){const r=document.getElementById(id).getBoundingClientRect();
  p[id]={x:Math.round(r.x+20),y:Math.round(r.y+r.height/2)}}
 record({type:'load',path:location.pathname,w:innerWidth,h:innerHeight,top:screenY+outerHeight-innerHeight,left:screenX,places:p})}
addEventListener('load',start);
function burst(n){clock.textContent=Math.random();document.body.style.borderTop=n%2?'1px solid red':'1px solid blue';
 if(n)setTimeout(()=>burst(n-1),Math.random()*25);else record({type:'burst'})}
addEventListener('keydown',e=>{if(e.key==='F9')burst(20)});
</script>"""


class Site:
    """HTTP proxy on the egress socket that answers every request itself; keeps what pages report."""

    def __init__(self, path):
        self.events, self.hosts, self.changed = [], set(), threading.Condition()
        self.values = {}  # what each field of the present page holds
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def address_string(self):
                return "container"

            def log_message(self, *_):
                pass

            def reply(self, body, kind="text/html; charset=utf-8", status=200):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                site.hosts.add(self.path.split("/")[2] if "//" in self.path else self.path)
                if not self.path.startswith(SITE):
                    return self.reply(b"no", status=403)
                path = self.path[len(SITE) - 1:]
                if path.startswith("/bulk/"):
                    return self.reply(b"x" * int(path[6:]), "application/octet-stream")
                if path == "/favicon.ico":
                    return self.reply(b"", "image/x-icon", 404)
                return self.reply(PAGE.encode())

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode(errors="replace")
                if self.path != SITE + "log":
                    return self.reply(b"no", status=403)
                with site.changed:
                    for event in map(json.loads, body.splitlines()):
                        site.events.append(event)
                        if event["type"] == "load":
                            site.values.clear()
                        elif event["type"] == "input":
                            site.values[event["id"]] = event["value"]
                    site.changed.notify_all()
                self.reply(b"")

            def do_CONNECT(self):
                site.hosts.add(self.path)
                self.reply(b"no", status=403)

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True
            request_queue_size = 128

            def get_request(self):
                request, _ = super().get_request()
                return request, ("container", 0)

            def handle_error(self, *_):
                pass

        self.server = Server(str(path), Handler)
        os.chmod(path, 0o666)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, condition, what, deadline=15):
        end = time.monotonic() + deadline
        with self.changed:
            while True:
                found = condition(self.events)
                if found:
                    return found
                if time.monotonic() > end:
                    raise AssertionError(f"the page did not report {what}; last: {self.events[-12:]}")
                self.changed.wait(0.1)

    def value(self, field):
        with self.changed:
            return self.values.get(field, "")

    def wait_value(self, field, value, deadline=15):
        try:
            self.wait(lambda _: self.values.get(field, "") == value, value, deadline)
        except AssertionError:
            raise AssertionError(f"{field} holds {self.value(field)!r}, not {value!r}") from None

    def clear(self):
        with self.changed:
            self.events.clear()


class Container:
    """One container by the real bundle's files, run in the foreground by crun."""

    def __init__(self, size="1024x768", maximum="1920x1080", arguments=None, memory_mib=1536):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="garasu-agent-test-"))
        self.folder.chmod(0o755)
        self.io = self.folder / "io"
        self.io.mkdir(mode=0o755)
        self.id = f"agent-test-{os.getpid()}-{id(self) & 0xffff}"
        self.group = f"/garasu-{self.id}"
        oci = SOURCE / "sandbox/oci"
        config = json.loads((oci / "config.json").read_text())
        (self.folder / "home.json").write_text(json.dumps({"HomepageLocation": SITE, "NewTabPageLocation": SITE}))
        bind = lambda source, target: {"destination": target, "type": "bind", "source": str(source),
                                       "options": ["bind", "ro", "nosuid", "nodev", "noexec", "private"]}
        config["process"]["args"] = arguments or ["/usr/lib/garasu/garasu-agent", "--size", size, "--max", maximum]
        if os.environ.get("GARASU_AGENT_SHOW_OUTPUT"):
            config["process"]["env"].append("GARASU_AGENT_SHOW_OUTPUT=1")
        config["root"]["path"] = str((IMAGES / "current/rootfs").resolve())
        config["linux"]["resources"].update({"memory": {"limit": memory_mib << 20}, "pids": {"limit": 512}})
        for which in ("uidMappings", "gidMappings"):
            config["linux"][which] = [{"containerID": 0, "hostID": UID_FIRST, "size": 65536}]
        config["linux"]["cgroupsPath"] = self.group + "/c"
        config["linux"]["seccomp"] = json.loads((oci / "seccomp.json").read_text())
        config["mounts"] += [bind(self.io, "/run/garasu"),
                             bind(self.folder / "home.json", "/etc/chromium/policies/managed/home.json")]
        (self.folder / "config.json").write_text(json.dumps(config))
        self.log = self.folder / "log"
        self.process = None

    def start(self):
        """crun refuses hybrid control groups: the v2 hierarchy is taken away in a mount namespace of its own."""
        self.started = time.monotonic()
        script = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec crun --root "$1/state" run --bundle "$1" "$2"'
        self.process = subprocess.Popen(["unshare", "-m", "sh", "-c", script, "sh", self.folder, self.id],
                                        # Not /dev/null: crun 1.8 would give the machine's own to the container's user.
                                        stdin=subprocess.PIPE, stdout=open(self.log, "ab"), stderr=subprocess.STDOUT)
        return self

    def crun(self, *arguments, **options):
        script = 'umount /sys/fs/cgroup/unified 2>/dev/null; shift; exec crun --root "$0/state" "$@"'
        return subprocess.run(["unshare", "-m", "sh", "-c", script, self.folder, "-", *arguments],
                              capture_output=True, text=True, timeout=30, **options)

    def pid(self):
        return json.loads(self.crun("state", self.id).stdout)["pid"]

    def processes(self):
        """{pid: command line} of what runs as the container's user."""
        found = {}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if f"\nUid:\t{UID_FIRST + 1000}\t" in (entry / "status").read_text():
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                pass
        return found

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def remove(self):
        self.crun("delete", "--force", self.id)
        if self.process:
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for group in [*pathlib.Path("/sys/fs/cgroup").glob("*" + self.group), pathlib.Path("/sys/fs/cgroup" + self.group)]:
            for child in [group / "c", group]:
                try:
                    child.rmdir()
                except OSError:
                    pass
        shutil.rmtree(self.folder, ignore_errors=True)


class Peer:
    """The session process's end of agent.sock."""

    def __init__(self, path, width=1920, height=1080):
        self.width, self.height = width, height
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(path))
        os.chmod(path, 0o666)
        self.listener.listen(1)
        self.sock = None
        self.sequence = 0
        self.pending = []
        self.caret = self.cursor = None

    def accept(self, flags=0, deadline=40, pages=0, dpi=0):
        self.listener.settimeout(deadline)
        self.sock, _ = self.listener.accept()
        self.size = self.width * self.height * 4 + CURSOR_BYTES
        fd = os.memfd_create("frame", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.ftruncate(fd, self.size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        self.memory = mmap.mmap(fd, self.size, mmap.MAP_SHARED, mmap.PROT_READ)
        self.pending, self.wanted = [], False
        self.sock.sendmsg([struct.pack("=IIHHIII", HELLO, 1, self.width, self.height, flags, pages, dpi)],
                          [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        os.close(fd)
        kind, body = self.next(STATE)
        state, self.w, self.h = struct.unpack("=IHH", body)
        assert state == READY, state
        return self

    def close(self):
        if self.sock:
            self.sock.close()
            self.sock = None

    def receive(self, deadline):
        """One record (type, body after the type), or None at the deadline."""
        if not select.select([self.sock], [], [], max(0, deadline))[0]:
            return None
        packet = self.sock.recv(4096)
        if not packet:
            raise AssertionError("the agent closed the connection")
        kind, body = struct.unpack("=I", packet[:4])[0], packet[4:]
        if kind == FRAME:
            self.wanted = False
            count = struct.unpack("=I", body[:4])[0]
            assert 1 <= count <= 64
            body = [struct.unpack("=HHHH", body[4 + 8 * i:12 + 8 * i]) for i in range(count)]
            for x, y, w, h in body:
                assert w and h and x + w <= self.w and y + h <= self.h, (x, y, w, h, self.w, self.h)
        elif kind == CARET:
            self.caret = struct.unpack("=IHHHH", body)
        elif kind == CURSOR:
            self.cursor = struct.unpack("=HHHH", body)
        elif kind == RESIZED:
            self.w, self.h = struct.unpack("=HH", body)
        return kind, body

    def next(self, kind, deadline=15):
        """The next record of the kind; results and states that come before it wait in .pending."""
        for i, record in enumerate(self.pending):
            if record[0] == kind:
                return self.pending.pop(i)
        end = time.monotonic() + deadline
        while True:
            record = self.receive(end - time.monotonic())
            if record is None:
                raise AssertionError(f"no {NAMES[kind]} within {deadline} s")
            if record[0] == kind:
                return record
            if record[0] in KEPT:
                self.pending.append(record)

    def want(self, whole=0):
        assert not self.wanted
        self.wanted = True
        self.sock.send(struct.pack("=II", WANT_FRAME, whole))

    def frame(self, whole=0, deadline=15):
        if not self.wanted:
            self.want(whole)
        return self.next(FRAME, deadline)[1]

    def settle(self, quiet=0.4, deadline=15):
        """Takes frames until nothing changes for a while; leaves a WANT_FRAME unanswered. Returns their number."""
        end, frames = time.monotonic() + deadline, 0
        while time.monotonic() < end:
            if not self.wanted:
                self.want()
            record = self.receive(quiet)
            if record is None:
                return frames
            frames += record[0] == FRAME
            if record[0] in KEPT:
                self.pending.append(record)
        raise AssertionError("the screen does not come to rest")

    def key(self, keysym, down=None, scancode=0):
        for d in (1, 0) if down is None else (down,):
            self.sock.send(struct.pack("=IIII", KEY, keysym, scancode, d))

    def type(self, text, pause=0):
        for c in text:
            self.key(RETURN if c == "\n" else TAB if c == "\t" else ord(c) if ord(c) < 256 else 0x01000000 + ord(c))
            if pause:
                time.sleep(pause)

    def chord(self, *keysyms):
        for k in keysyms:
            self.key(k, 1)
        for k in reversed(keysyms):
            self.key(k, 0)

    def pointer(self, x, y, buttons=0):
        self.sock.send(struct.pack("=IHHI", POINTER, x, y, buttons))

    def click(self, x, y, button=1):
        self.pointer(x, y)
        self.pointer(x, y, button)
        self.pointer(x, y)

    def text(self, text):
        data = text.encode()
        self.sequence += 1
        self.sock.send(struct.pack("=III", TEXT, self.sequence, len(data)) + data.ljust(1024, b"\0"))
        return self.sequence

    def text_result(self, deadline=15):
        return struct.unpack("=II", self.next(TEXT_RESULT, deadline)[1])

    def set_clipboard(self, data):
        for at in range(0, len(data), 1024):
            piece = data[at:at + 1024]
            self.sock.send(struct.pack("=III", SET_CLIPBOARD, len(data) - at - len(piece), len(piece)) + piece.ljust(1024, b"\0"))

    def copied(self, deadline=15):
        """The next text that the browser has copied, whole."""
        data, left = b"", None
        while left != 0:
            body = self.next(CLIPBOARD, deadline)[1]
            after, length = struct.unpack("=II", body[:8])
            assert left in (None, after + length) and (after == 0 or length == 1024) and 1 <= length <= 1024, (left, after, length)
            data, left = data + body[8:8 + length], after
        return data.decode()

    def resize(self, w, h):
        self.sock.send(struct.pack("=IHH", RESIZE, w, h))
        self.next(RESIZED)
        return self.w, self.h

    def rows(self):
        return [self.memory[y * self.width * 4:y * self.width * 4 + self.w * 4] for y in range(self.h)]

    def save(self, path):
        """The screen as PNG."""
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        lines = []
        for row in self.rows():
            line = bytearray(self.w * 3)
            line[0::3], line[1::3], line[2::3] = row[2::4], row[1::4], row[0::4]
            lines.append(b"\0" + bytes(line))
        pathlib.Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", self.w, self.h, 8, 2, 0, 0, 0)) +
                                       chunk(b"IDAT", zlib.compress(b"".join(lines), 6)) + chunk(b"IEND", b""))


def switches(pid):
    """Context switches and CPU ticks of all threads of a process."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        text = (task / "status").read_text()
        total += sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", text))
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return total, int(stat[11]) + int(stat[12])


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]
