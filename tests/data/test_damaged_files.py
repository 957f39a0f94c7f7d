"""Packs, their small form, manifests and lists of a source: damaged or lying ones end in a refusal of three parts."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sets.packs import pack_of, save_pack
from sets.voi_sets import write_set
from sets.voi_sources import youtube_vos
from voin.core.errors import Refusal
from voin.data.build_clip import read_record
from voin.data.layouts import list_videos
from voin.data.packs.pack import open_pack
from voin.data.packs.transport import read_transport, write_transport
from voin.data.sets import open_set

hypothesis = pytest.importorskip("hypothesis", reason='hypothesis not found; pip install "voin[dev]"')
st = hypothesis.strategies
bounded = hypothesis.settings(max_examples=120, deadline=None, derandomize=True, database=None)

# Values that JSON may hold in the place of others.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from([10**29, 2**31]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
# Where a file is cut off, and which of its bytes become what; as shares of its length.
PLACES = st.floats(0, 1, exclude_max=True)
BYTES = st.tuples(st.none() | PLACES, st.lists(st.tuples(PLACES, st.integers(0, 255)), max_size=4))


def held(read: Callable[[], object]) -> bool:
    """Return whether something is read; what refuses it says what it is, what it must be, and what to do."""
    refusals = []
    try:
        read()
    except Refusal as refusal:
        refusals.append(refusal)
    assert all(len(refusal.parts) == 3 for refusal in refusals), refusals
    return not refusals


def damaged(good: bytes, damage: tuple[float | None, list[tuple[float, int]]]) -> bytes:
    cut, changes = damage
    data = bytearray(good if cut is None else good[: int(cut * len(good))])
    for place, value in changes:
        if data:
            data[int(place * len(data))] = value
    return bytes(data)


def replaced(table: Any, steps: list[int], value: object) -> Any:
    """Put a value somewhere into JSON: each step goes one level down, and the last one replaces what is there."""
    keys = list(table) if isinstance(table, dict) else list(range(len(table))) if isinstance(table, list) else []
    if not steps or not keys:
        return value
    key = keys[steps[0] % len(keys)]
    copy = dict(table) if isinstance(table, dict) else list(table)
    copy[key] = replaced(copy[key], steps[1:], value)
    return copy


STEPS = st.lists(st.integers(0, 20), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pack(pack_of(("a", "b"), ("dog", None), count=2, size=8), tmp_path_factory.mktemp("pack") / "good.pack")


def read_pack(path: Path) -> None:
    found = open_pack(path)
    for index in range(len(found)):
        frames, masks = found.clip(index)
        assert frames.shape == (*masks.shape, 3)
        assert np.isfinite(frames).all()
        assert np.isfinite(masks).all()


def header_of(pack: Path) -> tuple[dict[str, Any], bytes]:
    data = pack.read_bytes()
    end = 16 + int.from_bytes(data[8:16], "little")
    return json.loads(data[16:end]), data[end:]


def with_header(path: Path, header: object, rest: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(b"VOINPACK" + len(text).to_bytes(8, "little") + text + rest)
    return path


@bounded
@hypothesis.given(damage=BYTES)
def test_a_pack_with_other_bytes_is_read_or_refused(pack: Path, damage) -> None:
    path = pack.with_name("other.pack")
    path.write_bytes(damaged(pack.read_bytes(), damage))
    held(lambda: read_pack(path))


@bounded
@hypothesis.given(steps=STEPS, value=VALUES)
def test_a_pack_that_says_something_else_is_read_or_refused(pack: Path, steps: list[int], value: object) -> None:
    header, rest = header_of(pack)
    held(lambda: read_pack(with_header(pack.with_name("other.pack"), replaced(header, steps, value), rest)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("count", value) for value in (10**29, -1, 0, "2", 1e30, True, None, [2])),
        *(("start", value) for value in (10**29, -4096, 1.5)),
        *(("category", value) for value in ("unicorn", 3)),
    ],
)
def test_a_lie_about_a_clip_is_refused_at_once(pack: Path, name: str, value: object) -> None:
    header, rest = header_of(pack)
    header["clips"][1][name] = value
    if (name, value) == ("category", None):
        return
    path = with_header(pack.with_name("other.pack"), header, rest)
    tracemalloc.start()
    assert not held(lambda: read_pack(path))
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()


def test_a_header_that_is_longer_than_the_file_or_too_deep_is_refused(pack: Path) -> None:
    data, path = pack.read_bytes(), pack.with_name("other.pack")
    path.write_bytes(data[:8] + (2**63).to_bytes(8, "little") + data[16:])
    assert not held(lambda: read_pack(path))
    text = b'{"clips": ' + b"[" * 100_000
    path.write_bytes(data[:8] + len(text).to_bytes(8, "little") + text)
    assert not held(lambda: read_pack(path))


def test_clips_that_lie_over_each_other_are_refused(pack: Path) -> None:
    header, rest = header_of(pack)
    header["clips"][1]["start"] = 8
    with pytest.raises(OSError, match="starts at 8, it must be at least 512"):
        open_pack(with_header(pack.with_name("other.pack"), header, rest))


@pytest.fixture(scope="module")
def transport(pack: Path) -> Path:
    write_transport(open_pack(pack), pack.with_name("good.zip"))
    return pack.with_name("good.zip")


@bounded
@hypothesis.given(damage=BYTES)
def test_a_small_form_with_other_bytes_is_read_or_refused(transport: Path, damage) -> None:
    path, out = transport.with_name("other.zip"), transport.with_name("out.pack")
    path.write_bytes(damaged(transport.read_bytes(), damage))
    out.unlink(missing_ok=True)
    assert held(lambda: read_transport(path, out)) == out.exists()


@bounded
@hypothesis.given(steps=STEPS, value=VALUES)
def test_a_small_form_that_says_something_else_is_read_or_refused(transport: Path, steps, value: object) -> None:
    path, out = transport.with_name("other.zip"), transport.with_name("out.pack")
    with zipfile.ZipFile(transport) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "index.json":
                data = json.dumps(replaced(json.loads(data), steps, value)).encode()
            new.writestr(name, data)
    out.unlink(missing_ok=True)
    assert held(lambda: read_transport(path, out)) == out.exists()


def test_a_small_form_whose_clips_lie_elsewhere_leaves_nothing(transport: Path) -> None:
    path, out = transport.with_name("other.zip"), transport.with_name("out.pack")
    with zipfile.ZipFile(transport) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "index.json":
                index = json.loads(data)
                index["clips"][1]["start"] = 2**40
                data = json.dumps(index).encode()
            new.writestr(name, data)
    out.unlink(missing_ok=True)
    assert not held(lambda: read_transport(path, out))
    assert not out.exists()


def test_a_picture_of_another_size_and_one_that_is_packed_too_well_are_refused(transport: Path) -> None:
    path = transport.with_name("other.zip")
    for name, data in (("00000/00000.jpg", b""), ("00000/00001.png", bytes(2**24)), ("index.json", bytes(2**27))):
        with zipfile.ZipFile(transport) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for entry in old.namelist():
                new.writestr(entry, data if entry == name else old.read(entry))
        assert not held(lambda: read_transport(path, transport.with_name("out.pack")))


@pytest.fixture(scope="module")
def voi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("sets") / "set", bars=((28, 36),), count=2).root


def read_set(root: Path) -> None:
    found = open_set(root)
    for record in found.records():
        clip = found.load(record)
        assert clip.frames.shape == (record.count, *record.size, 3)


@bounded
@hypothesis.given(steps=STEPS, value=VALUES)
def test_a_manifest_that_says_something_else_is_read_or_refused(voi: Path, steps, value: object) -> None:
    path = voi / "manifest.json"
    good = path.read_bytes()
    try:
        path.write_text(json.dumps(replaced(json.loads(good), steps, value)))
        held(lambda: read_set(voi))
    finally:
        path.write_bytes(good)


@bounded
@hypothesis.given(damage=BYTES)
def test_a_manifest_with_other_bytes_is_read_or_refused(voi: Path, damage) -> None:
    path = voi / "manifest.json"
    good = path.read_bytes()
    try:
        path.write_bytes(damaged(good, damage))
        held(lambda: read_set(voi))
    finally:
        path.write_bytes(good)


@pytest.mark.parametrize(
    ("name", "value"), [("count", 10**29), ("count", "4"), ("size", [10**9, 10**9]), ("size", [64]), ("rates", [2.0])]
)
def test_a_lie_about_a_clip_of_a_set_is_refused_before_memory_is_asked_for(voi: Path, name: str, value: object) -> None:
    path = voi / "manifest.json"
    good = path.read_bytes()
    content = json.loads(good)
    content["clips"][0][name] = value
    try:
        path.write_text(json.dumps(content))
        tracemalloc.start()
        assert not held(lambda: read_set(voi))
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
        path.write_bytes(good)


def test_a_picture_of_a_set_that_is_larger_than_the_manifest_says_is_refused_unread(voi: Path) -> None:
    from PIL import Image

    found = open_set(voi)
    path = next(found.folder(found.records()[0], "Amodal").iterdir())
    good = path.read_bytes()
    try:
        Image.fromarray(np.zeros((8000, 8000), np.uint8), "P").save(path)
        tracemalloc.start()
        assert not held(lambda: read_set(voi))
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
        path.write_bytes(good)


@bounded
@hypothesis.given(steps=STEPS, value=VALUES)
def test_a_list_of_objects_that_says_something_else_is_read_or_refused(tmp_path_factory, steps, value: object) -> None:
    root = tmp_path_factory.getbasetemp() / "source"
    if not root.exists():
        youtube_vos(root, videos=2, count=2)
        (root / "good.json").write_bytes((root / "train" / "meta.json").read_bytes())
    content = json.loads((root / "good.json").read_text())
    (root / "train" / "meta.json").write_text(json.dumps(replaced(content, steps, value)))
    held(lambda: list_videos(root, "youtube-vos"))


@bounded
@hypothesis.given(text=st.text(max_size=30) | VALUES.map(json.dumps))
def test_a_record_of_a_build_that_is_damaged_is_built_anew(tmp_path_factory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "build" / ".build" / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bear.json").write_text(text)
    assert read_record(folder.parents[1], "bear") is None
