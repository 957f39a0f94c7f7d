"""The container and the tested versions: held without Docker, by what stands in the files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from voin.app.options import ServeConfig
from voin.jobs.describe import describe_options

ROOT = Path(__file__).resolve().parents[2]
# Beside the interpreter, where packages put programs.
HADOLINT = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
INSTRUCTIONS = {"FROM", "RUN", "COPY", "ENV", "USER", "WORKDIR", "EXPOSE", "ENTRYPOINT", "CMD"}


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile with their arguments; lines that go on are joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]  # type: ignore[misc]


def compose() -> dict[str, Any]:
    return pytest.importorskip("yaml").safe_load((ROOT / "compose.yaml").read_text())


def constraints() -> dict[str, Version]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    return {name: Version(version) for name, version in pairs}


def asked() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: lines for name, lines in project["optional-dependencies"].items() if name not in ("dev", "docs")}
    return [Requirement(line) for lines in (project["dependencies"], *extras.values()) for line in lines]


def test_the_tested_versions_are_allowed_and_none_is_forgotten() -> None:
    known = constraints()
    assert list(known) == sorted(known)
    untested = (ROOT / "constraints.txt").read_text().partition("Not tested here: ")[2].partition(".")[0].split(", ")
    for requirement in asked():
        name = canonicalize_name(requirement.name)
        assert (name in known) != (requirement.name in untested), name
        assert name not in known or known[name] in requirement.specifier, requirement


def test_the_image_has_known_instructions_pinned_versions_and_an_ordinary_user() -> None:
    found = instructions()
    assert {word for word, _ in found} <= INSTRUCTIONS
    assert found[0][0] == "FROM"
    stages = [i for i, (word, _) in enumerate(found) if word == "FROM"]
    assert all(re.fullmatch(r"python:3\.\d+-slim( AS build)?", found[i][1]) for i in stages)
    last = found[stages[-1] :]
    assert ("USER", "1000:1000") in last
    assert max(i for i, (word, _) in enumerate(last) if word in ("RUN", "COPY")) < last.index(("USER", "1000:1000"))
    for word, rest in found:
        if word == "RUN" and "pip install" in rest:
            assert "--constraint constraints.txt" in rest
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists()
                assert f"!{source}" in (ROOT / ".dockerignore").read_text().split()
        if word in ("ENTRYPOINT", "CMD"):
            assert rest.startswith("[")  # no shell between, so that signals arrive
    extras = next(rest for _, rest in found if '".[' in rest)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.search(r"\.\[([\w,]+)\]", extras)[1].split(",")) <= set(known)  # type: ignore[index]


def test_what_the_image_keeps_lies_below_tmp() -> None:
    given = " ".join(rest for word, rest in instructions()[-9:] if word == "ENV")
    environment = dict(re.findall(r"(\w+)=(\S+)", given))
    assert {environment[name].split("/")[1] for name in ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR")} == {"tmp"}


def test_the_page_runs_with_a_password_read_only_and_with_no_more_rights_than_it_needs() -> None:
    content = compose()
    (service,) = content["services"].values()
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == "1000:1000"
    assert service["environment"]["VOIN_AUTH"].startswith("${VOIN_AUTH:?")  # it does not start without one
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    writable = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
    assert writable == ["scratch:/tmp"]
    assert "scratch" in content["volumes"]
    flags = {option.flag.split()[0]: option for option in describe_options(ServeConfig) if option.flag}
    command = service["command"]
    assert command[0] == "serve"
    assert {word for word in command if word.startswith("--")} <= set(flags)
    assert flags["--auth"].more["envvar"] == "VOIN_AUTH"
    port = str(flags["--port"].default)
    assert all(given.endswith(f":{port}") for given in service["ports"])
    assert ("EXPOSE", port) in instructions()


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not here")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run([str(HADOLINT), "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_docker_understands_compose_yaml() -> None:
    if shutil.which("docker") is None:
        pytest.skip("docker is not here")
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not here")
    done = subprocess.run(
        ["docker", "compose", "config", "-q"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "VOIN_AUTH": "a:b"},
    )
    assert done.returncode == 0, done.stderr
