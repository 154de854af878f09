#!/usr/bin/env python3
"""Writes the first inputs of fuzz_forward into the folder given."""
import base64
import hashlib
import sys

LINE = "seq=1 time=2026-11-22T03:04:05.678901Z mono=1234567890123 boot=00112233445566778899aabbccddeeff kind="
END = " prev=" + "0" * 64
leaf = hashlib.sha256(b"\0leaf").digest()
root = hashlib.sha256(b"\1" + leaf + leaf).hexdigest()
head = f"head size=2 time=2026-11-22T03:05:00.000000Z root={root} key=0123456789abcdef signature={base64.b64encode(bytes(64)).decode()}"
SEEDS = [
    LINE + "session.detach session=0123456789abcdef container=2 connection=3 person=yamada group=%7C広報課%5C actor=root"
    " peer=192.0.2.1:5000 target=a%3Db%7Cc%5Cd reason=time-over detail=%0Ax down=10 up=20" + END,
    LINE + "login peer=%5B2001:db8::1%5D:5000 detail=%22%5D%25%FF" + END,
    f"seq=12 pruned=egress.request leaf={leaf.hex()}",
    head,
    "sent=0\nsent_heads=0\n",
    f"sent=3\nsent_heads=300\nheads=300\nleaf={leaf.hex()}\ntree={root}\nhead={head}\n",
]
for number, seed in enumerate(SEEDS):
    with open(f"{sys.argv[1]}/seed{number}", "wb") as out:
        out.write(seed.encode())
