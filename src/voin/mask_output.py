"""The folder that `voin mask` writes: which files are its own, and whether another run may be replaced.

`masks.json` stands there from the beginning of a run; a run that was stopped has not set `finished` in it, and is done
again. Pictures lie in `preview/`, since every PNG in the folder itself is a mask.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voin.outputs import differences, write_json
from voin.pictures import FRAME_SUFFIXES

RECORD = "masks.json"
PREVIEW_VIDEO, PREVIEW_SHEET = Path("preview", "overlay.mp4"), Path("preview", "sheet.png")


def mask_name(frame: int) -> str:
    """Give the file name of a frame's mask."""
    return f"{frame:05d}.png"


@dataclass(frozen=True)
class MaskFolder:
    """An output folder and what stands in it.

    Attributes:
        path: the folder, which need not exist.
        count: frames of the video, each of which gets a mask.
        preview: a preview is to be written, too.
        request: what the run is made from; two runs with the same request give the same masks.
        record: what masks.json says there, if it is one of ours.
    """

    path: Path
    count: int
    preview: bool
    request: dict[str, Any]
    record: dict[str, Any] | None

    @staticmethod
    def look(path: Path, count: int, preview: bool, request: dict[str, Any]) -> MaskFolder:
        """Look at a folder, and change nothing."""
        request = json.loads(json.dumps(request, default=str))
        return MaskFolder(path, count, preview, request, _load(path / RECORD))

    def is_finished(self) -> bool:
        """Say whether this very run stands here, with all its files."""
        same = self.record is not None and self.record["finished"] and self.record["request"] == self.request
        return same and all((self.path / file).exists() for file in _files(self.count, self.preview))

    def check(self, overwrite: bool) -> None:
        """Refuse a folder in which something else stands.

        Raises:
            OSError: it is a file, holds another run, or pictures that no run wrote: they would be read as masks.
        """
        if self.path.exists() and not self.path.is_dir():
            raise OSError(f"{self.path} is a file; the output must be a folder; choose another name")
        others = self.record is not None and self.record["finished"] and self.record["request"] != self.request
        if self.record is not None and others and not overwrite:
            told = ", ".join(differences(self.record["request"], self.request)[:4])
            raise OSError(
                f"{self.path} holds other masks{f' (other {told})' if told else ''}; each run needs a folder of its "
                "own; choose another one, or use --overwrite to replace them"
            )
        own = set(self._own())
        there = sorted(self.path.iterdir()) if self.path.is_dir() else []
        found = [each for each in there if each.suffix.lower() in FRAME_SUFFIXES]
        strange = next((each.name for each in found if Path(each.name) not in own), None)
        if strange is None and Path(RECORD) not in own and (self.path / RECORD).exists():
            strange = RECORD
        if strange is not None:
            raise OSError(
                f"{self.path} holds {strange}, which voin mask did not write; masks need a folder of their own; choose "
                "another one"
            )

    def begin(self) -> None:
        """Remove what an earlier run has written, and note that this one works here."""
        for file in self._own():
            (self.path / file).unlink(missing_ok=True)
        with suppress(OSError):  # not there, or something else is in it
            (self.path / PREVIEW_SHEET).parent.rmdir()
        self.path.mkdir(parents=True, exist_ok=True)
        self._write({"finished": False})

    def finish(self, record: dict[str, Any]) -> dict[str, Any]:
        """Write the record of a finished run; gives what stands in it."""
        return self._write({"finished": True} | record)

    def _write(self, record: dict[str, Any]) -> dict[str, Any]:
        whole = record | {"frames": self.count, "preview": self.preview, "request": self.request}
        write_json(self.path / RECORD, whole)
        return whole

    def _own(self) -> Iterator[Path]:
        if self.record is not None:
            yield from _files(int(self.record["frames"]), True)
            yield Path(RECORD)


def _files(count: int, preview: bool) -> Iterator[Path]:
    yield from (Path(mask_name(frame)) for frame in range(count))
    if preview:
        yield from (PREVIEW_VIDEO, PREVIEW_SHEET)


def _load(path: Path) -> dict[str, Any] | None:
    """Read a record, if it is one of ours."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    fits = isinstance(found, dict) and isinstance(found.get("frames"), int) and isinstance(found.get("request"), dict)
    return found if fits and isinstance(found.get("finished"), bool) else None
