"""The kinds of input that `fuzz.py` damages: how a good one is made, and how it is read."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import cv2
import numpy as np
import torch
from av.video.stream import VideoStream
from PIL import Image
from torchvision.models.optical_flow import raft_small

from voin.app.controls import read_controls
from voin.app.gate.limits import check_video, take_masks
from voin.app.gate.sessions import Session
from voin.app.options import Limits
from voin.app.workspace import Workspace
from voin.cli.app import app
from voin.cli.console import report_errors
from voin.core.errors import Refusal
from voin.data.build import build
from voin.data.build_clip import BuildConfig
from voin.data.options import FilterConfig
from voin.data.packs.pack import make_pack, open_pack
from voin.data.packs.transport import write_transport
from voin.data.sets import open_set
from voin.io.images import read_picture, write_image
from voin.io.masks.check import check_masks
from voin.io.masks.source import write_label
from voin.io.video import probe, read
from voin.jobs.batch import read_table
from voin.jobs.options import CompleteOptions, MaskOptions, MethodOptions
from voin.jobs.speed import BenchConfig, make_clip
from voin.weights.hub import find_model

FRAMES, SIZE = 10, (64, 96)


@dataclass(frozen=True)
class Kind:
    """A kind of reader: `make` writes good inputs into a folder, of which `damaged` match, and `read` reads them."""

    make: Callable[[Path], None]
    damaged: Sequence[str]
    read: Callable[[Path], object]
    result: str = "result"  # what a refusal must not leave; empty: it stands there before


def command(*words: str) -> Callable[[Path], object]:
    """Return what calls voin with these words; `@` stands for the folder of the input."""
    return lambda folder: app([word.replace("@", str(folder)) for word in words], prog_name="voin")


def clip(folder: Path) -> None:
    """Write a video and its masks."""
    make_clip(folder, BenchConfig(size=SIZE, frames=FRAMES))


def source(folder: Path) -> None:
    """Write videos with masks in the layout of YouTube-VOS."""
    listed = {}
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    for number in range(3):
        name, stems = f"v{number}", [f"{i:05d}" for i in range(FRAMES)]
        for part in ("JPEGImages", "Annotations"):
            (folder / "train" / part / name).mkdir(parents=True)
        for i, stem in enumerate(stems):
            mask = (x - 40 - i) ** 2 + (y - 30) ** 2 < 15**2
            colours = np.where(mask[..., None], (200, 90, 20 + 80 * number), (x + y)[..., None]).astype(np.uint8)
            write_image(folder / "train" / "JPEGImages" / name / f"{stem}.jpg", colours)
            write_label(folder / "train" / "Annotations" / name / f"{stem}.png", mask.astype(np.uint8))
        listed[name] = {"objects": {"1": {"category": "fox", "frames": stems}}}
    (folder / "train" / "meta.json").write_text(json.dumps({"videos": listed}))


def voi_set(folder: Path) -> None:
    """Write a set."""
    source(folder / "source")
    config = BuildConfig("youtube-vos", size=SIZE, filters=FilterConfig(least_frames=2))
    build(folder / "source", folder / "set", config)
    shutil.rmtree(folder / "source")


def packs(folder: Path) -> None:
    """Write a pack and its small form."""
    voi_set(folder)
    write_transport(make_pack(open_set(folder / "set"), folder / "a.pack", 32), folder / "a.zip")
    shutil.rmtree(folder / "set")


def read_pack(folder: Path) -> None:
    """Open a pack and read all that is in it."""
    with report_errors():
        pack = open_pack(folder / "a.pack")
        for index in range(len(pack)):
            frames, masks = pack.clip(index)
            assert frames.shape == (*masks.shape, 3)
            print(int(frames.sum()) + int(masks.sum()))


def sprites(folder: Path) -> None:
    """Write moving things with soft masks, as frames and as a video with one for its mask."""
    y, x = np.mgrid[:48, :48]
    for name in ("a", "b"):
        (folder / "sprites" / name).mkdir(parents=True)
    covers = [(255 * np.clip(12.5 - np.hypot(x - 20 - i, y - 24), 0, 1)).astype(np.uint8) for i in range(FRAMES)]
    colours = np.dstack([4 * x, 4 * y, x + y]).astype(np.uint8)
    for i, cover in enumerate(covers):
        for name in ("a", "b"):
            write_image(folder / "sprites" / name / f"{i:05d}.png", np.dstack([colours, cover]))
    for name, codec, layout, frames in (
        ("c.mp4", "libx264", "rgb24", [colours] * FRAMES),
        ("c.mask.mkv", "ffv1", "gray", covers),
    ):
        with av.open(str(folder / "sprites" / name), "w") as container:
            stream = cast(VideoStream, container.add_stream(codec, rate=12))
            stream.height, stream.width, stream.pix_fmt = 48, 48, "gray" if layout == "gray" else "yuv420p"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=layout)))
            container.mux(stream.encode(None))


def cutouts(folder: Path) -> None:
    """Write photographs of one thing each, with their masks."""
    y, x = np.mgrid[:60, :80]
    for i in range(3):
        mask = (x - 40 - i) ** 2 + (y - 30) ** 2 < 15**2
        colours = np.where(mask[..., None], (200, 90, 20), (x + y)[..., None]).astype(np.uint8)
        for part, suffix, picture in (("img", "jpg", colours), ("mask", "png", mask.astype(np.uint8) * 255)):
            (folder / "cats" / part).mkdir(parents=True, exist_ok=True)
            write_image(folder / "cats" / part / f"{i}.{suffix}", picture)


def checkpoints(folder: Path) -> None:
    """Write a clip, and copy the model that ships."""
    clip(folder)
    shutil.copytree(find_model("small"), folder / "model")


def prompts(folder: Path) -> None:
    """Write a video and prompts for it."""
    clip(folder)
    marked = [{"frame": 0, "box": [20, 10, 30, 40]}, {"frame": 5, "points": [[40, 30]], "negative": [[2, 2]]}]
    (folder / "prompts.json").write_text(json.dumps(marked))


def mask_arrays(folder: Path) -> None:
    """Write a video, and its masks as arrays."""
    clip(folder)
    pictures = [read_picture(path)[..., 0] for path in sorted((folder / "masks").iterdir())]
    np.savez_compressed(folder / "masks.npz", np.stack(pictures) > 127)


def run_folder(folder: Path) -> None:
    """Leave a finished run, and the state of one that was stopped, as in its output folder."""
    clip(folder)
    run = [sys.executable, "-m", "voin", "complete", f"{folder}/video.mp4", f"{folder}/masks", "-o", f"{folder}/out"]
    subprocess.run([*run, "--method", "classical", "-q"], check=True)
    (folder / "out" / ".voin").mkdir()
    request = json.loads((folder / "out" / "run.json").read_text())
    (folder / "out" / ".voin" / "state.json").write_text(json.dumps({"request": request.get("request", request)}))


def reports(read: Callable[[Path], object]) -> Callable[[Path], None]:
    """Return what reads a folder, and says what is refused as commands do."""

    def reading(folder: Path) -> None:
        with report_errors():
            read(folder)

    return reading


def write_video(path: Path, frames: Sequence[np.ndarray], codec: str, layout: str) -> None:
    """Encode frames (h, w, 3)."""
    with av.open(str(path), "w") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=12, options={"g": "4"}))
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], layout
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format=layout)
            picture.pts, picture.time_base = index, Fraction(1, 12)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def containers(folder: Path) -> None:
    """Write a clip in every form that is read but mp4."""
    (folder / "clip").mkdir()
    clip(folder / "clip")
    frames = list(read(probe(folder / "clip" / "video.mp4")))
    shutil.rmtree(folder / "clip")
    forms = {"mkv": "libx264", "avi": "mpeg4", "webm": "libvpx", "ts": "libx264", "flv": "flv1", "mpg": "mpeg1video"}
    for suffix, codec in forms.items():
        layout = "yuv420p"
        with_rate = frames if suffix != "mpg" else frames[:8]
        try:
            write_video(folder / f"a.{suffix}", with_rate, codec, layout)
        except (av.FFmpegError, ValueError):
            (folder / f"a.{suffix}").unlink(missing_ok=True)  # this FFmpeg cannot write it
    write_video(folder / "a.gif", frames, "gif", "rgb8")
    write_video(folder / "a.mov", frames[:4], "png", "rgb24")
    first, *others = map(Image.fromarray, frames)
    first.save(folder / "a.png", save_all=True, append_images=others)
    first.save(folder / "a.webp", save_all=True, append_images=others)
    (folder / "pictures").mkdir()
    for index, frame in enumerate(frames):
        write_image(folder / "pictures" / f"{index}.{'png' if index % 2 else 'jpg'}", frame)


def read_videos(folder: Path) -> None:
    """Read every frame of every video."""
    for path in sorted(folder.iterdir()):
        if path.name != "said.txt":
            print(path.name, sum(int(frame.sum()) for frame in read(probe(path))))


def mask_videos(folder: Path) -> None:
    """Write a video, and its masks as videos."""
    clip(folder)
    masks = [read_picture(path) for path in sorted((folder / "masks").iterdir())]
    write_video(folder / "masks.mkv", masks, "ffv1", "gray")
    write_video(folder / "masks.mov", masks, "qtrle", "rgb24")


def run_check(folder: Path, name: str) -> None:
    """Look at masks."""
    check_masks(folder / "video.mp4", folder / name)


def outlines(folder: Path) -> list[list[float]]:
    """Write a video; return the outline of the object in each of its frames."""
    clip(folder)
    found = []
    for path in sorted((folder / "masks").iterdir()):
        edges, _ = cv2.findContours(read_picture(path)[..., 0], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        found.append([float(value) for value in max(edges, key=len).reshape(-1, 2)[::4].ravel()])
    shutil.rmtree(folder / "masks")
    return found


def coco(folder: Path) -> None:
    """Write annotations in the form of COCO: outlines, and one mask in runs."""
    drawn, (h, w) = outlines(folder), SIZE
    images = [{"id": i, "file_name": f"{i:05d}.jpg", "height": h, "width": w} for i in range(len(drawn))]
    shapes: list[Any] = [[outline] for outline in drawn]
    shapes[0] = {"size": [h, w], "counts": [h * 10, h * 20, h * (w - 30)]}
    annotations = [
        {"id": i + 1, "image_id": i, "category_id": 1, "segmentation": shape, "iscrowd": 0, "area": 9,
         "bbox": [0, 0, 9, 9], "attributes": {"track_id": 1}}
        for i, shape in enumerate(shapes)
    ]  # fmt: skip
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "masks.json").write_text(json.dumps(content))


def youtube_vis(folder: Path) -> None:
    """Write annotations in the form of YouTube-VIS."""
    drawn, (h, w) = outlines(folder), SIZE
    names = [f"clip/{i:05d}.jpg" for i in range(len(drawn))]
    shapes: list[Any] = [[outline] for outline in drawn]
    shapes[0] = {"size": [h, w], "counts": [h * 10, h * 20, h * (w - 30)]}
    content = {
        "videos": [{"id": 2, "height": h, "width": w, "length": len(drawn), "file_names": names}],
        "annotations": [{"id": 3, "video_id": 2, "category_id": 1, "segmentations": shapes}],
        "categories": [{"id": 1, "name": "person"}],
    }
    (folder / "masks.json").write_text(json.dumps(content))


def cvat(folder: Path) -> None:
    """Write annotations in the form of CVAT for video."""
    drawn, (h, w) = outlines(folder), SIZE
    shapes = [f'<mask frame="0" keyframe="1" outside="0" rle="0, {h * 20}" left="5" top="0" width="20" height="{h}"/>']
    for i, outline in enumerate(drawn[1:], start=1):
        points = ";".join(f"{x:.1f},{y:.1f}" for x, y in zip(outline[::2], outline[1::2], strict=True))
        shapes.append(f'<polygon frame="{i}" keyframe="1" outside="0" points="{points}"/>')
    size = f"<original_size><width>{w}</width><height>{h}</height></original_size>"
    frames = f"<size>{len(drawn)}</size><start_frame>0</start_frame><stop_frame>{len(drawn) - 1}</stop_frame>"
    track = f'<track id="0" label="person">{"".join(shapes)}</track>'
    task = f"<meta><task>{frames}{size}</task></meta>"
    (folder / "masks.xml").write_text(f'<?xml version="1.0"?><annotations>{task}{track}</annotations>')


def labelme(folder: Path) -> None:
    """Write annotations in the form of LabelMe, a file a frame."""
    drawn = outlines(folder)
    (folder / "masks").mkdir()
    for i, outline in enumerate(drawn):
        points = [list(pair) for pair in zip(outline[::2], outline[1::2], strict=True)]
        shapes = [{"label": "person", "points": points, "group_id": 1, "shape_type": "polygon", "flags": {}}]
        size = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
        content = {"version": "5.0.1", "shapes": shapes, "imagePath": f"{i:05d}.jpg", "imageData": None, **size}
        (folder / "masks" / f"{i:05d}.json").write_text(json.dumps(content))


def tables(folder: Path) -> None:
    """Write the clips of a batch, as both forms of a table."""
    rows = [{"video": f"{i}.mp4", "masks": f"m{i}", "name": f"n{i}", "ids": "1,2", "crf": 20 + i} for i in range(3)]
    lines = [",".join(rows[0]), *(",".join(f'"{value}"' for value in row.values()) for row in rows)]
    (folder / "clips.csv").write_text("\n".join(lines))
    (folder / "clips.jsonl").write_text("\n".join(map(json.dumps, rows)))


def read_tables(folder: Path) -> None:
    """Read them."""
    for name in ("clips.csv", "clips.jsonl"):
        print(len(read_table(folder / name, CompleteOptions())))


def cuts(folder: Path) -> None:
    """Write a clip and where its shots begin."""
    clip(folder)
    (folder / "cuts.txt").write_text("3\n5\n8\n")


def flow_weights(folder: Path) -> None:
    """Write the weights of an optical flow, as torch saves them."""
    torch.manual_seed(0)
    torch.save(raft_small(weights=None).state_dict(), folder / "raft.pt")


def read_flow_weights(folder: Path) -> None:
    """Load them."""
    MethodOptions("classical", flow="raft-small", raft_weights=folder / "raft.pt").load()


def events(folder: Path) -> None:
    """Write what a browser sends when a user works on the page."""
    clip(folder)
    paint = np.zeros((*SIZE, 4), np.uint8)
    paint[10:30, 20:40] = 255
    good, data = cv2.imencode(".png", paint)
    assert good
    drawn = "data:image/png;base64," + base64.b64encode(data.tobytes()).decode()
    calls = [
        ["draw", [{"kind": "box", "frame": 0, "x": 20, "y": 10, "w": 30, "h": 40}]],
        ["draw", [{"kind": "point", "frame": 0, "x": 30, "y": 20}]],
        ["draw", [{"kind": "paint", "frame": 0, "data": drawn}]],
        ["type", ["20,10,30,40", "30,20 31,21", "2,2"]],
        ["trim", [0, 8]],
        ["trim_start", [1]],
        ["trim_end", [7]],
        ["go", [3]],
        ["take_pen", ["paint", 24]],
        ["take_target", ["front"]],
        ["choose_sample", ["rider"]],
        ["choose_below_root", ["video.mp4"]],
        ["choose_upload", ["video.mp4"]],
        ["take_masks", ["masks.zip"]],
        ["job", [1]],
        ["look", [1]],
        ["controls", [{"certainty": "0.5", "ids": "1,2", "flow": "dis", "layer": "png", "method": "classical"}]],
    ]
    (folder / "events.json").write_text(json.dumps(calls))


def read_events(folder: Path) -> None:
    """Do what was sent, as the page does; whatever is refused is said at the end, as one refusal."""
    (folder / "session").mkdir(exist_ok=True)
    limits = Limits()
    readers = SimpleNamespace(call=lambda function, *values: function(*values))
    services = SimpleNamespace(readers=readers, limits=limits, uploads=folder / "uploads", root=folder, models=())
    work = Workspace(Session("secret", folder / "session"), cast(Any, services))
    work.info = check_video(folder / "video.mp4", limits)
    work.end = work.info.count
    try:
        calls = json.loads((folder / "events.json").read_bytes())
    except (ValueError, RecursionError):
        return  # the server's own business, before any event is one
    refused = None
    for call in calls if isinstance(calls, list) else []:
        name, values = [*call, None, None][:2] if isinstance(call, list) else (None, None)
        if not isinstance(values, list):
            continue
        try:
            if name == "controls":
                for kind in (CompleteOptions, MaskOptions, MethodOptions):
                    read_controls(kind, values[0] if values and isinstance(values[0], dict) else {})
            elif isinstance(name, str) and name in PAGE_VERBS and len(values) == PAGE_VERBS[name]:
                getattr(work, name)(*values)
        except Refusal as refusal:
            refused = refusal
    shutil.rmtree(folder / "session")
    if refused is not None:
        with report_errors():
            raise refused


PAGE_VERBS = {"draw": 1, "type": 3, "trim": 2, "trim_start": 1, "trim_end": 1, "go": 1, "take_pen": 2}
PAGE_VERBS |= {"take_target": 1, "choose_sample": 1, "choose_below_root": 1, "choose_upload": 1, "take_masks": 1}
PAGE_VERBS |= {"job": 1, "look": 1}


def uploads(folder: Path) -> None:
    """Write masks as they are uploaded: an archive."""
    clip(folder)
    shutil.make_archive(str(folder / "masks"), "zip", folder / "masks")


def read_uploads(folder: Path) -> None:
    """Take them as the page does."""
    info = check_video(folder / "video.mp4", Limits())
    print(take_masks(folder / "masks.zip", info, Limits(), folder / "scratch", folder / "result"))


SHEET = ("-o", "@/sheet.png")
CLASSICAL = ("-o", "@/result", "--method", "classical", "--layer", "none", "-q")
KINDS: dict[str, Kind] = {
    "packs": Kind(packs, ["a.pack"], read_pack),
    "transports": Kind(packs, ["a.zip"], command("data", "unpack", "@/a.zip", "-o", "@/result", "-q")),
    "manifests": Kind(voi_set, ["set/manifest.json"], command("data", "verify", "@/set", "-q")),
    "sources": Kind(
        source,
        ["train/meta.json", "train/meta.json", "train/*/*/*"],
        command("data", "build", "@", "-o", "@/result", "--layout", "youtube-vos", "--size", "96x64", "-q"),
    ),
    "sprites": Kind(
        sprites,
        ["sprites/c.*", "sprites/*/*"],
        command("data", "sprites", "@/sprites", "-o", "@/result", "--size", "32", "-q"),
    ),
    "cutouts": Kind(
        cutouts, ["cats/*/*"], command("data", "cutouts", "@/cats", "-o", "@/result", "--size", "32", "-q")
    ),
    "checkpoints": Kind(
        checkpoints,
        ["model/*"],
        command("complete", "@/video.mp4", "@/masks", "--model", "@/model", "-o", "@/result", "--layer", "none", "-q"),
    ),
    "prompts": Kind(
        prompts,
        ["prompts.json"],
        command("mask", "@/video.mp4", "--prompts", "@/prompts.json", "-o", "@/result", "--tracker", "grabcut", "-q"),
    ),
    "media": Kind(clip, ["video.mp4"], command("complete", "@/video.mp4", "@/masks", *CLASSICAL)),
    "containers": Kind(containers, ["a.*", "a.*", "pictures/*"], reports(read_videos)),
    "masks": Kind(clip, ["masks/*"], command("complete", "@/video.mp4", "@/masks", *CLASSICAL)),
    "mask arrays": Kind(mask_arrays, ["masks.npz"], command("complete", "@/video.mp4", "@/masks.npz", *CLASSICAL)),
    "mask videos": Kind(
        mask_videos,
        ["masks.mkv", "masks.mov"],
        reports(lambda folder: [run_check(folder, name) for name in ("masks.mkv", "masks.mov")]),
        result="sheet.png",
    ),
    **{
        name: Kind(
            make, [damaged], command("masks", "check", "@/video.mp4", f"@/{path}", "-o", "@/sheet.png"), "sheet.png"
        )
        for name, make, damaged, path in (
            ("coco", coco, "masks.json", "masks.json"),
            ("youtube-vis", youtube_vis, "masks.json", "masks.json"),
            ("cvat", cvat, "masks.xml", "masks.xml"),
            ("labelme", labelme, "masks/*", "masks"),
        )
    },
    "tables": Kind(tables, ["clips.*"], reports(read_tables)),
    "cuts": Kind(cuts, ["cuts.txt"], command("complete", "@/video.mp4", "@/masks", "--cuts", "@/cuts.txt", *CLASSICAL)),
    "flow weights": Kind(flow_weights, ["raft.pt"], reports(read_flow_weights)),
    "page events": Kind(events, ["events.json"], read_events, result="session"),
    "page uploads": Kind(uploads, ["masks.zip"], reports(read_uploads)),
    "run folders": Kind(
        run_folder,
        ["out/run.json", "out/.voin/state.json"],
        command("complete", "@/video.mp4", "@/masks", "-o", "@/out", "--method", "classical", "-q"),
        result="",
    ),
}
