#!/usr/bin/env python3
"""The pam process between the identity process and a real OpenLDAP server, by libpam-ldapd and nslcd.

    pam_test.py [test …]

slapd and nslcd are started here, with configurations and folders of their own. What has to stand in /etc and /run is put there in
a mount namespace, which ends with this program: the machine's files are not touched.
"""
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse

import garasu
from identity_parts import CODE, PASSWORD, Identity, certificates, check, folder, run, totp
from supervise import REASONS, SLOW, Child, pair
from two_factor_test import ASK, READY, Person

SLAPD, NSLCD = "/usr/sbin/slapd", "/usr/sbin/nslcd"
HANG = 100000 + os.getpid()  # seconds; to be told from another test's
BASE = "dc=city,dc=example"
SECRETS = {"hanako": "正しい馬", "taro": "taro's own", "saburo": "expired long ago"}

SLAPD_CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {0}/slapd.pid
database mdb
suffix "{1}"
rootdn "cn=admin,{1}"
rootpw no-secret
directory {0}/ldap
"""
PERSON = """
dn: uid={0},{1}
objectClass: account
objectClass: posixAccount
objectClass: shadowAccount
uid: {0}
cn: {0}
uidNumber: {2}
gidNumber: 5000
homeDirectory: /nonexistent
userPassword: {3}
{4}
"""
SERVICES = {
    "garasu": "auth required pam_ldap.so\naccount required pam_ldap.so\n",
    # A module that never answers, and one that says what it is asked for, twice, and dies of a wrong second answer.
    "garasu-hangs": "auth required pam_exec.so quiet /bin/sleep {1}\naccount required pam_permit.so\n",
    "garasu-dies": "auth required pam_exec.so expose_authtok quiet {0}/judge\naccount required pam_permit.so\n",
}


class Directory:
    """slapd and nslcd."""

    def __init__(self, place):
        self.place = place
        (place / "ldap").mkdir()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.config = place / "slapd.conf"
        self.config.write_text(SLAPD_CONF.format(place, BASE))
        ldif = f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: city\ndc: city\n"
        for i, (person, secret) in enumerate(SECRETS.items()):
            ldif += PERSON.format(person, BASE, 10001 + i, secret, "shadowExpire: 1" if person == "saburo" else "shadowMin: 0")
        subprocess.run(["slapadd", "-f", self.config], input=ldif, text=True, check=True, stderr=subprocess.DEVNULL)
        self.slapd = self.nslcd = None
        self.start()
        (place / "nslcd.conf").write_text(f"uid root\ngid root\nuri ldap://127.0.0.1:{self.port}/\nbase {BASE}\n"
                                          "timelimit 3\nbind_timelimit 3\nreconnect_sleeptime 1\nreconnect_retrytime 2\n")
        (place / "nslcd.conf").chmod(0o600)
        subprocess.run(["mount", "--bind", place / "nslcd.conf", "/etc/nslcd.conf"], check=True)
        self.nslcd = subprocess.Popen([NSLCD, "-n"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait(lambda: os.path.exists("/run/nslcd/socket"), "nslcd")

    def start(self):
        self.slapd = subprocess.Popen([SLAPD, "-f", self.config, "-h", f"ldap://127.0.0.1:{self.port}", "-d", "0"],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait(self.answers, "slapd")

    def answers(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    @staticmethod
    def wait(condition, what):
        end = time.monotonic() + SLOW
        while not condition():
            check(time.monotonic() < end, "waited too long for", what)
            time.sleep(0.02)

    def stop(self):
        self.slapd.kill()
        self.slapd.wait()

    def close(self):
        for process in (self.slapd, self.nslcd):
            if process and process.poll() is None:
                process.kill()
                process.wait()


class Service:
    """An identity process and a pam process with one configuration."""

    def __init__(self, place, ca, name, service, **keys):
        keys = {"password": "pam", "code": "none", "pam_service": service, "lockout_seconds": 600, "attempts": 4, **keys}
        self.identity = Identity(place, ca, name, **keys)
        self.log = open(place / f"{name}-pam.log", "ab")
        self.start()

    def start(self):
        self.pam = Child("garasu-pam", self.identity.config, stderr=self.log.fileno())
        self.pam.expect("READY")
        ours, theirs = pair()
        ours.setblocking(False)
        self.pam.send("PEER", fd=ours.fileno())
        self.identity.child.send("PEER", fd=theirs.fileno())
        ours.close()
        theirs.close()

    def unlocked(self, person):
        self.identity.user("unlock", person)
        return self.identity.begin(person)

    def close(self):
        self.identity.close()
        self.pam.close()
        self.log.close()


class Test:
    def __init__(self, place, ca):
        self.place, self.ca = place, ca
        self.directory = Directory(place)
        self.service = Service(place, ca, "ldap", "garasu")
        self.hanging = Service(place, ca, "hangs", "garasu-hangs")
        # The first of the test: it takes as long as the pam process's deadline, beside all the others.
        self.hung = self.hanging.identity.begin("hanako")
        self.hung.send("x")
        self.directory.wait(sleeping, "the module that hangs")
        self.began = time.monotonic()

    def close(self):
        for part in (self.service, self.hanging, self.directory):
            part.close()


def the_directory_knows_who_is_right(t):
    for person in ("hanako", "taro"):
        c = t.service.unlocked(person)
        check(c.first.ask == PASSWORD, "asks", c.first)
        answer = c.give(SECRETS[person])
        check((answer.reason, answer.person) == ("NONE", person), "in", answer)
        t.service.identity.told("IDENTIFIED", "NONE", c, "factors=certificate,pam-password")


def who_is_wrong_unknown_or_expired_looks_the_same(t):
    seen = set()
    for person, password, words in (("hanako", "wrong", "Authentication failure"), ("hanako", SECRETS["taro"], "Authentication failure"),
                                    ("hanako", "", "pam=wrong"), ("jiro", "x", "pam=wrong"),
                                    ("saburo", SECRETS["saburo"], "expired")):
        c = t.service.unlocked(person)
        answer = c.give(password)
        check((answer.reason, answer.ask, answer.tries) == ("WRONG_FACTOR", PASSWORD, 3), person, answer)
        seen.add(answer.packet[:16])
        t.service.identity.told("LOGIN_FAILED", "WRONG_FACTOR", c, "pam=wrong", words)
        c.close()
    check(len(seen) == 1, "a viewer can tell them apart", seen)


def wrong_passwords_lock_out_before_the_directory_is_asked(t):
    c = t.service.unlocked("taro")
    for _ in range(3):
        check(c.give("wrong").reason == "WRONG_FACTOR", "wrong")
        t.service.identity.told("LOGIN_FAILED", "WRONG_FACTOR", c)
    check(c.give("wrong").reason == "LOCKED_OUT", "fourth")
    t.service.identity.told("LOGIN_FAILED", "LOCKED_OUT", c)
    t.service.identity.told("IDENTIFIED", "LOCKED_OUT", c)
    check(t.service.identity.begin("taro").first.reason == "LOCKED_OUT", "asked")
    t.service.identity.child.expect("IDENTIFIED", "LOCKED_OUT")
    c = t.service.unlocked("taro")
    check(c.give(SECRETS["taro"]).reason == "NONE", "unlocked")
    t.service.identity.child.expect("IDENTIFIED", "NONE")


def a_directory_that_is_down_is_told_as_such(t):
    t.directory.stop()
    try:
        c = t.service.unlocked("hanako")
        began = time.monotonic()
        answer = c.give(SECRETS["hanako"])
        took = time.monotonic() - began
        check((answer.reason, answer.ask, answer.person) == ("INTERNAL", 0, ""), "in", answer)
        message = t.service.identity.told("IDENTIFIED", "INTERNAL", c, "PAM cannot tell: ")
    finally:
        t.directory.start()
    # It was nobody's fault.
    check(t.service.identity.begin("hanako").first.tries == 4, "counted")

    def again():
        person = t.service.unlocked("hanako")
        reason = person.give(SECRETS["hanako"]).reason
        t.service.identity.child.expect("IDENTIFIED", reason)
        return reason == "NONE"
    t.directory.wait(again, "the directory to be used again")
    return f"told after {took:.1f} s: {message.text.split('PAM cannot tell: ')[1]}"


def a_code_of_ours_goes_with_a_password_of_theirs(t):
    both = Service(t.place, t.ca, "both", "garasu", password="pam", code="local")
    try:
        none, secret, _ = both.identity.add("hanako")
        check(none == "", "a password that nobody needs")
        for password, code, reason, words in (("wrong", totp(secret), "WRONG_FACTOR", "code=right pam=wrong"),
                                              (SECRETS["hanako"], "000000", "WRONG_FACTOR", "code=wrong pam=right"),
                                              (SECRETS["hanako"], totp(secret), "NONE", "factors=certificate,pam-password,totp"),
                                              (SECRETS["hanako"], totp(secret), "WRONG_FACTOR", "code=used-before pam=right")):
            c = both.unlocked("hanako")
            check(c.first.ask == PASSWORD | CODE, "asks", c.first)
            check(c.give(password, code).reason == reason, words)
            message = both.identity.child.receive()
            check(words in message.text, "told", message)
            c.close()
    finally:
        both.close()


def modules_that_ask_more_than_there_is_fail(t):
    """pam_exec's program sees the one answer; a second question of a stack gets none."""
    dies = Service(t.place, t.ca, "dies", "garasu-dies")
    try:
        for password, reason in (("open sesame", "NONE"), ("x", "WRONG_FACTOR")):
            c = dies.unlocked("hanako")
            check(c.give(password).reason == reason, password)
            dies.identity.child.receive()
            c.close()
        # The pam process dies, and comes again.
        c = dies.unlocked("hanako")
        dies.pam.kill()
        check(c.give("open sesame").reason == "INTERNAL", "without it")
        dies.identity.told("IDENTIFIED", "INTERNAL", c, "pam process")
        dies.start()
        c = dies.unlocked("hanako")
        check(c.give("open sesame").reason == "NONE", "with it")
        dies.identity.child.expect("IDENTIFIED", "NONE")
    finally:
        dies.close()


