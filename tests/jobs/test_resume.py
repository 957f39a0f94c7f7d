from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fakes.fake_method import Fake, contents, listing, run, save_frames, save_labels
from fakes.processes import INTERRUPTIBLE
from scenes.hidden_clips import inpainter, scene
from scenes.video_clips import COUNT, pictures
from voin.io.images import read_picture
from voin.io.masks import pictures as mask_pictures
from voin.io.video import probe
from voin.jobs import writer as chunk_writer
from voin.jobs.complete import complete
from voin.jobs.options import CompleteOptions
from voin.method import parts
from voin.method.pipeline import Inpainter


def test_a_failed_run_goes_on_with_the_first_unfinished_chunk(tmp_path: Path, masks: Path, video: Path) -> None:
    options: dict[str, Any] = {"png": True, "chunk_frames": 3, "context_frames": 2, "save_flow": True, "layer": "mov"}
    run(video, masks, tmp_path / "whole", **options)
    for fail_at in range(4):
        out = tmp_path / f"out{fail_at}"
        with pytest.raises(RuntimeError, match="on purpose"):
            run(video, masks, out, Fake(fail_at), **options)
        finished = len(list((out / ".voin" / "parts").glob("*.json")))
        assert finished <= fail_at
        method = Fake()
        record = run(video, masks, out, method, **options)
        assert len(method.clips) == 4 - finished
        assert not (out / ".voin").exists()
        assert record["seconds"]["motion"] == pytest.approx(1.0)
        whole, parts = contents(tmp_path / "whole"), contents(out)
        assert [name for name in whole | parts if whole.get(name) != parts.get(name) and name != "object.mov"] == []
        assert probe(out / "object.mov").count == COUNT


def test_a_run_that_goes_on_reads_no_mask_again(
    tmp_path: Path, masks: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"png": True, "chunk_frames": 3, "context_frames": 2}
    run(video, masks, tmp_path / "whole", **options)
    out, read = tmp_path / "out", []
    with pytest.raises(RuntimeError, match="on purpose"):
        run(video, masks, out, Fake(1), **options)
    decode = mask_pictures._decode

    def count(path: Path) -> Any:
        read.append(path)
        return decode(path)

    monkeypatch.setattr(mask_pictures, "_decode", count)
    run(video, masks, out, **options)
    assert read == []
    assert contents(out) == contents(tmp_path / "whole")


class _Stops(Inpainter):
    """The classical method in a small window, until it is stopped."""

    calls, last = 0, 100

    def complete_object(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls > self.last:
            raise RuntimeError("stopped on purpose")
        return super().complete_object(*arguments, **options)


def test_a_run_that_hands_on_what_it_finds_ends_alike_whether_stopped_or_not_and_as_tensors_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "CORE_FRAMES", 10)
    monkeypatch.setattr(parts, "CONTEXT_FRAMES", 8)
    clip = scene(t=34, size=(64, 90), start=(2.0, 20.0), speed=(1.7, 0.2))
    shown = [(x.permute(1, 2, 0) * 255).round().byte().numpy() for x in clip.frames[0]]
    folder = save_frames(tmp_path / "frames", shown)
    masks = save_labels(tmp_path / "masks", list(clip.visible[0, :, 0].byte().numpy()))
    options: dict[str, Any] = {"chunk_frames": 10, "context_frames": 8, "cuts": "none", "save_confidence": True}

    def job(out: str, last: int = 100) -> dict[str, bytes]:
        method = inpainter()
        method.__class__ = _Stops
        method.last = last  # type: ignore[attr-defined]
        complete(folder, masks, tmp_path / out, CompleteOptions(**options), inpainter=method)
        return contents(tmp_path / out)

    whole = job("whole")
    with pytest.raises(RuntimeError, match="on purpose"):
        job("stopped", 3)
    assert job("stopped") == whole
    given = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)[None] / 255
    done = inpainter()(given, clip.visible)
    assert done.occluded.sum() > 1000
    for i, picture in enumerate((done.frames[0] * 255).round().byte().permute(0, 2, 3, 1).numpy()):
        made = read_picture(tmp_path / "whole" / "completed" / f"{i:05d}.png")
        # Tensors are floats, which are resampled a little finer.
        assert np.abs(made.astype(int) - picture).max() <= 2, i


