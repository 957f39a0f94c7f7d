"""The rows of the paper's tables (4.2, 4.3), declared once: what each trains, how it is judged, what the paper reports.

A row is trained with one budget of compute, which its networks share. Numbers of the paper are those that are printed
in it; nothing here was measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from voin.benchmark.options import Setting
from voin.benchmark.scores import METRICS


@dataclass(frozen=True)
class Network:
    """A training run of a row.

    Attributes:
        name: of its folder; rows that name the same one share it.
        stage: as `voin train` takes it.
        share: of the row's budget.
        changes: settings, as `voin train --set` takes them.
        small: settings besides, with the preset `small`, whose networks are else no form of the paper's.
    """

    name: str
    stage: str
    share: float = 1.0
    changes: tuple[str, ...] = ()
    small: tuple[str, ...] = ()

    def settings(self, preset: str) -> tuple[str, ...]:
        """Return all settings that differ from those of a preset."""
        return (*self.changes, *(self.small if preset == "small" else ()))


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        name: in file names and on the command line.
        label: as printed.
        networks: what is trained for it.
        method: how they are put together, a key of `voin.benchmark.paper.models.METHODS`.
        paper: the numbers printed, in the order of the table's columns; None where there is none.
        over: names of the rows that it is compared with.
        printed: whether it is one of those that the table is made of; the others stand beside.
        model: a model that it takes instead of training.
    """

    name: str
    label: str
    networks: tuple[Network, ...]
    method: str
    paper: tuple[float | None, ...] = ()
    over: tuple[str, ...] = ()
    printed: bool = True
    model: str = ""


@dataclass(frozen=True)
class Column:
    """A column as printed: the paper's name, which of our metrics it is, and what that is multiplied by."""

    label: str
    metric: str
    factor: float = 1.0
    digits: int = 2

    @property
    def higher(self) -> bool:
        """Whether more is better."""
        return METRICS[self.metric].higher


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        title: what it compares.
        columns: those printed.
        rows: those printed, in their order, and ours beside them.
        setting: whether the whole mask is given.
        beside: further metrics, which the paper does not report.
        note: what a reader should know of how it was built here.
        presets: those of whose networks its rows are forms.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    setting: Setting
    beside: tuple[Column, ...] = ()
    note: str = ""
    presets: tuple[str, ...] = ("small", "paper")

    def row(self, name: str) -> Row:
        """Return the row of a name."""
        return next(row for row in self.rows if row.name == name)


FLOW = Column("EPE", "flow_error")
PIXELS = (
    Column("PSNR", "psnr_frame"),
    Column("SSIM", "ssim_frame", digits=3),
    Column("LPIPS", "lpips_frame", digits=3),
)
HIDDEN = (Column("PSNR, hidden", "psnr_hidden"), Column("LPIPS, crop", "lpips_crop", digits=3))

# The image network of DFVI and FGVC [69] is trained once, and half of each row's budget.
_IMAGES = Network("deepfill", "deepfill", 0.5)
# Features and style count, as published.
_LGTSM = Network("lgtsm", "lgtsm", 1.0, ("loss.perceptual=1",))
_FLOW, _FILL = Network("flow", "flow", 0.5), Network("fill", "fill", 0.5)
_ALONE = Network("fill-no-flow", "fill", 1.0, ("generator.propagation=none",))
_SHIPPED = "Ours, as shipped"

