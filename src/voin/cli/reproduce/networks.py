"""The networks of rows: taken from a folder of models, or trained with the row's share of the budget."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voin.benchmark.paper.options import ReproduceOptions
from voin.core.errors import FileRefusal, ValueRefusal, count_of

if TYPE_CHECKING:
    from voin.benchmark.paper.models import Made
    from voin.benchmark.paper.rows import Network, Row
    from voin.training.config import TrainConfig
    from voin.training.options import TrainOptions

RUNS = "runs"  # in the output folder
_HOUR_MINUTES = 60.0


@dataclass(frozen=True)
class Planned:
    """What is known of a network before anything is done: how long it is trained, and why it need not be."""

    name: str
    minutes: float
    state: str  # "taken", "finished", "to train", or "absent"


class Networks:
    """Makes the networks of rows; finished runs are kept in the output folder, and stopped ones go on.

    `unit` is what a budget counts, `say` is told what begins.
    """

    def __init__(self, options: ReproduceOptions, out: Path, unit: str, say: Callable[[str], None]) -> None:
        self.options, self.out, self.unit, self.say = options, out, unit, say

    def check(self, rows: Iterable[Row]) -> None:
        """Refuse what cannot work before anything is trained."""
        from voin.data.packs.pack import open_pack

        options, rows = self.options, list(rows)
        if options.models is not None and not options.models.is_dir():
            raise FileRefusal(f"{options.models} is no folder", "models lie in DIR/NAME/best", "check --models")
        if any(row.networks for row in rows) and options.models is None and options.pack is None:
            raise ValueRefusal(
                "there is neither a pack nor a folder of models",
                "rows must be trained or taken",
                "give --pack FILE to train them, or --models DIR to take them",
            )
        for pack in (options.pack, options.cutouts, options.sprites, options.validation):
            if pack is not None:
                open_pack(pack)
        for row in rows:
            for network in row.networks:
                self.config_of(network, 0)

    def plan(self, rows: Sequence[Row]) -> list[Planned]:
        """Return what there is of every network of some rows, and what there is to train; one that rows share once."""
        from voin.benchmark.paper.models import find_trained, seeded

        found: dict[str, Planned] = {}
        for seed in range(self.options.seeds):
            for network in (network for row in rows for network in row.networks):
                name = seeded(network.name, seed)
                if self.options.models is not None and find_trained(self.options.models, network, seed):
                    state = "taken"
                elif self.options.pack is None:
                    state = "finished" if find_trained(self.out / RUNS, network, seed) else "absent"
                else:
                    from voin.training.train import is_finished

                    config = self.config_of(network, seed)
                    state = "finished" if is_finished(self._asked(network, seed, config), config) else "to train"
                found[name] = Planned(name, self.options.budget * network.share, state)
        return list(found.values())

    def say_plan(self, rows: Sequence[Row]) -> None:
        """Print what there is to train, and how long that takes."""
        planned = self.plan(rows)
        left = [one for one in planned if one.state == "to train"]
        for one in planned:
            self.say(f"{one.name}: {one.state}" + (f", {one.minutes:g} {self.unit}" if one in left else ""))
        minutes = sum(one.minutes for one in left)
        total = f"{minutes / _HOUR_MINUTES:.1f} hours of {self.unit.removesuffix('-minutes').lower()} time"
        self.say(f"{count_of(len(left), 'network')} to train: {total}; each is validated and each row judged besides")

    def make(self, row: Row, seed: int) -> Made | None:
        """Take or train the networks of a row; None where one of them is neither."""
        from voin.benchmark.paper import models

        if row.model:
            return models.shipped(row) if seed == 0 else None
        parts = [self._network(network, seed) for network in row.networks]
        found = [part for part in parts if part is not None]
        if len(found) < len(parts):
            return None
        return models.put_together(row, found, self.out / models.MODELS / models.seeded(row.name, seed))

    def _network(self, network: Network, seed: int) -> Path | None:
        """Return the folder of a trained network; one that is not among the models is trained, if there is a pack."""
        from voin.benchmark.paper.models import find_trained, seeded

        options, folder = self.options, self.out / RUNS / seeded(network.name, seed)
        if options.models is not None and (there := find_trained(options.models, network, seed)) is not None:
            return there
        if options.pack is None:
            return find_trained(self.out / RUNS, network, seed) if (folder / "best").is_dir() else None
        from voin.training.train import is_finished, train

        config = self.config_of(network, seed)
        asked = self._asked(network, seed, config)
        if is_finished(asked, config):
            return folder / "best"
        self.say(f"training {seeded(network.name, seed)} for {config.minutes:g} {self.unit}")
        return train(asked, config, self.say)

    def _asked(self, network: Network, seed: int, config: TrainConfig) -> TrainOptions:
        from voin.benchmark.paper.models import seeded
        from voin.training.options import TrainOptions

        options = self.options
        assert options.pack is not None
        changes = [*(options.changes or ()), *network.settings(options.preset), f"seed={seed}"]
        words = ["voin", "train", network.stage, "--preset", options.preset, "--minutes", f"{config.minutes:g}"]
        return TrainOptions(
            stage=network.stage,  # pyright: ignore[reportArgumentType]
            pack=options.pack,
            out=self.out / RUNS / seeded(network.name, seed),
            cutouts=options.cutouts,
            sprites=options.sprites,
            validation=options.validation,
            resume=True,
            device=options.device,
            lpips_weights=options.references.lpips_weights,
            command=shlex.join([*words, *(word for change in changes for word in ("--set", change))]),
        )

    def config_of(self, network: Network, seed: int) -> Any:
        """Return the settings of a run; what the row says itself counts more than what the user says of all rows."""
        from voin.training.config import PRESETS, change_settings

        options = self.options
        minutes = f"minutes={options.budget * network.share:g}"
        changes = [*(options.changes or ()), *network.settings(options.preset), minutes, f"seed={seed}"]
        return change_settings(PRESETS[options.preset], changes)
