#!/usr/bin/env python3
"""Writes URIs and real certificates into the folder."""
import pathlib
import subprocess
import sys
import tempfile

folder = pathlib.Path(sys.argv[1])
for i, uri in enumerate(("garasu:user/hanako", "garasu:user/a.b_c-9", "garasu:role/x", "https://example.com/")):
    (folder / f"uri-{i}").write_bytes(b"u" + uri.encode())
with tempfile.TemporaryDirectory() as scratch:
    key = f"{scratch}/key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key], check=True)
    for i, extensions in enumerate((("subjectAltName=URI:garasu:user/hanako", "extendedKeyUsage=clientAuth"),
                                    ("subjectAltName=DNS:x,URI:garasu:user/a,URI:garasu:user/b", "extendedKeyUsage=clientAuth,serverAuth"))):
        more = [x for e in extensions for x in ("-addext", e)]
        subprocess.run(["openssl", "req", "-x509", "-new", "-key", key, "-subj", "/CN=x", "-days", "3650", "-outform", "DER",
                        "-out", folder / f"certificate-{i}", *more], check=True)
