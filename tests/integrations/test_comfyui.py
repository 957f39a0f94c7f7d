from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fakes.comfy_ui import (
    CORE,
    PACK,
    FakeComfy,
    InterruptProcessingException,
    comfy,
    default,
    is_widget,
    load_pack,
    run,
)
from fakes.fake_method import save_frames, save_labels
from scenes.hidden_clips import Scene, inpainter, iou, scene
from voin.core import __version__
from voin.core.types import to_kind
from voin.io.images import read_picture
from voin.jobs.complete import complete
from voin.method import parts
from voin.method.pipeline import Inpainter
from voin.method.window import ObjectClip

__all__ = ["comfy"]

NODES: dict[str, Any] = load_pack().NODE_CLASS_MAPPINGS
EXAMPLE = PACK / "example_workflows" / "complete_object.json"


@pytest.fixture(scope="module")
def clip() -> Scene:
    return scene()


def images(clip: Scene) -> torch.Tensor:
    return clip.frames[0].permute(0, 2, 3, 1).contiguous()


# What ComfyUI expects of a pack.


def test_the_pack_has_four_nodes_with_names() -> None:
    pack = load_pack()
    assert pack.NODE_DISPLAY_NAME_MAPPINGS == {
        "VoinLoadInpainter": "Load inpainter",
        "VoinCompleteObject": "Complete object",
        "VoinTrackMask": "Track mask",
        "VoinOccluderFromMask": "Occluder from mask",
    }
    assert set(pack.NODE_CLASS_MAPPINGS) == set(pack.NODE_DISPLAY_NAME_MAPPINGS)


@pytest.mark.parametrize("node", NODES.values(), ids=list(NODES))
def test_a_node_declares_what_it_takes_and_gives(node: Any) -> None:
    assert node.CATEGORY == "voin"
    assert node.DESCRIPTION
    assert callable(getattr(node, node.FUNCTION))
    assert len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
    declared = node.INPUT_TYPES()
    assert set(declared) <= {"required", "optional"}
    for kind in (*declared["required"].values(), *declared.get("optional", {}).values()):
        assert isinstance(kind, tuple)
        if is_widget(kind):
            assert kind[1]["tooltip"]
            assert default(kind) is not None
            assert not isinstance(kind[0], list) or default(kind) in kind[0]
    json.dumps(declared)  # it is sent to the browser


