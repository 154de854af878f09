"""What identity_test.py and pam_test.py are built of: the identity process with a configuration, and gateways' conversations with it."""
import pathlib
import struct
import ssl
import subprocess
import tempfile
import time

from supervise import REASON_NAMES, SOURCE, Child, check

REQUEST = struct.Struct("=IIII4096s4096s4096s")  # struct gr_identity_request
FACTORS = struct.Struct("=II256s64sI32s")  # struct gr_identity_factors
ANSWER = struct.Struct("=IIII40sI32s")  # struct gr_identity_answer
PASSWORD, CODE = 1, 2  # gr_identity_ask
UID_BASE = 910000


class Answer:
    def __init__(self, packet):
        check(len(packet) == ANSWER.size, "an answer of a wrong size", len(packet))
        reason, self.ask, self.tries, self.wait, person, self.ticketed, self.ticket = ANSWER.unpack(packet)
        self.reason, self.person = REASON_NAMES[reason], person.split(b"\0")[0].decode()
        self.packet = packet

    def __repr__(self):
        return f"Answer({self.reason} ask={self.ask} tries={self.tries} wait={self.wait} {self.person})"


class Identity:
    """The process, with what it logs in .log."""

    def __init__(self, folder, ca, name="identity", **keys):
        self.folder, self.ca, self.name = pathlib.Path(folder), pathlib.Path(ca), name
        (self.folder / "run/empty").mkdir(parents=True, exist_ok=True)
        self.directory = self.folder / f"{name}/users"  # made by the process, its parent too
        values = {"directory": self.directory, "attempts": 3, "lockout_seconds": 30, **keys}
        self.config = self.folder / f"{name}.conf"
        self.config.write_text(f"""
tls {{ client_ca = "{ca}/ca.pem"
client_crl = "{ca}/crl.pem" }}
identity {{ {"".join(f'{k} = {v}' + chr(10) if isinstance(v, int) else f'{k} = "{v}"' + chr(10) for k, v in values.items())} }}
broker {{ run_directory = "{self.folder}/run"
uid_base = {UID_BASE} }}
""")
        self.log_file = open(self.folder / f"{name}.log", "ab")
        self.connection, self.number, self.child = 0, 0, None
        self.start()

    def start(self):
        self.child = Child("garasu-identity", self.config, stderr=self.log_file.fileno())
        self.child.expect("READY")

    def restart(self):
        """SIGKILL, and again."""
        self.child.kill()
        self.start()

    def log(self):
        return (self.folder / f"{self.name}.log").read_text(errors="replace")

    def user(self, subject, person=""):
        """(rows, reason, text) of what an administrator asks."""
        self.number += 1
        self.child.send("USER", number=self.number, person=person, actor="root", subject=subject, text="a reason")
        rows = []
        while (message := self.child.receive()).type == "USER_ROW":
            check(message.number == self.number, "number", message)
            rows.append(message.text)
        check(message.type == "USER_DONE" and message.number == self.number, "done", message)
        return rows, message.reason, message.text

    def add(self, person):
        """A person with all factors: (password, the secret of one-time codes, recovery codes)."""
        self.user("remove", person)
        password = self.user("add", person)[0]
        uri = self.user("code", person)[0][0]
        check(uri.startswith(f"otpauth://totp/Garasu:{person}?secret=") and uri.endswith("&issuer=Garasu"), uri)
        return (password or [""])[0], uri.split("secret=")[1].split("&")[0], self.user("recovery", person)[0]

    def begin(self, person):
        return Conversation(self, person)

    def told(self, kind, reason, conversation, *words):
        message = self.child.expect(kind, reason)
        check(message.connection == conversation.connection and message.person == conversation.person, "of whom", message)
        for word in words:
            check(word in message.text, f"no {word} in", message.text)
        return message

    def close(self):
        self.child.close()
        self.log_file.close()


class Conversation:
    """A gateway's; the first answer in .first."""

    def __init__(self, identity, person, wait=True):
        identity.connection += 1
        self.identity, self.person, self.connection = identity, person, identity.connection
        self.sock = identity.child.peer(connection=self.connection)
        pem = (identity.ca / f"persons/{person}.pem").read_text()
        ders = [ssl.PEM_cert_to_DER_cert(p + "-----END CERTIFICATE-----\n") for p in pem.split("-----END CERTIFICATE-----\n")[:-1]]
        ders = (ders + [b"", b""])[:3]
        self.sock.send(REQUEST.pack(sum(1 for d in ders if d), *map(len, ders), *ders))
        self.first = self.answer() if wait else None

    def answer(self):
        packet = self.sock.recv(200)
        check(packet, "the identity process hung up on", self.person)
        return Answer(packet)

    def send(self, password="", code=""):
        password, code = password.encode(), code.encode()
        self.sock.send(FACTORS.pack(len(password), len(code), password, code, 0, b""))

    def give(self, password="", code=""):
        self.send(password, code)
        return self.answer()

    def show(self, ticket):
        self.sock.send(FACTORS.pack(0, 0, b"", b"", 1, ticket))
        return self.answer()

    def hung_up(self):
        try:
            return self.sock.recv(200) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.sock.close()


def totp(secret, step=0):
    """The one-time code of now, or some steps later, by another implementation than ours. It is good for 30 s at least."""
    done = subprocess.run(["oathtool", "--totp", "--base32", f"--now=@{int(time.time()) + 30 * step}", secret],
                          capture_output=True, text=True, check=True)
    return done.stdout.strip()


def run(name, tests, names, *arguments):
    """Runs the tests (those of these names, if any); the exit status."""
    import traceback
    chosen = [t for t in tests if not names or t.__name__ in names]
    check(len(chosen) == len(names) or not names, "no such test:", names)
    failed = 0
    for test in chosen:
        began = time.monotonic()
        try:
            note = test(*arguments)
            print(f"ok    {test.__name__} ({time.monotonic() - began:.1f} s){': ' + note if note else ''}", flush=True)
        except Exception as e:
            failed += 1
            lines = [f"{pathlib.Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(e.__traceback__)]
            print(f"FAIL  {test.__name__}: {type(e).__name__}: {e} ({lines})", flush=True)
    print(f"{name}: {len(chosen) - failed} of {len(chosen)} passed")
    return 1 if failed else 0


def certificates(folder):
    """An issuing authority's folder with the persons hanako, taro, jiro and saburo."""
    ca = pathlib.Path(folder) / "ca"
    for arguments in (["init", ca], *(["person", ca, p] for p in ("hanako", "taro", "jiro", "saburo"))):
        subprocess.run([SOURCE / "certs/garasu-ca", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return ca


def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="garasu-identity-test-"))
    path.chmod(0o755)
    return path
