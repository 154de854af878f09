"""A terminal with an input method, for ime_test.py: an X server, a window manager, a session bus, the viewer in its window.

The input method is Fcitx, a D-Bus peer that speaks fcitx's protocol and commits prepared texts; or the real fcitx5 with mozc.
"""
import collections
import os
import pathlib
import re
import subprocess
import threading

import dbus
import dbus.bus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

import garasu
from garasu import wait_for

METHODS, CONTEXT = "org.fcitx.Fcitx.InputMethod1", "org.fcitx.Fcitx.InputContext1"
HENKAN = 0xff23

# A session bus to which the viewer comes too when somebody else runs it.
BUS = """<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><auth>EXTERNAL</auth><policy context="default"><allow user="*"/>
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"""


class InputContext(dbus.service.Object):
    """Takes the press and release of Henkan: each press commits the next of .texts. Leaves every other key alone."""

    def __init__(self, bus, path, ime):
        super().__init__(bus, path)
        self.ime = ime

    @dbus.service.method(CONTEXT, "uuubu", "b")
    def ProcessKeyEvent(self, keysym, keycode, state, is_release, time):
        if not is_release:
            self.ime.keys.append(int(keysym))
        if keysym != HENKAN:
            return False
        if not is_release and self.ime.texts:
            self.UpdateFormattedPreedit([], -1)
            self.CommitString(self.ime.texts.popleft())
        return True

    @dbus.service.method(CONTEXT, "iiii", "")
    def SetCursorRect(self, x, y, w, h):
        self.ime.carets.append((int(x), int(y), int(w), int(h)))

    @dbus.service.method(CONTEXT, "", "")
    def FocusIn(self):
        self.ime.focused = True

    @dbus.service.method(CONTEXT, "", "")
    def FocusOut(self):
        self.ime.focused = False

    @dbus.service.method(CONTEXT, "t", "")
    def SetCapability(self, capability):
        pass

    @dbus.service.method(CONTEXT, "", "")
    def DestroyIC(self):
        pass

    @dbus.service.signal(CONTEXT, "s")
    def CommitString(self, text):
        pass

    @dbus.service.signal(CONTEXT, "a(si)i")
    def UpdateFormattedPreedit(self, pieces, caret):
        pass


class Fcitx(dbus.service.Object):
    def __init__(self, address):
        self.keys = []
        self.texts, self.carets, self.focused, self.count = collections.deque(), [], False, 0
        self.bus = dbus.bus.BusConnection(address, mainloop=dbus.mainloop.glib.DBusGMainLoop())
        self.bus.set_exit_on_disconnect(False)
        self.name = dbus.service.BusName("org.freedesktop.portal.Fcitx", self.bus)
        super().__init__(self.bus, "/org/freedesktop/portal/inputmethod")
        self.loop = GLib.MainLoop()
        self.thread = threading.Thread(target=self.loop.run, daemon=True)
        self.thread.start()

    @dbus.service.method(METHODS, "a(ss)", "oay")
    def CreateInputContext(self, arguments):
        self.count += 1
        path = f"/org/freedesktop/portal/inputcontext/{self.count}"
        self.context = InputContext(self.bus, path, self)
        return path, dbus.ByteArray(bytes(16))

    def preedit(self, text):
        """Shows text as being composed; from the loop's own thread, which alone speaks on the bus."""
        GLib.idle_add(lambda: self.context.UpdateFormattedPreedit([(text, 8)] if text else [], len(text)) and False)

    def close(self):
        self.loop.quit()
        self.thread.join()
        self.bus.close()


