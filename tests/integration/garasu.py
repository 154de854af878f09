"""What the end-to-end tests share: the real broker, viewer and web site, started and ended by the test.

Environment: GARASU_BUILD = the build folder with bin/ and libexec/, GARASU_IMAGES = the sandbox images.
"""
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
from record import Record  # noqa: E402

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("GARASU_BUILD", SOURCE / "build/test"))
IMAGES = os.environ.get("GARASU_IMAGES", "/var/lib/garasu/test-images")
DEADLINE = 90  # seconds: generous, for a loaded machine under sanitizers
# Each test has user ids of its own, so that it never takes another broker's processes for its own.
UIDS = 65536 * 256
UID_FIRST = 0x10000000 + os.getpid() % 48 * UIDS


def wait_for(what, condition, deadline=DEADLINE, pause=0.02):
    """Returns the first true value of condition(); fails after the deadline."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline} s for {what}")
        time.sleep(pause)


def site(port=0):
    """The demonstration's web site, running in a thread; .events is what its pages reported."""
    loader = importlib.machinery.SourceFileLoader("demo_site", str(SOURCE / "scripts/demo-site"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("demo_site", loader))
    loader.exec_module(module)
    server = module.Site(port)
    module.photo(1)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def processes(uid_from, uid_count):
    """{pid: command line} of every process whose real uid is in the range."""
    found = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            status = pathlib.Path(entry.path, "status").read_text()
            uid = int(re.search(r"^Uid:\s+(\d+)", status, re.M).group(1))
            if uid_from <= uid < uid_from + uid_count and "\nState:\tZ" not in status:
                found[int(entry.name)] = pathlib.Path(entry.path, "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except (OSError, AttributeError):
            pass
    return found


def container_processes():
    return processes(UID_FIRST, UIDS)


def control_groups():
    return {str(p) for p in pathlib.Path("/sys/fs/cgroup").glob("*/garasu*")} | {str(p) for p in pathlib.Path("/sys/fs/cgroup").glob("garasu*")}


class Broker:
    """A broker of its own: configuration, certificates, run directory, audit record in a temporary folder."""
    UID_BASE = 0x08000000 + os.getpid() % 64 * 16384

    def __init__(self, home_url, allow=(), audit=None, **sections):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="garasu-test-"))
        self.folder.chmod(0o755)
        self.run_directory = f"/run/garasu-test-{os.getpid()}"
        self.ca = self.folder / "ca"
        self.audit_directory = audit or self.folder / "audit"
        self.port, self.vencrypt_port = free_port(), free_port()
        self.config = self.folder / "garasu.conf"
        self.process = None
        subprocess.run([SOURCE / "certs/garasu-ca", "demo", self.ca], check=True, stdout=subprocess.DEVNULL)
        values = {
            "listen": {"port": self.port, "vencrypt_port": self.vencrypt_port, "standard_viewers": "permit"},
            "tls": {"certificate": f"{self.ca}/server.pem", "key": f"{self.ca}/server.key", "client_ca": f"{self.ca}/ca.pem",
                    "client_crl": f"{self.ca}/crl.pem"},
            "session": {"home_url": home_url, "grace_seconds": 5},
            "pool": {"images": IMAGES, "maximum": 4, "start_seconds": 60, "uid_first": UID_FIRST},
            "egress": {"allow": list(allow)},
            "identity": {"password": "none", "code": "none", "directory": str(self.folder / "identity")},
            "audit": {"directory": str(self.audit_directory), "signing_key": f"{self.ca}/audit.key"},
            "recording": {"directory": str(self.folder / "recordings")},
            "broker": {"run_directory": self.run_directory, "uid_base": self.UID_BASE, "log_level": "info"},
        }
        for section, keys in sections.items():
            values.setdefault(section, {}).update(keys)
        def value(v):
            return str(v) if isinstance(v, int) else "{" + ", ".join(f'"{x}"' for x in v) + "}" if isinstance(v, list) else f'"{v}"'
        self.config.write_text("".join(
            f"{name} {{\n" + "".join(f"\t{k} = {value(v)}\n" for k, v in keys.items()) + "}\n" for name, keys in values.items()))

    def start(self):
        self.log = open(self.folder / "broker.log", "ab")
        self.process = subprocess.Popen([BUILD / "bin/garasu-broker", "--config", self.config],
                                        stdout=subprocess.PIPE, stderr=self.log, start_new_session=True)
        line = []
        reader = threading.Thread(target=lambda: line.append(self.process.stdout.readline()), daemon=True)
        reader.start()
        wait_for("the broker to be ready", lambda: line or self.process.poll() is not None)
        if not line or not line[0].startswith(b"ready: "):
            raise AssertionError(f"the broker did not become ready: {line}\n" + self.log_text()[-3000:])
        return self

    def stop(self):
        """Ends the broker as an operator would; returns its exit code."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                raise AssertionError("the broker did not end on SIGTERM\n" + self.log_text()[-3000:])
        code = self.process.returncode if self.process else None
        if self.process:
            self.process.stdout.close()
            self.log.close()
            self.process = None
        return code

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def finish(self):
        """Ends the broker and fails unless it ended in good order and left nothing. GARASU_KEEP=1 shows its log."""
        if os.environ.get("GARASU_KEEP"):
            print(self.log_text()[-6000:])
        code = self.stop()
        left = self.leftovers()
        self.remove()
        assert code == 0, f"the broker ended with {code}"
        assert not left, f"left behind: {left}"

    def log_text(self):
        return (self.folder / "broker.log").read_text(errors="replace")

    def own_processes(self):
        found = processes(self.UID_BASE, 16384)
        found[self.process.pid] = "garasu-broker"
        return found

    def ctl(self, *arguments, check=True):
        done = subprocess.run([BUILD / "bin/garasuctl", "--config", self.config, *arguments], capture_output=True, text=True, timeout=DEADLINE)
        if check and done.returncode:
            raise AssertionError(f"garasuctl {arguments}: {done.returncode}: {done.stderr}")
        return done

    def sessions(self):
        return json.loads(self.ctl("--json", "sessions").stdout)

    def audit(self):
        """The audit record as a list of dictionaries."""
        return Record(self.audit_directory).lines()

    def verify(self):
        """How many records and signed heads there are, all checked (record.py)."""
        return Record(self.audit_directory).verify(self.ca / "audit.pub")

    def person(self, name):
        return ["--ca", self.ca / "ca.pem", "--certificate", self.ca / f"persons/{name}.pem", "--key", self.ca / f"persons/{name}.key"]

    def viewer(self, name="hanako", *options):
        return Viewer([*self.person(name), *options, f"127.0.0.1:{self.port}"])

    def rfb(self, name):
        """A connection of this person's with an open session, at ClientInit: for viewers that do not keep to the protocol."""
        context = ssl.create_default_context(cafile=self.ca / "ca.pem")
        context.set_alpn_protocols(["garasu/1"])
        context.load_cert_chain(self.ca / f"persons/{name}.pem", self.ca / f"persons/{name}.key")
        viewer = context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE), server_hostname="localhost")
        stream = viewer.makefile("rb", buffering=0)

        def take(n):
            data = b""
            while len(data) < n:
                piece = stream.read(n - len(data))
                assert piece, f"the end after {data}"
                data += piece
            return data
        while (record := take(16))[5] in (3, 6):
            pass  # WAIT, TERMS
        assert record[5] == 1, record
        viewer.ready_flags = record[8]
        viewer.sendall(take(12) + b"\1")
        assert take(6) == b"\1\1\0\0\0\0"
        return viewer

    def leftovers(self):
        """What must not be there once the broker has ended."""
        mounts = [line for line in pathlib.Path("/proc/mounts").read_text().splitlines() if self.run_directory in line]
        # As broker/pool/pool.c names its group: FNV-1a of the run directory. Other brokers may run beside this one.
        group = 2166136261
        for byte in self.run_directory.encode():
            group = (group ^ byte) * 16777619 & 0xffffffff
        cgroups = [path for path in control_groups() if path.endswith(f"garasu-{group:08x}")]
        files = [str(p) for p in pathlib.Path(self.run_directory).rglob("*")] if os.path.exists(self.run_directory) else []
        return [*container_processes().values(), *processes(self.UID_BASE, 16384).values(), *mounts, *cgroups, *files]


