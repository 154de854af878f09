#!/usr/bin/env python3
"""The gateway's part of the second factor: what viewers are asked and what reaches the identity process, played by this program.

Environment: as gateway_test.py. Arguments: names of tests, default all.
"""
import contextlib
import os
import pathlib
import select
import socket
import struct
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from gateway_parts import (  # noqa: E402
    Broker, Gateway, READY, VERSION, at_end, in_thread, reason_text, run, session_handshake, server_init, take, vencrypt, viewer_handshake)
from supervise import BUILD, REASONS, SLOW, check, pair  # noqa: E402

PASSWORD, CODE, BOTH = 1, 2, 3
ANSWER = struct.Struct("=IIII40sI32s")  # struct gr_identity_answer
FACTORS = struct.Struct("=II256s64sI32s")  # struct gr_identity_factors
REQUEST_BYTES = 4 + 3 * 4 + 3 * 4096
LIMITS = 'group "課" { persons = { "taro" } watermark = 1 recording = "on" } group "記録" { persons = { "leaver" } recording = "required" }'


class Identity:
    """The identity process's end of a gateway's socket."""

    def __init__(self):
        self.ours, self.theirs = pair()

    def asked(self):
        check(len(self.ours.recv(65536)) == REQUEST_BYTES, "the certificates")

    def answer(self, reason="NONE", ask=0, tries=0, wait=0, person="hanako", ticket=b""):
        self.ours.send(ANSWER.pack(REASONS[reason], ask, tries, wait, person.encode(), 1 if ticket else 0, ticket))

    def given(self):
        """(password, code) of the next factors; everything behind them is zero."""
        password_length, code_length, password, code, ticketed, ticket = FACTORS.unpack(self.ours.recv(4096))
        if ticketed:
            check(not password_length and not code_length and not any(password) and not any(code), "a ticket and factors")
            return ticket
        check(not any(ticket), "a ticket nobody gave")
        check(not any(password[password_length:]) and not any(code[code_length:]), "rests of a field")
        return password[:password_length].decode(), code[:code_length].decode()

    def silent(self, seconds=0.3):
        return not select.select([self.ours], [], [], seconds)[0]


def begin(broker, mode="tls", person="hanako", **how):
    """A gateway, with its stand-in, that was asked who it is."""
    identity = Identity()
    gateway = Gateway(broker, mode, identity=(identity.ours, identity.theirs))
    if mode == "vencrypt":
        vencrypt(gateway.viewer, 262)
    gateway.tls(person, **how)
    identity.asked()
    return gateway, identity


def ask_record(ask, reason="NONE", tries=255, seconds=0):
    return b"GRSU\1\5" + struct.pack(">HBBHI", REASONS[reason], ask, tries, seconds, 0)


def answer_record(password="", code=""):
    password, code = password.encode(), code.encode()
    return b"GRSA\1\1\0\0" + struct.pack(">HHI256s64s", len(password), len(code), 0, password, code)


def refused(reason, seconds=0):
    return b"GRSU\1\2" + struct.pack(">HHHI", REASONS[reason], 0, seconds, 0)


def name_and_password(name, password):
    name, password = name.encode(), password.encode()
    return struct.pack(">II", len(name), len(password)) + name + password


def inner_plain(viewer):
    """VeNCrypt Plain inside TLS, up to the name and password."""
    take(viewer, VERSION)
    viewer.sendall(VERSION)
    take(viewer, b"\1\x13")
    viewer.sendall(b"\x13")
    take(viewer, b"\0\2")
    viewer.sendall(b"\0\2")
    take(viewer, b"\0\1" + struct.pack(">I", 256))
    viewer.sendall(struct.pack(">I", 256))


def open_session(gateway, viewer):
    stream = gateway.open()
    take(viewer, bytes(4))
    viewer.sendall(b"\1")
    take(stream, b"\1")
    stream.sendall(server_init(100, 100))
    take(viewer, server_init(100, 100))


# --- the tests ------------------------------------------------------------------------------------------------------

def our_viewer_is_asked_until_the_last_answer(broker):
    gateway, identity = begin(broker)
    viewer = gateway.viewer
    check(gateway.says_nothing(0.2) and not select.select([viewer], [], [], 0)[0], "before identity has answered")
    identity.answer(ask=BOTH, tries=5)
    gateway.expect("ASKING")
    take(viewer, ask_record(BOTH, tries=5))
    data = answer_record("ひみつ", "123456")
    viewer.sendall(data[:100])
    time.sleep(0.1)
    check(identity.silent(0.1), "half an answer")
    viewer.sendall(data[100:])
    check(identity.given() == ("ひみつ", "123456"))
    identity.answer("WRONG_FACTOR", ask=BOTH, tries=4, wait=2)
    gateway.expect("ASKING")
    take(viewer, ask_record(BOTH, "WRONG_FACTOR", 4, 2))
    viewer.sendall(answer_record("ひみつ2", "654321"))
    check(identity.given() == ("ひみつ2", "654321"))
    check(gateway.says_nothing(0.2), "a session before the last answer")
    identity.answer()
    gateway.expect("WANT_SESSION")
    stream = gateway.open()
    take(viewer, READY)
    viewer_handshake(viewer)
    stream.close()


