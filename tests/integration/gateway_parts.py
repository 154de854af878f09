"""What gateway_test.py and guard_test.py are built of: the three processes, certificates, and the parts of supervisor, session and viewer."""
import os
import pathlib
import random
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import traceback
import warnings

from supervise import SLOW, SOURCE, Child, check

CA_TOOL = SOURCE / "certs/garasu-ca"
ROOT = os.geteuid() == 0
UID_BASE = 900000

IDENTITY_REQUEST = struct.Struct("=IIII4096s4096s4096s")
VERSION = b"RFB 003.008\n"
TERMS = b"GRSU\1\6\0\0\2\0\0\x3c\0\0\0\0"  # printing, 60 s of grace: the defaults
READY = TERMS + b"GRSU\1\1" + bytes(10)
WAIT = b"GRSU\1\3" + bytes(10)


class Gateway(Child):
    """One connection: the viewer's end is a plain socket until tls() wraps it."""
    number = 0

    def __init__(self, broker, mode="tls", small_buffers=False, identity=None):
        """identity: our stand-in's end of its socket pair, as (ours, theirs); None = the real process."""
        Gateway.number += 1
        self.number, self.broker = Gateway.number, broker
        with socket.create_server(("127.0.0.1", 0)) as listener:
            if small_buffers:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
            self.began = time.monotonic()
            self.viewer = socket.socket()
            if small_buffers:
                self.viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            self.viewer.connect(listener.getsockname())
            connection, _ = listener.accept()
        self.viewer.settimeout(SLOW)
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
        broker.keys.send("PEER", connection=self.number, fd=pairs[0][0].fileno())
        if identity:
            pairs[1] = identity
        else:
            broker.identity.send("PEER", connection=self.number, fd=pairs[1][0].fileno())
        super().__init__("garasu-gateway", broker.config, self.number, mode,
                         fds=[connection.fileno(), pairs[0][1].fileno(), pairs[1][1].fileno()])
        for s in (connection, *pairs[0], *(identity[1:] if identity else pairs[1])):
            s.close()
        broker.gateways.append(self)
        self.expect("READY")

    def tls(self, person="hanako", alpn=("garasu/1",), name="localhost", change=None):
        context = self.broker.client(person)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if change:
            change(context)
        self.viewer = context.wrap_socket(self.viewer, server_hostname=name, suppress_ragged_eofs=False)
        return self.viewer

    def identified(self, person="hanako", reason="NONE"):
        message = self.broker.identity.expect("IDENTIFIED", reason)
        check(message.connection == self.number and message.person == person, "identified", message)
        return message

    def wanted(self, person="hanako"):
        self.identified(person)
        self.expect("WANT_SESSION")

    def open(self, session=None):
        """Gives it a session process, played by a thread; returns our end of the stream after its handshake."""
        ours, theirs = socket.socketpair()
        ours.settimeout(SLOW)
        self.send("OPEN", connection=self.number, fd=theirs.fileno())
        theirs.close()
        (session or session_handshake)(ours)
        return ours

    def ready(self, **how):
        """The whole way to an open session as our viewer; returns (viewer, stream)."""
        self.tls(**how)
        self.wanted(how.get("person", "hanako"))
        stream = self.open()
        take(self.viewer, READY)
        viewer_handshake(self.viewer)
        return self.viewer, stream

    def ends(self, reason, kind="CLOSED", hang_up=False):
        """Its last message; hang_up: the viewer closes too, for which the gateway otherwise waits two seconds."""
        if hang_up:
            self.viewer.close()
        message = self.expect(kind, reason)
        check(self.receive() is None, "something after the last message")
        check(self.exit_status() == 0, "exit status", self.status)
        return message

    def close(self):
        self.viewer.close()
        super().close()


class Broker:
    """keys and identity, with one configuration."""

    def __init__(self, pki, crl=None, standard="permit", factors=("none", "none"), more=""):
        self.pki, self.gateways = pki, []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="broker-", dir=pki.folder))
        (self.folder / "run/empty").mkdir(parents=True)
        self.folder.chmod(0o755)
        ca = pki.ca
        self.config = str(self.folder / "garasu.conf")
        pathlib.Path(self.config).write_text(f"""
listen {{ standard_viewers = "{standard}" }}
tls {{
  certificate = "{ca}/server.pem"
  key = "{ca}/server.key"
  client_ca = "{ca}/ca.pem"
  client_crl = "{ca / 'crl.pem' if crl is None else crl}"
}}
identity {{ password = "{factors[0]}" code = "{factors[1]}" directory = "{self.folder}/identity" }}
{more}
broker {{
  run_directory = "{self.folder}/run"
  uid_base = {UID_BASE}
  log_level = "error"
}}
""")
        self.keys = Child("garasu-keys", self.config)
        self.identity = Child("garasu-identity", self.config)
        self.keys.expect("READY")
        self.identity.expect("READY")

    def client(self, person):
        """A viewer's TLS context with that person's certificate; None = without."""
        context = ssl.create_default_context(cafile=self.pki.ca / "ca.pem")
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if person:
            context.load_cert_chain(*self.pki.certificate(person))
        return context

    def renew_lists(self, file=None):
        """As the supervisor does when the file has changed."""
        with open(file or self.pki.ca / "crl.pem", "rb") as crl:
            self.identity.send("REVOCATIONS", fd=crl.fileno())

    def peer(self, child, connection=77):
        """Our end of a socket to keys or identity, as a gateway has it."""
        return child.peer(connection=connection)

    def close(self):
        for child in (*self.gateways, self.keys, self.identity):
            child.close()


