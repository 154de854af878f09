#!/usr/bin/env python3
"""The guard in the gateway process: what a hostile viewer or a session process that was taken over sends through it (T23–T25, T27, T28).

As gateway_test.py: gateway, keys and identity are real, supervisor and session are played here.
"""
import hashlib
import os
import re
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
from gateway_parts import (  # noqa: E402
    KEY, VERSION, Gateway, at_end, encodings, in_thread, memory_kib, picture, pixels, run, server_init, take)
from supervise import check  # noqa: E402

CLIENT_INIT = b"\1"


def cut_text(length, data=b""):
    return struct.pack(">B3xI", 6, length) + data


# What a viewer may not send, and a word of the rule that is recorded for it.
FORBIDDEN_UP = {
    "FixColourMapEntries": struct.pack(">BxHH", 1, 0, 0),
    "FileTransfer": struct.pack(">BBxxII", 7, 3, 0, 12) + b"/etc/passwd\0",
    "SetScale": b"\x08\2\0\0",
    "SetServerInput": b"\x09\1\0\0",
    "SetSW": b"\x0a\0\0\1\0\2",
    "TextChat": b"\x0b\0\0\0\0\0\0\5hello",
    "PalmVNC": b"\x0f\2\0\0",
    "Xvp": b"\xfa\0\1\2",
    "extended clipboard": cut_text(0xfffffff8, bytes(8)),
    "longer than permitted": cut_text(65537),
    "SetDesktopSize": struct.pack(">BxHHBx", 251, 640, 480, 17),
    "SetPixelFormat": struct.pack(">B3xBBBBHHHBBB3x", 0, 7, 24, 0, 1, 255, 255, 255, 16, 8, 0),
    "SetEncodings": struct.pack(">BxH", 2, 65535),
    "QEMU key event": struct.pack(">BBHII", 255, 0, 1, 0x61, 0x1e),
    "sub-type": b"\xff\1" + bytes(10),
    "EnableContinuousUpdates": struct.pack(">BBHHHH", 150, 1, 0, 0, 100, 100),
    "ClientFence": struct.pack(">B3xIB", 248, 0x80000001, 0),
    "PRINT": struct.pack(">BBHIHHI", 71, 2, 5, 1, 1, 1, 0),
    "CLIPBOARD": struct.pack(">BBHI", 71, 3, 0, 65537),
    "SCALE": struct.pack(">BBHI", 71, 4, 401, 0),
    "unknown Garasu": struct.pack(">BBHI", 71, 5, 0, 1),
    "not listed": struct.pack(">BBHI", 71, 3, 0, 1) + b"x",
    "TEXT": struct.pack(">BBHI", 71, 1, 3, 1) + b"\x1b[A",
    "a message type": b"\xfd\x81\0\4",
}


def violation(gateway, direction, offset, rule, begins):
    """What the supervisor hears; begins: how the bytes that it gets begin. Returns them."""
    message = gateway.expect("VIOLATION")
    told = re.fullmatch(r"direction=(\w+) offset=(\d+) bytes=(\d+) sha256=([0-9a-f]{64}) rule=(.+)", message.text)
    check(told and told[1] == direction and int(told[2]) == offset and rule in told[5], "told", message, rule)
    with os.fdopen(message.fds[0], "rb") as kept:
        kept.seek(0)
        data = kept.read()
        try:
            os.pwrite(kept.fileno(), b"x", 0)
            check(False, "the kept bytes can be changed")
        except OSError:
            pass
    check(len(data) == int(told[3]) <= 65536 and hashlib.sha256(data).hexdigest() == told[4], "the kept bytes", message, data[:40])
    check(data.startswith(begins[:65536]), "kept", data[:80], begins[:80])
    return data


