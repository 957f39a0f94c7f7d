"""Read photos of single objects (folders `img/NAME.jpg` and `mask/NAME.png`) into a pack whose clips have one frame."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np

from voin.core.errors import FileRefusal, ValueRefusal
from voin.data.categories import known_category
from voin.data.packs.pack import Pack, PackIndex, Progress, lay_out, write_pack
from voin.io.images import header_size

ENLARGE = 1.125  # side of a cutout's picture over the object's longer side
MOST_PIXELS = 2**27  # of a picture, or of all frames of a sprite
# What is shown in folders of one kind of thing; others are unknown.
_CATEGORIES = {"cats": "cat", "people": "person", "pedestrians": "person"}


def pack_cutouts(folders: Sequence[Path], out: Path, size: int = 128, progress: Progress | None = None) -> Pack:
    """Cut the objects out of photos into a pack; each is a clip of one frame and a video of its own.

    Args:
        folders: each with `img` and `mask`; its name may tell the category.
        out: the file to write.
        size: side of the pictures, pixels.
        progress: told after each photo.

    Raises:
        ValueError: there is no photo.
        OSError: a photo has no mask, cannot be read, or shows nothing; or the pack cannot be written.
    """
    photos = [photo for folder in folders for photo in sorted((folder / "img").glob("*.jpg"))]
    if not photos:
        what = f"{', '.join(map(str, folders))} have no img/*.jpg"
        raise ValueRefusal(what, "photographs lie there, their masks in mask/*.png", "give folders with img and mask")
    names = [f"{photo.parent.parent.name}/{photo.stem}" for photo in photos]
    categories = [known_category(_CATEGORIES.get(name.split("/")[0])) for name in names]
    places = lay_out([(name, name, category, 1) for name, category in zip(names, categories, strict=True)], size)
    source = sha256("\n".join(names).encode()).hexdigest()
    index = PackIndex(size=size, split="train", enlarge=ENLARGE, source=source, clips=places)
    return write_pack(out, index, (_read_cutout(photo, size) for photo in photos), progress)


def too_large(file: Path) -> FileRefusal:
    """Return the refusal of a picture, or a video, that would not fit into memory."""
    must = f"pictures, and all frames of a video together, have at most {MOST_PIXELS:,}"
    return FileRefusal(f"{file} has too many pixels", must, "make it smaller")


def _read_cutout(photo: Path, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Read one object's square, (1, s, s, 3) RGB and (1, s, s)."""
    file = photo.parent.parent / "mask" / f"{photo.stem}.png"
    for part in (photo, file):
        if part.is_file() and np.prod(header_size(part)) > MOST_PIXELS:
            raise too_large(part)
    picture = cv2.imread(str(photo), cv2.IMREAD_COLOR)
    mask = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if picture is None or mask is None or picture.shape[:2] != mask.shape:
        raise FileRefusal(
            f"{photo} or {file} cannot be read, or they differ in size", "each photo needs a mask", "copy both"
        )
    inside = (mask > 127).astype(np.uint8)
    if not inside.any():
        raise FileRefusal(f"{file} is empty", "it must show the object", "take the photo away")
    x, y, w, h = cv2.boundingRect(inside)
    scale = size / (ENLARGE * max(w, h))
    # The object's middle to the picture's; shrunk first by areas, as nothing else leaves no alias.
    if scale < 1:
        sides = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
        picture = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA)
        inside = (cv2.resize(inside * 255, sides, interpolation=cv2.INTER_AREA) > 127).astype(np.uint8)
        x, y, w, h = cv2.boundingRect(inside)
        scale = 1.0
    move = np.array([[scale, 0, size / 2 - scale * (x + w / 2)], [0, scale, size / 2 - scale * (y + h / 2)]])
    picture = cv2.warpAffine(picture, move, (size, size), borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(inside * 255, move, (size, size)) > 127
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)[None], inside.astype(np.uint8)[None]
