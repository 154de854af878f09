#!/usr/bin/env python3
"""The gateway, keys and identity processes for real, with this program in the place of the supervisor and of sessions.

Environment: GARASU_BUILD = the build folder. As root the processes are confined as in operation, otherwise they stay who they are.
Arguments: names of tests, default all.
"""
import contextlib
import copy
import ctypes
import hashlib
import hmac
import os
import pathlib
import random
import select
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from identity_parts import ANSWER
from gateway_parts import (  # noqa: E402
    Broker, CA_TOOL, Gateway, IDENTITY_REQUEST, KEY, READY, ROOT, UID_BASE, VERSION, WAIT, alert_name, at_end, encodings,
    in_thread, memory_kib, picture, pixels, reason_text, receive, refused_in_tls, run, server_init, take, text, vencrypt, viewer_handshake)
from supervise import REASON_NAMES, REASONS, SLOW, Child, check  # noqa: E402


# --- the tests ------------------------------------------------------------------------------------------------------

# T35. person, alert as Python's ssl names it, reason for the record, words in the record, what the identity process says by itself
BAD = (
    (None, "CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "no certificate", None),
    ("expired", "CERTIFICATE_EXPIRED", "BAD_CERTIFICATE", "certificate has expired", "BAD_CERTIFICATE"),
    ("future", "BAD_CERTIFICATE", "BAD_CERTIFICATE", "not yet valid", "BAD_CERTIFICATE"),
    ("stranger", "UNKNOWN_CA", "BAD_CERTIFICATE", "issuer certificate", "BAD_CERTIFICATE"),
    ("server", "UNSUPPORTED_CERTIFICATE", "BAD_CERTIFICATE", "purpose", "BAD_CERTIFICATE"),
    ("no_purpose", "UNSUPPORTED_CERTIFICATE", "BAD_CERTIFICATE", "purpose", "BAD_CERTIFICATE"),
    ("two_purposes", "UNSUPPORTED_CERTIFICATE", "BAD_CERTIFICATE", "purpose", "BAD_CERTIFICATE"),
    ("cn_only", "BAD_CERTIFICATE", "UNKNOWN_PERSON", "names no person", "UNKNOWN_PERSON"),
    ("two_persons", "BAD_CERTIFICATE", "UNKNOWN_PERSON", "names no person", "UNKNOWN_PERSON"),
    ("wrong_name", "BAD_CERTIFICATE", "UNKNOWN_PERSON", "names no person", "UNKNOWN_PERSON"),
    ("revoked", "CERTIFICATE_REVOKED", "REVOKED", "certificate revoked", "REVOKED"),
)


def bad_certificates_are_refused_before_any_application_byte(broker):
    for person, alert, reason, words, _ in BAD:
        failed = refused_in_tls(broker, person, alert, reason, words)
        if person:
            fingerprint = hashlib.sha256(broker.pki.ders(person)[0]).hexdigest()
            check(f"fingerprint=sha256:{fingerprint}" in failed.text, "which certificate?", failed)
    # The counterpart, without which the above could pass for another reason: good ones are let in the same way.
    for person in ("hanako", "taro"):
        gateway = Gateway(broker)
        gateway.tls(person)
        message = gateway.identified(person)
        check("serial=" in message.text and "fingerprint=sha256:" in message.text, "text", message)
        gateway.expect("WANT_SESSION")
        take(gateway.viewer, WAIT)


def a_stale_revocation_list_refuses_everybody(broker):
    for crl in (broker.pki.stale_crl, broker.pki.stale_root_crl):
        stale = Broker(broker.pki, crl=crl)
        try:
            refused_in_tls(stale, "hanako", "INTERNAL_ERROR", "INTERNAL", "CRL has expired")
            check(ask_identity(stale, broker.pki.ders("hanako"))[0] == "INTERNAL", "identity with a stale list")
            check(stale.identity.expect("IDENTIFIED").reason == "INTERNAL")
        finally:
            stale.close()
    without = Broker(broker.pki, crl="")
    try:
        gateway = Gateway(without)
        gateway.tls("revoked")  # nobody told this broker
        gateway.identified("revoked")
    finally:
        without.close()


def who_is_revoked_while_it_runs_is_refused_from_then_on(broker):
    gateway = Gateway(broker)
    gateway.tls("leaver")
    gateway.wanted("leaver")
    stays = Gateway(broker)
    stays.tls("hanako")
    stays.wanted("hanako")
    broker.renew_lists()
    check(broker.identity.says_nothing(0.3), "a list without news")
    broker.pki.run(CA_TOOL, "revoke", broker.pki.ca, "leaver")
    refused_in_tls(broker, "leaver", "CERTIFICATE_REVOKED", "REVOKED", "certificate revoked")
    # Identity does not take the gateway's word: it knows too, as soon as it was given the list.
    broker.renew_lists()
    check(broker.identity.expect("REVOKED").connection == gateway.number, "who is connected is judged anew")
    check(broker.identity.says_nothing(0.3), "the others stay")
    broker.renew_lists()
    check(broker.identity.says_nothing(0.3), "told once")
    check(ask_identity(broker, broker.pki.ders("leaver"))[0] == "REVOKED", "identity with the new list")
    check(broker.identity.expect("IDENTIFIED", "REVOKED").person == "leaver")
    check(ask_identity(broker, broker.pki.ders("hanako")) == ("NONE", "hanako"), "the others stay")
    broker.identity.expect("IDENTIFIED", "NONE")
    # What is no list changes nothing; one that has run out refuses everybody.
    broker.renew_lists(broker.pki.ca / "ca.pem")
    check(ask_identity(broker, broker.pki.ders("leaver"))[0] == "REVOKED", "identity after a wrong file")
    broker.identity.expect("IDENTIFIED", "REVOKED")
    broker.renew_lists(broker.pki.stale_crl)
    check(broker.identity.says_nothing(0.3), "a stale list ends nobody who is connected")
    check(ask_identity(broker, broker.pki.ders("hanako"))[0] == "INTERNAL", "identity after a stale list")
    broker.identity.expect("IDENTIFIED", "INTERNAL")


def an_issuing_ca_that_the_root_revoked_takes_all_that_it_issued_with_it(broker):
    pki = copy.copy(broker.pki)
    pki.ca = pki.other
    pki.run(CA_TOOL, "server", pki.ca, "--dns", "localhost")
    theirs = Broker(pki)
    try:
        gateway = Gateway(theirs)
        gateway.tls("stranger")
        gateway.wanted("stranger")
        # Only its own list, then only the root's: without either nobody is let in.
        lists = (pki.ca / "crl.pem").read_text().split("-----END X509 CRL-----\n")
        for one in lists[:2]:
            (pki.ca / "crl.pem").write_text(one + "-----END X509 CRL-----\n")
            refused_in_tls(theirs, "stranger", "INTERNAL_ERROR", "INTERNAL", "unable to get certificate CRL")
        pki.run(CA_TOOL, "issuing", pki.ca, "--new-key")
        theirs.renew_lists()
        check(theirs.identity.expect("REVOKED").connection == gateway.number, "who is connected is judged anew")
        refused_in_tls(theirs, "stranger", "CERTIFICATE_REVOKED", "REVOKED", "certificate revoked")
        # The root's word alone is enough: a list of the issuing CA that revokes nobody does not help.
        check(ask_identity(theirs, pki.ders("stranger"))[0] == "REVOKED", "identity")
        theirs.identity.expect("IDENTIFIED", "REVOKED")
        root = (pki.ca / "private/root.crl").read_text()
        (pki.ca / "crl.pem").write_text(lists[0] + "-----END X509 CRL-----\n" + root)
        refused_in_tls(theirs, "stranger", "CERTIFICATE_REVOKED", "REVOKED", "certificate revoked")
    finally:
        theirs.close()


def ask_identity(broker, ders, lengths=None, count=None):
    """(reason, person) as a gateway gets it; None when the process hung up."""
    peer = broker.peer(broker.identity)
    ders = (list(ders) + [b"", b"", b""])[:3]
    lengths = lengths or [len(d) for d in ders]
    count = sum(1 for d in ders if d) if count is None else count
    peer.send(IDENTITY_REQUEST.pack(count, *lengths, *ders))
    answer = peer.recv(100)
    if not answer:
        return None
    check(peer.recv(100) == b"", "one request per connection")
    reason, ask, tries, wait, person, ticketed, ticket = ANSWER.unpack(answer)
    check((ask, tries, wait) == (0, 0, 0), "asked for more", ask, tries, wait)
    check((ticketed, ticket) == (0, bytes(32)), "a ticket where no factor is asked for")
    return REASON_NAMES[reason], person.split(b"\0")[0].decode()


def identity_judges_by_itself(broker):
    for person in ("hanako", "taro"):
        check(ask_identity(broker, broker.pki.ders(person)) == ("NONE", person), person)
        message = broker.identity.expect("IDENTIFIED", "NONE")
        check(message.person == person and message.connection == 77, "told", message)
    for person, _, reason, words, judged in BAD:
        if judged:
            check(ask_identity(broker, broker.pki.ders(person)) == (judged, ""), "identity about", person)
            message = broker.identity.expect("IDENTIFIED", reason)
            check(words in message.text and message.person == ("revoked" if person == "revoked" else ""), "told", message)
    # Without the intermediate certificate there is no chain.
    check(ask_identity(broker, broker.pki.ders("hanako")[:1]) == ("BAD_CERTIFICATE", ""))
    broker.identity.expect("IDENTIFIED", "BAD_CERTIFICATE")


def identity_ends_malformed_requests(broker):
    good = broker.pki.ders("hanako")
    flipped = bytearray(good[0])
    flipped[-1] ^= 1
    check(ask_identity(broker, [bytes(flipped), good[1]]) == ("BAD_CERTIFICATE", ""), "a forged signature")
    broker.identity.expect("IDENTIFIED", "BAD_CERTIFICATE")
    for request in ({"count": 0}, {"count": 4}, {"count": 2**32 - 1}, {"lengths": [0, 0, 0]}, {"lengths": [4097, 0, 0]},
                    {"lengths": [2**32 - 1, 0, 0]}, {"lengths": [len(good[0]) + 1, len(good[1]), 0]}, {"lengths": [10, 10, 10]}):
        check(ask_identity(broker, good, **request) is None, "answered", request)
    check(ask_identity(broker, [b"\x30\x80", b""]) is None and ask_identity(broker, [os.urandom(500)]) is None, "garbage")
    for packet in (b"x", bytes(IDENTITY_REQUEST.size - 1), bytes(IDENTITY_REQUEST.size + 1)):
        peer = broker.peer(broker.identity)
        peer.send(packet)
        check(peer.recv(100) == b"", "a packet of a wrong size")
    check(broker.identity.says_nothing(0.1), "the supervisor was told of nonsense")
    check(ask_identity(broker, good) == ("NONE", "hanako"), "and serves on")
    broker.identity.expect("IDENTIFIED", "NONE")


def keys_signs_four_times_and_only_digests(broker):
    request = struct.pack("=I32s", 32, os.urandom(32))
    peer = broker.peer(broker.keys)
    for _ in range(4):
        peer.send(request)
        length, signature = struct.unpack("=I80s", peer.recv(200))
        check(68 <= length <= 72 and signature[0] == 0x30, "signature", length)
    peer.send(request)
    check(peer.recv(200) == b"", "a fifth signature")
    for packet in (b"x", request[:-1], request + b"x", struct.pack("=I32s", 48, b""), struct.pack("=I32s", 0, b"")):
        peer = broker.peer(broker.keys)
        peer.send(packet)
        check(peer.recv(200) == b"", "signed", packet)
    peer = broker.peer(broker.keys)
    ours, theirs = socket.socketpair()
    socket.send_fds(peer, [request], [theirs.fileno()])
    theirs.close()
    check(peer.recv(200) == b"" and ours.recv(1) == b"", "a descriptor was kept")


def a_server_key_that_others_may_read_stops_the_keys_process(broker):
    key = broker.pki.ca / "server.key"
    key.chmod(0o640)
    try:
        child = Child("garasu-keys", broker.config)
        check(child.receive() is None and child.exit_status() == 1, "started")
        child.close()
    finally:
        key.chmod(0o600)


def tls_1_2_and_older_are_refused(broker):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_1):
        def old(context, version=version):
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = version
            context.set_ciphers("ALL:@SECLEVEL=0")
        refused_in_tls(broker, "hanako", "PROTOCOL_VERSION", "PROTOCOL", "unsupported protocol", change=old)