_OTHERS = ("dfvi", "lgtsm", "fgvc", "sttn", "ours-no-flow")
_TABLE_1 = (
    Row("dfvi", "DFVI [4]", (Network("dfvi", "dfvi", 0.5), _IMAGES), "dfvi", (4.79, 44.91, 0.952, 0.099)),
    Row(
        "lgtsm",
        "LGTSM [10]",
        (Network("lgtsm", "lgtsm", 1.0, ("loss.perceptual=1",)),),
        "lgtsm",
        (None, 45.19, 0.979, 0.024),
    ),
    Row("fgvc", "FGVC [2]", (Network("edges", "edges", 0.5), _IMAGES), "fgvc", (3.69, 43.90, 0.924, 0.065)),
    Row("sttn", "STTN [3]", (Network("sttn", "sttn"),), "sttn", (None, 45.97, 0.986, 0.020)),
    Row("ours-no-flow", "Ours, without flow", (_ALONE,), "fill", (None, 46.33, 0.989, 0.013), ("sttn",)),
    Row("ours", "Ours, with flow", (_FLOW, _FILL), "voin", (3.11, 48.99, 0.994, 0.008), _OTHERS),
    Row("shipped", _SHIPPED, (), "voin", (), (*_OTHERS[:4], "ours"), printed=False, model="small"),
)


def _shape(name: str, depth: int, *more: str) -> tuple[Network, ...]:
    """Return the run of a row of Table 2: cross entropy on the whole mask (eq. 6), and nothing that is not named."""
    loss = ("loss.bce_amodal=1", "loss.bce_occluded=0", "loss.dice_occluded=0")
    plain = ("shape.semantics=false", "shape.evidence=false", f"shape.depth={depth}")
    return (Network(name, "shape", 1.0, (*loss, *plain, *more)),)


_DICE, _SEMANTICS = "loss.dice_occluded=1", "shape.semantics=true"
_TABLE_2 = (
    Row("image-based", "Image-based [7]", (Network("pcnet", "pcnet"),), "pcnet", (74.81,)),
    Row("bs-4", "BS-4", _shape("shape-bs4", 4), "shape", (78.02,), ("image-based",)),
    Row("bs-8", "BS-8", _shape("shape-bs8", 8), "shape", (80.28,), ("bs-4",)),
    Row("bs-8-d", "BS-8 + D", _shape("shape-bs8-d", 8, _DICE), "shape", (81.53,), ("bs-8",)),
    Row(
        "bs-8-d-s",
        "BS-8 + D + S",
        _shape("shape-bs8-d-s", 8, _DICE, _SEMANTICS),
        "shape",
        (86.68,),
        ("bs-8-d", "image-based"),
    ),
    Row("shipped", _SHIPPED, (), "shape", (), ("bs-8-d-s", "image-based"), printed=False, model="small"),
)

# From raw flow on, as the paper has it. "A: amodal object edge guidance. L: Gradient loss and image warping loss."
_RAW, _DIRECT = "flow.start=raw", "flow.residual=false"
_NO_A = ("flow.guidance=false", "flow.pasted=hole")
_NO_L = ("loss.flow_gradient=0", "loss.flow_smoothness=0", "loss.flow_warp=0")


def _flow(name: str, *changes: str, share: float = 1.0) -> tuple[Network, ...]:
    return (Network(name, "flow", share, changes),)


_TABLE_3 = (
    Row("bf", "BF", _flow("flow-bf", _RAW, _DIRECT, *_NO_A, *_NO_L), "flow", (4.89,)),
    Row("bf-a", "BF + A", _flow("flow-bf-a", _RAW, _DIRECT, *_NO_L), "flow", (3.95,), ("bf",)),
    Row("bf-a-l", "BF + A + L", _flow("flow-bf-a-l", _RAW, _DIRECT), "flow", (3.11,), ("bf-a", "bf")),
    Row("residue", "BF + A + L, residue", _flow("flow-residue", _RAW), "flow", (), ("bf-a-l",), printed=False),
    Row("ours", "Ours: residue of smooth flow", _flow("flow-ours"), "flow", (), ("residue",), printed=False),
    Row("shipped", _SHIPPED, (), "flow", (), ("ours",), printed=False, model="small"),
)

