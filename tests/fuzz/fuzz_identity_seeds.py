#!/usr/bin/env python3
"""Writes URIs, factors, codes and real certificates into the folder."""
import pathlib
import struct
import subprocess
import sys
import tempfile

folder = pathlib.Path(sys.argv[1])
for i, uri in enumerate(("garasu:user/hanako", "garasu:user/a.b_c-9", "garasu:role/x", "https://example.com/")):
    (folder / f"uri-{i}").write_bytes(b"u" + uri.encode())
for i, (asked, password, code) in enumerate(((3, "正しい馬".encode(), b"123456"), (1, b"x", b""), (2, b"", b"abcd-efgh-jkmn-pqrs"))):
    (folder / f"factors-{i}").write_bytes(b"f" + bytes([asked]) + struct.pack("=II256s64s", len(password), len(code), password, code))
for i, code in enumerate((b"005924", b" 005 924", b"ABCD-EFGH-JKMN-PQRS")):  # the first two: of RFC 6238, at the fuzzer's time
    (folder / f"code-{i}").write_bytes(b"c" + code)
with tempfile.TemporaryDirectory() as scratch:
    key = f"{scratch}/key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key], check=True)
    for i, extensions in enumerate((("subjectAltName=URI:garasu:user/hanako", "extendedKeyUsage=clientAuth"),
                                    ("subjectAltName=DNS:x,URI:garasu:user/a,URI:garasu:user/b", "extendedKeyUsage=clientAuth,serverAuth"))):
        more = [x for e in extensions for x in ("-addext", e)]
        subprocess.run(["openssl", "req", "-x509", "-new", "-key", key, "-subj", "/CN=x", "-days", "3650", "-outform", "DER",
                        "-out", folder / f"certificate-{i}", *more], check=True)
        der = (folder / f"certificate-{i}").read_bytes()
        (folder / f"request-{i}").write_bytes(b"r" + struct.pack("=IIII4096s4096s", 2, len(der), len(der), 0, der, der))
