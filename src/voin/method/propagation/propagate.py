"""What other frames show of an object's hidden part: tracked, rated and blended on the working grid (paper 3.3).

The pipeline and joint training call this alike, so that the generator is trained on what it will be given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat

import torch
from torch import Tensor

from voin.core.morphology import grow
from voin.core.types import Flows, Frames, Masks
from voin.method.cores import side_by_side
from voin.method.propagation import blend
from voin.method.propagation.gradients import colour_gradients
from voin.method.propagation.matches import match_by_outline
from voin.method.propagation.plain import plain_propagate
from voin.method.propagation.tracks import Tracks, track
from voin.method.stages import ClipView, Propagation

SOURCE_MARGIN = 2  # working pixels that sources keep from the occluder's rim


@dataclass(frozen=True)
class Propagated:
    """What was found for some frames of one clip."""

    # Ahead in time, back in time, and matched by outline, rated; none where it was found on the working grid alone.
    tracks: tuple[Tracks, ...]
    picture: Frames  # all directions blended; 0 where nothing was found
    confidence: Masks  # 0 where nothing was found
    shade: Frames  # what to add to the picture to leave no seam

    def place(self, frames: Frames) -> Frames:
        """Put what was found into the frames."""
        return torch.where(self.confidence > 0, self.picture + self.shade, frames)


def propagate(view: ClipView, wanted: range, form: Propagation = "rated", outlines: bool = True) -> Propagated:
    """Look for the hidden pixels of the `wanted` frames in other frames, and rate how far to believe what was found.

    The flow of the view is complete; the frames follow each other. The form is what `Propagation` says: what is found
    plainly is believed in full. Without `outlines` nothing is matched by them.
    """
    if form != "rated":
        return _take_nearest(view, wanted, form == "plain")
    frames, height, width = view.frames[0].cpu(), view.frames.shape[-2], view.frames.shape[-1]
    clear = ((view.visible[0, :, 0] > 0.95) & ~grow(view.hidden[0, :, 0] > 0.5, 1)).cpu()
    band_width = max(round(blend.BAND * width / 256), 2)
    found = ahead, back, matched = _look_for(view, wanted, outlines)
    bands = blend.compare_bands(frames, clear, found, band_width, blend.DETAIL * width / 256)
    # What was matched by outline has no track that could be rated by its length.
    share = blend.calibrate(bands[:2])
    directions = (blend.rate(ahead, share), blend.rate(back, share), matched)
    # Each by itself, so that it can be given back by itself.
    picture, correction = (torch.zeros(len(wanted), height, width, 3) for _ in range(2))
    total, confidence = (torch.zeros(len(wanted), height, width, 1) for _ in range(2))

    def look_up(tracks: Tracks, band: blend.Band | None) -> tuple[Tensor, Tensor]:
        return blend.draw(tracks, frames), blend.correct_shade(band, tracks, blend.SHADE_LIMIT)

    drawn = side_by_side([partial(look_up, *both) for both in zip(directions, bands, strict=True)])
    for tracks, (colours, change) in zip(directions, drawn, strict=True):
        place, trust = tracks.found, tracks.trust[:, None]
        weight = trust**2
        picture[place] += weight * colours
        correction[place] += weight * change
        total[place] += weight
        confidence[place] = torch.maximum(confidence[place], trust)
    found = total[..., 0].nonzero(as_tuple=True)
    picture[found] /= total[found]
    correction[found] /= total[found]
    kept = [x.permute(0, 3, 1, 2)[None].to(view.frames.device) for x in (picture, confidence, correction)]
    return Propagated(directions, *kept)


def _take_nearest(view: ClipView, wanted: range, anything: bool) -> Propagated:
    """Take the nearest valid pixel as it is (paper 3.3), if `anything` is to be taken."""
    frames, hidden, part = view.frames[0], view.hidden[0] > 0.5, slice(wanted.start, wanted.stop)
    found, picture = torch.zeros_like(hidden), torch.zeros_like(frames)
    if anything:
        flows = (view.forward[0], view.backward[0])
        filled, source = plain_propagate(frames, hidden, *flows, allowed=view.amodal[0] > 0.5)
        found = hidden & (source >= 0)[:, None]
        picture = torch.where(found, filled, 0.0)
    kept = (picture, found.to(frames), torch.zeros_like(frames))
    return Propagated((), *(x[None, part] for x in kept))


def _look_for(view: ClipView, wanted: range, outlines: bool) -> tuple[Tracks, Tracks, Tracks]:
    """Follow the flow ahead and back in time, and match by outline what is not found so."""
    visible, amodal, hidden = view.visible[0, :, 0], view.amodal[0, :, 0], view.hidden[0, :, 0]
    look = (grow(amodal - visible > 0.05, 1) & grow(hidden > 0.5, 2))[wanted.start : wanted.stop]
    # Sources keep away from the occluder, whose colours bleed into its rim.
    sources = (visible > 0.95) & ~grow(hidden > 0.5, SOURCE_MARGIN)
    ahead, back = track(view.forward, view.backward, look, wanted.start, sources, grow(amodal > 0.5, 1))
    lost = look.cpu() & (ahead.source < 0) & (back.source < 0) & outlines
    return ahead, back, match_by_outline(lost, wanted.start, sources, amodal > 0.5)


def propagate_clips(
    frames: Frames, visible: Masks, amodal: Masks, forward: Flows, backward: Flows, form: Propagation = "rated"
) -> tuple[Frames, Masks]:
    """Do what the pipeline does for whole clips, as training needs it; on the CPU, as there are many small steps.

    Masks are 0 or 1, and flow is complete. Returns the frames with what was found in place, differentiable in the flow
    where that has a gradient, and its confidence, on the frames' device.
    """
    clips = [x.detach().cpu().split(1) for x in (frames, visible, amodal, amodal * (1 - visible), forward, backward)]
    flows = zip(forward.cpu(), backward.cpu(), strict=True) if forward.requires_grad else repeat(None, len(frames))
    pictures, trusts = [], []
    for view, both in zip((ClipView(*clip) for clip in zip(*clips, strict=True)), flows, strict=True):
        # Plain lookups are differentiable as they are.
        followed = view
        if both is not None and form == "plain":
            followed = replace(view, forward=both[0][None], backward=both[1][None])
        with torch.set_grad_enabled(followed is not view):
            found = propagate(followed, range(frames.shape[1]), form)
        picture = found.place(view.frames)
        if both is not None and found.tracks:
            picture = picture + colour_gradients(found.tracks, view.frames[0], *both)
        # Tracks reach a little beyond the hidden part, so that it has no gap at native size.
        pictures.append(torch.where(view.hidden > 0.5, picture, view.frames))
        trusts.append(found.confidence * view.hidden)
    return torch.cat(pictures).to(frames), torch.cat(trusts).to(frames)
