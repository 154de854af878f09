#!/usr/bin/env python3
"""garasu-egress with a real garasu-audit behind it: what a container's browser gets of the internet, and what is recorded.

This program plays the supervisor, the container (a TCP port forwarded to its socket), the web and the name server. It runs in
a network namespace of its own; a second one, with public-looking addresses, is the internet (INTERNET).
"""
import base64
import contextlib
import hashlib
import http.client
import http.server
import ipaddress
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
from audit_test import EGRESS, Child, Folder  # noqa: E402
from supervise import check  # noqa: E402

NAME_SERVER = "127.77.0.53"  # its port must be 53
BIG = os.urandom(1 << 20) * 24
SESSION = 0x1234567890ABCDEF


# ---- the web ----


class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    heads = []  # what reached the sites, in order
    connections = 0

    def setup(self):
        Site.connections += 1
        super().setup()

    def log_message(self, *arguments):
        pass

    def note(self):
        Site.heads.append((self.requestline, dict(self.headers.items())))

    def reply(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Proxy-Authenticate", "never passed on")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        self.note()
        if self.path == "/big":
            self.reply(BIG)
        elif self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in (b"hello ", b"chunked " * 5000, b"world"):
                self.wfile.write(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\nX-Trailer: 1\r\n\r\n")
        elif self.path == "/until-end":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"until the end")
            self.close_connection = True
        elif self.path == "/nothing":
            self.close_connection = True
        elif self.path == "/garbage":
            self.wfile.write(b"this is not HTTP\r\n\r\n")
            self.close_connection = True
        elif self.path == "/early":
            self.send_response_only(103)
            self.send_header("Link", "</style.css>")
            self.end_headers()
            self.reply(b"after 103")
        elif self.path == "/slow":
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 30))
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"x" * 1000)
                    time.sleep(0.05)
        else:
            self.reply(b"page " + self.path.encode())

    do_HEAD = do_GET

    def do_POST(self):
        self.note()
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while (size := int(self.rfile.readline(), 16)):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(hashlib.sha256(body).hexdigest().encode() + b" %d" % len(body))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass


