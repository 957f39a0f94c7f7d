"""The table of forms in which masks can be written. Another form is a function in a file, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from voin.core.errors import ValueRefusal
from voin.io.masks.export.arrays import write_arrays, write_video
from voin.io.masks.export.content import Content
from voin.io.masks.export.cvat import write_cvat
from voin.io.masks.export.json_files import write_coco, write_label_studio, write_youtube_vis
from voin.io.masks.export.labelme import write_labelme
from voin.io.masks.export.options import FormName
from voin.io.masks.export.pictures import write_folders, write_pictures


@dataclass(frozen=True)
class Format:
    """A form of masks.

    Attributes:
        words: what it is called to users.
        suffix: of the file; "" for a folder.
        outlines: whether it can hold polygons, too.
        whole: whether it holds all frames, those without a mask as empty ones.
    """

    words: str
    suffix: str
    write: Callable[[Content, Path], None]
    outlines: bool = False
    whole: bool = False


# Called as `FormName` lists them.
FORMATS: dict[FormName, Format] = {
    "png": Format("indexed PNGs", "", write_pictures),
    "folders": Format("a folder an object", "", write_folders),
    "npz": Format("an array", ".npz", write_arrays, whole=True),
    "video": Format("a mask video, FFV1", ".mkv", write_video, whole=True),
    "coco": Format("COCO", ".json", write_coco, outlines=True),
    "youtube-vis": Format("YouTube-VIS", ".json", write_youtube_vis, outlines=True),
    "cvat": Format("CVAT for video 1.1", ".xml", write_cvat, outlines=True),
    "labelme": Format("LabelMe", "", write_labelme, outlines=True),
    "label-studio": Format("Label Studio", ".json", write_label_studio, outlines=True),
}


def choose_format(out: Path, name: FormName | None, polygons: bool) -> Format:
    """Return the form that is asked for, or that the name of the output means: the first one with its suffix.

    Raises:
        ValueError: there is none, or the output is not called like it.
    """
    suffix = "" if out.is_dir() else out.suffix.lower()
    found = FORMATS[name] if name else next((form for form in FORMATS.values() if form.suffix == suffix), None)
    if found is None:
        endings = ", ".join(dict.fromkeys(form.suffix for form in FORMATS.values() if form.suffix))
        raise ValueRefusal(f"{out} ends in {suffix}", f"it must end in {endings}, or be a folder", "name it so")
    if found.suffix != suffix:
        must = f"{found.words} must be a {found.suffix} file" if found.suffix else f"{found.words} must be a folder"
        raise ValueRefusal(f"{out} is to hold {found.words}", must, "name the output so, or choose another --to")
    if polygons and not found.outlines:
        able = ", ".join(key for key, form in FORMATS.items() if form.outlines)
        raise ValueRefusal(f"{found.words} cannot hold polygons", f"{able} can", "leave out --polygons")
    return found
