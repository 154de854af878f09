#!/usr/bin/env python3
"""T43: the N-th allocation fails, for each N of a connection from its start to its end.

The gateway, the identity process and the keys process run for real (gateway_parts.py); one at a time is starved. Whatever
fails, nobody is let in who is not known, nothing crashes, no sanitizer complains, and the next connection works.

GARASU_STARVE_STEP=1 tries every allocation; by default so many are left out that some dozen remain of each process.
"""
import contextlib
import mmap
import os
import select
import struct
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import gateway_parts  # noqa: E402
from gateway_parts import READY, Broker, Gateway, Pki, encodings, picture, pixels, receive, server_init, viewer_handshake  # noqa: E402
from supervise import BUILD, SLOW, Child  # noqa: E402

TRIES = 40  # of each process, without GARASU_STARVE_STEP
SANITIZERS = "verify_asan_link_order=0:exitcode=99:abort_on_error=0"


class Starvation:
    """The shared memory of tests/faults/starve.c, and the environment that preloads it."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="garasu-starve-")
        os.ftruncate(self.file.fileno(), 32)
        os.chmod(self.file.name, 0o666)
        self.memory = mmap.mmap(self.file.fileno(), 32)

    def arm(self, number, following=0):
        self.memory[:] = struct.pack("=QQQQ", number, 0, following, 0)

    def count(self):
        return struct.unpack_from("=Q", self.memory, 8)[0]

    @contextlib.contextmanager
    def preloaded(self):
        """Processes that are started meanwhile are starved."""
        before = dict(os.environ)
        os.environ.update(LD_PRELOAD=str(BUILD / "tests/starve.so"), GARASU_STARVE=self.file.name,
                          ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":" + SANITIZERS)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def close(self):
        self.memory.close()
        self.file.close()


def drain(child):
    """What it has said so far."""
    messages = []
    while child.running() and not child.says_nothing():
        message = child.receive()
        if message is None:
            break
        messages.append(message)
    return messages


def whole_way(gateway):
    """A person connects, sees a picture and leaves."""
    broker = gateway.broker
    gateway.tls()
    select.select([gateway.control, gateway.viewer], [], [], SLOW)
    assert not gateway.says_nothing(), "the viewer was refused"
    gateway.expect("WANT_SESSION")
    known = [m for m in drain(broker.identity) if m.type == "IDENTIFIED" and m.reason == "NONE"]
    if not known:
        raise LetIn("a session is wanted for somebody whom identity did not know")
    stream = gateway.open()
    viewer = gateway.viewer
    gateway_parts.take(viewer, READY)
    viewer_handshake(viewer)
    viewer.sendall(b"\1")
    assert receive(stream, 1) == b"\1"
    init = server_init(64, 32)
    stream.sendall(init)
    assert receive(viewer, len(init)) == init
    viewer.sendall(encodings(0) + struct.pack(">BBHHHH", 3, 0, 0, 0, 64, 32))
    receive(stream, 8 + 10)
    data = picture(64, 32, pixels(64 * 32))
    stream.sendall(data)
    assert receive(viewer, len(data)) == data
    stream.close()


class LetIn(Exception):
    pass


class Starve(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pki = Pki()
        cls.starvation = Starvation()

    @classmethod
    def tearDownClass(cls):
        cls.starvation.close()

    def setUp(self):
        self.broker = Broker(self.pki)

    def tearDown(self):
        self.broker.close()

    def connect(self, number=None, following=0):
        """
        One connection, whose number-th allocation after READY fails (0: none, but they are counted). How the gateway ended,
        and whether the person saw a picture.
        """
        saw = False
        drain(self.broker.identity)
        if number is None:
            gateway = Gateway(self.broker)
        else:
            self.starvation.arm(0)
            with self.starvation.preloaded():
                gateway = Gateway(self.broker)
            self.starvation.arm(number, following)
        self.broker.gateways.remove(gateway)
        try:
            whole_way(gateway)
            saw = True
        except (AssertionError, OSError):  # ssl.SSLError is an OSError
            pass
        gateway.viewer.close()
        gateway.control.close()
        return gateway.exit_status(60), saw

    def tries(self, total):
        step = int(os.environ.get("GARASU_STARVE_STEP", max(1, total // TRIES)))
        return range(1, total + 1, step)

    def every_number(self, one):
        """one(number, following) for the numbers of all allocations: that one alone fails, and from then on every one."""
        total, saw = self.starvation.count(), 0
        for following in (0, 1 << 40):
            for number in self.tries(total):
                with self.subTest(number=number, following=following):
                    saw += one(number, following)
        print(f"\n{total} allocations; in {saw} of {2 * len(self.tries(total))} tries the person saw the picture")
        self.starvation.arm(0)
        self.assertEqual(self.connect(), (0, True))

    def test_gateway(self):
        def one(number, following):
            status, seen = self.connect(number, following)
            self.assertIn(status, (0, 1))
            return seen
        self.assertEqual(self.connect(0), (0, True))
        self.every_number(one)

    def starve_service(self, name):
        """keys or identity in place of the one that there is; it is not starved yet."""
        getattr(self.broker, name).close()
        self.starvation.arm(0)
        with self.starvation.preloaded():
            child = Child("garasu-" + name, self.broker.config)
        setattr(self.broker, name, child)
        child.expect("READY")
        return child

    def service(self, name):
        def one(number, following):
            self.starvation.arm(number, following)
            status, seen = self.connect()
            self.assertEqual(status, 0)
            self.starvation.arm(0)
            child = getattr(self.broker, name)
            if not child.running():
                self.assertEqual(child.status, 1)
                self.starve_service(name)
            return seen
        self.starve_service(name)
        self.assertEqual(self.connect(), (0, True))
        self.starvation.arm(0)
        self.assertEqual(self.connect(), (0, True))
        self.every_number(one)

    def test_identity(self):
        self.service("identity")

    def test_keys(self):
        self.service("keys")


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("starve: skipped: needs root")
        sys.exit(77)
    unittest.main(verbosity=2)
