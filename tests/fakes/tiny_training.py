"""Training so small that a step takes a blink."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sets.packs import cutouts_of, pack_of, save_pack
from voin.baselines.trained.deepfill import DeepfillConfig
from voin.baselines.trained.dfvi import DfviConfig
from voin.baselines.trained.edges import EdgesConfig
from voin.baselines.trained.lgtsm import LgtsmConfig
from voin.baselines.trained.models import BaselinesConfig
from voin.baselines.trained.pcnet import PcnetConfig
from voin.baselines.trained.pcnet_c import PcnetCConfig
from voin.baselines.trained.pcnet_m import PcnetMConfig
from voin.baselines.trained.sttn import SttnConfig
from voin.data.occluders.occlude import OccluderConfig
from voin.data.occluders.shapes import ShapeConfig as OccluderShapeConfig
from voin.method.fill.generator import GeneratorConfig
from voin.method.flow.network import FlowConfig
from voin.method.shape.network import ShapeConfig
from voin.training.batch.config import SamplerConfig
from voin.training.config import LossConfig, OptimizerConfig, TrainConfig
from voin.training.discriminators import ClassConfig, TemporalPatchConfig
from voin.training.options import TrainOptions

OCCLUDER = OccluderConfig(tries=2, points=32, shape=OccluderShapeConfig(size=32))
TINY = TrainConfig(
    shape=ShapeConfig(channels=(4, 6), depth=1, patches=((2, 2), (4, 4)), prior=4),
    flow=FlowConfig(channels=(4, 6), gaps=(0, 1)),
    generator=GeneratorConfig(channels=(4, 6), dilations=(1,), shifts=(1,)),
    patch_discriminator=TemporalPatchConfig(channels=(4, 1)),
    class_discriminator=ClassConfig(channels=(4, 4, 4, 4)),
    baselines=BaselinesConfig(
        sttn=SttnConfig(channels=(4, 4, 4, 4), blocks=1, patches=((4, 4), (2, 2))),
        lgtsm=LgtsmConfig(channels=4, dilations=(2,)),
        deepfill=DeepfillConfig(channels=2),
        dfvi=DfviConfig(stem=4, channels=(4, 4, 4, 4), blocks=(1, 1, 1, 1), head=(4, 4), frames=3),
        edges=EdgesConfig(channels=(4, 4, 4), blocks=1),
        pcnet=PcnetConfig(channels=2),
        pcnet_m=PcnetMConfig(channels=2),
        pcnet_c=PcnetCConfig((4, 4), (3, 3)),
    ),
    sampler=SamplerConfig(batch=2, frames=3, size=32, strides=(1, 2), occluder=OCCLUDER),
    optimizer=OptimizerConfig(rate=2e-3, warmup_steps=2, average=0.9),
    loss=LossConfig(adversarial_from=0.0),
    steps=6,
    half=False,
    validation_clips=4,
    log_steps=2,
)


def options(folder: Path, stage: str, name: str = "run", **more) -> TrainOptions:
    """Give what a run is given: packs are written into `folder` at the first call."""
    pack, cutouts = folder / "clips.pack", folder / "cutouts.pack"
    if not pack.exists():
        save_pack(pack_of(("a", "b", "c"), ("dog", "cat", None)), pack)
        save_pack(cutouts_of(3), cutouts)
    return TrainOptions(stage=stage, pack=pack, out=folder / name, cutouts=cutouts, device="cpu", **more)  # pyright: ignore


def longer(steps: int, **more) -> TrainConfig:
    """Give the tiny config with other settings."""
    return replace(TINY, steps=steps, **more)