def serve(handler, context=None):
    server = Server(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def shovel(a, b):
    with contextlib.suppress(OSError):
        while (data := a.recv(65536)):
            b.sendall(data)
    with contextlib.suppress(OSError):
        b.shutdown(socket.SHUT_WR)


def join(a, b):
    threads = [threading.Thread(target=shovel, args=way, daemon=True) for way in ((a, b), (b, a))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    a.close()
    b.close()


class UpstreamProxy(Site):
    """A proxy such as a city's security cloud; it knows a name that nobody else does."""

    asked = []

    def target(self, authority):
        UpstreamProxy.asked.append(self.requestline)
        name, port = authority.rsplit(":", 1)
        return ("127.0.0.1" if name == "far.example" else name, int(port))

    def do_CONNECT(self):
        if self.path == "forbidden.example:443":
            self.reply(b"<h1>an internet-authored page</h1>", 403)
            return
        server = socket.create_connection(self.target(self.path))
        self.wfile.write(b"HTTP/1.1 200 Fine\r\nX-Proxy: yes\r\n\r\n")
        join(self.connection, server)
        self.close_connection = True

    def do_GET(self):
        authority, path = self.path.removeprefix("http://").split("/", 1)
        connection = http.client.HTTPConnection(*self.target(authority))
        connection.request("GET", "/" + path, headers={"Host": self.headers["Host"]})
        self.reply(connection.getresponse().read())


class CarefulProxy(UpstreamProxy):
    """One that demands credentials; its own words are never to be seen."""

    CREDENTIALS = "garasu:s3cret pass"
    shown = []  # what came as Proxy-Authorization

    def knows(self):
        given = self.headers.get_all("Proxy-Authorization") or []
        CarefulProxy.shown.append(given)
        if given == ["Basic " + base64.b64encode(self.CREDENTIALS.encode()).decode()]:
            return True
        self.send_response(407)
        self.send_header("Proxy-Authenticate", 'Basic realm="internet-authored"')
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"words")
        return False

    def do_CONNECT(self):
        if self.knows():
            super().do_CONNECT()

    def do_GET(self):
        if self.knows():
            super().do_GET()


def name_server(answers, stop):
    """name -> list of addresses, or a list of such lists, one for each time that it is looked up; unknown names do not exist."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((NAME_SERVER, 53))
    sock.settimeout(0.2)

    def run():
        while not stop.is_set():
            try:
                query, peer = sock.recvfrom(512)
            except socket.timeout:
                continue
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += query[at] + 1
            kind = struct.unpack(">H", query[at + 1:at + 3])[0]
            name = ".".join(labels).lower()
            found = answers.get(name)
            if found and isinstance(found[0], list):
                found = found[min(name_server.asked.count((name, kind)), len(found) - 1)]
            name_server.asked.append((name, kind))
            records = [ipaddress.ip_address(a).packed for a in found or []]
            records = [r for r in records if len(r) == {1: 4, 28: 16}.get(kind)]
            flags = 0x8180 if found else 0x8183
            sock.sendto(query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + query[12:at + 5] +
                        b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 1, len(r)) + r for r in records), peer)
        sock.close()

    threading.Thread(target=run, daemon=True).start()


name_server.asked = []


# ---- supervisor and container ----


class Broker:
    def __init__(self, folder):
        self.folder = folder
        hosts = folder.path
        self.audit = Child("garasu-audit", folder.config)
        # Its own resolv.conf and hosts, so that the names are the test's.
        self.egress = Child("garasu-egress", folder.config,
                            f"mount --bind {hosts}/resolv.conf $(readlink -f /etc/resolv.conf) && mount --bind {hosts}/hosts /etc/hosts &&")
        self.forwarders = []
        self.join()

    def join(self):
        """Gives both the two ends of one socket, as the supervisor does at start and after a restart."""
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (a, b):
            end.setblocking(False)
        self.audit.send("PEER", number=EGRESS, fd=a.fileno())
        self.egress.send("PEER", number=EGRESS, fd=b.fileno())
        a.close()
        b.close()

    def container(self, number, session=SESSION, person="yamada"):
        """Returns the path of its socket."""
        path = f"{self.folder.path}/c{number}.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(128)
            self.egress.send("EGRESS_CONTAINER", container=number, fd=listener.fileno())
        if session:
            self.egress.send("EGRESS_ASSIGN", container=number, session=session, person=person)
        return path

    def stop(self):
        check(self.egress.stop() == 0, self.egress.said())
        check(self.audit.stop() == 0, self.audit.said())
        self.folder.verify()
        return [line for line in self.folder.lines() if line["kind"] != "key"]  # which the audit process begins with


def forward(path):
    """A TCP port that leads to a UNIX socket, as the agent in the container offers it. Returns the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(path)
            except OSError:
                client.close()
                continue
            threading.Thread(target=join, args=(client, server), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1]


def curl(proxy, *arguments, code=0):
    result = subprocess.run(["curl", "-s", "-S", "--max-time", "40", "--proxy", f"http://127.0.0.1:{proxy}", "--noproxy", "", *arguments],
                            capture_output=True)
    if code is not None:
        check(result.returncode == code, f"curl {arguments}: {result.returncode} {result.stderr.decode()}")
    return result.stdout


def status(proxy, *arguments, code=0):
    return curl(proxy, "-o", "/dev/null", "-w", "%{http_code}/%{http_connect}", *arguments, code=code).decode()


def raw(path, request, half_close=False):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(path)
        sock.sendall(request)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        received = b""
        while (data := sock.recv(65536)):
            received += data
        return received


def wait_for(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"waited for {what}")
        time.sleep(0.02)


class World:
    def __init__(self):
        self.folder = Folder()
        path = self.folder.path
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
                        "/CN=site", "-addext", "subjectAltName=DNS:site.example,DNS:far.example,IP:127.0.0.1", "-keyout",
                        f"{path}/key.pem", "-out", f"{path}/cert.pem"], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{path}/cert.pem", f"{path}/key.pem")
        self.http = serve(Site)
        self.https = serve(Site, context)
        self.upstream = serve(UpstreamProxy)
        with socket.create_server(("127.0.0.1", 0)) as unused:
            self.closed = unused.getsockname()[1]
        with open(f"{path}/resolv.conf", "w") as out:
            out.write(f"nameserver {NAME_SERVER}\nsearch search.example\n")
        with open(f"{path}/hosts", "w") as out:
            out.write("127.0.0.1 localhost hosts.example # comment\n")
        self.stop = threading.Event()
        self.names = {"site.example": ["127.0.0.1"], "rebind.example": ["127.0.0.1"], "mixed.example": ["10.0.0.1", "192.168.0.1"],
                      "metadata.example": ["169.254.169.254"]}
        name_server(self.names, self.stop)
        Site.heads.clear()
        name_server.asked.clear()

    def configure(self, egress, more=""):
        self.folder.configure(f"egress {{\n{egress}\n}}\n{more}")

    def allow(self, *more, upstream=None, deny=False):
        allowed = [f"127.0.0.1:{self.http}", f"127.0.0.1:{self.https}", f"site.example:{self.http}", f"site.example:{self.https}",
                   f"hosts.example:{self.http}", f"127.0.0.1:{self.closed}", *more]
        listed = ", ".join(f'"{endpoint}"' for endpoint in allowed)
        chain = f' upstream = "127.0.0.1:{upstream}"\n' if upstream else ""
        chain += ' default = "deny"\n' if deny else ""
        self.folder.configure(f"egress {{\n{chain} allow = {{{listed}}}\n}}\n")


# ---- the tests ----


