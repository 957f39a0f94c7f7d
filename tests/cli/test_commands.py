"""The command line as a user meets it: exit codes, messages, and silence where there is nobody to read."""

from __future__ import annotations

import ast
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from fakes.processes import INTERRUPTIBLE
from voin import __version__
from voin.cli import CLOSED, REFUSED, STOPPED
from voin.cli import app as cli
from voin.cli import console as terminal
from voin.jobs.speed import BenchConfig, make_clip

COUNT = 12
# These tests are about the command; voin itself needs weights, which need not be there.
CLASSICAL = ("--method", "classical")
PATIENCE = 600  # seconds; a bound, not a measure: other programs may take the machine


def voin(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, without a terminal."""
    command = [sys.executable, "-m", "voin", *map(str, words)]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=PATIENCE)


def call(*words: str | Path) -> tuple[int, str, str]:
    """Run the command in this process; gives exit code, output, and errors."""
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(cli.app, list(map(str, words)))
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small video and its masks; not to be changed."""
    folder = tmp_path_factory.mktemp("clip")
    make_clip(folder, BenchConfig(size=(96, 128), frames=COUNT))
    return folder


@pytest.fixture
def copy(clip: Path, tmp_path: Path) -> Path:
    shutil.copytree(clip, tmp_path, dirs_exist_ok=True)
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- help, version, doctor


@pytest.mark.parametrize("command", [(), ("complete",), ("demo",), ("bench",), ("doctor",)])
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    code, text, _ = call(*command, "--help")
    assert code == 0
    assert "Usage" in text


@pytest.mark.parametrize("command", ["complete", "demo", "bench"])
def test_the_help_of_the_larger_commands_lists_examples(command: str) -> None:
    _, text, _ = call(command, "--help")
    examples = text[text.index("Examples") :]
    assert f"voin {command}" in examples


def test_the_help_of_complete_groups_its_options() -> None:
    _, text, _ = call("complete", "--help")
    for group in ("Object", "Motion", "Output", "Which frames", "Input", "Run"):
        assert f"─ {group} ─" in text


def test_help_takes_at_most_four_times_what_its_libraries_take_to_start() -> None:
    """Half a second where those take an eighth of one; a bound in seconds would judge the machine."""

    def seconds(*words: str) -> float:
        began = time.perf_counter()
        assert subprocess.run([sys.executable, *words], capture_output=True, timeout=PATIENCE).returncode == 0
        return time.perf_counter() - began

    libraries = ("-c", "import rich.progress, typer.rich_utils")
    # By turns, so that a slow moment slows both.
    times = [(seconds("-m", "voin", "--help"), seconds(*libraries)) for _ in range(5)]
    ours, theirs = (min(each) for each in zip(*times, strict=True))
    assert ours < 4 * theirs


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="no signals of this kind")
def test_who_closes_the_output_early_sees_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "voin", "complete", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (CLOSED, "")


