#!/usr/bin/env python3
"""garasuctl user with a real broker: what is shown once, what is recorded, what is nowhere. Needs root and a sandbox image (GARASU_IMAGES)."""
import json
import os
import pathlib
import pty
import re
import subprocess
import sys
import urllib.parse
import unittest

import garasu


def on_terminal(command):
    """What a command prints on a terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdout=slave, stderr=subprocess.STDOUT, env={**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"})
    os.close(slave)
    text = b""
    try:
        while piece := os.read(master, 65536):
            text += piece
    except OSError:
        pass  # the terminal's end
    os.close(master)
    return process.wait(), text.decode()


class User(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = garasu.Broker("http://127.0.0.1:1/", identity={"password": "local", "code": "local"}).start()

    @classmethod
    def tearDownClass(cls):
        cls.broker.finish()

    def user(self, *arguments, check=True):
        return self.broker.ctl("user", *arguments, check=check)

    def test_1_secrets_are_shown_once_and_kept_nowhere_else(self):
        reason = "新任 2026年度"
        added = json.loads(self.broker.ctl("--json", "user", "add", "hanako", "--reason", reason).stdout)
        coded = json.loads(self.broker.ctl("--json", "user", "code", "hanako", "--reason", reason).stdout)
        recovery = json.loads(self.broker.ctl("--json", "user", "recovery", "hanako", "--reason", reason).stdout)
        again = self.user("password", "hanako", "--reason", "忘れた").stdout
        code, shown = on_terminal([garasu.BUILD / "bin/garasuctl", "--config", self.broker.config, "user", "code", "hanako", "--reason", reason])
        self.assertEqual(code, 0, shown)
        self.assertIn("▀", shown, "a QR code on a terminal")
        self.assertNotIn("▀", self.user("code", "hanako", "--reason", reason).stdout, "and only there")
        self.assertIn("This is shown once.", shown)
        query = urllib.parse.parse_qs(urllib.parse.urlparse(coded["uri"]).query)
        self.assertEqual(len(recovery["codes"]), 10)
        secrets = [added["password"], query["secret"][0], *recovery["codes"], re.search("password: (.*)", again).group(1),
                   re.search("secret=([A-Z2-7]{32})", shown).group(1)]
        self.assertEqual(len(set(secrets)), len(secrets))
        records = [r for r in self.broker.audit() if r["kind"] == "user"]
        self.assertEqual([r["target"] for r in records][:3], ["add", "code", "recovery"])
        for record in records:
            self.assertEqual((record["person"], record["actor"]), ("hanako", "root"))
        self.assertEqual(urllib.parse.unquote(records[0]["detail"]), reason)
        self.broker.verify()
        places = {path: path.read_bytes() for path in pathlib.Path(self.broker.folder).rglob("*") if path.is_file()}
        for secret in secrets:
            for path, content in places.items():
                self.assertNotIn(secret.encode(), content, path)

    def test_2_list_and_the_rest(self):
        for person in "taro", "jiro":
            self.user("add", person, "--reason", "x")
        persons = {p["person"]: p for p in json.loads(self.broker.ctl("--json", "user", "list").stdout)}
        self.assertEqual(set(persons), {"hanako", "taro", "jiro"})
        self.assertEqual(persons["hanako"], {"person": "hanako", "kept": True, "code": True, "recovery": 10, "failures": 0, "locked": 0})
        self.assertIn("PERSON", self.user("list").stdout)
        self.user("remove", "jiro", "--reason", "退職")
        self.assertNotIn("jiro", self.user("list").stdout)

    def test_3_what_cannot_be_done_is_said(self):
        for arguments, status, words in ((("add", "taro", "--reason", "x"), 1, "taro is in users.db already"),
                                         (("remove", "nobody", "--reason", "x"), 1, "there is no person nobody"),
                                         (("unlock", "taro", "--reason", "x"), 1, "taro has no wrong tries"),
                                         (("add", "Taro", "--reason", "x"), 1, "no person's id"),
                                         (("add", "saburo"), 2, "--reason"), (("promote", "taro"), 2, "user wants"),
                                         (("add", "saburo", "--reason", "x" * 161), 2, "too long")):
            done = self.user(*arguments, check=False)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(words, done.stderr)

    def test_4_the_process_has_its_folder_and_no_more(self):
        identity = [pid for pid, command in self.broker.own_processes().items() if "garasu-identity" in command]
        self.assertEqual(len(identity), 1)
        self.assertEqual(sorted(os.listdir(f"/proc/{identity[0]}/root")), ["users.db", "users.db-journal"])
        os.kill(identity[0], 9)
        garasu.wait_for("identity to be there again", lambda: self.user("list", check=False).returncode == 0)
        self.assertIn("hanako", self.user("list").stdout)


if __name__ == "__main__":
    if os.geteuid() != 0 or not os.path.exists(garasu.IMAGES + "/current"):
        print("skipped: needs root and a sandbox image")
        sys.exit(77)
    unittest.main(verbosity=2)
