#!/usr/bin/env python3
"""Writes requests of garasuctl into the folder: struct gr_admin_request."""
import pathlib
import struct
import sys

folder = pathlib.Path(sys.argv[1])
for i, (kind, session, person, subject, text) in enumerate((
        (1, 0, "", "", ""), (3, 0x0123456789abcdef, "", "", "訓練"), (3, 0, "hanako", "", ""), (4, 0, "", "広報課", "不審な通信"),
        (6, 0, "", "", "it is time"), (8, 0, "", "3fa9c120", "yes\u00a0\U0001f512"), (10, 0, "", "egress", ""))):
    (folder / f"request-{i}").write_bytes(struct.pack("=IIQ40s104s256s", 2, kind, session, person.encode(), subject.encode(), text.encode()))
