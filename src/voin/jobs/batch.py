"""Many clips in one go: a table of them, a pool of processes, and a summary of what became of each.

Each clip is a run of `voin.jobs.complete` in a folder of its own, so that a batch which was stopped goes on.
"""

from __future__ import annotations

import csv
import glob
import io
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from voin.core.errors import FileRefusal, ValueRefusal, parts_of
from voin.core.files import as_json, check_output, fits, is_portable, one_name, read_json, write_json, write_whole
from voin.core.processes.apart import answer
from voin.core.processes.pool import check_workers, run_all
from voin.core.progress import Notes, Progress, Silent
from voin.core.text_files import read_text
from voin.jobs.complete import complete
from voin.jobs.describe import Option, describe_options
from voin.jobs.options import CompleteOptions, MethodOptions, PromptOptions

SUMMARY, TABLE = "batch.json", "summary.csv"
COLUMNS = ("name", "state", "frames", "hidden_pixels", "seconds", "why", "video")
_MOST_NAME = 120  # characters; runs write longer names below it
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Clip:
    """A row of the table: what is completed, into the folder `name` of the output."""

    name: str
    video: Path
    masks: Path | None
    options: CompleteOptions
    marked: PromptOptions = field(default_factory=PromptOptions)

    def request(self, method: MethodOptions) -> dict[str, Any]:
        """Return what its outcome depends on; files are compared by the run itself."""
        return as_json({**asdict(self), "method": asdict(method)})


@dataclass(frozen=True)
class _Work:
    """Completes clips in whatever process it is sent to; the method is loaded when the first one comes."""

    method: MethodOptions
    out: Path

    def __call__(self, clip: Clip) -> tuple[str, dict[str, Any]]:
        """Return a clip's name, and what became of it."""
        began = time.perf_counter()
        ending, content = answer(self._complete, clip)
        seconds = round(time.perf_counter() - began, 2)
        if ending == "value":
            frames, hidden = content["end"] - content["start"], content["totals"]["occluded"]
            took = content["seconds"]["total"]  # of the run that made it, maybe before
            return clip.name, {"state": "done", "frames": frames, "hidden_pixels": hidden, "seconds": took, "why": []}
        # Of a fault the last line says what it is.
        why = parts_of(content) if ending == "refused" else [content.strip().splitlines()[-1], content]
        state = "refused" if ending == "refused" else "failed"
        return clip.name, {"state": state, "frames": 0, "hidden_pixels": 0, "seconds": seconds, "why": why}

    def _complete(self, clip: Clip) -> dict[str, Any]:
        prompts = clip.marked.read(clip.options.start)
        out, inpainter = self.out / clip.name, _load(self.method)
        return complete(clip.video, clip.masks, out, clip.options, prompts=prompts, inpainter=inpainter)


@cache
def _load(method: MethodOptions) -> Any:
    return method.load()


