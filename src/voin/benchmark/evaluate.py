"""Compare methods on a VOI set: score every clip, make the tables, and the pictures that go with them.

Scores, pictures and the true motion are kept in the output folder, so an evaluation that was stopped goes on, and one
with a method more does that method alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from voin.benchmark.curves import draw_curves, need_matplotlib
from voin.benchmark.examples import Example, FilmMaker, choose_films
from voin.benchmark.options import EvaluateOptions, Setting
from voin.benchmark.report import write_report
from voin.benchmark.results import Row, make_results, write_results
from voin.benchmark.scoring import References, Scorer, Trial, Unit, basis_of
from voin.benchmark.tables import write_tables
from voin.benchmark.trials import Entry, FolderEntry, MethodEntry, check_name, source_of
from voin.core import __version__
from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.processes import run_all
from voin.core.progress import Progress, Silent
from voin.core.system import versions
from voin.data.manifest import ClipRecord
from voin.data.sets import VoiSet
from voin.method.pipeline import Completion


def evaluate(
    voi_set: VoiSet,
    methods: Mapping[str, Callable[..., Completion]],
    out: Path,
    options: EvaluateOptions = EvaluateOptions(),
    *,
    results: Mapping[str, Path] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Evaluate methods; writes `results.json`, `results.md` and `index.html` into `out`.

    A method that raises on a clip has failed there: its pixels count as the unfilled input and its mask as nothing, the
    reason is kept, and the evaluation goes on.

    Args:
        voi_set: from `voin.data.sets.open_set`.
        methods: name to anything callable with the pipeline's signature; see `voin.baselines.method.Method`.
        out: folder of the evaluation.
        options: what and how.
        results: name to a folder of somebody else's results; see `voin.benchmark.trials.FolderEntry`.
        progress: told how far it is, in frames; the stages are "evaluate", "damaged masks" and "pictures".

    Returns:
        What stands in `results.json`; its "failures" count the clips on which a method failed.

    Raises:
        ValueError: no method, a name twice, or no such clip.
        OSError: a file of the set or of the results cannot be read, or one cannot be written.
        ImportError: a judging network without its extra.
    """
    progress = progress or Silent()
    _check_out(voi_set, out)
    records = _chosen(voi_set, options)
    entries = _entries(methods, results or {})
    trials = [Trial(i, setting) for i, entry in enumerate(entries) for setting in _settings(entry, options)]
    if not trials:
        raise ValueRefusal(
            f"no method gives anything in the settings {', '.join(options.settings)}",
            "shapes alone are judged end to end",
            "take both settings",
        )
    references = References(**vars(options.references))
    references.load()
    if options.damages:
        need_matplotlib()
    judge = Scorer(voi_set, basis_of(voi_set), entries, references, out, options.seed)
    damaged = [
        [Trial(trial.entry, trial.setting, each) for trial in trials if isinstance(entries[trial.entry], MethodEntry)]
        for each in options.damages
    ]
    _score(judge, [(record, trials) for record in records], "evaluate", options, progress)
    _score(judge, [(record, some) for some in damaged for record in records], "damaged masks", options, progress)
    rows = [_row(judge, record, trial) for trial in trials for record in records]
    weak = [_row(judge, record, trial) for some in damaged for trial in some for record in records]
    films = _make_films(judge, rows, options, progress) if options.pictures else []
    about = {
        "voin": __version__,
        "versions": versions(),
        "set": {
            "path": str(voi_set.root),
            "manifest": judge.basis["set"],
            "seed": voi_set.manifest.seed,
            "split": options.split,
            "clips": len(records),
            "frames": sum(record.count for record in records),
        },
        "seed": options.seed,
        "references": references.identity(),
        "notes": [*references.missing(), *_unused(entries, options)],
        "methods": {entry.name: {"content": entry.content, **entry.identity("")} for entry in entries},
    }
    found = make_results(about, rows, weak, [film.to_json() for film in films])
    write_results(out, found)
    write_tables(out, found)
    if found["damage"]:
        draw_curves(out, found)
    write_report(out, found)
    return found


