from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes import tiny_sam2
from fakes.fake_method import listing, save_frames
from fakes.told import Told
from scenes.mask_clips import box_of, iou, passing
from scenes.video_clips import encode
from voin.io.images import read_picture, write_image
from voin.io.masks.source import open_masks
from voin.io.video import probe, read
from voin.jobs import mask as mask_job
from voin.jobs.complete import complete
from voin.jobs.mask import PREVIEW_SHEET, PREVIEW_VIDEO, RECORD, MaskOptions, mask, mask_of_prompt
from voin.jobs.options import CompleteOptions
from voin.method.load import load
from voin.tracking.prompts import Prompt

FRAMES, MASKS = passing(count=8, bar=None)
BOX = box_of(MASKS[0])
PROMPT = Prompt(0, mask=MASKS[0])
PLAIN = MaskOptions(tracker="grabcut")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The object slides by; then, after a cut, something else for four frames."""
    after = [np.full_like(FRAMES[0], (230, 40, 40))] * 4
    return save_frames(tmp_path_factory.mktemp("film") / "frames", [*FRAMES, *after])


def test_the_masks_are_what_complete_reads(film: Path, tmp_path: Path) -> None:
    record = mask(film, [PROMPT], tmp_path / "masks", PLAIN)
    source = open_masks(tmp_path / "masks", probe(film))
    assert source.ids == (1,)
    assert all(source.given(frame) for frame in range(12))
    assert [int((source.label(frame) > 0).sum()) for frame in range(12)] == record["areas"]
    assert all(iou(source.label(frame) > 0, MASKS[frame]) > 0.8 for frame in range(8))


def test_masks_of_what_hides_the_object_say_where_it_can_be_hidden(tmp_path: Path) -> None:
    frames, visible = passing(count=8, bar=(40, 64))
    film = save_frames(tmp_path / "frames", frames)
    bar = Prompt(0, box=(40, 0, 24, 96))
    record = mask(film, [bar], tmp_path / "front", replace(PLAIN, what="occluder"))
    assert record["request"]["what"] == "occluder"
    assert "what" not in mask(film, [bar], tmp_path / "object", PLAIN)["request"]
    front = open_masks(tmp_path / "front", probe(film))
    (tmp_path / "masks").mkdir()
    for number, seen in enumerate(visible):
        write_image(tmp_path / "masks" / f"{number:05d}.png", seen.astype(np.uint8) * 255)
    options = CompleteOptions(occluder=tmp_path / "front", layer="none")
    complete(film, tmp_path / "masks", tmp_path / "out", options, inpainter=load("classical"))
    whole = open_masks(tmp_path / "out" / "amodal", probe(film))
    added = [(whole.label(i) > 0) & ~visible[i] for i in range(8)]
    assert any(part.any() for part in added)
    assert not any((part & ~(front.label(i) > 0)).any() for i, part in enumerate(added))


def test_masks_of_another_shot_are_empty(film: Path, tmp_path: Path) -> None:
    record = mask(film, [PROMPT], tmp_path / "masks", PLAIN)
    assert record["cuts"] == [8]
    assert record["tracked"] == 8
    assert record["areas"][8:] == [0] * 4


def test_each_shot_is_tracked_from_its_own_prompts(film: Path, tmp_path: Path) -> None:
    later = Prompt(9, mask=MASKS[5])
    record = mask(film, [later, PROMPT], tmp_path / "masks", PLAIN)
    assert record["tracked"] == 12
    assert min(record["areas"]) > 0


def test_only_the_range_is_tracked(film: Path, tmp_path: Path) -> None:
    prompt, options = Prompt(3, mask=MASKS[3]), replace(PLAIN, start=2, end=6, cuts="none")
    record = mask(film, [prompt], tmp_path / "masks", options)
    assert [area > 0 for area in record["areas"]] == [2 <= frame < 6 for frame in range(12)]


def test_cuts_may_be_given(film: Path, tmp_path: Path) -> None:
    (tmp_path / "cuts.txt").write_text("4\n")
    record = mask(film, [PROMPT], tmp_path / "masks", replace(PLAIN, cuts=tmp_path / "cuts.txt"))
    assert [area > 0 for area in record["areas"]] == [frame < 4 for frame in range(12)]


def test_a_video_file_is_tracked_and_progress_is_told(tmp_path: Path) -> None:
    video, told = encode(tmp_path / "clip.mp4", FRAMES), Told()
    mask(video, [Prompt(4, mask=MASKS[4])], tmp_path / "masks", replace(PLAIN, preview=True), told)
    assert told.totals == {"cuts": 8, "track": 8, "write": 8, "preview": 8}
    assert told.done == told.totals


def test_a_preview_shows_the_masks(film: Path, tmp_path: Path) -> None:
    mask(film, [PROMPT], tmp_path / "masks", replace(PLAIN, preview=True))
    video = probe(tmp_path / "masks" / PREVIEW_VIDEO)
    assert (video.count, video.size) == (12, (96, 160))
    first = next(read(video)).astype(int)
    assert np.abs(first - FRAMES[0])[MASKS[0]].mean() > np.abs(first - FRAMES[0])[~MASKS[0]].mean() + 20
    assert read_picture(tmp_path / "masks" / PREVIEW_SHEET).shape[1] > 800
    assert open_masks(tmp_path / "masks", probe(film)).ids == (1,)


def test_the_same_run_gives_the_same_bytes(film: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        mask(film, [Prompt(0, box=BOX)], tmp_path / name, PLAIN)
    for path in sorted((tmp_path / "one").glob("*.png")):
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


def test_a_broken_frame_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    frames = save_frames(tmp_path / "frames", FRAMES)
    picture = frames / "00005.png"
    picture.write_bytes(picture.read_bytes()[:-200])
    for cuts in ("auto", "none"):
        with pytest.raises(OSError, match="frame 5 of 8"):
            mask(frames, [PROMPT], tmp_path / "masks", replace(PLAIN, cuts=cuts))
        assert not (tmp_path / "masks").exists()


def test_a_video_that_is_replaced_while_it_is_tracked_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    video = encode(tmp_path / "clip.mp4", FRAMES)

    class Replaces(Told):
        def advance(self, name: str, count: int = 1) -> None:
            os.utime(video, (1, 1))

    with pytest.raises(OSError, match="the video changed while this run was reading"):
        mask(video, [Prompt(4, mask=MASKS[4])], tmp_path / "masks", PLAIN, Replaces())
    assert not (tmp_path / "masks").exists()


def test_other_masks_stay_where_a_frame_is_broken(film: Path, tmp_path: Path) -> None:
    mask(film, [PROMPT], tmp_path / "masks", PLAIN)
    before = listing(tmp_path / "masks")
    frames = save_frames(tmp_path / "frames", FRAMES)
    (frames / "00005.png").write_bytes(b"broken")
    with pytest.raises(OSError, match="00005"):
        mask(frames, [PROMPT], tmp_path / "masks", replace(PLAIN, overwrite=True, cuts="none"))
    assert listing(tmp_path / "masks") == before


def test_a_finished_run_is_not_repeated(film: Path, tmp_path: Path) -> None:
    first = mask(film, [PROMPT], tmp_path / "masks", PLAIN)
    again = mask(film, [PROMPT], tmp_path / "masks", PLAIN)
    assert (first["finished_before"], again["finished_before"]) == (False, True)
    assert again["areas"] == first["areas"]


def test_a_preview_may_be_asked_for_later(film: Path, tmp_path: Path) -> None:
    mask(film, [PROMPT], tmp_path / "masks", PLAIN)
    mask(film, [PROMPT], tmp_path / "masks", replace(PLAIN, preview=True))
    assert (tmp_path / "masks" / PREVIEW_VIDEO).exists()


def test_other_masks_are_replaced_only_when_asked(film: Path, tmp_path: Path) -> None:
    mask(film, [PROMPT], tmp_path / "masks", replace(PLAIN, preview=True))
    other = Prompt(2, mask=MASKS[2])
    with pytest.raises(OSError, match="--overwrite"):
        mask(film, [other], tmp_path / "masks", PLAIN)
    record = mask(film, [other], tmp_path / "masks", replace(PLAIN, overwrite=True))
    assert not record["finished_before"]
    assert not (tmp_path / "masks" / PREVIEW_VIDEO).exists()


def test_a_stopped_run_is_done_again_by_the_same_call(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(mask_job, "write_label", stop)
        with pytest.raises(KeyboardInterrupt):
            mask(film, [PROMPT], tmp_path / "masks", PLAIN)
    assert not mask(film, [PROMPT], tmp_path / "masks", PLAIN)["finished_before"]


@pytest.mark.parametrize("name", ["00003.png", "holiday.jpg", RECORD])
def test_files_that_are_not_ours_are_not_touched(film: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "masks"
    out.mkdir()
    if name == RECORD:
        (out / name).write_text(json.dumps({"frames": "many"}))
    else:
        write_image(out / name, FRAMES[0])
    before = (out / name).read_bytes()
    for overwrite in (False, True):
        with pytest.raises(OSError, match="did not write"):
            mask(film, [PROMPT], out, replace(PLAIN, overwrite=overwrite))
    assert (out / name).read_bytes() == before
    assert len(list(out.iterdir())) == 1


@pytest.mark.parametrize(
    ("prompt", "options", "told"),
    [
        (Prompt(12, box=BOX), PLAIN, "frames 0 to 11 are tracked"),
        (Prompt(0, box=(150, 0, 20, 20)), PLAIN, "leaves the frame"),
        (Prompt(0, box=BOX), replace(PLAIN, end=99), "frames 0 to 99 are asked"),
        (Prompt(0, box=BOX), replace(PLAIN, start=5, end=5), "frames 5 to 5 are asked"),
        (Prompt(0, box=BOX), replace(PLAIN, start=5), "frames 5 to 11 are tracked"),
        (Prompt(0, box=BOX), MaskOptions(tracker="sam2", model="no/such/folder"), "sam2|transformers|SAM 2"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    film: Path, tmp_path: Path, prompt: Prompt, options: MaskOptions, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises((ValueError, OSError, ImportError), match=told) as caught:
        mask(film, [prompt], tmp_path / "masks", options)
    assert str(caught.value).count("; ") == 2
    assert not (tmp_path / "masks").exists()


def test_the_video_is_not_written_into(film: Path) -> None:
    with pytest.raises(ValueError, match="is the video itself"):
        mask(film, [PROMPT], film, PLAIN)


def test_weights_for_a_tracker_without_any_are_refused() -> None:
    with pytest.raises(ValueError, match="leave one of them out"):
        MaskOptions(tracker="grabcut", model="somewhere")


def test_a_prompt_is_shown_at_once_as_tracking_starts_with_it(film: Path, tmp_path: Path) -> None:
    prompt = Prompt(2, box=box_of(MASKS[2]))
    shown = mask_of_prompt(film, prompt)
    mask(film, [prompt], tmp_path / "masks", PLAIN)
    assert np.array_equal(open_masks(tmp_path / "masks", probe(film)).label(2) > 0, shown)


def test_auto_takes_sam2_where_its_weights_are(film: Path, tmp_path: Path) -> None:
    network = tiny_sam2.build()
    network.save_pretrained(tmp_path / "sam2")
    options = MaskOptions(model=str(tmp_path / "sam2"), device="cpu", end=3)
    assert mask(film, [Prompt(1, box=BOX)], tmp_path / "one", options)["tracker"] == "sam2"
    elsewhere = replace(options, model=str(tmp_path / "absent"))
    assert mask(film, [Prompt(1, box=BOX)], tmp_path / "other", elsewhere)["tracker"] == "grabcut"
