#!/usr/bin/env python3
"""The identity process and its users.db over its sockets, with this program in the place of supervisor and gateways.

    identity_test.py [test …]
"""
import os
import random
import select
import shutil
import stat
import subprocess
import sys
import time

from identity_parts import CODE, FACTORS, PASSWORD, SOURCE, Identity, certificates, check, folder, run, totp

BOTH = PASSWORD | CODE
SLOW_ENOUGH = 20  # seconds: longer than any try takes
RIGHT = "factors=certificate,password,totp"


def two_factors_let_in_and_are_recorded(t):
    password, secret, recovery = t.add("hanako")
    c = t.begin("hanako")
    check((c.first.reason, c.first.ask, c.first.tries, c.first.wait, c.first.person) == ("NONE", BOTH, 3, 0, "hanako"), "asks", c.first)
    check(t.child.says_nothing(0.1), "told before the end")
    answer = c.give(password, totp(secret))
    check((answer.reason, answer.ask, answer.person) == ("NONE", 0, "hanako"), "in", answer)
    t.told("IDENTIFIED", "NONE", c, "serial=", "fingerprint=sha256:", RIGHT)
    check(c.hung_up(), "the last answer is the last")
    # A recovery code in the place of the one-time code.
    c = t.begin("hanako")
    check(c.give(password, recovery[3].upper().replace("-", " ")).reason == "NONE", "recovery")
    t.told("IDENTIFIED", "NONE", c, "factors=certificate,password,recovery")


def what_is_wrong_is_told_to_the_record_only(t):
    password, secret, _ = t.add("hanako")
    t.user("remove", "jiro")
    t.user("unlock", "jiro")
    seen = []
    for person, factors, told in (("hanako", (password + "x", totp(secret)), "password=wrong code=right"),
                                  ("hanako", (password, "000000"), "password=right code=wrong"),
                                  ("hanako", ("", ""), "password=wrong code=wrong"),
                                  ("jiro", (password, totp(secret)), "password=wrong code=none-set")):
        t.user("unlock", person)
        c = t.begin(person)
        answer = c.give(*factors)
        seen.append(answer.packet[:16])
        check((answer.reason, answer.ask, answer.tries, answer.wait) == ("WRONG_FACTOR", BOTH, 2, 1), "asked again", answer)
        check(t.told("LOGIN_FAILED", "WRONG_FACTOR", c).text == told, "told", told)
        c.close()
    check(len(set(seen)) == 1, "a viewer can tell them apart", seen)
    # Such a code is not used up.
    t.user("unlock", "hanako")
    c = t.begin("hanako")
    check(c.give(password, totp(secret)).reason == "NONE", "the right ones")
    t.told("IDENTIFIED", "NONE", c)


def an_answer_before_its_time_waits(t):
    password, secret, _ = t.add("taro")
    c = t.begin("taro")
    check(c.give("x").wait == 1, "first")
    t.told("LOGIN_FAILED", "WRONG_FACTOR", c)
    began = time.monotonic()
    check(c.give("y").wait == 2, "second")
    check(time.monotonic() - began > 0.5, "judged at once")  # seconds of the clock: one that begins in the middle is shorter
    t.told("LOGIN_FAILED", "WRONG_FACTOR", c)
    check(c.give(password, totp(secret)).reason == "NONE", "third")
    t.told("IDENTIFIED", "NONE", c, RIGHT)


def a_code_counts_once(t):
    password, secret, recovery = t.add("hanako")
    code = totp(secret)
    for given, first in ((code, RIGHT), (recovery[0], "recovery")):
        c = t.begin("hanako")
        check(c.give(password, given).reason == "NONE", "first")
        t.told("IDENTIFIED", "NONE", c, first)
        for again in range(2):
            t.user("unlock", "hanako")
            c = t.begin("hanako")
            check(c.give(password, given).reason == "WRONG_FACTOR", "again", again)
            t.told("LOGIN_FAILED", "WRONG_FACTOR", c, "password=right code=" + ("used-before" if given == code else "wrong"))
            c.close()
            t.restart()
    t.user("unlock", "hanako")


