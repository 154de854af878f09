#!/usr/bin/env python3
"""Writes the first inputs of fuzz_viewer_rfb into the folder given: one of each thing a server may say."""
import pathlib
import struct
import sys
import zlib

folder = pathlib.Path(sys.argv[1])


def rect(x, y, w, h, encoding, data=b""):
    return struct.pack(">HHHHi", x, y, w, h, encoding) + data


def update(*rects, count=None):
    return struct.pack(">BxH", 0, len(rects) if count is None else count) + b"".join(rects)


def compact(n):
    out = bytes([n & 0x7F | (0x80 if n > 0x7F else 0)])
    if n > 0x7F:
        out += bytes([n >> 7 & 0x7F | (0x80 if n > 0x3FFF else 0)])
    return out + (bytes([n >> 14]) if n > 0x3FFF else b"")


def packed(data):
    z = zlib.compressobj()
    out = z.compress(data) + z.flush(zlib.Z_SYNC_FLUSH)
    return compact(len(out)) + out


def screen(reason, status, w, h):
    return rect(reason, status, w, h, -308, struct.pack(">B3xIHHHHI", 1, 1, 0, 0, w, h, 0))


handshake = (b"RFB 003.008\n\1\1\0\0\0\0" + struct.pack(">HH", 60, 40) + bytes([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0])
             + struct.pack(">I", 6) + b"Garasu")
ramp = bytes(i * 7 & 255 for i in range(60 * 20 * 3))
seeds = {
    "handshake": b"\0" + handshake + update(rect(0, 0, 2, 1, 0, b"\1\2\3\0\4\5\6\0")),
    "refused": b"\0RFB 003.008\n\0\0\0\0\5sorry",
    "raw-copy": b"\x80" + update(rect(0, 0, 2, 2, 0, bytes(range(16))), rect(1, 1, 2, 2, 1, b"\0\0\0\0")),
    "fill": b"\x80" + update(rect(0, 0, 128, 96, 7, b"\x80\1\2\3"), rect(0, 0, 0, 0, -224), count=65535),
    "copy": b"\xc3" + update(rect(3, 4, 60, 20, 7, b"\0" + packed(ramp)), rect(3, 30, 2, 1, 7, b"\0" + bytes(6))),
    "palette": b"\x80" + update(rect(0, 0, 30, 20, 7, b"\x50\1\3" + bytes(12) + packed(bytes(i & 3 for i in range(600)))),
                                rect(0, 0, 30, 20, 7, b"\x60\1\1" + bytes(6) + packed(bytes(80)))),
    "cursor": b"\x80" + update(rect(1, 1, 3, 2, -239, bytes(24) + b"\xe0\xa0"), rect(0, 0, 0, 0, -258)),
    "sizes": b"\x90" + update(screen(0, 0, 128, 96)) + update(screen(1, 0, 200, 100)) + update(rect(0, 0, 64, 64, -223)),
    "records": b"\x80" + b"\x47\2\0\1\0\1\0\2\0\3\0\4" + b"\x47\3\0\0\0\0\0\1" + b"\x47\1\0\7\0\0\0\0",
    "jpeg": b"\xa0" + update(rect(0, 0, 8, 8, 7, b"\x90" + compact(20) + b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0")),
}
for name, data in seeds.items():
    (folder / name).write_bytes(data)
