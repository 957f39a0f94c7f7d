"""Packs: the object windows of a VOI set in one memory-mapped file, ready for training.

    "VOINPACK" | length of the header, 8 bytes | header, JSON | for each clip: frames (t, s, s, 3), masks (t, s, s)

The windows are those of the true video, cut around the whole object: occluders are drawn anew in training
(`voin.data.occluders.occlude`), so that one pack serves any number of occlusions. Masks are 0 or 1. All is uint8.

A pack of many clips is large; `write_transport` gives it a small form (JPEG and PNG in one zip file) to be sent.
"""

from __future__ import annotations

import json
import mmap
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from jaxtyping import UInt8

from voin.core.errors import FileRefusal, ValueRefusal
from voin.data.manifest import MANIFEST
from voin.data.sets import VoiSet
from voin.method.window import WindowConfig, box_of, cut, fit_windows, to_working

PACK_VERSION = 1
_MARK = b"VOINPACK"
_ALIGN = 4096  # clips start on pages
_INDEX = "index.json"
ENLARGE = 1.5  # as `WindowConfig` has it

Progress = Callable[[int, int], None]  # clips done, clips in all
_Frames = UInt8[np.ndarray, "t s s 3"]
_Masks = UInt8[np.ndarray, "t s s"]


@dataclass(frozen=True)
class PackClip:
    """What a pack says about a clip of `count` frames, of one of `categories.CATEGORIES` or None.

    Its frames begin `start` bytes behind the header; its masks follow them.
    """

    name: str
    video: str
    category: str | None
    count: int
    start: int


@dataclass(frozen=True, kw_only=True)
class PackIndex:
    """What a pack says about itself.

    Attributes:
        size: side of the windows.
        split: of the set.
        enlarge: side of the windows over the object's longer side.
        source: SHA-256 of what it was made from; of a set that of its manifest.
        clips: one behind the other, as `lay_out` gives them.
        soft: whether masks say how much of each pixel is covered, 0 to 255; else they are 0 or 1.
    """

    size: int
    split: str
    enlarge: float
    source: str
    clips: tuple[PackClip, ...]
    soft: bool = False

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def categories(self) -> tuple[str | None, ...]:
        """The clips' categories."""
        return tuple(clip.category for clip in self.clips)

    def encode(self) -> bytes:
        """Return it as JSON."""
        header = {"size": self.size, "split": self.split, "enlarge": self.enlarge, "source": self.source}
        if self.soft:
            header["soft"] = True
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

    def clip(self, index: int) -> tuple[_Frames, _Masks]:
        """Give views of a clip's frames (t, s, s, 3), RGB, and amodal masks (t, s, s)."""
        clip, side = self.clips[index], self.size
        frames = clip.count * side * side * 3
        part = self.data[clip.start : clip.start + frames + clip.count * side * side]
        return part[:frames].reshape(-1, side, side, 3), part[frames:].reshape(-1, side, side)


def make_pack(
    voi_set: VoiSet,
    out: Path,
    size: int = 192,
    split: str = "train",
    enlarge: float = ENLARGE,
    progress: Progress | None = None,
) -> Pack:
    """Cut the object windows of one split of a set into a pack.

    Args:
        voi_set: that they are cut from.
        out: the file to write; it stands there only when it is whole.
        size: side of the windows, pixels.
        split: "train" or "validation".
        enlarge: side of a window over the object's longer side.
        progress: told after each clip.

    Raises:
        ValueError: the set has no such clip, or the window is none.
        OSError: a file of the set cannot be read, or the pack cannot be written.
    """
    config = WindowConfig(size=size, enlarge=enlarge)
    records = voi_set.records(split)
    if not records:
        raise ValueRefusal(
            f"{voi_set.root} has no clips in {split!r}", "a pack needs at least one", "give another split"
        )
    places = lay_out([(record.name, record.video, record.category, record.count) for record in records], size)
    source = sha256((voi_set.root / MANIFEST).read_bytes()).hexdigest()

    def windows() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for record in records:
            clip = voi_set.load(record)
            frames, shares = cut_windows(clip.truth, clip.amodal, config)
            yield frames, (shares > 0.5).astype(np.uint8)

    index = PackIndex(size=size, split=split, enlarge=enlarge, source=source, clips=places)
    return write_pack(out, index, windows(), progress)


def cut_windows(frames: Iterable[np.ndarray], masks: np.ndarray, config: WindowConfig) -> tuple[np.ndarray, np.ndarray]:
    """Cut one clip's windows as the pipeline does.

    Args:
        frames: (h, w, 3) uint8.
        masks: (t, h, w), bool, or uint8 where they are soft.
        config: of the windows.

    Returns:
        Colours (t, s, s, 3), uint8, and how much of each pixel the mask covers (t, s, s), float32 in [0, 1].
    """
    inside = masks > 127 if masks.dtype == np.uint8 else masks
    windows = fit_windows(np.array([box_of(mask) for mask in inside]), config)
    colours = to_working([cut(frame, windows, i) for i, frame in enumerate(frames)], config.size)
    shares = to_working([cut(mask, windows, i) for i, mask in enumerate(masks)], config.size)
    pictures = (colours.permute(0, 2, 3, 1).numpy() * 255 + 0.5).clip(0, 255).astype(np.uint8)
    return pictures, shares[:, 0].numpy()


