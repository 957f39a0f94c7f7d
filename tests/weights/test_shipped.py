"""The weights that ship, on a clip whose truth is known."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import voin
from scenes.hidden_clips import Scene, iou, psnr, scene, texture
from voin.data.categories import CATEGORIES
from voin.io.video import probe, read
from voin.jobs.demo import MASKS
from voin.method.load import NETWORKS, USES
from voin.method.pipeline import Completion
from voin.method.window import cut_clip, to_working
from voin.weights.checkpoint import load_checkpoint, read_record
from voin.weights.hub import find_model, networks_of


def completed(method: str, clip: Scene, **given) -> Completion:
    return voin.load(method, device="cpu")(clip.frames, clip.visible, **given)


@pytest.fixture(scope="module")
def never_seen() -> Scene:
    """A disc of which a bar that goes with it hides a third all the time: no frame shows what is there."""
    return scene(t=8, size=(120, 160), start=(30.0, 34.0), speed=(3.0, 0.5), side=48, bar=(58, 74), bar_speed=3.0)


@pytest.fixture(scope="module")
def both(never_seen: Scene) -> dict[str, Completion]:
    return {method: completed(method, never_seen) for method in ("voin", "classical")}


def test_all_networks_ship_small_and_say_what_they_are() -> None:
    model = find_model("small")
    files = networks_of(model)
    assert tuple(files) == ("shape", "flow", "generator")
    assert sum(path.stat().st_size for path in model.iterdir()) < 20e6
    for kind, path in files.items():
        record = read_record(path)
        assert (record.about.kind, record.precision) == (kind, "fp16")
        assert record.about.recipe.minutes > 0
        assert record.about.scores
        assert set(record.about.use) == {field.name for field in fields(USES[kind])}
        assert record.about.classes == (CATEGORIES if kind == "shape" else ())
        network = load_checkpoint(path, NETWORKS)
        assert all(torch.isfinite(weight).all() for weight in network.parameters())


def test_they_complete_a_shape_that_no_frame_shows_better_than_classical(
    never_seen: Scene, both: dict[str, Completion]
) -> None:
    shares = {method: iou(each.amodal, never_seen.amodal) for method, each in both.items()}
    assert shares["voin"] > shares["classical"] + 0.03
    assert shares["voin"] > iou(never_seen.visible, never_seen.amodal) + 0.05


def test_they_show_hidden_pixels_better_than_classical(never_seen: Scene, both: dict[str, Completion]) -> None:
    values = {method: psnr(each.frames, never_seen.clean, never_seen.hidden) for method, each in both.items()}
    assert values["voin"] > values["classical"] + 1


def test_what_was_seen_elsewhere_is_restored_nearly_as_well_with_the_whole_mask_given() -> None:
    clip = scene(t=14, size=(120, 160), start=(20.0, 34.0), speed=(6.0, 0.5), side=48, bar=(70, 84))
    values = {
        method: psnr(completed(method, clip, amodal=clip.amodal).frames, clip.clean, clip.hidden)
        for method in ("voin", "classical")
    }
    assert values["voin"] > values["classical"] - 1
    assert values["voin"] > 20


MIDDLES = {
    "turns slowly": [60 + 6 * min(t, 24 - t) for t in range(25)],
    "turns fast": [60 + 12 * min(t, 24 - t) for t in range(25)],
    "stops": [40 + 10 * min(t, 10) for t in range(20)],
    "leaves and comes back": [int(220 + 150 * np.sin(t / 35 * np.pi)) for t in range(36)],
}


@pytest.mark.parametrize("seed", [5, 11])
@pytest.mark.parametrize("motion", MIDDLES)
def test_an_object_in_clear_view_gets_nothing_painted_beside_it_whatever_it_does(motion: str, seed: int) -> None:
    h, w = 180, 320
    y, x = np.mgrid[:h, :w].astype(np.float32)
    ground = texture((h, w), seed, (0.5, 0.5, 0.5), 6.0) * np.where(y < 110, 1.0, 0.7)[..., None].astype(np.float32)
    skin = texture((121, 61), seed + 50, (0.5, 0.5, 0.5), 4.0)
    frames, masks = [], []
    for middle in MIDDLES[motion]:
        head = (x - middle) ** 2 + (y - 57) ** 2 <= 144
        inside = head | (((x - middle) / 20) ** 2 + ((y - 103) / 36) ** 2 <= 1)
        frame = ground.copy()
        rows, columns = np.nonzero(inside)
        frame[inside] = skin[rows - 35, columns - middle + 30]
        frames.append(frame)
        masks.append(inside)
    clip = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[None].contiguous()
    visible = torch.from_numpy(np.stack(masks)).float()[None, :, None]
    found = voin.load("voin", device="cpu")(clip, visible).amodal
    added = (found - visible).clamp(min=0).sum() / visible.sum()
    assert added < (0.01 if motion.startswith("leaves") else 0.005)


def test_the_weights_are_part_of_the_package() -> None:
    assert find_model("small").is_relative_to(Path(voin.__file__).parent)


def test_a_parked_bicycle_is_completed_behind_legs_and_the_wall_in_its_frame_is_left(bikes: Path) -> None:
    frames = list(read(probe(bikes), 187, 242))
    masks = [np.asarray(Image.open(path)) > 0 for path in sorted((MASKS / "bicycle").glob("*.png"))]
    inpainter = voin.load("voin", device="cpu")
    window = inpainter.config.window
    clip = cut_clip(frames, masks, config=window)
    pictures, visible = (to_working(each, window.size)[None] for each in (clip.frames, clip.visible))
    whole = inpainter.shape(pictures, visible, torch.ones_like(visible), *inpainter.coarse_motion(pictures), None)
    hidden = ((whole > 0.5) & (visible <= 0.5)).sum(dim=(2, 3, 4))[0] / (visible > 0.5).sum(dim=(2, 3, 4))[0]
    passing, gone = hidden[11:20], hidden[28:]  # frames 198 to 206, and 215 to 241
    assert passing.min() > 0.1
    assert gone.max() < 0.05
