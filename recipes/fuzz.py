"""Give voin damaged and lying files of every kind, and count what becomes of them.

    python recipes/fuzz.py [KIND ...] [--inputs 100] [--seed 0] [--memory 2048] [--seconds 10] [--keep FOLDER]

Each input is a good one, damaged as its seed says: cut off, bits turned over, parts copied elsewhere, and, where it is
text, values put in the place of others: huge, negative and deeply nested ones, and such of another type. It is read in
a child process of its own, by the command that a user would give, with limits of memory and of processor time.

    refused      exit code 2 and a message of three parts
    short        refused, in fewer parts
    left files   refused, and something was written all the same
    done         the damage did not matter, or is what the command reports (`voin data verify`)
    traceback    a fault of voin's own
    hang         more than `--seconds` of processor time
    over memory  more than `--memory` MB besides what the program itself takes

Each input that was neither refused nor done is printed with its seed: the same call with `--only SEED` does it again,
and `--keep FOLDER` leaves its files there. It runs on Linux, where processes can be forked and limited.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from importlib import import_module
from pathlib import Path

import torch
import typer
from fuzz_inputs import KINDS, Kind

OUTCOMES = ("refused", "short", "left files", "done", "traceback", "hang", "over memory")
GOOD = ("refused", "done")
_TEXTS = (".json", ".jsonl", ".xml", ".csv", ".txt", ".pack", ".zip")  # or such that hold one
# What stands in the place of a value in a text.
LIES = (
    *("-1", "0", "1", "7", "0.5", "1e29", "-1e308", "1e400", "9" * 23, "9" * 5000, "NaN", "-Infinity", "null", "true"),
    *(
        "[]",
        "{}",
        '""',
        '"../../x"',
        '"\\u0000"',
        f'"{"x" * 5000}"',
        "[[[[1]]]]",
        "[" * 4000,
        "[" * 100_000,
        '{"a":' * 4000,
    ),
)


def damage(path: Path, draw: random.Random) -> str:
    """Damage a file in one to three ways; return what was done."""
    done = []
    for _ in range(draw.choice((1, 1, 2, 3))):
        way = draw.choice(("cut", "bits", "bytes", "copy"))
        if path.suffix in _TEXTS and draw.random() < 0.6:
            way = "lie"
            tell_lie(path, draw)
        else:
            path.write_bytes(break_bytes(path.read_bytes(), way, draw))
        done.append(way)
    return "+".join(done)


def break_bytes(good: bytes, way: str, draw: random.Random) -> bytes:
    data = bytearray(good)
    if not data:
        return good
    at = min(int(len(data) * draw.random() ** draw.choice((1, 4))), len(data) - 1)  # beginnings matter most
    if way == "cut":
        del data[at:]
    elif way == "bits":
        for _ in range(draw.choice((1, 8, 64))):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif way == "bytes":
        data[at : at + 8] = draw.choice((b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7, draw.randbytes(8)))
    else:
        to = draw.randrange(len(data))
        data[to:to] = data[at : at + draw.randrange(1, 400)]
    return bytes(data)


def tell_lie(path: Path, draw: random.Random) -> None:
    """Replace a value in a JSON text, or in the one inside a pack or its small form, all else being right."""
    data = path.read_bytes()
    if path.suffix == ".pack":
        end = 16 + int.from_bytes(data[8:16], "little")
        text = replace_value(data[16:end], draw)
        path.write_bytes(data[:8] + len(text).to_bytes(8, "little") + text + data[end:])
    elif path.suffix == ".zip" and zipfile.is_zipfile(path):
        changed = path.with_name("changed")
        try:
            with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
                for name in old.namelist():
                    part = old.read(name)
                    new.writestr(name, replace_value(part, draw) if name.endswith(".json") else part)
            changed.replace(path)
        except Exception:  # it is broken already
            changed.unlink(missing_ok=True)
    else:
        path.write_bytes(replace_value(data, draw))


def replace_value(text: bytes, draw: random.Random) -> bytes:
    values = [match.span() for match in re.finditer(rb'(?<=[\[:,=;\n])\s*("[^"]{0,80}"|[-\w.]+)', text)]
    if not values:
        return text
    start, end = draw.choice(values)
    return text[:start] + draw.choice(LIES).encode() + text[end:]


def read_apart(kind: Kind, folder: Path, memory: int, seconds: int) -> tuple[str, str]:
    """Read a damaged input in a child process; return its outcome and what it said."""
    log = folder / "said.txt"
    child = os.fork()
    if child == 0:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (space + memory * 2**20, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
        code = 1
        try:
            kind.read(folder)
            code = 0
        except typer.Exit as done:
            code = done.exit_code
        except SystemExit as done:
            code = done.code if isinstance(done.code, int) else 1
        except BaseException as error:  # whatever it is, it must not go on as the parent
            traceback.print_exception(error)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    # Wall time counts only where the child waits for something for ever.
    deadline = time.monotonic() + 30 * seconds
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.005)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
    code, said = os.waitstatus_to_exitcode(status), log.read_text(errors="replace")
    log.unlink()
    return outcome(kind, folder, code, said), said


def outcome(kind: Kind, folder: Path, code: int, said: str) -> str:
    """Return which of `OUTCOMES` it is."""
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return "hang"
    if code not in (0, 2) and not (code == 1 and "Traceback" not in said):  # `verify` finds faults in a set
        lacks = ("MemoryError", "Cannot allocate memory", "bad_alloc", "not enough memory", "can't allocate memory")
        return "over memory" if any(word in said for word in lacks) else "traceback"
    if code != 2:
        return "done"
    result = folder / kind.result
    if kind.result and (result.is_file() or (result.is_dir() and any(path.is_file() for path in result.rglob("*")))):
        return "left files"
    return "refused" if len(re.findall(r"^  \S", said, re.MULTILINE)) >= 2 else "short"


def main() -> int:
    """Damage, read, count; return 1 where something was neither refused nor done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all by default")
    parser.add_argument("--inputs", type=int, default=100, help="damaged inputs of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the first input; the next ones have the next numbers")
    parser.add_argument("--only", type=int, help="do this seed alone, and show what is said")
    parser.add_argument("--memory", type=int, default=2048, help="MB that a reader may take")
    parser.add_argument("--seconds", type=int, default=10, help="processor time that it may take")
    parser.add_argument("--keep", type=Path, help="folder for inputs that were neither refused nor done")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in ("voin.jobs.complete", "voin.jobs.mask", "voin.data.verify"):
        import_module(name)  # once, and not in every child
    seeds = range(options.seed, options.seed + options.inputs) if options.only is None else [options.only]
    unknown = [name for name in options.kinds if name not in KINDS]
    if unknown:
        parser.error(f"{unknown[0]!r} is no kind; kinds are {', '.join(KINDS)}")
    table = {}
    print(f"seeds {seeds[0]} to {seeds[-1]}\n{'kind':14}" + "".join(f"{word:>13}" for word in OUTCOMES), flush=True)
    for name in options.kinds or KINDS:
        kind, counts = KINDS[name], Counter()
        with tempfile.TemporaryDirectory() as place:
            good, case = Path(place) / "good", Path(place) / "case"
            case.mkdir()
            kind.make(case)  # where it will be read, as records of runs name their files
            case.rename(good)
            for seed in seeds:
                draw = random.Random(f"{name} {seed}")
                shutil.rmtree(case, ignore_errors=True)
                shutil.copytree(good, case)
                file = draw.choice(sorted(case.glob(draw.choice(kind.damaged))))
                ways = damage(file, draw)
                found, said = read_apart(kind, case, options.memory, options.seconds)
                counts[found] += 1
                if found not in GOOD or options.only is not None:
                    last = said.strip().splitlines()[-1:] or ["nothing"]
                    print(
                        f"{name} seed {seed}: {found}; {file.relative_to(case)} {ways}; said {last[0][:160]}",
                        flush=True,
                    )
                    if options.keep:
                        kept = options.keep / f"{name}-{seed}".replace(" ", "-")
                        shutil.copytree(case, kept, dirs_exist_ok=True)
                        (kept / "said.txt").write_text(said)
                if options.only is not None:
                    print(said)
        table[name] = counts
        print(f"{name:14}" + "".join(f"{counts[word]:13}" for word in OUTCOMES), flush=True)
    return int(any(counts[word] for counts in table.values() for word in OUTCOMES if word not in GOOD))


if __name__ == "__main__":
    sys.exit(main())
