"""Compare methods on a VOI set: score every clip, make the tables, and the pictures that go with them.

Scores, pictures and the true motion are kept in the output folder, so an evaluation that was stopped goes on, and one
with a method more does that method alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from voin.benchmark.curves import draw_curves
from voin.benchmark.examples import Example, ExampleMaker, choose_examples
from voin.benchmark.options import EvaluateOptions, Setting
from voin.benchmark.report import write_report
from voin.benchmark.results import RESULTS, Row, make_results
from voin.benchmark.scoring import References, Scorer, Trial, Unit, basis_of
from voin.benchmark.tables import TABLES, to_markdown
from voin.benchmark.trials import Entry, FolderEntry, MethodEntry, check_name
from voin.core import __version__
from voin.core.draw import need_matplotlib
from voin.core.errors import FileRefusal, ValueRefusal
from voin.core.files import write_whole
from voin.core.processes.pool import run_all
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
    """Evaluate methods; writes `results.json`, `results.md` and `index.html` into `out`; returns the first of them.

    A method that raises on a clip has failed there: its pixels count as the unfilled input and its mask as nothing, the
    reason is kept, and the evaluation goes on; "failures" counts such clips.

    Args:
        voi_set: from `voin.data.sets.open_set`.
        methods: name to anything callable with the pipeline's signature, as `voin.baselines.method.Method`.
        out: folder of the evaluation.
        options: what and how.
        results: name to a folder of somebody else's results, laid out as `voin.benchmark.trials.FolderEntry` says.
        progress: in frames; the stages are "check", "evaluate", "damaged masks" and "pictures".

    Raises:
        ValueError: no method, a name twice, or no such clip.
        OSError: a file of the set or of the results cannot be read, or one cannot be written.
        ImportError: a network that scores lacks its extra.
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
    if options.corruptions:
        need_matplotlib("the curves", ", or leave the damaged masks out")
    scorer = Scorer(voi_set, basis_of(voi_set), entries, references, out, options.seed)
    # A folder of results was made from the true masks alone.
    computed = [trial for trial in trials if isinstance(entries[trial.entry], MethodEntry)]
    corrupted = [[replace(trial, corruption=corruption) for trial in computed] for corruption in options.corruptions]
    work = [(record, trials) for record in records]
    _check_pictures(scorer, work, options, progress)
    out.mkdir(parents=True, exist_ok=True)
    _score(scorer, work, "evaluate", options, progress)
    work = [(record, alike) for alike in corrupted for record in records]
    _score(scorer, work, "damaged masks", options, progress)
    rows = [_row(scorer, record, trial) for trial in trials for record in records]
    corrupted_rows = [_row(scorer, record, trial) for alike in corrupted for trial in alike for record in records]
    examples = _make_examples(scorer, rows, options, progress) if options.pictures else []
    about = {
        "voin": __version__,
        "versions": versions(),
        "set": {
            "path": str(voi_set.root),
            "manifest": scorer.basis["set"],
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
    found = make_results(about, rows, corrupted_rows, [example.to_json() for example in examples])
    write_whole(out / RESULTS, (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode())
    write_whole(out / TABLES, to_markdown(found).encode())
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
    if out.exists() and not out.is_dir():
        raise FileRefusal(f"{out} is a file", "the output must be a folder", "choose another name")


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
        shown = ", ".join(record.name for record in records[:20]) + (" ..." if len(records) > 20 else "")
        raise ValueRefusal(f"there is no clip {', '.join(unknown)}", f"it must be one of {shown}", "choose among these")
    return tuple(record for record in records if record.name in options.clips)


def _entries(methods: Mapping[str, Callable[..., Completion]], results: Mapping[str, Path]) -> tuple[Entry, ...]:
    twice = sorted(set(methods) & set(results))
    if twice or not (methods or results):
        what = f"{', '.join(twice)} names a method and a folder" if twice else "there is nothing to evaluate"
        raise ValueRefusal(f"{what}", "there must be one row a name, and at least one", "give other names")
    return (
        *(MethodEntry(check_name(name), method) for name, method in methods.items()),
        *(FolderEntry(check_name(name), Path(folder)) for name, folder in results.items()),
    )


def _settings(entry: Entry, options: EvaluateOptions) -> list[Setting]:
    return [setting for setting in entry.settings if setting in options.settings]


def _unused(entries: Iterable[Entry], options: EvaluateOptions) -> list[str]:
    setting = options.settings[0]
    return [
        f"{entry.name} gives nothing in the setting {setting!r}" for entry in entries if not _settings(entry, options)
    ]


def _score(
    scorer: Scorer, work: list[tuple[ClipRecord, list[Trial]]], stage: str, options: EvaluateOptions, progress: Progress
) -> None:
    """Score what is not kept."""
    units = _due(scorer, work, options)
    if not units:
        return
    progress.stage(stage, sum(unit.record.count * len(unit.trials) for unit in units))
    here = (unit.record.count for unit in units for _ in scorer.score(unit))
    for frames in here if options.workers == 1 else run_all(scorer, units, options.workers):
        progress.advance(stage, frames)


def _due(scorer: Scorer, work: list[tuple[ClipRecord, list[Trial]]], options: EvaluateOptions) -> list[Unit]:
    """List what is not kept. Failures are tried again: their reason may be gone."""

    def is_due(record: ClipRecord, trial: Trial) -> bool:
        kept = None if options.overwrite else scorer.kept(record, trial)
        return kept is None or bool(kept.error)

    units = [Unit(record, tuple(trial for trial in trials if is_due(record, trial))) for record, trials in work]
    return [unit for unit in units if unit.trials]


def _check_pictures(
    scorer: Scorer, work: list[tuple[ClipRecord, list[Trial]]], options: EvaluateOptions, progress: Progress
) -> None:
    """Read all pictures that are to be scored, so that a broken one is refused before anything is written."""
    units = _due(scorer, work, options)
    if units:
        progress.stage("check", sum(unit.record.count for unit in units))
    for unit in units:
        scorer.voi_set.load(unit.record)
        progress.advance("check", unit.record.count)


def _row(scorer: Scorer, record: ClipRecord, trial: Trial) -> Row:
    kept = scorer.kept(record, trial)
    if kept is None:
        gone = f"{scorer.path_of(record, trial)} is gone"
        raise FileRefusal(gone, "scores must stay while they are used", "run the same command again")
    return kept


def _make_examples(scorer: Scorer, rows: list[Row], options: EvaluateOptions, progress: Progress) -> list[Example]:
    examples = choose_examples(scorer, rows)
    maker = ExampleMaker(scorer)
    due = [example for example in examples if options.overwrite or not maker.is_made(example)]
    if due:
        progress.stage("pictures", sum(example.record.count for example in due))
        for frames in run_all(maker, due, options.workers):
            progress.advance("pictures", frames)
    maker.drop_all_but(examples)
    return examples
