"""Pictures of every kind that a frame may be: their size, their samples, and writing these again.

PNG, JPEG, BMP, WebP and TIFF are read by OpenCV, DPX by FFmpeg, EXR by OpenEXR (`voin.io.colour.exr`). What is written
keeps the samples of the source: PNG, TIFF, DPX and EXR.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from PIL import Image, TiffImagePlugin

from voin.core.errors import FileRefusal
from voin.core.files import write_whole
from voin.io.colour.exr import exr_size, read_exr, write_exr
from voin.io.colour.samples import PictureFrame, Samples, in_bits
from voin.io.video_info import FFMPEG_ERRORS

USUAL = (".png", ".jpg", ".jpeg")
FURTHER = (".tif", ".tiff", ".bmp", ".webp", ".dpx", ".exr")
KEPT = {".tif": ".tif", ".tiff": ".tif", ".dpx": ".dpx", ".exr": ".exr"}  # kinds that are written as they are read
_PNG_START = b"\x89PNG"
_ALPHA_TYPES = (4, 6)  # of a PNG: grey and colours with alpha
_PALETTE = 3
_WIDTH, _HEIGHT = 256, 257  # TIFF's tags


def further_size(path: Path) -> tuple[int, int]:
    """Read the (h, w) of a picture of a further kind from its header. Raises OSError where it cannot be read."""
    suffix = path.suffix.lower()
    if suffix == ".exr":
        return exr_size(path)
    try:
        with path.open("rb") as file:
            head = file.read(1024)
            if suffix == ".dpx":
                order = {b"SDPX": "big", b"XPDS": "little"}[head[:4]]
                width, height = (int.from_bytes(head[i : i + 4], order) for i in (772, 776))  # type: ignore[arg-type]
            elif suffix in (".tif", ".tiff"):
                tags = TiffImagePlugin.ImageFileDirectory_v2(head[: 16 if 43 in head[2:4] else 8])  # 43: BigTIFF
                file.seek(tags.next)
                tags.load(file)
                width, height = int(tags[_WIDTH]), int(tags[_HEIGHT])
            else:
                with Image.open(path, formats=("BMP", "WEBP")) as picture:
                    width, height = picture.size
    except Exception as error:  # Pillow raises SyntaxError, struct.error, and more on garbage.
        raise _refusal(path, error) from error
    return height, width


def samples_of(path: Path) -> Samples:
    """Return what the samples of a picture are. Raises OSError where it cannot be read."""
    if path.suffix.lower() in (".jpg", ".jpeg"):
        return Samples()
    if path.suffix.lower() == ".png":
        with path.open("rb") as file:
            head = file.read(4096)
        if head[:4] == _PNG_START and len(head) > 26:
            seen_through = head[25] in _ALPHA_TYPES or b"tRNS" in head.split(b"IDAT")[0]
            return Samples(16 if head[24] == 16 else 8, alpha=seen_through)
        return Samples()
    frame = read_frame(path)
    values = frame.values
    bits = frame.rest if path.suffix.lower() == ".dpx" else 8 * values.itemsize
    return Samples(bits, values.dtype.kind == "f", values.shape[2] == 4, frame.linear)


def read_frame(path: Path, linear: bool | None = None) -> PictureFrame:
    """Read a picture in its own samples; `linear` says whether they are proportional to light, by default floats are.

    Raises OSError where it cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix == ".exr":
        frame = read_exr(path)
    else:
        frame = _read_dpx(path) if suffix == ".dpx" else PictureFrame(_read_cv(path))
    light = frame.values.dtype.kind == "f" if linear is None else linear
    return PictureFrame(frame.values, light, frame.rest)


def _read_cv(path: Path) -> np.ndarray:
    try:
        data = np.fromfile(path, np.uint8)
        turned = path.suffix.lower() in (".jpg", ".jpeg") and data[:4].tobytes() != _PNG_START
        # Nobody obeys the orientation tag of a PNG.
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR if turned else cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise _refusal(path, error.err) from error
    if picture is None or picture.dtype not in (np.uint8, np.uint16, np.float32):
        raise _refusal(path, "unknown contents" if picture is None else f"{picture.dtype} samples")
    if picture.ndim == 2:
        return cv2.merge([picture] * 3)
    if picture.shape[2] == 4 and picture.dtype == np.uint8 and path.suffix.lower() in (".tif", ".tiff"):
        with Image.open(path, formats=("TIFF",)) as opened:  # OpenCV has multiplied its colours by its alpha
            return np.asarray(opened.convert("RGBA"))
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _read_dpx(path: Path) -> PictureFrame:
    """Read a DPX picture, its samples scaled to 16 bits so that they come back exactly; `rest` says how many bits."""
    try:
        decoder: Any = av.CodecContext.create("dpx", "r")
        frame = [*decoder.decode(av.Packet(path.read_bytes())), *decoder.decode(None)][0]
    except (*FFMPEG_ERRORS, IndexError) as error:
        raise _refusal(path, error) from error
    bits, alpha = frame.format.components[0].bits, any(component.is_alpha for component in frame.format.components)
    if bits in (10, 12) and not alpha:
        shape = (frame.height, frame.width)
        planes = [_plane(frame, i, shape) for i in (2, 0, 1)]  # stored as green, blue, red
        return PictureFrame(widen(np.stack(planes, axis=2), bits), rest=bits)
    layout = ("rgba" if alpha else "rgb24") if bits <= 8 else "rgba64le" if alpha else "rgb48le"
    return PictureFrame(frame.reformat(format=layout).to_ndarray(), rest=bits)


