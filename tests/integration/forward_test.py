#!/usr/bin/env python3
"""garasu-forward as its own process, with rsyslog over TLS as the syslog server and "openssl ts" as the time-stamp server.

This program plays the supervisor, and the audit process by writing the record itself (docs/AUDIT.md).
"""
import base64
import hashlib
import http.server
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
import unittest
import urllib.parse

sys.dont_write_bytecode = True
import garasu  # noqa: E402
import supervise  # noqa: E402
from garasu import free_port, wait_for  # noqa: E402

UID = 900000 + 7  # the default of broker.uid_base + GR_UID_FORWARD
MESSAGE = re.compile(r"<(\d+)>1 (\S+) (\S+) garasu - (\S+) (.*)", re.S)
ELEMENT = re.compile(r'\[garasu@32473((?: \w+="(?:\\["\\\]]|[^"\\\]])*")*)\] (.*)', re.S)


def run(*command, **options):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, **options)


class Authority:
    """A CA and the certificates that it gives."""

    def __init__(self, folder, name):
        self.folder, self.name = pathlib.Path(folder), name
        self.ca = self.folder / f"{name}.pem"
        self.request(name, [], ca=True)

    def request(self, name, extensions, ca=False):
        more = [] if ca else ["-CA", self.ca, "-CAkey", self.folder / f"{self.name}.key"]
        extensions = extensions or ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"]
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-days", "2",
            "-keyout", self.folder / f"{name}.key", "-out", self.folder / f"{name}.pem", "-config", "/dev/null",
            *[part for e in extensions for part in ("-addext", e)], *more)
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def server(self, name, alternative):
        return self.request(name, [f"subjectAltName={alternative}", "extendedKeyUsage=serverAuth"])

    def client(self, name):
        return self.request(name, [f"subjectAltName=DNS:{name}", "extendedKeyUsage=clientAuth"])

    def stamper(self, name, use="critical,timeStamping"):
        return self.request(name, [f"extendedKeyUsage={use}", "keyUsage=critical,digitalSignature"])


