"""Packs: the object windows of a VOI set in one memory-mapped file, ready for training.

    "VOINPACK" | length of the header, 8 bytes | header, JSON | for each clip: frames (t, h, w, 3), masks (t, h, w)

The windows are those of the true video, squares cut around the whole object, or whole frames: occluders are drawn anew
in training (`voin.data.occluders.occlude`), so that one pack serves any number of occlusions. Masks are 0 or 1. All is
uint8.

A pack of many clips is large; `voin.data.packs.transport` gives it a small form to be sent.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import UInt8

from voin.core.config import Checked, from_older, setting
from voin.core.errors import FileRefusal, ValueRefusal
from voin.data.categories import known_category
from voin.data.manifest import MANIFEST
from voin.data.schema import MOST_BYTES, parse_table, reason_of
from voin.data.sets import VoiSet
from voin.method.window import WholeFrame, WindowConfig, box_of, cut, fit_windows, to_working

PACK_VERSION = 1
_MARK = b"VOINPACK"
_ALIGN = 4096  # clips start on pages
MOST_SIDE = 4096  # of windows, pixels
ENLARGE = 1.5  # as `WindowConfig` has it

Progress = Callable[[int, int], None]  # clips done, clips in all
_Clip = tuple[Iterable[np.ndarray], Iterable[np.ndarray]]  # frames and masks, one by one
_Frames = UInt8[np.ndarray, "t h w 3"]
_Masks = UInt8[np.ndarray, "t h w"]


@dataclass(frozen=True)
class PackClip(Checked):
    """What a pack says about a clip.

    Its frames begin `start` bytes behind the header; its masks follow them.
    """

    name: str
    video: str
    category: str | None
    count: int = setting(help="Frames.", least=1)
    start: int = setting(least=0)

    def check(self) -> None:
        """Refuse a category that training does not know."""
        if self.category is not None and known_category(self.category) is None:
            raise ValueRefusal(f"category is {self.category!r}", "it must be one of YouTube-VOS, or null", "correct it")


@dataclass(frozen=True, kw_only=True)
class PackIndex(Checked):
    """What a pack says about itself.

    Attributes:
        size: width of the windows.
        split: of the set.
        enlarge: side of the windows over the object's longer side; 1 for whole frames.
        source: SHA-256 of what it was made from; of a set that of its manifest.
        clips: one behind the other, as `lay_out` gives them.
        soft: whether masks say how much of each pixel is covered, 0 to 255; else they are 0 or 1.
        rows: height of the windows; None for squares.
    """

    size: int = setting(least=8, most=MOST_SIDE)
    split: str
    enlarge: float = setting(above=0)
    source: str
    clips: tuple[PackClip, ...]
    soft: bool = False
    rows: int | None = setting(None, least=8, most=MOST_SIDE)

    def check(self) -> None:
        """Refuse clips that lie over each other."""
        end = 0
        for clip in self.clips:
            if clip.start < end:
                raise ValueRefusal(f"{clip.name} starts at {clip.start}", f"it must be at least {end}", "correct it")
            end = clip.start + self.bytes_of(clip)

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the windows."""
        return self.rows or self.size, self.size

    def bytes_of(self, clip: PackClip) -> int:
        """Return how long a clip is: four bytes a pixel, three of colours and one of the mask."""
        return clip.count * self.shape[0] * self.shape[1] * 4

    @property
    def categories(self) -> tuple[str | None, ...]:
        """The clips' categories."""
        return tuple(clip.category for clip in self.clips)

    def encode(self) -> bytes:
        """Return it as JSON."""
        header = {"size": self.size, "split": self.split, "enlarge": self.enlarge, "source": self.source}
        if self.soft:
            header["soft"] = True
        if self.rows is not None:
            header["rows"] = self.rows
        about = {"version": PACK_VERSION, **header, "clips": [asdict(clip) for clip in self.clips]}
        return json.dumps(about, sort_keys=True).encode()