def its_powers_are_few_and_without_its_service_it_does_not_start(t):
    status = pathlib.Path(f"/proc/{t.service.pam.pid}/status").read_text()
    for line in ("NoNewPrivs:\t1", "CapInh:\t0000000000000000", "CapAmb:\t0000000000000000"):
        check(line in status, line, status)
    for key in ("CapPrm", "CapEff", "CapBnd"):
        check(int(status.split(key + ":\t")[1].split()[0], 16) & ~(1 << 29) == 0, key)  # AUDIT_WRITE
    log = open(t.place / "none.log", "wb")
    config = t.place / "none.conf"
    config.write_text(t.service.identity.config.read_text().replace('pam_service = "garasu"', 'pam_service = "not-there"'))
    child = Child("garasu-pam", config, stderr=log.fileno())
    check(child.exit_status() == 1, "status")
    child.close()
    check("there is no /etc/pam.d/not-there" in (t.place / "none.log").read_text(), "words")


def sleeping():
    """What pam_exec started, which has a session of its own."""
    return [p.name for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and command_of(p) == f"/bin/sleep\0{HANG}\0".encode()]


def command_of(process):
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def a_broker_asks_the_directory(t):
    """From the viewer to slapd and the record."""
    if not os.path.exists(garasu.IMAGES + "/current"):
        return "skipped: needs a sandbox image"
    broker = garasu.Broker("http://127.0.0.1:1/", identity={"password": "pam", "code": "none", "attempts": 3}).start()
    try:
        person = Person(broker, "hanako")
        check(person.record()[:3] == (ASK, 0, PASSWORD), "asks")
        check(person.answer("wrong", "")[:4] == (ASK, REASONS["WRONG_FACTOR"], PASSWORD, 2), "wrong")
        check(person.answer(SECRETS["hanako"], "")[0] == READY, "right")
        person.close()
        details = {r["kind"]: urllib.parse.unquote(r["detail"]) for r in broker.audit() if "detail" in r}
        check(details["login.failed"] == "pam=wrong (Authentication failure)", details)
        check("factors=certificate,pam-password" in details["login"], details)
        pam = [pid for pid, command in garasu.processes(0, 1).items() if "garasu-pam " in command and broker.run_directory in command]
        check(len(pam) == 1, pam)
        status = pathlib.Path(f"/proc/{pam[0]}/status").read_text()
        check(int(status.split("CapBnd:\t")[1].split()[0], 16) & ~(1 << 29) == 0, status)
        os.kill(pam[0], 9)
        person = Person(broker, "hanako")
        check(person.record()[0] == ASK, "asks again")
        garasu.wait_for("another pam process", lambda: broker.log_text().count("garasu-pam ended") == 1)

        def again():
            person = Person(broker, "hanako")
            answer = person.record()[0] == ASK and person.answer(SECRETS["hanako"], "")[0]
            person.close()
            return answer == READY
        garasu.wait_for("it to be asked", again, pause=0.2)
    finally:
        broker.finish()
    return None


