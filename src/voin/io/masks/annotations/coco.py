"""COCO: images, and annotations with polygons or run lengths.

Objects go by `track_id`, `instance_id` or `object_id` of an annotation or of its `attributes`. Where there is none,
they go by category if no image has one twice.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from voin.core.errors import ValueRefusal
from voin.io.images import natural
from voin.io.masks.annotations.objects import AnnotatedFrame, AnnotatedFrames, Outline
from voin.io.masks.annotations.parse import frame_size, listed, mapping, whole
from voin.io.masks.annotations.shapes import fill_coco

_TRACKS = ("track_id", "instance_id", "object_id")


def is_coco(found: dict[str, Any]) -> bool:
    """Return whether JSON looks like COCO."""
    return "images" in found and "annotations" in found


def read_coco(path: Path, found: dict[str, Any]) -> AnnotatedFrames:
    """Make frames of COCO's images. Raises ValueError where something does not fit."""
    categories, videos = names_of(path, found, "categories"), names_of(path, found, "videos")
    frames: dict[int, AnnotatedFrame] = {}
    for image in map(partial(mapping, where=f"an image of {path}"), listed(found["images"], f"images of {path}")):
        number = whole(image.get("id"), f"the id of an image of {path}")
        name, where = stem(image.get("file_name"), str(path)), f"image {number} of {path}"
        size = frame_size(image.get("height"), image.get("width"), where)
        belongs = image.get("video_id")
        video = videos.get(belongs, str(belongs)) if isinstance(belongs, int) else ""
        frames[number] = AnnotatedFrame(name, size, [], video)
    annotations = [
        mapping(annotation, f"an annotation of {path}")
        for annotation in listed(found["annotations"], f"annotations of {path}")
    ]
    tracks = [_track(annotation) for annotation in annotations]
    if None in tracks:
        tracks = [annotation.get("category_id") for annotation in annotations]
        _check_categories(path, annotations)
    for annotation, track in zip(annotations, tracks, strict=True):
        number = annotation.get("image_id")
        where = f"annotation {annotation.get('id', '')} of {path}"
        if not isinstance(number, int) or number not in frames:
            what = f"{where} belongs to image {str(number)[:20]}, which is not there"
            raise ValueRefusal(what, "it must be one of the images", "export the file again")
        if annotation.get("segmentation") is None:
            raise ValueRefusal(f"{where} has no segmentation", "it must be more than a box", "export polygons or masks")
        frame = frames[number]
        draw = partial(fill_coco, annotation["segmentation"], frame.size, where)
        category = categories.get(whole(annotation.get("category_id", 0), f"the category of {where}"), "")
        frame.outlines.append(Outline(whole(track, f"the object of {where}"), category, draw))
    called = "categories" if any(_track(annotation) is None for annotation in annotations) else "track ids"
    ordered = sorted(frames.values(), key=lambda frame: natural(str(frame.name)))
    return AnnotatedFrames(path, ordered, called)


def names_of(path: Path, found: dict[str, Any], key: str) -> dict[int, str]:
    """Return the names of a list of things with ids, such as categories; empty where there is none."""
    names = {}
    for thing in listed(found.get(key) or [], f"{key} of {path}"):
        number = whole(mapping(thing, f"one of {key} of {path}").get("id"), f"an id in {key} of {path}")
        names[number] = str(thing.get("name", number))[:100]
    return names


def stem(name: Any, where: str) -> str:
    """Return a file's name without folders and suffix."""
    if not isinstance(name, str) or not PurePosixPath(name.replace("\\", "/")).stem:
        raise ValueRefusal(f"{where} has an image without file_name", "each must have one", "export the file again")
    return PurePosixPath(name.replace("\\", "/")).stem


def _track(annotation: dict[str, Any]) -> Any:
    places = [annotation, annotation.get("attributes")]
    found = [place[key] for place in places if isinstance(place, dict) for key in _TRACKS if place.get(key) is not None]
    return found[0] if found else None


def _check_categories(path: Path, annotations: list[dict[str, Any]]) -> None:
    """Refuse several objects of a category in an image: nothing says which is which in the next."""
    seen = defaultdict(list)
    for annotation in annotations:
        pair = str(annotation.get("image_id")), str(annotation.get("category_id"))
        seen[pair].append(annotation.get("id"))
        if len(seen[pair]) > 1:
            raise ValueRefusal(
                f"{path} has two objects of category {pair[1][:20]} in image {pair[0][:20]}, and no track ids",
                "ids must say which objects are the same",
                "export tracks, or add a track_id to each annotation",
            )