def plain_requests_are_carried_and_recorded(world):
    world.allow()
    broker = Broker(world.folder)
    path = broker.container(1)
    proxy = forward(path)
    site = f"http://127.0.0.1:{world.http}"
    check(curl(proxy, f"{site}/a?b=c#d") == b"page /a?b=c", "GET")
    line, head = Site.heads[-1]
    check(line == "GET /a?b=c HTTP/1.1" and head["Host"] == f"127.0.0.1:{world.http}", Site.heads[-1])
    check(not {"proxy-connection", "via", "x-forwarded-for", "forwarded", "connection"} & {name.lower() for name in head}, head)
    check(curl(proxy, f"http://site.example:{world.http}/by-name") == b"page /by-name", "a name that is allowed")
    check(curl(proxy, f"http://hosts.example:{world.http}/h") == b"page /h", "a name of the hosts file")
    check(curl(proxy, "-I", f"{site}/head").startswith(b"HTTP/1.1 200 OK\r\n"), "HEAD")
    check(b"Proxy-Authenticate" not in curl(proxy, "-i", f"{site}/x"), "hop-by-hop")
    check(curl(proxy, f"{site}/chunked") == b"hello " + b"chunked " * 5000 + b"world", "chunked")
    check(curl(proxy, "-0", f"{site}/chunked") == b"hello " + b"chunked " * 5000 + b"world", "chunked to HTTP/1.0")
    check(curl(proxy, f"{site}/until-end") == b"until the end", "a body until the end")
    check(curl(proxy, f"{site}/early") == b"after 103", "103")
    check(curl(proxy, "-d", "field=1", f"{site}/post").split()[1] == b"7", "POST")
    body = os.urandom(3000000)
    with open(f"{world.folder.path}/body", "wb") as out:
        out.write(body)
    for how in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue")):
        got = curl(proxy, *how, "--data-binary", f"@{world.folder.path}/body", f"{site}/post")
        check(got == hashlib.sha256(body).hexdigest().encode() + b" 3000000", f"POST {how} {got}")
    started = time.monotonic()
    check(curl(proxy, f"{site}/big") == BIG, "a big download is equal")
    print(f"   {len(BIG) / 1e6 / (time.monotonic() - started):.0f} MB/s plain, forwarder of the test and sanitizers included")
    before = Site.connections
    check(curl(proxy, f"{site}/1", f"{site}/2", f"{site}/3") == b"page /1page /2page /3", "keep-alive")
    check(Site.connections == before + 1, "one connection to the server for three requests")
    answer = raw(path, f"GET {site}/p1 HTTP/1.1\r\nHost: x\r\n\r\nGET {site}/p2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    check(answer.index(b"page /p1") < answer.index(b"page /p2"), "pipelined")
    check(raw(path, f"GET {site}/half HTTP/1.1\r\nHost: x\r\n\r\n".encode(), half_close=True).endswith(b"page /half"), "half-closed")
    check(status(proxy, f"{site}/nothing") == "502/000" and status(proxy, f"{site}/garbage") == "502/000", "a broken server")
    check(status(proxy, f"http://127.0.0.1:{world.closed}/") == "502/000", "a closed port")
    page = curl(proxy, f"http://127.0.0.1:{world.closed}/")
    check("サイトに接続できません".encode() in page and b"cannot be reached" in page, page)
    lines = broker.stop()
    story = [(line["kind"], line.get("target")) for line in lines[:2]]
    target = f"GET%20127.0.0.1:{world.http}"
    check(story == [("egress.request", target), ("egress.end", target)], lines[:2])
    check(lines[0]["session"] == f"{SESSION:016x}" and lines[0]["person"] == "yamada" and lines[0]["container"] == "1", lines[0])
    check(int(lines[1]["down"]) > 11 and int(lines[1]["up"]) > 50, lines[1])
    kinds = [line["kind"] for line in lines]
    check(kinds.count("egress.request") == kinds.count("egress.end") == len(lines) / 2, kinds)
    check(any(int(line.get("down", 0)) > len(BIG) for line in lines), "bytes of the big download")


def tunnels_are_carried_and_recorded(world):
    world.allow()
    broker = Broker(world.folder)
    path = broker.container(3)
    proxy = forward(path)
    certificate = ("--cacert", f"{world.folder.path}/cert.pem")
    check(curl(proxy, *certificate, f"https://site.example:{world.https}/tls") == b"page /tls", "CONNECT")
    started = time.monotonic()
    check(curl(proxy, *certificate, f"https://127.0.0.1:{world.https}/big") == BIG, "a big download is equal")
    print(f"   {len(BIG) / 1e6 / (time.monotonic() - started):.0f} MB/s tunnelled, TLS in python, forwarder and sanitizers included")
    body = os.urandom(4000000)
    with open(f"{world.folder.path}/body", "wb") as out:
        out.write(body)
    got = curl(proxy, *certificate, "--data-binary", f"@{world.folder.path}/body", f"https://127.0.0.1:{world.https}/post")
    check(got == hashlib.sha256(body).hexdigest().encode() + b" 4000000", got)
    check(status(proxy, f"https://127.0.0.1:{world.closed}/", code=56) == "000/502", "a closed port")
    # The first bytes of the tunnel in the same packet as the request, and a half-close.
    request = f"CONNECT 127.0.0.1:{world.http} HTTP/1.1\r\n\r\nGET /in-tunnel HTTP/1.1\r\nConnection: close\r\n\r\n".encode()
    answer = raw(path, request, half_close=True)
    check(answer.startswith(b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK") and answer.endswith(b"page /in-tunnel"), answer)
    # A peer that never reads holds up its own server, and nobody's memory.
    slow = socket.socket(socket.AF_UNIX)
    slow.connect(path)
    slow.sendall(f"CONNECT 127.0.0.1:{world.http} HTTP/1.1\r\n\r\nGET /big HTTP/1.1\r\n\r\n".encode())
    time.sleep(0.5)
    switches = broker.egress.switches()
    time.sleep(1.5)
    check(broker.egress.switches() - switches == 0, "an idle egress process wakes up")
    received = 0
    while received < len(BIG):
        received += len(slow.recv(1 << 20))
    slow.close()
    lines = broker.stop()
    kinds = [line["kind"] for line in lines]
    check(kinds.count("egress.request") == kinds.count("egress.end") == len(lines) / 2 == 6, kinds)
    check(lines[0]["target"] == f"CONNECT%20site.example:{world.https}", lines[0])
    check(any(int(line.get("up", 0)) > len(body) for line in lines), "bytes of the upload")


def what_is_not_permitted_is_refused_and_recorded(world):
    world.allow()
    broker = Broker(world.folder)
    path = broker.container(1)
    unassigned = broker.container(2, session=0)
    proxy = forward(path)
    # Other ports of this machine's addresses are open to no one.
    refused = [f"127.0.0.1:{world.upstream}", f"localhost:{world.http}", f"[::1]:{world.http}", f"[::ffff:127.0.0.1]:{world.http}",
               "10.0.0.1:80", "192.168.1.1:80", "169.254.169.254:80", "[fe80::1]:80", "[fd00::1]:80", "0.0.0.0:80", "100.64.0.1:80",
               "8.8.8.8:25", "site.example:81", "a.localhost:80"]
    sites = len(Site.heads)
    for target in refused:
        answer = raw(path, f"GET http://{target}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        check(answer.startswith(b"HTTP/1.1 403 ") and "許可されていません".encode() in answer, (target, answer))
        answer = raw(path, f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
        check(answer.startswith(b"HTTP/1.1 403 "), (target, answer))
    # Names that resolve to private addresses: refused only after the request was recorded.
    for name in ("rebind.example", "mixed.example", "metadata.example"):
        check(status(proxy, f"http://{name}/") == "403/000", name)
        check(status(proxy, f"https://{name}/", code=56) == "000/403", name)
    check(status(proxy, "http://nowhere.example/") == "502/000", "no such name")
    check("名前が見つかりません".encode() in curl(proxy, "http://nowhere.example/"), "page")
    for bad in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET https://a.example/ HTTP/1.1\r\n\r\n", b"\x16\x03\x01\0\0", b"CONNECT a HTTP/1.1\r\n\r\n",
                b"GET http://127.1/ HTTP/1.1\r\n\r\n", b"GET http://2130706433/ HTTP/1.1\r\n\r\n", b"GET http://0x7f.1/ HTTP/1.1\r\n\r\n",
                b"GET http://a.example/ HTTP/1.1\r\nX: " + b"a" * 70000):
        check(raw(path, bad).startswith(b"HTTP/1.1 400 "), bad[:60])
    answer = raw(unassigned, f"GET http://127.0.0.1:{world.http}/ HTTP/1.1\r\n\r\n".encode())
    check(answer.startswith(b"HTTP/1.1 503 ") and "割り当てられていません".encode() in answer, answer)
    check(len(Site.heads) == sites, "a refused request reached a site")
    asked = {name for name, kind in name_server.asked}
    check(asked == {"rebind.example", "mixed.example", "metadata.example", "nowhere.example"}, asked)
    lines = broker.stop()
    kinds = [line["kind"] for line in lines]
    check(kinds[:2 * len(refused)] == ["egress.refused"] * 2 * len(refused), kinds)
    pairs = kinds[2 * len(refused):2 * len(refused) + 12]
    check(pairs == ["egress.request", "egress.refused"] * 6, pairs)
    details = [line.get("detail", "") for line in lines]
    for wanted in ("loopback%20address", "link-local%20address%20169.254.169.254", "private%20address%2010.0.0.1", "port%20not%20permitted",
                   "no%20such%20name", "malformed%20target", "request%20head%20too%20long", "container%20not%20assigned%20to%20a%20session"):
        check(wanted in details, (wanted, details))
    check("session" not in lines[-1] and lines[-1]["container"] == "2", lines[-1])


def an_upstream_proxy_is_chained_to(world):
    world.allow("far.example:" + str(world.https), "far.example:" + str(world.http), upstream=world.upstream)
    broker = Broker(world.folder)
    path = broker.container(1)
    proxy = forward(path)
    UpstreamProxy.asked.clear()
    check(curl(proxy, "--cacert", f"{world.folder.path}/cert.pem", f"https://far.example:{world.https}/big") == BIG, "CONNECT through")
    check(curl(proxy, f"http://far.example:{world.http}/plain") == b"page /plain", "plain through")
    check(UpstreamProxy.asked == [f"CONNECT far.example:{world.https} HTTP/1.1", f"GET http://far.example:{world.http}/plain HTTP/1.1"],
          UpstreamProxy.asked)
    answer = raw(path, b"CONNECT forbidden.example:443 HTTP/1.1\r\n\r\n")
    check(answer.startswith(b"HTTP/1.1 403 ") and b"internet-authored" not in answer, answer)
    check(raw(path, b"CONNECT 10.1.2.3:443 HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 403 "), "addresses are still checked")
    check(not name_server.asked, "names are the upstream proxy's business")
    lines = broker.stop()
    check([line["kind"] for line in lines] == ["egress.request", "egress.end"] * 3 + ["egress.refused"], lines)


def get(path, target, *fields):
    """A plain request; the whole answer."""
    head = "".join(field + "\r\n" for field in fields)
    return raw(path, f"GET http://{target}/page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n".encode())


def an_upstream_proxy_is_shown_the_credentials_and_its_refusal_is_not_passed_on(world):
    proxy = serve(CarefulProxy)
    file = f"{world.folder.path}/upstream"
    page = "上位プロキシの認証に失敗しました".encode()

    def begin(credentials, mode=0o600):
        with open(file, "w") as out:
            out.write(credentials)
        os.chmod(file, mode)
        CarefulProxy.shown.clear()
        world.configure(f'upstream = "127.0.0.1:{proxy}" allow = {{"far.example:{world.http}"}}' +
                        (f' upstream_credentials = "{file}"' if credentials else ""))
        broker = Broker(world.folder)
        return broker, broker.container(1)

    def stop(broker):
        check(CarefulProxy.CREDENTIALS not in broker.egress.said(), "the password in the log")
        details = [line.get("detail") for line in broker.stop() if line["kind"] == "egress.end"]
        shutil.rmtree(world.folder.audit)
        os.unlink(f"{world.folder.path}/c1.sock")
        return details

    target, own = f"far.example:{world.http}", "Basic " + base64.b64encode(CarefulProxy.CREDENTIALS.encode()).decode()
    tunnel = f"CONNECT {target} HTTP/1.1\r\nProxy-Authorization: Basic bWluZTptaW5l\r\n\r\n".encode()
    inside = b"GET /in HTTP/1.1\r\nConnection: close\r\n\r\n"
    broker, path = begin(CarefulProxy.CREDENTIALS + "\n")
    check(get(path, target, "Proxy-Authorization: Basic bWluZTptaW5l").endswith(b"page /page"), "plain")
    check(raw(path, tunnel + inside, half_close=True).endswith(b"page /in"), "tunnel")
    check(CarefulProxy.shown == [[own], [own]], CarefulProxy.shown)
    check(stop(broker) == [None, None], "details")
    for credentials, detail in (("garasu:wrong\n", "the%20upstream%20proxy%20refused%20the%20credentials%20%28407%29"),
                                ("", "the%20upstream%20proxy%20wants%20credentials%20%28407%29")):
        broker, path = begin(credentials)
        for answer in (get(path, target), raw(path, tunnel)):
            check(answer.startswith(b"HTTP/1.1 502 ") and page in answer and b"internet-authored" not in answer, answer)
        check(not any("bWluZTptaW5l" in str(shown) for shown in CarefulProxy.shown), "the container's own credentials were passed on")
        check(stop(broker) == [detail] * 2, "details")
    # Without an upstream proxy a site that answers 407 is a site that wants the person's password.
    world.configure(f'allow = {{"127.0.0.1:{proxy}"}}')
    broker = Broker(world.folder)
    answer = get(broker.container(1), f"127.0.0.1:{proxy}")
    check(answer.startswith(b"HTTP/1.1 502 ") and b"internet-authored" not in answer, answer)
    broker.stop()
    try:
        begin("garasu:secret", 0o640)
    except AssertionError as failure:
        check(f"egress.upstream_credentials: {file} can be read by others (mode 0640)" in str(failure) and "secret" not in str(failure), failure)
    else:
        check(False, "a file that others can read was taken")


def names_cannot_lead_to_where_nobody_may_go(world):
    inside = {"private": PRIVATE, "linklocal": "169.254.169.254", "shared": "100.64.0.7", "mapped": f"::ffff:{PRIVATE}",
              "nat64": f"64:ff9b::{PRIVATE}", "sixtofour": "2002:a09:807::1", "ula": "fd00::7", "lgwan": "44.9.9.9", "lgwan6": "2a00:9::9",
              "lgwan64": "64:ff9b::44.9.9.9"}
    for address in inside.values():  # seen to work: nothing but the check keeps them from being reached
        with socket.create_connection((address, 80), 20) as direct:
            direct.sendall(b"GET / HTTP/1.0\r\n\r\n")
            check(direct.makefile("rb").read().endswith(b"the internet"), address)
    INTERNET.hits()
    world.names.update({f"{name}.example": [address] for name, address in inside.items()})
    world.names.update({"public.example": [PUBLIC], "six.example": [PUBLIC6], "own.example": [OWN],
                        "several.example": [PRIVATE, PUBLIC, "127.0.0.1", f"::ffff:{PRIVATE}"],
                        "changes.example": [[PUBLIC], [PRIVATE], ["127.0.0.1"]]})
    world.configure('networks_refused = {"44.9.0.0/16", "2a00:9::/32"} allow = {".example", "lgwan.example:80", "44.9.9.9:80", "10.9.8.7"}')
    broker = Broker(world.folder)
    path = broker.container(1)
    check(get(path, "public.example").endswith(b"the internet"), "a public address")
    check(get(path, "six.example").endswith(b"the internet"), "a public IPv6 address")
    check([kind for name, kind in name_server.asked if name == "public.example"].count(1) == 1, "looked up once")
    reasons = []
    for name, address in inside.items():
        for target in (f"{name}.example", f"[{address}]" if ":" in address else address):
            for answer in (get(path, target), raw(path, f"CONNECT {target}:443 HTTP/1.1\r\n\r\n".encode())):
                check(answer.startswith(b"HTTP/1.1 403 "), (target, answer))
    ip("addr add 44.0.2.9/32 dev inet0", "addr add 2a00:2::9/128 dev inet0 nodad")  # since the broker began
    for target in ("own.example", OWN, OWN_SECOND, "44.0.2.9", "[2a00:2::9]"):
        check(get(path, target).startswith(b"HTTP/1.1 403 "), target)
    # Of several addresses only the permitted one is used; of a name that changes what was looked up for this request.
    check(get(path, "several.example").endswith(b"the internet"), "several")
    check(get(path, "changes.example").endswith(b"the internet"), "changes: public")
    check(get(path, "changes.example").startswith(b"HTTP/1.1 403 "), "changes: private")
    check(get(path, "changes.example").startswith(b"HTTP/1.1 403 "), "changes: loopback")
    hits = INTERNET.hits()
    check(hits == [PUBLIC, PUBLIC6, PUBLIC, PUBLIC], hits)
    reasons = {line["detail"].replace("%20", " ") for line in broker.stop() if line["kind"] == "egress.refused"}
    check({f"private address {PRIVATE}", "link-local address 169.254.169.254", "shared address 100.64.0.7", f"v4-mapped address ::ffff:{PRIVATE}",
           "private address 64:ff9b::a09:807", "6to4 address 2002:a09:807::1", "private address fd00::7", "networks_refused address 44.9.9.9",
           "networks_refused address 2a00:9::9", "networks_refused address 64:ff9b::2c09:909", f"this-machine address {OWN}",
           "this-machine address", "loopback address 127.0.0.1"} <= reasons, reasons)


def each_person_reaches_what_the_group_may(world):
    for name in ("a.go.example", "go.example", "evilgo.example", "sns.example", "bad.go.example", "other.example"):
        world.names[name] = [PUBLIC]
    world.configure('default = "deny" allow = {".go.example"} deny = {"bad.go.example", ".sns.example"}',
                    'group "広報課" { persons = {"yamada"} allow = {".sns.example"} deny = {"a.go.example"} }\n'
                    'group "情報課" { persons = {"tanaka"} default = "permit" }\n')
    broker = Broker(world.folder)
    paths = {person: broker.container(number + 1, person=person) for number, person in enumerate(("yamada", "tanaka", "hanako"))}
    wanted = {"a.go.example": "tanaka hanako", "go.example": "yamada tanaka hanako", "evilgo.example": "tanaka", "sns.example": "yamada",
              "bad.go.example": "", "other.example": "tanaka", "other.example:8080": ""}
    INTERNET.hits()
    count = 0
    for target, persons in wanted.items():
        for person, path in paths.items():
            answer = get(path, target)
            count += person in persons.split()
            check(answer.endswith(b"the internet") == (person in persons.split()), (target, person, answer))
            check(answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 403 ")), answer)
    check(len(INTERNET.hits()) == count, "what reached the sites")
    # A container that passes to another person is judged by that person's group.
    broker.egress.send("EGRESS_ASSIGN", container=1, session=7, person="tanaka")
    wait_for(lambda: get(paths["yamada"], "other.example").endswith(b"the internet"), "the other person's lists")
    lines = broker.stop()
    refused = {(line["person"], line["target"].removeprefix("GET%20")): line["detail"] for line in lines if line["kind"] == "egress.refused"}
    for who, detail in {("yamada", "a.go.example:80"): "group%20広報課%20deny:%20a.go.example", ("hanako", "sns.example:80"): "egress%20deny:%20.sns.example",
                        ("hanako", "other.example:80"): "egress%20default:%20deny", ("tanaka", "bad.go.example:80"): "egress%20deny:%20bad.go.example",
                        ("tanaka", "other.example:8080"): "port%20not%20permitted"}.items():
        check(refused.get(who) == detail, who, refused.get(who))
    world.configure("ports = {8080}")
    shutil.rmtree(world.folder.audit)
    broker = Broker(world.folder)
    path = broker.container(9)
    check(get(path, "other.example:8080").endswith(b"the internet"), "a configured port")
    check(raw(path, b"CONNECT other.example:8080 HTTP/1.1\r\n\r\nGET / HTTP/1.0\r\n\r\n").endswith(b"the internet"), "a configured port, CONNECT")
    check(get(path, "other.example").startswith(b"HTTP/1.1 403 "), "a port that is not configured")
    broker.stop()


def a_new_policy_counts_for_new_requests(world):
    world.names["a.example"] = world.names["b.example"] = [PUBLIC]
    world.configure("")
    broker = Broker(world.folder)
    path, other = broker.container(1, person="yamada"), broker.container(2, person="sato")

    def tell(egress, more=""):
        world.configure(egress, more)
        with open(world.folder.config) as file:
            broker.egress.send("POLICY", fd=file.fileno())
    check(get(path, "a.example").endswith(b"the internet") and get(other, "a.example").endswith(b"the internet"), "before")
    tell("", 'group "広報課" { persons = {"yamada"} deny = {"a.example"} }\n')
    wait_for(lambda: get(path, "a.example").startswith(b"HTTP/1.1 403 "), "the new rule")
    check(get(path, "b.example").endswith(b"the internet"), "another site")
    check(get(other, "a.example").endswith(b"the internet"), "another person")
    tell('default = "deny" allow = {"b.example"}')
    wait_for(lambda: get(other, "a.example").startswith(b"HTTP/1.1 403 "), "the next one")
    check(get(path, "b.example").endswith(b"the internet"), "without the group")
    tell("default = maybe")  # counts for nobody: the process ends, for the supervisor to start another
    check(broker.egress.exit_status() == 1, "its end")
    broker.audit.stop()


def a_container_cannot_flood_the_record(world):
    world.allow()
    broker = Broker(world.folder)
    path, other = broker.container(1), broker.container(2, session=2, person="tanaka")
    refused, held_back, answer = 0, 0, b""
    while held_back < 200 and refused < 20000:
        answer = raw(path, b"GET / HTTP/1.1\r\n\r\n")
        refused += answer.startswith(b"HTTP/1.1 400 ")
        held_back += answer.startswith(b"HTTP/1.1 429 ")
    check(refused >= 1000 and held_back == 200, (refused, held_back))
    check(get(other, f"127.0.0.1:{world.http}").endswith(b"page /page"), "another container is not held back")
    while answer.startswith(b"HTTP/1.1 400 "):
        answer = raw(path, b"GET / HTTP/1.1\r\n\r\n")
        refused += answer.startswith(b"HTTP/1.1 400 ")
        held_back += answer.startswith(b"HTTP/1.1 429 ")
    check(b"\r\nRetry-After: " in answer and "要求が多すぎる".encode() in answer, answer)
    wait_for(lambda: raw(path, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 "), "the container's next request")
    lines = [line for line in broker.stop() if line.get("container") == "1"]
    records = [line["detail"] for line in lines if "held%20back" in line["detail"]]
    check(1 <= len(records) <= 1 + 2 * (len(lines) // 500), "records of what was held back", records)
    check(sum(int(detail.split("%20")[0]) for detail in records) >= held_back, records)
    check(all("person" in line for line in lines), "whose")


def by_default_deny_only_what_is_allowed_is_reached(world):
    for upstream in (None, world.upstream):
        world.allow("far.example:80", upstream=upstream, deny=True)
        broker = Broker(world.folder)
        path = broker.container(2 if upstream else 1)
        UpstreamProxy.asked.clear()
        proxy = forward(path)
        check(curl(proxy, f"http://127.0.0.1:{world.http}/listed") == b"page /listed", "what is allowed")
        sites, asked = len(Site.heads), len(UpstreamProxy.asked)
        refused = ["nowhere.example:80", "93.184.216.34:80", "far.example:443", "www.far.example:80", f"site.example:{world.closed}",
                   f"localhost:{world.http}"]
        for target in refused:
            for request in (f"GET http://{target}/ HTTP/1.1\r\nHost: far.example\r\n\r\n", f"CONNECT {target} HTTP/1.1\r\n\r\n"):
                answer = raw(path, request.encode())
                check(answer.startswith(b"HTTP/1.1 403 "), (request, answer))
        check(len(Site.heads) == sites and len(UpstreamProxy.asked) == asked, "a refused request went out")
        check(not name_server.asked, name_server.asked)
        lines = broker.stop()
        lines = [line for line in lines if line.get("container") == ("2" if upstream else "1")]
        check([line["kind"] for line in lines] == ["egress.request", "egress.end"] + ["egress.refused"] * 2 * len(refused), lines)
        details = [line["detail"] for line in lines[2:]]
        check(details == ["egress%20default:%20deny"] * 12, details)


def a_full_disk_stops_the_internet_until_there_is_room(world):
    world.allow()
    os.mkdir(world.folder.audit)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8300k", "tmpfs", world.folder.audit], check=True)
    broker = Broker(world.folder)
    path = broker.container(1)
    request = f"GET http://127.0.0.1:{world.http}/full HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    answers = []
    while len(answers) < 400 and answers.count(b"503") < 10:
        reached = len(Site.heads)
        answers.append(raw(path, request)[9:12])
        check(len(Site.heads) == reached + (answers[-1] == b"200"), "a refused request reached the site")
    check(answers.count(b"200") > 20 and answers.count(b"503") == 10, answers)
    check("監査記録に書き込めない".encode() in raw(path, request), "page")
    subprocess.run(["mount", "-o", "remount,size=20m", world.folder.audit], check=True)
    wait_for(lambda: raw(path, request)[9:12] == b"200", "it to work again")
    lines = broker.stop()
    kinds = [line["kind"] for line in lines]
    check(kinds.count("egress.request") == kinds.count("egress.end"), kinds[-10:])


def the_audit_process_may_die_and_come_back(world):
    world.allow()
    broker = Broker(world.folder)
    path = broker.container(1)
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(20)
    stream.connect(path)
    stream.sendall(f"GET http://127.0.0.1:{world.http}/slow HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    check(stream.recv(100).startswith(b"HTTP/1.1 200"), "the stream")
    broker.audit.kill()
    request = f"GET http://127.0.0.1:{world.http}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    wait_for(lambda: raw(path, request).startswith(b"HTTP/1.1 503 "), "refusal")
    check(len(stream.recv(100)) > 0, "a stream that was permitted goes on")
    stream.close()
    broker.audit = Child("garasu-audit", world.folder.config)
    broker.join()
    check(raw(path, request).startswith(b"HTTP/1.1 200 "), "it works again")
    lines = broker.stop()
    slow = [line for line in lines if line["kind"] == "egress.end" and int(line.get("down", 0)) > 1000]
    check(len(slow) == 1, "the stream's end was not recorded by the next audit process")


def a_forgotten_container_and_a_flood_leave_nothing_behind(world):
    world.allow()
    broker = Broker(world.folder)
    pid = broker.egress.pid
    raw(broker.container(6), b"GET / HTTP/1.1\r\n\r\n")  # all that was sent to it before is there now
    time.sleep(0.2)
    before = len(os.listdir(f"/proc/{pid}/fd"))
    path = broker.container(7)
    sockets = []
    for _ in range(300):  # past the bound of a container: the rest waits in the backlog
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        sock.sendall(f"CONNECT 127.0.0.1:{world.http} HTTP/1.1\r\n\r\n".encode())
        sockets.append(sock)
    # 256 of each side, and the listener.
    wait_for(lambda: len(os.listdir(f"/proc/{pid}/fd")) == before + 1 + 512, "256 tunnels")
    for sock in sockets[:60]:
        sock.close()
    sockets[-1].settimeout(20)
    check(sockets[-1].recv(100).startswith(b"HTTP/1.1 200"), "those that waited get their turn")
    broker.egress.send("EGRESS_FORGET", container=7)
    wait_for(lambda: len(os.listdir(f"/proc/{pid}/fd")) == before, "everything to be closed")
    check(sockets[-1].recv(100) == b"", "closed")
    os.unlink(path)
    check(raw(broker.container(7, session=5), b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 "), "the number is free again")
    lines = broker.stop()
    kinds = [line["kind"] for line in lines]
    check(kinds.count("egress.request") == kinds.count("egress.end") == 300, kinds.count("egress.end"))


# ---- the internet ----

OWN, OWN_SECOND, PUBLIC, PUBLIC6, PRIVATE = "44.0.0.1", "44.0.0.3", "44.0.0.2", "2a00:1::2", "10.9.8.7"
# All these are the other side's, so that only the check keeps a request from them. (A v4-mapped address is its IPv4 address.)
OTHERS = [f"{PRIVATE}/32", "169.254.169.254/32", "100.64.0.7/32", "44.9.9.9/32", "64:ff9b::a09:807/128", "64:ff9b::2c09:909/128",
          "2002:a09:807::1/128", "fd00::7/128", "2a00:9::9/128"]


def ip(*commands):
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)


class Internet:
    """A network namespace behind a pair of interfaces; whatever it is asked for, it answers "the internet"."""

    def __init__(self):
        ip("link set lo up")
        self.process = subprocess.Popen(["unshare", "--net", sys.executable, __file__, "--internet"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        check(self.process.stdout.readline() == "here\n", "the internet")
        ip(f"link add inet0 type veth peer name inet1 netns {self.process.pid}", f"addr add {OWN}/24 dev inet0", f"addr add {OWN_SECOND}/24 dev inet0", "link set inet0 up",
           "addr add 2a00:1::1/64 dev inet0 nodad", f"route add default via {PUBLIC}", f"route add default via {PUBLIC6}")
        self.hits()

    def hits(self):
        """The addresses that were asked since the last call, in order."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def be_the_internet():
    class Everywhere(http.server.BaseHTTPRequestHandler):
        hits = []

        def log_message(self, *arguments):
            pass

        def do_GET(self):
            address = ipaddress.ip_address(self.connection.getsockname()[0])
            Everywhere.hits.append(str(address.ipv4_mapped or address))
            self.send_response(200)
            self.send_header("Content-Length", "12")
            self.end_headers()
            self.wfile.write(b"the internet")

    class Both(Server):
        address_family = socket.AF_INET6

    print("here", flush=True)
    sys.stdin.readline()
    ip("link set lo up", f"addr add {PUBLIC}/24 dev inet1", f"addr add {PUBLIC6}/64 dev inet1 nodad", "link set inet1 up",
       *[f"addr add {address} dev lo" for address in OTHERS])
    for port in (80, 443, 8080):
        threading.Thread(target=Both(("::", port), Everywhere).serve_forever, daemon=True).start()
    print(flush=True)
    while sys.stdin.readline():
        print(*Everywhere.hits, flush=True)
        Everywhere.hits.clear()


def main():
    global INTERNET
    if sys.argv[1:] == ["--internet"]:
        return be_the_internet()
    if os.geteuid() != 0:
        print("egress_test: skipped: needs root (user ids, tmpfs, port 53, network namespaces)")
        return 77
    if not os.environ.get("GARASU_TEST_NAMESPACE"):
        os.environ["GARASU_TEST_NAMESPACE"] = "yes"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, __file__, *sys.argv[1:]])
    INTERNET = Internet()
    tests = [plain_requests_are_carried_and_recorded, tunnels_are_carried_and_recorded, what_is_not_permitted_is_refused_and_recorded,
             an_upstream_proxy_is_chained_to, an_upstream_proxy_is_shown_the_credentials_and_its_refusal_is_not_passed_on,
             names_cannot_lead_to_where_nobody_may_go, each_person_reaches_what_the_group_may, a_new_policy_counts_for_new_requests,
             a_container_cannot_flood_the_record, by_default_deny_only_what_is_allowed_is_reached,
             a_full_disk_stops_the_internet_until_there_is_room, the_audit_process_may_die_and_come_back,
             a_forgotten_container_and_a_flood_leave_nothing_behind]
    for test in tests:
        if len(sys.argv) > 1 and sys.argv[1] not in test.__name__:
            continue
        world = World()
        try:
            test(world)
        finally:
            world.stop.set()
            time.sleep(0.3)
            world.folder.remove()
        print(f"ok {test.__name__}", flush=True)
    INTERNET.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
