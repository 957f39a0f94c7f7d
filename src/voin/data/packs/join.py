"""Join packs to one, so that training sees films from several sets."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from voin.core.errors import ValueRefusal
from voin.data.packs.pack import Pack, PackIndex, Progress, lay_out, write_pack


def join_packs(packs: Sequence[Pack], out: Path, progress: Progress | None = None) -> Pack:
    """Write the clips of `packs`, one pack after the other, to a new pack.

    Args:
        packs: at least two, of one split, with windows of one size, cut alike, and masks that are all hard or all soft.
        out: the file to write; it stands there only when it is whole.
        progress: told after each clip.

    Raises:
        ValueError: there are fewer than two, they differ in one of these, or two clips have one name.
        OSError: a pack cannot be read, or the new one cannot be written.
    """
    if len(packs) < 2:
        raise ValueRefusal(f"{len(packs)} pack is given", "joining takes at least two", "name all of them")
    first = packs[0]
    names: dict[str, Path] = {}
    for pack in packs:
        for word, here, expected in (
            ("windows (h, w)", pack.shape, first.shape),
            ("windows over the object's size", pack.enlarge, first.enlarge),
            ("soft masks", pack.soft, first.soft),
            ("split", pack.split, first.split),
        ):
            if here != expected:
                what = f"{word}: {pack.path} has {here}, and {first.path} has {expected}"
                raise ValueRefusal(what, "packs that are joined must be alike", "make one of them again")
        for clip in pack.clips:
            if clip.name in names:
                what = f"{pack.path} and {names[clip.name]} both have a clip {clip.name}"
                raise ValueRefusal(what, "no clip may stand in two packs", "leave one of them out")
            names[clip.name] = pack.path
    clips = [(clip.name, clip.video, clip.category, clip.count) for pack in packs for clip in pack.clips]
    index = PackIndex(
        size=first.size,
        split=first.split,
        enlarge=first.enlarge,
        source=sha256("\n".join(pack.source for pack in packs).encode()).hexdigest(),
        clips=lay_out(clips, *first.shape),
        soft=first.soft,
        rows=first.rows,
    )
    windows = (pack.clip(number) for pack in packs for number in range(len(pack)))
    return write_pack(out, index, windows, progress)