def of_two_with_one_code_one_is_let_in(t):
    password, secret, _ = t.add("hanako")
    both = [t.begin("hanako"), t.begin("hanako")]
    code = totp(secret)
    for c in both:
        c.send(password, code)
    # One may have to wait for the pause after the other's try.
    answers = sorted(c.answer().reason for c in both)
    check(answers == ["NONE", "WRONG_FACTOR"], "both", answers)
    told = sorted(t.child.receive().type for _ in both)
    check(told == ["IDENTIFIED", "LOGIN_FAILED"], "told", told)


def a_kill_in_the_middle_reopens_no_code(t):
    password, secret, recovery = t.add("saburo")
    let_in = 0
    for code in [totp(secret), *recovery[:5]]:
        yes = []
        for delay in (random.uniform(0, 0.9), SLOW_ENOUGH):
            t.user("unlock", "saburo")
            c = t.begin("saburo")
            c.send(password, code)
            readable, _, _ = select.select([c.sock], [], [], delay)
            t.child.kill()  # what it said before is still in the sockets
            packet = c.sock.recv(200)
            yes.append(len(packet) > 0 and packet[:8] == bytes(8))
            c.close()
            t.start()
        check(sum(yes) <= 1, "one code let in twice")
        let_in += sum(yes)
    return f"{let_in} of 6 codes were used, none twice"


def wrong_tries_lock_out(t):
    password, secret, _ = t.add("taro")
    c = t.begin("taro")
    for tries in (2, 1):
        answer = c.give("guess", "123456")
        check((answer.reason, answer.tries) == ("WRONG_FACTOR", tries), "wrong", answer)
        t.told("LOGIN_FAILED", "WRONG_FACTOR", c)
    answer = c.give("guess", "123456")
    check((answer.reason, answer.ask, answer.wait, answer.person) == ("LOCKED_OUT", 0, 30, ""), "locked out", answer)
    t.told("LOGIN_FAILED", "LOCKED_OUT", c)
    t.told("IDENTIFIED", "LOCKED_OUT", c, "locked out")
    for _ in range(2):
        c = t.begin("taro")
        check(c.first.reason == "LOCKED_OUT" and c.first.ask == 0 and 0 < c.first.wait <= 30, "not even asked", c.first)
        t.told("IDENTIFIED", "LOCKED_OUT", c)
        t.restart()
    rows = [r for r in t.user("list")[0] if r.startswith("person=taro ")]
    check(len(rows) == 1 and "failures=3 locked=" in rows[0] and not rows[0].endswith("locked=0"), "list", rows)
    c = t.begin("hanako")
    check(c.first.ask == BOTH, "others are not", c.first)
    c.close()
    check(t.user("unlock", "taro")[1] == "NONE", "unlock")
    c = t.begin("taro")
    check(c.give(password, totp(secret)).reason == "NONE", "again")
    t.told("IDENTIFIED", "NONE", c)


def a_lock_out_ends(t):
    short = Identity(t.folder, t.ca, "short", attempts=1, lockout_seconds=1)
    try:
        password, secret, _ = short.add("hanako")
        c = short.begin("hanako")
        check(c.give("x").reason == "LOCKED_OUT", "at once")
        end = time.monotonic() + 20
        while True:
            c = short.begin("hanako")
            if c.first.ask:
                break
            check(c.first.reason == "LOCKED_OUT" and time.monotonic() < end, "for ever", c.first)
            time.sleep(0.1)
        check(c.first.tries == 1, "one try", c.first)
        check(c.give(password, totp(secret)).reason == "NONE", "in")
    finally:
        short.close()


def malformed_factors_end_the_conversation(t):
    packets = [FACTORS.pack(*fields) for fields in (
        (257, 0, b"", b"", 0, b""), (0, 65, b"", b"", 0, b""), (2**32 - 1, 2**32 - 1, b"", b"", 0, b""), (0, 1, b"", b"\n", 0, b""),
        (0, 1, b"", b"\x80", 0, b""), (1, 0, b"x", b"", 1, b""), (0, 0, b"", b"", 2, b""))]
    for packet in (b"x", bytes(FACTORS.size - 1), bytes(FACTORS.size + 1), *packets):
        c = t.begin("hanako")
        c.sock.send(packet)
        check(c.hung_up(), "answered", packet[:8])
    # What was not asked for.
    only = Identity(t.folder, t.ca, "only", code="none")
    try:
        c = only.begin("hanako")
        check(c.first.ask == PASSWORD, "asks", c.first)
        c.send("x", "123456")
        check(c.hung_up(), "a code that nobody asked for")
        # Two answers at a time.
        c = only.begin("hanako")
        c.send("x")
        c.send("x")
        check(c.answer().reason == "WRONG_FACTOR" or c.hung_up(), "serves on")
    finally:
        only.close()
    check(t.child.says_nothing(0.1), "the supervisor was told of nonsense")