def no_ticket_and_no_early_data_are_given(broker):
    # s_client through a listener of ours that hands its connection to a gateway.
    certificate, key = broker.pki.certificate("hanako")
    gateway = Gateway(broker)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % listener.getsockname()[1], "-cert", certificate,
                                   "-key", key, "-cert_chain", certificate, "-CAfile", broker.pki.ca / "ca.pem", "-alpn", "garasu/1",
                                   "-msg", "-sess_out", broker.folder / "session"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
        connection, _ = listener.accept()
    pumps = [in_thread(pump, connection, gateway.viewer), in_thread(pump, gateway.viewer, connection)]
    gateway.wanted()
    gateway.send("REFUSE", "NO_CAPACITY")
    gateway.ends("NO_CAPACITY")
    output = client.communicate(timeout=SLOW)[0]
    for join in pumps:
        join()
    connection.close()
    check(b"GRSU\1\2\0\3" in output and b"Finished" in output and b"TLSv1.3" in output, "s_client", output[-2000:])
    check(b"NewSessionTicket" not in output, "a ticket was issued")
    check(not (broker.folder / "session").exists(), "a session can be resumed")


def a_ticket_and_early_data_of_another_server_are_of_no_use(broker):
    """T36: another process with the broker's own key gives a ticket for early data; the gateway takes neither."""
    certificate, key = broker.pki.certificate("hanako")
    session, early = broker.folder / "ticket", broker.folder / "early"
    early.write_bytes(b"EARLY" * 20)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    giving = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-naccept", "1", "-cert", broker.pki.ca / "server.pem", "-key",
                               broker.pki.ca / "server.key", "-alpn", "garasu/1", "-early_data", "-quiet"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = ["openssl", "s_client", "-cert", certificate, "-key", key, "-cert_chain", certificate, "-CAfile", broker.pki.ca / "ca.pem",
              "-servername", "localhost", "-alpn", "garasu/1"]
    try:
        end = time.monotonic() + SLOW
        while not session.exists():
            check(time.monotonic() < end, "no ticket from s_server")
            asking = subprocess.Popen([*client, "-connect", f"127.0.0.1:{port}", "-sess_out", session], stdin=subprocess.PIPE,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while asking.poll() is None and not session.exists() and time.monotonic() < end:
                time.sleep(0.02)
            asking.stdin.close()
            asking.wait(SLOW)
    finally:
        giving.kill()
        giving.wait()
        giving.stdin.close()
    text = broker.pki.run("openssl", "sess_id", "-in", session, "-noout", "-text")
    check("Max Early Data: 16384" in text, "a ticket that does not permit early data", text)

    gateway = Gateway(broker)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        using = subprocess.Popen([*client, "-connect", "127.0.0.1:%d" % listener.getsockname()[1], "-sess_in", session, "-early_data", early],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        connection, _ = listener.accept()
    pumps = [in_thread(pump, connection, gateway.viewer), in_thread(pump, gateway.viewer, connection)]
    gateway.wanted()  # by the certificate, which a resumed session would not have shown
    stream = gateway.open()
    check(not select.select([stream], [], [], 0.3)[0], "early data reached the session")
    stream.close()
    output = using.communicate(timeout=SLOW)[0]
    gateway.ends("VIEWER_LEFT")
    for join in pumps:
        join()
    connection.close()
    check(b"New, TLSv1.3" in output and b"Reused" not in output, "resumed", output[-2000:])
    check(b"Early data was rejected" in output, "early data", output[-2000:])


def expand(secret, label, length):
    """HKDF-Expand-Label of RFC 8446 7.1 with SHA-384, for one block."""
    info = struct.pack(">HB", length, 6 + len(label)) + b"tls13 " + label + b"\0"
    return hmac.new(secret, info + b"\1", "sha384").digest()[:length]


def seal(key, iv, header, data):
    """AES-256-GCM by OpenSSL, which Python's ssl has loaded already."""
    crypto = ctypes.CDLL("libcrypto.so.3")
    for name in ("EVP_CIPHER_CTX_new", "EVP_aes_256_gcm"):
        getattr(crypto, name).restype = ctypes.c_void_p
    context, cipher = ctypes.c_void_p(crypto.EVP_CIPHER_CTX_new()), ctypes.c_void_p(crypto.EVP_aes_256_gcm())
    out, tag, length = ctypes.create_string_buffer(len(data)), ctypes.create_string_buffer(16), ctypes.c_int()
    check(crypto.EVP_EncryptInit_ex(context, cipher, None, key, iv) == 1)
    check(crypto.EVP_EncryptUpdate(context, None, ctypes.byref(length), header, len(header)) == 1)
    check(crypto.EVP_EncryptUpdate(context, out, ctypes.byref(length), data, len(data)) == 1)
    check(crypto.EVP_EncryptFinal_ex(context, ctypes.create_string_buffer(16), ctypes.byref(length)) == 1)
    check(crypto.EVP_CIPHER_CTX_ctrl(context, 0x10, 16, tag) == 1)  # EVP_CTRL_AEAD_GET_TAG
    crypto.EVP_CIPHER_CTX_free(context)
    return out.raw + tag.raw


def a_second_handshake_in_a_connection_is_refused(broker):
    """T36: TLS 1.3 has no renegotiation. A ClientHello behind the handshake, under the right key, ends the connection."""
    log = broker.folder / "keylog"

    def with_log(context):
        context.keylog_filename = str(log)
    for kind, content, accepted in ((22, b"\1\0\0\x2b\3\3" + bytes(32) + b"\0\0\2\x13\2\1\0\0\0", False),
                                    (22, b"\x18\0\0\1\0", True)):  # the counterpart: a KeyUpdate made in the same way is understood
        gateway = Gateway(broker)
        log.unlink(missing_ok=True)
        viewer = gateway.tls(change=with_log)
        gateway.wanted()
        check(viewer.cipher()[0] == "TLS_AES_256_GCM_SHA384", "cipher", viewer.cipher())
        secret = bytes.fromhex(next(line.split()[2] for line in log.read_text().splitlines() if line.startswith("CLIENT_TRAFFIC_SECRET_0")))
        header = struct.pack(">BHH", 23, 0x0303, len(content) + 1 + 16)
        os.write(viewer.fileno(), header + seal(expand(secret, b"key", 32), expand(secret, b"iv", 12), header, content + bytes([kind])))
        if accepted:
            time.sleep(0.3)
            gateway.send("REFUSE", "NO_CAPACITY")
            gateway.ends("NO_CAPACITY", hang_up=True)
            continue
        try:
            while viewer.recv(16) == WAIT:
                pass
            error = "no alert"
        except ssl.SSLError as e:
            error = alert_name(e)
        check("UNEXPECTED_MESSAGE" in error, "a second ClientHello got", error)
        gateway.ends("PROTOCOL", hang_up=True)


def pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def alpn_other_than_ours_is_refused(broker):
    refused_in_tls(broker, "hanako", "NO_APPLICATION_PROTOCOL", "PROTOCOL", "no application protocol", alpn=("http/1.1", "h2"))
    gateway = Gateway(broker)
    gateway.tls(alpn=("http/1.1", "garasu/1"))
    check(gateway.viewer.selected_alpn_protocol() == "garasu/1", "ALPN")
    gateway.wanted()
    # VeNCrypt has no ALPN.
    gateway = Gateway(broker, "vencrypt")
    vencrypt(gateway.viewer)
    try:
        gateway.tls().recv(1)
        check(False, "ALPN inside VeNCrypt")
    except ssl.SSLError as e:
        check("NO_APPLICATION_PROTOCOL" in alert_name(e), "alert", e)
    gateway.ends("PROTOCOL", "HANDSHAKE_FAILED", hang_up=True)


def standard_viewers_are_refused_unless_permitted(broker):
    denying = Broker(broker.pki, standard="deny")
    try:
        refused_in_tls(denying, "hanako", "NO_APPLICATION_PROTOCOL", "PROTOCOL", "no application protocol", alpn=())
        refused_in_tls(denying, "hanako", "NO_APPLICATION_PROTOCOL", "PROTOCOL", "no application protocol", alpn=("http/1.1",))
        Gateway(denying).ready()
    finally:
        denying.close()


def our_viewer_gets_ready_and_then_the_session(broker):
    gateway = Gateway(broker)
    viewer, stream = gateway.ready()
    check(viewer.version() == "TLSv1.3" and viewer.selected_alpn_protocol() == "garasu/1", "TLS", viewer.version())
    down = up = 0
    for to_session, to_viewer in ((b"\1" + encodings(0x47415201), server_init(300, 200)), (KEY, picture(30, 10, pixels(300))),
                                  (text(1, b"x" * 1000), picture(250, 20, pixels(5000)))):
        viewer.sendall(to_session)
        take(stream, to_session)
        stream.sendall(to_viewer)
        take(viewer, to_viewer)
        down += len(to_viewer)
        up += len(to_session)
    stream.close()
    check(at_end(viewer), "no end")
    closed = gateway.ends("NONE", hang_up=True)
    check((closed.down, closed.up) == (2 * 16 + 12 + 2 + 4 + down, 12 + 1 + up), "counted", closed.down, closed.up)


def waiting_viewers_get_a_record_each_second(broker):
    gateway = Gateway(broker)
    gateway.tls()
    gateway.wanted()
    times = []
    for _ in range(3):
        take(gateway.viewer, WAIT)
        times.append(time.monotonic())
    check(0.9 < times[1] - times[0] < 1.5 and 0.9 < times[2] - times[1] < 1.5, "times", times)
    gateway.open()
    take(gateway.viewer, READY)
    viewer_handshake(gateway.viewer)


def each_refusal_reaches_each_kind_of_viewer(broker):
    for reason in ("UNKNOWN_PERSON", "NO_CAPACITY", "AUDIT_UNAVAILABLE", "CONTAINER_FAILED", "SHUTTING_DOWN", "INTERNAL"):
        gateway = Gateway(broker)
        gateway.tls()
        gateway.wanted()
        gateway.send("REFUSE", reason)
        take(gateway.viewer, b"GRSU\1\2" + struct.pack(">H", REASONS[reason]) + bytes(8))
        check(at_end(gateway.viewer))
        gateway.ends(reason, hang_up=True)
    # Before the viewer of another make has answered ProtocolVersion, after it chose a type, and inside VeNCrypt.
    gateway = Gateway(broker)
    viewer = gateway.tls(alpn=())
    gateway.wanted()
    gateway.send("REFUSE", "NO_CAPACITY")
    take(viewer, VERSION + b"\0")
    check("containers are in use" in reason_text(viewer))
    gateway.ends("NO_CAPACITY", hang_up=True)

    gateway = Gateway(broker)
    viewer = gateway.tls(alpn=())
    gateway.wanted()
    take(viewer, VERSION)
    viewer.sendall(VERSION)
    take(viewer, b"\1\1")
    viewer.sendall(b"\1")
    time.sleep(0.1)
    gateway.send("REFUSE", "AUDIT_UNAVAILABLE")
    take(viewer, b"\0\0\0\1")
    check("audit record" in reason_text(viewer))
    gateway.ends("AUDIT_UNAVAILABLE", hang_up=True)

    gateway = Gateway(broker, "vencrypt")
    vencrypt(gateway.viewer)
    viewer = gateway.tls(alpn=())
    gateway.wanted()
    gateway.send("REFUSE", "CONTAINER_FAILED")
    take(viewer, b"\0\0\0\1")
    check("could not be started" in reason_text(viewer))
    gateway.ends("CONTAINER_FAILED", hang_up=True)


def plain_rfb_inside_tls_works(broker):
    gateway = Gateway(broker)
    viewer = gateway.tls(alpn=())
    take(viewer, VERSION)
    viewer.sendall(VERSION)
    take(viewer, b"\1\1")  # while the session is still to come
    viewer.sendall(b"\1")
    gateway.wanted()
    check(not select.select([viewer], [], [], 0.3)[0], "SecurityResult before the session is there")
    stream = gateway.open()
    take(viewer, bytes(4))
    viewer.sendall(b"\1")
    take(stream, b"\1")
    stream.sendall(server_init(100, 100))
    take(viewer, server_init(100, 100))
    viewer.close()
    check(at_end(stream))
    gateway.ends("VIEWER_LEFT")


def vencrypt_x509none_works(broker):
    gateway = Gateway(broker, "vencrypt")
    vencrypt(gateway.viewer)
    viewer = gateway.tls(alpn=())
    gateway.wanted()
    stream = gateway.open()
    take(viewer, bytes(4))
    viewer.sendall(b"\0")
    take(stream, b"\1")  # shared or not: nobody is asked
    stream.sendall(server_init(100, 100))
    take(viewer, server_init(100, 100))


def vencrypt_without_a_good_certificate_is_refused(broker):
    for person, alert, reason, words, _ in BAD[:2]:
        gateway = Gateway(broker, "vencrypt")
        vencrypt(gateway.viewer)
        got = b""
        try:
            got = gateway.tls(person, alpn=()).recv(1)
            error = "none"
        except ssl.SSLError as e:
            error = alert_name(e)
        check(got == b"" and alert in error, "refused", got, error)
        check(words in gateway.ends(reason, "HANDSHAKE_FAILED", hang_up=True).text)


def slow_handshakes_end_after_ten_seconds(broker):
    gateways = [Gateway(broker), Gateway(broker, "vencrypt"), Gateway(broker)]
    hello = b"\x16\x03\x01\x01\0\x01\0\0\xfc\x03\x03" + bytes(100)
    pieces = [hello, VERSION, b""]  # a byte a second, or nothing at all
    take(gateways[1].viewer, VERSION)
    began, at = time.monotonic(), 0
    while any(g.says_nothing() for g in gateways) and time.monotonic() - began < 14:
        for gateway, data in zip(gateways, pieces):
            with contextlib.suppress(OSError):
                gateway.viewer.send(data[at:at + 1])
        at += 1
        select.select([g.control for g in gateways if g.says_nothing()], [], [], 1)
    took = time.monotonic() - began
    check(9 < took < 12, "took", took)
    for gateway in gateways:
        check("too long" in gateway.expect("HANDSHAKE_FAILED", "PROTOCOL").text)
        check(gateway.receive() is None and gateway.exit_status() == 0)


def a_viewer_that_stalls_after_ready_ends_after_ten_seconds(broker):
    gateway = Gateway(broker)
    gateway.tls()
    gateway.wanted()
    stream = gateway.open()
    take(gateway.viewer, READY)
    began = time.monotonic()
    take(gateway.viewer, VERSION)
    check(at_end(gateway.viewer) and 9 < time.monotonic() - began < 12, "took", time.monotonic() - began)
    check(at_end(stream), "the session keeps a dead stream")
    gateway.viewer.close()
    gateway.ends("PROTOCOL")


def garbage_on_either_port_ends_that_connection_only(broker):
    noise = random.Random(1)
    for mode in ("tls", "vencrypt"):
        for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", VERSION, b"\0" * 3000, noise.randbytes(3000), b"\x80\x2e\x01\0\2\0\x15" + bytes(60),
                     b"\x16\x03\x01\x3f\xff" + noise.randbytes(20000), b"RFB 003.003\n\1", b"RFB 003.008\n\1", b"RFB 003.008\n\x13\0\1",
                     b"RFB 003.008\n\x13\0\2\0\0\1\1"):
            if (mode, data) == ("vencrypt", VERSION):
                continue
            gateway = Gateway(broker, mode)
            with contextlib.suppress(OSError):
                gateway.viewer.sendall(data)
                gateway.viewer.shutdown(socket.SHUT_WR)
                while gateway.viewer.recv(4096):
                    pass
            gateway.ends("PROTOCOL", "HANDSHAKE_FAILED")
    check(broker.identity.says_nothing() and broker.keys.says_nothing(), "another process was bothered")


class Tampered:
    """A whole small connection of our viewer, of which one bit is changed on the way: at the offset-th byte of a direction."""
    GREETING, INIT = VERSION + b"\1\1" + bytes(4), VERSION + b"\1" + b"\1"  # of the session; of the viewer, with ClientInit
    UP = INIT + struct.pack(">BBHI", 4, 1, 0, 0x61) * 10  # KeyEvents
    DOWN = (GREETING + struct.pack(">HHBBBBHHHBBB3xI", 8, 8, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0, 6) + b"Garasu" +
            struct.pack(">BxHHHHHi", 0, 1, 0, 0, 8, 8, 0) + bytes(8 * 8 * 4))  # ServerInit, an update of one Raw rectangle

    def __init__(self, broker, direction=None, offset=0):
        self.gateway, self.sent = Gateway(broker), {"up": b"", "down": b""}
        self.flip = (direction, offset)
        self.patience = 0.5 if direction else SLOW  # a changed length makes both wait: silence is an end like any other
        self.identity, self.raw, self.stream = broker.identity, self.gateway.viewer, None
        self.at_viewer, self.at_session, self.error = b"", b"", None
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = broker.client("hanako")
        context.set_alpn_protocols(["garasu/1"])
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.greeted = False
        try:
            while not self.done():
                self.viewer()
                if self.done() or not self.pass_on():
                    break
            self.raw.close()
            while self.gateway.receive():
                pass
            check(self.gateway.exit_status() == 0, "the gateway's end", self.gateway.status)
        finally:
            self.gateway.close()
            broker.gateways.remove(self.gateway)
            if self.stream:
                self.stream.close()

    def done(self):
        return self.error or (self.at_viewer == self.DOWN and self.at_session == self.UP)

    def changed(self, direction, data):
        at = self.flip[1] - len(self.sent[direction])
        self.sent[direction] += data
        if direction == self.flip[0] and 0 <= at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << self.flip[1] % 8]) + data[at + 1:]
        return data

    def viewer(self):
        try:
            self.tls.do_handshake()
            while True:
                data = self.tls.read(65536)
                if not self.greeted:
                    while data.startswith(WAIT):
                        data = data[len(WAIT):]
                    if not data:
                        continue
                    check(data.startswith(READY), "other data than READY", data)
                    self.tls.write(self.UP)
                    self.greeted, data = True, data[len(READY):]
                self.at_viewer += data
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as e:
            self.error = e
        with contextlib.suppress(OSError):
            self.raw.sendall(self.changed("up", self.outgoing.read()))

    def pass_on(self):
        """Waits for any of them to say something. False when nothing comes any more."""
        sources = [self.raw, self.gateway.control, self.identity.control] + ([self.stream] if self.stream else [])
        ready = select.select(sources, [], [], self.patience)[0]
        if self.identity.control in ready:
            self.identity.expect("IDENTIFIED", "NONE")
        if self.gateway.control in ready:
            message = self.gateway.receive()
            if not message or message.type != "WANT_SESSION":
                check(not message or message.reason in ("PROTOCOL", "VIEWER_LEFT"), "ended by", message)
                return False
            self.stream, theirs = socket.socketpair()
            self.stream.sendall(self.GREETING)
            self.gateway.send("OPEN", connection=self.gateway.number, fd=theirs.fileno())
            theirs.close()
        if self.stream in ready:
            with contextlib.suppress(ConnectionError):  # what was sent was not taken any more
                before = len(self.at_session)
                self.at_session += self.stream.recv(65536)
                if before < len(self.INIT) <= len(self.at_session):
                    self.stream.sendall(self.DOWN[len(self.GREETING):])
        if self.raw in ready:
            with contextlib.suppress(ConnectionResetError):
                data = self.raw.recv(65536)
                self.incoming.write(self.changed("down", data))
                if data:
                    return True
            self.incoming.write_eof()
            self.viewer()
            return False
        return bool(ready)