def lay_out(clips: Iterable[tuple[str, str, str | None, int]], size: int) -> tuple[PackClip, ...]:
    """Lay clips (name, video, category, count) out one behind the other."""
    placed, start = [], 0
    for name, video, category, count in clips:
        placed.append(PackClip(name, video, category, count, start))
        start += -(-count * size * size * 4 // _ALIGN) * _ALIGN
    return tuple(placed)


def write_pack(
    out: Path, index: PackIndex, windows: Iterable[tuple[np.ndarray, np.ndarray]], progress: Progress | None = None
) -> Pack:
    """Write a pack of frames (t, s, s, 3) and masks (t, s, s) of each clip, uint8; it stands there only when whole."""
    text = index.encode()
    # Spaces, which JSON allows, up to the next page.
    text += b" " * (-(len(_MARK) + 8 + len(text)) % _ALIGN)
    with _drafted(out) as file:
        file.write(_MARK + len(text).to_bytes(8, "little") + text)
        for done, (frames, masks) in enumerate(windows, 1):
            written = file.write(frames.tobytes()) + file.write(masks.tobytes())
            file.write(bytes(-written % _ALIGN))
            if progress is not None:
                progress(done, len(index))
    return open_pack(out)


@contextmanager
def _drafted(out: Path) -> Iterator[BinaryIO]:
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
        index = _decode_index(path, file.read(min(length, 2**30)))
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    data = np.frombuffer(whole, np.uint8)[len(_MARK) + 8 + length :]
    last = index.clips[-1] if index.clips else None
    needed = last.start + last.count * index.size**2 * 4 if last else 0
    if len(data) < needed:
        raise FileRefusal(
            f"{path} ends {needed - len(data)} bytes too early", "it must be whole", "copy or make it again"
        )
    return Pack(path=path, data=data, **vars(index))


def _decode_index(path: Path, text: bytes) -> PackIndex:
    try:
        about = json.loads(text)
        version = about.pop("version")
    except (ValueError, KeyError, AttributeError) as error:
        raise FileRefusal(f"{path} has a broken header", "it must be a whole pack", "copy or make it again") from error
    if version != PACK_VERSION:
        raise ValueRefusal(
            f"{path} is a pack of version {version}", f"this voin reads {PACK_VERSION}", "make the pack again"
        )
    clips = tuple(PackClip(**clip) for clip in about.pop("clips"))
    return PackIndex(**about, clips=clips)


def write_transport(pack: Pack, out: Path, quality: int = 95, progress: Progress | None = None) -> None:
    """Write a pack in its small form: a zip file of JPEG frames, of a quality of 1 to 100, and PNG masks.

    Raises:
        ValueError: the quality is none.
        OSError: the file cannot be written.
    """
    if not 1 <= quality <= 100:
        raise ValueRefusal(f"quality is {quality}", "JPEG knows 1 to 100", "use 95")
    jpeg = [cv2.IMWRITE_JPEG_QUALITY, quality]
    png = [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 9]
    with _drafted(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        # With a fixed date, so that the same pack gives the same file.
        archive.writestr(zipfile.ZipInfo(_INDEX), pack.encode())
        for number in range(len(pack)):
            for i, (frame, mask) in enumerate(zip(*pack.clip(number), strict=True)):
                name = f"{number:05d}/{i:05d}"
                bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
                archive.writestr(zipfile.ZipInfo(f"{name}.jpg"), cv2.imencode(".jpg", bgr, jpeg)[1].tobytes())
                archive.writestr(zipfile.ZipInfo(f"{name}.png"), cv2.imencode(".png", mask * 255, png)[1].tobytes())
            if progress is not None:
                progress(number + 1, len(pack))


def read_transport(file: Path, out: Path, progress: Progress | None = None) -> Pack:
    """Unpack the small form to a pack with the same index; masks are exact, frames as JPEG has them.

    Raises:
        OSError: the file is broken, or the pack cannot be written.
        ValueError: it is not such a file, or one of another version.
    """
    if not zipfile.is_zipfile(file):
        file.open("rb").close()  # says if it is absent
        raise ValueRefusal(f"{file} is no packed pack", "such are made by `voin data pack`", "give such a file")
    with zipfile.ZipFile(file) as archive:
        if _INDEX not in archive.namelist():
            raise ValueRefusal(
                f"{file} is a zip file of something else", f"it must hold {_INDEX}", "give a packed pack"
            )
        index = _decode_index(file, _read(archive, file, _INDEX))
        return write_pack(out, index, (_decode(archive, file, i, clip) for i, clip in enumerate(index.clips)), progress)


def _read(archive: zipfile.ZipFile, file: Path, name: str) -> bytes:
    try:
        return archive.read(name)
    except (KeyError, zipfile.BadZipFile, EOFError) as error:
        raise FileRefusal(f"{name} in {file} is broken or absent", "the file must be whole", "copy it again") from error


def _decode(archive: zipfile.ZipFile, file: Path, number: int, clip: PackClip) -> tuple[np.ndarray, np.ndarray]:
    """Read a clip's frames and masks."""

    def picture(name: str, flags: int) -> np.ndarray:
        decoded = cv2.imdecode(np.frombuffer(_read(archive, file, name), np.uint8), flags)
        if decoded is None:
            raise FileRefusal(f"{name} in {file} cannot be decoded", "the file must be whole", "copy it again")
        return decoded

    names = [f"{number:05d}/{i:05d}" for i in range(clip.count)]
    frames = np.stack([cv2.cvtColor(picture(f"{name}.jpg", cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB) for name in names])
    masks = np.stack([picture(f"{name}.png", cv2.IMREAD_GRAYSCALE) for name in names])
    return frames, (masks > 127).astype(np.uint8)
