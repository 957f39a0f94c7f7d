from __future__ import annotations

import json
import shlex
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes.fake_method import labels, save_labels
from scenes.video_clips import COUNT, encode, pictures
from voin.app.work import Complete, Track, prompt_text
from voin.cli import app as cli
from voin.core.progress import Silent
from voin.io.video import Quality, probe
from voin.jobs import complete as complete_job
from voin.jobs import mask as mask_job
from voin.jobs.options import CompleteOptions, MaskOptions, MethodOptions
from voin.method import load as methods
from voin.tracking.prompts import Prompt, parse_prompt

CLASSICAL = MethodOptions(method="classical")
SIZE = (96, 128)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a video and its masks, where commands are run."""
    encode(tmp_path / "clip.mp4", pictures(size=SIZE))
    save_labels(tmp_path / "given", labels(COUNT, SIZE))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_command(line: str) -> None:
    words = shlex.split(line)
    assert words[0] == "voin"
    done = CliRunner().invoke(cli.app, words[1:])
    assert done.exit_code == 0, done.output


def work(place: Path, **more: Any) -> Complete:
    (place / "job").mkdir()
    options = CompleteOptions(start=2, end=9, save_confidence=True, layer="png")
    return Complete(place / "clip.mp4", "my clip.mp4", place / "given", place / "job", options, CLASSICAL, **more)


def unpack(path: Path, out: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(out)
        return archive.namelist()


def test_the_shown_command_makes_the_same_from_what_is_downloaded(place: Path) -> None:
    job = work(place)
    job.run(Silent())
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "my clip.mp4").write_bytes((place / "clip.mp4").read_bytes())
    unpack(job.folder / "files" / "masks.zip", elsewhere)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        run_command(job.command())
    for name in ("completed.mp4", "amodal/00004.png", "object/00004.png", "confidence/00004.png"):
        assert (elsewhere / "result" / name).read_bytes() == (job.result / name).read_bytes(), name


def test_masks_are_made_by_the_shown_command_too(place: Path) -> None:
    painted = np.zeros(SIZE, bool)
    painted[30:50, 40:60] = True
    prompts = (Prompt(2, box=(20, 20, 50, 40), negative=((5, 5),)), Prompt(6, mask=painted))
    track = Track(place / "clip.mp4", prompts, place / "tracked", MaskOptions(start=2, end=9))
    track.run(Silent())
    job = work(place, tracked=track)
    job._pack_masks()
    unpack(job.folder / "files" / "masks.zip", place / "unpacked")
    (place / "unpacked" / "my clip.mp4").write_bytes((place / "clip.mp4").read_bytes())
    first, second = job.command().splitlines()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place / "unpacked")
        run_command(first.replace("-o masks", "-o again"))
    for i in range(COUNT):
        name = f"{i:05d}.png"
        assert (place / "unpacked" / "again" / name).read_bytes() == (place / "tracked" / name).read_bytes()
    assert shlex.split(second)[:4] == ["voin", "complete", "my clip.mp4", "masks"]


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(52, box=(1, 2, 30, 40)),
        Prompt(0, points=((1, 2), (3, 4)), negative=((5, 6),)),
        Prompt(7, (1, 2, 30, 40), ((3, 4),), ((5, 6), (7, 8))),
    ],
)
def test_prompts_are_written_as_they_are_read(prompt: Prompt) -> None:
    again = parse_prompt(prompt_text(prompt))
    assert (again.frame, again.box, again.points, again.negative) == (
        prompt.frame,
        prompt.box,
        prompt.points,
        prompt.negative,
    )


def test_every_option_of_the_page_comes_back_from_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def load(*given: object, **named: object) -> str:
        seen["load"] = (given, named["flow"], named["device"])
        return "the inpainter"

    def complete(*given: object, **named: object) -> None:
        assert named["inpainter"] == "the inpainter"
        seen["options"] = given[3]
        raise OSError("enough")

    monkeypatch.setattr(methods, "load", load)
    monkeypatch.setattr(complete_job, "complete", complete)
    options = CompleteOptions(
        category="person",
        png=True,
        layer="webm",
        save_flow=True,
        save_confidence=True,
        start=3,
        end=9,
        cuts="none",
        quality=Quality(crf=30),
        ids=(1, 2),
        order=(2, 1),
        resize_masks=True,
        mask_frames="0-8:2",
        absent="error",
        skip_broken=True,
    )
    method = MethodOptions(method="classical", flow="raft-small", device="cpu")
    job = Complete(Path("a.mp4"), "a.mp4", Path("m"), Path("f"), options, method)
    CliRunner().invoke(cli.app, shlex.split(job.command())[1:])
    assert seen == {"options": options, "load": (("classical",), "raft-small", "cpu")}
    job = Complete(Path("a.mp4"), "a.mp4", Path("m"), Path("f"), CompleteOptions())
    assert job.command() == "voin complete a.mp4 masks -o result"


def test_every_option_of_tracking_comes_back_from_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def mask(*given: object) -> None:
        seen.extend(given[1:4])
        raise OSError("enough")

    monkeypatch.setattr(mask_job, "mask", mask)
    options = MaskOptions(tracker="sam2", model="m", device="cpu", start=3, end=9, cuts="none", skip_broken=True)
    prompt = Prompt(4, (1, 2, 30, 40), ((3, 4), (4, 5)), ((5, 6),))
    CliRunner().invoke(cli.app, shlex.split(Track(Path("a"), (prompt,), Path("o"), options).command("a b.mp4"))[1:])
    (given,), out, chosen = seen
    assert (given.frame, given.box, given.points, given.negative) == (4, prompt.box, prompt.points, prompt.negative)
    assert (out, chosen) == (Path("masks"), options)


def test_no_name_of_a_file_becomes_an_option_or_a_command() -> None:
    job = Complete(Path("a.mp4"), "-o; rm x.mp4", Path("m"), Path("f"), CompleteOptions())
    assert shlex.split(job.command()) == ["voin", "complete", "./-o; rm x.mp4", "masks", "-o", "result"]


def test_what_is_downloaded_says_nothing_of_the_server(place: Path) -> None:
    job = work(place)
    job.run(Silent())
    text = (job.folder / "files" / "run.json").read_text()
    assert str(place) not in text
    assert json.loads(text)["request"]["video"]["path"] == "my clip.mp4"
    assert str(place) not in (job.folder / "files" / "command.txt").read_text()


def test_the_files_are_the_video_the_masks_the_layer_and_the_record(place: Path) -> None:
    job = work(place)
    job.run(Silent())
    names = [path.name for path in job.files()]
    assert names[0] == "completed.mp4"
    assert set(names) == {
        *("completed.mp4", "amodal.zip", "confidence.zip", "masks.zip", "object.zip"),
        *("preview.png", "run.json", "command.txt"),
    }
    listed = unpack(job.folder / "files" / "object.zip", place / "object")
    assert listed == [f"object/{i:05d}.png" for i in range(2, 9)]
    assert probe(job.clips[0]).count == probe(job.clips[1]).count == 7