def outside_of_the_protection(stream):
    """Where a change may go unnoticed: the two bytes of the version in the header of a record in the clear (RFC 8446 5.1: ignored)."""
    at, places = 0, set()
    while at + 5 <= len(stream):
        if stream[at] in (20, 22):
            places |= {at + 1, at + 2}
        at += 5 + struct.unpack(">H", stream[at + 3:at + 5])[0]
    return places


def a_changed_byte_is_never_accepted(broker):
    """T38: at every place of a connection, both ways. GARASU_EVERY_BYTE=1: really each; otherwise each third."""
    whole = Tampered(broker)
    check(not whole.error and whole.at_viewer == whole.DOWN and whole.at_session == whole.UP, "unchanged", whole.error)
    runs = 0
    for direction in ("up", "down"):
        length = len(whole.sent[direction]) - 4  # signatures are some bytes shorter at times
        unnoticed = outside_of_the_protection(whole.sent[direction])
        for offset in range(length):
            if offset % 3 and not os.environ.get("GARASU_EVERY_BYTE"):
                continue
            seen = Tampered(broker, direction, offset)
            runs += 1
            check(seen.DOWN.startswith(seen.at_viewer) and seen.UP.startswith(seen.at_session), "changed data was accepted",
                  direction, offset, seen.at_viewer, seen.at_session)
            complete = seen.at_viewer == seen.DOWN and seen.at_session == seen.UP
            check(not complete or offset in unnoticed, "a change was not noticed", direction, offset)
    return f"{runs} changes in {len(whole.sent['up'])} + {len(whole.sent['down'])} bytes"


