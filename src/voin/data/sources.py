"""Videos with masks of whole objects, as other data sets lay them out; one clip is one object of one video.

Looking at a source reads folders, `meta.json` and, where nothing else says it, which ids the masks hold; pictures are
read clip by clip.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from voin.core.errors import FileRefusal, ValueRefusal
from voin.data.categories import davis_category
from voin.data.layouts import Layout, SourceVideo, Split, list_videos
from voin.io.images import check_whole, header_size, list_pictures, read_picture, shown
from voin.io.masks.pictures import MaskReader

_VOID = 255  # marks what is not to be judged, in masks with object ids
_MOST_GREY_IDS = 63  # grey values up to here are ids, larger ones are white on black
_HALVED = 3  # frames this many times as large are decoded at half size


@dataclass(frozen=True)
class SourceClip:
    """One object of one video, from its first to its last appearance, in the frames that have a mask.

    Attributes:
        name: unique and safe as a file name: the video's, with `_ID` behind it if the video has several objects.
        video: what splits go by.
        object_id: the value in the masks; 0 for all that is marked.
        category: one of `categories.CATEGORIES`, or None.
        split: as the source says, or None if it does not.
        frame_names: file names in `frame_folder`, in natural order; one may be missing, which loading tells.
        mask_names: file names in `mask_folder`, one a frame.
    """

    name: str
    video: str
    object_id: int
    category: str | None
    split: Split | None
    # Folders and names, not whole paths: a source of thousands of clips has a million of them.
    frame_folder: Path
    mask_folder: Path
    frame_names: tuple[str, ...]
    mask_names: tuple[str, ...]

    @property
    def frames(self) -> tuple[Path, ...]:
        """The files of the frames."""
        return tuple(self.frame_folder / name for name in self.frame_names)

    @property
    def masks(self) -> tuple[Path, ...]:
        """The files of the masks."""
        return tuple(self.mask_folder / name for name in self.mask_names)

    @property
    def stride_frames(self) -> int:
        """Frames of the video from a mask to the next, as their names count them: 5 where every fifth has one."""
        numbers = [int(digits[-1]) for name in self.mask_names if (digits := re.findall(r"\d+", Path(name).stem))]
        steps = sorted(second - first for first, second in pairwise(numbers) if second > first)
        return steps[len(steps) // 2] if steps else 1

    def first(self, count: int) -> SourceClip:
        """Return the clip's first frames, `count` at most."""
        return replace(self, frame_names=self.frame_names[:count], mask_names=self.mask_names[:count])

    def __len__(self) -> int:
        return len(self.frame_names)


def open_source(root: Path, layout: Layout) -> tuple[SourceClip, ...]:
    """List the clips of a source, sorted by name.

    `root` is the folder of the data set; for YouTube-VOS also its `train` folder alone, for `folder` also one video.

    Raises:
        OSError: it does not exist, or it is laid out otherwise.
        ValueError: the layout is unknown, or two clips would have one name.
    """
    found = [clip for video in list_videos(root, layout) for clip in _clips(video, layout)]
    clips = sorted(found, key=lambda clip: clip.name)
    for first, second in pairwise(clips):
        if first.name == second.name:
            raise ValueRefusal(
                f"{root} has two clips called {first.name} (videos {first.video} and {second.video})",
                "a video with several objects gives clips called VIDEO_ID",
                "rename one of the videos",
            )
    return tuple(clips)


def load_clip(
    clip: SourceClip, size: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "t h w 3"], Bool[np.ndarray, "t h w"]]:
    """Read a clip's frames and masks, scaled to `size` (h, w) whatever their shape was.

    Raises:
        OSError: a file is missing or broken, or a mask is not of its frame's size.
    """
    check_sizes(clip)
    return load_frames(clip, size), load_masks(clip, size)


def load_frames(clip: SourceClip, size: tuple[int, int], indices: Sequence[int] | None = None) -> np.ndarray:
    """Read frames alone, all of them or those of `indices`: uint8 (t, h, w, 3).

    Frames are shrunk by the mean over each pixel's area (INTER_AREA) and enlarged by cubic curves (INTER_CUBIC). JPEGs
    of at least three times the size, or exactly twice, are decoded at half size first: faster, and nearly the same.
    """
    paths = [clip.frame_folder / clip.frame_names[i] for i in (range(len(clip)) if indices is None else indices)]
    frames = [_resized(_read_frame(_existing(clip, path), size), size) for path in paths]
    return np.stack(frames) if frames else np.zeros((0, *size, 3), np.uint8)


def load_masks(clip: SourceClip, size: tuple[int, int]) -> np.ndarray:
    """Read masks alone: bool (t, h, w), True where more than half of a pixel's area is the object's."""
    return resize_masks((_object_mask(clip, path) for path in clip.masks), size)


def _object_mask(clip: SourceClip, path: Path) -> np.ndarray:
    values, ids = _read_mask(_existing(clip, path))
    marked = values > 0 if ids else values > 127
    return marked if clip.object_id == 0 else values == clip.object_id