def each_message_that_a_viewer_may_not_send_ends_it(broker):
    for rule, message in FORBIDDEN_UP.items():
        gateway = Gateway(broker)
        viewer, stream = gateway.ready()
        viewer.sendall(CLIENT_INIT + KEY)
        take(stream, CLIENT_INIT + KEY)
        viewer.sendall(message + KEY)
        check(violation(gateway, "up", 9, rule, message) == message + KEY, "the kept bytes", rule)
        check(at_end(stream), "something of it reached the session", rule)
        check(at_end(viewer), "a byte for the viewer", rule)
        gateway.ends("PROTOCOL", hang_up=True)


def a_clipboard_of_4_gib_costs_no_memory(broker):
    for length in (0xffffffff, 0x80000000, 0x7fffffff, 65537):
        gateway = Gateway(broker)
        viewer, stream = gateway.ready()
        viewer.sendall(CLIENT_INIT)
        take(stream, CLIENT_INIT)
        before = memory_kib(gateway.pid)
        viewer.sendall(cut_text(length))
        violation(gateway, "up", 1, "", cut_text(length))
        check(memory_kib(gateway.pid) - before < 1024, "grown", before, memory_kib(gateway.pid))
        check(at_end(stream), "something of it reached the session")
        gateway.ends("PROTOCOL", hang_up=True)


def clipboards_are_dropped_and_told(broker):
    gateway = Gateway(broker)
    viewer, stream = gateway.ready()
    viewer.sendall(CLIENT_INIT)
    for data in (b"x", "機密".encode(), b"\0\x1b\xff", bytes(range(256)) * 256):
        viewer.sendall(cut_text(len(data), data) + KEY)
        message = gateway.expect("CLIPBOARD")
        check(message.up == len(data) and message.text == f"direction=up sha256={hashlib.sha256(data).hexdigest()}", "told", message)
    take(stream, CLIENT_INIT + KEY * 4)
    viewer.close()
    check(at_end(stream))
    gateway.ends("VIEWER_LEFT")


def encodings_are_filtered_on_their_way(broker):
    gateway = Gateway(broker)
    viewer, stream = gateway.ready()
    extended_clipboard, xvp, file_transfer = -0x3f5e1a32, -309, 0x5456
    viewer.sendall(CLIENT_INIT + encodings(16, 7, xvp, extended_clipboard, 5, 6, file_transfer, -239, -307))
    take(stream, CLIENT_INIT + encodings(7, 5, -239))


# Behind ServerInit and a picture: what a session process may not send.
FORBIDDEN_DOWN = (
    b"\2",  # Bell
    b"\3\0\0\0\0\0\0\5hello",  # ServerCutText
    struct.pack(">BxHHHHH", 1, 0, 1, 1, 2, 3),  # SetColourMapEntries
    b"\x0b\0\0\0\0\0\0\5hello",  # TextChat
    struct.pack(">B3xIB", 248, 0x80000001, 4) + bytes(4),  # a fence that was not asked for
    struct.pack(">BxHHHHHi", 0, 1, 300, 0, 100, 10, 0),  # outside of the screen
    struct.pack(">BxHHHHHi", 0, 1, 0, 0, 10, 10, 16),  # ZRLE
    picture(1, 1, b"\1\2\3\4"),  # a byte that no colour needs
    b"G\1\0\7\0\0\0\0",  # NOTICE to who does not know it
    b"GET / HTTP/1.1\r\n" + b"x" * 100000,
)


def nothing_of_what_a_session_may_not_send_reaches_the_viewer(broker):
    good = server_init(320, 200) + picture(320, 200, pixels(320 * 200))
    for bad in FORBIDDEN_DOWN:
        gateway = Gateway(broker)
        viewer, stream = gateway.ready()
        viewer.sendall(CLIENT_INIT)
        take(stream, CLIENT_INIT)
        stream.sendall(good)
        take(viewer, good)
        try:
            stream.sendall(bad + b"\2\2\2\2")
        except ConnectionError:
            pass  # it may be closed before it has taken all of that
        message = gateway.expect("VIOLATION")
        told = re.fullmatch(r"direction=down offset=(\d+) bytes=(\d+) sha256=([0-9a-f]{64}) rule=(.+)", message.text)
        check(told, "told", message)
        kept = os.pread(message.fds[0], 100000, 0)
        os.close(message.fds[0])
        check(len(kept) == int(told[2]) <= 65536 and hashlib.sha256(kept).hexdigest() == told[3], "the kept bytes", message)
        inside = int(told[1]) - len(good)  # a rectangle's header may have passed before its pixels are looked at
        check(0 <= inside <= 16 and kept[:1] and (bad + b"\2\2\2\2")[inside:].startswith(kept), "kept", told[1], kept[:80], bad[:80])
        rest = b""
        while piece := viewer.recv(65536):
            rest += piece
        check(rest == bad[:inside], "reached the viewer", rest[:80])
        gateway.ends("PROTOCOL", hang_up=True)
        stream.close()