def _check_out(voi_set: VoiSet, out: Path) -> None:
    root, target = voi_set.root.resolve(), out.resolve()
    if target == root or root in target.parents:
        raise ValueRefusal(
            f"{out} lies in the set {voi_set.root}", "the set must stay as it is", "choose another folder"
        )
    out.mkdir(parents=True, exist_ok=True)


def _chosen(voi_set: VoiSet, options: EvaluateOptions) -> tuple[ClipRecord, ...]:
    records = voi_set.records(options.split)
    if not records:
        raise ValueRefusal(
            f"{voi_set.root} has no clip in the split {options.split!r}", "it must hold one", "choose another split"
        )
    if options.clips is None or isinstance(options.clips, int):
        return tuple(records[: options.clips])
    unknown = sorted(set(options.clips) - {record.name for record in records})
    if unknown:
        known = [record.name for record in records]
        shown = ", ".join(known[:20]) + (" ..." if len(known) > 20 else "")
        raise ValueRefusal(f"there is no clip {', '.join(unknown)}", f"it must be one of {shown}", "choose among these")
    return tuple(record for record in records if record.name in options.clips)


def _entries(methods: Mapping[str, Callable[..., Completion]], results: Mapping[str, Path]) -> tuple[Entry, ...]:
    twice = sorted(set(methods) & set(results))
    if twice or not (methods or results):
        what = f"{', '.join(twice)} names a method and a folder" if twice else "there is nothing to evaluate"
        raise ValueRefusal(f"{what}", "there must be one row a name, and at least one", "give other names")
    return (
        *(MethodEntry(check_name(name), method, source_of(method)) for name, method in methods.items()),
        *(FolderEntry(check_name(name), Path(folder)) for name, folder in results.items()),
    )


def _settings(entry: Entry, options: EvaluateOptions) -> list[Setting]:
    return [setting for setting in entry.settings if setting in options.settings]


def _unused(entries: Iterable[Entry], options: EvaluateOptions) -> list[str]:
    left = [entry.name for entry in entries if not _settings(entry, options)]
    return [f"{name} gives nothing in the setting {options.settings[0]!r}" for name in left]


def _score(
    judge: Scorer,
    work: list[tuple[ClipRecord, list[Trial]]],
    stage: str,
    options: EvaluateOptions,
    progress: Progress,
) -> None:
    """Score what is not kept. Failures are tried again: their reason may be gone."""

    def is_due(record: ClipRecord, trial: Trial) -> bool:
        kept = None if options.overwrite else judge.kept(record, trial)
        return kept is None or bool(kept.error)

    units = [
        Unit(record, due)
        for record, trials in work
        if (due := tuple(trial for trial in trials if is_due(record, trial)))
    ]
    if not units:
        return
    progress.stage(stage, sum(unit.record.count * len(unit.trials) for unit in units))
    if options.workers == 1:
        for unit in units:
            for _ in judge.score(unit):
                progress.advance(stage, unit.record.count)
        return
    for frames in run_all(judge, units, options.workers):
        progress.advance(stage, frames)


def _row(judge: Scorer, record: ClipRecord, trial: Trial) -> Row:
    kept = judge.kept(record, trial)
    if kept is None:
        raise FileRefusal(
            f"{judge.path_of(record, trial)} is gone",
            "scores must stay while they are used",
            "run the same command again",
        )
    name = judge.entries[trial.entry].name
    return Row(name, trial.setting, trial.damage, record, kept.scores, kept.seconds, kept.error)


def _make_films(judge: Scorer, rows: list[Row], options: EvaluateOptions, progress: Progress) -> list[Example]:
    films = choose_films(judge, rows)
    maker = FilmMaker(judge)
    due = [film for film in films if options.overwrite or not maker.is_made(film)]
    if due:
        progress.stage("pictures", sum(film.record.count for film in due))
        for frames in run_all(maker, due, options.workers):
            progress.advance("pictures", frames)
    maker.drop_all_but(films)
    return films
