"""VOI-Layers: clips in which things pass behind the object, and before it or not, and the truth is known.

Not in the paper, because there whatever touches the object stands before it: a method that fills in what is only beside
an object is not found out. The films are those of a VOI set; what passes are sprites, and behind also other films'
objects. Where nothing passes before the object it is visible wholly, and whatever a method adds is wrong.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from voin.core import __version__
from voin.core.config import to_json
from voin.core.errors import ValueRefusal
from voin.core.progress import Progress, Silent
from voin.data.build import SetFolder, finish_set
from voin.data.build_clip import STATE, note_record, read_record, seed_of
from voin.data.manifest import VERSION, ClipRecord, Manifest, mean_rate, rates_of, read_manifest
from voin.data.occluders.occlude import Material, OccluderConfig, occlude
from voin.data.options import LayersOptions
from voin.data.packs.pack import Pack, cut_windows
from voin.data.sets import VoiSet, write_clip
from voin.method.window import WindowConfig

# What passes is a thing, not a stroke or a blob, unless it is too ragged to cover as much of the object as is drawn.
_PASSING = OccluderConfig(objects=1.0, free_clips=0.3, hidden_clips=0.0)
_DONOR = WindowConfig(size=192, enlarge=1.1)  # of objects of other films
_EDGE = 0.7  # standard deviation by which hard outlines are softened, pixels
_SIDE = (0.55, 0.95)  # least and most side of a sprite's window, over the height of the frame
_MIDDLE = (0.3, 0.7)  # between these shares of the frame a sprite's middle stays
_GAIN = (0.7, 1.4)  # least and most change of a sprite's brightness towards the film's

_Colours = Float[np.ndarray, "t h w 3"]  # in [0, 1], times alpha where there is one
_Alpha = Float[np.ndarray, "t h w 1"]
_Pictures, _Masks = UInt8[np.ndarray, "t h w 3"], Bool[np.ndarray, "t h w"]


@dataclass(frozen=True)
class Plan:
    """What one clip is made of.

    Attributes:
        name: of the clip.
        film: the clip of the set that it is made of.
        target: the sprite that is the object; None for the film's own.
        behind: what passes behind it: a sprite, or the clip of another film.
        before: the sprite that passes before it, or None.
    """

    name: str
    film: ClipRecord
    target: int | None
    behind: int | ClipRecord
    before: int | None


def plan_layers(films: Sequence[ClipRecord], sprites: Pack, options: LayersOptions) -> Iterator[Plan]:
    """Draw what clips are made of; half of them are of the films' own objects, and in half things pass only behind."""
    for number in range(options.clips):
        film = films[number // 4 % len(films)]
        draw = random.Random(seed_of(options.seed, number, "layers"))
        sprite_target, before = bool(number & 1), bool(number & 2)
        chosen = draw.sample(range(len(sprites)), 3)
        others = [other for other in films if other.video != film.video]
        behind = draw.choice(others) if others and draw.random() < 0.5 else chosen[1]
        yield Plan(
            name=f"{number:03d}-{film.name}-{'sprite' if sprite_target else 'film'}-{'both' if before else 'behind'}",
            film=film,
            target=chosen[0] if sprite_target else None,
            behind=behind,
            before=chosen[2] if before else None,
        )


def build_layers(
    voi_set: VoiSet,
    sprites: Pack,
    out: Path,
    options: LayersOptions = LayersOptions(),  # noqa: B008 - no state
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Build a set of layers, or go on with it; return its manifest.

    Args:
        voi_set: whose films are taken.
        sprites: none of those that a network was trained on.
        out: the set's folder; it is made, or empty, or holds this very build.
        options: what is built.
        overwrite: replace another set in `out`.
        progress: gets a stage "build", in clips.

    Raises:
        ValueError: the set has no clip of the split, or there are too few sprites.
        OSError: a file cannot be read or written, or the folder holds something else.
    """
    out, progress = out.resolve(), progress or Silent()
    films = voi_set.records(options.split)
    if not films or len(sprites) < 3:
        what = f"{voi_set.root} has {len(films)} clips in {options.split!r}, and {sprites.path} {len(sprites)} sprites"
        raise ValueRefusal(what, "one film and three sprites are needed at least", "give others")
    settings = {name: value for name, value in to_json(options).items() if name != "seed"}
    source = {
        "layout": "layers",
        "videos": len({film.video for film in films}),
        "clips": len(films),
        "sprites": len(sprites),
        "listing": sha256(json.dumps([to_json(voi_set.manifest), sprites.source]).encode()).hexdigest(),
    }
    head = {"version": VERSION, "voin": __version__, "seed": options.seed, "settings": settings, "source": source}
    folder = SetFolder(out, head)
    folder.check(overwrite)
    if folder.is_finished() and folder.state is None:
        return read_manifest(out)
    with folder.held(overwrite):
        if not folder.is_finished():
            folder.begin(folder.request)
            plans = list(plan_layers(films, sprites, options))
            progress.stage("build", len(plans))
            for plan in plans:
                if read_record(out, plan.name) is None:
                    note_record(out, _build_clip(plan, voi_set, sprites, out, options))
                progress.advance("build")
            finish_set(folder, [plan.name for plan in plans], str(voi_set.root))
        folder.forget()
    return read_manifest(out)


def _build_clip(plan: Plan, voi_set: VoiSet, sprites: Pack, out: Path, options: LayersOptions) -> ClipRecord:
    draw = random.Random(seed_of(options.seed, plan.name, "target"))
    clip = voi_set.load(plan.film)
    start = draw.randrange(max(len(clip.truth) - options.frames, 0) + 1)
    part = slice(start, start + options.frames)
    film = clip.truth[part].astype(np.float32) / 255
    if plan.target is None:
        alpha = _softened(clip.amodal[part][..., None].astype(np.float32))
        amodal, colours = clip.amodal[part], film * alpha
    else:
        colours, alpha = _placed(*sprites.clip(plan.target), film, sprites.soft, draw)
        amodal = alpha[..., 0] > 0.5
    # Behind the object: over the film, and under the object.
    material = _of_sprite(sprites, plan.behind) if isinstance(plan.behind, int) else _of_film(voi_set, plan.behind)
    thing, hides, _ = _passing(film, amodal, material, seed_of(options.seed, plan.name, "behind"))
    cover = _softened(hides[..., None].astype(np.float32))
    ground = film * (1 - cover) + _softened(thing * hides[..., None])
    truth = _rounded(ground * (1 - alpha) + colours)
    occluder, pixels, kind = np.zeros_like(amodal), np.zeros_like(truth), "none"
    if plan.before is not None:
        seed = seed_of(options.seed, plan.name, "before")
        front, occluder, kind = _passing(truth / np.float32(255), amodal, _of_sprite(sprites, plan.before), seed)
        pixels = _rounded(front * occluder[..., None])
    draft, originals = out / STATE / "draft" / plan.name, (Path("none.png"),) * len(truth)
    sums = write_clip(out / options.split, plan.name, draft, truth, amodal, occluder, pixels, originals)
    rates = rates_of(amodal, occluder)
    donor = None if plan.before is None else sprites.clips[plan.before].name
    return ClipRecord(
        name=plan.name,
        video=plan.film.video,
        object_id=0,
        category=plan.film.category if plan.target is None else sprites.clips[plan.target].category,
        split=options.split,
        count=len(truth),
        size=plan.film.size,
        kind=kind,
        donor=donor,
        donor_video=donor,
        rates=rates,
        rate=mean_rate(rates),
        sums=sums,
        behind=sprites.clips[plan.behind].name if isinstance(plan.behind, int) else plan.behind.name,
    )


def _passing(film: _Colours, amodal: _Masks, material: Material, seed: int) -> tuple[_Colours, _Masks, str]:
    """Let a thing pass the object; return its colours, where it is as if nothing were before it, and its kind."""
    found = occlude(
        torch.from_numpy(film).permute(0, 3, 1, 2)[None].contiguous(),
        torch.from_numpy(amodal)[None, :, None].float(),
        material,
        _PASSING,
        seed=[seed],
    )
    return found.pixels[0].permute(0, 2, 3, 1).numpy(), found.occluder[0, :, 0].numpy() > 0.5, found.kinds[0]


def _of_sprite(sprites: Pack, index: int) -> Material:
    frames, masks = sprites.clip(index)
    covers = masks.astype(np.float32) / (255 if sprites.soft else 1)
    colours = torch.from_numpy(frames.astype(np.float32) / 255).permute(0, 3, 1, 2)
    return Material(colours[None].contiguous(), torch.from_numpy(covers)[None, :, None])


def _of_film(voi_set: VoiSet, record: ClipRecord) -> Material:
    clip = voi_set.load(record)
    frames, covers = cut_windows(clip.truth, clip.amodal, _DONOR)
    colours = torch.from_numpy(frames.astype(np.float32) / 255).permute(0, 3, 1, 2)
    return Material(colours[None].contiguous(), torch.from_numpy(covers)[None, :, None])


def _placed(
    frames: UInt8[np.ndarray, "n s s 3"],
    masks: UInt8[np.ndarray, "n s s"],
    film: _Colours,
    soft: bool,
    draw: random.Random,
) -> tuple[_Colours, _Alpha]:
    """Let a sprite move before a film; return its colours times alpha, and its alpha."""
    count, h, w = film.shape[:3]
    side = draw.uniform(*_SIDE) * h
    scale = side / frames.shape[1]
    first, last = (np.array([draw.uniform(*_MIDDLE) * w, draw.uniform(*_MIDDLE) * h]) for _ in range(2))
    phase, swing = draw.uniform(0, 2 * np.pi), draw.uniform(0, 0.04) * h
    alphas = masks.astype(np.float32) / (255 if soft else 1)
    inside = alphas > 0.5
    # Half of the way, in ratios, to the brightness of the film: things stand in one light.
    gain = np.sqrt(film.mean() / max(float(frames[inside].mean()) / 255, 1e-3)).clip(*_GAIN)
    layers = np.empty((count, h, w, 4), np.float32)
    for i in range(count):
        # The sprite is played to and fro.
        turn = i % max(2 * len(frames) - 2, 1)
        shown = min(turn, 2 * len(frames) - 2 - turn)
        layer = np.dstack([frames[shown] * (gain / 255), np.ones_like(alphas[shown])]).clip(0, 1)
        layer *= alphas[shown, ..., None]
        share = i / max(count - 1, 1)
        sway = swing * np.array([np.sin(phase + 6 * share), np.cos(phase + 4 * share)])
        middle = first + (last - first) * share + sway
        corner = middle - side / 2
        move = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
        layers[i] = cv2.warpAffine(layer.astype(np.float32), move, (w, h), flags=cv2.INTER_LINEAR)
    return layers[..., :3], layers[..., 3:]


def _softened(layers: Float[np.ndarray, "t h w c"]) -> Float[np.ndarray, "t h w c"]:
    blurred = [cv2.GaussianBlur(layer, (0, 0), _EDGE) for layer in layers]
    return np.stack(blurred).reshape(layers.shape)


def _rounded(colours: _Colours) -> _Pictures:
    return (colours * 255 + 0.5).clip(0, 255).astype(np.uint8)