def resize_masks(masks: Iterable[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Scale masks, bool (h, w) each, as `load_masks` does."""
    scaled = [_resized(mask.astype(np.float32), size) > 0.5 for mask in masks]
    return np.stack(scaled) if scaled else np.zeros((0, *size), bool)


def check_sizes(clip: SourceClip) -> None:
    """Refuse a clip whose first mask is not of its frame's size."""
    for frame_path, mask_path in zip(clip.frames[:1], clip.masks[:1], strict=True):
        frame, mask = header_size(_existing(clip, frame_path)), header_size(_existing(clip, mask_path))
        if frame != mask:
            what = f"{mask_path} is {shown(mask)} for a frame of {shown(frame)}"
            raise FileRefusal(what, "masks must have the size of their frames", "scale the masks")


def working_size(clip: SourceClip, size: tuple[int, int]) -> tuple[int, int]:
    """Return the (h, w) at which a clip is best read where it will be shown at about `size`: its own, or half of it."""
    stored = frame_size(clip)
    return _half(stored) if _is_much_larger(stored, size) else stored


def frame_size(clip: SourceClip) -> tuple[int, int]:
    """Return the (h, w) of a clip's first frame, as its file says."""
    return header_size(_existing(clip, clip.frames[0]))


def _existing(clip: SourceClip, path: Path) -> Path:
    if not path.is_file():
        kind = "mask" if path.parent == clip.mask_folder else "frame"
        raise FileRefusal(f"{path} is missing", "each mask needs its frame", f"restore the {kind}")
    return path


def _half(size: tuple[int, int]) -> tuple[int, int]:
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def _is_much_larger(size: tuple[int, int], wanted: tuple[int, int]) -> bool:
    return size[0] >= _HALVED * wanted[0] and size[1] >= _HALVED * wanted[1]


def _read_frame(path: Path, size: tuple[int, int]) -> np.ndarray:
    stored = header_size(path)
    if path.suffix.lower() == ".png" or not (_is_much_larger(stored, size) or size == _half(stored)):
        return read_picture(path)
    data = np.fromfile(path, np.uint8)
    check_whole(path, data)
    picture = cv2.imdecode(data, cv2.IMREAD_REDUCED_COLOR_2)
    if picture is None:
        raise FileRefusal(f"{path} cannot be decoded", "it must be a whole JPEG", "restore it")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    h, w = picture.shape[:2]
    if (h, w) == size:
        return picture
    shrinks = size[0] <= h and size[1] <= w
    grown = cv2.INTER_CUBIC if picture.ndim == 3 else cv2.INTER_LINEAR
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA if shrinks else grown)


def _read_mask(path: Path) -> tuple[np.ndarray, bool]:
    """Read a mask: uint8 (h, w), and whether the values are object ids (else it is white on black)."""
    try:
        values, kind = MaskReader().picture(path)
    except ValueError as error:
        raise FileRefusal(str(error)) from error
    return values, kind != "grey" or int(values.max(initial=0)) <= _MOST_GREY_IDS


def _clips(video: SourceVideo, layout: Layout) -> list[SourceClip]:
    """Cut a video into clips: an object each, from its first to its last appearance."""
    masks = list_pictures(video.masks) if video.masks.is_dir() else []
    pictures = {path.stem: path.name for path in list_pictures(video.frames)} if video.frames.is_dir() else {}
    # A frame that is missing keeps its place, so that loading the clip names it.
    frames = [pictures.get(path.stem, f"{path.stem}.jpg") for path in masks]
    spans = _spans(video, masks)
    return [
        SourceClip(
            name=video.name if len(spans) == 1 else f"{video.name}_{number}",
            video=video.name,
            object_id=number,
            category=davis_category(video.name, number) if layout == "davis" else category,
            split=video.split,
            frame_folder=video.frames,
            mask_folder=video.masks,
            # The names repeat from video to video; one copy of each is kept.
            frame_names=tuple(sys.intern(name) for name in frames[first:last]),
            mask_names=tuple(sys.intern(path.name) for path in masks[first:last]),
        )
        for number, (category, first, last) in spans.items()
    ]


def _spans(video: SourceVideo, masks: list[Path]) -> dict[int, tuple[str | None, int, int]]:
    """Find each object's category, first frame and frame after the last."""
    spans: dict[int, tuple[str | None, int, int]] = {}
    if video.objects:
        index = {path.stem: i for i, path in enumerate(masks)}
        for number, (category, named) in video.objects.items():
            seen = [index[stem] for stem in named if stem in index]
            # Where meta.json names no frame, the object may be in all.
            spans[number] = (category, min(seen), max(seen) + 1) if seen else (category, 0, len(masks))
        return spans
    if video.merged:
        # From both ends, since all that is asked for is where anything is marked.
        first = next((i for i, path in enumerate(masks) if _marks(path)), None)
        if first is None:
            return {0: (None, 0, len(masks))}
        return {0: (None, first, next(i for i in range(len(masks), 0, -1) if _marks(masks[i - 1])))}
    contents = [_values(path) for path in masks]
    ids = {number for content in contents if content is not None for number in content[0]}
    white = any(content is not None and not content[1] for content in contents)
    for number in [0] if white or not ids else sorted(ids - {_VOID} or ids):
        # A mask that cannot be read may show anything; loading the clip tells.
        shows = [content is None or (number in content[0] if number else bool(content[0])) for content in contents]
        seen = [i for i, shown in enumerate(shows) if shown]
        spans[number] = (None, seen[0], seen[-1] + 1) if seen else (None, 0, len(contents))
    return spans


def _marks(path: Path) -> bool:
    """Return whether a mask marks anything; one that cannot be read may."""
    content = _values(path)
    return content is None or bool(content[0])


def _values(path: Path) -> tuple[frozenset[int], bool] | None:
    """Return which values but 0 a mask has, and whether they are ids; None if it cannot be read."""
    try:
        values, ids = _read_mask(path)
    except OSError:
        return None
    counts = cv2.calcHist([values], [0], None, [256], [0, 256]).ravel()
    return frozenset(int(value) for value in np.flatnonzero(counts) if value), ids
