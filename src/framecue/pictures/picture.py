"""One picture of a video and the sizes it is shown in: square pixels, then what an image tower or a page takes."""

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from framecue.pictures.color import Coding, to_sdr

try:
    import cykooz_resizer
except ImportError:  # no wheel for this machine: Pillow is five times slower, and equal within a level
    cykooz_resizer = None

Interpolation = Literal["bilinear", "bicubic"]
Pixels = npt.NDArray[Any]
"""uint8 or uint16 RGB [H, W, 3]."""

_MAX_SIDES = 16
"""Of a picture whose one side is longer than so many times the other one, only the middle is resized."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, upright.

    Attributes:
        pixels: uint8 RGB [H, W, 3] as it is shown; uint16 where `coding` says what the values mean.
        pixel_aspect: width of a pixel over its height.
    """

    pixels: Pixels
    pixel_aspect: float = 1.0
    coding: Coding | None = None

    @property
    def shown_size(self) -> tuple[float, float]:
        """Width and height in square pixels; no side is made shorter."""
        height, width, _ = self.pixels.shape
        return (width * max(1.0, self.pixel_aspect), height * max(1.0, 1 / self.pixel_aspect))

    def resized(self, width: int, height: int, interpolation: Interpolation = "bicubic") -> npt.NDArray[np.uint8]:
        """uint8 RGB [height, width, 3]. HDR is resized as it is coded, as SDR is, and toned after that."""
        return self.toned(resample(self.pixels, width, height, interpolation))

    def shown(self) -> npt.NDArray[np.uint8]:
        """uint8 RGB in square pixels."""
        width, height = self.shown_size
        return self.resized(max(1, round(width)), max(1, round(height)))

    def toned(self, pixels: Pixels) -> npt.NDArray[np.uint8]:
        """Pixels of this picture as SDR."""
        return pixels if self.coding is None else to_sdr(pixels, self.coding)


@dataclass(frozen=True)
class ResizeCrop:
    """What an image tower takes of a picture: a square of S pixels.

    Attributes:
        image_size: S.
        resize: "shortest_edge" keeps the aspect ratio and crops the center (CLIP); "squash" resizes both sides to S
            (SigLIP).
        shortest_edge: length of the short side after resizing, before the crop.
    """

    image_size: int
    resize: Literal["shortest_edge", "squash"]
    shortest_edge: int
    interpolation: Interpolation

    def __call__(self, picture: Picture) -> npt.NDArray[np.uint8]:
        """uint8 RGB [S, S, 3].

        Filters as Pillow does, rows before columns; the center is torchvision's (CLIP's own pipeline): an odd margin
        is rounded half to even.
        """
        if self.resize == "squash":
            return picture.resized(self.image_size, self.image_size, self.interpolation)
        pixels, aspect = _middle(picture.pixels, picture.pixel_aspect)
        width, height = Picture(pixels, aspect).shown_size
        if width <= height:
            size = (self.shortest_edge, int(self.shortest_edge * height / width))
        else:
            size = (int(self.shortest_edge * width / height), self.shortest_edge)
        return picture.toned(_center_crop(resample(pixels, *size, self.interpolation), self.image_size))


@dataclass(frozen=True)
class FitInside:
    """A picture made smaller where it does not fit, never larger.

    Attributes:
        width, height: the room there is; None = as much as it takes.
        step: sides are multiples of it.
    """

    width: int | None = None
    height: int | None = None
    step: int = 1

    def size_of(self, picture: Picture) -> tuple[int, int]:
        """Width and height of the result."""
        width, height = picture.shown_size
        scale = min(1.0, (self.width or width) / width, (self.height or height) / height)
        return self._stepped(width * scale), self._stepped(height * scale)

    def __call__(self, picture: Picture) -> npt.NDArray[np.uint8]:
        """uint8 RGB [H, W, 3]."""
        return picture.resized(*self.size_of(picture))

    def _stepped(self, pixels: float) -> int:
        return max(self.step, self.step * round(pixels / self.step))


