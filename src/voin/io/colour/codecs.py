"""Which codec the completed video gets, and the pixel layout in which it holds most of what the source does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import av
from av.codec import Codec

from voin.core.errors import ValueRefusal
from voin.io.colour.samples import Samples
from voin.io.quality import Quality, VideoCodec


@dataclass(frozen=True)
class Coding:
    """A codec as FFmpeg names it, in what files it goes, and what it is called.

    Attributes:
        lossless: options without which it is lossy; None where it is always, or cannot be, lossless.
        layouts: of pixels that it is given; all that the encoder has where there are none.
    """

    encoder: str
    suffix: str
    title: str
    lossless: dict[str, str] | None = None
    layouts: tuple[str, ...] = ()

    @property
    def on_card(self) -> bool:
        """Whether a graphics card encodes."""
        return self.encoder.endswith("_nvenc")


CODINGS: dict[VideoCodec, Coding] = {
    "h264": Coding("libx264", ".mp4", "H.264", {"crf": "0"}),
    "hevc": Coding("libx265", ".mp4", "HEVC", {"x265-params": "lossless=1:bframes=0:open-gop=0:log-level=error"}),
    "prores": Coding("prores_ks", ".mov", "ProRes"),
    "ffv1": Coding("ffv1", ".mkv", "FFV1"),
    "vp9": Coding("libvpx-vp9", ".webm", "VP9", {"lossless": "1"}),
    # What every card has that can encode; others layouts only some have.
    "h264_nvenc": Coding("h264_nvenc", ".mp4", "H.264 by NVENC", layouts=("yuv420p",)),
    "hevc_nvenc": Coding("hevc_nvenc", ".mp4", "HEVC by NVENC", layouts=("yuv420p", "p010le")),
}
_ALWAYS_LOSSY = {"prores": "ProRes", "h264_nvenc": "NVENC", "hevc_nvenc": "NVENC"}
_LAYERED = ("libvpx", "vp8", "vp9")  # decoders of web videos with alpha


def choose_codec(samples: Samples, quality: Quality) -> VideoCodec:
    """Return the codec for a video of such samples: as asked, else H.264, or one that keeps bits and alpha.

    Raises ValueError where it is asked to be lossless and cannot be.
    """
    chosen = quality.codec
    if chosen == "auto":
        if samples.plain:
            chosen = "h264"
        elif quality.lossless:
            chosen = "ffv1"
        elif samples.codec in ("prores", "ffv1"):
            chosen = cast(VideoCodec, samples.codec)
        elif samples.alpha:
            chosen = "vp9" if samples.bits <= 8 and samples.codec.startswith(_LAYERED) else "prores"
        else:
            chosen = "hevc"
    if quality.lossless and chosen in _ALWAYS_LOSSY:
        name = _ALWAYS_LOSSY[chosen]
        what = f"the video is to be coded by {name} and lossless"
        raise ValueRefusal(what, f"{name} is always lossy here", "use --codec ffv1, or leave --lossless out")
    return chosen


def layout_for(codec: VideoCodec, layout: str) -> str:
    """Return the pixel layout of an encoder that loses least of another one: alpha, then chroma, then bits."""
    source = av.VideoFormat(layout)
    layouts = _layouts_of(CODINGS[codec])

    def lost(target: av.VideoFormat) -> list[float]:
        bits = target.components[0].bits - source.components[0].bits
        chroma = _chroma(target) - _chroma(source)
        seen_through = _has_alpha(target) - _has_alpha(source)
        grey = (len(target.components) < 3) != (len(source.components) < 3)
        kind = target.is_rgb != source.is_rgb or not target.is_planar or target.name.startswith("yuvj") or grey
        return [
            float(x) for x in (-min(seen_through, 0), -min(chroma, 0), -min(bits, 0), kind, bits, chroma, seen_through)
        ]

    return min((known for known in layouts if "f16" not in known.name and "f32" not in known.name), key=lost).name


def _layouts_of(coding: Coding) -> list[av.VideoFormat]:
    if coding.layouts:
        return [av.VideoFormat(name) for name in coding.layouts]
    return [*(Codec(coding.encoder, "w").video_formats or [])]


def coding_options(codec: VideoCodec, layout: str, quality: Quality) -> dict[str, str]:
    """Return what the encoder is told: closed groups of pictures, none reordered."""
    coding = CODINGS[codec]
    if codec == "prores":
        return {"profile": "4444" if "444" in layout else "hq", "vendor": "apl0"}
    if codec == "ffv1":
        return {"level": "3", "slices": "4", "slicecrc": "1"}
    if codec == "vp9":
        # auto-alt-ref would hide frames in the stream, which alpha does not allow.
        speed = {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "auto-alt-ref": "0"}
        return speed | ((coding.lossless or {}) if quality.lossless else {"crf": str(quality.crf), "b": "0"})
    if coding.on_card:
        # The same quality for all frames; a key frame where one is asked for is one at which decoding can begin.
        steady = {"preset": "p5", "rc": "vbr", "cq": str(quality.crf), "b": "0", "bf": "0", "forced-idr": "1"}
        return steady | ({"tag": "hvc1"} if codec == "hevc_nvenc" else {"a53cc": "0"})
    options = {"preset": quality.preset, "bf": "0", "crf": str(quality.crf)}
    if codec == "h264":
        options["a53cc"] = "0"  # frames that are completed have no captions, so that some would be lost
    if codec == "hevc":
        options["x265-params"] = "bframes=0:open-gop=0:log-level=error"
        options["tag"] = "hvc1"
    return options | ((coding.lossless or {}) if quality.lossless else {})


def coding_words(samples: Samples, quality: Quality) -> str:
    """Return in words what the completed video is, where it is not the usual one or holds less than its source."""
    codec = choose_codec(samples, quality)
    if codec == "h264":
        return (
            "" if samples.plain else f"Video: H.264, 8 bits of the source's {samples.words} (--codec auto keeps them)"
        )
    layout = av.VideoFormat(layout_for(codec, samples.layout))
    bits, alpha = layout.components[0].bits, _has_alpha(layout)
    lost = [f"the source has {samples.bits}"] if bits < samples.bits else []
    fewer = _chroma(layout) < _chroma(av.VideoFormat(samples.layout))
    lost += ["fewer chroma samples than the source"] if fewer else []
    lost += ["its alpha is left out"] if samples.alpha and not alpha else []
    kept = f"{bits} bits" + (" with alpha" if samples.alpha and alpha else "")
    return f"Video: {CODINGS[codec].title}, {kept}" + (f" ({', '.join(lost)})" if lost else "")


def _has_alpha(layout: av.VideoFormat) -> bool:
    return any(component.is_alpha for component in layout.components)


def _chroma(layout: av.VideoFormat) -> float:
    """Return the share of the pixels that have chroma samples of their own."""
    if layout.is_rgb or len(layout.components) < 3:
        return 1.0
    return layout.chroma_width(8) * layout.chroma_height(8) / 64
