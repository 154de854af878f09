#!/usr/bin/env python3
"""The first inputs of fuzz_guard_up: what viewers send from ClientInit on. The first byte: the policy and the size of the pieces."""
import pathlib
import struct
import sys

folder = pathlib.Path(sys.argv[1])

OURS = [0x47415201, 0x47415210, 0x47415211, 0x47415239, 7, 1, -239, -308, -223, -224, -258, -312, -313, -25]
TIGERVNC = [7, 1, 16, 5, 0, -247, -26, -239, -308, -223, -224, -258, -312, -313, -307, -309, -0x3f5e1a32]


def encodings(numbers):
    return struct.pack(">BxH", 2, len(numbers)) + b"".join(struct.pack(">I", n & 0xffffffff) for n in numbers)


def fence(flags, payload):
    return struct.pack(">B3xIB", 248, flags, len(payload)) + payload


def rectangle(kind, flag):
    return struct.pack(">BBHHHH", kind, flag, 0, 0, 1280, 800)


def cut_text(data, length=None):
    return struct.pack(">B3xI", 6, len(data) if length is None else length) + data


def clipboard(data, padding=0, length=None):
    return struct.pack(">BBHI", 71, 3, padding, len(data) if length is None else length) + data


def print_(action, document, first, last):
    return struct.pack(">BBHIHHI", 71, 2, action, document, first, last, 7)


def text(sequence, data):
    return struct.pack(">BBHI", 71, 1, len(data), sequence) + data


true_colour = struct.pack(">B3xBBBBHHHBBB3x", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
high_colour = struct.pack(">B3xBBBBHHHBBB3x", 0, 16, 16, 1, 9, 31, 63, 31, 11, 5, 0)
key = struct.pack(">BBHI", 4, 1, 0xffff, 0xffe1)
pointer = struct.pack(">BBHH", 5, 1, 10, 20)
seeds = {
    "our-viewer": true_colour + encodings(OURS) + rectangle(3, 0) + fence(1, b"1234") + rectangle(150, 1) + text(7, "日本語".encode())
    + text(8, b"a\tb\n") + struct.pack(">BBHII", 255, 0, 1, 0x41, 0x1e) + struct.pack(">BxHHBx", 251, 1024, 768, 1) + bytes(16),
    "tigervnc": encodings(TIGERVNC) + rectangle(150, 1) + fence(0x80000004, b"") + rectangle(150, 0) + high_colour + rectangle(150, 9),
    "format-while-continuous": encodings([-313]) + rectangle(150, 1) + true_colour,
    "two-formats": encodings([-313]) + true_colour + rectangle(150, 0) + high_colour,
    "fences": encodings([-312]) + b"".join(fence(0x80000000 | i, bytes([i])) for i in range(20)) + key,
    "cut-texts": cut_text(b"text\r\n") + key + cut_text(b"a\0b") + cut_text(b"x" * 101) + cut_text(b"") + pointer,
    "clipboards": encodings(OURS) + clipboard("日本語\t\n𠮷".encode(), 9) + key + clipboard(b"x" * 100) + clipboard(b"x" * 101)
    + pointer + clipboard(b"x" * 3000),
    "clipboard-no-text": encodings(OURS) + clipboard(b"a\r\n"),
    "clipboard-too-long": encodings(OURS) + clipboard(b"", length=65537),
    "clipboards-too-many": encodings(OURS) + (clipboard(b"x") + key) * 12,
    "print": encodings(OURS) + print_(1, 3, 4, 5) + print_(2, 1, 1, 999) + print_(3, 1, 1, 9) + print_(4, 1, 2, 3) + key + print_(2, 1, 2, 1),
    "scale": encodings(OURS) + struct.pack(">BBHI", 71, 4, 50, 1) + struct.pack(">BBHI", 71, 4, 400, 0) + struct.pack(">BBHI", 71, 4, 401, 0),
    "extended-clipboard": cut_text(b"\1\0\0\1", 0xfffffffc),
    "file-transfer": key + b"\7\3\0\0\0\0\0\0\0\0\0\4/etc",
    "too-many": (cut_text(b"x") + key) * 12,  # of the costliest: they have to wait
}
for name, data in seeds.items():
    for first in 2, 3 | 6 << 2, 0 | 63 << 2:
        (folder / f"{name}-{first}").write_bytes(bytes([first]) + b"\1" + data)