def a_flood_is_slowed_down_and_nothing_of_it_is_lost(broker):
    gateway = Gateway(broker)
    viewer, stream = gateway.ready()
    count = 24000
    events = b"".join(struct.pack(">BBHH", 5, i & 1, i & 0xffff, i >> 16) for i in range(count))
    last = struct.pack(">BBHI", 4, 0, 0, 0xffe3)  # a Ctrl that is released must not stay down
    began = time.monotonic()
    sender = in_thread(viewer.sendall, CLIENT_INIT + events + last)
    take(stream, CLIENT_INIT + events + last)
    took = time.monotonic() - began
    sender()
    check(took > (count - 8000) / 4000 - 0.1, "no rate", took)
    check(gateway.says_nothing(), "a word about it")
    return f"{count} events in {took:.1f} s"


def fences_wait_for_the_sessions_answers(broker):
    gateway = Gateway(broker)
    viewer, stream = gateway.ready()

    def fence(flags, number):
        return struct.pack(">B3xIBI", 248, flags, 4, number)
    viewer.sendall(CLIENT_INIT + encodings(-312) + b"".join(fence(0x80000001, i) for i in range(40)) + KEY)
    take(stream, CLIENT_INIT + encodings(-312) + b"".join(fence(0x80000001, i) for i in range(16)))
    stream.sendall(server_init(100, 100))
    take(viewer, server_init(100, 100))
    stream.settimeout(0.3)
    try:
        check(stream.recv(1) == b"never", "the seventeenth")
    except socket.timeout:
        pass
    stream.settimeout(20)
    for i in range(40):
        stream.sendall(fence(1, i))
        take(viewer, fence(1, i))
        if i + 16 < 40:
            take(stream, fence(0x80000001, i + 16))
    take(stream, KEY)
    stream.sendall(fence(1, 40))
    check(at_end(viewer), "an answer to what was never asked")
    violation(gateway, "down", 30 + 40 * 13, "answer", fence(1, 40))
    gateway.ends("PROTOCOL", hang_up=True)


def a_standard_viewer_is_guarded_too(broker):
    gateway = Gateway(broker)
    viewer = gateway.tls(alpn=())
    gateway.wanted()
    stream = gateway.open()
    take(viewer, VERSION)
    viewer.sendall(VERSION + b"\1")
    take(viewer, b"\1\1" + bytes(4))
    viewer.sendall(b"\0" + FORBIDDEN_UP["FileTransfer"])
    violation(gateway, "up", 1, "FileTransfer", FORBIDDEN_UP["FileTransfer"])
    check(at_end(stream), "something of it reached the session")
    check(at_end(viewer))
    gateway.ends("PROTOCOL", hang_up=True)


TESTS = [
    each_message_that_a_viewer_may_not_send_ends_it, a_clipboard_of_4_gib_costs_no_memory, clipboards_are_dropped_and_told,
    encodings_are_filtered_on_their_way, nothing_of_what_a_session_may_not_send_reaches_the_viewer,
    a_flood_is_slowed_down_and_nothing_of_it_is_lost, fences_wait_for_the_sessions_answers, a_standard_viewer_is_guarded_too,
]

if __name__ == "__main__":
    sys.exit(run("guard_test", TESTS, sys.argv[1:]))
