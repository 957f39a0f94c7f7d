"""Draw the pictures of the architecture: the rooms, from the contracts in pyproject.toml, and the way of the data.

    python docs/hooks/pictures.py     # writes docs/develop/rooms.svg and way.svg

A test holds both files to what is drawn here, and this to the code.
"""

from __future__ import annotations

import re
import textwrap
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "voin"
FOLDER = ROOT / "docs" / "develop"

INK, SOFT, PAPER = "#1d2330", "#5b6577", "#ffffff"
FILLS = {
    **{"cli": "#dfe7fd", "app": "#dfe7fd", "jobs": "#e3f4e8", "training": "#e3f4e8", "benchmark": "#e3f4e8"},
    **{"tracking": "#fdf1d6", "data": "#fdf1d6", "baselines": "#fdf1d6", "method": "#fbdfe0"},
}
PLAIN = "#eceff4"

# The way of the data: down on the left, through the method at the bottom, and up on the right. File, what it does.
DOWN = [
    ("cli/complete.py", "options become a dataclass"),
    ("jobs/check.py", "all input is looked at first"),
    ("jobs/plan.py", "shots, windows, chunks"),
    ("jobs/reader.py", "of each frame the windows alone are kept"),
]
STAGES = [
    ("method/window.py", "a square that follows the object"),
    ("method/motion.py", "flow between neighbours"),
    ("method/shape", "the whole mask"),
    ("method/flow", "motion of the hidden part"),
    ("method/propagation", "pixels of other frames"),
    ("method/fill", "what no frame shows"),
    ("method/paste.py", "back to the frame's own pixels"),
]
UP = [
    ("out/", "video, masks, layers, run.json"),
    ("jobs/layout.py", "what was done, frame by frame"),
    ("io/video_write.py", "frames become files"),
    ("jobs/writer.py", "boxes are pasted into frames"),
]


class Drawing:
    """An SVG, element by element."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            f'font-family="system-ui, sans-serif" fill="{INK}">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0 0 10 5 0 10z" fill="{SOFT}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>',
        ]

    def box(self, x: float, y: float, w: float, h: float, fill: str) -> None:
        """Draw an empty box."""
        self.lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="8" fill="{fill}" stroke="#c3cad6"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 13,
        *,
        bold: bool = False,
        anchor: str = "start",
        soft: bool = False,
    ) -> None:
        """Write a line."""
        weight = ' font-weight="600"' if bold else ""
        colour = f' fill="{SOFT}"' if soft else ""
        style = f'font-size="{size:g}" text-anchor="{anchor}"{weight}{colour}'
        self.lines.append(f'<text x="{x:g}" y="{y:g}" {style}>{escape(words)}</text>')

    def arrow(self, *points: tuple[float, float]) -> None:
        """Draw a line through points, with a tip at its end."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.lines.append(
            f'<polyline points="{path}" fill="none" stroke="{SOFT}" stroke-width="1.8" marker-end="url(#tip)"/>'
        )

    def named(self, x: float, y: float, w: float, h: float, name: str, words: str, fill: str) -> None:
        """Draw a box with a name, and a few words below it."""
        self.box(x, y, w, h, fill)
        middle, top = x + w / 2, y + 20
        self.text(middle, top, name, 13.5, bold=True, anchor="middle")
        for i, line in enumerate(textwrap.wrap(words, max(int((w - 12) / 6), 8))):
            self.text(middle, top + 17 + 14.5 * i, line, 11.5, anchor="middle", soft=True)

    def svg(self) -> str:
        """Return the file's text."""
        return "\n".join([*self.lines, "</svg>"]) + "\n"


def layers(container: str) -> list[list[str]]:
    """List the layers of a container, the highest first, as the contracts have them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    found = next(each["layers"] for each in settings["contracts"] if each.get("containers") == [container])
    return [[name.strip() for name in layer.split("|")] for layer in found]


def summary(room: str) -> str:
    """Give the first words of a room's docstring, up to the first full stop."""
    text = (PACKAGE / room / "__init__.py").read_text(encoding="utf-8")
    found = re.match(r'"""(.+?)(?:\.\s|\.?"""|\n\n)', text, re.DOTALL)
    return " ".join(found[1].replace("`", "").split()) if found else ""


