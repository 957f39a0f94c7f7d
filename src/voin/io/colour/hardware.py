"""Graphics cards that decode and encode videos (NVDEC, NVENC), as PyAV offers them; refused early where they are not.

Frames come back to memory in the samples of the file: what decodes them makes no difference to what follows.
"""

from __future__ import annotations

from fractions import Fraction

import av
from av.codec import Codec
from av.codec.hwaccel import HWAccel
from av.video.codeccontext import VideoCodecContext

from voin.core.errors import ValueRefusal
from voin.io.colour.codecs import CODINGS, choose_codec, coding_options, layout_for
from voin.io.quality import Acceleration, Quality, shown
from voin.io.video_info import FFMPEG_ERRORS, VideoInfo

_NEEDED = "a graphics card of NVIDIA that can, and its driver, must be there"


def accelerator(kind: Acceleration) -> HWAccel | None:
    """Return what decodes on a card; files that it cannot decode are decoded on the processor. None without a card."""
    return None if kind == "none" else HWAccel(kind, allow_software_fallback=True)


def check_decoder(kind: Acceleration) -> None:
    """Refuse a card that is not there. Raises ValueError."""
    if (card := accelerator(kind)) is None:
        return
    try:
        card.create(Codec("h264", "r"))
    except FFMPEG_ERRORS as error:
        what = f"videos are to be decoded by {kind}, which cannot be opened ({_reason(error)})"
        raise ValueRefusal(what, _NEEDED, "leave --hwaccel out") from error


def check_encoder(info: VideoInfo, quality: Quality) -> None:
    """Refuse an encoder of a card that cannot encode such a video here. Raises ValueError."""
    codec = choose_codec(info.samples, quality)
    coding, (h, w) = CODINGS[codec], info.stored_size
    if not coding.on_card:
        return
    if h % 2 or w % 2:
        what = f"the video is {shown(info.size)} and to be {coding.title}"
        raise ValueRefusal(what, "both sides must be even there", "leave --codec out")
    layout = layout_for(codec, info.samples.layout)
    try:
        open_encoder(coding.encoder, (h, w), layout, coding_options(codec, layout, quality))
    except FFMPEG_ERRORS as error:
        what = f"the video is to be {coding.title}, which cannot be opened ({_reason(error)})"
        raise ValueRefusal(what, _NEEDED, "leave --codec out: x264 encodes on the processor") from error


def open_encoder(encoder: str, size: tuple[int, int], layout: str, options: dict[str, str]) -> None:
    """Open an encoder for frames of size (h, w), and let it go. Raises what FFmpeg does where it cannot be opened."""
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, VideoCodecContext)
    context.height, context.width = size
    context.pix_fmt, context.time_base, context.options = layout, Fraction(1, 25), options
    context.open()


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