@pytest.mark.parametrize("module", ["voin.core.system", "typer", "rich.console"])
def test_an_interrupt_while_it_loads_is_no_traceback(module: str) -> None:
    program = f"""
import os, signal, sys
from voin.cli import main
class Interrupted:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupted())
sys.argv = ["voin", "doctor"]
main()
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, **INTERRUPTIBLE)
    assert (done.returncode, done.stdout, done.stderr) == (STOPPED, "", "")


@pytest.mark.skipif(os.name == "nt", reason="no folder can be removed there in which a program runs")
def test_a_folder_that_is_removed_under_it_is_refused(tmp_path: Path) -> None:
    program = f"import os, sys; os.rmdir({str(tmp_path)!r}); sys.argv = ['voin', 'complete', 'a.mp4', 'b', '-o', 'c']\n"
    command = [sys.executable, "-c", program + "from voin.cli import main; main()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == REFUSED
    assert re.search(r"Error: the folder .* has been removed\n  it must be there\n  go to", done.stderr)


def test_without_a_command_it_shows_the_help() -> None:
    done = voin()
    assert "complete" in done.stdout + done.stderr


def test_the_version_is_the_packages() -> None:
    assert call("--version") == (0, f"voin {__version__}\n", "")


def test_doctor_prints_json() -> None:
    code, text, _ = call("doctor", "--json")
    assert code == 0
    assert json.loads(text)["voin"] == __version__


def test_doctor_fails_where_something_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    from voin.cli import doctor

    found = doctor.report() | {"problems": ["no codec"]}
    monkeypatch.setattr(doctor, "report", lambda: found)
    code, text, _ = call("doctor")
    assert code == 1
    assert "problem: no codec" in text


# --- the job


MASKS = f"Masks: {COUNT} files, matched in order, one a frame; object 1 ("


def test_without_a_terminal_there_is_one_line_on_the_masks_and_one_at_the_end(copy: Path) -> None:
    done = voin("complete", "video.mp4", "masks", "-o", "out", *CLASSICAL, cwd=copy)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    masks, *lines = done.stdout.splitlines()
    assert re.fullmatch(re.escape(MASKS) + r"[\d.]+% of the frame\)", masks)
    assert len(lines) == 1
    assert "out" in lines[0]
    assert f"{COUNT} frames" in lines[0]
    assert re.search(r"[\d.]+ frames/s", lines[0])
    assert (copy / "out" / "completed.mp4").is_file()


def test_quiet_prints_nothing(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy)
    assert call("complete", "video.mp4", "masks", "-o", "out", "-q", *CLASSICAL) == (0, "", "")


def test_every_option_reaches_the_job(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from voin.io.video import Quality
    from voin.jobs import complete as jobs
    from voin.jobs.options import CompleteOptions
    from voin.method import load as methods

    seen: dict[str, object] = {}

    def load(*given: object, **named: object) -> str:
        seen["load"] = (given, named)
        return "the inpainter"

    def complete(*given: object, inpainter: object, progress: object, prompts: object) -> dict[str, object]:
        assert (inpainter, prompts) == ("the inpainter", [])
        seen["run"] = given
        raise OSError("enough")

    monkeypatch.setattr(methods, "load", load)
    monkeypatch.setattr(jobs, "complete", complete)
    words = "complete v.mp4 m -o o --category dog --amodal a --occluder b --ids 1,2 --order 2,1 --flow raft-small"
    words += " --raft-weights w.pt --png --layer webm --save-flow --save-confidence"
    words += " --start 3 --end 9 --cuts c.txt --device cpu --crf 20"
    words += " --model weights --preset paper --x264-preset fast --lossless --resize-masks --mask-frames 0-8:2"
    words += " --absent error --skip-broken --overwrite --invert-masks --no-track-between --tracker sam2"
    words += " --certainty 0.4 --runtime onnx"
    code, _, text = call(*words.split())
    assert (code, "enough" in text) == (2, True)
    named = {"model": "weights", "preset": "paper", "certainty": 0.4}
    named |= {"flow": "raft-small", "raft_weights": Path("w.pt"), "device": "cpu", "runtime": "onnx"}
    assert seen["load"] == (("voin",), named)
    assert seen["run"] == (
        Path("v.mp4"),
        Path("m"),
        Path("o"),
        CompleteOptions(
            category="dog",
            amodal=Path("a"),
            occluder=Path("b"),
            ids=(1, 2),
            order=(2, 1),
            png=True,
            layer="webm",
            save_flow=True,
            save_confidence=True,
            start=3,
            end=9,
            cuts=Path("c.txt"),
            quality=Quality(crf=20, preset="fast", lossless=True),
            resize_masks=True,
            invert_masks=True,
            mask_frames="0-8:2",
            absent="error",
            skip_broken=True,
            overwrite=True,
            track_between=False,
            tracker="sam2",
        ),
    )


def test_a_box_takes_the_place_of_masks(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy)
    more = ["--start", "2", "--tracker", "grabcut", "--cuts", "none", *CLASSICAL]
    code, text, errors = call("complete", "video.mp4", "-o", "out", "--box", "8,12,12,13", *more)
    assert code == 0, errors
    assert text.startswith("Tracked from 1 prompt (grabcut): the object is seen in ")
    assert (copy / "out" / "masks" / "masks.json").is_file()
    assert (copy / "out" / "completed.mp4").is_file()
    code, _, errors = call("complete", "video.mp4", "-o", "other")
    assert code == 2
    assert "nothing says what the object is" in errors
    assert "--box X,Y,W,H" in errors


# --- refusals

Change = Callable[[Path], object]


def nothing(folder: Path) -> None:
    pass


def empty_video(folder: Path) -> None:
    (folder / "video.mp4").write_bytes(b"")


def garbled_video(folder: Path) -> None:
    (folder / "video.mp4").write_bytes(np.random.default_rng(0).bytes(5000))


def no_video(folder: Path) -> None:
    (folder / "video.mp4").unlink()


def two_masks_too_many(folder: Path) -> None:
    for number in (COUNT, COUNT + 1):
        shutil.copy(folder / "masks" / "00000.png", folder / "masks" / f"{number:05d}.png")


def smaller_masks(folder: Path) -> None:
    for path in (folder / "masks").iterdir():
        cv2.imwrite(str(path), np.full((48, 64), 255, np.uint8))


def empty_masks(folder: Path) -> None:
    for path in (folder / "masks").iterdir():
        cv2.imwrite(str(path), np.zeros((96, 128), np.uint8))


def no_masks(folder: Path) -> None:
    shutil.rmtree(folder / "masks")


def broken_mask(folder: Path) -> None:
    path = folder / "masks" / "00005.png"
    path.write_bytes(path.read_bytes()[:60])


def missing_mask(folder: Path) -> None:
    (folder / "masks" / "00005.png").unlink()


def smaller_amodal(folder: Path) -> None:
    shutil.copytree(folder / "masks", folder / "amodal")
    for path in (folder / "amodal").iterdir():
        cv2.imwrite(str(path), np.full((48, 64), 255, np.uint8))


def file_in_the_way(folder: Path) -> None:
    (folder / "out").write_text("mine")


def tiny_frames(folder: Path) -> None:
    shutil.rmtree(folder / "masks")
    (folder / "video.mp4").unlink()
    for name, value in (("video.mp4", 90), ("masks", 255)):
        (folder / name).mkdir()
        for index in range(3):
            cv2.imwrite(str(folder / name / f"{index:05d}.png"), np.full((6, 8), value, np.uint8))


def bad_cuts(folder: Path) -> None:
    (folder / "cuts.txt").write_text("5\nfoo\n")


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (no_video, "", r"video\.mp4.*(does not exist|not there|no such)"),
        (empty_video, "", r"video\.mp4.*empty"),
        (garbled_video, "", r"video\.mp4"),
        (two_masks_too_many, "", r"14 masks for a video of 12 frames.*--mask-frames"),
        (smaller_masks, "", r"64x48.*128x96.*--resize-masks"),
        (empty_masks, "", r"masks has no object in any frame"),
        (no_masks, "", r"masks does not exist"),
        (broken_mask, "", r"00005\.png"),
        (missing_mask, "--absent error", r"none for frame 5"),
        (smaller_amodal, "--amodal amodal", r"64x48.*128x96"),
        (nothing, "--amodal absent", r"absent does not exist"),
        (nothing, "--occluder absent", r"absent does not exist"),
        (nothing, "--ids 3", r"no object 3 in any frame.*ask for some of 1"),
        (nothing, "--ids one", r"--ids is 'one'.*write 1,2"),
        (nothing, "--ids 0", r"ids is 0; object ids are 1 to 255|ids is 0.*object ids are 1 to 255"),
        (nothing, "--order 2,1", r"order.*2"),
        (nothing, "--start 50", r"50.*12"),
        (nothing, "--start 5 --end 5", r"5"),
        (nothing, "--end 13", r"13.*12"),
        (nothing, "--cuts absent.txt", r"absent\.txt cannot be read.*--cuts auto"),
        (bad_cuts, "--cuts cuts.txt", r"cuts\.txt holds 'foo'"),
        (nothing, "--mask-frames 3-1", r"0,5,10 or 0-70:5"),
        (nothing, "--crf 99", r"crf is 99; it must|crf is 99.*0 \(best\) to 51"),
        (nothing, "--x264-preset warp", r"'warp'.*veryfast"),
        (nothing, "--method magic", r"'magic'.*voin, classical or a model"),
        (nothing, "--model magic", r"'magic' and the method classical.*leave one of them out"),
        (nothing, "--method voin --model masks", r"masks holds no network"),
        (nothing, "--method voin --model small --model masks", r"2 models.*all its networks in one.*give one --model"),
        (nothing, "--method voin --preset paper", r"weights do not ship.*--model FOLDER, or use --preset small"),
        (nothing, "--preset large", r"large.*paper"),
        (nothing, "--flow raft-small --raft-weights absent.pt", r"absent\.pt"),
        (nothing, "--flow farneback", r"farneback.*raft-small"),
        (nothing, "--layer gif", r"gif.*webm"),
        (nothing, "--device tpu", r"tpu.*cuda"),
        (nothing, "--crf high", r"--crf.*(integer|int)"),
        (nothing, "--nonsense", r"nonsense"),
        (file_in_the_way, "", r"out"),
        (tiny_frames, "", r"8x6.*at least 32x32"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(
    copy: Path, change: Change, options: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(copy)
    before = content(copy)
    monkeypatch.chdir(copy)
    code, printed, errors = call("complete", "video.mp4", "masks", "-o", "out", *CLASSICAL, *options.split())
    text = " ".join(errors.split())
    assert code == 2, text
    assert re.search(message, text, re.IGNORECASE), text
    assert "Traceback" not in text
    assert printed == ""
    assert content(copy) == before
    assert not (copy / "out").is_dir()


def test_another_run_in_the_folder_is_refused_unless_overwritten(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy)
    run = ("complete", "video.mp4", "masks", "-o", "out", "-q", *CLASSICAL)
    assert call(*run) == (0, "", "")
    before = content(copy)
    code, _, errors = call(*run, "--png")
    assert code == 2
    assert "--overwrite" in errors
    assert content(copy) == before
    assert call(*run, "--png", "--overwrite") == (0, "", "")
    assert len(list((copy / "out" / "completed").iterdir())) == COUNT


def test_the_same_command_twice_is_done_at_once(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy)
    run = ("complete", "video.mp4", "masks", "-o", "out", *CLASSICAL)
    assert call(*run)[0] == 0
    before = content(copy)
    code, printed, errors = call(*run)
    masks, done = printed.splitlines()
    assert (code, done, errors) == (0, f"out: {COUNT} frames, finished before", "")
    assert masks.startswith(MASKS)
    assert content(copy) == before


def test_masks_of_another_size_are_taken_with_resize_masks(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy)
    for path in (copy / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert mask is not None
        cv2.imwrite(str(path), mask[::2, ::2])
    assert call("complete", "video.mp4", "masks", "-o", "out", "-q", "--resize-masks", *CLASSICAL) == (0, "", "")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_go_on_and_goes_on(
    copy: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "voin", "complete", "video.mp4", "masks", "-o", "out", *CLASSICAL]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=copy, text=True, **pipes, **INTERRUPTIBLE)
    deadline = time.monotonic() + PATIENCE
    while not (copy / "out").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, stdout + stderr
    assert stderr.strip() == "Stopped; finished parts are kept in out; run the same command again to go on"
    assert not (copy / "out" / "run.json").exists()
    monkeypatch.chdir(copy)
    code, _, errors = call("complete", "video.mp4", "masks", "-o", "out", *CLASSICAL)
    assert code == 0, errors
    assert (copy / "out" / "completed.mp4").is_file()


# --- messages


def raised(error: BaseException, show_traceback: bool = False) -> int:
    with pytest.raises(typer.Exit) as caught, terminal.report_errors(show_traceback):
        raise error
    return caught.value.exit_code


def refuse(text: str) -> Exception:
    """An error as voin's own code raises it."""
    from voin.io.quality import parse_size

    try:
        parse_size(text)
    except ValueError as error:
        return error
    raise AssertionError