def passwords_that_are_checked_hold_up_no_certificate(t):
    busy = [t.begin("hanako") for _ in range(12)]
    t.user("unlock", "hanako")
    for c in busy:
        c.send("x" * 256)
    began = time.monotonic()
    t.begin("taro").close()
    asked = time.monotonic() - began
    done = [c for c in busy if select.select([c.sock], [], [], 0)[0]]
    check(len(done) <= 3, "asked behind the passwords", len(done))
    busy[0].answer()
    for c in busy:
        c.close()
    t.restart()
    t.user("unlock", "hanako")
    return f"{asked * 1000:.0f} ms beside twelve passwords"


def a_ticket_stands_for_the_factors_once(t):
    password, _, recovery = t.add("saburo")
    c = t.begin("saburo")
    first = c.give(password, recovery[0])
    check(first.ticketed and first.ticket != bytes(32), "no ticket")
    t.told("IDENTIFIED", "NONE", c)
    c = t.begin("saburo")
    second = c.show(first.ticket)
    check((second.reason, second.ask, second.person) == ("NONE", 0, "saburo"), "in", second)
    check("factors=certificate,ticket" in t.told("IDENTIFIED", "NONE", c).text, "the record")
    check(second.ticketed and second.ticket != first.ticket, "another one each time")
    # Used, and another person's, count as wrong factors; and cost the ticket that there was.
    c = t.begin("saburo")
    check(c.show(first.ticket).reason == "WRONG_FACTOR", "twice")
    check(t.told("LOGIN_FAILED", "WRONG_FACTOR", c).text == "ticket=wrong", "the record")
    answer = c.give(password, recovery[1])
    check(answer.reason == "NONE" and answer.ticketed, "asked again", answer)
    t.told("IDENTIFIED", "NONE", c)
    c = t.begin("hanako")
    check(c.show(answer.ticket).reason in ("WRONG_FACTOR", "LOCKED_OUT"), "somebody else's")
    t.child.receive()
    c.close()
    # The session has ended.
    t.child.send("SESSION_OVER", person="saburo")
    c = t.begin("saburo")
    check(c.show(answer.ticket).reason == "WRONG_FACTOR", "outlives the session")
    t.told("LOGIN_FAILED", "WRONG_FACTOR", c)
    # An administrator has changed what it stands for; and a restart forgets all.
    answer = c.give(password, recovery[2])
    t.told("IDENTIFIED", "NONE", c)
    t.user("password", "saburo")
    c = t.begin("saburo")
    check(c.show(answer.ticket).reason == "WRONG_FACTOR", "outlives the password")
    c.close()
    t.restart()