@dataclass(frozen=True, kw_only=True)
class Pack(PackIndex):
    """A pack, opened for reading; pixels are read from the disk when they are looked at.

    Attributes:
        path: of the file.
        data: what follows the header, (bytes,) uint8, read-only.
    """

    path: Path
    data: np.ndarray

    def check(self) -> None:
        """Refuse a file that is shorter than what it says."""
        super().check()
        lacks = (self.clips[-1].start + self.bytes_of(self.clips[-1]) if self.clips else 0) - len(self.data)
        if lacks > 0:
            raise FileRefusal(f"{self.path} ends {lacks} bytes too early", "it must be whole", "copy or make it again")

    def clip(self, index: int) -> tuple[_Frames, _Masks]:
        """Give views of a clip's frames (t, h, w, 3), RGB, and amodal masks (t, h, w)."""
        clip = self.clips[index]
        part = self.data[clip.start : clip.start + self.bytes_of(clip)]
        frames, masks = np.split(part, [len(part) // 4 * 3])
        return frames.reshape(-1, *self.shape, 3), masks.reshape(-1, *self.shape)

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process opens the file: what lies on the disk is not sent there.
        return open_pack, (self.path,)


def make_pack(
    voi_set: VoiSet,
    out: Path,
    size: int = 192,
    split: str = "train",
    enlarge: float = ENLARGE,
    progress: Progress | None = None,
    whole_frames: bool = False,
) -> Pack:
    """Cut the object windows of one split of a set into a pack.

    Args:
        voi_set: that they are cut from.
        out: the file to write; it stands there only when it is whole.
        size: width of the windows, pixels.
        split: "train" or "validation".
        enlarge: side of a window over the object's longer side.
        progress: told after each clip.
        whole_frames: cut no windows, but take the frames whole, 16:9 (paper 4.1, with a size of 384).

    Raises:
        ValueError: the set has no such clip, or the window is none.
        OSError: a file of the set cannot be read, or the pack cannot be written.
    """
    config: WindowConfig = WindowConfig(size=size, enlarge=enlarge)
    if whole_frames:
        config, enlarge = WholeFrame(size, frame=(1, 1)), 1.0
    rows = config.shape[0] if whole_frames else None
    records = voi_set.records(split)
    if not records:
        raise ValueRefusal(
            f"{voi_set.root} has no clips in {split!r}", "a pack needs at least one", "give another split"
        )
    places = lay_out([(record.name, record.video, record.category, record.count) for record in records], *config.shape)
    source = sha256((voi_set.root / MANIFEST).read_bytes()).hexdigest()

    def windows() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for record in records:
            clip = voi_set.load(record)
            h, w = clip.amodal.shape[1:]
            lies = replace(config, frame=(h, w)) if isinstance(config, WholeFrame) else config
            frames, shares = cut_windows(clip.truth, clip.amodal, lies)
            yield frames, (shares > 0.5).astype(np.uint8)

    index = PackIndex(size=size, split=split, enlarge=enlarge, source=source, clips=places, rows=rows)
    return write_pack(out, index, windows(), progress)


def cut_windows(frames: Iterable[np.ndarray], masks: np.ndarray, config: WindowConfig) -> tuple[np.ndarray, np.ndarray]:
    """Cut one clip's windows as the pipeline does.

    Args:
        frames: (h, w, 3) uint8.
        masks: (t, h, w), bool, or uint8 where they are soft.
        config: of the windows.

    Returns:
        Colours (t, h, w, 3), uint8, and how much of each pixel the mask covers (t, h, w), float32 in [0, 1].
    """
    inside = masks > 127 if masks.dtype == np.uint8 else masks
    windows = fit_windows(np.array([box_of(mask) for mask in inside]), config)
    colours = to_working([cut(frame, windows, i) for i, frame in enumerate(frames)], config.shape)
    shares = to_working([cut(mask, windows, i) for i, mask in enumerate(masks)], config.shape)
    pictures = (colours.permute(0, 2, 3, 1).numpy() * 255 + 0.5).clip(0, 255).astype(np.uint8)
    return pictures, shares[:, 0].numpy()


def lay_out(
    clips: Iterable[tuple[str, str, str | None, int]], height: int, width: int | None = None
) -> tuple[PackClip, ...]:
    """Lay clips (name, video, category, count) of a height and width, by default the same, out one behind the other."""
    placed, start = [], 0
    for name, video, category, count in clips:
        placed.append(PackClip(name, video, category, count, start))
        start += -(-count * height * (width or height) * 4 // _ALIGN) * _ALIGN
    return tuple(placed)


def write_pack(out: Path, index: PackIndex, windows: Iterable[_Clip], progress: Progress | None = None) -> Pack:
    """Write a pack of frames (t, h, w, 3) and masks (t, h, w) of each clip, uint8; it stands there only when whole."""
    text = index.encode()
    # Spaces, which JSON allows, up to the next page.
    text += b" " * (-(len(_MARK) + 8 + len(text)) % _ALIGN)
    with drafted(out) as file:
        file.write(_MARK + len(text).to_bytes(8, "little") + text)
        for done, (frames, masks) in enumerate(windows, 1):
            written = sum(file.write(picture.tobytes()) for picture in chain(frames, masks))
            file.write(bytes(-written % _ALIGN))
            if progress is not None:
                progress(done, len(index))
    return open_pack(out)


@contextmanager
def drafted(out: Path) -> Iterator[BinaryIO]:
    """Open a file that stands at `out` only when all is written."""
    draft = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            yield file
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)


def open_pack(path: Path) -> Pack:
    """Open a pack.

    Raises:
        OSError: there is none, or it is not whole.
        ValueError: it is no pack, or one of another version.
    """
    if not path.is_file():
        raise FileRefusal(
            f"{path} is no file", "it must be a pack", "make one with `voin data pack` or `voin data cutouts`"
        )
    with path.open("rb") as file:
        if file.read(len(_MARK)) != _MARK:
            raise ValueRefusal(f"{path} is no pack", "packs are made by `voin data pack`", "give such a file")
        length = int.from_bytes(file.read(8), "little")
        index = decode_index(path, file.read(min(length, MOST_BYTES, path.stat().st_size)))
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    data = np.frombuffer(whole, np.uint8)[len(_MARK) + 8 + length :]
    return Pack(path=path, data=data, **vars(index))


def decode_index(path: Path, text: bytes) -> PackIndex:
    """Read what the pack, or its small form, in the file `path` says about itself."""
    try:
        table = parse_table(text)
        version = table.pop("version", PACK_VERSION)
        if version == PACK_VERSION:
            return from_older(PackIndex, table)
    except ValueError as error:
        what = f"{path} has a broken header ({reason_of(error)})"
        raise FileRefusal(what, "it must be a whole pack", "copy or make it again") from error
    raise ValueRefusal(
        f"{path} is a pack of version {version}", f"this voin reads {PACK_VERSION}", "make the pack again"
    )