class Peer:
    """A program driven by lines on its standard input, each answered by one line: "ok …" or "error …"."""

    def __init__(self, command, environment=None):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env={**os.environ, **(environment or {})})

    def __call__(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self.process.stdout.readline().strip()
        if not answer.startswith("ok"):
            raise AssertionError(f"'{line}' was answered by '{answer}' {self.error_text()}")
        return answer

    def error_text(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def wait(self):
        return self.process.wait(DEADLINE)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()


def children(pid):
    """{name: pid} of a process's children that live."""
    found = {}
    for child in subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split():
        try:
            status = pathlib.Path(f"/proc/{child}/status").read_text()
        except OSError:
            continue
        if "\nState:\tZ" not in status:
            found[status.split()[1]] = int(child)
    return found


def viewer_processes(pid):
    """{name: pid} of a viewer's decoder and transport, which its starter has started."""
    starter = children(pid).get("garasu-starter")
    return children(starter) if starter else {}


class Viewer(Peer):
    def __init__(self, options):
        super().__init__([BUILD / "bin/garasu-viewer", "--headless", "--timeout", str(DEADLINE), "--script", "-", *options])


def of_container(broker, person, program):
    """The pid (on the host) of a program in this person's container."""
    slot = next(s["container"] for s in broker.sessions() if s["person"] == person) - 1
    found = processes(UID_FIRST + slot * 65536, 65536)
    for pid, command in found.items():
        if program in command.split(" ")[0]:
            return pid
    raise AssertionError(f"no {program} in {person}'s container: {list(found.values())[:5]}")


def container_screen(broker, person, file):
    """Writes what the container's X server shows, read by another way than the product's, as a PPM."""
    display = f"/proc/{of_container(broker, person, 'Xvfb')}/root/tmp/.X11-unix/X0"
    subprocess.run([BUILD / "tests/screen_of", display, file], check=True)


def differing_pixels(a, b):
    """The number of pixels that differ between two pictures; -1 when their sizes differ."""
    sizes = [subprocess.run(["identify", "-format", "%wx%h", str(f)], capture_output=True, text=True, check=True).stdout for f in (a, b)]
    if sizes[0] != sizes[1]:
        return -1
    done = subprocess.run(["compare", "-metric", "AE", str(a), str(b), "null:"], capture_output=True, text=True)
    return int(float(done.stderr.split()[0]))