def a_certificate_revoked_meanwhile_lets_nobody_in(t):
    password, secret, _ = t.add("jiro")
    c = t.begin("jiro")
    subprocess.run([SOURCE / "certs/garasu-ca", "revoke", t.ca, "jiro"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(t.ca / "crl.pem", "rb") as crl:
        t.child.send("REVOCATIONS", fd=crl.fileno())
    answer = c.give(password, totp(secret))
    check((answer.reason, answer.ask, answer.person) == ("REVOKED", 0, ""), "in", answer)
    t.told("IDENTIFIED", "REVOKED", c)


def administrators_keep_persons(t):
    t.user("remove", "taro")
    for subject in "password", "code", "recovery", "remove":
        check(t.user(subject, "taro")[1] == "UNKNOWN_PERSON", subject)
    first, _, recovery = t.add("taro")
    check(len(recovery) == len(set(recovery)) == 10, recovery)
    check(t.user("add", "taro")[:2] == ([], "UNKNOWN_PERSON"), "twice")
    second = t.user("password", "taro")[0][0]
    check(second != first, "a new one")
    for password in first, second:
        t.user("unlock", "taro")
        c = t.begin("taro")
        check(c.give(password, recovery.pop()).reason == ("NONE" if password == second else "WRONG_FACTOR"), password == second)
        t.child.receive()
        c.close()
    check("person=taro kept=yes code=yes recovery=9 failures=0 locked=0" in t.user("list")[0], t.user("list"))
    for person in "", "Taro", "taro;", "a" * 33:
        check(t.user("add", person)[1] == "UNKNOWN_PERSON", person)
    check(t.user("promote", "taro")[1] == "INTERNAL", "unknown subject")
    # Many, a part at a time.
    short = Identity(t.folder, t.ca, "many", attempts=100, password="none")
    try:
        persons = [f"p{i:03}" for i in range(70)]
        for person in persons:
            short.user("add", person)
        rows, after = [], ""
        while part := short.user("list", after)[0]:
            check(len(part) <= 64, len(part))
            rows += part
            after = part[-1].split()[0].removeprefix("person=")
        check([r.split()[0] for r in rows] == [f"person={p}" for p in persons], "all in order", len(rows))
    finally:
        short.close()


def where_nothing_is_asked_there_is_nothing_to_keep(t):
    none = Identity(t.folder, t.ca, "none", password="none", code="none")
    try:
        c = none.begin("hanako")
        check((c.first.reason, c.first.ask, c.first.person) == ("NONE", 0, "hanako"), "in", c.first)
        check("factors" not in none.told("IDENTIFIED", "NONE", c).text, "factors")
        check(none.user("list")[1] == "NOT_PERMITTED", "list")
        check(not none.directory.exists(), "a folder for nothing")
    finally:
        none.close()


def a_full_disk_lets_nobody_in(t):
    if os.geteuid() != 0:
        return "skipped: needs root for a small disk"
    place = t.folder / "full/users"
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", place], check=True)
    full = None
    try:
        full = Identity(t.folder, t.ca, "full")
        password, _, recovery = full.add("hanako")
        c = full.begin("hanako")
        with open(place / "rest", "wb", buffering=0) as rest:
            try:
                while rest.write(bytes(512)):
                    pass
            except OSError:
                pass
        answer = c.give(password, recovery[0])
        check((answer.reason, answer.person) == ("INTERNAL", ""), "in", answer)
        full.told("IDENTIFIED", "INTERNAL", c, "users.db")
        check(full.user("password", "hanako")[:2] == ([], "INTERNAL"), "a new password that is not kept")
        (place / "rest").unlink()
        c = full.begin("hanako")
        check(c.give(password, recovery[0]).reason == "NONE", "with room again")
    finally:
        if full:
            full.close()
        subprocess.run(["umount", place], check=True)
    return None


def secrets_stay_where_they_are(t):
    password, secret, recovery = t.add("hanako")
    c = t.begin("hanako")
    c.give(password + "wrong", "654321")
    t.child.receive()
    c.close()
    log = t.log()
    for text in (password, secret, "654321", *recovery):
        check(text not in log, "in the log", text)
    file = t.directory / "users.db"
    check(stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(t.directory.stat().st_mode) == 0o700, "modes")
    content = file.read_bytes()
    for text in (password, *recovery, *(r.replace("-", "") for r in recovery)):
        check(text.encode() not in content, "in users.db", text)
    if os.geteuid() == 0:
        check(sorted(os.listdir(f"/proc/{t.child.pid}/root")) == ["users.db", "users.db-journal"], "its root")


TESTS = [two_factors_let_in_and_are_recorded, what_is_wrong_is_told_to_the_record_only, an_answer_before_its_time_waits,
         a_code_counts_once, of_two_with_one_code_one_is_let_in, a_kill_in_the_middle_reopens_no_code, wrong_tries_lock_out,
         a_lock_out_ends, malformed_factors_end_the_conversation, passwords_that_are_checked_hold_up_no_certificate,
         administrators_keep_persons, where_nothing_is_asked_there_is_nothing_to_keep, a_full_disk_lets_nobody_in,
         secrets_stay_where_they_are, a_ticket_stands_for_the_factors_once, a_certificate_revoked_meanwhile_lets_nobody_in]


def main():
    place = folder()
    t = None
    try:
        t = Identity(place, certificates(place))
        return run("identity_test", TESTS, sys.argv[1:], t)
    finally:
        if t:
            if os.environ.get("GARASU_KEEP"):
                print(t.log())
            t.close()
        shutil.rmtree(place)


if __name__ == "__main__":
    sys.exit(main())
