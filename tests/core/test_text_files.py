from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from scenes.video_clips import described
from voin.core.text_files import read_bytes, read_text
from voin.io.masks.annotations.parse import read_document
from voin.io.masks.source import open_masks
from voin.io.shots import read_cuts
from voin.io.timelines import read_edit
from voin.io.video import probe
from voin.jobs.batch import read_table
from voin.jobs.options import CompleteOptions
from voin.tracking.prompts import parse_prompt, read_prompts
from voin.weights.checkpoint import read_record

READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "cuts": ("cuts.txt", lambda path: read_cuts(path, 10)),
    "edit": ("cuts.edl", lambda path: read_edit(path, described())),
    "prompts": ("prompts.json", read_prompts),
    "table": ("clips.csv", lambda path: read_table(path, CompleteOptions())),
    "annotations": ("a.json", read_document),
    "weights": ("model.json", lambda path: read_record(path.with_suffix(".safetensors"))),
    "video": ("clip.mp4", probe),
    "animation": ("clip.webp", probe),
    "frame": ("frame.png", probe),
    "mask": ("mask.png", lambda path: open_masks(path, described())),
    "mask video": ("mask.mkv", lambda path: open_masks(path, described())),
    "mask array": ("masks.npy", lambda path: open_masks(path, described())),
    "mask arrays": ("masks.npz", lambda path: open_masks(path, described())),
    "mask without suffix": ("masks", lambda path: open_masks(path, described())),
    "painted mask": ("object.png", lambda path: parse_prompt(f"0: mask {path}")),
    "painted mask of a file": ("object.tif", lambda path: read_prompts(marks_by_mask(path))),
}


def marks_by_mask(mask: Path) -> Path:
    path = mask.with_name("marks.json")
    path.write_text(json.dumps([{"frame": 0, "mask": mask.name}]))
    return path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("reader", READERS)
def test_what_has_no_end_is_refused_and_not_waited_for(tmp_path: Path, reader: str) -> None:
    name, read = READERS[reader]
    for kind in ("a pipe", "a device", "a socket"):
        path = tmp_path / kind / name
        path.parent.mkdir()
        if kind == "a device":
            path.symlink_to("/dev/zero")
        else:
            os.mknod(path, 0o600 | (stat.S_IFIFO if kind == "a pipe" else stat.S_IFSOCK))
        with pytest.raises(OSError, match=f"is {kind}, not a file; |is no file; ") as caught:
            read(path)
        assert str(caught.value).count("; ") == 2


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_byte_order_marks_and_line_ends_do_not_matter(tmp_path: Path, mark: bytes, end: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(mark + end.join([b"3", b"7 # the street", b""]))
    assert read_cuts(path, 10) == (3, 7)
    path.write_bytes(mark + end.join([b"[", b'{"frame": 0,', b'"points": [[5, 6]]}]']))
    assert read_prompts(path)[0].points == ((5, 6),)
    path.write_bytes(mark + end.join([b"video", b"a.mp4", b""]))
    assert [clip.name for clip in read_table(path, CompleteOptions())] == ["a"]
    path.write_bytes(mark + end.join([b'{"a":', b"1}"]))
    assert read_document(path) == {"a": 1}


def test_text_of_two_bytes_a_letter_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes("3, 7\r\n".encode("utf-16"))
    assert read_cuts(tmp_path / "file", 10) == (3, 7)


def test_what_is_too_large_or_absent_is_refused_in_three_parts(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(20_000_000)
    with pytest.raises(OSError, match="large has 20 MB; a list may have 10 MB; cut it"):
        read_bytes(path, "a list", "cut it", most=10_000_000)
    for other, reason in ((tmp_path, "Is a directory"), (tmp_path / "none", "No such file"), (Path("a\0b"), "null")):
        with pytest.raises(OSError, match=rf"cannot be read \(.*{reason}.*\); it must be a list; cut it"):
            read_text(other, "a list", "cut it")