def test_the_pack_imports_without_comfyui() -> None:
    code = (
        "import importlib.util as u, sys; "
        f"spec = u.spec_from_file_location('pack', {str(PACK / '__init__.py')!r}); m = u.module_from_spec(spec); "
        "sys.modules['pack'] = m; spec.loader.exec_module(m); print(len(m.NODE_CLASS_MAPPINGS), 'comfy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "False"]


def test_its_own_files_ask_for_this_voin() -> None:
    project = tomllib.loads((PACK / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
    assert project["dependencies"] == (PACK / "requirements.txt").read_text().split() == [f"voin>={__version__}"]


# The nodes.


def test_an_object_is_completed_and_all_else_is_as_it_was(clip: Scene, comfy: FakeComfy) -> None:
    frames, masks = images(clip), clip.visible[0, :, 0]
    (front,) = run(NODES["VoinOccluderFromMask"], masks=clip.bar[0, :, 0], images=frames, grow=0)
    completed, amodal, occluded, layer, confidence = run(
        NODES["VoinCompleteObject"], inpainter=inpainter(), images=frames, masks=masks, occluder=front
    )
    whole = inpainter()(clip.frames, clip.visible, occluder=clip.bar)
    assert occluded.any()
    assert torch.equal(completed, whole.frames[0].permute(0, 2, 3, 1))
    assert torch.equal(amodal, whole.amodal[0, :, 0])
    assert torch.equal(occluded, whole.occluded[0, :, 0])
    assert torch.allclose(confidence, whole.confidence[0, :, 0], atol=1e-6)
    assert torch.equal(layer[..., 3], amodal)
    assert torch.equal(layer[..., :3], completed * amodal[..., None])
    assert torch.equal(frames, images(clip))
    assert [done == total for done, total in comfy.bars] == [True, True]


def test_the_same_frames_come_out_of_the_node_and_of_voin_complete(
    comfy: FakeComfy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_BYTES", 200_000)  # not too little for pictures of 8 bits, but for those of float32
    asked: list[tuple[int, range]] = []
    whole = Inpainter.complete_object

    def complete_object(self: Inpainter, clip: ObjectClip, wanted: range, **more: Any) -> Any:
        asked.append((len(clip), wanted))
        return whole(self, clip, wanted, **more)

    monkeypatch.setattr(Inpainter, "complete_object", complete_object)
    clips = scene(t=26), scene(t=18, start=(26.0, 10.0), speed=(1.0, 0.4), side=14, seed=7)
    frames = np.concatenate([to_kind(images(clip).numpy(), np.dtype(np.uint8)) for clip in clips])
    masks = torch.cat([clip.visible[0, :, 0] for clip in clips])
    folder = save_frames(tmp_path / "frames", list(frames))
    labels = save_labels(tmp_path / "masks", list(masks.byte().numpy()))
    complete(folder, labels, tmp_path / "out", inpainter=inpainter())
    of_command, asked[:] = asked[:], []
    given = {"images": torch.from_numpy(frames).float() / 255, "masks": masks}
    completed, _, occluded, *_ = run(NODES["VoinCompleteObject"], inpainter=inpainter(), **given)
    assert len(of_command) > 2
    assert asked == of_command
    saved = [read_picture(path) for path in sorted((tmp_path / "out" / "completed").iterdir())]
    differences = np.abs(np.stack(saved).astype(int) - to_kind(completed.numpy(), np.dtype(np.uint8)))
    assert differences.max() <= 1  # rounded before or after colours are mixed
    shown = occluded.numpy() > 0
    assert shown.any()
    assert not differences[~shown].any()


def test_a_seam_of_what_is_visible_is_made_anew(clip: Scene, comfy: FakeComfy) -> None:
    masks = clip.visible[0, :, 0]
    given = {"inpainter": inpainter(), "images": images(clip), "masks": masks}
    plain, none, wide = (
        run(NODES["VoinCompleteObject"], **given, **more)[2] for more in ({}, {"seam": 0}, {"seam": 2})
    )
    assert torch.equal(plain, none)  # of so few lines
    assert not (none * masks).any()
    assert (wide * masks).any()
    assert torch.equal(wide.maximum(none), wide)


def test_alpha_of_the_images_is_kept_and_1_where_the_object_is_shown(clip: Scene, comfy: FakeComfy) -> None:
    frames = torch.cat([images(clip), torch.full((*images(clip).shape[:3], 1), 0.25)], dim=-1)
    completed, _, occluded, _, _ = run(
        NODES["VoinCompleteObject"], inpainter=inpainter(), images=frames, masks=clip.visible[0, :, 0], cuts="none"
    )
    assert torch.equal(completed[..., 3], torch.where(occluded > 0, 1.0, 0.25))


def test_a_cancel_stops_the_work_at_the_end_of_a_stage(clip: Scene, comfy: FakeComfy) -> None:
    comfy.cancel_after = 1
    with pytest.raises(InterruptProcessingException):
        run(
            NODES["VoinCompleteObject"],
            inpainter=inpainter(),
            images=images(clip),
            masks=clip.visible[0, :, 0],
            cuts="none",
        )
    assert comfy.bars == [(0, len(images(clip)))]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"masks": torch.zeros(1, 64, 80)}, "masks has 1 masks for 10 images"),
        ({"masks": torch.zeros(10, 64, 64)}, "masks are 64x64 and the images 80x64"),
        ({"masks": torch.zeros(10, 64, 80)}, "visible marks no pixel in any frame"),
        ({"images": torch.zeros(10, 64, 80)}, "images has shape"),
        ({"occluder": torch.zeros(3, 64, 80)}, "occluder has 3 masks for 10 images"),
    ],
)
def test_what_does_not_fit_is_refused(clip: Scene, comfy: FakeComfy, change: dict[str, Any], text: str) -> None:
    given = {"inpainter": inpainter(), "images": images(clip), "masks": clip.visible[0, :, 0], "cuts": "none", **change}
    with pytest.raises(ValueError, match=text):
        run(NODES["VoinCompleteObject"], **given)


def test_a_batch_whose_copy_does_not_fit_into_memory_is_refused(clip: Scene, comfy: FakeComfy) -> None:
    for free in (1000, images(clip).nbytes):
        comfy.free = free
        with pytest.raises(ValueError, match="of memory are free; the completed ones must fit in, too"):
            run(NODES["VoinCompleteObject"], inpainter=inpainter(), images=images(clip), masks=clip.visible[0, :, 0])


@pytest.mark.parametrize("how", ["box", "mask", "more"])
def test_an_object_is_tracked_from_what_marks_it(clip: Scene, comfy: FakeComfy, how: str) -> None:
    shown = scene(bar=None)
    truth = shown.visible[0, :, 0]
    rows, columns = np.nonzero(truth[3].numpy())
    x, y = int(columns.min()), int(rows.min())
    box = f"{x},{y},{int(columns.max()) - x + 1},{int(rows.max()) - y + 1}"
    marks: dict[str, Any] = {
        "box": {"box": box, "frame": 3},
        "mask": {"mask": truth[3:4], "frame": 3},
        "more": {"more": f"3: box {box}\n"},
    }[how]
    (masks,) = run(NODES["VoinTrackMask"], images=images(shown), tracker="grabcut", **marks)
    assert iou(masks, truth) > 0.85
    assert [done == total for done, total in comfy.bars] == [True, True]


