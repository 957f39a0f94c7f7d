"""References: what other frames, near or far, show of the object, for hidden pixels to look their own place up in.

    frames that show most of the object  ->  cells of its visible part: keys, and what they hold
    a hidden cell  ->  asks all of them  ->  an answer on the coarse grid, and one in detail on the next finer grid

Not in the paper, whose generator sees neighbours in time alone: what is hidden now may have been in clear view long
before, at another place and where no flow leads any more.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from voin.core.types import Masks

Features = Float[Tensor, "b t c h w"]
Finer = Float[Tensor, "b t c2 2*h 2*w"]  # the next finer grid
Cells = tuple[Float[Tensor, "_ _"], Float[Tensor, "_ _"]]  # keys and values, a row a cell, of one clip

_LEAST = 0.75  # share of a cell that the object covers, from which it is looked at


def choose_frames(visible: Masks, count: int) -> Int[Tensor, "b frames"]:
    """Choose the frame that shows most of the object in each of `count` parts of the clip, or all of fewer frames."""
    areas = visible.flatten(2).sum(dim=2)
    count = min(count, areas.shape[1])
    ends = [round(k * areas.shape[1] / count) for k in range(count + 1)]
    return torch.stack([start + areas[:, start:end].argmax(dim=1) for start, end in pairwise(ends)], dim=1)


class References(nn.Module):
    """Attention of hidden cells over the object's visible cells; `coarse` and `fine` are channels of the two grids.

    It adds nothing before it is trained.
    """

    def __init__(self, coarse: int, fine: int, heads: int = 4) -> None:
        super().__init__()
        held = coarse + 4 * fine  # a cell has four of the finer grid
        if coarse % heads or held % heads:
            heads = 1
        self.heads = heads
        self.ask, self.key = nn.Linear(coarse, coarse), nn.Linear(coarse, coarse)
        self.coarse, self.fine = nn.Linear(held, coarse, bias=False), nn.Linear(held, 4 * fine, bias=False)
        for layer in (self.coarse, self.fine):
            nn.init.zeros_(layer.weight)

    def remember(self, coarse: Features, fine: Finer, visible: Masks) -> list[Cells]:
        """Keep the cells, of each clip, that show the object; `visible` is on the coarse grid, as shares."""
        held = torch.cat([_rows(coarse), _rows(F.pixel_unshuffle(fine, 2))], dim=-1)
        shown = visible[:, :, 0] >= _LEAST
        return [
            (self.key(rows[seen]), values[seen]) for rows, values, seen in zip(_rows(coarse), held, shown, strict=True)
        ]

    def forward(self, features: Features, hidden: Masks, references: list[Cells]) -> tuple[Features, Finer]:
        """Return what hidden cells are told, on the coarse and on the finer grid; 0 where nothing is hidden."""
        rows, asking = _rows(features), hidden[:, :, 0] > 0
        answers = [self._ask(clip[where], *cells) for clip, where, cells in zip(rows, asking, references, strict=True)]
        told = torch.cat(answers)
        maps = []
        for layer in (self.coarse, self.fine):
            answer = layer(told)
            grid = answer.new_zeros(*rows.shape[:-1], answer.shape[-1])
            grid[asking] = answer
            maps.append(rearrange(grid, "b t h w c -> b t c h w"))
        return maps[0], F.pixel_shuffle(maps[1], 2)

    def _ask(self, rows: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        # One cell more that holds nothing: who finds no likeness is told nothing.
        keys, values = F.pad(keys, (0, 0, 0, 1)), F.pad(values, (0, 0, 0, 1))
        q, k, v = (rearrange(x, "n (heads c) -> 1 heads n c", heads=self.heads) for x in (self.ask(rows), keys, values))
        return rearrange(F.scaled_dot_product_attention(q, k, v), "1 heads n c -> n (heads c)")


def _rows(features: Features) -> Float[Tensor, "b t h w c"]:
    return rearrange(features, "b t c h w -> b t h w c")
