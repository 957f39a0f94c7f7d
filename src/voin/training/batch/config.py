"""What batches are like, and what is in them."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Int
from torch import Tensor

from voin.core.config import Checked, setting
from voin.core.errors import ValueRefusal
from voin.core.types import Flows, Frames, Masks
from voin.data.occluders.occlude import OccluderConfig
from voin.training.augment import AugmentConfig, DamageConfig, check_span
from voin.training.batch.camera import CameraConfig
from voin.training.batch.filmed import FilmedConfig
from voin.training.moving_cutouts import MoveConfig

# Shares of clips that are no part of a film as it is.
_NOT_CROPPED = ("pasted", "cutouts", "sprites", "distractors", "leaving", "drift")


@dataclass(frozen=True)
class SamplerConfig(Checked):
    """What batches are like; shares are those of clips."""

    batch: int = setting(4, "Clips in a batch, over all processes.", least=1)
    frames: int = setting(8, "Of a clip.", least=2)
    size: int = setting(192, "Width of the frames, a multiple of 8.", unit="pixels", least=32)
    height: int | None = setting(
        None, "Height, where it is another; a multiple of 4, and only with `crop`.", unit="pixels", least=32
    )
    crop: bool = setting(
        False, "Cut frames out of the pack's at random, pixel by pixel, and flip them: what the paper does (4.1)."
    )
    strides: tuple[int, int] = setting(
        (1, 3), "Least and most frames of the video from one frame to the next; less in short videos.", least=1
    )
    reversed: float = setting(0.5, "Share in which time runs backward.", least=0, most=1)
    pasted: float = setting(0.2, "Share whose object stands before another video's window.", least=0, most=1)
    aside: float = setting(0.5, "Most way aside of what is pasted upon, over the window's side.", least=0, most=1)
    cutouts: float = setting(0.3, "Share of photographed objects in motion, if there are cutouts.", least=0, most=1)
    sprites: float = setting(
        0.0, "Share of sprites before films, if there are any; and of occluders and distractors.", least=0, most=1
    )
    # It touches the object as an occluder would, and hides nothing of it.
    distractors: float = setting(0.0, "Share in which another object passes behind the object.", least=0, most=1)
    clear: float = setting(0.0, "Share without an occluder.", least=0, most=1)
    leaving: float = setting(
        0.0, "Share in which the picture's edge comes in: the object leaves or returns.", least=0, most=1
    )
    # Windows lag behind objects that turn.
    drift: float = setting(0.0, "Share in which the whole picture drifts in its window.", least=0, most=1)
    drifted: float = setting(0.18, "Most way of it, over the window's side.", least=0, most=1)
    unknown: float = setting(0.3, "Share whose category is not told.", least=0, most=1)
    partial: tuple[str, ...] = setting(
        (), "Videos whose own objects are hidden in part: backgrounds and occluders only."
    )
    augment: AugmentConfig = setting(factory=AugmentConfig, help="How clips are mirrored, moved and tinted.")
    occluder: OccluderConfig = setting(factory=OccluderConfig, help="What occluders look like and how they move.")
    damage: DamageConfig = setting(factory=DamageConfig, help="How visible masks are made faulty.")
    move: MoveConfig = setting(factory=MoveConfig, help="How photographed objects are set in motion.")
    filmed: FilmedConfig = setting(factory=FilmedConfig, help="How occluders are made to look filmed.")
    camera: CameraConfig = setting(factory=CameraConfig, help="How whole pictures are made worse.")

    def check(self) -> None:
        """Refuse sizes, strides and shares that do not fit."""
        check_span("strides", self.strides, "(1, 3)")
        if self.size % 8:
            raise ValueRefusal(f"size is {self.size}", "it must be a multiple of 8, at least 32", "use 192")
        if self.height is not None and (self.height % 4 or not self.crop):
            raise ValueRefusal(
                f"height is {self.height} and crop {str(self.crop).lower()}",
                "it must be a multiple of 4, and only crops have one",
                "leave it out for squares, or set crop=true",
            )
        moved = [name for name in _NOT_CROPPED if getattr(self, name)]
        if self.crop and moved:
            raise ValueRefusal(
                f"crop is true and {moved[0]} is {getattr(self, moved[0])}",
                "crops are parts of films as they are",
                f"set {'=0, '.join(moved)}=0",
            )
        if self.pasted + self.cutouts + self.sprites > 1:
            raise ValueRefusal(
                f"pasted, cutouts and sprites are {self.pasted}, {self.cutouts}, {self.sprites}",
                "together they must be at most 1",
                "give smaller shares",
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self.height or self.size, self.size


@dataclass(frozen=True)
class Batch:
    """What networks are trained on; on the sampler's device. Masks are 0 or 1, flows are in pixels.

    Attributes:
        frames: the input: the truth with an occluder before it.
        truth: without.
        visible: the object without the occluder, in some clips damaged.
        amodal: of the whole object.
        occluder: of what is before it.
        category: the place in `CATEGORIES` plus 1; 0 where it is unknown or not told.
        label: the same, 0 only where it is unknown: for what judges networks that are not told.
        strides: of the video's frames; negative where time runs backward, 0 in clips made of a photo.
        present: whether the frame holds any of the object.
        forward: the true flow of `truth`; 0 where it is not known.
        backward: likewise.
        flow_known: where it is.
    """

    frames: Frames
    truth: Frames
    visible: Masks
    amodal: Masks
    occluder: Masks
    category: Int[Tensor, " b"]
    label: Int[Tensor, " b"]
    strides: Int[Tensor, " b"]
    present: Bool[Tensor, "b t"]
    forward: Flows
    backward: Flows
    flow_known: Bool[Tensor, " b"]