def test_marks_that_say_nothing_are_refused(clip: Scene, comfy: FakeComfy) -> None:
    with pytest.raises(ValueError, match="nothing says what the object is"):
        run(NODES["VoinTrackMask"], images=images(clip), cuts="none")
    with pytest.raises(ValueError, match="mask has 4 masks for 10 images"):
        run(NODES["VoinTrackMask"], images=images(clip), mask=torch.ones(4, 64, 80), cuts="none")


def test_the_occluder_is_held_grown_and_without_the_object(clip: Scene, comfy: FakeComfy) -> None:
    frames, seen = images(clip), clip.visible[0, :, 0]
    front = torch.zeros(1, 64, 80)
    front[:, 20:30, 40:50] = 0.7
    (made,) = run(NODES["VoinOccluderFromMask"], masks=front, images=frames, object_masks=seen)
    grown = torch.zeros(64, 80)
    grown[18:32, 38:52] = 1
    assert torch.equal(made, grown * (1 - seen))
    (other,) = run(NODES["VoinOccluderFromMask"], masks=front, images=frames, grow=0, invert=True)
    assert torch.equal(other[0], (front[0] == 0).float())


def test_an_inpainter_is_loaded_on_the_device_of_comfyui(comfy: FakeComfy) -> None:
    (loaded,) = run(NODES["VoinLoadInpainter"], method="classical")
    assert loaded.settings()["method"] == "classical"
    assert loaded.settings()["device"] == "cpu"
    with pytest.raises(ValueError, match="the model is 'small' and the method classical"):
        run(NODES["VoinLoadInpainter"], method="classical", model="small")


# The example.


def example() -> tuple[dict[int, dict[str, Any]], list[list[Any]]]:
    content = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    assert content["version"] == 0.4
    assert content["last_node_id"] == max(node["id"] for node in content["nodes"])
    assert content["last_link_id"] == max(link[0] for link in content["links"])
    return {node["id"]: node for node in content["nodes"]}, content["links"]


def test_every_node_of_the_example_has_the_slots_of_its_class() -> None:
    nodes, _ = example()
    assert {node["type"] for node in nodes.values()} >= {"VoinLoadInpainter", "VoinTrackMask", "VoinCompleteObject"}
    for node in nodes.values():
        slots = {slot["name"]: slot["type"] for slot in node["inputs"]}
        gives = [(slot["name"], slot["type"]) for slot in node["outputs"]]
        if node["type"] in CORE:
            assert (slots, gives, len(node["widgets_values"])) == CORE[node["type"]], node["type"]
            continue
        kind = NODES[node["type"]]
        declared = {**kind.INPUT_TYPES()["required"], **kind.INPUT_TYPES().get("optional", {})}
        widgets = {name: value for name, value in declared.items() if is_widget(value)}
        assert slots == {name: value[0] for name, value in declared.items() if name not in widgets}
        assert gives == list(zip(kind.RETURN_NAMES, kind.RETURN_TYPES, strict=True))
        for (name, value), set_to in zip(widgets.items(), node["widgets_values"], strict=True):
            words, more = value
            if isinstance(words, list):
                assert set_to in words, name
            else:
                assert isinstance(set_to, {"STRING": str, "INT": int, "FLOAT": float, "BOOLEAN": bool}[words]), name
                assert more.get("min", set_to) <= set_to <= more.get("max", set_to), name


def test_every_link_of_the_example_joins_slots_of_one_type() -> None:
    nodes, links = example()
    order = {number: node["order"] for number, node in nodes.items()}
    for number, source, out, target, into, kind in links:
        start, end = nodes[source]["outputs"][out], nodes[target]["inputs"][into]
        assert number in start["links"]
        assert number == end["link"]
        assert start["type"] == end["type"] == kind
        assert order[source] < order[target]
    told = {number for node in nodes.values() for slot in node["outputs"] for number in slot["links"]}
    asked = {slot["link"] for node in nodes.values() for slot in node["inputs"]} - {None}
    assert told == asked == {link[0] for link in links}


def test_all_that_a_node_of_the_example_needs_is_linked() -> None:
    for node in example()[0].values():
        if node["type"] in NODES:
            needed = NODES[node["type"]].INPUT_TYPES()["required"]
            linked = {slot["name"] for slot in node["inputs"] if slot["link"] is not None}
            assert {name for name, kind in needed.items() if not is_widget(kind)} <= linked