def a_module_that_hangs_is_given_up(t):
    answer = t.hung.answer() if not t.hung.sock.settimeout(40) else None
    check((answer.reason, answer.ask) == ("INTERNAL", 0), "in", answer)
    t.hanging.identity.told("IDENTIFIED", "INTERNAL", t.hung, "no answer in time")
    children = pathlib.Path(f"/proc/{t.hanging.pam.pid}/task/{t.hanging.pam.pid}/children")
    t.directory.wait(lambda: children.read_text() == "", "the module's processes to be ended")
    check(not sleeping(), "left", sleeping())
    return f"after {time.monotonic() - t.began:.0f} s"


def nothing_secret_is_logged(t):
    logs = "".join(p.read_text(errors="replace") for p in t.place.glob("*.log"))
    for secret in (*SECRETS.values(), "open sesame"):
        check(secret not in logs, "in a log", secret)


TESTS = [the_directory_knows_who_is_right, who_is_wrong_unknown_or_expired_looks_the_same,
         wrong_passwords_lock_out_before_the_directory_is_asked, a_directory_that_is_down_is_told_as_such,
         a_code_of_ours_goes_with_a_password_of_theirs, modules_that_ask_more_than_there_is_fail,
         its_powers_are_few_and_without_its_service_it_does_not_start, a_broker_asks_the_directory,
         a_module_that_hangs_is_given_up, nothing_secret_is_logged]


def main():
    for program in (SLAPD, NSLCD, "/etc/nslcd.conf"):
        if not os.path.exists(program):
            print(f"skipped: {program} is not there (scripts/setup test)")
            return 77
    if os.geteuid() != 0:
        print("skipped: needs root")
        return 77
    if os.environ.get("GARASU_OWN_MOUNTS") != "1":
        os.environ["GARASU_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    place = folder()
    t = None
    try:
        (place / "pam.d").mkdir()
        judge = place / "judge"
        judge.write_text('#!/bin/sh\nread -r given\n[ "$given" = "open sesame" ]\n')
        judge.chmod(0o755)
        for name, text in SERVICES.items():
            (place / "pam.d" / name).write_text(text.format(place, HANG))
        subprocess.run(["mount", "--bind", place / "pam.d", "/etc/pam.d"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
        os.mkdir("/run/nslcd")
        t = Test(place, certificates(place))
        return run("pam_test", TESTS, sys.argv[1:], t)
    finally:
        if t:
            t.close()
            if os.environ.get("GARASU_KEEP"):
                print("".join(p.read_text(errors="replace") for p in place.glob("*.log")))
        shutil.rmtree(place)


if __name__ == "__main__":
    sys.exit(main())
