"""One process of the broker, with the test as its supervisor: the messages of broker/ipc/ipc.h over a socket pair.

Environment: GARASU_BUILD = the build folder with libexec/.
"""
import array
import contextlib
import fcntl
import os
import pathlib
import re
import select
import signal
import socket
import struct
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("GARASU_BUILD", SOURCE / "build/test")).resolve()
SLOW = 20  # seconds that anything may take on a loaded machine under sanitizers
CONTROL_FD = 3  # GR_IPC_CONTROL_FD


def check(condition, what="", *seen):
    if not condition:
        raise AssertionError(f"{what} {' '.join(map(repr, seen))}")


def numbers(header, enum, prefix):
    """{"READY": 1, ...}: what an enum of a header says, names without the prefix, so that the numbers stand in one place."""
    text = re.sub(r"/\*.*?\*/", "", (SOURCE / header).read_text(), flags=re.S)
    body = re.search(r"enum %s \{(.*?)\};" % enum, text, re.S).group(1)
    result, value = {}, -1
    for name, given in re.findall(r"\b%s(\w+)(?:\s*=\s*(\d+))?" % prefix, body):
        value = int(given) if given else value + 1
        result[name] = value
    return result


TYPES = numbers("broker/ipc/ipc.h", "gr_ipc_type", "GR_IPC_")
REASONS = numbers("broker/ipc/ipc.h", "gr_reason", "GR_REASON_")
TYPE_NAMES = {number: name for name, number in TYPES.items()}
REASON_NAMES = {number: name for name, number in REASONS.items()}
MESSAGE = struct.Struct("=IIIIQQQQ40s40s104s256s")  # struct gr_ipc_message


class Message:
    """One that a process sent. fds: what came with it, owned by whoever takes the message."""

    def __init__(self, packet, fds=()):
        check(len(packet) == MESSAGE.size, "a message of a wrong size", len(packet))
        (kind, reason, self.connection, self.container, self.session, self.number, self.down, self.up,
         person, actor, subject, text) = MESSAGE.unpack(packet)
        self.type, self.reason = TYPE_NAMES[kind], REASON_NAMES[reason]
        self.person, self.actor, self.subject, self.text = (
            field.split(b"\0")[0].decode() for field in (person, actor, subject, text))
        self.fds = list(fds)
        self.time = time.monotonic()

    def __repr__(self):
        return f"{self.type}({self.connection} {self.container} {self.reason} {self.person} {self.text})"


def pair():
    """Two ends as the supervisor makes them; ours gives up after a while, theirs never blocks."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(30)
    theirs.setblocking(False)
    return ours, theirs


class Child:
    """A process of the broker; control is our end of its control socket.

    fds: its descriptors from 4 on, borrowed. stderr: a descriptor, borrowed; None = ours. wrap: a command that ends in an
    exec of what follows it. leaks: whether the leak sanitizer looks. It cannot look at a confined process, and would call
    each end of one a failure.
    """

    def __init__(self, name, *arguments, fds=(), stderr=None, wrap=(), leaks=False):
        self.control, theirs = pair()
        # Above all numbers of the child, so that no dup2 hits a descriptor which is still needed.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for fd in [theirs.fileno(), *fds]]
        actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        if stderr is not None:  # first: its number may be one of the following
            actions.append((os.POSIX_SPAWN_DUP2, stderr, 2))
        actions += [(os.POSIX_SPAWN_DUP2, fd, CONTROL_FD + i) for i, fd in enumerate(high)]
        command = [str(argument) for argument in (*wrap, BUILD / "libexec/garasu" / name, *arguments)]
        environment = dict(os.environ)
        if not leaks:
            environment["ASAN_OPTIONS"] = environment.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        # Python ignores SIGPIPE, which the process is not to inherit.
        self.pid = os.posix_spawnp(command[0], command, environment, file_actions=actions, setsigdef=[signal.SIGPIPE])
        for fd in high:
            os.close(fd)
        theirs.close()
        self.status = None  # the exit status, once known

    def receive(self, timeout=SLOW):
        """The next message; None when the process closed its end."""
        check(not self.says_nothing(timeout), "no message from the process in time")
        packet, control, _, _ = self.control.recvmsg(4096, socket.CMSG_SPACE(64), socket.MSG_CMSG_CLOEXEC)
        fds = array.array("i")
        for level, kind, value in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(value)
        return Message(packet, fds) if packet else None

    def expect(self, kind, reason=None, timeout=SLOW):
        message = self.receive(timeout)
        check(message and message.type == kind and reason in (None, message.reason), f"wanted {kind} {reason}, got", message)
        return message

    def says_nothing(self, seconds=0.0):
        return not select.select([self.control], [], [], seconds)[0]

    def send(self, kind, reason="NONE", connection=0, container=0, session=0, number=0, person="", actor="", subject="", text="",
             fd=None):
        packet = MESSAGE.pack(TYPES[kind], REASONS[reason], connection, container, session, number, 0, 0, person.encode(),
                              actor.encode(), subject.encode(), text.encode())
        socket.send_fds(self.control, [packet], [] if fd is None else [fd])

    def peer(self, **fields):
        """Our end of a socket that the process is told to serve."""
        ours, theirs = pair()
        self.send("PEER", fd=theirs.fileno(), **fields)
        theirs.close()
        return ours

    def running(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is None

    def exit_status(self, timeout=SLOW):
        end = time.monotonic() + timeout
        while self.running():
            check(time.monotonic() < end, "the process did not end in time")
            time.sleep(0.005)
        return self.status

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.exit_status()
        self.control.close()

    def stop(self, timeout=SLOW):
        """In good order, by the end of its control socket; returns the exit status."""
        self.control.close()
        return self.exit_status(timeout)

    def close(self):
        with contextlib.suppress(AssertionError):
            self.stop(5)
        self.kill()
