#!/usr/bin/env python3
"""T46: many sessions for hours, and what grows: tests/bench/soak.py [SESSIONS] [MINUTES]     (50 480 for a release)

So many persons browse at once, each with a viewer of their own; a tenth of them leaves and comes back every minute, to a session that
was ended meanwhile. Every minute one line: memory (PSS) and descriptors of the broker's processes, control groups, processes
of containers. At the end the last quarter is compared with the second: exit status 1 when the broker's long-lived processes
grew by more than a tenth and 4 MiB, or by a descriptor a session, or when anything is left after its end.
"""
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
import garasu  # noqa: E402
from garasu import wait_for  # noqa: E402

LONG_LIVED = ("garasu-broker", "garasu-audit", "garasu-keys", "garasu-identity", "garasu-egress", "garasu-pool", "garasu-admin", "garasu-forward")


def look(broker):
    """{name: (PSS in KiB, descriptors)} of the processes that live as long as the broker."""
    found = {}
    children = pathlib.Path(f"/proc/{broker.process.pid}/task/{broker.process.pid}/children").read_text().split()
    for pid in [str(broker.process.pid), *children]:
        try:
            name = os.path.basename(pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode())
            if name in LONG_LIVED:
                pss = int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1))
                found[name] = (pss, len(os.listdir(f"/proc/{pid}/fd")))
        except OSError:
            pass
    return found


def main():
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    minutes = int(sys.argv[2]) if len(sys.argv) > 2 else 480
    site = garasu.site()
    broker = garasu.Broker(site.url, allow=[f"127.0.0.1:{site.server_port}"], pool={"maximum": sessions + 2, "warm": 2},
                           session={"grace_seconds": 30})
    persons = [f"p{i:02d}" for i in range(sessions)]
    for person in persons:
        subprocess.run([garasu.SOURCE / "certs/garasu-ca", "person", broker.ca, person], check=True, stdout=subprocess.DEVNULL)
    broker.start()
    viewers, seen, grown = {}, [], []

    def arrive(person):
        def attempt():
            viewer = broker.viewer(person)
            try:
                viewer("wait-first-frame")
                return viewer
            except AssertionError:  # every container is taken, or is being made
                viewer.close()
                return None
        viewers[person] = wait_for(f"a session for {person}", attempt, deadline=600, pause=1)

    try:
        for person in persons:
            arrive(person)
        for minute in range(minutes):
            end = time.monotonic() + 60
            for person in persons[minute % 10::10]:
                broker.ctl("kill", person)
                viewers.pop(person).close()
                arrive(person)
            while time.monotonic() < end:
                for person in persons:
                    viewers[person]("key Page_Down")
                    if minute % 5 == 0:
                        viewers[person]("key Alt_L+Home")
                time.sleep(1)
            seen.append(look(broker))
            print(f"{minute + 1:4d} min  {len(garasu.container_processes())} in containers, {len(garasu.control_groups())} groups  " +
                  "  ".join(f"{name[7:]} {pss >> 10} MiB {fds}" for name, (pss, fds) in sorted(seen[-1].items())), flush=True)
        quarter = max(1, len(seen) // 4)
        for name in sorted(seen[-1]):
            early = [s[name] for s in seen[quarter:2 * quarter] if name in s]
            late = [s[name] for s in seen[-quarter:]]
            if not early:
                continue
            memory, descriptors = ([statistics.median(s[i] for s in part) for part in (early, late)] for i in (0, 1))
            if memory[1] > memory[0] * 1.1 + 4096 or descriptors[1] > descriptors[0] + sessions:
                grown.append(f"{name}: {memory[0]:.0f} to {memory[1]:.0f} KiB, {descriptors[0]:.0f} to {descriptors[1]:.0f} descriptors")
    finally:
        for viewer in viewers.values():
            viewer.close()
    broker.finish()
    print("\n".join(grown) or "nothing grew, nothing is left")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
