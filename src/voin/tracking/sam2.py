"""SAM 2 as a tracker (Ravi et al. 2024), through the package transformers; the extra `sam2`.

Frames go through one by one, forwards or backwards, and what the network no longer looks at is dropped: memory does not
grow with the length of the video.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from voin.core.errors import FileRefusal, PackageRefusal
from voin.core.types import Mask, Picture
from voin.tracking.prompts import Prompt
from voin.tracking.segment import with_clicks

MODEL = "facebook/sam2.1-hiera-tiny"  # on the Hugging Face hub
_FILES = ("config.json", "model.safetensors")
# What the networks of SAM 2 are used to: ImageNet's mean and spread.
_MEAN, _SPREAD = (np.array(values, np.float32) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
_ON, _OFF, _CORNERS = 1, 0, (2, 3)  # what SAM calls its points


def has_sam2(model: str | None = None) -> bool:
    """Return whether transformers and the weights of `model` are on this machine; nothing is downloaded."""
    if find_spec("transformers") is None or find_spec("huggingface_hub") is None:
        return False
    name = model or MODEL
    if Path(name).is_dir():
        return all((Path(name) / file).is_file() for file in _FILES)
    hub: Any = import_module("huggingface_hub")
    try:
        return all(isinstance(hub.try_to_load_from_cache(name, file), str) for file in _FILES)
    except ValueError:  # no name of a model
        return False


def load_sam2(model: str | None = None, device: torch.device | str = "cpu") -> Sam2Tracker:
    """Load SAM 2 from a folder, or as OWNER/NAME from the Hugging Face hub, once; None is `MODEL`.

    Raises:
        ImportError: transformers is missing or too old.
        OSError: the weights cannot be read or downloaded.
    """
    name = model or MODEL
    network = _transformers().Sam2VideoModel
    try:
        loaded = network.from_pretrained(name)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise FileRefusal(
            f"{name} cannot be loaded as SAM 2 ({reason})",
            f"it must be a folder with {' and '.join(_FILES)}, or a SAM 2 model OWNER/NAME on the Hugging Face hub",
            "check the name and the connection, or use --tracker grabcut",
        ) from error
    return Sam2Tracker(loaded, device)


class Sam2Tracker:
    """Follows an object with a network of the class `Sam2VideoModel`."""

    name = "sam2"

    def __init__(self, network: Any, device: torch.device | str = "cpu") -> None:
        self.network, self.device = network.eval().requires_grad_(False).to(device), torch.device(device)
        size = network.config.image_size
        self.size: tuple[int, int] = (size, size) if isinstance(size, int) else (size[0], size[1])
        # It looks back at so many frames, for masks and for summaries of the object.
        self.reach = max(network.config.num_maskmem, network.config.max_object_pointers_in_encoder)

    @torch.inference_mode()
    def mark(self, frame: Picture, prompt: Prompt, near: Sequence[Picture]) -> Mask:
        """Return the object's mask on the frame of its prompt, as every `Tracker` does; `near` is not looked at."""
        h, w = frame.shape[:2]
        prompt.check((h, w))
        if prompt.mask is not None:
            return with_clicks(prompt.mask, prompt)
        session = self._session(h, w)
        points = [*prompt.points, *prompt.negative]
        labels = [_ON] * len(prompt.points) + [_OFF] * len(prompt.negative)
        if prompt.box is not None:
            x, y, across, down = prompt.box
            points, labels = [(x, y), (x + across, y + down), *points], [*_CORNERS, *labels]
        at = torch.tensor(points, dtype=torch.float32) * torch.tensor([self.size[1] / w, self.size[0] / h])
        clicks = {"point_coords": at[None, None], "point_labels": torch.tensor(labels, dtype=torch.int32)[None, None]}
        session.add_point_inputs(0, 0, {name: values.to(self.device) for name, values in clicks.items()})
        return with_clicks(self._look(session, frame, 0), prompt)

    @torch.inference_mode()
    def follow(self, frames: Iterable[Picture], mask: Mask) -> Iterator[Mask]:
        """Follow the object through `frames`, as every `Tracker` does."""
        session = None
        for number, frame in enumerate(frames):
            if session is None:
                session = self._session(*mask.shape)
                whole = torch.from_numpy(mask.astype(np.float32))[None, None]
                small = F.interpolate(whole, self.size, mode="bilinear", align_corners=False, antialias=True)
                session.add_mask_inputs(0, 0, (small >= 0.5).float().to(self.device))
                self._look(session, frame, 0)
                yield mask.copy()
            else:
                yield self._look(session, frame, number)

    def _session(self, h: int, w: int) -> Any:
        sessions: Any = import_module("transformers.models.sam2_video.modeling_sam2_video")
        session = sessions.Sam2VideoInferenceSession(
            video_height=h,
            video_width=w,
            inference_device=self.device,
            inference_state_device=self.device,
            video_storage_device=self.device,
            dtype=torch.float32,
        )
        session.obj_id_to_idx(1)
        session.obj_with_new_inputs = [1]
        return session

    def _look(self, session: Any, frame: Picture, number: int) -> Mask:
        """Let the network see the next frame, and forget what it no longer looks at."""
        logits = self.network(inference_session=session, frame=self._prepare(frame)).pred_masks[:1]
        for kept in (session.output_dict_per_obj[0]["non_cond_frame_outputs"], session.processed_frames):
            for old in [index for index in kept if index < number - self.reach]:
                del kept[old]
        large = F.interpolate(logits.float(), frame.shape[:2], mode="bilinear", align_corners=False)
        return (large[0, 0] > 0).cpu().numpy()

    def _prepare(self, frame: Picture) -> Float[Tensor, "3 rows columns"]:
        (h, w), shrinks = self.size, self.size[0] < frame.shape[0]
        small = cv2.resize(frame, (w, h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        colours = (small.astype(np.float32) / 255 - _MEAN) / _SPREAD
        return torch.from_numpy(np.ascontiguousarray(colours.transpose(2, 0, 1), np.float32)).to(self.device)


def _transformers() -> Any:
    try:
        # By name: type checkers know it only where the extra is installed.
        found: Any = import_module("transformers")
        found.Sam2VideoModel  # noqa: B018 - imported when it is first asked for
    except (ImportError, AttributeError, RuntimeError) as error:
        raise PackageRefusal(
            "SAM 2 needs the package transformers",
            f"it does not import or is too old ({error})",
            "install it with: pip install 'voin[sam2]', or use --tracker grabcut",
        ) from error
    return found
