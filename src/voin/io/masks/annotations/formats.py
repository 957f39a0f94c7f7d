"""The table of annotation formats, and the way of storing masks that all of them are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from voin.core.errors import ValueRefusal
from voin.io.masks.annotations.coco import is_coco, read_coco
from voin.io.masks.annotations.cvat import read_cvat
from voin.io.masks.annotations.label_studio import read_label_studio
from voin.io.masks.annotations.labelme import is_labelme, list_labelme, read_labelme
from voin.io.masks.annotations.objects import AnnotatedFrames
from voin.io.masks.annotations.parse import mapping, read_document
from voin.io.masks.annotations.youtube_vis import is_youtube_vis, read_youtube_vis

# Formats in JSON, by what they look like: the first that knows a file reads it.
_JSON: list[tuple[Callable[[dict[str, Any]], bool], Callable[[Path, dict[str, Any]], AnnotatedFrames]]] = [
    (is_coco, read_coco),
    (is_youtube_vis, read_youtube_vis),
    (is_labelme, lambda path, _: read_labelme(path, [path])),
]


class AnnotationMasks:
    """A JSON or XML file, or a folder of LabelMe's files; called with a path, it gives `AnnotatedFrames`."""

    @staticmethod
    def takes(path: Path) -> bool:
        """Return whether a path is an annotation file or a folder of them."""
        return bool(list_labelme(path)) if path.is_dir() else path.suffix.lower() in (".json", ".xml")

    def __call__(self, path: Path) -> AnnotatedFrames:
        """Read what is annotated; masks are drawn later."""
        if path.is_dir():
            return read_labelme(path, list_labelme(path))
        if path.suffix.lower() == ".xml":
            return read_cvat(path)
        document = read_document(path)
        if isinstance(document, list):
            return read_label_studio(path, document)
        found = mapping(document, str(path))
        for knows, read in _JSON:
            if knows(found):
                return read(path, found)
        raise ValueRefusal(
            f"{path} is JSON with {', '.join(sorted(map(str, found))[:8]) or 'nothing'}"[:200],
            "it must be COCO (images, annotations), YouTube-VIS (videos, annotations), LabelMe (shapes) or a list of "
            "Label Studio's tasks",
            "export it in one of these formats",
        )
