"""How found colours change with the flow: what lets joint training reach the flow network (paper 3.4, eq. 13).

Which frame shows a pixel is found without gradients (`tracks.py`). The links to it are followed here once more, and the
source is sampled: both are bilinear, and so differentiable in the flow.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from voin.core.warp import sample_points
from voin.method.propagation.tracks import Tracks

Link = Float[Tensor, "pairs 2 h w"]


def follow_again(tracks: Tracks, forward: Link, backward: Link) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """Return the column and row in its source frame of every found pixel, differentiable in the completed flow."""
    entry, row, column = tracks.found
    at, source = entry + tracks.first, tracks.source[tracks.found].long()
    step = (source - at).sign()
    links, back = torch.cat([forward, backward]), (step < 0).long()
    x, y = column.to(forward), row.to(forward)
    while (on := at != source).any():
        # The pair of frames that is crossed; those who have arrived stay.
        link = (at - back).clamp(0, len(forward) - 1) + len(forward) * back
        dx, dy = (sample_points(links, link, x, y) * on[:, None]).unbind(dim=1)
        x, y, at = x + dx, y + dy, at + step * on
    return x, y


def colour_gradients(
    tracks: Sequence[Tracks], frames: Float[Tensor, "t 3 h w"], forward: Link, backward: Link
) -> Float[Tensor, "n 3 h w"]:
    """Return zeros that have the gradient of the picture that `propagate` blends of these tracks, in the flow.

    The tracks are those ahead in time, those back in time, and the matches, which no flow leads to. How far they are
    believed, and the correction of shade, have no gradient.
    """
    n, (h, w) = len(tracks[0].source), frames.shape[-2:]
    total = torch.stack([one.confidence**2 for one in tracks]).sum(dim=0)
    picture = frames.new_zeros(n, h, w, 3)
    for one in tracks[:2]:
        colours = sample_points(frames, one.source[one.found].long(), *follow_again(one, forward, backward))
        share = (one.confidence**2 / total.clamp(min=1e-12))[one.found][:, None]
        picture = picture.index_put(one.found, share * (colours - colours.detach()), accumulate=True)
    return picture.permute(0, 3, 1, 2)
