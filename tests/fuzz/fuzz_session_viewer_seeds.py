#!/usr/bin/env python3
"""The first inputs of fuzz_session_viewer: what viewers send after the handshake."""
import pathlib
import struct
import sys

folder = pathlib.Path(sys.argv[1])

OURS = [0x47415201, 0x47415238, 7, 1, 0, -239, -308, -223, -224, -258, -312, -313, -24]
TIGERVNC = [7, 1, 16, 5, 0, -247, -26, -239, -308, -223, -224, -258, -312, -313, -307, -309]


def encodings(numbers):
    return struct.pack(">BxH", 2, len(numbers)) + b"".join(struct.pack(">I", n & 0xffffffff) for n in numbers)


def fence(flags, payload):
    return struct.pack(">B3xIB", 248, flags, len(payload)) + payload


def rectangle(kind, flag):
    return struct.pack(">BBHHHH", kind, flag, 0, 0, 1280, 800)


pixel_format = struct.pack(">B3xBBBBHHHBBB3x", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
text = "日本語\t🍣".encode()
seeds = {
    "our-viewer": pixel_format + encodings(OURS) + rectangle(3, 0) + fence(0x80000001, b"1234") + rectangle(150, 1),
    "tigervnc": encodings(TIGERVNC) + rectangle(150, 1) + fence(0x80000004, b"") + pixel_format + rectangle(150, 0),
    "answers": fence(1, struct.pack(">I", 1)) + fence(0, b"x" * 64) + rectangle(3, 1),
    "fence-too-long": fence(0x80000000, b"x" * 65),
    "input": struct.pack(">BB2xI", 4, 1, 0xffe1) + struct.pack(">BBHH", 5, 1, 10, 20)
    + struct.pack(">BBHII", 255, 0, 1, 0x41, 0x1e) + struct.pack(">BBHI", 71, 1, len(text), 7) + text,
    "size-and-cut-text": struct.pack(">BxHHBx", 251, 1024, 768, 1) + bytes(16) + struct.pack(">B3xI", 6, 5) + b"abcde",
    "clipboard-scale-print": struct.pack(">BBxxI", 71, 3, len(text)) + text + struct.pack(">BBH4x", 71, 4, 125)
    + struct.pack(">BBHIHH4x", 71, 2, 1, 0, 0, 0) + struct.pack(">BBHIHH4x", 71, 2, 2, 1, 1, 3),
}
for name, data in seeds.items():
    (folder / name).write_bytes(data)
