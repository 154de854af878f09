#!/usr/bin/env python3
"""Writes the first inputs of fuzz_audit_line into the folder given."""
import sys

BOOT = "00112233445566778899aabbccddeeff"
LINES = [
    f"seq=1 time=2026-11-22T03:04:05.678901Z mono=1234567890123 boot={BOOT} kind=session.start session=0123456789abcdef container=2 person=yamada",
    f"seq=18446744073709551615 time=2026-11-22T03:04:05.678901Z mono=1 boot={BOOT} kind=egress.end session=0123456789abcdef container=2"
    " connection=3 person=yamada peer=[::1]:5 target=GET%20a.example:80 reason=no-capacity detail=%0A硝子%FF down=1 up=2".replace("[", "%5B").replace("]", "%5D"),
    "seq=2 time=2026-11-22T03:04:05.678901Z kind=fault",
]
LINES = [line + " prev=" + "0" * 64 for line in LINES] + [
    "seq=12 pruned=egress.request leaf=" + "0f" * 32,
    "head size=1000 time=2026-11-22T03:05:00.000000Z root=" + "ab" * 32 + " key=0123456789abcdef signature=" + "A" * 86 + "==",
    "segment=7 first=458753 count=65536 tree=" + "cd" * 32 + " last=" + "ef" * 32,
]
for number, line in enumerate(LINES):
    with open(f"{sys.argv[1]}/seed{number}", "wb") as out:
        out.write(line.encode())
