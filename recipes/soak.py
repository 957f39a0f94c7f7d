"""Complete a long clip, kill the run at random moments, go on, and compare with a run that nobody disturbed.

    python recipes/soak.py [--frames 300] [--size 1920x1080] [--method classical] [--kills 5] [--seed 0] [-o FOLDER]

The clip is made on the fly; its object is in all frames. Memory of the run, its peak included, is read four times a
second. The moments of the kills (SIGKILL, to all that the run has begun) are drawn from the seed over the time that
the undisturbed run took. With `--alone SECONDS` there is no undisturbed run; kills come at most so far apart, and the
number of frames is all that is looked at.

Prints the peak of memory in MB of the undisturbed run, in four quarters of its time, that of the disturbed ones, and
whether both results are the same, byte for byte. Returns 1 where they are not. It runs on Linux.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from voin.io.video import probe
from voin.jobs.speed import BenchConfig, make_clip

RECORDS = ("run.json",)  # they hold times


def start(folder: Path, out: Path, method: str) -> subprocess.Popen[bytes]:
    """Start to complete the clip."""
    words = [sys.executable, "-m", "voin", "complete", str(folder / "video.mp4"), str(folder / "masks"), "-o", str(out)]
    words += ["--method", method, "--layer", "none", "--cuts", "none", "-q"]
    return subprocess.Popen(words, start_new_session=True)


def memory(pid: int) -> float:
    """Megabytes that a process takes now."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1e3


def follow(process: subprocess.Popen[bytes], seconds: float = float("inf")) -> list[float]:
    """Sample the memory of a run until it ends, or so many seconds have passed, when it is killed."""
    levels, began = [], time.monotonic()
    while process.poll() is None:
        levels.append(memory(process.pid))
        if time.monotonic() - began > seconds:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return levels
        time.sleep(0.25)
    if process.returncode != 0:
        raise RuntimeError(f"the run ended with {process.returncode}")
    return levels


def contents(out: Path) -> dict[str, str]:
    """Name all files of a result with their sums."""
    files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name not in RECORDS)
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def peaks(levels: list[float]) -> str:
    """Write the peaks of four quarters."""
    parts = [levels[len(levels) * i // 4 : len(levels) * (i + 1) // 4] or levels for i in range(4)]
    return ", ".join(f"{max(part):.0f}" for part in parts)


def main() -> int:
    """Run, kill, go on, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--method", default="voin", choices=("voin", "classical"))
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--alone", type=float, default=0.0, metavar="SECONDS", help="only kill, this far apart at most")
    parser.add_argument("-o", "--output", type=Path, help="keep clip and results there; a temporary folder otherwise")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    draw, folder = random.Random(options.seed), options.output or Path(tempfile.mkdtemp(prefix="voin-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if not (folder / "video.mp4").exists():
            make_clip(folder, BenchConfig(size=(height, width), frames=options.frames))
        whole, broken = folder / "whole", folder / "killed"
        seconds = options.alone
        if not options.alone:
            began = time.monotonic()
            levels = follow(start(folder, whole, options.method))
            seconds = (time.monotonic() - began) / (options.kills + 1) * 2
            print(f"{options.frames} frames of {options.size}, {options.method}, {time.monotonic() - began:.0f} s")
            print(f"peak MB {max(levels):.0f}; of the quarters of its time {peaks(levels)}", flush=True)
        most, kills = [], 0
        while not (broken / "run.json").exists():
            allowed = draw.uniform(0, seconds) if kills < options.kills else float("inf")
            levels = follow(start(folder, broken, options.method), allowed)
            most += levels
            kills += not (broken / "run.json").exists()
            print(f"so far {kills} kills; peak MB of the quarters since the last {peaks(levels)}", flush=True)
        count = probe(broken / "completed.mp4").count
        print(f"killed {kills} times and gone on with; peak MB {max(most):.0f}; {count} frames", flush=True)
        if options.alone:
            return int(count != options.frames)
        same = contents(whole) == contents(broken)
        print("the results are the same, byte for byte" if same else "the results differ")
        return int(not same)
    finally:
        if options.output is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
