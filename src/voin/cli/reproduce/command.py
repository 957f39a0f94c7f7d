"""`voin reproduce`: the paper's tables and figures: trained, judged, and set beside the paper's numbers, or drawn.

Training and benchmark do not know each other; they meet here. Everything that is finished is kept: the same command
goes on with a run that was stopped, and one with more rows, seeds or models adds these.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from voin.benchmark.paper.options import ReproduceOptions
from voin.cli.console import Bars, out
from voin.cli.options import Output, Quiet, command
from voin.cli.reproduce.networks import Networks
from voin.cli.reproduce.scene import check_scene, draw_scene
from voin.core.errors import ValueRefusal

if TYPE_CHECKING:
    from voin.benchmark.paper.compare import Judged
    from voin.benchmark.paper.figures import Figure, Shown
    from voin.benchmark.paper.models import Made
    from voin.benchmark.paper.rows import Row, Table
    from voin.benchmark.true_flow import TrueFlow
    from voin.data.sets import VoiSet

REPRODUCE_EXAMPLES = """[bold]Examples[/bold]

voin reproduce table1 --set VOI-DAVIS --pack train.pack --cutouts cutouts.pack --budget 60 -o out

[dim]Of networks that are trained already, models/sttn/best and so on; nothing is trained:[/dim]
voin reproduce table1 --set VOI-DAVIS --models models -o out

[dim]Two rows alone, each with two seeds:[/dim]
voin reproduce table3 --set VOI-DAVIS --pack train.pack --rows bf-a,bf-a-l --seeds 2 -o out

[dim]The same clips by all methods of Table 1, of the networks that it has trained:[/dim]
voin reproduce figure8 --set VOI-DAVIS --models out/runs -o out

[dim]A clip of your own without what is in front, by VOIN, STTN and FGVC:[/dim]
voin reproduce figure11 --video clip.mp4 --masks masks --occluder walker --models out/runs -o out

[dim]What would be trained, and for how long:[/dim]
voin reproduce table4 --set VOI-DAVIS --pack train.pack --budget 30 --plan -o out