# The generator of [10], narrow in the preset `small`; the paper's preset has it as published.
_BASE = ("generator.base=true", "generator.channels=16,32,64", "generator.dilations=2,4,8,16", "generator.shifts=1,2")
_BASE += ("generator.share=0.5", "generator.slope=0", "generator.smooth_start=false", "generator.weigh=false")
_WITHOUT, _WITH = ("generator.propagation=none",), ("generator.propagation=plain", "generator.hard=true")
_NO_OG, _NO_TP, _NO_MD = "generator.gating=false", "loss.patch=0", "loss.category=0"
_NO_STAM = "class_discriminator.attention=false"


def _base(name: str, *changes: str, flow: bool = False) -> tuple[Network, ...]:
    """Return the runs of a row of Table 4; with flow it has half of the budget."""
    if not flow:
        return (Network(name, "fill", 1.0, (*_WITHOUT, *changes), _BASE),)
    return (*_flow("flow-half", _RAW, share=0.5), Network(name, "fill", 0.5, (*_WITH, *changes), _BASE))


_TABLE_4 = (
    Row("bi", "BI", _base("fill-bi", _NO_OG, _NO_TP, _NO_MD), "fill", (44.75, 0.979, 0.025)),
    Row("bi-og", "BI + OG", _base("fill-bi-og", _NO_TP, _NO_MD), "fill", (45.25, 0.982, 0.019), ("bi",)),
    Row("bi-og-tp", "BI + OG + TP", _base("fill-bi-og-tp", _NO_MD), "fill", (45.54, 0.984, 0.017), ("bi-og",)),
    Row(
        "bi-og-tp-md",
        "BI + OG + TP + MD",
        _base("fill-bi-og-tp-md", _NO_STAM),
        "fill",
        (45.91, 0.986, 0.014),
        ("bi-og-tp",),
    ),
    Row(
        "bi-all", "BI + OG + TP + MD + STAM", _base("fill-bi-all"), "fill", (46.33, 0.989, 0.013), ("bi-og-tp-md", "bi")
    ),
    Row(
        "bi-og-flow",
        "BI + OG + STAM, with flow",
        _base("fill-bi-og-flow", _NO_TP, _NO_MD, flow=True),
        "voin",
        (48.16, 0.991, 0.012),
        ("bi-og",),
    ),
    Row(
        "bi-all-flow",
        "BI + OG + TP + MD + STAM, with flow",
        _base("fill-bi-all-flow", flow=True),
        "voin",
        (48.99, 0.994, 0.008),
        ("bi-og-flow", "bi-all"),
    ),
    Row("shipped", _SHIPPED, (), "voin", (), ("bi-all-flow",), printed=False, model="small"),
)

PAPER_TABLES: dict[str, Table] = {
    "table1": Table(
        "Flow completion and inpainting, compared",
        (FLOW, *PIXELS),
        _TABLE_1,
        "given",
        HIDDEN,
        note="The true whole mask is given to all rows. The weights that ship were trained longer, and on more.",
    ),
    "table2": Table(
        "Object shape completion, part by part",
        (Column("mIoU (%)", "iou_amodal", 100.0),),
        _TABLE_2,
        "end to end",
        (Column("mIoU, hidden part (%)", "iou_occluded", 100.0),),
        note="Each row is compared with the one before it. Shapes alone are completed, from the visible mask.",
    ),
    "table3": Table(
        "Object flow completion, part by part",
        (FLOW,),
        _TABLE_3,
        "given",
        HIDDEN[:1],
        note="Each row is compared with the one before it. Pixels are propagated along the flow, and what no frame "
        "shows is filled without a network. BF regresses flow directly (Table 3), so rows upon it do; the residue that "
        "3.2 describes stands beside, on raw flow as there, and on flow completed smoothly as ours has it.",
    ),
    "table4": Table(
        "Video object inpainting, part by part",
        PIXELS,
        _TABLE_4,
        "given",
        HIDDEN,
        note="Each row is compared with the one before it, and those with flow with their like without. These share "
        "their budget between two networks. BI + OG + STAM with flow is one without adversarial training (4.3.1): it "
        "has no discriminator, and so no STAM, which stands in one.",
    ),
}
