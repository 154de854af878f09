#!/usr/bin/env python3
"""garasu-egress with a real garasu-audit behind it: what a container's browser gets of the internet, and what is recorded.

This program plays the supervisor, the container (a TCP port forwarded to its socket), the web and the name server.
"""
import contextlib
import hashlib
import http.client
import http.server
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


def name_server(answers, stop):
    """A records only: name -> list of addresses; unknown names do not exist."""
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
            name_server.asked.append(name)
            if found == "silence":
                continue
            records = b"".join(b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(a) for a in found or [] if kind == 1)
            flags = 0x8180 if found else 0x8183
            sock.sendto(query[:2] + struct.pack(">HHHHH", flags, 1, len(records) // 16, 0, 0) + query[12:at + 5] + records, peer)
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
        result = self.folder.verify()
        check(result.returncode == 0, result.stderr)
        return self.folder.lines()


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
        name_server({"site.example": ["127.0.0.1"], "rebind.example": ["127.0.0.1"], "mixed.example": ["10.0.0.1", "192.168.0.1"],
                     "metadata.example": ["169.254.169.254"]}, self.stop)
        Site.heads.clear()
        name_server.asked.clear()

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
    asked = set(name_server.asked)
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
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", world.folder.audit], check=True)
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
    subprocess.run(["mount", "-o", "remount,size=1m", world.folder.audit], check=True)
    wait_for(lambda: raw(path, request)[9:12] == b"200", "it to work again")
    time.sleep(2.5)  # ends that could not be written come again
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


def main():
    if os.geteuid() != 0:
        print("egress_test: skipped: needs root (user ids, tmpfs, port 53)")
        return 77
    tests = [plain_requests_are_carried_and_recorded, tunnels_are_carried_and_recorded, what_is_not_permitted_is_refused_and_recorded,
             an_upstream_proxy_is_chained_to, by_default_deny_only_what_is_allowed_is_reached,
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
