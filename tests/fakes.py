"""A real but tiny stand-in for a backbone, for tests of what lies around it."""

import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from framecue.pictures.picture import Picture, ResizeCrop


def resized(resize_crop: ResizeCrop, frames: Tensor) -> Tensor:
    """uint8 frames [T, 3, H, W] as an image tower takes them, [T, 3, S, S]."""
    pictures = [resize_crop(Picture(frame.permute(1, 2, 0).numpy())) for frame in frames]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class ColorPreprocessing:
    """Squashes frames to S by S."""

    image_size: int = 16

    @property
    def text(self) -> str:
        return json.dumps({"image_size": self.image_size, "resize": "squash"})

    @property
    def resize_crop(self) -> ResizeCrop:
        return ResizeCrop(self.image_size, "squash", self.image_size, "bilinear")


class ColorBackbone:
    """Embeds a frame as 8 numbers: mean of each color, spread of each color, mean of the left and of the upper half.

    Frame by frame and in float64, so that the batch a frame is in does not change its features by one bit.
    """

    embed_dim = 8
    precision = "fp32"

    def __init__(self, *, name: str = "color", weights_hash: str = "c0104" * 12, image_size: int = 16) -> None:
        self.name, self.weights_hash = name, weights_hash
        self.preprocessing = ColorPreprocessing(image_size)
        self.batch_sizes: list[int] = []

    @torch.no_grad()
    def encode_frames(self, frames: Tensor) -> Tensor:
        self.batch_sizes.append(len(frames))
        half = self.preprocessing.image_size // 2
        return torch.stack([self._encode(frame.double() / 255, half) for frame in frames]).float()

    @staticmethod
    def _encode(frame: Tensor, half: int) -> Tensor:
        flat = frame.flatten(1)
        halves = torch.stack([frame[:, :, :half].mean(), frame[:, :half].mean()])
        return torch.cat([flat.mean(1), flat.std(1), halves])