class Pki:
    """Good and bad certificates, all real, made by garasu-ca or from its issuing CA's key."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="garasu-gateway-test-"))
        self.folder.chmod(0o755)
        self.ca, self.other = self.folder / "ca", self.folder / "other"
        for arguments in (["init", self.ca], ["server", self.ca, "--dns", "localhost"], ["person", self.ca, "hanako"],
                          ["person", self.ca, "taro"], ["person", self.ca, "expired", "--expired"],
                          ["person", self.ca, "future", "--not-before", "+1 day", "--not-after", "+2 days"],
                          ["person", self.ca, "revoked"], ["revoke", self.ca, "revoked"], ["person", self.ca, "leaver"],
                          ["init", self.other, "--name", "Other"], ["person", self.other, "stranger"]):
            self.run(CA_TOOL, *arguments)
        uri = "URI:garasu:user/"
        self.issue("cn_only", "extendedKeyUsage=clientAuth")
        self.issue("two_persons", f"extendedKeyUsage=clientAuth\nsubjectAltName={uri}hanako,{uri}taro")
        self.issue("no_purpose", f"subjectAltName={uri}hanako")
        self.issue("two_purposes", f"extendedKeyUsage=clientAuth,serverAuth\nsubjectAltName={uri}hanako")
        self.issue("wrong_name", f"extendedKeyUsage=clientAuth\nsubjectAltName={uri}Hanako")
        self.stale_crl, self.stale_root_crl = self.make_stale_crl("issuing"), self.make_stale_crl("root")

    @staticmethod
    def run(*arguments, **options):
        result = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, **options)
        check(result.returncode == 0, "failed:", arguments, result.stderr)
        return result.stdout

    def certificate(self, person):
        if person == "server":
            return self.ca / "server.pem", self.ca / "server.key"
        if person in ("cn_only", "two_persons", "no_purpose", "two_purposes", "wrong_name"):
            return self.folder / f"{person}.pem", self.folder / f"{person}.key"
        base = (self.other if person == "stranger" else self.ca) / "persons" / person
        return base.with_suffix(".pem"), base.with_suffix(".key")

    def ders(self, person):
        pem = self.certificate(person)[0].read_text()
        return [ssl.PEM_cert_to_DER_cert(p + "-----END CERTIFICATE-----\n") for p in pem.split("-----END CERTIFICATE-----\n")[:-1]]

    def issue(self, name, extensions):
        base, issuing = self.folder / name, self.ca / "private/issuing"
        (self.folder / "extensions").write_text("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n" + extensions)
        self.run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=hanako",
                 "-keyout", f"{base}.key", "-out", f"{base}.csr")
        leaf = self.run("openssl", "x509", "-req", "-in", f"{base}.csr", "-CA", f"{issuing}.pem", "-CAkey", f"{issuing}.key",
                        "-set_serial", str(random.getrandbits(120)), "-days", "2", "-extfile", self.folder / "extensions")
        base.with_suffix(".pem").write_text(leaf + (self.ca / "issuing.pem").read_text())

    def make_stale_crl(self, which):
        """A file of both lists, of which this one has run out."""
        (self.folder / "index").write_text("")
        (self.folder / "crlnumber").write_text("01\n")
        (self.folder / "cnf").write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={self.folder}/index\ncrlnumber={self.folder}/crlnumber\n"
                                         "default_md=sha256\n")
        private = self.ca / "private"
        crl = self.folder / f"stale_{which}.pem"
        self.run("openssl", "ca", "-config", self.folder / "cnf", "-gencrl", "-crl_lastupdate", "20240101000000Z",
                 "-crl_nextupdate", "20240108000000Z", "-cert", private / f"{which}.pem", "-keyfile", private / f"{which}.key", "-out", crl)
        crl.write_text(crl.read_text() + (private / ("root.crl" if which == "issuing" else "issuing.crl")).read_text())
        return crl


# --- what viewers and sessions do -----------------------------------------------------------------------------------

def receive(sock, n):
    data = b""
    while len(data) < n:
        piece = sock.recv(n - len(data))
        check(piece, f"the end after {len(data)} of {n} bytes", data[:80])
        data += piece
    return data


def take(sock, expected):
    got = receive(sock, len(expected))
    check(got == expected, "received", got, "instead of", expected)


def at_end(sock):
    """True when the peer closed in good order; suppress_ragged_eofs=False makes a cut TLS connection an exception."""
    return sock.recv(1) == b""


def viewer_handshake(sock):
    take(sock, VERSION)
    sock.sendall(VERSION)
    take(sock, b"\1\1")
    sock.sendall(b"\1")
    take(sock, bytes(4))


def session_handshake(stream):
    stream.sendall(VERSION)
    take(stream, VERSION)
    stream.sendall(b"\1\1")
    take(stream, b"\1")
    stream.sendall(bytes(4))


def vencrypt(sock, subtype=260):
    take(sock, VERSION)
    sock.sendall(VERSION)
    take(sock, b"\1\x13")
    sock.sendall(b"\x13")
    take(sock, b"\0\2")
    sock.sendall(b"\0\2")
    take(sock, b"\0\1" + struct.pack(">I", subtype))
    sock.sendall(struct.pack(">I", subtype))
    take(sock, b"\1")


def reason_text(sock):
    text = receive(sock, struct.unpack(">I", receive(sock, 4))[0]).decode("ascii")
    check(at_end(sock), "bytes after the refusal")
    return text


def in_thread(function, *arguments):
    """Runs it beside; join() raises what it raised."""
    outcome = []

    def run():
        try:
            outcome.append((function(*arguments), None))
        except BaseException as e:  # handed on by join
            outcome.append((None, e))
    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join(timeout=3 * SLOW):
        thread.join(timeout)
        check(outcome, "a helper of the test did not end in time")
        value, error = outcome[0]
        if error:
            raise error
        return value
    return join


def alert_name(error):
    return f"{error.reason} {error}".upper().replace(" ", "_")


def refused_in_tls(broker, person, alert, reason, words, **how):
    """The handshake is refused with that alert, before any byte of application data."""
    gateway = Gateway(broker)
    got = b""
    try:
        viewer = gateway.tls(person, **how)
        got = viewer.recv(1)  # TLS 1.3: the client's handshake ends before the server has judged it
        error = "no alert"
    except ssl.SSLError as e:
        error = alert_name(e)
    check(got == b"", "application data for", person, got)
    check(alert in error, person, "got", error, "instead of", alert)
    failed = gateway.ends(reason, "HANDSHAKE_FAILED", hang_up=True)
    check(words in failed.text, person, failed)
    check(broker.identity.says_nothing(), "identity was asked about", person)
    return failed


# --- what crosses in a session (docs/PROTOCOL.md) ------------------------------------------------------------------

KEY = struct.pack(">BBHI", 4, 1, 0, 0x61)


def encodings(*numbers):
    return struct.pack(">BxH", 2, len(numbers)) + b"".join(struct.pack(">I", n & 0xffffffff) for n in numbers)


def text(sequence, utf8):
    return struct.pack(">BBHI", 71, 1, len(utf8), sequence) + utf8


def server_init(width, height):
    return struct.pack(">HHBBBBHHHBBB3xI", width, height, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0, 6) + b"Garasu"


def pixels(count):
    """Random ones; the fourth byte belongs to no colour."""
    data = bytearray(random.Random(count).randbytes(4 * count))
    data[3::4] = bytes(count)
    return bytes(data)


def picture(width, height, data):
    """An update of one Raw rectangle in the corner."""
    return struct.pack(">BxHHHHHi", 0, 1, 0, 0, width, height, 0) + data


def memory_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def run(name, tests, names, **options):
    """Runs the tests (those of these names, if any), each with a Broker of these options; the exit status."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of old TLS versions, which are tried on purpose
    chosen = [t for t in tests if not names or t.__name__ in names]
    check(len(chosen) == len(names) or not names, "no such test:", names)
    pki = Pki()
    failed = 0
    try:
        for test in chosen:
            broker = Broker(pki, **options)
            began = time.monotonic()
            try:
                note = test(broker)
                print(f"ok    {test.__name__} ({time.monotonic() - began:.1f} s){': ' + note if note else ''}", flush=True)
            except Exception as e:
                failed += 1
                frames = [f.lineno for f in traceback.extract_tb(e.__traceback__) if f.filename != __file__]
                print(f"FAIL  {test.__name__}: {type(e).__name__}: {e} (lines {frames})", flush=True)
            finally:
                broker.close()
    finally:
        shutil.rmtree(pki.folder)
    print(f"{name}: {len(chosen) - failed} of {len(chosen)} passed")
    return 1 if failed else 0
