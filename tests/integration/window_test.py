#!/usr/bin/env python3
"""The viewer's window by itself: scale, zoom, menu, high contrast, time left, wheel, configuration file. The server says what the test wants."""
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest

import garasu
from garasu import wait_for
from viewer_server import Server, filled, screen
from viewer_test import BAR, BORDER, COLOUR, Window

OTHER = (0x10, 0xc0, 0x40)
YELLOW = (0xff, 0xee, 0x00)
WHITE = (255, 255, 255)
LENGTHS = {3: 10, 4: 8, 5: 6, 150: 10, 251: 24, 255: 12}


def terms(minutes):
    return b"GRSU\1\6" + struct.pack(">HBBHI", minutes, 0, 0, 60, 0)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="garasu-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o755)
        self.server = Server(self.folder)
        self.addCleanup(self.server.close)

    def begin(self, *options, display=(1000, 800), size=(600, 400), minutes=None):
        self.asked = None
        self.window = Window(self, self.server, *display, *options)
        self.connection = self.server.accept()
        self.connection.handshake(0, b"" if minutes is None else terms(minutes))
        self.connection.server_init(*size)
        self.connection.send(screen(*size))  # sizes can be asked for
        self.show(*size)
        wait_for("the picture", lambda: self.window.screen().count(OTHER) > 1000)

    def show(self, width, height):
        self.connection.send(self.connection.picture(width, height, filled(0, 0, width, height, OTHER)))

    def next(self):
        """The viewer's next message: its type and the rest."""
        c = self.connection
        kind = c.receive(1)[0]
        if kind == 2:
            return kind, c.receive(4 * struct.unpack(">xH", c.receive(3))[0])
        if kind == 71:
            body = c.receive(7)
            return kind, body + c.receive(8 if body[0] == 2 else 0 if body[0] == 4 else struct.unpack(">xH", body[:3])[0])
        body = c.receive(LENGTHS[kind] - 1)
        if kind == 251:  # granted, whenever it comes
            self.asked = struct.unpack(">xHH", body[:5])
            c.send(screen(*self.asked, 1))
        return kind, body

    def scale(self):
        """The percentage of the next SCALE."""
        while True:
            kind, body = self.next()
            if kind == 71 and body[0] == 4:
                self.assertEqual(body[3:], bytes(4))
                return struct.unpack(">H", body[1:3])[0]

    def size_asked(self, wanted):
        """Waits until the viewer has asked for this size; every size that it asks for is given."""
        while self.asked != wanted:
            self.next()

    def inside(self, scale, width, height):
        """The size of the picture in a window of this size."""
        def at(pixels):
            return (pixels * scale + 50) // 100
        return width - 2 * at(BORDER), height - at(BAR) - at(BORDER)

    def assert_one_to_one(self, scale, width, height):
        """A picture of exactly the room that there is: its outermost pixels stand where they must, unscaled."""
        w, h = self.inside(scale, width, height)
        self.connection.send(self.connection.picture(
            w, h, filled(0, 0, w, h, OTHER), filled(0, 0, 1, h, (1, 2, 3)), filled(w - 1, 0, 1, h, (4, 5, 6)), filled(5, 5, 1, 1, (7, 8, 9))))
        wait_for("its right edge", lambda: self.window.screen().count((4, 5, 6)) == h)
        picture, x, y = self.window.screen(), (BORDER * scale + 50) // 100, (BAR * scale + 50) // 100
        self.assertEqual(picture.count((1, 2, 3)), h)
        self.assertEqual(picture.count((7, 8, 9)), 1)
        self.assertEqual((picture.at(x, y), picture.at(x + 5, y + 5), picture.at(x + w - 1, y + h - 1)), ((1, 2, 3), (7, 8, 9), (4, 5, 6)))

    def assert_bar(self, height, colour=COLOUR):
        wait_for(f"a bar of {height} pixels", lambda: (lambda p: p.at(400, 1) == colour and p.at(1, height + 9) == colour
                                                        and p.at(400, height - 2) == colour and p.at(400, height) != colour)(self.window.screen()))

    # -- scale

    def test_pixels_are_one_to_one_at_every_scale_and_the_browser_is_told(self):
        for scale in (125, 150, 200):
            with self.subTest(scale):
                self.begin("--full-screen", "--scale", scale)
                self.assertEqual(self.scale(), scale)
                self.size_asked(self.inside(scale, 1000, 800))
                self.assert_one_to_one(scale, 1000, 800)
                self.window.close()

    def test_the_window_follows_the_desktops_scale(self):
        self.begin("--full-screen")
        self.assertEqual(self.scale(), 100)
        for percent in (150, 125, 100):
            subprocess.run(["xprop", "-root", "-f", "RESOURCE_MANAGER", "8s", "-set", "RESOURCE_MANAGER", f"Xft.dpi:\t{96 * percent // 100}\n"],
                           env=self.window.environment, check=True)
            self.assertEqual(self.scale(), percent)
            self.size_asked(self.inside(percent, 1000, 800))
            self.assert_one_to_one(percent, 1000, 800)
        self.window.do("mousemove", 500, 400)  # it lives

    def test_zoom_scales_the_browser_and_the_viewers_own_parts(self):
        self.begin("--full-screen", "--scale", 150)
        self.assertEqual(self.scale(), 150)
        self.window.do("key", "ctrl+alt+plus")
        self.assertEqual(self.scale(), 165)
        self.assert_bar(50)
        self.size_asked(self.inside(165, 1000, 800))
        self.assert_one_to_one(165, 1000, 800)
        self.window.do("key", "ctrl+alt+minus", "ctrl+alt+minus")
        self.assertEqual([self.scale(), self.scale()], [150, 135])
        self.window.do("key", "ctrl+alt+0")
        self.assertEqual(self.scale(), 150)
        self.assert_bar(45)

    def test_an_interactive_resize_asks_for_the_last_size_and_leaves_no_backlog(self):
        self.begin("--size", "600x400")
        name = self.window.do("search", "--onlyvisible", "--class", "garasu-viewer").split()[0]
        steps = [arg for i in range(60) for arg in ("windowsize", name, str(500 + 5 * i), str(400 + 3 * i))]
        self.window.do(*steps)
        self.size_asked(self.inside(100, 795, 577))
        self.assertEqual(self.window.geometry()[2:], [795, 577])

    # -- menu

    def keys(self):
        """Keysyms that went to the session, down and up, until Z is pressed."""
        self.window.do("key", "z")
        found = []
        while not found or found[-1] != (0, ord("z")):
            kind, body = self.next()
            if kind == 255:
                found.append((struct.unpack(">BHI", body[:7])[1], struct.unpack(">BHI", body[:7])[2]))
            elif kind == 4:
                found.append((body[0], struct.unpack(">I", body[3:])[0]))
        return [key for key in found if key[1] != ord("z")]

    def menu_is_open(self):
        return self.window.screen().at(990, 45) == WHITE or self.window.screen().at(992, 34) not in (OTHER, COLOUR)

    def test_the_menu_is_worked_by_keys_alone_and_nothing_of_it_reaches_the_session(self):
        self.begin("--full-screen", size=(992, 766))
        self.assertFalse(self.menu_is_open())
        self.window.do("keydown", "Shift_L", "keydown", "a")
        self.window.do("key", "ctrl+alt+m")
        wait_for("the menu", self.menu_is_open)
        self.window.do("key", "b", "Down", "space", "Escape", "keyup", "a", "keyup", "Shift_L")
        keys = self.keys()
        pressed = [k for down, k in keys if down]
        self.assertNotIn(ord("b"), pressed)
        self.assertNotIn(ord("m"), pressed)
        self.assertNotIn(ord(" "), pressed)
        self.assertNotIn(0xff1b, pressed)
        for key in set(pressed):  # nothing stays down
            self.assertEqual([d for d, k in keys if k == key][-1], 0, hex(key))

    def test_high_contrast_from_the_menu(self):
        self.begin("--full-screen", size=(992, 766))
        self.assert_bar(30)
        self.window.do("key", "ctrl+alt+m")
        wait_for("the menu", self.menu_is_open)
        self.window.do("key", "Down", "Down", "Down", "Down", "Return")
        self.assert_bar(30, YELLOW)
        wait_for("the menu to be closed", lambda: self.window.screen().at(900, 45) == OTHER)
        self.window.do("key", "ctrl+alt+h")
        self.assert_bar(30)

    def test_no_page_can_draw_over_the_menu_and_clicks_stay_in_it(self):
        self.begin("--full-screen", size=(992, 766))
        self.window.do("mousemove", 960, 15, "click", 1)
        wait_for("the menu", self.menu_is_open)
        self.window.do("mousemove", 300, 15)
        before = self.window.screen().part(760, 32, 230, 200)
        self.assertNotIn(bytes(OTHER) * 10, before[-690:])
        self.connection.send(self.connection.picture(992, 766, filled(0, 0, 992, 766, (9, 9, 9))))
        wait_for("the page", lambda: self.window.screen().at(100, 600) == (9, 9, 9))
        self.assertEqual(self.window.screen().part(760, 32, 230, 200), before)
        self.window.do("mousemove", 100, 600, "click", 1)  # closes it, and is not the page's
        wait_for("the menu to be closed", lambda: self.window.screen().at(900, 45) == (9, 9, 9))
        self.window.do("mousemove", 200, 200, "click", 1)
        presses = []
        while not presses:
            kind, body = self.next()
            if kind == 5 and body[0] & 1:
                presses.append(struct.unpack(">HH", body[1:]))
        self.assertEqual(presses[0], (200 - BORDER, 200 - BAR))

    def test_the_list_of_keys_and_leaving_by_the_menu(self):
        self.begin("--full-screen", size=(992, 766))
        self.window.do("key", "ctrl+alt+k")
        wait_for("the list", lambda: self.window.screen().at(690, 165) == WHITE)
        self.window.do("key", "Return")
        wait_for("the list to be closed", lambda: self.window.screen().at(690, 165) == OTHER)
        self.window.do("key", "ctrl+alt+m", "End", "Return")
        self.assertEqual(self.window.viewer.wait(garasu.DEADLINE), 0)

    # -- bar

    def test_the_last_minutes_are_set_off_and_told(self):
        mark = (0x3d, 0x12, 0x06)
        for minutes, marked in ((83, False), (5, True)):
            with self.subTest(minutes):
                self.begin("--full-screen", size=(992, 766), minutes=minutes)
                self.assert_bar(30)
                told = (0x1f, 0x1a, 0x17)
                if marked:
                    wait_for("the line", lambda: self.window.screen().part(0, 700, 1000, 90).count(bytes(told)) > 3000)
                self.assertEqual(self.window.screen().part(0, 0, 1000, 30).count(bytes(mark)) > 300, marked)
                self.window.close()

    # -- pointer

    def test_a_notch_is_a_press_of_the_wheels_button_each_way(self):
        self.begin("--full-screen", size=(992, 766))
        self.window.do("mousemove", 500, 400, "click", 4, "click", 5, "click", 5)
        pressed, held = [], 0
        while len(pressed) < 3:
            kind, body = self.next()
            if kind == 5:
                pressed += [body[0]] if body[0] & 24 and not held & 24 else []
                held = body[0]
        self.assertEqual(pressed, [8, 16, 16])

    # -- start

    def test_a_configuration_file_has_all_and_the_window_is_there_at_once(self):
        config = self.folder / "config/garasu"
        config.mkdir(parents=True)
        options = [str(o) for o in self.server.options()]
        values = dict(zip((o[2:].replace("-", "_") for o in options[::2]), options[1::2]))
        (config / "viewer.conf").write_text("".join(f'{k} = "{v}"\n' for k, v in values.items())
                                            + f'host = "127.0.0.1"\nport = {self.server.port}\nhigh_contrast = true\nfull_screen = true\n')
        self.server.options, self.server.target = (lambda: []), None
        environment = {"XDG_CONFIG_HOME": str(config.parent)}
        os.environ.update(environment)
        self.addCleanup(os.environ.pop, "XDG_CONFIG_HOME")
        self.begin(display=(1000, 800))
        self.assert_bar(30, YELLOW)


if __name__ == "__main__":
    unittest.main(verbosity=2)
