#!/usr/bin/env python3
"""Password and one-time code through all of it: garasuctl, identity, gateway, our viewer and libvncclient."""
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import time
import unittest

import garasu
from garasu import wait_for

ENGLISH = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "ASAN_OPTIONS": "detect_leaks=0"}


class SecondFactor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = garasu.Broker("http://127.0.0.1:9/", identity={"password": "local", "code": "local", "attempts": 3, "lockout_seconds": 3600}).start()
        cls.factors = {}
        for person in ("hanako", "taro"):
            password = cls.user("add", person)["password"]
            secret = re.search(r"[?&]secret=([A-Z2-7]+)", cls.user("code", person)["uri"])[1]
            cls.factors[person] = password, secret

    @classmethod
    def tearDownClass(cls):
        cls.broker.finish()

    @classmethod
    def user(cls, *arguments):
        return json.loads(cls.broker.ctl("--json", "--reason", "test", "user", *arguments).stdout)

    @classmethod
    def code(cls, person):
        """The present one. It is good once: where another one is needed in the same half minute, recovery() gives it."""
        return subprocess.run(["oathtool", "--totp", "-b", "-"], input=cls.factors[person][1], capture_output=True, text=True, check=True).stdout.strip()

    @classmethod
    def recovery(cls, person):
        return cls.user("recovery", person)["codes"][0]

    def file(self, *lines):
        file = self.broker.folder / "factors"
        file.write_text("\n".join(lines) + "\n")
        file.chmod(0o600)
        return file

    def look(self, person, *lines):
        """(exit code, what it said) of a viewer that waits for the first picture."""
        done = subprocess.run([garasu.BUILD / "bin/garasu-viewer", "--headless", "--timeout", str(garasu.DEADLINE), "--factors", self.file(*lines),
                               *map(str, self.broker.person(person)), f"127.0.0.1:{self.broker.port}"], env={**os.environ, **ENGLISH},
                              capture_output=True, text=True)
        return done.returncode, done.stderr

    def test_1_right_and_not_twice(self):
        password, code = self.factors["hanako"][0], self.code("hanako")
        self.assertEqual(self.look("hanako", password, code)[0], 0)
        status, text = self.look("hanako", password, code)
        self.assertEqual(status, 4)
        self.assertIn("[wrong-factor]", text)
        self.assertEqual(self.look("hanako", password, self.recovery("hanako"))[0], 0)
        wait_for("the log", lambda: "a wrong answer of hanako (wrong-factor)" in self.broker.log_text())

    def test_2_a_person_who_takes_a_while_is_waited_for(self):
        context = ssl.create_default_context(cafile=self.broker.ca / "ca.pem")
        context.set_alpn_protocols(["garasu/1"])
        context.load_cert_chain(self.broker.ca / "persons/hanako.pem", self.broker.ca / "persons/hanako.key")
        sock = socket.create_connection(("127.0.0.1", self.broker.port), timeout=garasu.DEADLINE)
        with context.wrap_socket(sock, server_hostname="localhost") as stream:
            record = stream.recv(16)
            self.assertEqual(record[:6], b"GRSU\1\5")
            if os.environ.get("GARASU_SLOW_TESTS"):
                time.sleep(32)  # HANDSHAKE_MS of broker/supervisor/connections.c, and some
            password, code = self.factors["hanako"][0].encode(), self.recovery("hanako").encode()
            stream.sendall(b"GRSA\1\1\0\0" + struct.pack(">HHI256s64s", len(password), len(code), 0, password, code))
            self.assertEqual(stream.recv(16)[:5], b"GRSU\1")

    def test_3_libvncclient_by_x509plain(self):
        priorities = self.broker.folder / "gnutls.conf"
        priorities.write_text("[overrides]\n" + "".join(f"tls-disabled-kx = {kx}\n" for kx in ("SRP", "SRP-DSS", "SRP-RSA")))
        ca = self.broker.ca
        viewer = garasu.Peer([garasu.BUILD / "tests/libvncclient_peer", "localhost", self.broker.vencrypt_port, ca / "ca.pem",
                              ca / "persons/taro.pem", ca / "persons/taro.key", self.file("taro", self.factors["taro"][0] + self.code("taro"))],
                             {**ENGLISH, "GNUTLS_SYSTEM_PRIORITY_FILE": str(priorities)})
        self.addCleanup(viewer.close)
        self.assertEqual(viewer.process.stdout.readline().strip(), "ok connected", viewer.error_text())
        viewer("quit")

    def test_4_locked_out(self):
        for last in (False, False, True):
            status, text = self.look("taro", "wrong", "000000")
            self.assertEqual(status, 4)
            self.assertIn("locked-out" if last else "[wrong-factor]", text)
        self.assertRegex(self.look("taro", self.factors["taro"][0], "000000")[1], "again in (59|60) min .*locked-out")
        self.broker.ctl("--reason", "test", "user", "unlock", "taro")
        self.assertEqual(self.look("taro", self.factors["taro"][0], self.recovery("taro"))[0], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
