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


def history(*units, first=True):
    """A zstd stream (RFC 8878) of blocks as they are, with a window of 1 MiB."""
    out = b"\x28\xb5\x2f\xfd\0\x50" if first else b""
    for unit in units:
        out += struct.pack("<I", len(unit) << 3)[:3] + unit
    return struct.pack(">I", len(out)) + out


def piece(x, y, w, h, row):
    return struct.pack(">HHHH", x, y, w, h) + row * h


def fence(flags, payload):
    return struct.pack(">B3xIB", 248, flags, len(payload)) + payload


def page(state, document, number, pages, width, height, x, y):
    return struct.pack(">BBHIHHHHHHI", 71, 4, state, document, number, pages, width, height, x, y, 0)


def clipboard(text):
    return struct.pack(">BBHI", 71, 5, 0, len(text)) + text


HISTORY, PHOTO = 0x47415210, 0x47415211
unit = piece(2, 3, 20, 4, b"\xc0\x10\1\2\x12") + piece(2, 7, 3, 2, b"\x82\0\x80\xff") + piece(2, 9, 0x8003, 1, b"\xc2" + bytes(range(9)))
handshake = (b"RFB 003.008\n\1\1\0\0\0\0" + struct.pack(">HH", 60, 40) + bytes([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0])
             + struct.pack(">I", 6) + b"Garasu")
# The smallest baseline JPEG of 8 by 8 grey pixels: tables of one code each, and three blocks of nothing.
jpeg = (b"\xff\xd8" + b"\xff\xdb\0\x43\0" + b"\1" * 64 + b"\xff\xc0\0\x11\x08\0\x08\0\x08\3\1\x11\0\2\x11\0\3\x11\0"
        + b"".join(b"\xff\xc4\0\x14" + bytes([table, 1]) + bytes(15) + b"\0" for table in (0, 0x10))
        + b"\xff\xda\0\x0c\3\1\0\2\0\3\0\0\x3f\0" + b"\x03" + b"\xff\xd9")
ramp = bytes(i * 7 & 255 for i in range(60 * 20 * 3))
seeds = {
    "handshake": b"\0" + handshake + update(rect(0, 0, 2, 1, 7, b"\0\1\2\3\4\5\6")),
    "refused": b"\0RFB 003.008\n\0\0\0\0\5sorry",
    "copied": b"\x80" + update(rect(0, 0, 2, 2, 7, b"\x80\1\2\3"), rect(1, 1, 2, 2, 1, b"\0\0\0\0")),
    "history": b"\x80" + update(rect(2, 3, 20, 10, HISTORY, history(unit)), rect(2, 3, 20, 10, HISTORY, history(unit, unit, first=False))),
    "history-short": b"\x80" + update(rect(2, 3, 20, 10, HISTORY, history(unit[:-1]))),
    "history-long": b"\x80" + update(rect(2, 3, 20, 10, HISTORY, b"\0\x40\0\1" + bytes(20))),
    "photo": b"\xa0" + update(rect(0, 0, 8, 8, PHOTO, struct.pack(">I", len(jpeg)) + jpeg), rect(9, 9, 4, 4, 1, b"\0\1\0\1"),
                              rect(0, 0, 64, 16, HISTORY, history(unit))),
    "fences": b"\x80" + fence(0x80000001, b"12345678") + fence(0xffffffff, b"") + fence(0x80000002, bytes(64)) + fence(1, b"1"),
    "continuous": b"\x90\x96" + update(screen(0, 0, 128, 96)) + update(screen(1, 0, 200, 100)) + fence(0x80000001, b"1234") + b"\x96",
    "fill": b"\x80" + update(rect(0, 0, 128, 96, 7, b"\x80\1\2\3"), rect(0, 0, 0, 0, -224), count=65535),
    "copy": b"\xc3" + update(rect(3, 4, 60, 20, 7, b"\0" + packed(ramp)), rect(3, 30, 2, 1, 7, b"\0" + bytes(6))),
    "palette": b"\x80" + update(rect(0, 0, 30, 20, 7, b"\x50\1\3" + bytes(12) + packed(bytes(i & 3 for i in range(600)))),
                                rect(0, 0, 30, 20, 7, b"\x60\1\1" + bytes(6) + packed(bytes(80)))),
    "cursor": b"\x80" + update(rect(1, 1, 3, 2, -239, bytes(24) + b"\xe0\xa0"), rect(0, 0, 0, 0, -258)),
    "sizes": b"\x90" + update(screen(0, 0, 128, 96)) + update(screen(1, 0, 200, 100)) + update(rect(0, 0, 64, 64, -223)),
    "records": b"\x80" + b"\x47\2\0\1\0\1\0\2\0\3\0\4" + b"\x47\3\0\0\0\0\0\1" + b"\x47\1\0\7\0\0\0\0",
    "pages": b"\x80" + page(1, 1, 0, 3, 200, 150, 1, 200) + page(2, 1, 1, 3, 200, 150, 128, 96) + page(3, 1, 3, 0, 0, 0, 0, 0) + b"\x47",
    "clipboard": b"\x80" + clipboard("\u5b50\u3069\u3082\t\n".encode()) + clipboard(b"a" * 65536) + b"\x47",
    "jpeg": b"\xa0" + update(rect(0, 0, 8, 8, 7, b"\x90" + compact(len(jpeg)) + jpeg)),
}
for name, data in seeds.items():
    (folder / name).write_bytes(data)