def _plane(frame: av.VideoFrame, index: int, shape: tuple[int, int]) -> np.ndarray:
    plane: Any = frame.planes[index]
    samples = np.frombuffer(plane, np.uint16).reshape(-1, plane.line_size // 2)[: shape[0], : shape[1]]
    return samples.byteswap() if frame.format.name.endswith("be") else samples


def widen(values: np.ndarray, bits: int) -> np.ndarray:
    """Return samples of 9 to 16 bits as 16 bits; `narrow` gives them back, exactly."""
    return (values.astype(np.uint32) << (16 - bits) | values.astype(np.uint32) >> (2 * bits - 16)).astype(np.uint16)


def narrow(values: np.ndarray, bits: int) -> np.ndarray:
    """Return samples of 16 bits as `bits`, rounded."""
    return ((values.astype(np.uint32) * (2**bits - 1) + 32767) // 65535).astype(np.uint16)


def write_frame(path: Path, frame: PictureFrame) -> None:
    """Write a whole file: PNG (display-referred, 8 or 16 bits), TIFF, DPX or EXR, by suffix."""
    suffix = path.suffix.lower()
    if suffix == ".exr":
        write_exr(path, frame)
    elif suffix == ".dpx":
        write_whole(path, _dpx(frame))
    elif suffix == ".tif" and frame.values.dtype.kind == "u":
        layout = ("rgb24", "rgba", "rgb48le", "rgba64le")[2 * (frame.values.itemsize - 1) + frame.values.shape[2] - 3]
        made = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.values), format=layout)
        write_whole(path, _encoded(made, "tiff", {"compression_algo": "lzw"}))
    else:
        values = frame.values if suffix == ".tif" else frame.display_rgba()
        order = cv2.COLOR_RGBA2BGRA if values.shape[2] == 4 else cv2.COLOR_RGB2BGR
        # OpenCV 4.9 compresses floating point with loss unless told otherwise; 5 is LZW.
        settings = PNG_SETTINGS if suffix == ".png" else [cv2.IMWRITE_TIFF_COMPRESSION, 5]
        good, data = cv2.imencode(suffix, cv2.cvtColor(values, order), settings)
        if not good:
            raise FileRefusal(f"{path} cannot be encoded from shape {values.shape}", remedy="give a smaller picture")
        write_whole(path, data.tobytes())


def _dpx(frame: PictureFrame) -> bytes:
    h, w, channels = frame.values.shape
    bits = frame.rest if isinstance(frame.rest, int) else 8 * frame.values.itemsize
    if bits not in (10, 12) or channels == 4:
        kind = np.dtype(np.uint8 if bits <= 8 else np.uint16)
        layout = ("rgb24", "rgba", "rgb48le", "rgba64le")[2 * (kind.itemsize - 1) + channels - 3]
        values = np.ascontiguousarray(in_bits(frame.values, kind))
        return _encoded(av.VideoFrame.from_ndarray(values, format=layout), "dpx", {})
    made = av.VideoFrame(w, h, f"gbrp{bits}le")
    values = narrow(frame.values, bits)
    for channel, plane in zip((1, 2, 0), made.planes, strict=True):
        room: Any = plane
        np.frombuffer(room, np.uint16).reshape(-1, plane.line_size // 2)[:, :w] = values[..., channel]
    return _encoded(made, "dpx", {})


def _encoded(frame: av.VideoFrame, codec: str, options: dict[str, str]) -> bytes:
    encoder: Any = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, frame.format.name
    encoder.time_base, encoder.options = Fraction(1, 25), options
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def _refusal(path: Path, error: object) -> FileRefusal:
    return FileRefusal(f"{path} cannot be read as a picture ({error})", "it must be a whole one", "restore it")


# The fastest good setting: half the time of OpenCV's default at the same size.
PNG_SETTINGS = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # OpenCV 4.12
    PNG_SETTINGS += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB]
