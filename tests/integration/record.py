"""The audit record as docs/AUDIT.md describes it, read and checked by a second hand: nothing here is the broker's.

A head's signature is checked by the openssl command.
"""
import base64
import hashlib
import pathlib
import re
import subprocess
import tempfile

SEGMENT = 65536
ZEROS = "0" * 64


class Broken(AssertionError):
    """What does not hold."""


def _need(condition, what):
    if not condition:
        raise Broken(what)


def _node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def _root(peaks):
    """Of a growing tree: [(height, hash)], the largest first."""
    if not peaks:
        return hashlib.sha256().digest()
    result = peaks[-1][1]
    for _, peak in reversed(peaks[:-1]):
        result = _node(peak, result)
    return result


class Record:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)

    def segments(self):
        found = sorted((self.directory / "log").glob("*.log"))
        _need([f.name for f in found] == [f"{k:08}.log" for k in range(len(found))], f"a segment is missing: {found}")
        return found

    def text(self):
        return b"".join(segment.read_bytes() for segment in self.segments())

    def lines(self):
        """Whole lines as dictionaries."""
        whole = self.text().decode().split("\n")[:-1]
        return [dict(field.split("=", 1) for field in line.split(" ")) for line in whole]

    def heads(self):
        file = self.directory / "heads.log"
        return [re.fullmatch(r"(head size=(\d+) time=(\S+) root=([0-9a-f]{64}) key=([0-9a-f]{16})) signature=(\S+)", line).groups()
                for line in file.read_text().splitlines()] if file.exists() else []

    def verify(self, public_key=None):
        """Returns how many records there are, all of them checked, and how many signed heads; raises Broken."""
        heads, checked = self.heads(), 0
        count, last, peaks = 0, ZEROS, []
        for number, segment in enumerate(self.segments()):
            data = segment.read_bytes()
            _need(not data or data.endswith(b"\n"), f"{segment.name}: a torn end")
            lines = data.split(b"\n")[:-1]
            _need(len(lines) <= SEGMENT and count == number * SEGMENT, f"{segment.name}: not full, or too full")
            for line in lines:
                count += 1
                _need(line.startswith(b"seq=%d " % count), f"line {count}: its seq")
                pruned = re.fullmatch(rb"seq=\d+ pruned=[a-z.]+ leaf=([0-9a-f]{64})", line)
                _need(pruned or line.endswith(b" prev=" + last.encode()), f"line {count}: does not follow")
                last = pruned[1].decode() if pruned else hashlib.sha256(b"\0" + line).hexdigest()
                peak, height = bytes.fromhex(last), 0
                while peaks and peaks[-1][0] == height:
                    peak, height = _node(peaks.pop()[1], peak), height + 1
                peaks.append((height, peak))
                while checked < len(heads) and int(heads[checked][1]) == count:
                    _need(heads[checked][3] == _root(peaks).hex(), f"the head over {count}: its root")
                    checked += 1
            if len(lines) == SEGMENT:
                subtree = peaks[-1][1] if peaks[-1][0] == 16 else None  # merged further when it was the second of two
                said = re.fullmatch(r"segment=(\d+) first=(\d+) count=65536 tree=([0-9a-f]{64}) last=([0-9a-f]{64})\n",
                                    segment.with_suffix(".sum").read_text())
                _need(int(said[1]) == number and int(said[2]) == number * SEGMENT + 1 and said[4] == last, f"{segment.name}: its sum")
                _need(subtree is None or said[3] == subtree.hex(), f"{segment.name}: its sum's tree")
        _need(checked == len(heads), f"a head over {heads[checked][1] if checked < len(heads) else 0} of {count} records")
        if public_key:
            for head in heads:
                self._signature(head, public_key)
        return count, len(heads)

    @staticmethod
    def _signature(head, public_key):
        der = subprocess.run(["openssl", "pkey", "-pubin", "-in", public_key, "-outform", "DER"], check=True, capture_output=True).stdout
        _need(head[4] == hashlib.sha256(der).hexdigest()[:16], "a head's key")
        with tempfile.NamedTemporaryFile() as signature, tempfile.NamedTemporaryFile() as signed:
            signature.write(base64.b64decode(head[5], validate=True))
            signed.write(head[0].encode())
            signature.flush()
            signed.flush()
            done = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public_key, "-rawin",
                                   "-in", signed.name, "-sigfile", signature.name], capture_output=True)
        _need(done.returncode == 0, f"the signature of the head over {head[1]}")
