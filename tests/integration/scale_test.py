#!/usr/bin/python3
"""The desktop's scale and the zoom, from the real window into the real browser: what the page sees of it."""
import http.server
import json
import pathlib
import subprocess
import tempfile
import threading
import unittest

import garasu
from garasu import wait_for
from terminal_ime import Terminal

PAGE = b"""<!doctype html><meta charset=utf-8><title>scale</title><body><script>
let told='';
setInterval(()=>{const s=JSON.stringify([devicePixelRatio,screen.width*devicePixelRatio,screen.height*devicePixelRatio]);
 if(s!==told)fetch('/log',{method:'POST',body:s}).then(()=>told=s)},100);
</script>"""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    said = None

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def do_POST(self):
        Handler.said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()


class Scale(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="garasu-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o755)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        home = f"http://127.0.0.1:{server.server_port}/"
        self.broker = garasu.Broker(home, allow=[f"127.0.0.1:{server.server_port}"], pool={"warm": 1}).start()
        self.addCleanup(self.broker.finish)

    def desktop(self, percent):
        subprocess.run(["xprop", "-root", "-f", "RESOURCE_MANAGER", "8s", "-set", "RESOURCE_MANAGER", f"Xft.dpi:\t{96 * percent // 100}\n"],
                       env=self.terminal.environment, check=True)

    def assert_drawn_at(self, percent):
        """The page has this scale, and its screen exactly the pixels of the window's inside: so each of them is one of the terminal's."""
        def inside():
            geometry = dict(line.split("=") for line in self.terminal.do("getwindowgeometry", "--shell", self.terminal.window).split())
            border, bar = (4 * percent + 50) // 100, (30 * percent + 50) // 100
            return [percent / 100, int(geometry["WIDTH"]) - 2 * border, int(geometry["HEIGHT"]) - bar - border]

        def same():
            said = Handler.said
            # Chromium rounds to whole dots an inch, and the page counts in whole CSS pixels: a screen of 801 at 150 % is told as 534 of them.
            return said and abs(said[0] - percent / 100) < 0.02 and all(abs(a - b) <= 2 for a, b in zip(said[1:], inside()[1:]))
        try:
            wait_for(f"{percent} %", same)
        except AssertionError:
            self.fail(f"the page says {Handler.said}, the window is {inside()}")

    def test_the_browser_follows_the_desktop_and_the_zoom(self):
        self.terminal = Terminal(self)
        self.desktop(125)
        self.terminal.viewer(self.broker, "--size", "1000x640")
        self.assert_drawn_at(125)
        self.desktop(150)
        self.assert_drawn_at(150)
        self.terminal.do("key", "ctrl+alt+plus")
        self.assert_drawn_at(165)
        self.terminal.do("key", "ctrl+alt+0")
        self.desktop(100)
        self.assert_drawn_at(100)


if __name__ == "__main__":
    unittest.main(verbosity=2)
