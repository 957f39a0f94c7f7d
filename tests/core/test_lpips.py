"""LPIPS against a forward pass in plain torch, and its laws."""

from __future__ import annotations

import builtins
import os
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from voin.core.lpips import LEAST_SIDE, LPIPS


@pytest.fixture(scope="session")
def alexnet() -> Path:
    """AlexNet's trunk, and the linear layers of LPIPS 0.1 to check against."""
    pytest.importorskip("lpips")
    beside = Path(__file__).resolve().parents[3] / "shared" / "weights" / "lpips_alex.pt"
    path = Path(os.environ.get("VOIN_LPIPS") or beside)
    if not path.exists():
        pytest.skip("LPIPS weights not found; set VOIN_LPIPS to their path")
    return path


@pytest.fixture(scope="session")
def distance(alexnet: Path) -> LPIPS:
    return LPIPS(alexnet)


@pytest.fixture
def random_weights(tmp_path: Path) -> Path:
    """A file with the keys and shapes of AlexNet's trunk."""
    pytest.importorskip("lpips")
    state = {}
    for layer, (into, out, side) in {
        0: (3, 64, 11),
        3: (64, 192, 5),
        6: (192, 384, 3),
        8: (384, 256, 3),
        10: (256, 256, 3),
    }.items():
        state[f"features.{layer}.weight"] = torch.randn(out, into, side, side) / (into * side**2) ** 0.5
        state[f"features.{layer}.bias"] = torch.zeros(out)
    torch.save(state, tmp_path / "alexnet.pt")
    return tmp_path / "alexnet.pt"


def pictures(n: int, h: int = 80, w: int = 100, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, h, w, 3), dtype=np.uint8)


def plain_lpips(first: np.ndarray, second: np.ndarray, state: dict[str, torch.Tensor]) -> float:
    """LPIPS 0.1 as its paper has it, for one pair, in float64, from the weights alone."""
    mean = torch.tensor([-0.030, -0.088, -0.188], dtype=torch.float64).view(1, 3, 1, 1)
    spread = torch.tensor([0.458, 0.448, 0.450], dtype=torch.float64).view(1, 3, 1, 1)

    def layers(picture: np.ndarray) -> list[torch.Tensor]:
        x = torch.from_numpy(picture.astype(np.float64) / 127.5 - 1).permute(2, 0, 1)[None]
        x = (x - mean) / spread
        found = []
        for layer, stride, padding, pool in (
            (0, 4, 2, False),
            (3, 1, 2, True),
            (6, 1, 1, True),
            (8, 1, 1, False),
            (10, 1, 1, False),
        ):
            x = F.max_pool2d(x, 3, 2) if pool else x
            weight, bias = (state[f"features.{layer}.{kind}"].double() for kind in ("weight", "bias"))
            x = F.conv2d(x, weight, bias, stride, padding).clamp(min=0)
            found.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10))
        return found

    total = 0.0
    for k, (a, b) in enumerate(zip(layers(first), layers(second), strict=True)):
        total += ((a - b).square() * state[f"lin{k}.weight"].double()).sum(dim=1).mean().item()
    return total