def a_ticket_is_told_and_taken_in_place_of_factors(broker):
    old, new = b"zQ8-old-ticket".ljust(32, b"o"), b"zQ8-new-ticket".ljust(32, b"n")
    gateway, identity = begin(broker)
    identity.answer(ask=BOTH, tries=5)
    gateway.expect("ASKING")
    take(gateway.viewer, ask_record(BOTH, tries=5))
    gateway.viewer.sendall(b"GRSA\1\2" + bytes(10) + old + bytes(288))
    check(identity.given() == old)
    identity.answer(ticket=new)
    gateway.expect("WANT_SESSION")
    check(not select.select([gateway.viewer], [], [], 0.1)[0], "a ticket before the session")
    stream = gateway.open()
    take(gateway.viewer, b"GRSU\1\7" + bytes(10) + new + READY)
    viewer_handshake(gateway.viewer)
    for ticket in old, new:
        where = found_in(gateway.pid, ticket[4:])
        check(not where, "in memory", where)
    stream.close()
    # Viewers of other makes have no use for one.
    gateway, identity = begin(broker, "vencrypt", alpn=())
    gateway.viewer.sendall(name_and_password("", "secret123456"))
    identity.answer(ask=BOTH, tries=3)
    gateway.expect("ASKING")
    identity.given()
    identity.answer(ticket=new)
    gateway.expect("WANT_SESSION")
    open_session(gateway, gateway.viewer)


def each_kind_of_question_reaches_our_viewer(broker):
    for ask, password, code in ((PASSWORD, "p" * 256, ""), (CODE, "", "abcd-efgh-ijkl-mnop"), (BOTH, "", "")):
        gateway, identity = begin(broker)
        identity.answer(ask=ask, tries=1000, wait=100000)
        gateway.expect("ASKING")
        take(gateway.viewer, ask_record(ask, tries=255, seconds=65535))
        gateway.viewer.sendall(answer_record(password, code))
        check(identity.given() == (password, code))
        identity.answer("LOCKED_OUT", wait=60)
        take(gateway.viewer, refused("LOCKED_OUT", 60))
        check(at_end(gateway.viewer))
        gateway.ends("LOCKED_OUT", hang_up=True)


def what_is_no_answer_ends_the_connection(broker):
    good = answer_record("secret", "123456")
    cases = [("the magic", b"X" + good[1:], BOTH), ("a kind", good[:5] + b"\3" + good[6:], BOTH), ("a ticket with factors", good[:5] + b"\2" + good[6:], BOTH),
             ("a length", good[:8] + b"\1\1" + good[10:], BOTH), ("a rest", good[:200] + b"x" + good[201:], BOTH),
             ("no UTF-8", good[:16] + b"\xff" + good[17:], BOTH), ("a password that was not asked for", good, CODE),
             ("RFB", VERSION * 28, BOTH)]
    for name, bytes_, ask in cases:
        gateway, identity = begin(broker)
        identity.answer(ask=ask)
        gateway.expect("ASKING")
        take(gateway.viewer, ask_record(ask, tries=0))
        gateway.viewer.sendall(bytes_)
        check(at_end(gateway.viewer), name)
        gateway.ends("PROTOCOL", hang_up=True)
        check(identity.ours.recv(4096) == b"", "identity was told", name)
    # Before it was asked, and one more than was asked for.
    gateway, identity = begin(broker)
    gateway.viewer.sendall(good)
    check(at_end(gateway.viewer))
    gateway.ends("PROTOCOL", hang_up=True)
    gateway, identity = begin(broker)
    identity.answer(ask=BOTH)
    gateway.expect("ASKING")
    gateway.viewer.sendall(good + good)
    check(identity.given() == ("secret", "123456"))
    gateway.ends("PROTOCOL")