def many_mib_cross_intact_both_ways_to_a_slow_reader(broker):
    gateway = Gateway(broker)
    viewer, stream = gateway.ready()
    # What the guard's rate lets up is 2 MiB of committed text at once, and 1 MiB each second from then on.
    down = server_init(2048, 2048) + picture(2048, 2048, pixels(2048 * 2048))
    up = b"\1" + encodings(0x47415201) + b"".join(text(i, random.Random(i).randbytes(512).hex().encode()) for i in range(4096))
    size = len(down)
    senders = [in_thread(stream.sendall, down)]
    # Nobody reads: the sender must come to stand, and the gateway must not grow.
    before = memory_kib(gateway.pid)
    time.sleep(1)
    check(memory_kib(gateway.pid) - before < 1024, "the gateway grows", before, memory_kib(gateway.pid))
    receiver = in_thread(receive_slowly, stream, len(up))
    # Both directions in this one thread: an SSL object must not be used by two.
    got, left, pieces = hashlib.sha256(), size, 0
    view = memoryview(up)
    viewer.settimeout(0)
    end = time.monotonic() + 3 * SLOW
    while left or view:
        check(time.monotonic() < end, "left", left, len(view))
        blocked = True
        with contextlib.suppress(ssl.SSLWantWriteError):
            while view and not viewer.pending():
                view = view[viewer.send(view[:16384]):]
                blocked = False
                if len(view) % (1 << 18) < 16384:
                    break
        with contextlib.suppress(ssl.SSLWantReadError):
            while left:
                data = viewer.recv(min(left, 65536))
                check(data, "the end in the middle")
                got.update(data)
                left -= len(data)
                blocked = False
                pieces += 1
                if pieces % 64 == 0:
                    time.sleep(0.02)  # slower than the sender
                    break
        if blocked:
            select.select([viewer] if left else [], [viewer] if view else [], [], 1)
    viewer.settimeout(SLOW)
    for join in senders:
        join()
    check(got.digest() == hashlib.sha256(down).digest(), "changed on the way down")
    check(receiver() == hashlib.sha256(up).digest(), "changed on the way up")
    stream.close()
    check(at_end(viewer))
    closed = gateway.ends("NONE", hang_up=True)
    check((closed.down, closed.up) == (size + 50, len(up) + 13), "counted", closed.down, closed.up)


