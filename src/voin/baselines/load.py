"""Methods by name: a baseline, one of `voin.load`, or your own as `module:attribute`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from voin.baselines.copy import Copy
from voin.baselines.hull import HullShape
from voin.baselines.method import Method, Resources
from voin.baselines.telea import Telea
from voin.baselines.trained.models import ROWS, load_baseline
from voin.baselines.visible import VisibleShape
from voin.core.errors import PackageRefusal, ValueRefusal
from voin.method.load import STAGES, load
from voin.method.pipeline import Completion

# A new baseline without weights is a file beside this one and a line here; one with networks is a file in `trained/`
# and lines in `trained/models.py`.
BASELINES: dict[str, Callable[[Resources], Method]] = {
    "telea": lambda _: Telea(),
    "copy": lambda _: Copy(),
    "visible": lambda _: VisibleShape(),
    "hull": lambda _: HullShape(),
}
TRAINED = tuple(ROWS)  # baselines with networks, of model folders

# Methods of `voin.load`: name -> the stages that do without their network, None for all; so a table can say what each
# network is worth.
LOADED: dict[str, tuple[str, ...] | None] = {
    "voin": (),
    **{f"voin-classical-{stage}": (stage,) for stage in STAGES},
    "classical": None,
}


def load_method(name: str, resources: Resources | None = None) -> Callable[..., Completion]:
    """Make a method by name: a baseline, one of `voin.load`, or your own as `module:attribute`.

    Args:
        name: a key of `BASELINES` or of `LOADED`, one of `TRAINED`, or `module:attribute`, found in the working folder
            or where Python finds modules. A class is called without arguments; anything else is the method itself.
        resources: what a baseline or a method of `voin.load` is made from; None for the usual.

    Raises:
        ValueError: no such method or model.
        OSError: weights that are not there or cannot be read.
        ImportError: no such module.
    """
    resources = resources or Resources()
    if name in BASELINES:
        return BASELINES[name](resources)
    if name in TRAINED:
        return load_baseline(
            name,
            resources.baseline_models,
            preset=resources.preset,
            flow=resources.flow,
            raft_weights=resources.raft_weights,
            device=resources.device,
            certainty=resources.certainty,
        )
    if name in LOADED:
        exchanged = LOADED[name]
        options: dict[str, Any] = {
            "preset": resources.preset,
            "flow": resources.flow,
            "raft_weights": resources.raft_weights,
            "device": resources.device,
        }
        if exchanged is None:
            return load("classical", **options)
        if "shape" not in exchanged:
            options["certainty"] = resources.certainty
        return load("voin", model=resources.model, classical=exchanged, **options)
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        names = ", ".join([*BASELINES, *TRAINED, *LOADED])
        raise ValueRefusal(
            f"the method is {name!r}", f"it must be one of {names}, or module:attribute", "choose one of these"
        )
    return _imported(module, attribute)


def _imported(module: str, attribute: str) -> Callable[..., Completion]:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)  # as `python -m` does; the program `voin` does not
    try:
        found: Any = getattr(import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0] and error.name != module:
            raise  # what the module itself lacks
        raise PackageRefusal(
            f"there is no module {module!r}",
            f"{module}.py must lie in this folder or be installed",
            "run the command where it lies",
        ) from None
    if not callable(found):
        raise ValueRefusal(
            f"{module} has no method {attribute!r}",
            "it must be a class or a callable with the pipeline's signature",
            "check its name",
        )
    method: Any = found() if isinstance(found, type) else found
    return method
