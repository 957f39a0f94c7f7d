"""Rows of our own ablations, for what the paper does not have: what networks learn from, and what ours add.

As in the paper's tables each row is trained with one budget of compute; a row's settings differ from those of the row
before it in what its label says, and in nothing else.
"""

from __future__ import annotations

from voin.benchmark.paper.rows import Column, Network, Row, Table

_SHAPES = (
    Column("mIoU (%)", "iou_amodal", 100.0),
    Column("mIoU, hidden part (%)", "iou_occluded", 100.0),
    Column("Wrongly added, of the object (%)", "area_added", 100.0),
)
_COLOURS = (
    Column("PSNR, hidden", "psnr_hidden"),
    Column("SSIM, hidden", "ssim_hidden", digits=3),
    Column("LPIPS, crop", "lpips_crop", digits=3),
)
# Sources of clips; what is left over is films.
_FILMS = ("sampler.cutouts=0", "sampler.sprites=0", "sampler.pasted=0.1")
_CUTOUTS = ("sampler.cutouts=0.3", "sampler.sprites=0", "sampler.pasted=0.1")
_SPRITES = ("sampler.cutouts=0.25", "sampler.sprites=0.2", "sampler.pasted=0.1")
_FRONT = ("sampler.distractors=0", "sampler.clear=0", "sampler.leaving=0", "sampler.drift=0")
_BEHIND = ("sampler.distractors=0.5", "sampler.clear=0.3", "sampler.leaving=0.1", "sampler.drift=0.6")
_OURS = ("small",)  # what is taken apart here is no part of the published networks
_NO_EVIDENCE, _EVIDENCE = ("shape.evidence=false",), ("shape.evidence=true",)


def _row(name: str, label: str, stage: str, over: tuple[str, ...], *changes: tuple[str, ...]) -> Row:
    network = Network(f"{stage}-{name}", stage, 1.0, tuple(change for group in changes for change in group))
    return Row(name, label, (network,), stage, over=over)


_SHAPE = (
    _row("films", "Films", "shape", (), _FILMS, _FRONT, _NO_EVIDENCE),
    _row("cutouts", "+ photographed objects", "shape", ("films",), _CUTOUTS, _FRONT, _NO_EVIDENCE),
    _row("sprites", "+ sprites", "shape", ("cutouts",), _SPRITES, _FRONT, _NO_EVIDENCE),
    _row("behind", "+ things that pass behind", "shape", ("sprites",), _SPRITES, _BEHIND, _NO_EVIDENCE),
    _row("evidence", "+ evidence of depth order", "shape", ("behind",), _SPRITES, _BEHIND, _EVIDENCE),
)
_FILL = (
    _row("alone", "Generator", "fill", (), ("generator.references=0",)),
    _row("references", "+ references", "fill", ("alone",), ("generator.references=4",)),
)

OWN_TABLES: dict[str, Table] = {
    "own-shape": Table(
        "What shape learns from, and evidence of depth order",
        (),
        _SHAPE,
        "end to end",
        _SHAPES,
        note="Not in the paper. Each row is compared with the one before it. Shapes alone are completed, from the "
        "visible mask. Without cutouts or sprites given, their rows learn from films alone.",
        presets=_OURS,
    ),
    "own-fill": Table(
        "What the generator remembers of the clip",
        (),
        _FILL,
        "given",
        _COLOURS,
        note="Not in the paper. The whole mask is given; shape and flow are completed without networks.",
        presets=_OURS,
    ),
}
