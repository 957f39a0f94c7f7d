"""Estimate optical flow between neighbouring frames: OpenCV's DIS or torchvision's RAFT behind one signature."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from voin.core.errors import FileRefusal, PackageRefusal, ValueRefusal
from voin.core.types import Flows, Frames
from voin.method.stages import Motion

Grey = UInt8[np.ndarray, "h w"]
PixelFlow = Float[np.ndarray, "h w 2"]

_BATCH = 4  # pairs that a GPU works on at once


class DIS:
    """Dense inverse search (Kroeger et al. 2016) of OpenCV: no weights, fast on a CPU.

    The finest scale 0 is single pixels; 1 stops at half the size and is three times as fast.
    """

    def __init__(self, finest: int = 1) -> None:
        self.finest = finest

    def __call__(self, frames: Frames) -> tuple[Flows, Flows]:
        """Estimate `forward` and `backward`, as every `Motion` does."""
        b, t = frames.shape[:2]
        pictures = np.stack([[_grey(frame) for frame in clip] for clip in frames])  # (b, t, h, w)
        h, w = pictures.shape[-2:]
        # In the layout in which points are looked up along it.
        flows = np.empty((2, b, t - 1, h, w, 2), np.float32)

        def estimate_pair(place: tuple[int, int]) -> None:
            estimate, (i, j) = dis_estimator(self.finest), place
            flows[0, i, j] = estimate(pictures[i, j], pictures[i, j + 1])
            flows[1, i, j] = estimate(pictures[i, j + 1], pictures[i, j])

        # OpenCV leaves Python's lock, so pairs run side by side.
        with ThreadPoolExecutor(max_workers=max(torch.get_num_threads(), 1)) as pool:
            list(pool.map(estimate_pair, np.ndindex(b, t - 1)))
        forward, backward = torch.from_numpy(flows).to(frames).movedim(-1, -3)
        return forward, backward


def _grey(frame: Float[Tensor, "3 h w"]) -> Grey:
    luma = (frame * frame.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(dim=0)
    # Halves go up, and so does what misses one by a rounding error: averages of 8 bits often lie there, and which way
    # they go must depend neither on the processor nor on whether frames are given as bytes or floats.
    return (luma * 255 + 0.501).floor().clamp(0, 255).byte().cpu().numpy()


def dis_estimator(finest: int = 1) -> Callable[[Grey, Grey], PixelFlow]:
    """Make a function that estimates the flow from one grey picture to another by DIS."""
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    estimator.setFinestScale(finest)
    # OpenCV's stubs leave out that the flow to start from may be None.
    return lambda first, second: estimator.calc(first, second, None)  # pyright: ignore[reportCallIssue, reportArgumentType]


class RAFT:
    """RAFT (Teed and Deng 2020) of torchvision, `small` or `large`.

    The weights are a state-dict file; None takes torchvision's own (downloaded at first use). RAFT works at an eighth
    of the frames' size: finer flow has to be paid for, by enlarging them so many times, with the square of it.

    Raises:
        ImportError: torchvision is missing.
        OSError: the weights cannot be read or downloaded.
        ValueError: the file holds another network's weights.
    """

    def __init__(
        self, size: str = "small", weights: Path | None = None, device: torch.device | str = "cpu", enlarge: int = 1
    ) -> None:
        if size not in ("small", "large"):
            raise ValueRefusal(f"RAFT size is {size!r}", "it must be small or large", "choose one of them")
        try:
            from torchvision.models import optical_flow
        except (ImportError, RuntimeError) as error:
            remedy = "install it with: pip install 'voin[raft]', or use --flow dis"
            raise PackageRefusal(f"RAFT needs torchvision, which does not import ({error})", remedy=remedy) from error
        build = optical_flow.raft_small if size == "small" else optical_flow.raft_large
        try:
            network = build(weights="DEFAULT" if weights is None else None)
        except OSError as error:
            raise FileRefusal(
                f"the weights of RAFT {size} could not be downloaded ({error})",
                "they come from torchvision's server",
                "go online once, or give a file with --raft-weights FILE",
            ) from error
        if weights is not None:
            network.load_state_dict(_read_state(weights, size, network.state_dict()))
        self.size, self.weights, self.enlarge = size, str(weights or "torchvision"), enlarge
        self.network = network.eval().requires_grad_(False).to(device)
        self.device = torch.device(device)

    @torch.inference_mode()
    def __call__(self, frames: Frames) -> tuple[Flows, Flows]:
        """Estimate `forward` and `backward`, as every `Motion` does; frames of at least 128x128."""
        h, w = (self.enlarge * side for side in frames.shape[-2:])
        if h < 128 or w < 128:
            raise ValueRefusal(
                f"RAFT was given {w}x{h}", "it must be at least 128x128", "use --flow dis or a larger window"
            )
        first, second = (rearrange(x, "b t c h w -> (b t) c h w") for x in (frames[:, :-1], frames[:, 1:]))
        flows = first.new_empty(2, len(first), 2, *frames.shape[-2:])
        # A pair's correlations alone take 180 MB at 512x512.
        step = 1 if self.device.type == "cpu" else _BATCH
        for start in range(0, len(first), step):
            part = slice(start, start + step)
            flows[:, part] = self._pairs(torch.cat([first[part], second[part]]).to(self.device)).to(flows)
        forward, backward = rearrange(flows, "direction (b t) c h w -> direction b t c h w", b=len(frames))
        return forward, backward

    def _pairs(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "2 pairs 2 h w"]:
        """Estimate the flow of some pairs of frames, forward and backward; all first frames, then all second ones."""
        pairs = len(pictures) // 2
        if self.enlarge > 1:
            pictures = F.interpolate(pictures, scale_factor=self.enlarge, mode="bicubic").clamp(0, 1)
        h, w = pictures.shape[-2:]
        pictures = F.pad(pictures, (0, -w % 8, 0, -h % 8), mode="replicate") * 2 - 1
        flow = self.network(pictures, pictures.roll(pairs, dims=0))[-1][..., :h, :w]
        if self.enlarge > 1:
            flow = F.avg_pool2d(flow, self.enlarge) / self.enlarge
        return flow.unflatten(0, (2, pairs))


def _read_state(path: Path, size: str, expected: dict) -> dict:
    must = f"it must hold the state dict of torchvision's raft_{size}"
    if not path.is_file():
        raise FileRefusal(f"{path} is no file", must, "check --raft-weights")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise FileRefusal(
            f"{path} cannot be read as weights ({error})",
            "it must be a state dict saved with torch.save",
            "download it again",
        ) from error
    if not isinstance(state, dict) or set(state) != set(expected):
        raise ValueRefusal(f"{path} does not fit raft_{size}", "its keys must be torchvision's", "try the other size")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def load_motion(name: str, weights: Path | None = None, device: torch.device | str = "cpu", enlarge: int = 1) -> Motion:
    """Make the estimator called `dis`, `raft-small` or `raft-large`; `enlarge` is for RAFT."""
    if name == "dis":
        return DIS()
    if name in ("raft-small", "raft-large"):
        return RAFT(name.removeprefix("raft-"), weights, device, enlarge)
    raise ValueRefusal(f"flow is {name!r}", "it must be dis, raft-small or raft-large", "choose one with --flow")