[dim]The same command goes on where it was stopped; with more rows, seeds or models it adds these.[/dim]"""

SCORES, FLOW = "scores", "flow"  # in the output folder


@command("finished runs and scores are kept in {output}; run the same command again to go on")
def reproduce(options: ReproduceOptions, output: Output, quiet: Quiet = False) -> None:
    """Train and judge the rows of a table of the paper, and write it beside the paper's numbers; or draw a figure.

    Every row is trained with the same budget of compute, from nothing, on the same packs. What is not trained is said.
    """
    reproduction = Reproduction(options, output, quiet)
    if options.plan:
        reproduction.networks.say_plan(reproduction.rows())
        return
    path = reproduction.run()
    if not quiet:
        out.print(f"{options.what}: look at [bold]{escape(str(path))}[/bold]", soft_wrap=True)


class Reproduction:
    """A table: its rows are trained, put together and judged one after the other; it is written after each.

    Or a figure: its rows are trained and put together, and drawn side by side.
    """

    def __init__(self, options: ReproduceOptions, output: Path, quiet: bool = False) -> None:
        from voin.benchmark.paper.figures import FIGURES
        from voin.benchmark.paper.tables import TABLES
        from voin.core.system import choose_device

        # The true motion is the same for all tables, whose scores lie apart.
        kept: dict[str, Any] = {"flow_folder": output / FLOW}
        if options.references.lpips_weights is not None:
            kept["lpips"] = True
        options = replace(options, references=replace(options.references, **kept))
        self.options, self.out, self.quiet = options, output, quiet
        self.figure: Figure | None = FIGURES.get(options.what)
        self.table: Table = TABLES[options.what if self.figure is None else self.figure.table]
        processors = choose_device(options.device).type == "cpu"
        self.unit = "core-minutes" if processors else "GPU-minutes"
        self.networks = Networks(options, output, self.unit, self._say)
        self.methods: dict[str, Any] = {}
        self.made: dict[str, tuple[Row, int, Made]] = {}
        self.notes: list[str] = []
        self._check_rows()
        self.networks.check(self.rows())
        # A clip of the user's own is no part of a set.
        self.of_scene = self.figure is not None and self.figure.shows == "scene"
        if self.of_scene:
            check_scene(options)
        else:
            self.voi_set: VoiSet = self._open_set()

    def run(self) -> Path:
        """Do all rows, and return what to look at."""
        if self.of_scene:
            return draw_scene(self.options, self.out, self.networks, self.quiet)
        return self._tabulate() if self.figure is None else self._draw(self.figure)

    def _tabulate(self) -> Path:
        """Do seed after seed, so that a whole table of one seed stands before the second is begun."""
        from voin.benchmark.paper.models import load_row, seeded

        self._write({})
        for seed in range(self.options.seeds):
            for row in self.rows():
                made = self.networks.make(row, seed)
                if made is None:
                    continue
                name = seeded(row.name, seed)
                self.methods[name] = load_row(row, made, self.options.preset, self.options.device)
                self.made[name] = (row, seed, made)
                self._say(f"judging {row.label}")
                self._write(self._judge())
        return self.out / f"{self.options.what}.html"

    def _draw(self, figure: Figure) -> Path:
        """Draw a figure, a sheet a clip."""
        from voin.benchmark.curves import CURVES
        from voin.benchmark.paper import figures
        from voin.core.draw import spread
        from voin.core.files import write_whole

        folder, records = self.out / self.options.what, self._records()
        if self.options.clips is None and figure.clips:
            records = [records[i] for i in spread(len(records), figure.clips)]
        if figure.shows == "samples":
            return figures.draw_samples(self.voi_set, records, folder)
        shown = [self._shown(row, figure.shows) for row in self.rows()]
        if figure.shows == "damage":
            for one in shown:
                figures.draw_damage(self.voi_set, records, one, folder)
            self.methods = {"ours": shown[0].method}
            self._evaluate("end to end", figures.CURVES)
            curves = self.out / SCORES / self.options.what / CURVES
            write_whole(folder / CURVES, curves.read_bytes())
            return folder
        for path in figures.draw_methods(self.voi_set, records, shown, folder, figure.shows, self._true_flow()):
            self._say(f"drawn: {path}")
        return folder

    def _shown(self, row: Row, shows: str) -> Shown:
        from voin.benchmark.paper.figures import Shown
        from voin.benchmark.paper.models import load_row

        made = self.networks.make(row, 0)
        if made is None:
            return Shown(row.label, None, {})
        # Where the visible mask is faulty, the whole one is not given.
        asked = replace(row, method="whole") if shows == "damage" else row
        return Shown(row.label, load_row(asked, made, self.options.preset, self.options.device), made.sums)

    def _true_flow(self) -> TrueFlow:
        """Return what gives the flow of the clips without occluder: RAFT where it is asked for, else DIS."""
        from voin.benchmark.true_flow import TrueFlow
        from voin.method.motion import load_motion

        references = self.options.references
        name = "dis" if references.flow_truth == "none" else references.flow_truth
        return TrueFlow(self.out / FLOW, load_motion(name, references.flow_truth_weights))

    def _open_set(self) -> VoiSet:
        """Open the set that is judged, and refuse one that cannot be."""
        from voin.data.sets import open_set

        options = self.options
        if options.voi_set is None:
            raise ValueRefusal(
                f"{options.what} is asked for without a set", "its clips are judged", "give --set, from voin data build"
            )
        voi_set = open_set(options.voi_set)
        root, target = voi_set.root.resolve(), self.out.resolve()
        if target == root or root in target.parents:
            raise ValueRefusal(f"{self.out} lies in the set", "the set must stay as it is", "choose another folder")
        if not voi_set.records("validation"):
            raise ValueRefusal(
                f"{options.voi_set} has no validation clips",
                "what is trained on must not be judged",
                "build the set with another --seed, or of more videos",
            )
        return voi_set

    def _check_rows(self) -> None:
        options = self.options
        unknown = [name for name in options.rows if name not in {row.name for row in self.table.rows}]
        if unknown:
            names = ", ".join(row.name for row in self.table.rows)
            raise ValueRefusal(
                f"{options.what} has no row {', '.join(unknown)}", f"it must be among {names}", "choose there"
            )
        if options.preset not in self.table.presets:
            raise ValueRefusal(
                f"--preset {options.preset} has no networks for {options.what}",
                f"its rows are forms of the networks of {' and '.join(self.table.presets)}",
                f"give --preset {self.table.presets[0]}",
            )

    def rows(self) -> list[Row]:
        """List the rows that are asked for."""
        wanted = self.options.rows or (() if self.figure is None else self.figure.rows)
        return [row for row in self.table.rows if not wanted or row.name in wanted]

    def _evaluate(self, setting: str, corruptions: tuple[Any, ...] = ()) -> dict[str, Any]:
        """Judge all that is made; scores that are kept are not made again."""
        from voin.benchmark.evaluate import evaluate
        from voin.benchmark.options import EvaluateOptions

        options = self.options
        asked = EvaluateOptions(
            settings=(setting,),
            clips=options.clips,
            corruptions=corruptions,
            workers=options.workers,
            references=options.references,
            pictures=False,
        )
        with Bars(self.quiet) as bars:
            return evaluate(self.voi_set, self.methods, self.out / SCORES / options.what, asked, progress=bars)

    def _judge(self) -> dict[str, list[Judged]]:
        """Judge all rows that are made."""
        from voin.benchmark.paper.compare import Judged

        results = self._evaluate(self.table.setting)
        self.notes = [f"{note}." for note in results["notes"]]
        found: dict[str, list[Judged]] = {}
        for name, part in results["tables"][self.table.setting].items():
            row, seed, made = self.made[name]
            values = {key: average["per_video"] for key, average in part["all"]["averages"].items()}
            minutes = None if row.model else made.minutes
            found.setdefault(row.name, []).append(Judged(seed, values, minutes, part["failures"], made.sums))
        return found

    def _write(self, judged: dict[str, list[Judged]]) -> None:
        from voin.benchmark.paper.compare import compare
        from voin.benchmark.paper.write import write_table
        from voin.core import __version__

        options = self.options
        records = self._records()
        about = {
            "voin": __version__,
            "set": self.voi_set.root.name,
            "clips": len(records),
            "frames": sum(record.count for record in records),
            "budget": options.budget,
            "unit": self.unit,
            "preset": options.preset,
            "seeds": options.seeds,
            "changes": list(options.changes or ()),
            "notes": self.notes,
        }
        write_table(self.out, options.what, self.table, compare(self.table, judged), about)

    def _records(self) -> list[Any]:
        clips, records = self.options.clips, self.voi_set.records("validation")
        if clips is None or isinstance(clips, int):
            return list(records[:clips])
        return [record for record in records if record.name in clips]

    def _say(self, text: str) -> None:
        if not self.quiet:
            out.print(text, soft_wrap=True, highlight=False, markup=False)
