#!/usr/bin/env python3
"""A site whose certificate comes from the city's own CA: the browser shows it with session.trusted_ca, and not without."""
import http.server
import pathlib
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

import garasu
from garasu import wait_for

COLOUR = "#0A7D3C"  # of the whole page


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.server.requests.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(f'<!DOCTYPE html><title>庁内</title><body style="margin:0;background:{COLOUR}">'.encode())


class Site(http.server.ThreadingHTTPServer):
    """An HTTPS server on loopback with a certificate of a CA that nobody knows."""
    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.failures = [], []
        self.url = f"https://127.0.0.1:{self.server_port}/"
        self.ca = folder / "ca.pem"

        def openssl(*arguments):
            subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
        new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", "-x509", *new, "-days", 2, "-subj", "/CN=City CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout",
                folder / "ca.key", "-out", self.ca)
        openssl("req", *new, "-subj", "/CN=site", "-keyout", folder / "site.key", "-out", folder / "site.csr")
        (folder / "site.ext").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", folder / "site.csr", "-CA", self.ca, "-CAkey", folder / "ca.key", "-days", 2, "-extfile",
                folder / "site.ext", "-out", folder / "site.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "site.pem", folder / "site.key")
        # The handshake in the connection's own thread.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        self.failures.append(repr(sys.exc_info()[1]))


class Trust(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="garasu-test-"))
        self.addCleanup(lambda: subprocess.run(["rm", "-rf", self.folder]))
        self.site = Site(self.folder)
        self.addCleanup(self.site.server_close)
        self.addCleanup(self.site.shutdown)

    def colour(self, viewer):
        """Of the middle of the page."""
        viewer("wait-idle 500")
        viewer(f"screenshot {self.folder}/seen.png")
        pixel = subprocess.run(["convert", self.folder / "seen.png", "-crop", "1x1+640+500", "-depth", "8", "txt:-"], capture_output=True,
                               text=True, check=True).stdout
        return pixel.split("#")[-1][:6]

    def browse(self, **session):
        broker = garasu.Broker(self.site.url, allow=[f"127.0.0.1:{self.site.server_port}"], pool={"warm": 1},
                               session={"home_url": self.site.url, **session}).start()
        self.addCleanup(broker.stop)
        viewer = broker.viewer("hanako", "--size", "1280x800")
        self.addCleanup(viewer.close)
        viewer("wait-first-frame")
        return broker, viewer

    def test_1_without_the_setting_the_browser_refuses_the_site(self):
        broker, viewer = self.browse()
        wait_for("the browser to refuse the certificate", lambda: any("CERTIFICATE" in f.upper() for f in self.site.failures))
        self.assertNotEqual(self.colour(viewer), COLOUR[1:])
        self.assertEqual(self.site.requests, [])
        viewer("quit")
        broker.finish()

    def test_2_with_the_setting_it_shows_the_page(self):
        broker, viewer = self.browse(trusted_ca=str(self.site.ca))
        try:
            wait_for("the request", lambda: "/" in self.site.requests)
        except AssertionError:
            raise AssertionError(f"{self.site.failures} {broker.log_text()[-2000:]}")
        wait_for("the page on the viewer's screen", lambda: self.colour(viewer) == COLOUR[1:])
        viewer("quit")
        broker.finish()

    def test_3_check_names_what_is_wrong_with_the_files(self):
        credentials = self.folder / "upstream"
        credentials.write_text("garasu:secret\n")
        broker = garasu.Broker(self.site.url, session={"trusted_ca": str(self.folder / "site.pem")},
                               egress={"upstream": "proxy.example:8080", "upstream_credentials": str(credentials)})
        self.addCleanup(broker.remove)
        lines = broker.config.read_text().splitlines()

        def problems():
            done = subprocess.run([garasu.BUILD / "bin/garasu-broker", "--check", "--config", broker.config], capture_output=True, text=True)
            self.assertNotIn("secret", done.stdout + done.stderr)
            return done.returncode, done.stdout + done.stderr

        def place(key):
            return f"{broker.config}:{1 + next(i for i, line in enumerate(lines) if key in line)}: "
        credentials.chmod(0o644)
        code, said = problems()
        self.assertEqual(code, 1)
        self.assertIn(place("trusted_ca") + f"session.trusted_ca: {self.folder}/site.pem: certificate 1 is not a CA's", said)
        self.assertIn(place("upstream_credentials") + f"egress.upstream_credentials: {credentials} can be read by others (mode 0644)", said)
        credentials.chmod(0o600)
        (self.folder / "site.pem").write_bytes(self.site.ca.read_bytes())
        self.assertEqual(problems()[0], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
