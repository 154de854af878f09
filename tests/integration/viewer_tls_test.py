#!/usr/bin/env python3
"""T37: garasu-viewer before servers that are not the broker it was told to trust: exit code 3, and nothing of the person's is sent.

Environment: GARASU_BUILD = the build folder.
"""
import contextlib
import os
import pathlib
import random
import select
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import unittest

from supervise import BUILD, SOURCE

DEADLINE = 60
HANDSHAKE, CIPHERED = 22, 23  # record types; RFC 8446 5.1
ALERT_BYTES = 2 + 1 + 16  # an alert, its real type, the tag: the shortest record there is under a key
REFUSED = b"GRSU\1\2\0\3" + bytes(8)  # no-capacity: exit code 5
ENGLISH = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def run(*arguments):
    return subprocess.run([str(a) for a in arguments], check=True, capture_output=True, text=True).stdout


class Server:
    """One TLS connection on a port of its own. records: what the viewer sent, [(type, length)]; error: how the handshake failed;
    data: what the viewer sent behind it."""

    def __init__(self, context):
        self.context, self.records, self.error, self.certificate, self.data = context, [], None, None, b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        connection, _ = self.listener.accept()
        connection.settimeout(DEADLINE)
        incoming, outgoing, raw = ssl.MemoryBIO(), ssl.MemoryBIO(), b""
        tls = self.context.wrap_bio(incoming, outgoing, server_side=True)

        def step(call):
            nonlocal raw
            while True:
                try:
                    result = call()
                    connection.sendall(outgoing.read())
                    return result
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    data = connection.recv(65536)
                    raw += data
                    incoming.write(data)
                    if not data:
                        incoming.write_eof()
        try:
            step(tls.do_handshake)
            self.certificate = tls.getpeercert()
            step(lambda: tls.write(REFUSED))
            self.data = step(lambda: tls.read(1000))
        except (ssl.SSLError, OSError) as e:
            self.error = e
        finally:
            with contextlib.suppress(OSError):
                connection.sendall(outgoing.read())
            # What else it may have to say, until it closes.
            while select.select([connection], [], [], DEADLINE)[0]:
                try:
                    data = connection.recv(65536)
                except OSError:
                    break
                if not data:
                    break
                raw += data
            connection.close()
            self.listener.close()
        while len(raw) >= 5:
            kind, _, length = struct.unpack(">BHH", raw[:5])
            self.records.append((kind, length))
            raw = raw[5 + length:]


