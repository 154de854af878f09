#!/usr/bin/env python3
"""Writes one OPEN record of each kind into the folder."""
import pathlib
import sys

SEEDS = {"ready": (1, 0, 0, 3, 0, 0, 0), "refused": (2, 0, 16, 0, 0, 1, 44), "wait": (3, 0, 0, 0, 0, 0, 0), "redirect": (4, 0, 0, 0, 0, 0, 0),
         "ask": (5, 0, 15, 3, 4, 0, 2), "terms": (6, 1, 2, 3, 0, 0, 60)}
for name, fields in SEEDS.items():
    pathlib.Path(sys.argv[1], name).write_bytes(b"GRSU\1" + bytes(fields) + bytes(4))
