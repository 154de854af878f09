#!/usr/bin/env python3
"""Writes the first inputs of fuzz_audit_check into the folder given: a record with heads, one with a pruned line, proofs."""
import hashlib
import sys


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node(root(leaves[:split]), root(leaves[split:]))


lines, leaves, last = [], [], "0" * 64
for number in range(1, 6):
    more = "session.start session=0123456789abcdef person=yamada" if number < 5 else \
        "prune actor=kansa target=egress detail=first%3D2%20last%3D2%20count%3D1:%20why"
    if number == 2:
        more = "egress.request person=yamada target=GET%20a.example:80"
    line = f"seq={number} time=2026-11-22T03:04:05.678901Z kind={more} prev={last}"
    leaves.append(hashlib.sha256(b"\0" + line.encode()).digest())
    last = leaves[-1].hex()
    lines.append(line)


def head(size):
    return f"head size={size} time=2026-11-22T03:05:00.000000Z root={root(leaves[:size]).hex()} key=0123456789abcdef signature=" + "A" * 86 + "=="


def text(some):
    return "".join(line + "\n" for line in some)


pruned = list(lines)
pruned[1] = f"seq=2 pruned=egress.request leaf={leaves[1].hex()}"
seeds = [
    "r" + text(lines) + "\0" + text([head(2), head(5)]) + "\0" + text(["<110>1 broker - " + head(4)]),
    "r" + text(pruned) + "\0" + text([head(3), head(5)]),
    "r" + text(lines[:3]) + "\0" + text([head(5)]),
    "p" + text(["garasu-audit proof: inclusion", "record " + lines[2], head(4)] + ["hash " + leaves[3].hex(), "hash " + node(leaves[0], leaves[1]).hex()]),
    "p" + text(["garasu-audit proof: consistency", head(2), head(4), "hash " + node(leaves[2], leaves[3]).hex()]),
]
for number, seed in enumerate(seeds):
    with open(f"{sys.argv[1]}/seed{number}", "wb") as out:
        out.write(seed.encode())
