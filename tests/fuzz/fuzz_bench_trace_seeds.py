#!/usr/bin/env python3
"""Writes the first inputs of fuzz_bench_trace into the folder given: traces whose streams are not packed."""
import pathlib
import random
import struct
import sys

folder = pathlib.Path(sys.argv[1])
W, H = 24, 18
random.seed(1)


def hash_of(picture):
    mask = (1 << 64) - 1
    h = 0x243F6A8885A308D3
    for a, b in zip(picture[::2], picture[1::2]):
        h = (h ^ (a | b << 32)) * 0x9E3779B97F4A7C15 & mask
        h = (h << 31 | h >> 33) & mask
    return h


def record(sequence, damage=(), changed=(), flags=0, hashed=0, data=b""):
    rects = b"".join(struct.pack("<4h", *r) for r in (*damage, *changed))
    return struct.pack("<IIQHHIQ", 0x314D5246, sequence, sequence * 16000, len(damage), len(changed), flags, hashed) + rects + data


def trace(*records, w=W, h=H, choice=1):
    json = b"{}"
    return bytes([choice]) + b"GSFTRC01" + struct.pack("<6IQQI12x", 1, w, h, 1, len(records), 27, 1, 0, len(json)) + json + b"".join(records)


whole = (0, 0, W, H)
blank = record(0, changed=[whole], data=bytes(3 * W * H), hashed=hash_of([0] * (W * H)))
noise = bytes(random.randrange(256) for _ in range(3 * 16 * 16))
seeds = {
    "blank": trace(blank, record(1)),
    "interleaved": trace(blank, record(1, [whole, (-3, 2, 900, 1)], [(0, 0, 16, 16)], 0, 0, noise), record(2)),
    "planar": trace(blank, record(1, [(5, 5, 1, 1)], [(8, 2, 16, 16)], 1, 0, noise), record(2)),
    "hash": trace(blank, record(1, hashed=hash_of([0] * (W * H)))),
    "wrong-hash": trace(blank, record(1, hashed=5)),
    "overlap": trace(blank, record(1, changed=[(0, 0, 16, 16)] * 3, data=noise * 3)),
    "outside": trace(blank, record(1, changed=[(10, 10, 16, 16)], data=noise)),
    "length": trace(blank, record(1), choice=3),
    "not-packed": b"\0" + trace(blank)[1:],
}
for name, data in seeds.items():
    (folder / name).write_bytes(data)
