"""A server for garasu-viewer that says whatever the test wants: TLS, an OPEN record, RFB, and then bytes of the test's choice."""
import pathlib
import socket
import ssl
import struct
import subprocess

from garasu import DEADLINE, SOURCE

READY = b"GRSU\1\1" + bytes(10)
WAIT = b"GRSU\1\3" + bytes(10)
HISTORY = 0x47415210
OFFER, PIECE, END = 1, 2, 3
START, ACCEPT, TAKEN, CANCEL = 1, 2, 3, 4


def rectangle(x, y, w, h, encoding, data=b""):
    return struct.pack(">HHHHi", x, y, w, h, encoding) + data


def update(*rectangles):
    return struct.pack(">BxH", 0, len(rectangles)) + b"".join(rectangles)


def screen(width, height, reason=0):
    """ExtendedDesktopSize; reason 1: the answer to SetDesktopSize."""
    return update(rectangle(reason, 0, width, height, -308, struct.pack(">B3xIHHHHI", 1, 1, 0, 0, width, height, 0)))


def cursor(w, h, hot_x, hot_y, colour):
    return update(rectangle(hot_x, hot_y, w, h, -239, bytes((*reversed(colour), 0)) * w * h + b"\xff" * ((w + 7) // 8 * h)))


def run(v, pixels):
    """Tokens for a run of so many pixels; v: 0 LEFT, 0x40 ABOVE."""
    if pixels <= 61:
        return bytes([v | pixels - 1])
    if pixels <= 317:
        return bytes([v | 61, pixels - 62])
    return bytes([v | 62]) + struct.pack(">H", pixels - 318)


def terms(flags, clipboard_up=0, grace=0):
    """flags: 1 clipboard down, 2 printing; grace: seconds for which the session waits for its viewer."""
    return b"GRSU\1\6" + struct.pack(">HBBHI", 0, flags, 0, grace, clipboard_up)


def page(state, document, number=0, pages=0, width=0, height=0, x=0, y=0):
    return struct.pack(">BBHIHHHHHHI", 71, 4, state, document, number, pages, width, height, x, y, 0)


def exactly(x, y, w, h, pixels):
    """Pieces of these pixels (bytes R, G, B), some rows each: a unit is at most 128 KiB."""
    pieces, at_once = [], max(1, 120000 // (3 * w + w // 64 + 9))
    for top in range(0, h, at_once):
        rows = b""
        for row in range(top, min(h, top + at_once)):
            for left in range(0, w, 64):
                part = pixels[(row * w + left) * 3:(row * w + min(w, left + 64)) * 3]
                rows += bytes([0xc0 | len(part) // 3 - 1])
                rows += b"".join(bytes([g, (b - g) & 255, (r - g) & 255]) for r, g, b in zip(part[0::3], part[1::3], part[2::3]))
        pieces.append(struct.pack(">HHHH", x, y + top, w, min(at_once, h - top)) + rows)
    return pieces


def filled(x, y, w, h, colour):
    """A piece of one colour."""
    r, g, b = colour
    first = bytes([0xc0, g, (b - g) & 255, (r - g) & 255]) + (run(0, w - 1) if w > 1 else b"")
    return struct.pack(">HHHH", x, y, w, h) + first + run(0x40, w) * (h - 1)


class Connection:
    """One viewer. picture() makes bytes; send() sends them."""

    def __init__(self, stream):
        self.stream, self.begun, self.sent = stream, False, b""

    def receive(self, n):
        data = b""
        while len(data) < n:
            piece = self.stream.recv(n - len(data))
            assert piece, f"the viewer closed after {data!r}"
            data += piece
        return data

    def ask(self, what, reason=0, tries=5, seconds=0):
        """ASK; what: 1 password, 2 code."""
        self.stream.sendall(b"GRSU\1\5" + struct.pack(">HBBHI", reason, what, tries, seconds, 0))

    def answer(self):
        """(password, code) of the viewer's ANSWER."""
        data = self.receive(336)
        password, code = struct.unpack(">HH", data[8:12])
        assert data == b"GRSA\1\1\0\0" + struct.pack(">HHI256s64s", password, code, 0, data[16:16 + password], data[272:272 + code]), data
        return data[16:16 + password].decode(), data[272:272 + code].decode()

    def refuse(self, reason, seconds=0):
        self.stream.sendall(b"GRSU\1\2" + struct.pack(">HHHI", reason, 0, seconds, 0))
        self.stream.close()

    def handshake(self, flags=0, terms=b""):
        """terms: a record of TERMS, or none."""
        self.stream.sendall(terms + READY[:8] + bytes([flags]) + READY[9:] + b"RFB 003.008\n")
        self.receive(12)
        self.stream.sendall(b"\1\1")
        self.receive(1)
        self.stream.sendall(bytes(4))
        self.receive(1)

    def send(self, data):
        """Bytes from ServerInit on; .sent has them all."""
        self.sent += data
        self.stream.sendall(data)

    def server_init(self, width, height):
        self.send(struct.pack(">HH", width, height) + bytes([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0])
                  + struct.pack(">I", 6) + b"Garasu")

    def picture(self, width, height, *pieces):
        """An update of the whole picture, a unit for each piece, in zstd blocks that are not compressed."""
        data = b"" if self.begun else b"\x28\xb5\x2f\xfd\0\x50"
        rectangles = []
        for piece in pieces:
            data += struct.pack("<I", len(piece) << 3)[:3] + piece
            rectangles.append(rectangle(0, 0, width, height, HISTORY, struct.pack(">I", len(data)) + data))
            data = b""
        self.begun = True
        return update(*rectangles)

    def message(self, wanted):
        """The viewer's next message of this type, without the type; what it says before is passed over."""
        lengths = {3: 10, 4: 8, 5: 6, 150: 10, 251: 24, 255: 12}
        while True:
            kind = self.receive(1)[0]
            if kind == 2:
                body = self.receive(4 * struct.unpack(">xH", self.receive(3))[0])
            elif kind == 71:
                body = self.receive(7)
                body += self.receive(8 if body[0] == 2 else 0 if body[0] == 4
                                     else struct.unpack(">xH", body[:3])[0] if body[0] == 1 else struct.unpack(">I", body[3:])[0])
            else:
                body = self.receive(lengths[kind] - 1)
            if kind == wanted:
                return body

    def print_request(self):
        """The viewer's next PRINT: action, document, first, last."""
        while (body := self.message(71))[0] != 2:
            pass
        action, document, first, last, zero = struct.unpack(">HIHHI", body[1:])
        assert not zero
        return action, document, first, last


class Server:
    """accept() waits for the next viewer."""

    def __init__(self, folder):
        self.ca = pathlib.Path(folder) / "ca"
        subprocess.run([SOURCE / "certs/garasu-ca", "demo", self.ca], check=True, stdout=subprocess.DEVNULL)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.num_tickets = 0
        self.context.set_alpn_protocols(["garasu/1"])
        self.context.load_cert_chain(self.ca / "server.pem", self.ca / "server.key")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(DEADLINE)
        self.accepted = []
        self.port = self.listener.getsockname()[1]

    def options(self):
        return ["--ca", self.ca / "ca.pem", "--certificate", self.ca / "persons/hanako.pem", "--key", self.ca / "persons/hanako.key"]

    def accept(self):
        connection, _ = self.listener.accept()
        connection.settimeout(DEADLINE)
        self.accepted.append(self.context.wrap_socket(connection, server_side=True))
        return Connection(self.accepted[-1])

    def nobody_waits(self):
        """Whether no further viewer has connected."""
        self.listener.settimeout(0)
        try:
            self.listener.accept()[0].close()
            return False
        except BlockingIOError:
            return True
        finally:
            self.listener.settimeout(DEADLINE)

    def close(self):
        for connection in self.accepted:
            connection.close()
        self.listener.close()