def a_person_who_leaves_is_noticed(broker):
    for half in (b"", answer_record("secret", "1")[:50]):
        gateway, identity = begin(broker)
        identity.answer(ask=BOTH)
        gateway.expect("ASKING")
        gateway.viewer.sendall(half)
        gateway.viewer.close()
        began = time.monotonic()
        gateway.ends("VIEWER_LEFT")
        check(time.monotonic() - began < 5, "noticed at once")
        check(identity.ours.recv(4096) == b"", "identity sees the end")
    # Its broker ends meanwhile, or the identity process.
    gateway, identity = begin(broker)
    identity.answer(ask=BOTH)
    gateway.expect("ASKING")
    identity.ours.close()
    take(gateway.viewer, ask_record(BOTH, tries=0) + refused("INTERNAL"))
    gateway.ends("INTERNAL", hang_up=True)
    gateway, identity = begin(broker)
    identity.answer(ask=BOTH)
    gateway.expect("ASKING")
    take(gateway.viewer, ask_record(BOTH, tries=0))
    gateway.send("REFUSE", "SHUTTING_DOWN")
    take(gateway.viewer, refused("SHUTTING_DOWN"))
    gateway.ends("SHUTTING_DOWN", hang_up=True)


def passwords_do_not_stay_in_the_gateways_memory(broker):
    """After the answer was handed on: neither in the heap nor on the stack."""
    secret = "zQ7-never-in-a-core-file"
    for mode in ("ours", "vencrypt", "tls"):
        gateway, identity = begin(broker, "vencrypt" if mode == "vencrypt" else "tls", **({} if mode == "ours" else {"alpn": ()}))
        identity.answer(ask=BOTH, tries=3)
        gateway.expect("ASKING")
        if mode == "ours":
            take(gateway.viewer, ask_record(BOTH, tries=3))
            gateway.viewer.sendall(answer_record(secret, "123456"))
        else:
            if mode == "tls":
                inner_plain(gateway.viewer)
            gateway.viewer.sendall(name_and_password("hanako", secret + "123456"))
        check(identity.given() == (secret, "123456"))
        identity.answer()
        gateway.expect("WANT_SESSION")
        where = found_in(gateway.pid, secret[4:].encode())
        check(not where, mode, where)
        gateway.close()


def found_in(pid, needle):
    """Regions of the process's memory that have it."""
    found = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, access, _, _, _, *name = line.split()
            begin_at, end_at = (int(x, 16) for x in span.split("-"))
            if "w" not in access or end_at - begin_at > 1 << 30:
                continue
            try:
                memory.seek(begin_at)
                if needle in memory.read(end_at - begin_at):
                    found.append((line.strip(), name))
            except (OSError, ValueError, OverflowError):
                pass
    return found


def vencrypt_x509plain_gives_password_and_code(broker):
    for name, field, ask, given in (("", "secret123456", BOTH, ("secret", "123456")), ("hanako", "123456", CODE, ("", "123456")),
                                    ("hanako", "ひみつ", PASSWORD, ("ひみつ", ""))):
        gateway, identity = begin(broker, "vencrypt", alpn=())
        gateway.viewer.sendall(name_and_password(name, field))  # viewers do not wait for a question
        check(identity.silent(0.2), "given before it was asked for")
        identity.answer(ask=ask, tries=3)
        gateway.expect("ASKING")
        check(identity.given() == given, "the password field", field)
        identity.answer()
        gateway.expect("WANT_SESSION")
        open_session(gateway, gateway.viewer)
    # Nobody asks this person: what was given anyway goes nowhere.
    gateway, identity = begin(broker, "vencrypt", alpn=())
    identity.answer()
    gateway.expect("WANT_SESSION")
    gateway.viewer.sendall(name_and_password("", "x"))
    open_session(gateway, gateway.viewer)


def a_viewer_behind_a_tunnel_gives_it_by_plain(broker):
    gateway, identity = begin(broker, alpn=())
    identity.answer(ask=BOTH, tries=3)
    gateway.expect("ASKING")
    inner_plain(gateway.viewer)
    check(identity.silent(0.2), "before it was given")
    gateway.viewer.sendall(name_and_password("hanako", "secret123456"))
    check(identity.given() == ("secret", "123456"))
    identity.answer()
    gateway.expect("WANT_SESSION")
    open_session(gateway, gateway.viewer)
    # No other type is taken then.
    gateway, identity = begin(broker, alpn=())
    identity.answer(ask=BOTH)
    gateway.expect("ASKING")
    take(gateway.viewer, VERSION)
    gateway.viewer.sendall(VERSION)
    take(gateway.viewer, b"\1\x13")
    gateway.viewer.sendall(b"\1")
    take(gateway.viewer, b"\0\0\0\1")
    check("only VeNCrypt" in reason_text(gateway.viewer))
    gateway.ends("PROTOCOL", hang_up=True)


