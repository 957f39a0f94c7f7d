"""Carry a mask from one frame to the next along optical flow, and say how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from voin.core.types import Mask, Picture
from voin.method.motion import PixelFlow, dis_estimator

Field = Float[np.ndarray, "h w"]

_FAR = 8.0  # pixels; a larger forward-backward error says nothing more


@dataclass(frozen=True)
class Link:
    """Two frames at working size and the flow between them."""

    forward: PixelFlow
    backward: PixelFlow
    error: Field  # forward-backward, on the second frame's grid, pixels

    @staticmethod
    def between(first: Picture, second: Picture) -> Link:
        """Estimate the flow between two pictures (DIS)."""
        grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, second)]
        estimate = dis_estimator()
        forward, backward = estimate(*grey), estimate(*reversed(grey))
        return Link(forward, backward, np.linalg.norm(backward + _look_up(forward, backward), axis=-1))

    def carry(self, mask: Mask, config: LinkConfig) -> tuple[Field, Field]:
        """Carry a mask of the first frame into the second.

        What the second frame shows anew has nothing in the first one that leads to it: there the check fails, and it is
        taken for surroundings, which uncover more often than objects do.

        Returns:
            Where the object is by the flow alone, as a signed distance in pixels, positive inside; and the log odds of
            each pixel being the object.
        """
        distance = _look_up(signed_distance(mask), self.backward)
        doubt = config.soft + np.minimum(self.error, _FAR)
        pushed = signed_distance(self.push(mask) > 0.5)
        odds = sum(np.clip(value / doubt, -config.most, config.most) for value in (distance, pushed)) / 2
        speed = np.linalg.norm(self.backward, axis=-1)
        lost = np.clip(self.error - 1 - config.share * speed, 0, 4)
        return distance, odds - config.uncovered * lost

    def push(self, mask: Mask) -> Field:
        """Move each pixel along `forward`; gives the object's share of what arrives at a pixel, else 0."""
        h, w = mask.shape
        rows, columns = np.mgrid[0:h, 0:w]
        x, y = columns + self.forward[..., 0], rows + self.forward[..., 1]
        left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        object_weight, weight = np.zeros(h * w), np.zeros(h * w)
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            column, row = left + right, top + down
            share = (1 - np.abs(x - column)) * (1 - np.abs(y - row))
            inside = (column >= 0) & (row >= 0) & (column < w) & (row < h)
            place = (row * w + column)[inside]
            object_weight += np.bincount(place, (share * mask)[inside], h * w)
            weight += np.bincount(place, share[inside], h * w)
        arrived = [cv2.GaussianBlur(plane.reshape(h, w), (0, 0), 1.0) for plane in (object_weight, weight)]
        return np.where(arrived[1] > 0.2, arrived[0] / np.maximum(arrived[1], 1e-3), 0).astype(np.float32)


@dataclass(frozen=True)
class LinkConfig:
    """How far the flow is believed."""

    soft: float = 4.0  # pixels from the carried outline at which the odds are e to 1, where the flow is right
    most: float = 2.5  # log odds at most
    uncovered: float = 0.6  # what a pixel of forward-backward error says against the object
    share: float = 0.15  # error that is taken for granted, over the length of the flow


def signed_distance(mask: Mask) -> Field:
    """Return each pixel's distance to the outline, positive inside."""
    inside, outside = (cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, 5) for side in (mask, ~mask))
    return inside - outside


def _look_up(values: np.ndarray, flow: PixelFlow) -> np.ndarray:
    h, w = flow.shape[:2]
    rows, columns = np.mgrid[0:h, 0:w].astype(np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    return cv2.remap(values.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
