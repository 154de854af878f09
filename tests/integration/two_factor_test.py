#!/usr/bin/env python3
"""The second factor from the viewer to the record, with a real broker. Needs root and a sandbox image (GARASU_IMAGES)."""
import json
import os
import socket
import ssl
import struct
import sys
import unittest
import urllib.parse

import garasu
from identity_parts import totp
from supervise import REASONS

READY, REFUSED, WAIT, ASK, TERMS, TICKET = 1, 2, 3, 5, 6, 7
PASSWORD, CODE = 1, 2


class Person:
    """A connection of our protocol's that reads OPEN records and gives answers (docs/PROTOCOL.md 2)."""

    def __init__(self, broker, name):
        context = ssl.create_default_context(cafile=broker.ca / "ca.pem")
        context.set_alpn_protocols(["garasu/1"])
        context.load_cert_chain(broker.ca / f"persons/{name}.pem", broker.ca / f"persons/{name}.key")
        self.tls = context.wrap_socket(socket.create_connection(("127.0.0.1", broker.port), timeout=garasu.DEADLINE), server_hostname="localhost")

    def record(self):
        """(kind, reason, flags, tries, seconds) of the next one that is not WAIT, TERMS or TICKET."""
        while True:
            data = b""
            while len(data) < 16:
                piece = self.tls.recv(16 - len(data))
                assert piece, f"the end after {data}"
                data += piece
            kind, reason, flags, tries, seconds = struct.unpack(">4xxBHBBHxxxx", data)
            if kind == TICKET:
                self.ticket = self.tls.recv(32)
            elif kind not in (WAIT, TERMS):
                return kind, reason, flags, tries, seconds

    def answer(self, password, code):
        password, code = password.encode(), code.encode()
        self.tls.sendall(b"GRSA\1\1\0\0" + struct.pack(">HHI256s64s", len(password), len(code), 0, password, code))
        return self.record()

    def show(self, ticket):
        self.tls.sendall(b"GRSA\1\2" + bytes(10) + ticket + bytes(288))
        return self.record()

    def close(self):
        self.tls.close()


class TwoFactor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = garasu.Broker("http://127.0.0.1:1/", identity={"password": "local", "code": "local", "attempts": 3, "lockout_seconds": 30},
                                   listen={"failures_per_minute": 0}).start()
        cls.password, cls.secret, cls.recovery = {}, {}, {}
        for person in "hanako", "taro":
            def made(subject):
                return json.loads(cls.broker.ctl("--json", "user", subject, person, "--reason", "test").stdout)
            cls.password[person] = made("add")["password"]
            cls.secret[person] = urllib.parse.parse_qs(urllib.parse.urlparse(made("code")["uri"]).query)["secret"][0]
            cls.recovery[person] = made("recovery")["codes"]

    @classmethod
    def tearDownClass(cls):
        cls.broker.finish()

    def person(self, name):
        person = Person(self.broker, name)
        self.addCleanup(person.close)
        return person

    def records(self, kind, person):
        return [urllib.parse.unquote(r.get("detail", "")) for r in self.broker.audit() if r["kind"] == kind and r["person"] == person]

    def test_1_a_code_lets_in_once(self):
        code = totp(self.secret["hanako"])
        person = self.person("hanako")
        self.assertEqual(person.record(), (ASK, 0, PASSWORD | CODE, 3, 0))
        self.assertEqual(person.answer(self.password["hanako"], code)[0], READY)
        self.assertEqual([s["person"] for s in self.broker.sessions()], ["hanako"])
        login = self.records("login", "hanako")
        self.assertEqual(len(login), 1)
        self.assertIn("factors=certificate,password,totp", login[0])
        # Somebody who saw it typed.
        thief = self.person("hanako")
        self.assertEqual(thief.record(), (ASK, 0, PASSWORD | CODE, 3, 0))
        self.assertEqual(thief.answer(self.password["hanako"], code)[:4], (ASK, REASONS["WRONG_FACTOR"], PASSWORD | CODE, 2))
        garasu.wait_for("the record", lambda: self.records("login.failed", "hanako"))
        self.assertEqual(self.records("login.failed", "hanako"), ["password=right code=used-before"])
        self.assertEqual(thief.answer(self.password["hanako"], self.recovery["hanako"][0])[0], READY)

    def test_2_wrong_answers_lock_out(self):
        person = self.person("taro")
        person.record()
        self.assertEqual(person.answer("x", "000000")[3], 2)
        self.assertEqual(person.answer("x", "000000")[3], 1)
        kind, reason, _, _, seconds = person.answer("x", "000000")
        self.assertEqual((kind, reason), (REFUSED, REASONS["LOCKED_OUT"]))
        self.assertTrue(0 < seconds <= 30, seconds)
        self.assertEqual(self.person("taro").record()[:2], (REFUSED, REASONS["LOCKED_OUT"]))
        garasu.wait_for("the records", lambda: len(self.records("login.failed", "taro")) == 3)
        self.broker.ctl("user", "unlock", "taro", "--reason", "電話で本人確認")
        person = self.person("taro")
        self.assertEqual(person.record()[0], ASK)
        self.assertEqual(person.answer(self.password["taro"], self.recovery["taro"][0])[0], READY)
        self.assertIn("factors=certificate,password,recovery", self.records("login", "taro")[0])

    def test_3_a_ticket_lives_as_long_as_the_session(self):
        first = self.person("hanako")
        first.record()
        self.assertEqual(first.answer(self.password["hanako"], self.recovery["hanako"][1])[0], READY)
        again = self.person("hanako")
        again.record()
        self.assertEqual(again.show(first.ticket)[0], READY)
        self.assertNotEqual(again.ticket, first.ticket)
        self.assertIn("factors=certificate,ticket", self.records("login", "hanako")[-1])
        self.broker.ctl("cutoff", "--reason", "test")
        self.broker.ctl("restore", "--reason", "test")
        garasu.wait_for("the session's end", lambda: not self.broker.sessions())
        late = self.person("hanako")
        late.record()
        self.assertEqual(late.show(again.ticket)[:2], (ASK, REASONS["WRONG_FACTOR"]))
        garasu.wait_for("the record", lambda: "ticket=wrong" in self.records("login.failed", "hanako"))
        self.broker.verify()


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists(garasu.IMAGES + "/current"):
        print("skipped: needs root and a sandbox image")
        sys.exit(77)
    unittest.main(verbosity=2)
