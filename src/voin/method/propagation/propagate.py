"""What other frames show of an object's hidden part: tracked, rated and blended on the working grid (paper 3.3).

The pipeline and joint training call this alike, so that the generator is trained on what it will be given.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from voin.core.morphology import grow
from voin.core.types import Flows, Frames, Masks
from voin.method.propagation.blend import BlendConfig, calibrate, compare_band, correct_shade, draw, rate, split_detail
from voin.method.propagation.matches import match_by_outline
from voin.method.propagation.tracks import PropagationConfig, Tracks, track


@dataclass(frozen=True)
class Propagated:
    """What was found for n frames of one clip.

    Attributes:
        tracks: ahead in time, back in time, and from afar, rated.
        picture: (1, n, 3, h, w) in [0, 1], all directions blended; 0 where nothing was found.
        confidence: (1, n, 1, h, w) in [0, 1], 0 where nothing was found.
        shade: (1, n, 3, h, w), what to add to the picture to leave no seam.
    """

    tracks: tuple[Tracks, ...]
    picture: Frames
    confidence: Masks
    shade: Frames

    def place(self, frames: Frames) -> Frames:
        """Put what was found into frames (1, n, 3, h, w)."""
        return torch.where(self.confidence > 0, self.picture + self.shade, frames)


def propagate(
    frames: Frames,
    visible: Masks,
    amodal: Masks,
    hidden: Masks,
    forward: Flows,
    backward: Flows,
    wanted: range,
    propagation: PropagationConfig,
    blend: BlendConfig,
) -> Propagated:
    """Look for hidden pixels in other frames, and say how far what was found is believed.

    Args:
        frames: (1, t, 3, h, w) in [0, 1].
        visible: (1, t, 1, h, w) in [0, 1].
        amodal: (1, t, 1, h, w), 0 or 1.
        hidden: (1, t, 1, h, w), 0 or 1: the part of `amodal` that is looked for.
        forward: (1, t-1, 2, h, w), pixels, completed.
        backward: (1, t-1, 2, h, w), pixels, completed.
        wanted: frames to look for; consecutive.
        propagation: how tracks are followed.
        blend: how they are checked against their surroundings.
    """
    tracks, afar = _track(visible[0, :, 0], amodal[0, :, 0], hidden[0, :, 0], forward, backward, wanted, propagation)
    pictures, h, size = frames[0].cpu(), frames.shape[-2], frames.shape[-1]
    clear = ((visible[0, :, 0] > 0.95) & ~grow(hidden[0, :, 0] > 0.5, 1)).cpu()
    shade, detail = split_detail(pictures, clear, blend.detail * size / 256)
    width = max(round(blend.band * size / 256), 2)
    bands = [compare_band(shade, detail, clear, each, width) for each in tracks]
    share = calibrate(bands, propagation.max_distance_frames, blend)
    # What comes from afar has no track that could be rated by its length.
    tracks = (*(rate(each, share) for each in tracks), afar)
    bands.append(compare_band(shade, detail, clear, afar, width))
    picture = correction = total = torch.zeros(1)
    confidence = torch.zeros(len(wanted), 1, h, size)
    for each, band in zip(tracks, bands, strict=True):
        weight = (each.confidence**2)[:, None]
        picture = picture + weight * draw(each, pictures)
        correction = correction + weight * correct_shade(band, each, blend.limit)
        total = total + weight
        confidence = torch.maximum(confidence, each.confidence[:, None])
    total = total.clamp(min=1e-12)
    kept = [x[None].to(frames.device) for x in (picture / total, confidence, correction / total)]
    return Propagated(tracks, *kept)


@torch.no_grad()
def propagate_clips(
    frames: Frames, visible: Masks, amodal: Masks, forward: Flows, backward: Flows
) -> tuple[Frames, Masks]:
    """Do what the pipeline does for whole clips, as training needs it; on the CPU, as there are many small steps.

    Args:
        frames: (b, t, 3, h, w) in [0, 1].
        visible: (b, t, 1, h, w), 0 or 1.
        amodal: (b, t, 1, h, w), 0 or 1.
        forward: (b, t-1, 2, h, w), pixels, completed.
        backward: (b, t-1, 2, h, w), pixels, completed.

    Returns:
        The frames with what was found in place, and its confidence (b, t, 1, h, w) in [0, 1], on the frames' device.
    """
    given = [x.cpu().split(1) for x in (frames, visible, amodal, amodal * (1 - visible), forward, backward)]
    pictures, trusts = [], []
    for picture, seen, whole, hidden, there, back in zip(*given, strict=True):
        wanted = range(frames.shape[1])
        found = propagate(picture, seen, whole, hidden, there, back, wanted, PropagationConfig(), BlendConfig())
        # Tracks reach a little beyond the hidden part, so that it has no gap at native size.
        pictures.append(torch.where(hidden > 0.5, found.place(picture), picture))
        trusts.append(found.confidence * hidden)
    return torch.cat(pictures).to(frames), torch.cat(trusts).to(frames)


def _track(
    visible: Tensor,
    amodal: Tensor,
    hidden: Tensor,
    forward: Flows,
    backward: Flows,
    wanted: range,
    config: PropagationConfig,
) -> tuple[tuple[Tracks, ...], Tracks]:
    """Follow the flow both ways, and look afar for what is not found so."""
    look = (grow(amodal - visible > 0.05, 1) & grow(hidden > 0.5, 2))[wanted.start : wanted.stop]
    # Sources keep away from the occluder, whose colours bleed into its rim.
    sources = (visible > 0.95) & ~grow(hidden > 0.5, config.source_margin)
    tracks = track(forward, backward, look, wanted.start, sources, grow(amodal > 0.5, 1), config)
    lost = look.cpu() & (tracks[0].source < 0) & (tracks[1].source < 0)
    return tracks, match_by_outline(lost, wanted.start, sources, amodal > 0.5, config.max_distance_frames)
