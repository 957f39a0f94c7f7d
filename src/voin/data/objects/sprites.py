"""Read moving objects with soft masks, filmed or rendered before nothing, into a pack: what training puts before films.

    FOLDER/NAME.mp4 + NAME.mask.mkv   colours, and how much of each pixel is covered
    FOLDER/NAME.mov                   colours and alpha in one video, such as ProRes 4444
    FOLDER/NAME/00000.png             frames with alpha, PNG or WebP

Not in the paper, because a film shows its object before one background only, and seldom whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from voin.core.errors import FileRefusal, Refusal, ValueRefusal
from voin.data.objects.cutouts import MOST_PIXELS, too_large
from voin.data.packs.pack import Pack, PackIndex, Progress, cut_windows, lay_out, write_pack
from voin.io.video_info import FFMPEG_ERRORS
from voin.io.video_read import open_video
from voin.method.window import WindowConfig

ENLARGE = 1.2  # side of the windows over the object's longer side
MASK = ".mask.mkv"
_WITH_ALPHA = (".mov", ".mkv", ".webm", ".avi")
_FRAMES = (".png", ".webp")
_MOST_CUT = 0.1  # share of the frames in which the border may cut the object off
_Colours, _Covers = UInt8[np.ndarray, "t h w 3"], UInt8[np.ndarray, "t h w"]


def pack_sprites(
    folders: Sequence[Path], out: Path, size: int = 128, progress: Progress | None = None
) -> tuple[Pack, list[str]]:
    """Cut the windows of moving objects into a pack with soft masks.

    Args:
        folders: as the head of this file says.
        out: the file to write; it stands there only when it is whole.
        size: side of the windows, pixels.
        progress: told after each sprite.

    Returns:
        The pack, and the names of those that were left out, because the border cuts them off or nothing is seen.

    Raises:
        ValueError: there is no sprite, or none that is whole.
        OSError: a file cannot be read, or the pack cannot be written.
    """
    files = [file for folder in folders for file in find_sprites(folder)]
    if not files:
        must = f"they must be NAME.mp4 with NAME{MASK}, videos with alpha, or folders of PNG or WebP frames with alpha"
        raise ValueRefusal(f"{', '.join(map(str, folders))} hold no sprites", must, "give such a folder")
    whole, left_out = [], []
    for file in files:
        name = f"{file.parent.name}/{file.name.split('.')[0]}"
        inside = read_sprite(file)[1] > 127
        border = inside[:, [0, -1]].any(axis=(1, 2)) | inside[:, :, [0, -1]].any(axis=(1, 2))
        if inside.any() and border.mean() <= _MOST_CUT:
            whole.append((file, name, len(inside)))
        else:
            left_out.append(name)
    if not whole:
        raise ValueRefusal(
            f"the border cuts off all {len(files)} sprites", "some must be whole", "leave room around them"
        )
    config = WindowConfig(size=size, enlarge=ENLARGE)
    places = lay_out([(name, name, None, count) for _, name, count in whole], size)
    source = sha256("\n".join(name for _, name, _ in whole).encode()).hexdigest()

    def windows() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for file, _, _ in whole:
            pictures, shares = cut_windows(*read_sprite(file), config)
            yield pictures, (shares * 255 + 0.5).astype(np.uint8)

    index = PackIndex(size=size, split="train", enlarge=ENLARGE, source=source, clips=places, soft=True)
    return write_pack(out, index, windows(), progress), left_out


def find_sprites(folder: Path) -> list[Path]:
    """List a folder's sprites: mask videos with colours beside them, videos with alpha, and folders of frames."""
    masks = set(folder.glob(f"*{MASK}"))
    videos = {file for file in folder.iterdir() if file.suffix.lower() in _WITH_ALPHA}
    folders = {inner for inner in folder.iterdir() if inner.is_dir() and _pictures(inner)}
    return sorted(masks | videos - {_colours_of(file) for file in masks} | folders)


def read_sprite(file: Path) -> tuple[_Colours, _Covers]:
    """Read a sprite's colours (t, h, w, 3), RGB, and how much of each pixel it covers (t, h, w), 0 to 255.

    Raises:
        OSError: it cannot be read, has no alpha, or colours and mask differ in size or number.
    """
    if file.is_dir():
        layers = _stacked(file, [_read_layer(picture) for picture in _pictures(file)])
        return layers[..., :3], layers[..., 3]
    if not file.name.endswith(MASK):
        layers = _read_video(file, "rgba")
        return layers[..., :3], layers[..., 3]
    beside = _colours_of(file)
    colours, covers = _read_video(beside, "rgb24"), _read_video(file, "gray")
    if colours.shape[:3] != covers.shape:
        what = f"{beside} has frames {colours.shape[:3]}, and {file} has {covers.shape}"
        raise FileRefusal(what, "number and size must be the same", "make them again")
    return colours, covers


def _colours_of(mask: Path) -> Path:
    return mask.with_name(mask.name.removesuffix(MASK) + ".mp4")


def _pictures(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in _FRAMES)


def _read_layer(file: Path) -> UInt8[np.ndarray, "h w 4"]:
    try:
        with Image.open(file) as picture:
            mode, (w, h) = picture.mode, picture.size
            layer = np.asarray(picture) if w * h <= MOST_PIXELS else None
    except Exception as error:  # Pillow raises SyntaxError, struct.error and more on garbage
        raise FileRefusal(
            f"{file} cannot be read as a picture ({error})", "it must be a whole PNG or WebP", "copy it again"
        ) from error
    if layer is None:
        raise too_large(file)
    if mode != "RGBA":
        raise FileRefusal(f"{file} is {mode}", "frames of a sprite must have alpha", "save them as RGBA")
    return layer


def _read_video(file: Path, layout: str) -> np.ndarray:
    frames: list[np.ndarray] = []
    with open_video(file) as (container, stream):
        try:
            for frame in container.decode(stream):
                # What is held is counted, not what the file says of itself.
                if frame.width * frame.height * (len(frames) + 1) > MOST_PIXELS:
                    raise too_large(file)
                if layout == "rgba" and not any(part.is_alpha for part in frame.format.components):
                    what, must = f"{file} has no alpha", f"a sprite needs it, or a mask beside it: NAME{MASK}"
                    raise FileRefusal(what, must, "export it with alpha")
                frames.append(frame.to_ndarray(format=layout))
        except (*FFMPEG_ERRORS, ValueError) as error:
            if isinstance(error, Refusal):
                raise
            what = f"{file} breaks off after {len(frames)} frames ({type(error).__name__})"
            raise FileRefusal(what, "it must be a whole video", "copy it again") from error
    return _stacked(file, frames)


def _stacked(file: Path, frames: list[np.ndarray]) -> np.ndarray:
    if not frames:
        raise FileRefusal(f"{file} has no frames", "it must show an object that moves", "export it again")
    if len({frame.shape for frame in frames}) > 1:
        raise FileRefusal(f"{file} has frames of several sizes", "all must have one", "export it again")
    return np.stack(frames)