class Syslog:
    """rsyslog: only who has a certificate of the CA may send, and each message is a line of its file."""

    def __init__(self, folder, ca, certificate, key, port=None):
        self.folder, self.port = pathlib.Path(tempfile.mkdtemp(dir=folder)), port or free_port()
        self.file = pathlib.Path(folder) / "messages"
        (self.folder / "conf").write_text(f"""
            global(workDirectory="{self.folder}" maxMessageSize="16k" parser.escapeControlCharactersOnReceive="off"
                   defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
            module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/name" permittedPeer=["broker"])
            input(type="imtcp" address="127.0.0.1" port="{self.port}")
            template(name="raw" type="string" string="%rawmsg%\\n")
            action(type="omfile" file="{self.file}" template="raw")
        """)
        self.process = None

    def start(self):
        self.process = subprocess.Popen(["rsyslogd", "-n", "-f", self.folder / "conf", "-i", self.folder / "pid"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("rsyslog to listen", self.listens)
        return self

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self, number=signal.SIGTERM):
        if self.process:
            self.process.send_signal(number)
            self.process.wait(60)
        self.process = None

    def messages(self):
        """[(PRI, time, host, MSGID, rest)] of all whole lines."""
        text = self.file.read_text() if self.file.exists() else ""
        return [MESSAGE.fullmatch(line).groups() for line in text.split("\n")[:-1]]

    def bodies(self, kind=None):
        """What follows the structured data of each message, without what came twice."""
        return list(dict.fromkeys(ELEMENT.fullmatch(rest).group(2) for _, _, _, msgid, rest in self.messages()
                                  if (msgid == kind if kind else msgid != "alarm")))


FIELDS = "session container connection person group actor peer target reason detail down up".split()


def escape(text):
    return "".join(c if c.isascii() and (c.isalnum() or c in "._~:/@,+-") or ord(c) >= 0xa0 else
                   "".join(f"%{byte:02X}" for byte in c.encode()) for c in text)


def unescape(value):
    """As message.h says: printable ASCII but "%" is as it was."""
    return re.sub("%([0-9A-F]{2})", lambda m: chr(int(m[1], 16)) if 0x20 <= int(m[1], 16) <= 0x7e and m[1] != "25" else m[0], value)


class Record:
    """The audit process's part: segments and heads, as docs/AUDIT.md says, of one user and readable by garasu-forward's group."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        for folder in self.directory, self.directory / "log":
            folder.mkdir()
            os.chown(folder, 900004, UID)
            folder.chmod(0o2750)
        self.lines, self.leaves, self.heads = [], [], []
        self.file("log/00000000.log", b"")
        self.file("heads.log", b"")

    def file(self, name, data):
        path = self.directory / name
        with open(path, "ab") as out:
            out.write(data)
        os.chown(path, 900004, UID)
        path.chmod(0o640)

    @staticmethod
    def hash(kind, data):
        return hashlib.sha256(bytes([kind]) + data).digest()

    def add(self, kind="login", count=1, **fields):
        new = []
        for _ in range(count):
            at = len(self.lines)
            now = time.time()
            values = {"seq": at + 1, "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z",
                      "mono": time.monotonic_ns(), "boot": "00112233445566778899aabbccddeeff", "kind": kind,
                      **{name: escape(str(fields[name])) for name in FIELDS if name in fields},
                      "prev": (self.leaves[-1] if self.leaves else bytes(32)).hex()}
            line = " ".join(f"{name}={value}" for name, value in values.items())
            self.lines.append(line)
            self.leaves.append(self.hash(0, line.encode()))
            new.append(line + "\n")
        self.file("log/00000000.log", "".join(new).encode())  # no test makes a second segment: test_forward does

    def root(self, leaves):
        if len(leaves) == 1:
            return leaves[0]
        half = 1 << (len(leaves) - 1).bit_length() - 1
        return self.hash(1, self.root(leaves[:half]) + self.root(leaves[half:]))

    def head(self):
        """Signed by nobody: garasu-forward has no key, and does not look."""
        line = (f"head size={len(self.leaves)} time=2026-11-22T03:05:00.000000Z root={self.root(self.leaves).hex()} key=0123456789abcdef "
                f"signature={base64.b64encode(os.urandom(64)).decode()}")
        self.heads.append(line)
        self.file("heads.log", (line + "\n").encode())

    def copy(self, name):
        shutil.copytree(self.directory / "log", self.directory.parent / name / "log")
        shutil.copy(self.directory / "heads.log", self.directory.parent / name / "heads.log")

    def restore(self, name):
        for file in "log/00000000.log", "heads.log":
            (self.directory / file).write_bytes((self.directory.parent / name / file).read_bytes())


class Stamps(http.server.ThreadingHTTPServer):
    """An RFC 3161 server over the openssl command. change: what is done with a question before, with an answer after it."""
    daemon_threads = True

    def __init__(self, folder, tls=None):
        super().__init__(("127.0.0.1", 0), StampHandler)
        self.folder, self.asked = pathlib.Path(folder), []
        self.signer = self.change_question = self.change_answer = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://localhost:{self.server_address[1]}/stamp?for=garasu"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def answer(self, question):
        certificate, key = self.signer
        (self.folder / "tsa.cnf").write_text(f"""[tsa]
            default_tsa = one
            [one]
            serial = {self.folder}/serial
            default_policy = 1.2.3.4
            digests = sha256
            signer_digest = sha256
            ess_cert_id_alg = sha256
            signer_cert = {certificate}
            signer_key = {key}
            """)
        if self.change_question:
            question = self.change_question(question)
        (self.folder / "question").write_bytes(question)
        run("openssl", "ts", "-reply", "-config", self.folder / "tsa.cnf", "-queryfile", self.folder / "question", "-out", self.folder / "answer")
        answer = (self.folder / "answer").read_bytes()
        return self.change_answer(answer) if self.change_answer else answer


class StampHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        question = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.answer(question)
        self.server.asked.append((self.path, self.headers["Content-Type"], self.headers["Host"], question))
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Forward(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certificates = pathlib.Path(tempfile.mkdtemp(prefix="garasu-test-"))
        cls.authority, cls.other = Authority(cls.certificates, "ca"), Authority(cls.certificates, "other-ca")
        cls.server_files = cls.authority.server("server", "DNS:localhost,IP:127.0.0.1")
        cls.client_files = cls.authority.client("broker")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.certificates)

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="garasu-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)
        self.record = Record(self.folder / "audit")
        self.children = []
        (self.folder / "errors").touch()

    def tearDown(self):
        for child in self.children:
            child.close()

    def syslog(self, certificate=None, key=None, port=None, start=True):
        server = Syslog(self.folder, self.authority.ca, certificate or self.server_files[0], key or self.server_files[1], port)
        self.addCleanup(server.stop)
        return server.start() if start else server

    def forward(self, port=None, stamps=None, host="localhost", ready=True, **syslog):
        """A process with this configuration. Keys of its sections beyond what works: as they are given, None = left out."""
        sections = f'audit {{\n directory = "{self.record.directory}"\n}}\nbroker {{\n run_directory = "{self.folder}"\n}}\n'
        if port:
            values = {"server": f"{host}:{port}", "ca": self.authority.ca, "certificate": self.client_files[0], "key": self.client_files[1],
                      "content": "all", **syslog}
            sections += "syslog {\n" + "".join(f' {k} = "{v}"\n' for k, v in values.items() if v) + "}\n"
        if stamps:
            sections += f'timestamp {{\n url = "{stamps.url}"\n ca = "{self.authority.ca}"\n interval_minutes = 1\n}}\n'
        (self.folder / "garasu.conf").write_text(sections)
        self.errors = open(self.folder / "errors", "ab")
        self.addCleanup(self.errors.close)
        child = supervise.Child("garasu-forward", self.folder / "garasu.conf", stderr=self.errors.fileno())
        self.children.append(child)
        if ready:
            answer = child.receive()
            self.assertTrue(answer and answer.type == "READY", self.said())
        return child

    def said(self):
        return (self.folder / "errors").read_text()

    def expect_state(self, child, word):
        """Waits for the word; others may come before it, but no alarm."""
        while True:
            message = child.expect("FORWARD_STATE", timeout=60)
            if message.subject == word:
                return message
            self.assertNotEqual(message.subject, "alarm", message.text)

    def all_arrived(self, server):
        return server.bodies("head") == self.record.heads and [b for b in server.bodies() if b.startswith("seq=")] == self.record.lines

    def wait_until_all_arrived(self, server):
        try:
            wait_for("every record and head", lambda: self.all_arrived(server), 60)
        except AssertionError as error:
            got = server.bodies()
            raise AssertionError(f"{error}: {len(got)} of {len(self.record.lines) + len(self.record.heads)}, missing "
                                 f"{[x for x in self.record.lines + self.record.heads if x not in got][:2]}\n{self.said()}")

    # ---- syslog ----

    def test_every_record_and_head_arrives(self):
        server = self.syslog()
        self.record.add("login", person="yamada", peer="[2001:db8::1]:5000", group="広報課")
        self.record.add("fault", detail='a "b" \\ ] [ c=d %41 \n\x7f\x9b 硝子', person="100%")
        self.record.add("egress.request", count=2000, target="GET www.example.jp:443", session="0123456789abcdef", container=2)
        self.record.head()
        child = self.forward(server.port)
        self.expect_state(child, "ok")
        self.wait_until_all_arrived(server)
        # … and what is written while it runs; no record waits for its head.
        for i in range(20):
            self.record.add("guard.violation", person="suzuki", detail=f"number {i}", count=3)
        wait_for("records without a head", lambda: self.all_arrived(server))
        self.record.head()
        self.wait_until_all_arrived(server)
        severities = {"login": 5, "fault": 3, "egress.request": 6, "guard.violation": 2, "head": 5}
        for (priority, when, host, msgid, rest) in server.messages():
            parameters, line = ELEMENT.fullmatch(rest).groups()
            found = {name: re.sub(r'\\(["\\\]])', r"\1", value) for name, value in re.findall(r' (\w+)="((?:\\.|[^"\\\]])*)"', parameters)}
            wanted = {name: unescape(value) for name, value in (f.split("=", 1) for f in line.split(" ") if "=" in f)}
            wanted.pop("signature", None)
            self.assertEqual(found, wanted)
            self.assertEqual((int(priority), when, host), (13 * 8 + severities[msgid], wanted["time"], os.uname().nodename))
            self.assertEqual(msgid, wanted.get("kind", "head"))
        # As the record stands in the order of its lines, a head behind what it covers.
        order = [int(re.match(r"(?:head size|seq)=(\d+)", ELEMENT.fullmatch(m[4])[2])[1]) for m in server.messages()]
        self.assertEqual(order, sorted(order))
        # With nothing new it sleeps.
        def switches():
            return sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", pathlib.Path(f"/proc/{child.pid}/status").read_text()))
        wait_for("its last wake-up", lambda: (switches(), time.sleep(1.5), switches())[::2] == (switches(),) * 2)
        self.assertEqual(child.stop(), 0, self.said())

    def test_heads_alone(self):
        server = self.syslog()
        child = self.forward(server.port, content="heads", host="127.0.0.1")
        for _ in range(3):
            self.record.add(count=5, person="yamada")
            self.record.head()
        wait_for("the heads", lambda: server.bodies() == self.record.heads)
        self.assertEqual(child.stop(), 0, self.said())

    def test_a_server_that_goes_away_loses_nothing(self):
        """At least once, whatever ends: the server, by a signal or at once, or this process."""
        server = self.syslog()
        child = self.forward(server.port)
        writing = True

        def write():
            while writing:
                self.record.add(count=20, person="yamada", detail="x" * 200)
                self.record.head()
                time.sleep(0.01)
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in signal.SIGTERM, signal.SIGKILL:
                before = len(server.messages())
                wait_for("messages", lambda: len(server.messages()) > before + 200)
                server.stop(number)
                self.expect_state(child, "unreachable")
                size = len(self.record.lines)
                wait_for("more records", lambda: len(self.record.lines) > size + 100)
                if number == signal.SIGKILL:
                    child.kill()
                server.start()
                if number == signal.SIGKILL:
                    child = self.forward(server.port)
                self.expect_state(child, "ok")
        finally:
            writing = False
            writer.join()
        self.wait_until_all_arrived(server)
        # What was handed over and lived on for a while is not sent again.
        sent = f"sent={len(self.record.lines)}\n"
        wait_for("its state", lambda: sent in (self.folder / "audit/forward/state").read_text())
        self.assertEqual(child.stop(), 0)
        count = len(server.messages())
        child = self.forward(server.port)
        self.expect_state(child, "ok")
        self.record.add(person="suzuki")
        wait_for("the new one", lambda: len(server.messages()) > count)
        self.assertEqual(len(server.messages()), count + 1)
        self.assertIn("is not reached", self.said())

    def test_a_server_without_the_right_certificate_gets_nothing(self):
        self.record.add(count=3)
        self.record.head()
        port = free_port()
        for files, why in ((self.other.server("impostor", "DNS:localhost"), "unable to get local issuer|self.signed"),
                           (self.authority.server("elsewhere", "DNS:elsewhere.example"), "hostname mismatch"),
                           (self.authority.client("localhost"), "purpose")):
            server = self.syslog(*files, port=port)
            child = self.forward(port)
            self.expect_state(child, "unreachable")
            wait_for("why", lambda: re.search(why, self.said(), re.I))
            self.assertEqual(child.stop(), 0)
            server.stop()
            self.assertEqual(server.messages(), [])
        server = self.syslog(port=port)
        self.forward(port)
        self.wait_until_all_arrived(server)

    def test_the_server_knows_who_sends(self):
        server = self.syslog()
        self.record.add(count=3)
        child = self.forward(server.port, certificate=None, key=None)
        self.expect_state(child, "unreachable")
        child.stop()
        files = self.other.client("broker2")
        child = self.forward(server.port, certificate=files[0], key=files[1])
        self.expect_state(child, "unreachable")
        child.stop()
        self.assertEqual(server.messages(), [])

    def test_lines_taken_back_are_replaced(self):
        """A batch that could not be written whole is taken back; what is written in its place arrives too."""
        server = self.syslog()
        self.record.add(count=5)
        self.record.head()
        child = self.forward(server.port)
        self.wait_until_all_arrived(server)
        keep = len((self.folder / "audit/log/00000000.log").read_bytes())
        self.record.add("login", count=3, person="undone")
        self.wait_until_all_arrived(server)
        undone = self.record.lines[5:]
        child.signal(signal.SIGSTOP)  # so that it sees all of this at once, with the head
        os.truncate(self.folder / "audit/log/00000000.log", keep)
        del self.record.lines[5:], self.record.leaves[5:]
        self.record.add("login", count=2, person="done")
        self.record.add("login", count=4, person="longer than what stood here before, by far")
        self.record.head()
        child.signal(signal.SIGCONT)
        wait_for("what is there now", lambda: [x for x in server.bodies() if x.startswith("seq=") and x not in undone] == self.record.lines)
        self.assertNotIn("ALARM", self.said())

    def test_cef_field_by_field(self):
        server = self.syslog()
        self.record.add("session.detach", session="0123456789abcdef", container=2, connection=3, person="yamada", group="広報課|a",
                        actor="root", peer="192.0.2.1:5000", target="a=b|c\\d", reason="time-over", detail='x\ny = "z"\\', down=10, up=20)
        self.record.add("login.refused", peer="[2001:db8::1]:5000")
        self.record.head()
        self.forward(server.port, format="cef")
        wait_for("three messages", lambda: len(server.messages()) == 3)
        events = []
        for priority, when, _, msgid, rest in server.messages():
            self.assertTrue(rest.startswith("- CEF:0|Garasu|garasu|"), rest)
            # As the format has it: header fields end at a bar without a backslash, keys are what stands before an "=" without one.
            header = re.split(r"(?<!\\)\|", rest[2:], maxsplit=7)
            pairs = re.findall(r"(\w+)=((?:\\.|[^\\=])*?)(?= \w+=|$)", header[7], re.S)
            events.append((header[:7], {k: re.sub(r"\\(.)", r"\1", v) for k, v in pairs}))
            self.assertEqual((msgid, msgid.replace(".", " ")), (header[4], header[5]))
        first, second, head = events
        line = dict(f.split("=", 1) for f in self.record.lines[0].split(" "))
        milliseconds = re.fullmatch(r"(.*)\.(\d{3})\d{3}Z", line["time"])
        seconds = int(run("date", "-u", "-d", milliseconds[1], "+%s", text=True).stdout)
        self.assertEqual(first[0][4:7], ["session.detach", "session detach", "3"])
        self.assertEqual(first[1], {
            "externalId": "1", "rt": str(seconds * 1000 + int(milliseconds[2])), "cn3Label": "mono", "cn3": line["mono"],
            "cs6Label": "boot", "cs6": line["boot"], "cs1Label": "session", "cs1": "0123456789abcdef", "cn1Label": "container", "cn1": "2",
            "cn2Label": "connection", "cn2": "3", "suser": "yamada", "cs2Label": "group", "cs2": "広報課|a", "cs3Label": "actor", "cs3": "root",
            "src": "192.0.2.1", "spt": "5000", "cs4Label": "target", "cs4": "a=b|c\\d", "reason": "time-over", "msg": 'x%0Ay = "z"\\',
            "out": "10", "in": "20", "cs5Label": "prev", "cs5": "0" * 64})
        self.assertEqual((second[0][6], second[1]["c6a2Label"], second[1]["c6a2"], second[1]["spt"]),
                         ("5", "Source IPv6 Address", "2001:db8::1", "5000"))
        self.assertEqual((head[0][4], head[1]["cn1"], head[1]["msg"]), ("head", "2", self.record.heads[0]))

    # ---- roll-back ----

    def test_t41_a_record_that_is_rolled_back_raises_an_alarm(self):
        server = self.syslog()
        self.record.add(count=10, person="yamada")
        self.record.head()
        self.record.copy("copy")
        child = self.forward(server.port)
        self.record.add(count=10, person="yamada")
        self.record.head()
        self.wait_until_all_arrived(server)
        self.assertEqual(child.stop(), 0)
        wait_for("the state", lambda: "head=" + self.record.heads[1] in (self.folder / "audit/forward/state").read_text())
        # The copy is put back, and grows with another story, past where it was.
        self.record.restore("copy")
        self.record.lines, self.record.leaves, self.record.heads = self.record.lines[:10], self.record.leaves[:10], self.record.heads[:1]
        self.record.add(count=30, person="forged")
        self.record.head()
        for _ in range(2):  # and again after each start
            child = self.forward(server.port)
            while (message := child.expect("FORWARD_STATE")).subject != "alarm":
                pass
            self.assertEqual(message.reason, "INTERNAL")
            self.assertIn("rolled back", message.text)
            alarms = 0
            wait_for("the alarm", lambda: [m for m in server.messages() if m[3] == "alarm"][alarms:])
            alarms = len([m for m in server.messages() if m[3] == "alarm"])
            self.record.add(count=3, person="forged")
            self.record.head()
            self.assertEqual(child.stop(), 0)
            self.assertIn("ALARM", self.said())
        alarm = [m for m in server.messages() if m[3] == "alarm"][0]
        self.assertEqual((alarm[0], alarm[4]), ("105", "- " + message.text))
        self.assertFalse([b for b in server.bodies() if "forged" in b or b in self.record.heads[1:]])

    def test_t41_while_it_runs(self):
        server = self.syslog()
        self.record.add(count=10, person="yamada")
        self.record.head()
        self.record.copy("copy")
        child = self.forward(server.port, content="heads")
        self.record.add(count=10, person="yamada")
        self.record.head()
        wait_for("the heads", lambda: server.bodies() == self.record.heads)
        self.record.restore("copy")
        self.record.file("heads.log", b"")  # whatever is written next
        while (message := child.expect("FORWARD_STATE")).subject != "alarm":
            pass
        self.assertIn("shorter", message.text)
        wait_for("the alarm", lambda: [m for m in server.messages() if m[3] == "alarm"])

    # ---- time stamps ----

    def verify(self, size, head):
        (self.folder / "head").write_text(head)
        return subprocess.run(["openssl", "ts", "-verify", "-data", self.folder / "head", "-in", self.folder / f"audit/tokens/{size}.tsr",
                               "-CAfile", self.authority.ca], capture_output=True, text=True)

    def test_heads_are_time_stamped(self):
        stamps = Stamps(self.folder)
        stamps.signer = self.authority.stamper("tsa")
        self.record.add(count=5)
        self.record.head()
        child = self.forward(stamps=stamps)
        token = self.folder / "audit/tokens/5.tsr"
        wait_for("the stamp", token.exists, 60)
        self.assertIn("Verification: OK", self.verify(5, self.record.heads[0]).stdout)
        self.assertNotIn("Verification: OK", self.verify(5, self.record.heads[0] + " ").stdout)
        self.assertEqual(stamps.asked[0][:3], ("/stamp?for=garasu", "application/timestamp-query", urllib.parse.urlparse(stamps.url).netloc))
        # Another head waits for the interval; one that has its stamp is not asked about again.
        self.record.add()
        self.record.head()
        time.sleep(1)
        child.stop()
        token.rename(self.folder / "audit/tokens/6.tsr")
        child = self.forward(stamps=stamps)
        time.sleep(1)
        self.assertEqual(len(stamps.asked), 1)

    def test_stamps_over_tls(self):
        stamps = Stamps(self.folder, tls=self.server_files)
        stamps.signer = self.authority.stamper("tsa")
        self.record.add(count=5)
        self.record.head()
        self.forward(stamps=stamps)
        wait_for("the stamp", lambda: (self.folder / "audit/tokens/5.tsr").exists() or "gave no" in self.said(), 60)
        self.assertNotIn("gave no", self.said())

    def test_t42_wrong_stamps_are_refused(self):
        stamps = Stamps(self.folder)
        good = self.authority.stamper("tsa")
        (self.folder / "else").write_text("something else")
        cases = {
            "imprint": {"change_question": lambda q: self.other_question(q, imprint=True)},
            "nonce": {"change_question": lambda q: self.other_question(q, nonce=True)},
            "issuer": {"signer": self.other.stamper("other-tsa")},
            "purpose": {"change_answer": lambda a: self.signed_anew(a, self.authority.client("no-tsa"))},
            "HTTP": {"change_answer": lambda a: b"<html>"},
            "flipped": {"change_answer": lambda a: a[:-8] + bytes([a[-8] ^ 1]) + a[-7:]},
        }
        self.record.add(count=5)
        self.record.head()
        for name, change in cases.items():
            stamps.signer, stamps.change_question, stamps.change_answer = good, None, None
            for attribute, value in change.items():
                setattr(stamps, attribute, value)
            with self.subTest(name):
                said = len(self.said())
                child = self.forward(stamps=stamps)
                self.expect_state(child, "unstamped")
                told = self.said()[said:]
                self.assertIn("gave no stamp", told)
                if name != "flipped":
                    self.assertRegex(told, name)
                self.assertEqual(os.listdir(self.folder / "audit/tokens"), [])
                child.stop()
        stamps.signer, stamps.change_question, stamps.change_answer = good, None, None
        # What signed_anew makes is a stamp but for its signer.
        stamps.change_answer = lambda a: self.signed_anew(a, good)
        self.forward(stamps=stamps)
        wait_for("a good one", lambda: (self.folder / "audit/tokens/5.tsr").exists(), 60)

    def other_question(self, question, imprint=False, nonce=False):
        (self.folder / "q").write_bytes(question)
        text = run("openssl", "ts", "-query", "-in", self.folder / "q", "-text", text=True).stdout
        digest = "".join(re.findall(r"[0-9a-f]{2}(?=[ -])", " ".join(line[11:59] for line in text.splitlines() if re.match(r" +0[0-9a-f]+0 - ", line))))
        arguments = ["-data", self.folder / "else"] if imprint else ["-digest", digest]
        if imprint:  # the same nonce, which openssl cannot be told: in its place
            run("openssl", "ts", "-query", *arguments, "-sha256", "-cert", "-no_nonce", "-out", self.folder / "q2")
            other = run("openssl", "dgst", "-sha256", "-binary", self.folder / "else").stdout
            at = question.index(bytes.fromhex("0420")) + 2
            return question[:at] + other + question[at + 32:]
        at = question.index(bytes.fromhex("0420")) + 34  # the nonce follows the imprint
        self.assertEqual(question[at], 2)
        return question[:at + 3] + bytes([question[at + 3] ^ 1]) + question[at + 4:]

    def signed_anew(self, answer, signer):
        """The same statement, signed by another certificate, which "openssl ts" would not do."""
        (self.folder / "a").write_bytes(answer)
        run("openssl", "ts", "-reply", "-in", self.folder / "a", "-token_out", "-out", self.folder / "token")
        run("openssl", "cms", "-verify", "-noverify", "-inform", "DER", "-in", self.folder / "token", "-out", self.folder / "statement")
        run("openssl", "cms", "-sign", "-binary", "-nodetach", "-cades", "-econtent_type", "1.2.840.113549.1.9.16.1.4", "-md", "sha256",
            "-in", self.folder / "statement", "-signer", signer[0], "-inkey", signer[1], "-outform", "DER", "-out", self.folder / "token")
        body = bytes.fromhex("3003020100") + (self.folder / "token").read_bytes()
        size = len(body).to_bytes(2, "big")
        return b"\x30\x82" + size + body

    # ---- configuration ----

    def test_what_is_missing_is_told(self):
        readable = shutil.copy(self.client_files[1], self.folder / "readable.key")
        readable.chmod(0o640)
        for keys, words in (({"ca": None}, "syslog.ca"), ({"key": readable}, "chmod 600"), ({"key": None}, "syslog.key"), ({"ca": "/nonexistent.pem"}, "/nonexistent.pem")):
            child = self.forward(1234, ready=False, **keys)
            self.assertIsNone(child.receive())
            self.assertEqual(child.exit_status(), 1)
            self.assertIn(words, self.said())


class WholeBroker(unittest.TestCase):
    """A real broker, with a person in it, and both servers."""

    def test_what_is_recorded_is_forwarded_and_stamped(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="garasu-test-"))
        self.addCleanup(shutil.rmtree, folder)
        folder.chmod(0o755)
        authority, site = Authority(folder, "ca"), garasu.site()
        certificate, key = authority.client("broker")
        server = Syslog(folder, authority.ca, *authority.server("server", "DNS:localhost"))
        self.addCleanup(server.stop)
        stamps = Stamps(folder)
        stamps.signer = authority.stamper("tsa")
        broker = garasu.Broker(site.url, allow=[f"127.0.0.1:{site.server_port}"], syslog={
            "server": f"localhost:{server.port}", "ca": str(authority.ca), "certificate": str(certificate), "key": str(key), "content": "all"},
            timestamp={"url": stamps.url, "ca": str(authority.ca), "interval_minutes": 1})
        self.addCleanup(broker.remove)
        broker.start()
        # The syslog server comes later than the broker; the forward process dies and is there again.
        wait_for("the status", lambda: "unreachable" in broker.ctl("status").stdout)
        server.start()
        viewer = broker.viewer("hanako")
        self.addCleanup(viewer.close)
        viewer("wait-first-frame")
        wait_for("the session", lambda: any("kind=session.attach" in body for body in server.bodies()))
        pid = next(pid for pid, command in broker.own_processes().items() if "garasu-forward" in command)
        os.kill(pid, signal.SIGKILL)
        wait_for("the fault", lambda: any("kind=fault detail=forward:" in body for body in server.bodies()))
        wait_for("the status", lambda: re.search("forwarding of the record +ok", broker.ctl("status").stdout))
        viewer("quit")
        viewer.wait()
        self.assertEqual(broker.stop(), 0)
        record = garasu.Record(broker.audit_directory)
        lines = record.text().decode().splitlines()
        heads = (broker.audit_directory / "heads.log").read_text().splitlines()
        self.assertIn(" kind=broker.stop ", lines[-1])
        self.assertTrue(heads[-1].startswith(f"head size={len(lines)} "))
        wait_for("the last head", lambda: heads[-1] in server.bodies("head"))
        # The head of the end came too, before the forward process ended.
        self.assertEqual([body for body in server.bodies() if body.startswith("seq=")], lines)
        self.assertEqual(server.bodies("head"), heads)
        for token in (broker.audit_directory / "tokens").glob("*.tsr"):
            head = next(head for head in heads if head.startswith(f"head size={token.stem} "))
            (folder / "head").write_text(head)
            run("openssl", "ts", "-verify", "-data", folder / "head", "-in", token, "-CAfile", authority.ca)
        self.assertEqual(broker.leftovers(), [])


if __name__ == "__main__":
    for program in "rsyslogd", "openssl":
        if not shutil.which(program):
            sys.exit(f"{program} is missing: scripts/setup test")
    if os.geteuid() != 0:
        print("needs root")
        sys.exit(77)
    unittest.main()