def test_lpips_is_that_of_plain_torch(distance: LPIPS, alexnet: Path) -> None:
    state = torch.load(alexnet, weights_only=True)
    first = pictures(3)
    second = np.clip(first // 2 + pictures(3, seed=1) // 4, 0, 255)
    expected = [plain_lpips(a, b, state) for a, b in zip(first, second, strict=True)]
    assert min(expected) > 0.05
    assert distance(first, second) == pytest.approx(expected, rel=1e-4)


def test_equal_pictures_are_at_0_and_order_does_not_matter(distance: LPIPS) -> None:
    first, second = pictures(2), pictures(2, seed=1)
    assert distance(first, first) == pytest.approx([0, 0], abs=0)
    assert distance(first, second) == pytest.approx(distance(second, first))


def test_a_little_blur_is_nearer_than_much(distance: LPIPS) -> None:
    cv2 = pytest.importorskip("cv2")
    sharp = cv2.resize(pictures(1, 20, 25)[0], (100, 80), interpolation=cv2.INTER_CUBIC)
    blurred = np.stack([cv2.GaussianBlur(sharp, (0, 0), sigma) for sigma in (1.0, 2.0, 4.0)])
    distances = distance(np.stack([sharp] * 3), blurred)
    assert 0 < distances[0] < distances[1] < distances[2]


def test_what_training_compares_is_the_same_distance_with_gradients(random_weights: Path) -> None:
    distance = LPIPS(random_weights)
    first, second = pictures(2, seed=1), pictures(2, seed=2)
    floats = [torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255 for x in (first, second)]
    floats[0].requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = distance.compare(*floats)
    assert found.detach().numpy() == pytest.approx(distance(first, second), rel=1e-4)
    found.sum().backward()
    assert floats[0].grad is not None
    assert floats[0].grad.abs().sum() > 0
    assert all(weight.grad is None for weight in distance.network.parameters())


def test_what_is_compared_in_training_are_the_squares_around_the_hidden_part(random_weights: Path) -> None:
    distance = LPIPS(random_weights)
    first, second = (torch.rand(2, 3, 3, 96, 96, generator=torch.Generator().manual_seed(i)) for i in (1, 2))
    hidden = torch.zeros(2, 3, 1, 96, 96, dtype=torch.bool)
    hidden[0, 1, 0, 40:50, 44:52] = True
    # The box of the benchmark is 64 pixels wide here.
    box = np.s_[..., 13:77, 16:80]
    alone = distance.compare(first[0, 1:2][box], second[0, 1:2][box])
    found = distance.compare_hidden(first, second, hidden, 64)
    # The second clip has nothing hidden, and counts like the first.
    assert found.item() == pytest.approx(alone.item() / 2, rel=1e-4)
    elsewhere = second.clone()
    elsewhere[0, 1, :, :10] = 0
    assert distance.compare_hidden(first, elsewhere, hidden, 64).item() == found.item()
    first.requires_grad_()
    distance.compare_hidden(first, second, hidden, 48).backward()
    assert first.grad is not None
    assert first.grad[0, 1].abs().sum() > 0
    assert first.grad[0, [0, 2]].abs().sum() == first.grad[1].abs().sum() == 0


def test_many_pairs_at_once_are_as_one_by_one(random_weights: Path) -> None:
    distance = LPIPS(random_weights)
    first, second = pictures(9, 40, 40), pictures(9, 40, 40, seed=1)
    single = [distance(first[i : i + 1], second[i : i + 1])[0] for i in range(9)]
    assert distance(first, second) == pytest.approx(single, rel=1e-5)
    assert distance(first[:0], second[:0]).shape == (0,)


def test_the_file_is_what_the_network_uses(random_weights: Path) -> None:
    first, second = pictures(1, 40, 40), pictures(1, 40, 40, seed=1)
    before = LPIPS(random_weights)(first, second)
    state = torch.load(random_weights, weights_only=True)
    state["features.10.weight"] = torch.flip(state["features.10.weight"], [0])
    state["features.0.weight"] = state["features.0.weight"] * 3
    torch.save(state, random_weights)
    assert LPIPS(random_weights)(first, second) != pytest.approx(before)


def test_small_pictures_are_refused(random_weights: Path) -> None:
    small = pictures(1, LEAST_SIDE - 1, 60)
    with pytest.raises(ValueError, match="at least 32x32"):
        LPIPS(random_weights)(small, small)


def test_files_that_are_no_weights_are_refused(tmp_path: Path, random_weights: Path) -> None:
    with pytest.raises(OSError, match="is no file"):
        LPIPS(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("text")
    with pytest.raises(OSError, match="cannot be read as weights"):
        LPIPS(tmp_path / "text.pt")
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="does not fit AlexNet"):
        LPIPS(tmp_path / "other.pt")
    state = torch.load(random_weights, weights_only=True)
    torch.save({key: value[:1] for key, value in state.items()}, tmp_path / "odd.pt")
    with pytest.raises(ValueError, match="do not fit AlexNet"):
        LPIPS(tmp_path / "odd.pt")


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest, **named):
        if name == "lpips":
            raise ImportError("No module named 'lpips'")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'voin\[eval\]'"):
        LPIPS()


def test_weights_that_cannot_be_downloaded_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lpips")
    api = pytest.importorskip("torchvision.models._api")

    def offline(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr(api, "load_state_dict_from_url", offline)
    with pytest.raises(OSError, match="--lpips-weights FILE"):
        LPIPS()
