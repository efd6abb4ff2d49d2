"""Preprocessing of pictures for a frozen image tower, equal to the backbone's own image processor."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from framecue.pictures.picture import Interpolation, ResizeCrop

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

Channels = Literal["rgb", "bgr"]

_INTERPOLATION: dict[int, Interpolation] = {2: "bilinear", 3: "bicubic"}  # PIL's numbers


@dataclass(frozen=True)
class Preprocessing:
    """Resize, center crop and normalization of RGB frames.

    Attributes:
        image_size: side S of the square that the image tower takes, in pixels.
        resize: "shortest_edge" keeps the aspect ratio and crops the center (CLIP); "squash" resizes both sides
            to S (SigLIP).
        shortest_edge: length of the short side after resizing, before the crop; S for most checkpoints.
        interpolation: filter, always antialiased.
        mean, std: per channel, of values in [0, 1].
        channels: order in which the image tower gets the colors. Every checkpoint was trained on "rgb"; "bgr" is what
            the method's authors feed it (their feat/visfeat.py).
    """

    image_size: int
    resize: Literal["shortest_edge", "squash"] = "shortest_edge"
    shortest_edge: int = 0
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    channels: Channels = "rgb"

    @cached_property
    def text(self) -> str:
        """Canonical JSON: equal text means equal pixels. It is part of a stored feature's maker."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_processor_config(cls, config: Mapping[str, Any], *, image_size: int) -> "Preprocessing":
        """Read a Hugging Face image-processor config (CLIP's and SigLIP's forms).

        Raises:
            ValueError: the config resizes in a way that is neither of the two.
        """
        size = config.get("size", {"shortest_edge": image_size})
        if isinstance(size, int):
            size = {"shortest_edge": size}
        filter_number = int(config.get("resample", 3))
        if filter_number not in _INTERPOLATION:
            raise ValueError(f"resample must be 2 (bilinear) or 3 (bicubic), found {filter_number}")
        squash = "height" in size and not config.get("do_center_crop", False)
        if not squash and "shortest_edge" not in size:
            raise ValueError(f"size must be {{shortest_edge}} or {{height, width}}, found {size}")
        return cls(
            image_size=image_size,
            resize="squash" if squash else "shortest_edge",
            shortest_edge=image_size if squash else int(size["shortest_edge"]),
            interpolation=_INTERPOLATION[filter_number],
            mean=_triple(config.get("image_mean", CLIP_MEAN)),
            std=_triple(config.get("image_std", CLIP_STD)),
        )

    @property
    def resize_crop(self) -> ResizeCrop:
        """A picture to uint8 RGB [S, S, 3]."""
        return ResizeCrop(self.image_size, self.resize, self.shortest_edge or self.image_size, self.interpolation)

    def normalize(self, frames: Tensor) -> Tensor:
        """uint8 RGB [T, 3, S, S] -> float32 [T, 3, S, S] with the backbone's mean and standard deviation.

        With "bgr" these belong to the places, as with the authors: the first mean is subtracted from blue.
        """
        mean = torch.tensor(self.mean, device=frames.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=frames.device).view(3, 1, 1)
        ordered = frames.flip(1) if self.channels == "bgr" else frames
        return ordered.float().div_(255).sub_(mean).div_(std)


def channels_of(text: str) -> Channels:
    """The order of colors in the canonical text of a preprocessing."""
    return "bgr" if '"channels":"bgr"' in text else "rgb"


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
