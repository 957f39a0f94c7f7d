"""Write the versions that voin was tested with, from the environment of the tests.

    python recipes/constraints.py > constraints.txt

`pip install --constraint constraints.txt ".[web,demo]"` then installs these, and no others. With `--oldest` it writes
the oldest versions that pyproject.toml allows of what voin and its extras for users ask for themselves.
"""

from __future__ import annotations

import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text())["project"]
NOT_USERS = {"dev", "docs"}  # for work on voin itself


def requirements() -> list[Requirement]:
    """List what voin and its extras for users ask for."""
    extras = [
        line for name, lines in PROJECT["optional-dependencies"].items() if name not in NOT_USERS for line in lines
    ]
    return [Requirement(line) for line in [*PROJECT["dependencies"], *extras]]


def tested() -> dict[str, str]:
    """Return the version of each package that is installed for them, and for what these ask for."""
    waiting, found = requirements(), {}
    while waiting:
        asked = waiting.pop()
        name = asked.name.lower().replace("_", "-").replace(".", "-")
        try:
            installed = metadata.distribution(asked.name)
        except metadata.PackageNotFoundError:
            continue
        if name in found:
            continue
        found[name] = installed.version.partition("+")[0]  # the same on a processor and on a GPU
        for further in map(Requirement, installed.requires or ()):
            marker = further.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *asked.extras)):
                waiting.append(further)
    return dict(sorted(found.items()))


def oldest() -> dict[str, str]:
    """Return the oldest version that is allowed of each package that is asked for; of 10 that is 10.0."""
    found = {}
    for asked in requirements():
        for bound in (bound.version for bound in asked.specifier if bound.operator == ">="):
            parts = bound.split(".")
            found[asked.name] = bound if len(parts) > 2 else f"{'.'.join([*parts, '0'][:2])}.*"
    return dict(sorted(found.items()))


if __name__ == "__main__":
    if "--oldest" in sys.argv:
        for name, version in oldest().items():
            print(f"{name}=={version}")
        sys.exit()
    versions = tested()
    lacking = sorted({asked.name for asked in requirements() if asked.name.lower() not in versions})
    print(f"# Versions that voin was tested with, on Python {sys.version_info.major}.{sys.version_info.minor}:")
    print('#   pip install --constraint constraints.txt ".[web,demo]"')
    print("# Made by recipes/constraints.py." + (f" Not tested here: {', '.join(lacking)}." if lacking else ""))
    for name, version in versions.items():
        print(f"{name}=={version}")
