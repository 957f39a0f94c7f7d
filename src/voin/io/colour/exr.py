"""Pictures in OpenEXR: the colours of a file are read and replaced, and all else in it is written as it was.

A file may hold further channels and parts, and more picture than is shown (the data window beside the display window).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voin.core.errors import FileRefusal, PackageRefusal
from voin.io.colour.samples import PictureFrame

_COLOURS = (("R", "G", "B"), ("Y", "Y", "Y"))
# Compressions that would change samples when they are written again.
_LOSSY = {"B44", "B44A", "DWAA", "DWAB", "PXR24", "LJ2K32"}
_COMPUTED = ("channels", "chunkCount", "name")  # attributes that are made anew


def openexr() -> Any:
    """Import OpenEXR's own package. Raises ImportError that names the extra."""
    try:
        import OpenEXR
    except ImportError as error:
        raise PackageRefusal("EXR pictures need OpenEXR", "it is not installed", "pip install 'voin[exr]'") from error
    return OpenEXR


def exr_size(path: Path) -> tuple[int, int]:
    """Read the shown (h, w) of a picture. Raises OSError where it cannot be read."""
    try:
        with openexr().File(str(path), header_only=True) as file:
            left, top, right, bottom = _window(file.header()["displayWindow"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise _refusal(path, error) from error
    return bottom - top, right - left


def read_exr(path: Path) -> PictureFrame:
    """Read what is shown of a picture; its first part with colours. Raises OSError where there is none."""
    try:
        with openexr().File(str(path), separate_channels=True) as file:
            parts = [
                _Part(dict(part.header), {n: np.array(c.pixels) for n, c in part.channels.items()})
                for part in file.parts
            ]
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise _refusal(path, error) from error
    number, names = next(((i, names) for i, part in enumerate(parts) if (names := part.colours())), (0, ()))
    if not names:
        found = ", ".join(sorted({name for part in parts for name in part.channels})) or "no channel"
        raise FileRefusal(f"{path} has {found}", "it must have the channels R, G and B, or Y", "write them")
    left, top, right, bottom = _window(parts[number].header["displayWindow"])
    if not all(len({pixels.shape for pixels in part.channels.values()}) == 1 for part in parts):
        raise FileRefusal(f"{path} has channels of several sizes", "all must have one", "write it without subsampling")
    part = parts[number] = parts[number].widened((left, top, right, bottom))
    x, y, _, _ = _window(part.header["dataWindow"])
    box = np.s_[top - y : bottom - y, left - x : right - x]
    values = np.stack([part.channels[name][box] for name in names], axis=2)
    return PictureFrame(values, linear=True, rest=_Rest(parts, number, names, box))


def write_exr(path: Path, frame: PictureFrame) -> None:
    """Write a frame as a whole file, with all that stood in the file that it comes from."""
    rest = frame.rest
    if not isinstance(rest, _Rest):
        names = tuple("RGBA"[: frame.values.shape[2]])
        write_parts(path, [({}, dict(zip(names, np.moveaxis(frame.values, 2, 0), strict=True)))])
        return
    parts = list(rest.parts)
    channels = dict(parts[rest.number].channels)
    for name, values in zip(rest.names, np.moveaxis(frame.values, 2, 0), strict=True):
        channels[name] = channels[name].copy()
        channels[name][rest.box] = values
    parts[rest.number] = _Part(parts[rest.number].header, channels)
    write_parts(path, [(part.header, part.channels) for part in parts])


def write_parts(path: Path, parts: Sequence[tuple[dict[str, Any], dict[str, np.ndarray]]]) -> None:
    """Write parts, each its header and channels (h, w), as a whole file; headers that say nothing get zip."""
    exr = openexr()
    made = []
    for number, (header, channels) in enumerate(parts):
        kept = {name: value for name, value in header.items() if name not in _COMPUTED}
        kept.setdefault("type", exr.scanlineimage)
        packed = str(kept.get("compression", "")).rsplit(".", 1)[-1].removesuffix("_COMPRESSION")
        if not packed or packed in _LOSSY:
            kept["compression"] = exr.ZIP_COMPRESSION
        whole = {name: np.ascontiguousarray(values) for name, values in channels.items()}
        made.append(exr.Part(kept, whole, str(header.get("name", f"part{number}"))))
    draft = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with exr.File(made) as file:
            file.write(str(draft))
        draft.replace(path)
    except RuntimeError as error:
        raise FileRefusal(f"{path} cannot be written ({error})", "the disk must have room", "make room") from error
    finally:
        draft.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Part:
    """A part of a file: its attributes and its channels, (h, w) each."""

    header: dict[str, Any]
    channels: dict[str, np.ndarray]

    def colours(self) -> tuple[str, ...]:
        """Return the names of red, green and blue, and of alpha where there is one; () where there are none."""
        names = next((names for names in _COLOURS if set(names) <= set(self.channels)), ())
        return (*names, *(("A",) if names and "A" in self.channels else ()))

    def widened(self, shown: tuple[int, int, int, int]) -> _Part:
        """Return the part with 0 where a picture shows more than it holds."""
        x0, y0, x1, y1 = _window(self.header["dataWindow"])
        left, top, right, bottom = shown
        pads = ((max(y0 - top, 0), max(bottom - y1, 0)), (max(x0 - left, 0), max(right - x1, 0)))
        if not any(map(any, pads)):
            return self
        corners = np.array([[min(x0, left), min(y0, top)], [max(x1, right) - 1, max(y1, bottom) - 1]], np.int32)
        channels = {name: np.pad(values, pads) for name, values in self.channels.items()}
        return _Part(self.header | {"dataWindow": tuple(corners)}, channels)


@dataclass(frozen=True)
class _Rest:
    """All that stands in a file: its parts, and where in which of them the frame is."""

    parts: list[_Part]
    number: int
    names: tuple[str, ...]
    box: tuple[slice, slice]


def _window(corners: Any) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom, the latter two exclusive."""
    (left, top), (right, bottom) = corners
    return int(left), int(top), int(right) + 1, int(bottom) + 1


def _refusal(path: Path, error: Exception) -> FileRefusal:
    return FileRefusal(f"{path} cannot be read as an EXR picture ({error})", "it must be a whole one", "restore it")
