#!/usr/bin/env python3
"""Bad input and faults, as people meet them: each gives a clear message and exit code, and leaves nothing behind."""
import hashlib
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

import garasu
import record
from garasu import wait_for

ENGLISH = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
# The most that these keep of root's powers, as bits of linux/capability.h (broker/*/policy.h, docs/decisions/0008-supervisor.md).
CAPABILITIES = {"garasu-pool": sum(1 << n for n in (0, 1, 3, 6, 7, 8, 12, 18, 21, 24))}
CAPABILITIES["garasu-broker"] = CAPABILITIES["garasu-pool"] | 1 << 5 | 1 << 10 | 1 << 29  # KILL, NET_BIND_SERVICE, AUDIT_WRITE
JAPANESE = {"LANG": "ja_JP.UTF-8", "LC_ALL": "ja_JP.UTF-8"}


def run_viewer(*arguments, environment=ENGLISH, **options):
    return subprocess.run([garasu.BUILD / "bin/garasu-viewer", "--headless", "--timeout", "60", "--wait-idle", "200", *map(str, arguments)],
                          capture_output=True, text=True, timeout=garasu.DEADLINE, env={**os.environ, **environment}, **options)


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = garasu.site()
        # With a forward process too, whose server is never there.
        cls.broker = garasu.Broker(cls.site.url, allow=[f"127.0.0.1:{cls.site.server_port}"],
                                   syslog={"server": f"127.0.0.1:{garasu.free_port()}", "ca": "/etc/ssl/certs/ca-certificates.crt"}).start()
        cls.target = f"127.0.0.1:{cls.broker.port}"

    @classmethod
    def tearDownClass(cls):
        cls.broker.finish()

    def refused(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def connected(self, name="hanako"):
        viewer = self.broker.viewer(name)
        self.addCleanup(viewer.close)
        viewer("wait-first-frame")
        return viewer

    def recorded(self, kind, **fields):
        return [r for r in self.broker.audit() if r["kind"] == kind and all(r.get(k) == v for k, v in fields.items())]

    def test_certificate_of_another_ca(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([garasu.SOURCE / "certs/garasu-ca", "demo", f"{folder}/ca"], check=True, stdout=subprocess.DEVNULL)
            other = f"{folder}/ca/persons/hanako"
            before = len(self.recorded("login.refused"))
            self.refused(run_viewer("--ca", self.broker.ca / "ca.pem", "--certificate", other + ".pem", "--key", other + ".key", self.target), 4)
            wait_for("the refusal in the record", lambda: len(self.recorded("login.refused")) == before + 1)
            self.assertEqual(self.recorded("login.refused")[-1]["reason"], "bad-certificate")
            # And the other way round: the viewer does not trust this broker.
            self.refused(run_viewer("--ca", f"{folder}/ca/ca.pem", "--certificate", other + ".pem", "--key", other + ".key", self.target), 3)

    def test_expired_certificate(self):
        subprocess.run([garasu.SOURCE / "certs/garasu-ca", "person", self.broker.ca, "jiro", "--expired"], check=True, stdout=subprocess.DEVNULL)
        self.refused(run_viewer(*self.broker.person("jiro"), self.target), 4, "expired")
        done = run_viewer(*self.broker.person("jiro"), self.target, environment=JAPANESE)
        self.refused(done, 4, "期限")

    def test_revoked_certificate(self):
        # A list that is newer than the running broker's is another test's matter: here the broker starts with it.
        other = garasu.Broker(self.site.url)
        self.addCleanup(other.remove)
        subprocess.run([garasu.SOURCE / "certs/garasu-ca", "revoke", other.ca, "taro"], check=True, stdout=subprocess.DEVNULL)
        other.run_directory += "-b"
        other.config.write_text(other.config.read_text()
                                .replace(self.broker.run_directory, other.run_directory)
                                .replace(f"uid_first = {garasu.UID_FIRST}", f"uid_first = {garasu.UID_FIRST + 128 * 65536}")
                                .replace(f"uid_base = {self.broker.UID_BASE}", f"uid_base = {self.broker.UID_BASE + 64 * 16384}"))
        other.start()
        self.refused(run_viewer(*other.person("taro"), f"127.0.0.1:{other.port}"), 4)
        self.assertEqual(other.stop(), 0)

    def test_revoked_while_connected(self):
        """Within a minute: the viewer is told, the session ends, others stay, and the record says so."""
        tool = garasu.SOURCE / "certs/garasu-ca"
        subprocess.run([tool, "person", self.broker.ca, "saburo"], check=True, stdout=subprocess.DEVNULL)
        other, viewer = self.connected("hanako"), self.connected("saburo")
        serial = subprocess.run(["openssl", "x509", "-in", self.broker.ca / "persons/saburo.pem", "-noout", "-serial"], check=True,
                                capture_output=True, text=True).stdout.strip().split("=")[1]
        session = next(s["session"] for s in self.broker.sessions() if s["person"] == "saburo")
        subprocess.run([tool, "revoke", self.broker.ca, "saburo"], check=True, stdout=subprocess.DEVNULL)
        began = time.monotonic()
        self.assertEqual(viewer.wait(), 4)
        self.assertLess(time.monotonic() - began, 60)
        self.assertIn("revoked", viewer.error_text())
        wait_for("the session's end", lambda: self.recorded("session.end", reason="revoked", person="saburo", session=session))
        detached = self.recorded("session.detach", reason="revoked", person="saburo", session=session)
        self.assertEqual(len(detached), 1)
        self.assertIn(serial, detached[0]["detail"])
        self.assertFalse([s for s in self.broker.sessions() if s["person"] == "saburo"])
        self.refused(run_viewer(*self.broker.person("saburo"), self.target), 4)
        other("wait-idle 100")
        other("quit")
        self.assertEqual(other.wait(), 0)

    def test_no_certificate(self):
        self.refused(run_viewer("--ca", self.broker.ca / "ca.pem", self.target), 4)

    def test_broker_not_running(self):
        self.refused(run_viewer(*self.broker.person("hanako"), f"127.0.0.1:{garasu.free_port()}"), 2, "refused")
        done = run_viewer(*self.broker.person("hanako"), f"127.0.0.1:{garasu.free_port()}", environment=JAPANESE)
        self.refused(done, 2, "接続")

    def test_wrong_port(self):
        """The VeNCrypt port, and the web site's: neither speaks garasu/1."""
        self.refused(run_viewer(*self.broker.person("hanako"), f"127.0.0.1:{self.broker.vencrypt_port}"), 3)
        self.refused(run_viewer(*self.broker.person("hanako"), f"127.0.0.1:{self.site.server_port}"), 3)

    def test_wrong_command_line(self):
        self.refused(run_viewer("--certificate", "/nonexistent.pem", "--key", "/nonexistent.key", "--ca", "/nonexistent", self.target), 1, "/nonexistent")
        self.refused(run_viewer("--no-such-option", self.target), 1)
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = (self.broker.ca / f"persons/hanako.{kind}" for kind in ("pem", "key"))
            pathlib.Path(folder, "key").write_bytes(key.read_bytes())
            os.chmod(f"{folder}/key", 0o640)
            arguments = ["--ca", self.broker.ca / "ca.pem", "--certificate", certificate, "--key", f"{folder}/key", self.target]
            self.refused(run_viewer(*arguments), 1, "chmod 600")
            os.chmod(f"{folder}/key", 0o600)
            self.assertEqual(run_viewer(*arguments).returncode, 0)
        self.refused(run_viewer(), 1)

    def test_wrong_configuration_line(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(self.broker.config.read_text().replace("maximum = 4", "maximum = many"))
            file.flush()
            line = 1 + next(i for i, text in enumerate(pathlib.Path(file.name).read_text().splitlines()) if "many" in text)
            done = subprocess.run([garasu.BUILD / "bin/garasu-broker", "--check", "--config", file.name], capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"{file.name}:{line}: ", done.stdout + done.stderr)
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(self.broker.config.read_text().replace("audit.key", "no.key"))
            file.flush()
            done = subprocess.run([garasu.BUILD / "bin/garasu-broker", "--check", "--config", file.name], capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stdout + done.stderr, "signing_key.*garasu-ca audit-key")
        done = subprocess.run([garasu.BUILD / "bin/garasu-broker", "--check", "--config", self.broker.config], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_viewer_that_sends_what_is_not_permitted(self):
        """The guard ends it, the record says so and the bytes are kept; the session waits for the person, and others see nothing of it."""
        other = self.connected("taro")
        session = None
        for message, rule in ((struct.pack(">BBxxII", 7, 3, 0, 12) + b"/etc/passwd\0", "FileTransfer"), (b"\xfa\0\1\2", "Xvp"),
                              (struct.pack(">B3xI", 6, 0xffffffff), "extended%20clipboard")):
            viewer = self.broker.rfb("hanako")
            secret = "機密".encode() + os.urandom(8).hex().encode()
            viewer.sendall(b"\1" + struct.pack(">B3xI", 6, len(secret)) + secret + message)
            while viewer.recv(65536):  # ServerInit may have been on its way
                pass
            viewer.close()
            ended = wait_for("the violation in the record", lambda: [r for r in self.recorded("guard.violation") if rule in r["detail"]])[-1]
            self.assertIn(f"sha256%3D{hashlib.sha256(message).hexdigest()}", ended["detail"])
            self.assertEqual((ended["person"], ended["session"]), ("hanako", session or ended["session"]))
            session = ended["session"]
            kept = self.broker.audit_directory / ended["target"]
            self.assertEqual(kept.read_bytes(), message)
            self.assertEqual((kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777), (0o600, 0o700))
            refused = self.recorded("clipboard.refused", connection=ended["connection"])
            self.assertEqual([(r["up"], r["session"], r["detail"]) for r in refused],
                             [(str(len(secret)), session, f"direction%3Dup%20sha256%3D{hashlib.sha256(secret).hexdigest()}")])
            detached = wait_for("its end", lambda: self.recorded("session.detach", connection=ended["connection"]))
            self.assertEqual(detached[0]["reason"], "protocol")
            self.assertNotIn(secret.decode(), record.Record(self.broker.audit_directory).text().decode() + self.broker.log_text())
        viewer = self.connected()
        self.assertEqual([s["session"] for s in self.broker.sessions() if s["person"] == "hanako"], [session])
        viewer("quit")
        other("quit")
        self.broker.verify()

    def test_garbage_on_the_ports(self):
        for port in self.broker.port, self.broker.vencrypt_port:
            for data in b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 300, b"RFB 003.008\n\xff\xff", os.urandom(2000):
                with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
                    s.sendall(data)
                    s.shutdown(socket.SHUT_WR)
                    try:
                        while s.recv(4096):
                            pass
                    except ConnectionError:
                        pass
        self.connected()("quit")

    def test_failing_handshakes_bar_their_address_for_a_while(self):
        """T26, with the default of 20 a minute: no process and no record is spent on it meanwhile; who is connected stays."""
        viewer = self.connected()
        barred = lambda: [r for r in self.recorded("login.refused") if "not%20served" in r["detail"]]
        earlier = len(barred())
        for _ in range(20):
            self.assertEqual(len(barred()), earlier, "too early")
            with socket.create_connection(("127.0.0.1", self.broker.port), timeout=30) as s:
                s.sendall(b"GET / HTTP/1.1\r\n\r\n")
                while s.recv(4096):
                    pass
        wait_for("the record of it", lambda: len(barred()) == earlier + 1)
        self.assertIn("for%2010%20s", barred()[-1]["detail"])
        refused = len(self.recorded("login.refused"))
        for _ in range(5):  # without a word and at once: a gateway would wait for a ClientHello
            with socket.create_connection(("127.0.0.1", self.broker.port), timeout=5) as s:
                self.assertEqual(s.recv(1), b"")
        self.assertEqual(len(self.recorded("login.refused")), refused)
        viewer("wait-idle 100")
        wait_for("it to be served again", lambda: run_viewer(*self.broker.person("taro"), self.target).returncode == 0)
        viewer("quit")

    def test_container_dies_while_watched(self):
        viewer = self.connected()
        os.kill(garasu.of_container(self.broker, "hanako", "garasu-agent"), signal.SIGKILL)
        self.assertEqual(viewer.wait(), 6)
        self.assertTrue(viewer.error_text())
        wait_for("the session's end", lambda: self.recorded("session.end", reason="container-failed"))
        # A new one is there for the person who connects again.
        self.connected()("quit")

    def test_browser_that_crashes_is_started_again(self):
        viewer = self.connected()
        viewer("wait-idle 300")
        self.site.events.clear()
        os.kill(garasu.of_container(self.broker, "hanako", "chromium"), signal.SIGKILL)
        viewer("wait-change")
        viewer("wait-idle 500")
        viewer("quit")
        self.assertEqual(viewer.wait(), 0)

    def test_session_process_that_dies_costs_a_reconnect_not_the_browser(self):
        viewer = self.connected()
        viewer("wait-idle 300")
        viewer("key Alt_L+Home")
        wait_for("the page", lambda: self.site.events)
        viewer("wait-idle 300")
        viewer("key Control_L+l")
        viewer("wait-change")
        viewer("wait-idle 300")
        viewer(f"type {self.site.url}history")
        viewer("key Return")
        wait_for("the page", lambda: any(e["type"] == "load" and e["path"] == "/history" for e in self.site.events))
        loads = len([e for e in self.site.events if e["type"] == "load"])
        slot = next(s["container"] for s in self.broker.sessions() if s["person"] == "hanako") - 1
        pid = next(p for p, c in self.broker.own_processes().items() if "garasu-session" in c and c.split()[-1] == str(slot))
        os.kill(pid, signal.SIGKILL)
        self.assertIn(viewer.wait(), (6, 9))
        again = self.connected()
        again("wait-idle 300")
        self.assertEqual(len([e for e in self.site.events if e["type"] == "load"]), loads, "the page was loaded anew")
        again("quit")

    def test_viewer_that_vanishes_in_mid_frame(self):
        viewer = self.connected()
        viewer("key Alt_L+Home")
        before = len(self.recorded("session.detach"))
        os.kill(viewer.process.pid, signal.SIGKILL)
        wait_for("the detach in the record", lambda: len(self.recorded("session.detach")) > before)
        self.assertEqual(self.recorded("session.detach")[-1]["reason"], "viewer-left")
        wait_for("its processes to be gone", lambda: not garasu.processes(self.broker.UID_BASE + 4096, 1024))
        self.connected()("quit")

    def test_decoder_that_dies_ends_the_viewer(self):
        """T34: an error and its exit code; nothing is started again, and the session waits for its person."""
        for signo in signal.SIGSEGV, signal.SIGSYS:
            viewer = self.connected()
            names = garasu.viewer_processes(viewer.process.pid)
            self.assertEqual(len(names), 2, names)
            sessions = len(self.recorded("session.attach", person="hanako"))
            os.kill(names["garasu-decoder"], signo)
            self.assertEqual(viewer.wait(), 8)
            self.assertIn("decoder", viewer.error_text())
            self.assertFalse([pid for pid in names.values() if os.path.exists(f"/proc/{pid}")])
            wait_for("the viewer to be gone", lambda: all(not s["connection"] for s in self.broker.sessions() if s["person"] == "hanako"))
            self.assertEqual(len(self.recorded("session.attach", person="hanako")), sessions, "it connected again by itself")
        self.connected()("quit")

    def test_grace_time_ends_the_session(self):
        self.connected("taro")("quit")
        wait_for("the end of the session", lambda: self.recorded("session.end", reason="time-over", person="taro"))
        self.assertFalse([s for s in self.broker.sessions() if s["person"] == "taro"])

    def test_second_terminal_takes_over(self):
        first = self.connected("taro")
        second = self.connected("taro")
        self.assertEqual(first.wait(), 7)
        second("wait-idle 100")
        second("quit")

    def test_admin_ends_a_session(self):
        viewer = self.connected("taro")
        done = self.broker.ctl("kill", "taro")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(viewer.wait(), 7)
        self.assertEqual(self.broker.ctl("kill", "taro", check=False).returncode, 1)

    def test_unprivileged_processes(self):
        """Of every process that runs: what it has given up, as the kernel tells it."""
        self.connected()
        keys = "Uid", "PPid", "NoNewPrivs", "Seccomp", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"

        def status_of(pid):
            text = pathlib.Path(f"/proc/{pid}/status").read_text()
            return {key: re.search(rf"^{key}:\t(.*)$", text, re.M).group(1).split() for key in keys}
        processes = self.broker.own_processes()
        processes.update((pid, command) for pid, command in garasu.processes(0, 1).items()
                         if status_of(pid)["PPid"] == [str(self.broker.process.pid)])  # the pool
        privileged, seen, uids = {}, [], []
        for pid, command in processes.items():
            status = status_of(pid)
            real, effective, saved, filesystem = map(int, status["Uid"])
            self.assertEqual(status["NoNewPrivs"], ["1"], command)
            self.assertEqual(pathlib.Path(f"/proc/{pid}/limits").read_text().split("Max core file size")[1].split()[:2], ["0", "0"], command)
            if real == 0:
                privileged[command] = status
                continue
            seen.append(command)
            uids.append(real)
            self.assertEqual((effective, saved, filesystem), (real, real, real), command)
            self.assertEqual(status["Seccomp"], ["2"], command)
            self.assertEqual(os.stat(f"/proc/{pid}/maps").st_uid, 0, f"{command} is dumpable")
            for key in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
                self.assertEqual(int(status[key][0], 16), 0, (command, key))
            # Its root is an empty folder; that of audit and forward is the record's.
            root = os.listdir(f"/proc/{pid}/root/")
            if "garasu-audit" in command or "garasu-forward" in command:
                self.assertIn("heads.log", root)
            else:
                self.assertEqual(root, [], command)
        self.assertEqual(len(uids), len(set(uids)), "two processes with one uid")
        for kind in "audit", "keys", "identity", "egress", "admin", "forward", "gateway", "session":
            self.assertTrue(any(f"garasu-{kind}" in command for command in seen), kind)
        self.assertEqual(len([c for c in seen if "garasu-pool" in c]), 1, "the pool's process for log lines")
        # Root stays where containers are started; not with all of its powers.
        self.assertEqual(len(privileged), 2, privileged)
        for command, status in privileged.items():
            for key in "CapPrm", "CapEff", "CapBnd":
                self.assertEqual(int(status[key][0], 16) & ~CAPABILITIES["garasu-pool" if "garasu-pool" in command else "garasu-broker"], 0, (command, key))
            for key in "CapInh", "CapAmb":
                self.assertEqual(int(status[key][0], 16), 0, (command, key))
            self.assertEqual(status["Seccomp"], status_of("self")["Seccomp"], "a filter there would be the containers' too")

    def test_control_tool_without_a_broker(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([garasu.BUILD / "bin/garasuctl", "--socket", f"{folder}/admin.sock", "status"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 3)
        self.assertTrue(done.stderr)


class FullDisk(unittest.TestCase):
    def test_audit_that_cannot_write_refuses_new_sessions_and_loses_nothing(self):
        site = garasu.site()
        folder = tempfile.mkdtemp(prefix="garasu-test-disk-")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "garasu-test", folder], check=True)
        broker = garasu.Broker(site.url, allow=[f"127.0.0.1:{site.server_port}"], audit=f"{folder}/audit")
        try:
            broker.start()
            viewer = broker.viewer("hanako")
            viewer("wait-first-frame")
            filler = pathlib.Path(folder, "filler")
            with open(filler, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * 4096)
                except OSError:
                    pass
            # The last page of the record may still have room: a few refusals fill it.
            def refused():
                done = run_viewer(*broker.person("taro"), f"127.0.0.1:{broker.port}")
                return done if done.returncode == 5 else None
            done = wait_for("a refusal", refused)
            self.assertIn("record", done.stderr)
            self.assertRegex(broker.ctl("status").stdout, r"cannot be written: No space left on device \(\d+ events kept\)")
            broker.verify()
            viewer("move 10 10")  # who is connected goes on
            filler.unlink()
            self.assertEqual(run_viewer(*broker.person("taro"), f"127.0.0.1:{broker.port}").returncode, 0)
            broker.verify()
            viewer("quit")
            viewer.close()
            self.assertEqual(broker.stop(), 0)
        finally:
            broker.remove()
            subprocess.run(["umount", folder], check=True)
            os.rmdir(folder)


if __name__ == "__main__":
    unittest.main(verbosity=2)