def receive_slowly(stream, size):
    got = hashlib.sha256()
    while size:
        data = stream.recv(min(size, 100000))
        check(data, "the end in the middle")
        got.update(data)
        size -= len(data)
        time.sleep(0.002)
    return got.digest()


NOTICE = b"G\1\0\7\0\0\0\0"


def with_records(gateway):
    """An open session of a viewer that is told by a NOTICE why it ends; (viewer, stream), at ServerInit."""
    viewer, stream = gateway.ready()
    viewer.sendall(b"\1" + encodings(0x47415201))
    take(stream, b"\1" + encodings(0x47415201))
    stream.sendall(server_init(3840, 1000))
    take(viewer, server_init(3840, 1000))
    return viewer, stream


def back_pressure_reaches_the_session(broker):
    unit = picture(128, 128, bytes(65536))
    # The lengths differ so that the last data, or close_notify itself, meets a full buffer in one of them.
    for extra in range(0, 24000, 1500):
        gateway = Gateway(broker, small_buffers=True)
        viewer, stream = with_records(gateway)
        stream.setblocking(False)
        sent, quiet = 0, time.monotonic()
        while time.monotonic() - quiet < 0.1 and sent < 64 << 20:
            try:
                sent += stream.send(unit[sent % len(unit):])
                quiet = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        check(sent < 4 << 20, "taken although nobody reads", sent)
        stream.setblocking(True)
        rest = unit[sent % len(unit):] + (picture(extra // 8, 2, bytes(extra)) if extra else b"") + NOTICE
        finished = in_thread(lambda: (stream.sendall(rest), stream.close()))
        data = b""
        while piece := viewer.recv(4096):
            data += piece
            if len(data) % (1 << 16) < 4096:
                time.sleep(0.001)
        finished()
        check(len(data) == sent + len(rest) and data.endswith(NOTICE), "the last bytes", len(data), sent)
        gateway.ends("NONE", hang_up=True)


def the_sessions_last_bytes_arrive_before_the_end(broker):
    for _ in range(10):
        gateway = Gateway(broker)
        viewer, stream = with_records(gateway)
        viewer.sendall(KEY * 3)  # that nobody reads any more
        last = picture(500, 100, bytes(200000)) + NOTICE
        stream.sendall(last)
        stream.close()
        data = b""
        while piece := viewer.recv(65536):
            data += piece
        check(data == last, "NOTICE is lost", len(data))
        gateway.ends("NONE", hang_up=True)


def a_viewer_that_leaves_in_whatever_way_has_left(broker):
    def politely(viewer):
        with contextlib.suppress(OSError):
            viewer.unwrap()

    def cut(viewer):
        viewer.shutdown(socket.SHUT_RDWR)

    def reset(viewer):
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        viewer.close()
    for leave in (politely, cut, reset):
        for frame in (False, True):
            gateway = Gateway(broker)
            viewer, stream = gateway.ready()
            if frame:  # in the middle of one, with much more to come
                stream.sendall(server_init(3840, 2160))
                stream.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    data = memoryview(picture(3840, 2160, bytes(3840 * 2160 * 4)))
                    while data:
                        data = data[stream.send(data[:65536]):]
                stream.setblocking(True)
                stream.settimeout(SLOW)
            leave(viewer)
            gateway.ends("VIEWER_LEFT")
            with contextlib.suppress(ConnectionResetError):
                check(at_end(stream), "the session keeps a dead stream")
    gateway = Gateway(broker)  # while it waits
    gateway.tls()
    gateway.wanted()
    gateway.viewer.close()
    gateway.ends("VIEWER_LEFT")
    gateway = Gateway(broker)  # in TLS
    gateway.viewer.sendall(b"\x16\x03\x01")
    gateway.viewer.close()
    gateway.ends("VIEWER_LEFT", "HANDSHAKE_FAILED")


def a_viewer_that_speaks_before_its_turn_is_ended(broker):
    gateway = Gateway(broker)
    gateway.tls()
    gateway.wanted()
    gateway.viewer.sendall(b"x")
    gateway.ends("PROTOCOL")
    gateway = Gateway(broker)
    viewer = gateway.tls(alpn=())
    gateway.wanted()
    viewer.sendall(VERSION + b"\1\1")
    gateway.ends("PROTOCOL")


def the_supervisors_end_or_nonsense_ends_the_gateway_at_once(broker):
    kept = None
    for state in ("tls", "waiting", "relay"):
        gateway = Gateway(broker)
        if state == "waiting":
            gateway.tls()
            gateway.wanted()
        elif state == "relay":
            kept = gateway.ready()
        gateway.control.close()
        check(gateway.exit_status(5) == 0, state)
        with contextlib.suppress(ConnectionResetError):
            while state != "tls" and gateway.viewer.recv(100):
                pass
        kept = None
    # Not in the table of the state.
    for state, kind, fd in (("tls", "REFUSE", False), ("tls", "OPEN", True), ("relay", "REFUSE", False), ("relay", "OPEN", True),
                            ("waiting", "OPEN", False), ("waiting", "PEER", True), ("waiting", "READY", False)):
        gateway = Gateway(broker)
        if state == "waiting":
            gateway.tls()
            gateway.wanted()
        elif state == "relay":
            kept = gateway.ready()
        ours, theirs = socket.socketpair()
        gateway.send(kind, "NO_CAPACITY" if kind == "REFUSE" else "NONE", fd=theirs.fileno() if fd else None)
        theirs.close()
        check(gateway.exit_status(5) == 1, state, kind)
        check(ours.recv(1) == b"", "a descriptor was kept")
        check(gateway.receive() is None, "a word after it")
    del kept


def a_viewer_that_never_closes_is_left_after_two_seconds(broker):
    gateway = Gateway(broker)
    gateway.tls()
    gateway.wanted()
    began = time.monotonic()
    gateway.send("REFUSE", "NO_CAPACITY")
    gateway.ends("NO_CAPACITY")
    check(1.5 < time.monotonic() - began < 4, "took", time.monotonic() - began)


def an_answer_after_the_viewer_left_is_put_aside(broker):
    gateway = Gateway(broker)
    gateway.tls()
    gateway.wanted()
    gateway.viewer.sendall(b"x")  # a protocol error: the gateway lingers until the viewer closes
    time.sleep(0.2)
    ours, theirs = socket.socketpair()
    gateway.send("OPEN", connection=gateway.number, fd=theirs.fileno())
    theirs.close()
    check(ours.recv(1) == b"", "the session keeps a dead stream")
    gateway.viewer.close()
    gateway.ends("PROTOCOL")


def a_session_process_that_fails_becomes_a_refusal(broker):
    for session in (lambda s: s.close(), lambda s: s.sendall(b"RFB 003.003\n"), lambda s: s.sendall(VERSION + b"\0\0\0\0\0"),
                    lambda s: s.sendall(VERSION + b"\1\2"), lambda s: s.sendall(VERSION + b"\1\1\0\0\0\1")):
        gateway = Gateway(broker)
        gateway.tls()
        gateway.wanted()
        gateway.open(session)
        take(gateway.viewer, b"GRSU\1\2\0\x0b" + bytes(8))
        check(at_end(gateway.viewer))
        gateway.ends("INTERNAL", hang_up=True)


def without_keys_or_identity_nobody_is_let_in(broker):
    lone = Broker(broker.pki)
    try:
        gateway = Gateway(lone)
        lone.identity.control.close()
        lone.identity.exit_status()
        gateway.tls()
        take(gateway.viewer, b"GRSU\1\2\0\x0b" + bytes(8))
        gateway.ends("INTERNAL", hang_up=True)
    finally:
        lone.close()
    lone = Broker(broker.pki)
    try:
        gateway = Gateway(lone)
        lone.keys.control.close()
        lone.keys.exit_status()
        try:
            gateway.tls()
            check(False, "a handshake without a signature")
        except ssl.SSLError as e:
            check("INTERNAL_ERROR" in alert_name(e), "alert", e)
        gateway.ends("INTERNAL", "HANDSHAKE_FAILED", hang_up=True)
    finally:
        lone.close()


def the_private_key_is_in_the_keys_process_alone(broker):
    if not ROOT:
        return "needs root to read other processes' memory"
    text = broker.pki.run("openssl", "ec", "-in", broker.pki.ca / "server.key", "-noout", "-text")
    secret = bytes.fromhex(text.split("priv:")[1].split("pub:")[0].replace(":", "").replace("\n", "").replace(" ", ""))[-32:]
    check(len(secret) == 32)
    gateway = Gateway(broker)
    gateway.ready()
    found = {}
    for name, pid in (("keys", broker.keys.pid), ("gateway", gateway.pid), ("identity", broker.identity.pid)):
        found[name] = False
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                span, mode = line.split()[:2]
                low, high = (int(x, 16) for x in span.split("-"))
                if "rw" not in mode or high - low > 64 << 20:
                    continue
                with contextlib.suppress(OSError, ValueError):
                    memory.seek(low)
                    data = memory.read(high - low)
                    found[name] |= secret in data or secret[::-1] in data
    check(found == {"keys": True, "gateway": False, "identity": False}, "the private key is in", found)


def the_processes_are_confined(broker):
    if not ROOT:
        return "needs root"
    gateway = Gateway(broker)
    for child, uid in ((broker.keys, 1), (broker.identity, 2), (gateway, 4096 + gateway.number % 1024)):
        status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{child.pid}/status").read_text().splitlines())
        check(status["Uid"].split() == [str(UID_BASE + uid)] * 4 == status["Gid"].split(), "uid", status["Uid"], status["Gid"])
        check(status["Groups"].split() == [] and status["NoNewPrivs"].strip() == "1", "groups, no_new_privs")
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            check(int(status[name], 16) == 0, name, status[name])
        check(os.readlink(f"/proc/{child.pid}/root") == f"{broker.folder}/run/empty", "root")
        check(os.stat(f"/proc/{child.pid}/mem").st_uid == 0, "dumpable")
        fds = {int(fd): os.readlink(f"/proc/{child.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{child.pid}/fd")}
        files = [target for fd, target in fds.items() if fd > 2 and not target.startswith(("socket:", "anon_inode:"))]
        check(not files, "open files", files)


def an_idle_connection_wakes_nobody(broker):
    gateway = Gateway(broker)
    kept = gateway.ready()
    time.sleep(0.2)

    def switches():
        total = 0
        for pid in (gateway.pid, broker.keys.pid, broker.identity.pid):
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if "ctxt_switches" in line:
                    total += int(line.split()[1])
        return total
    before = switches()
    time.sleep(3)
    check(switches() == before, "woken", switches() - before)
    kept[1].close()
    time.sleep(0.2)
    check(switches() > before, "the counters do not count")


def from_connect_to_ready(broker):
    times = []
    for _ in range(50):
        gateway = Gateway(broker)
        gateway.tls()
        gateway.wanted()
        gateway.open()
        take(gateway.viewer, READY)
        times.append((time.monotonic() - gateway.began) * 1000)
        gateway.close()
        broker.gateways.remove(gateway)
    times.sort()
    return f"p50 {statistics.median(times):.1f} ms, p95 {times[47]:.1f} ms"


TESTS = [
    bad_certificates_are_refused_before_any_application_byte, a_stale_revocation_list_refuses_everybody,
    who_is_revoked_while_it_runs_is_refused_from_then_on, an_issuing_ca_that_the_root_revoked_takes_all_that_it_issued_with_it,
    identity_judges_by_itself,
    identity_ends_malformed_requests, keys_signs_four_times_and_only_digests,
    a_server_key_that_others_may_read_stops_the_keys_process, tls_1_2_and_older_are_refused, no_ticket_and_no_early_data_are_given,
    a_ticket_and_early_data_of_another_server_are_of_no_use, a_second_handshake_in_a_connection_is_refused,
    alpn_other_than_ours_is_refused, standard_viewers_are_refused_unless_permitted, our_viewer_gets_ready_and_then_the_session, waiting_viewers_get_a_record_each_second,
    each_refusal_reaches_each_kind_of_viewer, plain_rfb_inside_tls_works, vencrypt_x509none_works,
    vencrypt_without_a_good_certificate_is_refused, slow_handshakes_end_after_ten_seconds,
    a_viewer_that_stalls_after_ready_ends_after_ten_seconds, garbage_on_either_port_ends_that_connection_only,
    a_changed_byte_is_never_accepted, many_mib_cross_intact_both_ways_to_a_slow_reader, back_pressure_reaches_the_session,
    the_sessions_last_bytes_arrive_before_the_end, a_viewer_that_leaves_in_whatever_way_has_left,
    a_viewer_that_speaks_before_its_turn_is_ended, the_supervisors_end_or_nonsense_ends_the_gateway_at_once,
    a_viewer_that_never_closes_is_left_after_two_seconds, an_answer_after_the_viewer_left_is_put_aside, a_session_process_that_fails_becomes_a_refusal,
    without_keys_or_identity_nobody_is_let_in, the_private_key_is_in_the_keys_process_alone, the_processes_are_confined,
    an_idle_connection_wakes_nobody, from_connect_to_ready,
]


if __name__ == "__main__":
    sys.exit(run("gateway_test", TESTS, sys.argv[1:]))
