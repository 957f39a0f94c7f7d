"""Masks in .npz and .npy files, read one by one: a whole array of full HD masks would fill the memory."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import cast

import numpy as np

from voin.core.errors import FileRefusal, Refusal, ValueRefusal
from voin.io.masks.archives import open_archive
from voin.io.masks.values import Kind, RawMask

_MOST_IDS = 255


class ArrayMasks:
    """(t, h, w) arrays in an .npz file, one for all objects or one for each, or the one of an .npy file.

    Their headers are read at once.

    Attributes:
        names: number of masks.
        size: (h, w).
        dtypes: of each array in the file.
    """

    def __init__(self, path: Path) -> None:
        with _readable(path), _arrays(path) as arrays:
            headers = {name: _header(stream) for name, stream in arrays.items()}
        shapes = {shape for shape, _, _ in headers.values()}
        shape = next(iter(shapes), ())
        kinds = {dtype.kind for _, dtype, _ in headers.values()}
        if len(shapes) != 1 or len(shape) != 3 or min(shape) < 1 or not kinds <= set("biuf"):
            said = ", ".join(f"{name}: {shape} {dtype}" for name, (shape, dtype, _) in headers.items())
            raise ValueRefusal(
                f"{path} has {said or 'no arrays'}",
                "arrays of masks must have one shape and hold numbers",
                "give one array (t, h, w) of bool or object ids, or one such bool array an object, named by its id",
            )
        if any(by_columns for _, _, by_columns in headers.values()):
            what = f"{path} is stored column by column"
            raise ValueRefusal(what, "it must be row by row", "use numpy.ascontiguousarray")
        self.path = path
        self.names, self.size = shape[0], (shape[1], shape[2])
        # Name in the file -> object id; 0 where the values themselves say it.
        names = [*headers]
        self._objects = {names[0]: 0} if len(names) == 1 else _object_ids(path, names)
        self.dtypes = {name: dtype for name, (_, dtype, _) in headers.items()}

    @staticmethod
    def takes(path: Path) -> bool:
        """Return whether a path ends in .npz or .npy."""
        return path.suffix.lower() in (".npz", ".npy")

    def masks(self, colours: dict[int, int]) -> Iterator[RawMask]:
        """Read one mask after the other, never the whole array; where objects overlap, the higher id is seen."""
        with ExitStack() as stack:
            with _readable(self.path):
                streams = stack.enter_context(_arrays(self.path))
                for stream in streams.values():
                    _header(stream)
            for _ in range(self.names):
                yield RawMask(str(self.path), *self._next(streams))
            with _readable(self.path):
                for stream in streams.values():
                    stream.read(1)  # reaches the end, where the checksum is looked at

    def _next(self, streams: dict[str, BufferedIOBase]) -> tuple[np.ndarray, Kind, bool]:
        planes = {name: self._plane(name, stream) for name, stream in streams.items()}
        if len(planes) == 1 and 0 in self._objects.values():
            ((name, plane),) = planes.items()
            return (plane * np.uint8(255) if self.dtypes[name].kind in "bf" else plane), "grey", False
        label, overlap = np.zeros(self.size, np.uint8), False
        for name, number in sorted(self._objects.items(), key=lambda item: item[1]):
            seen = planes[name] > 0
            overlap |= bool(label[seen].any())
            label[seen] = number
        return label, "ids", overlap

    def _plane(self, name: str, stream: BufferedIOBase) -> np.ndarray:
        dtype = self.dtypes[name]
        length = math.prod(self.size) * dtype.itemsize
        with _readable(self.path):
            data = stream.read(length)
        if len(data) < length:
            what = f"{self.path} ends within {name}"
            raise FileRefusal(what, "it must be a whole .npz or .npy", "copy it again from its source")
        plane = np.frombuffer(data, dtype).reshape(self.size)
        if dtype.kind == "f":
            if not np.isfinite(plane).all():
                what = f"{self.path}: {name} has values that are NaN or infinite"
                raise ValueRefusal(what, "masks are bool or object ids", "convert them")
            return (plane >= 0.5).astype(np.uint8)
        if dtype.kind != "b" and (plane.min() < 0 or plane.max() > _MOST_IDS):
            raise ValueRefusal(
                f"{self.path}: {name} has values from {plane.min()} to {plane.max()}",
                f"object ids are 0 to {_MOST_IDS}",
                "number the objects anew",
            )
        return plane.astype(np.uint8)


def _object_ids(path: Path, names: Sequence[str]) -> dict[str, int]:
    numbers = [re.findall(r"\d+", name) for name in names]
    ids = [int(number[-1]) for number in numbers if number]
    if len(ids) < len(names) or len(set(ids)) < len(ids):
        ids = list(range(1, len(names) + 1))
    if min(ids) < 1 or max(ids) > _MOST_IDS:
        raise ValueRefusal(
            f"{path} names objects {min(ids)} to {max(ids)}", f"object ids are 1 to {_MOST_IDS}", "rename the arrays"
        )
    return dict(zip(names, ids, strict=True))


@contextmanager
def _arrays(path: Path) -> Iterator[dict[str, BufferedIOBase]]:
    """Open all arrays of a file, by name; that of an .npy has the file's own."""
    with ExitStack() as stack:
        if path.suffix.lower() == ".npy":
            yield {path.stem: stack.enter_context(path.open("rb"))}
            return
        archive = stack.enter_context(open_archive(path, _MOST_IDS))
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        opened = {name: stack.enter_context(archive.open(f"{name}.npy")) for name in names}
        yield {name: cast(BufferedIOBase, stream) for name, stream in opened.items()}


def _header(stream: BufferedIOBase) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Read an array's header: (shape, dtype, whether it is stored column by column)."""
    version = np.lib.format.read_magic(stream)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = reader(stream)
    return shape, dtype, by_columns and len(shape) > 1


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except Refusal:
        raise
    except Exception as error:  # zipfile and numpy raise zlib.error, BadZipFile, SyntaxError and more on garbage.
        raise FileRefusal(
            f"{path} cannot be read ({error})",
            "it must be a whole .npz or .npy with masks",
            "save it with numpy.savez_compressed",
        ) from error
