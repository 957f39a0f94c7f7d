"""Every network of the baselines learns one clip by heart."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fakes.tiny_training import TINY
from sets.packs import pack_of
from voin.baselines.trained.deepfill import DeepfillConfig
from voin.baselines.trained.dfvi import DfviConfig
from voin.baselines.trained.edges import EdgesConfig
from voin.baselines.trained.lgtsm import LgtsmConfig
from voin.baselines.trained.models import NETWORKS, BaselinesConfig
from voin.baselines.trained.pcnet import PcnetConfig
from voin.baselines.trained.pcnet_c import PcnetCConfig
from voin.baselines.trained.pcnet_m import PcnetMConfig
from voin.baselines.trained.sttn import SttnConfig
from voin.training.sampler import Sampler
from voin.training.tasks import TASKS

SMALL = BaselinesConfig(
    sttn=SttnConfig((8, 8, 16, 24), 2, ((8, 8), (4, 4), (2, 2))),
    lgtsm=LgtsmConfig(channels=8, dilations=(2, 4)),
    deepfill=DeepfillConfig(channels=6),
    dfvi=DfviConfig(stem=8, channels=(16, 16, 16, 16), blocks=(1, 1, 1, 1), head=(16, 16), frames=3),
    edges=EdgesConfig((8, 16, 16), 1),
    pcnet=PcnetConfig(channels=4),
    pcnet_m=PcnetMConfig(channels=4),
    pcnet_c=PcnetCConfig((8, 16), (5, 3)),
)
# Of the error in the hole, or of the mask, after training over that before.
LEFT = {"sttn": 0.5, "lgtsm": 0.5, "deepfill": 0.5, "dfvi": 0.5, "edges": 0.5, "pcnet": 0.3}
LEFT |= {"pcnet-m": 0.3, "pcnet-c": 0.5}
TERM = {"sttn": "hole", "lgtsm": "whole", "deepfill": "hole", "dfvi": "refined", "edges": "cross_entropy"}
TERM |= {"pcnet-m": "partial", "pcnet-c": "hole"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_overfits_one_clip(kind: str) -> None:
    torch.manual_seed(1)
    config = replace(TINY, baselines=SMALL, sampler=replace(TINY.sampler, batch=1, frames=3, size=64))
    task = TASKS[kind](config)  # pyright: ignore
    pack = pack_of(("a", "b"), size=64)
    x = task.prepare(Sampler(pack, config.sampler, "cpu", 3).batch(0), (1,))
    optimizer = torch.optim.Adam(task.parameters(), 3e-3, (0.9, 0.99))
    history = []
    for _ in range(200):
        terms, _ = task(x)
        torch.stack([task.weights()[name] * value for name, value in terms.items()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        history.append(terms[TERM.get(kind, "bce_amodal")].item())
    assert sum(history[-5:]) / 5 < LEFT[kind] * history[0], history[::20]
