"""What a camera and a codec do to the whole picture, paste and film alike: gamma, blur, noise, compression.

Training only: benchmarks keep their pictures. Not in the paper; the numbers are ours.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import av
import numpy as np
import torch
from jaxtyping import UInt8

from voin.core.config import Checked, setting
from voin.core.types import Frames
from voin.training.augment import Numbers, check_span
from voin.training.batch.filmed import blur_clips

CAMERA_NUMBERS = 9


@dataclass(frozen=True)
class CameraConfig(Checked):
    """How pictures are made worse after compositing; each of the four takes half of the clips that are chosen."""

    clips: float = setting(0.0, "Share of clips that went through a camera and a codec.", least=0, most=1)
    gamma: float = setting(0.3, "Most change of gamma, share of it.", least=0, most=0.9)
    blur: float = setting(1.0, "Most deviation of the blur.", unit="pixels", least=0, most=4)
    noise: float = setting(0.03, "Most deviation of the noise.", least=0, most=0.5)
    quality: tuple[int, int] = setting((23, 38), "Least and most rate factor of H.264; higher is worse.", least=0)

    def check(self) -> None:
        """Refuse a rate factor that no encoder has."""
        check_span("quality", self.quality, "(23, 38)")


@torch.no_grad()
def go_through_camera(
    frames: Frames, truth: Frames, numbers: Numbers, config: CameraConfig, seeds: list[int]
) -> tuple[Frames, Frames]:
    """Return frames and truth as a camera shows them; a seed a clip, of its noise.

    Gamma and blur are the picture's own and change the truth, too; noise and compression are faults that nobody wants
    back, and the truth has none.
    """
    u = numbers[:, :CAMERA_NUMBERS]
    chosen = (u[:, 0] < config.clips).nonzero()[:, 0].tolist()
    if not chosen:
        return frames, truth
    frames, truth, u = frames.clone(), truth.clone(), u[chosen]
    gamma = torch.exp((u[:, 1] < 0.5) * config.gamma * (2 * u[:, 2] - 1)).to(frames)[:, None, None, None, None]
    blur = ((u[:, 3] < 0.5) * config.blur * u[:, 4]).to(frames)
    noise = ((u[:, 5] < 0.5) * config.noise * u[:, 6]).tolist()
    least, most = config.quality
    quality = (least + u[:, 8] * (most + 1 - least)).long().clamp(max=most).tolist()
    for clips in (frames, truth):
        clips[chosen] = blur_clips(clips[chosen].clamp(min=0) ** gamma, blur).clamp(0, 1)
    for k, i in enumerate(chosen):
        if noise[k]:
            generator = torch.Generator().manual_seed(seeds[i])
            grain = torch.randn(frames[i].shape, generator=generator).to(frames)
            frames[i] = (frames[i] + noise[k] * grain).clamp(0, 1)
        if u[k, 7] < 0.5:
            pictures = (frames[i] * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
            compressed = torch.from_numpy(compress(np.ascontiguousarray(pictures), quality[k]))
            frames[i] = compressed.permute(0, 3, 1, 2).to(frames) / 255
    return frames, truth


def compress(pictures: UInt8[np.ndarray, "t h w 3"], quality: int) -> UInt8[np.ndarray, "t h w 3"]:
    """Encode pictures as H.264 in memory and decode them again; the same bytes each time. Sides must be even."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        # One thread and no look-ahead: what comes out does not depend on the machine's cores.
        options = {"crf": str(quality), "preset": "veryfast", "threads": "1", "tune": "zerolatency"}
        stream = out.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *pictures.shape[1:3], "yuv420p"
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as source:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)])
