#!/usr/bin/env python3
"""Writes answers of each kind into the folder."""
import pathlib
import struct
import sys


def answer(password=b"", code=b""):
    return b"GRSA\1\1\0\0" + struct.pack(">HHI256s64s", len(password), len(code), 0, password, code)


SEEDS = {
    "both": b"\3" + answer("ひみつ pass".encode(), b"123456"),
    "password": b"\1" + answer(b"p" * 256),
    "code": b"\2" + answer(b"", b"abcd-efgh-ijkl-mnop"),
    "empty": b"\3" + answer(),
    "ticket": b"\3GRSA\1\2" + bytes(10) + bytes(range(32)) + bytes(288),
    "plain-both": b"\7" + "ひみつ123456".encode(),
    "plain-password": b"\5secret",
    "plain-code": b"\6abcd-efgh",
}
for name, data in SEEDS.items():
    pathlib.Path(sys.argv[1], name).write_bytes(data)