def batch(
    clips: list[Clip],
    out: Path,
    method: MethodOptions = MethodOptions(),
    *,
    workers: int = 1,
    ray: str | None = None,
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Complete clips, each into a folder of `out`, and write `batch.json` and `summary.csv` there.

    A clip that is refused, or fails, does not stop the others. The same call goes on after a stop.

    Args:
        clips: from `read_table` or `read_pattern`.
        out: the output folder; it is made if need be.
        method: what completes them.
        workers: processes; each completes one clip at a time.
        ray: see `voin.core.processes.pool.run_all`.
        retry_failed: also do again what was refused or failed before, and is asked for as it was then.
        progress: told of the stage "batch", in clips, and, where it takes notes, of each clip that is not done.

    Returns:
        What became of each clip, by name: `state` (done, refused or failed), `frames`, `hidden_pixels`, `seconds`, and
        `why`, the parts of a refusal, or the last line and the traceback of a fault.

    Raises:
        OSError: the folder cannot be written, or a worker died.
        ValueError: `workers` is not positive.
    """
    check_workers(workers, ray)
    check_output(out)
    progress = progress or Silent()
    known = _read_summary(out)
    found: dict[str, dict[str, Any]] = {}
    for clip in clips:
        before = known.get(clip.name)
        if before and before["state"] != "done" and before["request"] == clip.request(method) and not retry_failed:
            found[clip.name] = before
    todo = {clip.name: clip for clip in clips if clip.name not in found}
    out.mkdir(parents=True, exist_ok=True)
    progress.stage("batch", len(todo))
    for name, outcome in run_all(_Work(method, out.absolute()), todo.values(), min(workers, max(len(todo), 1)), ray):
        found[name] = outcome | {"request": todo[name].request(method)}
        _write_summary(out, clips, known | found)
        progress.advance("batch")
        if isinstance(progress, Notes) and outcome["state"] != "done":
            progress.note(f"{name} {outcome['state']}: {outcome['why'][0]}")
    _write_summary(out, clips, known | found)
    return {clip.name: found[clip.name] for clip in clips}


def _read_summary(out: Path) -> dict[str, dict[str, Any]]:
    outcome = {
        "state": str,
        "frames": int,
        "hidden_pixels": int,
        "seconds": (int, float),
        "why": [str],
        "request": dict,
    }
    content = read_json(out / SUMMARY)
    return content if content is not None and fits(content, {str: outcome}) else {}


def _write_summary(out: Path, clips: list[Clip], outcomes: Mapping[str, dict[str, Any]]) -> None:
    write_json(out / SUMMARY, dict(outcomes))
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for clip in clips:
        if outcome := outcomes.get(clip.name):
            why = "; ".join(outcome["why"] if outcome["state"] == "refused" else outcome["why"][:1])
            row = {**outcome, "name": clip.name, "why": why, "video": clip.video}
            table.writerow([row[column] for column in COLUMNS])
    write_whole(out / TABLE, text.getvalue().encode())


def counts_of(outcomes: Mapping[str, dict[str, Any]]) -> Counter[str]:
    """Count the clips by what became of them."""
    return Counter(outcome["state"] for outcome in outcomes.values())


# What is to be done.


def read_table(path: Path, options: CompleteOptions) -> list[Clip]:
    """Read the clips from a CSV file, whose first line names the columns, or from JSON lines.

    Columns are `video`, `masks`, `name`, the options of `voin complete` on objects, frames and output, and those that
    mark an object, without their dashes; an empty field leaves an option as it is. Paths begin at the table.

    Raises:
        OSError: it cannot be read.
        ValueError: a column or a value does not fit; it says in which line.
    """
    text = read_text(path, "a CSV file or JSON lines", "check the path")
    clips = []
    for line, row in _json_rows(path, text) if text.lstrip().startswith("{") else _csv_rows(path, text):
        try:
            clips.append(_clip(row, path.parent.absolute(), options))
        except ValueError as error:
            what, *rest = parts_of(error)
            raise ValueRefusal(f"{path}, line {line}: {what}", *rest) from error
    return _checked(clips, str(path))


def read_pattern(videos: str, masks: str | None, options: CompleteOptions, marked: PromptOptions) -> list[Clip]:
    """List the clips that a pattern such as `clips/*/frames` finds.

    In `masks` each `*` stands for what it stood for in the video's path.

    Raises:
        OSError: it finds nothing.
        ValueError: `masks` has more stars, or two clips would have one name.
    """
    if masks is not None and masks.count("*") > videos.count("*"):
        raise ValueRefusal(
            f"{masks} has {masks.count('*')} stars, and {videos} {videos.count('*')}",
            "each must stand for one of the others",
            "write them in the same order",
        )
    places = re.compile("([^/]*)".join(map(re.escape, videos.split("*"))))
    clips = []
    for match in filter(None, map(places.fullmatch, sorted(glob.glob(videos)))):  # noqa: PTH207 - it may begin at /
        stars, beside = match.groups(), masks
        for star in stars[: masks.count("*")] if masks is not None else ():
            beside = beside.replace("*", star, 1) if beside else None
        name = re.sub(r"[^\w.-]+", "-", "-".join((*stars[:-1], Path(stars[-1]).stem)))
        found = Path(beside).absolute() if beside else None
        clips.append(Clip(name, Path(match[0]).absolute(), found, options, marked))
    if not clips:
        raise FileRefusal(f"{videos} finds no file or folder", "it must name videos", "check it, and put quotes around")
    return _checked(clips, videos)


def _checked(clips: list[Clip], where: str) -> list[Clip]:
    if not clips:
        raise ValueRefusal(f"{where} has no clip", "it must have a line for each", "add some")
    names = {one_name(clip.name): clip.name for clip in clips}
    for key, count in Counter(one_name(clip.name) for clip in clips).items():
        name = names[key]
        if count > 1:
            raise ValueRefusal(
                f"{where} has {count} clips of the name {name}",
                "each must have a folder of its own, where case does not count",
                "give them names in a column `name`",
            )
        if Path(name).name != name or name[:1] == "." or len(name) > _MOST_NAME or not is_portable(name):
            raise ValueRefusal(
                f"{where} has a clip of the name {name[:60]!r}",
                "it must be that of a folder on any system",
                "correct it",
            )
    return clips


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)  # spreadsheets write what their country does
    reader = csv.DictReader(io.StringIO(text), delimiter=separator, strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise ValueRefusal(
                    f"{path}, line {reader.line_num} has another number of fields than the first",
                    "each line must have one for each column",
                    "put quotes around fields with commas",
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise ValueRefusal(f"{path}, line {reader.line_num}: {error}", "it must be CSV", "correct it") from error


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            what = f"{path}, line {number} is not JSON ({error})"
            raise ValueRefusal(what, "each must be an object", "correct it") from error
        if not isinstance(row, dict):
            raise ValueRefusal(f"{path}, line {number} is no object", 'it must be one, {"video": ...}', "correct it")
        yield number, row


def _options() -> dict[str, tuple[type, Option]]:
    """Return what may be a column besides: name -> whose option it is, and the option."""
    kinds = (CompleteOptions, PromptOptions)
    every = [(kind, option) for kind in kinds for option in describe_options(kind) if option.flag]
    return {option.flag.split()[0].lstrip("-"): (kind, option) for kind, option in every}


def _clip(row: Mapping[str, Any], folder: Path, options: CompleteOptions) -> Clip:
    columns, chosen, marks = _options(), {}, {}
    plain: dict[str, str] = {}
    for column, value in row.items():
        key = column.strip().lower().replace("_", "-")
        if value is None or value == "":
            continue
        if key in ("video", "masks", "name"):
            plain[key] = str(value)
        elif key not in columns:
            raise ValueRefusal(
                f"there is no column {column!r}", f"it must be video, masks, name, {', '.join(columns)}", "leave it out"
            )
        else:
            kind, option = columns[key]
            (chosen if kind is CompleteOptions else marks)[option.name] = _value(option, value, folder)
    if "video" not in plain:
        raise ValueRefusal("there is no video", "each line must name one, in the column `video`", "add it")
    inner: dict[str, dict[str, Any]] = {}
    for name in [name for name in chosen if "." in name]:
        group, _, rest = name.partition(".")
        inner.setdefault(group, {})[rest] = chosen.pop(name)
    made = replace(options, **chosen, **{name: replace(getattr(options, name), **inner[name]) for name in inner})
    video, masks = folder / plain["video"], folder / plain["masks"] if "masks" in plain else None
    return Clip(plain.get("name", Path(plain["video"]).stem), video, masks, made, PromptOptions(**marks))


def _value(option: Option, given: Any, folder: Path) -> Any:
    """Read a field as the command reads its option."""
    text = ",".join(map(str, given)) if isinstance(given, list) and option.kind != list[str] else str(given)
    text = text.strip()
    try:
        if option.kind == list[str]:
            return [str(item) for item in given] if isinstance(given, list) else text.split()
        if option.kind is bool:
            return _WORDS[text.lower()]
        if option.choices:
            return option.choices[text]
        if option.is_text:
            value = option.read(text)
            return folder / value if isinstance(value, Path) else value
        return folder / text if option.kind is Path else option.kind(text)
    except ValueRefusal:
        raise
    except (KeyError, ValueError) as error:
        words = ", ".join(option.choices) or ("yes or no" if option.kind is bool else "a number")
        what = f"{option.flag.split()[0].lstrip('-')} is {text!r}"
        raise ValueRefusal(what, f"it must be {words}", "correct it") from error
