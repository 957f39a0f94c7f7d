"""Masks from one form into another; what was written is read again, so that what was lost is known."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voin.core.errors import FileRefusal, ValueRefusal, count_of
from voin.core.progress import Progress, Silent
from voin.io.masks.export.content import UNKNOWN, Content
from voin.io.masks.export.formats import choose_format
from voin.io.masks.export.options import ConvertOptions
from voin.io.masks.export.stand_in import stand_in
from voin.io.masks.frames import write_frames
from voin.io.masks.source import MaskPaths, MaskSource, list_paths, open_masks
from voin.io.video import VideoInfo, probe


@dataclass(frozen=True)
class Difference:
    """What came back from a file that was written, against what was put in.

    Attributes:
        equal: masks of a frame that are equal in all pixels.
        masks: masks of a frame, of those that one of both has.
        mean_iou: of all objects in all frames.
        lowest: (IoU, object, frame) of the worst of these.
        emptied: frames that had no mask, and have an empty one now.
        lost: frames that had an empty mask, and have none now.
        ids: what they were and are.
        categories: what they were and are, of each id.
        mask_frames: the frames that must be named to read it with this video; "" where its names say them.
    """

    equal: int
    masks: int
    mean_iou: float
    lowest: tuple[float, int, int]
    emptied: tuple[int, ...]
    lost: tuple[int, ...]
    ids: tuple[tuple[int, ...], tuple[int, ...]]
    categories: tuple[dict[int, str], dict[int, str]]
    mask_frames: str

    @property
    def line(self) -> str:
        """All of it in one line."""
        share, number, frame = self.lowest
        parts = [f"{self.equal} of {count_of(self.masks, 'mask')} equal to the pixel"]
        if self.equal < self.masks:
            parts.append(f"mean IoU {self.mean_iou:.4f}, lowest {share:.4f} (object {number} in frame {frame})")
        before, after = self.ids
        said = (f"ids are {', '.join(map(str, after))} instead of {', '.join(map(str, before))}", "ids are kept")
        parts.append(said[before == after])
        if any(self.categories[0].values()):
            parts.append(f"categories are {'' if self.categories[0] == self.categories[1] else 'not '}kept")
        if self.emptied:
            parts.append(f"{count_of(len(self.emptied), 'frame')} without a mask got an empty one")
        if self.lost:
            parts.append(f"{count_of(len(self.lost), 'empty mask')} not kept")
        if self.mask_frames:
            parts.append(f"to be read with --mask-frames {self.mask_frames}")
        return f"Read back: {'; '.join(parts)}"


def convert_masks(
    masks: MaskPaths,
    out: Path,
    options: ConvertOptions = ConvertOptions(),  # noqa: B008 - frozen
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write masks in another form, and read them back.

    Args:
        masks: in any form that masks may have; several are read as one.
        out: the file or the folder to write; it must not exist, or be an empty folder.
        options: the form, and how masks are read.
        progress: told how far it is.

    Returns:
        `masks`, the entry of run.json; `format`, `frames` (of the video), and what came back: `line` says it in words,
        `equal` of `written` masks of a frame have all their pixels, `mean_iou` and `lowest_iou` are those of objects,
        `mask_frames` must be said to read it with this video.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: something does not fit.
    """
    progress, paths = progress or Silent(), list_paths(masks)
    form = choose_format(out, options.to, options.polygons)
    _check_free(out, paths)
    info = stand_in(paths, options.size, options.frames) if options.video is None else probe(options.video)

    def step(done: int, total: int) -> None:
        if done == 1:
            progress.stage("masks", total)
        progress.advance("masks")

    source = open_masks(
        paths,
        info,
        frames=options.mask_frames,
        ids=options.ids or None,
        resize=options.resize_masks or options.size is not None,
        invert=options.invert_masks,
        progress=step,
    )
    content = Content(info, source, options.polygons, lambda: progress.advance("write"))
    progress.stage("write", info.count if form.whole else len(content.frames))
    _write_whole(out, not form.suffix, lambda draft: form.write(content, draft))
    difference = _compare(source, out, info, step)
    return {
        "masks": source.reading.record(),
        "format": form.words,
        "frames": info.count,
        "line": difference.line,
        "equal": difference.equal,
        "written": difference.masks,
        "mean_iou": round(difference.mean_iou, 6),
        "lowest_iou": round(difference.lowest[0], 6),
        "mask_frames": difference.mask_frames,
    }


def _check_free(out: Path, paths: Sequence[Path]) -> None:
    if any(out.resolve() in (path.resolve(), *path.resolve().parents) for path in paths):
        raise ValueRefusal(
            f"{out} holds the masks that are read", "the output needs a place of its own", "name another"
        )
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FileRefusal(f"{out} exists", "nothing is written over", "remove it, or name another")
    if not out.absolute().parent.is_dir():
        raise FileRefusal(f"{out.absolute().parent} does not exist", "it must be a folder", "make it, or name another")


def _write_whole(out: Path, folder: bool, write: Callable[[Path], None]) -> None:
    """Write a file or a folder under another name, and give it its own when it is whole."""
    draft = out.with_name(f".{out.stem}.part{out.suffix}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        if folder:
            draft.mkdir()
        write(draft)
        if out.is_dir():
            out.rmdir()
        draft.replace(out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        draft.unlink(missing_ok=True)
        raise


def _compare(source: MaskSource, out: Path, info: VideoInfo, step: Callable[[int, int], object]) -> Difference:
    given = [frame for frame in range(info.count) if source.given(frame)]
    asked = None
    try:
        back = open_masks(out, info, progress=step)
    except ValueError:
        # Names of fewer masks than frames may be read in two ways.
        asked = write_frames(given)
        back = open_masks(out, info, frames=asked, progress=step)
    equal, shares = 0, []
    known = [frame for frame in range(info.count) if source.given(frame) or back.given(frame)]
    for frame in known:
        one, other = source.label(frame), back.label(frame)
        equal += bool((one == other).all())
        for number in np.setdiff1d(np.union1d(one, other), [0]):
            either = np.count_nonzero((one == number) | (other == number))
            shares.append((np.count_nonzero((one == number) & (other == number)) / either, int(number), frame))
    words = [{number: masks.reading.categories.get(number, "") for number in masks.ids} for masks in (source, back)]
    # What has no category is written as UNKNOWN where a form wants one.
    back_words = {number: "" if word == UNKNOWN else word for number, word in words[1].items()}
    return Difference(
        equal=equal,
        masks=len(known),
        mean_iou=float(np.mean([share for share, _, _ in shares])) if shares else 1.0,
        lowest=min(shares, default=(1.0, 0, 0)),
        emptied=tuple(frame for frame in known if not source.given(frame)),
        lost=tuple(frame for frame in known if not back.given(frame)),
        ids=(source.ids, back.ids),
        categories=(words[0], back_words),
        mask_frames=asked or "",
    )
