#!/usr/bin/env python3
"""garasu-bench as one would use it: record a display, replay the record. Exit status 77 when it is not built."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(os.environ.get("GARASU_BUILD", "build/test"))
BENCH = BUILD / "bin/garasu-bench"
W, H = 640, 480


class Display:
    """An X server with something that moves all the time."""

    def __enter__(self):
        reader, writer = os.pipe()
        self.server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writer), "-screen", "0", f"{W}x{H}x24", "-nolisten", "tcp"],
            pass_fds=[writer], stderr=subprocess.DEVNULL)
        os.close(writer)
        with os.fdopen(reader) as numbers:
            self.name = ":" + numbers.readline().strip()
        self.client = subprocess.Popen(["ico", "-faces", "-noedges", "-geometry", "300x300+20+30", "-sleep", "0.02"],
                                       env={**os.environ, "DISPLAY": self.name}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        return self

    def __exit__(self, *_):
        for process in (self.client, self.server):
            process.terminate()
            process.wait()


def bench(*arguments, status=0):
    done = subprocess.run([BENCH, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, f"{arguments}: exit {done.returncode}, wanted {status}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def encode(work, *arguments, status=0):
    bench("encode", "--json", work / "out.json", *arguments, status=status)
    return json.loads((work / "out.json").read_text())["traces"]


def a_recording_is_replayed_and_ends_exact(work, display):
    said = bench("record", "--seconds", "2", display.name, work / "moves.gsft")
    assert f"{W}x{H}" in said, said
    for out in ("garasu", "tight"):
        for damage in ("true", "raw"):
            [trace] = encode(work, "--out", out, "--peer-damage", damage, work / "moves.gsft")
            assert trace["name"] == "moves" and trace["frames"] > 10, trace
            assert 0 < trace["changed_mpx"] < trace["frames"] * W * H / 1e6, trace
            assert trace["out"]["exact_final"] is True, trace
            for side in (trace["out"], trace["peer"]):
                assert side["bytes"] > 1000 and side["cpu_s"] > 0, trace
                assert 0 < side["p50_ms"] <= side["p99_ms"] <= side["max_ms"], trace


def bytes_are_the_same_each_time(work, _display):
    first, second = (encode(work, "--no-verify", work / "moves.gsft")[0] for _ in range(2))
    for side in ("out", "peer"):
        assert first[side]["bytes"] == second[side]["bytes"], (first, second)


def repeated_runs_are_one_result(work, _display):
    one, three = (encode(work, "--repeat", n, work / "moves.gsft")[0] for n in ("1", "3"))
    for side in ("out", "peer"):
        for figure in ("bytes", "lossy_frames", "ssim_min", "exact_final"):
            assert one[side][figure] == three[side][figure], (figure, one, three)
    assert one["frames"] == three["frames"] and one["changed_mpx"] == three["changed_mpx"], (one, three)


def what_is_kept_is_not_the_encoders_memory(work, _display):
    [trace] = encode(work, "--repeat", "2", "--peer-damage", "raw", work / "moves.gsft")
    for side in ("out", "peer"):
        assert 0 < trace[side]["rss_mib"] < 48, trace


def without_verification_the_bytes_are_the_same(work, _display):
    looked, blind = (encode(work, *options, work / "moves.gsft")[0] for options in ([], ["--no-verify"]))
    for side in ("out", "peer"):
        assert looked[side]["bytes"] == blind[side]["bytes"] and blind[side]["exact_final"] is None, (looked, blind)


def everything_lossless_is_never_lossy(work, _display):
    [trace] = encode(work, "--photo-quality", "0", "--peer", "none", work / "moves.gsft")
    assert trace["out"]["lossy_frames"] == 0 and trace["out"]["ssim_min"] is None and "peer" not in trace, trace


def ctrl_c_leaves_a_whole_file(work, display):
    recorder = subprocess.Popen([BENCH, "record", display.name, work / "stopped.gsft"], stdout=subprocess.DEVNULL)
    time.sleep(1)
    recorder.send_signal(signal.SIGINT)
    assert recorder.wait(30) == 0
    [trace] = encode(work, "--peer", "none", work / "stopped.gsft")
    assert trace["frames"] > 5, trace


def a_cut_trace_is_named_and_the_others_are_measured(work, _display):
    whole = (work / "moves.gsft").read_bytes()
    (work / "cut.gsft").write_bytes(whole[:len(whole) // 2])
    cut, moves = encode(work, "--peer", "none", work / "cut.gsft", work / "moves.gsft", status=1)
    assert cut["name"] == "cut" and "ends inside" in cut["error"], cut
    assert moves["out"]["exact_final"] is True, moves


def wrong_usage_is_told(work, _display):
    assert "usage" in bench("--help")
    for arguments in ([], ["encode"], ["encode", "--history", "19", "x"], ["encode", "--out", "png", "x"],
                      ["encode", "--repeat", "0", "x"], ["record", ":0"]):
        bench(*arguments, status=2)
    assert "no connection" in bench("record", ":987", work / "none.gsft", status=1)
    assert "is no trace" in bench("encode", __file__, status=1)


def main():
    if not BENCH.exists():
        print("skipped: garasu-bench is not built")
        return 77
    cases = [a_recording_is_replayed_and_ends_exact, bytes_are_the_same_each_time, repeated_runs_are_one_result,
             what_is_kept_is_not_the_encoders_memory, without_verification_the_bytes_are_the_same,
             everything_lossless_is_never_lossy, ctrl_c_leaves_a_whole_file, a_cut_trace_is_named_and_the_others_are_measured, wrong_usage_is_told]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="garasu-bench-") as folder, Display() as display:
        for case in cases:
            try:
                case(pathlib.Path(folder), display)
                print("ok    ", case.__name__, flush=True)
            except Exception as error:  # noqa: BLE001: the other cases still say something
                failed += 1
                print("FAILED", case.__name__, error, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
