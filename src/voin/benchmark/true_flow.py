"""Flow of the unoccluded video, which stands for the true motion, kept in a folder so that it is estimated once.

The benchmark's real videos have no measured motion. What RAFT finds where nothing is hidden is taken for it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float16, UInt8

from voin.core.errors import FileRefusal
from voin.method.motion import RAFT, Motion

Flow16 = Float16[np.ndarray, "pairs 2 h w"]


class TrueFlow:
    """Flow of clips by `motion` (for the benchmark `RAFT`), from `folder` where it was estimated before.

    There is one file a clip, `<checksum>.npy`, written whole or not at all; several processes can share it. The
    checksum is of the clip's pixels and of the estimator with its weights, so that nothing else is ever taken.
    """

    def __init__(self, folder: Path, motion: Motion) -> None:
        self.folder, self.motion = folder, motion
        self.name = _name(motion)

    def __call__(self, truth: UInt8[np.ndarray, "t h w 3"]) -> tuple[Flow16, Flow16]:
        """Return `forward` and `backward` (t-1, 2, h, w) in pixels, as fp16 (0.004 px at 8 px), read as they are used.

        Raises:
            OSError: the folder cannot be written.
            ValueError: the frames are too small for RAFT.
        """
        count, h, w = truth.shape[:3]
        shape = (max(count - 1, 0), 2, 2, h, w)  # pairs; forward, backward; dx, dy
        if count < 2:
            empty = np.zeros(shape, np.float16)
            return empty[:, 0], empty[:, 1]
        path = self.path_of(truth)
        flows = _read(path, shape)
        if flows is None:
            self._write(path, truth, shape)
            flows = _read(path, shape)
        if flows is None:
            raise FileRefusal(f"{path} cannot be read back", "flow must be kept while it is used", "check the disk")
        return flows[:, 0], flows[:, 1]

    def path_of(self, truth: UInt8[np.ndarray, "t h w 3"]) -> Path:
        """Return the file that holds the flow of these frames, whether it exists or not."""
        checksum = hashlib.sha256(f"{self.name} {truth.shape}".encode())
        checksum.update(np.ascontiguousarray(truth).data)
        return self.folder / f"{checksum.hexdigest()[:32]}.npy"

    def _write(self, path: Path, truth: np.ndarray, shape: tuple[int, ...]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # Of this process alone: another may be at the same clip.
        draft = path.with_name(f".{path.stem}.{os.getpid()}.part")
        try:
            # Pair by pair, straight to the file: memory does not grow with the clip.
            flows = np.lib.format.open_memmap(draft, "w+", np.dtype(np.float16), shape)
            for i in range(len(truth) - 1):
                pair = torch.from_numpy(truth[i : i + 2]).permute(0, 3, 1, 2)[None].float() / 255
                flows[i] = torch.stack(self.motion(pair))[:, 0, 0].cpu().numpy()
            flows.flush()
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Map a file of flow; None if it is not there or is not whole."""
    try:
        flows = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return flows if flows.shape == shape and flows.dtype == np.float16 else None


def _name(motion: Motion) -> str:
    """Name an estimator so that another, or other weights, have another name."""
    if not isinstance(motion, RAFT):
        numbers = " ".join(f"{key}={value}" for key, value in sorted(vars(motion).items()))
        return f"{type(motion).__name__} {numbers}".strip()
    checksum = hashlib.sha256()
    for key, value in sorted(motion.network.state_dict().items()):
        checksum.update(key.encode())
        checksum.update(value.cpu().contiguous().numpy().data)
    return f"raft-{motion.size} {checksum.hexdigest()[:12]}"
