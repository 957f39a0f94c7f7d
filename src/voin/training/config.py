"""What a training run is made of: one frozen config, in two presets, that goes into the run's folder as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from voin.baselines.trained.models import PAPER as BASELINES_PAPER
from voin.baselines.trained.models import BaselinesConfig
from voin.core.config import Checked, edit, setting
from voin.method.fill.generator import PAPER as GENERATOR_PAPER
from voin.method.fill.generator import GeneratorConfig
from voin.method.flow.network import PAPER as FLOW_PAPER
from voin.method.flow.network import FlowConfig
from voin.method.shape.network import PAPER as SHAPE_PAPER
from voin.method.shape.network import SMALL as SHAPE_SMALL
from voin.method.shape.network import ShapeConfig
from voin.training.augment import AugmentConfig
from voin.training.batch.config import SamplerConfig
from voin.training.discriminators import CLASS_PAPER, PATCH_PAPER, ClassConfig, TemporalPatchConfig
from voin.training.simulated_propagation import SimulatedPropagationConfig

Estimator = Literal["dis", "raft-small", "raft-large"]


@dataclass(frozen=True)
class OptimizerConfig(Checked):
    """How weights are changed (AdamW)."""

    rate: float = setting(6e-4, "Learning rate at its highest; the discriminators have the same.", above=0)
    beta1: float = setting(0.9, "Share of the old mean of the gradients that is kept in a step.", least=0, most=1)
    beta2: float = setting(0.99, "The same for their squares.", least=0, most=1)
    decay: float = setting(0.01, "Weight decay.", least=0)
    warmup_steps: int = setting(100, "Steps in which the rate rises to its highest.", least=0)
    last: float = setting(0.02, "Rate at the end over the highest, along a cosine.", least=0, most=1)
    average: float = setting(
        0.998, "Share of the averaged weights kept in a step; the averages are validated and saved.", least=0, most=1
    )


@dataclass(frozen=True)
class LossConfig(Checked):
    """What each term of `voin.training.losses` counts for; 0 leaves the term out (Tables 2-4)."""

    bce_amodal: float = setting(0.0, "Shape, eq. 6.", least=0)
    bce_occluded: float = setting(1.0, "Shape, where nothing is seen.", least=0)
    dice_occluded: float = setting(1.0, "Shape, eq. 6 (Table 2, dice).", least=0)
    flow_l1: float = setting(1.0, "Flow, eq. 7.", least=0)
    laplacian_pyramid: float = setting(0.3, "Flow, eq. 7.", least=0)
    flow_gradient: float = setting(1.0, "Flow, eq. 8 (Table 3, gradient).", least=0)
    flow_smoothness: float = setting(0.02, "Flow, eq. 8.", least=0)
    flow_warp: float = setting(2.0, "Flow, eq. 7 (Table 3, warp).", least=0)
    reconstruction_hidden: float = setting(6.0, "Fill: colours of what comes from the network.", least=0)
    reconstruction_amodal: float = setting(1.0, "Fill, eq. 11: of the whole object.", least=0)
    reconstruction_rest: float = setting(0.3, "Fill, eq. 11: outside the object.", least=0)
    perceptual: float = setting(0.0, "Fill: how unlike the hidden part looks (LPIPS; not in the paper).", least=0)
    blend: float = setting(
        3.0,
        "Fill: whether the weight of propagated colours is what brings them nearest to the truth (not in the paper); "
        "only where the generator weighs them.",
        least=0,
    )
    patch: float = setting(0.03, "Fill, eq. 10: what T-PatchGAN says (Table 4).", least=0)
    category: float = setting(0.01, "Fill, eq. 10: what the class discriminator says (Table 4).", least=0)
    adversarial_from: float = setting(
        0.3, "Share of the run after which the discriminators take part.", least=0, most=1
    )
    shape: float = setting(1.0, "All terms of shape together, in joint training (eq. 13).", least=0)
    flow: float = setting(1.0, "All terms of flow, likewise.", least=0)
    fill: float = setting(1.0, "All terms of fill, likewise.", least=0)


@dataclass(frozen=True)
class TrainConfig(Checked):
    """All numbers of a run."""

    shape: ShapeConfig = setting(factory=ShapeConfig, help="The shape network.")
    flow: FlowConfig = setting(factory=FlowConfig, help="The flow network.")
    generator: GeneratorConfig = setting(factory=GeneratorConfig, help="The generator.")
    patch_discriminator: TemporalPatchConfig = setting(
        factory=TemporalPatchConfig, help="The discriminator of patches in space and time."
    )
    class_discriminator: ClassConfig = setting(factory=ClassConfig, help="The discriminator of classes.")
    baselines: BaselinesConfig = setting(factory=BaselinesConfig, help="The networks of baselines.")
    sampler: SamplerConfig = setting(factory=lambda: SamplerConfig(size=128), help="What clips are made of.")
    simulated_propagation: SimulatedPropagationConfig = setting(
        factory=SimulatedPropagationConfig, help="What the generator learns to complete."
    )
    optimizer: OptimizerConfig = setting(factory=OptimizerConfig, help="How weights are changed.")
    loss: LossConfig = setting(factory=LossConfig, help="What each term of the losses counts for.")
    steps: int = setting(10000, "Length of the run, if no time is set.", least=1)
    echoes: int = setting(1, "Steps that learn from each batch (data echoing), every other one mirrored.", least=1)
    pool: int = setting(
        0, "Batches that there are: after so many they come again, every other time mirrored; 0 for new ones.", least=0
    )
    minutes: float = setting(
        0.0,
        "Length of the run; 0 for `steps`. On processors core-minutes: their time in all threads and processes of the "
        "run, so that other work on the machine makes no difference. On a GPU minutes by the clock. Pauses, "
        "validations and checkpoints are left out.",
        least=0,
    )
    seed: int = setting(0, "Of the first weights and of the batches.")
    half: bool = setting(True, "Compute in bfloat16 where it is safe and the device does so by itself.")
    estimator: Estimator = setting("dis", "Finds the flow that is to be completed.")
    truth: Estimator = setting("dis", "Finds the true flow, in the unoccluded frames, where it is not known.")
    validation_clips: int = setting(
        40, "Clips that are scored, of the validation pack or else the training pack.", above=0
    )
    validate_minutes: float = setting(
        5.0, "Time between validations, as `minutes` count it; there is one more at the end.", above=0
    )
    save_minutes: float = setting(2.0, "Time between checkpoints by the clock: what a kill can cost.", above=0)
    log_steps: int = setting(20, "Steps between entries in the log.", above=0)


PRESETS: dict[str, TrainConfig] = {
    "small": TrainConfig(shape=SHAPE_SMALL),
    # Networks, terms and batches as the paper and its sources have them: crops of 320x180 of whole frames, flipped and
    # not changed otherwise, and propagation carried out. Weights of terms and the length of runs stand in its
    # supplement, which was not at hand; discriminators take part from the beginning.
    "paper": TrainConfig(
        shape=SHAPE_PAPER,
        flow=FLOW_PAPER,
        generator=GENERATOR_PAPER,
        patch_discriminator=PATCH_PAPER,
        class_discriminator=CLASS_PAPER,
        baselines=BASELINES_PAPER,
        sampler=SamplerConfig(
            **{"batch": 8, "frames": 5, "size": 320, "height": 180, "crop": True},
            **{"strides": (1, 1), "reversed": 0.0, "cutouts": 0.0, "pasted": 0.0, "unknown": 0.0},
            augment=AugmentConfig(light=0.0, contrast=0.0, saturation=0.0, tint=0.0),
        ),
        simulated_propagation=SimulatedPropagationConfig(share=0.0),
        loss=LossConfig(bce_amodal=1.0, bce_occluded=0.0, reconstruction_hidden=0.0, blend=0.0, adversarial_from=0.0),
        optimizer=OptimizerConfig(rate=1e-4, beta1=0.5, beta2=0.999, decay=0.0),
        steps=300_000,
        truth="raft-large",
        validate_minutes=60.0,
        save_minutes=10.0,
    ),
}

# Names that older commands and run folders have.
_OLD_SETTINGS = {"visits": "echoes", "imitation": "simulated_propagation", "loss.inpaint": "loss.fill"}
# Former settings that are constants now.
_CONSTANTS = {"optimizer.clip": 1.0, "loss.perceptual_side": 80, "simulated_propagation.guard": 2}


def change_settings(config: TrainConfig, changes: Iterable[str]) -> TrainConfig:
    """Return a copy of `config` with settings changed, as `voin.core.config.edit` does; old names are understood."""
    return edit(config, map(_renamed, changes))


def flatten_settings(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return the settings of a `train.json`, of this version or an older one, by their paths of today."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = _renamed(f"{above}{name}")
        if isinstance(value, Mapping):
            found |= flatten_settings(value, f"{path}.")
        elif path not in _CONSTANTS or value != _CONSTANTS[path]:
            found[path] = value
    return found


def _renamed(text: str) -> str:
    """Put today's name for an old one at the beginning of a path, or of a change of it."""
    for old, new in _OLD_SETTINGS.items():
        if text == old or text.startswith((f"{old}.", f"{old}=")):
            return new + text.removeprefix(old)
    return text
