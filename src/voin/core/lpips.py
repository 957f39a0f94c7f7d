"""LPIPS (Zhang et al., CVPR 2018) with AlexNet: the package `lpips` behind the signature that `scores` asks for."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from voin.core.errors import FileRefusal, PackageRefusal, ValueRefusal
from voin.core.metrics import crop_box
from voin.core.types import Frames

# Less than this, and AlexNet's last layers see nothing (pixels).
LEAST_SIDE = 32
# The layers of AlexNet's trunk that have weights, in torchvision's numbers; `lpips` keeps them in five slices.
_TRUNK = (0, 3, 6, 8, 10)
# Pairs that go through the network at once.
_BATCH = 8
# Fewer hidden pixels than this change no look.
_LEAST_HIDDEN = 16


class LPIPS:
    """The learned distance between pictures, version 0.1: 0 for equal ones, about 0.7 for unlike ones.

    `weights` is a state-dict file of AlexNet's trunk, as torchvision names its parts, for machines without a network;
    None takes torchvision's own (downloaded at first use). The linear layers come with the package `lpips`.

    Raises:
        ImportError: `lpips`, or torchvision, which it needs, is missing.
        OSError: the weights cannot be read or downloaded.
        ValueError: the file holds another network's weights.
    """

    def __init__(self, weights: Path | None = None, device: torch.device | str = "cpu") -> None:
        try:
            import lpips
        except (ImportError, RuntimeError) as error:
            raise PackageRefusal(
                f"LPIPS needs the package lpips, which does not import ({error})",
                remedy="install it with: pip install 'voin[eval]', or leave LPIPS out",
            ) from error
        trunk = None if weights is None else _read_trunk(weights)
        with warnings.catch_warnings():
            # `lpips` calls torchvision in a way of old.
            warnings.simplefilter("ignore")
            try:
                network = lpips.LPIPS(net="alex", pnet_rand=trunk is not None, verbose=False)
            except OSError as error:
                raise FileRefusal(
                    f"the weights of AlexNet could not be downloaded ({error})",
                    "they come from torchvision's server",
                    "go online once, or give a file with --lpips-weights FILE",
                ) from error
        if trunk is not None:
            _load_trunk(network.net, trunk)
        self.network = network.eval().requires_grad_(False).to(device)
        self.device = torch.device(device)

    @torch.inference_mode()
    def __call__(
        self, first: UInt8[np.ndarray, "n h w 3"], second: UInt8[np.ndarray, "n h w 3"]
    ) -> Float[np.ndarray, " n"]:
        """Return the distance of each pair of pictures, of at least `LEAST_SIDE` (ValueError)."""
        n, h, w = first.shape[:3]
        if h < LEAST_SIDE or w < LEAST_SIDE:
            raise ValueRefusal(
                f"LPIPS was given {w}x{h}",
                f"it must be at least {LEAST_SIDE}x{LEAST_SIDE}",
                "take larger frames or leave LPIPS out",
            )
        distances = [
            self.network(self._colours(first[i : i + _BATCH]), self._colours(second[i : i + _BATCH])).flatten().cpu()
            for i in range(0, n, _BATCH)
        ]
        return torch.cat(distances).numpy() if distances else np.zeros(0, np.float32)

    def compare(self, first: Float[Tensor, "n 3 h w"], second: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
        """Return the distance of each pair of pictures in [0, 1], with gradients: what training needs."""
        with torch.autocast(self.device.type, enabled=False):
            return self.network(2 * first.float() - 1, 2 * second.float() - 1).flatten()

    def features(self, pictures: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        """Return what the five layers of AlexNet see in pictures in [0, 1], with gradients."""
        with torch.autocast(self.device.type, enabled=False):
            return [*self.network.net(self.network.scaling_layer(2 * pictures.float() - 1))]

    def compare_hidden(
        self, first: Frames, second: Frames, hidden: Bool[Tensor, "b t 1 h w"], side: int
    ) -> Float[Tensor, ""]:
        """Return the mean distance of the squares around the hidden part, with gradients; each clip counts alike.

        They are those of the benchmark (`crop_box`), brought to one `side` (pixels): looked at larger than they will be
        seen, fine texture would count for nothing. Frames with less than `_LEAST_HIDDEN` hidden pixels do not count.
        """
        resize = partial(F.interpolate, size=(side, side), mode="bilinear", antialias=True)
        where = hidden[:, :, 0].cpu()
        clips = []
        for one, other, masks in zip(first, second, where, strict=True):
            frames = (masks.flatten(1).sum(dim=1) >= _LEAST_HIDDEN).nonzero()[:, 0].tolist()
            if not frames:
                clips.append(first.new_zeros(()))
                continue
            boxes = [crop_box(masks[i].numpy()) for i in frames]
            pair = [
                torch.cat([resize(clip[i : i + 1, :, *box]) for i, box in zip(frames, boxes, strict=True)])
                for clip in (one, other)
            ]
            clips.append(self.compare(pair[0], pair[1]).mean())
        return torch.stack(clips).mean()

    def _colours(self, pictures: np.ndarray) -> Tensor:
        """Put colours into [-1, 1], (n, 3, h, w)."""
        return torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1


def _read_trunk(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        must = "it must hold the state dict of torchvision's alexnet"
        raise FileRefusal(f"{path} is no file", must, "check --lpips-weights")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise FileRefusal(
            f"{path} cannot be read as weights ({error})",
            "it must be a state dict saved with torch.save",
            "download it again",
        ) from error
    names = [f"features.{layer}.{kind}" for layer in _TRUNK for kind in ("weight", "bias")]
    if not isinstance(state, dict) or not set(names) <= set(state):
        raise ValueRefusal(
            f"{path} does not fit AlexNet",
            f"it must have the keys {names[0]} to {names[-1]}, as torchvision has them",
            "give another file",
        )
    return {name.removeprefix("features."): state[name].float() for name in names}


def _load_trunk(trunk: torch.nn.Module, weights: dict[str, Tensor]) -> None:
    """Put `weights`, by number of the layer, where `lpips` has them: `slice2.3.weight` is the layer's `3.weight`."""
    try:
        trunk.load_state_dict({name: weights[name.split(".", 1)[1]] for name in trunk.state_dict()})
    except RuntimeError as error:
        what = f"the weights do not fit AlexNet ({error})"
        raise ValueRefusal(what, "they must be torchvision's", "give another file") from error