def a_wrong_factor_is_told_to_a_standard_viewer(broker):
    cases = (("hanako", "secret123456", "WRONG_FACTOR", 0, "password or the one-time code is wrong"),
             ("", "secret123456", "WRONG_FACTOR", 30, "code is wrong. (30 s)"),
             ("", "secret123456", "LOCKED_OUT", 300, "try again later. (300 s)"))
    for mode in ("vencrypt", "tls"):
        for name, field, reason, wait, words in cases:
            gateway, identity = begin(broker, mode, alpn=())
            identity.answer(ask=BOTH, tries=3)
            gateway.expect("ASKING")
            if mode == "tls":
                inner_plain(gateway.viewer)
            gateway.viewer.sendall(name_and_password(name, field))
            check(identity.given() == ("secret", "123456"))
            identity.answer(reason, ask=BOTH if reason == "WRONG_FACTOR" else 0, tries=2, wait=wait)
            take(gateway.viewer, b"\0\0\0\1")
            text = reason_text(gateway.viewer)
            check(words in text, text)
            gateway.ends(reason, hang_up=True)
        # Somebody else's name, and what cannot be a password, are no tries.
        for name, field, words in (("taro", "secret123456", "user name"), ("", "\x01" * 8, "is wrong")):
            gateway, identity = begin(broker, mode, alpn=())
            identity.answer(ask=BOTH, tries=3)
            gateway.expect("ASKING")
            if mode == "tls":
                inner_plain(gateway.viewer)
            gateway.viewer.sendall(name_and_password(name, field))
            take(gateway.viewer, b"\0\0\0\1")
            check(words in reason_text(gateway.viewer))
            gateway.ends("WRONG_FACTOR", hang_up=True)
            check(identity.ours.recv(4096) == b"", "identity was told")
        gateway, identity = begin(broker, mode, alpn=())
        identity.answer(ask=BOTH, tries=3)
        gateway.expect("ASKING")
        if mode == "tls":
            inner_plain(gateway.viewer)
        gateway.viewer.sendall(struct.pack(">II", 0, 0xffffffff))
        take(gateway.viewer, b"\0\0\0\1")
        check("too long" in reason_text(gateway.viewer))
        gateway.ends("PROTOCOL", hang_up=True)


