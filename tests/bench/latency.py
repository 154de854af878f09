#!/usr/bin/env python3
"""How fast the glass is, on loopback: tests/bench/latency.py [N]

Prints connect to first full frame from a warm container, key press to changed pixel in the viewer (N = 200 keys into a text
field of a page in a real container), and wheel notch to changed pixel. Run it on a release build: GARASU_BUILD, GARASU_IMAGES
as for the tests. Milliseconds are of this machine and hour; compare figures of one run only.
"""
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
import garasu  # noqa: E402
from garasu import wait_for  # noqa: E402


def show(name, figures):
    figures = sorted(figures)
    at = lambda p: figures[min(len(figures) - 1, int(len(figures) * p))]
    print(f"{name}: n={len(figures)} p50 {at(.5):.1f} p95 {at(.95):.1f} max {figures[-1]:.1f} ms", flush=True)


def milliseconds(answer):
    return float(re.search(r"([\d.]+)", answer.split("wait-change")[-1]).group(1))


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    site = garasu.site()
    broker = garasu.Broker(site.url, allow=[f"127.0.0.1:{site.server_port}"], pool={"maximum": 8}).start()
    try:
        first = []
        for _ in range(5):
            wait_for("a warm container", lambda: " 1 " in broker.ctl("status").stdout.split("containers warm")[1].split("\n")[0] + " ")
            time.sleep(1)
            viewer = garasu.Viewer([*broker.person("hanako"), "--report", f"127.0.0.1:{broker.port}"])
            viewer("wait-first-frame")
            viewer.process.stdin.write("quit\n")
            viewer.process.stdin.flush()
            report = wait_for("the report", lambda: next((line for line in viewer.process.stdout if line.startswith("report ")), None))
            first.append(float(re.search(r"first_frame_ms=([\d.]+)", report).group(1)))
            viewer.close()
            broker.ctl("kill", "hanako")
        show("connect to first full frame", first)

        viewer = broker.viewer("hanako", "--size", "1280x800")
        viewer("wait-idle 1500")
        site.events.clear()
        viewer("key Alt_L+Home")
        load = wait_for("the page", lambda: next((e for e in reversed(site.events) if e["type"] == "load"), None))
        place = load["places"]["name"]
        viewer("click %d %d" % (place["x"] + load["left"], place["y"] + load["top"]))
        viewer("wait-idle 500")
        keys = []
        for i in range(count):
            # The caret blinks twice a second: a key just after a change is not mistaken for it.
            viewer("key " + ("abcdefghij"[i % 10] if i % 20 < 19 else "Control_L+a"))
            keys.append(milliseconds(viewer("wait-change")))
            viewer("sleep 60")
        show("key press to changed pixel", keys)

        load = load["places"]["long"], load["left"], load["top"]
        viewer("click %d %d" % (load[0]["x"] + load[1], load[0]["y"] + load[2]))
        viewer("wait-idle 700")
        wheel = []
        for i in range(count // 4):
            viewer(f"wheel 640 500 {1 if i % 10 < 5 else -1}")
            wheel.append(milliseconds(viewer("wait-change")))
            viewer("wait-idle 100")
        show("wheel notch to changed pixel", wheel)
        viewer("quit")
        viewer.close()
    finally:
        broker.remove()


if __name__ == "__main__":
    main()