def test_a_refusal_shows_its_three_parts_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert raised(refuse("big")) == 2
    assert capsys.readouterr().err.splitlines() == [
        "Error: the size is 'big'",
        "  it must be width x height in pixels",
        "  write 1920x1080",
    ]


def test_traceback_shows_where_a_refusal_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert raised(refuse("big"), show_traceback=True) == 2
    assert "in parse_size" in capsys.readouterr().err


@pytest.mark.parametrize("error", [RuntimeError("odd"), AssertionError("odd"), KeyError("odd")])
def test_anything_else_is_our_fault_with_a_traceback(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert raised(error) == 1
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert "A fault in voin" in text
    assert "report" in text


def test_a_value_error_of_a_library_is_our_fault() -> None:
    from voin.core import draw as viz

    with pytest.raises(ValueError) as caught:
        viz.around([np.zeros((2, 3), bool), np.zeros((4, 5), bool)])
    assert terminal.is_fault(caught.value)
    assert not terminal.is_fault(refuse("big"))


def test_every_refusal_of_the_package_has_parts() -> None:
    """They are split, and told from errors of libraries, by the semicolons in between."""
    whole = []
    for path in sorted(Path(terminal.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                kind, text = ast.unparse(node.exc.func), node.exc.args[0]
                literal = isinstance(text, ast.JoinedStr | ast.Constant)
                if kind in ("ValueError", "OSError", "ImportError") and literal and "; " not in ast.unparse(text):
                    whole.append(f"{path.name}:{node.lineno}")
    assert whole == []


def test_an_error_of_the_system_gets_advice(capsys: pytest.CaptureFixture[str]) -> None:
    assert raised(OSError(errno.ENOSPC, "No space left on device", "out/completed.mp4")) == 2
    text = capsys.readouterr().err
    assert "No space left on device: out/completed.mp4" in text
    assert "goes on where it stopped" in text


def test_a_missing_extra_is_a_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    assert raised(ImportError("no torchvision; it must be there; run pip install 'voin[raft]'")) == 2
    assert "pip install 'voin[raft]'" in capsys.readouterr().err


def test_an_interrupt_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert raised(KeyboardInterrupt()) == 130
    assert "run the same command again to go on" in capsys.readouterr().err


def test_sigterm_is_handled_only_inside(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with terminal.report_errors():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """A terminal to print to, and what it shows."""
    import io

    from rich.console import Console

    text = io.StringIO()
    monkeypatch.setattr(terminal, "err", Console(file=text, force_terminal=True, width=100, color_system=None))
    return text.getvalue


def test_on_a_terminal_a_refusal_is_a_panel(screen: Callable[[], str]) -> None:
    assert raised(refuse("big")) == 2
    assert re.search(r"╭─ Error ─+╮\s*│ the size is 'big' +│\s*│ it must be width x height", screen())


def test_on_a_terminal_each_stage_has_a_bar(screen: Callable[[], str]) -> None:
    with terminal.Bars() as bars:
        bars.stage("complete", 4)
        bars.stage("write", 4)
        for _ in range(4):
            bars.advance("complete")
            time.sleep(0.01)
        bars.advance("write", 4)
    text = screen()
    assert re.search(r"completing .* 4/4 +[\d.]+ frames/s", text)
    assert "writing" in text


def test_quiet_shows_no_bars(screen: Callable[[], str]) -> None:
    with terminal.Bars(quiet=True) as bars:
        bars.stage("complete", 4)
        bars.advance("complete")
    assert screen() == ""


def test_a_name_that_the_terminal_cannot_show_ends_no_run() -> None:
    code = "from voin.cli import main\ntry:\n    main()\nfinally:\n    print('\\xf6\\udcff')"
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, "--version"], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, r"\xf6\udcff")