def outside(sock):
    """A port whose next connection is that socket: for viewers that nobody here wrote."""
    listener = socket.create_server(("127.0.0.1", 0))

    def copy(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve():
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            listener.close()
            sock.settimeout(None)
            threading.Thread(target=copy, args=(connection, sock), daemon=True).start()
            copy(sock, connection)
    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def judged_right(gateway, identity, given):
    identity.asked()
    identity.answer(ask=BOTH, tries=3)
    gateway.expect("ASKING")
    check(identity.given() == given, "name and password of the viewer")
    identity.answer()
    gateway.expect("WANT_SESSION")
    stream = gateway.open()
    take(stream, b"\1")  # ClientInit: it has seen a good SecurityResult
    stream.sendall(server_init(100, 100))
    return stream


def libvncclient_gives_it_by_x509plain(broker):
    priorities, factors = broker.folder / "gnutls.conf", broker.folder / "factors"
    priorities.write_text("[overrides]\n" + "".join(f"tls-disabled-kx = {kx}\n" for kx in ("SRP", "SRP-DSS", "SRP-RSA")))
    for password, given, right in (("秘密 pass123456", ("秘密 pass", "123456"), True), ("wrong000000", ("wrong", "000000"), False)):
        factors.write_text(f"hanako\n{password}\n")
        identity = Identity()
        gateway = Gateway(broker, "vencrypt", identity=(identity.ours, identity.theirs))
        viewer = subprocess.Popen([BUILD / "tests/libvncclient_peer", "localhost", str(outside(gateway.viewer)), broker.pki.ca / "ca.pem",
                                   *broker.pki.certificate("hanako"), factors], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env={**os.environ, "GNUTLS_SYSTEM_PRIORITY_FILE": str(priorities),
                                                               "ASAN_OPTIONS": "detect_leaks=0"})
        try:
            if right:
                judged_right(gateway, identity, given)
                check(viewer.stdout.readline() == b"ok connected\n", "libvncclient")
            else:
                identity.asked()
                identity.answer(ask=BOTH, tries=3)
                gateway.expect("ASKING")
                check(identity.given() == given)
                identity.answer("WRONG_FACTOR", ask=BOTH, tries=2)
                out, error = viewer.communicate(timeout=SLOW)
                check(b"cannot connect" in out and b"one-time code is wrong" in error, "libvncclient", out, error)
                gateway.ends("WRONG_FACTOR")
        finally:
            viewer.kill()
            viewer.communicate()


def tigervnc_gives_it_by_plain_through_stunnel(broker):
    identity = Identity()
    gateway = Gateway(broker, identity=(identity.ours, identity.theirs))
    certificate, key = broker.pki.certificate("hanako")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration, log = broker.folder / "stunnel.conf", broker.folder / "stunnel.log"
    configuration.write_text(f"""foreground = yes
pid =
[garasu]
client = yes
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{outside(gateway.viewer)}
cert = {certificate}
key = {key}
CAfile = {broker.pki.ca}/ca.pem
verifyChain = yes
checkHost = localhost
sslVersionMin = TLSv1.3
""")
    read, write = os.pipe()
    started = [subprocess.Popen(["stunnel", configuration], stderr=log.open("wb")),
               subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp"], pass_fds=[write],
                                stderr=subprocess.DEVNULL)]
    os.close(write)
    try:
        with os.fdopen(read) as line:
            display = ":" + line.readline().strip()
        end = time.monotonic() + SLOW
        while b"started" not in log.read_bytes() and b"Configuration successful" not in log.read_bytes():
            check(time.monotonic() < end, "stunnel", log.read_bytes())
            time.sleep(0.05)
        # How this viewer takes a name and a password without its dialogue.
        environment = {**os.environ, "DISPLAY": display, "HOME": str(broker.folder), "VNC_USERNAME": "hanako", "VNC_PASSWORD": "secret123456"}
        started.append(subprocess.Popen(["xtigervncviewer", "-SecurityTypes=Plain", f"127.0.0.1::{port}"], env=environment,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        judged_right(gateway, identity, ("secret", "123456"))
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def who_gives_no_answer_is_let_go_after_two_minutes(broker):
    """All at once, each by its own clock: takes two minutes, so only when it is asked for."""
    if not os.environ.get("GARASU_SLOW_TESTS"):
        return "skipped: needs GARASU_SLOW_TESTS=1"
    waiting = []
    for how in ({}, {"alpn": ()}):
        gateway, identity = begin(broker, **how)
        identity.answer(ask=BOTH)
        gateway.expect("ASKING")
        waiting.append((gateway, identity, time.monotonic(), how))
    for gateway, identity, began, how in waiting:
        gateway.viewer.settimeout(150)
        take(gateway.viewer, VERSION + b"\0" if how else ask_record(BOTH, tries=0) + refused("TIME_OVER"))
        check(110 < time.monotonic() - began < 140, "when", time.monotonic() - began)
        if how:
            check("in time" in reason_text(gateway.viewer))
        gateway.ends("TIME_OVER", hang_up=True)


def ready_tells_of_the_watermark(broker):
    for person, flags in (("hanako", 0), ("taro", 1)):
        gateway, identity = begin(broker, person=person)
        identity.answer(person=person)
        gateway.expect("WANT_SESSION")
        join = in_thread(gateway.open, session_handshake)
        take(gateway.viewer, READY[:24] + bytes([flags]) + bytes(7))
        join()


def who_must_see_a_watermark_needs_our_viewer(broker):
    for mode in ("tls", "vencrypt"):
        gateway, identity = begin(broker, mode, person="taro", alpn=())
        if mode == "tls":
            take(gateway.viewer, VERSION)
        identity.answer(person="taro")
        take(gateway.viewer, b"\0" if mode == "tls" else b"\0\0\0\1")
        check("policy" in reason_text(gateway.viewer))
        gateway.ends("NOT_PERMITTED", hang_up=True)
    gateway, identity = begin(broker, "tls", person="leaver", alpn=())  # recorded, but not marked
    identity.answer(person="leaver")
    gateway.expect("WANT_SESSION")


TESTS = (our_viewer_is_asked_until_the_last_answer, a_ticket_is_told_and_taken_in_place_of_factors, each_kind_of_question_reaches_our_viewer, what_is_no_answer_ends_the_connection,
         a_person_who_leaves_is_noticed, passwords_do_not_stay_in_the_gateways_memory, vencrypt_x509plain_gives_password_and_code,
         a_viewer_behind_a_tunnel_gives_it_by_plain, libvncclient_gives_it_by_x509plain,
         tigervnc_gives_it_by_plain_through_stunnel, a_wrong_factor_is_told_to_a_standard_viewer,
         who_gives_no_answer_is_let_go_after_two_minutes, ready_tells_of_the_watermark,
         who_must_see_a_watermark_needs_our_viewer)

if __name__ == "__main__":
    sys.exit(run(pathlib.Path(__file__).stem, TESTS, sys.argv[1:], factors=("local", "local"), more=LIMITS))
