"""Masks of all frames in one file: an .npz, or a lossless video of one object."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream

from voin.core.errors import FileRefusal, ValueRefusal
from voin.io.masks.export.content import Content
from voin.io.video_info import FFMPEG_ERRORS

_MOST_GREY_IDS = 63  # in one array; larger numbers may be shades of grey to who reads them


def write_arrays(content: Content, out: Path) -> None:
    """Write an array (t, h, w) of ids, or of each object one of bool where ids are large; frame by frame."""
    shape, ids = (content.info.count, *content.info.size), content.masks.ids
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        numbers = [0] if max(ids) <= _MOST_GREY_IDS or len(ids) == 1 else ids
        for place, number in enumerate(numbers):
            name, kind = (f"object_{number}", bool) if number else ("masks", np.uint8)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                header = {"shape": shape, "fortran_order": False, "descr": np.lib.format.dtype_to_descr(np.dtype(kind))}
                np.lib.format.write_array_header_1_0(file, header)
                labels = content.all_labels() if place == 0 else map(content.masks.label, range(shape[0]))
                for label in labels:
                    file.write((label == number if number else label).tobytes())


def write_video(content: Content, out: Path) -> None:
    """Write the masks of one object, white on black, in FFV1. Raises ValueError where there are several."""
    ids = content.masks.ids
    if len(ids) > 1:
        what = f"there are the objects {', '.join(map(str, ids))}"
        raise ValueRefusal(what, "a mask video is of one", f"choose one with --ids {ids[0]}, or write another form")
    info, (h, w) = content.info, content.info.size
    try:
        with av.open(str(out), "w") as container:
            stream = cast(VideoStream, container.add_stream("ffv1", rate=info.rate))
            stream.width, stream.height, stream.pix_fmt = w, h, "gray"
            stream.codec_context.time_base = info.time_base
            for time, label in zip(info.times, content.all_labels(), strict=True):
                frame = av.VideoFrame.from_ndarray((label > 0) * np.uint8(255), format="gray")
                frame.pts, frame.time_base = time - info.times[0], info.time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    except FFMPEG_ERRORS as error:
        what, must = f"{out} cannot be written ({error})", "the disk must have room and the folder be writable"
        raise FileRefusal(what, must, "make room or choose another folder") from error