def letterbox(picture: Picture, width: int, height: int) -> npt.NDArray[np.uint8]:
    """The whole picture in the middle of uint8 RGB [height, width, 3], as large as it can be, black around it."""
    shown_width, shown_height = picture.shown_size
    scale = min(width / shown_width, height / shown_height)
    inner_width = min(width, max(1, round(shown_width * scale)))
    inner_height = min(height, max(1, round(shown_height * scale)))
    inside = picture.resized(inner_width, inner_height)
    if inside.shape[:2] == (height, width):
        return inside
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    canvas[top : top + inner_height, left : left + inner_width] = inside
    return canvas


def resample(pixels: Pixels, width: int, height: int, interpolation: Interpolation) -> Pixels:
    """[H, W, 3] -> [height, width, 3] of the same type, antialiased, rows before columns as CLIP's makers resized.

    Newer versions of Pillow take the cheaper order, which is another one for some sizes. The fast path differs from
    Pillow by at most one level in 0.4 % of the values (`resample_by_pillow`).
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    if cykooz_resizer is None:
        return resample_by_pillow(pixels, width, height, interpolation)
    resizer, options = _resizer(interpolation)
    kind = cykooz_resizer.PixelType.U8x3 if pixels.dtype == np.uint8 else cykooz_resizer.PixelType.U16x3
    image = cykooz_resizer.ImageData(pixels.shape[1], pixels.shape[0], kind, pixels.tobytes())
    for size in ((width, image.height), (width, height)):  # in one step it rounds once, where Pillow rounds twice
        if size != (image.width, image.height):
            target = cykooz_resizer.ImageData(*size, kind)
            resizer.resize(image, target, options)
            image = target
    return np.frombuffer(image.get_buffer(), dtype=pixels.dtype).reshape(height, width, 3)


def resample_by_pillow(pixels: Pixels, width: int, height: int, interpolation: Interpolation) -> Pixels:
    """The reference for `resample`."""
    number = Image.Resampling.BICUBIC if interpolation == "bicubic" else Image.Resampling.BILINEAR
    if pixels.dtype == np.uint8:
        image = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(image.resize((width, image.height), number).resize((width, height), number))
    planes = [Image.fromarray(np.ascontiguousarray(pixels[..., channel], dtype=np.float32)) for channel in range(3)]
    smaller = [plane.resize((width, plane.height), number).resize((width, height), number) for plane in planes]
    return np.clip(np.round(np.stack([np.asarray(plane) for plane in smaller], axis=-1)), 0, 65535).astype(np.uint16)


def _resizer(interpolation: Interpolation) -> tuple[Any, Any]:
    """Of this thread: a resizer keeps its buffers."""
    return _resizer_of(threading.get_ident(), interpolation)


@lru_cache(maxsize=64)
def _resizer_of(_thread: int, interpolation: Interpolation) -> tuple[Any, Any]:
    kinds = {"bicubic": cykooz_resizer.FilterType.catmull_rom, "bilinear": cykooz_resizer.FilterType.bilinear}
    algorithm = cykooz_resizer.ResizeAlg.convolution(kinds[interpolation])
    return cykooz_resizer.Resizer(), cykooz_resizer.ResizeOptions(resize_alg=algorithm)


def _middle(pixels: Pixels, aspect: float) -> tuple[Pixels, float]:
    """The part that a center crop can need, where resizing the whole would make a huge picture."""
    height, width, _ = pixels.shape
    most_width = max(1, int(_MAX_SIDES * height / aspect))
    most_height = max(1, int(_MAX_SIDES * width * aspect))
    left, top = max(0, (width - most_width) // 2), max(0, (height - most_height) // 2)
    return pixels[top : top + most_height, left : left + most_width], aspect


def _center_crop(pixels: Pixels, size: int) -> Pixels:
    height, width, _ = pixels.shape
    if height < size or width < size:
        vertical, horizontal = max(size - height, 0), max(size - width, 0)
        margins = ((vertical // 2, vertical - vertical // 2), (horizontal // 2, horizontal - horizontal // 2), (0, 0))
        pixels = np.pad(pixels, margins)
        height, width, _ = pixels.shape
    top, left = round((height - size) / 2), round((width - size) / 2)
    return pixels[top : top + size, left : left + size]
