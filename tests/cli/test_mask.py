from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakes.fake_method import save_frames
from scenes.mask_clips import box_of, passing
from voin.cli import app as cli

FRAMES, MASKS = passing(count=6, bar=None)
BOX = ",".join(map(str, box_of(MASKS[0])))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return save_frames(tmp_path / "frames", FRAMES)


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["mask", *map(str, words)])
    return result.exit_code, result.output


def test_a_box_is_enough(film: Path, tmp_path: Path) -> None:
    code, said = run(film, "-o", tmp_path / "masks", "--box", BOX, "--tracker", "grabcut")
    assert code == 0, said
    assert "6 masks, grabcut" in said
    assert len(list((tmp_path / "masks").glob("*.png"))) == 6


def test_everything_that_is_marked_arrives(film: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.json").write_text(json.dumps([{"frame": 5, "points": [[50, 45]]}]))
    code, said = run(
        *(film, "-o", tmp_path / "masks", "--tracker", "grabcut", "--preview", "--quiet"),
        *("--frame", 1, "--point", "30,40", "--point", "35,50", "--negative", "100,10"),
        *("--prompt", f"3: box {BOX}", "--prompts", tmp_path / "prompts.json"),
    )
    assert (code, said) == (0, "")
    record = json.loads((tmp_path / "masks" / "masks.json").read_text())
    assert [each["frame"] for each in record["request"]["prompts"]] == [1, 3, 5]
    assert record["request"]["prompts"][0]["points"] == [[30, 40], [35, 50]]
    assert record["request"]["prompts"][0]["negative"] == [[100, 10]]
    assert (tmp_path / "masks" / "preview" / "overlay.mp4").exists()


def test_the_frame_is_the_first_one_tracked_unless_it_is_named(film: Path, tmp_path: Path) -> None:
    assert run(film, "-o", tmp_path / "masks", "--box", BOX, "--start", 2, "--tracker", "grabcut")[0] == 0
    record = json.loads((tmp_path / "masks" / "masks.json").read_text())
    assert record["request"]["prompts"][0]["frame"] == 2


def test_what_hides_the_object_is_tracked_alike_and_said(tmp_path: Path) -> None:
    frames, _ = passing(count=6, bar=(30, 60))
    film = save_frames(tmp_path / "frames", frames)
    marked = (film, "-o", tmp_path / "front", "--box", "30,0,30,96", "--tracker", "grabcut")
    code, said = run(*marked, "--what", "occluder")
    assert code == 0, said
    assert "the occluder is seen in 6 frames" in said
    record = json.loads((tmp_path / "front" / "masks.json").read_text())
    assert record["request"]["what"] == "occluder"
    # The masks of an object do not take their place unasked.
    code, said = run(*marked)
    assert code == 2
    assert "holds another run (other what)" in said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "nothing says what the object is"),
        (("--frame", "2"), "nothing says what the object is"),
        (("--negative", "1,1"), "marks nothing of the object"),
        (("--box", "1,2,3"), "whole pixels"),
        (("--box", "500,2,30,30"), "leaves the frame"),
        (("--box", "-5,2,30,30"), "leaves the frame"),
        (("--point", "1"), "whole pixels"),
        (("--point", "400,1"), "outside the frame"),
        (("--box", BOX, "--frame", "6"), "frames 0 to 5 are tracked"),
        (("--box", BOX, "--frame", "-1"), "numbered from 0"),
        (("--box", BOX, "--prompt", "0: point 30,40"), "frame 0 has two prompts"),
        (("--prompt", "nonsense"), "must be like"),
        (("--prompts", "absent.json"), "cannot be read"),
        (("--box", BOX, "--start", "4", "--end", "2"), "choose a start below the end"),
        (("--box", BOX, "--cuts", "absent.txt"), "cannot be read"),
        (("--box", BOX, "--tracker", "grabcut", "--model", "x"), "leave one of them out"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(words: tuple[str, ...], told: str, film: Path, tmp_path: Path) -> None:
    code, said = run(film, "-o", tmp_path / "masks", *words)
    assert code == 2, said
    assert told in said
    assert len(said.strip().splitlines()) == 3
    assert not (tmp_path / "masks").exists()


def test_a_video_that_is_not_there_is_refused(tmp_path: Path) -> None:
    code, said = run(tmp_path / "absent.mp4", "-o", tmp_path / "masks", "--box", BOX)
    assert code == 2
    assert "does not exist" in said


def test_an_output_that_is_a_file_is_refused(film: Path, tmp_path: Path) -> None:
    (tmp_path / "masks").write_text("mine")
    code, said = run(film, "-o", tmp_path / "masks", "--box", BOX)
    assert code == 2
    assert "must be a folder" in said


def test_the_traceback_is_shown_when_asked(film: Path, tmp_path: Path) -> None:
    assert "Traceback" in run(film, "-o", tmp_path / "masks", "--traceback")[1]
