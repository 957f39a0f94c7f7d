"""YouTube-VIS: videos, and annotations each of which is an object with a segmentation a frame, or null."""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from voin.core.errors import ValueRefusal
from voin.io.masks.annotations.coco import names_of, stem
from voin.io.masks.annotations.objects import AnnotatedFrame, AnnotatedFrames, Outline
from voin.io.masks.annotations.parse import frame_size, listed, mapping, whole
from voin.io.masks.annotations.shapes import fill_coco


def is_youtube_vis(found: dict[str, Any]) -> bool:
    """Return whether JSON looks like YouTube-VIS; COCO with videos has images, too."""
    return "videos" in found and "annotations" in found and "images" not in found


def read_youtube_vis(path: Path, found: dict[str, Any]) -> AnnotatedFrames:
    """Make frames of the videos' files. Raises ValueError where something does not fit."""
    categories = names_of(path, found, "categories")
    videos: dict[int, list[AnnotatedFrame]] = {}
    for video in listed(found["videos"], f"videos of {path}"):
        number = whole(mapping(video, f"a video of {path}").get("id"), f"the id of a video of {path}")
        where = f"video {number} of {path}"
        size = frame_size(video.get("height"), video.get("width"), where)
        files = listed(video.get("file_names"), f"file_names of {where}")
        folder = str(PurePosixPath(str(files[0]).replace("\\", "/")).parent.name) if files else ""
        name = str(video.get("name") or folder or number)[:100]
        videos[number] = [AnnotatedFrame(stem(file, where), size, [], name) for file in files]
    for annotation in listed(found["annotations"], f"annotations of {path}"):
        number = whole(mapping(annotation, f"an annotation of {path}").get("id"), f"the id of an annotation of {path}")
        where = f"annotation {number} of {path}"
        frames = videos.get(whole(annotation.get("video_id"), f"the video of {where}"))
        shapes = listed(annotation.get("segmentations"), f"segmentations of {where}")
        if frames is None or len(shapes) != len(frames):
            have = f"{where} has {len(shapes)} segmentations for a video of {len(frames or [])} files"
            raise ValueRefusal(have, "it must have one a file, or null", "export the file again")
        category = categories.get(whole(annotation.get("category_id", 0), f"the category of {where}"), "")
        for frame, shape in zip(frames, shapes, strict=True):
            if shape is not None:
                frame.outlines.append(Outline(number, category, partial(fill_coco, shape, frame.size, where)))
    return AnnotatedFrames(path, [frame for frames in videos.values() for frame in frames], "annotations' ids")
