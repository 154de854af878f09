#!/usr/bin/env python3
"""Writes the first inputs of fuzz_recording into the folder given: headers with a real envelope, chunks that nobody sealed."""
import os
import struct
import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory() as folder:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a",
                    "-keyout", f"{folder}/key", "-out", f"{folder}/pem"], check=True, stderr=subprocess.DEVNULL)
    envelope = subprocess.run(["openssl", "cms", "-encrypt", "-binary", "-aes256", "-outform", "DER", "-recip", f"{folder}/pem",
                               "-keyopt", "ecdh_kdf_md:sha256"],
                              input=os.urandom(32), capture_output=True, check=True).stdout


def header(content):
    return b"GARASREC" + struct.pack(">HHIQQQ", 1, 1, 7, 0x0123456789abcdef, 5, 6) + b"hanako".ljust(40, b"\0") + \
        struct.pack(">I", len(content)) + content


def chunk(n):
    return struct.pack(">IQQ", n, 10, 20) + os.urandom(n + 16)


for number, seed in enumerate([header(envelope), header(b"\x30\0"), header(envelope) + chunk(5) + chunk(100) + chunk(0),
                               header(b"x") + chunk(3) + chunk(70000)[:50], header(b"x") + chunk(0) + b"behind"]):
    with open(f"{sys.argv[1]}/seed{number}", "wb") as out:
        out.write(seed)