def test_chunks_whose_files_were_lost_are_made_again(tmp_path: Path, masks: Path, folder: Path) -> None:
    options: dict[str, Any] = {"chunk_frames": 3, "context_frames": 2}
    with pytest.raises(RuntimeError):
        run(folder, masks, tmp_path / "out", Fake(3), **options)
    _wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name in ("read", "write")])
    (tmp_path / "out" / "completed" / "00001.png").unlink(missing_ok=True)
    run(folder, masks, tmp_path / "out", **options)
    run(folder, masks, tmp_path / "whole", **options)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def _wait_for(condition: Any, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


SLOW_RUN = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
from pathlib import Path
from fakes.fake_method import Fake, run
class Slow(Fake):
    def complete_object(self, *arguments, **options):
        if len(self.clips) == 2:
            time.sleep(3600)
        return super().complete_object(*arguments, **options)
run(*map(Path, sys.argv[1:4]), Slow(), chunk_frames=2, context_frames=1)
"""


def _slow_run(video: Path, masks: Path, out: Path) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(chunk_writer.__file__).parents[2])])
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN, str(video), str(masks), str(out)],
        env={**os.environ, "PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        text=True,
        **INTERRUPTIBLE,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(
    tmp_path: Path, masks: Path, folder: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    with _slow_run(folder, masks, out) as process:
        _wait_for(lambda: (out / ".voin" / "parts" / "00001.json").exists())
        process.send_signal(number)
        process.wait(timeout=600)  # of patience on a busy machine; waiting for its work would take an hour
        assert process.returncode != 0
    assert (out / ".voin" / "parts" / "00001.json").exists()
    method = Fake()
    record = run(folder, masks, out, method, chunk_frames=2, context_frames=1)
    assert 1 <= len(method.clips) <= 4
    run(folder, masks, tmp_path / "whole", chunk_frames=2, context_frames=1)
    assert contents(out) == contents(tmp_path / "whole")
    assert len(record["objects"]["1"]["occluded"]) == COUNT


@pytest.mark.parametrize("which", ["video", "masks"])
def test_input_that_is_replaced_during_a_run_is_never_mixed_in(
    tmp_path: Path, masks: Path, video: Path, which: str
) -> None:
    options: dict[str, Any] = {"chunk_frames": 2, "context_frames": 0, "cuts": "none"}
    film, object_masks, out = tmp_path / "film.mp4", tmp_path / "mine", tmp_path / "out"
    shutil.copy2(video, film)
    shutil.copytree(masks, object_masks)
    run(film, object_masks, tmp_path / "whole", **options)
    target = film if which == "video" else object_masks / "00003.png"
    kept = shutil.copy2(target, tmp_path / "kept")

    class Replaces(Fake):
        def complete_object(self, *arguments: Any, **more: Any) -> Any:
            if len(self.clips) == 2:
                target.unlink()
                shutil.copy(kept, target)
                os.utime(target, (1, 1))
            return super().complete_object(*arguments, **more)

    with pytest.raises(OSError, match=f"the {which} changed while this run was reading; .*; put back") as caught:
        run(film, object_masks, out, Replaces(), **options)
    assert "the same command" not in str(caught.value)
    assert len(list((out / ".voin" / "parts").glob("*.json"))) <= 2
    with pytest.raises(OSError, match=rf"holds another run \(other {which}"):
        run(film, object_masks, out, **options)
    shutil.copy2(kept, target)
    run(film, object_masks, out, **options)
    assert contents(out) == contents(tmp_path / "whole")


def test_an_interrupt_stops_all_threads(tmp_path: Path, masks: Path, folder: Path) -> None:
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        run(folder, masks, tmp_path / "out", Fake(2, KeyboardInterrupt()), chunk_frames=3, context_frames=0)
    assert threading.active_count() == before
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_finished_run_is_not_repeated(tmp_path: Path, masks: Path, folder: Path) -> None:
    first = run(folder, masks, tmp_path / "out")
    before, method = listing(tmp_path / "out"), Fake()
    again = run(folder, masks, tmp_path / "out", method)
    assert method.clips == []
    assert again == first | {"finished_before": True}
    assert listing(tmp_path / "out") == before
    assert run(folder, masks, tmp_path / "out", method, overwrite=True)["finished_before"] is False
    assert len(method.clips) == 1


def test_a_finished_run_that_lost_a_file_is_made_again(tmp_path: Path, masks: Path, folder: Path) -> None:
    run(folder, masks, tmp_path / "out")
    (tmp_path / "out" / "amodal" / "00003.png").unlink()
    assert run(folder, masks, tmp_path / "out")["finished_before"] is False
    assert (tmp_path / "out" / "amodal" / "00003.png").exists()


def test_errors_while_reading_and_writing_surface(
    tmp_path: Path, masks: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (folder / "00006.png").read_bytes()
    (folder / "00006.png").write_bytes(data[: len(data) // 2])
    before = threading.active_count()
    with pytest.raises(OSError, match="frame 6"):
        run(folder, masks, tmp_path / "a", cuts="none", chunk_frames=2, context_frames=0)
    (folder / "00006.png").write_bytes(data)
    os.utime(folder / "00006.png", (1, 1))

    def full(path: Path, array: np.ndarray) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(chunk_writer, "write_image", full)
    with pytest.raises(OSError, match="No space"):
        run(folder, masks, tmp_path / "b", chunk_frames=2, context_frames=0)
    assert threading.active_count() == before


def test_a_frame_that_breaks_late_leaves_finished_work_and_says_so_or_nothing(
    tmp_path: Path, masks: Path, folder: Path
) -> None:
    data = (folder / "00006.png").read_bytes()
    (folder / "00006.png").write_bytes(data[: len(data) // 2])
    chunks = {"cuts": "none", "chunk_frames": 2, "context_frames": 0}
    with pytest.raises(OSError, match=r"frame 6 .*; \d finished frames in .*/a are kept: the same command goes on"):
        run(folder, masks, tmp_path / "a", **chunks)
    with pytest.raises(OSError, match="frame 6") as refused:
        run(folder, masks, tmp_path / "b", cuts="none", chunk_frames=64)
    assert "are kept" not in str(refused.value)
    assert not (tmp_path / "b").exists()


def test_a_broken_frame_takes_no_other_run_away(tmp_path: Path, masks: Path, folder: Path) -> None:
    run(folder, masks, tmp_path / "out")
    before = listing(tmp_path / "out")
    other = save_frames(tmp_path / "other", pictures())
    (other / "00006.png").write_bytes(b"broken")
    with pytest.raises(OSError, match="00006"):
        run(other, masks, tmp_path / "out", overwrite=True)
    assert listing(tmp_path / "out") == before


def test_two_runs_do_not_work_in_one_folder(tmp_path: Path, folder: Path, masks: Path) -> None:
    began, go_on = threading.Event(), threading.Event()

    class Slow(Fake):
        def complete_object(self, *arguments: Any, **options: Any) -> Any:
            began.set()
            assert go_on.wait(60)
            return super().complete_object(*arguments, **options)

    out = tmp_path / "out"
    first = threading.Thread(target=run, args=(folder, masks, out, Slow()))
    first.start()
    try:
        assert began.wait(60)
        for overwrite in (False, True):
            with pytest.raises(OSError, match="is being written by another run"):
                run(folder, masks, out, overwrite=overwrite)
    finally:
        go_on.set()
        first.join()
    assert (out / "run.json").is_file()
    assert not (out / ".voin").exists()
    assert run(folder, masks, out)["finished_before"]
