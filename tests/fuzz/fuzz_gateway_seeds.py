#!/usr/bin/env python3
"""Writes one good handshake per role into the folder."""
import pathlib
import sys

V = b"\x0cRFB 003.008\n"
SEEDS = {
    "viewer": b"\0" + V + b"\xff\x01\x01\xff",
    "viewer-refused": b"\0" + V + b"\xff\xfe",
    "viewer-old": b"\0\x0cRFB 003.003\n",
    "vencrypt": b"\1" + V + b"\x01\x13\x02\0\2\x04\0\0\1\4",
    "result": b"\2\xff\xff",
    "plain": b"\4" + V + b"\xff\x01\x13\x02\0\2\x04\0\0\1\0\x08\0\0\0\6\0\0\0\6\x0chanako123456\xfd\xff",
    "x509plain": b"\5" + V + b"\x01\x13\x02\0\2\x04\0\0\1\6",
    "plain-result": b"\6\x08\0\0\0\0\0\0\0\6\x06123456\xfd\xff\xff",
    "session": b"\3" + V + b"\x03\x02\x10\x01\x04\0\0\0\0",
}
for name, data in SEEDS.items():
    pathlib.Path(sys.argv[1], name).write_bytes(data)