class Terminal:
    """user: None, or who runs the session bus (mozc runs as nobody but an ordinary user)."""

    def __init__(self, test, width=1400, height=900, layout="jp", user=None):
        self.folder, self.started, self.user = test.folder, [], user
        test.addCleanup(self.close)
        read, write = os.pipe()
        self.start(["Xvfb", "-displayfd", str(write), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp", "-noreset"], os.environ, pass_fds=[write])
        os.close(write)
        with os.fdopen(read) as line:
            self.number = line.readline().strip()
        self.environment = {**os.environ, "DISPLAY": ":" + self.number, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "ASAN_OPTIONS": "detect_leaks=0",
                            "SDL_IM_MODULE": "fcitx", "XMODIFIERS": "@im=fcitx"}
        subprocess.run(["setxkbmap", "-model", "jp106" if layout == "jp" else "pc105", "-layout", layout], env=self.environment, check=True)
        self.start(["openbox", "--sm-disable"], self.environment)
        # A window that is shown while the window manager is starting is nobody's to show.
        wait_for("the window manager", lambda: "window id" in subprocess.run(["xprop", "-root", "_NET_SUPPORTING_WM_CHECK"], env=self.environment,
                                                                             capture_output=True, text=True).stdout)
        configuration = self.folder / "bus.conf"
        configuration.write_text(BUS)
        bus = self.start([*self.as_user(), "dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address"], self.environment, stdout=subprocess.PIPE)
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().decode().strip()
        bus.stdout.close()

    def as_user(self):
        return ["setpriv", f"--reuid={self.user}", "--regid=nogroup", "--clear-groups"] if self.user else []

    def start(self, command, environment, **options):
        options.setdefault("stdout", subprocess.DEVNULL)
        with open(self.folder / (pathlib.Path(command[0]).name + ".log"), "wb") as log:
            process = subprocess.Popen([*map(str, command)], env=environment, stdin=subprocess.DEVNULL, stderr=log, **options)
        self.started.append(process)
        return process

    def fcitx(self):
        self.ime = Fcitx(self.environment["DBUS_SESSION_BUS_ADDRESS"])
        return self.ime

    def real_fcitx(self, home):
        """fcitx5 with mozc, which Zenkaku_Hankaku switches on, as the sandbox's."""
        configuration = home / ".config/fcitx5"
        configuration.mkdir(parents=True)
        for name in ("config", "profile"):
            (configuration / name).write_text((garasu.SOURCE / "sandbox/image/rootfs/etc/xdg/fcitx5" / name).read_text())
        subprocess.run(["chown", "-R", self.user, home], check=True)
        environment = {**self.environment, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
        self.start([*self.as_user(), "fcitx5", "--disable=wayland,waylandim,notificationitem,notifications"], environment, start_new_session=True)
        bus = dbus.bus.BusConnection(self.environment["DBUS_SESSION_BUS_ADDRESS"])
        wait_for("fcitx5 on its bus", lambda: bus.name_has_owner("org.freedesktop.portal.Fcitx"))
        bus.close()

    def viewer(self, broker, *options, person="hanako"):
        self.window_process = self.start([garasu.BUILD / "bin/garasu-viewer", *broker.person(person), *options, f"127.0.0.1:{broker.port}"],
                                         self.environment)
        self.window = wait_for("the window", lambda: self.alive() and subprocess.run(["xdotool", "search", "--onlyvisible", "--class", "garasu-viewer"],
                                                                     env=self.environment, capture_output=True, text=True).stdout.split())[0]
        wait_for("the focus", lambda: self.do("getwindowfocus", check=False).strip() == self.window)

    def alive(self):
        if self.window_process.poll() is not None:
            raise AssertionError("the viewer has ended: " + (self.folder / "garasu-viewer.log").read_text()[-2000:])
        return True

    def do(self, *arguments, check=True):
        return subprocess.run(["xdotool", *map(str, arguments)], env=self.environment, check=check, capture_output=True, text=True).stdout

    def keys(self, *names):
        """As fast as they can be sent."""
        names = list(names)
        while names:
            self.do("key", "--delay", 0, *names[:400])
            del names[:400]

    def origin(self):
        """Where the window's contents begin on the screen."""
        lines = subprocess.run(["xwininfo", "-id", self.window], env=self.environment, check=True, capture_output=True, text=True).stdout
        return tuple(int(re.search(rf"Absolute upper-left {axis}: +(-?\d+)", lines).group(1)) for axis in "XY")

    def picture(self, file):
        subprocess.run([garasu.BUILD / "tests/screen_of", f"/tmp/.X11-unix/X{self.number}", file], check=True)
        return pathlib.Path(file)

    def close(self):
        if getattr(self, "ime", None):
            self.ime.close()
            self.ime = None
        while self.started:
            process = self.started.pop()
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