class ViewerTls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="garasu-test-viewer-tls-"))
        cls.addClassCleanup(lambda: subprocess.run(["rm", "-rf", cls.folder]))
        cls.ca = cls.folder / "ca"
        run(SOURCE / "certs/garasu-ca", "demo", cls.ca)
        run(SOURCE / "certs/garasu-ca", "init", cls.folder / "other", "--name", "Other")
        run(SOURCE / "certs/garasu-ca", "server", cls.folder / "other", "--dns", "localhost")

    def issue(self, extensions, days=2):
        """A server certificate with these extensions, by the issuing CA that the viewer trusts."""
        base, issuing = self.folder / self.id(), self.ca / "private/issuing"
        (self.folder / "extensions").write_text("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n" + extensions)
        run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
            "-keyout", f"{base}.key", "-out", f"{base}.csr")
        leaf = run("openssl", "x509", "-req", "-in", f"{base}.csr", "-CA", f"{issuing}.pem", "-CAkey", f"{issuing}.key",
                   "-set_serial", random.getrandbits(120), "-days", days, "-extfile", self.folder / "extensions")
        pathlib.Path(f"{base}.pem").write_text(leaf + (self.ca / "issuing.pem").read_text())
        return f"{base}.pem", f"{base}.key"

    def met(self, certificate, *options, alpn=("garasu/1",), change=None):
        """Runs the viewer before a server with this certificate; returns (its end, the server)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        context.load_verify_locations(self.ca / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if change:
            change(context)
        server = Server(context)
        person = self.ca / "persons/hanako"
        done = subprocess.run([BUILD / "bin/garasu-viewer", "--headless", "--timeout", str(DEADLINE), *options, "--ca", self.ca / "ca.pem",
                               "--certificate", f"{person}.pem", "--key", f"{person}.key", f"localhost:{server.port}"],
                              capture_output=True, text=True, timeout=2 * DEADLINE, env={**os.environ, **ENGLISH})
        server.thread.join(DEADLINE)
        self.assertFalse(server.thread.is_alive(), "the server still waits")
        return done, server

    def refuses(self, certificate, *words, options=(), **how):
        done, server = self.met(certificate, *options, **how)
        self.assertEqual(done.returncode, 3, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertIsNotNone(server.error, "the handshake succeeded")
        self.assertIsNone(server.certificate, "the person's certificate was sent")
        # Its ClientHello, and from then on not even a certificate: nothing longer than an alert.
        self.assertEqual([kind for kind, _ in server.records].count(HANDSHAKE), 1, server.records)
        self.assertTrue(all(length <= ALERT_BYTES for kind, length in server.records if kind == CIPHERED), server.records)

    def test_the_right_one_is_accepted(self):
        """The counterpart, without which the others could pass for another reason."""
        done, server = self.met((self.ca / "server.pem", self.ca / "server.key"))
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertEqual(server.certificate["subjectAltName"], (("URI", "garasu:user/hanako"),))
        self.assertTrue(any(kind == CIPHERED and length > ALERT_BYTES for kind, length in server.records), server.records)
        done, _ = self.met(self.issue("extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost"))
        self.assertEqual(done.returncode, 5, done.stderr)

    def test_another_name(self):
        self.refuses(self.issue("extendedKeyUsage=serverAuth\nsubjectAltName=DNS:other.example"), "name")

    def test_a_name_in_the_common_name_only(self):
        self.refuses(self.issue("extendedKeyUsage=serverAuth"))

    def test_a_wildcard_in_the_middle_of_a_name(self):
        self.refuses(self.issue("extendedKeyUsage=serverAuth\nsubjectAltName=DNS:local*"))

    def test_self_signed(self):
        base = self.folder / "self"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-days", 2,
            "-addext", "subjectAltName=DNS:localhost", "-addext", "extendedKeyUsage=serverAuth", "-keyout", f"{base}.key", "-out", f"{base}.pem")
        self.refuses((f"{base}.pem", f"{base}.key"), "not trusted")

    def test_another_authority(self):
        self.refuses((self.folder / "other/server.pem", self.folder / "other/server.key"), "not trusted")

    def test_a_persons_certificate(self):
        self.refuses(self.issue("extendedKeyUsage=clientAuth\nsubjectAltName=DNS:localhost"), "for servers")

    def test_both_purposes_and_none(self):
        self.refuses(self.issue("extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=DNS:localhost"), "for servers")
        self.refuses(self.issue("subjectAltName=DNS:localhost"), "for servers")

    def test_expired(self):
        self.refuses(self.issue("extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost", days=-1), "not valid today")

    def test_revoked(self):
        tool, ca, mine = SOURCE / "certs/garasu-ca", self.ca, (self.ca / "second.pem", self.ca / "second.key")
        run(tool, "server", ca, "--dns", "localhost", "--out", "second")
        self.assertEqual(self.met(mine, "--crl", ca / "crl.pem")[0].returncode, 5)
        # One list is missing: of the issuing CA, of the root.
        lists = (ca / "crl.pem").read_text().split("-----END X509 CRL-----\n")
        for one in lists[:2]:
            (self.folder / "one.pem").write_text(one + "-----END X509 CRL-----\n")
            self.refuses(mine, "not current", options=("--crl", self.folder / "one.pem"))
        serial = run("openssl", "x509", "-in", mine[0], "-noout", "-serial").strip().split("=")[1]
        run(tool, "revoke", ca, serial)
        self.refuses(mine, "was revoked", options=("--crl", ca / "crl.pem"))
        self.assertEqual(self.met((ca / "server.pem", ca / "server.key"), "--crl", ca / "crl.pem")[0].returncode, 5)
        done, _ = self.met(mine)
        self.assertEqual(done.returncode, 5, "without --crl nobody asks")

    def test_tls_1_2(self):
        def old(context):
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.refuses((self.ca / "server.pem", self.ca / "server.key"), "no Garasu broker", change=old)

    def test_another_protocol(self):
        """Its certificate is right, so that the person's is shown, but not a byte behind the handshake."""
        for alpn in ((), ("h2",)):
            done, server = self.met((self.ca / "server.pem", self.ca / "server.key"), alpn=alpn)
            self.assertEqual((done.returncode, server.data), (3, b""), done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
