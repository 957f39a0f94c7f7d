"""What a training run is made of: one frozen config, in two presets, that goes into the run's folder as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from voin.core.errors import ValueRefusal
from voin.method.fill.generator import PAPER as GENERATOR_PAPER
from voin.method.fill.generator import GeneratorConfig
from voin.method.flow.network import PAPER as FLOW_PAPER
from voin.method.flow.network import FlowConfig
from voin.method.shape.network import PAPER as SHAPE_PAPER
from voin.method.shape.network import ShapeConfig
from voin.training.discriminators import CLASS_PAPER, PATCH_PAPER, ClassConfig, TemporalPatchConfig
from voin.training.sampler import SamplerConfig
from voin.training.simulated_propagation import ImitationConfig

Stage = Literal["shape", "flow", "inpaint", "joint"]
Estimator = Literal["dis", "raft-small", "raft-large"]


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights are changed (AdamW).

    Args:
        rate: learning rate at its highest; the discriminators have the same.
        beta1: share of the old mean of the gradients that is kept in a step.
        beta2: the same for their squares.
        decay: weight decay.
        clip: longest gradient, over all weights of the networks; longer ones are shortened to it.
        warmup_steps: steps in which the rate rises to `rate`.
        last: rate at the end over `rate`; in between it follows a cosine.
        average: share of the averaged weights that is kept in a step; the averages are what is validated and saved.
    """

    rate: float = 6e-4
    beta1: float = 0.9
    beta2: float = 0.99
    decay: float = 0.01
    clip: float = 1.0
    warmup_steps: int = 100
    last: float = 0.02
    average: float = 0.998

    def __post_init__(self) -> None:
        for name in ("rate", "clip"):
            if getattr(self, name) <= 0:
                raise ValueRefusal(f"{name} is {getattr(self, name)}", "it must be above 0", "leave it at its default")
        for name in ("beta1", "beta2", "last", "average"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueRefusal(
                    f"{name} is {getattr(self, name)}", "it must be from 0 to 1", "leave it at its default"
                )
        for name in ("decay", "warmup_steps"):
            if getattr(self, name) < 0:
                raise ValueRefusal(f"{name} is {getattr(self, name)}", "it must not be negative", "use 0 for none")


@dataclass(frozen=True)
class LossConfig:
    """What each term of `voin.training.losses` counts for; 0 leaves the term out (Tables 2-4).

    Args:
        bce_amodal: shape, eq. 6.
        bce_occluded: shape.
        dice_occluded: shape, eq. 6 (Table 2, "dice").
        flow_l1: flow, eq. 7.
        laplacian_pyramid: flow, eq. 7.
        flow_gradient: flow, eq. 8 (Table 3, "gradient").
        flow_smoothness: flow, eq. 8.
        flow_warp: flow, eq. 7 (Table 3, "warp").
        reconstruction_hidden: inpainting: colours of what comes from the network.
        reconstruction_amodal: inpainting, eq. 11: of the whole object.
        reconstruction_rest: inpainting, eq. 11: outside the object.
        perceptual: inpainting: how unlike the squares around the hidden part look (LPIPS; not in the paper).
        perceptual_side: pixels of these squares; about as objects are large in the videos that will be judged.
        patch: inpainting, eq. 10: what T-PatchGAN says (Table 4).
        category: inpainting, eq. 10: what the class discriminator says (Table 4).
        adversarial_from: share of the run after which the discriminators take part.
        shape: all terms of shape together, in joint training (eq. 13).
        flow: of flow, likewise.
        inpaint: of inpainting, likewise.
    """

    bce_amodal: float = 0.0
    bce_occluded: float = 1.0
    dice_occluded: float = 1.0
    flow_l1: float = 1.0
    laplacian_pyramid: float = 0.3
    flow_gradient: float = 1.0
    flow_smoothness: float = 0.02
    flow_warp: float = 2.0
    reconstruction_hidden: float = 6.0
    reconstruction_amodal: float = 1.0
    reconstruction_rest: float = 0.3
    perceptual: float = 0.0
    perceptual_side: int = 80
    patch: float = 0.03
    category: float = 0.01
    adversarial_from: float = 0.3
    shape: float = 1.0
    flow: float = 1.0
    inpaint: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0:
                raise ValueRefusal(
                    f"{name} is {value}", "what a term counts for must not be negative", "use 0 for none"
                )
        if self.perceptual_side < 32:
            raise ValueRefusal(f"perceptual_side is {self.perceptual_side}", "LPIPS needs at least 32 pixels", "use 80")
        if self.adversarial_from > 1:
            raise ValueRefusal(f"adversarial_from is {self.adversarial_from}", "it is a share of the run", "use 0 to 1")


@dataclass(frozen=True)
class TrainConfig:
    """All numbers of a run.

    Args:
        shape: the network, see there; likewise the next four.
        flow: see there.
        generator: see there.
        patch_discriminator: see there.
        class_discriminator: see there.
        sampler: what batches are like.
        imitation: how propagation is imitated where the generator is trained alone.
        optimizer: see there.
        loss: see there.
        steps: length of the run, if no time is set.
        visits: how many steps learn from each batch, every other one from its mirror image, with other batches in
            between; for devices that learn faster than batches are made.
        minutes: length of the run by the clock, pauses left out; 0 for `steps`.
        seed: of the first weights and of the batches.
        half: compute in bfloat16 where it is safe and the device has it; imitated, it would be slower than float32.
        estimator: finds the flow that is to be completed.
        truth: finds the flow of the unoccluded frames that the completed one is compared with, where it is not known.
        validation_clips: clips of the fixed set, made of the validation pack or else of the training pack.
        validate_minutes: minutes between validations; there is one more at the end.
        save_minutes: minutes between checkpoints: what a kill can cost.
        log_steps: steps between entries in the log.
    """

    shape: ShapeConfig = field(default_factory=ShapeConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    patch_discriminator: TemporalPatchConfig = field(default_factory=TemporalPatchConfig)
    class_discriminator: ClassConfig = field(default_factory=ClassConfig)
    sampler: SamplerConfig = field(default_factory=lambda: SamplerConfig(size=128))
    imitation: ImitationConfig = field(default_factory=ImitationConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    steps: int = 10000
    visits: int = 1
    minutes: float = 0.0
    seed: int = 0
    half: bool = True
    estimator: Estimator = "dis"
    truth: Estimator = "dis"
    validation_clips: int = 40
    validate_minutes: float = 5.0
    save_minutes: float = 2.0
    log_steps: int = 20

    def __post_init__(self) -> None:
        if self.steps < 1 or self.minutes < 0:
            raise ValueRefusal(
                f"steps and minutes are {self.steps}, {self.minutes}",
                "a run needs at least one step, and minutes must not be negative",
                "give --minutes 30",
            )
        if self.visits < 1:
            raise ValueRefusal(f"visits is {self.visits}", "a batch must be learned from at least once", "use 1")
        for name in ("validation_clips", "validate_minutes", "save_minutes", "log_steps"):
            if getattr(self, name) <= 0:
                raise ValueRefusal(f"{name} is {getattr(self, name)}", "it must be above 0", "leave it at its default")


@dataclass(frozen=True)
class TrainOptions:
    """What a run is given besides its config.

    Args:
        stage: what is trained.
        pack: the clips.
        out: the run's folder.
        cutouts: photographed objects, see `voin.data.cutouts`.
        validation: clips of videos that are not trained on; None takes a fixed set of `pack`.
        init: a model whose networks are started from: a name, folder or hub id; those it lacks start anew.
        resume: go on with the run in `out`, if there is one.
        device: `auto`, `cpu`, `cuda` or `mps`.
        devices: how many of them; processes share each batch.
        raft_weights: a state-dict file, where the config asks for RAFT.
        lpips_weights: a state-dict file of AlexNet, where `loss.perceptual` counts; None takes torchvision's own.
        workers: processes that make batches ahead; 0 for a thread of this one. They do not change what is learned.
        pause_minutes: stop after so many minutes, with a checkpoint; `resume` goes on. 0 for never.
        command: as typed; it goes into the checkpoints.
    """

    stage: Stage
    pack: Path
    out: Path
    cutouts: Path | None = None
    validation: Path | None = None
    init: str | None = None
    resume: bool = False
    device: str = "auto"
    devices: int = 1
    raft_weights: Path | None = None
    lpips_weights: Path | None = None
    workers: int = 0
    pause_minutes: float = 0.0
    command: str = ""

    def __post_init__(self) -> None:
        if self.stage not in get_args(Stage):
            raise ValueRefusal(
                f"the stage is {self.stage!r}", f"it must be one of {', '.join(get_args(Stage))}", "choose one of these"
            )
        if self.devices < 1 or self.pause_minutes < 0 or self.workers < 0:
            raise ValueRefusal(
                f"devices, workers and pause_minutes are {self.devices}, {self.workers}, {self.pause_minutes}",
                "there must be at least one device, and no number may be negative",
                "leave them at their defaults",
            )


PRESETS: dict[str, TrainConfig] = {
    "small": TrainConfig(),
    # Networks and batches as the paper and its sources have them; frames of 320 pixels.
    "paper": replace(
        TrainConfig(),
        shape=SHAPE_PAPER,
        flow=FLOW_PAPER,
        generator=GENERATOR_PAPER,
        patch_discriminator=PATCH_PAPER,
        class_discriminator=CLASS_PAPER,
        sampler=SamplerConfig(batch=8, frames=5, size=320, cutouts=0.0, pasted=0.0),
        optimizer=OptimizerConfig(rate=1e-4, beta1=0.5, beta2=0.999, decay=0.0),
        steps=300_000,
        truth="raft-large",
        validate_minutes=60.0,
        save_minutes=10.0,
    ),
}