def draw_rooms() -> str:
    """Draw every room in its layer; the method with its own layers inside."""
    width, gap, left, top = 940, 12, 84, 48
    rows = layers("voin")
    inner = layers("voin.method")
    heights = [len(inner) * 34 + 62 if "method" in row else 56 if len(row) == 1 else 72 for row in rows]
    drawing = Drawing(
        width, top + sum(heights) + gap * len(rows) + 8, "The rooms of voin: each imports only what lies below it"
    )
    drawing.text(
        20,
        28,
        "src/voin: a room imports only rooms below it; rooms side by side do not know each other",
        13.5,
        bold=True,
    )
    y = top
    for row, height in zip(rows, heights, strict=True):
        wide = (width - left - 20 - gap * (len(row) - 1)) / len(row)
        for i, room in enumerate(row):
            x = left + i * (wide + gap)
            drawing.named(x, y, wide, height, f"{room}/", summary(room), FILLS.get(room, PLAIN))
            if room == "method":
                for line, names in enumerate(inner):
                    drawing.box(x + 16, y + 54 + 34 * line, wide - 32, 28, PAPER)
                    words = "   ·   ".join(
                        f"{each}/" if (PACKAGE / "method" / each).is_dir() else f"{each}.py" for each in names
                    )
                    drawing.text(x + wide / 2, y + 73 + 34 * line, words, 12.5, anchor="middle")
        y += height + gap
    drawing.arrow((50, top + 6), (50, y - gap - 6))
    drawing.text(50, top - 2, "imports", 11.5, anchor="middle", soft=True)
    return drawing.svg()


def draw_way() -> str:
    """Draw where data goes: down, through the stages, and back once."""
    width, w, h, step = 1060, 214, 58, 78
    drawing = Drawing(width, 590, "The way of the data through voin complete")
    drawing.text(20, 28, "voin complete video.mp4 masks -o out: data walks down and comes back once", 13.5, bold=True)
    top, right = 50, width - 20 - w
    for column, x in ((DOWN, 20), (UP, right)):
        for i, (file, words) in enumerate(column):
            drawing.named(x, top + step * i, w, h, file, words, FILLS.get(file.partition("/")[0], PLAIN))
    for i in range(len(DOWN) - 1):
        drawing.arrow((20 + w / 2, top + step * i + h), (20 + w / 2, top + step * (i + 1) - 2))
        drawing.arrow((right + w / 2, top + step * (i + 1)), (right + w / 2, top + step * i + h + 2))
    base = top + step * len(DOWN) + 26
    drawing.box(20, base, width - 40, 176, "#fbdfe0")
    drawing.text(36, base + 24, "method/pipeline.py", 13.5, bold=True)
    drawing.text(
        206,
        base + 24,
        "tensors in, tensors out: one object of one shot, a chunk of frames with others around it",
        12,
        soft=True,
    )
    wide = (width - 40 - 32 - 12 * (len(STAGES) - 1)) / len(STAGES)
    for i, (file, words) in enumerate(STAGES):
        x = 36 + i * (wide + 12)
        drawing.named(x, base + 52, wide, 84, file.removeprefix("method/").removesuffix(".py"), words, PAPER)
        if i:
            drawing.arrow((x - 12, base + 94), (x - 1, base + 94))
    # Flow is estimated again once the shape is known.
    first, second = 36 + (wide + 12) + wide / 2, 36 + 2 * (wide + 12) + wide / 2
    drawing.arrow((second, base + 136), (second, base + 152), (first, base + 152), (first, base + 138))
    drawing.text((first + second) / 2, base + 167, "again, where something is hidden", 11.5, anchor="middle", soft=True)
    drawing.arrow((20 + w / 2, base - 26 - 20), (20 + w / 2, base - 2))
    drawing.arrow((right + w / 2, base), (right + w / 2, base - 26 - 18))
    drawing.text(28 + w / 2, base - 12, "clips: the windows of an object, frames and masks", 11.5, soft=True)
    drawing.text(right + w / 2 - 8, base - 12, "completed boxes, one a frame", 11.5, anchor="end", soft=True)
    # What stands beside the way.
    middle = width / 2
    drawing.named(middle - 190, top + step, 380, h, "io/", "videos, pictures, masks and cuts as files", PLAIN)
    drawing.arrow((middle - 190, top + step + 20), (20 + w + 2, top + step + 20))
    drawing.arrow(
        (middle - 110, top + step + h), (middle - 110, top + step * 3 + 20), (20 + w + 2, top + step * 3 + 20)
    )
    drawing.named(middle - 80, top + step * 2 + 52, 270, h, "weights/", "the networks of shape, flow and fill", PLAIN)
    drawing.arrow((middle + 55, top + step * 2 + 52 + h), (middle + 55, base - 2))
    return drawing.svg()


PICTURES = {"rooms.svg": draw_rooms, "way.svg": draw_way}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw(), encoding="utf-8")
